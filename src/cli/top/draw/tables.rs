//! The two tables that can be walked through: warm groups and keys.

use super::figures::{bar, share};
use super::section;
use super::theme::Theme;
use crate::cli::plan::words::{millis, number, size, span};
use crate::cli::top::rows::{Group, Key, Last, Progress, shown};
use crate::cli::top::screen::{Screen, Table as Name};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Row, Table, TableState};

/// From this width on there is room for columns that one can do without.
const WIDE: u16 = 100;

/// One row per group.
pub(super) fn groups(frame: &mut Frame<'_>, area: Rect, screen: &Screen, theme: Theme) {
    let all = screen.seen.as_ref().map_or(&[][..], |seen| &seen.groups);
    let title = format!("warm groups{}", place(screen, Name::Groups, area));
    let inner = section(frame, area, &title, screen.focus == Name::Groups, theme);
    if all.is_empty() {
        frame.render_widget(Line::styled(" there are none: see [[warm.groups]] of the configuration", theme.quiet()), inner);
        return;
    }
    let wide = area.width >= WIDE;
    let widths = [
        Constraint::Length(if wide { 24 } else { 14 }),
        Constraint::Length(if wide { 32 } else { 19 }),
        Constraint::Fill(1),
        Constraint::Length(5),
        Constraint::Length(11),
        Constraint::Length(7),
    ];
    let head = ["group", "state", "last run"].map(Text::from).into_iter().chain(["live", "used/wasted", "saved"].map(right));
    let rows = all.iter().map(|group| group_row(group, wide, theme));
    show(frame, inner, Table::new(rows, widths).header(Row::new(head).style(theme.quiet())), screen, Name::Groups, theme);
}

fn group_row(group: &Group, wide: bool, theme: Theme) -> Row<'static> {
    let style = match &group.last {
        _ if !group.enabled => theme.quiet(),
        Some(last) if !last.went_well => theme.bad(),
        _ => ratatui::style::Style::new(),
    };
    let worth = format!("{}/{}", number(group.useful), number(group.wasted));
    let cells = [
        shown(&group.name),
        state(group, if wide { 16 } else { 6 }),
        group.last.as_ref().map_or_else(|| "-".into(), |last| last_run(last, wide)),
    ];
    let figures = [number(group.live), worth, millis(group.saved_millis)].map(right);
    Row::new(cells.map(Text::from).into_iter().chain(figures)).style(style)
}

/// What the group is doing, or when it does something next.
fn state(group: &Group, width: usize) -> String {
    match (&group.progress, group.next_millis) {
        (Some(progress), _) => going_on(progress, width),
        (None, _) if group.is_running => "running".into(),
        (None, _) if !group.enabled => "switched off".into(),
        (None, Some(next)) => format!("in {}", span(next.div_ceil(1000))),
        (None, None) => "when asked".into(),
    }
}

fn going_on(progress: &Progress, width: usize) -> String {
    let left = progress.eta_millis.map_or_else(String::new, |eta| format!(" {}", span(eta.div_ceil(1000))));
    format!("{} {}/{}{left}", bar(share(progress.done, progress.planned), width), progress.done, progress.planned)
}

/// How long it took, and what became of its items: what failed first, then what most came to. On a narrow screen the first of it.
fn last_run(last: &Last, wide: bool) -> String {
    let mut fates: Vec<&(String, u64)> = last.fates.iter().collect();
    fates.sort_by_key(|(name, count)| (name != "failed", std::cmp::Reverse(*count)));
    let mut words: Vec<String> = fates.iter().map(|(name, count)| format!("{} {name}", number(*count))).collect();
    if !wide && words.len() > 1 {
        words.truncate(1);
        words[0].push_str(" \u{2026}");
    }
    if words.is_empty() {
        words.push("nothing".into());
    }
    format!("{}: {}", millis(last.millis), words.join(", "))
}

/// One row per key.
pub(super) fn keys(frame: &mut Frame<'_>, area: Rect, screen: &Screen, theme: Theme) {
    let all = screen.seen.as_ref().map_or(&[][..], |seen| &seen.keys);
    let host = common_host(all);
    let of = host.map_or_else(String::new, |host| format!(" of {host}"));
    let title = format!("{}{of}{}", screen.sort.title(), place(screen, Name::Keys, area));
    let inner = section(frame, area, &title, screen.focus == Name::Keys, theme);
    if all.is_empty() {
        frame.render_widget(Line::styled(" nothing is stored", theme.quiet()), inner);
        return;
    }
    let wide = area.width >= WIDE;
    let mut widths =
        vec![Constraint::Length(7), Constraint::Length(10), Constraint::Length(8), Constraint::Length(8), Constraint::Length(4)];
    let mut head: Vec<Text<'_>> = ["hits", "size", "age", "left"].map(right).into();
    head.push(Text::from(""));
    if wide {
        widths.extend([Constraint::Length(14), Constraint::Length(8)]);
        head.extend([Text::from("rule"), right("variants")]);
    }
    widths.push(Constraint::Fill(1));
    head.push(Text::from("key"));
    let rows = all.iter().map(|key| key_row(key, host, wide, theme));
    show(frame, inner, Table::new(rows, widths).header(Row::new(head).style(theme.quiet())), screen, Name::Keys, theme);
}

fn key_row(key: &Key, host: Option<&str>, wide: bool, theme: Theme) -> Row<'static> {
    let left = span(key.ttl_millis.unsigned_abs() / 1000);
    let left = if key.ttl_millis < 0 { format!("-{left}") } else { left };
    let mut cells: Vec<Text<'_>> = [number(key.hits), size(key.bytes), span(key.age_millis / 1000), left].map(right).into();
    cells.push(Text::from(if key.warmed { "warm" } else { "" }));
    if wide {
        cells.extend([Text::from(key.rule.clone()), right(number(key.variants))]);
    }
    let (of, path) = parts(&key.url);
    cells.push(Text::from(if host == Some(of) { path.to_owned() } else { format!("{of}{path}") }));
    Row::new(cells).style(if key.ttl_millis < 0 { theme.quiet() } else { ratatui::style::Style::new() })
}

/// The host of all keys, if they have one.
fn common_host(keys: &[Key]) -> Option<&str> {
    let (first, _) = parts(&keys.first()?.url);
    keys.iter().all(|key| parts(&key.url).0 == first).then_some(first)
}

/// Host, and the rest of a URL.
fn parts(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// Where in a table one is, if it does not fit.
fn place(screen: &Screen, table: Name, area: Rect) -> String {
    let (at, all) = (if table == Name::Keys { screen.key_at } else { screen.group_at }, screen.rows(table));
    let fits = all <= usize::from(area.height.saturating_sub(2));
    if fits { String::new() } else { format!(", {} of {}", number(at as u64 + 1), number(all as u64)) }
}

fn right(text: impl Into<Text<'static>>) -> Text<'static> {
    text.into().right_aligned()
}

fn show(frame: &mut Frame<'_>, area: Rect, table: Table<'_>, screen: &Screen, name: Name, theme: Theme) {
    let at = if name == Name::Keys { screen.key_at } else { screen.group_at };
    let mark = if screen.focus == name { theme.marked() } else { theme.strong() };
    let mut state = TableState::new().with_selected(Some(at));
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    frame.render_stateful_widget(table.row_highlight_style(mark), area, &mut state);
}
