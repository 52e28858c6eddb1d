//! What identifies a stored response: scheme, authority, path, query and, where a rule says so, the identity.
//!
//! Fields are length-prefixed, never joined, so that no two requests can share a key by construction. Keys are compared whole; the hash only
//! finds them. It is seeded at random in every process.

use crate::cache::room::shared_room;
use crate::cache::rules::Identity;
use crate::cache::settings::KeySettings;
use foldhash::quality::RandomState as FastState;
use http::header::HOST;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Uri};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

/// Keys up to this size are built without an allocation.
const ON_STACK: usize = 320;

/// An owned key: its hash, then what it is made of. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(Arc<[u8]>);

/// A key that is only looked at: built on the stack, no allocation for ordinary targets.
pub(crate) struct KeyBuf {
    hash: u64,
    /// As in a [`Key`].
    bytes: SmallVec<[u8; ON_STACK]>,
}

/// Bytes of the hash before a key.
const HASH: usize = size_of::<u64>();

/// The secrets of one process: the seed of the hash and the keys under which identities are hashed.
#[derive(Debug)]
pub(crate) struct KeySecrets {
    seed: FastState,
    identity: [RandomState; 2],
}

/// What a key is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyParts<'a> {
    pub(crate) https: bool,
    pub(crate) authority: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) partition: Option<[u8; 16]>,
}

impl KeySecrets {
    pub(crate) fn new() -> Self {
        Self { seed: FastState::default(), identity: [RandomState::new(), RandomState::new()] }
    }

    /// The partition of a request under `identity`: a keyed hash of 128 bits over all lines of the header. A request without the header has a
    /// partition too, that of nobody.
    pub(crate) fn partition(&self, identity: &Identity, headers: &HeaderMap) -> [u8; 16] {
        let mut out = [0; 16];
        for (half, state) in out.chunks_exact_mut(8).zip(&self.identity) {
            let mut hasher = state.build_hasher();
            identity.header.as_str().hash(&mut hasher);
            for value in headers.get_all(&identity.header) {
                value.as_bytes().hash(&mut hasher); // length-prefixed by `Hash for [u8]`
            }
            half.copy_from_slice(&hasher.finish().to_le_bytes());
        }
        out
    }

    pub(crate) fn build(&self, parts: &KeyParts<'_>) -> KeyBuf {
        let partition: &[u8] = parts.partition.as_ref().map_or(&[], |partition| partition);
        let query = parts.query.map_or(0, |query| query.len() + 4);
        let mut bytes = room(HASH + 1 + parts.authority.len() + 4 + parts.path.len() + 4 + query + partition.len());
        let (flags, rest) = bytes[HASH..].split_at_mut(1);
        flags[0] = u8::from(parts.https) | u8::from(parts.query.is_some()) << 1 | u8::from(parts.partition.is_some()) << 2;
        let (authority, mut rest) = put_field(rest, parts.authority);
        authority.make_ascii_lowercase();
        (_, rest) = put_field(rest, parts.path);
        if let Some(query) = parts.query {
            (_, rest) = put_field(rest, query);
        }
        rest.copy_from_slice(partition);
        let hash = self.seed.hash_one(&bytes[HASH..]);
        bytes[..HASH].copy_from_slice(&hash.to_ne_bytes());
        KeyBuf { hash, bytes }
    }

    /// A hash of anything else that must not be predictable from outside.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        self.seed.hash_one(bytes)
    }
}

/// So many zeros.
fn room(length: usize) -> SmallVec<[u8; ON_STACK]> {
    if length <= ON_STACK { SmallVec::from_buf_and_len([0; ON_STACK], length) } else { SmallVec::from_vec(vec![0; length]) }
}

/// Writes a field behind its length; the field, and what is left of the room.
fn put_field<'a>(room: &'a mut [u8], text: &str) -> (&'a mut [u8], &'a mut [u8]) {
    let (prefix, rest) = room.split_at_mut(4);
    // A field is part of a request head, which no server reads beyond some megabytes; a longer one would only make the prefix wrap.
    prefix.copy_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    let (field, rest) = rest.split_at_mut(text.len());
    field.copy_from_slice(text.as_bytes());
    (field, rest)
}

/// Scheme and authority of a request: those of an absolute target, else of Host. A default port is no difference (RFC 9110 section 4.2.3).
pub(crate) fn origin_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> (bool, &'a str) {
    let https = uri.scheme() == Some(&Scheme::HTTPS);
    let authority = uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| headers.get(HOST).and_then(|host| std::str::from_utf8(host.as_bytes()).ok()))
        .unwrap_or_default();
    let default_port = if https { ":443" } else { ":80" };
    (https, authority.strip_suffix(default_port).unwrap_or(authority))
}

/// The query as it is keyed and sent on: ignored parameters dropped, the rest sorted if asked. `None` where nothing changes.
pub(crate) fn normalised_query(query: &str, settings: &KeySettings) -> Option<String> {
    let name_of = |pair: &str| pair.split_once('=').map_or(pair.len(), |(name, _)| name.len());
    let ignored = |pair: &&str| {
        let name = &pair[..name_of(pair)];
        settings.query_ignore.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        })
    };
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !ignored(pair)).collect();
    if settings.query_sort {
        // By name only and stable: the order of repeated parameters can carry meaning.
        pairs.sort_by_key(|pair| &pair[..name_of(pair)]);
    }
    let joined = pairs.join("&");
    (joined != query).then_some(joined)
}

/// The query of a target as it is keyed; `None` if there is none, or nothing of it is left.
pub(crate) fn keyed_query<'a>(query: Option<&'a str>, settings: &KeySettings) -> Option<Cow<'a, str>> {
    let query = query?;
    match normalised_query(query, settings).filter(|_| !settings.is_exact()) {
        None => Some(Cow::Borrowed(query)),
        Some(rest) => (!rest.is_empty()).then_some(Cow::Owned(rest)),
    }
}

/// Rewrites the target so that what is asked of the origin is what identifies the stored response.
pub(crate) fn normalise_target(uri: &mut Uri, settings: &KeySettings) {
    let Some(query) = uri.query().filter(|_| !settings.is_exact()) else { return };
    let Some(query) = normalised_query(query, settings) else { return };
    let path = uri.path();
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    // Pieces of a valid target, put together again, are a valid target; were they not, the target stays as it was sent.
    let Ok(target) = PathAndQuery::try_from(target) else { return };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    if let Ok(normal) = Uri::from_parts(parts) {
        *uri = normal;
    }
}

impl KeyBuf {
    pub(crate) fn hash_value(&self) -> u64 {
        self.hash
    }

    pub(crate) fn to_key(&self) -> Key {
        Key(Arc::from(self.bytes.as_slice()))
    }
}

impl Key {
    /// Bytes of memory that the key itself takes.
    pub(crate) fn weight(&self) -> usize {
        shared_room(self.0.len())
    }

    pub(crate) fn hash_value(&self) -> u64 {
        self.0.first_chunk().map_or(0, |hash| u64::from_ne_bytes(*hash))
    }

    /// What it is made of, without the hash.
    fn bytes(&self) -> &[u8] {
        self.0.get(HASH..).unwrap_or_default()
    }

    /// The key without its identity: what all partitions of a target share.
    pub(crate) fn target(&self) -> Vec<u8> {
        let mut bytes = self.bytes().to_vec();
        if let Some(flags) = bytes.first_mut().filter(|flags| **flags & 4 != 0) {
            *flags &= !4;
            bytes.truncate(bytes.len() - 16);
        }
        bytes
    }

    /// Whether the key belongs to one identity.
    pub(crate) fn is_partitioned(&self) -> bool {
        self.bytes().first().is_some_and(|flags| flags & 4 != 0)
    }

    /// Whether the scheme is https.
    pub(crate) fn is_https(&self) -> bool {
        self.bytes().first().is_some_and(|flags| flags & 1 != 0)
    }

    /// The path that the key is about.
    pub(crate) fn path(&self) -> &str {
        self.nth_field(1)
    }

    /// The query, if there is one.
    pub(crate) fn query(&self) -> Option<&str> {
        (self.bytes().first()? & 2 != 0).then(|| self.nth_field(2))
    }

    /// The authority.
    pub(crate) fn authority(&self) -> &str {
        self.nth_field(0)
    }

    fn nth_field(&self, n: usize) -> &str {
        let mut rest = self.bytes().get(1..).unwrap_or_default();
        for skip in (0..=n).rev() {
            let Some((length, tail)) = rest.split_first_chunk::<4>() else { return "" };
            let length = u32::from_le_bytes(*length) as usize;
            let Some((field, tail)) = tail.split_at_checked(length) else { return "" };
            if skip == 0 {
                return std::str::from_utf8(field).unwrap_or_default();
            }
            rest = tail;
        }
        ""
    }
}

/// Readable, and without the identity.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}{}", self.authority(), self.path())?;
        if let Some(query) = self.query() {
            write!(f, "?{query}")?;
        }
        f.write_str(")")
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash_value());
    }
}

impl Hash for KeyBuf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl equivalent::Equivalent<Key> for KeyBuf {
    fn equivalent(&self, key: &Key) -> bool {
        *self.bytes == *key.0
    }
}

/// Keys carry their hash; the maps that hold them only pass it on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PassHash;

/// The hasher of [`PassHash`].
#[derive(Debug)]
pub(crate) struct PassHasher(u64);

impl BuildHasher for PassHash {
    type Hasher = PassHasher;
    fn build_hasher(&self) -> PassHasher {
        PassHasher(0)
    }
}

impl Hasher for PassHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value ^ self.0.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyParts, KeySecrets, normalised_query, origin_of};
    use crate::cache::rules::Identity;
    use crate::cache::settings::KeySettings;
    use http::{HeaderMap, HeaderValue, Uri};
    use proptest::prelude::{any, proptest};

    fn parts<'a>(authority: &'a str, path: &'a str, query: Option<&'a str>) -> KeyParts<'a> {
        KeyParts { https: false, authority, path, query, partition: None }
    }

    #[test]
    fn an_empty_query_is_not_no_query() {
        let secrets = KeySecrets::new();
        assert!(secrets.build(&parts("a", "/", None)).to_key() != secrets.build(&parts("a", "/", Some(""))).to_key());
    }

    #[test]
    fn the_case_of_the_authority_and_its_default_port_make_no_difference_but_the_scheme_does() {
        let uri: Uri = "http://Example.COM:80/x".parse().unwrap();
        let none = HeaderMap::new();
        assert_eq!(origin_of(&uri, &none), (false, "Example.COM"));
        let secrets = KeySecrets::new();
        let (plain, lower) = (secrets.build(&parts("Example.COM", "/x", None)), secrets.build(&parts("example.com", "/x", None)));
        assert!(plain.to_key() == lower.to_key());
        assert!(plain.to_key() != secrets.build(&KeyParts { https: true, ..parts("example.com", "/x", None) }).to_key());
    }

    #[test]
    fn a_key_gives_its_fields_back() {
        let key = KeySecrets::new().build(&parts("h:1", "/p", Some("q=1"))).to_key();
        assert_eq!((key.authority(), key.path(), key.query()), ("h:1", "/p", Some("q=1")));
    }

    #[test]
    fn identities_differ_by_every_line_of_their_header() {
        let secrets = KeySecrets::new();
        let identity = Identity { header: http::header::AUTHORIZATION };
        let headers = |values: &[&'static str]| {
            let mut map = HeaderMap::new();
            for value in values {
                map.append("authorization", HeaderValue::from_static(value));
            }
            secrets.partition(&identity, &map)
        };
        let seen = [headers(&[]), headers(&[""]), headers(&["ab"]), headers(&["a", "b"]), headers(&["b", "a"])];
        for (i, one) in seen.iter().enumerate() {
            assert!(seen[i + 1..].iter().all(|other| other != one), "{i}");
        }
        assert_eq!(headers(&["ab"]), headers(&["ab"]));
    }

    #[test]
    fn queries_are_filtered_and_sorted_by_name_and_repeats_keep_their_order() {
        let settings = KeySettings { query_ignore: vec!["utm_*".into(), "x".into()], query_sort: true };
        assert_eq!(normalised_query("b=2&utm_source=m&a=2&x&a=1", &settings).as_deref(), Some("a=2&a=1&b=2"));
        assert_eq!(normalised_query("a=1&b=2", &settings), None);
        assert_eq!(normalised_query("xx=1&utm=1", &KeySettings { query_sort: false, ..settings }), None);
    }

    proptest! {
        #[test]
        fn different_requests_have_different_keys(
            a in any::<(bool, String, String, Option<String>, Option<[u8; 16]>)>(), b in any::<(bool, String, String, Option<String>, Option<[u8; 16]>)>()
        ) {
            let secrets = KeySecrets::new();
            let key = |t: &(bool, String, String, Option<String>, Option<[u8; 16]>)| {
                secrets.build(&KeyParts { https: t.0, authority: &t.1, path: &t.2, query: t.3.as_deref(), partition: t.4 }).to_key()
            };
            let same = a.0 == b.0 && a.1.eq_ignore_ascii_case(&b.1) && a.2 == b.2 && a.3 == b.3 && a.4 == b.4;
            assert_eq!(key(&a) == key(&b), same);
        }

        #[test]
        fn text_moved_across_a_border_makes_another_key(text in "[a-z/?]{1,20}", at in 0usize..20, to in 0usize..20) {
            let secrets = KeySecrets::new();
            let (at, to) = (at.min(text.len()), to.min(text.len()));
            let key = |at: usize| secrets.build(&parts(&text[..at], &text[at..], None)).to_key();
            assert_eq!(key(at) == key(to), at == to);
        }
    }
}
