//! An event as a line for people.

use crate::telemetry::log::REQUEST;
use crate::telemetry::log::json::is_unsafe;
use serde_json::Value;
use std::fmt::Write as _;

const DIM: &str = "\u{1b}[2m";
const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const PLAIN: &str = "\u{1b}[0m";

/// One line of JSON as [`Logs`](super::Logs) writes it, for people; in colour if `colour`. What is no such line is shown as it is, escaped.
#[must_use]
pub fn pretty(line: &str, colour: bool) -> String {
    let Ok(Value::Object(event)) = serde_json::from_str::<Value>(line) else { return escaped(line.trim_end()) };
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let paint = |colour_of: &str, words: &str| if colour { format!("{colour_of}{words}{PLAIN}") } else { words.to_owned() };
    let time = escaped(text("time"));
    let mut out = paint(DIM, time.get(11..23).unwrap_or(&time));
    let level = text("level");
    let told: &[&str] = if text("target") == REQUEST {
        let number = |name: &str| event.get(name).and_then(Value::as_u64);
        let status = number("status").map_or_else(|| "---".to_owned(), |status| status.to_string());
        let of_status = match number("status") {
            Some(500..) | None => RED,
            Some(400..) => YELLOW,
            Some(_) => GREEN,
        };
        let millis = number("total_us").unwrap_or(0) as f64 / 1000.0;
        let _ = write!(
            out,
            " {} {:11} {millis:>9.3} ms {:>9} B  ",
            paint(of_status, &status),
            escaped(text("outcome")),
            number("bytes").unwrap_or(0)
        );
        let _ = write!(out, "{} {}", escaped(text("method")), escaped(text("path")));
        &["time", "level", "target", "method", "path", "outcome", "status", "bytes", "total_us", "lookup_us", "key"]
    } else {
        let of_level = match level {
            "error" => RED,
            "warn" => YELLOW,
            _ => GREEN,
        };
        let _ =
            write!(out, " {} {}: {}", paint(of_level, &format!("{:5}", escaped(level))), escaped(text("target")), escaped(text("message")));
        &["time", "level", "target", "message"]
    };
    for (name, value) in event.iter().filter(|(name, _)| !told.contains(&name.as_str())) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(out, " {}{}", paint(DIM, &format!("{}=", escaped(name))), escaped(&value));
    }
    out
}

/// Text without anything that a terminal acts on.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::pretty;

    const LINE: &str = r#"{"time":"2026-11-21T12:00:00.123456Z","level":"info","target":"warmfront::request","method":"GET","path":"/a?b=1","rule":"r","outcome":"hit","status":200,"bytes":12,"lookup_us":3,"total_us":4500,"key":"00"}"#;

    #[test]
    fn a_request_is_one_line() {
        assert_eq!(pretty(LINE, false), "12:00:00.123 200 hit             4.500 ms        12 B  GET /a?b=1 rule=r");
        assert!(pretty(LINE, true).contains("\u{1b}[32m200\u{1b}[0m"));
    }

    #[test]
    fn other_events_show_their_message_and_fields() {
        let line = r#"{"time":"2026-11-21T12:00:00.123456Z","level":"warn","target":"warmfront::sidecar","message":"cannot accept","error":"too many"}"#;
        assert_eq!(pretty(line, false), "12:00:00.123 warn  warmfront::sidecar: cannot accept error=too many");
    }

    #[test]
    fn nothing_in_an_event_reaches_the_terminal_as_a_command() {
        let line = LINE.replace("/a?b=1", r"/\u001b[2J\n\u202e").replace("\"rule\":\"r\"", r#""x\u001b":"\r\u009b""#);
        for line in [pretty(&line, false), pretty("\u{1b}[2J no json\n", false), pretty("[]\n", false)] {
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
        }
    }
}
