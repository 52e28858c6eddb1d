//! What is handed to the service behind the cache is handed to one that has said that it is ready.

use crate::origin::{Origin, Step, fresh};
use crate::world::{everywhere, get, seconds};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use tower::{Layer as _, Service, ServiceExt as _};
use warmfront::{Cache, CacheLayer, Rule, Settings};

/// Ready for one call, after so many looks.
struct Moody {
    looks: usize,
    left: usize,
    is_ready: bool,
    /// It says that it is ready and is not.
    is_unready: bool,
    fails: bool,
    looked: Arc<AtomicUsize>,
}

impl Moody {
    fn after(looks: usize, fails: bool) -> Self {
        Self { looks, left: looks, is_ready: false, is_unready: false, fails, looked: Arc::default() }
    }
}

impl Clone for Moody {
    /// A clone has not been asked whether it is ready.
    fn clone(&self) -> Self {
        Self {
            looks: self.looks,
            left: self.looks,
            is_ready: false,
            is_unready: self.is_unready,
            fails: self.fails,
            looked: Arc::clone(&self.looked),
        }
    }
}

impl Service<Request<Full<Bytes>>> for Moody {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.looked.fetch_add(1, Ordering::SeqCst);
        if self.left > 0 {
            self.left -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.fails {
            return Poll::Ready(Err("it is broken"));
        }
        self.is_ready = !self.is_unready;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without being ready");
        ready(Ok(Response::new(Full::from("x"))))
    }
}

fn cache_with(rule: Rule) -> Cache {
    Cache::builder().settings(Settings { rules: vec![rule], ..Settings::default() }).build()
}

fn ask(method: &str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri("http://h/a").body(Full::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_at_once_is_waited_for_and_called_once_ready() {
    for looks in [0, 1, 5] {
        for (rule, method) in [(everywhere().pass(), "GET"), (everywhere(), "GET"), (everywhere(), "HEAD"), (everywhere(), "POST")] {
            let service = CacheLayer::new(cache_with(rule)).layer(Moody::after(looks, false));
            for _ in 0..2 {
                let response = tokio::time::timeout(seconds(60), service.clone().oneshot(ask(method))).await.unwrap().unwrap();
                assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "x", "{method} after {looks} looks");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_will_never_be_ready_is_not_asked_again_and_its_error_counted() {
    for looks in [0, 2] {
        let (cache, moody) = (cache_with(everywhere().pass()), Moody::after(looks, true));
        let service = CacheLayer::new(cache.clone()).layer(moody.clone());
        let error = tokio::time::timeout(seconds(60), service.oneshot(ask("GET"))).await.unwrap();
        assert_eq!(error.err(), Some("it is broken"));
        assert_eq!(moody.looked.load(Ordering::SeqCst), looks + 1);
        assert_eq!(cache.stats().failed, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_service_that_is_busy_is_woken_when_it_is_free_again() {
    for rule in [everywhere().pass(), everywhere()] {
        let one = tower::limit::ConcurrencyLimit::new(Origin::always(fresh("x").after(1000)), 1);
        let service = CacheLayer::new(cache_with(rule)).layer(one);
        let asking = ["/a", "/b", "/c"].map(|path| tokio::spawn(service.clone().oneshot(get(path).0)));
        for asked in asking {
            let response = tokio::time::timeout(seconds(60), asked).await.unwrap().unwrap().unwrap();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "x");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_before_the_answer_is_waited_for_and_who_does_not_is_counted() {
    for (origin, looks) in [(Origin::always(fresh("x")), 0), (Origin::always(fresh("x").after(1000)), 1)] {
        let cache = cache_with(everywhere().pass());
        let mut asking = Box::pin(CacheLayer::new(cache.clone()).layer(origin.clone()).call(ask("GET")));
        for _ in 0..looks {
            assert!(asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(asking);
        assert_eq!((origin.calls(), cache.stats().abandoned, cache.stats().passed), (looks, 1, 0));
    }
    let cache = cache_with(everywhere().pass());
    let mut waiting = Box::pin(CacheLayer::new(cache.clone()).layer(Moody::after(5, false)).call(ask("GET")));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(waiting);
    assert_eq!(cache.stats().abandoned, 1);
}

#[tokio::test]
async fn a_panic_of_the_service_is_one_failed_request() {
    let unready = Moody { is_unready: true, ..Moody::after(0, false) };
    let cache = cache_with(everywhere().pass());
    assert!(tokio::spawn(CacheLayer::new(cache.clone()).layer(unready).call(ask("GET"))).await.unwrap_err().is_panic());
    assert_eq!((cache.stats().failed, cache.stats().passed, cache.stats().abandoned), (1, 0, 0));
    let cache = cache_with(everywhere().pass());
    let panics = Origin::always(fresh("x").first(Step::Panic));
    assert!(tokio::spawn(CacheLayer::new(cache.clone()).layer(panics).call(get("/a").0)).await.unwrap_err().is_panic());
    assert_eq!((cache.stats().failed, cache.stats().passed, cache.stats().abandoned), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answered_future_holds_nothing_though_it_is_still_there() {
    for rule in [everywhere().pass(), everywhere()] {
        let one = tower::limit::ConcurrencyLimit::new(Origin::always(fresh("x")), 1);
        let mut service = CacheLayer::new(cache_with(rule)).layer(one);
        let mut first = std::pin::pin!(service.call(get("/a").0));
        assert!(first.as_mut().await.is_ok());
        assert!(tokio::time::timeout(seconds(60), service.call(get("/b").0)).await.unwrap().is_ok());
    }
}
