//! An event as one line of JSON (RFC 8259).

use crate::telemetry::log::record::{Event, Said};
use jiff::Timestamp;
use std::io::Write as _;
use tracing::Level;

/// Writes moments, and remembers the second that it wrote last: most events of a batch are of the same.
#[derive(Debug, Default)]
pub(super) struct Moments {
    second: i64,
    text: String,
}

impl Moments {
    /// Writes microseconds since the Unix epoch as RFC 3339 has them, in UTC.
    fn write(&mut self, micros: u64, into: &mut Vec<u8>) {
        let second = i64::try_from(micros / 1_000_000).unwrap_or(0);
        if self.text.is_empty() || self.second != second {
            self.second = second;
            self.text = Timestamp::from_second(second).map_or_else(|_| String::new(), |moment| moment.to_string());
            self.text.truncate(self.text.len().saturating_sub(1)); // the Z
        }
        into.extend_from_slice(self.text.as_bytes());
        let _ = write!(into, ".{:06}Z", micros % 1_000_000); // into a vector
    }
}

/// Writes `event` as an object and the end of a line. A field whose name is one of ours gets a `_` behind it.
pub(super) fn write(event: &Event<'_>, moments: &mut Moments, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"time\":\"");
    moments.write(event.at, into);
    into.extend_from_slice(b"\",\"level\":\"");
    let level: &[u8] = match event.level() {
        Level::ERROR => b"error",
        Level::WARN => b"warn",
        Level::INFO => b"info",
        Level::DEBUG => b"debug",
        Level::TRACE => b"trace",
    };
    into.extend_from_slice(level);
    into.extend_from_slice(b"\",\"target\":");
    text(event.target(), into);
    for (name, said) in event.fields() {
        into.push(b',');
        text(name, into);
        if matches!(name, "time" | "level" | "target") {
            into.insert(into.len() - 1, b'_');
        }
        into.push(b':');
        value(said, into);
    }
    into.extend_from_slice(b"}\n");
}

fn value(said: Said<'_>, into: &mut Vec<u8>) {
    match said {
        Said::Text(value) => text(value, into),
        Said::Cut(value) => {
            text(value, into);
            let end = into.len() - 1;
            into.splice(end..end, "…".bytes());
        }
        Said::Unsigned(number) => into.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        Said::Signed(number) => into.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        Said::Float(number) if number.is_finite() => {
            let _ = write!(into, "{number}");
        }
        Said::Float(_) => into.extend_from_slice(b"null"),
        Said::Bool(value) => into.extend_from_slice(if value { b"true" } else { b"false" }),
    }
}

/// Text in quotes. Beyond what JSON asks for, whatever a terminal might act on or show in another order is escaped: a request cannot forge a line,
/// nor hide one.
fn text(text: &str, into: &mut Vec<u8>) {
    into.push(b'"');
    if text.bytes().all(|byte| PLAIN[usize::from(byte)]) {
        into.extend_from_slice(text.as_bytes());
        into.push(b'"');
        return;
    }
    let mut from = 0;
    for (at, c) in text.char_indices() {
        if !(is_unsafe(c) || matches!(c, '"' | '\\')) {
            continue;
        }
        into.extend_from_slice(&text.as_bytes()[from..at]);
        from = at + c.len_utf8();
        let _ = match c {
            '"' | '\\' => write!(into, "\\{c}"),
            '\n' => write!(into, "\\n"),
            '\r' => write!(into, "\\r"),
            '\t' => write!(into, "\\t"),
            c => write!(into, "\\u{:04x}", u32::from(c)), // all of them are in the first plane
        };
    }
    into.extend_from_slice(&text.as_bytes()[from..]);
    into.push(b'"');
}

/// The bytes that stand for themselves wherever they stand.
static PLAIN: [bool; 256] = {
    let (mut plain, mut byte) = ([false; 256], b' ');
    while byte < 0x7f {
        plain[byte as usize] = byte != b'"' && byte != b'\\';
        byte += 1;
    }
    plain
};

/// Control characters, line and paragraph separators, and those that turn the direction of writing or are not seen at all.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::{Moments, text};
    use serde_json::Value;

    fn json(value: &str) -> String {
        let mut bytes = Vec::new();
        text(value, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_text_can_leave_its_line_or_turn_it_around() {
        for nasty in [
            "a\nb\r\n{\"level\":\"info\"}",
            "\u{1b}[2J\u{9b}31m",
            "\u{202e}gpj.exe\u{2066}",
            "\u{2028}\u{2029}\u{0}\u{7f}\\\"",
            "\u{feff}\u{200b}",
        ] {
            let text = json(nasty);
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), nasty);
            assert!(text.is_ascii() && text.bytes().all(|byte| byte >= b' ' && byte != 0x7f), "{text}");
        }
        assert_eq!(json("Zürich 香港 👍"), "\"Zürich 香港 👍\"");
    }

    #[test]
    fn moments_are_those_of_rfc_3339() {
        let mut moments = Moments::default();
        let mut write = |micros| {
            let mut bytes = Vec::new();
            moments.write(micros, &mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(write(784_111_777_000_042), "1994-11-06T08:49:37.000042Z");
        assert_eq!(write(784_111_777_999_999), "1994-11-06T08:49:37.999999Z");
        assert_eq!(write(0), "1970-01-01T00:00:00.000000Z");
    }
}
