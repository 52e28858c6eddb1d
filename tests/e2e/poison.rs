//! What one client sends must not reach another: unkeyed input, errors that were provoked, pages that look static.

use crate::client::Client;
use crate::house::{House, answer, fresh, request, status};
use crate::origin::{Act, Origin, Received, Then};
use std::time::Duration;
use warmfront::Rule;

/// Echoes the whole request, as a framework does that builds links out of whatever it was told.
fn reflect(received: &Received) -> Act {
    answer("Cache-Control: max-age=60", &format!("{}\n{}", received.head, String::from_utf8_lossy(&received.body)))
}

/// What a client with nothing special sees of `/victim`, straight from the cache or not, without what names the connection.
async fn view(house: &House, path: &str) -> String {
    house.get(path).await.text().to_owned()
}

const OVERRIDES: [&str; 35] = [
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-For",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "X-Forwarded-Scheme",
    "X-Forwarded-Ssl",
    "X-Forwarded-Prefix",
    "X-Forwarded-Path",
    "X-Forwarded-Uri",
    "X-Forwarded",
    "Forwarded",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Original-URI",
    "X-Rewrite-URI",
    "X-Original-Host",
    "X-Original-Method",
    "X-Host",
    "X-HTTP-Host-Override",
    "X-HTTP-Path-Override",
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Url-Scheme",
    "X-Scheme",
    "Front-End-Https",
    "X_Forwarded_Host",
    "X_Forwarded_Proto",
    "X-Forwarded_Host",
    "X_Original_URL",
    "X_Http_Method_Override",
    "x_rewrite-url",
    "X-Override-URL",
    "X-Forwarded-By",
];

#[tokio::test]
async fn override_fields_of_a_stranger_reach_nobody_else() {
    let origin = Origin::start(|received, _| reflect(received)).await;
    let house = House::before(&origin).await;
    for field in OVERRIDES {
        let path = format!("/victim-{field}");
        house.ask(&format!("GET {path}"), &[&format!("{field}: evil.example")]).await;
        let seen = view(&house, &path).await;
        assert!(!seen.contains("evil.example"), "{field} reached another client:\n{seen}");
    }
}

#[tokio::test]
async fn the_same_holds_for_a_crowd_that_follows_the_attacker() {
    let origin = Origin::start(|received, _| reflect(received).after(crate::house::millis(60))).await;
    let house = House::before(&origin).await;
    for field in ["X-Forwarded-Host", "X-Original-URL", "X_Forwarded_Host", "X-HTTP-Host-Override"] {
        let path = format!("/victim-{field}");
        let asked = origin.requests().len();
        let mut attacker = house.client().await;
        attacker.send(request(&format!("GET {path}"), &[&format!("{field}: evil.example")], "")).await;
        crate::house::until("the attacker's question is put", || origin.requests().len() > asked).await;
        let seen = view(&house, &path).await;
        assert!(!seen.contains("evil.example"), "{field} reached a follower:\n{seen}");
    }
}

#[tokio::test]
async fn no_field_of_a_request_makes_its_answer_somebody_elses() {
    // Each pair must have keys of its own, or the same answer to the letter.
    let origin = Origin::start(|received, _| {
        answer("Cache-Control: max-age=60", &format!("{}|{}", received.line(), received.all("host").join(",")))
    })
    .await;
    let house = House::before(&origin).await;
    let asks = [
        ("/a", "h"),
        ("/a?", "h"),
        ("/a??", "h"),
        ("/a?b", "h"),
        ("/a%3Fb", "h"),
        ("/a%3fb", "h"),
        ("/a/", "h"),
        ("//a", "h"),
        ("/./a", "h"),
        ("/x/../a", "h"),
        ("/x/%2e%2e/a", "h"),
        ("/x/..%2fa", "h"),
        ("/%61", "h"),
        ("/A", "h"),
        ("/\\a", "h"),
        ("/x\\..\\a", "h"),
        ("/a;x", "h"),
        ("/a;jsessionid=1", "h"),
        ("/a%00", "h"),
        ("/a%23b", "h"),
        ("/a%0d%0aX:y", "h"),
        ("/a?b&c", "h"),
        ("/a?c&b", "h"),
        ("/a?b=&c", "h"),
        ("/a", "h:81"),
        ("/a", "h."),
        ("/a", "h.h"),
        ("/h/a", "h"),
        ("/a", "other"),
        ("http://other/a?x", "h"),
        ("http://h:81/a?x", "h"),
        ("http://h?x", "h"),
        ("/?x", "h"),
        ("/\u{e9}", "h"),
        ("/%C3%A9", "h"),
    ];
    let mut seen = std::collections::HashMap::new();
    for round in 0..2 {
        for (target, host) in asks {
            let mut client = house.client().await;
            client.send(request(&format!("GET {target}"), &[&format!("Host: {host}")], "")).await;
            let response = client.response().await.unwrap();
            if response.status == 400 {
                continue; // refused, which is safe as well
            }
            let text = response.text().to_owned();
            let (line, at) = text.split_once('|').unwrap();
            let sent = line.split(' ').nth(1).unwrap();
            let (expected_host, expected) = match target.strip_prefix("http://") {
                Some(rest) => {
                    let end = rest.find(['/', '?']).unwrap();
                    (
                        rest[..end].to_owned(),
                        if rest[end..].starts_with('?') { format!("/{}", &rest[end..]) } else { rest[end..].to_owned() },
                    )
                }
                None => (host.to_owned(), target.to_owned()),
            };
            assert_eq!((sent, at), (&*expected, &*expected_host), "round {round}: asked {target} of {host}");
            seen.insert((target, host), text);
        }
    }
    assert!(seen.len() >= 30, "{}", seen.len());
}

#[tokio::test]
async fn the_same_target_in_other_words_is_one_entry_and_asked_alike() {
    let origin = Origin::start(|received, _| {
        answer("Cache-Control: max-age=60", &format!("{}|{}", received.line(), received.all("host").join(",")))
    })
    .await;
    let house = House::before(&origin).await;
    house.get("/a").await;
    house.stores(1).await;
    for (target, host) in
        [("/a", "H"), ("/a", "h:80"), ("/a", "h:"), ("http://h/a", "evil"), ("http://H:80/a", "evil"), ("HTTP://h/a", "x")]
    {
        let response = house.ask(&format!("GET {target}"), &[&format!("Host: {host}")]).await;
        assert!(response.is_hit(), "{target} of {host}: {}", response.cache());
        assert_eq!(response.text(), "GET /a HTTP/1.1|h");
    }
    let mut old = house.client().await;
    old.send("GET /a HTTP/1.0\r\nHost: h\r\n\r\n").await;
    assert_eq!(old.response().await.unwrap().text(), "GET /a HTTP/1.1|h");
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn an_error_that_a_header_provoked_is_not_kept_for_others() {
    // A limit below ours, an origin that dislikes a field, and one that was told another method.
    let origin = Origin::start(|received, _| match () {
        () if received.head.len() > 8000 => status("431 Too Large", "", "too large"),
        () if received.head.len() > 4000 => status("400 Bad Request", "ETag: \"e\"|Last-Modified: Mon, 01 Jan 2001 00:00:00 GMT", "bad"),
        () if received.all("x-metachar").len() == 1 => status("500 Oops", "Last-Modified: Mon, 01 Jan 2001 00:00:00 GMT", "oops"),
        () if received.all("x-waf").len() == 1 => status("403 No", "Last-Modified: Mon, 01 Jan 2001 00:00:00 GMT", "blocked"),
        () if received.all("accept").first() == Some(&"x/y") => status("406 No", "ETag: \"e\"", "not acceptable"),
        () if received.all("if-match").len() == 1 => status("412 No", "", "failed"),
        () if received.all("range") == ["bytes=9-1"] || received.all("range") == ["bytes=cow"] => status("416 No", "", "range"),
        () if received.all("expect").len() == 1 => status("417 No", "", "expect"),
        () if received.all("upgrade").len() == 1 => status("426 Upgrade", "", "upgrade"),
        () => answer("", "the page"),
    })
    .await;
    // The most eager configuration: everything is kept for five minutes unless the origin forbids it.
    let house = House::with(origin.address, |_, _, settings| {
        settings.default_ttl = Duration::from_secs(300);
        let mut rule = Rule::path("/ruled/**").unwrap().ttl(Duration::from_secs(300)).override_origin();
        rule.stale_if_error = Some(Duration::from_secs(300));
        settings.rules.push(rule);
    })
    .await;
    let large = format!("X: {}", "x".repeat(5000));
    let larger = format!("X: {}", "x".repeat(9000));
    for (at, field) in [
        &*large,
        &*larger,
        "X-Metachar: \u{7}",
        "X-Metachar: 1",
        "X-Waf: <script>",
        "Accept: x/y",
        "If-Match: \"x\"",
        "Range: bytes=9-1",
        "Range: bytes=cow",
        "Expect: 100-continue",
        "Connection: upgrade\r\nUpgrade: x",
        "X-HTTP-Method-Override: DELETE",
    ]
    .into_iter()
    .enumerate()
    {
        for path in [format!("/victim-{at}"), format!("/ruled/victim-{at}")] {
            let mut attacker = house.client().await;
            attacker.send(request(&format!("GET {path}"), &[field], "")).await;
            let _ = attacker.response().await;
            let page = house.get(&path).await;
            assert_eq!((page.status, page.text()), (200, "the page"), "after {field:.60?} on {path}");
        }
    }
}

#[tokio::test]
async fn an_error_is_only_kept_where_the_origin_says_for_how_long() {
    for line in [
        "400 A", "401 B", "403 C", "404 D", "405 E", "410 F", "412 G", "414 H", "416 I", "429 J", "431 K", "500 L", "501 M", "502 N",
        "503 O", "504 P",
    ] {
        let origin = Origin::always(status(line, "", "error")).await;
        let house = House::with(origin.address, |_, _, settings| settings.default_ttl = Duration::from_secs(300)).await;
        house.get("/").await;
        house.get("/").await;
        assert_eq!(origin.requests().len(), 2, "{line}");
    }
}

#[tokio::test]
async fn a_private_page_under_a_static_name_stays_private() {
    // The origin takes the path up to a delimiter for the private page; rules are about what looks static.
    let origin = Origin::start(|received, _| {
        let who = received.all("cookie").join("");
        answer("Cache-Control: private, max-age=60", &format!("account of {who}"))
    })
    .await;
    let house = House::with(origin.address, |_, _, settings| {
        for pattern in ["/static/**", "/**/*.css", "/**/*.js"] {
            settings.rules.push(Rule::path(pattern).unwrap().ttl(Duration::from_secs(3600)).override_origin());
        }
    })
    .await;
    for path in [
        "/account/x.css",
        "/account%2fx.css",
        "/account;x.css",
        "/account%00.css",
        "/account%0a.css",
        "/account%3fx.css",
        "/account%23/x.js",
        "/static/..%2faccount",
        "/static/../account",
        "/static/%2e%2e/account",
        "/static\\..\\account",
        "/static//account",
    ] {
        let mine = house.ask(&format!("GET {path}"), &["Cookie: victim"]).await;
        assert_eq!(mine.text(), "account of victim");
        let theirs = house.ask(&format!("GET {path}"), &["Cookie: attacker"]).await;
        assert_eq!(theirs.text(), "account of attacker", "{path}");
    }
    assert_eq!(house.cache.stats().entries, 0);
}

#[tokio::test]
async fn a_get_with_content_neither_fills_nor_is_answered_from_the_cache() {
    let origin = Origin::start(|received, _| reflect(received)).await;
    let house = House::before(&origin).await;
    for (framing, body) in [("Content-Length: 4", "evil"), ("Transfer-Encoding: chunked", "4\r\nevil\r\n0\r\n\r\n")] {
        for method in ["GET", "HEAD"] {
            let mut attacker = house.client().await;
            attacker.send(request(&format!("{method} /victim"), &[framing], body)).await;
            assert_eq!(attacker.response_to(method).await.unwrap().status, 200);
            assert_eq!(house.cache.stats().entries, 0, "{method} {framing}");
        }
    }
    assert!(!view(&house, "/victim").await.contains("evil"));
    house.stores(1).await;
    let mut client = house.client().await;
    client.send(request("GET /victim", &["Content-Length: 4"], "evil")).await;
    let fat = client.response().await.unwrap();
    assert!(!fat.is_hit(), "{}", fat.cache());
    crate::house::until("the origin got the content", || origin.last().body == b"evil").await;
    assert!(house.get("/victim").await.is_hit());
}

#[tokio::test]
async fn nominating_a_field_does_not_make_the_request_another_ones() {
    let origin = Origin::start(|received, _| reflect(received)).await;
    let house = House::before(&origin).await;
    for nominated in [
        "Cookie",
        "Authorization",
        "Host",
        "Content-Length",
        "X-Forwarded-Host",
        "Cache-Control",
        "Accept-Encoding",
        "X-Own",
        "Accept-Language",
    ] {
        let path = format!("/victim-{nominated}");
        let mut attacker = house.client().await;
        attacker
            .send(request(
                &format!("GET {path}"),
                &[&format!("Connection: keep-alive, {nominated}"), "Accept-Encoding: gzip", "Accept-Language: de", "X-Own: 1"],
                "",
            ))
            .await;
        let answer = attacker.response().await.unwrap();
        if answer.status == 400 {
            assert_eq!(house.cache.stats().entries, 0, "{nominated}");
            continue;
        }
        assert!(
            !answer.text().to_ascii_lowercase().contains(&format!("\n{}:", nominated.to_ascii_lowercase())),
            "{nominated} was passed on"
        );
        house.cache.invalidate_all(warmfront::Level::Dead);
    }
}

#[tokio::test]
async fn a_variant_is_chosen_by_what_the_origin_saw() {
    // The attacker nominates the very field that the origin varies on: the origin does not see it, so it must not select by it either.
    let origin =
        Origin::start(|received, _| answer("Cache-Control: max-age=60|Vary: X-Lang", &format!("lang {}", received.all("x-lang").join(""))))
            .await;
    let house = House::before(&origin).await;
    house.ask("GET /", &["X-Lang: de", "Connection: X-Lang"]).await;
    assert_eq!(house.ask("GET /", &["X-Lang: de"]).await.text(), "lang de");
    assert_eq!(house.get("/").await.text(), "lang ");
}

#[tokio::test]
async fn an_answer_cannot_smuggle_another_one_into_the_cache() {
    let evil = with_second_answer();
    let origin = Origin::start(move |received, _| match received.line().contains("/attack") {
        true => Act::send(&evil, Then::Keep),
        false => fresh("the page"),
    })
    .await;
    let house = House::before(&origin).await;
    for _ in 0..5 {
        assert_eq!(house.get("/attack").await.status, 200);
        let page = house.get("/victim").await;
        assert_eq!(page.text(), "the page");
        house.cache.invalidate_all(warmfront::Level::Dead);
    }
}

fn with_second_answer() -> String {
    let evil = crate::house::with_length("200 OK", "Cache-Control: max-age=60", "evil");
    crate::house::with_length("200 OK", "Cache-Control: no-store", "fine") + &evil
}

#[tokio::test]
async fn methods_told_in_other_ways_do_not_fill() {
    let origin = Origin::start(|received, _| reflect(received)).await;
    let house = House::before(&origin).await;
    for line in ["get /victim", "Get /victim", "GETS /victim", "POST /victim", "QUERY /victim"] {
        let mut client: Client = house.client().await;
        client.send(request(line, &["Content-Length: 0"], "")).await;
        let _ = client.response().await;
        assert_eq!(house.cache.stats().entries, 0, "{line}");
    }
}
