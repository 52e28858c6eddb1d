//! What the socket does not take at once of a hit that is written past hyper.

use crate::sidecar::stream::Socket;
use bytes::{Buf as _, Bytes, BytesMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

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

    /// Sends a head and a body, a part of `stored`. What the socket does not take is kept: a flush comes next, and waits.
    pub(super) fn send<T: Socket>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
        (piece, body): (&[u8], &[u8]),
        stored: &Bytes,
    ) -> io::Result<()> {
        let taken = match write_both(Pin::new(io), cx, piece, body) {
            Poll::Ready(taken) => taken?,
            Poll::Pending => 0,
        };
        self.keep(taken, piece, body, stored);
        Ok(())
    }

    /// Keeps what behind `taken` bytes is left of `piece`, a head, and of `body`, a part of `stored`.
    fn keep(&mut self, taken: usize, piece: &[u8], body: &[u8], stored: &Bytes) {
        if taken < piece.len() + body.len() {
            self.head.extend_from_slice(&piece[taken.min(piece.len())..]);
            self.body = stored.slice_ref(&body[taken.saturating_sub(piece.len())..]);
        }
    }

    pub(super) fn poll_write<T: Socket>(&self, io: Pin<&mut T>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        write_both(io, cx, &self.head, &self.body)
    }

    pub(super) fn advance(&mut self, taken: usize) {
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

/// Writes a head and a body, of which one may be empty.
fn write_both<T: Socket>(io: Pin<&mut T>, cx: &mut Context<'_>, head: &[u8], body: &[u8]) -> Poll<io::Result<usize>> {
    match (head, body) {
        (only, []) | ([], only) => io.poll_write(cx, only),
        _ => io.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)]),
    }
}
