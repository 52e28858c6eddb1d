//! Offers to switch protocols, of which hyper must not know.
//!
//! hyper believes a connection lost to another protocol as soon as a request on it has had an `Upgrade` field, and does not write what it still has to write when
//! such a connection ends. Where the offer is declined that is a response cut off. So the field goes past hyper, and the tunnel is made when hyper is done.

use crate::sidecar::head::field;
use bytes::BytesMut;
use http::HeaderValue;

/// `head` without its `Upgrade` fields, and what they offer; `None` if the request cannot become a tunnel (RFC 9110 section 7.8 lets a server ignore them): it has
/// content, is no HTTP/1.1, does not name the field in `Connection`, or offers h2c alone. The head is complete and was scanned.
pub(super) fn part_offer(head: &[u8], empty: bool) -> (BytesMut, Option<HeaderValue>) {
    let lines = || head.split_inclusive(|&byte| byte == b'\n');
    let values = |name: &'static str| {
        let fields = lines().filter_map(|line| field(line.strip_suffix(b"\r\n")?).ok());
        let named = fields.filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        named.flat_map(|(_, value)| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
    };
    let is_current = lines().find(|line| line.len() > 2).is_some_and(|line| line.ends_with(b" HTTP/1.1\r\n"));
    let named = || values("connection").any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    let mut offered = None;
    if empty && is_current && named() && values("upgrade").any(|token| !token.eq_ignore_ascii_case(b"h2c")) {
        offered = HeaderValue::from_bytes(&values("upgrade").collect::<Vec<_>>().join(&b", "[..])).ok();
    }
    let mut kept = BytesMut::with_capacity(head.len());
    let is_offer = |line: &[u8]| line.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"upgrade:"));
    lines().filter(|line| !is_offer(line)).for_each(|line| kept.extend_from_slice(line));
    (kept, offered)
}

#[cfg(test)]
mod tests {
    use super::part_offer;

    /// What hyper sees, and what is offered past it.
    fn parted(line: &str, fields: &str, empty: bool) -> (String, Option<String>) {
        let head = format!("{line}\r\nHost: h\r\n{fields}\r\nAccept: upgrade\r\n\r\n");
        let (kept, offered) = part_offer(head.as_bytes(), empty);
        assert!(kept.starts_with(format!("{line}\r\nHost: h\r\n").as_bytes()) && kept.ends_with(b"Accept: upgrade\r\n\r\n"));
        (String::from_utf8(kept.to_vec()).unwrap(), offered.map(|offered| offered.to_str().unwrap().to_owned()))
    }

    #[test]
    fn an_offer_that_can_be_taken_goes_past_hyper() {
        for (line, fields, expected) in [
            ("GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket", "websocket"),
            ("GET / HTTP/1.1", "connection: keep-alive, upgrade\r\nUPGRADE: h2c, websocket\r\nupgrade:x", "h2c, websocket, x"),
            ("\r\nGET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: x", "x"),
        ] {
            let (kept, offered) = parted(line, fields, true);
            assert_eq!(offered.as_deref(), Some(expected), "{fields}");
            assert!(!kept.to_ascii_lowercase().contains("\r\nupgrade:") && kept.to_ascii_lowercase().contains("\r\nconnection:"), "{kept}");
        }
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
            let (kept, offered) = parted(line, fields, empty);
            assert!(!kept.to_ascii_lowercase().contains("\r\nupgrade:") && offered.is_none(), "{kept}");
            assert_eq!(kept.contains("Connection:"), fields.contains("Connection:"));
        }
    }
}
