//! Active health checks: each origin is asked now and then, whether anybody needs it or not.

use super::member::Member;
use crate::sidecar::live::Live;
use crate::sidecar::settings::UpstreamSettings;
use crate::sidecar::upstream::Upstream;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Limited};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// How soon a reload that begins checks, or wants them more often, is noticed.
const LOOK: Duration = Duration::from_secs(1);
/// More of a body is not read: the connection is closed instead.
const MOST_BODY: usize = 64 << 10;

/// Checks all origins for as long as it is polled, if `upstream.health` says so.
pub(in crate::sidecar) async fn keep_checking(live: Arc<Live>, upstream: Upstream) {
    let mut last = None::<Instant>;
    'rounds: loop {
        let settings = live.settings.load_full();
        let Some(path) = settings.upstream.health.path.clone() else {
            last = None;
            sleep(LOOK).await;
            continue;
        };
        // Several sidecars that began together shall not ask together for ever.
        let interval = settings.upstream.health.interval.mul_f64(rand::random_range(0.9..1.1));
        while let Some(left) = last.map(|last| interval.saturating_sub(last.elapsed())).filter(|left| !left.is_zero()) {
            sleep(left.min(LOOK)).await;
            if live.settings.load().upstream.health != settings.upstream.health {
                last = None; // the others are asked at once
                continue 'rounds;
            }
        }
        last = Some(Instant::now());
        round(&upstream, &path, &live.settings.load_full().upstream).await;
    }
}

/// One check of every origin, all at once.
async fn round(upstream: &Upstream, path: &PathAndQuery, settings: &UpstreamSettings) {
    let mut checks = JoinSet::new();
    for member in upstream.origins().members.load().iter().cloned() {
        let (upstream, path, limit) = (upstream.clone(), path.clone(), settings.health.timeout);
        checks.spawn(async move {
            let good = timeout(limit, is_good(&upstream, &member, path)).await.unwrap_or(false);
            (member, good)
        });
    }
    while let Some(checked) = checks.join_next().await {
        if let Ok((member, good)) = checked {
            member.checked(good, Instant::now(), settings);
        }
    }
}

/// Whether it answers with 2xx or 3xx, and the body (or its beginning) arrives too.
async fn is_good(upstream: &Upstream, member: &Member, path: PathAndQuery) -> bool {
    let Some(request) = request(member, path) else { return false };
    let Ok(response) = upstream.exchange(member.origin.clone(), &request).await else { return false };
    let good = response.status().is_success() || response.status().is_redirection();
    // Read to its end the connection can serve again; longer than this nobody waits for.
    let _ = Limited::new(response.into_body(), MOST_BODY).collect().await;
    good
}

fn request(member: &Member, path: PathAndQuery) -> Option<Parts> {
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from(path);
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(member.origin.authority.as_str()).ok()?);
    headers.insert(USER_AGENT, HeaderValue::from_static("warmfront-health"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    Some(request.into_parts().0)
}
