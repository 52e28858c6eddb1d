//! The configuration: defaults, then a TOML file, then the environment, then flags; read once into checked settings.
//!
//! Everything that is wrong is found at once, and each fault names its place, its key, what was found and the fix. After [`load`] no setting needs a second
//! look.
//!
//! ```
//! use warmfront::config::{Sources, load};
//! let file = "[upstream]\nurls = [\"http://127.0.0.1:9000\"]\n[cache]\nmax_byte = 7\ndefault_ttl = 30\n";
//! let faults = load(Sources { text: Some(("warmfront.toml".into(), file.into())), ..Sources::default() }).unwrap_err();
//! let keys: Vec<_> = faults.as_slice().iter().map(|fault| fault.key.as_str()).collect();
//! assert_eq!(keys, ["cache.max_byte", "cache.default_ttl"]);
//! assert_eq!(faults.as_slice()[0].fix, "did you mean `max_bytes`?");
//! assert_eq!(faults.as_slice()[1].place.to_string(), "warmfront.toml:5:15");
//! ```

mod check;
mod defaults;
mod document;
mod fault;
mod json_schema;
mod kind;
mod map;
mod otel;
mod overlay;
mod raw;
mod schema;
pub(crate) mod units;

pub use crate::admin::{AdminSettings, Secret};
pub use fault::{Fault, Faults, Place, Spot};
pub use json_schema::json_schema;

use crate::cache::settings::Settings;
use crate::sidecar::settings::{ServerSettings, UpstreamSettings};
use crate::suggest;
use crate::telemetry::log::LogSettings;
use crate::warm::WarmSettings;
use raw::{Findings, Table};
use std::path::{Path, PathBuf};

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file that was asked for: it must exist.
    pub file: Option<PathBuf>,
    /// The file that is read if it exists and `file` is `None`.
    pub default_file: Option<PathBuf>,
    /// A built-in text and the name by which faults call it, instead of any file.
    pub text: Option<(PathBuf, String)>,
    /// Environment variables; those that start with neither `WARMFRONT_` nor `OTEL_` are not looked at.
    pub env: Vec<(String, String)>,
    /// Flags: the dotted key that each sets, what was said, and the flag's name. A key that takes a list may come several times.
    pub flags: Vec<(&'static str, String, &'static str)>,
    /// What `--set KEY=VALUE` says: dotted keys and values as in the environment. Laid under `flags`. The last word on a key counts, but lists grow.
    pub set: Vec<(String, String)>,
}

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[server]`
    pub server: ServerSettings,
    /// `[upstream]`
    pub upstream: UpstreamSettings,
    /// `[cache]`, `[key]` and `[[rules]]`
    pub cache: Settings,
    /// `[admin]`
    pub admin: AdminSettings,
    /// `[warm]`
    pub warm: WarmSettings,
    /// `[logs]`
    pub logs: LogSettings,
    /// Where spans go, by the standard environment variables of OpenTelemetry; `None`: nowhere.
    #[cfg(feature = "otel")]
    pub otlp: Option<crate::sidecar::otlp::OtlpSettings>,
    /// The file that was read, if one was.
    pub source: Option<PathBuf>,
    /// What is allowed but probably not meant, in the order of its places.
    pub warnings: Vec<Fault>,
}

/// Reads and checks a configuration. It depends on `sources` and on the file's contents, on nothing else.
///
/// # Errors
/// All faults at once. Faults of sense (a wrong address, a rule of the same name) are looked for only in a file that is TOML.
pub fn load(sources: Sources) -> Result<Config, Faults> {
    let mut findings = Findings::default();
    let mut root = Table::new(Place::Nowhere, String::new());
    let source = match sources.text {
        Some((name, text)) => Some((name, Some(text))),
        None => read_file(sources.file, sources.default_file, &mut findings),
    };
    if let Some((path, _)) = &source {
        root.place = Place::Document(path.clone());
    }
    let readable = match &source {
        Some((path, Some(text))) => document::Document::new(path, text).read(&mut root, &mut findings),
        Some((_, None)) => false,
        None => true,
    };
    overlay::environment(&sources.env, &mut root, &mut findings);
    overlay::set(&sources.set, &mut root, &mut findings);
    overlay::flags(&sources.flags, &mut root, &mut findings);
    #[cfg(feature = "otel")]
    let otlp = otel::read(&sources.env, &mut findings);
    #[cfg(not(feature = "otel"))]
    otel::warn(&sources.env, &mut findings);
    findings.warn_of_what_comes_later();
    let checked = readable.then(|| check::check(&root, &mut findings)).flatten();
    let Findings { faults, mut warnings, .. } = findings;
    fault::sort(&mut warnings);
    match (Faults::new(faults), checked) {
        (None, Some((server, upstream, cache, admin, warm, logs))) => Ok(Config {
            server,
            upstream,
            cache,
            admin,
            warm,
            logs,
            #[cfg(feature = "otel")]
            otlp,
            source: source.map(|(path, _)| path),
            warnings,
        }),
        (Some(faults), _) => Err(faults),
        (None, None) => unreachable!("what is not checked has a fault"),
    }
}

/// The file's name, and its text unless it cannot be read: then there is a fault.
fn read_file(file: Option<PathBuf>, default: Option<PathBuf>, findings: &mut Findings) -> Option<(PathBuf, Option<String>)> {
    let (path, asked_for) = match file {
        Some(path) => (path, true),
        None => (default?, false),
    };
    match std::fs::read(&path) {
        Ok(bytes) => {
            let text = decode(&path, bytes, findings);
            Some((path, text))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !asked_for => None,
        Err(error) => {
            let fix = "name a file that exists and may be read: --config warmfront.toml";
            findings.fault(&Place::Document(path.clone()), "", format!("cannot be read: {error}"), fix);
            Some((path, None))
        }
    }
}

fn decode(path: &Path, bytes: Vec<u8>, findings: &mut Findings) -> Option<String> {
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let place = document::not_utf8(path, error.as_bytes(), error.utf8_error().valid_up_to());
            findings.fault(&place, "", "not UTF-8: the text breaks off here", "save the file as UTF-8");
            None
        }
    }
}

#[cfg(test)]
mod tests;
