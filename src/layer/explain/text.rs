//! An explanation for people: one screen.

use super::{Arithmetic, Course, Explanation, KeyView, Variant};
use crate::cache::groups::Level;
use crate::clock::Stamp;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// Variants that are shown.
const SHOWN: usize = 6;

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { method, key, rule, course, variants, alone, not_stored, now } = self;
        writeln!(f, "{method} {key}")?;
        let whose = if key.partitioned { "one per identity" } else { "one for all readers" };
        line(f, "key", format_args!("{} {}, query {}; {whose}", key.authority, key.path, key.query.as_deref().unwrap_or("none")))?;
        match rule {
            Some(rule) => line(f, "rule", format_args!("{} ({})", rule.name, rule.pattern))?,
            None => line(f, "rule", "none matches")?,
        }
        let forward = course.forward().map(|forward| format!("; fwd={}", forward.as_str())).unwrap_or_default();
        line(f, "verdict", format_args!("{}: {}{forward}", course.outcome(), course.words()))?;
        if let Course::Ask { covered: true, .. } = course {
            line(f, "", "if the origin fails, what is stored stands in (RFC 5861 section 4)")?;
        }
        if let Some(stored) = self.chosen() {
            stored.write(f, *now)?;
        }
        write_variants(f, variants)?;
        match alone {
            None => line(f, "crowd", "shares one fetch")?,
            Some(alone) => line(f, "crowd", format_args!("not collapsed: {}", alone.words()))?,
        }
        if let Some((why, at)) = not_stored {
            line(f, "not stored", format_args!("the last answer: {}, {} ago", why.as_str(), Span(now.since(*at))))?;
        }
        Ok(())
    }
}

impl Display for KeyView {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)?;
        self.query.as_ref().map_or(Ok(()), |query| write!(f, "?{query}"))
    }
}

impl Variant {
    fn write(&self, f: &mut Formatter<'_>, now: Stamp) -> fmt::Result {
        let Arithmetic { initial, resident, age, lifetime, left, source } = Arithmetic::of(&self.life, now);
        let part = self.range.map(|(start, end)| format!(", bytes {start}-{end} of it")).unwrap_or_default();
        line(f, "stored", format_args!("{}, {} bytes{part}", self.status, self.length))?;
        line(f, "age", format_args!("{} = {} on arrival + {} here (RFC 9111 section 4.2.3)", ms(age), ms(initial), ms(resident)))?;
        line(f, "lifetime", format_args!("{} ({})", ms(lifetime), source.clause()))?;
        match u64::try_from(left) {
            Ok(left) => line(f, "left", ms(left))?,
            Err(_) => line(f, "left", format_args!("none, over since {}", ms(left.unsigned_abs())))?,
        }
        let life = &self.life;
        line(f, "stale", format_args!("{} while revalidated, {} on error", ms(life.stale_while_revalidate), ms(life.stale_if_error)))?;
        if life.no_cache || life.must_revalidate {
            line(
                f,
                "",
                if life.no_cache { "no-cache: validated before every use" } else { "must-revalidate: never stale at a client's wish" },
            )?;
        }
        for (name, value) in &self.said {
            line(f, "", format_args!("{name}: {value}"))?;
        }
        if self.level > Level::Valid {
            line(f, "invalidated", self.level.as_str())?;
        }
        if !self.groups.is_empty() {
            line(f, "tags", self.groups.join(", "))?;
        }
        let warmed = if self.ledger.is_some() { "warmed" } else { "fetched for a reader" };
        line(f, "worth", format_args!("{} hits, {} to fetch, {warmed}", self.hits, ms(self.cost_millis.into())))
    }
}

fn write_variants(f: &mut Formatter<'_>, variants: &[Variant]) -> fmt::Result {
    if variants.is_empty() || (variants.len() == 1 && variants[0].fields.is_empty()) {
        return Ok(());
    }
    let (chosen, others): (Vec<_>, Vec<_>) = variants.iter().partition(|variant| variant.chosen);
    for (at, variant) in chosen.into_iter().chain(others).take(SHOWN).enumerate() {
        let fields: Vec<String> = variant
            .fields
            .iter()
            .map(|(name, value)| value.as_ref().map_or_else(|| format!("{name}: (not told)"), |value| format!("{name}: {value}")))
            .collect();
        let chosen = if variant.chosen { ", this one" } else { "" };
        let fields = if fields.is_empty() { "any request".to_owned() } else { fields.join(", ") };
        line(
            f,
            if at == 0 { "variants" } else { "" },
            format_args!("{fields}: {} bytes, {}{chosen}", variant.length, variant.level.as_str()),
        )?;
    }
    if variants.len() > SHOWN {
        line(f, "", format_args!("and {} more", variants.len() - SHOWN))?;
    }
    Ok(())
}

fn line(f: &mut Formatter<'_>, label: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "  {label:<12}{value}")
}

/// A duration as people read it.
struct Span(Duration);

fn ms(millis: u64) -> Span {
    Span(Duration::from_millis(millis))
}

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0 if self.0.is_zero() => f.write_str("0 s"),
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..600 => write!(f, "{seconds} s"),
            600..7200 => write!(f, "{} min", seconds / 60),
            7200..172_800 => write!(f, "{} h", seconds / 3600),
            _ => write!(f, "{} d", seconds / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ms;

    #[test]
    fn spans_are_as_long_as_people_read_them() {
        let shown = [0, 7, 59_999, 600_000, 7_200_000, 172_800_000].map(|millis| ms(millis).to_string());
        assert_eq!(shown, ["0 s", "7 ms", "59 s", "10 min", "2 h", "2 d"]);
    }
}
