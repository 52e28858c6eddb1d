use super::{Near, REMEMBERED};
use crate::cache::entry::Stored;
use crate::cache::freshness::{Life, LifetimeSource};
use crate::cache::groups::Groups;
use crate::cache::head::{Head, Lineage};
use crate::cache::key::{Key, KeyBuf, KeyParts, KeySecrets};
use crate::cache::resource::Resource;
use crate::cache::store::Store;
use crate::clock::Stamp;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn key(secrets: &KeySecrets, path: &str) -> KeyBuf {
    secrets.build(&KeyParts { https: false, authority: "h", path, query: None, partition: None })
}

/// A response whose lifetime is its number.
fn stored(key: Key, number: u64, born: u64) -> Arc<Stored> {
    let life = Life {
        received: Stamp::from_millis(0),
        initial_age: 0,
        lifetime: number,
        source: LifetimeSource::Default,
        stale_while_revalidate: 0,
        stale_if_error: 0,
        must_revalidate: false,
        no_cache: false,
    };
    let head = Head::new(StatusCode::OK, &HeaderMap::new(), life, Lineage { born, groups: None, key });
    Arc::new(Stored::new(head, Bytes::from_static(b"body"), None, None))
}

/// Ends the readers, also where a test fails: they would be waited for.
struct Ending<'a>(&'a AtomicU64);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(1, Ordering::Release);
    }
}

/// Says what is found, and counts how often the store is asked.
struct Reader {
    near: Near,
    asked: Cell<u32>,
}

impl Reader {
    fn new() -> Self {
        Self { near: Near::new(), asked: Cell::new(0) }
    }

    fn find(&self, key: &KeyBuf, millis: u64, there: Option<&Resource>) -> Option<u64> {
        let ask = || {
            self.asked.set(self.asked.get() + 1);
            there.cloned()
        };
        self.near.find(key, Stamp::from_millis(millis), ask).map(|found| found.newest().head.life().lifetime)
    }
}

#[test]
fn what_is_found_twice_is_remembered_for_a_while_and_while_nothing_changes() {
    let (secrets, reader) = (KeySecrets::new(), Reader::new());
    let key = key(&secrets, "/a");
    let (first, second) = (Resource::One(stored(key.to_key(), 1, 0)), Resource::One(stored(key.to_key(), 2, 0)));
    let asked = |millis, there| (reader.find(&key, millis, Some(there)), reader.asked.get());
    assert_eq!([asked(0, &first), asked(0, &first)], [(Some(1), 1), (Some(1), 2)]);
    assert_eq!(asked(REMEMBERED - 1, &second), (Some(1), 2), "nobody has said that it changed");
    reader.near.changed();
    assert_eq!(asked(REMEMBERED - 1, &second), (Some(2), 3));
    assert_eq!(asked(2 * REMEMBERED - 2, &second), (Some(2), 3));
    assert_eq!(asked(2 * REMEMBERED - 1, &second), (Some(2), 4), "the store hears that it is still read");
    assert_eq!(reader.find(&key, 2 * REMEMBERED, None), Some(2));
    drop(second);
    assert_eq!(reader.find(&key, 2 * REMEMBERED, None), None, "what was evicted is not held");
}

#[test]
fn a_change_while_the_store_is_asked_counts() {
    let (secrets, reader) = (KeySecrets::new(), Reader::new());
    let key = key(&secrets, "/a");
    let (old, new) = (stored(key.to_key(), 1, 0), stored(key.to_key(), 2, 0));
    for _ in 0..3 {
        let ask = || {
            reader.near.changed();
            Some(Resource::One(Arc::clone(&old)))
        };
        drop(reader.near.find(&key, Stamp::from_millis(0), ask));
    }
    assert_eq!(reader.find(&key, 0, Some(&Resource::One(new))), Some(2));
}

#[test]
fn stores_and_keys_are_not_taken_for_one_another() {
    let secrets = KeySecrets::new();
    let (one, other) = (Reader::new(), Reader::new());
    let keys: Vec<_> = (0..1000).map(|at| key(&secrets, &format!("/{at}"))).collect();
    let there: Vec<_> = (0..1000).map(|at| Resource::One(stored(keys[at].to_key(), at as u64, 0))).collect();
    for round in 0..3 {
        for (at, key) in keys.iter().enumerate() {
            assert_eq!([(); 3].map(|()| one.find(key, 0, there.get(at))), [Some(at as u64); 3], "{round}");
            assert_eq!(other.find(key, 0, None), None);
        }
    }
}

#[test]
fn several_variants_are_asked_for_each_time() {
    let (secrets, reader) = (KeySecrets::new(), Reader::new());
    let key = key(&secrets, "/a");
    let several = Resource::Several([1, 2].map(|number| stored(key.to_key(), number, 0)).into());
    (0..4).for_each(|_| assert_eq!(reader.find(&key, 0, Some(&several)), Some(1)));
    assert_eq!(reader.asked.get(), 4);
}

#[test]
fn nobody_finds_what_was_replaced_before_the_look_or_was_forgotten() {
    let (secrets, groups) = (KeySecrets::new(), Groups::new());
    let store = Store::new(64 << 20, Arc::clone(&groups));
    let (there, gone) = (key(&secrets, "/there"), key(&secrets, "/gone"));
    let (written, taken, ended) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while ended.load(Ordering::Acquire) == 0 {
                    let least = written.load(Ordering::Acquire);
                    let found = store.find(&there, Stamp::from_millis(0)).map_or(0, |found| found.newest().head.life().lifetime);
                    assert!(found >= least, "{found} after {least} was stored");
                    let least = taken.load(Ordering::Acquire);
                    let found = store.find(&gone, Stamp::from_millis(0)).map_or(u64::MAX, |found| found.newest().head.life().lifetime);
                    assert!(found > least, "{found} after {least} was forgotten");
                }
            });
        }
        let _ending = Ending(&ended);
        for number in 1..=5_000 {
            for (key, word) in [(&there, &written), (&gone, &taken)] {
                let key = key.to_key();
                let (member, born) = (groups.enlist(&key, None), groups.now());
                let new = stored(key.clone(), number, born);
                assert!(store.put(&key, &new, &member, 4));
                if std::ptr::eq(word, &raw const taken) {
                    store.forget(&key, &new);
                }
                word.store(number, Ordering::Release);
            }
        }
    });
}
