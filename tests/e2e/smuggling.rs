//! Requests that could be read in two ways, with the cache on: whatever is sent, the origin saw only well-formed requests that somebody may have
//! meant, and the next clean client sees what it would have seen.

use crate::client::Client;
use crate::house::{House, answer};
use crate::origin::{Origin, Received};
use tokio::io::AsyncWriteExt as _;

/// What would do harm if it were read as a request.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: h\r\nX-Hidden: 1\r\n\r\n";

fn post(fields: &str, body: &str) -> String {
    format!("POST /attack HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{body}")
}

/// The hidden request as one chunk, and the end of the body.
fn chunk() -> String {
    format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len())
}

fn corpus() -> Vec<String> {
    [lengths(), contents(), lines_and_targets(), codings(), chunks()].concat()
}

fn lengths() -> Vec<String> {
    let (hidden, length, chunk) = (HIDDEN, HIDDEN.len(), chunk());
    vec![
        // Two framings, either way round.
        post(&format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"), &format!("0\r\n\r\n{hidden}")),
        post("Transfer-Encoding: chunked\r\nContent-Length: 4", &chunk),
        post(&format!("Content-Length: 0\r\nContent-Length: {length}"), hidden),
        post(&format!("Content-Length: {length}\r\nContent-Length: 0"), hidden),
        post(&format!("Content-Length: {length}, 0"), hidden),
        post(&format!("Content-Length: +{length}"), hidden),
        post(&format!("Content-Length: {length} "), hidden),
        post(&format!("Content-Length: 0x{length:x}"), hidden),
        post(&format!("Content-Length: {length}.0"), hidden),
        post(&format!("Content-Length: -{length}"), hidden),
        post(&format!("Content-Length:\r\n {length}"), hidden),
        post(&format!("Content-Length : {length}"), hidden),
        post(&format!("Content-Length\t: {length}"), hidden),
        post(&format!("Content_Length: {length}"), hidden),
        post(&format!("X: y\r Content-Length: {length}"), hidden),
        post("Content-Length: 18446744073709551616", hidden),
        post(&format!("Content-Length: {}", u64::MAX), hidden),
        post(&format!("Connection: Content-Length\r\nContent-Length: {length}"), hidden),
        post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", &chunk),
    ]
}

fn contents() -> Vec<String> {
    let (hidden, length, chunk) = (HIDDEN, HIDDEN.len(), chunk());
    vec![
        // Bodies where some readers expect none.
        format!("GET /attack HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("HEAD /attack HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"),
        format!("GET /victim HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("DELETE /attack HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"),
        format!("OPTIONS /attack HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("TRACE /attack HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("POST /attack HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("POST /attack HTTP/1.1\r\nHost: h\r\nExpect: yes\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        // Versions.
        format!("POST /attack HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"),
        format!("POST /attack HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n{hidden}"),
        format!("GET /attack\r\n{hidden}"),
        format!("GET /attack HTTP/1.2\r\nHost: h\r\n\r\n{hidden}"),
        format!("GET /attack HTTP/0.9\r\nHost: h\r\n\r\n{hidden}"),
        format!("GET /attack HTTP/2.0\r\nHost: h\r\n\r\n{hidden}"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned() + hidden,
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_owned() + hidden,
    ]
}

fn lines_and_targets() -> Vec<String> {
    let hidden = HIDDEN;
    vec![
        // Lines.
        format!("GET /attack HTTP/1.1\nHost: h\n\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\nHost: h\n\r\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\nHost: h\r\nX: y\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\nHost: h\r\n X: folded\r\n\r\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\nHost: h\r\nX: a\r\n\tfolded\r\n\r\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\nHost: h\r\n: empty\r\n\r\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\nHost: h\r\nX\r\n\r\n{hidden}"),
        format!("\r\n\r\n\r\nGET /attack HTTP/1.1\r\nHost: h\r\n\r\n{hidden}"),
        // Hosts and targets.
        format!("GET /attack HTTP/1.1\r\nHost: h\r\nHost: evil\r\n\r\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\nHost : evil\r\nHost: h\r\n\r\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\n\r\n{hidden}"),
        format!("GET /attack HTTP/1.1\r\nHost: h, evil\r\n\r\n{hidden}"),
        format!("GET /victim#x HTTP/1.1\r\nHost: h\r\n\r\n{hidden}"),
        format!("GET http://h HTTP/1.1\r\nHost: evil\r\n\r\n{hidden}"),
        format!("GET http://evil@h/victim HTTP/1.1\r\nHost: h\r\n\r\n{hidden}"),
        format!("GET http:///victim HTTP/1.1\r\nHost: h\r\n\r\n{hidden}"),
        format!("GET victim HTTP/1.1\r\nHost: h\r\n\r\n{hidden}"),
        format!("GET @evil/victim HTTP/1.1\r\nHost: h\r\n\r\n{hidden}"),
        format!("GET /victim HTTP/1.1/x HTTP/1.1\r\nHost: h\r\n\r\n{hidden}"),
        format!("GET /victim\u{b}HTTP/1.1\r\nHost: h\r\n\r\n{hidden}"),
    ]
}

fn codings() -> Vec<String> {
    let (chunk, mut corpus) = (chunk(), Vec::new());
    for coding in [
        "xchunked",
        "chunked, identity",
        "identity, chunked",
        "gzip, chunked",
        "chunked, chunked",
        "\"chunked\"",
        "chunked;q=1",
        "\x0bchunked",
        "chunked\x0c",
        "\u{a0}chunked",
        "identity",
        "cow",
        "",
        ",chunked",
        "chunked,",
    ] {
        corpus.push(post(&format!("Transfer-Encoding: {coding}"), &chunk));
        corpus.push(post(&format!("Content-Length: 4\r\nTransfer-Encoding: {coding}"), &chunk));
    }
    for line in [
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding\0: chunked",
        "Transfer_Encoding: chunked",
        "TrAnSfEr-EnCoDiNg: chunked",
        "Transfer-Encoding:chunked",
        "Transfer-Encoding:\tchunked",
        "X: y\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    ] {
        corpus.push(post(&format!("Content-Length: 4\r\n{line}"), &chunk));
        corpus.push(post(line, &chunk));
    }
    corpus
}

fn chunks() -> Vec<String> {
    let (hidden, mut corpus) = (HIDDEN, Vec::new());
    for body in [
        format!("0\n\r\n{hidden}"),
        format!("0\r\n\n{hidden}"),
        format!("0;\n\r\n\r\n{hidden}"),
        format!("0;x=\"\r\n\r\n{hidden}"),
        format!("0;x=\"\n\"\r\n\r\n{hidden}"),
        format!("1;a\rb\r\nx\r\n0\r\n\r\n{hidden}"),
        format!("1\r\nxx\r\n0\r\n\r\n{hidden}"),
        format!("2\r\nx\r\n0\r\n\r\n{hidden}"),
        format!("1\rx\r\n0\r\n\r\n{hidden}"),
        format!("00000000000000000\r\n\r\n{hidden}"),
        format!("10000000000000000\r\n\r\n{hidden}"),
        format!("-0\r\n\r\n{hidden}"),
        format!("+0\r\n\r\n{hidden}"),
        format!("0x0\r\n\r\n{hidden}"),
        format!(" 0\r\n\r\n{hidden}"),
        format!("0 \r\n\r\n{hidden}"),
        format!("0\r\nContent-Length: 5\r\n\r\n{hidden}"),
        format!("0\r\nX : y\r\n\r\n{hidden}"),
        format!("0\r\nX: y\n\r\n{hidden}"),
        format!("0\r\nHost: evil\r\n\r\n{hidden}"),
        format!("0\r\n\r{hidden}"),
    ] {
        corpus.push(post("Transfer-Encoding: chunked", &body));
    }
    corpus
}

/// Nothing that the origin got could be read in two ways.
fn assert_well_formed(received: &Received, after: &str) {
    let head = &received.head;
    let mut lines = head.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
    let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
    assert!(first.len() == 3 && first[2] == "HTTP/1.1" && first[1].starts_with(['/', '*']), "{after:?} made {head:?}");
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{after:?} made {line:?}"));
        assert!(
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!~*'#$%&+^`|".contains(&byte)),
            "{line:?}"
        );
        assert!(!value.bytes().any(|byte| byte < b' ' && byte != b'\t'), "{line:?}");
    }
    let (lengths, codings) = (received.all("content-length"), received.all("transfer-encoding"));
    assert!(lengths.len() + codings.len() <= 1, "{after:?} made {head:?}");
    assert!(codings.is_empty() || codings == ["chunked"], "{after:?} made {head:?}");
    assert_eq!(received.all("host").len(), 1, "{after:?} made {head:?}");
}

#[tokio::test]
async fn no_attack_changes_what_others_see() {
    let origin = Origin::start(|received, _| {
        let target = received.line().split(' ').nth(1).unwrap_or_default();
        answer("Cache-Control: max-age=60", &format!("{target} of {}", received.all("host").join(",")))
    })
    .await;
    let house = House::before(&origin).await;
    for attack in corpus() {
        // RFC 9112 section 6.3: nothing in these announces content, so what follows is a request that the client pipelined.
        let honest = attack.starts_with("GET http://h HTTP/1.1") || attack.contains("HTTP/1.0\r\nHost: h\r\nConnection: keep-alive");
        for warm in [true, false] {
            let before = origin.requests().len();
            let mut attacker = house.client().await;
            if warm {
                assert_eq!(attacker.get("/victim").await.text(), "/victim of h");
            }
            // Writing may meet the refusal half-way.
            let _ = attacker.stream.write_all(attack.as_bytes()).await;
            let _ = attacker.stream.write_all(b"GET /after HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
            let _ = attacker.stream.shutdown().await;
            let said = String::from_utf8_lossy(&attacker.rest().await).into_owned();
            assert!(honest || !said.contains("/hidden of"), "hidden request answered after {attack:?}:\n{said}");
            for received in &origin.requests()[before..] {
                assert_well_formed(received, &attack);
                assert!(honest || received.all("x-hidden").is_empty(), "{attack:?} smuggled {:?}", received.head);
            }
            let mut clean = house.client().await;
            for path in ["/victim", "/other", "/victim"] {
                let seen = clean.get(path).await;
                assert_eq!((seen.status, seen.text()), (200, &*format!("{path} of h")), "after {attack:?}");
            }
            house.cache.invalidate_all(warmfront::Level::Dead);
        }
    }
}

#[tokio::test]
async fn pipelined_attacks_do_not_shift_the_answers_of_a_connection() {
    let origin =
        Origin::start(|received, _| answer("Cache-Control: max-age=60", received.line().split(' ').nth(1).unwrap_or_default())).await;
    let house = House::before(&origin).await;
    for attack in corpus() {
        let mut client: Client = house.client().await;
        let stream = format!(
            "GET /one HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n{attack}GET /three HTTP/1.1\r\nHost: h\r\n\r\n"
        );
        let _ = client.stream.write_all(stream.as_bytes()).await;
        let _ = client.stream.shutdown().await;
        assert_eq!(client.response().await.unwrap().text(), "/one", "{attack:?}");
        assert_eq!(client.response().await.unwrap().text(), "/two", "{attack:?}");
        drop(client.rest().await);
    }
}
