//! Requests that the service has without hyper: a GET whose fields say nothing of its connection but `close` or `keep-alive` needs no more than its answer written.
//!
//! One at a time, as the [wire](super::wire) has it. A piece of the body is only asked for when the last one was taken, so that no more than one waits for a client that reads slowly.

#[cfg(test)]
mod tests;

use crate::error::BoxError;
use crate::sidecar::answering::Answering;
use crate::sidecar::attend::Answer;
use crate::sidecar::forward::EitherBody;
use crate::sidecar::framing::{Delimited, WrongLength, write_head};
use crate::sidecar::reply::Reply;
use crate::sidecar::splice::{ONE_PIECE, Piece};
use crate::sidecar::stream::Socket;
use crate::sidecar::wire::Wire;
use bytes::Bytes;
use http::Response;
use http::header::CONNECTION;
use http::response::Parts;
use http_body::Body;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite as _;

pin_project! {
    /// One request and its answer.
    pub(super) struct Direct<F, B> {
        #[pin]
        stage: Stage<F, B>,
        // The connection ends with it.
        is_last: bool,
    }
}

pin_project! {
    #[project = StageProjected]
    enum Stage<F, B> {
        // The service has it.
        Asking { #[pin] answering: Answering<F, B> },
        // The head is written, and some of the body.
        Sending { #[pin] body: Reply<EitherBody<B>>, delimited: Delimited },
        // All is written, if not taken yet.
        Sent,
    }
}

impl<F, B> Direct<F, B>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Answer,
{
    /// `is_last`: the client has said that it is its last request.
    pub(super) const fn new(answering: Answering<F, B>, is_last: bool) -> Self {
        Self { stage: Stage::Asking { answering }, is_last }
    }

    /// Until the answer is written. `is_closing`: the connection is to end.
    ///
    /// # Errors
    /// The client has gone, or the answer broke off: in either case the connection is over.
    pub(super) fn poll<T: Socket>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        wire: &mut Wire<T>,
        is_closing: bool,
    ) -> Poll<io::Result<()>> {
        for _ in 0..TURN {
            let mut this = self.as_mut().project();
            match this.stage.as_mut().project() {
                StageProjected::Asking { answering } => {
                    let Poll::Ready(Ok(response)) = answering.poll(cx) else { return wire.poll_gone(cx).map(Err) };
                    *this.is_last |= is_closing || response.headers().contains_key(CONNECTION);
                    let (head, body) = response.into_parts();
                    let next = match wire.take_thin() {
                        Some(thin) => wire.send_thin(cx, &thin, &head.headers, *this.is_last).map(|()| Stage::Sent)?,
                        None => {
                            let delimited = Delimited::of(head.status, &head.headers, body.size_hint().exact());
                            Stage::Sending { body, delimited }
                        }
                    };
                    this.stage.set(next);
                    if let StageProjected::Sending { body, delimited } = this.stage.as_mut().project()
                        && ready!(send(cx, wire, Some((&head, *this.is_last)), body, delimited))?
                    {
                        this.stage.set(Stage::Sent);
                    }
                }
                StageProjected::Sending { body, delimited } => {
                    ready!(wire.send_unsent(cx))?;
                    if ready!(send(cx, wire, None, body, delimited))? {
                        this.stage.set(Stage::Sent);
                    }
                }
                StageProjected::Sent => {
                    ready!(Pin::new(&mut *wire).poll_flush(cx))?; // then the next request may come
                    if *this.is_last || is_closing {
                        wire.end();
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
        cx.waker().wake_by_ref(); // others have their turn
        Poll::Pending
    }
}

/// After so many pieces it is the turn of others, who may have to read the same body.
const TURN: usize = 16;
/// So many frames make a piece at most.
const FRAMES: usize = 256;

/// What comes behind the pieces of a body that were put together.
struct Filled {
    /// One that is better written from where it lies.
    large: Bytes,
    tail: &'static [u8],
    then: Then,
}

enum Then {
    /// There may be more.
    More,
    /// There will be more.
    Waiting,
    /// There is no more.
    Over,
    /// There should be more.
    Broken(BoxError),
}

/// Sends as much of the answer as there is, and its head if that is still to be written, with whether it is the last. Ready when there may be more; `true`: it was all.
fn send<T: Socket, B: Body<Data = Bytes, Error = BoxError>>(
    cx: &mut Context<'_>,
    wire: &mut Wire<T>,
    head: Option<(&Parts, bool)>,
    body: Pin<&mut B>,
    delimited: &mut Delimited,
) -> Poll<io::Result<bool>> {
    let mut piece = Piece::take();
    if let Some((head, is_last)) = head {
        write_head(&mut piece, head, *delimited, is_last);
    }
    let Filled { large, tail, then } = fill(cx, &mut piece, body, delimited);
    wire.send(cx, (&piece, &large, tail), &large)?;
    drop(piece);
    match then {
        Then::More => Poll::Ready(Ok(false)),
        Then::Over => Poll::Ready(Ok(true)),
        Then::Broken(error) => Poll::Ready(Err(io::Error::other(error))),
        Then::Waiting => {
            ready!(wire.poll_passed_on(cx))?;
            wire.poll_gone(cx).map(Err)
        }
    }
}

/// Puts pieces of the body together behind `out` while they are there and small.
fn fill<B: Body<Data = Bytes, Error = BoxError>>(
    cx: &mut Context<'_>,
    out: &mut Vec<u8>,
    mut body: Pin<&mut B>,
    delimited: &mut Delimited,
) -> Filled {
    let put_together = |then| Filled { large: Bytes::new(), tail: b"", then };
    let broken = |WrongLength| put_together(Then::Broken("a body of another length than its head has told".into()));
    for _ in 0..FRAMES {
        if delimited.is_over() {
            return put_together(Then::Over);
        }
        let data = match body.as_mut().poll_frame(cx) {
            Poll::Pending => return put_together(Then::Waiting),
            Poll::Ready(None) => return delimited.end(out).map_or_else(broken, |()| put_together(Then::Over)),
            Poll::Ready(Some(Err(error))) => return put_together(Then::Broken(error)),
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(), // trailers go: who wants them has said TE
        };
        if data.is_empty() {
            continue; // as a chunk it would be the last
        }
        let tail = match delimited.piece(out, data.len(), body.is_end_stream()) {
            Ok(tail) => tail,
            Err(wrong) => return broken(wrong),
        };
        if out.len() + data.len() + tail.len() > ONE_PIECE {
            return Filled { large: data, tail, then: Then::More };
        }
        out.extend_from_slice(&data);
        out.extend_from_slice(tail);
    }
    put_together(Then::More)
}
