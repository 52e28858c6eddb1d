//! What a shared cache is for: validation, HEAD, ranges, partitions, variants, headers, trailers.

use crate::house::{House, answer, fresh, status};
use crate::origin::{Act, Origin, Then};
use std::time::Duration;
use warmfront::Rule;

const DIGITS: &str = "0123456789";

async fn digits() -> (Origin, House) {
    let origin = Origin::always(answer("Cache-Control: max-age=60|ETag: \"d\"|Content-Type: text/plain", DIGITS)).await;
    let house = House::before(&origin).await;
    house.get("/").await;
    house.stores(1).await;
    (origin, house)
}

#[tokio::test]
async fn a_client_with_a_copy_gets_304_from_the_cache() {
    let (origin, house) = digits().await;
    for field in ["If-None-Match: \"d\"", "If-None-Match: W/\"d\"", "If-None-Match: \"x\", \"d\"", "If-None-Match: *"] {
        let response = house.ask("GET /", &[field]).await;
        assert_eq!((response.status, response.body.len()), (304, 0), "{field}");
        assert_eq!((response.all("etag"), response.all("content-length").len()), (vec!["\"d\""], 0));
        assert_eq!(house.ask("HEAD /", &[field]).await.status, 304, "{field}");
    }
    let both = house.ask("GET /", &["If-None-Match: \"x\"", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"]).await;
    assert_eq!(both.status, 200, "If-None-Match decides alone");
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_304_of_the_origin_freshens_and_the_clients_own_conditions_are_answered_here() {
    let origin = Origin::start(|request, number| match request.all("if-none-match")[..] {
        ["\"v1\""] => Act::send("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nCache-Control: max-age=60\r\nX-New: yes\r\n\r\n", Then::Keep),
        [] if number == 0 => answer("Cache-Control: max-age=10|ETag: \"v1\"|X-New: no", "body"),
        ref other => panic!("asked with {other:?}"),
    })
    .await;
    let house = House::before(&origin).await;
    house.get("/").await;
    house.stores(1).await;
    house.clock.advance(Duration::from_secs(11));
    let response = house.ask("GET /", &["If-None-Match: \"of-the-client\""]).await;
    assert_eq!((response.status, response.text(), response.all("x-new")), (200, "body", vec!["yes"]));
    let hit = house.ask("GET /", &["If-None-Match: \"v1\""]).await;
    assert!(hit.status == 304 && hit.is_hit());
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test]
async fn a_changed_200_replaces_what_is_stored() {
    let origin =
        Origin::start(|_, number| answer(&format!("Cache-Control: max-age=10|ETag: \"v{number}\""), &format!("body {number}"))).await;
    let house = House::before(&origin).await;
    for expected in ["body 0", "body 1", "body 2"] {
        assert_eq!(house.get("/").await.text(), expected);
        house.stores(1).await;
        let hit = house.get("/").await;
        assert!(hit.is_hit() && hit.text() == expected);
        house.clock.advance(Duration::from_secs(11));
    }
}

#[tokio::test]
async fn head_is_answered_from_a_stored_get_and_never_fills() {
    let origin = Origin::start(|request, _| match request.line().starts_with("HEAD") {
        true => Act::send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n", Then::Keep),
        false => fresh(DIGITS),
    })
    .await;
    let house = House::before(&origin).await;
    let head = house.ask("HEAD /", &[]).await;
    assert_eq!((head.status, head.all("content-length")), (200, vec!["10"]));
    let get = house.get("/").await;
    assert_eq!((get.text(), get.is_hit()), (DIGITS, false));
    house.stores(1).await;
    let head = house.ask("HEAD /", &[]).await;
    assert!(head.is_hit() && head.all("content-length") == ["10"]);
    let mut client = house.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(client.response_to("HEAD").await.unwrap().body.is_empty());
    assert_eq!(client.response().await.unwrap().text(), DIGITS, "no byte of a body came behind the HEAD");
}

#[tokio::test]
async fn a_head_that_tells_of_another_length_makes_the_stored_get_stale() {
    let origin = Origin::start(|request, _| match request.line().starts_with("HEAD") {
        true => Act::send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 99\r\nETag: \"new\"\r\n\r\n", Then::Keep),
        false => answer("Cache-Control: max-age=60|ETag: \"old\"", DIGITS),
    })
    .await;
    let house = House::before(&origin).await;
    house.get("/").await;
    house.stores(1).await;
    assert!(house.ask("HEAD /", &["Cache-Control: no-cache"]).await.status == 200);
    assert!(!house.get("/").await.is_hit());
}

#[tokio::test]
async fn ranges_come_from_what_is_stored() {
    let (origin, house) = digits().await;
    for (range, expected, content_range) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=5-999", "56789", "bytes 5-9/10"),
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-3,3-5", "2345", "bytes 2-5/10"),
    ] {
        let response = house.ask("GET /", &[&format!("Range: {range}")]).await;
        assert_eq!((response.status, response.text(), response.all("content-range")), (206, expected, vec![content_range]), "{range}");
    }
    let beyond = house.ask("GET /", &["Range: bytes=10-"]).await;
    assert_eq!((beyond.status, beyond.all("content-range")), (416, vec!["bytes */10"]));
    let several = house.ask("GET /", &["Range: bytes=0-1,5-6"]).await;
    assert!(several.status == 206 && several.all("content-type")[0].starts_with("multipart/byteranges"));
    assert!(
        several.complete && several.text().contains("\r\n\r\n01\r\n") && several.text().contains("\r\n\r\n56\r\n"),
        "{}",
        several.text()
    );
    for (fields, expected) in [
        (["Range: bytes=0-1", "If-Range: \"d\""], 206),
        (["Range: bytes=0-1", "If-Range: \"x\""], 200),
        (["Range: bytes=0-1", "If-Range: W/\"d\""], 200),
        (["Range: bytes=5-2", "X: y"], 200),
        (["Range: lines=0-1", "X: y"], 200),
        (["Range: bytes=0-1", "Range: bytes=2-3"], 200),
    ] {
        assert_eq!(house.ask("GET /", &fields).await.status, expected, "{fields:?}");
    }
    assert_eq!(house.ask("HEAD /", &["Range: bytes=0-1"]).await.status, 200, "HEAD has no ranges");
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_range_request_does_not_multiply_what_is_sent() {
    let body = "x".repeat(100_000);
    let origin = Origin::always(answer("Cache-Control: max-age=60", &body)).await;
    let house = House::before(&origin).await;
    house.get("/").await;
    house.stores(1).await;
    let many = (0..1000).map(|_| "0-").collect::<Vec<_>>().join(",");
    let apart = (0..1000).map(|at| format!("{}-{}", at * 2, at * 2)).collect::<Vec<_>>().join(",");
    for set in [many, apart, "0-,0-,0-,0-,0-".to_owned(), "0-99999,1-99998,2-99997".to_owned()] {
        let response = house.ask("GET /", &[&format!("Range: bytes={set}")]).await;
        assert!(response.complete && response.body.len() <= body.len(), "{} bytes for {} of ranges", response.body.len(), set.len());
    }
}

#[tokio::test]
async fn a_206_of_the_origin_never_answers_for_the_whole() {
    let origin = Origin::start(|request, _| match request.all("range")[..] {
        [_] => Act::send(
            "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nETag: \"d\"\r\nContent-Range: bytes 0-3/10\r\nContent-Length: 4\r\n\r\n0123",
            Then::Keep,
        ),
        _ => answer("Cache-Control: max-age=60|ETag: \"d\"", DIGITS),
    })
    .await;
    let house = House::before(&origin).await;
    let part = house.ask("GET /", &["Range: bytes=0-3"]).await;
    assert_eq!((part.status, part.text()), (206, "0123"));
    let whole = house.get("/").await;
    assert_eq!((whole.status, whole.text()), (200, DIGITS));
    assert_eq!(house.ask("GET /", &["Range: bytes=5-6"]).await.text(), "56");
}

#[tokio::test]
async fn a_206_that_nobody_asked_for_is_not_stored() {
    let origin = Origin::always(Act::send(
        "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nContent-Range: bytes 0-3/10\r\nContent-Length: 4\r\n\r\n0123",
        Then::Keep,
    ))
    .await;
    let house = House::before(&origin).await;
    house.get("/").await;
    house.get("/").await;
    assert_eq!((origin.requests().len(), house.cache.stats().entries), (2, 0));
}

#[tokio::test]
async fn what_is_keyed_is_what_the_origin_was_asked() {
    let origin = Origin::start(|request, _| fresh(request.line().split(' ').nth(1).unwrap())).await;
    let house = House::with(origin.address, |_, _, settings| {
        let mut rule = Rule::path("/sorted/**").unwrap();
        let mut key = settings.key.clone();
        (key.query_sort, key.query_ignore) = (true, vec!["utm_*".into(), "fbclid".into()]);
        rule.key = Some(key);
        settings.rules.push(rule);
    })
    .await;
    for (asked, seen) in [
        ("/sorted/x?b=2&utm_source=evil&a=1", "/sorted/x?a=1&b=2"),
        ("/sorted/x?fbclid=1", "/sorted/x"),
        ("/sorted/x?utm_a", "/sorted/x"),
        ("/sorted/x?", "/sorted/x?"),
        ("/sorted/x?a=2&a=1", "/sorted/x?a=2&a=1"),
        ("/sorted/x?a=1;utm_b=2&c", "/sorted/x?a=1;utm_b=2&c"),
        ("/exact?b=2&utm_source=x&a=1", "/exact?b=2&utm_source=x&a=1"),
    ] {
        let response = house.get(asked).await;
        assert_eq!(response.text(), seen, "the origin saw what is keyed: {asked}");
        assert_eq!(house.get(asked).await.text(), seen, "{asked}");
    }
    assert!(house.get("/sorted/x?utm_z=1&a=1&b=2").await.is_hit());
    assert!(!house.get("/exact?a=1&b=2&utm_source=x").await.is_hit());
}

#[tokio::test]
async fn identities_never_meet() {
    let origin = Origin::start(|request, _| {
        let who = request.all("authorization").join("+");
        answer("Cache-Control: max-age=60", &format!("for {who}"))
    })
    .await;
    let house = House::with(origin.address, |_, _, settings| {
        settings.rules.push(Rule::path("/me/**").unwrap().per_identity(http::header::AUTHORIZATION));
    })
    .await;
    for _ in 0..2 {
        for (fields, expected) in [
            (&["Authorization: alice"][..], "for alice"),
            (&["Authorization: bob"], "for bob"),
            (&["Authorization: alice", "Authorization: bob"], "for alice+bob"),
            (&["Authorization: alicebob"], "for alicebob"),
            (&["Authorization:"], "for "),
            (&[], "for "),
        ] {
            assert_eq!(house.ask("GET /me/x", fields).await.text(), expected);
        }
    }
    let asked = origin.requests().len();
    assert!(house.ask("GET /me/x", &["Authorization: alice"]).await.is_hit());
    assert_eq!(origin.requests().len(), asked);
    // Without the rule, RFC 9111 section 3.5 decides.
    for _ in 0..2 {
        assert_eq!(house.ask("GET /other", &["Authorization: alice"]).await.text(), "for alice");
        assert_eq!(house.ask("GET /other", &["Authorization: bob"]).await.text(), "for bob");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_identities_never_boards_anothers_flight() {
    let origin = Origin::start(|request, _| {
        let who = request.all("authorization").join("+");
        answer("Cache-Control: max-age=60", &who).after(crate::house::millis(60))
    })
    .await;
    let house = std::sync::Arc::new(
        House::with(origin.address, |_, _, settings| {
            settings.rules.push(Rule::path("/me/**").unwrap().per_identity(http::header::AUTHORIZATION));
        })
        .await,
    );
    let mut asking = Vec::new();
    for at in 0..60 {
        let house = house.clone();
        asking.push(tokio::spawn(async move {
            let who = format!("user{}", at % 6);
            let path = if at % 2 == 0 { "/me/x" } else { "/plain" };
            assert_eq!(house.ask(&format!("GET {path}"), &[&format!("Authorization: {who}")]).await.text(), who);
        }));
    }
    for one in asking {
        one.await.unwrap();
    }
}

#[tokio::test]
async fn credentials_and_cookies_are_not_shared() {
    let origin = Origin::start(|request, number| match request.line().split(' ').nth(1).unwrap() {
        "/cookie" => answer(&format!("Cache-Control: max-age=60|Set-Cookie: sid={number}"), &number.to_string()),
        "/public" => answer("Cache-Control: public, max-age=60", &number.to_string()),
        "/s-maxage" => answer("Cache-Control: s-maxage=60", &number.to_string()),
        "/revalidated" => answer("Cache-Control: max-age=60, must-revalidate", &number.to_string()),
        _ => answer("Cache-Control: max-age=60", &number.to_string()),
    })
    .await;
    let house = House::before(&origin).await;
    for (path, hit) in [("/cookie", false), ("/plain", false), ("/public", true), ("/s-maxage", true), ("/revalidated", true)] {
        let first = house.ask(&format!("GET {path}"), &["Authorization: a"]).await;
        let second = house.ask(&format!("GET {path}"), &["Authorization: b"]).await;
        assert_eq!((second.is_hit(), first.text() == second.text()), (hit, hit), "{path}");
    }
    assert_ne!(house.get("/cookie").await.text(), house.get("/cookie").await.text());
}

#[tokio::test]
async fn variants_are_chosen_by_what_the_origin_names() {
    let origin = Origin::start(|request, _| {
        let seen = format!("{}|{}", request.all("accept-encoding").join(","), request.all("x-role").join(","));
        answer("Cache-Control: max-age=60|Vary: Accept-Encoding|Vary: X-Role", &seen)
    })
    .await;
    let house = House::before(&origin).await;
    for (fields, expected, hit) in [
        (&["Accept-Encoding: gzip, br"][..], "gzip, br|", false),
        (&["Accept-Encoding: br,GZIP"], "gzip, br|", true),
        (&["Accept-Encoding: br"], "br|", false),
        (&["Accept-Encoding: br", "X-Role: a"], "br|a", false),
        (&["Accept-Encoding: br", "X-Role: A"], "br|A", false),
        (&["Accept-Encoding: br", "X-Role: a"], "br|a", true),
        (&[], "|", false),
    ] {
        let response = house.ask("GET /", fields).await;
        assert_eq!((response.text(), response.is_hit()), (expected, hit), "{fields:?}");
    }
    let star = Origin::start(|_, number| answer("Cache-Control: max-age=60|Vary: *", &number.to_string())).await;
    let house = House::before(&star).await;
    assert_ne!(house.get("/").await.text(), house.get("/").await.text());
}

#[tokio::test]
async fn variants_of_a_key_are_bounded() {
    let origin = Origin::start(|request, _| answer("Cache-Control: max-age=60|Vary: X-Any", request.all("x-any")[0])).await;
    let house = House::with(origin.address, |_, _, settings| settings.max_variants = 4).await;
    for at in 0..200 {
        assert_eq!(house.ask("GET /", &[&format!("X-Any: {at}")]).await.text(), at.to_string());
    }
    assert!(house.cache.stats().bytes < 20_000, "{}", house.cache.stats().bytes);
    assert!(house.ask("GET /", &["X-Any: 199"]).await.is_hit());
    assert!(!house.ask("GET /", &["X-Any: 3"]).await.is_hit());
}

#[tokio::test]
async fn hop_by_hop_and_nominated_fields_of_the_origin_are_not_stored_and_the_rest_is_kept_line_by_line() {
    let origin = Origin::always(answer(
        "Cache-Control: max-age=60|Connection: X-Hop, close|X-Hop: secret|Keep-Alive: timeout=3|Proxy-Authenticate: Basic|Link: <a>|Link: <b>|Via: 1.1 inner|X-Kept: yes",
        "x",
    ))
    .await;
    let house = House::before(&origin).await;
    for hit in [false, true] {
        let response = house.get("/").await;
        assert_eq!(response.is_hit(), hit);
        for gone in ["x-hop", "keep-alive", "proxy-authenticate", "connection"] {
            assert!(response.all(gone).is_empty(), "{gone} (hit: {hit})");
        }
        assert_eq!((response.all("link"), response.all("x-kept")), (vec!["<a>", "<b>"], vec!["yes"]));
        assert_eq!(response.all("via"), ["1.1 inner", "1.1 warmfront"], "hit: {hit}");
        assert_eq!((response.all("date").len(), response.all("age").len()), (1, usize::from(hit)));
    }
}

#[tokio::test]
async fn age_counts_what_was_spent_upstream_and_here() {
    let origin = Origin::always(answer("Cache-Control: max-age=60|Age: 20", "x")).await;
    let house = House::before(&origin).await;
    assert_eq!(house.get("/").await.all("age"), ["20"]);
    house.clock.advance(Duration::from_secs(5));
    assert_eq!(house.get("/").await.all("age"), ["25"]);
    house.clock.advance(Duration::from_secs(36));
    assert!(!house.get("/").await.is_hit());
}

#[tokio::test]
async fn trailers_are_kept_on_a_miss_and_on_a_hit() {
    let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n";
    let origin = Origin::always(Act::send(answer, Then::Keep)).await;
    let house = House::before(&origin).await;
    for hit in [false, true, true] {
        for (te, expected) in [("TE: trailers\r\nConnection: TE, close\r\n", true), ("Connection: close\r\n", false)] {
            let mut client = house.client().await;
            client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{te}\r\n")).await;
            let all = String::from_utf8(client.rest().await).unwrap();
            assert!(all.contains("abc"), "{all}");
            assert_eq!(all.contains("x-sum: 7"), expected, "hit: {hit}\n{all}");
        }
        house.stores(1).await;
    }
    let mut old = house.client().await;
    old.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n").await;
    assert_eq!(old.response().await.unwrap().text(), "abc");
}

#[tokio::test]
async fn nothing_without_freshness_or_validator_is_reused() {
    let origin = Origin::start(|_, number| answer("", &number.to_string())).await;
    let house = House::before(&origin).await;
    for expected in ["0", "1", "2"] {
        assert_eq!(house.get("/").await.text(), expected);
    }
    assert_eq!(house.cache.stats().entries, 0);
}

#[tokio::test]
async fn a_targeted_field_replaces_the_others_and_still_reaches_the_client() {
    let origin = Origin::start(|request, number| match request.line().split(' ').nth(1).unwrap() {
        "/cdn" => answer("Cache-Control: no-store|CDN-Cache-Control: max-age=60", &number.to_string()),
        "/ours" => answer("CDN-Cache-Control: no-store|Warmfront-Cache-Control: max-age=60", &number.to_string()),
        "/broken" => answer("Cache-Control: no-store|CDN-Cache-Control: max-age=60, &&&", &number.to_string()),
        _ => answer("Cache-Control: max-age=60|CDN-Cache-Control: no-store", &number.to_string()),
    })
    .await;
    let house = House::before(&origin).await;
    for (path, hit) in [("/cdn", true), ("/ours", true), ("/broken", false), ("/forbidden", false)] {
        let first = house.get(path).await;
        assert!(!first.all("cdn-cache-control").is_empty());
        assert_eq!(house.get(path).await.is_hit(), hit, "{path}");
    }
}

#[tokio::test]
async fn statuses_without_content_are_stored_and_stay_without() {
    let origin = Origin::start(|request, _| match request.line().split(' ').nth(1).unwrap() {
        "/204" => Act::send("HTTP/1.1 204 No Content\r\nCache-Control: max-age=60\r\n\r\n", Then::Keep),
        "/301" => status("301 Moved", "Cache-Control: max-age=60|Location: /x", ""),
        _ => status("404 No", "Cache-Control: max-age=60", "not here"),
    })
    .await;
    let house = House::before(&origin).await;
    let mut client = house.client().await;
    for round in 0..2 {
        for (path, expected, length) in [("/204", 204, None), ("/301", 301, Some("0")), ("/404", 404, Some("8"))] {
            let response = client.get(path).await;
            assert_eq!((response.status, response.all("content-length").first().copied()), (expected, length), "{path}");
            assert_eq!(response.is_hit(), round == 1, "{path}");
        }
    }
}
