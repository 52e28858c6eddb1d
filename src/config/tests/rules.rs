//! Rules, and what changes invalidate.

use super::{faults, file, good, warnings};
use crate::Invalidation;

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
    for name in ["none", "retired"] {
        let found = faults(&format!("[[rules]]\nname = \"{name}\"\npath = \"/a\"\n"));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with(&format!("2: rules[0].name: \"{name}\" is no name of a rule; choose another")), "{found:?}");
    }
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
