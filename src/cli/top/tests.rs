//! The screen on terminals of several sizes, and its keys.

use super::draw::draw;
use super::poll::{Look, Ready};
use super::rows::{Group, Key, Last, Origin, Progress, Room, origins};
use super::scrape::Scrape;
use super::screen::{Screen, Sort, Table, Wish};
use crate::clock::Stamp;
use proptest::prelude::{any, proptest};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use std::time::Duration;

fn at(second: u64) -> Stamp {
    Stamp::from_millis((1_700_000_000 + second) * 1000)
}

fn scrape(hits: u64, misses: u64) -> Scrape {
    let outcome = |name: &str, count: u64, le: &str| {
        let labels = format!("outcome=\"{name}\"");
        format!("warmfront_requests_total{{{labels}}} {count}\nwarmfront_request_duration_seconds_bucket{{{labels},le=\"{le}\"}} {count}\n")
    };
    Scrape::parse(&format!(
        "process_start_time_seconds 1699992000\nwarmfront_build_info{{version=\"1.2.3\"}} 1\nwarmfront_refused_total{{reason=\"queue_full\"}} 0\n\
         warmfront_upstream_requests_total{{source=\"warm\",result=\"ok\"}} {misses}\n{}{}",
        outcome("hit", hits, "0.0002"),
        outcome("miss", misses, "0.4")
    ))
}

fn group(name: &str) -> Group {
    let last = Last { millis: 1234, fates: vec![("stored".into(), 12), ("failed".into(), 1)], went_well: false };
    Group { name: name.into(), enabled: true, last: Some(last), live: 12, useful: 7, wasted: 2, saved_millis: 4321, ..Group::default() }
}

fn look(hits: u64, misses: u64) -> Look {
    let running = Progress { done: 10, planned: 40, eta_millis: Some(8400) };
    let groups = vec![
        Group { progress: Some(running), is_running: true, ..group("schools") },
        Group { next_millis: Some(7_980_000), ..group("brands") },
        Group { enabled: false, last: None, ..group("models") },
    ];
    let key = |at: u64| Key { url: format!("http://h:1/api/{at}"), hits: 1000 - at, bytes: 2048, rule: "api".into(), ..Key::default() };
    Look {
        scrape: scrape(hits, misses),
        room: Room { entries: 1234, bytes: 16 << 20, max_bytes: 64 << 20, in_flight: 3, max_in_flight: 256 },
        origins: vec![Origin { up: true, ..Origin::default() }],
        groups,
        keys: Some((Sort::Hits, (0..30).map(key).collect())),
        ready: Ready::Yes,
    }
}

fn screen() -> Screen {
    let mut screen = Screen::new("http://h:9180".into(), Duration::from_secs(1), true, at(0));
    screen.take(at(0), Ok(look(100, 100)));
    screen.take(at(2), Ok(look(160, 120)));
    screen
}

fn painted(screen: &Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, screen)).unwrap();
    let cells = terminal.backend().buffer().content();
    let rows = cells.chunks(usize::from(width)).map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>());
    rows.map(|row| row.trim_end().to_owned() + "\n").collect()
}

fn press(screen: &mut Screen, code: KeyCode) -> Wish {
    screen.press(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn everything_is_on_a_terminal_of_80_by_24() {
    let text = painted(&screen(), 80, 24);
    for part in [
        " warmfront 1.2.3   http://h:9180   up 2h 13m   ready",
        "hit ratio 75.0 % now, 57.1 % in all",
        "3 of 256 in flight",
        "requests      40/s",
        "live 0  warm 10  refresh 0",
        "25 %  16.0 MiB of 64.0 MiB  1234 keys",
        " hit               30          160",
        " miss              10          120    200 ms    360 ms    396 ms",
        " \u{2588}\u{2588}\u{2591}\u{2591}\u{2591}\u{2591} 10/40 9s",
        " brands         in 2h 13m           1.2 s: 1 failed \u{2026} ",
        "7/2   4.3 s",
        " models         switched off        -",
        " hottest keys of h:1, 1 of 30 ",
        "    1000    2.0 KiB",
        "/api/0",
        " q quit ",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("variants"), "{text}");
}

#[test]
fn a_larger_terminal_shows_more() {
    let text = painted(&screen(), 120, 40);
    for part in ["every 1s", "variants", "1.2 s: 1 failed, 12 stored", "/api/15"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn several_origins_are_shown_with_those_in_trouble_first_and_one_alone_is_not() {
    let answer = serde_json::json!({ "data": { "upstreams": [
        { "origin": "http://one:1", "up": true, "inFlight": 3, "failures": 0, "ejections": 0, "breaker": "closed" },
        { "origin": "http://two:1", "up": false, "inFlight": 0, "failures": 12, "ejections": 2, "breaker": "closed" },
        { "origin": "http://three:1", "up": false, "inFlight": 1, "failures": 1234, "ejections": 0, "breaker": "half-open" },
        { "origin": "http://four:1", "up": true },
    ] } });
    let mut screen = screen();
    assert!(!painted(&screen, 80, 24).contains("origins"));
    screen.take(at(3), Ok(Look { origins: origins(&answer), ..look(1, 1) }));
    let text = painted(&screen, 120, 50);
    let places = [
        "http://three:1",
        "half-open     1 in flight    1234 failures     0 ejections",
        "http://two:1",
        "ejected       0 in flight      12 failures     2 ejections",
        "http://one:1",
        "up            3 in flight       0 failures     0 ejections",
        "http://four:1",
    ]
    .map(|part| text.find(part).unwrap_or_else(|| panic!("{part}\n{text}")));
    assert!(places.is_sorted(), "{text}");
    assert!(text.contains("2 of 4 up, 3 of 256 in flight"), "{text}");
    let text = painted(&screen, 80, 24);
    assert!(
        text.contains(" origins, 2 more on a taller screen ")
            && text.contains("http://two:1")
            && text.contains("12 failures\n")
            && text.contains("/api/0"),
        "{text}"
    );
    let text = painted(&screen, 60, 16);
    assert!(!text.contains("http://two:1") && text.contains("2 of 4 up, 3 of"), "{text}");
}

#[test]
fn a_tiny_terminal_says_so() {
    assert_eq!(painted(&screen(), 20, 5).split_whitespace().collect::<Vec<_>>().join(" "), "too small: 60 by 16 at least; q ends");
}

#[test]
fn a_sidecar_that_is_away_leaves_the_last_picture() {
    let mut screen = Screen::new("http://h:9180".into(), Duration::from_secs(1), true, at(0));
    assert!(painted(&screen, 80, 24).contains("asking http://h:9180 ..."));
    screen.take(at(0), Err("cannot reach http://h:9180: no".into()));
    assert!(painted(&screen, 80, 24).contains("  cannot reach http://h:9180: no; trying again"));
    screen.take(at(1), Ok(look(1, 1)));
    screen.take(at(2), Err("cannot reach http://h:9180: no".into()));
    let text = painted(&screen, 80, 24);
    assert!(
        text.contains("away") && text.contains("/api/0") && text.ends_with(" cannot reach http://h:9180: no; trying again\n"),
        "{text}"
    );
    assert_eq!(press(&mut screen, KeyCode::Char('w')), Wish::Nothing, "nobody is there to warm");
    screen.take(at(3), Ok(Look { ready: Ready::No("not ready: draining".into()), ..look(1, 1) }));
    assert!(painted(&screen, 80, 24).contains("   draining\n"));
}

#[test]
fn keys_walk_within_the_table_that_tab_chose() {
    let mut screen = screen();
    for (code, focus, places) in [
        (KeyCode::Up, Table::Keys, (0, 0)),
        (KeyCode::Down, Table::Keys, (0, 1)),
        (KeyCode::PageDown, Table::Keys, (0, 11)),
        (KeyCode::End, Table::Keys, (0, 29)),
        (KeyCode::PageDown, Table::Keys, (0, 29)),
        (KeyCode::PageUp, Table::Keys, (0, 19)),
        (KeyCode::Tab, Table::Groups, (0, 19)),
        (KeyCode::Down, Table::Groups, (1, 19)),
        (KeyCode::End, Table::Groups, (2, 19)),
        (KeyCode::Tab, Table::Keys, (2, 19)),
        (KeyCode::Home, Table::Keys, (2, 0)),
    ] {
        assert_eq!(press(&mut screen, code), Wish::Nothing);
        assert_eq!((screen.focus, (screen.group_at, screen.key_at)), (focus, places), "{code:?}");
    }
    press(&mut screen, KeyCode::End);
    assert!(painted(&screen, 80, 24).contains("/api/29"), "what is marked is in sight");
    screen.take(at(3), Ok(Look { groups: vec![group("one")], keys: Some((Sort::Hits, vec![])), ..look(1, 1) }));
    assert_eq!((screen.group_at, screen.key_at), (0, 0), "rows that went are not marked");
}

#[test]
fn letters_sort_warm_help_and_quit() {
    let mut screen = screen();
    press(&mut screen, KeyCode::Tab);
    press(&mut screen, KeyCode::Down);
    assert_eq!(press(&mut screen, KeyCode::Char('w')), Wish::Warm("brands".into()));
    for sort in ["bytes", "age", "ttl", "hits"] {
        assert_eq!((press(&mut screen, KeyCode::Char('s')), screen.sort.as_str()), (Wish::Look, sort));
    }
    press(&mut screen, KeyCode::Char('?'));
    assert!(painted(&screen, 80, 24).contains("warm the group that is marked"));
    assert_eq!((press(&mut screen, KeyCode::Esc), screen.help), (Wish::Nothing, false));
    for key in [KeyEvent::from(KeyCode::Esc), KeyEvent::from(KeyCode::Char('q')), KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)]
    {
        assert_eq!(screen.press(key), Wish::Quit);
    }
    assert_eq!(screen.press(KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL)), Wish::Nothing);
}

#[test]
fn a_message_goes_by_itself() {
    let mut screen = screen();
    screen.say(at(2), "warming brands: job 4".into());
    assert!(painted(&screen, 80, 24).ends_with(" warming brands: job 4\n"));
    screen.now = at(9);
    assert!(painted(&screen, 80, 24).contains(" q quit "));
}

#[test]
fn without_colour_no_cell_has_one() {
    for (colour, coloured) in [(true, true), (false, false)] {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let mut screen = screen();
        screen.colour = colour;
        terminal.draw(|frame| draw(frame, &screen)).unwrap();
        let plain = |cell: &ratatui::buffer::Cell| cell.fg == Color::Reset && cell.bg == Color::Reset;
        assert_eq!(terminal.backend().buffer().content().iter().any(|cell| !plain(cell)), coloured);
    }
}

proptest! {
    #[test]
    fn no_size_and_no_text_makes_it_panic(size in (1_u16..220, 1_u16..70), name in any::<String>(), numbers in any::<[u64; 4]>(), help in any::<bool>()) {
        let [one, two, three, four] = numbers;
        let mut look = look(one, two);
        look.groups[0] = Group {
            name: name.clone(),
            progress: Some(Progress { done: three, planned: four, eta_millis: Some(one) }),
            next_millis: Some(two), useful: three, wasted: four, live: one, saved_millis: two, ..group("")
        };
        look.groups[1].next_millis = Some(four);
        look.keys = Some((Sort::Age, vec![Key {
            url: name.clone(), hits: one, bytes: two, age_millis: three, ttl_millis: four.cast_signed(), variants: one, ..Key::default()
        }]));
        look.origins = vec![Origin { name: name.clone(), in_flight: one, failures: two, ejections: three, ..Origin::default() }; (four % 9) as usize];
        look.room = Room { entries: one, bytes: two, max_bytes: three, in_flight: four, max_in_flight: one };
        look.ready = Ready::No(name);
        let mut screen = screen();
        screen.help = help;
        screen.take(at(three % 100), Ok(look));
        let text = painted(&screen, size.0, size.1);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}
