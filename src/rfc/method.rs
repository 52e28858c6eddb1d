//! Request methods (RFC 9110 section 9.2).

use http::Method;

/// Whether the method is registered as safe (RFC 9110 section 9.2.1 and the IANA method registry).
///
/// An unknown method is not: RFC 9111 section 4.4 asks to invalidate after it.
/// Methods are case-sensitive, so `get` is an unknown method.
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => true,
        _ => matches!(method.as_str(), "QUERY" | "PROPFIND" | "REPORT" | "SEARCH" | "PRI"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safe(name: &str) -> bool {
        is_safe(&Method::from_bytes(name.as_bytes()).unwrap())
    }

    #[test]
    fn the_registered_safe_methods_are_safe() {
        for name in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH", "PRI"] {
            assert!(safe(name), "{name}");
        }
    }

    #[test]
    fn every_other_method_is_unsafe() {
        for name in ["POST", "PUT", "DELETE", "PATCH", "CONNECT", "PURGE", "M-SEARCH", "get", "FOO"] {
            assert!(!safe(name), "{name}");
        }
    }
}
