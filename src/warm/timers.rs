//! When groups run next. Moments are those of the wall clock; the runner looks at least once a minute, so that a clock that was set and a machine
//! that has slept are noticed.

use crate::clock::Stamp;
use crate::warm::books::Books;
use crate::warm::schedule::{Trigger, Zone};
use crate::warm::settings::WarmSettings;
use std::sync::Arc;
use std::time::Duration;

/// All triggers of all groups.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    timers: Vec<Timer>,
    /// When they were last looked at.
    seen: Option<Stamp>,
}

#[derive(Debug)]
struct Timer {
    group: Arc<str>,
    trigger: Trigger,
    zone: Zone,
    refresh: Duration,
    last: Option<Stamp>,
    next: Option<Stamp>,
}

/// A group whose time has come, and by which words of its schedule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) group: Arc<str>,
    pub(crate) words: String,
}

impl Timers {
    /// Takes over the schedules of `settings`. A trigger that was there before keeps its rhythm.
    pub(crate) fn configure(&mut self, settings: &WarmSettings, now: Stamp) {
        let old = std::mem::take(&mut self.timers);
        let groups = settings.groups.iter().filter(|group| settings.enabled && group.enabled);
        for (group, trigger) in groups.flat_map(|group| group.schedule.triggers().iter().map(move |trigger| (group, trigger))) {
            let known = old.iter().find(|timer| timer.group == group.name && timer.trigger == *trigger);
            let mut timer = Timer {
                group: Arc::clone(&group.name),
                trigger: trigger.clone(),
                zone: settings.time_zone.clone(),
                refresh: settings.refresh_interval,
                last: known.and_then(|known| known.last),
                next: None,
            };
            let unchanged = known.filter(|known| known.refresh == timer.refresh && known.zone == timer.zone);
            timer.next = unchanged.map_or_else(|| timer.after(timer.last, now), |known| known.next);
            self.timers.push(timer);
        }
    }

    /// The groups whose time has come, each once, whatever was missed. Their next time is counted from `now`.
    pub(crate) fn due(&mut self, now: Stamp) -> Vec<Due> {
        let mut due: Vec<Due> = Vec::new();
        if self.seen.replace(now).is_some_and(|seen| now < seen) {
            // The clock was set back: what was planned on the old time may be far away.
            self.timers.iter_mut().for_each(|timer| timer.next = timer.after(None, now));
        }
        for timer in &mut self.timers {
            if timer.next.is_none_or(|next| next > now) {
                continue;
            }
            timer.last = Some(now);
            timer.next = timer.after(Some(now), now);
            if !due.iter().any(|known| known.group == timer.group) {
                due.push(Due { group: Arc::clone(&timer.group), words: timer.trigger.to_string() });
            }
        }
        due
    }

    /// When the next group's time comes.
    pub(crate) fn next(&self) -> Option<Stamp> {
        self.timers.iter().filter_map(|timer| timer.next).min()
    }

    /// Writes the next time of each group into its account.
    pub(crate) fn publish(&self, books: &Books) {
        for (name, account) in books.accounts() {
            account.plan_next(self.timers.iter().filter(|timer| timer.group == name).filter_map(|timer| timer.next).min());
        }
    }
}

impl Timer {
    fn after(&self, last: Option<Stamp>, now: Stamp) -> Option<Stamp> {
        self.trigger.next(last, now, &self.zone, self.refresh, rand::random())
    }
}

#[cfg(test)]
mod tests {
    use super::Timers;
    use crate::clock::Stamp;
    use crate::warm::group::Group;
    use crate::warm::settings::WarmSettings;
    use std::time::Duration;

    #[test]
    fn a_clock_that_is_set_back_puts_off_no_run_for_longer_than_its_interval() {
        let hour = Duration::from_secs(3600);
        let group = Group::new("g").every(hour).cron("30 * * * *").unwrap();
        let mut timers = Timers::default();
        let now = Stamp::from_millis(1_700_000_000_000);
        timers.configure(&WarmSettings { groups: vec![group], ..WarmSettings::default() }, now);
        assert!(timers.due(now).is_empty());
        let yesterday = Stamp::from_millis(now.millis() - 24 * 3_600_000);
        assert!(timers.due(yesterday).is_empty(), "nothing is due because of it");
        assert!(timers.next().unwrap().since(yesterday) <= hour);
        let later = yesterday.plus_millis(2 * 3_600_000);
        assert_eq!(timers.due(later).len(), 1);
        assert!(timers.timers.iter().all(|timer| timer.next.unwrap().since(later) <= hour * 21 / 20));
    }
}
