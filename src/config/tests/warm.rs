//! What [`load`](super::super::load) makes of `[warm]`.

use super::{faults, file, good, warnings};
use crate::warm::{Combo, Group, ListSource, RefreshAhead, Target, Trigger, UserSettings, WarmSettings, Zone};
use std::time::Duration;

/// The contract's own words.
const CONTRACT: &str = r#"
[[rules]]
name = "me"
path = "/api/me/**"
per_identity = { header = "authorization" }

[warm]
enabled = true
on_startup = true
startup_delay = "100ms"
concurrency = 4
timeout = "10s"                  # per item
max_rate = 50                    # requests/s, all warming together
refresh_interval = "5m"          # what the word "refresh" in a schedule means; "0s" = off
refresh_ahead = { hits = 2, before = 0.1 }   # keys hit at least twice in their lifetime are refreshed in its last tenth, with jitter
time_zone = "UTC"

[[warm.groups]]
name = "primary"
priority = 10                    # higher first
schedule = ["startup", "every 2h", "cron 0 3 * * *"]   # omitted: ["startup", "refresh"]
requests = ["/api/schools/primary?page=1&pageSize=20"]
max_items = 1000
[[warm.groups.combos]]           # cartesian product, expanded lazily, deduplicated by cache key
path = "/api/schools/primary"
query = { page = [1], pageSize = [20], district = ["central", "eastern", "wan-chai"] }
headers = { accept-language = ["en", "zh-HK"] }
exclude = [{ district = "eastern", accept-language = "zh-HK" }]
[[warm.groups.sources]]          # the hot list comes from the API itself
url = "/api/brands/top?limit=20"
select = "/items/*/name"         # JSON Pointer with * over arrays
path = "/api/brands/{value}/stats"

[warm.user]                      # served on the data port
path = "/api/user/warmup"
identity = { header = "authorization" }
requests = ["/api/me/profile", "/api/me/usage"]
valid_for = "30m"
min_interval = "5s"
max_users = 10000
"#;

fn contract() -> WarmSettings {
    let combo = Combo::path("/api/schools/primary").unwrap().query("page", [1]).unwrap().query("pageSize", [20]).unwrap();
    let combo = combo.query("district", ["central", "eastern", "wan-chai"]).unwrap().header("accept-language", ["en", "zh-HK"]).unwrap();
    let combo = combo.exclude([("district", ["eastern"]), ("accept-language", ["zh-HK"])]).unwrap();
    let source = ListSource::new("/api/brands/top?limit=20", "/items/*/name", "/api/brands/{value}/stats").unwrap();
    let group = Group::new("primary").priority(10).on_startup().every(Duration::from_secs(7200)).cron("0 3 * * *").unwrap();
    let group = group.request("/api/schools/primary?page=1&pageSize=20").unwrap().combo(combo).unwrap().source(source);
    let requests = ["/api/me/profile", "/api/me/usage"].map(|text| Target::parse(text).unwrap()).to_vec();
    WarmSettings { groups: vec![group], user: Some(UserSettings { requests, ..UserSettings::default() }), ..WarmSettings::default() }
}

#[test]
fn the_contract_says_the_same_as_the_builders() {
    let config = good(CONTRACT);
    assert_eq!(config.warm, contract());
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let items: Vec<String> =
        config.warm.groups[0].expand(&[], |item| item.target.as_str().len() as u64).map(|item| item.target.to_string()).collect();
    assert_eq!(items[1], "/api/schools/primary?page=1&pageSize=20&district=central", "in written order");
}

#[test]
fn silence_is_the_default_and_no_user_section() {
    assert_eq!(good("").warm, WarmSettings::default());
    let said = good(
        "[warm]\nrefresh_ahead = { before = 0.5 }\nhosts = [\"api.example.com\", \"[::1]:80\"]\ntime_zone = \"asia/hong_kong\"\nenabled = false\n",
    );
    let expected = WarmSettings {
        enabled: false,
        refresh_ahead: RefreshAhead { before: 0.5, ..RefreshAhead::default() },
        hosts: vec!["api.example.com".parse().unwrap(), "[::1]:80".parse().unwrap()],
        time_zone: Zone::parse("Asia/Hong_Kong").unwrap(),
        ..WarmSettings::default()
    };
    assert_eq!(said.warm, expected);
}

#[test]
fn a_host_has_the_scheme_that_it_is_written_with_or_that_readers_have() {
    let hosts = |head: &str| {
        let text = format!("{head}\n[warm]\nhosts = [\"a\", \"http://b\", \"https://c\"]\n");
        (good(&text).warm.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), warnings(&text).len())
    };
    let tls = "tls = { certificate = \"c\", key = \"k\" }";
    assert_eq!(hosts(""), (vec!["a".into(), "b".into(), "https://c".into()], 0));
    let all = format!("[server]\nlisten = [\"unix:/s\", \"https://127.0.0.1:8443\"]\n{tls}");
    assert_eq!(hosts(&all), (vec!["https://a".into(), "b".into(), "https://c".into()], 0));
    let both = format!("[server]\nlisten = [\"https://127.0.0.1:8443\", \"127.0.0.1:8080\"]\n{tls}");
    assert_eq!(hosts(&both), (vec!["https://a".into(), "b".into(), "https://c".into()], 1), "a is warmed for half of its readers");
    let behind = "forwarded = \"append\"\n[server]\ntrusted_proxies = [\"10.0.0.0/8\"]";
    assert_eq!(hosts(behind).1, 1, "what ends TLS may be in front");
}

/// The one group of a file.
fn group(text: &str) -> Group {
    good(&format!("[[warm.groups]]\nname = \"g\"\n{text}")).warm.groups.remove(0)
}

#[test]
fn a_schedule_is_the_default_what_was_said_or_nothing() {
    assert_eq!(group("requests = [\"/\"]\n").schedule.to_string(), "startup, refresh");
    assert_eq!(group("requests = [\"/\"]\nschedule = []\n").schedule.triggers(), []);
    assert_eq!(group("requests = [\"/\"]\nschedule = [\"refresh\"]\n").schedule.triggers(), [Trigger::Refresh]);
}

#[test]
fn values_keep_their_order_and_their_writing() {
    let combo = "[[warm.groups.combos]]\npath = \"/{z}\"\nquery.b = [1, 0x10, 1.50, true, \"x\"]\nquery.a = 'y'\nparams = { z = 7 }\n";
    let items: Vec<String> =
        group(combo).expand(&[], |item| item.target.as_str().bytes().map(u64::from).sum()).map(|item| item.target.to_string()).collect();
    assert_eq!(items, ["/7?b=1&a=y", "/7?b=16&a=y", "/7?b=1.50&a=y", "/7?b=true&a=y", "/7?b=x&a=y"]);
}

const G: &str = "[[warm.groups]]\nname = \"g\"\n";
const C: &str = "[[warm.groups]]\nname = \"g\"\n[[warm.groups.combos]]\n";
const S: &str = "[[warm.groups]]\nname = \"g\"\n[[warm.groups.sources]]\n";

/// Faulty texts: what stands after the upstream, in two parts, and all of its faults.
const FAULTY: &[(&str, &str, &[&str])] = &[
    (
        "[warm]\n",
        "time_zone = \"Europe/Berln\"\n",
        &["2: warm.time_zone: \"Europe/Berln\" is no time zone; did you mean \"Europe/Berlin\"?"],
    ),
    (
        "[warm]\n",
        "hosts = [\"ftp://api\", \"a b\",\n\"me@api:80\", \"api:0\"]\n",
        &[
            "2: warm.hosts: \"ftp://api\" is no host; write a Host as readers send it: \"api.example.com\" or \"https://127.0.0.1:8443\"",
            "2: warm.hosts: \"a b\" is no host; write a Host as readers send it: \"api.example.com\" or \"https://127.0.0.1:8443\"",
            "3: warm.hosts: \"me@api:80\" is no host; write a Host as readers send it: \"api.example.com\" or \"https://127.0.0.1:8443\"",
            "3: warm.hosts: \"api:0\" is no host; write a Host as readers send it: \"api.example.com\" or \"https://127.0.0.1:8443\"",
        ],
    ),
    (
        "[warm]\n",
        "refresh_interval = \"10ms\"\nmax_rate = 0\nrefresh_ahead = { before = 1.5 }\n",
        &[
            "2: warm.refresh_interval: is shorter than a second; write at least \"1s\", or \"0s\" for never",
            "3: warm.max_rate: found 0; this is warm requests per second; write a whole number from 1 to 1000000",
            "4: warm.refresh_ahead.before: found \"1.5\"; this is in which last part of their lifetime; write a number from 0.0 to 1.0",
        ],
    ),
    (
        "[[warm.groups]]\n",
        "requests = [\"/\"]\n[[warm.groups]]\nname = \"g\\n\"\nrequests = [\"/\"]\n",
        &[
            "1: warm.groups[0].name: is missing; write name = \"primary\"",
            "4: warm.groups[1].name: \"g\\n\" is no name of a group; write 1 to 100 visible ASCII characters, as \"primary\"",
        ],
    ),
    (
        G,
        "requests = [\"/\"]\n[[warm.groups]]\nname = \"g\"\nrequests = [\"/\"]\n",
        &["5: warm.groups[1].name: \"g\" is already the name of warm.groups[0] in line 3; give each group a name of its own"],
    ),
    (
        G,
        "requests = []\n",
        &["1: warm.groups[0]: asks for nothing; add requests = [\"/path\"], [[warm.groups.combos]] or [[warm.groups.sources]]"],
    ),
    (
        G,
        "requests = [\"/a\", \"http://169.254.169.254/x\",\n\"//h\", \"a\", \"/a b\"]\n",
        &[
            "3: warm.groups[0].requests: \"http://169.254.169.254/x\" names a host: the plan asks the upstream only; write the path and the query alone: \"/x\"",
            "4: warm.groups[0].requests: \"//h\" starts with `//`, which would name a host; start with one `/`",
            "4: warm.groups[0].requests: \"a\" does not start with `/`; write the path from the root: \"/api/brands?page=1\"",
            "4: warm.groups[0].requests: \"/a b\" has \" \", which no target has; write it percent-encoded: %20",
        ],
    ),
    (
        G,
        "requests = [\"/\"]\nmax_items = 0\nschedule = [\"startp\", \"every 0s\", \"cron 0 0 31 2 *\", \"cron 61 * * * *\"]\n",
        &[
            "4: warm.groups[0].max_items: found 0; this is the most items per run; write a whole number from 1 to 1000000",
            "5: warm.groups[0].schedule: \"startp\" is no word of a schedule; did you mean \"startup\"?",
            "5: warm.groups[0].schedule: 0s is no interval of a schedule; write one from 1s to 365d, as \"every 2h\"",
            "5: warm.groups[0].schedule: \"0 0 31 2 *\" never fires: no such day exists; write a day that its month has",
            "5: warm.groups[0].schedule: \"61 * * * *\" is no cron line: its minute \"61\": number out of bounds; write 5 fields, minute hour day month weekday, as \"cron 0 3 * * *\"; 6 fields start with the second",
        ],
    ),
    (
        C,
        "query = { a = [], b = [[1]] }\n",
        &[
            "3: warm.groups[0].combos[0].path: is missing; write path = \"/api/brands\"",
            "4: warm.groups[0].combos[0].query.b: found a list; write a text, a number, true or false, or a list of them: [\"one\", 2]",
        ],
    ),
    (
        C,
        "path = \"/{kind}/{id}\"\nparams = { knd = 1, kind = [\"a\", \"..\"] }\nquery = { a = [] }\nheaders = { host = \"x\", \"a b\" = \"x\" }\n",
        &[
            "5: warm.groups[0].combos[0].params.knd: the path has no {knd}; did you mean \"kind\"?",
            "5: warm.groups[0].combos[0].params.kind: \"..\" as {kind} would be another path; write a value that is not empty, \".\" or \"..\"",
            "6: warm.groups[0].combos[0].query.a: \"a\" has no values: nothing would be asked for; write at least one value, or remove it",
            "7: warm.groups[0].combos[0].headers.host: \"host\" is not the plan's to set; remove it: headers about the host, the connection, conditions, ranges, caching and forwarding are warmfront's own",
            "7: warm.groups[0].combos[0].headers.\"a b\": \"a b\" is no name of a header; write one, as \"accept-language\"",
        ],
    ),
    (
        C,
        "path = \"/{kind}\"\n",
        &[
            "4: warm.groups[0].combos[0].path: {kind} in the path has no values; add params = { kind = [\"..\"] }, or take {kind} out of the path",
        ],
    ),
    (
        C,
        "path = \"/{kind\"\n",
        &[
            "4: warm.groups[0].combos[0].path: \"/{kind\" has a brace without its partner; write placeholders as {name}; a brace of the path itself is %7B or %7D",
        ],
    ),
    (
        C,
        "path = \"/\"\nquery = { district = [\"central\", \"eastern\"] }\nexclude = [{ distrikt = 1 }, { district = [\"estern\",\n\"zz\"] }, {}]\n",
        &[
            "6: warm.groups[0].combos[0].exclude[0].distrikt: \"distrikt\" is no dimension of this combo; did you mean \"district\"?",
            "6: warm.groups[0].combos[0].exclude[1].district: \"estern\" is no value of \"district\"; did you mean \"eastern\"?",
            "7: warm.groups[0].combos[0].exclude[1].district: \"zz\" is no value of \"district\"; it has \"central\", \"eastern\"",
            "7: warm.groups[0].combos[0].exclude[2]: an exclusion without conditions leaves out everything; write name = \"value\", or remove it",
        ],
    ),
    (
        C,
        "path = \"/\"\nquery = 7\nexclude = [1]\n",
        &[
            "5: warm.groups[0].combos[0].query: found the number 7; this is values per query parameter; write a table: { name = [\"value\"] }",
            "6: warm.groups[0].combos[0].exclude: found a list; this is combinations that are left out; write a list of tables: [{ name = \"value\" }]",
        ],
    ),
    (
        S,
        "url = \"http://h/a\"\nselect = \"items\"\npath = \"/a\"\nheaders = { te = \"x\", a = [1, 2], b = \"\" }\n",
        &[
            "4: warm.groups[0].sources[0].url: \"http://h/a\" names a host: the plan asks the upstream only; write the path and the query alone: \"/a\"",
            "5: warm.groups[0].sources[0].select: \"items\" is no JSON Pointer; start with `/`: \"/items/*/name\"",
            "6: warm.groups[0].sources[0].path: the path has no {value}; write {value} where the values belong in the path",
            "7: warm.groups[0].sources[0].headers.te: \"te\" is not the plan's to set; remove it: headers about the host, the connection, conditions, ranges, caching and forwarding are warmfront's own",
            "7: warm.groups[0].sources[0].headers.a: has 2 values; write one text",
            "7: warm.groups[0].sources[0].headers.b: \"b\" has no value; write one, or remove it",
        ],
    ),
    (
        S,
        "path = \"/{v}\"\n",
        &[
            "3: warm.groups[0].sources[0].url: is missing; write url = \"/api/brands/top\"",
            "3: warm.groups[0].sources[0].select: is missing; write select = \"/items/*/name\"",
            "4: warm.groups[0].sources[0].path: {v} in the path has no values: a list fills {value} only; write {value}",
        ],
    ),
    (
        "[warm.user]\n",
        "path = \"/a?b\"\nidentity = { header = \"a b\" }\nrequests = [\"x\"]\nmax_users = 0\nmax_running = 0\n",
        &[
            "2: warm.user.path: \"/a?b\" has a query; write the path alone, as \"/api/user/warmup\"",
            "3: warm.user.identity.header: \"a b\" is no name of a header; write one, as \"authorization\"",
            "4: warm.user.requests: \"x\" does not start with `/`; write the path from the root: \"/api/brands?page=1\"",
            "5: warm.user.max_users: found 0; this is users at a time; write a whole number from 1 to 10000000",
            "6: warm.user.max_running: found 0; this is warm-ups of users under way at a time; write a whole number from 1 to 100000",
        ],
    ),
];

#[test]
fn each_fault_names_its_place_what_was_found_and_the_fix() {
    for (head, text, expected) in FAULTY {
        assert_eq!(faults(&format!("{head}{text}")), *expected, "{head}{text}");
    }
}

#[test]
fn what_does_less_than_it_seems_to_is_warned_of() {
    let group = "[[warm.groups]]\nname = \"g\"\nrequests = [\"/\"]\n";
    for (text, expected) in [
        (
            format!(
                "[warm]\non_startup = false\nstartup_delay = \"1s\"\nrefresh_interval = \"0s\"\n{group}schedule = [\"startup\", \"refresh\", \"every 1h\", \"every 60m\"]\n"
            ),
            vec![
                "3: warm.startup_delay: does nothing: warm.on_startup is false; remove one of them",
                "8: warm.groups[0].schedule: \"startup\" does nothing: warm.on_startup is false; remove one of them",
                "8: warm.groups[0].schedule: \"refresh\" does nothing: warm.refresh_interval is 0s; remove one of them",
                "8: warm.groups[0].schedule: \"every 60m\" is there twice; remove one of them",
            ],
        ),
        (
            "[warm]\nrefresh_ahead = { before = 0 }\nhosts = [\"a\", \"A\"]\n".into(),
            vec![
                "2: warm.refresh_ahead.before: 0 is no part of a lifetime: nothing is refreshed ahead; write hits = 0 to say so, or 0.1",
                "3: warm.hosts: \"A\" is there twice; remove one of them",
            ],
        ),
        (
            "[warm.user]\nmax_users = 1\n".into(),
            vec!["2: warm.user.requests: names nothing: users' warm-ups do nothing; write requests = [\"/api/me/profile\"]"],
        ),
    ] {
        assert_eq!(warnings(&text), expected);
    }
}

#[test]
fn what_no_rule_keeps_apart_by_user_is_warned_of() {
    let rules = "[[rules]]\npath = \"/me/**\"\nper_identity = { header = \"authorization\" }\n[[rules]]\npath = \"/pass\"\npass = true\n\
                 [[rules]]\nname = \"all\"\npath = \"/all\"\n[[rules]]\npath = \"/cookie\"\nper_identity = { header = \"cookie\" }\n";
    let user = "[warm.user]\nrequests = [\"/me/a?x\", \"/none\", \"/pass\", \"/all?x\", \"/cookie\"]\n";
    assert_eq!(
        warnings(&format!("{rules}{user}")),
        [
            "14: warm.user.requests: \"/none\" is in no rule: a user's copy would not be kept apart; add [[rules]] with path = \"/none\" and per_identity = { header = \"authorization\" }",
            "14: warm.user.requests: \"/pass\" falls under rules[1] (/pass), which passes; put a rule with per_identity = { header = \"authorization\" } before it",
            "14: warm.user.requests: \"/all\" falls under rules[2] (all), which keeps no copies apart; give it per_identity = { header = \"authorization\" }, or put a rule with that before it",
            "14: warm.user.requests: \"/cookie\" falls under rules[3] (/cookie), which keeps copies by \"cookie\"; give it per_identity = { header = \"authorization\" }, or put a rule with that before it",
        ]
    );
}

#[test]
fn no_fault_of_a_header_tells_its_value() {
    for part in ["combos]]\npath = \"/\"\n", "sources]]\nurl = \"/\"\n"] {
        for headers in [
            "headers = { x-t = \"s3cret\", authorization = \"s3cret\\n\" }",
            "headers = { authorization = [[\"s3cret\"]] }",
            "headers = { authorization = { a = \"s3cret\" } }",
            "headers = { authorization = [\n\"ok\",\n\"s3cret\\n\"] }",
            "headers = { authorization = [\n\"ok\",\n[\"s3cret\"]] }",
            "headers = { authorization = \"s3cret\", host = \"x\" }",
            "headers.authorization = \"s3cret\\n\"",
            "headers = { authorization = \"s3cret\" }\nexclude = [{ authorization = \"s3cret2\" }]",
        ] {
            let text = file(&format!("[upstream]\nurls = [\"http://a\"]\n[[warm.groups]]\nname = \"g\"\n[[warm.groups.{part}{headers}\n"));
            let text = text.unwrap_err().to_string();
            assert!(!text.contains("s3cret") || headers.contains("x-t") && !text.contains("s3cret\\n"), "{text}");
        }
    }
}
