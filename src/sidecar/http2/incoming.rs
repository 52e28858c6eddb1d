//! The body of a request as `h2` gives it.

use crate::error::BoxError;
use crate::sidecar::alarm::Alarm;
use crate::sidecar::chunk::may_trail;
use crate::sidecar::http2::STREAM_WINDOW;
use crate::sidecar::http2::line::Traffic;
use crate::sidecar::limits::Pace;
use crate::sidecar::live::Live;
use crate::sidecar::wire::BODY_SILENCE;
use crate::telemetry::Refusal;
use crate::telemetry::log::Overruled;
use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::sync::Notify;
use tokio::time::Instant;

/// What the answer must know of the body that it is an answer to.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The client waits until it is told to go on, and somebody wants the body.
    pub(super) wanted: Notify,
    silent: AtomicBool,
}

impl News {
    /// Whether the client has left us waiting for too long.
    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }
}

/// An upload. It credits the client's window when a piece is taken from it, and not before.
pub(super) struct Incoming {
    stream: RecvStream,
    left: Option<u64>,
    expects: bool,
    only_trailers: bool,
    ended: bool,
    live: Arc<Live>,
    traffic: Arc<Traffic>,
    news: Arc<News>,
    overruled: Option<Overruled>,
    /// Since when we wait for more.
    waiting: Option<Instant>,
    /// How slowly it comes.
    pace: Pace,
    alarm: Option<Alarm>,
}

impl Incoming {
    /// The body of a request with this `Content-Length`, to which `h2` holds it; `expects`: the client waits for a 100.
    pub(super) fn new(
        stream: RecvStream,
        length: Option<u64>,
        expects: bool,
        live: Arc<Live>,
        traffic: Arc<Traffic>,
        news: Arc<News>,
        overruled: Option<Overruled>,
    ) -> Self {
        let ended = stream.is_end_stream();
        let left = if ended { Some(0) } else { length };
        Self {
            stream,
            left,
            expects,
            only_trailers: false,
            ended,
            live,
            traffic,
            news,
            overruled,
            waiting: None,
            pace: Pace::default(),
            alarm: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.only_trailers {
            match std::task::ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.stream.flow_control().release_capacity(data.len())?;
                    self.traffic.used(data.len());
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.only_trailers = true,
            }
        }
        let trailers = std::task::ready!(self.stream.poll_trailers(cx))?;
        if trailers.as_ref().is_some_and(|trailers| trailers.keys().any(|name| !may_trail(name.as_str().as_bytes()))) {
            return Poll::Ready(Some(Err(h2::Error::from(h2::Reason::PROTOCOL_ERROR)))); // RFC 9113 section 8.1.1
        }
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if std::mem::take(&mut self.expects) {
            self.news.wanted.notify_one();
        }
        if let Poll::Ready(frame) = self.poll(cx) {
            if let Some(since) = self.waiting.take() {
                let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref().map(Bytes::len)).unwrap_or(0);
                let floor = self.live.settings.load().server.min_body_rate;
                self.pace.moved(since.elapsed(), bytes, floor);
            }
            self.ended = !matches!(&frame, Some(Ok(frame)) if frame.is_data());
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let since = *self.waiting.get_or_insert_with(Instant::now);
        let due = {
            let server = &self.live.settings.load().server;
            since + self.pace.left(server.header_timeout * BODY_SILENCE, server.min_body_rate)
        };
        if self.alarm.get_or_insert_with(Alarm::new).passed(cx, due) {
            self.news.silent.store(true, Ordering::Release);
            if let Some(overruled) = &self.overruled {
                overruled.by(Refusal::BodyTimeout);
            }
            self.ended = true;
            return Poll::Ready(Some(Err("three times server.header_timeout without server.min_body_rate".into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.ended {
            self.traffic.used(STREAM_WINDOW as usize); // what nobody wanted was sent in good faith
        }
    }
}
