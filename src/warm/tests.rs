//! What plans expand to.

use super::source::{Selected, read_source};
use super::{Combo, Group, Item, ListSource, PlanFault, Selector, SourceFault, Tally, UserSettings, WarmSettings};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

fn words<T: std::fmt::Debug>(result: Result<T, PlanFault>) -> String {
    result.unwrap_err().to_string()
}

/// A key as a cache would take it: the whole target.
fn by_target() -> impl FnMut(&Item) -> u64 {
    let state = RandomState::new();
    move |item| state.hash_one(item.target.as_str())
}

fn shown(item: &Item) -> String {
    let headers: String = item.headers.iter().map(|(name, value)| format!(" {name}={}", value.to_str().unwrap())).collect();
    format!("{}{headers}", item.target)
}

fn expand(group: &Group, lists: &[Vec<String>]) -> (Vec<String>, Tally) {
    let mut expansion = group.expand(lists, by_target());
    let items = expansion.by_ref().map(|item| shown(&item)).collect();
    (items, expansion.tally())
}

fn of(combo: Combo) -> Group {
    Group::new("g").combo(combo).unwrap()
}

#[test]
fn single_requests_come_in_their_order_and_once() {
    let group = Group::new("g").request("/b").unwrap().request("/a?x=1").unwrap().request("/b").unwrap();
    let (items, tally) = expand(&group, &[]);
    assert_eq!(items, ["/b", "/a?x=1"]);
    assert_eq!(tally, Tally { items: 2, duplicates: 1, product: 3, ..Tally::default() });
}

#[test]
fn a_combo_is_every_combination_in_written_order_the_last_fastest() {
    let combo = Combo::path("/{kind}/x?v=1&k={kind}").unwrap().query("b", ["1", "2"]).unwrap().param("kind", ["s", "t"]).unwrap();
    let (items, tally) = expand(&of(combo.query("a", [true]).unwrap()), &[]);
    assert_eq!(items, ["/s/x?v=1&k=s&b=1&a=true", "/t/x?v=1&k=t&b=1&a=true", "/s/x?v=1&k=s&b=2&a=true", "/t/x?v=1&k=t&b=2&a=true"]);
    assert_eq!(tally, Tally { items: 4, product: 4, ..Tally::default() });
    assert_eq!(expand(&of(Combo::path("/alone").unwrap()), &[]).0, ["/alone"]);
}

#[test]
fn headers_tell_requests_apart_and_an_empty_value_is_no_header() {
    let combo = Combo::path("/a").unwrap().header("Accept-Language", ["en", ""]).unwrap().header("x-t", ["1"]).unwrap();
    let (items, tally) = expand(&of(combo), &[]);
    assert_eq!(items, ["/a accept-language=en x-t=1", "/a x-t=1"]);
    assert_eq!(tally.duplicates, 0);
}

#[test]
fn the_same_headers_in_another_order_are_the_same_request() {
    let one = Combo::path("/a").unwrap().header("a", ["1"]).unwrap().header("b", ["2"]).unwrap();
    let other = Combo::path("/a").unwrap().header("b", ["2"]).unwrap().header("a", ["1"]).unwrap();
    let swapped = Combo::path("/a").unwrap().header("a", ["2"]).unwrap().header("b", ["1"]).unwrap();
    let group = of(one).combo(other).unwrap().combo(swapped).unwrap();
    assert_eq!(expand(&group, &[]).1, Tally { items: 2, duplicates: 1, product: 3, ..Tally::default() });
}

#[test]
fn an_expansion_may_be_sent_to_another_thread() {
    fn sent<T: Send>(sent: T) -> T {
        sent
    }
    let group = of(Combo::path("/a").unwrap());
    assert_eq!(sent(group.expand(&[], by_target())).count(), 1);
}

#[test]
fn the_key_says_which_requests_are_the_same() {
    let group = of(Combo::path("/a").unwrap().query("n", 0..10).unwrap());
    let mut expansion = group.expand(&[], |_| 7);
    assert_eq!(expansion.by_ref().count(), 1);
    assert_eq!(expansion.tally(), Tally { items: 1, duplicates: 9, product: 10, ..Tally::default() });
}

#[test]
fn an_exclusion_leaves_out_what_meets_all_of_its_conditions() {
    let combo = Combo::path("/").unwrap().query("d", ["c", "e", "w"]).unwrap().header("accept-language", ["en", "zh"]).unwrap();
    let combo = combo.exclude([("d", vec!["e", "w"]), ("Accept-Language", vec!["zh"])]).unwrap();
    let (items, tally) = expand(&of(combo), &[]);
    assert_eq!(items, ["/?d=c accept-language=en", "/?d=c accept-language=zh", "/?d=e accept-language=en", "/?d=w accept-language=en"]);
    assert_eq!((tally.excluded, tally.cut, tally.product), (2, 0, 6));
}

#[test]
fn overlapping_exclusions_count_each_combination_once() {
    let combo = Combo::path("/").unwrap().query("a", 0..2).unwrap().query("b", 0..3).unwrap();
    let combo = combo.exclude([("b", [0])]).unwrap().exclude([("a", [0])]).unwrap().exclude([("a", [0]), ("b", [2])]).unwrap();
    let (items, tally) = expand(&of(combo), &[]);
    assert_eq!(items, ["/?a=1&b=1", "/?a=1&b=2"]);
    assert_eq!(tally, Tally { items: 2, excluded: 4, product: 6, ..Tally::default() });
}

#[test]
fn what_is_left_out_is_skipped_in_one_step() {
    let mut combo = Combo::path("/").unwrap().query("a", 0..100_000).unwrap().query("b", 0..1_000_000).unwrap().query("c", 0..10).unwrap();
    combo = combo.exclude([("a", 0..99_999)]).unwrap();
    let (items, tally) = expand(&of(combo).max_items(3), &[]);
    assert_eq!(items, ["/?a=99999&b=0&c=0", "/?a=99999&b=0&c=1", "/?a=99999&b=0&c=2"]);
    assert_eq!((tally.excluded, tally.product), (99_999 * 10_000_000, 1_000_000_000_000));
    assert_eq!(tally.cut, 10_000_000 - 3);
}

#[test]
fn a_product_beyond_all_bounds_costs_no_more_than_its_items() {
    let combo = ["a", "b", "c", "d"].iter().fold(Combo::path("/").unwrap(), |combo, name| combo.query(name, 0..1000).unwrap());
    let group = of(combo).max_items(1000);
    let start = Instant::now();
    let (items, tally) = expand(&group, &[]);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert_eq!((items.len(), tally.product, tally.cut), (1000, 1_000_000_000_000, 1_000_000_000_000 - 1000));
    let endless = (0..30).fold(Combo::path("/").unwrap(), |combo, name| combo.query(&name.to_string(), 0..10).unwrap());
    assert_eq!((endless.product(), expand(&of(endless).max_items(5), &[]).1.product), (u64::MAX, u64::MAX));
}

#[test]
fn duplicates_and_scattered_exclusions_end_at_a_bound() {
    let combo = Combo::path("/").unwrap().query("a", 0..10_000).unwrap().query("b", 0..10_000).unwrap();
    let group = of(combo.clone()).max_items(2);
    let mut same = group.expand(&[], |_| 0);
    assert_eq!(same.by_ref().count(), 1);
    assert_eq!((same.tally().duplicates, same.tally().cut), (100_019, 100_000_000 - 100_020));
    let (items, tally) = expand(&of(combo.exclude([("b", 0..10_000)]).unwrap()).max_items(2), &[]);
    assert_eq!((items.len(), tally.excluded, tally.cut), (0, 100_020, 100_000_000 - 100_020));
}

#[test]
fn reaching_the_cap_with_the_last_item_cuts_nothing() {
    let group = of(Combo::path("/").unwrap().query("a", 0..3).unwrap());
    assert_eq!(expand(&group.clone().max_items(3), &[]).1.cut, 0);
    assert_eq!(expand(&group.max_items(2), &[]).1.cut, 1);
}

#[test]
fn values_of_lists_go_into_their_paths() {
    let source = ListSource::new("/top", "/*", "/b/{value}/s?n={value}").unwrap().header("x-t", "1").unwrap();
    let group = Group::new("g").source(source).source(ListSource::new("/more", "/*", "/m?n={value}").unwrap());
    let list = |values: &[&str]| values.iter().map(|value| String::from(*value)).collect::<Vec<_>>();
    let lists = [list(&["a b/c", "", ".", "..", "é", &"x".repeat(9000)]), list(&["", ".."])];
    let (items, tally) = expand(&group, &lists);
    assert_eq!(items, ["/b/a%20b%2Fc/s?n=a%20b%2Fc x-t=1", "/b/%C3%A9/s?n=%C3%A9 x-t=1", "/m?n=", "/m?n=.."]);
    assert_eq!(tally, Tally { items: 4, unusable: 4, product: 8, ..Tally::default() });
    assert_eq!(expand(&group, &[]).1, Tally::default(), "what was not asked for has no requests");
}

#[test]
fn what_makes_no_combo_is_told_why() {
    let combo = || Combo::path("/{kind}").unwrap().param("kind", ["a", "b"]).unwrap().query("page", 1..=2).unwrap();
    assert_eq!(words(combo().param("knid", ["x"])), "the path has no {knid}; did you mean \"kind\"?");
    assert_eq!(words(combo().param("x", ["x"])), "the path has no {x}; the path has \"kind\"");
    assert_eq!(words(Combo::path("/a").unwrap().param("x", ["x"])), "the path has no {x}; write {x} where the values belong in the path");
    assert_eq!(
        words(combo().query("q", [""; 0])),
        "\"q\" has no values: nothing would be asked for; write at least one value, or remove it"
    );
    assert_eq!(
        words(combo().query("kind", ["x"])),
        "\"kind\" is there twice; keep one: a name is that of a placeholder, a query parameter or a header"
    );
    assert!(words(combo().header("PAGE", ["x"])).starts_with("\"page\" is there twice"));
    assert_eq!(words(combo().query("", ["x"])), "a query parameter has no name; write the parameter's name");
    for dots in ["", ".", ".."] {
        assert_eq!(
            words(Combo::path("/v{a}").unwrap().param("a", [dots])),
            format!("\"{dots}\" as {{a}} would be another path; write a value that is not empty, \".\" or \"..\"")
        );
    }
    assert!(Combo::path("/?q={a}").unwrap().param("a", [""]).is_ok());
    let unfilled = Combo::path("/{a}/{b}").unwrap().param("a", ["x"]).unwrap();
    assert_eq!(
        words(Group::new("g").combo(unfilled.clone())),
        "{b} in the path has no values; add params = { b = [\"..\"] }, or take {b} out of the path"
    );
    let long = Combo::path("/a").unwrap().query("q", ["x".repeat(8188).as_str(), "y"]).unwrap();
    assert_eq!(words(long.check()), "\"/a\" with its longest values is longer than 8192 bytes; shorten it");
    assert!(Combo::path("/a").unwrap().query("q", ["x".repeat(8187)]).unwrap().check().is_ok());
    let mut unchecked = Group::new("g");
    unchecked.combos.push(unfilled);
    assert_eq!(expand(&unchecked, &[]).1.unusable, 1, "an unchecked combo does no harm");
}

#[test]
fn what_makes_no_exclusion_is_told_why() {
    let combo =
        || Combo::path("/").unwrap().query("district", ["central", "eastern"]).unwrap().header("authorization", ["s3cret"]).unwrap();
    let none: [(&str, [&str; 1]); 0] = [];
    assert_eq!(words(combo().exclude(none)), "an exclusion without conditions leaves out everything; write name = \"value\", or remove it");
    assert_eq!(words(combo().exclude([("distrikt", ["x"])])), "\"distrikt\" is no dimension of this combo; did you mean \"district\"?");
    assert_eq!(words(combo().exclude([("page", ["x"])])), "\"page\" is no dimension of this combo; it has \"district\", \"authorization\"");
    assert_eq!(words(combo().exclude([("district", ["estern"])])), "\"estern\" is no value of \"district\"; did you mean \"eastern\"?");
    assert_eq!(words(combo().exclude([("district", ["zz"])])), "\"zz\" is no value of \"district\"; it has \"central\", \"eastern\"");
    assert_eq!(
        words(combo().exclude([("authorization", ["s3cre"])])),
        "an exclusion names a value that \"authorization\" does not have; write one of the header's values"
    );
    assert!(words(combo().exclude([("district", ["central"]), ("district", ["eastern"])])).starts_with("\"district\" is there twice"));
    assert!(words(combo().exclude([("district", [""; 0])])).starts_with("\"district\" has no values"));
}

#[test]
fn what_makes_no_source_is_told_why() {
    assert_eq!(words(ListSource::new("/a", "items", "/{value}")), "\"items\" is no JSON Pointer; start with `/`: \"/items/*/name\"");
    assert!(words(ListSource::new("/a", "/a~b", "/{value}")).ends_with("write ~0 for `~` and ~1 for `/` in a name"));
    assert!(words(ListSource::new("/a", "/a~", "/{value}")).contains("~0"));
    assert!(words(ListSource::new("/a", &"/a".repeat(65), "/{value}")).ends_with("use at most 64 steps"));
    assert_eq!(words(ListSource::new("/a", "", "/b")), "the path has no {value}; write {value} where the values belong in the path");
    assert_eq!(words(ListSource::new("/a", "", "/{value}/{v}")), "{v} in the path has no values: a list fills {value} only; write {value}");
    assert!(words(ListSource::new("http://a", "", "/{value}")).contains("names a host"));
    let source = || ListSource::new("/a", "", "/{value}").unwrap();
    assert!(words(source().header("host", "a")).contains("not the plan's"));
    assert!(words(source().header("x-t", "")).contains("\"x-t\" has no value;"));
    assert!(words(source().header("x-t", "1").unwrap().header("X-T", "2")).contains("is there twice"));
}

#[test]
fn a_group_is_judged_as_a_whole() {
    for (group, start) in [
        (Group::new(""), "\"\" is no name of a group; write 1 to 100"),
        (Group::new("ü"), "\"ü\" is no name"),
        (Group::new(&"x".repeat(101)), "\"xx"),
        (Group::new("g").max_items(0), "max_items 0 would warm nothing; write a number from 1 to 1000000"),
        (Group::new("g").max_items(1_000_001), "max_items 1000001 is more than"),
        (Group::new("g").every(Duration::from_millis(999)), "999ms is no interval of a schedule; write one from 1s to 365d"),
        (Group::new("g").every(Duration::from_secs(366 * 86_400)), "366d is no interval"),
    ] {
        let words = words(group.check());
        assert!(words.starts_with(start), "{words}");
    }
    let twice = WarmSettings { groups: vec![Group::new("g"), Group::new("h"), Group::new("g")], ..WarmSettings::default() };
    assert_eq!(words(twice.check()), "\"g\" is already the name of a group; give each group a name of its own");
    assert!(WarmSettings::default().check().is_ok());
    type Change = fn(&mut WarmSettings);
    let said: [(&str, Change); 6] = [
        ("concurrency", |warm| warm.concurrency = 0),
        ("timeout", |warm| warm.timeout = Duration::ZERO),
        ("refresh_interval", |warm| warm.refresh_interval = Duration::from_millis(999)),
        ("refresh_ahead.before", |warm| warm.refresh_ahead.before = f64::NAN),
        ("user.max_users", |warm| warm.user = Some(UserSettings { max_users: 0, ..UserSettings::default() })),
        ("user.max_running", |warm| warm.user = Some(UserSettings { max_running: 0, ..UserSettings::default() })),
    ];
    for (name, change) in said {
        let mut warm = WarmSettings { user: Some(UserSettings::default()), refresh_interval: Duration::ZERO, ..WarmSettings::default() };
        assert_eq!(warm.check(), Ok(()));
        change(&mut warm);
        assert!(words(warm.check()).starts_with(&format!("{name} is out of its bounds; write ")), "{name}");
    }
}

fn select(pointer: &str, body: &str, most: usize) -> Result<Selected, SourceFault> {
    read_source(body.as_bytes(), &Selector::parse(pointer).unwrap(), most)
}

#[test]
fn a_selector_walks_lists_and_objects() {
    const BODY: &str = r#"{"items":[{"n":"a","t":[1,2.5,true]},{"n":"b","t":[]},{"n":"a","t":[1]}],"a/b":{"~":"x"},"":"e","":"f"}"#;
    for (pointer, values) in [
        ("/items/*/n", vec!["a", "b"]),
        ("/items/*/t/*", vec!["1", "2.5", "true"]),
        ("/items/1/n", vec!["b"]),
        ("/a~1b/~0", vec!["x"]),
        ("/a~1b/*", vec!["x"]),
        ("/", vec!["f"]),
    ] {
        assert_eq!(
            select(pointer, BODY, 9),
            Ok(Selected { values: values.into_iter().map(String::from).collect(), ..Selected::default() }),
            "{pointer}"
        );
    }
    assert_eq!(select("", "\"x\"", 9).unwrap().values, ["x"]);
    assert_eq!(select("/*", "[]", 9), Ok(Selected::default()));
}

#[test]
fn what_is_no_value_is_skipped_and_counted() {
    let found = select("/*/n", r#"[{"n":null},{"n":{}},{"n":[]},{"n":0},{"m":1},7]"#, 9).unwrap();
    assert_eq!((found.values, found.skipped, found.cut), (vec!["0".to_owned()], 5, false));
}

#[test]
fn more_values_than_wanted_are_cut() {
    let found = select("/*", "[1,1,2,2,3]", 2).unwrap();
    assert_eq!((found.values.len(), found.cut), (2, true));
    assert!(!select("/*", "[1,1,2,2,1]", 2).unwrap().cut);
}

#[test]
fn what_cannot_be_read_is_told_where() {
    for (pointer, body, words) in [
        ("/items/*", "{\"item\":[]}", "the answer has no /items"),
        ("/a/b/c", "{\"a\":{}}", "the answer has no /a/b"),
        ("/a/-", "{\"a\":[1]}", "the answer has no /a/-"),
        ("/a/01", "{\"a\":[1,2]}", "the answer has no /a/01"),
        ("/a/+1", "{\"a\":[1,2]}", "the answer has no /a/+1"),
        ("/a/b", "{\"a\":\"x\"}", "the answer has no /a/b"),
        ("/*/n", "[{\"m\":1}]", "the answer has no /*/n"),
        ("/*", "7", "the answer is a number, not a list"),
        ("/a/*/b", "{\"a\":null}", "the answer's /a is null, not a list"),
        ("/a", "{\n  a: 1}", "the answer is not JSON: key must be a string in line 2, column 3"),
        ("/a", "", "the answer is not JSON: EOF while parsing a value in line 1, column 0"),
    ] {
        assert_eq!(select(pointer, body, 9).unwrap_err().to_string(), words, "{pointer} {body}");
    }
    assert!(select("/a", &"[".repeat(1 << 20), 9).is_err());
    assert_eq!(select("/a", &" ".repeat(super::source::MOST_BYTES + 1), 9).unwrap_err().to_string(), "the answer is longer than 8 MiB");
}

proptest::proptest! {
    #[test]
    fn an_expansion_is_the_product_without_what_is_excluded(
        sizes in proptest::collection::vec(1_usize..4, 0..4),
        excluded in proptest::collection::vec(proptest::collection::vec((0_usize..4, 0_usize..4), 1..3), 0..4),
    ) {
        let mut combo = Combo::path("/x").unwrap();
        for (at, size) in sizes.iter().enumerate() {
            combo = combo.query(&at.to_string(), 0..*size).unwrap();
        }
        let mut rules: Vec<Vec<(usize, usize)>> = Vec::new();
        for rule in excluded {
            let conditions = rule.iter().map(|(at, value)| (at.to_string(), [*value]));
            if let Ok(more) = combo.clone().exclude(conditions) {
                combo = more;
                rules.push(rule);
            }
        }
        let mut all: Vec<Vec<usize>> = vec![Vec::new()];
        for size in &sizes {
            all = all.iter().flat_map(|head| (0..*size).map(|value| [head.as_slice(), &[value]].concat())).collect();
        }
        let total = all.len() as u64;
        all.retain(|values| !rules.iter().any(|rule| rule.iter().all(|(at, value)| values[*at] == *value)));
        let expected: Vec<String> = all.iter().map(|values| {
            let query: Vec<String> = values.iter().enumerate().map(|(at, value)| format!("{at}={value}")).collect();
            if query.is_empty() { "/x".into() } else { format!("/x?{}", query.join("&")) }
        }).collect();
        let (items, tally) = expand(&of(combo), &[]);
        assert_eq!(items, expected);
        assert_eq!(tally, Tally { items: expected.len() as u64, excluded: total - expected.len() as u64, product: total, ..Tally::default() });
    }

    #[test]
    fn no_value_changes_which_place_is_asked(value in ".{0,12}") {
        let Ok(combo) = Combo::path("/a/{v}/b").unwrap().param("v", [value.as_str()]) else {
            assert!(matches!(&*value, "" | "." | ".."));
            return Ok(());
        };
        let target = of(combo).expand(&[], |_| 0).next().unwrap().target;
        assert!(target.path().split('/').count() == 4 && target.query().is_none() && target.path().starts_with("/a/"), "{target}");
    }

    #[test]
    fn no_selector_and_no_answer_make_it_panic(pointer in "(/[a*~01]{0,3}){0,4}", body in "[\\[\\]{}:,\"a01 ]{0,20}") {
        if let Ok(selector) = Selector::parse(&pointer) {
            assert_eq!(selector.to_string(), pointer);
            let _ = read_source(body.as_bytes(), &selector, 3);
        }
    }
}

/// Time that this thread has had on a processor: other work on the machine does not count.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// `cargo test --release --lib -- --ignored --nocapture a_million`
#[test]
#[ignore = "a measurement"]
fn a_million_items_expand_in_half_a_second() {
    let combo = Combo::path("/api/schools/{level}").unwrap().param("level", ["primary", "secondary"]).unwrap();
    let combo = combo.query("page", 0..5000).unwrap().query("district", 0..50).unwrap().header("accept-language", ["en", "zh-HK"]).unwrap();
    let endless = ["a", "b", "c", "d"].iter().fold(Combo::path("/").unwrap(), |combo, name| combo.query(name, 0..1000).unwrap());
    let measure = |what: &str, group: Group, key: &mut dyn FnMut(&Item) -> u64| {
        let (start, before) = (Instant::now(), busy());
        let mut expansion = group.expand(&[], key);
        expansion.by_ref().for_each(drop);
        println!("{what}: {:?} busy of {:?}: {:?}", busy() - before, start.elapsed(), expansion.tally());
    };
    measure("a million items", of(combo).max_items(1_000_000), &mut by_target());
    measure("a thousand of 10^12", of(endless.clone()), &mut by_target());
    measure("nothing but duplicates", of(endless).max_items(1_000_000), &mut |_| 0);
}
