//! The way of a warm request: through the very service that readers use, and read to its end.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{Request, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use std::fmt::Display;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use tower_service::Service;

/// A future of its own.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What came back.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) status: StatusCode,
    /// Bytes of the body.
    pub(crate) length: u64,
    /// The body, if it was wanted and is no longer than that.
    pub(crate) body: Option<Bytes>,
    /// Whether the body is coded (`Content-Encoding`).
    pub(crate) coded: bool,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The service returned its error.
    Service,
    /// The body broke off.
    Broken,
}

/// A service, whatever its types.
pub(crate) trait Fetch: Send + Sync {
    /// Sends a request and reads the answer to its end. At most `keep` bytes of the body are kept; 0: none.
    fn fetch(&self, request: Request<()>, keep: usize) -> Boxed<'static, Result<Fetched, Lost>>;
}

/// A service with its types.
pub(crate) struct Through<S, B> {
    service: Mutex<S>,
    body: PhantomData<fn() -> B>,
}

impl<S, B> Through<S, B> {
    pub(crate) fn new(service: S) -> Self {
        Self { service: Mutex::new(service), body: PhantomData }
    }
}

impl<S, B, RB> Fetch for Through<S, B>
where
    S: Service<Request<B>, Response = http::Response<RB>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send,
    B: Default + Send + 'static,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Display + Send,
{
    fn fetch(&self, request: Request<()>, keep: usize) -> Boxed<'static, Result<Fetched, Lost>> {
        let mut service = self.service.lock().clone();
        Box::pin(async move {
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(|_| Lost::Service)?;
            let response = service.call(request.map(|()| B::default())).await.map_err(|_| Lost::Service)?;
            drain(response, keep).await
        })
    }
}

async fn drain<RB>(response: http::Response<RB>, keep: usize) -> Result<Fetched, Lost>
where
    RB: Body<Data = Bytes>,
{
    let (head, body) = response.into_parts();
    let coded = head.headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let mut body = pin!(body);
    let mut kept = (keep > 0).then(BytesMut::new);
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|_| Lost::Broken)?.into_data() else { continue };
        length += chunk.len() as u64;
        match &mut kept {
            Some(bytes) if bytes.len() + chunk.len() <= keep => bytes.extend_from_slice(&chunk),
            _ => kept = None,
        }
    }
    // What a cache hands out again may be shorter than it was announced only if it broke off.
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced != length) && !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Err(Lost::Broken);
    }
    Ok(Fetched { status: head.status, length, body: kept.map(BytesMut::freeze), coded })
}
