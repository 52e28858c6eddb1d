//! What changes, changes the very next answer; and nobody gets what is another's.

use super::{ROWS, has_hits, target, used};
use crate::client::{Client, Response};
use crate::house::{House, answer, fresh, request};
use crate::origin::{Origin, Received};
use crate::process::{Folder, Running};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;
use warmfront::cache::settings::KeySettings;
use warmfront::sidecar::settings::{Forwarded, RateKey, RateLimit, ServerSettings, UpstreamSettings};
use warmfront::telemetry::Refusal;
use warmfront::{Level, Rule, Settings};

/// Answers each request with its number.
async fn counting() -> Origin {
    Origin::start(|_, number| fresh(&number.to_string())).await
}

fn ruled(rule: Rule) -> Settings {
    Settings { rules: vec![rule], ..Settings::default() }
}

/// What the next answer on a connection is, which has just had hits, after `change`: of a hit `None`, else what `Cache-Status` says.
async fn after(change: impl AsyncFn(&House)) -> Vec<Option<String>> {
    let mut all = Vec::new();
    for row in ROWS {
        let origin = counting().await;
        let house = House::before(&origin).await;
        let mut client = used(&house, row).await;
        change(&house).await;
        let asked = origin.requests().len();
        let next = client.get("/used").await;
        assert_eq!((next.status, next.complete), (200, true));
        assert_eq!(next.is_hit(), origin.requests().len() == asked, "{}", next.cache());
        assert!(next.is_hit() || next.text() == asked.to_string(), "{}", next.text());
        all.push((!next.is_hit()).then(|| next.cache().to_owned()));
    }
    all
}

#[tokio::test]
async fn what_is_invalidated_is_no_hit_any_more() {
    for level in [Level::Dead, Level::Invalid, Level::Stale] {
        for ways in [
            after(async |house| assert_eq!(house.cache.invalidate(&"http://h/used".parse().unwrap(), level), 1)).await,
            after(async |house| house.cache.invalidate_prefix("/us", level)).await,
            after(async |house| house.cache.invalidate_everywhere(&"/used".parse().unwrap(), level)).await,
            after(async |house| house.cache.invalidate_all(level)).await,
        ] {
            assert!(ways.iter().all(Option::is_some), "{level:?}: {ways:?}");
        }
    }
    let changed = after(async |house| assert_eq!(house.send("POST /used", &[], "x").await.status, 200)).await;
    assert!(changed.iter().all(Option::is_some), "{changed:?}");
    let others = after(async |house| assert_eq!(house.send("POST /other", &[], "x").await.status, 200)).await;
    assert_eq!(others, [None, None]);
}

#[tokio::test]
async fn it_expires_to_the_second() {
    for (seconds, gone) in [(59, false), (60, true), (600, true)] {
        let found = after(async |house| house.clock.advance(Duration::from_secs(seconds))).await;
        assert!(found.iter().all(|found| found.is_some() == gone), "{seconds}: {found:?}");
    }
}

#[tokio::test]
async fn other_rules_are_in_force_at_once() {
    let path = |path| Rule::path(path).unwrap();
    for (settings, expected) in [
        (Settings::default(), None),
        (ruled(path("/other").pass()), None),
        (ruled(path("/us*").pass()), Some("warmfront; fwd=bypass; detail=rule")),
        (Settings { enabled: false, ..Settings::default() }, Some("warmfront; fwd=bypass; detail=disabled")),
        (ruled(path("/used").per_identity("authorization".parse().unwrap())), Some("warmfront; fwd=uri-miss")),
        (ruled(path("/used").per_identity("x-forwarded-for".parse().unwrap())), Some("warmfront; fwd=uri-miss")),
    ] {
        let found = after(async |house| assert!(house.cache.reload(settings.clone()))).await;
        for found in found {
            let begins = expected.zip(found.as_deref()).is_some_and(|(expected, found)| found.starts_with(expected));
            assert!(begins || found.is_none() && expected.is_none(), "{found:?} is not {expected:?}");
        }
    }
}

#[tokio::test]
async fn what_a_query_means_is_asked_of_the_rule_in_force() {
    let origin = counting().await;
    let house = House::before(&origin).await;
    for row in ROWS {
        house.cache.reload(Settings::default());
        let mut client = used(&house, row).await;
        house.get("/q").await;
        let number = client.get("/q?utm_x=1").await.text().to_owned();
        has_hits(&mut client, "/q?utm_x=1", row).await;
        let key = KeySettings { query_ignore: vec!["utm_*".to_owned()], query_sort: true };
        house.cache.reload(Settings { key, ..Settings::default() });
        let hit = client.get("/q?utm_x=1").await;
        assert!(hit.is_hit() && hit.text() != number, "that of the path without a query");
        assert_eq!(client.get("/q").await.text(), hit.text());
        house.cache.invalidate_all(Level::Dead);
    }
}

/// A rate in force from now on.
fn limit(house: &House, origin: &Origin, rate_limit: RateLimit) {
    let server = ServerSettings { rate_limit, ..ServerSettings::default() };
    house.sidecar.reload(server, UpstreamSettings::new(origin.address.to_string().parse().unwrap()));
}

/// How many are answered before one is refused, which says when to come again; what comes back by the second is not told apart on a slow machine.
async fn allowed(client: &mut Client, fields: &[&str], burst: u32) {
    let began = Instant::now();
    let mut count = 0;
    let refused = loop {
        let response = client.ask("GET /used", fields).await;
        if response.status != 200 {
            break response;
        }
        assert!(response.is_hit());
        count += 1;
        assert!(count <= burst + 30, "nothing is refused");
    };
    assert!(count >= burst && u64::from(count - burst) <= began.elapsed().as_secs(), "{count} instead of {burst}");
    assert_eq!((refused.status, refused.all("retry-after")), (429, vec!["1"]));
}

#[tokio::test]
async fn a_hit_counts_once_among_those_of_its_client() {
    let origin = counting().await;
    let house = House::before(&origin).await;
    let rate = |burst, by| RateLimit { per_second: 1, burst, by };
    for (row, burst) in [(3, 5), (3, 50), (45, 5), (45, 50)] {
        limit(&house, &origin, RateLimit::default());
        let (mut client, mut other) = (used(&house, row).await, used(&house, row).await);
        limit(&house, &origin, rate(burst, RateKey::Client));
        allowed(&mut client, &[], burst).await;
        assert_eq!(other.get("/used").await.status, 429, "the same client on another connection");
        limit(&house, &origin, rate(burst, RateKey::Header("x-who".parse().unwrap())));
        for who in ["X-Who: a", "X-Who: b"] {
            allowed(&mut client, &[who], burst).await;
        }
        while client.ask("GET /used", &["X-Who: a"]).await.status == 200 {} // one more for each second that has passed
        let before = house.sidecar.refused(Refusal::RateLimited);
        assert_eq!(other.ask("GET /used", &["X-Who: a"]).await.status, 429);
        assert_eq!(house.sidecar.refused(Refusal::RateLimited), before + 1);
        limit(&house, &origin, RateLimit::default());
        has_hits(&mut client, "/used", 40).await;
    }
    assert_eq!(origin.requests().len(), 1);
}

/// The values of a field of the request.
fn says(received: &Received, name: &str) -> String {
    format!("{}: {}", target(received.line()), received.all(name).join("|"))
}

/// Asks on one connection as two by turns, so often in a row each, and has each get its own.
async fn by_turns(house: &House, path: &str, name: &str) {
    let mut client = house.client().await;
    for (round, row) in [1, 2, 3, 4, 45, 1, 45, 3].into_iter().enumerate() {
        for who in ["alice", "carol", "bob", ""] {
            let field = format!("{name}: {who}");
            let fields = if who.is_empty() { &[][..] } else { &[&*field] };
            for number in 0..row {
                let response = client.ask(&format!("GET {path}"), fields).await;
                assert_eq!(response.text(), format!("{path}: {who}"), "{name}, number {number} in round {round}");
                assert!(round == 0 || response.is_hit(), "{name}, number {number} in round {round}: {}", response.cache());
            }
        }
    }
    // And without waiting for the answers.
    let who = |number: usize| ["alice", "alice", "alice", "carol", "alice", "carol", "bob"][number % 7];
    let all: String = (0..70).map(|number| request(&format!("GET {path}"), &[&format!("{name}: {}", who(number))], "")).collect();
    client.send(all).await;
    for number in 0..70 {
        assert_eq!(client.response().await.unwrap().text(), format!("{path}: {}", who(number)), "{name}, number {number}");
    }
}

#[tokio::test]
async fn two_who_take_turns_on_one_connection_get_each_their_own() {
    let origin = Origin::start(|received, _| fresh(&says(received, "authorization"))).await;
    let house = House::with(origin.address, |_, _, settings| {
        let rule = Rule::path("/me").unwrap().per_identity("authorization".parse().unwrap()).ttl(Duration::from_secs(60));
        settings.rules = vec![rule];
    })
    .await;
    by_turns(&house, "/me", "Authorization").await;
    for name in ["Accept-Language", "Cookie", "X-Any"] {
        let origin = Origin::start(move |received, _| {
            answer(&format!("Cache-Control: max-age=60|Vary: {name}"), &says(received, &name.to_ascii_lowercase()))
        })
        .await;
        by_turns(&House::before(&origin).await, "/vary", name).await;
    }
}

/// A connection from an address of this machine.
async fn from(house: &House, last: u8) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0).into()).unwrap();
    Client::from(socket.connect(house.address).await.unwrap())
}

#[tokio::test]
async fn what_varies_by_the_client_is_given_to_no_other_whatever_hits_there_were() {
    for row in ROWS {
        let origin = Origin::start(|received, _| match target(received.line()) {
            "/whom" => answer("Cache-Control: max-age=60|Vary: X-Forwarded-For", &received.all("x-forwarded-for").join(", ")),
            other => fresh(other),
        })
        .await;
        let house = House::before(&origin).await;
        let (mut one, mut two) = (from(&house, 1).await, from(&house, 2).await);
        for client in [&mut one, &mut two] {
            client.get("/used").await;
            has_hits(client, "/used", row).await;
        }
        for round in 0..40 {
            for (client, expected) in [(&mut one, "127.0.0.1"), (&mut two, "127.0.0.2")] {
                let whom = client.get("/whom").await;
                assert_eq!(whom.text(), expected, "round {round}");
                assert!(round < 2 || whom.is_hit(), "round {round}: {}", whom.cache());
                assert!(client.get("/used").await.is_hit());
            }
        }
    }
}

#[tokio::test]
async fn what_a_trusted_proxy_says_of_a_client_is_not_taken_for_that_client() {
    for row in ROWS {
        let origin = Origin::start(|received, _| match target(received.line()) {
            "/whom" => answer("Cache-Control: max-age=60|Vary: X-Forwarded-For", &received.all("x-forwarded-for").join(", ")),
            other => fresh(other),
        })
        .await;
        let house = House::with(origin.address, |server, upstream, _| {
            (server.trusted_proxies, upstream.forwarded) = (vec!["127.0.0.1/32".parse().unwrap()], Forwarded::Append);
        })
        .await;
        let (mut proxy, mut client) = (from(&house, 1).await, from(&house, 2).await);
        let named = ["X-Forwarded-For: 127.0.0.2"];
        for _ in 0..row + 2 {
            proxy.ask("GET /used", &named).await;
        }
        for round in 0..3 {
            assert_eq!(client.get("/whom").await.text(), "127.0.0.2", "round {round} after {row}");
            for _ in 0..3 {
                assert_eq!(proxy.ask("GET /whom", &named).await.text(), "127.0.0.2, 127.0.0.1", "round {round} after {row}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_warm_up_of_users_answers_for_its_path_whatever_is_stored_for_it() {
    let path = "/api/user/warmup";
    for (at, row) in ROWS.into_iter().enumerate() {
        let origin = counting().await;
        let file = |more: &str| format!("[server]\nlisten = \"127.0.0.1:0\"\n[upstream]\nurls = [\"http://{}\"]\n{more}", origin.address);
        let folder = Folder::new(&format!("hits-user-{at}"));
        folder.write("warmfront.toml", &file(""));
        let process = Running::start(folder.path(), &["run"], &[]);
        let mut client = Client::connect(process.address()).await;
        let ask =
            async |client: &mut Client, target: &str| -> Response { client.ask(&format!("GET {target}"), &["Authorization: a"]).await };
        for target in [path, "/api/user/warmup?x", "/api/user/other"] {
            // Stored by who is nobody: what is answered to credentials is not stored.
            client.get(target).await;
        }
        for _ in 0..row + 2 {
            assert!(client.get(path).await.is_hit() && client.get("/api/user/warmup?x").await.is_hit());
        }
        folder.write("warmfront.toml", &file("[warm.user]\nrequests = [\"/api/me\"]\n"));
        process.signal("HUP");
        tokio::task::block_in_place(|| process.wait_for("reloaded warmfront.toml"));
        for target in [path, "/api/user/warmup?x"] {
            let answer = client.get(target).await;
            assert_eq!((answer.status, answer.all("www-authenticate")), (401, vec!["Bearer"]), "{target} after {row}: {}", answer.text());
        }
        assert!(ask(&mut client, path).await.text().contains("\"isWarmedUp\":false"));
        assert!(client.get("/api/user/other").await.is_hit());
        folder.write("warmfront.toml", &file(""));
        process.signal("HUP");
        tokio::task::block_in_place(|| process.wait_for("reloaded warmfront.toml"));
        assert!(client.get(path).await.is_hit(), "and what is stored is there when it is switched off");
    }
}
