//! An offer to switch protocols that nobody can take: hyper must not see it.
//!
//! hyper believes a connection lost to another protocol as soon as a request on it has had an `Upgrade` field, and does not write what it still has to write when
//! such a connection ends. For a request that cannot become a tunnel that is a response cut off.

use crate::sidecar::head::field;
use bytes::BytesMut;

/// `head` without its `Upgrade` fields (RFC 9110 section 7.8 lets a server ignore them), if the request cannot become a tunnel: it has content, is no
/// HTTP/1.1, does not name the field in `Connection`, or offers h2c alone. `None`: it may. The head is complete and was scanned.
pub(super) fn without_vain_offer(head: &[u8], empty: bool) -> Option<BytesMut> {
    let lines = || head.split_inclusive(|&byte| byte == b'\n');
    let values = |name: &'static str| {
        let fields = lines().filter_map(|line| field(line.strip_suffix(b"\r\n")?).ok());
        let named = fields.filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        named.flat_map(|(_, value)| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
    };
    let is_current = lines().find(|line| line.len() > 2).is_some_and(|line| line.ends_with(b" HTTP/1.1\r\n"));
    let named = || values("connection").any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    if empty && is_current && named() && values("upgrade").any(|token| !token.eq_ignore_ascii_case(b"h2c")) {
        return None;
    }
    let mut kept = BytesMut::with_capacity(head.len());
    let is_offer = |line: &[u8]| line.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"upgrade:"));
    lines().filter(|line| !is_offer(line)).for_each(|line| kept.extend_from_slice(line));
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::without_vain_offer;

    fn seen(line: &str, fields: &str, empty: bool) -> Option<String> {
        let head = format!("{line}\r\nHost: h\r\n{fields}\r\nAccept: upgrade\r\n\r\n");
        without_vain_offer(head.as_bytes(), empty).map(|kept| String::from_utf8(kept.to_vec()).unwrap())
    }

    #[test]
    fn an_offer_that_can_be_taken_stays() {
        for fields in ["Connection: Upgrade\r\nUpgrade: websocket", "connection: keep-alive, upgrade\r\nUPGRADE: h2c, websocket"] {
            assert_eq!(seen("GET / HTTP/1.1", fields, true), None, "{fields}");
        }
        assert_eq!(seen("\r\nGET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: x", true), None, "an empty line before it");
    }

    #[test]
    fn a_vain_one_goes_and_nothing_else() {
        let good = "Connection: Upgrade\r\nUpgrade: websocket";
        for (line, fields, empty) in [
            ("POST / HTTP/1.1", good, false),
            ("GET / HTTP/1.0", good, true),
            ("GET / HTTP/1.1", "Connection: close\r\nUpgrade: websocket", true),
            ("GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: h2c", true),
            ("GET / HTTP/1.1", "Upgrade: websocket\r\nupgrade: other", true),
        ] {
            let kept = seen(line, fields, empty).unwrap();
            assert!(!kept.to_ascii_lowercase().contains("\r\nupgrade:"), "{kept}");
            assert!(kept.starts_with(&format!("{line}\r\nHost: h\r\n")) && kept.ends_with("Accept: upgrade\r\n\r\n"), "{kept}");
            assert_eq!(kept.contains("Connection:"), fields.contains("Connection:"));
        }
    }
}
