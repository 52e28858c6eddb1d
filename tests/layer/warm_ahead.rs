//! Refresh-ahead: whoever asks for a hot key never waits for its expiry.

use crate::origin::{Asked, Origin, fresh, status};
use crate::world::{World, everywhere, get, seconds};
use std::time::Duration;
use warmfront::warm::{Group, WarmSettings};
use warmfront::{Level, Settings};

fn world(origin: Origin) -> World {
    World::running(Settings::default(), origin)
}

#[tokio::test(start_paused = true)]
async fn a_hot_key_is_refreshed_in_the_last_tenth_of_its_life_though_nobody_is_asking() {
    let world = world(Origin::always(fresh("x").etag("\"1\"").after(300)));
    let guard = world.warm(world.plan());
    for _ in 0..3 {
        world.get("/hot").await;
    }
    world.get("/cold").await;
    world.get("/cold").await;
    world.origin.becomes(status(304).cc("max-age=60").etag("\"1\"").after(300));
    tokio::time::sleep(seconds(53)).await;
    assert_eq!(world.origin.calls(), 2, "not before its last tenth");
    tokio::time::sleep(Duration::from_millis(6900)).await;
    assert_eq!((world.origin.calls(), world.origin.last().target()), (3, "/hot"));
    assert_eq!(world.origin.last().h("if-none-match"), "\"1\"");
    tokio::time::sleep(seconds(5)).await;
    assert!(world.get("/hot").await.is_hit(), "its old life is over, and nobody waits");
    assert!(!world.get("/cold").await.is_hit());
    let ahead = guard.handle().report().ahead;
    assert_eq!((ahead.fates.count("unchanged"), ahead.fates.items(), ahead.gain.useful), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_key_must_earn_its_refresh_in_every_life_anew() {
    let world = world(Origin::always(fresh("x")));
    let _guard = world.warm(world.plan());
    for _ in 0..9 {
        world.get("/hot").await;
    }
    tokio::time::sleep(seconds(600)).await;
    assert_eq!(world.origin.calls(), 2, "once more, and then nobody had asked");
}

#[tokio::test(start_paused = true)]
async fn the_variant_that_is_hot_is_the_one_that_is_refreshed() {
    let world = world(Origin::by(|asked: &Asked| fresh(&asked.h("accept-language")).h("vary", "accept-language")));
    let _guard = world.warm(world.plan());
    for _ in 0..3 {
        world.send(get("/x").h("accept-language", "zh-HK, en;q=0.5")).await;
    }
    world.send(get("/x").h("accept-language", "en")).await;
    tokio::time::sleep(seconds(61)).await;
    assert_eq!((world.origin.calls(), &*world.origin.last().h("accept-language")), (3, "zh-HK, en;q=0.5"));
    assert!(world.send(get("/x").h("accept-language", "zh-HK, en;q=0.5")).await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_one_identity_is_not_refreshed_without_its_credentials() {
    let rule = everywhere().per_identity("authorization".parse().unwrap());
    let world = World::running(Settings { rules: vec![rule], ..Settings::default() }, Origin::always(fresh("x")));
    let guard = world.warm(world.plan());
    for _ in 0..5 {
        world.send(get("/me").h("authorization", "Bearer alice")).await;
    }
    tokio::time::sleep(seconds(61)).await;
    assert_eq!((world.origin.calls(), guard.handle().report().ahead.waiting), (1, 0));
    let varied = World::running(Settings::default(), Origin::always(fresh("x").h("vary", "cookie")));
    let _guard = varied.warm(varied.plan());
    for _ in 0..5 {
        varied.send(get("/me").h("cookie", "session=1")).await;
    }
    tokio::time::sleep(seconds(61)).await;
    assert_eq!(varied.origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_purged_or_replaced_meanwhile_is_not_refreshed() {
    let world = world(Origin::always(fresh("x")));
    let _guard = world.warm(world.plan());
    for _ in 0..5 {
        world.get("/a").await;
        world.get("/b").await;
    }
    world.cache.invalidate_all(Level::Invalid);
    world.get("/b").await;
    tokio::time::sleep(seconds(58)).await;
    assert_eq!(world.origin.calls(), 3, "/a and /b, and /b again after the purge");
}

#[tokio::test(start_paused = true)]
async fn copies_that_were_stored_together_are_not_refreshed_together() {
    let world = world(Origin::always(fresh("x").after(10)));
    let _guard = world.warm(world.plan());
    for at in 0..40 {
        for _ in 0..3 {
            world.get(&format!("/{at}")).await;
        }
    }
    let mut busy = 0;
    for _ in 0..60 {
        let before = world.origin.calls();
        tokio::time::sleep(seconds(1)).await;
        busy += u32::from(world.origin.calls() > before);
    }
    assert!(world.origin.calls() == 80 && busy >= 4, "{busy} seconds, {} calls", world.origin.calls());
}

#[tokio::test(start_paused = true)]
async fn it_can_be_switched_off_and_groups_still_run() {
    let world = world(Origin::always(fresh("x")));
    let mut settings = WarmSettings { groups: vec![Group::new("g").every(seconds(30)).request("/g").unwrap()], ..WarmSettings::default() };
    settings.refresh_ahead.hits = 0;
    let guard = world.warm(world.plan().settings(settings));
    for _ in 0..5 {
        world.get("/hot").await;
    }
    tokio::time::sleep(seconds(59)).await;
    assert_eq!(guard.handle().report().ahead.waiting, 0);
    assert_eq!(world.origin.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn hot_keys_without_end_do_not_keep_groups_from_their_turn() {
    let world = world(Origin::always(fresh("x")));
    let settings = WarmSettings { max_rate: 10, ..WarmSettings::default() };
    let group = (0..20).fold(Group::new("g").only_on_demand(), |group, at| group.request(&format!("/planned/{at}")).unwrap());
    let guard = world.warm(world.plan().settings(settings).host("example.com".parse().unwrap()).group(group));
    for at in 0..2000 {
        for _ in 0..3 {
            world.get(&format!("/hot/{at}")).await;
        }
    }
    tokio::time::sleep(seconds(61)).await;
    let job = guard.handle().run(None, false).await.unwrap().unwrap();
    assert!(guard.handle().report().ahead.waiting > 500, "more is due than may go");
    tokio::time::sleep(seconds(6)).await;
    assert!(job.has_ended(), "{:?}", job.fates());
}
