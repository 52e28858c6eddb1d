//! Readers' requests by how they ended: rates, percentiles, and how it has gone.

use super::figures::{latency, rate, whole};
use super::section;
use super::theme::Theme;
use crate::cli::top::screen::Screen;
use crate::cli::top::trail::WINDOW;
use crate::telemetry::Outcome;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{RenderDirection, Sparkline};

/// Columns before the sparkline.
const COLUMNS: u16 = 66;

/// One row per outcome.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, screen: &Screen, outcomes: &[Outcome], theme: Theme) {
    let all = screen.trail.outcomes(usize::MAX).len();
    let more = if all > outcomes.len() { format!(", {} more outcomes on a taller screen", all - outcomes.len()) } else { String::new() };
    let title = format!("readers: latency of the last {} s{more}", WINDOW.as_secs());
    let inner = section(frame, area, &title, false, theme);
    if outcomes.is_empty() {
        frame.render_widget(Line::styled(" nobody has asked for anything yet", theme.quiet()), inner);
        return;
    }
    let head = format!(" {:<11} {:>8} {:>12} {:>9} {:>9} {:>9}", "outcome", "per s", "in all", "p50", "p90", "p99");
    let mut rows = inner.rows();
    if let Some(area) = rows.next() {
        frame.render_widget(Line::styled(head, theme.quiet()), area);
    }
    for (outcome, area) in outcomes.iter().zip(rows) {
        row(frame, area, screen, *outcome, theme);
    }
}

fn row(frame: &mut Frame<'_>, area: Rect, screen: &Screen, outcome: Outcome, theme: Theme) {
    let [left, right] = Layout::horizontal([Constraint::Length(COLUMNS), Constraint::Min(0)]).areas(area);
    let trail = &screen.trail;
    let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| latency(trail.latency(outcome, share)));
    let (now, all) = (rate(trail.rate(Some(outcome))), whole(trail.count(outcome)));
    let text = format!(" {:<11} {now:>8} {all:>12} {p50:>9} {p90:>9} {p99:>9}", outcome.as_str());
    let style = match outcome {
        Outcome::Refused | Outcome::Failed => theme.bad(),
        Outcome::Hit => theme.good(),
        _ => ratatui::style::Style::new(),
    };
    frame.render_widget(Line::styled(text, style), left);
    let end = Rect { width: right.width.saturating_sub(1), ..right };
    sparkline(frame, end, &trail.points(Some(outcome)), theme);
}

/// The newest point at the right.
pub(super) fn sparkline(frame: &mut Frame<'_>, area: Rect, points: &[u64], theme: Theme) {
    let newest_first = points.iter().rev().take(usize::from(area.width)).copied();
    let line = Sparkline::default().data(newest_first).direction(RenderDirection::RightToLeft).style(theme.bar());
    frame.render_widget(line, area);
}
