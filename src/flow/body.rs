//! The response body of the cache: stored bytes, a body that grows while it is read, or the inner service's own, untouched.

use crate::error::BodyError;
use crate::flow::spool::{Piece, Reader};
use crate::flow::tally::Tally;
use crate::flow::thin::{MayBeThin, Thin};
use crate::telemetry::log::Ending;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::collections::VecDeque;
use std::fmt;
use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

pin_project! {
    /// The body of a response that went through a cache around a service whose body is `B`. No box: a hit is bytes that are there already.
    pub struct CacheBody<B> {
        #[pin]
        kind: Kind<B>,
        // The answer, if neither its fields nor its content are in the response.
        thin: Option<Thin>,
        told: Option<Box<Told>>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B> {
        // Stored bytes; several pieces for several ranges.
        Bytes { pieces: Pieces },
        // A fill under way.
        Follow { reader: Reader },
        // The inner service's own body.
        Pass { #[pin] inner: B },
    }
}

/// Bytes that are there already. Most bodies are one piece: what few have is in a box, for a response is moved a dozen times before it is written.
struct Pieces {
    next: Option<Bytes>,
    more: Option<Box<More>>,
}

/// What comes behind the first piece of a few bodies.
#[derive(Default)]
struct More {
    rest: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Pieces {
    fn left(&self) -> u64 {
        let rest = self.more.iter().flat_map(|more| &more.rest);
        self.next.iter().chain(rest).map(|piece| piece.len() as u64).sum()
    }

    fn take_next(&mut self) -> Option<Frame<Bytes>> {
        if let Some(next) = self.next.take() {
            return Some(Frame::data(next));
        }
        let more = self.more.as_mut()?;
        more.rest.pop_front().map(Frame::data).or_else(|| more.trailers.take().map(Frame::trailers))
    }

    fn are_taken(&self) -> bool {
        self.next.is_none() && self.more.as_ref().is_none_or(|more| more.rest.is_empty() && more.trailers.is_none())
    }

    fn have_trailers(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.trailers.is_some())
    }
}

impl<B> CacheBody<B> {
    const fn of(kind: Kind<B>) -> Self {
        Self { kind, thin: None, told: None }
    }

    /// The empty body of a response that leaves everything to `thin`.
    pub(crate) const fn thin(thin: Thin) -> Self {
        Self { kind: Kind::Bytes { pieces: Pieces { next: None, more: None } }, thin: Some(thin), told: None }
    }

    pub(crate) const fn empty() -> Self {
        Self::of(Kind::Bytes { pieces: Pieces { next: None, more: None } })
    }

    pub(crate) fn stored(bytes: Bytes, trailers: Option<HeaderMap>) -> Self {
        let next = (!bytes.is_empty()).then_some(bytes);
        let more = trailers.map(|trailers| Box::new(More { trailers: Some(trailers), ..More::default() }));
        Self::of(Kind::Bytes { pieces: Pieces { next, more } })
    }

    pub(crate) fn pieces(rest: VecDeque<Bytes>) -> Self {
        Self::of(Kind::Bytes { pieces: Pieces { next: None, more: Some(Box::new(More { rest, trailers: None })) } })
    }

    pub(crate) fn follow(reader: Reader) -> Self {
        Self::of(Kind::Follow { reader })
    }

    pub(crate) fn pass(inner: B) -> Self {
        Self::of(Kind::Pass { inner })
    }

    /// Bytes of a body that is there already.
    pub(crate) fn stored_length(&self) -> u64 {
        match (&self.thin, &self.kind) {
            (Some(thin), _) => thin.stored().body.len() as u64,
            (None, Kind::Bytes { pieces }) => pieces.left(),
            (None, _) => 0,
        }
    }
}

/// Watches a body that comes over time, and ends its request with it.
#[derive(Debug)]
struct Told {
    tally: Arc<Tally>,
    status: StatusCode,
    bytes: u64,
    /// The length that was announced.
    length: Option<u64>,
    ending: Ending,
}

impl Told {
    /// `ended`: nothing comes behind what was polled.
    fn saw<E>(&mut self, polled: &Poll<Option<Result<Frame<Bytes>, E>>>, ended: bool) {
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if ended || self.length == Some(self.bytes) {
                    self.ending = Ending::Whole;
                }
            }
            Poll::Ready(Some(Err(_))) => self.ending = Ending::Broken,
            Poll::Ready(None) => self.ending = Ending::Whole,
            Poll::Pending => {}
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.tally.end(self.status, self.bytes, self.ending);
    }
}

impl<B: Body> CacheBody<B> {
    /// Ends the request of `tally` with this body of an answer of such a status. `head`: nobody will read it.
    pub(crate) fn tell(&mut self, tally: Arc<Tally>, status: StatusCode, head: bool) {
        match &self.kind {
            Kind::Bytes { pieces } => tally.end(status, if head { 0 } else { pieces.left() }, Ending::Whole),
            Kind::Follow { .. } | Kind::Pass { .. } => {
                let length = match &self.kind {
                    Kind::Pass { inner } => inner.size_hint().exact(),
                    Kind::Follow { reader } => reader.left(),
                    Kind::Bytes { .. } => None,
                };
                let ending = if head || length == Some(0) { Ending::Whole } else { Ending::Left };
                self.told = Some(Box::new(Told { tally, status, bytes: 0, length, ending }));
            }
        }
    }
}

impl<B> Body for CacheBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Display,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = match self.as_mut().project().kind.project() {
            KindProjection::Bytes { pieces } => return Poll::Ready(pieces.take_next().map(Ok)),
            KindProjection::Follow { reader } => {
                let piece = ready!(reader.poll_piece(cx));
                Poll::Ready(piece.map(|piece| match piece {
                    Ok(Piece::Data(data)) => Ok(Frame::data(data)),
                    Ok(Piece::Trailers(trailers)) => Ok(Frame::trailers(trailers)),
                    Err(broken) => Err(BodyError::new(broken)),
                }))
            }
            KindProjection::Pass { inner } => inner.poll_frame(cx).map_err(BodyError::new),
        };
        if self.told.is_some() {
            let ended = self.is_end_stream();
            self.project().told.iter_mut().for_each(|told| told.saw(&polled, ended));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Bytes { pieces } => pieces.are_taken(),
            Kind::Follow { reader } => reader.is_done(),
            Kind::Pass { inner } => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            // An exact size would make the server announce a Content-Length, behind which no trailers can be sent.
            Kind::Bytes { pieces } if pieces.have_trailers() => SizeHint::new(),
            Kind::Bytes { pieces } => SizeHint::with_exact(pieces.left()),
            Kind::Follow { reader } => reader.left().map_or_else(SizeHint::new, SizeHint::with_exact),
            Kind::Pass { inner } => inner.size_hint(),
        }
    }
}

impl<B> MayBeThin for CacheBody<B> {
    fn take_thin(&mut self) -> Option<Thin> {
        self.thin.take()
    }
}

impl<B> Default for CacheBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<B> fmt::Debug for CacheBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Bytes { .. } => "CacheBody::Bytes",
            Kind::Follow { .. } => "CacheBody::Follow",
            Kind::Pass { .. } => "CacheBody::Pass",
        })
    }
}
