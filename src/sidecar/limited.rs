//! A request body of unknown length, counted.

use crate::error::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// Whether a body has outgrown its limit.
#[derive(Clone, Debug, Default)]
pub(super) struct Outgrown(Arc<AtomicBool>);

impl Outgrown {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A body that errs as soon as it is larger than its limit.
pub(super) struct Limited<B> {
    body: B,
    left: u64,
    outgrown: Outgrown,
}

impl<B> Limited<B> {
    pub(super) const fn new(body: B, limit: u64, outgrown: Outgrown) -> Self {
        Self { body, left: limit, outgrown }
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
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                self.outgrown.0.store(true, Ordering::Release);
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
