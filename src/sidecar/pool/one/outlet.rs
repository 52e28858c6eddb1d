//! What is to go out over a line.

use crate::sidecar::pool::line::Line;
use bytes::{Buf as _, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite as _;

/// Pieces up to this size are copied behind what goes before them: one plain write costs the kernel less than gathering.
const COPIED: usize = 4 << 10;
/// More than this is not kept between requests.
const KEPT: usize = 8 << 10;

/// A head or framing, a piece of a body, and what ends that.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    pub(super) front: Vec<u8>,
    /// What of it has been written.
    written: usize,
    piece: Bytes,
    back: &'static [u8],
    /// Something has gone out since the last [`begin`](Self::begin).
    begun: bool,
    /// The line may hold back what it was given.
    unflushed: bool,
}

impl Outlet {
    /// Begins a request.
    pub(super) fn begin(&mut self) {
        self.front.clear();
        (self.written, self.begun) = (0, false);
    }

    /// Whether any byte of the request has gone out.
    pub(super) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether all has gone out.
    pub(super) fn is_empty(&self) -> bool {
        self.left() == 0 && !self.unflushed
    }

    /// Whether another piece may be put into it.
    pub(super) fn has_room(&self) -> bool {
        self.piece.is_empty() && self.back.is_empty() && self.left() < COPIED
    }

    /// What has not gone out never will.
    pub(super) fn give_up(&mut self) {
        self.rest();
        (self.piece, self.back, self.unflushed) = (Bytes::new(), b"", false);
    }

    fn left(&self) -> usize {
        self.front.len() - self.written + self.piece.len() + self.back.len()
    }

    /// Puts `piece` behind the front, and `back` behind that, where there [is room](Self::has_room).
    pub(super) fn put(&mut self, piece: Bytes, back: &'static [u8]) {
        if piece.len() <= COPIED {
            self.front.extend_from_slice(&piece);
            self.front.extend_from_slice(back);
        } else {
            (self.piece, self.back) = (piece, back);
        }
    }

    /// Writes until all has gone out.
    pub(super) fn poll_write(&mut self, line: &mut Line, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.left() > 0 {
            // What TLS has taken may have gone out though it fails then.
            self.begun |= line.is_tls();
            let front = &self.front[self.written..];
            let count = ready!(if self.piece.is_empty() && self.back.is_empty() {
                Pin::new(&mut *line).poll_write(cx, front)
            } else {
                let all = [IoSlice::new(front), IoSlice::new(&self.piece), IoSlice::new(self.back)];
                Pin::new(&mut *line).poll_write_vectored(cx, if front.is_empty() { &all[1..] } else { &all })
            })?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            (self.begun, self.unflushed) = (true, line.is_tls());
            self.advance(count);
        }
        if self.unflushed {
            ready!(Pin::new(&mut *line).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut count: usize) {
        let front = count.min(self.front.len() - self.written);
        self.written += front;
        count -= front;
        if self.written == self.front.len() {
            self.front.clear();
            self.written = 0;
        }
        let piece = count.min(self.piece.len());
        self.piece.advance(piece);
        if self.piece.is_empty() {
            self.piece = Bytes::new(); // it may be part of a large buffer
        }
        self.back = &self.back[count - piece..];
    }

    /// Nothing is under way: a large buffer need not be kept for that.
    pub(super) fn rest(&mut self) {
        self.front.clear();
        self.front.shrink_to(KEPT);
        self.written = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{COPIED, Outlet};
    use bytes::Bytes;

    #[test]
    fn it_goes_on_where_the_last_write_ended() {
        for count in 1..=11 {
            let mut outlet = Outlet { piece: Bytes::from_static(b"hello"), back: b"\r\n", ..Outlet::default() };
            outlet.front.extend_from_slice(b"5\r\n\r\n");
            let mut gone = 0;
            while outlet.left() > 0 {
                assert_eq!(outlet.left(), 12 - gone);
                let taken = count.min(outlet.left());
                outlet.advance(taken);
                gone += taken;
            }
            assert!(outlet.front.is_empty() && outlet.piece.is_empty() && outlet.back.is_empty());
        }
    }

    #[test]
    fn small_pieces_are_copied_and_large_ones_are_not() {
        for size in [1, COPIED, COPIED + 1] {
            let mut outlet = Outlet::default();
            outlet.put(Bytes::from(vec![b'x'; size]), b"\r\n");
            assert_eq!((outlet.left(), outlet.piece.is_empty()), (size + 2, size <= COPIED));
        }
    }
}
