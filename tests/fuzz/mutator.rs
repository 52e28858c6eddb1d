//! Makes new inputs out of old ones.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Inputs that are kept to be changed further.
const POOL: usize = 256;
/// No input is longer.
const LONGEST: usize = 4096;

/// The same seed gives the same inputs.
pub struct Mutator {
    rng: StdRng,
    pool: Vec<Vec<u8>>,
    words: &'static [&'static [u8]],
}

impl Mutator {
    pub fn new(seed: u64, seeds: &[&[u8]], words: &'static [&'static [u8]]) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), pool: seeds.iter().map(|seed| seed.to_vec()).collect(), words }
    }

    /// The next input. One in eight is kept, so that changes add up.
    pub fn next(&mut self) -> Vec<u8> {
        let at = self.rng.random_range(0..self.pool.len());
        let mut input = self.pool[at].clone();
        for _ in 0..self.rng.random_range(1..6) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        if self.rng.random_range(0..8) == 0 {
            if self.pool.len() < POOL {
                self.pool.push(input.clone());
            } else {
                let at = self.rng.random_range(0..POOL);
                self.pool[at].clone_from(&input);
            }
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.rng.random_range(0..=input.len());
        let some = self.rng.random_range(1..16).min(input.len() - at);
        match self.rng.random_range(0..8) {
            0 if at < input.len() => input[at] = self.rng.random_range(0..=255),
            1 if at < input.len() => input[at] ^= 1 << self.rng.random_range(0..8),
            2 => drop(input.drain(at..at + some)),
            3 => {
                let again = input[at..at + some].to_vec();
                drop(input.splice(at..at, again));
            }
            4 => {
                let other = self.rng.random_range(0..self.pool.len());
                let tail = self.pool[other].iter().skip(at).copied().collect::<Vec<_>>();
                input.truncate(at);
                input.extend(tail);
            }
            5 => input.insert(at, *b"\0\r\n\t \",;:=-0\xff\x7f".get(self.rng.random_range(0..14)).unwrap_or(&b'x')),
            6 => {
                let number = self.rng.random_range(0..=u64::MAX) >> self.rng.random_range(0..64);
                drop(input.splice(at..at, number.to_string().into_bytes()));
            }
            _ => {
                let word = self.words[self.rng.random_range(0..self.words.len())];
                drop(input.splice(at..at, word.iter().copied()));
            }
        }
    }
}
