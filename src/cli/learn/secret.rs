//! Query parameters that carry secrets. A plan is a file that people commit, so requests with such parameters stay out of it.

/// Whole names, without `_`, `-`, `.` and case.
const NAMES: &[&str] =
    &["key", "sig", "session", "auth", "authorization", "sessionid", "sid", "jwt", "pwd", "passwd", "credential", "credentials"];
/// What a name may end in: `access_token`, `X-Amz-Signature`, `clientSecret`.
const ENDINGS: &[&str] = &["token", "apikey", "accesskey", "password", "secret", "signature", "sessionid"];

/// Whether a parameter of `query` has a name that is known to carry secrets.
pub(super) fn is_in(query: &str) -> bool {
    query.split(['&', ';']).any(|pair| pair.split('=').next().is_some_and(is_secret))
}

fn is_secret(name: &str) -> bool {
    // Longer than any name that people give to secrets.
    if name.is_empty() || name.len() > 192 {
        return false;
    }
    let mut plain = [0; 192];
    let mut length = 0;
    for byte in decoded(name.as_bytes()).filter(u8::is_ascii_alphanumeric) {
        plain[length] = byte.to_ascii_lowercase();
        length += 1;
    }
    let plain = &plain[..length];
    NAMES.iter().any(|name| plain == name.as_bytes()) || ENDINGS.iter().any(|ending| plain.ends_with(ending.as_bytes()))
}

/// Percent-encoding undone; what is malformed stays as it is.
fn decoded(text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (first, tail) = rest.split_first()?;
        rest = tail;
        if *first == b'%'
            && let Some((digits, tail)) = tail.split_first_chunk::<2>()
            && let Some(byte) = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
        {
            rest = tail;
            return Some(byte);
        }
        Some(*first)
    })
}

#[cfg(test)]
mod tests {
    use super::is_in;

    #[test]
    fn parameters_that_are_named_like_secrets_are_found() {
        for query in [
            "token=1",
            "a=1&access_token=2",
            "API_KEY=1",
            "apikey",
            "key=AIza",
            "Password=x",
            "client_secret=x",
            "sig=1",
            "X-Amz-Signature=1",
            "session=1",
            "auth=1",
            "%74oken=1",
            "a=1;token=2",
            "user[password]=1",
        ] {
            assert!(is_in(query), "{query}");
        }
    }

    #[test]
    fn harmless_parameters_are_not() {
        for query in
            ["", "page=1&pageSize=20", "keyword=token", "q=password", "design=1", "tokens=5", "keys=1", "author=me", "%", "%7", "signal=1"]
        {
            assert!(!is_in(query), "{query}");
        }
    }
}
