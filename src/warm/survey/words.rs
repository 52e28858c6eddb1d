//! Schedules in words.

use crate::units::show_duration;
use crate::warm::schedule::{Schedule, Trigger};
use crate::warm::settings::WarmSettings;

/// `at start-up, every 2h, cron 0 3 * * * (UTC)`
pub(super) fn schedule(schedule: &Schedule, settings: &WarmSettings) -> String {
    let words: Vec<String> = schedule.triggers().iter().map(|trigger| trigger_words(trigger, settings)).collect();
    if words.is_empty() { "only when asked for".into() } else { words.join(", ") }
}

fn trigger_words(trigger: &Trigger, settings: &WarmSettings) -> String {
    match trigger {
        Trigger::Startup if !settings.on_startup => "not at start-up (warm.on_startup = false)".into(),
        Trigger::Startup => format!("{} after the start", show_duration(settings.startup_delay)),
        Trigger::Refresh if settings.refresh_interval.is_zero() => "never by refresh (warm.refresh_interval = 0s)".into(),
        Trigger::Refresh => format!("every {} (refresh)", show_duration(settings.refresh_interval)),
        Trigger::Every(interval) => format!("every {}", show_duration(*interval)),
        Trigger::Cron(cron) => format!("cron {cron} ({})", settings.time_zone),
    }
}

#[cfg(test)]
mod tests {
    use super::schedule;
    use crate::warm::{Group, Schedule, WarmSettings, Zone};
    use std::time::Duration;

    #[test]
    fn a_schedule_is_told_with_what_its_words_mean_here() {
        let settings = WarmSettings { time_zone: Zone::parse("Europe/Berlin").unwrap(), ..WarmSettings::default() };
        let all = Group::new("g").on_startup().on_refresh().every(Duration::from_secs(7200)).cron("0 3 * * *").unwrap();
        assert_eq!(
            schedule(&all.schedule, &settings),
            "100ms after the start, every 5m (refresh), every 2h, cron 0 3 * * * (Europe/Berlin)"
        );
        let off = WarmSettings { on_startup: false, refresh_interval: Duration::ZERO, ..settings };
        assert_eq!(
            schedule(&Schedule::default(), &off),
            "not at start-up (warm.on_startup = false), never by refresh (warm.refresh_interval = 0s)"
        );
        assert_eq!(schedule(&Schedule::on_demand(), &off), "only when asked for");
    }
}
