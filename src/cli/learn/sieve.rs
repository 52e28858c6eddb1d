//! What of a log can be warmed: one verdict per request, from nothing but the request and the settings.

use super::answered::Answered;
use super::draft::{Asked, Took};
use super::secret;
use crate::cache::key::keyed_query;
use crate::cache::settings::Settings;
use std::borrow::Cow;

/// The longest target that is warmed.
const LONGEST_TARGET: usize = 8 << 10;

/// Why a line does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skipped {
    NotRecognised,
    TooLong,
    Method,
    Status,
    User,
    Target,
    Host,
    Rule,
    Cached,
    Past,
    Secret,
}

impl Skipped {
    /// All reasons, in the order of their discriminants.
    pub(super) const ALL: [Self; 11] = [
        Self::NotRecognised,
        Self::TooLong,
        Self::Method,
        Self::Status,
        Self::User,
        Self::Target,
        Self::Host,
        Self::Rule,
        Self::Cached,
        Self::Past,
        Self::Secret,
    ];

    /// The one spelling.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NotRecognised => "not recognised",
            Self::TooLong => "longer than 64 KiB",
            Self::Method => "neither GET nor HEAD",
            Self::Status => "with a status that is not warmed",
            Self::User => "by a signed-in user",
            Self::Target => "with a target that cannot be asked for",
            Self::Host => "for another host",
            Self::Rule => "under a rule with pass or per_identity",
            Self::Cached => "answered from cache",
            Self::Past => "past the cache",
            Self::Secret => "with a secret in the query",
        }
    }
}

/// A request that counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    /// Path and query as the cache keys them.
    pub(super) target: Cow<'a, str>,
    pub(super) host: Option<&'a str>,
    pub(super) took: Took,
    /// Whether the log says that it was a miss.
    pub(super) told: bool,
}

/// What is asked of each request.
#[derive(Debug)]
pub(super) struct Sieve {
    pub(super) settings: Settings,
    /// The only host that counts; without a port any port of it.
    pub(super) host: Option<String>,
    pub(super) with_users: bool,
}

impl Sieve {
    pub(super) fn judge<'a>(&self, asked: &'a Asked<'_>) -> Result<Wanted<'a>, Skipped> {
        if !matches!(&*asked.method, b"GET" | b"HEAD") {
            return Err(Skipped::Method);
        }
        if !matches!(asked.status, 200 | 203 | 204 | 300 | 301 | 304 | 308) {
            return Err(Skipped::Status);
        }
        if asked.user && !self.with_users {
            return Err(Skipped::User);
        }
        let (authority, target) = split_target(&asked.target).ok_or(Skipped::Target)?;
        let host = authority.or_else(|| asked.host.as_deref().and_then(|host| std::str::from_utf8(host).ok()));
        if !self.wants_host(host) {
            return Err(Skipped::Host);
        }
        let target = self.keyed(target)?;
        match asked.answered {
            Some(Answered::Cache) => return Err(Skipped::Cached),
            Some(Answered::Past) => return Err(Skipped::Past),
            Some(Answered::Origin) | None => {}
        }
        if target.split_once('?').is_some_and(|(_, query)| secret::is_in(query)) {
            return Err(Skipped::Secret);
        }
        Ok(Wanted { target, host, took: asked.took, told: asked.answered.is_some() })
    }

    fn wants_host(&self, host: Option<&str>) -> bool {
        let Some(wanted) = &self.host else { return true };
        host.is_some_and(|host| {
            let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(name, _)| name);
            host.eq_ignore_ascii_case(wanted) || name.eq_ignore_ascii_case(wanted)
        })
    }

    /// The target with its query as the first matching rule, or else the cache, keys it.
    fn keyed<'a>(&self, target: Cow<'a, str>) -> Result<Cow<'a, str>, Skipped> {
        let (path, query) = target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
        let rule = self.settings.rules.iter().find(|rule| rule.matches(path));
        if rule.is_some_and(|rule| rule.pass || rule.per_identity.is_some()) {
            return Err(Skipped::Rule);
        }
        let key = rule.and_then(|rule| rule.key.as_ref()).unwrap_or(&self.settings.key);
        if key.is_exact() || query.is_none() {
            return Ok(target);
        }
        match keyed_query(query, key) {
            None => Ok(Cow::Owned(path.to_owned())),
            Some(kept) if Some(&*kept) == query => Ok(target),
            Some(kept) => Ok(Cow::Owned(format!("{path}?{kept}"))),
        }
    }
}

/// The authority of an absolute target, and path and query of any; `None` if it is nothing to ask for.
fn split_target(target: &[u8]) -> Option<(Option<&str>, Cow<'_, str>)> {
    if target.len() > LONGEST_TARGET || !target.iter().all(|byte| is_target_byte(*byte)) {
        return None;
    }
    let target = std::str::from_utf8(target).ok()?;
    if target.starts_with('/') {
        return Some((None, target.into()));
    }
    let (scheme, rest) = target.split_once("://")?;
    if !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) {
        return None;
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
    Some((Some(host).filter(|host| !host.is_empty()), path))
}

/// RFC 3986 section 3.3 and 3.4, and the brackets and bars that browsers leave alone. Anything else must be percent-encoded to be sent.
const fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
        || matches!(byte, b':' | b'@' | b'/' | b'?' | b'%' | b'[' | b']' | b'|' | b'{' | b'}')
}

#[cfg(test)]
mod tests;
