//! Who it is, and the figures that one looks at first.

use super::figures::{bar, percent, rate, share, whole};
use super::theme::Theme;
use super::{origins, readers};
use crate::cli::plan::words::{number, size, span};
use crate::cli::top::poll::Ready;
use crate::cli::top::rows::{Room, shown};
use crate::cli::top::screen::Screen;
use crate::telemetry::Source;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

/// Rows of the summary.
pub(super) const SUMMARY: u16 = 4;
/// Columns of a name in the summary.
const NAME: u16 = 11;

/// Address, version, uptime, and whether it takes requests.
pub(super) fn title(frame: &mut Frame<'_>, area: Rect, screen: &Screen, theme: Theme) {
    let totals = screen.trail.totals();
    let version = totals.and_then(|all| all.label("warmfront_build_info", "version")).map(|version| format!(" {}", shown(version)));
    let up = totals.and_then(|all| all.value("process_start_time_seconds"));
    let up = up.map(|start| format!("   up {}", span(screen.now.seconds().saturating_sub(start.max(0.0) as u64))));
    let name = Span::styled(format!(" warmfront{}", version.unwrap_or_default()), theme.strong());
    let (state, style) = state(screen, theme);
    let left = Line::from(vec![name, Span::raw(format!("   {}{}   ", screen.address, up.unwrap_or_default())), Span::styled(state, style)]);
    frame.render_widget(left, area);
    let every = format!("every {} ", crate::units::show_duration(screen.interval));
    if area.width >= 100 {
        frame.render_widget(Line::styled(every, theme.quiet()).right_aligned(), area);
    }
}

fn state(screen: &Screen, theme: Theme) -> (String, ratatui::style::Style) {
    match (&screen.trouble, screen.seen.as_ref().map(|seen| &seen.ready)) {
        (Some(_), _) => ("away".into(), theme.bad()),
        (None, Some(Ready::Yes)) => ("ready".into(), theme.good()),
        (None, Some(Ready::No(why))) if why.contains("draining") => ("draining".into(), theme.warning()),
        (None, Some(Ready::No(why))) => (why.clone(), theme.warning()),
        (None, None) => (String::new(), theme.quiet()),
    }
}

/// Ratios, rates, the origin and the cache.
pub(super) fn summary(frame: &mut Frame<'_>, area: Rect, screen: &Screen, theme: Theme) {
    let [one, two, three, four] = Layout::vertical([Constraint::Length(1); 4]).areas(area);
    let room = screen.seen.as_ref().map(|seen| seen.room).unwrap_or_default();
    let [now, all] = screen.trail.hit_ratios();
    let ratio = vec![Span::styled(percent(now), theme.strong()), Span::raw(" now, "), Span::raw(percent(all)), Span::raw(" in all")];
    halves(frame, one, ("hit ratio", ratio), ("origin", vec![origins::up(screen, theme), Span::raw(in_flight(&room))]), theme);
    let requests = vec![Span::styled(format!("{:>6}", rate(screen.trail.rate(None))), theme.strong()), Span::raw("/s")];
    halves(frame, two, ("requests", requests), ("asked/s", asked(screen)), theme);
    readers::sparkline(frame, inside(halves_of(two)[0], NAME + 10), &screen.trail.points(None), theme);
    let refused = screen.trail.refusal_rate();
    let style = if refused.is_some_and(|rate| rate > 0.0) { theme.bad() } else { ratatui::style::Style::new() };
    let refusals = screen.trail.totals().map_or(0.0, |all| all.total("warmfront_refused_total"));
    let refusals = vec![Span::styled(format!("{:>6}/s", rate(refused)), style), Span::raw(format!("  {} in all", whole(refusals)))];
    let evicted = vec![Span::raw(format!("{}/s for want of room", rate(screen.trail.eviction_rate())))];
    halves(frame, three, ("refused", refusals), ("evicted", evicted), theme);
    let mut cache = vec![Span::styled(format!(" {:<10}", "cache"), theme.quiet())];
    cache.extend(filled(&room, area.width, theme));
    frame.render_widget(Line::from(cache), four);
}

fn in_flight(room: &Room) -> String {
    let most = if room.max_in_flight == 0 { String::new() } else { format!(" of {}", number(room.max_in_flight)) };
    format!("{}{most} in flight", number(room.in_flight))
}

fn asked(screen: &Screen) -> Vec<Span<'static>> {
    Source::ALL.into_iter().map(|source| Span::raw(format!("{} {}  ", source.as_str(), rate(screen.trail.upstream_rate(source))))).collect()
}

fn filled(room: &Room, width: u16, theme: Theme) -> Vec<Span<'static>> {
    let full = share(room.bytes, room.max_bytes);
    vec![
        Span::styled(bar(full, usize::from(width / 4)), theme.bar()),
        Span::raw(format!(" {:.0} %  {} of {}  {} keys", full * 100.0, size(room.bytes), size(room.max_bytes), number(room.entries))),
    ]
}

type Named<'a> = (&'a str, Vec<Span<'a>>);

/// Two figures beside each other.
fn halves(frame: &mut Frame<'_>, area: Rect, left: Named<'_>, right: Named<'_>, theme: Theme) {
    for ((name, value), area) in [left, right].into_iter().zip(halves_of(area)) {
        let mut spans = vec![Span::styled(format!(" {name:<10}"), theme.quiet())];
        spans.extend(value);
        frame.render_widget(Line::from(spans), area);
    }
}

fn halves_of(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area)
}

/// What is left of an area behind its first columns, and a column of space at the end.
fn inside(area: Rect, columns: u16) -> Rect {
    Rect { x: area.x + columns.min(area.width), width: area.width.saturating_sub(columns + 1), ..area }
}
