//! The header of the PROXY protocol, versions 1 and 2, by which a proxy names the client at the beginning of a connection.
//!
//! A parser of its own: the crates for it overlook what a strict reader of the specification must refuse (a sign before a port, anything behind
//! `UNKNOWN` without a blank), and none says how many of the bytes at hand belong to the header while it is incomplete.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest line of version 1, its CRLF included.
const MAX_LINE: usize = 107;
/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part of version 2: signature, version and command, family, length.
const FIXED: usize = 16;
/// The longest header of version 2 that is read, its additions (TLVs) included.
pub(super) const MAX_HEADER: usize = 4 << 10;

/// What the bytes at the beginning of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// The first so many of them belong to the header, and it goes on.
    More(usize),
    /// The header, of so many bytes.
    Whole(usize, Client),
    /// No such header.
    Malformed,
}

/// Whom a header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// This address.
    At(IpAddr),
    /// The proxy itself (a health check), or one with no IP address: the connection's own address stands.
    Itself,
}

/// Reads the header from `bytes`, the first of a connection. What it says of incomplete bytes does not depend on how they were cut.
pub(super) fn read(bytes: &[u8]) -> Read {
    let same = |start: &[u8]| bytes.iter().zip(start).all(|(a, b)| a == b);
    if same(SIGNATURE) {
        version_2(bytes)
    } else if same(b"PROXY ") {
        version_1(bytes)
    } else {
        Read::Malformed
    }
}

fn version_1(bytes: &[u8]) -> Read {
    let Some(end) = memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_LINE)]) else {
        return if bytes.len() < MAX_LINE { Read::More(bytes.len()) } else { Read::Malformed };
    };
    let line = std::str::from_utf8(&bytes[..end]).ok().and_then(|line| line.strip_suffix('\r'));
    line.and_then(client_of_line).map_or(Read::Malformed, |client| Read::Whole(end + 1, client))
}

/// `PROXY TCP4 source destination port port`, or `PROXY UNKNOWN` and anything.
fn client_of_line(line: &str) -> Option<Client> {
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(Client::Itself);
    }
    let [source, destination, from, to] = [words.next()?, words.next()?, words.next()?, words.next()?];
    let address = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    let is_port = |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok();
    address(destination).filter(|_| is_port(from) && is_port(to) && words.next().is_none())?;
    address(source).map(Client::At)
}

fn version_2(bytes: &[u8]) -> Read {
    let Some(&[command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else { return Read::More(bytes.len()) };
    let whole = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if whole > MAX_HEADER || !matches!(command, 0x20 | 0x21) {
        return Read::Malformed;
    }
    let Some(rest) = bytes.get(FIXED..whole) else { return Read::More(bytes.len()) };
    let client = match (command, family) {
        // LOCAL: the addresses, if any, mean nothing. UNSPEC and Unix sockets have none that we could use.
        (0x20, _) | (_, 0x00 | 0x31 | 0x32) => Some(Client::Itself),
        (_, 0x11) => address::<4>(rest, 12).map(|ip| Client::At(IpAddr::from(ip))),
        (_, 0x21) => address::<16>(rest, 36).map(|ip| Client::At(IpAddr::from(ip))),
        // Datagrams do not come over TCP, and the specification asks to refuse what it does not name.
        _ => None,
    };
    client.map_or(Read::Malformed, |client| Read::Whole(whole, client))
}

/// The source address at the beginning of a block of at least `block` bytes.
fn address<const N: usize>(rest: &[u8], block: usize) -> Option<[u8; N]> {
    if rest.len() < block { None } else { rest.first_chunk().copied() }
}

#[cfg(test)]
mod tests {
    use super::{Client, MAX_HEADER, Read, read};
    use proptest::prelude::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, rest].concat()
    }

    fn at(text: &str) -> Client {
        Client::At(text.parse().unwrap())
    }

    #[test]
    fn both_versions_name_the_client() {
        for (bytes, client) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n".to_vec(), at("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n".to_vec(), at("2001:db8::7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Client::Itself),
            (b"PROXY UNKNOWN ff:: ff:: 1 2\r\n".to_vec(), Client::Itself),
            (v2(0x21, 0x11, &[192, 0, 2, 7, 10, 0, 0, 1, 0, 1, 0, 2]), at("192.0.2.7")),
            (v2(0x21, 0x11, &[192, 0, 2, 7, 10, 0, 0, 1, 0, 1, 0, 2, 4, 0, 1, 9]), at("192.0.2.7")),
            (v2(0x21, 0x21, &[[0; 32].as_slice(), &[0, 1, 0, 2]].concat()), at("::")),
            (v2(0x20, 0x11, &[]), Client::Itself),
            (v2(0x21, 0x00, b"anything"), Client::Itself),
            (v2(0x21, 0x31, &[0; 216]), Client::Itself),
        ] {
            let length = bytes.len();
            assert_eq!(read(&[&bytes[..], b"GET / HTTP/1.1\r\n"].concat()), Read::Whole(length, client));
            for cut in 0..length {
                assert_eq!(read(&bytes[..cut]), Read::More(cut), "{cut} bytes of {bytes:?}");
            }
        }
    }

    #[test]
    fn nothing_else_is_taken_for_a_header() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for text in [
            "GET / HTTP/1.1\r\n",
            "PROXY",
            "PROXYTCP4 ",
            "PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 +1 443\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 1 65536\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n",
            "PROXY TCP4 ::1 10.0.0.1 1 2\r\n",
            "PROXY TCP6 192.0.2.7 ::1 1 2\r\n",
            "PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n",
            &long,
        ] {
            let expected = if text == "PROXY" { Read::More(5) } else { Read::Malformed };
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
        for bytes in [v2(0x22, 0x11, &[0; 12]), v2(0x11, 0x11, &[0; 12]), v2(0x21, 0x11, &[0; 11]), v2(0x21, 0x12, &[0; 12])] {
            assert_eq!(read(&bytes), Read::Malformed, "{bytes:?}");
        }
        assert_eq!(read(&v2(0x21, 0x00, &[0; MAX_HEADER])), Read::Malformed, "refused by its length, before it is read");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_claim_more_than_there_are(
            start in prop_oneof![Just(&b"PROXY "[..]), Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..]), Just(&b""[..])],
            rest in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [start, &rest].concat();
            match read(&bytes) {
                Read::More(used) | Read::Whole(used, _) => prop_assert!(used <= bytes.len()),
                Read::Malformed => {}
            }
        }
    }
}
