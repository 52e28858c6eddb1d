//! When things run.

use super::{Cron, Schedule, Trigger, Zone};
use crate::clock::Stamp;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn words<T: std::fmt::Debug>(result: Result<T, crate::warm::PlanFault>) -> String {
    result.unwrap_err().to_string()
}

fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap()
}

fn at(text: &str) -> Stamp {
    let moment: jiff::Timestamp = text.parse().unwrap();
    Stamp::from_millis(u64::try_from(moment.as_millisecond()).unwrap())
}

fn cron(fields: &str) -> Trigger {
    Trigger::cron(fields).unwrap()
}

/// The next runs of a cron line after a moment, as its zone's clocks show them.
fn runs(fields: &str, place: &str, after: &str, most: usize) -> Vec<String> {
    let (trigger, zone) = (cron(fields), zone(place));
    let next = |last: Stamp| trigger.next(Some(last), last, &zone, HOUR, 0.0);
    std::iter::successors(next(at(after)), |last| next(*last)).take(most).map(|moment| zone.rfc3339(moment)).collect()
}

#[test]
fn the_words_of_a_schedule_are_read_and_given_back() {
    for (text, shown) in [
        ("startup", "startup"),
        ("refresh", "refresh"),
        ("every 2h", "every 2h"),
        ("  every   90m ", "every 1h30m"),
        ("every 1s", "every 1s"),
        ("every 365d", "every 365d"),
        ("cron 0  3 * * *", "cron 0 3 * * *"),
        ("cron */10 * * * * *", "cron */10 * * * * *"),
        ("cron 0 9 * * mon-fri", "cron 0 9 * * mon-fri"),
    ] {
        let trigger = Trigger::parse(text).unwrap();
        assert_eq!(trigger.to_string(), shown);
        assert_eq!(Trigger::parse(&trigger.to_string()).unwrap(), trigger);
    }
}

#[test]
fn what_is_no_word_of_a_schedule_is_told_what_to_write() {
    for (text, words_) in [
        ("startp", "\"startp\" is no word of a schedule; did you mean \"startup\"?"),
        ("Refresh", "\"Refresh\" is no word of a schedule; did you mean \"refresh\"?"),
        ("on_startup", "\"on_startup\" is no word of a schedule; did you mean \"startup\"?"),
        ("hourly", "\"hourly\" is no word of a schedule; write \"startup\", \"refresh\", \"every 2h\" or \"cron 0 3 * * *\""),
        ("", "\"\" is no word of a schedule; write \"startup\", \"refresh\", \"every 2h\" or \"cron 0 3 * * *\""),
        ("startup now", "\"startup now\" is no word of a schedule; did you mean \"startup\"?"),
        ("every", "\"every\" is no word of a schedule; write \"every\" and a duration, as \"every 2h\" or \"every 1h30m\""),
        ("every 2 hours", "\"every 2 hours\" is no word of a schedule; write \"every\" and a duration, as \"every 2h\" or \"every 1h30m\""),
        ("evry 2h", "\"evry 2h\" is no word of a schedule; did you mean \"every 2h\"?"),
        ("every 0s", "0s is no interval of a schedule; write one from 1s to 365d, as \"every 2h\""),
        ("every 366d", "366d is no interval of a schedule; write one from 1s to 365d, as \"every 2h\""),
        ("0 3 * * *", "\"0 3 * * *\" is no word of a schedule; did you mean \"cron 0 3 * * *\"?"),
        ("corn 0 3 * * *", "\"corn 0 3 * * *\" is no word of a schedule; did you mean \"cron 0 3 * * *\"?"),
    ] {
        assert_eq!(words(Trigger::parse(text)), words_);
    }
    const FIX: &str = "; write 5 fields, minute hour day month weekday, as \"cron 0 3 * * *\"; 6 fields start with the second";
    for (text, found) in [
        ("cron", "\"\" is no cron line: it has 0 fields"),
        ("cron @daily", "\"@daily\" is no cron line: it has 1 field"),
        ("cron * * * *", "\"* * * *\" is no cron line: it has 4 fields"),
        ("cron 0 0 0 1 1 * 2030", "\"0 0 0 1 1 * 2030\" is no cron line: it has 7 fields"),
    ] {
        assert_eq!(words(Trigger::parse(text)), format!("{found}{FIX}"));
    }
    for (text, why) in [
        ("60 * * * *", "its minute \"60\": number out of bounds"),
        ("* 24 * * *", "its hour \"24\": number out of bounds"),
        ("60 * * * * *", "its second \"60\": number out of bounds"),
        ("* * 0 * *", "its day \"0\": "),
        ("* * * 13 *", "its month \"13\": "),
        ("* * * * 8", "its weekday \"8\": "),
        ("0 a * * *", "its hour \"a\": it contains illegal character 'A' in part 'A'"),
        ("* * * * ü", "its weekday \"ü\": "),
        ("5-1 * * * *", "its minute \"5-1\": "),
    ] {
        let words = words(Cron::parse(text));
        assert!(words.contains(&format!("is no cron line: {why}")) && words.ends_with(FIX), "{words}");
    }
    assert!(words(Cron::parse(&format!("{} * * * *", "1,".repeat(200)))).contains("it is too long"));
}

#[test]
fn a_moment_that_never_comes_is_refused() {
    for fields in ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 0 31 2 *"] {
        assert_eq!(words(Cron::parse(fields)), format!("\"{fields}\" never fires: no such day exists; write a day that its month has"));
    }
    for fields in ["0 0 29 2 *", "0 0 31 2 1", "59 23 31 12 *"] {
        assert!(Cron::parse(fields).is_ok(), "{fields}");
    }
}

#[test]
fn a_time_zone_is_known_by_its_name_and_a_slip_finds_it() {
    assert_eq!(zone("europe/berlin").name(), "Europe/Berlin");
    assert_eq!((zone("UTC"), Zone::default().name()), (Zone::default(), "UTC"));
    for (name, fix) in [
        ("Europe/Berln", "did you mean \"Europe/Berlin\"?"),
        ("berlin", "did you mean \"Europe/Berlin\"?"),
        ("new york", "did you mean \"America/New_York\"?"),
        ("", "write \"UTC\" or a name of the IANA database, as \"Europe/Berlin\""),
        ("Middle Earth", "write \"UTC\" or a name of the IANA database, as \"Europe/Berlin\""),
        ("../../etc/passwd", "write \"UTC\" or a name of the IANA database, as \"Europe/Berlin\""),
    ] {
        assert_eq!(words(Zone::parse(name)), format!("{} is no time zone; {fix}", crate::suggest::quote(name)));
    }
}

#[test]
fn cron_lines_follow_the_calendar() {
    assert_eq!(
        runs("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 3),
        ["2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00", "2036-02-29T00:00:00+00:00"]
    );
    assert_eq!(runs("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1), ["2104-02-29T00:00:00+00:00"]);
    assert_eq!(runs("30 23 31 12 *", "UTC", "2026-12-31T23:30:00Z", 1), ["2027-12-31T23:30:00+00:00"]);
    assert_eq!(runs("* * * * *", "UTC", "2026-12-31T23:59:59.999Z", 2), ["2027-01-01T00:00:00+00:00", "2027-01-01T00:01:00+00:00"]);
    assert_eq!(runs("*/20 * * * * *", "UTC", "2026-12-31T23:59:39Z", 2), ["2026-12-31T23:59:40+00:00", "2027-01-01T00:00:00+00:00"]);
    assert_eq!(runs("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", 2), ["2026-03-31T00:00:00+00:00", "2026-05-31T00:00:00+00:00"]);
}

#[test]
fn weekdays_0_and_7_are_sunday() {
    for weekday in ["0", "7", "sun"] {
        assert_eq!(runs(&format!("0 0 * * {weekday}"), "UTC", "2026-03-02T00:00:00Z", 1), ["2026-03-08T00:00:00+00:00"], "{weekday}");
    }
    assert_eq!(runs("0 0 * * 1", "UTC", "2026-03-02T00:00:00Z", 1), ["2026-03-09T00:00:00+00:00"]);
}

/// Days on which clocks were changed: the cron line, the zone, a moment before, and the runs from there.
#[test]
fn a_skipped_hour_runs_once_and_a_doubled_one_not_twice() {
    let table: &[(&str, &str, &str, &[&str])] = &[
        // New York, spring: 2:00 becomes 3:00.
        ("30 2 * * *", "America/New_York", "2026-03-08T05:00:00Z", &["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"]),
        ("0 1 * * *", "America/New_York", "2026-03-08T05:00:00Z", &["2026-03-08T01:00:00-05:00", "2026-03-09T01:00:00-04:00"]),
        ("*/30 * * * *", "America/New_York", "2026-03-08T06:30:00Z", &["2026-03-08T03:00:00-04:00", "2026-03-08T03:30:00-04:00"]),
        // New York, autumn: 2:00 becomes 1:00.
        ("30 1 * * *", "America/New_York", "2026-11-01T04:00:00Z", &["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"]),
        ("30 1 * * *", "America/New_York", "2026-11-01T05:45:00Z", &["2026-11-02T01:30:00-05:00"]),
        (
            "*/30 * * * *",
            "America/New_York",
            "2026-11-01T05:00:00Z",
            &["2026-11-01T01:30:00-04:00", "2026-11-01T01:00:00-05:00", "2026-11-01T01:30:00-05:00", "2026-11-01T02:00:00-05:00"],
        ),
        // Berlin: 2:00 becomes 3:00, 3:00 becomes 2:00.
        ("0 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", &["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"]),
        ("59 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", &["2026-03-29T03:00:00+02:00", "2026-03-30T02:59:00+02:00"]),
        ("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", &["2026-03-29T03:00:00+02:00", "2026-03-30T03:00:00+02:00"]),
        ("15 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", &["2026-10-25T02:15:00+02:00", "2026-10-26T02:15:00+01:00"]),
        // Lord Howe moves by half an hour: 2:00 becomes 2:30, and back.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", &["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", &["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"]),
        // Cairo changes at midnight: 0:00 becomes 1:00, and 0:00 becomes 23:00 of the day before.
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", &["2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"]),
        ("30 23 * * *", "Africa/Cairo", "2026-10-29T12:00:00Z", &["2026-10-29T23:30:00+03:00", "2026-10-30T23:30:00+02:00"]),
        ("0 0 * * *", "Africa/Cairo", "2026-10-29T12:00:00Z", &["2026-10-30T00:00:00+02:00", "2026-10-31T00:00:00+02:00"]),
    ];
    for (fields, place, after, expected) in table {
        assert_eq!(runs(fields, place, after, expected.len()), *expected, "{fields} {place} {after}");
    }
}

#[test]
fn intervals_count_from_the_last_run_or_from_now() {
    let (utc, now) = (Zone::default(), Stamp::from_millis(1_000_000_000));
    let every = Trigger::Every(HOUR);
    let minutes = |count: u64| now.plus_millis(count * 60_000);
    assert_eq!(every.next(None, now, &utc, HOUR, 0.0), Some(minutes(60)));
    assert_eq!(every.next(None, now, &utc, HOUR, 1.0), Some(minutes(63)), "a twentieth");
    assert_eq!(Trigger::Every(HOUR * 24).next(None, now, &utc, HOUR, 1.0), Some(minutes(24 * 60 + 5)), "at most five minutes");
    assert_eq!(every.next(None, now, &utc, HOUR, f64::NAN), Some(minutes(60)));
    assert_eq!(every.next(Some(now), minutes(500), &utc, HOUR, 0.0), Some(minutes(60)), "missed: at once");
    assert_eq!(Trigger::Refresh.next(None, now, &utc, HOUR, 0.5), Some(now.plus_millis(61 * 60_000 + 30_000)));
    assert_eq!(Trigger::Refresh.next(None, now, &utc, Duration::ZERO, 0.0), None);
    assert_eq!(Trigger::Startup.next(None, now, &utc, HOUR, 0.0), None);
    assert_eq!(Trigger::Every(Duration::ZERO).next(None, now, &utc, HOUR, 0.0), Some(now.plus_millis(1000)), "never in circles");
}

#[test]
fn what_was_missed_runs_once_at_once() {
    let (trigger, utc) = (cron("0 3 * * *"), Zone::default());
    let (last, now) = (at("2026-03-01T03:00:00Z"), at("2026-03-05T12:00:00Z"));
    let due = trigger.next(Some(last), now, &utc, HOUR, 0.0).unwrap();
    assert!(due <= now);
    assert_eq!(trigger.next(Some(now), now, &utc, HOUR, 0.0), Some(at("2026-03-06T03:00:00Z")));
    assert_eq!(trigger.next(None, now, &utc, HOUR, 0.0), Some(at("2026-03-06T03:00:00Z")));
}

#[test]
fn the_next_runs_of_a_schedule_are_in_order() {
    let mut schedule = Schedule::default();
    assert_eq!(schedule.to_string(), "startup, refresh");
    for text in ["startup", "every 2h", "cron 0 3 * * *"] {
        schedule.push(Trigger::parse(text).unwrap());
    }
    assert_eq!((schedule.to_string().as_str(), schedule.runs_at_startup()), ("startup, every 2h, cron 0 3 * * *", true));
    let runs = schedule.next_runs(at("2026-03-01T00:30:00Z"), &Zone::default(), HOUR, 3);
    let shown: Vec<String> = runs.iter().map(|(moment, trigger)| format!("{} {trigger}", Zone::default().rfc3339(*moment))).collect();
    assert_eq!(
        shown,
        ["2026-03-01T02:30:00+00:00 every 2h", "2026-03-01T03:00:00+00:00 cron 0 3 * * *", "2026-03-01T04:30:00+00:00 every 2h"]
    );
    assert_eq!(
        (
            Schedule::on_demand().to_string().as_str(),
            Schedule::on_demand().next_runs(at("2026-03-01T00:30:00Z"), &Zone::default(), HOUR, 3).len()
        ),
        ("on demand", 0)
    );
}

#[test]
fn the_end_of_time_has_no_next_run() {
    let end = Stamp::from_millis(u64::MAX);
    assert_eq!(cron("* * * * *").next(Some(end), end, &Zone::default(), HOUR, 0.0), None);
    assert_eq!(Trigger::Every(HOUR).next(Some(end), end, &Zone::default(), HOUR, 0.0), Some(end));
    assert_eq!(Zone::default().rfc3339(end), "");
}

proptest::proptest! {
    #[test]
    fn the_next_run_is_always_later(
        line in "(\\*|\\*/[1-9]|[0-9]|[0-5][0-9]) (\\*|\\*/[1-9]|[0-9]|1[0-9]) (\\*|[1-9]|1[0-9]|31) \\* (\\*|[0-7])",
        place in 0_usize..5, start in 1_600_000_000_000_u64..1_900_000_000_000,
    ) {
        let place = zone(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "UTC"][place]);
        let trigger = cron(&line);
        let mut last = Stamp::from_millis(start);
        for _ in 0..50 {
            let next = trigger.next(Some(last), last, &place, HOUR, 0.0).unwrap();
            assert!(next > last, "{line} {} after {}", place.rfc3339(next), place.rfc3339(last));
            last = next;
        }
    }

    #[test]
    fn no_text_makes_a_schedule_panic(text in "(every |cron |startup)?[0-9*/,#LW@a-z? -]{0,24}", zone in ".{0,20}") {
        let _ = (Trigger::parse(&text), Zone::parse(&zone));
    }
}
