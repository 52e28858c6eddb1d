//! The names under which access logs carry what is needed here: keys of JSON lines and labels of text lines (`rt=0.123`). One table for both.

use super::draft::{Slot, Slot::*};
use super::time::Unit::{Guess, Micros, Millis, Nanos, Seconds};
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Each name and what it says. Of several for the same thing in one line the first of this table counts. A dot goes into a nested object, or is part
/// of a flat name.
const NAMES: &[(&str, Slot)] = &[
    ("request_method", Method),            // nginx
    ("request.method", Method),            // Caddy
    ("RequestMethod", Method),             // Traefik
    ("http.request.method", Method),       // Elastic Common Schema
    ("httpRequest.requestMethod", Method), // Google Cloud
    ("http_method", Method),
    ("method", Method),   // Envoy, warmfront
    ("request", Request), // nginx: the whole request line
    ("request_line", Request),
    ("request_uri", Target), // nginx: as sent, with the query
    ("request.uri", Target),
    ("x-envoy-original-path", Target),
    ("RequestPath", Target),
    ("url.original", Target),
    ("httpRequest.requestUrl", Target),
    ("request_target", Target),
    ("target", Target),
    ("url", Target),
    ("url.path", Target),
    ("uri", Target),
    ("path", Target),
    ("http_path", Target),
    ("query_string", Query),
    ("url.query", Query),
    ("request.query", Query),
    ("args", Query),
    ("query", Query),
    ("status", Status),
    ("DownstreamStatus", Status),
    ("response_code", Status),
    ("status_code", Status),
    ("http.response.status_code", Status),
    ("httpRequest.status", Status),
    ("response.status", Status),
    ("response_status", Status),
    ("code", Status),
    ("request.host", Host),
    ("RequestHost", Host),
    (":authority", Host),
    ("authority", Host),
    ("http_host", Host),
    ("host", Host),
    ("vhost", Host),
    ("url.domain", Host),
    ("server_name", Host),
    ("remote_user", User),
    ("ClientUsername", User),
    ("user_id", User),
    ("auth_user", User),
    ("user.name", User),
    ("user", User),
    ("request.headers.Authorization", User), // Caddy: there, though redacted
    ("upstream_response_time", Origin(Seconds)),
    ("OriginDuration", Origin(Nanos)),
    ("upstream_service_time", Origin(Millis)), // Envoy
    ("x-envoy-upstream-service-time", Origin(Millis)),
    ("upstream_ms", Origin(Millis)),
    ("upstream_duration_ms", Origin(Millis)),
    ("upstream_time_ms", Origin(Millis)),
    ("origin_ms", Origin(Millis)),
    ("upstream_duration", Origin(Guess)),
    ("upstream_time", Origin(Guess)),
    ("urt", Origin(Seconds)),
    ("request_time", Time(Seconds)),
    ("rt", Time(Seconds)),
    ("Duration", Time(Nanos)), // Traefik
    ("duration_ms", Time(Millis)),
    ("request_time_ms", Time(Millis)),
    ("latency_ms", Time(Millis)),
    ("elapsed_ms", Time(Millis)),
    ("response_time_ms", Time(Millis)),
    ("total_ms", Time(Millis)),
    ("duration_us", Time(Micros)),
    ("duration_ns", Time(Nanos)),
    ("event.duration", Time(Nanos)),
    ("httpRequest.latency", Time(Guess)),
    ("duration", Time(Guess)), // Caddy: seconds; Envoy: milliseconds
    ("latency", Time(Guess)),
    ("response_time", Time(Guess)),
    ("elapsed", Time(Guess)),
    ("upstream_cache_status", Cache),
    ("cache_status", Cache),
    ("Cache-Status", Cache),
    ("resp_headers.Cache-Status", Cache),
    ("ucs", Cache),
    ("cs", Cache),
    ("outcome", Cache),
    ("x_cache", Cache),
    ("cache", Cache),
];

/// The table as a tree, to be walked along with a JSON object.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The place in the table and what the name says; lower places win.
    pub(super) here: Option<(u16, Slot)>,
    below: HashMap<&'static str, Self, RandomState>,
}

impl Names {
    pub(super) fn new() -> Self {
        let mut root = Self::default();
        for (rank, (name, slot)) in (0..).zip(NAMES) {
            root.below.entry(name).or_default().here = Some((rank, *slot));
            let nested = name.split('.').fold(&mut root, |node, segment| node.below.entry(segment).or_default());
            nested.here = Some((rank, *slot));
        }
        root
    }

    /// What is known by `name` here.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.below.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, Names};
    use std::collections::HashSet;

    #[test]
    fn a_name_stands_once_in_the_table() {
        assert_eq!(NAMES.iter().map(|(name, _)| name).collect::<HashSet<_>>().len(), NAMES.len());
    }

    #[test]
    fn dotted_names_are_found_flat_and_nested() {
        let names = Names::new();
        let rank = |node: Option<&Names>| node.and_then(|node| node.here).map(|(rank, _)| rank);
        let nested = names.get("request").and_then(|node| node.get("uri"));
        assert!(rank(nested).is_some() && rank(nested) == rank(names.get("request.uri")));
        assert!(rank(names.get("request")).is_some(), "the same name may be a text too");
        assert!(names.get("Request_Uri").is_none());
    }
}
