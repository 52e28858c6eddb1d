//! What the admin API reads, for fuzzers: each takes any bytes.

use crate::admin::asked::parse_query;
use crate::admin::fields::Fields;

/// A body: read as every call reads it.
pub(crate) fn body(bytes: &[u8]) {
    let read = || {
        let mut fields = Fields::parse(bytes)?;
        fields.bool("async")?;
        fields.text("type")?;
        fields.number("limit", 1, 1000)?;
        fields.names("tasks", "task", &["channels", "models"])?;
        fields.switches("items", "group", &["channels", "models"])?;
        if let Some(inner) = fields.object("data")? {
            inner.finish()?;
        }
        fields.finish()
    };
    if let Err(problem) = read() {
        assert!(problem.detail().len() < 20_000, "what is sent is not sent back at length");
    }
}

/// The query of a call.
pub(crate) fn query(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(pairs) = parse_query(text)
    {
        assert!(pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= text.len());
    }
}
