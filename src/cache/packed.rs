//! Numbers and lives in little room: a stored response has them for as long as it is stored, and there may be millions.

use crate::cache::freshness::{Life, LifetimeSource};
use crate::clock::Stamp;

/// The largest number that is kept: as milliseconds, nine thousand years.
const LARGEST: u64 = (1 << 48) - 1;

/// A number in six bytes, aligned to one. What is larger than [`LARGEST`] becomes that: every sum of times saturates anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed([u8; 6]);

impl Packed {
    pub(crate) fn new(number: u64) -> Self {
        let [a, b, c, d, e, f, ..] = number.min(LARGEST).to_le_bytes();
        Self([a, b, c, d, e, f])
    }

    pub(crate) const fn get(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

/// A [`Life`] in 31 bytes instead of 48.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedLife {
    received: Packed,
    initial_age: Packed,
    lifetime: Packed,
    stale_while_revalidate: Packed,
    stale_if_error: Packed,
    /// The place of the source in [`SOURCES`], and above it [`MUST_REVALIDATE`] and [`NO_CACHE`].
    marks: u8,
}

const SOURCES: [LifetimeSource; 4] = [LifetimeSource::Origin, LifetimeSource::Rule, LifetimeSource::Heuristic, LifetimeSource::Default];
const MUST_REVALIDATE: u8 = 4;
const NO_CACHE: u8 = 8;

impl From<Life> for PackedLife {
    fn from(life: Life) -> Self {
        Self {
            received: Packed::new(life.received.millis()),
            initial_age: Packed::new(life.initial_age),
            lifetime: Packed::new(life.lifetime),
            stale_while_revalidate: Packed::new(life.stale_while_revalidate),
            stale_if_error: Packed::new(life.stale_if_error),
            marks: life.source as u8 + u8::from(life.must_revalidate) * MUST_REVALIDATE + u8::from(life.no_cache) * NO_CACHE,
        }
    }
}

impl From<PackedLife> for Life {
    fn from(packed: PackedLife) -> Self {
        Self {
            received: Stamp::from_millis(packed.received.get()),
            initial_age: packed.initial_age.get(),
            lifetime: packed.lifetime.get(),
            source: SOURCES[usize::from(packed.marks % MUST_REVALIDATE)],
            stale_while_revalidate: packed.stale_while_revalidate.get(),
            stale_if_error: packed.stale_if_error.get(),
            must_revalidate: packed.marks & MUST_REVALIDATE != 0,
            no_cache: packed.marks & NO_CACHE != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGEST, Packed, PackedLife, SOURCES};
    use crate::cache::freshness::{Life, LifetimeSource};
    use crate::clock::Stamp;

    #[test]
    fn a_life_comes_out_as_it_went_in() {
        let life = Life {
            received: Stamp::from_millis(1_700_000_000_123),
            initial_age: 0x0102_0304_0506,
            lifetime: 31_536_000_000,
            source: LifetimeSource::Heuristic,
            stale_while_revalidate: 1,
            stale_if_error: LARGEST,
            must_revalidate: true,
            no_cache: false,
        };
        assert_eq!(Life::from(PackedLife::from(life)), life);
        for source in SOURCES {
            let other = Life { must_revalidate: false, no_cache: true, source, ..life };
            assert_eq!(Life::from(PackedLife::from(other)), other);
        }
    }

    #[test]
    fn what_is_too_large_to_be_kept_stays_as_large_as_can_be() {
        for number in [LARGEST + 1, 1 << 63, u64::MAX] {
            assert_eq!(Packed::new(number).get(), LARGEST);
        }
        assert_eq!((size_of::<Packed>(), align_of::<Packed>(), size_of::<PackedLife>()), (6, 1, 31));
    }
}
