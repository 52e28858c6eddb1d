use super::{Level, Store, Stored};
use crate::cache::bans::Prefix;
use crate::cache::freshness::{Life, LifetimeSource};
use crate::cache::groups::{GroupName, Groups, Membership};
use crate::cache::head::{Head, Lineage};
use crate::cache::key::{Key, KeyParts, KeySecrets};
use crate::cache::tags::ResponseTags;
use crate::clock::Stamp;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use std::sync::Arc;

/// A store, and fetches whose responses have tags of their own.
struct Shelf {
    secrets: KeySecrets,
    groups: Arc<Groups>,
    store: Arc<Store>,
}

/// A fetch under way.
struct Asked {
    key: Key,
    member: Membership,
    born: u64,
}

impl Shelf {
    fn new() -> Self {
        let groups = Groups::new();
        Self { secrets: KeySecrets::new(), store: Store::new(64 << 20, Arc::clone(&groups)), groups }
    }

    fn ask(&self, path: &str) -> Asked {
        let parts = KeyParts { https: false, authority: "h", path, query: None, partition: None };
        let key = self.secrets.build(&parts).to_key();
        Asked { member: self.groups.enlist(&key, None), born: self.groups.now(), key }
    }

    /// The answer; `None` if it must not be stored.
    fn answer(&self, asked: &Asked, tags: &[&str]) -> Option<Arc<Stored>> {
        let own = ResponseTags { tags: tags.iter().map(|tag| (*tag).into()).collect(), groups: Vec::new() };
        let groups = asked.member.groups_with(&own, asked.born, &self.groups).ok()?;
        let lineage = Lineage { born: asked.born, groups: Some(groups), key: asked.key.clone() };
        let life = Life {
            received: Stamp::from_millis(0),
            initial_age: 0,
            lifetime: 1,
            source: LifetimeSource::Default,
            stale_while_revalidate: 0,
            stale_if_error: 0,
            must_revalidate: false,
            no_cache: false,
        };
        let head = Head::new(StatusCode::OK, &HeaderMap::new(), life, lineage);
        Some(Arc::new(Stored::new(head, Bytes::new(), None, None)))
    }

    /// Stores the answer; `None` if it must not be.
    fn land(&self, asked: &Asked, tags: &[&str]) -> Option<Arc<Stored>> {
        let stored = self.answer(asked, tags)?;
        self.store.put(&asked.key, &stored, &asked.member, 4).then_some(stored)
    }

    fn put(&self, path: &str, tags: &[&str]) -> Option<Arc<Stored>> {
        self.land(&self.ask(path), tags)
    }

    /// What a reader would find of `path`.
    fn level(&self, path: &str) -> Level {
        let resource = self.store.get_owned(&self.ask(path).key);
        resource.map_or(Level::Dead, |resource| resource.newest().level(&self.groups))
    }

    fn members(&self, tag: &str, most: usize) -> Vec<String> {
        self.store.members(tag, most).iter().map(|(key, _)| key.path().to_owned()).collect()
    }
}

#[test]
fn members_come_hottest_first_and_only_those_that_are_still_stored() {
    let shelf = Shelf::new();
    for (path, hits) in [("/cold", 0), ("/hot", 5), ("/warm", 2), ("/old", 9), ("/gone", 8)] {
        let stored = shelf.put(path, &["t"]).unwrap();
        (0..hits).for_each(|_| assert!(stored.touch(Stamp::from_millis(0)) > 0));
    }
    let _held = shelf.store.get_owned(&shelf.ask("/old").key).unwrap();
    shelf.put("/old", &["t"]).unwrap();
    shelf.store.invalidate(&shelf.ask("/gone").key, Level::Dead, shelf.groups.next());
    shelf.put("/other", &["u"]).unwrap();
    let mut all = shelf.members("t", 10);
    assert_eq!(all[..2], ["/hot", "/warm"]);
    all.sort_unstable();
    assert_eq!(all, ["/cold", "/hot", "/old", "/warm"]);
    assert_eq!((shelf.members("t", 1), shelf.members("x", 1).len()), (vec!["/hot".to_owned()], 0));
    let under: Vec<_> = shelf.store.members_of_prefix("/o", 9).iter().map(|(key, _)| key.path().to_owned()).collect();
    assert!(under.len() == 2 && under.contains(&"/old".into()) && under.contains(&"/other".into()));
    assert_eq!(shelf.store.members_of_prefix("/", 1)[0].0.path(), "/hot");
}

#[test]
fn what_is_replaced_does_not_stay_among_the_members() {
    let shelf = Shelf::new();
    let tag = shelf.groups.join(GroupName::Tag("t"));
    let kept = shelf.put("/a", &["t"]).unwrap();
    for _ in 0..1000 {
        // Not through the store: moka frees what was replaced a little later.
        tag.enrol(&shelf.answer(&shelf.ask("/a"), &["t"]).unwrap());
        assert!(tag.listed() <= 32, "{}", tag.listed());
    }
    drop(kept);
    assert_eq!(shelf.members("t", 9), ["/a"]);
}

#[test]
fn a_sweep_marks_what_is_banned_and_retires_the_ban() {
    let shelf = Shelf::new();
    shelf.put("/a/1", &[]).unwrap();
    shelf.put("/b", &[]).unwrap();
    shelf.groups.invalidate_prefix(Prefix::parse("/a"), Level::Invalid, shelf.groups.next());
    shelf.store.sweep_once();
    assert_eq!((shelf.groups.bans().len(), shelf.level("/a/1"), shelf.level("/b")), (0, Level::Invalid, Level::Valid));
    assert!(shelf.put("/a/1", &[]).is_some());
    assert_eq!(shelf.level("/a/1"), Level::Valid);
}

#[test]
fn a_fetch_that_lands_after_the_sweep_has_retired_its_ban_is_not_stored() {
    let shelf = Shelf::new();
    let asked = shelf.ask("/a/1");
    shelf.groups.invalidate_prefix(Prefix::parse("/a"), Level::Invalid, shelf.groups.next());
    shelf.store.sweep_once();
    assert!(shelf.land(&asked, &[]).is_none());
}

#[test]
fn a_target_as_of_a_moment_keeps_the_younger_copy() {
    let shelf = Shelf::new();
    shelf.put("/a", &[]).unwrap();
    let (change, key) = (shelf.groups.next(), shelf.ask("/a").key);
    shelf.put("/a", &[]).unwrap();
    assert_eq!((shelf.store.invalidate(&key, Level::Dead, change), shelf.level("/a")), (0, Level::Valid));
    assert_eq!((shelf.store.invalidate(&key, Level::Dead, shelf.groups.next()), shelf.level("/a")), (1, Level::Dead));
}

const PATHS: [&str; 5] = ["/a", "/ab", "/a/b", "/b", "/b/a"];
const TAGS: [&str; 3] = ["s", "t", "u"];
const PREFIXES: [&str; 4] = ["/", "/a", "/a/", "/b"];
const LEVELS: [Level; 3] = [Level::Stale, Level::Invalid, Level::Dead];

/// One step of a random story; numbers are places in the lists above, and of the moments that were noted.
#[derive(Clone, Debug)]
enum Step {
    Ask(usize),
    /// Of the fetches under way the `at`th ends, with these tags.
    Land(usize, Vec<usize>),
    Moment,
    /// As of now, or as of a moment.
    Tag(usize, usize, Option<usize>),
    Prefix(usize, usize, Option<usize>),
    All(usize, Option<usize>),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let level = || 0..LEVELS.len();
    let moment = || prop::option::of(0..4_usize);
    prop_oneof![
        3 => (0..PATHS.len()).prop_map(Step::Ask),
        3 => (0..4_usize, prop::collection::vec(0..TAGS.len(), 0..3)).prop_map(|(at, tags)| Step::Land(at, tags)),
        1 => Just(Step::Moment),
        2 => (0..TAGS.len(), level(), moment()).prop_map(|(tag, level, at)| Step::Tag(tag, level, at)),
        2 => (0..PREFIXES.len(), level(), moment()).prop_map(|(prefix, level, at)| Step::Prefix(prefix, level, at)),
        1 => (level(), moment()).prop_map(|(level, at)| Step::All(level, at)),
        1 => Just(Step::Sweep),
    ]
}

/// A purge as it was said: a tag, a prefix, or everything.
struct Said {
    tag: Option<&'static str>,
    prefix: &'static str,
    level: Level,
    sequence: u64,
}

impl Said {
    fn hits(&self, path: &str, tags: &[&str], born: u64) -> bool {
        born < self.sequence && path.starts_with(self.prefix) && self.tag.is_none_or(|tag| tags.contains(&tag))
    }
}

fn worst(said: &[Said], path: &str, tags: &[&str], born: u64) -> Level {
    said.iter().filter(|said| said.hits(path, tags, born)).map(|said| said.level).max().unwrap_or_default()
}

proptest! {
    #[test]
    fn every_story_ends_as_one_that_forgets_nothing_and_compares_everything(steps in prop::collection::vec(step(), 1..60)) {
        let shelf = Shelf::new();
        let (mut said, mut moments): (Vec<Said>, Vec<u64>) = (Vec::new(), Vec::new());
        let mut asked: Vec<(&str, Asked)> = Vec::new();
        // What must be stored for each path: the tags and the birth of the last answer that was not hit while it was fetched, nor overtaken.
        let mut model: std::collections::HashMap<&str, (Vec<&str>, u64)> = std::collections::HashMap::new();
        for step in steps {
            let as_of = |at: Option<usize>, moments: &[u64]| at.and_then(|at| moments.get(at).copied()).unwrap_or_else(|| shelf.groups.next());
            match step {
                Step::Ask(path) => asked.push((PATHS[path], shelf.ask(PATHS[path]))),
                Step::Land(at, tags) if at < asked.len() => {
                    let (path, one) = asked.remove(at);
                    let tags: Vec<_> = tags.into_iter().map(|tag| TAGS[tag]).collect();
                    let overtaken = model.get(path).is_some_and(|(tags, born)| {
                        *born > one.born && worst(&said, path, tags, *born) < Level::Dead
                    });
                    let clean = !overtaken && worst(&said, path, &tags, one.born) == Level::Valid;
                    prop_assert_eq!(shelf.land(&one, &tags).is_some(), clean, "{} {:?}", path, tags);
                    if clean {
                        model.insert(path, (tags, one.born));
                    }
                }
                Step::Land(..) => {}
                Step::Moment => moments.push(shelf.groups.next()),
                Step::Tag(tag, level, at) => {
                    let (tag, level, sequence) = (TAGS[tag], LEVELS[level], as_of(at, &moments));
                    shelf.groups.invalidate(GroupName::Tag(tag), level, sequence);
                    said.push(Said { tag: Some(tag), prefix: "", level, sequence });
                }
                Step::Prefix(prefix, level, at) => {
                    let (prefix, level, sequence) = (PREFIXES[prefix], LEVELS[level], as_of(at, &moments));
                    shelf.groups.invalidate_prefix(Prefix::parse(prefix), level, sequence);
                    said.push(Said { tag: None, prefix, level, sequence });
                }
                Step::All(level, at) => {
                    let (level, sequence) = (LEVELS[level], as_of(at, &moments));
                    shelf.groups.invalidate_all(level, sequence);
                    said.push(Said { tag: None, prefix: "", level, sequence });
                }
                Step::Sweep => shelf.store.sweep_once(),
            }
            for path in PATHS {
                let expected = model.get(path).map_or(Level::Dead, |(tags, born)| worst(&said, path, tags, *born));
                prop_assert_eq!(shelf.level(path), expected, "{}", path);
            }
        }
    }
}
