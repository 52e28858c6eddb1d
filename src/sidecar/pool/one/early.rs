//! An answer that came before its request had gone out whole.

use crate::sidecar::pool::broken::Broken;
use crate::sidecar::pool::one::connection::Connection;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::task::AbortHandle;

/// A connection in two hands: a task goes on with the upload, though nobody may read the answer for a while, and whoever reads the answer reads.
#[derive(Debug)]
pub(in crate::sidecar::pool) struct Early {
    shared: Arc<Mutex<Shared>>,
    upload: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    connection: Option<Box<Connection>>,
    /// Why there is none any more.
    broken: Option<Broken>,
    reader: Option<Waker>,
}

impl Shared {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(()) };
        if let Err(broken) = ready!(connection.poll_send(cx)) {
            (self.connection, self.broken) = (None, Some(broken));
            self.reader.take().into_iter().for_each(Waker::wake);
        }
        Poll::Ready(())
    }
}

impl Early {
    pub(in crate::sidecar::pool) fn new(connection: Box<Connection>) -> Self {
        let shared = Arc::new(Mutex::new(Shared { connection: Some(connection), broken: None, reader: None }));
        let sending = shared.clone();
        let upload = tokio::spawn(poll_fn(move |cx| sending.lock().poll_send(cx))).abort_handle();
        Self { shared, upload }
    }

    /// The next piece of the answer.
    pub(in crate::sidecar::pool) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut shared = self.shared.lock();
        let Some(connection) = &mut shared.connection else { return Poll::Ready(shared.broken.take().map(Err)) };
        let polled = connection.poll_frame(cx);
        if polled.is_pending() {
            shared.reader = Some(cx.waker().clone());
        }
        polled
    }

    /// Whether the answer has ended, and how long the rest is.
    pub(in crate::sidecar::pool) fn rest(&self) -> (bool, SizeHint) {
        self.shared
            .lock()
            .connection
            .as_ref()
            .map_or_else(|| (false, SizeHint::new()), |connection| (connection.is_over(), connection.size_hint()))
    }

    /// The connection; an upload that is not complete by now is left.
    pub(in crate::sidecar::pool) fn take(&self) -> Option<Box<Connection>> {
        self.shared.lock().connection.take()
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        drop(self.take());
        self.upload.abort(); // nothing else might wake it
    }
}
