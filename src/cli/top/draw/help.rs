//! What the keys do, and what the words mean.

use super::section;
use super::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};

const HELP: [(&str, &str); 17] = [
    ("q, Esc, Ctrl-C", "end it"),
    ("Tab", "the other table"),
    ("arrows, j, k", "up and down; Page Up, Page Down, Home and End too"),
    ("s", "sort keys by hits, bytes, age or time left"),
    ("w", "warm the group that is marked"),
    ("", ""),
    ("hit ratio", "hits and stale ones of all lookups"),
    ("in flight", "requests that hold one of the origin's places"),
    ("live, warm, refresh", "for whom the origin is asked: readers, warming, renewal"),
    ("refused", "errors of warmfront's own, a 503 or 413 for instance"),
    ("in all", "since the sidecar started"),
    ("", ""),
    ("live (group)", "warmed copies that are stored now"),
    ("used", "warmed copies that a reader has hit"),
    ("wasted", "warmed copies that went without a hit"),
    ("saved", "time of the origin that readers did not wait for"),
    ("left (key)", "freshness left; with a minus: how long it is over"),
];

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let inner = section(frame, area, "help", true, theme);
    let line = |(name, what): &(&'static str, &'static str)| {
        Line::from(vec![Span::styled(format!(" {name:<20} "), theme.strong()), Span::raw(*what)])
    };
    frame.render_widget(Text::from(HELP.iter().map(line).collect::<Vec<_>>()), inner);
}
