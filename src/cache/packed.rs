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

/// A [`Life`] in 31 bytes instead of 48: its numbers in the order of the struct, six bytes each, and then the place of the source in [`SOURCES`], and above it
/// [`MUST_REVALIDATE`] and [`NO_CACHE`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedLife([u8; 31]);

const SOURCES: [LifetimeSource; 4] = [LifetimeSource::Origin, LifetimeSource::Rule, LifetimeSource::Heuristic, LifetimeSource::Default];
const MUST_REVALIDATE: u8 = 4;
const NO_CACHE: u8 = 8;

impl PackedLife {
    /// The number at `at`, of which eight bytes can be read: one look instead of two.
    const fn number(&self, at: usize) -> u64 {
        let bytes = &self.0;
        let eight = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3], bytes[at + 4], bytes[at + 5], bytes[at + 6], bytes[at + 7]];
        u64::from_le_bytes(eight)
    }
}

impl From<Life> for PackedLife {
    fn from(life: Life) -> Self {
        let numbers = [life.received.millis(), life.initial_age, life.lifetime, life.stale_while_revalidate, life.stale_if_error];
        let mut bytes = [0; 31];
        for (at, number) in numbers.into_iter().enumerate() {
            bytes[6 * at..6 * at + 6].copy_from_slice(&Packed::new(number).0);
        }
        bytes[30] = life.source as u8 + u8::from(life.must_revalidate) * MUST_REVALIDATE + u8::from(life.no_cache) * NO_CACHE;
        Self(bytes)
    }
}

impl From<PackedLife> for Life {
    #[inline]
    fn from(packed: PackedLife) -> Self {
        let marks = packed.0[30];
        Self {
            received: Stamp::from_millis(packed.number(0) & LARGEST),
            initial_age: packed.number(6) & LARGEST,
            lifetime: packed.number(12) & LARGEST,
            source: SOURCES[usize::from(marks % MUST_REVALIDATE)],
            stale_while_revalidate: packed.number(18) & LARGEST,
            stale_if_error: (packed.number(23) >> 8) & LARGEST,
            must_revalidate: marks & MUST_REVALIDATE != 0,
            no_cache: marks & NO_CACHE != 0,
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
