//! What the sidecar reads, for fuzzers: each takes any bytes, and panics only if a promise is broken.

use crate::sidecar::admission::{admit, count};
use crate::sidecar::chunk::Chunks;
use crate::sidecar::forwarded::{Peer, complete};
use crate::sidecar::live::Settings;
use crate::sidecar::offer::part_offer;
use crate::sidecar::outgoing::{Names, OnTop, forward};
use crate::sidecar::proxy_header::{self, MAX_HEADER, Read};
use crate::sidecar::scan::{Progress, Scan};
use crate::sidecar::settings::{Forwarded, Origin, RateLimit, ServerSettings, UpstreamSettings};
use crate::sidecar::target::Memory;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Request};
use std::net::{IpAddr, Ipv4Addr};

/// The largest head.
const MAX_HEAD: usize = 512;

/// Requests on a connection: what is said of them does not depend on how they were cut, what is held is bounded, and a head without an offer to
/// switch protocols is a head still.
pub(crate) fn connection(bytes: &[u8]) {
    let whole = heads(bytes, usize::MAX);
    assert_eq!(whole, heads(bytes, 1), "byte by byte");
    assert_eq!(whole, heads(bytes, 7), "in sevens");
    for head in whole.0 {
        let (kept, offered) = part_offer(&head, false);
        assert!(kept.len() <= head.len() && offered.is_none());
        assert_eq!(heads(&kept, usize::MAX).0, [kept.to_vec()]);
    }
}

/// The heads, where the last of them ended, and whether there was a fault.
fn heads(mut bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut scan, mut heads, mut held) = (Scan::new(MAX_HEAD), Vec::new(), 0);
    while !bytes.is_empty() {
        let now = &bytes[..bytes.len().min(piece)];
        let used = match scan.feed(now) {
            Progress::Held => {
                held += now.len();
                assert!(held <= MAX_HEAD, "more is held than may be");
                now.len()
            }
            Progress::Head { used } => {
                held = 0;
                let pieces = scan.take_held();
                heads.push(if pieces.is_empty() { now[..used].to_vec() } else { pieces.to_vec() });
                used
            }
            Progress::Body { used } => used,
            Progress::Fault(_) => return (heads, true),
        };
        assert!(used > 0, "it goes on");
        bytes = &bytes[used..];
    }
    (heads, false)
}

/// What an upstream answers: hyper would take it for the same.
pub(crate) fn answer(bytes: &[u8]) {
    crate::sidecar::pool::one::fuzz::answer(bytes);
}

/// A chunked body: where it ends, or that it is wrong, does not depend on how it was cut.
pub(crate) fn chunked(bytes: &[u8]) {
    let read = |piece: usize| {
        let (mut chunks, mut at) = (Chunks::new(MAX_HEAD), 0);
        for now in bytes.chunks(piece) {
            match chunks.feed(now) {
                Ok((used, true)) => return Ok(Some(at + used)),
                Ok((used, false)) => assert_eq!(used, now.len(), "a body that goes on takes all"),
                Err(_) => return Err(()),
            }
            at += now.len();
        }
        Ok(None)
    };
    let whole = read(bytes.len().max(1));
    assert_eq!(whole, read(1));
    assert_eq!(whole, read(5));
}

/// The beginning of a connection: a header is found alike however it was cut, and what is behind it does not matter.
pub(crate) fn proxy_header(bytes: &[u8]) {
    match proxy_header::read(bytes) {
        Read::More(used) => assert!(used == bytes.len() && used < MAX_HEADER, "all that has come belongs to it, and it ends"),
        Read::Malformed => {}
        Read::Whole(length, client) => {
            assert!(length <= bytes.len().min(MAX_HEADER));
            assert_eq!(proxy_header::read(&bytes[..length]), Read::Whole(length, client));
            for cut in 0..length {
                assert_eq!(proxy_header::read(&bytes[..cut]), Read::More(cut));
            }
        }
    }
}

/// A head as hyper hands it on: what the upstream gets says who asked once, and nothing of a stranger's.
pub(crate) fn admission(bytes: &[u8]) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let uri = lines.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or("/");
    let Ok(mut request) = Request::builder().uri(uri).body(()) else { return };
    for line in lines.take(100) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..])) {
            // More than one Host does not get past the scan.
            let has_host = name == http::header::HOST && request.headers().contains_key(&name);
            if !has_host {
                request.headers_mut().append(name, value);
            }
        }
    }
    let trusted = vec!["10.0.0.0/8".parse().unwrap_or_default()];
    let rate_limit = RateLimit { per_second: 1_000_000, ..RateLimit::default() };
    for (peer, forwarded) in
        [([192, 0, 2, 1], Forwarded::Append), ([10, 0, 0, 1], Forwarded::Append), ([10, 0, 0, 1], Forwarded::Overwrite)]
    {
        let upstream = UpstreamSettings { forwarded, ..UpstreamSettings::new(Origin::http(Authority::from_static("o:1"))) };
        let server = ServerSettings { trusted_proxies: trusted.clone(), rate_limit: rate_limit.clone(), ..ServerSettings::default() };
        let settings = Settings::after(None, server, upstream);
        let (mut parts, ()) = request.clone().into_parts();
        let ip = IpAddr::V4(Ipv4Addr::from(peer));
        let peer_at = Peer::new(Some(ip));
        let counted = count(&parts, &settings, &peer_at);
        if counted.and_then(|()| admit(&mut parts, true, &settings, &peer_at, &mut Memory::default())).is_ok() {
            let (names, mut sent) = (Names::of(&parts.headers), parts.clone());
            let forwarding = forward(&mut sent, names, &peer_at, &settings);
            OnTop { forwarding, traceparent: None }.append_to(&mut sent.headers);
            complete(&mut parts, &peer_at, &settings.server, &settings.upstream);
            assert_eq!(sent.headers, parts.headers, "in lines or in a map");
            let named: Vec<_> = parts.headers.get_all("x-forwarded-for").iter().collect();
            assert_eq!(named.len(), 1);
            assert!(named[0].as_bytes().ends_with(ip.to_string().as_bytes()));
            assert_eq!(parts.headers.get_all("host").iter().count(), 1);
            assert!(!parts.headers.contains_key("connection") && !parts.headers.contains_key("upgrade"));
            if peer[0] == 192 {
                assert_eq!(named[0], &ip.to_string());
                assert!(!parts.headers.contains_key("x-original-url"));
            }
        }
    }
}
