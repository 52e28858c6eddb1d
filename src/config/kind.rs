//! What a value may be, and how it is read from TOML, from the environment and from a flag.

use crate::config::map::Map;
use crate::config::units::{parse_duration, parse_size, show_duration, show_size};
pub(super) use crate::suggest::quote;
use std::net::Ipv6Addr;
use std::time::Duration;
use toml::de::DeValue;

pub(super) const DAY: u64 = 86_400_000;
pub(super) const MIB: u64 = 1 << 20;

/// What the value of a key may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `"5m"`, within these milliseconds.
    Duration { min: u64, max: u64 },
    /// `"64MiB"` or plain bytes, within these.
    Size { min: u64, max: u64 },
    /// `true` or `false`.
    Bool,
    /// A whole number within these.
    Integer { min: u64, max: u64 },
    /// A number from 0 to 1.
    Fraction,
    /// Any text.
    Text,
    /// Text that is never shown.
    Secret,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    List,
    /// A text or a list of them.
    OneOrMore,
    /// A table with keys of the user's own.
    AnyMap,
    /// A list of such tables.
    AnyMaps,
}

pub(super) const fn duration(min: u64, max: u64) -> Kind {
    Kind::Duration { min, max }
}

pub(super) const fn size(min: u64, max: u64) -> Kind {
    Kind::Size { min, max }
}

/// A value of one of the kinds. The texts of lists come with the number of their item, so that a fault can point at it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Duration(Duration),
    Bytes(u64),
    Bool(bool),
    Integer(u64),
    Fraction(f64),
    Text(String),
    List(Vec<String>),
    Map(Map),
    Maps(Vec<Map>),
}

/// Why a value is not of its kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) found: String,
    pub(super) fix: String,
}

impl Kind {
    /// Reads a value of the file, but for tables: those have places inside, see [`crate::config::map`].
    pub(super) fn read(self, value: &DeValue<'_>) -> Result<Value, Mismatch> {
        match (self, value) {
            (Self::Bool, DeValue::Boolean(value)) => Ok(Value::Bool(*value)),
            (Self::Text | Self::Secret, DeValue::String(text)) => Ok(Value::Text(text.as_ref().into())),
            (Self::OneOrMore, DeValue::String(text)) => Ok(Value::List(vec![text.as_ref().into()])),
            (Self::Duration { .. } | Self::Size { .. } | Self::Choice(_), DeValue::String(text)) => self.parse(text),
            (Self::Size { .. } | Self::Integer { .. }, DeValue::Integer(number)) => {
                let number =
                    i128::from_str_radix(number.as_str(), number.radix()).map_err(|_| self.mismatch("a number out of all bounds"))?;
                self.bounded(number, &number.to_string())
            }
            (Self::Fraction, DeValue::Float(number)) => self.parse(number.as_str()),
            (Self::Fraction, DeValue::Integer(number)) => self.parse(&number.to_string()),
            (Self::List | Self::OneOrMore, DeValue::Array(items)) => {
                let texts = items.iter().map(|item| item.get_ref().as_str().map(String::from));
                texts
                    .collect::<Option<Vec<_>>>()
                    .map(Value::List)
                    .ok_or_else(|| self.mismatch("a list with something else than text in it"))
            }
            (Self::List, DeValue::String(text)) => {
                Err(Mismatch { found: format!("found {}", quote(text)), fix: format!("write it as a list: [{}]", quote(text)) })
            }
            (Self::Duration { .. }, DeValue::Integer(number)) if !number.as_str().starts_with('-') => {
                let fix = format!("write it with its unit: \"{number}s\", or ms, m, h, d");
                Err(Mismatch { found: format!("found the number {number}, which has no unit"), fix })
            }
            (_, value) => Err(self.mismatch(&describe(value, self == Self::Secret))),
        }
    }

    /// Reads a value of the environment or of a flag; the items of a list are separated by commas, or it is written as in the file.
    pub(super) fn parse(self, text: &str) -> Result<Value, Mismatch> {
        let wrong = || self.mismatch(&quote(text));
        match self {
            Self::Duration { min, max } => {
                let duration = parse_duration(text).ok_or_else(wrong)?;
                let within = (Duration::from_millis(min)..=Duration::from_millis(max)).contains(&duration);
                if within { Ok(Value::Duration(duration)) } else { Err(wrong()) }
            }
            Self::Size { .. } => self.bounded(i128::from(parse_size(text).ok_or_else(wrong)?), &quote(text)),
            Self::Integer { .. } => self.bounded(text.trim().parse().map_err(|_| wrong())?, text.trim()),
            Self::Bool => text.trim().parse().map(Value::Bool).map_err(|_| wrong()),
            Self::Fraction => match text.trim().parse::<f64>() {
                Ok(number) if (0.0..=1.0).contains(&number) => Ok(Value::Fraction(number)),
                _ => Err(wrong()),
            },
            Self::Choice(words) if words.contains(&text) => Ok(Value::Text(text.into())),
            Self::Text | Self::Secret => Ok(Value::Text(text.into())),
            Self::List | Self::OneOrMore if is_array(text) => self.read(DeValue::parse(text.trim()).map_err(|_| wrong())?.get_ref()),
            Self::List | Self::OneOrMore => {
                let items: Vec<_> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
                match items.iter().find(|item| has_lost_its_quotes(item)) {
                    Some(item) => Err(Mismatch {
                        found: format!("found {}", quote(item)),
                        fix: "write the items without brackets and quotes, parted by commas, or all of it as in the file: '[\"a\", \"b\"]'"
                            .into(),
                    }),
                    None => Ok(Value::List(items.into_iter().map(String::from).collect())),
                }
            }
            Self::Choice(_) | Self::AnyMap | Self::AnyMaps => Err(wrong()),
        }
    }

    fn bounded(self, number: i128, shown: &str) -> Result<Value, Mismatch> {
        match self {
            Self::Size { min, max } if (i128::from(min)..=i128::from(max)).contains(&number) => {
                u64::try_from(number).map(Value::Bytes).map_err(|_| self.mismatch(shown))
            }
            Self::Integer { min, max } if (i128::from(min)..=i128::from(max)).contains(&number) => {
                u64::try_from(number).map(Value::Integer).map_err(|_| self.mismatch(shown))
            }
            _ => Err(self.mismatch(shown)),
        }
    }

    fn mismatch(self, shown: &str) -> Mismatch {
        Mismatch { found: format!("found {shown}"), fix: self.advice() }
    }

    /// What to write instead.
    fn advice(self) -> String {
        match self {
            Self::Duration { min, max } => {
                let (min, max) = (show_duration(Duration::from_millis(min)), show_duration(Duration::from_millis(max)));
                format!("write a duration from {min} to {max}, as \"250ms\", \"5m\", \"2h\" or \"1h30m\" (integers with ms, s, m, h or d)")
            }
            Self::Size { min, max } => match (min, max) {
                (_, 0x4000_0000_0000_0000) if min <= 1 => "write a size, as \"64MiB\", \"500KB\" or a number of bytes".into(),
                (_, 0x4000_0000_0000_0000) => {
                    format!("write a size of at least {}, as \"64MiB\", \"500KB\" or a number of bytes", show_size(min))
                }
                _ => format!("write a size from {} to {}, as \"64KiB\", \"1MiB\" or a number of bytes", show_size(min), show_size(max)),
            },
            Self::Bool => "write true or false".into(),
            Self::Integer { min, max } if max == i64::MAX as u64 => format!("write a whole number from {min} on"),
            Self::Integer { min, max } => format!("write a whole number from {min} to {max}"),
            Self::Fraction => "write a number from 0.0 to 1.0".into(),
            Self::Text | Self::Secret => "write text in quotes".into(),
            Self::Choice(words) => format!("write one of {}", words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(", ")),
            Self::List => "write a list of texts: [\"one\", \"two\"]".into(),
            Self::OneOrMore => "write one text, or a list of them: [\"one\", \"two\"]".into(),
            Self::AnyMap => "write a table: { name = [\"value\"] }".into(),
            Self::AnyMaps => "write a list of tables: [{ name = \"value\" }]".into(),
        }
    }
}

/// A value in words: texts and numbers as they are, the rest by its kind.
pub(super) fn describe(value: &DeValue<'_>, secret: bool) -> String {
    match value {
        DeValue::String(_) if secret => "a text".into(),
        DeValue::String(text) => quote(text),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) if secret => format!("a bare {}", value.type_str()),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// Whether an item is a piece of a list as in the file, of which a shell has eaten the quotes. An address of IPv6 stands in brackets too.
fn has_lost_its_quotes(item: &str) -> bool {
    let is_address = || item[1..].split(']').next().is_some_and(|inside| inside.parse::<Ipv6Addr>().is_ok());
    item.starts_with(['"', '\'']) || item.ends_with(']') && !item.contains('[') || item.starts_with('[') && !is_address()
}

/// Whether a list is written as in the file. An address of IPv6 begins with a bracket too.
fn is_array(text: &str) -> bool {
    let rest = text.trim().strip_prefix('[').map(str::trim_start);
    rest.is_some_and(|rest| rest.starts_with(['"', '\'', ']']))
}

#[cfg(test)]
mod tests {
    use super::{DAY, Kind, Value};
    use std::time::Duration;
    use toml::de::DeValue;

    fn read(kind: Kind, toml: &str) -> Result<Value, String> {
        kind.read(DeValue::parse(toml).unwrap().get_ref()).map_err(|mismatch| format!("{}; {}", mismatch.found, mismatch.fix))
    }

    #[test]
    fn a_duration_without_a_unit_is_told_its_unit() {
        let kind = Kind::Duration { min: 1, max: DAY };
        assert_eq!(read(kind, "\"1h30m\""), Ok(Value::Duration(Duration::from_secs(5400))));
        assert_eq!(
            read(kind, "30").unwrap_err(),
            "found the number 30, which has no unit; write it with its unit: \"30s\", or ms, m, h, d"
        );
        assert!(read(kind, "\"0s\"").unwrap_err().contains("from 1ms to 1d"));
        assert!(read(kind, "-5").unwrap_err().starts_with("found the number -5; write a duration"));
        assert!(read(Kind::List, "\"a\"").unwrap_err().ends_with("write it as a list: [\"a\"]"));
        assert!(read(kind, "\"soon\"").unwrap_err().starts_with("found \"soon\""));
    }

    #[test]
    fn a_list_outside_of_the_file_is_parted_by_commas_or_written_as_in_it() {
        let list = |items: &[&str]| Ok(Value::List(items.iter().map(|item| (*item).into()).collect()));
        for (text, items) in [
            ("a, b", &["a", "b"][..]),
            (r#"["a", "b,c"]"#, &["a", "b,c"]),
            (" [ 'a' ] ", &["a"]),
            ("[]", &[]),
            ("[::1]:80, [::1]:81", &["[::1]:80", "[::1]:81"]),
            ("[::1],http://[::1]", &["[::1]", "http://[::1]"]),
        ] {
            assert_eq!(Kind::List.parse(text), list(items), "{text}");
        }
        for wrong in [r#"["a""#, r#"["a"],b"#, r#"["a", 1]"#, "[token]", "[a,b]", r#""a","b""#, "'a'", "b,[a]", "[::g]:80"] {
            assert!(Kind::List.parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        let kind = Kind::Integer { min: 1, max: 10 };
        assert_eq!(read(kind, "0x0A"), Ok(Value::Integer(10)));
        for wrong in ["0", "-1", "11", "99999999999999999999999999999999999999999999", "1.0", "\"1\"", "true", "1979-05-27", "[1]", "{}"] {
            assert!(read(kind, wrong).unwrap_err().contains("from 1 to 10"), "{wrong}");
        }
        assert_eq!(read(Kind::Size { min: 0, max: 1 << 30 }, "1_024"), Ok(Value::Bytes(1024)));
        assert!(read(Kind::Fraction, "nan").is_err() && read(Kind::Fraction, "1.5").is_err());
        assert_eq!((read(Kind::Fraction, "1"), read(Kind::Fraction, "0.25")), (Ok(Value::Fraction(1.0)), Ok(Value::Fraction(0.25))));
    }

    #[test]
    fn a_secret_is_not_told_on() {
        assert_eq!(read(Kind::Secret, "12345").unwrap_err(), "found a bare integer; write text in quotes");
    }
}
