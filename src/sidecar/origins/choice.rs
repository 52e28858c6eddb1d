//! Which of several origins gets a request. Pure: what is known of them goes in, and a number comes out.

use crate::sidecar::settings::Balance;
use http::HeaderMap;
use http::request::Parts;
use tokio::time::Instant;

/// Whether an origin may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// As any other.
    In,
    /// It was out or its breaker was open, and the time is over: one request may try.
    Trial,
    /// Ejected or unhealthy: asked only for want of a better.
    Out,
    /// Its breaker is open: not asked at all, before this.
    Barred(Instant),
}

/// What is known of one origin when a choice is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) standing: Standing,
    /// This request has failed there already.
    pub(super) tried: bool,
    /// Requests under way.
    pub(super) load: usize,
    /// Its place in the order of this request's key, higher first; alike for all if there is none.
    pub(super) weight: u64,
    pub(super) last_failure: Option<Instant>,
}

impl Candidate {
    /// Lower is better. `may_try` says that this request can be put again if a trial fails.
    const fn rank(&self, may_try: bool, keyed: bool) -> Option<u8> {
        Some(match (self.standing, self.tried) {
            // Where the key decides, an origin on trial is tried by what belongs there.
            (Standing::Trial, false) if may_try && keyed => 1,
            (Standing::Trial, false) if may_try => 0,
            (Standing::In, false) => 1,
            (Standing::Trial, false) => 2,
            (Standing::In, true) => 3,
            (Standing::Trial, true) => 4,
            (Standing::Out, false) => 5,
            (Standing::Out, true) => 6,
            (Standing::Barred(_), _) => return None,
        })
    }
}

/// The number of the one that gets the request; `None` if no breaker lets it through. `random` decides where nothing else does.
pub(super) fn choose(candidates: &[Candidate], may_try: bool, keyed: bool, random: u64) -> Option<usize> {
    let best = candidates.iter().filter_map(|candidate| candidate.rank(may_try, keyed)).min()?;
    let equals = || candidates.iter().enumerate().filter(|(_, candidate)| candidate.rank(may_try, keyed) == Some(best));
    if best >= 5 {
        // None has failed as long ago as the one that never did.
        return equals().min_by_key(|(_, candidate)| candidate.last_failure).map(|(at, _)| at);
    }
    if keyed {
        return equals().max_by_key(|(_, candidate)| candidate.weight).map(|(at, _)| at);
    }
    let count = equals().count() as u64;
    let first = random % count;
    let second = (random >> 32) % (count - 1).max(1);
    let second = if second >= first { second + 1 } else { second };
    let at = |number: u64| equals().nth(usize::try_from(number).unwrap_or(0));
    match (at(first), at(second)) {
        (Some((_, one)), Some((at, other))) if other.load < one.load => Some(at),
        (one, _) => one.map(|(at, _)| at),
    }
}

/// The key by which a request always goes to the same origin, hashed; `None` where load decides.
pub(super) fn key(parts: &Parts, balance: &Balance) -> Option<u64> {
    match balance {
        Balance::Load => None,
        Balance::Path => {
            let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
            Some(hash(target.as_bytes()))
        }
        Balance::Header(name) => parts.headers.get(name).map(|value| hash(value.as_bytes())),
        Balance::Client => client(&parts.headers).map(hash),
    }
}

fn client(headers: &HeaderMap) -> Option<&[u8]> {
    let chain = headers.get("x-forwarded-for")?.as_bytes();
    chain.split(|&byte| byte == b',').next().map(<[u8]>::trim_ascii).filter(|address| !address.is_empty())
}

/// FNV-1a: the same in every process and version, so that several sidecars agree.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The place of an origin with this `seed` in the order of `key` (rendezvous hashing: each key has an order of its own of all origins, so that one that
/// goes or comes moves only the keys that it was or is first for). The mixing is that of splitmix64.
pub(super) const fn weight(key: u64, seed: u64) -> u64 {
    let mixed = mix(seed) ^ key;
    mix(mixed)
}

const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Candidate, Standing, choose, hash, key, weight};
    use crate::sidecar::settings::Balance;
    use http::Request;
    use std::time::Duration;
    use tokio::time::Instant;

    fn candidate(standing: Standing, tried: bool, load: usize) -> Candidate {
        Candidate { standing, tried, load, weight: 0, last_failure: None }
    }

    #[test]
    fn who_may_be_asked_and_was_not_tried_goes_first() {
        use Standing::{In, Out, Trial};
        let barred = Standing::Barred(Instant::now());
        for (standings, may_try, chosen) in [
            (vec![(barred, false), (In, false)], true, Some(1)),
            (vec![(Out, false), (In, false)], true, Some(1)),
            (vec![(In, false), (Trial, false)], true, Some(1)),
            (vec![(In, false), (Trial, false)], false, Some(0)),
            (vec![(Out, false), (Trial, false)], false, Some(1)),
            (vec![(In, true), (In, false)], false, Some(1)),
            (vec![(Out, false), (In, true)], true, Some(1)),
            (vec![(Out, true), (Out, false)], true, Some(1)),
            (vec![(barred, false), (Out, true)], true, Some(1)),
            (vec![(barred, false), (barred, false)], true, None),
            (vec![], true, None),
        ] {
            let candidates: Vec<_> = standings.iter().map(|(standing, tried)| candidate(*standing, *tried, 0)).collect();
            for random in [0, 1, u64::MAX, 7 << 32] {
                assert_eq!(choose(&candidates, may_try, false, random), chosen, "{standings:?} {may_try}");
            }
        }
    }

    #[test]
    fn of_two_picked_at_random_the_idler_is_asked() {
        let candidates: Vec<_> = [3, 0, 2].map(|load| candidate(Standing::In, false, load)).into();
        let mut asked = [0; 3];
        for random in 0..9 {
            for high in 0..9 {
                asked[choose(&candidates, true, false, random | high << 32).unwrap()] += 1;
            }
        }
        assert_eq!(asked[0], 0, "the busiest is never the idler of two");
        assert!(asked[1] > asked[2] && asked[2] > 0, "{asked:?}");
        let alike = [candidate(Standing::In, false, 1), candidate(Standing::In, false, 1)];
        assert_ne!(choose(&alike, true, false, 0), choose(&alike, true, false, 1), "chance decides between equals");
    }

    #[test]
    fn where_all_are_out_the_one_that_failed_longest_ago_is_asked() {
        let now = Instant::now();
        let mut candidates = [candidate(Standing::Out, false, 0); 3];
        for (candidate, ago) in candidates.iter_mut().zip([1, 3, 2]) {
            candidate.last_failure = now.checked_sub(Duration::from_millis(ago));
        }
        assert_eq!(choose(&candidates, true, false, 0), Some(1));
        candidates[2].last_failure = None;
        assert_eq!(choose(&candidates, true, true, 0), Some(2), "unhealthy, but it never failed a reader");
    }

    /// For each of some keys, which of the origins is first.
    fn owners(seeds: &[u64], standing: impl Fn(u64) -> Standing) -> Vec<u64> {
        let owner = |number: u64| {
            let key = hash(format!("/api/items/{number}").as_bytes());
            let candidates: Vec<_> =
                seeds.iter().map(|seed| Candidate { weight: weight(key, *seed), ..candidate(standing(*seed), false, 0) }).collect();
            seeds[choose(&candidates, true, true, number).unwrap()]
        };
        (0..9000).map(owner).collect()
    }

    #[test]
    fn keys_are_spread_evenly_and_only_those_of_an_origin_move_when_it_goes_or_comes() {
        let seeds: Vec<u64> = (1..=3).map(|at| hash(format!("http://10.0.0.{at}:9000").as_bytes())).collect();
        let three = owners(&seeds, |_| Standing::In);
        for seed in &seeds {
            let share = three.iter().filter(|owner| *owner == seed).count();
            assert!((2700..3300).contains(&share), "{share} of 9000");
        }
        let two = owners(&seeds[..2], |_| Standing::In);
        let ejected = owners(&seeds, |seed| if seed == seeds[2] { Standing::Out } else { Standing::In });
        assert_eq!(two, ejected, "out is as good as gone");
        assert!(three.iter().zip(&two).all(|(before, after)| before == after || *before == seeds[2]));
        assert_eq!(owners(&seeds, |seed| if seed == seeds[2] { Standing::Trial } else { Standing::In }), three, "tried by its own keys");
    }

    #[test]
    fn the_key_is_what_the_settings_name() {
        let (parts, ()) = Request::get("http://h/a?b=1")
            .header("x-user", "u")
            .header("x-forwarded-for", "1.2.3.4, 9.9.9.9")
            .body(())
            .unwrap()
            .into_parts();
        let header = |name: &'static str| Balance::Header(http::HeaderName::from_static(name));
        for (balance, expected) in [
            (Balance::Load, None),
            (Balance::Path, Some("/a?b=1")),
            (header("x-user"), Some("u")),
            (header("x-other"), None),
            (Balance::Client, Some("1.2.3.4")),
        ] {
            assert_eq!(key(&parts, &balance), expected.map(|text| hash(text.as_bytes())), "{balance:?}");
        }
    }
}
