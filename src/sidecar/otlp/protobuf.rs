//! As much of protobuf's wire format as spans need (protobuf.dev, "Encoding").

/// Writes the fields of one message.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    fn tag(&mut self, field: u64, kind: u64) {
        varint(&mut self.0, field << 3 | kind);
    }

    pub(super) fn number(&mut self, field: u64, value: u64) {
        self.tag(field, VARINT);
        varint(&mut self.0, value);
    }

    pub(super) fn fixed32(&mut self, field: u64, value: u32) {
        self.tag(field, FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn fixed64(&mut self, field: u64, value: u64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, field: u64, value: &[u8]) {
        self.tag(field, LENGTH);
        varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value);
    }

    pub(super) fn text(&mut self, field: u64, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// A message within this one.
    pub(super) fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

fn varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a kind that nobody here asks for.
    Other,
}

/// Takes the first field off a message: its number, what it holds, and the rest. `None`: it is at its end, or no message.
pub(super) fn field(bytes: &[u8]) -> Option<(u64, Value<'_>, &[u8])> {
    let (tag, rest) = read_varint(bytes)?;
    let (value, rest) = match tag & 7 {
        VARINT => read_varint(rest).map(|(number, rest)| (Value::Number(number), rest))?,
        FIXED64 => (Value::Other, rest.get(8..)?),
        FIXED32 => (Value::Other, rest.get(4..)?),
        LENGTH => {
            let (length, rest) = read_varint(rest)?;
            let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            (Value::Bytes(value), rest)
        }
        _ => return None,
    };
    Some((tag >> 3, value, rest))
}

fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Message, Value, field};

    #[test]
    fn what_is_written_is_read_again() {
        let mut message = Message::default();
        message.number(1, 300);
        message.fixed64(2, 7);
        message.message(16, |inner| inner.number(1, u64::MAX));
        message.fixed32(3, 7);
        let bytes = message.into_bytes();
        assert_eq!(bytes[..3], [0x08, 0xac, 0x02], "the example of the format's own description");
        let (number, value, rest) = field(&bytes).unwrap();
        assert_eq!((number, value), (1, Value::Number(300)));
        let (number, value, rest) = field(rest).unwrap();
        assert_eq!((number, value), (2, Value::Other));
        let (number, Value::Bytes(inner), rest) = field(rest).unwrap() else { panic!() };
        assert_eq!((number, field(inner)), (16, Some((1, Value::Number(u64::MAX), &[][..]))));
        assert_eq!(field(rest), Some((3, Value::Other, &[][..])));
    }

    #[test]
    fn garbage_is_no_message() {
        for garbage in [&b""[..], b"\x08", b"\x0a\x05abc", b"\x0b", b"<html>", &[0xff; 20], b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
        {
            let mut rest = garbage;
            while let Some((_, _, after)) = field(rest) {
                rest = after;
            }
            assert!(garbage.is_empty() || !rest.is_empty(), "{garbage:?}");
        }
    }
}
