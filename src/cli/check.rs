//! `warmfront check`: what the configuration is, or everything that is wrong with it.

use super::plan::plural;
use super::{Failure, args, report};
use crate::Cache;
use crate::config::{Config, load, units::show_duration, units::show_size};
use crate::warm::survey::{Known, Outlook};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};

pub(super) fn run(args: args::CheckArgs) -> ExitCode {
    let config = match load(args::sources(args.config)) {
        Ok(config) => config,
        Err(faults) => return Failure::Work(faults.to_string()).exit(),
    };
    report::warnings(&config.warnings);
    let summary = summary(&config);
    if args.connect {
        match connect(config) {
            Ok(line) => report::print(&format!("{summary}{line}")),
            Err(failure) => return Failure::Work(failure).exit(),
        }
    } else {
        report::print(&summary);
    }
    ExitCode::SUCCESS
}

fn summary(config: &Config) -> String {
    let source =
        config.source.as_ref().map_or_else(|| "no file: defaults, environment and flags".into(), |path| path.display().to_string());
    let listen: Vec<String> = config.server.listen.iter().map(super::house::address).collect();
    let cache = &config.cache;
    let mut text = format!("OK {source}\n");
    let _ = writeln!(text, "  listen    {}", listen.join(", "));
    let _ = writeln!(text, "  upstream  http://{}", config.upstream.authority);
    let _ = writeln!(text, "  cache     {}, objects up to {}", show_size(cache.max_bytes), show_size(cache.max_object));
    let count = cache.rules.len();
    let _ = writeln!(text, "  rules     {}", if count == 0 { "none".into() } else { count.to_string() });
    let width = cache.rules.iter().map(|rule| rule.name.len()).max().unwrap_or(0).min(30);
    for rule in &cache.rules {
        let said = if rule.pass { "pass".into() } else { rule.ttl.map_or_else(|| "-".into(), |ttl| format!("ttl {}", show_duration(ttl))) };
        let _ = writeln!(text, "    {:width$}  {said:10}  {}", rule.name, rule.path.as_str());
    }
    warm(config, &mut text);
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

/// Resolves and connects to the upstream; the line that says so, or what failed.
fn connect(config: Config) -> Result<String, String> {
    let upstream = config.upstream;
    let failed = |why: String| format!("the upstream http://{} cannot be reached\n\n{why}", upstream.authority);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(error.to_string()))?;
    // RFC 3986 section 3.2.2: a literal IPv6 address is in brackets, which are no part of it.
    let host = upstream.authority.host().trim_matches(['[', ']']).to_owned();
    let port = upstream.authority.port_u16().unwrap_or(80);
    let result = runtime.block_on(connect_within(upstream.connect_timeout, &host, port));
    // A name that is still being looked up shall not keep the process.
    runtime.shutdown_background();
    result.map_err(failed)
}

async fn connect_within(limit: Duration, host: &str, port: u16) -> Result<String, String> {
    let started = Instant::now();
    let attempt = async {
        let addresses: Vec<_> = lookup_host((host, port))
            .await
            .map_err(|error| format!("  {host}: {error}\n  fix: look for a slip in the host's name"))?
            .collect();
        let mut failures = String::new();
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(_) => return Ok(format!("  connect   {address} in {:.1} ms\n", started.elapsed().as_secs_f64() * 1000.0)),
                Err(error) => {
                    let _ = writeln!(failures, "  {address}: {error}");
                }
            }
        }
        Err(format!("{failures}  fix: start the API there, or name another in upstream.urls"))
    };
    match tokio::time::timeout(limit, attempt).await {
        Ok(result) => result,
        Err(_) => Err(format!(
            "  {host}:{port}: no answer within upstream.connect_timeout = {}\n  fix: look for a firewall, or wait longer",
            show_duration(limit)
        )),
    }
}
