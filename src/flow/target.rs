//! Other targets that a response speaks about: `Location` and `Content-Location` (RFC 9111 section 4.4).

use crate::cache::key::origin_of;
use http::header::{CONTENT_LOCATION, LOCATION};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName};

/// Whether `Content-Location` names the target of the request itself (RFC 9110 section 8.7).
pub(crate) fn locates(response: &HeaderMap, target: &Uri, request: &HeaderMap) -> bool {
    same_origin_target(response, &CONTENT_LOCATION, target, request)
        .is_some_and(|located| located.path() == target.path() && located.query() == target.query())
}

/// The targets of the same origin that the response names besides the request's own.
pub(crate) fn named<'a>(response: &'a HeaderMap, target: &'a Uri, request: &'a HeaderMap) -> impl Iterator<Item = PathAndQuery> + 'a {
    [LOCATION, CONTENT_LOCATION].into_iter().filter_map(move |name| same_origin_target(response, &name, target, request))
}

/// The path and query that a field names, if it is one of the same origin: others must be left alone.
fn same_origin_target(response: &HeaderMap, name: &HeaderName, base: &Uri, request: &HeaderMap) -> Option<PathAndQuery> {
    let reference = std::str::from_utf8(response.get(name)?.as_bytes()).ok()?;
    let reference = reference.split('#').next().unwrap_or_default();
    if let Some(rest) = reference.strip_prefix("//") {
        return on_origin(rest, base.scheme_str().unwrap_or("http"), base, request);
    }
    // RFC 3986 section 4.2: a colon before any slash ends a scheme.
    match reference.split_once(':').filter(|(scheme, _)| !scheme.contains(['/', '?'])) {
        Some((scheme, rest)) => on_origin(rest.strip_prefix("//")?, &scheme.to_ascii_lowercase(), base, request),
        None => resolve(reference, base),
    }
}

/// `authority/path?query` if scheme and authority are those of the request.
fn on_origin(rest: &str, scheme: &str, base: &Uri, request: &HeaderMap) -> Option<PathAndQuery> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (https, authority) = origin_of(base, request);
    let other: Uri = format!("{scheme}://{}/", &rest[..end]).parse().ok()?;
    let (other_https, other_authority) = origin_of(&other, request);
    let same = https == other_https && matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(other_authority);
    same.then(|| normal_path(&rest[end..]))?
}

/// RFC 3986 section 5.2.2, for a reference without scheme and authority.
fn resolve(reference: &str, base: &Uri) -> Option<PathAndQuery> {
    if reference.is_empty() {
        return base.path_and_query().cloned();
    }
    if reference.starts_with('/') {
        return normal_path(reference);
    }
    if let Some(query) = reference.strip_prefix('?') {
        return PathAndQuery::try_from(format!("{}?{query}", base.path())).ok();
    }
    let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
    normal_path(&format!("{directory}/{reference}"))
}

/// RFC 3986 section 5.2.4, remove_dot_segments; the query stays as it is.
fn normal_path(target: &str) -> Option<PathAndQuery> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut out: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        match *segment {
            ".." => drop(out.pop()),
            "." => {}
            other => {
                out.push(other);
                continue;
            }
        }
        if last {
            out.push("");
        }
    }
    let path = format!("/{}", out.join("/"));
    PathAndQuery::try_from(query.map_or(path.clone(), |query| format!("{path}?{query}"))).ok()
}

#[cfg(test)]
mod tests {
    use super::{locates, named};
    use http::{HeaderMap, HeaderValue, Uri};

    fn named_by(location: &str) -> Option<String> {
        let base: Uri = "http://Example.com/a/b?x=1".parse().unwrap();
        let mut response = HeaderMap::new();
        response.insert("location", HeaderValue::from_str(location).unwrap());
        named(&response, &base, &HeaderMap::new()).next().map(|target| target.to_string())
    }

    #[test]
    fn references_are_resolved_against_the_target() {
        for (reference, expected) in [
            ("/c", "/c"),
            ("c?d", "/a/c?d"),
            ("?y", "/a/b?y"),
            ("../../../c", "/c"),
            ("./c/..", "/a/"),
            ("#top", "/a/b?x=1"),
            ("", "/a/b?x=1"),
            ("http://example.COM:80/c#f", "/c"),
            ("HTTP://example.com", "/"),
            ("//example.com?q", "/?q"),
            ("/c:d", "/c:d"),
        ] {
            assert_eq!(named_by(reference).as_deref(), Some(expected), "{reference}");
        }
    }

    #[test]
    fn targets_of_other_origins_are_left_alone() {
        for reference in
            ["http://other.com/c", "https://example.com/c", "//example.com:81/c", "mailto:a@b", "ftp://example.com/c", "http:c"]
        {
            assert_eq!(named_by(reference), None, "{reference}");
        }
    }

    #[test]
    fn a_response_locates_itself_only_if_path_and_query_are_the_same() {
        let base: Uri = "http://h/a?x=1".parse().unwrap();
        let of = |value: &'static str| {
            let mut response = HeaderMap::new();
            response.insert("content-location", HeaderValue::from_static(value));
            locates(&response, &base, &HeaderMap::new())
        };
        assert!(of("/a?x=1") && of("") && of("http://h/a?x=1") && !of("/a") && !of("http://g/a?x=1"));
    }

    proptest::proptest! {
        #[test]
        fn no_reference_panics(reference in "[ -~]{0,40}") {
            let _ = named_by(&reference);
        }
    }
}
