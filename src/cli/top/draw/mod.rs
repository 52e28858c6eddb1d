//! The screen, painted: a function of what it knows and of nothing else.

mod figures;
mod head;
mod help;
mod origins;
mod readers;
mod tables;
mod theme;

use super::screen::{Screen, Table};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Paragraph, Wrap};
use theme::Theme;

/// What everything needs at least: columns and rows.
const LEAST: (u16, u16) = (60, 16);
/// Rows of a section before its own: the rule, and the names of the columns.
const HEADS: usize = 2;

/// Paints all of it.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let (area, theme) = (frame.area(), Theme { colour: screen.colour });
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let words = format!("too small: {} by {} at least; q ends", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(words).wrap(Wrap { trim: true }), area);
        return;
    }
    let [title, middle, foot] = Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    head::title(frame, title, screen, theme);
    foot_line(frame, foot, screen, theme);
    if screen.help {
        help::draw(frame, middle, theme);
    } else if screen.seen.is_some() {
        body(frame, middle, screen, theme);
    } else {
        nothing_yet(frame, middle, screen);
    }
}

fn body(frame: &mut Frame<'_>, area: Rect, screen: &Screen, theme: Theme) {
    // Several origins have an eighth of the rows; of what is left readers have a third at most, groups what readers leave of two thirds, and keys the rest.
    let origins = origins::rows(screen, area.height);
    let third = usize::from(area.height.saturating_sub(head::SUMMARY + origins) / 3);
    let outcomes = screen.trail.outcomes(third.saturating_sub(HEADS).max(1));
    let readers = outcomes.len().max(1);
    let groups = screen.rows(Table::Groups).clamp(1, (2 * third).saturating_sub(2 * HEADS + readers).max(1));
    let [one, two, three, four] = [head::SUMMARY, origins, rows(readers + HEADS), rows(groups + HEADS)].map(Constraint::Length);
    let [summary, origins, readers, groups, keys] = Layout::vertical([one, two, three, four, Constraint::Min(3)]).areas(area);
    head::summary(frame, summary, screen, theme);
    origins::draw(frame, origins, screen, theme);
    readers::draw(frame, readers, screen, &outcomes, theme);
    tables::groups(frame, groups, screen, theme);
    tables::keys(frame, keys, screen, theme);
}

fn rows(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// A rule across the screen with a title; what is inside is below it.
fn section(frame: &mut Frame<'_>, area: Rect, title: &str, chosen: bool, theme: Theme) -> Rect {
    let style = if chosen { theme.chosen() } else { theme.quiet() };
    let block = Block::new().borders(Borders::TOP).border_style(style).title(Line::styled(format!(" {title} "), style));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

fn nothing_yet(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let words = screen.trouble.as_ref().map_or_else(|| format!("asking {} ...", screen.address), |why| format!("{why}; trying again"));
    let middle =
        Rect { x: area.x + 2, y: area.y + area.height / 3, width: area.width - 4, height: area.height.saturating_sub(area.height / 3) };
    frame.render_widget(Paragraph::new(words).wrap(Wrap { trim: true }), middle);
}

fn foot_line(frame: &mut Frame<'_>, area: Rect, screen: &Screen, theme: Theme) {
    let line = match (&screen.trouble, screen.message()) {
        (Some(why), _) if screen.seen.is_some() => Line::styled(format!(" {why}; trying again"), theme.bad()),
        (_, Some(words)) => Line::styled(format!(" {words}"), theme.strong()),
        _ => Line::styled(" q quit   Tab table   \u{2191}\u{2193} scroll   s sort   w warm group   ? help", theme.quiet()),
    };
    frame.render_widget(line, area);
}
