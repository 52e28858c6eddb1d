//! `[logs]`

use super::set;
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::telemetry::log::{Format, LogSettings};

const FILE: &str = "logs.file";
const REDACT: &str = "logs.redact";

pub(super) fn check(root: &Table, findings: &mut Findings) -> LogSettings {
    let mut logs = LogSettings::default();
    set(&mut logs.format, root.text("logs.format").map(|word| if word == "pretty" { Format::Pretty } else { Format::Json }));
    set(&mut logs.sample_rate, root.fraction("logs.sample_rate"));
    set(&mut logs.slow, root.duration("logs.slow"));
    set(&mut logs.batch_delay, root.duration("logs.batch_delay"));
    set(&mut logs.batch_max, root.integer("logs.batch_max"));
    set(&mut logs.queue, root.integer("logs.queue"));
    set(&mut logs.server_timing, root.bool("logs.server_timing"));
    set(&mut logs.redact, redact(root, findings));
    let file = root.text(FILE).filter(|path| !path.is_empty());
    if file.is_some_and(|path| path.contains('\0')) {
        findings.fault(&root.place(FILE), FILE, "has a zero byte", "write the path of a file");
    }
    logs.file = file.map(Into::into);
    logs
}

/// Names of parameters, with a `*` at one end.
fn redact(root: &Table, findings: &mut Findings) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for (text, place) in root.list(REDACT)? {
        let bare = text.strip_suffix('*').or_else(|| text.strip_prefix('*')).unwrap_or(text);
        if text.is_empty() || bare.contains(['*', '&', '=', '?']) {
            let fix = "write the name of a query parameter, with a * at its beginning or its end: \"token\", \"x-amz-*\"";
            findings.fault(place, REDACT, format!("{} is no name of a query parameter", quote(text)), fix);
        } else {
            names.push(text.to_owned());
        }
    }
    Some(names)
}
