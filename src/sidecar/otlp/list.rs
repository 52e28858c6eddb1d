//! Lists as the variables of OpenTelemetry have them: `name=value,name=value`, the values percent-encoded (W3C Baggage).

use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The entries, percent-decoded; the value is `None` where there is none, or it is no text. Where nothing is between commas is no entry.
pub(super) fn entries(list: &str) -> impl Iterator<Item = (String, Option<String>)> {
    items(list).map(|entry| {
        let decoded = |text: &str| percent_decode_str(text.trim()).decode_utf8().map(Cow::into_owned).ok();
        let (key, value) = entry.split_once('=').map_or((entry, None), |(key, value)| (key, decoded(value)));
        (key.trim().to_owned(), value)
    })
}

/// What is between commas.
pub(super) fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The place of an entry, in words.
pub(super) fn ordinal(number: usize) -> String {
    match number {
        1 => "first".to_owned(),
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        _ => format!("{number}th"),
    }
}
