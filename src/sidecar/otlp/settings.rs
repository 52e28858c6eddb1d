//! What the standard environment variables of OpenTelemetry say (specification, "Environment Variable Specification" and "OTLP Exporter").

use crate::sidecar::otlp::list::{entries, items, ordinal};
use crate::sidecar::otlp::resource::resource;
use crate::sidecar::settings::{Origin, TlsFault, UpstreamTls};
use crate::telemetry::span::ENDPOINTS;
use http::header::{HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Where spans go, and how.
#[derive(Clone, PartialEq)]
pub struct OtlpSettings {
    pub(super) origin: Origin,
    pub(super) path: PathAndQuery,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) tls: UpstreamTls,
    /// Of one attempt.
    pub(super) timeout: Duration,
    pub(super) gzip: bool,
    /// What all spans have in common, by name.
    pub(super) resource: Vec<(String, String)>,
    /// How long a span may wait for others.
    pub(super) delay: Duration,
    /// Spans that wait at most.
    pub(super) queue: usize,
    /// Spans that are sent together at most.
    pub(super) batch: usize,
}

/// Without the headers: they hold secrets.
impl fmt::Debug for OtlpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpSettings").field("origin", &self.origin).field("path", &self.path).finish_non_exhaustive()
    }
}

/// What is wrong with a variable, and the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFault {
    /// Its name.
    pub name: String,
    /// What was found, in words; no secret.
    pub found: String,
    /// What to do about it.
    pub fix: String,
}

const SIGNAL_PATH: &str = "/v1/traces";
/// Milliseconds at most, of a time-out and of a delay.
const MOST_MILLIS: u64 = 600_000;
const MOST_QUEUE: u64 = 65_536;

impl OtlpSettings {
    /// What the environment says, which `read` knows by name; and what of it does not count, though somebody has said it. `None`: no span is sent, because
    /// no endpoint is named (then nothing else is looked at), `OTEL_SDK_DISABLED` is `true`, or `OTEL_TRACES_EXPORTER` names others, or `none`. An empty
    /// variable counts as none.
    ///
    /// # Errors
    /// What is wrong with the variables that say to whom spans go and how: with any other value in its place they would not arrive. All others that are wrong
    /// do not count, as the specification has it.
    pub fn from_env(read: impl Fn(&str) -> Option<String>) -> Result<(Option<Self>, Vec<EnvFault>), Vec<EnvFault>> {
        let mut env = Env { read: &read, faults: Vec::new(), warnings: Vec::new() };
        let settings = env.settings();
        if env.faults.is_empty() { Ok((settings, env.warnings)) } else { Err(env.faults) }
    }

    /// `http://collector:4318/v1/traces`
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }
}

struct Env<'a> {
    read: &'a dyn Fn(&str) -> Option<String>,
    /// Of these the start is stopped.
    faults: Vec<EnvFault>,
    /// These do not count.
    warnings: Vec<EnvFault>,
}

impl Env<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.read)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// What is said for traces, else for everything; with the name of the variable that says it.
    fn either(&self, what: &str) -> Option<(String, String)> {
        ["TRACES_", ""].into_iter().find_map(|signal| {
            let name = format!("OTEL_EXPORTER_OTLP_{signal}{what}");
            self.get(&name).map(|value| (name, value))
        })
    }

    fn fault(&mut self, name: &str, found: impl Into<String>, fix: impl Into<String>) {
        self.faults.push(EnvFault { name: name.to_owned(), found: found.into(), fix: fix.into() });
    }

    fn ignore(&mut self, name: &str, found: impl Into<String>, fix: impl Into<String>) {
        self.warnings.push(EnvFault { name: name.to_owned(), found: found.into(), fix: fix.into() });
    }

    fn settings(&mut self) -> Option<OtlpSettings> {
        // The default of the specification (http://localhost:4318) is not ours: a proxy must not send what its readers ask for to whoever listens there.
        // Before all else, since where nothing would be sent nothing can be wrong.
        let named = self.either("ENDPOINT")?;
        if self.is_disabled() || self.exports_elsewhere() {
            return None;
        }
        let (origin, path) = self.endpoint(&named);
        self.protocol();
        let headers = self.headers();
        let queue = self.number("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1..=MOST_QUEUE);
        Some(OtlpSettings {
            origin: origin?,
            path,
            headers,
            tls: self.tls(),
            timeout: self.timeout(),
            gzip: self.compression(),
            resource: self.resource(),
            delay: Duration::from_millis(self.number("OTEL_BSP_SCHEDULE_DELAY", 5000, 1..=MOST_MILLIS)),
            queue: queue as usize,
            batch: self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", queue.min(512), 1..=queue) as usize,
        })
    }

    /// Only `true` is true (specification, "Boolean").
    fn is_disabled(&mut self) -> bool {
        const NAME: &str = "OTEL_SDK_DISABLED";
        let Some(said) = self.get(NAME) else { return false };
        let disabled = said.eq_ignore_ascii_case("true");
        if !disabled && !said.eq_ignore_ascii_case("false") {
            self.ignore(NAME, format!("{said:?} is neither true nor false, and counts as false"), "write true to send nothing, or false");
        }
        disabled
    }

    /// A list. Who names others alone does not want us to send.
    fn exports_elsewhere(&mut self) -> bool {
        const NAME: &str = "OTEL_TRACES_EXPORTER";
        let Some(said) = self.get(NAME) else { return false };
        let names = |name: &str| items(&said).any(|known| known.eq_ignore_ascii_case(name));
        if names("none") {
            return true;
        }
        let elsewhere = !names("otlp");
        let others: Vec<String> = items(&said).filter(|name| !name.eq_ignore_ascii_case("otlp")).map(|name| format!("{name:?}")).collect();
        if elsewhere || !others.is_empty() {
            let rest = if elsewhere { ": no span is sent" } else { ", and ignored" };
            self.ignore(NAME, format!("{} is not supported{rest}", others.join(", ")), "write otlp, or none to send nothing");
        }
        elsewhere
    }

    /// What a variable of this name and value says; `None`: it is no endpoint.
    fn endpoint(&mut self, (name, text): &(String, String)) -> (Option<Origin>, PathAndQuery) {
        let is_base = name == ENDPOINTS[1];
        let usual = PathAndQuery::from_static(SIGNAL_PATH);
        let fix = "write the URL of a collector that takes OTLP over HTTP: http://collector:4318";
        let Ok(uri) = text.parse::<Uri>() else {
            // Not shown: it may hold a password.
            self.fault(name, "is no URL", fix);
            return (None, usual);
        };
        let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            self.fault(name, "is no http:// or https:// URL", fix);
            return (None, usual);
        };
        if authority.as_str().contains('@') {
            self.fault(name, "has a user's name in it", "say who you are in OTEL_EXPORTER_OTLP_HEADERS: authorization=Basic%20...");
            return (None, usual);
        }
        let origin = if uri.scheme_str() == Some("https") { Origin::https(authority.clone()) } else { Origin::http(authority.clone()) };
        let path = if is_base {
            format!("{}{SIGNAL_PATH}", uri.path().trim_end_matches('/')).parse().unwrap_or(usual)
        } else {
            uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
        };
        (Some(origin), path)
    }

    fn protocol(&mut self) {
        let Some((name, said)) = self.either("PROTOCOL").filter(|(_, said)| !said.eq_ignore_ascii_case("http/protobuf")) else { return };
        let fix = "write http/protobuf, and name the collector's port for OTLP over HTTP (4318 as a rule, where that of gRPC is 4317)";
        self.fault(&name, format!("{said:?} is not supported"), fix);
    }

    fn compression(&mut self) -> bool {
        match self.either("COMPRESSION") {
            Some((_, said)) if said.eq_ignore_ascii_case("gzip") => true,
            Some((name, said)) if !said.eq_ignore_ascii_case("none") => {
                self.ignore(&name, format!("{said:?} is not supported, and ignored"), "write gzip or none");
                false
            }
            _ => false,
        }
    }

    fn timeout(&mut self) -> Duration {
        let name = self.either("TIMEOUT").map_or_else(|| "OTEL_EXPORTER_OTLP_TIMEOUT".to_owned(), |(name, _)| name);
        match self.number(&name, 10_000, 0..=MOST_MILLIS) {
            0 => Duration::from_millis(MOST_MILLIS), // "no limit" by the specification; but some day the next batch has its turn
            millis => Duration::from_millis(millis),
        }
    }

    fn number(&mut self, name: &str, usual: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        let Some(said) = self.get(name) else { return usual };
        match said.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let what = if name.ends_with("SIZE") { "a number" } else { "milliseconds" };
                let fix = format!("write {what} from {} to {}", range.start(), range.end());
                self.ignore(name, format!("{said:?} is out of place: {usual} it is"), fix);
                usual
            }
        }
    }

    /// `name=value,name=value`, percent-encoded (W3C Baggage). Values are never shown.
    fn headers(&mut self) -> Vec<(HeaderName, HeaderValue)> {
        let Some((name, said)) = self.either("HEADERS") else { return Vec::new() };
        let mut headers = Vec::new();
        for (at, (key, value)) in entries(&said).enumerate() {
            let field = key.parse::<HeaderName>().ok().zip(value.and_then(|value| HeaderValue::try_from(value).ok()));
            match field {
                Some((key, mut value)) => {
                    value.set_sensitive(true);
                    headers.push((key, value));
                }
                None => {
                    let fix =
                        "write name=value, name=value; a comma, a blank or a % within a value percent-encoded: authorization=Bearer%20abc";
                    self.fault(&name, format!("its {} entry is no header field", ordinal(at + 1)), fix);
                }
            }
        }
        headers
    }

    fn tls(&mut self) -> UpstreamTls {
        let mut tls = UpstreamTls::default();
        if let Some((name, file)) = self.either("CERTIFICATE") {
            let read = tls.add_ca(Path::new(&file));
            self.file(&name, read);
        }
        match (self.either("CLIENT_CERTIFICATE"), self.either("CLIENT_KEY")) {
            (Some((name, certificate)), Some((_, key))) => {
                let read = tls.set_identity(Path::new(&certificate), Path::new(&key));
                self.file(&name, read);
            }
            (Some((name, _)), None) => self.fault(&name, "has no key", "name its key in OTEL_EXPORTER_OTLP_CLIENT_KEY"),
            (None, Some((name, _))) => {
                self.fault(&name, "has no certificate", "name its certificate in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE");
            }
            (None, None) => {}
        }
        tls
    }

    fn file(&mut self, name: &str, read: Result<(), TlsFault>) {
        if let Err(fault) = read {
            self.fault(name, fault.found, "name a file in PEM that can be read, and the key of its certificate");
        }
    }

    fn resource(&mut self) -> Vec<(String, String)> {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let (resource, wrong) = resource(self.get("OTEL_SERVICE_NAME"), &self.get(NAME).unwrap_or_default());
        if let Some(at) = wrong {
            self.ignore(NAME, format!("its {} entry has no name or no =: all are ignored", ordinal(at)), "write key=value,key=value");
        }
        resource
    }
}
