//! Forwarding fields through a cache: the origin is told of each client, and nobody gets what was made for another.

use crate::client::{Client, Response};
use crate::house::{House, answer, request, status};
use crate::origin::{Act, Origin, Received, Then};
use http_body_util::BodyExt as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::net::TcpSocket;
use tower::{Layer as _, Service as _};
use warmfront::{CacheLayer, RequestBody, Rule};

/// A GET from an address of this machine.
async fn from(house: &House, last: u8, line: &str, fields: &[&str]) -> Response {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0).into()).unwrap();
    let mut client = Client::from(socket.connect(house.address).await.unwrap());
    client.send(request(line, fields, "")).await;
    client.final_response_to(line.split(' ').next().unwrap()).await
}

/// An application that says whom it sees, and that its answer depends on it.
fn says_whom(received: &Received, name: &str) -> Act {
    answer(&format!("Cache-Control: max-age=60|Vary: {name}"), &received.all(name).join(", "))
}

#[tokio::test]
async fn what_varies_by_the_client_is_stored_for_each_client_and_given_to_no_other() {
    for name in ["x-forwarded-for", "forwarded"] {
        let origin = Origin::start(move |received, _| says_whom(received, name)).await;
        let house = House::before(&origin).await;
        for round in 0..4 {
            for client in [1, 2, 3] {
                let response = from(&house, client, "GET /whom", &[]).await;
                assert!(response.text().contains(&format!("127.0.0.{client}")), "{name}, {client} in round {round}: {}", response.text());
                assert!(round < 2 || response.is_hit(), "{name}, {client} in round {round}: {}", response.cache());
            }
        }
        assert!(origin.requests().len() <= 6, "{name}: each client's answer is stored at its second request at the latest");
    }
}

#[tokio::test]
async fn a_validation_that_begins_to_vary_by_the_client_serves_no_other_one() {
    let origin = Origin::start(|received, _| match received.all("if-none-match").is_empty() {
        true => answer("Cache-Control: max-age=10|ETag: \"1\"", &received.all("x-forwarded-for").join(", ")),
        false if received.all("x-forwarded-for") == ["127.0.0.1"] => {
            status("304 Not Modified", "Cache-Control: max-age=10|ETag: \"1\"|Vary: X-Forwarded-For", "")
        }
        false => answer("Cache-Control: max-age=10|Vary: X-Forwarded-For", &received.all("x-forwarded-for").join(", ")),
    })
    .await;
    let house = House::before(&origin).await;
    assert_eq!(from(&house, 1, "GET /", &[]).await.text(), "127.0.0.1");
    assert!(from(&house, 2, "GET /", &[]).await.is_hit(), "nothing says that it is for one client");
    house.clock.advance(Duration::from_secs(20));
    assert_eq!(from(&house, 1, "GET /", &[]).await.text(), "127.0.0.1", "confirmed");
    for _ in 0..2 {
        assert_eq!(from(&house, 2, "GET /", &[]).await.text(), "127.0.0.2");
    }
}

/// Asks as warming does: through the cache, and for no client.
async fn for_nobody(house: &House, path: &str) -> String {
    let mut service = CacheLayer::new(house.cache.clone()).layer(house.sidecar.upstream());
    let request = http::Request::get(format!("http://h{path}")).body(RequestBody::default()).unwrap();
    let body = service.call(request).await.unwrap().into_body();
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_copy_that_was_made_for_nobody_is_given_to_no_client_whom_it_varies_by() {
    let origin = Origin::start(|received, _| says_whom(received, "x-forwarded-for")).await;
    let house = House::before(&origin).await;
    assert_eq!(for_nobody(&house, "/whom").await, "");
    house.stores(1).await;
    for round in 0..2 {
        for client in [1, 2] {
            let response = from(&house, client, "GET /whom", &[]).await;
            assert_eq!((response.text(), response.is_hit()), (&*format!("127.0.0.{client}"), round > 0));
        }
    }
    assert_eq!(for_nobody(&house, "/whom").await, "");
    assert_eq!(origin.requests().len(), 3, "each has a copy");
}

#[tokio::test]
async fn a_fill_for_nobody_takes_no_client_on_whom_it_varies_by() {
    let origin = Origin::start(|received, _| says_whom(received, "x-forwarded-for").after(Duration::from_millis(300))).await;
    let house = House::before(&origin).await;
    let reader = async {
        crate::house::until("the fill is under way", || !origin.requests().is_empty()).await;
        from(&house, 2, "GET /whom", &[]).await
    };
    let (nobody, response) = tokio::join!(for_nobody(&house, "/whom"), reader);
    assert_eq!((&*nobody, response.text()), ("", "127.0.0.2"));
}

#[tokio::test]
async fn an_identity_that_is_the_forwarded_address_has_a_partition_of_its_own() {
    let origin = Origin::start(|received, _| answer("Cache-Control: max-age=60", &received.all("x-forwarded-for").join(", "))).await;
    let house = House::with(origin.address, |_, _, settings| {
        settings.rules = vec![Rule::path("/me").unwrap().per_identity("x-forwarded-for".parse().unwrap())];
    })
    .await;
    for round in 0..2 {
        for client in [1, 2] {
            let response = from(&house, client, "GET /me", &[]).await;
            assert_eq!((response.text(), response.is_hit()), (&*format!("127.0.0.{client}"), round > 0));
        }
    }
}

#[tokio::test]
async fn the_origin_is_told_of_the_client_whatever_the_cache_does_with_the_request() {
    let origin = Origin::start(|received, _| match received.head.split(' ').nth(1).unwrap() {
        "/senseless" if !received.all("if-none-match").is_empty() => status("304 Not Modified", "ETag: \"other\"", ""),
        "/senseless" => answer("Cache-Control: max-age=10|ETag: \"1\"", "x"),
        "/swr" => answer("Cache-Control: max-age=10, stale-while-revalidate=60", "x"),
        _ => answer("Cache-Control: no-store", "x"),
    })
    .await;
    let house = House::before(&origin).await;
    for line in ["GET /senseless", "GET /swr", "HEAD /pass", "GET /pass"] {
        from(&house, 4, line, &["Via: 1.0 before"]).await;
    }
    house.clock.advance(Duration::from_secs(20));
    for line in ["GET /senseless", "GET /swr"] {
        from(&house, 4, line, &["Via: 1.0 before"]).await;
    }
    // Four, then a validation and the same without conditions, and a refresh behind a stale answer.
    crate::house::until("all are asked", || origin.requests().len() == 7).await;
    for received in origin.requests() {
        let told = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"].map(|name| received.all(name).join("|"));
        assert_eq!(told, ["127.0.0.4", "h", "http"], "{}", received.head);
        assert_eq!(received.all("forwarded"), ["for=127.0.0.4;host=\"h\";proto=http"], "{}", received.head);
        assert_eq!(received.all("via").join(", "), "1.0 before, 1.1 warmfront", "{}", received.head);
    }
}

#[tokio::test]
async fn each_attempt_says_for_whom_it_is_in_the_same_words() {
    // The first two are answered by a closed connection, and put again; the last goes over the connection that answered the third.
    let origin =
        Origin::start(|_, number| if number < 2 { Act::send("", Then::Fin) } else { answer("Cache-Control: no-store", "x") }).await;
    let house = House::with(origin.address, |_, upstream, _| upstream.retries = 2).await;
    let mut client = house.client().await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 other\r\n\r\n").await;
        assert_eq!(client.response().await.unwrap().status, 200);
    }
    let requests = origin.requests();
    assert_eq!(requests.len(), 4);
    for request in &requests {
        for (name, expected) in [
            ("host", &["h"][..]),
            ("x-forwarded-for", &["127.0.0.1"]),
            ("x-forwarded-host", &["h"]),
            ("x-forwarded-proto", &["http"]),
            ("forwarded", &["for=127.0.0.1;host=\"h\";proto=http"]),
            ("via", &["1.1 other", "1.1 warmfront"]),
        ] {
            assert_eq!(request.all(name), expected, "{name}");
        }
    }
    let traces: Vec<_> = requests.iter().map(|request| request.all("traceparent").concat()).collect();
    assert!(traces[0].len() == 55 && traces[0] == traces[1] && traces[1] == traces[2] && traces[2] != traces[3], "{traces:?}");
}

#[tokio::test]
async fn each_host_and_version_of_a_connection_is_told_as_it_is() {
    let origin = Origin::always(answer("Cache-Control: no-store", "x")).await;
    let house = House::before(&origin).await;
    let mut client = house.client().await;
    for (host, version) in [("a", "1.1"), ("b", "1.1"), ("a", "1.1"), ("a", "1.0")] {
        client.send(format!("GET / HTTP/{version}\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n")).await;
        assert_eq!(client.response().await.unwrap().status, 200);
        let request = origin.last();
        assert_eq!((request.all("host"), request.all("x-forwarded-host")), (vec![host], vec![host]));
        assert_eq!(request.all("forwarded"), [format!("for=127.0.0.1;host=\"{host}\";proto=http")]);
        assert_eq!(request.all("via"), [format!("{version} warmfront")]);
    }
}
