use super::render;
use crate::admin::Rooms;
use crate::admin::rooms::{House, get};
use crate::sidecar::Sidecar;
use crate::sidecar::settings::{ServerSettings, UpstreamSettings};
use crate::telemetry::{BOUNDS, Refusal};
use crate::warm::Group;
use crate::{Invalidation, Level, Rule, Settings};
use http::{Method, Request};
use std::collections::{BTreeMap, BTreeSet};
use tower::ServiceExt as _;

/// The metrics of the contract with their labels. `warmfront_log_events_total` comes with the logs.
const CONTRACT: [(&str, &[&str]); 24] = [
    ("process_cpu_seconds_total", &[]),
    ("process_open_fds", &[]),
    ("process_resident_memory_bytes", &[]),
    ("process_start_time_seconds", &[]),
    ("warmfront_build_info", &["version"]),
    ("warmfront_cache_bytes", &[]),
    ("warmfront_cache_entries", &[]),
    ("warmfront_cache_evictions_total", &["cause"]),
    ("warmfront_log_events_total", &["result"]),
    ("warmfront_invalidation_total", &["type"]),
    ("warmfront_refused_total", &["reason"]),
    ("warmfront_request_duration_seconds", &["outcome"]),
    ("warmfront_requests_total", &["rule", "outcome"]),
    ("warmfront_upstream_breaker", &["origin", "state"]),
    ("warmfront_upstream_duration_seconds", &[]),
    ("warmfront_upstream_ejections_total", &["origin"]),
    ("warmfront_upstream_in_flight", &[]),
    ("warmfront_upstream_requests_total", &["source", "result"]),
    ("warmfront_upstream_up", &["origin"]),
    ("warmfront_warm_duration_seconds", &["group"]),
    ("warmfront_warm_failed_total", &["group"]),
    ("warmfront_warm_items", &["group", "state"]),
    ("warmfront_warm_total", &["group"]),
    ("warmfront_warm_useful_total", &["group"]),
];

/// Labels and their values, in order.
type Labels = Vec<(String, String)>;

/// The text, read back by the grammar of the format.
#[derive(Debug, Default)]
struct Scrape {
    /// Kind of each family.
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<(String, Labels), f64>,
}

impl Scrape {
    fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (word, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
                assert!(is_name(name) && !rest.is_empty(), "{line}");
                if word == "TYPE" {
                    assert!(matches!(rest, "counter" | "gauge" | "histogram"), "{line}");
                    assert!(scrape.kinds.insert(name.into(), rest.into()).is_none(), "twice: {line}");
                } else {
                    assert_eq!(word, "HELP", "{line}");
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = match series.split_once('{') {
                Some((name, rest)) => (name, labels(rest.strip_suffix('}').unwrap())),
                None => (series, Vec::new()),
            };
            assert!(is_name(name), "{line}");
            let value = value.parse().unwrap();
            assert!(scrape.samples.insert((name.into(), labels), value).is_none(), "twice: {line}");
        }
        scrape
    }

    /// The samples of one name, by their labels.
    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Labels, f64)> {
        self.samples.iter().filter(move |((other, _), _)| other == name).map(|((_, labels), value)| (labels, *value))
    }

    /// The sum over all samples of a name that have these labels.
    fn sum(&self, name: &str, wanted: &[(&str, &str)]) -> f64 {
        let has = |labels: &Labels| wanted.iter().all(|(label, value)| labels.iter().any(|(l, v)| l == label && v == value));
        self.of(name).filter(|(labels, _)| has(labels)).map(|(_, value)| value).sum()
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn labels(mut text: &str) -> Labels {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(is_name(name), "{name}");
        let (mut value, mut at, bytes) = (String::new(), 0, rest.as_bytes());
        while bytes[at] != b'"' {
            if bytes[at] == b'\\' {
                at += 1;
                value.push(match bytes[at] {
                    b'n' => '\n',
                    plain @ (b'"' | b'\\') => plain.into(),
                    other => panic!("{other}"),
                });
            } else {
                assert_ne!(bytes[at], b'\n');
                value.push(bytes[at].into());
            }
            at += 1;
        }
        labels.push((name.to_owned(), value));
        text = rest[at + 1..].strip_prefix(',').unwrap_or(&rest[at + 1..]);
    }
    labels
}

/// A house in which something of everything has happened.
async fn lived_in() -> House {
    let odd = Rule::path("/odd/**").unwrap().named("a \"quoted\\\nname");
    let house = House::new(Settings { rules: vec![odd, Rule::path("/pass").unwrap().pass()], ..Settings::default() }, |plan| {
        plan.group(Group::new("brands").request("/warm").unwrap())
    });
    for path in ["/a", "/a", "/odd/1", "/odd/2", "/odd/1", "/pass", "/private", "/private"] {
        house.ask(get(path)).await;
    }
    house.ask(Request::builder().method(Method::POST).uri("http://h/a").body(crate::RequestBody::default()).unwrap()).await;
    house.rooms.warm.run(None, false).await.unwrap().unwrap().ended().await;
    house.ask(get("/warm")).await;
    house
}

async fn scrape(rooms: &Rooms) -> Scrape {
    Scrape::read(&render(rooms))
}

#[tokio::test]
async fn the_names_and_labels_are_those_of_the_contract() {
    let house = lived_in().await;
    let scrape = scrape(&house.rooms).await;
    let known: BTreeMap<_, _> = CONTRACT.into_iter().collect();
    assert_eq!(scrape.kinds.keys().map(String::as_str).collect::<Vec<_>>(), known.keys().copied().collect::<Vec<_>>());
    for (name, labels) in scrape.samples.keys() {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "le").collect();
        assert_eq!(known[family], names, "{name}");
        assert_eq!(name.ends_with("_total"), scrape.kinds[family] == "counter", "{name}");
    }
}

#[tokio::test]
async fn requests_by_rule_and_outcome_sum_up_to_the_requests_that_were_made() {
    let house = lived_in().await;
    let scrape = scrape(&house.rooms).await;
    let requests = |labels: &[(&str, &str)]| scrape.sum("warmfront_requests_total", labels);
    assert_eq!(requests(&[]), 10.0, "the warm run is nobody's request");
    assert_eq!(requests(&[("rule", "a \"quoted\\\nname")]), 3.0);
    assert_eq!((requests(&[("rule", "/pass")]), requests(&[("rule", "none")])), (1.0, 6.0));
    for (outcome, count) in [("hit", 3.0), ("miss", 5.0), ("pass", 2.0), ("abandoned", 0.0)] {
        assert_eq!(requests(&[("outcome", outcome)]), count, "{outcome}");
        assert_eq!(scrape.sum("warmfront_request_duration_seconds_count", &[("outcome", outcome)]), count, "{outcome}");
    }
    assert_eq!(scrape.sum("warmfront_warm_useful_total", &[("group", "brands")]), 1.0);
    assert_eq!(scrape.sum("warmfront_warm_items", &[("group", "brands"), ("state", "stored")]), 1.0);
    assert_eq!(scrape.sum("warmfront_invalidation_total", &[("type", "change")]), 1.0);
    assert_eq!(scrape.sum("warmfront_cache_entries", &[]), 4.0);
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_too() {
    let house = House::new(Settings::default(), |plan| plan);
    let mut asking = Box::pin(house.service.clone().oneshot(get("/never")));
    assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut asking).await.is_err());
    assert_eq!(scrape(&house.rooms).await.sum("warmfront_requests_total", &[]), 0.0, "it is still under way");
    drop(asking);
    let scrape = scrape(&house.rooms).await;
    assert_eq!(scrape.sum("warmfront_requests_total", &[("outcome", "abandoned")]), 1.0);
    assert_eq!(house.rooms.cache.stats().abandoned, 1);
}

#[tokio::test]
async fn histograms_are_monotonic_and_end_in_their_count() {
    let house = lived_in().await;
    let scrape = scrape(&house.rooms).await;
    let mut seen = 0;
    for (family, _) in scrape.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
        let (buckets, sum, count) = (format!("{family}_bucket"), format!("{family}_sum"), format!("{family}_count"));
        for (labels, total) in scrape.of(&count) {
            let of_these = |name| scrape.of(name).filter(|(others, _)| labels.iter().all(|label| others.contains(label)));
            let mut steps: Vec<(f64, f64)> = of_these(&buckets)
                .map(|(labels, count)| (labels.iter().find(|(name, _)| name == "le").unwrap().1.parse().unwrap(), count))
                .collect();
            steps.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert_eq!((steps.len(), steps[BOUNDS.len()]), (BOUNDS.len() + 1, (f64::INFINITY, total)));
            assert!(steps.is_sorted_by(|a, b| a.1 <= b.1), "{steps:?}");
            assert_eq!(of_these(&sum).count(), 1);
            seen += 1;
        }
    }
    assert_eq!(seen, 10);
}

#[tokio::test]
async fn every_reason_for_a_refusal_has_its_series_from_the_start() {
    let house = House::new(Settings::default(), |plan| plan);
    let ask = Request::get("http://h/a").header("cache-control", "only-if-cached").body(crate::RequestBody::default()).unwrap();
    house.ask(ask).await;
    let scrape = scrape(&house.rooms).await;
    assert_eq!(scrape.of("warmfront_refused_total").count(), Refusal::ALL.len());
    assert_eq!(scrape.sum("warmfront_refused_total", &[]), 1.0);
    assert_eq!(scrape.sum("warmfront_refused_total", &[("reason", "only-if-cached")]), 1.0);
}

#[tokio::test]
async fn the_upstream_s_attempts_and_their_time_to_a_head_are_counted() {
    let house = House::new(Settings::default(), |plan| plan);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let origin = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    });
    let sidecar = Sidecar::new(ServerSettings::default(), UpstreamSettings::new(address.to_string().parse().unwrap()));
    sidecar.upstream().oneshot(get("/")).await.unwrap();
    origin.await.unwrap();
    let scrape = scrape(&Rooms { sidecar, ..house.rooms.clone() }).await;
    assert_eq!(scrape.sum("warmfront_upstream_requests_total", &[]), 1.0);
    assert_eq!(scrape.sum("warmfront_upstream_requests_total", &[("source", "live"), ("result", "ok")]), 1.0);
    assert_eq!(scrape.sum("warmfront_upstream_duration_seconds_count", &[]), 1.0);
    assert!(scrape.sum("warmfront_upstream_duration_seconds_sum", &[]) > 0.0);
}

#[tokio::test]
async fn invalidations_are_counted_by_what_set_them_off() {
    let invalidation = Invalidation::path("/known/**").unwrap().tag("brands");
    let house = House::new(Settings { invalidations: vec![invalidation], ..Settings::default() }, |plan| {
        plan.group(Group::new("brands").request("/warm").unwrap())
    });
    let Rooms { cache, warm, .. } = &house.rooms;
    cache.invalidate(&"http://h/a".parse().unwrap(), Level::Stale);
    cache.invalidate_tag("brands", Level::Stale);
    cache.invalidate_prefix("/a", Level::Stale);
    cache.invalidate_all(Level::Stale);
    warm.invalidate("brands", Level::Stale).unwrap();
    for path in ["/known/1", "/other", "/other"] {
        house.ask(Request::post(format!("http://h{path}")).body(crate::RequestBody::default()).unwrap()).await;
    }
    let scrape = scrape(&house.rooms).await;
    let of = |kind: &str| scrape.sum("warmfront_invalidation_total", &[("type", kind)]);
    assert_eq!(["url", "tag", "prefix", "all", "group", "rule", "change", "rewarm"].map(of), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 0.0]);
    assert_eq!(cache.stats().invalidations, 8);
}

#[tokio::test]
async fn evictions_are_counted_by_their_cause() {
    let house = House::new(Settings { max_bytes: 256 << 10, max_object: 1 << 10, ..Settings::default() }, |plan| plan);
    house.ask(get("/a")).await;
    let mut other = get("/a");
    other.headers_mut().insert("accept-language", "en".parse().unwrap());
    house.ask(other).await;
    house.ask(get("/b")).await;
    house.rooms.cache.invalidate(&"http://h/b".parse().unwrap(), Level::Dead);
    let of = |scrape: &Scrape, cause: &str| scrape.sum("warmfront_cache_evictions_total", &[("cause", cause)]);
    let few = scrape(&house.rooms).await;
    assert_eq!(["size", "purged", "replaced"].map(|cause| of(&few, cause)), [0.0, 1.0, 1.0]);
    for at in 0..500 {
        house.ask(get(&format!("/{at}"))).await;
    }
    let many = scrape(&house.rooms).await;
    assert_eq!(of(&many, "size") + many.sum("warmfront_cache_entries", &[]), 501.0, "the purged one is in neither");
}

/// Every word of a text that begins as a metric of ours does, without what a histogram adds.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("warmfront_") || word.starts_with("process_"));
    let family = |word: &str| ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word).to_owned();
    ours.map(family).collect()
}

#[tokio::test]
async fn alerts_and_dashboard_name_only_what_is_exported() {
    let house = House::new(Settings::default(), |plan| plan);
    let scrape = scrape(&house.rooms).await;
    let (alerts, dashboard) = (include_str!("../../../examples/alerts.yml"), include_str!("../../../examples/grafana.json"));
    for text in [alerts, dashboard] {
        let named = named(text);
        assert!(named.len() > 4, "{named:?}");
        let unknown: Vec<_> = named.iter().filter(|name| !scrape.kinds.contains_key(*name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.iter().filter(|panel| panel["type"] != "row").all(|panel| !panel["targets"][0]["expr"].as_str().unwrap().is_empty()));
}
