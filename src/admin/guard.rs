//! Who may ask at all. A page in a browser on this machine must not (cross-site calls, DNS rebinding), nor anybody without the token.

use crate::admin::problem::Problem;
use crate::admin::settings::AdminSettings;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq as _;

/// Where a request has come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here {
    /// What is listened on.
    pub(super) bound: SocketAddr,
    /// The address of this connection's own end.
    pub(super) local: SocketAddr,
}

/// Whether a request is meant for us and comes from no page of somebody else's.
pub(super) fn admit(parts: &Parts, settings: &AdminSettings, here: Here) -> Result<(), Problem> {
    let host = host(parts, here)?;
    if !names_us(host, settings, here) {
        let words = format!("this is {}, not {}; see admin.hosts", here.bound, crate::suggest::quote(host));
        return Err(misdirected(&words));
    }
    let foreign = |what: &str| Problem::new(StatusCode::FORBIDDEN, format!("{what}: calls of other sites' pages are refused"));
    for origin in parts.headers.get_all(ORIGIN) {
        // RFC 6454 section 7: the same host and port, or another site.
        let text = origin.to_str().unwrap_or_default();
        let authority = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        if !authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
            return Err(foreign("foreign Origin"));
        }
    }
    for site in parts.headers.get_all("sec-fetch-site") {
        if !matches!(site.as_bytes(), b"same-origin" | b"none") {
            return Err(foreign("Sec-Fetch-Site is not same-origin"));
        }
    }
    Ok(())
}

/// Whether the token is there, if one is needed. How long this takes does not depend on how much of it is right.
pub(super) fn authorise(headers: &HeaderMap, settings: &AdminSettings) -> Result<(), Problem> {
    let Some(token) = &settings.token else { return Ok(()) };
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(Problem::unauthorized("say Authorization: Bearer and the token of admin.token"));
    };
    // RFC 9110 section 11.1: the scheme's case does not matter.
    let given = line.as_bytes().split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    let given = given.map(|(_, rest)| rest.trim_ascii()).unwrap_or_default();
    if bool::from(given.ct_eq(token.expose().as_bytes())) {
        Ok(())
    } else {
        Err(Problem::unauthorized("that is not the token of admin.token"))
    }
}

fn misdirected(words: &str) -> Problem {
    Problem::new(StatusCode::MISDIRECTED_REQUEST, words)
}

/// The one host that the request names.
fn host(parts: &Parts, here: Here) -> Result<&str, Problem> {
    let mut lines = parts.headers.get_all(HOST).iter();
    let (Some(host), None) = (lines.next(), lines.next()) else {
        return Err(misdirected(&format!("say one Host: {}", here.bound)));
    };
    let host = host.to_str().map_err(|_| misdirected("Host is not text"))?;
    // RFC 9112 section 3.2.2: an absolute target names the host too.
    if parts.uri.authority().is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(host)) {
        return Err(misdirected("Host and the request target name different hosts"));
    }
    Ok(host)
}

fn names_us(host: &str, settings: &AdminSettings, here: Here) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, Some(80)),
    };
    let same_port = port == Some(here.bound.port());
    if let Ok(ip) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).parse::<IpAddr>() {
        let ip = ip.to_canonical();
        // No name, no rebinding: behind a port mapping any address may be ours.
        let mapped = here.bound.ip().is_unspecified() && port.is_some();
        return mapped || (same_port && (ip.is_loopback() || ip == here.local.ip().to_canonical() || ip == here.bound.ip().to_canonical()));
    }
    (same_port && name.eq_ignore_ascii_case("localhost"))
        || (port.is_some() && settings.hosts.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::{Here, admit, authorise};
    use crate::admin::{AdminSettings, Secret};
    use bytes::Bytes;
    use http::{Request, Response, request::Parts};

    fn parts(target: &str, fields: &[(&str, &str)]) -> Parts {
        let request = fields.iter().fold(Request::get(target), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn status(bound: &str, fields: &[(&str, &str)]) -> u16 {
        let here = Here { bound: bound.parse().unwrap(), local: "10.0.0.7:9180".parse().unwrap() };
        let settings = AdminSettings { hosts: vec!["wf.internal".into()], ..AdminSettings::default() };
        admit(&parts("/x", fields), &settings, here).map_or_else(|problem| Response::<Bytes>::from(problem).status().as_u16(), |()| 200)
    }

    #[test]
    fn only_our_own_names_are_ours() {
        for (host, expected) in [
            ("127.0.0.1:9180", 200),
            ("LOCALHOST:9180", 200),
            ("[::1]:9180", 200),
            ("10.0.0.7:9180", 200),
            ("wf.internal", 200),
            ("wf.internal:1234", 200),
            ("localhost", 421),
            ("localhost:80", 421),
            ("localhost:9180:9180", 421),
            ("10.0.0.8:9180", 421),
            ("127.0.0.1:9181", 421),
            ("evil.example:9180", 421),
            ("127.0.0.1.evil.example:9180", 421),
            ("localhost.evil.example:9180", 421),
            ("u@localhost:9180", 421),
            ("wf.internal:x", 421),
            ("", 421),
        ] {
            assert_eq!(status("127.0.0.1:9180", &[("host", host)]), expected, "{host}");
        }
        assert_eq!(status("0.0.0.0:9180", &[("host", "192.168.1.9:80")]), 200, "behind a port mapping");
        assert_eq!(status("0.0.0.0:9180", &[("host", "evil.example:9180")]), 421);
        assert_eq!(status("127.0.0.1:9180", &[]), 421);
        assert_eq!(status("127.0.0.1:9180", &[("host", "localhost:9180"), ("host", "localhost:9180")]), 421);
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let ours = ("host", "localhost:9180");
        for (field, expected) in [
            (("origin", "http://localhost:9180"), 200),
            (("origin", "http://localhost:3000"), 403),
            (("origin", "http://127.0.0.1:9180"), 403),
            (("origin", "https://evil.example"), 403),
            (("origin", "null"), 403),
            (("sec-fetch-site", "none"), 200),
            (("sec-fetch-site", "same-origin"), 200),
            (("sec-fetch-site", "same-site"), 403),
            (("sec-fetch-site", "cross-site"), 403),
        ] {
            assert_eq!(status("127.0.0.1:9180", &[ours, field]), expected, "{field:?}");
        }
    }

    #[test]
    fn an_absolute_target_must_agree_with_host() {
        let here = Here { bound: "127.0.0.1:9180".parse().unwrap(), local: "127.0.0.1:9180".parse().unwrap() };
        let check = |target| admit(&parts(target, &[("host", "localhost:9180")]), &AdminSettings::default(), here).is_ok();
        assert!(check("http://localhost:9180/x") && !check("http://evil.example/x"));
    }

    #[test]
    fn the_token_must_be_whole() {
        let settings = AdminSettings { token: Some(Secret::new("s3cret")), ..AdminSettings::default() };
        let check = |fields: &[(&str, &str)]| authorise(&parts("/", fields).headers, &settings).is_ok();
        assert!(check(&[("authorization", "Bearer s3cret")]) && check(&[("authorization", "bearer  s3cret")]));
        for wrong in ["Bearer s3cre", "Bearer s3cret2", "Bearer", "Bearer ", "s3cret", "Basic s3cret", ""] {
            assert!(!check(&[("authorization", wrong)]), "{wrong}");
        }
        assert!(!check(&[]) && !check(&[("authorization", "Bearer s3cret"), ("authorization", "Bearer s3cret")]));
        assert!(authorise(&parts("/", &[]).headers, &AdminSettings::default()).is_ok());
    }
}
