//! Several origins: how each does, those in trouble first.

use super::section;
use super::theme::Theme;
use crate::cli::plan::words::number;
use crate::cli::top::rows::Origin;
use crate::cli::top::screen::Screen;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// From this height on there is room for them; lower down their number in the summary must do.
const TALL: u16 = 20;
/// The share of the rows that they may have.
const SHARE: u16 = 8;
/// Columns behind the name, and those of them that one can do without on a narrow screen.
const FIGURES: usize = 60;
const EJECTIONS: usize = 16;
/// From this width on nobody must.
const WIDE: usize = 90;

/// Rows that they take: none where one origin is all there is.
pub(super) fn rows(screen: &Screen, height: u16) -> u16 {
    let origins = all(screen).len();
    if origins < 2 || height < TALL {
        return 0;
    }
    u16::try_from(origins).unwrap_or(u16::MAX).min(height / SHARE) + 1
}

/// How many of them are up, where there are several.
pub(super) fn up(screen: &Screen, theme: Theme) -> Span<'static> {
    let (all, up) = (all(screen), all(screen).iter().filter(|origin| origin.up).count());
    match all.len() {
        0 | 1 => Span::raw(""),
        count if up == count => Span::raw(format!("{count} up, ")),
        count => Span::styled(format!("{up} of {count} up, "), theme.bad()),
    }
}

/// A row for each, as far as there is room.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, screen: &Screen, theme: Theme) {
    if area.height < 2 {
        return;
    }
    let mut origins: Vec<&Origin> = all(screen).iter().collect();
    origins.sort_by_key(|origin| (origin.up, origin.breaker.is_none())); // the others in the order of the settings
    let more = origins.len().saturating_sub(usize::from(area.height - 1));
    let more = if more > 0 { format!(", {more} more on a taller screen") } else { String::new() };
    let inner = section(frame, area, &format!("origins{more}"), false, theme);
    for (origin, area) in origins.into_iter().zip(inner.rows()) {
        frame.render_widget(row(origin, usize::from(area.width), theme), area);
    }
}

fn row(origin: &Origin, width: usize, theme: Theme) -> Line<'static> {
    let (state, style) = match &origin.breaker {
        Some(breaker) => (breaker.clone(), theme.bad()),
        None if origin.up => ("up".into(), theme.good()),
        None => ("ejected".into(), theme.bad()),
    };
    let mut figures = format!("{:>6} in flight{:>8} failures", number(origin.in_flight), number(origin.failures));
    let mut columns = FIGURES - EJECTIONS;
    if width >= WIDE {
        figures += &format!("{:>6} ejections", number(origin.ejections));
        columns = FIGURES;
    }
    let width = width.saturating_sub(columns);
    let name: String = origin.name.chars().take(width).collect();
    Line::from(vec![Span::raw(format!(" {name:<width$} ")), Span::styled(format!("{state:<9}"), style), Span::raw(figures)])
}

fn all(screen: &Screen) -> &[Origin] {
    screen.seen.as_ref().map_or(&[], |seen| &seen.origins)
}
