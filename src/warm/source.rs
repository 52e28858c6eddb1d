//! Lists that come from the API itself: what is taken out of an answer.

use crate::warm::fault::{PlanFault, SelectorFault, SourceFault};
use crate::warm::headers;
use crate::warm::target::Target;
use crate::warm::template::Template;
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// The most bytes of an answer that is a list. Who reads it stops there: [`SourceFault::TooLarge`].
pub const MOST_BYTES: usize = 8 << 20;

/// A list of the API: where it is, what is taken from it, and the request for each of its values.
///
/// ```
/// use warmfront::warm::ListSource;
/// let brands = ListSource::new("/api/brands/top?limit=20", "/items/*/name", "/api/brands/{value}/stats").unwrap();
/// assert_eq!(brands.select.to_string(), "/items/*/name");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListSource {
    /// Where the list is.
    pub url: Target,
    /// What is taken from it.
    pub select: Selector,
    /// The target for each value, with `{value}` in its path or query.
    pub path: Template,
    /// Headers of the request for the list, and of each request that is made from it. Default none.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl ListSource {
    /// A source: the target of the list, the selector, and the path with `{value}`.
    ///
    /// # Errors
    /// One of them is malformed, or the path has another placeholder or none.
    pub fn new(url: &str, select: &str, path: &str) -> Result<Self, PlanFault> {
        Ok(Self { url: Target::parse(url)?, select: Selector::parse(select)?, path: Self::template(path)?, headers: Vec::new() })
    }

    /// Adds a header to the request for the list and to the requests that are made from it.
    ///
    /// # Errors
    /// The header is not a plan's to set, is there already, or has no such value; it cannot be empty here.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, PlanFault> {
        let header = headers::name(name)?;
        let value = headers::value(name, value)?.ok_or_else(|| PlanFault::EmptyHeader(name.into()))?;
        if self.headers.iter().any(|(known, _)| *known == header) {
            return Err(PlanFault::Twice(name.into()));
        }
        self.headers.push((header, value));
        Ok(self)
    }

    /// Reads the path of a source.
    ///
    /// # Errors
    /// It is malformed, or has another placeholder than `{value}`, or none.
    pub fn template(text: &str) -> Result<Template, PlanFault> {
        let template = Template::parse(text)?;
        if let Some(name) = template.names().find(|name| *name != "value") {
            return Err(PlanFault::OtherPlaceholder(name.into()));
        }
        if template.names().next().is_none() { Err(PlanFault::NoPlaceholder("value".into(), Vec::new())) } else { Ok(template) }
    }
}

/// A JSON Pointer (RFC 6901) in which a step `*` means every item of a list or every value of an object.
///
/// A member that is itself called `*` cannot be named.
#[derive(Clone, PartialEq, Eq)]
pub struct Selector {
    text: Box<str>,
    steps: Box<[Step]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(Box<str>),
    Every,
}

/// What was taken from an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// Texts, and numbers and booleans as texts; each once, in the order of the answer; members of an object in the order of their names.
    pub values: Vec<String>,
    /// What was in the place of a value and is none: null, lists, objects, and members of a list without what was asked for.
    pub skipped: usize,
    /// Whether there were more values than were asked for.
    pub cut: bool,
}

impl Selector {
    /// Reads a selector. `""` is the whole answer.
    ///
    /// # Errors
    /// [`PlanFault::Selector`]: it does not start with `/`, has a `~` that escapes nothing, or more than 64 steps.
    pub fn parse(text: &str) -> Result<Self, PlanFault> {
        steps(text).map(|steps| Self { text: text.into(), steps }).map_err(|why| PlanFault::Selector(text.into(), why))
    }

    /// Takes the values out of `answer`, at most `most`.
    ///
    /// # Errors
    /// [`SourceFault::Missing`] for a step that leads nowhere (behind a `*`: for no member at all), [`SourceFault::NoMembers`] for `*` on something
    /// that has no members.
    pub fn select(&self, answer: &Value, most: usize) -> Result<Selected, SourceFault> {
        let mut walk = Walk { selector: self, most, seen: HashSet::new(), found: Selected::default(), fault: None };
        walk.go(answer, 0, false)?;
        match walk.fault {
            Some(fault) if walk.found.values.is_empty() => Err(fault),
            _ => Ok(walk.found),
        }
    }

    /// The way down to before step `to`, for a fault.
    fn way(&self, to: usize) -> String {
        self.text.split('/').take(to + 1).collect::<Vec<_>>().join("/")
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn steps(text: &str) -> Result<Box<[Step]>, SelectorFault> {
    if text.is_empty() {
        return Ok(Box::default());
    }
    let rest = text.strip_prefix('/').ok_or(SelectorFault::NoLeadingSlash)?;
    let steps = rest.split('/').map(step).collect::<Result<Box<[_]>, _>>()?;
    if steps.len() > 64 { Err(SelectorFault::TooDeep) } else { Ok(steps) }
}

fn step(text: &str) -> Result<Step, SelectorFault> {
    if text == "*" {
        return Ok(Step::Every);
    }
    // RFC 6901 section 3: `~` is followed by 0 or 1; section 4: `~1` first, then `~0`.
    if text.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
        return Err(SelectorFault::Escape);
    }
    Ok(Step::Name(text.replace("~1", "/").replace("~0", "~").into()))
}

struct Walk<'a> {
    selector: &'a Selector,
    most: usize,
    seen: HashSet<String>,
    found: Selected,
    /// The first fault behind a `*`: it counts only if nothing was found.
    fault: Option<SourceFault>,
}

impl Walk<'_> {
    /// Goes from `value`, which step `at` is about. `inside`: a `*` lies behind, so one member's fault is not that of all.
    fn go(&mut self, value: &Value, at: usize, inside: bool) -> Result<(), SourceFault> {
        if self.found.cut {
            return Ok(());
        }
        let fault = match self.selector.steps.get(at) {
            None => {
                self.take(value);
                return Ok(());
            }
            Some(Step::Every) => match value {
                Value::Array(items) => return items.iter().try_for_each(|item| self.go(item, at + 1, true)),
                Value::Object(members) => return members.values().try_for_each(|member| self.go(member, at + 1, true)),
                _ => SourceFault::NoMembers(self.selector.way(at), kind(value)),
            },
            Some(Step::Name(name)) => match child(value, name) {
                Some(child) => return self.go(child, at + 1, inside),
                None => SourceFault::Missing(self.selector.way(at + 1)),
            },
        };
        if !inside {
            return Err(fault);
        }
        self.found.skipped += 1;
        self.fault.get_or_insert(fault);
        Ok(())
    }

    fn take(&mut self, value: &Value) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                self.found.skipped += 1;
                return;
            }
        };
        if self.seen.contains(&text) {
            return;
        }
        if self.found.values.len() >= self.most {
            self.found.cut = true;
            return;
        }
        self.seen.insert(text.clone());
        self.found.values.push(text);
    }
}

fn child<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(name),
        // RFC 6901 section 4: no leading zeros.
        Value::Array(items) if name == "0" || !name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()) => {
            items.get(name.parse::<usize>().ok()?)
        }
        _ => None,
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Takes at most `most` values out of the answer `body`.
///
/// # Errors
/// The body is too large or not JSON, or the selector leads nowhere.
pub fn read_source(body: &[u8], selector: &Selector, most: usize) -> Result<Selected, SourceFault> {
    if body.len() > MOST_BYTES {
        return Err(SourceFault::TooLarge);
    }
    let answer: Value = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    selector.select(&answer, most)
}

fn not_json(error: &serde_json::Error) -> SourceFault {
    let words = error.to_string();
    let why = words.split(" at line ").next().unwrap_or_default();
    SourceFault::NotJson(error.line(), error.column(), why.into())
}
