//! `[upstream]`

use super::set;
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::sidecar::settings::{Forwarded, Share, UpstreamSettings};
use http::uri::Authority;

const URLS: &str = "upstream.urls";

pub(super) fn check(root: &Table, findings: &mut Findings) -> Option<UpstreamSettings> {
    let mut upstream = UpstreamSettings::new(authority(root, findings)?);
    set(&mut upstream.connect_timeout, root.duration("upstream.connect_timeout"));
    set(&mut upstream.response_timeout, root.duration("upstream.response_timeout"));
    set(&mut upstream.idle_body_timeout, root.duration("upstream.idle_body_timeout"));
    let forwarded = root.text("upstream.forwarded").map(|word| if word == "append" { Forwarded::Append } else { Forwarded::Overwrite });
    set(&mut upstream.forwarded, forwarded);
    set(&mut upstream.max_in_flight, root.integer("upstream.max_in_flight"));
    set(&mut upstream.max_queue, root.integer("upstream.max_queue"));
    set(&mut upstream.queue_timeout, root.duration("upstream.queue_timeout"));
    set(&mut upstream.preconnect, root.integer("upstream.preconnect"));
    set(&mut upstream.warm_share, root.fraction("warm.max_share").map(Share::new));
    set(&mut upstream.retries, root.integer("upstream.retries").and_then(|retries| u32::try_from(retries).ok()));
    if upstream.forwarded == Forwarded::Append && root.is_silent("server.trusted_proxies") {
        let fix = "name the networks of your proxies in server.trusted_proxies, or leave it at \"overwrite\"";
        let found = "\"append\" without server.trusted_proxies continues nobody's list";
        findings.warn(&root.place("upstream.forwarded"), "upstream.forwarded", found, fix);
    }
    Some(upstream)
}

fn authority(root: &Table, findings: &mut Findings) -> Option<Authority> {
    let fix = "name the API in front of which warmfront stands: --upstream http://127.0.0.1:9000, or in the file:\n       [upstream]\n       urls = [\"http://127.0.0.1:9000\"]";
    let Some(urls) = root.list(URLS) else {
        if root.is_silent(URLS) {
            findings.fault(&root.place, URLS, "is missing: there is no upstream", fix);
        }
        return None;
    };
    match urls.as_slice() {
        [] => findings.fault(&root.place(URLS), URLS, "is empty: there is no upstream", fix),
        [(url, place)] => match parse(url) {
            Ok(authority) => return Some(authority),
            Err((found, fix)) => findings.fault(place, URLS, found, fix),
        },
        [_, (_, second), ..] => {
            let found = format!("names {} upstreams; this version asks one", urls.len());
            findings.fault(second, URLS, found, "keep one URL, for instance of a load balancer; several come with a later version");
        }
    }
    None
}

/// The authority of `http://host[:port]`, or what was found and the fix.
fn parse(url: &str) -> Result<Authority, (String, String)> {
    const FORM: &str = "write scheme, host and port alone: \"http://127.0.0.1:9000\"";
    let Some((scheme, rest)) = url.split_once("://") else {
        let fix = if url.parse::<Authority>().is_ok() { format!("write \"http://{url}\"") } else { FORM.into() };
        return Err((format!("{} has no scheme", quote(url)), fix));
    };
    if scheme.eq_ignore_ascii_case("https") {
        let fix = "use http:// behind a local TLS terminator for now";
        return Err(("https upstreams come with a later version".into(), fix.into()));
    }
    if !scheme.eq_ignore_ascii_case("http") {
        return Err((format!("{} is no scheme of an upstream", quote(scheme)), FORM.into()));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if authority.contains('@') {
        return Err(("has user information before the host".into(), "remove it; let clients send Authorization themselves".into()));
    }
    if !matches!(tail, "" | "/") {
        let fix = format!("write \"http://{authority}\": paths and queries are those of the requests");
        return Err((format!("has {} after the host", quote(tail)), fix));
    }
    let checked: Option<Authority> = authority.parse().ok();
    // `Authority` takes any digits for a port, and none.
    let host_and_port = |checked: &Authority| {
        !checked.host().is_empty() && (checked.as_str() == checked.host() || checked.port_u16().is_some_and(|port| port != 0))
    };
    checked.filter(host_and_port).ok_or_else(|| (format!("{} is no host and port", quote(authority)), FORM.into()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_upstream_is_a_scheme_a_host_and_a_port() {
        for (url, authority) in [
            ("http://127.0.0.1:9000", "127.0.0.1:9000"),
            ("http://api/", "api"),
            ("HTTP://[::1]:80", "[::1]:80"),
            ("http://api.example.com:1", "api.example.com:1"),
        ] {
            assert_eq!(parse(url).unwrap().as_str(), authority);
        }
    }

    #[test]
    fn anything_more_or_less_is_refused_in_words() {
        for (url, found) in [
            ("https://api", "later version"),
            ("127.0.0.1:9000", "no scheme"),
            ("ftp://api", "no scheme of an upstream"),
            ("http://api/v1", "has \"/v1\" after the host"),
            ("http://api?x", "after the host"),
            ("http://me:pw@api", "user information"),
            ("http://", "no host and port"),
            ("http://:80", "no host and port"),
            ("http://api:", "no host and port"),
            ("http://api:0", "no host and port"),
            ("http://api:99999", "no host and port"),
            ("http://a b", "no host and port"),
            ("http://münchen", "no host and port"),
            ("", "no scheme"),
        ] {
            let (words, fix) = parse(url).unwrap_err();
            assert!(words.contains(found) && !fix.is_empty() && !words.contains("pw"), "{url}: {words}");
        }
    }
}
