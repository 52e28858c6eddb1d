//! What the standard environment variables of OpenTelemetry say (specification, "Environment Variable Specification" and "OTLP Exporter").

use crate::sidecar::settings::{Origin, TlsFault, UpstreamTls};
use http::header::{HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use percent_encoding::percent_decode_str;
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

/// The variables that say where spans go: without one of them nothing is sent.
pub(crate) const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const SIGNAL_PATH: &str = "/v1/traces";
/// Milliseconds at most, of a time-out and of a delay.
const MOST_MILLIS: u64 = 600_000;
const MOST_QUEUE: u64 = 65_536;

impl OtlpSettings {
    /// What the environment says, which `read` knows by name. `None`: no span is sent, because no endpoint is named, `OTEL_SDK_DISABLED` is `true`, or
    /// `OTEL_TRACES_EXPORTER` is `none`. An empty variable counts as none.
    ///
    /// # Errors
    /// All that is wrong with the variables that count.
    pub fn from_env(read: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Vec<EnvFault>> {
        let mut env = Env { read: &read, faults: Vec::new() };
        let settings = env.settings();
        if env.faults.is_empty() { Ok(settings) } else { Err(env.faults) }
    }

    /// `http://collector:4318/v1/traces`
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }
}

struct Env<'a> {
    read: &'a dyn Fn(&str) -> Option<String>,
    faults: Vec<EnvFault>,
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

    fn settings(&mut self) -> Option<OtlpSettings> {
        if self.is_disabled() || self.exports_elsewhere() {
            return None;
        }
        // The default of the specification (http://localhost:4318) is not ours: a proxy must not send what its readers ask for to whoever listens there.
        let (origin, path) = self.endpoint()?;
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

    fn is_disabled(&mut self) -> bool {
        const NAME: &str = "OTEL_SDK_DISABLED";
        match self.get(NAME) {
            Some(said) if said.eq_ignore_ascii_case("true") => true,
            Some(said) if !said.eq_ignore_ascii_case("false") => {
                self.fault(NAME, format!("{said:?} is neither true nor false"), "write true to send nothing, or false");
                false
            }
            _ => false,
        }
    }

    fn exports_elsewhere(&mut self) -> bool {
        const NAME: &str = "OTEL_TRACES_EXPORTER";
        let Some(said) = self.get(NAME) else { return false };
        match &*said {
            "otlp" => false,
            "none" => true,
            _ => {
                self.fault(NAME, format!("{said:?} is not supported"), "write otlp, or none to send nothing");
                false
            }
        }
    }

    /// `None`: nobody names one. Within: it is none.
    fn endpoint(&mut self) -> Option<(Option<Origin>, PathAndQuery)> {
        let (name, text) = self.either("ENDPOINT")?;
        let is_base = name == ENDPOINTS[1];
        let usual = PathAndQuery::from_static(SIGNAL_PATH);
        let fix = "write the URL of a collector that takes OTLP over HTTP: http://collector:4318";
        let Ok(uri) = text.parse::<Uri>() else {
            // Not shown: it may hold a password.
            self.fault(&name, "is no URL", fix);
            return Some((None, usual));
        };
        let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            self.fault(&name, "is no http:// or https:// URL", fix);
            return Some((None, usual));
        };
        if authority.as_str().contains('@') {
            self.fault(&name, "has a user's name in it", "say who you are in OTEL_EXPORTER_OTLP_HEADERS: authorization=Basic%20...");
            return Some((None, usual));
        }
        let origin = if uri.scheme_str() == Some("https") { Origin::https(authority.clone()) } else { Origin::http(authority.clone()) };
        let path = if is_base {
            format!("{}{SIGNAL_PATH}", uri.path().trim_end_matches('/')).parse().unwrap_or(usual)
        } else {
            uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
        };
        Some((Some(origin), path))
    }

    fn protocol(&mut self) {
        let Some((name, said)) = self.either("PROTOCOL").filter(|(_, said)| said != "http/protobuf") else { return };
        let fix = "write http/protobuf, and name the collector's port for OTLP over HTTP (4318 as a rule, where that of gRPC is 4317)";
        self.fault(&name, format!("{said:?} is not supported"), fix);
    }

    fn compression(&mut self) -> bool {
        match self.either("COMPRESSION") {
            Some((_, said)) if said == "gzip" => true,
            Some((name, said)) if said != "none" => {
                self.fault(&name, format!("{said:?} is not supported"), "write gzip or none");
                false
            }
            _ => false,
        }
    }

    fn timeout(&mut self) -> Duration {
        let name = self.either("TIMEOUT").map_or_else(|| "OTEL_EXPORTER_OTLP_TIMEOUT".to_owned(), |(name, _)| name);
        Duration::from_millis(self.number(&name, 10_000, 1..=MOST_MILLIS))
    }

    fn number(&mut self, name: &str, usual: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        let Some(said) = self.get(name) else { return usual };
        match said.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let what = if name.ends_with("SIZE") { "a number" } else { "milliseconds" };
                self.fault(name, format!("{said:?} is out of place"), format!("write {what} from {} to {}", range.start(), range.end()));
                usual
            }
        }
    }

    /// `name=value,name=value`, percent-encoded (W3C Baggage). Values are never shown.
    fn headers(&mut self) -> Vec<(HeaderName, HeaderValue)> {
        let Some((name, said)) = self.either("HEADERS") else { return Vec::new() };
        let mut headers = Vec::new();
        for (at, (key, value)) in pairs(&said).enumerate() {
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

    /// The service's name, what the user says, and what speaks. The name of the service counts by its own variable first.
    fn resource(&mut self) -> Vec<(String, String)> {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let mut resource = vec![
            ("telemetry.sdk.name".to_owned(), "warmfront".to_owned()),
            ("telemetry.sdk.language".to_owned(), "rust".to_owned()),
            ("telemetry.sdk.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ];
        let mut service = self.get("OTEL_SERVICE_NAME");
        for (at, (key, value)) in pairs(&self.get(NAME).unwrap_or_default()).enumerate() {
            match value {
                Some(value) if key == "service.name" => service = service.or(Some(value)),
                Some(value) if !key.is_empty() => resource.push((key, value)),
                _ => self.fault(NAME, format!("its {} entry has no name or no =", ordinal(at + 1)), "write key=value,key=value"),
            }
        }
        resource.push(("service.name".to_owned(), service.unwrap_or_else(|| "warmfront".to_owned())));
        resource
    }
}

/// The entries of a list, percent-decoded; the value is `None` where there is none, or it is no text.
fn pairs(list: &str) -> impl Iterator<Item = (String, Option<String>)> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(|entry| {
        let decoded = |text: &str| percent_decode_str(text.trim()).decode_utf8().map(std::borrow::Cow::into_owned).ok();
        let (key, value) = entry.split_once('=').map_or((entry, None), |(key, value)| (key, decoded(value)));
        (key.trim().to_owned(), value)
    })
}

fn ordinal(number: usize) -> String {
    match number {
        1 => "first".to_owned(),
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        _ => format!("{number}th"),
    }
}
