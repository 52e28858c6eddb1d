//! One HTTP/1 connection: one exchange at a time, and the proof that it is ready for the next.
//!
//! hyper's connection is no task of its own where that can be avoided: whoever waits for the answer drives it, so that a request wakes one task and
//! not two, twice. An upload cannot wait for somebody to read the answer, and a switch of protocols outlives it: these have a task.

use crate::sidecar::alarm::Alarm;
use crate::sidecar::pool::line::{Heard, Line, Socket};
use crate::sidecar::upload::Upload;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::task::coop::{has_budget_remaining, unconstrained};
use tokio::time::Instant;

/// What hyper may read ahead of an upstream, and keep of an upload that the upstream does not take; also the largest response head.
const BUFFER: usize = 64 << 10;

/// A connection in somebody's hand.
#[derive(Debug)]
pub(in crate::sidecar) struct Connection {
    send: SendRequest<Upload>,
    /// None when it has ended.
    drive: Option<http1::Connection<TokioIo<Line>, Upload>>,
    socket: Socket,
    /// It was good before: it has brought a response, or lain unused for a while. One that was, and now ends without a word, was merely stale.
    pub(in crate::sidecar) proven: bool,
    tls: bool,
    heard: Heard,
    /// For the deadlines of its exchanges: they move on, and it need not be set again for each.
    alarm: Option<Alarm>,
    /// It was driven last by somebody whom it does not wake.
    quiet: bool,
}

/// A connection that is ready for the next request: the last one is fully written, its response is fully read, nothing came after it, and it is
/// open. Only [`Connection::settle`] makes one, and the pool takes nothing else.
#[derive(Debug)]
pub(in crate::sidecar) struct Settled(Box<Connection>);

/// What a request came to that brought no response head: the error, and the request if nothing of it was written.
pub(super) type Unanswered = TrySendError<Request<Upload>>;

impl Connection {
    /// Speaks HTTP/1 over `line`.
    pub(super) async fn new(line: Line) -> hyper::Result<Box<Self>> {
        let (socket, tls, heard) = (line.socket().clone(), line.is_tls(), line.heard().clone());
        let (send, drive) = http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(line)).await?; // sends nothing, and is ready at once
        let mut connection = Box::new(Self { send, drive: Some(drive), socket, proven: false, tls, heard, alarm: None, quiet: false });
        let _ = connection.rest(); // from the first poll on hyper says when it wants a request
        Ok(connection)
    }

    /// Drives it; whether it has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.quiet = false;
        let Some(drive) = &mut self.drive else { return Poll::Ready(()) };
        let Poll::Ready(ended) = Pin::new(drive).poll(cx) else { return Poll::Pending };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection to the upstream ended");
        }
        self.drive = None; // whoever still waits for it hears of it now
        Poll::Ready(())
    }

    /// Drives it as far as it goes now within the task's budget, and lets it wake nobody. An upstream that never pauses, as with interim responses, would
    /// hold the worker otherwise: hyper reads on until the socket has nothing more.
    fn glance(&mut self) -> Poll<()> {
        let glanced = self.poll(&mut Context::from_waker(Waker::noop()));
        self.quiet = has_budget_remaining(); // else it may have been the budget that had nothing more
        glanced
    }

    /// The same where the first byte that comes is one too many, after which nothing more is read: so it needs no budget. TLS has words of its own, which
    /// may never end.
    fn rest(&mut self) -> Poll<()> {
        if self.tls {
            return self.glance();
        }
        Pin::new(&mut unconstrained(poll_fn(|_| self.glance()))).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Learns whether anything comes over it from now on.
    pub(super) fn listen(&self) -> Heard {
        self.heard.forget();
        self.heard.clone()
    }

    /// Whether hyper wants the next request: the exchange is over, both ways.
    pub(super) fn is_done(&self) -> bool {
        self.send.is_ready()
    }

    /// The way back to the pool. Whatever is not settled is closed.
    pub(in crate::sidecar) fn settle(mut self: Box<Self>) -> Option<Settled> {
        // hyper wants the next request only after it has looked for more from the upstream and has found nothing. If it wants one now, it has done so when
        // it was driven last; if that was quietly, nothing is left to be done.
        if !(self.quiet && self.is_done()) && self.rest().is_ready() {
            return None;
        }
        (self.quiet && self.is_done()).then_some(Settled(self))
    }

    /// Sends `request` and drives the connection until there is a response head, or until `due`: then it comes to `None`. The body of the response may
    /// still need [`poll`](Self::poll).
    pub(super) fn exchange(
        mut self: Box<Self>,
        request: Request<Upload>,
        due: Option<Instant>,
    ) -> Exchanging<impl Future<Output = Result<Response<Incoming>, Unanswered>>> {
        let answer = unconstrained(self.send.try_send_request(request));
        Exchanging { answer, connection: Some(self), due, sent: false }
    }

    /// Sends `request` and drives the connection in a task of its own, until the exchange is over both ways; `keep` gets what is left of it.
    pub(super) fn exchange_aside(
        mut self: Box<Self>,
        request: Request<Upload>,
        keep: impl FnOnce(Settled) + Send + 'static,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> + Send {
        let answer = self.send.try_send_request(request);
        tokio::spawn(async move {
            let driving = poll_fn(|cx| if self.poll(cx).is_ready() || self.is_done() { Poll::Ready(()) } else { Poll::Pending });
            driving.await;
            self.proven = true;
            if let Some(settled) = self.settle() {
                keep(settled);
            }
        });
        answer
    }

    /// Sends a `request` that asks for another protocol. The connection carries no other.
    pub(super) fn switch(
        mut self: Box<Self>,
        request: Request<Upload>,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> + Send {
        let answer = self.send.try_send_request(request);
        // Without a way to send more, hyper closes it after any answer but a 101.
        let Self { drive, .. } = *self;
        if let Some(drive) = drive {
            tokio::spawn(drive.with_upgrades());
        }
        answer
    }
}

pin_project! {
    /// An exchange under way, up to the head of the response.
    pub(super) struct Exchanging<F> {
        #[pin]
        answer: F,
        connection: Option<Box<Connection>>,
        due: Option<Instant>,
        sent: bool,
    }
}

impl<F: Future<Output = Result<Response<Incoming>, Unanswered>>> Future for Exchanging<F> {
    type Output = Option<Result<(Response<Incoming>, Box<Connection>), Unanswered>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(connection) = this.connection else { return Poll::Pending };
        // Only driving the connection brings the answer, so it need not wake anybody; its share of the task's budget it has had as well.
        let mut unheard = Context::from_waker(Waker::noop());
        // Whoever is woken after the request went out expects the whole answer, after which the connection shall wake nobody. Where the budget is spent,
        // driving it again wakes the task.
        let mut answer = Poll::Pending;
        if std::mem::replace(this.sent, true) {
            let _ = connection.glance();
            answer = this.answer.as_mut().poll(&mut unheard);
        }
        if answer.is_pending() {
            let _ = connection.poll(cx);
            answer = this.answer.poll(&mut unheard);
        }
        match answer {
            Poll::Ready(answer) => {
                let Some(mut connection) = this.connection.take() else { return Poll::Pending };
                connection.proven |= answer.is_ok();
                Poll::Ready(Some(match answer {
                    Ok(response) => Ok((response, connection)),
                    Err(unsent) => Err(unsent),
                }))
            }
            Poll::Pending => match *this.due {
                Some(due) if connection.alarm.get_or_insert_with(Alarm::new).passed(cx, due) => Poll::Ready(None),
                _ => Poll::Pending,
            },
        }
    }
}

impl Settled {
    /// The connection for the next request, if nothing has come over it meanwhile: neither an end nor bytes that nobody asked for.
    pub(in crate::sidecar) fn take(mut self) -> Option<Box<Connection>> {
        if self.0.socket.is_quiet() {
            return Some(self.0);
        }
        // TLS has words of its own, as the tickets that follow a handshake: when it has read them there must be nothing left.
        let only_tls = self.0.tls && self.0.rest().is_pending() && self.0.is_done() && self.0.socket.is_quiet();
        only_tls.then_some(self.0)
    }
}
