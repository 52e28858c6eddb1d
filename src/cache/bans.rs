//! Invalidation by prefix of the path. A ban is judged when a copy is looked at, so that it holds at once; a sweep marks what it matches, and
//! retires it.

use crate::cache::groups::Level;
use crate::cache::key::{Key, origin_of};
use arc_swap::ArcSwap;
use http::{HeaderMap, Uri};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bans at a time; beyond it the two that are most alike become one.
const MOST: usize = 64;

/// The beginning of a path, of one host or of all. It is compared byte by byte with the path as it was sent, so `/api/ch` also meets
/// `/api/channels`; end it with `/` to stay inside a folder. The query is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// The authority in lower case. The scheme is no part of it: one upstream answers both, so what is out of date by one is out of date by the other.
    origin: Option<Box<str>>,
    path: Box<str>,
    /// Only this path, with this query or with none.
    exact: Option<Option<Box<str>>>,
}

impl Prefix {
    /// One path and query, of all origins.
    pub(crate) fn exact(path: &str, query: Option<&str>) -> Self {
        Self { origin: None, path: path.into(), exact: Some(query.map(Into::into)) }
    }

    /// One path and query, of the host that `target` names, or of all if it names none.
    pub(crate) fn target(target: &Uri, query: Option<&str>) -> Self {
        let none = HeaderMap::new();
        let origin = target.authority().map(|_| origin_of(target, &none));
        let origin = origin.map(|(_, authority)| authority.to_ascii_lowercase().into_boxed_str());
        Self { origin, ..Self::exact(target.path(), query) }
    }

    /// Reads `/path` or `http://host/path`; what follows a `?` or `#` is cut off.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.split(['?', '#']).next().unwrap_or_default();
        let none = HeaderMap::new();
        let absolute = text.split_once("://").and_then(|(scheme, rest)| {
            let end = rest.find('/').unwrap_or(rest.len());
            if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
                return None;
            }
            let uri: Uri = format!("{scheme}://{}/", &rest[..end]).parse().ok()?;
            let (_, authority) = origin_of(&uri, &none);
            Some((authority.to_ascii_lowercase().into_boxed_str(), &rest[end..]))
        });
        match absolute.filter(|_| !text.starts_with('/')) {
            Some((authority, path)) => Self { origin: Some(authority), path: path.into(), exact: None },
            None => Self { origin: None, path: text.into(), exact: None },
        }
    }

    /// Whether `key` lies under it.
    pub(crate) fn matches(&self, key: &Key) -> bool {
        let here = self.origin.as_ref().is_none_or(|authority| **authority == *key.authority());
        here && match &self.exact {
            None => key.path().starts_with(&*self.path),
            Some(query) => key.path() == &*self.path && key.query() == query.as_deref(),
        }
    }

    /// Whether everything under `other` lies under this.
    fn covers(&self, other: &Self) -> bool {
        let here = self.origin.is_none() || self.origin == other.origin;
        here && match &self.exact {
            None => other.path.starts_with(&*self.path),
            Some(_) => self.path == other.path && self.exact == other.exact,
        }
    }

    /// The longest prefix that covers both.
    fn joined(&self, other: &Self) -> Self {
        let same = self.path.bytes().zip(other.path.bytes()).take_while(|(a, b)| a == b).count();
        let origin = self.origin.clone().filter(|_| self.origin == other.origin);
        Self { origin, path: self.path[..self.path.floor_char_boundary(same)].into(), exact: None }
    }

    /// How much of the two is alike: those of one origin before all others.
    fn likeness(&self, other: &Self) -> (bool, usize) {
        (self.origin == other.origin, self.joined(other).path.len())
    }
}

/// One ban: what is under `prefix` and was asked for before `sequence`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ban {
    prefix: Prefix,
    level: Level,
    sequence: u64,
}

impl Ban {
    fn covers(&self, other: &Self) -> bool {
        self.prefix.covers(&other.prefix) && self.level >= other.level && self.sequence >= other.sequence
    }

    fn joined(&self, other: &Self) -> Self {
        Self { prefix: self.prefix.joined(&other.prefix), level: self.level.max(other.level), sequence: self.sequence.max(other.sequence) }
    }
}

/// The bans in force. For a copy that is younger than all of them the look costs one load and one comparison.
#[derive(Debug, Default)]
pub(crate) struct Bans {
    /// The highest sequence number in the list.
    latest: AtomicU64,
    list: ArcSwap<Vec<Ban>>,
    editing: Mutex<()>,
}

/// The bans that were in force when a sweep began.
#[derive(Debug)]
pub(crate) struct Round(Arc<Vec<Ban>>);

impl Bans {
    /// What the bans make of something under `key` that was asked for at `born`.
    pub(crate) fn level_of(&self, key: &Key, born: u64) -> Level {
        if self.latest.load(Ordering::Acquire) <= born {
            return Level::Valid;
        }
        let hit = |ban: &&Ban| ban.sequence > born && ban.prefix.matches(key);
        self.list.load().iter().filter(hit).map(|ban| ban.level).max().unwrap_or_default()
    }

    /// Adds a ban. It holds when this returns.
    pub(crate) fn add(&self, prefix: Prefix, level: Level, sequence: u64) {
        let ban = Ban { prefix, level, sequence };
        self.edit(|bans| {
            if bans.iter().any(|old| old.covers(&ban)) {
                return;
            }
            bans.retain(|old| !ban.covers(old));
            bans.push(ban);
            while bans.len() > MOST {
                join_two(bans);
            }
        });
    }

    /// What a sweep that begins now has to mark.
    pub(crate) fn begin_round(&self) -> Round {
        Round(self.list.load_full())
    }

    /// Retires the bans of `round`: all that they matched is marked. One that has been joined with another in the meantime stays for the next.
    pub(crate) fn end_round(&self, round: &Round) {
        self.keep(|ban| !round.0.contains(ban));
    }

    /// Retires the bans that hit nothing any more: `is_needed` knows by their sequence numbers.
    pub(crate) fn retire_unless(&self, is_needed: impl Fn(u64) -> bool) {
        self.keep(|ban| is_needed(ban.sequence));
    }

    fn keep(&self, stays: impl Fn(&Ban) -> bool) {
        if !self.list.load().is_empty() {
            self.edit(|bans| bans.retain(|ban| stays(ban)));
        }
    }

    fn edit(&self, change: impl FnOnce(&mut Vec<Ban>)) {
        let _editing = self.editing.lock();
        let mut bans = Vec::clone(&self.list.load());
        change(&mut bans);
        let latest = bans.iter().map(|ban| ban.sequence).max().unwrap_or(0);
        self.list.store(Arc::new(bans));
        // After the list: whoever reads this number finds the ban that it is of.
        self.latest.store(latest, Ordering::Release);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.list.load().len()
    }
}

/// Makes one ban of the two that are most alike. It hits more than they did, never less.
fn join_two(bans: &mut Vec<Ban>) {
    let pairs = (0..bans.len()).flat_map(|a| (a + 1..bans.len()).map(move |b| (a, b)));
    let Some((a, b)) = pairs.max_by_key(|(a, b)| bans[*a].prefix.likeness(&bans[*b].prefix)) else { return };
    let (second, first) = (bans.swap_remove(b), bans.swap_remove(a)); // b is the larger: a stays where it is
    let joined = first.joined(&second);
    bans.retain(|old| !joined.covers(old));
    bans.push(joined);
}

#[cfg(test)]
mod tests {
    use super::{Bans, MOST, Prefix};
    use crate::cache::groups::Level;
    use crate::cache::key::{Key, KeyParts, KeySecrets};

    fn key(https: bool, authority: &str, path: &str) -> Key {
        KeySecrets::new().build(&KeyParts { https, authority, path, query: Some("q"), partition: None }).to_key()
    }

    fn at(path: &str) -> Key {
        key(false, "example.com", path)
    }

    #[test]
    fn a_prefix_is_the_beginning_of_a_path_of_one_origin_or_of_all() {
        for (prefix, hit) in [
            ("/api/ch", true),
            ("/api/channels/7", true),
            ("", true),
            ("/", true),
            ("/api/ch?q=1", true),
            ("/api/channels#x", true),
            ("http://EXAMPLE.com:80/api", true),
            ("HTTP://example.com", true),
            ("/api/channels/", true),
            ("/api/channels/77", false),
            ("/API", false),
            ("api", false),
            ("https://example.com/api", true),
            ("https://example.com:443/api", true),
            ("https://example.com:80/api", false),
            ("http://example.com.evil/api", false),
            ("http://example.com:81/", false),
            ("ftp://example.com/", false),
            ("http:///api", false),
        ] {
            assert_eq!(Prefix::parse(prefix).matches(&at("/api/channels/7")), hit, "{prefix}");
        }
    }

    #[test]
    fn an_exact_ban_is_one_path_and_query_under_every_host() {
        let ban = Prefix::exact("/a", Some("q"));
        assert!(ban.matches(&at("/a")) && ban.matches(&key(true, "other", "/a")));
        assert!(
            !ban.matches(&at("/a/b"))
                && !Prefix::exact("/a", None).matches(&at("/a"))
                && !Prefix::exact("/a", Some("r")).matches(&at("/a"))
        );
        assert!(Prefix::parse("/").covers(&ban) && ban.covers(&ban.clone()) && !ban.covers(&Prefix::parse("/a")));
        assert!(!ban.covers(&Prefix::exact("/a", None)) && ban.joined(&Prefix::exact("/ab", None)).matches(&at("/ab/c")));
    }

    #[test]
    fn bans_add_up_and_what_one_covers_is_not_kept_twice() {
        let bans = Bans::default();
        bans.add(Prefix::parse("/a/b"), Level::Stale, 5);
        bans.add(Prefix::parse("/a"), Level::Invalid, 3);
        assert_eq!((bans.level_of(&at("/a/b"), 2), bans.level_of(&at("/a/b"), 4)), (Level::Invalid, Level::Stale));
        assert_eq!((bans.level_of(&at("/a/b"), 5), bans.level_of(&at("/b"), 1)), (Level::Valid, Level::Valid));
        bans.add(Prefix::parse("/a"), Level::Dead, 7);
        assert_eq!((bans.len(), bans.level_of(&at("/a/b"), 6)), (1, Level::Dead));
        bans.add(Prefix::parse("/a/c"), Level::Dead, 7);
        assert_eq!(bans.len(), 1);
        bans.add(Prefix::parse("http://example.com/"), Level::Dead, 6);
        assert_eq!((bans.len(), bans.level_of(&at("/z"), 5)), (2, Level::Dead));
    }

    #[test]
    fn a_round_retires_what_it_began_with_and_nothing_else() {
        let bans = Bans::default();
        bans.add(Prefix::parse("/a"), Level::Dead, 2);
        let round = bans.begin_round();
        bans.add(Prefix::parse("/b"), Level::Dead, 3);
        bans.end_round(&round);
        assert_eq!((bans.level_of(&at("/a"), 1), bans.level_of(&at("/b"), 1)), (Level::Valid, Level::Dead));
        let round = bans.begin_round();
        bans.end_round(&round);
        assert_eq!((bans.len(), bans.latest.load(std::sync::atomic::Ordering::Relaxed)), (0, 0), "the look is cheap again");
    }

    #[test]
    fn with_too_many_the_most_alike_become_one_and_none_is_lost() {
        let bans = Bans::default();
        let path = |at: usize| format!("/{}/{at}", ["x", "y", "z"][at % 3]);
        for number in 0..200 {
            bans.add(Prefix::parse(&path(number)), Level::Dead, number as u64 + 1);
            assert!(bans.len() <= MOST);
        }
        for number in 0..200 {
            assert_eq!(bans.level_of(&at(&path(number)), number as u64), Level::Dead, "{number}");
        }
        assert_eq!(bans.level_of(&at("/other"), 0), Level::Valid, "alike means a common beginning");
    }

    #[test]
    fn a_ban_that_was_joined_with_a_younger_one_during_a_sweep_waits_for_the_next() {
        let bans = Bans::default();
        for number in 0..MOST {
            bans.add(Prefix::parse(&format!("/{number:03}/")), Level::Dead, 1);
        }
        let round = bans.begin_round();
        bans.add(Prefix::parse("/063/x"), Level::Dead, 9);
        bans.end_round(&round);
        assert_eq!(bans.level_of(&at("/063/x"), 8), Level::Dead);
    }
}
