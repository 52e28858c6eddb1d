//! The endpoints of the sample API: paths, methods, how slow each is and what it says of caching.

use http::Method;

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The path; `{}` stands for one segment.
    pub(super) path: &'static str,
    /// Other methods are 405. HEAD goes where GET goes.
    pub(super) methods: &'static [Method],
    /// How long a full answer takes.
    pub(super) delay_ms: u64,
    /// What it says of caching, if anything.
    pub(super) cache_control: Option<&'static str>,
    pub(super) page: Page,
}

/// What an endpoint answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Schools,
    Districts,
    Categories,
    Statistics,
    School,
    Brands,
    TopBrands,
    BrandStats,
    /// The list of the collection of this number.
    List(usize),
    /// One of its items.
    Item(usize),
    Profile,
    Usage,
    Completion,
    Stream,
    Report,
    Counts,
}

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const LIST: &[Method] = &[Method::GET, Method::POST];
const ITEM: &[Method] = &[Method::GET, Method::PUT, Method::DELETE];
const NO_STORE: Option<&str> = Some("no-store");

const fn endpoint(
    path: &'static str,
    methods: &'static [Method],
    delay_ms: u64,
    cache_control: Option<&'static str>,
    page: Page,
) -> Endpoint {
    Endpoint { path, methods, delay_ms, cache_control, page }
}

/// All endpoints; the first that matches answers.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    endpoint("/api/schools/primary", GET, 800, None, Page::Schools),
    endpoint("/api/schools/districts", GET, 400, Some("max-age=3600, stale-while-revalidate=600"), Page::Districts),
    endpoint("/api/schools/categories", GET, 300, Some("max-age=3600"), Page::Categories),
    endpoint("/api/schools/statistics", GET, 600, None, Page::Statistics),
    endpoint("/api/schools/{}", GET, 350, None, Page::School),
    endpoint("/api/brands", GET, 500, Some("max-age=60, stale-while-revalidate=300"), Page::Brands),
    endpoint("/api/brands/top", GET, 700, Some("max-age=5, stale-while-revalidate=60"), Page::TopBrands),
    endpoint("/api/brands/{}/stats", GET, 900, None, Page::BrandStats),
    endpoint("/api/channels", LIST, 300, None, Page::List(0)),
    endpoint("/api/channels/{}", ITEM, 300, None, Page::Item(0)),
    endpoint("/api/models", LIST, 300, None, Page::List(1)),
    endpoint("/api/models/{}", ITEM, 300, None, Page::Item(1)),
    endpoint("/api/routing-rules", LIST, 300, None, Page::List(2)),
    endpoint("/api/routing-rules/{}", ITEM, 300, None, Page::Item(2)),
    endpoint("/api/me/profile", GET, 600, Some("private, max-age=300"), Page::Profile),
    endpoint("/api/me/usage", GET, 900, Some("private"), Page::Usage),
    endpoint("/api/reports/{}", GET, 1200, Some("max-age=300"), Page::Report),
    endpoint("/v1/chat/completions", POST, 300, NO_STORE, Page::Completion),
    endpoint("/v1/chat/stream", GET, 300, NO_STORE, Page::Stream),
    endpoint("/api/_counts", GET, 0, NO_STORE, Page::Counts),
];

/// The endpoint of `path` (its place in [`ENDPOINTS`]) and the segment that its `{}` stands for, or `""`.
pub(super) fn find(path: &str) -> Option<(usize, &str)> {
    ENDPOINTS.iter().enumerate().find_map(|(at, endpoint)| Some((at, matched(endpoint.path, path)?)))
}

fn matched<'a>(template: &str, path: &'a str) -> Option<&'a str> {
    let Some((before, after)) = template.split_once("{}") else { return (template == path).then_some("") };
    let segment = path.strip_prefix(before)?.strip_suffix(after)?;
    (!segment.is_empty() && !segment.contains('/')).then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::{ENDPOINTS, Page, find};

    #[test]
    fn literal_paths_come_before_segments() {
        let page = |path| find(path).map(|(at, segment)| (ENDPOINTS[at].page, segment));
        assert_eq!(page("/api/schools/primary"), Some((Page::Schools, "")));
        assert_eq!(page("/api/schools/17"), Some((Page::School, "17")));
        assert_eq!(page("/api/brands/acme/stats"), Some((Page::BrandStats, "acme")));
        assert_eq!(page("/api/routing-rules/3"), Some((Page::Item(2), "3")));
        for path in ["/", "/api/schools/", "/api/schools/1/2", "/api/brands//stats", "/api/brandsstats"] {
            assert_eq!(page(path), None, "{path}");
        }
    }
}
