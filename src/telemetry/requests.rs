//! Requests by rule and outcome, and how long they took. Whatever becomes of a request, it is counted once, so that the sums agree.

use crate::telemetry::shard::{add, mine, parts};
use crate::telemetry::{Distribution, Histogram, Outcome};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The label of requests that no rule matched.
const NO_RULE: &str = "none";
/// The label under which the counts of rules go on that have been gone for longest.
const RETIRED: &str = "retired";
/// Names that a rule had better not have: what is counted under them is not its own.
#[cfg(feature = "sidecar")]
pub(crate) const RESERVED: [&str; 2] = [NO_RULE, RETIRED];
/// Labels at a time, beyond those of the rules in force.
const MOST_RETIRED: usize = 256;

/// Requests by outcome, in the order of [`Outcome::ALL`].
pub type ByOutcome = [u64; Outcome::ALL.len()];

/// One shard of the counts of one rule.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard([AtomicU64; Outcome::ALL.len()]);

/// The counts of one rule. Rules of one name share them.
#[derive(Debug)]
pub struct RuleCounts {
    name: Arc<str>,
    shards: Box<[Shard]>,
}

impl RuleCounts {
    fn new(name: &str) -> Self {
        Self { name: name.into(), shards: (0..parts()).map(|_| Shard::default()).collect() }
    }

    /// The name of the rule; `None` where these are the counts of requests without one.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        (*self.name != *NO_RULE).then_some(&self.name)
    }

    fn add(&self, outcome: usize, count: u64) {
        add([(&self.shards[mine()].0[outcome], count)]);
    }

    fn read(&self) -> ByOutcome {
        std::array::from_fn(|outcome| self.shards.iter().map(|shard| shard.0[outcome].load(Ordering::Relaxed)).sum())
    }
}

/// All requests that were counted. Counting costs three increments and takes no lock.
#[derive(Debug, Default)]
pub struct Requests {
    /// Those in force, and those that were: counts never go back because a rule has gone.
    rules: Mutex<Vec<Arc<RuleCounts>>>,
    durations: [Histogram; Outcome::ALL.len()],
}

impl Requests {
    /// The counts for a set of rules: the first is that of requests without a rule, the others are in the order of `names`. What was counted under a
    /// name goes on.
    pub fn of_rules<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Box<[Arc<RuleCounts>]> {
        let mut rules = self.rules.lock();
        let of_rules = std::iter::once(NO_RULE).chain(names).map(|name| named(&mut rules, name)).collect();
        retire(&mut rules);
        of_rules
    }

    /// Counts one request.
    pub fn count(&self, rule: &RuleCounts, outcome: Outcome, nanos: u64) {
        rule.add(outcome as usize, 1);
        self.durations[outcome as usize].observe(nanos);
    }

    /// How many requests have ended as `outcome`.
    #[must_use]
    pub fn total(&self, outcome: Outcome) -> u64 {
        self.durations[outcome as usize].count()
    }

    /// How long requests took that ended as `outcome`.
    #[must_use]
    pub fn durations(&self, outcome: Outcome) -> Distribution {
        self.durations[outcome as usize].read()
    }

    /// Requests by the name of their rule. No name is there twice.
    #[must_use]
    pub fn by_rule(&self) -> Vec<(Arc<str>, ByOutcome)> {
        self.rules.lock().iter().map(|rule| (Arc::clone(&rule.name), rule.read())).collect()
    }
}

/// The counts of this name, made if there are none.
fn named(rules: &mut Vec<Arc<RuleCounts>>, name: &str) -> Arc<RuleCounts> {
    if let Some(rule) = rules.iter().find(|rule| *rule.name == *name) {
        return Arc::clone(rule);
    }
    let rule = Arc::new(RuleCounts::new(name));
    rules.push(Arc::clone(&rule));
    rule
}

/// Adds the counts of those that have been gone for longest to one label, if there are too many. A rule that anybody may still count under stays.
fn retire(rules: &mut Vec<Arc<RuleCounts>>) {
    let mut idle = rules.iter().filter(|rule| is_idle(rule)).count();
    while idle > MOST_RETIRED {
        let Some(oldest) = rules.iter().position(|rule| is_idle(rule) && *rule.name != *RETIRED) else { return };
        let gone = rules.remove(oldest).read();
        let retired = named(rules, RETIRED);
        gone.iter().enumerate().for_each(|(outcome, count)| retired.add(outcome, *count));
        idle -= 1;
    }
}

/// Whether nobody but the table holds it; under its lock nobody can come by one.
fn is_idle(rule: &Arc<RuleCounts>) -> bool {
    Arc::strong_count(rule) == 1
}

#[cfg(test)]
mod tests {
    use super::{MOST_RETIRED, Requests};
    use crate::telemetry::Outcome;

    fn sum(requests: &Requests, outcome: Outcome) -> u64 {
        requests.by_rule().iter().map(|(_, counts)| counts[outcome as usize]).sum()
    }

    #[test]
    fn what_several_threads_count_adds_up_by_rule_and_by_outcome() {
        let requests = Requests::default();
        let rules = requests.of_rules(["a"]);
        std::thread::scope(|scope| {
            for at in 0..4 {
                let rule = &rules[at % 2];
                let requests = &requests;
                scope.spawn(move || (0..100).for_each(|_| requests.count(rule, Outcome::Hit, 9)));
            }
        });
        let by_rule: Vec<_> = requests.by_rule().into_iter().map(|(name, counts)| (name.to_string(), counts[0])).collect();
        assert_eq!(by_rule, [("none".to_owned(), 200), ("a".to_owned(), 200)]);
        assert_eq!((requests.total(Outcome::Hit), requests.total(Outcome::Miss)), (400, 0));
        assert_eq!(requests.durations(Outcome::Hit).nanos, 3600);
    }

    #[test]
    fn counts_go_on_over_a_reload_by_the_name_of_the_rule() {
        let requests = Requests::default();
        let before = requests.of_rules(["a", "b"]);
        requests.count(&before[1], Outcome::Miss, 0);
        let after = requests.of_rules(["b", "a", "a"]);
        requests.count(&after[2], Outcome::Miss, 0);
        requests.count(&after[3], Outcome::Miss, 0);
        let names: Vec<_> =
            requests.by_rule().into_iter().map(|(name, counts)| (name.to_string(), counts[Outcome::Miss as usize])).collect();
        assert_eq!(names, [("none".to_owned(), 0), ("a".to_owned(), 3), ("b".to_owned(), 0)]);
    }

    #[test]
    fn labels_are_bounded_and_no_count_is_lost_with_them() {
        let requests = Requests::default();
        let under_way = requests.of_rules(["still asked for"]);
        for reload in 0..3 * MOST_RETIRED {
            let rules = requests.of_rules([&*format!("rule {reload}")]);
            requests.count(&rules[1], Outcome::Pass, 0);
        }
        requests.count(&under_way[1], Outcome::Pass, 0);
        let names: Vec<_> = requests.by_rule().into_iter().map(|(name, _)| name).collect();
        assert!(names.len() <= MOST_RETIRED + 4, "{}", names.len());
        assert!(names.iter().any(|name| **name == *"still asked for") && !names.iter().any(|name| **name == *"rule 0"));
        assert_eq!(
            (sum(&requests, Outcome::Pass), requests.total(Outcome::Pass)),
            (3 * MOST_RETIRED as u64 + 1, 3 * MOST_RETIRED as u64 + 1)
        );
    }
}
