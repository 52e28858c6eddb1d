//! What is wrong with a plan, or with a list that a plan asks for: what was found, and what to write instead.

use crate::suggest::{nearest, quote};
use crate::units::show_duration;
use crate::warm::group::MOST_ITEMS;
use crate::warm::target::LONGEST_TARGET;
use std::fmt;
use std::time::Duration;

/// Why something is no part of a plan. [`found`](Self::found) and [`fix`](Self::fix) are its two halves; `Display` shows both.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanFault {
    /// A group's name is empty, too long or not visible ASCII.
    GroupName(String),
    /// Two groups have this name.
    SameName(String),
    /// A group's `max_items` is not from 1 to a million.
    MaxItems(usize),
    /// A setting out of its bounds: its name, and what to write.
    Setting(&'static str, &'static str),
    /// This is no target of a request.
    Target(String, TargetFault),
    /// This is no path with placeholders.
    Template(String, TemplateFault),
    /// A placeholder of the path has no values.
    Unfilled(String),
    /// A placeholder that a list does not fill.
    OtherPlaceholder(String),
    /// Values for a placeholder that the path does not have; and those that it has.
    NoPlaceholder(String, Vec<String>),
    /// A dimension without values.
    NoValues(String),
    /// A dimension of this name is there already.
    Twice(String),
    /// A value of this placeholder that would change which path it is.
    Segment(String, String),
    /// A query parameter without a name.
    NoName,
    /// No name of a header.
    HeaderName(String),
    /// A header that a plan may not set.
    ForbiddenHeader(String),
    /// A value of this header that a header cannot have.
    HeaderValue(String),
    /// A header of a list without a value.
    EmptyHeader(String),
    /// An exclusion without conditions.
    ExcludesAll,
    /// An exclusion names no dimension; and the dimensions that there are.
    ExcludeKey(String, Vec<String>),
    /// An exclusion names a value (the second) that the dimension (the first) does not have; and those that it has. The values of a header are not told.
    ExcludeValue(String, String, Vec<String>),
    /// This path can become longer than a target may be.
    TooLong(String),
    /// This is no selector.
    Selector(String, SelectorFault),
    /// This is no word of a schedule.
    Trigger(String),
    /// An interval out of bounds.
    Interval(Duration),
    /// These are no fields of cron, and why.
    Cron(String, String),
    /// A cron line for a moment that never comes.
    NeverFires(String),
    /// No time zone of this name; and the one that was probably meant.
    Zone(String, Option<String>),
}

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetFault {
    /// It has a scheme and a host; what follows them.
    Absolute(String),
    /// It starts with `//`, which names a host.
    DoubleSlash,
    /// It does not start with `/`.
    NoLeadingSlash,
    /// It has a `#`.
    Fragment,
    /// It has a character that a target cannot have.
    Character(char),
    /// It is too long.
    TooLong,
}

/// Why a text is no path with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateFault {
    /// A brace without its partner.
    Brace,
    /// A placeholder whose name is not made of letters, digits, `-` and `_`.
    Name(String),
    /// It is no target, whatever the values.
    Target(TargetFault),
}

/// Why a text is no selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectorFault {
    /// It does not start with `/`.
    NoLeadingSlash,
    /// A `~` that is not `~0` or `~1`.
    Escape,
    /// It has too many steps.
    TooDeep,
}

impl PlanFault {
    /// What was found, in words.
    #[must_use]
    pub fn found(&self) -> String {
        match self {
            Self::GroupName(name) => format!("{} is no name of a group", quote(name)),
            Self::SameName(name) => format!("{} is already the name of a group", quote(name)),
            Self::MaxItems(0) => "max_items 0 would warm nothing".into(),
            Self::MaxItems(most) => format!("max_items {most} is more than a run can be asked for"),
            Self::Setting(name, _) => format!("{name} is out of its bounds"),
            Self::Target(text, why) => format!("{} {}", quote(text), why.found()),
            Self::Template(text, why) => format!("{} {}", quote(text), why.found()),
            Self::Unfilled(name) => format!("{{{name}}} in the path has no values"),
            Self::OtherPlaceholder(name) => format!("{{{name}}} in the path has no values: a list fills {{value}} only"),
            Self::NoPlaceholder(name, _) => format!("the path has no {{{}}}", plain(name)),
            Self::NoValues(name) => format!("{} has no values: nothing would be asked for", quote(name)),
            Self::Twice(name) => format!("{} is there twice", quote(name)),
            Self::Segment(name, value) => format!("{} as {{{name}}} would be another path", quote(value)),
            Self::NoName => "a query parameter has no name".into(),
            Self::HeaderName(name) => format!("{} is no name of a header", quote(name)),
            Self::ForbiddenHeader(name) => format!("{} is not the plan's to set", quote(name)),
            Self::HeaderValue(name) => format!("a value of {} is none that a header can have", quote(name)),
            Self::EmptyHeader(name) => format!("{} has no value", quote(name)),
            Self::ExcludesAll => "an exclusion without conditions leaves out everything".into(),
            Self::ExcludeKey(key, _) => format!("{} is no dimension of this combo", quote(key)),
            Self::ExcludeValue(key, value, known) if !known.is_empty() => format!("{} is no value of {}", quote(value), quote(key)),
            Self::ExcludeValue(key, ..) => format!("an exclusion names a value that {} does not have", quote(key)),
            Self::TooLong(text) => format!("{} with its longest values is longer than {LONGEST_TARGET} bytes", quote(text)),
            Self::Selector(text, _) => format!("{} is no JSON Pointer", quote(text)),
            Self::Trigger(text) => format!("{} is no word of a schedule", quote(text)),
            Self::Interval(interval) => format!("{} is no interval of a schedule", show_duration(*interval)),
            Self::Cron(text, why) => format!("{} is no cron line: {why}", quote(text)),
            Self::NeverFires(text) => format!("{} never fires: no such day exists", quote(text)),
            Self::Zone(name, _) => format!("{} is no time zone", quote(name)),
        }
    }

    /// What to write instead.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::GroupName(_) => "write 1 to 100 visible ASCII characters, as \"primary\"".into(),
            Self::SameName(_) => "give each group a name of its own".into(),
            Self::MaxItems(_) => format!("write a number from 1 to {MOST_ITEMS}; enabled = false switches a group off"),
            Self::Setting(_, fix) => (*fix).into(),
            Self::Target(_, why) => why.fix(),
            Self::Template(_, why) => why.fix(),
            Self::Unfilled(name) => format!("add params = {{ {name} = [\"..\"] }}, or take {{{name}}} out of the path"),
            Self::OtherPlaceholder(_) => "write {value}".into(),
            Self::NoPlaceholder(name, known) if known.is_empty() => {
                format!("write {{{}}} where the values belong in the path", plain(name))
            }
            Self::NoPlaceholder(name, known) => meant(name, known, "the path has"),
            Self::NoValues(_) => "write at least one value, or remove it".into(),
            Self::Twice(_) => "keep one: a name is that of a placeholder, a query parameter or a header".into(),
            Self::Segment(..) => "write a value that is not empty, \".\" or \"..\"".into(),
            Self::NoName => "write the parameter's name".into(),
            Self::HeaderName(_) => "write one, as \"accept-language\"".into(),
            Self::ForbiddenHeader(_) => {
                "remove it: headers about the host, the connection, conditions, ranges, caching and forwarding are warmfront's own".into()
            }
            Self::HeaderValue(_) => {
                "write visible ASCII characters without spaces at the ends; \"\" means that the header is not sent".into()
            }
            Self::EmptyHeader(_) => "write one, or remove it".into(),
            Self::ExcludesAll => "write name = \"value\", or remove it".into(),
            Self::ExcludeKey(key, known) => meant(key, known, "it has"),
            Self::ExcludeValue(_, value, known) if !known.is_empty() => meant(value, known, "it has"),
            Self::ExcludeValue(..) => "write one of the header's values".into(),
            Self::TooLong(_) => "shorten it".into(),
            Self::Selector(_, why) => why.fix().into(),
            Self::Trigger(text) => trigger_fix(text),
            Self::Interval(_) => "write one from 1s to 365d, as \"every 2h\"".into(),
            Self::Cron(..) => "write 5 fields, minute hour day month weekday, as \"cron 0 3 * * *\"; 6 fields start with the second".into(),
            Self::NeverFires(_) => "write a day that its month has".into(),
            Self::Zone(_, Some(near)) => format!("did you mean \"{near}\"?"),
            Self::Zone(_, None) => "write \"UTC\" or a name of the IANA database, as \"Europe/Berlin\"".into(),
        }
    }
}

impl fmt::Display for PlanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.found(), self.fix())
    }
}

impl std::error::Error for PlanFault {}

impl TargetFault {
    fn found(&self) -> String {
        match self {
            Self::Absolute(_) => "names a host: the plan asks the upstream only".into(),
            Self::DoubleSlash => "starts with `//`, which would name a host".into(),
            Self::NoLeadingSlash => "does not start with `/`".into(),
            Self::Fragment => "has a `#`: fragments are not sent".into(),
            Self::Character(c) => format!("has {}, which no target has", quote(&c.to_string())),
            Self::TooLong => format!("is longer than {LONGEST_TARGET} bytes"),
        }
    }

    fn fix(&self) -> String {
        match self {
            Self::Absolute(rest) => format!("write the path and the query alone: {}", quote(rest)),
            Self::DoubleSlash => "start with one `/`".into(),
            Self::NoLeadingSlash => "write the path from the root: \"/api/brands?page=1\"".into(),
            Self::Fragment => "remove it, or write %23".into(),
            Self::Character(c) => {
                let bytes = c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
                format!("write it percent-encoded: {bytes}")
            }
            Self::TooLong => "shorten it".into(),
        }
    }
}

impl TemplateFault {
    fn found(&self) -> String {
        match self {
            Self::Brace => "has a brace without its partner".into(),
            Self::Name(name) => format!("has {{{}}}, which is no name of a placeholder", plain(name)),
            Self::Target(why) => why.found(),
        }
    }

    fn fix(&self) -> String {
        match self {
            Self::Brace => "write placeholders as {name}; a brace of the path itself is %7B or %7D".into(),
            Self::Name(_) => "use letters, digits, - and _".into(),
            Self::Target(why) => why.fix(),
        }
    }
}

impl SelectorFault {
    const fn fix(self) -> &'static str {
        match self {
            Self::NoLeadingSlash => "start with `/`: \"/items/*/name\"",
            Self::Escape => "write ~0 for `~` and ~1 for `/` in a name",
            Self::TooDeep => "use at most 64 steps",
        }
    }
}

/// Did you mean, or what is known.
fn meant(word: &str, known: &[String], has: &str) -> String {
    if let Some(near) = nearest(word, known.iter().map(String::as_str)) {
        return format!("did you mean {}?", quote(near));
    }
    let more = if known.len() > 12 { ", .." } else { "" };
    format!("{has} {}{more}", known.iter().take(12).map(|name| quote(name)).collect::<Vec<_>>().join(", "))
}

fn trigger_fix(text: &str) -> String {
    let (word, rest) = text.trim().split_once(' ').unwrap_or((text, ""));
    let did_you_mean = |text: &str| format!("did you mean {}?", quote(text));
    if text.starts_with(|c: char| c == '*' || c.is_ascii_digit()) && text.split_whitespace().count() >= 5 {
        return did_you_mean(&format!("cron {text}"));
    }
    match nearest(word, ["startup", "refresh", "every", "cron"]) {
        Some(near @ ("startup" | "refresh")) if near != text => did_you_mean(near),
        Some("every") if word == "every" => "write \"every\" and a duration, as \"every 2h\" or \"every 1h30m\"".into(),
        Some(near @ ("every" | "cron")) if word != near => did_you_mean(&format!("{near} {rest}")),
        _ => "write \"startup\", \"refresh\", \"every 2h\" or \"cron 0 3 * * *\"".into(),
    }
}

fn plain(name: &str) -> String {
    quote(name).trim_matches('"').into()
}

/// Why an answer is no list of values.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceFault {
    /// The body is longer than [`MOST_BYTES`](crate::warm::source::MOST_BYTES).
    TooLarge,
    /// The body is not JSON: line and column, from 1, and why.
    NotJson(usize, usize, String),
    /// There is nothing at this place, which is the first on the selector's way that is missing.
    Missing(String),
    /// `*` at this place (the first), but there is this (the second) instead of a list or an object.
    NoMembers(String, &'static str),
}

impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the answer is longer than {} MiB", crate::warm::source::MOST_BYTES >> 20),
            Self::NotJson(line, column, why) => write!(f, "the answer is not JSON: {why} in line {line}, column {column}"),
            Self::Missing(step) => write!(f, "the answer has no {}", plain(step)),
            Self::NoMembers(step, kind) if step.is_empty() => write!(f, "the answer is {kind}, not a list"),
            Self::NoMembers(step, kind) => write!(f, "the answer's {} is {kind}, not a list", plain(step)),
        }
    }
}

impl std::error::Error for SourceFault {}
