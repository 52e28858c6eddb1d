//! What [`load`] makes of whole configurations.

use super::{Config, Faults, Place, Sources, load, schema};
use crate::Settings;
use crate::sidecar::settings::{Balance, Counted, Forwarded, ListenAddr, ServerSettings, Share, UpstreamSettings};

mod json_schema;
mod keys;
mod rules;
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

#[test]
fn an_upstream_alone_is_a_configuration_of_defaults() {
    let config = good("");
    assert_eq!(config.server, ServerSettings::default());
    assert_eq!(config.upstream, UpstreamSettings::new("127.0.0.1:9000".parse().unwrap()));
    assert_eq!(config.cache, Settings::default());
    assert_eq!((config.admin.listen.to_string().as_str(), config.admin.token), ("127.0.0.1:9180", None));
    assert!(config.warnings.is_empty());
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
