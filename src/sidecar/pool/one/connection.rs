//! One HTTP/1 connection: one exchange at a time, and the proof that it is ready for the next.

use crate::sidecar::alarm::Alarm;
use crate::sidecar::outgoing::Outbound;
use crate::sidecar::pool::broken::{Broken, Malformed};
use crate::sidecar::pool::line::{Line, Peeked};
use crate::sidecar::pool::one::answer::Answer;
use crate::sidecar::pool::one::body::{Left, Next};
use crate::sidecar::pool::one::head::Head;
use crate::sidecar::pool::one::inlet::Inlet;
use crate::sidecar::pool::one::outlet::Outlet;
use crate::sidecar::pool::one::request::{self, Uploading};
use crate::sidecar::pool::one::switched::Switched;
use crate::sidecar::upload::Upload;
use bytes::Bytes;
use http::Method;
use http_body::{Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::task::coop::has_budget_remaining;
use tokio::task::yield_now;
use tokio::time::Instant;

/// How often it is looked whether an upstream has ended what TLS has to say after its handshake: two tickets, as a rule.
const MOST_LOOKS: usize = 64;

/// A connection in somebody's hand.
#[derive(Debug)]
pub(in crate::sidecar) struct Connection {
    line: Line,
    inlet: Inlet,
    outlet: Outlet,
    /// What is still to be written of a body.
    upload: Option<Box<Uploading>>,
    /// What writing has failed of. There may be an answer all the same.
    failed: Option<io::Error>,
    answer: Answer,
    /// A byte of the answer has come.
    begun: bool,
    /// It was good before: it has brought a response, or lain unused for a while. One that was, and now ends without a word, was merely stale.
    pub(in crate::sidecar) proven: bool,
    /// It carries no other request, whatever the answer says.
    once: bool,
    /// For the deadlines of its exchanges: they move on, and it need not be set again for each.
    alarm: Option<Alarm>,
}

/// A connection that is ready for the next request: the last one is fully written, its response is fully read, nothing came after it, and it is
/// open. Only [`Connection::settle`] makes one, and the pool takes nothing else.
#[derive(Debug)]
pub(in crate::sidecar) struct Settled(Box<Connection>);

/// What a request came to that brought no response head.
#[derive(Debug)]
pub(in crate::sidecar::pool) struct Missed {
    pub(in crate::sidecar::pool) error: Broken,
    /// The answer had begun: the request has been seen.
    pub(in crate::sidecar::pool) begun: bool,
    /// The body, if nothing of the request was written.
    pub(in crate::sidecar::pool) unsent: Option<Upload>,
}

/// An exchange under way, up to the head of the response.
#[derive(Debug)]
pub(in crate::sidecar::pool) struct Exchanging {
    connection: Option<Box<Connection>>,
    due: Option<Instant>,
    /// Without content: if nothing of it has gone out it can be put again.
    bare: bool,
}

impl Connection {
    /// Speaks HTTP/1 over `line`, which is open and has carried nothing.
    pub(in crate::sidecar::pool) fn open(line: Line) -> Settled {
        let (inlet, outlet, answer) = (Inlet::new(), Outlet::default(), Answer::none());
        let (begun, proven, once) = (false, false, false);
        Settled(Box::new(Self { line, inlet, outlet, upload: None, failed: None, answer, begun, proven, once, alarm: None }))
    }

    /// Sends the request that consists of `request` and `upload` until there is a response head, or until `due`: then it comes to `None`.
    pub(in crate::sidecar::pool) fn exchange(
        mut self: Box<Self>,
        request: &Outbound<'_>,
        upload: Upload,
        due: Option<Instant>,
    ) -> Exchanging {
        self.upload = request::begin(request, upload, &mut self.outlet);
        let bare = self.upload.is_none();
        self.answer.begin(request.parts.method == Method::HEAD);
        self.begun = false;
        Exchanging { connection: Some(self), due, bare }
    }

    /// From the next request on it carries no other.
    pub(in crate::sidecar::pool) const fn carry_once(&mut self) {
        self.once = true;
    }

    /// Writes what there is to write. That fails only where the request's body does: an upstream that no longer reads may have answered.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            let mut waits = false;
            while let Some(upload) = &mut self.upload
                && self.outlet.has_room()
                && !waits
            {
                match upload.poll_next(cx, &mut self.outlet) {
                    Poll::Ready(Ok(true)) => self.upload = None,
                    Poll::Ready(Ok(false)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Upload(error))),
                    Poll::Pending => waits = true,
                }
            }
            if let Err(error) = ready!(self.outlet.poll_write(&mut self.line, cx)) {
                self.outlet.give_up();
                (self.upload, self.failed) = (None, Some(error));
            }
            if self.upload.is_none() {
                return Poll::Ready(Ok(()));
            }
            if waits {
                return Poll::Pending;
            }
        }
    }

    /// Whether all of the request has gone out that will.
    pub(in crate::sidecar::pool) fn is_sent(&self) -> bool {
        self.upload.is_none() && self.outlet.is_empty()
    }

    /// Writes the request and reads up to the end of the response head.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Broken>> {
        if !self.is_sent()
            && let Poll::Ready(sent) = self.poll_send(cx)
        {
            sent?;
        }
        loop {
            if let Some(head) = self.answer.read_head(&mut self.inlet.come)? {
                return Poll::Ready(Ok(head));
            }
            // Only as long as the task has budget: an upstream that never pauses would hold the worker otherwise.
            match ready!(self.inlet.poll_fill(&mut self.line, cx)) {
                Ok(0) => return Poll::Ready(Err(self.failed.take().map_or(Broken::Closed, Broken::Io))),
                Ok(_) => self.begun = true,
                Err(error) => return Poll::Ready(Err(Broken::Io(error))),
            }
        }
    }

    /// The body of the response, if all of it is here and it is of one piece.
    pub(in crate::sidecar::pool) fn whole(&mut self) -> Option<Bytes> {
        let Left::Length(left) = self.answer.left else { return None };
        let left = usize::try_from(left).ok().filter(|&left| left <= self.inlet.come.len())?;
        self.answer.left = Left::NOTHING;
        Some(self.inlet.take(left))
    }

    /// The next piece of the body.
    pub(in crate::sidecar::pool) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            match self.answer.left.next(&mut self.inlet.come) {
                Ok(Next::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(Next::End) => return Poll::Ready(None),
                Ok(Next::More) => {}
                Err(what) => return Poll::Ready(Some(Err(what.into()))),
            }
            match ready!(self.inlet.poll_fill(&mut self.line, cx)) {
                Ok(0) => return Poll::Ready(self.answer.left.closed().err().map(Err)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// Whether the body has ended.
    pub(in crate::sidecar::pool) const fn is_over(&self) -> bool {
        self.answer.left.is_over()
    }

    /// How long the rest of the body is.
    pub(in crate::sidecar::pool) fn size_hint(&self) -> SizeHint {
        self.answer.left.size_hint()
    }

    /// The way back to the pool. Whatever is not settled is closed.
    pub(in crate::sidecar) fn settle(mut self: Box<Self>) -> Option<Settled> {
        let is_done =
            self.answer.persists && !self.once && self.is_over() && self.is_sent() && self.failed.is_none() && self.inlet.come.is_empty();
        // What follows in a record of TLS could not be seen on the socket.
        if !is_done || (self.line.is_tls() && !self.is_silent()) {
            return None;
        }
        self.inlet.rest();
        self.outlet.rest();
        Some(Settled(self))
    }

    /// Whether nothing comes over it but what TLS has to say. That may never end, so it takes of the task's budget; where that is spent nobody knows.
    fn is_silent(&mut self) -> bool {
        self.glance().is_pending() && has_budget_remaining()
    }

    /// Reads what there is now, and has nothing wake anybody.
    fn glance(&mut self) -> Poll<io::Result<usize>> {
        self.inlet.poll_fill(&mut self.line, &mut Context::from_waker(Waker::noop()))
    }

    /// The connection after a 101: whatever follows is no HTTP. None if the request for it has not gone out whole.
    pub(in crate::sidecar::pool) fn switched(self: Box<Self>) -> Option<Switched> {
        // A copy: the buffer of the head is not kept for as long as the tunnel lives.
        let early = if self.inlet.come.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(&self.inlet.come) };
        (self.is_sent() && self.failed.is_none()).then(|| Switched::new(self.line, early))
    }
}

impl Future for Exchanging {
    type Output = Option<Result<(Head, Box<Connection>), Missed>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (due, bare) = (self.due, self.bare);
        let Some(connection) = &mut self.connection else { return Poll::Pending };
        match connection.poll_answer(cx) {
            Poll::Ready(answer) => {
                let Some(mut connection) = self.connection.take() else { return Poll::Pending };
                Poll::Ready(Some(match answer {
                    Ok(head) => {
                        connection.proven = true;
                        Ok((head, connection))
                    }
                    Err(error) => {
                        let begun = connection.begun;
                        let unsent = bare && !begun && !connection.outlet.has_begun();
                        Err(Missed { error, begun, unsent: unsent.then(Upload::none) })
                    }
                }))
            }
            Poll::Pending => match due {
                Some(due) if connection.alarm.get_or_insert_with(Alarm::new).passed(cx, due) => Poll::Ready(None),
                _ => Poll::Pending,
            },
        }
    }
}

impl Settled {
    /// The connection for its first request, right after it was opened.
    ///
    /// # Errors
    /// The upstream has closed it already; or it has said something before it was asked, which is no answer.
    pub(in crate::sidecar::pool) async fn first(mut self) -> Result<Box<Connection>, Broken> {
        for _ in 0..MOST_LOOKS {
            let connection = &mut *self.0;
            match connection.line.peek()? {
                Peeked::Closed => return Err(Broken::Closed),
                Peeked::Bytes if !connection.line.is_tls() => return Err(Malformed::Unasked.into()),
                Peeked::Quiet if !connection.line.is_tls() => return Ok(self.0),
                Peeked::Bytes | Peeked::Quiet => {}
            }
            // What TLS has read with its handshake cannot be seen on the socket.
            match connection.glance() {
                Poll::Ready(Ok(0)) => return Err(Broken::Closed),
                Poll::Ready(Ok(_)) => return Err(Malformed::Unasked.into()),
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending if has_budget_remaining() && connection.line.is_quiet() => return Ok(self.0),
                Poll::Pending => yield_now().await, // more of TLS has come, or nobody knows
            }
        }
        Err(Malformed::Unasked.into())
    }

    /// That of the settings under which it was opened.
    pub(in crate::sidecar) const fn epoch(&self) -> u64 {
        self.0.line.epoch
    }

    /// The connection for the next request, if nothing has come over it meanwhile: neither an end nor bytes that nobody asked for.
    pub(in crate::sidecar) fn take(mut self) -> Option<Box<Connection>> {
        // One that has brought nothing may have got something with its handshake.
        if self.0.line.is_quiet() && (self.0.proven || !self.0.line.is_tls()) {
            return Some(self.0);
        }
        // TLS has words of its own, as the tickets that follow a handshake: when it has read them there must be nothing left.
        let only_tls = self.0.line.is_tls() && self.0.is_silent() && self.0.line.is_quiet();
        only_tls.then_some(self.0)
    }
}
