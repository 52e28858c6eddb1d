//! Unsafe requests invalidate what they changed (RFC 9111 section 4.4), and nothing else.

use crate::house::{House, fresh, millis, status, until};
use crate::origin::{Act, Origin};

/// Counts for GET; for anything else answers as the request's `X-Answer` field says (status, then fields, parted by `|`).
async fn counting() -> Origin {
    Origin::start(|request, number| match request.line().split(' ').next().unwrap() {
        "GET" => fresh(&format!("{} {number}", request.line().split(' ').nth(1).unwrap())),
        _ => {
            let wanted = request.all("x-answer").first().map_or("200 OK", |wanted| wanted).to_owned();
            let (line, fields) = wanted.split_once('|').unwrap_or((&wanted, ""));
            status(line, fields, if line.starts_with("204") { "" } else { "done" })
        }
    })
    .await
}

/// Whether `/item`, stored before, is still answered from the cache after `line` was answered with `answer`.
async fn survives(line: &str, answer: &str) -> bool {
    let origin = counting().await;
    let house = House::before(&origin).await;
    let first = house.get("/item").await;
    house.stores(1).await;
    let changed = house.send(line, &[&format!("X-Answer: {answer}")], "x").await;
    assert_eq!(changed.status.to_string(), answer[..3], "{line}");
    let after = house.get("/item").await;
    assert_eq!(after.is_hit(), after.text() == first.text());
    after.is_hit()
}

#[tokio::test]
async fn every_unsafe_and_every_unknown_method_invalidates_its_target() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW", "PROPPATCH", "post"] {
        assert!(!survives(&format!("{method} /item"), "200 OK").await, "{method}");
    }
    for answer in ["201 Created", "303 See Other|Location: /elsewhere", "301 Moved|Location: http://other/"] {
        assert!(!survives("POST /item", answer).await, "{answer}");
    }
}

#[tokio::test]
async fn errors_and_safe_methods_invalidate_nothing() {
    for answer in ["400 No", "403 No", "404 No", "409 No", "500 No", "503 No"] {
        assert!(survives("PUT /item", answer).await, "{answer}");
    }
    for method in ["OPTIONS", "PROPFIND", "SEARCH", "REPORT"] {
        assert!(survives(&format!("{method} /item"), "200 OK").await, "{method}");
    }
    for line in ["POST /other", "POST /item?x", "POST /item/", "POST /Item"] {
        assert!(survives(line, "200 OK").await, "{line}");
    }
}

#[tokio::test]
async fn location_and_content_location_of_the_same_origin_are_invalidated_too() {
    for field in ["Location", "Content-Location"] {
        for reference in ["/item", "http://h/item", "http://H:80/item", "//h/item", "item", "../item", "/a/../item", "/item#frag"] {
            assert!(!survives("POST /other", &format!("201 Created|{field}: {reference}")).await, "{field}: {reference}");
        }
        for reference in ["http://other/item", "https://h/item", "http://h:81/item", "//other/item", "/item2", "ftp://h/item"] {
            assert!(survives("POST /other", &format!("201 Created|{field}: {reference}")).await, "{field}: {reference}");
        }
        assert!(survives("POST /other", &format!("500 No|{field}: /item")).await);
    }
}

#[tokio::test]
async fn a_host_cannot_invalidate_what_belongs_to_another() {
    let origin = counting().await;
    let house = House::before(&origin).await;
    house.get("/item").await;
    house.stores(1).await;
    house.send("POST /item", &["Host: evil"], "x").await;
    house.send("POST http://evil/item", &["Host: h"], "x").await;
    house.send("POST /x", &["Host: evil", "X-Answer: 201 Created|Location: http://h/item"], "x").await;
    assert!(house.get("/item").await.is_hit());
    house.send("POST http://H:80/item", &["Host: evil"], "x").await;
    assert!(!house.get("/item").await.is_hit(), "the same target in other words");
}

#[tokio::test]
async fn a_fill_that_began_before_a_change_is_not_stored_after_it() {
    let origin = Origin::start(|request, number| match request.line().starts_with("GET") {
        true if number == 0 => fresh("old").after(millis(200)),
        true => fresh("new"),
        false => Act::ok("done"),
    })
    .await;
    let house = House::before(&origin).await;
    let mut early = house.client().await;
    early.send("GET /item HTTP/1.1\r\nHost: h\r\n\r\n").await;
    until("the first fill is under way", || !origin.requests().is_empty()).await;
    house.send("PUT /item", &[], "x").await;
    assert_eq!(house.get("/item").await.text(), "new", "whoever comes after the change does not follow the old fill");
    assert_eq!(early.response().await.unwrap().text(), "old");
    let after = house.get("/item").await;
    assert_eq!((after.text(), after.is_hit()), ("new", true), "and the old fill has not replaced the new one");
}

#[tokio::test]
async fn all_variants_and_all_identities_are_invalidated() {
    let origin = Origin::start(|request, number| match request.line().starts_with("GET") {
        true => crate::house::answer("Cache-Control: max-age=60|Vary: Accept-Language", &number.to_string()),
        false => Act::ok("done"),
    })
    .await;
    let house = House::with(origin.address, |_, _, settings| {
        settings.rules.push(warmfront::Rule::path("/me/**").unwrap().per_identity(http::header::AUTHORIZATION));
    })
    .await;
    let asks = [
        ("GET /item", "Accept-Language: en"),
        ("GET /item", "Accept-Language: de"),
        ("GET /me/item", "Authorization: a"),
        ("GET /me/item", "Authorization: b"),
    ];
    for (line, field) in asks {
        house.ask(line, &[field]).await;
        assert!(house.ask(line, &[field]).await.is_hit(), "{line} {field}");
    }
    house.send("DELETE /item", &[], "").await;
    house.send("DELETE /me/item", &["Authorization: a"], "").await;
    for (line, field) in asks {
        assert!(!house.ask(line, &[field]).await.is_hit(), "{line} {field}");
    }
}

#[tokio::test]
async fn what_the_key_normalises_is_invalidated_as_normalised() {
    let origin = counting().await;
    let house = House::with(origin.address, |_, _, settings| {
        settings.key.query_sort = true;
        settings.key.query_ignore = vec!["utm_*".into()];
    })
    .await;
    house.get("/item?b=2&a=1").await;
    house.stores(1).await;
    assert!(house.get("/item?a=1&b=2&utm_x=1").await.is_hit());
    house.send("POST /item?utm_y=9&b=2&a=1", &[], "x").await;
    assert!(!house.get("/item?a=1&b=2").await.is_hit());
}

#[tokio::test]
async fn nobody_purges_over_the_data_port_without_the_origin_agreeing() {
    for method in ["PURGE", "BAN", "INVALIDATE", "REFRESH"] {
        assert!(survives(&format!("{method} /item"), "405 No").await, "{method}: the origin refuses it");
    }
}
