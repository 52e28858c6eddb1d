//! The file: TOML text with places, read key by key along the schema.

use crate::config::fault::{Place, Spot};
use crate::config::kind::{Kind, Value};
use crate::config::map::{self, Part};
use crate::config::raw::{Findings, Table};
use crate::config::schema::Key;
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
            let shown = schema::join(shown, &map::key_text(name.get_ref()));
            let array = format!("{path}[]");
            let plain = map::is_bare(name.get_ref());
            if let Some(key) = schema::find(&path).filter(|_| plain) {
                let secret = key.kind == Kind::Secret;
                let place = if secret { self.place(name.span(), Excerpt::UpToHere) } else { self.place(value.span(), Excerpt::Line) };
                match (key.kind, value.get_ref()) {
                    (Kind::AnyMap, DeValue::Table(inner)) => {
                        let map = map::read(inner, place.clone(), &shown, |span, part| self.place_inside(key, span, part), findings);
                        findings.take_map(into, key, place, map.map(Value::Map));
                    }
                    (Kind::AnyMaps, DeValue::Array(items)) if items.iter().all(|item| item.get_ref().is_table()) => {
                        let inner = items.iter().filter_map(|item| Some((item.span(), item.get_ref().as_table()?))).enumerate();
                        let maps: Vec<_> = inner
                            .map(|(at, (span, table))| {
                                let item = self.place(span, Excerpt::Line);
                                map::read(table, item, &format!("{shown}[{at}]"), |span, part| self.place_inside(key, span, part), findings)
                            })
                            .collect();
                        findings.take_map(into, key, place, maps.into_iter().collect::<Option<_>>().map(Value::Maps));
                    }
                    (kind, value) => {
                        let items = value.as_array().map(|items| items.iter().map(|item| self.place(item.span(), Excerpt::Line)).collect());
                        findings.take(into, key, &shown, place, items.unwrap_or_default(), kind.read(value));
                    }
                }
            } else if plain && schema::has_below(&path) {
                match value.get_ref() {
                    // In a list of tables it was put there to say something: an empty `per_identity` would keep nobody's copies apart.
                    DeValue::Table(inner) if inner.is_empty() && path.contains("[]") => {
                        findings.fault(
                            &self.place(name.span(), Excerpt::Line),
                            &shown,
                            "is empty: it says nothing",
                            table_fix(&path, &shown, name.get_ref()),
                        );
                    }
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

    /// A place inside a table of the user's own. Values of headers may be secrets: they are not shown, and their faults point at the name.
    fn place_inside(&self, key: &Key, span: Range<usize>, part: Part) -> Option<Place> {
        match part {
            Part::Name if key.path.ends_with(".headers") => Some(self.place(span, Excerpt::UpToHere)),
            Part::Value if key.path.ends_with(".headers") => None,
            _ => Some(self.place(span, Excerpt::Line)),
        }
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
        Excerpt::UpToHere if end < line_start + whole.len() => format!("{} ...", masked(&text[line_start..end])),
        Excerpt::UpToHere => masked(whole),
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

/// Words in the names of headers whose values are nobody's business.
const SECRETIVE: [&str; 7] = ["authorization", "cookie", "secret", "password", "api-key", "api_key", "apikey"];

/// A line without its secrets: the value of a `token`, `user:password@` of a URL, and quoted texts behind a name that keeps secrets.
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
    if let Some(from) = secretive(line) { stars_in_quotes(&text, from) } else { text }
}

/// The character behind the first secretive name that is given a value.
fn secretive(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    let named = SECRETIVE.iter().flat_map(|word| lower.match_indices(word).map(|(at, word)| at + word.len()));
    let given = named.filter(|end| {
        let rest = lower[*end..].trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-_\"' ".contains(c));
        rest.starts_with('=')
    });
    given.min().map(|end| end + lower[end..].find('=').unwrap_or(0))
}

/// `text` with a star for each character in quotes, from the byte `from` on.
fn stars_in_quotes(text: &str, from: usize) -> String {
    let mut quote = None;
    let (head, tail) = text.split_at(text.floor_char_boundary(from));
    let tail = tail.chars().map(|c| match quote {
        Some(open) if open == c => {
            quote = None;
            c
        }
        Some(_) => '*',
        None => {
            quote = Some(c).filter(|c| matches!(c, '"' | '\''));
            c
        }
    });
    head.chars().chain(tail).collect()
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
        assert_eq!(
            masked("headers = { Authorization = 'Bearer x', a = [\"é\"] }"),
            "headers = { Authorization = '********', a = [\"*\"] }"
        );
        assert_eq!(masked("{ \"x-api-key\" = \"k"), "{ \"x-api-key\" = \"*");
        assert_eq!(masked("identity = { header = \"authorization\" }"), "identity = { header = \"authorization\" }");
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
