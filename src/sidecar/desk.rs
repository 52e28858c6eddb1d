//! Where the requests of one connection of HTTP/1 come to the service.

use crate::sidecar::answering::Answering;
use crate::sidecar::at_once::Get;
use crate::sidecar::attend::{Answer, Attend, Question, Serve};
use crate::sidecar::direct::Direct;
use crate::sidecar::forward::{Outgoing, Seat, forward, forward_get};
use crate::sidecar::live::Watched;
use crate::sidecar::target::Memory;
use arc_swap::cache::Cache;
use http::Request;
use hyper::body::Incoming;
use std::cell::RefCell;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;
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
        let attended = self.attend();
        forward(&mut self.service, attended, &self.seat, self.settings.load(), &mut self.memory, request)
    }

    /// The same for one that does without hyper, with the writing of the answer.
    pub(super) fn ask<B: Answer>(&mut self, get: Get) -> Pin<Box<Direct<S::Future, B>>>
    where
        S: Serve<B> + Attend,
    {
        let (attended, is_last) = (self.attend(), get.end.is_near());
        Box::pin(Direct::new(forward_get(&mut self.service, attended, &self.seat, get), is_last))
    }

    fn attend(&mut self) -> bool
    where
        S: Attend,
    {
        let attended = !self.service.reads_forwarding();
        if attended != self.attended {
            self.attended = attended;
            self.service.attend(attended.then_some(&self.seat.peer));
        }
        attended
    }
}

/// The desk as hyper sees it.
pub(super) struct Hatch<S, B>(RefCell<Desk<S>>, PhantomData<fn() -> B>);

impl<S, B> Hatch<S, B> {
    pub(super) const fn of(desk: Desk<S>) -> Self {
        Self(RefCell::new(desk), PhantomData)
    }

    pub(super) fn into_desk(self) -> Desk<S> {
        self.0.into_inner()
    }
}

impl<S: Serve<B> + Attend, B: Answer> hyper::service::Service<Request<Incoming>> for Hatch<S, B> {
    type Response = Outgoing<B>;
    type Error = Infallible;
    type Future = Answering<S::Future, B>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.0.borrow_mut().answer(request)
    }
}
