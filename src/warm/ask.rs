//! One warm request: how it looks, and how it went.

use crate::cache::entry::Stored;
use crate::cache::intent::{Intent, Need};
use crate::cache::key::Key;
use crate::cache::ledger::Ledger;
use crate::cache::{Failing, Fate, Site};
use crate::telemetry::Source;
use crate::warm::expand::Item;
use crate::warm::fetch::{Fetch, Lost};
use crate::warm::report::Outcome;
use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How warm requests call themselves.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("warmfront/", env!("CARGO_PKG_VERSION"), " (warm)"));

/// A request to be made.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    site: Site,
    target: PathAndQuery,
    headers: HeaderMap,
}

impl Ask {
    /// The request for an item of a plan, as a reader of `site` would make it.
    pub(crate) fn item(site: &Site, item: Item) -> Self {
        Self { site: site.clone(), target: item.target, headers: item.headers.into_iter().collect() }
    }

    /// The same target with these headers.
    pub(crate) fn new(site: &Site, target: PathAndQuery, headers: HeaderMap) -> Self {
        Self { site: site.clone(), target, headers }
    }

    /// The request that a stored response answered; `None` if it cannot be made again.
    pub(crate) fn replay(key: &Key, stored: &Stored) -> Option<Self> {
        if key.is_partitioned() || !stored.head.is_replayable() {
            return None;
        }
        let mut headers = HeaderMap::new();
        if let Some(selector) = &stored.head.selector
            && !selector.replay(&mut headers)
        {
            return None;
        }
        // Values of negotiation are no secrets; others may be, and reports show headers.
        headers.iter_mut().for_each(|(name, value)| value.set_sensitive(!name.as_str().starts_with("accept")));
        let target = key.query().map_or_else(|| key.path().to_owned(), |query| format!("{}?{query}", key.path()));
        let site = Site::new(key.is_https(), key.authority().parse().ok()?);
        Some(Self { site, target: target.parse().ok()?, headers })
    }

    /// The request.
    pub(crate) fn request(&self) -> Option<Request<()>> {
        let mut request = Request::new(());
        *request.uri_mut() = self.site.uri(self.target.clone())?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, AGENT);
        let mut last: Option<HeaderName> = None;
        for (name, value) in self.headers.clone() {
            match name {
                Some(name) => {
                    headers.insert(name.clone(), value);
                    last = Some(name);
                }
                None => drop(last.as_ref().map(|name| headers.append(name.clone(), value))),
            }
        }
        headers.insert(HOST, self.site.host()?);
        Some(request)
    }

    pub(crate) fn target(&self) -> &str {
        self.target.as_str()
    }

    /// The plan's headers in one line; values that may be credentials are not shown.
    pub(crate) fn variant(&self) -> Box<str> {
        let mut text = String::new();
        for (name, value) in &self.headers {
            let shown = if value.is_sensitive() { "***" } else { value.to_str().unwrap_or("?") };
            let _ = write!(text, "{}{name}: {shown}", if text.is_empty() { "" } else { ", " });
        }
        text.into()
    }
}

/// How requests of a run are made.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) source: Source,
    pub(crate) need: Need,
    pub(crate) ledger: Option<Arc<Ledger>>,
    pub(crate) timeout: Duration,
    /// At most so many bytes of the body are kept; 0: none.
    pub(crate) keep: usize,
}

/// How a request went.
#[derive(Debug)]
pub(crate) struct Flown {
    pub(crate) fate: Fate,
    pub(crate) took: Duration,
    pub(crate) length: u64,
    pub(crate) retry_after: Option<Duration>,
    /// The body, if it was kept.
    pub(crate) body: Option<Bytes>,
    /// Whether the body is coded.
    pub(crate) coded: bool,
}

impl Flown {
    fn without_answer(fate: Fate, took: Duration) -> Self {
        Self { fate, took, length: 0, retry_after: None, body: None, coded: false }
    }

    /// As it is shown.
    pub(crate) fn outcome(&self, ask: &Ask) -> Outcome {
        Outcome {
            target: ask.target().into(),
            variant: ask.variant(),
            fate: self.fate,
            millis: u32::try_from(self.took.as_millis()).unwrap_or(u32::MAX),
            bytes: self.length,
        }
    }
}

/// Makes the request and reads its answer to the end. `cancel` ends it at once.
pub(crate) async fn fly(fetch: &dyn Fetch, ask: &Ask, manner: &Manner, cancel: &mut watch::Receiver<bool>) -> Flown {
    let Some(mut request) = ask.request() else {
        return Flown::without_answer(Fate::Failed(Failing::Malformed), Duration::ZERO);
    };
    let intent = Intent::new(manner.source, manner.need, manner.ledger.clone());
    request.extensions_mut().insert(intent.clone());
    let began = Instant::now();
    let answer = tokio::select! {
        biased;
        _ = cancel.wait_for(|cancelled| *cancelled) => return Flown::without_answer(Fate::Failed(Failing::Cancelled), began.elapsed()),
        answer = tokio::time::timeout(manner.timeout, fetch.fetch(request, manner.keep)) => answer,
    };
    let took = began.elapsed();
    let said = intent.receipt();
    let fetched = match answer {
        Err(_) => return Flown::without_answer(Fate::Failed(Failing::TimedOut), took),
        Ok(Err(lost)) => {
            let failing = if lost == Lost::Broken { Failing::Broken } else { Failing::Service };
            // The flow knows better, unless it had thought that all was well.
            let fate = said.fate.filter(|fate| !fate.is_warm()).unwrap_or(Fate::Failed(failing));
            return Flown { retry_after: said.retry_after, ..Flown::without_answer(fate, took) };
        }
        Ok(Ok(fetched)) => fetched,
    };
    let is_error = fetched.status.is_client_error() || fetched.status.is_server_error();
    let fate = match intent.fate() {
        Fate::Failed(Failing::Uncached) if is_error => Fate::Failed(Failing::Status(fetched.status)),
        fate => fate,
    };
    Flown { fate, took, length: fetched.length, retry_after: said.retry_after, body: fetched.body, coded: fetched.coded }
}
