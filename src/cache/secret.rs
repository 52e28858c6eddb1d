//! Which header fields may carry credentials, by their names.

/// Whether the values of a header may be credentials: they are neither shown, nor asked with again for anybody else.
pub(crate) fn may_be_credentials(name: &str) -> bool {
    const SIGNS: [&str; 8] = ["auth", "cookie", "token", "secret", "session", "password", "api-key", "apikey"];
    let name = name.to_ascii_lowercase();
    SIGNS.iter().any(|sign| name.contains(sign))
}
