//! `warmfront check`: what the configuration is, or everything that is wrong with it.

mod connect;
mod json;

use super::house::names;
use super::plan::plural;
use super::{Failure, args, report};
use crate::Cache;
use crate::config::{Config, Faults, json_schema, load, units::show_duration, units::show_size};
use crate::sidecar::Sidecar;
use crate::warm::survey::{Known, Outlook};
use args::{CheckArgs, CheckFormat};
use connect::{Reached, Unreached};
use std::fmt::Write as _;
use std::process::ExitCode;

pub(super) fn run(args: CheckArgs) -> ExitCode {
    if args.schema {
        report::print(&json_schema());
        return ExitCode::SUCCESS;
    }
    let (format, connect) = (args.format, args.connect);
    let loaded = load(args.sources());
    let reached = loaded.as_ref().ok().filter(|_| connect).map(|config| connect::reach(&config.upstream));
    match format {
        CheckFormat::Text => text(loaded, reached),
        CheckFormat::Json => json::print(loaded, reached),
    }
}

fn text(loaded: Result<Config, Faults>, reached: Option<Result<Vec<Reached>, Vec<Unreached>>>) -> ExitCode {
    let config = match loaded {
        Ok(config) => config,
        Err(faults) => return Failure::from(faults).exit(),
    };
    report::warnings(&config.warnings);
    if let Err(fault) = Sidecar::try_certificate(&config.server) {
        return Failure::Work(fault).exit();
    }
    let connected = match reached {
        Some(Ok(reached)) => reached.iter().map(|reached| format!("  connect   {reached}\n")).collect(),
        Some(Err(unreached)) => {
            let texts: Vec<String> = unreached.iter().map(ToString::to_string).collect();
            return Failure::Work(texts.join("\n\n")).exit();
        }
        None => String::new(),
    };
    report::print(&format!("{}{connected}", summary(&config)));
    ExitCode::SUCCESS
}

/// `OK warmfront.toml`
fn headline(config: &Config) -> String {
    let source =
        config.source.as_ref().map_or_else(|| "no file: defaults, environment and flags".into(), |path| path.display().to_string());
    format!("OK {source}")
}

fn summary(config: &Config) -> String {
    let listen: Vec<String> = config.server.listen.iter().map(super::house::address).collect();
    let cache = &config.cache;
    let mut text = headline(config) + "\n";
    let _ = writeln!(text, "  listen    {}", listen.join(", "));
    let _ = writeln!(text, "  upstream  {}", names(&config.upstream.origins));
    let _ = writeln!(text, "  cache     {}, objects up to {}", show_size(cache.max_bytes), show_size(cache.max_object));
    let count = cache.rules.len();
    let _ = writeln!(text, "  rules     {}", if count == 0 { "none".into() } else { count.to_string() });
    let width = cache.rules.iter().map(|rule| rule.name.len()).max().unwrap_or(0).min(30);
    for rule in &cache.rules {
        let said = if rule.pass { "pass".into() } else { rule.ttl.map_or_else(|| "-".into(), |ttl| format!("ttl {}", show_duration(ttl))) };
        let _ = writeln!(text, "    {:width$}  {said:10}  {}", rule.name, rule.path.as_str());
    }
    warm(config, &mut text);
    #[cfg(feature = "otel")]
    if let Some(otlp) = &config.otlp {
        let _ = writeln!(text, "  spans     {}", otlp.endpoint());
    }
    text
}

/// A line per warm group: what it plans without its lists, and when it runs.
fn warm(config: &Config, text: &mut String) {
    let cache = Cache::builder().settings(config.cache.clone()).build();
    let (outlook, known) = (Outlook::offline(&cache, &config.warm, None), Known::default());
    let groups = outlook.groups();
    let said = match groups.len() {
        0 => "no groups".into(),
        count => plural(count as u64, "group"),
    };
    let _ = writeln!(text, "  warm      {said}{}", if config.warm.enabled { "" } else { ", off: warm.enabled = false" });
    let mut rows: Vec<(&str, String, String)> = Vec::new();
    for group in groups {
        let survey = outlook.group(group, &known);
        let lists = if survey.lists.is_empty() { String::new() } else { format!(" + {}", plural(survey.lists.len() as u64, "list")) };
        let items = plural(survey.tally.items, "item") + &lists;
        rows.push((&group.name, items, if group.enabled { survey.words } else { "off: enabled = false".into() }));
    }
    let width = |of: fn(&(&str, String, String)) -> usize| rows.iter().map(of).max().unwrap_or(0).min(30);
    let (names, items) = (width(|row| row.0.len()), width(|row| row.1.len()));
    for (name, planned, when) in &rows {
        let _ = writeln!(text, "    {name:names$}  {planned:items$}  {when}");
    }
}
