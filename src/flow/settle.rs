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
    let consequences = Consequences { errand, ticket };
    Settled::Led(match answer {
        Answer::Keep(keep) => return consequences.keep(keep),
        Answer::Confirmed { stored, extra, shared } => {
            consequences.confirm(&stored, shared);
            Led::Confirmed { stored, extra, shared }
        }
        Answer::Pass { response, why } => {
            consequences.pass(response.status(), why);
            Led::Pass { response, why }
        }
        Answer::Covered { status, refusal } => {
            let failing = status.map(Failing::Status).or(refusal.map(Failing::Refused));
            consequences.fail(failing.unwrap_or(Failing::Service), refusal);
            Led::Covered { status: status.map(|status| status.as_u16()) }
        }
        Answer::Failed { response, refusal } => {
            consequences.fail(Failing::Refused(refusal), Some(refusal));
            Led::Failed { response, refusal }
        }
        Answer::Error(error) => {
            consequences.fail(Failing::Service, Some(Refusal::UpstreamClosed));
            Led::Error(error)
        }
    })
}

/// What follows from the answer to an errand, for a warm request, for those who wait in its flight, and for those to come.
struct Consequences<'a> {
    errand: &'a Errand,
    ticket: Option<&'a Ticket>,
}

impl Consequences<'_> {
    fn keep<RB, E>(&self, keep: Keep<RB>) -> Settled<RB, E> {
        let Keep { head, extra, age, range, length, reserved, body } = keep;
        self.remember(self.is_reusable(&head));
        self.errand.shared.unstored.forget(self.errand.key.hash_value());
        let (spool, reader) = Spool::new(head, length, reserved);
        self.land(Landing::Stream(Arc::clone(&spool)));
        Settled::Stream { led: Led::Stream { reader, extra, age }, spool, keep_body: body, range }
    }

    fn confirm(&self, stored: &Arc<Stored>, shared: bool) {
        if shared {
            self.remember(self.is_reusable(&stored.head));
        }
        self.errand.settle(|| if shared { Fate::Unchanged } else { Fate::Uncacheable(NotStored::NoStore) });
        self.land(if shared { Landing::Stored(Arc::clone(stored)) } else { Landing::Alone });
    }

    fn pass(&self, status: StatusCode, why: NotStored) {
        let Shared { unstored, clock, .. } = &*self.errand.shared;
        unstored.note(self.errand.key.hash_value(), why, clock.now());
        let is_error = status.is_client_error() || status.is_server_error();
        self.errand.settle(|| if is_error { Fate::Failed(Failing::Status(status)) } else { Fate::Uncacheable(why) });
        // What answers the conditions or the range of one request says nothing about the answers to others.
        let special = status == StatusCode::NOT_MODIFIED || is_special(&self.errand.asked);
        if !special && !why.is_of_the_request() {
            self.remember(false);
        }
        if !special {
            self.errand.outdate(status, why);
        }
        self.land(Landing::Alone);
    }

    fn fail(&self, failing: Failing, refusal: Option<Refusal>) {
        self.errand.settle(|| Fate::Failed(failing));
        self.land(Landing::Failed(refusal));
    }

    fn land(&self, landing: Landing) {
        if let Some(ticket) = self.ticket {
            ticket.land(landing);
        }
    }

    /// Whether an answer serves others than those who wait for it.
    fn is_reusable(&self, head: &Head) -> bool {
        head.life().left(self.errand.shared.clock.now()) > 0 && !head.life().no_cache
    }

    fn remember(&self, shareable: bool) {
        let Shared { predictor, clock, .. } = &*self.errand.shared;
        if shareable {
            predictor.forget(self.errand.key.hash_value());
        } else {
            predictor.remember(self.errand.key.hash_value(), clock.now());
        }
    }
}
