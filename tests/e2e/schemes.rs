//! http and https side by side: what was asked for by one is not served by the other, and what invalidates drops both.

use crate::certificate::Certificate;
use crate::client::{Client, Response};
use crate::house::{House, answer, request, status, until};
use crate::origin::{Act, Origin, Received};
use crate::process::{Folder, Running};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use warmfront::Level;
use warmfront::sidecar::settings::{Forwarded, ListenAddr};

/// An application that sends whoever comes in clear to https, for ever.
fn redirects(received: &Received) -> Act {
    if received.all("x-forwarded-proto") == ["https"] {
        answer("Cache-Control: max-age=60", "safe")
    } else {
        status("301 Moved Permanently", "Cache-Control: max-age=60|Location: https://localhost/x", "")
    }
}

/// A GET over TLS: the whole answer.
async fn over_tls(certificate: &Certificate, address: SocketAddr) -> String {
    let mut stream = certificate.connect(address, &[]).await.unwrap();
    stream.write_all(request("GET /x", &["Host: localhost", "Connection: close"], "").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// The same in clear.
async fn in_clear(address: SocketAddr, fields: &[&str]) -> Response {
    let mut client = Client::connect(address).await;
    client.send(request("GET /x", &[&["Host: localhost"], fields].concat(), "")).await;
    client.response().await.unwrap()
}

async fn house(origin: &Origin, certificate: &Certificate) -> House {
    House::with(origin.address, |server, _, _| {
        certificate.serve(server);
        server.listen.push(ListenAddr::Tcp("127.0.0.1:0".parse().unwrap()));
    })
    .await
}

#[tokio::test]
async fn a_redirect_to_https_is_never_served_over_https() {
    let (origin, certificate) = (Origin::start(|received, _| redirects(received)).await, Certificate::new());
    let house = house(&origin, &certificate).await;
    for round in 0..3 {
        let clear = in_clear(house.addresses[1], &[]).await;
        let tls = over_tls(&certificate, house.address).await;
        assert_eq!((clear.status, clear.is_hit()), (301, round > 0));
        assert!(tls.starts_with("HTTP/1.1 200") && tls.ends_with("safe") && tls.contains("warmfront; hit") == (round > 0), "{tls}");
    }
    assert_eq!(origin.requests().len(), 2, "each scheme has a copy of its own");
    // A client in clear cannot store what readers over TLS get by saying https.
    let mut liar = Client::connect(house.addresses[1]).await;
    liar.send("GET https://localhost/y HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\n\r\n").await;
    assert_eq!(liar.response().await.unwrap().status, 301);
}

#[tokio::test]
async fn a_trusted_proxy_that_ends_tls_says_the_scheme_and_nobody_else_does() {
    for (network, believed) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let origin = Origin::start(|received, _| redirects(received)).await;
        let house = House::with(origin.address, |server, upstream, _| {
            server.trusted_proxies = vec![network.parse().unwrap()];
            upstream.forwarded = Forwarded::Append;
        })
        .await;
        for round in 0..2 {
            let (clear, tls) =
                (in_clear(house.address, &["X-Forwarded-Proto: http"]).await, in_clear(house.address, &["X-Forwarded-Proto: https"]).await);
            assert_eq!((clear.status, tls.status), (301, if believed { 200 } else { 301 }));
            assert!(round == 0 || (clear.is_hit() && tls.is_hit()));
        }
        assert_eq!(origin.requests().len(), if believed { 2 } else { 1 });
    }
}

#[tokio::test]
async fn what_invalidates_one_scheme_invalidates_both() {
    let (origin, certificate) = (Origin::start(|received, _| redirects(received)).await, Certificate::new());
    let house = house(&origin, &certificate).await;
    let clear = house.addresses[1];
    let purges: [&dyn Fn(); 5] = [
        &|| assert!(house.cache.invalidate(&"http://localhost/x".parse().unwrap(), Level::Dead) == 2),
        &|| assert!(house.cache.invalidate(&"https://localhost:443/x".parse().unwrap(), Level::Dead) == 2),
        &|| house.cache.invalidate_prefix("http://localhost/", Level::Dead),
        &|| house.cache.invalidate_prefix("https://localhost/", Level::Dead),
        &|| house.cache.invalidate_everywhere(&"/x".parse().unwrap(), Level::Dead),
    ];
    let mut asked = 0;
    let filled = async |before: usize| {
        in_clear(clear, &[]).await;
        over_tls(&certificate, house.address).await;
        assert_eq!(origin.requests().len(), before + 2);
        before + 2
    };
    for purge in purges {
        asked = filled(asked).await;
        purge();
    }
    asked = filled(asked).await;
    let mut client = Client::connect(clear).await;
    client.send(request("PUT /x", &["Host: localhost", "Content-Length: 0"], "")).await;
    assert_eq!(client.response_to("PUT").await.unwrap().status, 301, "2xx and 3xx are successes: RFC 9111 section 4.4");
    filled(asked + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_warmed_is_hit_by_readers_over_tls() {
    let (origin, certificate) = (Origin::start(|received, _| redirects(received)).await, Certificate::new());
    let files = certificate.settings();
    for host in ["localhost", "https://localhost:443"] {
        let folder = Folder::new("warm-tls");
        folder.write(
            "warmfront.toml",
            &format!(
                "[server]\nlisten = \"https://127.0.0.1:0\"\ntls = {{ certificate = {:?}, key = {:?} }}\n[upstream]\nurls = [\"http://{}\"]\n\
                 [warm]\nhosts = [{host:?}]\n[[warm.groups]]\nname = \"g\"\nschedule = [\"startup\"]\nrequests = [\"/x\"]\n",
                files.certificate, files.key, origin.address
            ),
        );
        let before = origin.requests().len();
        let process = Running::start(folder.path(), &["run"], &[]);
        let line = process.wait_for(" listening on ");
        let address = line.split("https://").nth(1).unwrap().split([',', ' ']).next().unwrap().parse().unwrap();
        until("it is warmed", || origin.requests().len() > before).await;
        let text = over_tls(&certificate, address).await;
        assert!(text.contains("warmfront; hit") || text.contains("; collapsed"), "{host}: {text}");
        assert!(text.ends_with("safe") && origin.requests().len() == before + 1, "{host}");
    }
}
