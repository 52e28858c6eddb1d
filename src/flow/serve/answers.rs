//! What a visit says to its client, to the counts, and to who warms.

use crate::cache::entry::Stored;
use crate::cache::fate::{Failing, Fate};
use crate::cache::policy::may_cover_error;
use crate::flow::NAME;
use crate::flow::answer::{self, Client};
use crate::flow::body::CacheBody;
use crate::flow::flight::Landing;
use crate::flow::serve::{Outgoing, Visit};
use crate::flow::settle::Led;
use crate::flow::spool::Reader;
use crate::flow::tally::SERVICE_ERROR;
use crate::problem;
use crate::rfc::cache_status::{CACHE_STATUS, CacheStatus};
use crate::telemetry::{Outcome, Refusal};
use http::header::AGE;
use http::{HeaderMap, Method, Response, StatusCode};

impl<S, B> Visit<S, B> {
    /// The client's answer, once its own question has been answered.
    pub(super) fn finish<RB, E>(&self, led: Led<RB, E>) -> Result<Outgoing<RB>, E> {
        Ok(match led {
            Led::Stream { reader, extra, age } => {
                self.count(Outcome::Miss);
                let mut response = answer::from_reader(reader, &self.client(CacheStatus { stored: true, ..self.forwarded() }));
                // This answer comes straight from the origin: only an Age that it had is right (RFC 9111 section 5.1).
                response.headers_mut().remove(AGE);
                age.into_iter().for_each(|age| drop(response.headers_mut().insert(AGE, age)));
                append_all(response.headers_mut(), extra);
                response
            }
            Led::Confirmed { stored, extra, shared } => {
                self.count(Outcome::Revalidated);
                let status = CacheStatus { fwd_status: Some(304), stored: shared, ..self.forwarded() };
                self.touch(&stored);
                let mut response = answer::from_stored(&stored, &self.client(status));
                append_all(response.headers_mut(), extra);
                response
            }
            Led::Covered { status } => match &self.stored {
                Some(stored) => self.cover(stored, status),
                None => self.refuse(Refusal::FillAborted, "the origin failed"),
            },
            Led::Pass { response, why } => {
                self.count_for(Outcome::Miss, why.as_str());
                let mut response = response.map(CacheBody::pass);
                self.note(response.headers_mut(), CacheStatus { detail: Some(why.as_str()), ..self.forwarded() });
                response
            }
            Led::Failed { response, refusal } => self.failed(response, refusal),
            Led::Error(error) => {
                self.count_for(Outcome::Failed, SERVICE_ERROR);
                return Err(error);
            }
        })
    }

    fn failed<RB>(&self, response: Response<RB>, refusal: Refusal) -> Outgoing<RB> {
        if self.must_validate() {
            return self.fail(refusal);
        }
        self.count_for(Outcome::Failed, refusal.as_str());
        let mut response = response.map(CacheBody::pass);
        self.note(response.headers_mut(), CacheStatus { detail: Some(refusal.as_str()), ..self.forwarded() });
        response
    }

    fn client(&self, status: CacheStatus) -> Client<'_> {
        Client {
            method: self.request.method(),
            headers: self.request.headers(),
            now: self.shared.clock.now(),
            conditional: true,
            status: self.settings.cache_status.then_some(CacheStatus { name: NAME, ..status }),
        }
    }

    fn forwarded(&self) -> CacheStatus {
        CacheStatus { fwd: Some(self.why), ..CacheStatus::default() }
    }

    /// Counts a reader's request, which went to the origin for the reason that is known.
    fn count(&self, outcome: Outcome) {
        self.count_for(outcome, self.why.as_str());
    }

    /// Counts a reader's request, and remembers why it ended like this.
    fn count_for(&self, outcome: Outcome, reason: &'static str) {
        if let Some(tally) = &self.tally {
            tally.count(outcome, Some(reason));
        }
    }

    /// Writes down what became of a warm request that was answered otherwise than by a fill of its own.
    pub(super) fn settle(&self, fate: Fate) {
        if let Some(intent) = &self.intent {
            intent.settle(fate);
        }
    }

    /// Counts a hit of a reader on something stored.
    fn touch(&self, stored: &Stored) {
        if self.intent.is_none() {
            stored.touch(self.shared.clock.now());
        }
    }

    /// Takes what a flight brought; `None` if the beginning is gone.
    pub(super) fn board<RB>(&self, landing: Landing) -> Option<Outgoing<RB>> {
        match landing {
            Landing::Stream(spool) => spool.reader().map(|reader| self.collapsed_into(reader)),
            Landing::Stored(stored) => Some(self.collapsed_onto(&stored)),
            Landing::Alone | Landing::Failed(_) => None,
        }
    }

    fn collapsed_into<RB>(&self, reader: Reader) -> Outgoing<RB> {
        self.count(Outcome::Collapsed);
        self.settle(collapsed(reader.head().status));
        answer::from_reader(reader, &self.client(CacheStatus { collapsed: true, ..self.forwarded() }))
    }

    pub(super) fn collapsed_onto<RB>(&self, stored: &Stored) -> Outgoing<RB> {
        self.count(Outcome::Collapsed);
        self.settle(collapsed(stored.head.status));
        self.touch(stored);
        answer::from_stored(stored, &self.client(CacheStatus { collapsed: true, ..self.forwarded() }))
    }

    /// The stored response in place of an error, if its window allows it.
    pub(super) fn covered<RB>(&self, fwd_status: Option<u16>) -> Option<Outgoing<RB>> {
        let now = self.shared.clock.now();
        let stored = self.whole()?;
        may_cover_error(&stored.head.life(), stored.level(&self.shared.groups), &self.directives, now)
            .then(|| self.cover(stored, fwd_status))
    }

    fn cover<RB>(&self, stored: &Stored, fwd_status: Option<u16>) -> Outgoing<RB> {
        self.count_for(Outcome::Stale, "stale-if-error");
        self.touch(stored);
        answer::from_stored(stored, &self.client(CacheStatus { fwd_status, detail: Some("stale-if-error"), ..self.forwarded() }))
    }

    /// The answer where the fill that this request relied on failed.
    pub(super) fn fail<RB>(&self, refusal: Refusal) -> Outgoing<RB> {
        if self.must_validate() {
            return self.refuse(Refusal::MustRevalidate, "the stored response must be validated, and the origin could not be asked");
        }
        self.refuse(refusal, "the request to the origin that this one waited for failed")
    }

    /// RFC 9111 section 5.2.2.2: what must be validated and cannot be is a 504.
    fn must_validate(&self) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.head.life().must_revalidate || stored.head.life().no_cache)
    }

    pub(super) fn refuse<RB>(&self, refusal: Refusal, detail: &str) -> Outgoing<RB> {
        let outcome = if refusal == Refusal::OnlyIfCached { Outcome::Refused } else { Outcome::Failed };
        self.count_for(outcome, refusal.as_str());
        if self.intent.is_none() {
            self.shared.refusals.count(refusal);
        }
        self.settle(Fate::Failed(Failing::Refused(refusal)));
        let mut response = problem::response(refusal, detail, self.request.headers()).map(|text| CacheBody::stored(text, None));
        let fwd = (outcome == Outcome::Failed).then_some(self.why);
        self.note(response.headers_mut(), CacheStatus { fwd, detail: Some(refusal.as_str()), ..CacheStatus::default() });
        if *self.request.method() == Method::HEAD {
            *response.body_mut() = CacheBody::empty();
        }
        response
    }

    fn note(&self, headers: &mut HeaderMap, status: CacheStatus) {
        if self.settings.cache_status {
            headers.append(&CACHE_STATUS, CacheStatus { name: NAME, ..status }.to_value());
        }
    }
}

/// What became of a warm request that shared somebody else's answer.
fn collapsed(status: StatusCode) -> Fate {
    if status.is_client_error() || status.is_server_error() { Fate::Failed(Failing::Status(status)) } else { Fate::Stored }
}

fn append_all(headers: &mut HeaderMap, extra: HeaderMap) {
    let mut last = None;
    for (name, value) in extra {
        last = name.or(last);
        if let Some(name) = &last {
            headers.append(name.clone(), value);
        }
    }
}
