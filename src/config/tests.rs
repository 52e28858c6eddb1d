//! What [`load`] makes of whole configurations.

use super::kind::Kind;
use super::{Config, Faults, Place, Sources, load, schema};
use crate::sidecar::settings::{Balance, Counted, Forwarded, ListenAddr, ServerSettings, Share, UpstreamSettings};
use crate::{Invalidation, Settings};
use std::time::Duration;

mod json_schema;
mod set;
mod warm;

const UPSTREAM: &str = "[upstream]\nurls = [\"http://127.0.0.1:9000\"]\n";

fn sources(text: &str) -> Sources {
    Sources { text: Some(("wf.toml".into(), text.into())), ..Sources::default() }
}

fn file(text: &str) -> Result<Config, Faults> {
    load(sources(text))
}

/// A good configuration from `text` after the upstream.
fn good(text: &str) -> Config {
    file(&format!("{UPSTREAM}{text}")).unwrap_or_else(|faults| panic!("{faults}"))
}

/// `line: key: found; fix` of each fault of `text` after the upstream, which takes two lines.
fn faults(text: &str) -> Vec<String> {
    let faults = file(&format!("{UPSTREAM}{text}")).expect_err("there are faults");
    faults.as_slice().iter().map(line).collect()
}

fn warnings(text: &str) -> Vec<String> {
    good(text).warnings.iter().map(line).collect()
}

fn line(fault: &super::Fault) -> String {
    let place = match &fault.place {
        Place::File(spot) => (spot.line - 2).to_string(),
        place => place.to_string(),
    };
    format!("{place}: {}: {}; {}", fault.key, fault.found, fault.fix)
}

/// Keys whose files are read with the configuration: tests/cli/upstream_tls.rs has such files.
fn names_a_file(key: &schema::Key) -> bool {
    matches!(key.path, "upstream.tls.ca" | "upstream.tls.certificate" | "upstream.tls.key")
}

/// The value of a key that is not its default, as TOML.
fn other_value(key: &schema::Key) -> &'static str {
    match (key.path, key.kind) {
        ("server.listen", _) => "[\"[::1]:8081\"]",
        ("server.trusted_proxies", _) => "[\"10.0.0.0/8\"]",
        ("server.rate_limit.by" | "rules[].rate_limit.by", _) => "\"header:authorization\"",
        ("admin.listen", _) => "\"127.0.0.1:9181\"",
        ("admin.hosts", _) => "[\"warmfront.internal\"]",
        ("upstream.urls", _) => "\"http://api\"",
        ("upstream.forwarded", _) => "\"append\"",
        ("upstream.http2", _) => "\"auto\"",
        ("upstream.balance", _) => "\"header:x-user\"",
        ("upstream.breaker.counts", _) => "\"5xx\"",
        ("upstream.health.path", _) => "\"/other\"",
        ("rules[].path" | "invalidate[].path", _) => "\"/other\"",
        ("invalidate[].methods", _) => "[\"PUT\"]",
        ("invalidate[].prefixes", _) => "[\"/other\"]",
        ("rules[].ignore", _) => "[\"private\"]",
        ("cache.max_object", _) => "\"1MiB\"",
        ("server.http2" | "cache.heuristic" | "cache.cache_status", _) => "false",
        ("warm.enabled" | "warm.on_startup" | "warm.groups[].enabled", _) => "false",
        ("warm.time_zone", _) => "\"Europe/Berlin\"",
        ("warm.hosts", _) => "[\"api\"]",
        ("warm.groups[].schedule", _) => "[\"every 7m\"]",
        ("warm.groups[].requests" | "warm.user.requests", _) => "[\"/other\"]",
        ("warm.groups[].combos[].path", _) => "\"/other/{kind}\"",
        ("warm.groups[].combos[].params", _) => "{ kind = \"other\" }",
        ("warm.groups[].combos[].exclude", _) => "[{ page = 2 }]",
        ("warm.groups[].sources[].url" | "warm.user.path", _) => "\"/other\"",
        ("warm.groups[].sources[].select", _) => "\"/other\"",
        ("warm.groups[].sources[].path", _) => "\"/other/{value}\"",
        ("logs.format", _) => "\"pretty\"",
        (_, Kind::Fraction) => "0.7",
        (_, Kind::AnyMap) => "{ other = \"other\" }",
        (_, Kind::Duration { .. }) => "\"7m\"",
        (_, Kind::Size { .. }) => "\"128KiB\"",
        (_, Kind::Bool) => "true",
        (_, Kind::Integer { .. }) => "7",
        (_, Kind::Text | Kind::Secret) => "\"other\"",
        _ => "[\"other\"]",
    }
}

#[test]
fn an_upstream_alone_is_a_configuration_of_defaults() {
    let config = good("");
    assert_eq!(config.server, ServerSettings::default());
    assert_eq!(config.upstream, UpstreamSettings::new("127.0.0.1:9000".parse().unwrap()));
    assert_eq!(config.cache, Settings::default());
    assert_eq!((config.admin.listen.to_string().as_str(), config.admin.token), ("127.0.0.1:9180", None));
    assert!(config.warnings.is_empty());
}

/// What each array of tables needs to be without faults.
fn least(array: &str) -> Vec<&'static str> {
    match array {
        "rules[]" => vec!["path = \"/\""],
        "invalidate[]" => vec!["path = \"/\"", "tags = [\"a\"]"],
        "warm.groups[]" => vec!["name = \"g\"", "requests = [\"/\"]"],
        "warm.groups[].combos[]" => vec!["path = \"/{kind}\"", "params = { kind = \"a\" }", "query = { page = [1, 2] }"],
        "warm.groups[].sources[]" => vec!["url = \"/\"", "select = \"/*\"", "path = \"/{value}\""],
        _ => Vec::new(),
    }
}

/// A file in which `key` has its least and one in which it has another value.
fn before_and_after(key: &schema::Key) -> (String, String) {
    silent_and_said(key, other_value(key))
}

/// A file with the least that is around `key`, and one in which it has `value`.
fn silent_and_said(key: &schema::Key, value: &str) -> (String, String) {
    let (array, name) = key.path.rfind("[].").map_or(("", key.path), |at| (&key.path[..at + 2], &key.path[at + 3..]));
    let upstream = if key.path == "upstream.urls" { "" } else { "upstream.urls = [\"http://127.0.0.1:9000\"]\n" };
    let mut head = String::from(upstream);
    for (at, _) in array.match_indices("[]") {
        head += &format!("[[{}]]\n", array[..at].replace("[]", ""));
        if at + 2 < array.len() {
            head += &(least(&array[..at + 2]).join("\n") + "\n");
        }
    }
    let others: Vec<_> = least(array).into_iter().filter(|line| !line.starts_with(&format!("{name} ="))).collect();
    let before = if upstream.is_empty() {
        "upstream.urls = [\"http://127.0.0.1:9000\"]\n".into()
    } else {
        format!("{head}{}\n", least(array).join("\n"))
    };
    let after = format!("{head}{}\n{name} = {value}\n", others.join("\n"));
    // A group that is named must be there.
    let group = if key.path == "invalidate[].groups" { "[[warm.groups]]\nname = \"other\"\nrequests = [\"/\"]\n" } else { "" };
    (before + group, after + group)
}

#[test]
fn every_key_of_this_version_changes_what_is_loaded() {
    for key in schema::KEYS.iter().filter(|key| key.later.is_none() && !names_a_file(key)) {
        let (before, changed) = before_and_after(key);
        let read = |text: &str| file(text).unwrap_or_else(|faults| panic!("{text}\n{faults}"));
        let (before, after) = (read(&before), read(&changed));
        let unlike = before.server != after.server
            || before.upstream != after.upstream
            || before.cache != after.cache
            || before.admin != after.admin
            || before.warm != after.warm
            || before.logs != after.logs;
        assert!(unlike, "{changed}");
    }
}

#[test]
fn a_rule_takes_what_it_does_not_say_of_its_rate_from_that_of_all() {
    let text = "[server]\nrate_limit = { per_second = 9, burst = 90, by = \"header:x-user\" }\n[[rules]]\npath = \"/a\"\nrate_limit.burst = 3\n\
        [[rules]]\npath = \"/b\"\nrate_limit = { per_second = 1, by = \"client\" }\n[[rules]]\npath = \"/c\"\nrate_limit.per_second = 0\n[[rules]]\npath = \"/d\"\n";
    let limits = good(text).server.rule_limits;
    let of = |at: usize| {
        limits[at].limit.as_ref().map(|limit| (limit.per_second, limit.burst, limit.by == crate::sidecar::settings::RateKey::Client))
    };
    assert_eq!([of(0), of(1), of(2), of(3)], [Some((9, 3, false)), Some((1, 0, true)), Some((0, 0, false)), None]);
    assert!(faults("[server]\nrate_limit.by = \"user\"\n")[0].contains("\"user\" names no client; write \"client\""));
    assert_eq!(good("[server]\nrate_limit.burst = 3\n").warnings.len(), 1);
}

#[test]
fn every_variable_says_the_same_as_its_key() {
    for key in schema::KEYS.iter().filter(|key| key.later.is_none() && !names_a_file(key)) {
        let Some(name) = key.environment() else { continue };
        let base = if key.path == "upstream.urls" { "" } else { "upstream.urls = [\"http://127.0.0.1:9000\"]\n" };
        let value = other_value(key);
        let plain = value.trim_matches(['[', ']']).trim_matches('"');
        let plain = if key.path == "server.listen" { "[::1]:8081" } else { plain };
        let mut by_file = file(&format!("{base}{} = {value}\n", key.path)).unwrap();
        let mut by_env =
            load(Sources { env: vec![(name.clone(), plain.into())], ..sources(base) }).unwrap_or_else(|faults| panic!("{faults}"));
        (by_file.warnings, by_env.warnings) = (Vec::new(), Vec::new());
        assert_eq!(by_file, by_env, "{name}");
    }
}

#[test]
fn the_whole_contract_is_known_and_acted_upon() {
    let text = include_str!("../../examples/warmfront.toml");
    let config = file(text).unwrap_or_else(|faults| panic!("{faults}"));
    let keys: Vec<_> = config.warnings.iter().map(|fault| fault.key.as_str()).collect();
    assert!(keys.is_empty(), "{keys:?}");
    assert_eq!(config.cache.rules.len(), 3);
    assert_eq!(config.cache.rules[0].ttl, Some(Duration::from_secs(300)));
    assert_eq!(config.cache.rules[1].per_identity.as_ref().unwrap().header, "authorization");
    assert!(config.cache.rules[2].pass);
}

/// Whether a value has something at `path`, in any member of its lists.
fn has(value: &toml::Value, path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let below = |value: &toml::Value| rest.is_none_or(|rest| has(value, rest));
    match name.strip_suffix("[]") {
        Some(list) => value.get(list).and_then(toml::Value::as_array).is_some_and(|tables| tables.iter().any(below)),
        None => value.get(name).is_some_and(below),
    }
}

#[test]
fn the_example_has_every_key() {
    let lines = include_str!("../../examples/warmfront.toml").lines();
    // [upstream.tls] stands in comments: its files are not there.
    let is_key = |line: &str| {
        line.starts_with("# [") || line.split_once(" = ").is_some_and(|(name, _)| !name.trim_start_matches("# ").contains(' '))
    };
    let text: Vec<&str> = lines.map(|line| line.strip_prefix("# ").filter(|_| is_key(line)).unwrap_or(line)).collect();
    let example: toml::Value = toml::from_str(&text.join("\n")).unwrap();
    let missing: Vec<_> = schema::KEYS.iter().map(|key| key.path).filter(|path| !has(&example, path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn misspelt_and_misplaced_keys_are_told_where_they_belong() {
    assert_eq!(
        faults("[cache]\nmax_byte = 1\n[server]\nttl = 1\nbanana = 1\n[servr]\nx = 1\n[warm]\nconcurency = 1\n"),
        [
            "2: cache.max_byte: unknown key; did you mean `max_bytes`?",
            "4: server.ttl: unknown key; `ttl` belongs elsewhere: rules[..].ttl",
            "5: server.banana: unknown key; remove it; known here: listen, tls, http2, max_streams, proxy_protocol, workers, max_request_body, max_header_bytes, header_timeout, idle_timeout, \
             max_connections, max_connections_per_client, min_body_rate, rate_limit, max_rate_clients, trusted_proxies, drain_timeout",
            "6: servr: unknown key; did you mean `server`?",
            "9: warm.concurency: unknown key; did you mean `concurrency`?",
        ]
    );
    assert_eq!(faults("[x.\"server.listen\"]\n").len(), 1);
    assert_eq!(file("[upstream]\nurl = \"http://a\"").unwrap_err().as_slice().len(), 1, "a misspelt key is not missing as well");
}

#[test]
fn tables_and_arrays_of_tables_are_told_apart() {
    assert_eq!(
        faults("cache = 1\n"),
        [
            "1: upstream.cache: unknown key; remove it; known here: urls, connect_timeout, response_timeout, idle_body_timeout, forwarded, max_in_flight, max_queue, queue_timeout, preconnect, http2, tls, retries, balance, eject_after, eject_for, breaker, health"
        ]
    );
    assert_eq!(
        faults("[rules]\npath = \"/\"\n"),
        ["1: rules: found something else than an array of tables; write [[rules]] with two brackets for each"]
    );
    let identity = "[[rules]]\npath = \"/\"\nper_identity = \"authorization\"\n";
    assert!(faults(identity)[0].ends_with("; write per_identity = { header = .. }"));
    let nobody = faults("[[rules]]\npath = \"/\"\nper_identity = {}\n[key]\n");
    assert_eq!(nobody, ["3: rules[0].per_identity: is empty: it says nothing; write per_identity = { header = .. }"]);
    assert!(faults("[[cache]]\nmax_bytes = 1\n")[0].starts_with("1: cache: found a plain value where a table belongs; write [cache]"));
}

#[test]
fn all_faults_come_at_once_in_the_order_of_their_places() {
    let env = vec![
        ("WARMFRONT_CACHE__MAX_BYTES".into(), "lots".into()),
        ("WARMFRONT_CACHE_MAX_OBJECT".into(), "1".into()),
        ("HOME".into(), "/".into()),
    ];
    let flags = vec![("server.listen", "localhost:1".into(), "--listen"), ("server.workers", "many".into(), "--workers")];
    let faults = load(Sources { env, flags, ..sources("[cache]\nheuristic = \"yes\"\n") }).unwrap_err();
    let lines: Vec<_> = faults.as_slice().iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "0: cache.heuristic: found \"yes\"; this is whether a lifetime may be estimated where the origin is silent; write true or false",
            "wf.toml: upstream.urls: is missing: there is no upstream; name the API in front of which warmfront stands: --upstream http://127.0.0.1:9000, \
             or in the file:\n       [upstream]\n       urls = [\"http://127.0.0.1:9000\"]",
            "environment WARMFRONT_CACHE_MAX_OBJECT: : unknown variable; did you mean WARMFRONT_CACHE__MAX_OBJECT?",
            "environment WARMFRONT_CACHE__MAX_BYTES: cache.max_bytes: found \"lots\"; this is bytes of all stored responses together; \
             write a size of at least 64 KiB, as \"64MiB\", \"500KB\" or a number of bytes",
            "--listen: server.listen: \"localhost:1\" is no address to listen on; write the address itself: \"127.0.0.1:1\"",
            "--workers: server.workers: found \"many\"; this is worker threads, 0 = one per core; write a whole number from 0 to 1024",
        ]
    );
    assert_eq!(faults.summary(), "6 faults in wf.toml and the environment and the flags");
}

#[test]
fn flags_win_over_environment_over_file() {
    let text = format!("{UPSTREAM}[server]\nworkers = 1\nlisten = \"127.0.0.1:1\"\n[cache]\nmax_variants = 2\n");
    let env =
        vec![("WARMFRONT_SERVER__WORKERS".into(), "3".into()), ("WARMFRONT_SERVER__LISTEN".into(), "127.0.0.1:2, unix:/run/a".into())];
    let config = load(Sources { env: env.clone(), ..sources(&text) }).unwrap();
    assert_eq!((config.server.workers, config.server.listen.len(), config.cache.max_variants), (3, 2, 2));
    let flags = vec![
        ("server.listen", "127.0.0.1:3".into(), "--listen"),
        ("server.listen", "127.0.0.1:4".into(), "--listen"),
        ("server.workers", "5".into(), "--workers"),
    ];
    let config = load(Sources { env, flags, ..sources(&text) }).unwrap();
    assert_eq!(config.server.workers, 5);
    assert_eq!(config.server.listen, ["127.0.0.1:3", "127.0.0.1:4"].map(|text| ListenAddr::Tcp(text.parse().unwrap())));
}

#[test]
fn variables_of_the_command_line_and_of_kubernetes_are_no_keys() {
    let names = ["ADMIN", "LOG", "PORT", "SERVICE_HOST", "SERVICE_PORT_HTTP", "PORT_8080_TCP_ADDR"];
    let env = names.map(|name| (format!("WARMFRONT_{name}"), "tcp://10.0.0.1:8080".into())).into();
    assert!(load(Sources { env, ..sources(UPSTREAM) }).is_ok());
    let env = vec![("WARMFRONT_CACHE__MAX_BYTES".into(), String::new())];
    let faults = load(Sources { env, ..sources(UPSTREAM) }).unwrap_err();
    assert_eq!(faults.as_slice()[0].fix, "give it a value, or unset it");
}

#[test]
fn what_is_not_toml_is_shown_with_its_line() {
    let faults = file("[server]\nlisten = \"127.0.0.1:80\nworkers 3\n[server]\n").unwrap_err();
    let text = faults.to_string();
    assert!(text.contains("wf.toml:2:23: not TOML: ") && text.contains("  2 | listen = \"127.0.0.1:80\n"), "{text}");
    assert!(text.contains("wf.toml:3:") && !text.contains("upstream"), "{text}");
    let twice = file("[cache]\nheuristic = true\nheuristic = false\n").unwrap_err();
    assert_eq!((twice.as_slice().len(), twice.as_slice()[0].fix.as_str()), (1, "keep one of them"));
    assert!(file(&"[".repeat(100_000)).is_err() && file(&format!("x = {}", "[".repeat(100_000))).is_err());
}

#[test]
fn sizes_keep_their_proportions() {
    assert!(
        faults("[cache]\nmax_bytes = \"8GiB\"\nmax_object = \"3GiB\"\n")[0].starts_with("3: cache.max_object: 3 GiB is more than a store")
    );
    assert!(
        faults("[cache]\nmax_bytes = \"1MiB\"\nmax_object = \"2MiB\"\n")[0].contains("more than the whole cache, cache.max_bytes = 1 MiB")
    );
    assert_eq!(good("[cache]\nmax_bytes = \"1MiB\"\n").cache.max_object, 1 << 20, "the default gives way");
}

#[test]
fn addresses_must_make_sense_together() {
    let own = faults("[server]\nlisten = \"0.0.0.0:9000\"\n");
    assert!(own[0].contains("where warmfront itself listens"), "{own:?}");
    let admin = faults("[admin]\nlisten = \"127.0.0.1:8080\"\n");
    assert!(admin[0].starts_with("2: admin.listen: 127.0.0.1:8080 is the data port"), "{admin:?}");
    let open = faults("[admin]\nlisten = \"0.0.0.0:9180\"\n");
    assert!(open[0].contains("open to others, and there is no token; set admin.token"), "{open:?}");
    assert!(good("[admin]\nlisten = \"0.0.0.0:9180\"\ntoken = \"s3cret\"\n").warnings.is_empty());
    let hosts = faults("[admin]\nhosts = [\"wf.internal\",\n  \"wf:9180\"]\n");
    assert!(hosts.len() == 1 && hosts[0].starts_with("3: admin.hosts: \"wf:9180\" is no host name"), "{hosts:?}");
    assert_eq!(good("[admin]\nhosts = [\"WF\"]\n").admin.hosts, ["wf"]);
    let twice = faults("[server]\nlisten = [\"127.0.0.1:1\",\n  \"127.0.0.1:1\"]\ntrusted_proxies = [\"10.0.0.1/8\", \"x\"]\n");
    assert_eq!(twice.iter().map(|line| &line[..3]).collect::<Vec<_>>(), ["3: ", "4: ", "4: "]);
    assert!(twice[1].contains("\"10.0.0.0/8\""), "{twice:?}");
    assert_eq!(good("forwarded = \"append\"\n[server]\ntrusted_proxies = [\"10.0.0.1\"]\n").upstream.forwarded, Forwarded::Append);
}

#[test]
fn several_upstreams_are_asked_each_named_once() {
    let two = file("[upstream]\nurls = [\"http://a\", \"https://b:8443\"]\n").unwrap();
    assert_eq!(two.upstream.origins.iter().map(ToString::to_string).collect::<Vec<_>>(), ["http://a", "https://b:8443"]);
    let twice = file("[upstream]\nurls = [\"http://a\",\n  \"http://b\",\n  \"http://A:80\"]\n").unwrap_err();
    assert_eq!((twice.as_slice().len(), &*twice.as_slice()[0].found), (1, "\"http://A:80\" is there twice"));
    let flags = vec![("upstream.urls", "http://a:1".into(), "--upstream")];
    let config = load(Sources { flags, ..Sources::default() }).unwrap();
    assert_eq!((config.upstream.origins[0].to_string(), config.source), ("http://a:1".to_owned(), None));
}

#[test]
fn how_upstreams_are_chosen_and_judged_is_said_in_words_and_figures() {
    let config = good(
        "balance = \"header:X-User\"\nbreaker = { errors = 0.5, counts = \"5xx\", slow = \"2s\" }\nhealth = { path = \"/healthz?full=1\" }\n",
    );
    let upstream = config.upstream;
    assert_eq!(upstream.balance, Balance::Header(http::HeaderName::from_static("x-user")));
    assert_eq!((upstream.breaker.errors, upstream.breaker.counted), (Share::new(0.5), Counted::ServerErrors));
    assert_eq!(upstream.health.path.unwrap(), "/healthz?full=1");
    assert_eq!(good("health.path = \"\"\nbalance = \"client\"\n").upstream.balance, Balance::Client);
    for (text, found) in [
        ("balance = \"round-robin\"\n", "1: upstream.balance: \"round-robin\" is no way to choose"),
        ("balance = \"header:\"\n", "1: upstream.balance: \"\" is no name of a header"),
        ("health.path = \"healthz\"\n", "1: upstream.health.path: \"healthz\" does not start with `/`"),
        ("eject_for = \"0s\"\n", "1: upstream.eject_for: found \"0s\""),
        ("breaker.errors = 2\n", "1: upstream.breaker.errors: found "),
    ] {
        let faults = faults(text);
        assert!(faults.len() == 1 && faults[0].starts_with(found), "{faults:?}");
    }
    let idle = good("breaker = { errors = 0, slow = \"1s\" }\n");
    assert!(idle.warnings[0].found.contains("is off"), "{:?}", idle.warnings);
}

#[test]
fn rules_are_checked_each_and_together() {
    let rules = "[[rules]]\nname = \"a\"\npath = \"api\"\nignore = [\"private\", \"no_store\", \"x\"]\n[[rules]]\nttl = \"5m\"\n\
                 [[rules]]\nname = \"a\"\npath = \"/a\"\nper_identity = { header = \"a b\" }\n[[rules]]\nname = \"a\"\npath = \"/b\"\ntags = [\"\"]\nquery_ignore = [\"a*b\"]\n";
    let found = faults(rules);
    let starts: Vec<_> = found.iter().map(|line| line.split("; ").next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "3: rules[0].path: \"api\" is no path pattern",
            "4: rules[0].ignore: \"no_store\" is nothing that can be ignored",
            "4: rules[0].ignore: \"x\" is nothing that can be ignored",
            "5: rules[1].path: is missing: a rule needs a path",
            "10: rules[2].per_identity.header: \"a b\" is no name of a header",
            "12: rules[3].name: \"a\" is already the name of rules[2] in line 9",
            "14: rules[3].tags: \"\" is no tag",
            "15: rules[3].query_ignore: \"a*b\" is no name of a query parameter",
        ]
    );
    assert!(found[1].ends_with("did you mean \"no-store\"?"));
}

#[test]
fn rules_that_do_nothing_are_warned_of() {
    let found = warnings(
        "[[rules]]\npath = \"/api/**\"\n[[rules]]\npath = \"/api/schools/**\"\n[[rules]]\npath = \"/x\"\npass = true\nttl = \"1s\"\n[[rules]]\npath = \"/y\"\noverride = true\n",
    );
    let starts: Vec<_> = found.iter().map(|line| line.split("; ").next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "4: rules[1].path: never matches: rules[0] (/api/**) in line 3 takes all of its paths",
            "8: rules[2].ttl: does nothing: the rule passes, so nothing is stored",
            "11: rules[3].override: does nothing without ttl, stale_while_revalidate or stale_if_error",
        ]
    );
}

#[test]
fn what_changes_invalidate_is_loaded_with_its_defaults() {
    let rules = "[[rules]]\npath = \"/a\"\ntags = [\"channels\"]\n";
    let config = good(&format!(
        "{rules}[[invalidate]]\npath = \"/b/**\"\ntags = [\"channels\", \"elsewhere\"]\nwarm = true\n\
         [[invalidate]]\nmethods = [\"PUT\", \"LOCK\"]\npath = \"/c\"\nprefixes = [\"/x/\"]\ngroups = [\"primary\"]\n\
         [[warm.groups]]\nname = \"primary\"\nrequests = [\"/\"]\n"
    ));
    let unknown = file("[[warm.groups]]\nname = \"primary\"\nrequests = [\"/\"]\n[[invalidate]]\npath = \"/b\"\ngroups = [\"primry\"]\n")
        .unwrap_err();
    assert!(unknown.to_string().contains("there is no warm group \"primry\"") && unknown.to_string().contains("did you mean \"primary\"?"));
    let lock = http::Method::from_bytes(b"LOCK").unwrap();
    let expected = [
        Invalidation::path("/b/**").unwrap().tag("channels").tag("elsewhere").warm(),
        Invalidation::path("/c").unwrap().methods([http::Method::PUT, lock]).prefix("/x/").group("primary"),
    ];
    assert_eq!((config.cache.invalidations.as_slice(), config.cache.smart_invalidation), (&expected[..], true));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let near = warnings(&format!("{rules}[[invalidate]]\npath = \"/b\"\ntags = [\"chanels\"]\n"));
    assert_eq!(
        near,
        [
            "6: invalidate[0].tags: no rule has the tag \"chanels\"; responses may still carry it in Cache-Tag or Surrogate-Key; did you mean \"channels\"?"
        ]
    );
}

#[test]
fn what_changes_invalidate_is_checked() {
    let text = "[[invalidate]]\nmethods = [\"GET\", \"post\", \"FROBNICATE\", \"a b\"]\npath = \"b\"\n[[invalidate]]\npath = \"/c\"\ntags = []\n\
                [[invalidate]]\nmethods = []\nprefixes = [\"x\", \"/a?b\", \"/a/**\"]\ntags = [\"\"]\ngroups = [\"\"]\n[[invalidate]]\npath = \"/d\"\ntags = \"t\"\n";
    let found = faults(text);
    let starts: Vec<_> = found.iter().map(|line| line.split("; ").next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "1: invalidate[0]: invalidates nothing beyond what a change invalidates anyway",
            "2: invalidate[0].methods: \"GET\" is safe: it changes nothing and never invalidates",
            "2: invalidate[0].methods: \"post\" is no method that is known",
            "2: invalidate[0].methods: \"FROBNICATE\" is no method that is known",
            "2: invalidate[0].methods: \"a b\" is no method that is known",
            "3: invalidate[0].path: \"b\" is no path pattern",
            "4: invalidate[1]: invalidates nothing beyond what a change invalidates anyway",
            "7: invalidate[2].path: is missing: a rule needs a path",
            "8: invalidate[2].methods: an empty list: nothing would ever invalidate",
            "9: invalidate[2].prefixes: \"x\" is no prefix of a path",
            "9: invalidate[2].prefixes: \"/a?b\" is no prefix of a path",
            "9: invalidate[2].prefixes: \"/a/**\" is no prefix of a path",
            "10: invalidate[2].tags: \"\" is no tag",
            "11: invalidate[2].groups: \"\" is no name of a group",
            "14: invalidate[3].tags: found \"t\"",
        ]
    );
    assert!(found[2].ends_with("did you mean \"POST\"? Methods are written in capitals"), "{}", found[2]);
}

#[test]
fn a_rule_takes_what_it_does_not_say_of_queries_from_the_key_section() {
    let config = good("[key]\nquery_ignore = [\"utm_*\"]\n[[rules]]\npath = \"/a\"\nquery_sort = true\n[[rules]]\npath = \"/b\"\n");
    let key = config.cache.rules[0].key.as_ref().unwrap();
    assert_eq!((key.query_sort, key.query_ignore.as_slice()), (true, &["utm_*".to_owned()][..]));
    assert_eq!(config.cache.rules[1].key, None);
}

#[test]
fn no_fault_tells_a_secret() {
    for text in [
        "[admin]\ntoken = 12345678\n",
        "[admin]\ntokn = \"12345678\"\n",
        "[admin]\ntoken = \"12345678\n",
        "[admin]\ntoken = \"12345678 ü\"\n",
    ] {
        let faults = file(text).unwrap_err().to_string();
        assert!(!faults.contains("12345678"), "{faults}");
    }
    let url = file("[upstream]\nurls = [\"http://me:12345678@a\"]\n").unwrap_err().to_string();
    assert!(url.contains("user information") && !url.contains("12345678"), "{url}");
    let config = good("[admin]\ntoken = \"12345678\"\n");
    assert!(!format!("{config:?}").contains("12345678"));
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault_only_if_it_was_asked_for() {
    let missing = || Some("/nonexistent/wf.toml".into());
    let asked = load(Sources { file: missing(), ..Sources::default() }).unwrap_err();
    assert_eq!(asked.as_slice().len(), 1);
    assert!(asked.to_string().starts_with("1 fault in /nonexistent/wf.toml\n\n/nonexistent/wf.toml: cannot be read: No such file"));
    let flags = vec![("upstream.urls", "http://a".into(), "--upstream")];
    assert!(load(Sources { default_file: missing(), flags, ..Sources::default() }).is_ok());
    assert!(load(Sources { file: Some("/".into()), ..Sources::default() }).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-z_.\\[\\]{}= \"0-9,#\n]|server|cache|rules|\\[\\[rules\\]\\]\n|path = |upstream|per_identity){0,40}") {
        let _ = file(&text).map_err(|faults| faults.to_string());
    }
}

#[test]
fn an_address_of_https_needs_a_certificate_and_a_certificate_an_address_of_https() {
    let config = good("[server]\nlisten = [\"https://127.0.0.1:8443\", \"127.0.0.1:8080\"]\ntls = { certificate = \"c\", key = \"k\" }\n");
    assert!(config.server.listen[0].speaks_tls() && config.server.tls.is_whole() && config.warnings.is_empty());
    for said in ["", "tls.certificate = \"c\"\n", "tls.key = \"k\"\n"] {
        let faults = faults(&format!("[server]\nlisten = \"https://127.0.0.1:8443\"\n{said}"));
        assert!(faults.iter().any(|fault| fault.contains("https://127.0.0.1:8443 needs a certificate and its key")), "{faults:?}");
    }
    assert!(
        warnings("[server]\ntls = { certificate = \"c\", key = \"k\" }\n")[0].contains("no address of server.listen begins with https://")
    );
    assert!(warnings("[server]\nproxy_protocol = true\n")[0].contains("nobody may send a PROXY header"));
}
