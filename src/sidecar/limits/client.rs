//! Whose request it is, where the one who asks is known by its address.

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address as one number: an IPv6 client is its /64, within which it may choose its address freely. `None` if it has none.
pub(super) fn network(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<u128> {
    peer.map(|peer| of(client(peer, headers, trusted)))
}

/// An address as one number, IPv6 by its /64.
pub(super) fn of(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits() >> 64 << 64,
    }
}

/// Who is behind a peer: each proxy that is believed has added whom it saw at the end of `X-Forwarded-For`, so the list is read from there until
/// somebody is named who is not believed. What stands before may be invented by a stranger, and `Forwarded` is not read: a proxy that writes one of
/// the two may pass on the other as a stranger wrote it.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    let mut client = peer;
    if trusted.is_empty() || !is_trusted(peer) {
        return client;
    }
    for line in headers.get_all(FOR).iter().rev() {
        for named in line.as_bytes().rsplit(|&byte| byte == b',') {
            let Some(ip) = address(named.trim_ascii()) else { return client };
            client = ip;
            if !is_trusted(ip) {
                return client;
            }
        }
    }
    client
}

/// An address, with or without brackets and port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let ip = text.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()));
    let ip = ip.or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    ip.map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::{client, of};
    use http::{HeaderMap, HeaderValue};
    use std::net::IpAddr;

    fn behind(peer: &str, lines: &[&'static str]) -> IpAddr {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
        }
        client(peer.parse().unwrap(), &headers, &["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
    }

    #[test]
    fn a_stranger_cannot_choose_who_it_is() {
        for (peer, lines, found) in [
            ("192.0.2.1", &["203.0.113.9"][..], "192.0.2.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("fd00::1", &["[2001:db8::7]:80"], "2001:db8::7"),
            ("fd00::1", &["::ffff:203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(behind(peer, lines), found.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let number = |text: &str| of(text.parse().unwrap());
        assert_eq!(number("2001:db8::1"), number("2001:db8::ffff:1"));
        assert_ne!(number("2001:db8::1"), number("2001:db8:0:1::1"));
        assert_eq!(number("::ffff:192.0.2.1"), number("192.0.2.1"));
        assert_ne!(number("192.0.2.1"), number("192.0.2.2"));
    }
}
