//! Hits that are answered before there is a request.
//!
//! hyper makes a request of each head, its service an answer of that, and hyper a head of that, for which the wire then writes what is stored. None of it changes a byte of a
//! hit. So a head is looked up as it lies in the buffer, and answered on the wire; hyper sees nothing of it, and is not even there while nobody needs it. Everything else goes its
//! way. What a client says of itself, which is the same with each of its requests as a rule, is [read](super::said) once.

mod luck;

use crate::flow::hit::Hit;
use crate::sidecar::attend::Hits;
use crate::sidecar::forward::Seat;
use crate::sidecar::live::Settings;
use crate::sidecar::said::{End, Said};
use luck::Luck;
use std::sync::Arc;

/// After so many in a row the next will be one as well: often enough for hyper to go, which has to be made anew for one that is not.
const ROW: u8 = 32;

/// The look-ups of one connection.
pub(super) struct AtOnce {
    hits: Arc<dyn Hits>,
    seat: Arc<Seat>,
    /// With the last head that was looked at.
    said: Option<Arc<Said>>,
    luck: Luck,
    /// How many requests in a row were answered here.
    row: u8,
}

/// A request head that came whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole<'a> {
    target: &'a [u8],
    old: bool,
    fields: &'a [u8],
}

impl<'a> Whole<'a> {
    /// Of a GET that the [scan](super::scan) has found good. `None` for other methods.
    pub(super) fn get(head: &'a [u8]) -> Option<Self> {
        let rest = head.strip_prefix(b"GET ")?;
        let (target, rest) = rest.split_at(memchr::memchr(b' ', rest)?);
        let (version, fields) = rest.split_at_checked(b" HTTP/1.1\r\n".len())?;
        Some(Self { target, old: version == b" HTTP/1.0\r\n", fields })
    }
}

impl AtOnce {
    pub(super) fn new(hits: Arc<dyn Hits>, seat: Arc<Seat>) -> Self {
        Self { hits, seat, said: None, luck: Luck::of_this_thread(), row: 0 }
    }

    /// A request that hyper had was a hit.
    pub(super) fn was_hit(&mut self) {
        self.luck.rise();
    }

    /// hyper has the next request.
    pub(super) fn give_up(&mut self) {
        self.row = 0;
    }

    /// Whether the last requests were answered here, all of them: hyper is not needed.
    pub(super) const fn is_enough(&self) -> bool {
        self.row == ROW
    }

    /// Forgets what the client has said of itself: it may not come back.
    pub(super) fn forget(&mut self) {
        self.said = None;
    }

    /// Whether it is likely that the next request is a hit, and can be answered here.
    pub(super) fn is_likely(&self) -> bool {
        self.luck.is_good() && !self.seat.open.is_closing()
    }

    /// The answer to a request without content, and what becomes of the connection; `may_end`: it may be the end. `known` are its fields if the head before had them too; they are
    /// exchanged for equal ones that are shared with other connections.
    pub(super) fn answer(
        &mut self,
        head: Whole<'_>,
        known: Option<&mut Arc<[u8]>>,
        settings: &Arc<Settings>,
        may_end: bool,
    ) -> Option<(Hit, End)> {
        let hit = self.look(head, known, settings, may_end);
        if hit.is_some() {
            self.luck.be_best();
            self.row = ROW.min(self.row + 1);
        } else {
            self.luck.fall();
            self.row = 0;
        }
        hit
    }

    fn look(&mut self, head: Whole<'_>, known: Option<&mut Arc<[u8]>>, settings: &Arc<Settings>, may_end: bool) -> Option<(Hit, End)> {
        let said = self.said.take().filter(|said| match &known {
            Some(known) => Arc::ptr_eq(&said.fields, known) && said.holds(settings),
            None => said.is(head.fields, head.old, settings),
        });
        let said = self.said.insert(said.unwrap_or_else(|| Said::of(head.fields, head.old, settings, &self.seat.peer)));
        if let Some(known) = known.filter(|known| !Arc::ptr_eq(&said.fields, known)) {
            *known = Arc::clone(&said.fields);
        }
        let plain = said.plain.as_ref().filter(|plain| may_end || !plain.end.is_near())?;
        let hit = self.hits.hit(plain.absolute(head.target)?, plain, &|uri| said.is_within_rates(uri, &self.seat.peer))?;
        Some((hit, plain.end))
    }
}
