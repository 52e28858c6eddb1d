//! The response body that the client gets.

use crate::error::BoxError;
use crate::sidecar::forward::UntilWritten;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A body of the service, or a short one of ours; in either case dropping it tells the wire that it is written.
    pub(super) struct Reply<B> {
        #[pin]
        body: Source<B>,
        // Only the end of the connection tells the client where it ends (HTTP/1.0 without a length).
        close_delimited: bool,
        until: UntilWritten,
    }
}

pin_project! {
    #[project = SourceProjected]
    enum Source<B> {
        Service { #[pin] body: B },
        Ours { text: Option<Bytes> },
    }
}

impl<B> Reply<B> {
    pub(super) const fn service(body: B, close_delimited: bool, until: UntilWritten) -> Self {
        Self { body: Source::Service { body }, close_delimited, until }
    }

    pub(super) fn ours(text: Bytes, until: UntilWritten) -> Self {
        Self { body: Source::Ours { text: Some(text).filter(|text| !text.is_empty()) }, close_delimited: false, until }
    }
}

impl<B> Body for Reply<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let frame = match this.body.project() {
            SourceProjected::Service { body } => ready!(body.poll_frame(cx)).map(|frame| frame.map_err(Into::into)),
            SourceProjected::Ours { text } => text.take().map(|text| Ok(Frame::data(text))),
        };
        if let Some(Err(error)) = &frame {
            tracing::debug!(%error, "response body broke off");
            if *this.close_delimited {
                this.until.break_off();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Source::Service { body } => body.is_end_stream(),
            Source::Ours { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Service { body } => body.size_hint(),
            Source::Ours { text } => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
