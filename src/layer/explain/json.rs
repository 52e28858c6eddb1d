//! An explanation for programs.

use super::{Arithmetic, Course, Explanation, Variant};
use crate::clock::Stamp;
use serde_json::{Map, Value, json};

impl Explanation {
    /// As JSON: times are Unix milliseconds, durations milliseconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Self { method, key, rule, course, variants, alone, not_stored, now } = self;
        let mut verdict = json!({ "outcome": course.outcome(), "why": course.words() });
        if let Some(forward) = course.forward() {
            verdict["forward"] = forward.as_str().into();
        }
        if let Course::Pass(_, Some(detail)) = course {
            verdict["detail"] = (*detail).into();
        }
        if let Course::Ask { covered, .. } = course {
            verdict["coversErrors"] = (*covered).into();
        }
        json!({
            "method": method.as_str(),
            "key": {
                "scheme": key.scheme,
                "authority": key.authority,
                "path": key.path,
                "query": key.query,
                "partitioned": key.partitioned,
            },
            "rule": rule.as_ref().map(|rule| json!({ "name": &*rule.name, "path": rule.pattern })),
            "route": if matches!(course, Course::Pass(..)) { "pass" } else { "lookup" },
            "verdict": verdict,
            "stored": self.chosen().map(|variant| variant.to_json(*now)),
            "variants": variants.iter().map(Variant::brief).collect::<Vec<_>>(),
            "collapses": alone.is_none(),
            "notCollapsed": alone.map(|alone| alone.words()),
            "notStored": not_stored.map(|(why, at)| json!({ "reason": why.as_str(), "at": at.millis(), "agoMs": millis(now.since(at)) })),
        })
    }
}

impl Variant {
    /// What tells it from the others.
    fn brief(&self) -> Value {
        json!({ "chosen": self.chosen, "selectedBy": self.selected_by(), "status": self.status.as_u16(), "bytes": self.length, "level": self.level.as_str() })
    }

    fn selected_by(&self) -> Value {
        let field = |(name, value): &(String, Option<String>)| (name.clone(), value.clone().map_or(Value::Null, Value::from));
        self.fields.iter().map(field).collect::<Map<_, _>>().into()
    }

    fn to_json(&self, now: Stamp) -> Value {
        let Arithmetic { initial, resident, age, lifetime, left, source } = Arithmetic::of(&self.life, now);
        let said: Map<String, Value> = self.said.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
        json!({
            "status": self.status.as_u16(),
            "bytes": self.length,
            "range": self.range.map(|(start, end)| json!({ "start": start, "end": end })),
            "selectedBy": self.selected_by(),
            "fields": said,
            "canBeValidated": self.has_validator,
            "freshness": {
                "receivedAt": self.life.received.millis(),
                "initialAgeMs": initial,
                "residentMs": resident,
                "ageMs": age,
                "lifetimeMs": lifetime,
                "lifetimeSource": source.as_str(),
                "clause": source.clause(),
                "ttlMs": left,
                "staleWhileRevalidateMs": self.life.stale_while_revalidate,
                "staleIfErrorMs": self.life.stale_if_error,
                "mustRevalidate": self.life.must_revalidate,
                "noCache": self.life.no_cache,
            },
            "level": self.level.as_str(),
            "tags": self.groups,
            "rule": self.rule.as_deref(),
            "hits": self.hits,
            "costMs": self.cost_millis,
            "warmed": self.ledger.is_some(),
        })
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
