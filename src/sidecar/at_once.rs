//! Hits that are answered before there is a request: a client that says the same of itself as before asks for something that is stored and fresh.
//!
//! hyper makes a request of each head, its service an answer of that, and hyper a head of that, for which the wire then writes what is stored. None of it changes a byte of a
//! hit. So a head whose fields were there before is looked up as it lies in the buffer, and answered on the wire; hyper sees nothing of it. Everything else goes its way.

use crate::flow::hit::Hit;
use crate::sidecar::attend::Hits;
use crate::sidecar::forward::Seat;
use crate::sidecar::live::Settings;
use crate::sidecar::said::Said;
use std::sync::Arc;

/// Where looking first stops and begins to pay: who asks for what is not stored has it looked up twice.
const ENOUGH: u8 = 2;
/// A hit less, or more, than this is forgotten.
const MOST: u8 = 3;
/// After so many in a row the next will be one as well: often enough for hyper to go, which has to be made anew for one that is not.
const ROW: u8 = 32;

/// The look-ups of one connection.
pub(super) struct AtOnce {
    hits: Arc<dyn Hits>,
    seat: Arc<Seat>,
    said: Known,
    /// How many of the last requests were hits, more or less.
    luck: u8,
    /// How many requests in a row were answered here.
    row: u8,
}

/// What is known of the fields that came with the last head.
enum Known {
    Nothing,
    /// This.
    Said(Arc<Said>),
    /// A request that says so is not for here.
    Unfit(Arc<[u8]>),
}

impl AtOnce {
    pub(super) const fn new(hits: Arc<dyn Hits>, seat: Arc<Seat>) -> Self {
        Self { hits, seat, said: Known::Nothing, luck: ENOUGH - 1, row: 0 }
    }

    /// A request that hyper had was a hit.
    pub(super) fn was_hit(&mut self) {
        self.luck = (self.luck + 1).min(MOST);
    }

    /// Whether the last requests were answered here, all of them: hyper is not needed.
    pub(super) const fn is_enough(&self) -> bool {
        self.row == ROW
    }

    /// A request whose fields are others, or that has content: hyper is needed.
    pub(super) const fn pass(&mut self) {
        self.row = 0;
    }

    /// The answer to a request head whose `fields` are byte by byte those of the head before it; they are exchanged for equal ones that are shared with other connections.
    pub(super) fn answer(&mut self, head: &[u8], fields: &mut Arc<[u8]>, settings: &Arc<Settings>) -> Option<Hit> {
        let row = std::mem::take(&mut self.row);
        if self.luck < ENOUGH || self.seat.open.is_closing() {
            return None;
        }
        let target = target_of_get(head)?;
        if !self.knows(fields, settings) {
            self.said = Said::of(fields, settings, &self.seat.peer).map_or_else(|| Known::Unfit(Arc::clone(fields)), Known::Said);
        }
        let Known::Said(said) = &self.said else { return None };
        if !Arc::ptr_eq(&said.fields, fields) {
            *fields = Arc::clone(&said.fields);
        }
        let hit = self.hits.hit(said.absolute(target)?, said, &|uri| said.is_within_rates(uri, &self.seat.peer));
        (self.luck, self.row) = if hit.is_some() { (MOST, ROW.min(row + 1)) } else { (self.luck - 1, 0) };
        hit
    }

    fn knows(&self, fields: &Arc<[u8]>, settings: &Arc<Settings>) -> bool {
        match &self.said {
            Known::Nothing => false,
            Known::Said(said) => Arc::ptr_eq(&said.fields, fields) && said.holds(settings),
            Known::Unfit(unfit) => Arc::ptr_eq(unfit, fields),
        }
    }
}

/// The target of a head that begins with a GET.
fn target_of_get(head: &[u8]) -> Option<&[u8]> {
    let rest = head.strip_prefix(b"GET ")?;
    Some(&rest[..memchr::memchr(b' ', rest)?])
}

#[cfg(test)]
pub(super) mod tests {
    use super::{AtOnce, ROW};
    use crate::clock::Clock;
    use crate::flow::hit::Hit;
    use crate::layer::{Cache, CacheService};
    use crate::sidecar::Sidecar;
    use crate::sidecar::attend::Hits;
    use crate::sidecar::exchange::Exchange;
    use crate::sidecar::forward::Seat;
    use crate::sidecar::forwarded::Peer;
    use crate::sidecar::live::Settings;
    use crate::sidecar::open::Open;
    use crate::sidecar::said::Said;
    use crate::sidecar::settings::{Origin, RateLimit, ServerSettings, UpstreamSettings};
    use bytes::Bytes;
    use http::header::{CACHE_CONTROL, HOST};
    use http::uri::Authority;
    use http::{Request, Response, Uri};
    use http_body_util::{BodyExt as _, Empty, Full};
    use std::convert::Infallible;
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;
    use tower::{ServiceExt as _, service_fn};

    const HIT: &[u8] = b"GET /stored HTTP/1.1\r\n";
    const MISS: &[u8] = b"GET /other HTTP/1.1\r\n";

    /// A cache, and how often it was asked.
    struct Counting(Cache, AtomicUsize);

    impl Hits for Counting {
        fn hit(&self, uri: Uri, said: &Said, may: &dyn Fn(&Uri) -> bool) -> Option<Hit> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.shared().hit(uri, said, may)
        }
    }

    /// One connection.
    pub(in crate::sidecar) struct Bench {
        hits: Arc<Counting>,
        pub(in crate::sidecar) at_once: AtOnce,
        settings: Arc<Settings>,
        fields: Arc<[u8]>,
        open: Open,
        clock: Clock,
    }

    impl Bench {
        async fn new() -> Self {
            Self::with(ServerSettings::default()).await
        }

        /// Over a cache in which `/stored` is.
        async fn with(server: ServerSettings) -> Self {
            let clock = Clock::manual(1_000_000);
            let cache = Cache::builder().clock(clock.clone()).build();
            let origin = service_fn(|_: Request<Empty<Bytes>>| async {
                let response = Response::builder().header(CACHE_CONTROL, "max-age=60").body(Full::new(Bytes::from_static(b"x")));
                Ok::<_, Infallible>(response.unwrap())
            });
            let request = Request::get("http://h/stored").header(HOST, "h").body(Empty::new()).unwrap();
            CacheService::new(origin, cache.clone()).oneshot(request).await.unwrap().collect().await.unwrap();
            let upstream = UpstreamSettings::new(Origin::http(Authority::from_static("o:1")));
            let sidecar = Sidecar::new(server, upstream);
            let (hits, open) = (Arc::new(Counting(cache, AtomicUsize::new(0))), Open::default());
            let seat = Seat {
                live: sidecar.live().clone(),
                exchange: Arc::new(Exchange::new()),
                upstream: sidecar.upstream(),
                peer: Arc::new(Peer::new(Some(Ipv4Addr::LOCALHOST.into()))),
                open: open.clone(),
            };
            let at_once = AtOnce::new(Arc::clone(&hits) as Arc<dyn Hits>, Arc::new(seat));
            let settings = sidecar.live().settings.load_full();
            Self { hits, at_once, settings, fields: b"Host: h\r\n\r\n"[..].into(), open, clock }
        }

        /// One with luck.
        pub(in crate::sidecar) async fn lucky() -> Self {
            let mut bench = Self::new().await;
            bench.at_once.was_hit();
            bench
        }

        fn is_answered(&mut self, head: &[u8]) -> bool {
            self.at_once.answer(head, &mut self.fields, &self.settings).is_some()
        }

        fn says(&mut self, fields: &str) {
            self.fields = fields.as_bytes().into();
        }

        fn asked(&self) -> usize {
            self.hits.1.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn nothing_is_looked_for_before_a_hit_was_seen_elsewhere() {
        let mut bench = Bench::new().await;
        assert!(!bench.is_answered(HIT) && !bench.is_answered(HIT));
        assert_eq!(bench.asked(), 0);
        bench.at_once.was_hit();
        assert!(bench.is_answered(HIT));
        assert_eq!(bench.asked(), 1);
    }

    #[tokio::test]
    async fn after_misses_it_stops_looking_until_the_next_hit() {
        let mut bench = Bench::lucky().await;
        assert!(!bench.is_answered(MISS) && !bench.is_answered(MISS) && !bench.is_answered(HIT));
        assert_eq!(bench.asked(), 1, "one was enough after one hit");
        bench.at_once.was_hit();
        assert!(bench.is_answered(HIT));
        assert!(!bench.is_answered(MISS) && bench.is_answered(HIT), "after a hit of its own one miss is forgiven");
        assert!(!bench.is_answered(MISS) && !bench.is_answered(MISS) && !bench.is_answered(HIT), "two are not");
        (0..10).for_each(|_| bench.at_once.was_hit());
        assert!(!bench.is_answered(MISS) && !bench.is_answered(MISS) && !bench.is_answered(HIT), "however many hits there were before");
    }

    #[tokio::test]
    async fn enough_are_answered_in_a_row_and_no_miss_is_among_them() {
        let mut bench = Bench::lucky().await;
        for _ in 0..ROW {
            assert!(!bench.at_once.is_enough());
            assert!(bench.is_answered(HIT));
        }
        assert!(bench.at_once.is_enough());
        assert!(bench.is_answered(HIT) && bench.at_once.is_enough(), "and it stays so");
        assert!(!bench.is_answered(MISS) && !bench.at_once.is_enough());
        for _ in 1..ROW {
            assert!(bench.is_answered(HIT) && !bench.at_once.is_enough());
        }
        assert!(!bench.is_answered(b"HEAD /stored HTTP/1.1\r\n"));
        assert!(bench.is_answered(HIT) && !bench.at_once.is_enough(), "what is not even looked for breaks the row as well");
    }

    #[tokio::test]
    async fn only_a_get_of_a_path_is_looked_for() {
        let mut bench = Bench::lucky().await;
        for head in [
            "HEAD /stored HTTP/1.1\r\n",
            "GETS /stored HTTP/1.1\r\n",
            "get /stored HTTP/1.1\r\n",
            "GET http://h/stored HTTP/1.1\r\n",
            "\r\nGET /stored HTTP/1.1\r\n",
        ] {
            assert!(!bench.is_answered(head.as_bytes()), "{head}");
        }
        assert_eq!(bench.asked(), 0);
        assert!(bench.is_answered(HIT), "and it costs no luck");
    }

    #[tokio::test]
    async fn what_is_said_is_read_once_and_again_when_it_or_the_settings_change() {
        let mut bench = Bench::lucky().await;
        let sent = Arc::clone(&bench.fields);
        assert!(bench.is_answered(HIT));
        assert!(Arc::ptr_eq(&bench.fields, &sent), "nobody has said it before");
        bench.says("Host: h\r\n\r\n");
        assert!(bench.is_answered(HIT));
        assert!(Arc::ptr_eq(&bench.fields, &sent), "equal ones are exchanged for those that are shared");
        bench.says("Host: other\r\n\r\n");
        assert!(!bench.is_answered(HIT), "another host");
        bench.says("Host: h\r\nExpect: 100-continue\r\n\r\n");
        assert!(!bench.is_answered(HIT) && !bench.is_answered(HIT), "not for here");
        bench.says("Host: h\r\n\r\n");
        assert!(bench.is_answered(HIT));
        let rate_limit = RateLimit { per_second: 1, burst: 1, ..RateLimit::default() };
        let upstream = UpstreamSettings::new(Origin::http(Authority::from_static("o:1")));
        bench.settings = Arc::new(Settings::after(None, ServerSettings { rate_limit, ..ServerSettings::default() }, upstream));
        assert!(bench.is_answered(HIT) && !bench.is_answered(HIT), "a rate comes into force");
        assert_eq!(bench.hits.0.stats().hits, 4, "and what is over it is not counted as a hit");
    }

    #[tokio::test]
    async fn what_is_unfit_costs_no_look_at_the_cache() {
        let mut bench = Bench::lucky().await;
        bench.says("Host: h\r\nConnection: close\r\n\r\n");
        assert!((0..10).all(|_| !bench.is_answered(HIT)));
        assert_eq!(bench.asked(), 0);
    }

    #[tokio::test]
    async fn when_the_process_ends_nothing_is_answered_here_for_nobody_would_say_that_it_is_the_last() {
        let mut bench = Bench::lucky().await;
        assert!(bench.is_answered(HIT));
        bench.open.announce();
        assert!(!bench.is_answered(HIT));
    }

    #[tokio::test]
    async fn what_has_expired_is_no_hit() {
        let mut bench = Bench::lucky().await;
        bench.clock.advance(Duration::from_secs(59));
        assert!(bench.is_answered(HIT));
        bench.clock.advance(Duration::from_secs(1));
        assert!(!bench.is_answered(HIT));
    }
}
