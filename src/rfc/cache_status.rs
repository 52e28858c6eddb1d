//! The Cache-Status field (RFC 9211).

use http::header::{HeaderName, HeaderValue};
use std::cell::RefCell;

/// The name of the field.
pub static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The largest integer of a structured field (RFC 9651 section 3.3.1); the smallest is its negative.
const MAX_INTEGER: i64 = 999_999_999_999_999;

thread_local! {
    /// What this thread has said last.
    static LAST: RefCell<Option<(CacheStatus, HeaderValue)>> = const { RefCell::new(None) };
}

/// Text on the stack; one that turns out longer moves to the heap.
struct Text {
    short: [u8; Self::SHORT],
    length: usize,
    long: Vec<u8>,
}

impl Text {
    /// Enough for every value without a long detail.
    const SHORT: usize = 96;

    const fn new() -> Self {
        Self { short: [0; Self::SHORT], length: 0, long: Vec::new() }
    }

    fn bytes(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..self.length] } else { &self.long }
    }
}

/// Where text goes.
trait Sink {
    fn put(&mut self, text: &[u8]);
}

impl Sink for Text {
    fn put(&mut self, text: &[u8]) {
        if self.long.is_empty()
            && let Some(room) = self.short.get_mut(self.length..self.length + text.len())
        {
            room.copy_from_slice(text);
            self.length += text.len();
            return;
        }
        if self.long.is_empty() {
            self.long.extend_from_slice(&self.short[..self.length]);
        }
        self.long.extend_from_slice(text);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, text: &[u8]) {
        self.extend_from_slice(text);
    }
}

/// What this cache did with a request: one member of Cache-Status (RFC 9211 section 2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// The name of this cache.
    pub name: &'static str,
    /// Whether the request was satisfied without going forward (RFC 9211 section 2.1). Nothing went
    /// forward then, so `fwd` and `fwd_status` are not written.
    pub hit: bool,
    /// Why the request went forward (RFC 9211 section 2.2). `None`: it did not, or it is not told.
    pub fwd: Option<Forward>,
    /// The status with which the next hop answered (RFC 9211 section 2.3). `None`: not told.
    pub fwd_status: Option<u16>,
    /// The remaining freshness in seconds, negative when stale (RFC 9211 section 2.4). `None`: not told.
    pub ttl: Option<i64>,
    /// Whether the forwarded response was stored (RFC 9211 section 2.5).
    pub stored: bool,
    /// Whether the request shared the forwarded request of another one (RFC 9211 section 2.6).
    pub collapsed: bool,
    /// More about it, for people (RFC 9211 section 2.8). `None`: nothing more.
    pub detail: Option<&'static str>,
}

/// Why a request went forward (RFC 9211 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// The cache was set up not to handle the request.
    Bypass,
    /// The method requires it.
    Method,
    /// Nothing is stored for the URI.
    UriMiss,
    /// Something is stored for the URI, but nothing that Vary selects.
    VaryMiss,
    /// Nothing usable is stored; which of the two it is, is not known.
    Miss,
    /// The response was fresh, but the request did not want it.
    Request,
    /// The stored response is stale.
    Stale,
    /// The stored response is only a part of what is wanted.
    Partial,
}

impl Forward {
    /// The token of RFC 9211 section 2.2.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl CacheStatus {
    /// Writes the member, for example `warmfront; fwd=stale; fwd-status=304; ttl=60`.
    #[must_use]
    pub fn to_value(&self) -> HeaderValue {
        let mut text = Text::new();
        self.put_into(&mut text);
        // Only visible ASCII was written, so the other arm is never taken.
        HeaderValue::from_bytes(text.bytes()).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// The same, for what a thread says again and again.
    pub(crate) fn to_value_again(self) -> HeaderValue {
        LAST.with_borrow_mut(|last| {
            if last.as_ref().is_none_or(|(said, _)| *said != self) {
                *last = Some((self, self.to_value()));
            }
            last.as_ref().map_or_else(|| self.to_value(), |(_, value)| value.clone())
        })
    }

    /// Writes the member at the end of `text`.
    pub(crate) fn write(&self, text: &mut Vec<u8>) {
        self.put_into(text);
    }

    fn put_into<T: Sink>(&self, text: &mut T) {
        push_name(text, self.name);
        if self.hit {
            text.put(b"; hit");
        } else {
            if let Some(fwd) = self.fwd {
                text.put(b"; fwd=");
                text.put(fwd.as_str().as_bytes());
            }
            if let Some(status) = self.fwd_status {
                text.put(b"; fwd-status=");
                text.put(itoa::Buffer::new().format(status).as_bytes());
            }
        }
        if let Some(ttl) = self.ttl {
            let ttl = ttl.clamp(-MAX_INTEGER, MAX_INTEGER);
            text.put(b"; ttl=");
            text.put(itoa::Buffer::new().format(ttl).as_bytes());
        }
        if self.stored {
            text.put(b"; stored");
        }
        if self.collapsed {
            text.put(b"; collapsed");
        }
        if let Some(detail) = self.detail {
            text.put(b"; detail=");
            push_name(text, detail);
        }
    }
}

/// Writes a token if it is one, else a string (RFC 9651 sections 3.3.3 and 3.3.4). A string holds
/// printable ASCII only; a `?` takes the place of each octet of anything else.
fn push_name<T: Sink>(text: &mut T, name: &str) {
    if is_token(name.as_bytes()) {
        text.put(name.as_bytes());
        return;
    }
    text.put(b"\"");
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' => text.put(&[b'\\', byte]),
            b' '..=b'~' => text.put(&[byte]),
            _ => text.put(b"?"),
        }
    }
    text.put(b"\"");
}

/// `sf-token` of RFC 9651 section 3.3.4.
fn is_token(name: &[u8]) -> bool {
    let [first, rest @ ..] = name else {
        return false;
    };
    (first.is_ascii_alphabetic() || *first == b'*') && rest.iter().all(|byte| IN_TOKEN[usize::from(*byte)])
}

/// What a token may have behind its first character.
const IN_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~:/";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sfv::{BareItem, Item, List, ListEntry, Parser};

    const NAME: CacheStatus = CacheStatus {
        name: "warmfront",
        hit: false,
        fwd: None,
        fwd_status: None,
        ttl: None,
        stored: false,
        collapsed: false,
        detail: None,
    };

    const FORWARDS: [Forward; 8] = [
        Forward::Bypass,
        Forward::Method,
        Forward::UriMiss,
        Forward::VaryMiss,
        Forward::Miss,
        Forward::Request,
        Forward::Stale,
        Forward::Partial,
    ];

    #[test]
    fn what_is_said_again_is_the_same_and_never_what_was_said_before() {
        let statuses = [NAME, NAME, CacheStatus { fwd: Some(Forward::Miss), ..NAME }, CacheStatus { ttl: Some(1), ..NAME }, NAME];
        for status in statuses {
            assert_eq!(status.to_value_again(), status.to_value());
        }
    }

    /// The only member of the list that `value` is.
    fn item(value: &HeaderValue) -> Item {
        let list = Parser::new(value.as_bytes()).parse::<List>().expect("a list");
        match <[ListEntry; 1]>::try_from(list) {
            Ok([ListEntry::Item(item)]) => item,
            other => panic!("not one item: {other:?}"),
        }
    }

    fn text(item: &BareItem) -> &str {
        match item {
            BareItem::Token(token) => token.as_str(),
            BareItem::String(string) => string.as_str(),
            other => panic!("no text: {other:?}"),
        }
    }

    #[test]
    fn a_hit_tells_its_ttl() {
        let status = CacheStatus { hit: true, ttl: Some(295), ..NAME };
        assert_eq!(status.to_value(), "warmfront; hit; ttl=295");
    }

    #[test]
    fn a_validation_tells_why_and_how_it_went() {
        let status = CacheStatus { fwd: Some(Forward::Stale), fwd_status: Some(304), ttl: Some(60), ..NAME };
        assert_eq!(status.to_value(), "warmfront; fwd=stale; fwd-status=304; ttl=60");
    }

    #[test]
    fn everything_stands_in_its_order() {
        let status = CacheStatus {
            fwd: Some(Forward::UriMiss),
            fwd_status: Some(200),
            ttl: Some(-5),
            stored: true,
            collapsed: true,
            detail: Some("too big"),
            ..NAME
        };
        let expected = "warmfront; fwd=uri-miss; fwd-status=200; ttl=-5; stored; collapsed; detail=\"too big\"";
        assert_eq!(status.to_value(), expected);
    }

    #[test]
    fn a_hit_never_tells_of_forwarding() {
        let status = CacheStatus { hit: true, fwd: Some(Forward::Miss), fwd_status: Some(200), ..NAME };
        assert_eq!(status.to_value(), "warmfront; hit");
    }

    #[test]
    fn a_detail_is_a_token_or_a_string() {
        let detail = |detail| CacheStatus { detail: Some(detail), ..NAME }.to_value();
        assert_eq!(detail("no-store"), "warmfront; detail=no-store");
        assert_eq!(detail("a\"b\\"), "warmfront; detail=\"a\\\"b\\\\\"");
        assert_eq!(detail("1st"), "warmfront; detail=\"1st\"");
        assert_eq!(detail("\u{e9}\n"), "warmfront; detail=\"???\"");
        assert_eq!(detail(""), "warmfront; detail=\"\"");
    }

    #[test]
    fn a_name_with_a_space_is_a_string() {
        let status = CacheStatus { name: "my cache", ..NAME };
        assert_eq!(status.to_value(), "\"my cache\"");
    }

    proptest! {
        #[test]
        fn sfv_reads_what_was_written(
            hit: bool,
            fwd in proptest::option::of(proptest::sample::select(&FORWARDS[..])),
            fwd_status in proptest::option::of(100_u16..600),
            ttl: Option<i64>,
            stored: bool,
            collapsed: bool,
            detail in proptest::option::of(proptest::sample::select(&["a", "a b", "*x/y", "\"\\", "9", "", "a,b;c=d"][..])),
        ) {
            let status = CacheStatus { name: "warmfront", hit, fwd, fwd_status, ttl, stored, collapsed, detail };
            let item = item(&status.to_value());
            prop_assert_eq!(text(&item.bare_item), "warmfront");
            let get = |name: &str| item.params.get(name);
            let integer = |name: &str| match get(name) {
                Some(BareItem::Integer(number)) => Some(i64::from(*number)),
                _ => None,
            };
            prop_assert_eq!(get("hit").is_some(), hit);
            prop_assert_eq!(get("stored").is_some(), stored);
            prop_assert_eq!(get("collapsed").is_some(), collapsed);
            prop_assert_eq!(integer("ttl"), ttl.map(|ttl| ttl.clamp(-MAX_INTEGER, MAX_INTEGER)));
            prop_assert_eq!(integer("fwd-status"), fwd_status.filter(|_| !hit).map(i64::from));
            prop_assert_eq!(get("fwd").map(text), fwd.filter(|_| !hit).map(Forward::as_str));
            prop_assert_eq!(get("detail").map(text), detail);
        }

        #[test]
        fn a_text_of_any_length_stays_in_order(pieces in proptest::collection::vec("[a-z]{0,60}", 0..6)) {
            let mut text = Text::new();
            pieces.iter().for_each(|piece| text.put(piece.as_bytes()));
            let all = pieces.concat();
            prop_assert_eq!(text.bytes(), all.as_bytes());
        }

        #[test]
        fn every_detail_is_valid(detail in ".{0,20}") {
            let mut text = Text::new();
            push_name(&mut text, "n");
            text.put(b"; detail=");
            push_name(&mut text, &detail);
            let value = HeaderValue::from_bytes(text.bytes()).unwrap();
            let _ = item(&value);
        }
    }
}
