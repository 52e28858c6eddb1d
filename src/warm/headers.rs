//! Headers that a plan may set.

use crate::cache::secret::may_be_credentials;
use crate::warm::fault::PlanFault;
use http::{HeaderName, HeaderValue};

/// Headers that are not the plan's: whom it asks, how bytes are framed, what the connection does, what makes a request conditional or partial, and what
/// the cache or the forwarding decides.
const FORBIDDEN: [&str; 20] = [
    "cache-control",
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-real-ip",
];

/// Families of such headers.
const FORBIDDEN_PREFIXES: [&str; 2] = ["if-", "x-forwarded-"];

/// Reads the name of a header that a plan may set.
pub(crate) fn name(text: &str) -> Result<HeaderName, PlanFault> {
    let name: HeaderName = text.parse().map_err(|_| PlanFault::HeaderName(text.into()))?;
    let forbidden = FORBIDDEN.contains(&name.as_str()) || FORBIDDEN_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
    if forbidden { Err(PlanFault::ForbiddenHeader(text.into())) } else { Ok(name) }
}

/// Reads a value of the header `name`; `None` for `""`, which means that the header is absent. The value is in no fault: it may be a secret.
pub(crate) fn value(name: &str, text: &str) -> Result<Option<HeaderValue>, PlanFault> {
    let wrong = || PlanFault::HeaderValue(name.into());
    if text.trim() != text || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(wrong());
    }
    if text.is_empty() {
        return Ok(None);
    }
    let mut value = HeaderValue::from_str(text).map_err(|_| wrong())?;
    value.set_sensitive(may_be_credentials(name));
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::{name, value};

    #[test]
    fn a_plan_sets_what_varies_and_nothing_of_the_connection() {
        for text in ["accept-language", "Accept", "authorization", "x-tenant", "cookie"] {
            assert!(name(text).is_ok(), "{text}");
        }
        for text in ["Host", "connection", "TE", "if-none-match", "If-Match", "x-forwarded-for", "via", "range", "cache-control", "Expect"]
        {
            assert!(name(text).unwrap_err().to_string().contains("is not the plan's to set"), "{text}");
        }
        assert!(name("a b").unwrap_err().to_string().starts_with("\"a b\" is no name of a header"));
    }

    #[test]
    fn what_may_be_a_credential_is_marked() {
        for (header, secret) in
            [("Authorization", true), ("cookie", true), ("X-Api-Key", true), ("accept-language", false), ("x-tenant", false)]
        {
            assert_eq!(value(header, "x").unwrap().unwrap().is_sensitive(), secret, "{header}");
        }
    }

    #[test]
    fn a_value_is_visible_or_absent() {
        assert_eq!(value("a", "").unwrap(), None);
        assert_eq!(value("a", "zh-HK, en").unwrap().unwrap(), "zh-HK, en");
        for text in [" a", "a ", "a\r\nb", "ü", "\t"] {
            let words = value("authorization", text).unwrap_err().to_string();
            assert!(words.starts_with("a value of \"authorization\" is none"), "{words}");
        }
    }
}
