//! The file: TOML text with places, read key by key along the schema.

use crate::config::fault::{Place, Spot};
use crate::config::raw::{Findings, Table};
use crate::config::{schema, suggest};
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// The text of a configuration file, under the name by which faults call it.
pub(super) struct Document<'a> {
    path: &'a Path,
    text: &'a str,
}

/// How much of a line a fault may show.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Excerpt {
    Line,
    /// Up to the end of the span: what follows an unknown or secret key may be a secret.
    UpToHere,
}

impl<'a> Document<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        Self { path, text }
    }

    /// Reads everything into `root`. `false`: it is not TOML, and what was read means nothing.
    pub(super) fn read(&self, root: &mut Table, findings: &mut Findings) -> bool {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let mut last_line = 0;
        for error in &errors {
            let place = self.place(error.span().unwrap_or(self.text.len()..self.text.len()), Excerpt::Line);
            // One slip makes several errors in a row; the first of a line is the one that helps.
            let line = if let Place::File(spot) = &place { spot.line } else { 0 };
            if line != last_line {
                findings.fault(&place, "", format!("not TOML: {}", error.message()), syntax_fix(error.message()));
            }
            last_line = line;
        }
        if errors.is_empty() {
            self.walk(table.get_ref(), "", "", root, findings);
        }
        errors.is_empty()
    }

    fn walk(&self, table: &DeTable<'_>, schema: &str, shown: &str, into: &mut Table, findings: &mut Findings) {
        for (name, value) in table {
            let path = schema::join(schema, name.get_ref());
            let shown = schema::join(shown, &shown_name(name.get_ref()));
            let array = format!("{path}[]");
            let plain = is_bare(name.get_ref());
            if let Some(key) = schema::find(&path).filter(|_| plain) {
                let secret = key.kind == crate::config::kind::Kind::Secret;
                let place = if secret { self.place(name.span(), Excerpt::UpToHere) } else { self.place(value.span(), Excerpt::Line) };
                let items =
                    value.get_ref().as_array().map(|items| items.iter().map(|item| self.place(item.span(), Excerpt::Line)).collect());
                findings.take(into, key, &shown, place, items.unwrap_or_default(), key.kind.read(value.get_ref()));
            } else if plain && schema::has_below(&path) {
                match value.get_ref() {
                    DeValue::Table(inner) => self.walk(inner, &path, &shown, into, findings),
                    _ => findings.fault(
                        &self.place(name.span(), Excerpt::UpToHere),
                        &shown,
                        "found a plain value where a table belongs",
                        table_fix(&path, &shown, name.get_ref()),
                    ),
                }
            } else if plain && schema::has_below(&array) {
                self.walk_array(name.span(), value.get_ref(), &array, &shown, into, findings);
            } else {
                self.unknown(name.get_ref(), name.span(), schema, &shown, into, findings);
            }
        }
    }

    fn walk_array(&self, name: Range<usize>, value: &DeValue<'_>, schema: &str, shown: &str, into: &mut Table, findings: &mut Findings) {
        let items = value.as_array().map(|items| items.iter().map(|item| (item.span(), item.get_ref().as_table())));
        let tables = items.and_then(|items| items.map(|(span, table)| Some((span, table?))).collect::<Option<Vec<_>>>());
        let Some(tables) = tables else {
            let found = "found something else than an array of tables";
            findings.fault(&self.place(name, Excerpt::UpToHere), shown, found, format!("write [[{shown}]] with two brackets for each"));
            return;
        };
        for (at, (span, table)) in tables.into_iter().enumerate() {
            let mut item = Table::new(self.place(span, Excerpt::Line), format!("{shown}[{at}]"));
            let inner = item.shown.clone();
            self.walk(table, schema, &inner, &mut item, findings);
            into.push(schema, item);
        }
    }

    fn unknown(&self, name: &str, span: Range<usize>, schema: &str, shown: &str, into: &mut Table, findings: &mut Findings) {
        let known = schema::names_below(schema);
        let fix = if let Some(nearest) = suggest::nearest(name, known.iter().copied()) {
            if let Some(key) = schema::find(&schema::join(schema, nearest)) {
                into.mark_faulty(key.path);
            }
            format!("did you mean `{nearest}`?")
        } else if let Some(path) = schema::elsewhere(name) {
            format!("`{name}` belongs elsewhere: {}", path.replace("[]", "[..]"))
        } else {
            format!("remove it; known here: {}", known.join(", "))
        };
        findings.fault(&self.place(span, Excerpt::UpToHere), shown, "unknown key", fix);
    }

    fn place(&self, span: Range<usize>, excerpt: Excerpt) -> Place {
        Place::File(spot(self.path, self.text, span, excerpt))
    }
}

/// The place of the byte at `at` in `bytes` that are not all UTF-8.
pub(super) fn not_utf8(path: &Path, bytes: &[u8], at: usize) -> Place {
    let text = String::from_utf8_lossy(&bytes[..at]);
    Place::File(spot(path, &text, text.len()..text.len(), Excerpt::UpToHere))
}

fn spot(path: &Path, text: &str, span: Range<usize>, excerpt: Excerpt) -> Spot {
    let start = text.floor_char_boundary(span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let end = text.floor_char_boundary(span.end).clamp(start, line_end);
    let chars = |range: Range<usize>| text[range].chars().count();
    let (column, width) = (chars(line_start..start) + 1, chars(start..end).max(1));
    let whole = text[line_start..line_end].trim_end_matches('\r');
    let mut shown = match excerpt {
        Excerpt::Line => masked(whole),
        Excerpt::UpToHere if end < line_start + whole.len() => format!("{} ...", &text[line_start..end]),
        Excerpt::UpToHere => whole.into(),
    };
    shown = shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let longest = shown.chars().count() + 1;
    let column = column.min(longest);
    Spot {
        path: path.into(),
        line: text[..line_start].matches('\n').count() + 1,
        column,
        width: width.min(longest + 1 - column).max(1),
        text: shown,
    }
}

/// A line without its secrets: the value of a `token`, and `user:password@` of a URL.
fn masked(line: &str) -> String {
    if let Some((key, _)) = line.split_once('=')
        && key.to_ascii_lowercase().contains("token")
    {
        return format!("{key}= ***");
    }
    let mut text = line.to_owned();
    if let Some(from) = text.find("://").map(|at| at + 3) {
        let authority = text[from..].find(['/', '"', '\'']).map_or(text.len(), |at| from + at);
        if let Some(to) = text[from..authority].rfind('@').map(|at| from + at) {
            let stars = "*".repeat(text[from..to].chars().count());
            text.replace_range(from..to, &stars);
        }
    }
    text
}

/// How the table at `path` is written: under a heading of its own, or in one line where it is part of another.
fn table_fix(path: &str, shown: &str, name: &str) -> String {
    let keys = schema::names_below(path);
    if path.contains('.') {
        format!("write {name} = {{ {} }}", keys.iter().map(|key| format!("{key} = ..")).collect::<Vec<_>>().join(", "))
    } else {
        format!("write [{shown}] and its keys below: {}", keys.join(", "))
    }
}

fn is_bare(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn shown_name(name: &str) -> String {
    if is_bare(name) { name.into() } else { crate::config::kind::quote(name) }
}

fn syntax_fix(message: &str) -> &'static str {
    if message.contains("duplicate") {
        "keep one of them"
    } else {
        "write `key = value`; texts, durations and sizes stand in double quotes"
    }
}

#[cfg(test)]
mod tests {
    use super::{Excerpt, masked, spot};
    use std::path::Path;

    #[test]
    fn a_spot_counts_characters_and_stays_in_its_line() {
        let text = "a = 1\r\nä = \"b\nc\"";
        let spot = spot(Path::new("f"), text, 12..17, Excerpt::Line);
        assert_eq!((spot.line, spot.column, spot.width, spot.text.as_str()), (2, 5, 2, "ä = \"b"));
        let end = super::spot(Path::new("f"), text, text.len()..text.len(), Excerpt::Line);
        assert_eq!((end.line, end.column, end.width), (3, 3, 1));
    }

    #[test]
    fn secrets_do_not_reach_an_excerpt() {
        assert_eq!(masked("token = \"hunter2"), "token = ***");
        assert_eq!(masked("urls = [\"http://me:pw@h:1/\"]"), "urls = [\"http://*****@h:1/\"]");
        let unknown = spot(Path::new("f"), "tokn = \"hunter2\"", 0..4, Excerpt::UpToHere);
        assert_eq!(unknown.text, "tokn ...");
    }

    proptest::proptest! {
        #[test]
        fn no_text_and_no_span_make_a_spot_panic(text in ".{0,40}(\n.{0,20}){0,3}", start in 0_usize..80, length in 0_usize..20) {
            let _ = spot(Path::new("f"), &text, start..start + length, Excerpt::Line);
            let _ = spot(Path::new("f"), &text, start..start + length, Excerpt::UpToHere);
        }
    }
}
