//! Refusals that are written to the socket itself, because hyper never saw the request.

use crate::telemetry::Refusal;
use std::time::{Duration, UNIX_EPOCH};

/// A whole response, head and text, after which the connection closes.
pub(super) fn response(refusal: Refusal, detail: &str, unix_seconds: u64) -> Vec<u8> {
    let status = refusal.status();
    let (code, title) = (status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    let body = format!("{code} {title}\n{detail}\n");
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix_seconds));
    format!(
        "HTTP/1.1 {code} {title}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         date: {date}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Bytes of the text of such a response.
pub(super) fn body_length(response: &[u8]) -> u64 {
    let head = response.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| at + 4);
    (response.len() - head) as u64
}

#[cfg(test)]
mod tests {
    use crate::telemetry::Refusal;

    #[test]
    fn a_refusal_is_a_whole_response() {
        let text = String::from_utf8(super::response(Refusal::HeaderTimeout, "server.header_timeout (10s) passed", 784_111_777)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n") && head.ends_with("connection: close"), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())) && head.contains("date: Sun, 06 Nov 1994 08:49:37 GMT"));
        assert!(body.contains("server.header_timeout"));
    }
}
