//! How a connection ends when the client may still be sending: the last words, a FIN, and a while of reading what nobody wants.

use crate::sidecar::alarm::Alarm;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How long the whole farewell may take.
const LINGER: Duration = Duration::from_secs(5);

/// The end of a connection, under way. A close with unread input is a reset, which may reach the client before it has read our last words.
#[derive(Debug)]
pub(super) struct Farewell {
    words: Vec<u8>,
    said: usize,
    stage: Stage,
    due: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Saying,
    Closing,
    Lingering,
    Over,
}

impl Farewell {
    /// With last words.
    pub(super) const fn with(words: Vec<u8>) -> Self {
        Self { words, said: 0, stage: Stage::Saying, due: None }
    }

    /// Without a word, and at once.
    pub(super) const fn silent() -> Self {
        Self { words: Vec::new(), said: 0, stage: Stage::Over, due: None }
    }

    /// Ready when it is over; an error of the socket ends it as well.
    pub(super) fn poll<T: AsyncRead + AsyncWrite + Unpin>(&mut self, io: &mut T, alarm: &mut Alarm, cx: &mut Context<'_>) -> Poll<()> {
        if self.stage == Stage::Over {
            return Poll::Ready(());
        }
        let due = *self.due.get_or_insert_with(|| Instant::now() + LINGER);
        let over = match self.step(io, cx) {
            Poll::Ready(()) => true,
            Poll::Pending => alarm.passed(cx, due),
        };
        if over {
            self.stage = Stage::Over;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn step<T: AsyncRead + AsyncWrite + Unpin>(&mut self, io: &mut T, cx: &mut Context<'_>) -> Poll<()> {
        while self.stage == Stage::Saying && self.said < self.words.len() {
            match ready!(Pin::new(&mut *io).poll_write(cx, &self.words[self.said..])) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(written) => self.said += written,
            }
        }
        if self.stage != Stage::Lingering {
            self.stage = Stage::Closing;
            if ready!(Pin::new(&mut *io).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            self.stage = Stage::Lingering;
        }
        let mut dropped = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut dropped);
            let read = ready!(Pin::new(&mut *io).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}
