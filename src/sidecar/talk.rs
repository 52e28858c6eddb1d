//! HTTP/1.1 with one client, without hyper while that can be, and under hyper.

use crate::error::BoxError;
use crate::sidecar::attend::{Answer, Attend, Serve};
use crate::sidecar::desk::{Desk, Hatch};
use crate::sidecar::direct::Direct;
use crate::sidecar::open::Ticket;
use crate::sidecar::stream::Stream;
use crate::sidecar::wire::{Stirred, Wire};
use crate::sidecar::word::Word;
use http::Response;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

/// The connection must close now.
pub(super) struct Cut;

/// What happens next on a connection.
enum Turn<T> {
    Done(T),
    Told(Word),
}

/// How hyper has left a connection.
enum Left<S> {
    /// It was idle, and is not needed.
    Idle(Box<Wire<Stream>>, Desk<S>),
    /// Another protocol begins.
    Switched(Box<Wire<Stream>>),
    Ended,
}

/// A connection under hyper.
type UnderHyper<S, B> = http1::Connection<TokioIo<Box<Wire<Stream>>>, Hatch<S, B>>;

/// Speaks HTTP/1.1 to the end of a connection, or to where another protocol begins: then the wire comes back. While nothing is asked that hyper must see, there is none.
pub(super) async fn talk<S: Serve<B> + Attend, B: Answer>(
    mut wire: Box<Wire<Stream>>,
    mut desk: Desk<S>,
    ticket: &mut Ticket,
) -> Result<Option<Box<Wire<Stream>>>, Cut> {
    let mut known = Word::Nothing;
    loop {
        if !alone(&mut wire, &mut desk, ticket, &mut known).await? {
            return Ok(None);
        }
        match under_hyper(wire, desk, ticket, &mut known).await? {
            Left::Idle(parted, left) => (wire, desk) = (parted, left),
            Left::Switched(wire) => return Ok(Some(wire)),
            Left::Ended => return Ok(None),
        }
    }
}

/// Without hyper (see [`Wire::poll_stir`]) until it is needed, also to say the farewell; `false`: the connection has ended.
async fn alone<S: Serve<B> + Attend, B: Answer>(
    wire: &mut Wire<Stream>,
    desk: &mut Desk<S>,
    ticket: &mut Ticket,
    known: &mut Word,
) -> Result<bool, Cut> {
    loop {
        wire.be_alone();
        let stirred = poll_fn(|cx| match wire.poll_stir(cx) {
            Poll::Ready(stirred) => Poll::Ready(Turn::Done(stirred)),
            Poll::Pending => ticket.poll_told(cx, *known).map(Turn::Told),
        });
        match stirred.await {
            Turn::Done(Ok(Stirred::Get(get))) => {
                if let Err(error) = written(desk.ask(get).as_mut(), wire, ticket, known).await? {
                    note(error);
                    return Ok(false);
                }
            }
            Turn::Done(Ok(Stirred::Request)) => return Ok(true),
            Turn::Done(Ok(Stirred::Ended)) => return Ok(false),
            Turn::Done(Err(error)) => {
                note(error);
                return Ok(false);
            }
            Turn::Told(Word::Close) => return Err(Cut),
            Turn::Told(word) => {
                *known = word;
                return Ok(true);
            }
        }
    }
}

/// Until the answer to a request that does without hyper is written.
async fn written<F, B: Answer>(
    mut direct: Pin<&mut Direct<F, B>>,
    wire: &mut Wire<Stream>,
    ticket: &mut Ticket,
    known: &mut Word,
) -> Result<io::Result<()>, Cut>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    loop {
        let turn = poll_fn(|cx| match direct.as_mut().poll(cx, wire, *known == Word::Finish) {
            Poll::Ready(written) => Poll::Ready(Turn::Done(written)),
            Poll::Pending => ticket.poll_told(cx, *known).map(Turn::Told),
        });
        match turn.await {
            Turn::Done(written) => return Ok(written),
            Turn::Told(Word::Close) => return Err(Cut),
            Turn::Told(word) => *known = word,
        }
    }
}

/// Under a new hyper until that is idle and not needed, or at its end.
async fn under_hyper<S: Serve<B> + Attend, B: Answer>(
    mut wire: Box<Wire<Stream>>,
    desk: Desk<S>,
    ticket: &mut Ticket,
    known: &mut Word,
) -> Result<Left<S>, Cut> {
    wire.renew();
    let mut builder = http1::Builder::new();
    builder.auto_date_header(false).max_buf_size(wire.room());
    let mut connection = Box::new(builder.serve_connection(TokioIo::new(wire), Hatch::of(desk)));
    if *known == Word::Finish {
        Pin::new(&mut *connection).graceful_shutdown();
    }
    loop {
        // `None`: it is idle, and may go.
        let turn = poll_fn(|cx| match Pin::new(&mut *connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Turn::Done(Some(ended))),
            Poll::Pending => match ticket.poll_told(cx, *known) {
                Poll::Ready(word) => Poll::Ready(Turn::Told(word)),
                Poll::Pending if ticket.exchange.is_dozing() && *known == Word::Nothing => Poll::Ready(Turn::Done(None)),
                Poll::Pending => Poll::Pending,
            },
        });
        match turn.await {
            Turn::Done(None) => return Ok(part(connection)),
            Turn::Done(Some(Ok(()))) if ticket.exchange.has_switched() => {
                return Ok(Left::Switched(connection.into_parts().io.into_inner()));
            }
            Turn::Done(Some(ended)) => {
                ended.unwrap_or_else(note);
                return Ok(Left::Ended);
            }
            Turn::Told(Word::Close) => return Err(Cut),
            Turn::Told(word) => {
                *known = word;
                Pin::new(&mut *connection).graceful_shutdown();
            }
        }
    }
}

/// The wire and the service of a hyper that is idle, and nothing else of it. By a function, for its end is where the box is freed and the buffer that hyper gives back.
///
/// Nothing that the wire let through is left in an idle hyper; if it were, it could not be given to the next, and the connection ends.
#[expect(clippy::boxed_local, reason = "here the box ends")]
fn part<S: Serve<B> + Attend, B: Answer>(connection: Box<UnderHyper<S, B>>) -> Left<S> {
    let parts = connection.into_parts();
    let wire = parts.io.into_inner();
    if parts.read_buf.is_empty() && wire.is_free() { Left::Idle(wire, parts.service.into_desk()) } else { Left::Ended }
}

fn note(error: impl Into<BoxError>) {
    tracing::debug!(error = %error.into(), "connection ended");
}
