//! A request body, watched: how long one of unknown length becomes, and whether its client leaves before its end.

use crate::error::BoxError;
use crate::telemetry::Refusal;
use crate::telemetry::log::Overruled;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A body that errs as soon as it is larger than its limit.
pub(super) struct Limited<B> {
    body: B,
    left: u64,
    overruled: Overruled,
}

impl<B> Limited<B> {
    pub(super) const fn new(body: B, limit: u64, overruled: Overruled) -> Self {
        Self { body, left: limit, overruled }
    }
}

impl<B> Body for Limited<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Err(_)) = &frame {
            self.overruled.abandon(); // unless whoever broke it off has said why
        }
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                self.overruled.by(Refusal::BodyTooLarge);
                return Poll::Ready(Some(Err("request body over server.max_request_body".into())));
            };
            self.left = left;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
