//! The sample data that does not change: schools, brands, users and reports, made by arithmetic so that every run has the same.

use serde_json::{Value, json};

/// Districts of the sample city.
pub(super) const DISTRICTS: [&str; 8] = ["central", "eastern", "southern", "wan-chai", "kowloon-city", "kwun-tong", "sha-tin", "yuen-long"];
/// Categories of schools.
pub(super) const CATEGORIES: [&str; 4] = ["aided", "government", "direct-subsidy", "private"];
const SCHOOLS: u64 = 240;
const BRANDS: [&str; 24] = [
    "acorn",
    "borealis",
    "cobalt",
    "dovetail",
    "ember",
    "fathom",
    "gambit",
    "harbour",
    "indigo",
    "juniper",
    "keystone",
    "lumen",
    "meridian",
    "nimbus",
    "orchard",
    "pinnacle",
    "quartz",
    "riverside",
    "summit",
    "tundra",
    "umbra",
    "vertex",
    "willow",
    "zephyr",
];
const PATRONS: [&str; 6] = ["St. Clare", "Victoria", "Lotus Hill", "Harbour View", "Tai Ping", "Good Hope"];

/// The value of `name` in a query, decoded.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| decode(value))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let pair = [rest.next().unwrap_or(b'?'), rest.next().unwrap_or(b'?')];
                std::str::from_utf8(&pair).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The page of primary schools that `query` asks for, or what is wrong with it.
pub(super) fn schools(query: &str) -> Result<Value, String> {
    let page = number(query, "page", 1, 1..=10_000)?;
    let size = number(query, "pageSize", 20, 1..=100)?;
    let wanted = ["district", "category", "net"].map(|name| (name, parameter(query, name)));
    let matches = |school: &Value| {
        wanted.iter().all(|(name, value)| value.as_deref().is_none_or(|value| school[*name].to_string().trim_matches('"') == value))
    };
    let all: Vec<Value> = (1..=SCHOOLS).filter_map(school).filter(matches).collect();
    let start = usize::try_from((page - 1) * size).unwrap_or(usize::MAX).min(all.len());
    let end = start.saturating_add(usize::try_from(size).unwrap_or(0)).min(all.len());
    Ok(json!({ "items": all[start..end], "page": page, "pageSize": size, "total": all.len() }))
}

fn number(query: &str, name: &str, default: u64, allowed: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    let Some(text) = parameter(query, name) else { return Ok(default) };
    let number = text.parse().ok().filter(|number| allowed.contains(number));
    number.ok_or_else(|| format!("{name} is a number from {} to {}", allowed.start(), allowed.end()))
}

/// The school of this number, from 1.
pub(super) fn school(id: u64) -> Option<Value> {
    let pick = |list: &[&'static str], salt: u64| list[usize::try_from((id * 7 + salt + id / 5) % list.len() as u64).unwrap_or(0)];
    (1..=SCHOOLS).contains(&id).then(|| {
        let district = pick(&DISTRICTS, 0);
        json!({
            "id": id,
            "name": format!("{} Primary School No. {id}", pick(&PATRONS, 3)),
            "district": district,
            "category": pick(&CATEGORIES, 1),
            "net": 11 + id % 30,
            "students": 300 + id * 37 % 700,
        })
    })
}

/// How many schools and students each district has.
pub(super) fn statistics() -> Value {
    let of = |district: &str| {
        let schools = (1..=SCHOOLS).filter_map(school).filter(|school| school["district"] == district);
        let (count, students) = schools.fold((0, 0), |(count, sum), school| (count + 1, sum + school["students"].as_u64().unwrap_or(0)));
        json!({ "district": district, "schools": count, "students": students })
    };
    json!({ "items": DISTRICTS.map(of), "total": SCHOOLS })
}

/// All brands.
pub(super) fn brands() -> Value {
    json!({ "items": BRANDS.map(|name| json!({ "name": name, "country": (["HK", "SE", "PT", "JP"][name.len() % 4]) })), "total": BRANDS.len() })
}

/// The best-selling brands, or what is wrong with the query.
pub(super) fn top_brands(query: &str) -> Result<Value, String> {
    let limit = number(query, "limit", 10, 1..=BRANDS.len() as u64)?;
    let items: Vec<Value> = (0..limit).filter_map(|rank| brand(rank * 5 % BRANDS.len() as u64, rank + 1)).collect();
    Ok(json!({ "items": items }))
}

fn brand(at: u64, rank: u64) -> Option<Value> {
    BRANDS.get(usize::try_from(at).ok()?).map(|name| json!({ "rank": rank, "name": name, "sold": 100_000 / rank }))
}

/// The figures of one brand.
pub(super) fn brand_stats(name: &str) -> Option<Value> {
    let at = BRANDS.iter().position(|brand| *brand == name)? as u64;
    let months: Vec<u64> = (1..=12).map(|month| 1000 + (at * 131 + month * 77) % 900).collect();
    Some(json!({ "name": name, "stores": 3 + at * 7 % 40, "monthlySales": months }))
}

/// Who a user is.
pub(super) fn profile(user: &str) -> Value {
    json!({ "user": user, "email": format!("{user}@example.com"), "plan": (["free", "team", "pro"][user.len() % 3]) })
}

/// What a user has used.
pub(super) fn usage(user: &str) -> Value {
    let seed = user.bytes().map(u64::from).sum::<u64>();
    json!({ "user": user, "requests": seed * 13 % 9000, "tokens": seed * 991 % 1_000_000, "days": (1..=7).map(|day| seed * day % 500).collect::<Vec<_>>() })
}

/// A report of something over 100 KiB.
pub(super) fn report(number: u64) -> Value {
    let row =
        |at: u64| json!({ "row": at, "school": at % SCHOOLS + 1, "value": (at * number * 7919) % 100_000, "note": "made by arithmetic" });
    json!({ "report": number, "rows": (0..1600).map(row).collect::<Vec<_>>() })
}

/// The words of the answer to any chat.
pub(super) const WORDS: [&str; 12] =
    ["Every", " token", " of", " this", " answer", " leaves", " as", " soon", " as", " it", " is", " made."];

#[cfg(test)]
mod tests {
    use super::{SCHOOLS, parameter, report, schools, statistics, top_brands};

    #[test]
    fn queries_page_and_filter() {
        let first = schools("page=1&pageSize=20").unwrap();
        assert_eq!((first["items"].as_array().unwrap().len(), first["total"].as_u64()), (20, Some(240)));
        let central = schools("district=wan-chai&pageSize=100").unwrap();
        assert!(central["total"].as_u64().unwrap() > 0 && central["total"].as_u64() < Some(240));
        let net = schools("net=12&category=aided&page=999").unwrap();
        assert_eq!(net["items"].as_array().unwrap().len(), 0);
        assert_eq!(schools("page=0").unwrap_err(), "page is a number from 1 to 10000");
        assert_eq!(top_brands("limit=3").unwrap()["items"].as_array().unwrap().len(), 3);
        assert_eq!(parameter("a=1&b=x%20y+z", "b").as_deref(), Some("x y z"));
    }

    #[test]
    fn every_school_is_in_the_statistics_of_one_district() {
        let sum: u64 = statistics()["items"].as_array().unwrap().iter().filter_map(|item| item["schools"].as_u64()).sum();
        assert_eq!(sum, SCHOOLS);
    }

    #[test]
    fn a_report_is_large_and_always_the_same() {
        assert!(report(7).to_string().len() > 100 << 10);
        assert_eq!(report(7), report(7));
    }
}
