//! `warmfront plan`: what would be warmed, in which order and when, without warming it; with `--admin` what a live sidecar has of it already.

mod live;
mod paper;
pub(super) mod table;
pub(super) mod words;

use super::args::{PlanArgs, PlanFormat};
use super::{Failure, args, client, house, report};
use crate::cache::settings::Settings;
use crate::config::{Config, Sources, load};
use crate::sidecar::Sidecar;
use crate::warm::survey::{Known, ListSurvey, Outlook, ask_lists};
use crate::warm::{Group, UnknownGroup};
use crate::{Cache, CacheLayer};
use paper::{Json, Paper};
use std::io::{self, BufWriter};
use std::process::ExitCode;
use std::sync::Arc;
use table::Table;
use tower_layer::Layer as _;
pub(super) use words::plural;

/// Items of a group that a table shows unless it is told.
const SHOWN: usize = 20;

pub(super) fn run(args: PlanArgs) -> ExitCode {
    let most = args.items.map_or(if args.format == PlanFormat::Table { SHOWN } else { usize::MAX }, |items| items.0);
    let mut paper: Box<dyn Paper> = match args.format {
        PlanFormat::Table => Box::new(Table::new(BufWriter::new(io::stdout().lock()), most)),
        PlanFormat::Json => Box::new(Json::new(BufWriter::new(io::stdout().lock()))),
    };
    let planned = match &args.admin {
        Some(url) => live::plan(url.as_deref(), &args, most, &mut *paper),
        None => offline(args, most, &mut *paper),
    };
    match planned {
        Ok(code) => code,
        Err(failure) => failure.exit(),
    }
}

/// How writing a plan ended: well, with something that could not be done, or because nobody reads on, which is nobody's fault.
fn ended(written: io::Result<usize>) -> Result<ExitCode, Failure> {
    match written {
        Ok(0) => Ok(ExitCode::SUCCESS),
        Ok(problems) => {
            let lists = if problems == 1 { "1 list".into() } else { format!("{problems} lists") };
            Err(Failure::Work(format!("{lists} could not be had: what is made from it is not in the plan")))
        }
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::Work(format!("the plan cannot be written: {error}"))),
    }
}

/// The plan of the configuration.
fn offline(args: PlanArgs, most: usize, paper: &mut dyn Paper) -> Result<ExitCode, Failure> {
    let config = load(Sources { set: args.set.set, ..args::sources(args.config) })?;
    report::warnings(&config.warnings);
    let listener = config.server.listen.iter().find_map(house::site);
    let cache = keys_and_rules(&config.cache);
    let outlook = Outlook::offline(&cache, &config.warm, listener.as_ref());
    let groups = chosen(outlook.groups(), &args.group)?;
    let asked = !args.offline && groups.iter().any(|group| !group.sources.is_empty());
    let known = if asked { ask(&config, &outlook, &groups)? } else { groups.iter().map(|_| Known::default()).collect() };
    let source = config.source.as_ref().map(|path| path.display().to_string());
    ended(write(&outlook, &groups, &known, source.as_deref(), most, paper))
}

/// Writes group by group, item by item; how many problems there were.
fn write(
    outlook: &Outlook<'_>,
    groups: &[&Group],
    known: &[Known],
    source: Option<&str>,
    most: usize,
    paper: &mut dyn Paper,
) -> io::Result<usize> {
    let mut survey = outlook.survey(Vec::new());
    paper.begin(&survey.head_json(), source)?;
    for (group, known) in groups.iter().zip(known) {
        let counts = outlook.group(group, known);
        paper.group(&survey.group_json(&counts))?;
        for item in outlook.items(group, known).take(most) {
            paper.item(&item.to_json())?;
        }
        survey.groups.push(counts);
    }
    paper.end(&survey.totals_json())?;
    Ok(survey.groups.iter().flat_map(|group| &group.lists).filter_map(ListSurvey::problem).count())
}

/// A cache that is asked for keys and rules, and holds nothing worth its room.
fn keys_and_rules(settings: &Settings) -> Cache {
    Cache::builder().settings(settings.clone()).build()
}

/// The groups that were named, or all.
fn chosen<'a>(groups: Vec<&'a Group>, names: &[String]) -> Result<Vec<&'a Group>, Failure> {
    if let Some(name) = names.iter().find(|name| !groups.iter().any(|group| *group.name == ***name)) {
        let known = groups.iter().map(|group| Arc::clone(&group.name)).collect();
        return Err(Failure::Usage(format!("--group: {}", UnknownGroup { name: name.clone(), known })));
    }
    Ok(groups.into_iter().filter(|group| names.is_empty() || names.iter().any(|name| *group.name == **name)).collect())
}

/// Asks for the lists through the configured upstream, with a cache of its own in front: a list that two groups take is asked for once if it may be.
fn ask(config: &Config, outlook: &Outlook<'_>, groups: &[&Group]) -> Result<Vec<Known>, Failure> {
    let lists = client::block_on(async {
        let sidecar = Sidecar::new(config.server.clone(), config.upstream.clone());
        let service = CacheLayer::new(keys_and_rules(&config.cache)).layer(sidecar.upstream());
        ask_lists(service, &config.warm, outlook.hosts(), groups).await
    })?;
    Ok(lists.into_iter().map(Known::lists).collect())
}
