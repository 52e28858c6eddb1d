//! `[upstream]`

mod choosing;

use super::set;
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::sidecar::settings::{Forwarded, Http2, Origin, Share, UpstreamSettings, UpstreamTls};
use http::uri::Authority;
use std::path::Path;

const URLS: &str = "upstream.urls";
/// Origins at a time: each is a label of the metrics, and is looked at when one is chosen.
const MOST_ORIGINS: usize = 64;

pub(super) fn check(root: &Table, findings: &mut Findings) -> Option<UpstreamSettings> {
    let origins = origins(root, findings)?;
    let mut upstream = UpstreamSettings { origins, ..UpstreamSettings::new(Origin::http(Authority::from_static("localhost"))) };
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
    set(&mut upstream.http2, root.text("upstream.http2").map(http2));
    set(&mut upstream.tls, tls(root, findings));
    if upstream.tls != UpstreamTls::default() && !upstream.origins.iter().any(|origin| origin.tls) {
        let fix = "write https:// in upstream.urls, or remove [upstream.tls]";
        findings.warn(&root.place(URLS), "upstream.tls", "is set, and no upstream is an https one", fix);
    }
    set(&mut upstream.retries, root.integer("upstream.retries").and_then(|retries| u32::try_from(retries).ok()));
    set(&mut upstream.balance, choosing::balance(root, findings));
    choosing::judging(root, &mut upstream, findings);
    if upstream.forwarded == Forwarded::Append && root.is_silent("server.trusted_proxies") {
        let fix = "name the networks of your proxies in server.trusted_proxies, or leave it at \"overwrite\"";
        let found = "\"append\" without server.trusted_proxies continues nobody's list";
        findings.warn(&root.place("upstream.forwarded"), "upstream.forwarded", found, fix);
    }
    Some(upstream)
}

fn http2(word: &str) -> Http2 {
    match word {
        "auto" => Http2::Auto,
        "always" => Http2::Always,
        _ => Http2::Never,
    }
}

/// `[upstream.tls]`, with what its files hold; `None` only if there is a fault.
fn tls(root: &Table, findings: &mut Findings) -> Option<UpstreamTls> {
    let said = |name: &str| root.text(&format!("upstream.tls.{name}")).filter(|text| !text.is_empty());
    let mut tls = UpstreamTls::default();
    let identity = match (said("certificate"), said("key")) {
        (Some(certificate), Some(key)) => tls.set_identity(Path::new(certificate), Path::new(key)),
        (None, None) => Ok(()),
        (certificate, _) => {
            let (there, missing) = if certificate.is_some() { ("certificate", "key") } else { ("key", "certificate") };
            let path = format!("upstream.tls.{there}");
            let found = format!("is set without upstream.tls.{missing}");
            findings.fault(&root.place(&path), path, found, format!("name the file of the {missing} too"));
            return None;
        }
    };
    let faults = [
        said("ca").map_or(Ok(()), |file| tls.add_ca(Path::new(file))),
        identity,
        said("server_name").map_or(Ok(()), |name| tls.set_server_name(name)),
    ];
    let mut sound = true;
    for fault in faults.into_iter().filter_map(Result::err) {
        let path = format!("upstream.tls.{}", fault.key);
        findings.fault(&root.place(&path), path, fault.found, fault.fix);
        sound = false;
    }
    sound.then_some(tls)
}

/// The origins; `None` only if there is a fault.
fn origins(root: &Table, findings: &mut Findings) -> Option<Vec<Origin>> {
    let fix = "name the API in front of which warmfront stands: --upstream http://127.0.0.1:9000, or in the file:\n       [upstream]\n       urls = [\"http://127.0.0.1:9000\"]";
    let Some(urls) = root.list(URLS) else {
        if root.is_silent(URLS) {
            findings.fault(&root.place, URLS, "is missing: there is no upstream", fix);
        }
        return None;
    };
    if urls.is_empty() {
        findings.fault(&root.place(URLS), URLS, "is empty: there is no upstream", fix);
    } else if urls.len() > MOST_ORIGINS {
        let found = format!("names {} upstreams, more than {MOST_ORIGINS}", urls.len());
        findings.fault(&root.place(URLS), URLS, found, "put a load balancer in between, or give several one name");
    }
    let mut origins: Vec<Origin> = Vec::new();
    for (url, place) in &urls {
        match parse(url) {
            Ok(origin) if origins.iter().any(|other| other.is_same_place(&origin)) => {
                findings.fault(place, URLS, format!("{} is there twice", quote(url)), "remove one of them");
            }
            Ok(origin) => origins.push(origin),
            Err((found, fix)) => findings.fault(place, URLS, found, fix),
        }
    }
    Some(origins).filter(|origins| !origins.is_empty())
}

/// The origin at `http://host[:port]` or `https://host[:port]`, or what was found and the fix.
fn parse(url: &str) -> Result<Origin, (String, String)> {
    const FORM: &str = "write scheme, host and port alone: \"http://127.0.0.1:9000\"";
    let Some((scheme, rest)) = url.split_once("://") else {
        let fix = if url.parse::<Authority>().is_ok() { format!("write \"http://{url}\"") } else { FORM.into() };
        return Err((format!("{} has no scheme", quote(url)), fix));
    };
    let tls = scheme.eq_ignore_ascii_case("https");
    if !tls && !scheme.eq_ignore_ascii_case("http") {
        return Err((format!("{} is no scheme of an upstream", quote(scheme)), FORM.into()));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if authority.contains('@') {
        return Err(("has user information before the host".into(), "remove it; let clients send Authorization themselves".into()));
    }
    if !matches!(tail, "" | "/") {
        let fix = format!("write \"{}://{authority}\": paths and queries are those of the requests", scheme.to_ascii_lowercase());
        return Err((format!("has {} after the host", quote(tail)), fix));
    }
    let checked: Option<Authority> = authority.parse().ok();
    // `Authority` takes any digits for a port, and none.
    let host_and_port = |checked: &Authority| {
        !checked.host().is_empty() && (checked.as_str() == checked.host() || checked.port_u16().is_some_and(|port| port != 0))
    };
    checked
        .filter(host_and_port)
        .map(|authority| Origin { tls, authority })
        .ok_or_else(|| (format!("{} is no host and port", quote(authority)), FORM.into()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_upstream_is_a_scheme_a_host_and_a_port() {
        for (url, authority) in [
            ("http://127.0.0.1:9000", "127.0.0.1:9000"),
            ("http://api/", "api"),
            ("https://api", "api"),
            ("HTTP://[::1]:80", "[::1]:80"),
            ("http://api.example.com:1", "api.example.com:1"),
        ] {
            let origin = parse(url).unwrap();
            assert_eq!((origin.authority.as_str(), origin.tls), (authority, url.starts_with("https")));
        }
    }

    #[test]
    fn anything_more_or_less_is_refused_in_words() {
        for (url, found) in [
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
