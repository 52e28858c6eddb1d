//! Lines of text: NCSA common and combined, with a virtual host before them or columns behind them.
//!
//! ```text
//! [vhost] address ident user [time] "request" status bytes ["referer" "user agent" [columns...]]
//! ```
//! Of the columns those with a label of [`Names`] are read (`rt=0.123`, `urt="0.120"`, `cs=MISS`), and without a label only what can be nothing else:
//! the first number with a fraction is the time of the request in seconds, a whole number with `ms` is that in milliseconds (Traefik), and
//! `HIT`, `MISS` and so on, in capitals, are nginx's cache status. A label inside quotes is a client's word (`X-Forwarded-For`) and not believed.

use super::draft::{Draft, Slot, Value};
use super::names::Names;
use super::time::{self, Unit};
use super::{answered, time::looks_like_millis, time::looks_like_seconds};
use std::borrow::Cow;

/// The rank of a column without a label: any label wins.
const UNLABELLED: u16 = u16::MAX;

/// Reads a line; `None` if it is of no such format.
pub(super) fn read<'a>(line: &'a [u8], names: &Names) -> Option<Draft<'a>> {
    let quote = memchr::memchr(b'"', line)?;
    let head = line[..quote].trim_ascii_end().strip_suffix(b"]")?;
    let who = &head[..memchr::memrchr(b'[', head)?];
    let (request, rest) = quoted(&line[quote + 1..])?;
    let mut columns = Columns { rest };
    let mut draft = Draft::default();
    before_time(who.trim_ascii(), &mut draft)?;
    draft.offer(0, Slot::Request, Value::Text(unescaped(request)));
    let Some(Column::Bare(status)) = columns.next() else { return None };
    if status.len() != 3 || !status.iter().all(u8::is_ascii_digit) {
        return None;
    }
    draft.offer(0, Slot::Status, Value::Text(status.into()));
    behind_status(columns, names, &mut draft);
    Some(draft)
}

/// `[vhost] address ident user`. A user's name may have spaces; whatever stands after ` - ` is the user. Anything else before the address (as the
/// head of a syslog line) is not looked at.
fn before_time<'a>(who: &'a [u8], draft: &mut Draft<'a>) -> Option<()> {
    let (before, user) = match memchr::memmem::find(who, b" - ") {
        Some(at) => (&who[..at], who[at + 3..].trim_ascii()),
        // Somebody still runs identd.
        None => {
            let user = memchr::memrchr(b' ', who)?;
            (&who[..memchr::memrchr(b' ', &who[..user])?], &who[user + 1..])
        }
    };
    draft.offer(0, Slot::User, Value::Text(user.into()));
    let mut words = before.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    if let (Some(host), Some(_address), None) = (words.next(), words.next(), words.next()) {
        draft.offer(0, Slot::Host, Value::Text(host.into()));
    }
    Some(())
}

fn behind_status<'a>(columns: Columns<'a>, names: &Names, draft: &mut Draft<'a>) {
    let mut quoted = 0;
    for column in columns {
        match column {
            // Referer and user agent: a client's words.
            Column::Quoted(_) if quoted < 2 => quoted += 1,
            Column::Quoted(text) => unlabelled(text, draft),
            Column::Bare(text) if quoted == 2 => unlabelled(text, draft),
            Column::Bare(_) => {}
            Column::Labelled(label, text) => {
                let known = std::str::from_utf8(label).ok().and_then(|label| names.get(label)?.here);
                // What the line has said in its own place is not said again by a column.
                if let Some((rank, slot @ (Slot::Time(_) | Slot::Origin(_) | Slot::Cache | Slot::Host))) = known {
                    draft.offer(rank + 1, slot, Value::Text(text.into()));
                }
            }
        }
    }
}

fn unlabelled<'a>(text: &'a [u8], draft: &mut Draft<'a>) {
    // The first of each kind: a later one must not replace it, so what is held is asked first.
    if answered::is_word_of_nginx(text) {
        draft.offer_first(UNLABELLED, Slot::Cache, Value::Text(text.into()));
    } else if (looks_like_seconds(text) || looks_like_millis(text)) && time::parse(text, Unit::Seconds).is_some() {
        draft.offer_first(UNLABELLED, Slot::Time(Unit::Seconds), Value::Text(text.into()));
    }
}

/// One field behind the request.
#[derive(Debug, PartialEq, Eq)]
enum Column<'a> {
    Quoted(&'a [u8]),
    Bare(&'a [u8]),
    /// `label=text` or `label="text"`.
    Labelled(&'a [u8], &'a [u8]),
}

/// What is left of a line, field by field. A quote that is not closed ends it.
struct Columns<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Columns<'a> {
    type Item = Column<'a>;

    fn next(&mut self) -> Option<Column<'a>> {
        self.rest = self.rest.trim_ascii_start();
        if let Some(open) = self.rest.strip_prefix(b"\"") {
            let (text, rest) = quoted(open)?;
            self.rest = rest;
            return Some(Column::Quoted(text));
        }
        let end = memchr::memchr2(b' ', b'\t', self.rest).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return None;
        }
        let Some(equals) = memchr::memchr(b'=', word) else {
            self.rest = rest;
            return Some(Column::Bare(word));
        };
        let (label, text) = (&word[..equals], &word[equals + 1..]);
        if text.starts_with(b"\"") {
            let (text, rest) = quoted(&self.rest[equals + 2..])?;
            self.rest = rest;
            return Some(Column::Labelled(label, text));
        }
        self.rest = rest;
        Some(Column::Labelled(label, text))
    }
}

/// What stands before the closing quote, and what behind it.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some((&text[..at], &text[at + 1..]));
        }
        at += 2;
    }
}

/// Undoes what nginx (`\x22`) and Apache (`\"`, `\\`, `\t`) do to a request line.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', text) else { return Cow::Borrowed(text) };
    let mut out = text[..first].to_vec();
    let mut rest = &text[first..];
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        match tail {
            [b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                rest = tail;
            }
            [escaped, tail @ ..] => {
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'v' => 11,
                    b'f' => 12,
                    other => *other,
                });
                rest = tail;
            }
            [] => out.push(b'\\'),
        }
    }
    Cow::Owned(out)
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
