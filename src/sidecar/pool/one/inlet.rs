//! What has come over a line and has not been taken yet.

use crate::sidecar::pool::line::Line;
use bytes::{Bytes, BytesMut};
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
}

impl Inlet {
    pub(super) fn new() -> Self {
        Self { come: BytesMut::new(), next: FIRST, spacious: false }
    }

    /// Reads what there is: how many bytes; none at the end.
    pub(super) fn poll_fill(&mut self, line: &mut Line, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.come.capacity() - self.come.len() < LEAST {
            self.come.reserve(self.next);
        }
        let room = self.come.capacity() - self.come.len();
        let count = ready!(pin!(line.read_buf(&mut self.come)).poll(cx))?;
        self.learn(room, count);
        Poll::Ready(Ok(count))
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
        if self.next > FIRST {
            self.come = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST, Inlet, MOST};

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
