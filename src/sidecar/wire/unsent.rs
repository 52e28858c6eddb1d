//! Hits that are written past hyper, and what the socket does not take of them at once.

use crate::flow::thin::Thin;
use crate::sidecar::splice::splice;
use crate::sidecar::stream::Socket;
use crate::sidecar::wire::Wire;
use bytes::{Buf as _, Bytes, BytesMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The end of an answer that was put together here: a copy of what is left of its head, or of all if it is small, and what is left of a larger body.
#[derive(Default)]
pub(super) struct Unsent {
    head: BytesMut,
    body: Bytes,
}

impl Unsent {
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    fn advance(&mut self, taken: usize) {
        let of_head = taken.min(self.head.len());
        self.head.advance(of_head);
        self.body.advance(taken - of_head);
        if self.head.is_empty() {
            self.head = BytesMut::new();
        }
        if self.body.is_empty() {
            self.body = Bytes::new(); // lets go of what is stored
        }
    }
}

impl<T: Socket> Wire<T> {
    /// Writes `thin` for the `head` that hyper wants written. What the socket does not take is kept, and written before anything else.
    pub(super) fn write_thin(&mut self, cx: &mut Context<'_>, thin: &Thin, head: &[u8]) -> Poll<io::Result<usize>> {
        let (io, unsent) = (&mut self.io, &mut self.unsent);
        let written = splice(thin, head, |piece, body| {
            let polled = write_both(Pin::new(io), cx, piece, body);
            let taken = match polled {
                Poll::Ready(taken) => taken?,
                Poll::Pending => 0, // `poll_flush` comes next, and waits
            };
            if taken < piece.len() + body.len() {
                unsent.head.extend_from_slice(&piece[taken.min(piece.len())..]);
                unsent.body = thin.stored().body.slice_ref(&body[taken.saturating_sub(piece.len())..]);
            }
            Ok(head.len())
        });
        Poll::Ready(written.unwrap_or_else(|| Err(io::Error::other("a head without content was expected"))))
    }

    /// Until the socket has taken what is unsent.
    pub(super) fn send_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = write_both(Pin::new(&mut self.io), cx, &self.unsent.head, &self.unsent.body);
            match ready!(self.wrote(cx, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.unsent.advance(taken),
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn write_both<T: Socket>(io: Pin<&mut T>, cx: &mut Context<'_>, head: &[u8], body: &[u8]) -> Poll<io::Result<usize>> {
    match (head, body) {
        (only, []) | ([], only) => io.poll_write(cx, only),
        _ => io.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)]),
    }
}
