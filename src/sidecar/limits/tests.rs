use super::Limits;
use crate::cache::rules::PathPattern;
use crate::sidecar::forwarded::Peer;
use crate::sidecar::settings::{RateKey, RateLimit, RuleLimit, ServerSettings};
use http::{HeaderMap, HeaderValue};

fn rate(per_second: u32) -> RateLimit {
    RateLimit { per_second, ..RateLimit::default() }
}

fn rule(path: &str, limit: Option<RateLimit>) -> RuleLimit {
    RuleLimit { path: PathPattern::parse(path).unwrap(), limit }
}

/// How many of twenty requests for `path` pass at once.
fn pass(limits: &Limits, path: &str, fields: &[(&'static str, &'static str)]) -> usize {
    let headers: HeaderMap = fields.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
    let peer = Peer::new(Some("192.0.2.1".parse().unwrap()));
    (0..20).filter(|_| limits.check(path, &headers, &peer, &ServerSettings::default()).is_ok()).count()
}

#[test]
fn nothing_is_kept_where_nothing_is_limited() {
    let exempt = vec![rule("/a", Some(rate(0))), rule("/b", None)];
    assert!(Limits::new(&ServerSettings { rule_limits: exempt, ..ServerSettings::default() }).is_none());
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rule_limits = vec![rule("/free", Some(rate(0))), rule("/silent/**", None), rule("/**/narrow", Some(rate(2))), rule("/**", None)];
    let limits = Limits::new(&ServerSettings { rate_limit: rate(5), rule_limits, ..ServerSettings::default() }).unwrap();
    assert_eq!(pass(&limits, "/free", &[]), 20, "zero exempts");
    assert_eq!(pass(&limits, "/silent/narrow", &[]), 5, "an earlier rule without a rate leaves it to the general one");
    assert_eq!(pass(&limits, "/other/narrow", &[]), 2);
    assert_eq!(pass(&limits, "/narrow", &[]), 0, "the same rate for all paths of a rule");
    assert_eq!(pass(&limits, "/other", &[]), 0, "the general one has been used up above");
}

#[test]
fn an_identity_has_a_rate_of_its_own_and_without_one_the_address_counts() {
    let by = RateKey::Header(http::header::AUTHORIZATION);
    let server = ServerSettings { rate_limit: RateLimit { by, ..rate(3) }, ..ServerSettings::default() };
    let limits = Limits::new(&server).unwrap();
    assert_eq!(pass(&limits, "/", &[("authorization", "a")]), 3);
    assert_eq!(pass(&limits, "/", &[("authorization", "b")]), 3);
    assert_eq!(pass(&limits, "/", &[("authorization", "a")]), 0);
    assert_eq!((pass(&limits, "/", &[]), pass(&limits, "/", &[("x-other", "c")])), (3, 0));
}
