//! The collector: one connection to it, made when it is needed. What is said here is no request of a reader: nothing of it is told of.

use crate::error::BoxError;
use crate::sidecar::otlp::message;
use crate::sidecar::otlp::settings::OtlpSettings;
use crate::sidecar::otlp::verdict::Trouble;
use crate::sidecar::pool::line::Line;
use crate::sidecar::pool::tls::Tls;
use crate::sidecar::settings::Http2;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::io::Write as _;
use std::time::SystemTime;
use tokio::net::TcpStream;

/// Bytes of an answer that are read; one of more is taken as if it said nothing.
const MOST_ANSWER: usize = 64 << 10;

/// A batch, ready to be sent any number of times.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    body: Bytes,
    gzip: bool,
}

impl Parcel {
    pub(super) fn new(message: Vec<u8>, gzip: bool) -> Self {
        let packed = gzip.then(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&message).and_then(|()| encoder.finish()).ok()
        });
        match packed.flatten() {
            Some(packed) => Self { body: packed.into(), gzip: true },
            None => Self { body: message.into(), gzip: false },
        }
    }
}

#[derive(Debug)]
pub(super) struct Collector {
    settings: OtlpSettings,
    tls: Tls,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Collector {
    pub(super) fn new(settings: OtlpSettings) -> Self {
        Self { settings, tls: Tls::default(), open: None }
    }

    /// One attempt, within the time-out: how many spans it has rejected, and why.
    pub(super) async fn send(&mut self, parcel: &Parcel) -> Result<(u64, String), Trouble> {
        let limit = self.settings.timeout;
        match tokio::time::timeout(limit, self.exchange(parcel)).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(error)) => {
                self.open = None;
                Err(Trouble::Silent(in_words(&*error)))
            }
            Err(_) => {
                self.open = None; // an answer that comes now would be taken for the next one
                Err(Trouble::Silent(format!("no answer within {limit:?}")))
            }
        }
    }

    async fn exchange(&mut self, parcel: &Parcel) -> Result<Result<(u64, String), Trouble>, BoxError> {
        let mut open = match self.still_open().await {
            Some(open) => open,
            None => self.connect().await?,
        };
        let response = open.send_request(self.request(parcel)?).await?;
        let (parts, body) = response.into_parts();
        let declared = body.size_hint().lower();
        let body = if declared <= MOST_ANSWER as u64 { Limited::new(body, MOST_ANSWER).collect().await.ok() } else { None };
        if body.is_some() {
            self.open = Some(open);
        }
        if !parts.status.is_success() {
            return Ok(Err(Trouble::of(parts.status, &parts.headers, SystemTime::now())));
        }
        Ok(Ok(message::rejected(&body.map(http_body_util::Collected::to_bytes).unwrap_or_default())))
    }

    /// The connection of the last batch, unless the collector has closed it meanwhile.
    async fn still_open(&mut self) -> Option<SendRequest<Full<Bytes>>> {
        let mut open = self.open.take()?;
        open.ready().await.is_ok().then_some(open)
    }

    fn request(&self, parcel: &Parcel) -> Result<Request<Full<Bytes>>, http::Error> {
        let OtlpSettings { origin, path, headers, .. } = &self.settings;
        let mut request = Request::builder().method(Method::POST).uri(path.clone()).body(Full::new(parcel.body.clone()))?;
        let map = request.headers_mut();
        map.insert(HOST, HeaderValue::from_str(origin.authority.as_str())?);
        map.insert(USER_AGENT, HeaderValue::from_static(concat!("warmfront/", env!("CARGO_PKG_VERSION"))));
        map.extend(headers.iter().cloned());
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if parcel.gzip {
            map.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(request)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, BoxError> {
        let origin = &self.settings.origin;
        let socket = TcpStream::connect((origin.host(), origin.port())).await?;
        socket.set_nodelay(true)?;
        let line = if origin.tls {
            self.tls.secure(socket, origin, (self.settings.tls.clone(), Http2::Never), true).await?
        } else {
            Line::plain(socket, false)
        };
        let (open, connection) = http1::handshake(TokioIo::new(line)).await?;
        tokio::spawn(async move { drop(connection.await) }); // whoever sends over it hears of its errors
        Ok(open)
    }
}

/// An error with what it was caused by.
fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
