//! Bodies of answers: text that is there, or events as they come (server-sent events, as WHATWG HTML section 9.2 has them).

use crate::telemetry::log::{Fed, Subscription};
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often a stream says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    /// All of it; empty once it is taken.
    Text(Bytes),
    Events(Box<Events>),
}

/// Events for one subscriber.
#[derive(Debug)]
pub(super) struct Events {
    from: Subscription,
    alive: Interval,
}

impl Events {
    /// Inside a runtime only. The first comment comes at once, so that whoever listens knows that he does.
    pub(super) fn new(from: Subscription) -> Self {
        let mut alive = interval(HEARTBEAT);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { from, alive }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.alive.poll_tick(cx).is_ready() {
            return Poll::Ready(Some(Bytes::from_static(b":\n\n")));
        }
        Poll::Ready(ready!(self.from.poll_next(cx)).map(|fed| match fed {
            Fed::Events(lines) => message("events", &lines),
            Fed::Lost(count) => message("lost", format!("{{\"lost\":{count}}}\n").as_bytes()),
        }))
    }
}

/// One message: each line of JSON on a `data` line of its own. Nothing in a line can end it: JSON escapes CR and LF.
pub(super) fn message(event: &str, lines: &[u8]) -> Bytes {
    let mut text = BytesMut::with_capacity(lines.len() + lines.len() / 16 + 32);
    text.put_slice(b"event: ");
    text.put_slice(event.as_bytes());
    text.put_u8(b'\n');
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        text.put_slice(b"data: ");
        text.put_slice(line);
        text.put_u8(b'\n');
    }
    text.put_u8(b'\n');
    text.freeze()
}

impl From<Bytes> for Content {
    fn from(text: Bytes) -> Self {
        Self::Text(text)
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Self::Text(text) => Some(std::mem::take(text)).filter(|text| !text.is_empty()),
            Self::Events(events) => ready!(events.poll(cx)),
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Events(_) => SizeHint::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::message;

    #[test]
    fn each_event_has_a_line_of_its_own_and_a_message_ends_once() {
        assert_eq!(message("events", b"{\"a\":1}\n{\"b\":2}\n"), "event: events\ndata: {\"a\":1}\ndata: {\"b\":2}\n\n");
        assert_eq!(message("lost", b"{\"lost\":7}\n"), "event: lost\ndata: {\"lost\":7}\n\n");
    }
}
