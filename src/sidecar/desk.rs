//! Where the requests of one connection of HTTP/1 come to the service.

use crate::sidecar::answering::Answering;
use crate::sidecar::attend::{Answer, Attend, Question, Serve};
use crate::sidecar::forward::{Seat, forward};
use crate::sidecar::live::Watched;
use crate::sidecar::target::Memory;
use arc_swap::cache::Cache;
use http::Request;
use std::sync::Arc;

/// The service of one connection, which is never cloned for a request.
pub(super) struct Desk<S> {
    service: S,
    /// Whether it knows for whom it works.
    attended: bool,
    settings: Cache<Watched, Arc<crate::sidecar::live::Settings>>,
    seat: Arc<Seat>,
    memory: Memory,
}

impl<S> Desk<S> {
    pub(super) fn new(service: S, seat: Arc<Seat>) -> Self {
        Self { service, attended: false, settings: Cache::new(Watched(seat.live.clone())), seat, memory: Memory::default() }
    }

    /// The answer to a request, which may be waited for while others are taken.
    pub(super) fn answer<B: Answer, I: Question>(&mut self, request: Request<I>) -> Answering<S::Future, B>
    where
        S: Serve<B> + Attend,
    {
        let attended = !self.service.reads_forwarding();
        if attended != self.attended {
            self.attended = attended;
            self.service.attend(attended.then_some(&self.seat.peer));
        }
        forward(&mut self.service, attended, &self.seat, self.settings.load(), &mut self.memory, request)
    }
}
