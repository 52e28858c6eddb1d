//! What an answer of the origin means: for the one who asked, for those who wait, and for the next crowd.

use crate::cache::admit::NotStored;
use crate::cache::entry::Stored;
use crate::cache::fate::{Failing, Fate};
use crate::cache::head::Head;
use crate::flow::errand::{Answer, Errand, Keep};
use crate::flow::flight::{Landing, Ticket};
use crate::flow::pump::pump;
use crate::flow::shared::Shared;
use crate::flow::spool::{Reader, Spool};
use crate::rfc::conditional;
use crate::rfc::range::ContentRange;
use crate::telemetry::Refusal;
use bytes::Bytes;
use http::header::RANGE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use std::fmt::Display;
use std::sync::Arc;
use tokio::sync::oneshot;
use tower_service::Service;

/// What the leader of a fill gets back from it.
pub(crate) enum Led<RB, E> {
    Stream { reader: Reader, extra: HeaderMap, age: Option<HeaderValue> },
    Confirmed { stored: Arc<Stored>, extra: HeaderMap, shared: bool },
    Covered { status: Option<u16> },
    Pass { response: Response<RB>, why: NotStored },
    Failed { response: Response<RB>, refusal: Refusal },
    Error(E),
}

/// The fill of a flight, from the question to the stored body.
pub(crate) async fn fill<S, B, RB>(
    errand: Errand,
    inner: S,
    request: Request<B>,
    ticket: Ticket,
    mut leader: Option<oneshot::Sender<Led<RB, S::Error>>>,
) where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    B: Default,
    RB: Body<Data = Bytes>,
    RB::Error: Display,
{
    let left = async {
        match &mut leader {
            Some(leader) => leader.closed().await,
            None => std::future::pending().await, // a refresh, for which nobody has ever waited
        }
    };
    let answer = tokio::select! {
        biased;
        answer = errand.ask(inner, request) => answer,
        () = ticket.flight.forsaken(left) => return,
    };
    let tell = |led| {
        if let Some(leader) = leader {
            // A leader that has left needs no answer; its followers have theirs.
            let _ = leader.send(led);
        }
    };
    match settle(&errand, answer, Some(&ticket)) {
        Settled::Led(led) => {
            drop(ticket);
            tell(led);
        }
        Settled::Stream { led, spool, keep_body, range } => {
            tell(led);
            pump(errand, spool, keep_body, range, Some(ticket)).await;
        }
    }
}

/// Whether a request asks for something that others of its key do not.
fn is_special(request: &HeaderMap) -> bool {
    conditional::is_for_origin(request) || request.contains_key(RANGE)
}

/// An answer, ready for the one who asked, and perhaps a body to be pumped.
pub(crate) enum Settled<RB, E> {
    Led(Led<RB, E>),
    Stream { led: Led<RB, E>, spool: Arc<Spool>, keep_body: RB, range: Option<ContentRange> },
}

/// Draws the consequences of an answer: lands the flight, and remembers whether waiting for this key is worth it.
pub(crate) fn settle<RB, E>(errand: &Errand, answer: Answer<RB, E>, ticket: Option<&Ticket>) -> Settled<RB, E> {
    let Shared { predictor, unstored, clock, .. } = &*errand.shared;
    let land = |landing| {
        if let Some(ticket) = ticket {
            ticket.land(landing);
        }
    };
    let remember = |shareable: bool| {
        if shareable {
            predictor.forget(errand.key.hash_value());
        } else {
            predictor.remember(errand.key.hash_value(), clock.now());
        }
    };
    let reusable = |head: &Head| head.life().left(clock.now()) > 0 && !head.life().no_cache;
    Settled::Led(match answer {
        Answer::Keep(Keep { head, extra, age, range, length, reserved, body }) => {
            remember(reusable(&head));
            unstored.forget(errand.key.hash_value());
            let (spool, reader) = Spool::new(head, length, reserved);
            land(Landing::Stream(Arc::clone(&spool)));
            let led = Led::Stream { reader, extra, age };
            return Settled::Stream { led, spool, keep_body: body, range };
        }
        Answer::Confirmed { stored, extra, shared } => {
            if shared {
                remember(reusable(&stored.head));
            }
            errand.settle(|| if shared { Fate::Unchanged } else { Fate::Uncacheable(NotStored::NoStore) });
            land(if shared { Landing::Stored(Arc::clone(&stored)) } else { Landing::Alone });
            Led::Confirmed { stored, extra, shared }
        }
        Answer::Pass { response, why } => {
            unstored.note(errand.key.hash_value(), why, clock.now());
            let status = response.status();
            let is_error = status.is_client_error() || status.is_server_error();
            errand.settle(|| if is_error { Fate::Failed(Failing::Status(status)) } else { Fate::Uncacheable(why) });
            // What answers the conditions or the range of one request says nothing about the answers to others.
            let special = response.status() == StatusCode::NOT_MODIFIED || is_special(&errand.asked);
            if !special && !why.is_of_the_request() {
                remember(false);
            }
            if !special {
                errand.outdate(response.status(), why);
            }
            land(Landing::Alone);
            Led::Pass { response, why }
        }
        Answer::Covered { status, refusal } => {
            errand.settle(|| {
                let failing = status.map(Failing::Status).or(refusal.map(Failing::Refused));
                Fate::Failed(failing.unwrap_or(Failing::Service))
            });
            land(Landing::Failed(refusal));
            Led::Covered { status: status.map(|status| status.as_u16()) }
        }
        Answer::Failed { response, refusal } => {
            errand.settle(|| Fate::Failed(Failing::Refused(refusal)));
            land(Landing::Failed(Some(refusal)));
            Led::Failed { response, refusal }
        }
        Answer::Error(error) => {
            errand.settle(|| Fate::Failed(Failing::Service));
            land(Landing::Failed(Some(Refusal::UpstreamClosed)));
            Led::Error(error)
        }
    })
}
