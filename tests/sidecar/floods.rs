//! HTTP/2 clients that mean ill, as raw frames: the connection ends or stays bounded, and nobody else notices.

use crate::http2::{PATIENCE, Talk, until};
use crate::origin::{Act, Origin};
use crate::rig::Rig;
use h2::Reason;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use warmfront::telemetry::Refusal;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET http://h/`, without a table of its own (RFC 7541).
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'h'];
/// `POST http://h/`
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'h'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn raw(rig: &Rig) -> TcpStream {
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    stream
}

/// Sends rounds of frames, and reads what comes, until the connection ends: the code of the GOAWAY that was seen.
async fn flood(rig: &Rig, rounds: usize, mut round: impl FnMut(u32) -> Vec<u8>) -> Option<u32> {
    let (mut reader, mut writer) = raw(rig).await.into_split();
    let bytes: Vec<Vec<u8>> = (0..rounds).map(|at| round(u32::try_from(at).unwrap() * 2 + 1)).collect();
    let writing = tokio::spawn(async move {
        for bytes in bytes {
            if writer.write_all(&bytes).await.is_err() {
                break;
            }
        }
        writer
    });
    let reading = async {
        let mut code = None;
        loop {
            let mut head = [0; 9];
            if reader.read_exact(&mut head).await.is_err() {
                return code;
            }
            let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
            if reader.read_exact(&mut payload).await.is_err() {
                return code;
            }
            if head[3] == GOAWAY {
                code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
            }
        }
    };
    let code = tokio::time::timeout(PATIENCE, reading).await.expect("the flooded connection ends");
    writing.abort();
    code
}

async fn others_are_served(rig: &Rig) {
    assert_eq!(Talk::to(rig.address).await.get("/").await.text, "x");
    assert_eq!(rig.client().await.get("/").await.status, 200);
}

const CALM: Option<u32> = Some(11);

#[tokio::test]
async fn a_rapid_reset_ends_the_connection() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let reset = |id| [frame(HEADERS, END_STREAM | END_HEADERS, id, GET), frame(RST_STREAM, 0, id, &8u32.to_be_bytes())].concat();
    assert_eq!(flood(&rig, 50_000, reset).await, CALM);
    assert!(rig.sidecar.refused(Refusal::Http2Flood) >= 1);
    others_are_served(&rig).await;
}

#[tokio::test]
async fn requests_given_up_one_by_one_end_the_connection_too() {
    let origin = Origin::start(
        |received, _| if received.all("host") == ["h"] && received.line().contains("/ ") { Act::hang() } else { Act::ok("x") },
    )
    .await;
    let rig = Rig::before(&origin).await;
    let talk = Talk::to(rig.address).await;
    for at in 0..1000 {
        let Ok(mut requests) = talk.requests.clone().ready().await else { break };
        let Ok((_response, mut stream)) = requests.send_request(crate::http2::get("/"), true) else { break };
        tokio::time::timeout(PATIENCE, async {
            while rig.sidecar.in_flight() == 0 && !talk.driver.is_finished() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        stream.send_reset(h2::Reason::CANCEL);
        until(|| rig.sidecar.in_flight() == 0).await;
        assert!(at < 500, "it is never refused");
    }
    assert_eq!(rig.sidecar.refused(Refusal::Http2Flood), 1);
    assert_eq!(Talk::to(rig.address).await.get("/other").await.text, "x");
}

#[tokio::test]
async fn an_endless_header_block_ends_the_connection() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let mut first = true;
    let block = |_| match std::mem::take(&mut first) {
        true => frame(HEADERS, END_STREAM, 1, GET),
        // A field without indexing, of 4 KiB: `x-x: aaaa..`
        false => frame(CONTINUATION, 0, 1, &[&[0, 3, b'x', b'-', b'x', 0x7f, 0x81, 0x1f][..], &[b'a'; 4096]].concat()),
    };
    assert!(flood(&rig, 10_000, block).await.is_some());
    let mut first = true;
    let empty = |_| if std::mem::take(&mut first) { frame(HEADERS, END_STREAM, 1, GET) } else { frame(CONTINUATION, 0, 1, &[]) };
    assert!(flood(&rig, 1_000_000, empty).await.is_some(), "empty ones too");
    others_are_served(&rig).await;
}

#[tokio::test]
async fn frames_of_no_use_end_the_connection() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
    let ping = frame(PING, 0, 0, &[7; 8]);
    let priority = frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 7]);
    let update = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    let unknown = frame(0xbe, 0, 0, &[0; 100]);
    for bytes in [settings, ping, priority, update, unknown] {
        let before = rig.sidecar.refused(Refusal::Http2Flood);
        flood(&rig, 1000, |_| bytes.repeat(2000)).await; // a reset may overtake the GOAWAY: what counts is the end
        assert_eq!(rig.sidecar.refused(Refusal::Http2Flood), before + 1, "{:?}", &bytes[..9]);
    }
    others_are_served(&rig).await;
}

#[tokio::test]
async fn who_breaks_the_rules_of_the_connection_is_counted_by_that_name() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let faults = [
        frame(DATA, 0, 0, b"x"),
        frame(DATA, 0, 7, b"x"),
        frame(HEADERS, END_STREAM | END_HEADERS, 2, GET),
        frame(PING, 0, 0, &[0; 5]),
        frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 40]),
        frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
    ];
    for (number, bytes) in faults.into_iter().enumerate() {
        let code = flood(&rig, 1, |_| bytes.clone()).await;
        assert!(code.is_some_and(|code| code != u32::from(Reason::NO_ERROR)), "{bytes:?}: {code:?}");
        assert_eq!(rig.sidecar.refused(Refusal::Http2Protocol), number as u64 + 1, "{bytes:?}");
    }
    assert_eq!(rig.sidecar.refused(Refusal::Http2Flood), 0);
    others_are_served(&rig).await; // and whoever ends a connection well is not counted
    let mut leaver = raw(&rig).await;
    leaver.shutdown().await.unwrap();
    let _ = tokio::time::timeout(PATIENCE, leaver.read_to_end(&mut Vec::new())).await.expect("an end");
    assert_eq!(rig.sidecar.refused(Refusal::Http2Protocol), 6);
}

#[tokio::test]
async fn empty_data_ends_the_connection() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let mut first = true;
    let empty = |_| if std::mem::take(&mut first) { frame(HEADERS, END_HEADERS, 1, POST) } else { frame(DATA, 0, 1, &[]).repeat(1000) };
    assert!(flood(&rig, 1000, empty).await.is_some());
    others_are_served(&rig).await;
}

#[tokio::test]
async fn a_client_that_credits_no_window_is_given_up() {
    let origin = Origin::always(Act::ok(&"x".repeat(1 << 20))).await;
    let rig = Rig::with(origin.address, |server, _| server.idle_timeout = Duration::from_millis(300)).await;
    let mut stream = raw(&rig).await;
    for id in [1, 3, 5] {
        stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, id, GET)).await.unwrap();
    }
    let mut received = Vec::new();
    // All of it is read, and nothing credited: 64 KiB come, the streams are reset, the connection is idle and closed.
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("an end").ok();
    assert!((60_000..200_000).contains(&received.len()), "{}", received.len());
    until(|| rig.sidecar.in_flight() == 0).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up() {
    let origin = Origin::always(Act::ok(&"x".repeat(8 << 20))).await;
    let rig = Rig::with(origin.address, |server, _| server.idle_timeout = Duration::from_millis(300)).await;
    let mut stream = raw(&rig).await;
    stream.write_all(&frame(WINDOW_UPDATE, 0, 0, &0x3fff_ffff_u32.to_be_bytes())).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[0, 4, 0x3f, 0xff, 0xff, 0xff])).await.unwrap();
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, GET)).await.unwrap();
    until(|| rig.sidecar.in_flight() == 1).await;
    until(|| rig.sidecar.in_flight() == 0).await;
}

#[tokio::test]
async fn half_a_header_block_does_not_hold_a_connection() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::with(origin.address, |server, _| server.header_timeout = Duration::from_millis(300)).await;
    let mut stream = raw(&rig).await;
    stream.write_all(&frame(HEADERS, END_STREAM, 1, GET)).await.unwrap();
    let mut received = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("an end").ok();
    let mut mute = TcpStream::connect(rig.address).await.unwrap();
    mute.write_all(PREFACE).await.unwrap();
    tokio::time::timeout(PATIENCE, mute.read_to_end(&mut received)).await.expect("an end").ok();
    others_are_served(&rig).await;
}

#[tokio::test]
async fn fields_that_belong_to_a_connection_are_a_fault_of_the_stream() {
    let origin = Origin::always(Act::ok("x")).await;
    let rig = Rig::before(&origin).await;
    let field = |name: &str, value: &str| {
        let lengths = [u8::try_from(name.len()).unwrap(), u8::try_from(value.len()).unwrap()];
        [&[0, lengths[0]], name.as_bytes(), &[lengths[1]], value.as_bytes()].concat()
    };
    let pseudo = |name: &str, value: &str| {
        [field(":method", "GET"), field(":scheme", "http"), field(":authority", "h"), field(name, value)].concat()
    };
    let mut blocks: Vec<Vec<u8>> = [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("upgrade", "x"),
        ("X-Up", "1"),
        ("x", "a\r\nb"),
        ("x y", "1"),
    ]
    .iter()
    .map(|(name, value)| [GET, &field(name, value)].concat())
    .collect();
    blocks.extend([pseudo(":path", ""), pseudo(":path", "/a b"), pseudo(":path", "/\r\nx: y"), pseudo(":protocol", "websocket")]);
    for block in blocks {
        let mut stream = raw(&rig).await;
        stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await.unwrap();
        let refused = async {
            loop {
                let mut head = [0; 9];
                stream.read_exact(&mut head).await.unwrap();
                let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
                stream.read_exact(&mut payload).await.unwrap();
                match head[3] {
                    RST_STREAM | GOAWAY => return,
                    HEADERS => panic!("answered: {block:?}"),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, refused).await.unwrap_or_else(|_| panic!("no refusal: {block:?}"));
    }
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn an_upload_that_drips_is_given_up_however_steadily() {
    let origin = Origin::always(Act::ok("x")).await;
    let short = Duration::from_millis(100);
    let rig = Rig::with(origin.address, |server, _| (server.header_timeout, server.min_body_rate) = (short, 1000)).await;
    let mut stream = raw(&rig).await;
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, POST)).await.unwrap();
    let dripping = async {
        while rig.sidecar.refused(Refusal::BodyTimeout) == 0 {
            stream.write_all(&frame(DATA, 0, 1, b"x")).await.unwrap();
            tokio::time::sleep(short / 5).await;
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.expect("it is given up");
    until(|| rig.sidecar.in_flight() == 0).await;
    others_are_served(&rig).await;
}

#[tokio::test]
async fn a_client_whose_credit_drips_is_given_up() {
    let origin = Origin::always(Act::ok(&"x".repeat(1 << 20))).await;
    let rig = Rig::with(origin.address, |server, _| (server.idle_timeout, server.min_body_rate) = (Duration::from_millis(300), 1000)).await;
    let mut stream = raw(&rig).await;
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, GET)).await.unwrap();
    let dripping = async {
        while rig.sidecar.refused(Refusal::StalledReader) == 0 {
            let _ =
                stream.write_all(&[frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])].concat()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.expect("it is given up");
    until(|| rig.sidecar.in_flight() == 0).await;
}
