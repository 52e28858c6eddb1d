//! Lines of JSON: one object each. Only the names of [`Names`] are looked at; the rest is read over without being built.

use super::draft::{Draft, Slot, Value};
use super::names::Names;
use serde_core::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Reads a line; `None` if it is no JSON object.
pub(super) fn read<'a>(line: &'a [u8], names: &Names) -> Option<Draft<'a>> {
    let mut draft = Draft::default();
    let mut json = serde_json::Deserializer::from_slice(line);
    Field { names, draft: &mut draft }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(draft)
}

/// The value of something that has a name, or has names below.
struct Field<'n, 'd, 'a> {
    names: &'n Names,
    draft: &'d mut Draft<'a>,
}

/// The name of a member.
struct Name<'n>(&'n Names);

impl<'a> Field<'_, '_, 'a> {
    fn offer(self, value: Value<'a>) {
        if let Some((rank, slot)) = self.names.here {
            self.draft.offer(rank, slot, value);
        }
    }
}

impl<'a> DeserializeSeed<'a> for Field<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Field<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field of an access log")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        self.draft.nested_request |= matches!(self.names.here, Some((_, Slot::Request)));
        while let Some(found) = map.next_key_seed(Name(self.names))? {
            match found {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(names) => map.next_value_seed(Field { names, draft: &mut *self.draft })?,
            }
        }
        Ok(())
    }

    /// Caddy writes headers as lists; the last value is the nearest.
    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Field { names: self.names, draft: &mut *self.draft })?.is_some() {}
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<(), E> {
        self.offer(Value::Text(Cow::Borrowed(text.as_bytes())));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.offer(Value::Text(Cow::Owned(text.as_bytes().to_vec())));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.offer(Value::Whole(number));
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.offer(Value::Fraction(number));
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

impl<'a, 'n> DeserializeSeed<'a> for Name<'n> {
    type Value = Option<&'n Names>;

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for Name<'n> {
    type Value = Option<&'n Names>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.get(name))
    }
}
