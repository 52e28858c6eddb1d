//! What has come over a line and has not been taken yet.

use crate::sidecar::pool::line::Line;
use bytes::{BufMut as _, Bytes, BytesMut};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncReadExt as _;

/// Room for the first read, and the least that a connection keeps between requests.
const FIRST: usize = 8 << 10;
/// The most that is read ahead of whoever takes it.
const MOST: usize = 64 << 10;
/// With less room than this another buffer is begun.
const LEAST: usize = 2 << 10;

/// A buffer that grows with what comes in one read. What is taken from it is a slice of it.
#[derive(Debug)]
pub(super) struct Inlet {
    pub(super) come: BytesMut,
    /// Room for the next read.
    next: usize,
    /// The last read needed far less.
    spacious: bool,
    /// How large the buffer is.
    held: usize,
}

impl Inlet {
    pub(super) fn new() -> Self {
        Self { come: BytesMut::new(), next: FIRST, spacious: false, held: 0 }
    }

    /// Reads what there is: how many bytes; none at the end.
    pub(super) fn poll_fill(&mut self, line: &mut Line, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.make_room();
        let room = (self.come.capacity() - self.come.len()).min(MOST);
        let count = ready!(pin!(line.read_buf(&mut (&mut self.come).limit(room))).poll(cx))?;
        self.learn(room, count);
        Poll::Ready(Ok(count))
    }

    /// The same buffer goes on where nobody holds a part of it any more.
    fn make_room(&mut self) {
        if self.come.capacity() - self.come.len() >= LEAST {
            return;
        }
        if !self.come.is_empty() {
            self.come.reserve(self.next);
            self.held = self.come.capacity();
        } else if !self.come.try_reclaim(self.next) {
            (self.come, self.held) = (BytesMut::with_capacity(self.next), self.next);
        }
    }

    /// Who fills a buffer gets a larger one the next time, who leaves most of it empty twice gets a smaller one.
    fn learn(&mut self, room: usize, count: usize) {
        if count >= room {
            (self.next, self.spacious) = ((self.next * 4).min(MOST), false);
        } else if count < self.next / 4 && self.next > FIRST {
            if std::mem::replace(&mut self.spacious, true) {
                (self.next, self.spacious) = ((self.next / 4).max(FIRST), false);
            }
        } else {
            self.spacious = false;
        }
    }

    /// Takes the first `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Bytes {
        self.come.split_to(count).freeze()
    }

    /// Nothing is under way: a large buffer need not be kept for that.
    pub(super) fn rest(&mut self) {
        if self.held > FIRST {
            (self.come, self.held) = (BytesMut::new(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST, Inlet, MOST};

    #[test]
    fn a_buffer_that_has_grown_is_not_kept_and_no_other_is_larger_than_a_read() {
        let mut inlet = Inlet::new();
        inlet.make_room();
        inlet.come.extend_from_slice(&[b'x'; FIRST]);
        let piece = inlet.take(FIRST);
        for next in [32 << 10, MOST, MOST] {
            inlet.next = next;
            inlet.make_room();
            assert_eq!((inlet.come.capacity(), inlet.held), (next, next), "not what has been read already as well");
            inlet.come.extend_from_slice(&vec![b'x'; next]);
            drop(inlet.take(next));
        }
        inlet.rest();
        assert_eq!((inlet.come.capacity(), inlet.held), (0, 0));
        drop(piece);
        // A head that drips.
        let mut inlet = Inlet::new();
        for _ in 0..60 {
            inlet.make_room();
            inlet.come.extend_from_slice(&[b'x'; 1 << 10]);
        }
        drop(inlet.take(60 << 10));
        assert_eq!(inlet.next, FIRST);
        inlet.rest();
        assert_eq!(inlet.come.capacity(), 0);
    }

    #[test]
    fn the_buffer_follows_what_comes_between_its_bounds() {
        let mut inlet = Inlet::new();
        let sizes: Vec<usize> = [FIRST, 32 << 10, 64 << 10, 100, 64 << 10, 100, 100, 100, 100, 100]
            .into_iter()
            .map(|count| {
                inlet.learn(inlet.next, count);
                inlet.next >> 10
            })
            .collect();
        assert_eq!(sizes, [32, 64, 64, 64, 64, 64, 16, 16, 8, 8]);
        assert_eq!((FIRST >> 10, MOST >> 10), (8, 64));
    }
}
