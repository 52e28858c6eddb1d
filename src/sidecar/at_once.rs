//! Requests that are answered without hyper.
//!
//! hyper makes a request of each head, its service an answer of that, and hyper a head of that, for which the wire then writes what is stored. None of it changes a byte of a
//! hit. So a head is looked up as it lies in the buffer, and answered on the wire; hyper sees nothing of it, and is not even there while nobody needs it. A GET that is no hit, and asks nothing
//! of its connection, goes to the service [directly](super::direct). Everything else is hyper's. What a client says of itself, mostly the same each time, is [read](super::said) once.

mod luck;

use crate::flow::hit::Hit;
use crate::sidecar::attend::Hits;
use crate::sidecar::forward::Seat;
use crate::sidecar::live::Settings;
use crate::sidecar::said::{End, Plain, Said};
use http::Uri;
use luck::Luck;
use std::sync::Arc;

/// After so many in a row the next will be one as well: often enough for hyper to go, which has to be made anew for one that is not.
const ROW: u8 = 32;

/// What is taken up of the requests of one connection.
pub(super) struct AtOnce {
    hits: Arc<dyn Hits>,
    seat: Arc<Seat>,
    /// With the last head that was looked at.
    said: Option<Arc<Said>>,
    luck: Luck,
    /// How many requests in a row did not need hyper.
    row: u8,
    /// The request that the service is to be asked next.
    pub(super) asked: Option<Get>,
}

/// A request head that came whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole<'a> {
    target: &'a [u8],
    old: bool,
    fields: &'a [u8],
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Taken {
    /// It has its answer, and the connection this end.
    Hit(Hit, End),
    /// The service gets it as it is.
    Get(Get),
    /// hyper gets it. It could do without, were there none.
    Spared,
    /// hyper gets it.
    Left,
}

/// A GET of `uri` that says so much of its sender, and nothing else.
#[derive(Debug)]
pub(super) struct Get {
    pub(super) uri: Uri,
    pub(super) said: Arc<Said>,
    pub(super) end: End,
}

impl<'a> Whole<'a> {
    /// Of a GET that the [scan](super::scan) has found good. `None` for other methods.
    pub(super) fn get(head: &'a [u8]) -> Option<Self> {
        let rest = head.strip_prefix(b"GET ")?;
        let (target, rest) = rest.split_at(memchr::memchr(b' ', rest)?);
        let (version, fields) = rest.split_at_checked(b" HTTP/1.1\r\n".len())?;
        Some(Self { target, old: version == b" HTTP/1.0\r\n", fields })
    }
}

impl AtOnce {
    pub(super) fn new(hits: Arc<dyn Hits>, seat: Arc<Seat>) -> Self {
        Self { hits, seat, said: None, luck: Luck::of_this_thread(), row: 0, asked: None }
    }

    /// A request that the service had was a hit.
    pub(super) fn was_hit(&mut self) {
        self.luck.rise();
    }

    /// hyper has the next request, or would be needed for one like it. What nobody else says is read again if it is needed: that request may take long.
    pub(super) fn give_up(&mut self) {
        self.row = 0;
        self.said.take_if(|said| Arc::strong_count(said) == 1);
    }

    /// Whether none of the last requests needed hyper.
    pub(super) const fn is_enough(&self) -> bool {
        self.row == ROW
    }

    /// Forgets what the client has said of itself: it may not come back.
    pub(super) fn forget(&mut self) {
        self.said = None;
    }

    /// Whether it is likely that the next request is a hit, and can be answered here.
    fn is_likely(&self) -> bool {
        self.luck.is_good() && !self.seat.open.is_closing()
    }

    /// Looks at a request without content. `is_alone`: there is no hyper, and the answer may be the last one. `known` are its fields if an earlier head had them too; they are exchanged for
    /// equal ones that are shared with other connections.
    pub(super) fn take_up(&mut self, head: Whole<'_>, known: Option<&mut Arc<[u8]>>, settings: &Arc<Settings>, is_alone: bool) -> Taken {
        let taken = self.look(head, known, settings, is_alone).unwrap_or(Taken::Left);
        match taken {
            Taken::Left => self.give_up(),
            Taken::Hit(..) | Taken::Get(_) | Taken::Spared => self.row = ROW.min(self.row + 1),
        }
        taken
    }

    fn look(&mut self, head: Whole<'_>, known: Option<&mut Arc<[u8]>>, settings: &Arc<Settings>, is_alone: bool) -> Option<Taken> {
        let is_likely = self.is_likely();
        if head.old && !is_likely {
            return None; // only hits are for here
        }
        let said = self.said.take().filter(|said| said.is(head.fields, head.old, settings));
        let said = self.said.insert(said.unwrap_or_else(|| Said::of(head.fields, head.old, settings, &self.seat.peer)));
        if let Some(known) = known.filter(|known| !Arc::ptr_eq(&said.fields, known)) {
            *known = Arc::clone(&said.fields);
        }
        let plain = said.plain.as_ref().filter(|plain| is_alone || !plain.end.is_near())?;
        let mut uri = plain.absolute(head.target)?;
        if is_likely {
            let hit = self.hits.hit(uri, plain, &|uri| said.check_rates(uri, &self.seat.peer).is_ok());
            if let Some(hit) = hit {
                self.luck.be_best();
                return Some(Taken::Hit(hit, plain.end));
            }
            self.luck.fall();
            uri = plain.absolute(head.target)?;
        }
        match plain {
            Plain { end: End::StaysOld | End::ClosesOld, .. } => None,
            _ if !is_alone => Some(Taken::Spared),
            _ => Some(Taken::Get(Get { uri, said: Arc::clone(said), end: plain.end })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AtOnce, ROW, Taken, Whole};
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
    use crate::sidecar::said::{End, Plain};
    use crate::sidecar::settings::{Origin, RateLimit, ServerSettings, UpstreamSettings};
    use bytes::Bytes;
    use http::header::{CACHE_CONTROL, HOST};
    use http::uri::Authority;
    use http::{Method, Request, Response, Uri, Version};
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
        fn hit(&self, uri: Uri, plain: &Plain, may: &dyn Fn(&Uri) -> bool) -> Option<Hit> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.shared().hit(uri, plain, may)
        }
    }

    /// One connection.
    struct Bench {
        hits: Arc<Counting>,
        at_once: AtOnce,
        settings: Arc<Settings>,
        fields: Arc<[u8]>,
        /// Whether the head before had them too.
        again: bool,
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
            Self { hits, at_once, settings, fields: b"Host: h\r\n\r\n"[..].into(), again: true, open, clock }
        }

        /// One with luck.
        async fn lucky() -> Self {
            let mut bench = Self::new().await;
            (0..3).for_each(|_| bench.at_once.was_hit());
            bench
        }

        fn is_answered(&mut self, head: &[u8]) -> bool {
            self.ended(head, true).is_some()
        }

        /// What becomes of the connection behind the answer to this line with the fields; `None` if there is none.
        fn ended(&mut self, line: &[u8], is_alone: bool) -> Option<End> {
            if let Some(Taken::Hit(_, end)) = self.taken(line, is_alone) { Some(end) } else { None }
        }

        fn taken(&mut self, line: &[u8], is_alone: bool) -> Option<Taken> {
            let head = [line, &self.fields].concat();
            let known = self.again.then_some(&mut self.fields);
            Some(self.at_once.take_up(Whole::get(&head)?, known, &self.settings, is_alone))
        }

        fn says(&mut self, fields: &str) {
            self.fields = fields.as_bytes().into();
        }

        fn asked(&self) -> usize {
            self.hits.1.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn after_misses_it_is_not_likely_until_there_were_hits_elsewhere() {
        let mut bench = Bench::lucky().await;
        assert!(!bench.is_answered(MISS) && bench.is_answered(HIT), "one is forgiven");
        assert!(!bench.is_answered(MISS) && !bench.is_answered(MISS) && !bench.is_answered(HIT), "two are not");
        assert_eq!(bench.asked(), 4, "what is not likely is not looked for");
        bench.at_once.was_hit();
        assert!(bench.is_answered(HIT));
        (0..10).for_each(|_| bench.at_once.was_hit());
        assert!(!bench.is_answered(MISS) && !bench.is_answered(MISS) && !bench.is_answered(HIT), "however many hits there were before");
    }

    #[tokio::test]
    async fn enough_in_a_row_did_not_need_hyper_and_what_does_is_not_among_them() {
        let mut bench = Bench::lucky().await;
        for at in 0..ROW {
            assert!(!bench.at_once.is_enough());
            assert!(bench.is_answered(if at % 2 == 0 { HIT } else { MISS }) == (at % 2 == 0));
        }
        assert!(bench.at_once.is_enough());
        assert!(bench.is_answered(HIT) && bench.at_once.is_enough(), "and it stays so");
        assert!(matches!(bench.taken(b"GET http://h/stored HTTP/1.1\r\n", true), Some(Taken::Left)));
        for _ in 0..ROW {
            assert!(!bench.at_once.is_enough() && bench.is_answered(HIT));
        }
        assert!(bench.at_once.is_enough());
        bench.at_once.give_up();
        assert!(bench.is_answered(HIT) && !bench.at_once.is_enough(), "what hyper must have breaks the row as well");
    }

    #[tokio::test]
    async fn what_is_no_hit_goes_to_the_service_or_to_a_hyper_that_is_there() {
        const OLD: &[u8] = b"GET /other HTTP/1.0\r\n";
        for (line, fields, alone, under) in [
            (MISS, "Host: h\r\n\r\n", "Get", "Spared"),
            (HIT, "Host: h\r\nX: y\r\n\r\n", "Hit", "Hit"),
            (MISS, "Host: h\r\nConnection: close\r\n\r\n", "Get", "Left"),
            (MISS, "Host: h\r\nConnection: te\r\n\r\n", "Left", "Left"),
            (OLD, "Host: h\r\nConnection: keep-alive\r\n\r\n", "Left", "Left"),
            (OLD, "Host: h\r\n\r\n", "Left", "Left"),
            (b"GET /other\x5e\x80 HTTP/1.1\r\n", "Host: h\r\n\r\n", "Left", "Left"),
        ] {
            for (is_alone, expected) in [(true, alone), (false, under)] {
                let mut bench = Bench::lucky().await;
                (bench.again, bench.fields) = (false, fields.as_bytes().into());
                let taken = format!("{:?}", bench.taken(line, is_alone).unwrap());
                assert!(taken.starts_with(expected), "{fields:?}, alone: {is_alone}: {taken}");
            }
        }
        let mut bench = Bench::new().await;
        bench.open.announce();
        let Some(Taken::Get(get)) = bench.taken(b"GET /stored?a=b HTTP/1.1\r\n", true) else {
            panic!("the service says that it is the last")
        };
        let request = get.said.request(get.uri);
        assert_eq!((&*request.uri.to_string(), request.headers["host"].as_bytes()), ("http://h/stored?a=b", &b"h"[..]));
        assert_eq!((request.method, request.version, get.end), (Method::GET, Version::HTTP_11, End::Stays));
    }

    #[tokio::test]
    async fn only_a_get_of_a_path_is_looked_for() {
        let mut bench = Bench::lucky().await;
        for cut in ["GET", "GET /stored", "GET /stored HTTP/", "\r\n"] {
            assert!(Whole::get(cut.as_bytes()).is_none(), "no head that a scan would find good: {cut:?}");
        }
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
    }

    #[tokio::test]
    async fn what_is_said_is_read_once_and_again_when_it_or_the_settings_change() {
        let mut bench = Bench::lucky().await;
        let sent = Arc::clone(&bench.fields);
        assert!(bench.is_answered(HIT));
        let shared = Arc::clone(&bench.fields);
        assert!(!Arc::ptr_eq(&shared, &sent), "equal ones are exchanged for those that are shared");
        bench.says("Host: h\r\n\r\n");
        assert!(bench.is_answered(HIT));
        assert!(Arc::ptr_eq(&bench.fields, &shared), "each time");
        bench.says("Host: other\r\n\r\n");
        assert!(!bench.is_answered(HIT), "another host");
        bench.says("Host: h\r\nExpect: 100-continue\r\n\r\n");
        assert!(!bench.is_answered(HIT) && !bench.is_answered(HIT), "not for here");
        (0..3).for_each(|_| bench.at_once.was_hit());
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
        bench.says("Host: h\r\nConnection: close, te\r\n\r\n");
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

    #[tokio::test]
    async fn who_closes_is_answered_where_that_can_be_the_end_and_an_old_one_by_its_version() {
        const OLD: &[u8] = b"GET /stored HTTP/1.0\r\n";
        for (line, fields, end) in [
            (HIT, "Host: h\r\n\r\n", End::Stays),
            (OLD, "Host: h\r\n\r\n", End::ClosesOld),
            (HIT, "Host: h\r\nConnection: close\r\n\r\n", End::Closes),
            (OLD, "Host: h\r\nConnection: keep-alive\r\n\r\n", End::StaysOld),
        ] {
            let mut bench = Bench::lucky().await;
            (bench.again, bench.fields) = (false, fields.as_bytes().into());
            assert_eq!(bench.ended(line, true), Some(end), "{fields:?}");
            let asked = bench.asked();
            assert_eq!(bench.ended(line, false), (!end.is_near()).then_some(end), "{fields:?}");
            assert_eq!(bench.asked() - asked, usize::from(!end.is_near()), "what is not answered is not looked for: {fields:?}");
        }
    }
}
