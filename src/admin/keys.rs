//! `GET /api/cache/keys`: what is stored, the most interesting first.

use crate::admin::Rooms;
use crate::admin::bad::{BadParameter, only};
use crate::layer::{KeyCursor, KeyEntry, KeySort, MOST_KEYS};
use crate::suggest::quote;
use serde_json::{Value, json};

/// Entries of a page where nobody says how many.
pub(super) const USUAL: usize = 50;

/// The page that `query` describes, decoded: `sort`, `limit` and `cursor`. It takes about a microsecond for each stored key, a tenth of a
/// second for a hundred thousand: call it where that holds nobody up.
///
/// # Errors
/// The parameter that makes no sense.
pub(crate) fn keys(rooms: &Rooms, query: &[(String, String)]) -> Result<Value, BadParameter> {
    let sort = only(query, "sort")?.map(sort).transpose()?.unwrap_or_default();
    let limit = only(query, "limit")?.map(limit).transpose()?.unwrap_or(USUAL);
    let cursor = only(query, "cursor")?.map(|text| cursor(text, sort)).transpose()?;
    let page = rooms.cache.keys(sort, limit, cursor);
    Ok(json!({
        "sort": sort.as_str(),
        "keys": page.entries.iter().map(entry).collect::<Vec<_>>(),
        "cursor": page.next.map(|cursor| cursor.to_string()),
        "complete": page.complete,
    }))
}

fn sort(text: &str) -> Result<KeySort, BadParameter> {
    let known = || KeySort::ALL.map(KeySort::as_str).join(", ");
    KeySort::named(text).ok_or_else(|| BadParameter::new("sort", format!("{} is none of {}", quote(text), known())))
}

fn limit(text: &str) -> Result<usize, BadParameter> {
    let number = text.parse().ok().filter(|number| (1..=MOST_KEYS).contains(number));
    number.ok_or_else(|| BadParameter::new("limit", format!("expected a whole number from 1 to {MOST_KEYS}")))
}

fn cursor(text: &str, sort: KeySort) -> Result<KeyCursor, BadParameter> {
    let cursor: KeyCursor = text.parse().map_err(|fault| BadParameter::new("cursor", fault))?;
    if cursor.sort == sort { Ok(cursor) } else { Err(BadParameter::new("cursor", format!("it belongs to sort={}", cursor.sort.as_str()))) }
}

fn entry(entry: &KeyEntry) -> Value {
    let mut value = json!({
        "method": "GET",
        "url": entry.url,
        "hits": entry.hits,
        "bytes": entry.bytes,
        "ageMs": u64::try_from(entry.age.as_millis()).unwrap_or(u64::MAX),
        "ttlMs": entry.ttl_millis,
        "level": entry.level.as_str(),
        "rule": entry.rule.as_deref(),
        "warmed": entry.warmed,
        "variants": entry.variants,
    });
    if entry.partitioned {
        value["partitioned"] = true.into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::keys;
    use crate::admin::rooms::{House, get};
    use crate::warm::Group;
    use crate::{Rule, Settings};
    use serde_json::Value;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn ask(house: &House, query: &[(&str, &str)]) -> Value {
        keys(&house.rooms, &pairs(query)).unwrap()
    }

    fn urls(page: &Value) -> Vec<&str> {
        page["keys"].as_array().unwrap().iter().map(|entry| entry["url"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn pages_follow_each_other_and_show_each_key_once() {
        let house = House::new(Settings::default(), |plan| plan);
        for at in 0..7 {
            for _ in 0..=at {
                house.ask(get(&format!("/{at}"))).await;
            }
        }
        let first = ask(&house, &[("limit", "3")]);
        assert_eq!((urls(&first), &first["keys"][0]["hits"]), (vec!["http://h/6", "http://h/5", "http://h/4"], &6.into()));
        let second = ask(&house, &[("limit", "3"), ("cursor", first["cursor"].as_str().unwrap())]);
        assert_eq!(urls(&second), ["http://h/3", "http://h/2", "http://h/1"]);
        let last = ask(&house, &[("limit", "3"), ("cursor", second["cursor"].as_str().unwrap())]);
        assert_eq!((urls(&last), &last["cursor"], &last["complete"]), (vec!["http://h/0"], &Value::Null, &true.into()));
        assert_eq!(house.rooms.cache.stats().hits, 21, "looking is no use");
    }

    #[tokio::test]
    async fn each_order_shows_what_its_name_says_first() {
        let rule = Rule::path("/short").unwrap().ttl(std::time::Duration::from_secs(5)).override_origin().named("brief");
        let house = House::new(Settings { rules: vec![rule], ..Settings::default() }, |plan| plan);
        house.ask(get("/old-and-with-a-long-name")).await;
        house.clock.advance(std::time::Duration::from_secs(3));
        house.ask(get("/short")).await;
        house.ask(get("/young")).await;
        house.ask(get("/young")).await;
        for (sort, first) in
            [("hits", "/young"), ("bytes", "/old-and-with-a-long-name"), ("age", "/old-and-with-a-long-name"), ("ttl", "/short")]
        {
            assert_eq!(urls(&ask(&house, &[("sort", sort)]))[0], format!("http://h{first}"), "{sort}");
        }
        let short = ask(&house, &[("sort", "ttl")])["keys"][0].clone();
        assert_eq!(
            (&short["ttlMs"], &short["ageMs"], &short["rule"], &short["variants"]),
            (&5000.into(), &0.into(), &"brief".into(), &1.into())
        );
    }

    #[tokio::test]
    async fn a_cursor_holds_while_time_goes_by() {
        let house = House::new(Settings::default(), |plan| plan);
        for path in ["/1", "/2", "/3"] {
            house.ask(get(path)).await;
            house.clock.advance(std::time::Duration::from_secs(1));
        }
        let first = ask(&house, &[("sort", "age"), ("limit", "2")]);
        house.clock.advance(std::time::Duration::from_secs(100));
        let second = ask(&house, &[("sort", "age"), ("cursor", first["cursor"].as_str().unwrap())]);
        assert_eq!((urls(&first), urls(&second)), (vec!["http://h/1", "http://h/2"], vec!["http://h/3"]));
        assert_eq!(second["keys"][0]["ttlMs"], -41_000);
    }

    #[tokio::test]
    async fn an_identity_is_not_told_and_what_was_purged_is_not_shown() {
        let rule = Rule::path("/me").unwrap().per_identity(http::header::AUTHORIZATION);
        let house = House::new(Settings { rules: vec![rule], ..Settings::default() }, |plan| {
            plan.group(Group::new("brands").request("/warm").unwrap())
        });
        let mut mine = get("/me");
        mine.headers_mut().insert("authorization", "Bearer sesame".parse().unwrap());
        house.ask(mine).await;
        house.rooms.warm.run(None, false).await.unwrap().unwrap().ended().await;
        let page = ask(&house, &[]);
        let of = |url: &str| page["keys"].as_array().unwrap().iter().find(|entry| entry["url"] == url).unwrap().clone();
        assert_eq!((&of("http://h/me")["partitioned"], &of("http://h/me")["warmed"]), (&true.into(), &false.into()));
        assert_eq!((&of("http://h/warm")["partitioned"], &of("http://h/warm")["warmed"]), (&Value::Null, &true.into()));
        assert!(!page.to_string().contains("sesame"));
        house.rooms.cache.invalidate(&"http://h/warm".parse().unwrap(), crate::Level::Dead);
        house.rooms.cache.invalidate(&"http://h/me".parse().unwrap(), crate::Level::Dead);
        assert_eq!(urls(&ask(&house, &[])).len(), 0);
    }

    #[tokio::test]
    async fn values_that_make_no_sense_are_named() {
        let house = House::new(Settings::default(), |plan| plan);
        for (query, name) in [
            (("sort", "heat"), "sort"),
            (("sort", ""), "sort"),
            (("limit", ""), "limit"),
            (("limit", "0"), "limit"),
            (("limit", "1001"), "limit"),
            (("limit", "-1"), "limit"),
            (("limit", "99999999999999999999999"), "limit"),
            (("cursor", ""), "cursor"),
            (("cursor", "x"), "cursor"),
            (("cursor", "hits-1"), "cursor"),
            (("cursor", "hits-1-xyz"), "cursor"),
            (("cursor", "ttl-1-1"), "cursor"),
        ] {
            assert_eq!(keys(&house.rooms, &pairs(&[query])).unwrap_err().name, name, "{query:?}");
        }
        assert_eq!(ask(&house, &[("cursor", "hits-ff-1"), ("sort", "hits"), ("limit", "1000")])["keys"], serde_json::json!([]));
    }
}
