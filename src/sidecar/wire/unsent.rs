//! What the socket does not take at once of an answer that is written past hyper.

use crate::sidecar::stream::Socket;
use bytes::{Buf as _, Bytes, BytesMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The end of what was put together here: a copy of what is left of its head, or of all if it is small, what is left of a larger body or piece of one, and what comes behind that.
#[derive(Default)]
pub(super) struct Unsent {
    head: BytesMut,
    body: Bytes,
    tail: &'static [u8],
}

impl Unsent {
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_empty() && self.tail.is_empty()
    }

    /// Sends a head, a body, which is a part of `whole`, and a tail; how many bytes of it the socket has taken. What it has not is kept: a flush comes next, and waits.
    pub(super) fn send<T: Socket>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
        (head, body, tail): (&[u8], &[u8], &'static [u8]),
        whole: &Bytes,
    ) -> io::Result<usize> {
        let taken = match write_all(Pin::new(io), cx, [head, body, tail]) {
            Poll::Ready(taken) => taken?,
            Poll::Pending => 0,
        };
        if taken < head.len() + body.len() + tail.len() {
            self.head.extend_from_slice(behind(head, taken));
            self.body = whole.slice_ref(behind(body, taken.saturating_sub(head.len())));
            self.tail = behind(tail, taken.saturating_sub(head.len() + body.len()));
        }
        Ok(taken)
    }

    pub(super) fn poll_write<T: Socket>(&self, io: Pin<&mut T>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        write_all(io, cx, [&self.head, &self.body, self.tail])
    }

    pub(super) fn advance(&mut self, taken: usize) {
        let of_head = taken.min(self.head.len());
        let of_body = (taken - of_head).min(self.body.len());
        self.head.advance(of_head);
        self.body.advance(of_body);
        self.tail = behind(self.tail, taken - of_head - of_body);
        if self.head.is_empty() {
            self.head = BytesMut::new();
        }
        if self.body.is_empty() {
            self.body = Bytes::new(); // lets go of what is stored
        }
    }
}

fn behind(bytes: &[u8], taken: usize) -> &[u8] {
    bytes.get(taken..).unwrap_or_default()
}

/// Writes pieces, of which any may be empty.
fn write_all<T: Socket>(io: Pin<&mut T>, cx: &mut Context<'_>, pieces: [&[u8]; 3]) -> Poll<io::Result<usize>> {
    match pieces {
        [only, [], []] | [[], only, []] | [[], [], only] => io.poll_write(cx, only),
        [one, two, []] => io.poll_write_vectored(cx, &[IoSlice::new(one), IoSlice::new(two)]),
        all => io.poll_write_vectored(cx, &all.map(IoSlice::new)),
    }
}
