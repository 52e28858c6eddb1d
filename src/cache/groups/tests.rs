use super::{GroupName, Groups, Level};
use crate::cache::bans::Prefix;
use crate::cache::key::{Key, KeyParts, KeySecrets};
use crate::cache::rules::Rule;
use crate::cache::tags::ResponseTags;
use std::sync::Arc;

const TAG: GroupName<'_> = GroupName::Tag("a");

fn key(path: &str) -> Key {
    KeySecrets::new().build(&KeyParts { https: false, authority: "h", path, query: None, partition: None }).to_key()
}

fn tagged(tag: &str) -> ResponseTags {
    ResponseTags { tags: vec![tag.into()], groups: vec![tag.into()] }
}

#[test]
fn a_purge_touches_what_was_fetched_before_it_and_nothing_later() {
    let groups = Groups::new();
    let tag = groups.join(TAG);
    let before = groups.now();
    assert!(groups.invalidate(TAG, Level::Invalid, groups.next()));
    assert_eq!((tag.level_since(before), tag.level_since(groups.now())), (Level::Invalid, Level::Valid));
}

#[test]
fn a_purge_as_of_an_older_moment_leaves_what_is_younger() {
    let groups = Groups::new();
    let (tag, key, old) = (groups.join(TAG), key("/a"), groups.now());
    let change = groups.next();
    let _later = groups.next();
    groups.invalidate(TAG, Level::Dead, change);
    groups.invalidate_prefix(Prefix::parse("/a"), Level::Stale, change);
    assert_eq!((tag.level_since(old), tag.level_since(change)), (Level::Dead, Level::Valid));
    assert_eq!((groups.level_since(&key, old), groups.level_since(&key, change)), (Level::Stale, Level::Valid));
    groups.invalidate_all(Level::Invalid, change);
    assert_eq!((groups.level_since(&key, old), groups.level_since(&key, change)), (Level::Invalid, Level::Valid));
}

#[test]
fn a_weaker_invalidation_does_not_hide_a_stronger_one() {
    let groups = Groups::new();
    let born = groups.now();
    groups.invalidate_all(Level::Dead, groups.next());
    groups.invalidate_all(Level::Stale, groups.next());
    assert_eq!(groups.level_since(&key("/"), born), Level::Dead);
}

#[test]
fn a_group_that_nobody_holds_is_forgotten() {
    let groups = Groups::new();
    let (one, two) = (groups.join(TAG), groups.join(TAG));
    groups.join(GroupName::Target(b"a"));
    assert_eq!(groups.len(), 1);
    drop((one, two));
    assert_eq!((groups.len(), groups.invalidate(TAG, Level::Dead, groups.next())), (0, false));
}

#[test]
fn a_purge_is_remembered_as_long_as_a_fetch_may_learn_that_it_was_meant() {
    for name in ["tag", "group", "other"] {
        let (groups, key) = (Groups::new(), key("/a"));
        let member = groups.enlist(&key, None);
        let born = groups.now();
        let purged = if name == "group" { GroupName::OfOrigin(&key, "a") } else { TAG };
        assert!(!groups.invalidate(purged, Level::Dead, groups.next()), "nothing was known to belong to it");
        let own = member.groups_with(&tagged(if name == "other" { "b" } else { "a" }), born, &groups).unwrap();
        let level = own.iter().map(|group| group.level_since(born)).max().unwrap();
        assert_eq!(level, if name == "other" { Level::Valid } else { Level::Dead }, "{name}");
        drop((member, own));
        groups.forget_what_is_over();
        assert_eq!((groups.len(), groups.pins.len()), (0, 0));
    }
}

#[test]
fn without_a_fetch_under_way_a_purge_leaves_nothing_behind() {
    let groups = Groups::new();
    groups.invalidate(TAG, Level::Dead, groups.next());
    groups.invalidate_prefix(Prefix::parse("/a"), Level::Dead, groups.next());
    assert_eq!((groups.len(), groups.pins.len(), groups.late_bans.len()), (0, 0, 0));
    let _young = groups.enlist(&key("/a"), None);
    groups.invalidate(TAG, Level::Dead, groups.now());
    assert_eq!(groups.pins.len(), 0, "a fetch that is younger than the purge cannot be meant");
}

#[test]
fn of_more_purges_than_can_be_remembered_what_was_asked_for_before_is_not_stored() {
    let (groups, key) = (Groups::new(), key("/a"));
    let member = groups.enlist(&key, Some(&Rule::path("/**").unwrap().tag("known")));
    let born = groups.now();
    for at in 0..5000 {
        groups.invalidate(GroupName::Tag(&at.to_string()), Level::Dead, groups.next());
        groups.invalidate(TAG, Level::Dead, groups.next());
    }
    assert!(groups.pins.len() <= 4096);
    assert!(member.groups_with(&tagged("x"), born, &groups).is_err());
    assert!(member.groups_with(&tagged("x"), groups.now(), &groups).is_ok(), "what is asked for now is not concerned");
    assert!(member.groups_with(&ResponseTags::default(), born, &groups).is_ok(), "nor is what has no tags of its own");
}

#[test]
fn the_same_group_purged_again_and_again_is_remembered_once() {
    let (groups, key) = (Groups::new(), key("/a"));
    let member = groups.enlist(&key, None);
    for _ in 0..5000 {
        groups.invalidate(TAG, Level::Dead, groups.next());
    }
    assert!(groups.pins.len() == 1 && member.groups_with(&tagged("x"), 1, &groups).is_ok());
}

#[test]
fn a_ban_reaches_a_fetch_though_a_sweep_has_retired_it() {
    let (groups, key) = (Groups::new(), key("/a/b"));
    let member = groups.enlist(&key, None);
    let born = groups.now();
    groups.invalidate_prefix(Prefix::parse("/a"), Level::Dead, groups.next());
    let round = groups.bans().begin_round();
    groups.bans().end_round(&round);
    groups.forget_what_is_over();
    assert_eq!((groups.banned(&key, born), member.level_since(born, &groups)), (Level::Valid, Level::Dead));
    assert_eq!(member.level_since(groups.now(), &groups), Level::Valid);
    drop(member);
    groups.forget_what_is_over();
    assert_eq!(groups.late_bans.len(), 0);
}

#[test]
fn a_cache_group_belongs_to_its_host_by_whichever_scheme() {
    let groups = Groups::new();
    let secrets = KeySecrets::new();
    let of = |https, authority| {
        let key = secrets.build(&KeyParts { https, authority, path: "/", query: None, partition: None }).to_key();
        groups.join(GroupName::OfOrigin(&key, "a"))
    };
    let (one, port, tls) = (of(false, "h"), of(false, "h:81"), of(true, "h"));
    assert!(Arc::ptr_eq(&one, &of(false, "H")) && !Arc::ptr_eq(&one, &port) && Arc::ptr_eq(&one, &tls));
    assert!(!Arc::ptr_eq(&one, &groups.join(TAG)));
}
