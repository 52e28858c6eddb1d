//! An origin that does what a script says and remembers everything that it was asked.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::watch;
use tower::Service;
use warmfront::error::OriginFailure;
use warmfront::telemetry::Refusal;

/// A door that a test opens.
#[derive(Clone)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    async fn passed(self) {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// A thing that an origin does while it answers.
#[derive(Clone)]
pub(crate) enum Step {
    Data(Bytes),
    Trailer(&'static str, &'static str),
    /// So many lines of this name.
    Trailers(&'static str, usize),
    Sleep(Duration),
    Gate(Gate),
    Error,
    Panic,
    Hang,
}

pub(crate) fn data(text: &str) -> Step {
    Step::Data(Bytes::copy_from_slice(text.as_bytes()))
}

/// What an origin answers.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(HeaderName, HeaderValue)>,
    before: Vec<Step>,
    body: Vec<Step>,
    /// Whether the body tells its length beforehand.
    sized: bool,
    fails: bool,
    failure: Option<Refusal>,
}

/// A 200 without any header.
pub(crate) fn ok(body: &str) -> Reply {
    Reply { status: 200, headers: Vec::new(), before: Vec::new(), body: vec![data(body)], sized: true, fails: false, failure: None }
}

/// A 200 that is fresh for a minute.
pub(crate) fn fresh(body: &str) -> Reply {
    ok(body).cc("max-age=60")
}

pub(crate) fn status(status: u16) -> Reply {
    Reply { status, body: Vec::new(), ..ok("") }
}

impl Reply {
    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Adds a header line.
    pub(crate) fn h(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.parse().unwrap(), value.parse().unwrap()));
        self
    }

    pub(crate) fn cc(self, value: &str) -> Self {
        self.h("cache-control", value)
    }

    pub(crate) fn etag(self, value: &str) -> Self {
        self.h("etag", value)
    }

    /// Waits before the headers.
    pub(crate) fn after(self, millis: u64) -> Self {
        self.first(Step::Sleep(Duration::from_millis(millis)))
    }

    /// Does something before the headers.
    pub(crate) fn first(mut self, step: Step) -> Self {
        self.before.push(step);
        self
    }

    /// A body in steps, of a length that is not told.
    pub(crate) fn steps(self, body: impl IntoIterator<Item = Step>) -> Self {
        Self { body: body.into_iter().collect(), sized: false, ..self }
    }

    pub(crate) fn chunks(self, chunks: &[&str]) -> Self {
        self.steps(chunks.iter().map(|chunk| data(chunk)))
    }

    /// The service's own error instead of an answer.
    pub(crate) fn err(self) -> Self {
        Self { fails: true, ..self }
    }

    /// An answer that was made because the origin could not be asked.
    pub(crate) fn failure(self, refusal: Refusal) -> Self {
        Self { failure: Some(refusal), ..self }
    }
}

/// A request as the origin saw it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How many requests came before it.
    pub(crate) number: usize,
}

impl Asked {
    pub(crate) fn target(&self) -> &str {
        self.uri.path_and_query().map_or("", |target| target.as_str())
    }

    /// All lines of a header, joined by ` | `.
    pub(crate) fn h(&self, name: &str) -> String {
        lines(&self.headers, name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }
}

pub(crate) fn lines(headers: &HeaderMap, name: &str) -> String {
    headers.get_all(name).iter().map(|line| line.to_str().unwrap()).collect::<Vec<_>>().join(" | ")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OriginError;

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the origin's own error")
    }
}

impl std::error::Error for OriginError {}

type Script = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// The origin. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Origin(Arc<Inner>);

struct Inner {
    script: Mutex<Arc<Script>>,
    asked: Mutex<Vec<Asked>>,
    keeps_log: AtomicBool,
    calls: AtomicUsize,
    /// Bytes that bodies have handed out.
    given: AtomicU64,
    /// Requests and bodies that are under way.
    open: AtomicUsize,
}

impl Origin {
    /// Answers as `script` says.
    pub(crate) fn by(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            script: Mutex::new(Arc::new(Box::new(script))),
            asked: Mutex::default(),
            keeps_log: AtomicBool::new(true),
            calls: AtomicUsize::new(0),
            given: AtomicU64::new(0),
            open: AtomicUsize::new(0),
        }))
    }

    /// Always answers the same.
    pub(crate) fn always(reply: Reply) -> Self {
        Self::by(move |_| reply.clone())
    }

    /// Answers with one after the other; the last one stays.
    pub(crate) fn replies(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<Reply> = replies.into_iter().collect();
        Self::by(move |asked| replies[asked.number.min(replies.len() - 1)].clone())
    }

    /// From now on answers as `script` says.
    pub(crate) fn becomes(&self, reply: Reply) {
        *self.0.script.lock() = Arc::new(Box::new(move |_| reply.clone()));
    }

    /// Does not remember requests, for tests with very many of them.
    pub(crate) fn forgetful(self) -> Self {
        self.0.keeps_log.store(false, Ordering::Relaxed);
        self
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.0.asked.lock().clone()
    }

    /// From now on answers by `script`.
    pub(crate) fn becomes_by(&self, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        *self.0.script.lock() = Arc::new(Box::new(script));
    }
    pub(crate) fn last(&self) -> Asked {
        self.0.asked.lock().last().unwrap().clone()
    }

    pub(crate) fn given(&self) -> u64 {
        self.0.given.load(Ordering::SeqCst)
    }

    pub(crate) fn open(&self) -> usize {
        self.0.open.load(Ordering::SeqCst)
    }
}

/// Counts as open until it is dropped.
struct Open(Arc<Inner>);

impl Open {
    fn new(inner: &Arc<Inner>) -> Self {
        inner.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(inner))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<Request<Full<Bytes>>> for Origin {
    type Response = Response<OriginBody>;
    type Error = OriginError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, OriginError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OriginError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let open = Open::new(&inner);
            let number = inner.calls.fetch_add(1, Ordering::SeqCst);
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let asked = Asked { method: parts.method, uri: parts.uri, headers: parts.headers, body, number };
            let script = Arc::clone(&inner.script.lock());
            let reply = script(&asked);
            if inner.keeps_log.load(Ordering::Relaxed) {
                inner.asked.lock().push(asked);
            }
            for step in reply.before {
                match step {
                    Step::Sleep(duration) => tokio::time::sleep(duration).await,
                    Step::Gate(gate) => gate.passed().await,
                    Step::Hang => std::future::pending().await,
                    Step::Panic => panic!("a panic of the origin, as the test wants it"),
                    _ => unreachable!("nothing else comes before the headers"),
                }
            }
            if reply.fails {
                return Err(OriginError);
            }
            let length = reply.body.iter().map(|step| if let Step::Data(data) = step { data.len() as u64 } else { 0 }).sum();
            let body = OriginBody { steps: reply.body.into(), waiting: None, length: reply.sized.then_some(length), open };
            let mut response = Response::new(body);
            *response.status_mut() = reply.status.try_into().unwrap();
            for (name, value) in reply.headers {
                response.headers_mut().append(name, value);
            }
            if let Some(refusal) = reply.failure {
                response.extensions_mut().insert(OriginFailure(refusal));
            }
            Ok(response)
        })
    }
}

/// A body that comes as the script says.
pub(crate) struct OriginBody {
    steps: VecDeque<Step>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    length: Option<u64>,
    open: Open,
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            return Poll::Ready(match self.steps.pop_front() {
                None => None,
                Some(Step::Data(data)) => {
                    self.open.0.given.fetch_add(data.len() as u64, Ordering::SeqCst);
                    self.length = self.length.map(|length| length - data.len() as u64);
                    Some(Ok(Frame::data(data)))
                }
                Some(Step::Trailer(name, value)) => {
                    let line = (HeaderName::from_static(name), HeaderValue::from_static(value));
                    Some(Ok(Frame::trailers(HeaderMap::from_iter([line]))))
                }
                Some(Step::Trailers(name, lines)) => {
                    let line = (HeaderName::from_static(name), HeaderValue::from_static("1"));
                    let mut trailers = HeaderMap::new();
                    for _ in 0..lines {
                        trailers.append(&line.0, line.1.clone());
                    }
                    Some(Ok(Frame::trailers(trailers)))
                }
                Some(Step::Error) => Some(Err(OriginError)),
                Some(Step::Panic) => panic!("a panic of the origin's body, as the test wants it"),
                Some(Step::Sleep(duration)) => {
                    self.waiting = Some(Box::pin(tokio::time::sleep(duration)));
                    continue;
                }
                Some(Step::Gate(gate)) => {
                    self.waiting = Some(Box::pin(gate.passed()));
                    continue;
                }
                Some(Step::Hang) => {
                    self.waiting = Some(Box::pin(std::future::pending()));
                    continue;
                }
            });
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
