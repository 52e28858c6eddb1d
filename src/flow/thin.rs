//! The answer of a hit as it is stored, not yet made into a map of fields and a body.
//!
//! Whoever writes HTTP/1 itself, as the sidecar does, needs neither: the lines of a stored response are kept as they go onto the wire, and building a map
//! from them, only to have a server take it apart again, is the larger part of what a hit costs. Everybody else gets the map.

use crate::cache::entry::Stored;
use crate::cache::resource::Chosen;
use crate::clock::Stamp;
use crate::flow::glance::Glance;
use crate::rfc::cache_status::CacheStatus;
use crate::rfc::number::MAX_DELTA_SECONDS;
use http::{Method, StatusCode};

/// A fresh hit with a body: the stored fields but for `Content-Length`, which is that of the body, and what is ours.
#[derive(Debug)]
pub(crate) struct Thin {
    stored: Chosen,
    /// Seconds.
    ttl: i64,
    /// Seconds.
    age: u32,
    /// Whether `Cache-Status` is wanted.
    cache_status: bool,
}

impl Thin {
    /// The answer to a plain GET that `stored` answers while it is fresh.
    ///
    /// # Errors
    /// It depends on more than that.
    pub(crate) fn of(stored: Chosen, method: &Method, glance: Glance, now: Stamp, cache_status: bool) -> Result<Self, Chosen> {
        let head = &stored.head;
        let plain = *method == Method::GET && !glance.conditional && stored.is_plain();
        if !plain || head.status != StatusCode::OK || stored.body.is_empty() {
            return Err(stored);
        }
        let life = head.life();
        let age = u32::try_from((life.age(now) / 1000).min(MAX_DELTA_SECONDS)).unwrap_or(u32::MAX);
        Ok(Self { age, ttl: life.left(now).div_euclid(1000), cache_status, stored })
    }

    /// What is answered with.
    pub(crate) fn stored(&self) -> &Stored {
        &self.stored
    }

    /// The same, as it was chosen.
    pub(crate) const fn chosen(&self) -> &Chosen {
        &self.stored
    }

    /// Writes the lines but for `Content-Length` as they go onto the wire, each with its CRLF.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.stored.head.fields.lines());
        out.extend_from_slice(b"age: ");
        out.extend_from_slice(itoa::Buffer::new().format(self.age).as_bytes());
        out.extend_from_slice(b"\r\n");
        if let Some(status) = self.status() {
            out.extend_from_slice(b"cache-status: ");
            status.write(out);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn status(&self) -> Option<CacheStatus> {
        let status = CacheStatus { name: crate::flow::NAME, hit: true, ttl: Some(self.ttl), ..CacheStatus::default() };
        self.cache_status.then_some(status)
    }
}

/// The body of an answer that may have come without the fields of its head, and without its content.
pub(crate) trait MayBeThin {
    /// What is missing. The response has no fields, or few, and its body is at its end.
    fn take_thin(&mut self) -> Option<Thin>;
}
