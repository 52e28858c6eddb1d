//! TLS on the data port: the certificate and its key, read from their files at the start, with the settings, and when the files change.

use crate::sidecar::settings::TlsSettings;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fmt, fs, io};

/// How often the files are looked at.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// The largest file that is read: chains and keys have a few KiB.
const MAX_FILE: u64 = 1 << 20;
/// What is offered by ALPN, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why there is no TLS: the key of the configuration, and what is wrong with the file that it names.
#[derive(Debug)]
pub(super) struct Unusable {
    key: &'static str,
    found: String,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.found)
    }
}

impl Unusable {
    const CERTIFICATE: &str = "server.tls.certificate";
    const KEY: &str = "server.tls.key";

    fn new(key: &'static str, path: &Path, what: impl fmt::Display) -> Self {
        Self { key, found: format!("{}: {what}", path.display()) }
    }
}

/// Reads certificate and key and puts them together: TLS 1.2 and 1.3, with HTTP/2 among the choices if `http2`. Blocks on the files.
pub(super) fn load(settings: &TlsSettings, http2: bool) -> Result<ServerConfig, Unusable> {
    let (certificate, key) = (&settings.certificate, &settings.key);
    if !settings.is_whole() {
        let missing = if certificate.as_os_str().is_empty() { Unusable::CERTIFICATE } else { Unusable::KEY };
        return Err(Unusable { key: missing, found: "is missing: an address of https:// needs it".to_owned() });
    }
    let chain = read(Unusable::CERTIFICATE, certificate)?;
    let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| Unusable::new(Unusable::CERTIFICATE, certificate, format_args!("is no PEM: {error}")))?;
    if chain.is_empty() {
        return Err(Unusable::new(Unusable::CERTIFICATE, certificate, "holds no certificate"));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(Unusable::KEY, key)?);
    let private = private.map_err(|error| Unusable::new(Unusable::KEY, key, format_args!("holds no private key: {error}")))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| Unusable::new(Unusable::KEY, key, error))?
        .with_no_client_auth()
        .with_single_cert(chain, private);
    let mut config = config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => Unusable::new(Unusable::KEY, key, "does not belong to the certificate"),
        error => Unusable::new(Unusable::CERTIFICATE, certificate, error),
    })?;
    config.alpn_protocols = PROTOCOLS[usize::from(!http2)..].iter().map(|name| name.to_vec()).collect();
    // Sessions are resumed by tickets that the client keeps: nothing per client is kept here. Early data could be replayed and is not taken.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| Unusable::new(Unusable::KEY, key, error))?;
    Ok(config)
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, Unusable> {
    let unusable = |error: io::Error| Unusable::new(key, path, error);
    let length = fs::metadata(path).map_err(unusable)?.len();
    if length > MAX_FILE {
        return Err(Unusable::new(key, path, "is no certificate or key: over 1 MiB"));
    }
    fs::read(path).map_err(unusable)
}

/// What tells one state of the two files from another, without reading them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp([Option<(SystemTime, u64)>; 2]);

impl Stamp {
    /// Of the files as they are now; symbolic links are followed.
    pub(super) fn of(settings: &TlsSettings) -> Self {
        Self([&settings.certificate, &settings.key].map(|path| {
            let found = fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        }))
    }
}
