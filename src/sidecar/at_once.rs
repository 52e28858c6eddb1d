//! Hits that are answered before there is a request: a client that says the same of itself as before asks for something that is stored and fresh.
//!
//! hyper makes a request of each head, its service an answer of that, and hyper a head of that, for which the wire then writes what is stored. None of it changes a byte of a
//! hit. So a head whose fields were there before is looked up as it lies in the buffer, and answered on the wire; hyper sees nothing of it. Everything else goes its way.

use crate::flow::hit::Hit;
use crate::sidecar::attend::Hits;
use crate::sidecar::forward::Seat;
use crate::sidecar::live::Settings;
use crate::sidecar::said::Said;
use std::sync::Arc;

/// Where looking first stops and begins to pay: who asks for what is not stored has it looked up twice.
const ENOUGH: u8 = 2;
/// A hit less, or more, than this is forgotten.
const MOST: u8 = 3;
/// After so many in a row the next will be one as well: often enough for hyper to go, which has to be made anew for one that is not.
const ROW: u8 = 32;

/// The look-ups of one connection.
pub(super) struct AtOnce {
    hits: Arc<dyn Hits>,
    seat: Arc<Seat>,
    said: Known,
    /// How many of the last requests were hits, more or less.
    luck: u8,
    /// How many requests in a row were answered here.
    row: u8,
}

/// What is known of the fields that came with the last head.
enum Known {
    Nothing,
    /// This.
    Said(Arc<Said>),
    /// A request that says so is not for here.
    Unfit(Arc<[u8]>),
}

impl AtOnce {
    pub(super) const fn new(hits: Arc<dyn Hits>, seat: Arc<Seat>) -> Self {
        Self { hits, seat, said: Known::Nothing, luck: ENOUGH - 1, row: 0 }
    }

    /// A request that hyper had was a hit.
    pub(super) fn was_hit(&mut self) {
        self.luck = (self.luck + 1).min(MOST);
    }

    /// Whether the last requests were answered here, all of them: hyper is not needed.
    pub(super) const fn is_enough(&self) -> bool {
        self.row == ROW
    }

    /// The answer to a request head whose `fields` are byte by byte those of the head before it; they are exchanged for equal ones that are shared with other connections.
    pub(super) fn answer(&mut self, head: &[u8], fields: &mut Arc<[u8]>, settings: &Arc<Settings>) -> Option<Hit> {
        let row = std::mem::take(&mut self.row);
        if self.luck < ENOUGH || self.seat.open.is_closing() {
            return None;
        }
        let target = target_of_get(head)?;
        if !self.knows(fields, settings) {
            self.said = Said::of(fields, settings, &self.seat.peer).map_or_else(|| Known::Unfit(Arc::clone(fields)), Known::Said);
        }
        let Known::Said(said) = &self.said else { return None };
        if !Arc::ptr_eq(&said.fields, fields) {
            *fields = Arc::clone(&said.fields);
        }
        let hit = self.hits.hit(said.absolute(target)?, said, &|uri| said.is_within_rates(uri, &self.seat.peer));
        (self.luck, self.row) = if hit.is_some() { (MOST, ROW.min(row + 1)) } else { (self.luck - 1, 0) };
        hit
    }

    fn knows(&self, fields: &Arc<[u8]>, settings: &Arc<Settings>) -> bool {
        match &self.said {
            Known::Nothing => false,
            Known::Said(said) => Arc::ptr_eq(&said.fields, fields) && said.holds(settings),
            Known::Unfit(unfit) => Arc::ptr_eq(unfit, fields),
        }
    }
}

/// The target of a head that begins with a GET.
fn target_of_get(head: &[u8]) -> Option<&[u8]> {
    let rest = head.strip_prefix(b"GET ")?;
    Some(&rest[..memchr::memchr(b' ', rest)?])
}
