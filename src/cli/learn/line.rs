//! One line of an access log, recognised by its own looks: files may mix formats.

use super::draft::Asked;
use super::names::Names;
use super::{json, text};

/// Reads a line; `None` if it is of no known format.
pub(super) fn read<'a>(line: &'a [u8], names: &Names) -> Option<Asked<'a>> {
    let line = line.trim_ascii_start();
    let draft = if line.first() == Some(&b'{') { json::read(line, names) } else { text::read(line, names) };
    draft?.finish()
}

#[cfg(test)]
mod tests;
