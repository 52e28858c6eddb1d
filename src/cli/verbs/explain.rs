//! `warmfront explain`: what a running sidecar would do with a request, and why.

use super::args::{ExplainArgs, TextOrJson};
use super::{Stop, choose_colour, exit};
use crate::cli::client::{self, Admin};
use crate::cli::learn::escape::plain;
use crate::cli::{Failure, plan::table::text};
use crate::warm::template::encode;
use console::style;
use serde_json::Value;
use std::io::{self, Write};
use std::process::ExitCode;

pub(in crate::cli) fn run(args: &ExplainArgs) -> ExitCode {
    choose_colour();
    exit(args.place.find().map_err(Stop::from).and_then(|admin| client::block_on(explain(args, &admin))?))
}

async fn explain(args: &ExplainArgs, admin: &Admin) -> Result<(), Stop> {
    let mut path = format!("/api/cache/explain?url={}", encode(&args.url));
    for (name, value) in args.header.iter().map(|line| ("header", line)).chain(args.method.iter().map(|method| ("method", method))) {
        path += &format!("&{name}={}", encode(value));
    }
    let mut told = admin.get_json(&path).await?;
    let told = if told["data"].is_object() { told["data"].take() } else { told };
    if !told["text"].is_string() {
        return Err(Failure::Work(format!("the admin API at {admin} answered with something else than an explanation")).into());
    }
    let mut out = io::stdout().lock();
    match args.format {
        TextOrJson::Json => writeln!(out, "{told}")?,
        TextOrJson::Text => screen(&told, &mut out)?,
    }
    Ok(())
}

/// The server's own words, line by line.
fn screen(told: &Value, out: &mut impl Write) -> io::Result<()> {
    for (at, line) in told["text"].as_str().unwrap_or_default().lines().enumerate() {
        let line = plain(line);
        match line.strip_prefix("  verdict") {
            _ if at == 0 => writeln!(out, "{}", style(line).bold())?,
            Some(rest) => writeln!(out, "  verdict{}", verdict(rest, &text(&told["verdict"], "outcome")))?,
            None => writeln!(out, "{line}")?,
        }
    }
    match &*text(told, "warmedBy") {
        "" => Ok(()),
        group => writeln!(out, "  warmed by   {group}"),
    }
}

fn verdict(words: &str, outcome: &str) -> String {
    let words = style(words);
    match outcome {
        "hit" => words.green(),
        "stale" => words.yellow(),
        _ => words.cyan(),
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::screen;
    use serde_json::json;

    #[test]
    fn what_the_server_says_is_escaped_line_by_line() {
        console::set_colors_enabled(false);
        let told = json!({ "text": "GET /\u{1b}[2J\n  verdict     hit: \u{7}\n  rule        a\tb\n", "warmedBy": "g\u{9b}", "verdict": { "outcome": "hit" } });
        let mut out = Vec::new();
        screen(&told, &mut out).unwrap();
        let words = "GET /\\u{1b}[2J\n  verdict     hit: \\u{7}\n  rule        a\\tb\n  warmed by   g\\u{9b}\n";
        assert_eq!(String::from_utf8(out).unwrap(), words);
    }
}
