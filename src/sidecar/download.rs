//! A response body on its way from the upstream.

use crate::error::{BoxError, BrokenBody};
use crate::sidecar::alarm::Alarm;
use crate::sidecar::gate::Place;
use crate::sidecar::live::Live;
use crate::sidecar::origins::Load;
use crate::sidecar::pool::Arriving;
use crate::sidecar::settings::UpstreamSettings;
use crate::sidecar::upload::Monitor;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The body of a response of [`Upstream`](super::Upstream). It errs when the upstream breaks off or falls silent: never a clean end too early.
#[derive(Debug)]
pub struct UpstreamBody(Kind);

#[derive(Debug)]
enum Kind {
    Ours(Option<Bytes>),
    Arriving(Box<Download>),
}

/// What is held until a body has ended or is dropped: the place at the upstream, and the upload that nobody needs any more.
#[derive(Debug)]
pub(super) struct Hold {
    _place: Place,
    load: Option<Load>,
    upload: Option<Monitor>,
}

impl Hold {
    pub(super) const fn new(place: Place, load: Option<Load>, upload: Option<Monitor>) -> Self {
        Self { _place: place, load, upload }
    }

    /// The body has come whole.
    fn whole(mut self) {
        self.load.take().into_iter().for_each(Load::whole);
    }

    /// It will not: unless the client has broken off its upload, that speaks against the origin.
    fn broke(mut self, settings: &UpstreamSettings) {
        let excused = self.upload.as_ref().is_some_and(Monitor::is_broken);
        self.load.take().filter(|_| !excused).into_iter().for_each(|load| load.broke(settings));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.stop();
        }
    }
}

#[derive(Debug)]
struct Download {
    body: Arriving,
    live: Arc<Live>,
    idle: Duration,
    silent_since: Option<Instant>,
    alarm: Option<Alarm>,
    hold: Option<Hold>,
}

impl UpstreamBody {
    /// A short body of ours.
    pub(super) fn ours(text: Bytes) -> Self {
        Self(Kind::Ours(Some(text).filter(|text| !text.is_empty())))
    }

    /// A body of the upstream, which may be silent for `idle`. `hold` is let go at its end.
    pub(super) fn arriving(body: Arriving, idle: Duration, hold: Hold, live: &Arc<Live>) -> Self {
        if body.is_end_stream() {
            hold.whole();
            return Self(Kind::Ours(None));
        }
        Self(Kind::Arriving(Box::new(Download { body, live: live.clone(), idle, silent_since: None, alarm: None, hold: Some(hold) })))
    }
}

impl Download {
    fn whole(&mut self) {
        self.hold.take().into_iter().for_each(Hold::whole);
    }

    fn broke(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.broke(&self.live.settings.load().upstream);
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.silent_since = None;
                if self.body.is_end_stream() {
                    self.whole();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.whole();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.broke();
                Poll::Ready(Some(Err(BrokenBody::new(error.to_string()).into())))
            }
            Poll::Pending => {
                let due = *self.silent_since.get_or_insert_with(Instant::now) + self.idle;
                if !self.alarm.get_or_insert_with(Alarm::new).passed(cx, due) {
                    return Poll::Pending;
                }
                if self.body.size_hint().exact().is_some() {
                    self.broke();
                } else {
                    self.hold = None; // it owes no end: a stream with nothing to say is no fault
                }
                Poll::Ready(Some(Err(BrokenBody::new(format!("upstream.idle_body_timeout ({:?}) passed", self.idle)).into())))
            }
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Ours(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Kind::Arriving(download) => download.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Ours(text) => text.is_none(),
            Kind::Arriving(download) => download.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Ours(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Kind::Arriving(download) => download.body.size_hint(),
        }
    }
}
