//! TLS to `https` upstreams: nothing is ever sent to one in the clear, and nothing at all before it is known to be the right one.

use crate::error::BoxError;
use crate::sidecar::pool::line::Line;
use crate::sidecar::pool::trust::Trust;
use crate::sidecar::settings::{Http2, Identity, Origin, UpstreamTls};
use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const H1: &[u8] = b"http/1.1";
const H2: &[u8] = b"h2";
/// Sessions that are remembered to be resumed, for all origins together.
const SESSIONS: usize = 256;

/// What a handshake failed of: the certificate, the protocol, or what the upstream said against ours. No second attempt will do better.
#[derive(Debug)]
pub(in crate::sidecar) struct TlsFailed(String);

impl fmt::Display for TlsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for TlsFailed {}

/// The TLS of the settings of this moment; made when it is first needed.
#[derive(Clone, Debug, Default)]
pub(in crate::sidecar) struct Tls(Arc<Mutex<Option<Arc<Client>>>>);

/// Everything that handshakes under the same settings share.
#[derive(Debug)]
struct Client {
    settings: (UpstreamTls, Http2),
    /// Offers what may be spoken.
    any: Arc<ClientConfig>,
    /// Offers HTTP/1.1 alone: for a switch of protocols.
    one: Arc<ClientConfig>,
}

impl Tls {
    /// Shakes hands over `socket` with `origin`. `one`: HTTP/1.1 and nothing else. What is spoken is on the line.
    pub(in crate::sidecar) async fn secure(
        &self,
        socket: TcpStream,
        origin: &Origin,
        settings: (UpstreamTls, Http2),
        one: bool,
    ) -> Result<Line, BoxError> {
        let name = match &settings.0.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(origin.host().to_owned())
                .map_err(|_| TlsFailed(format!("{} is no name that a certificate could prove", origin.host())))?,
        };
        let only_two = settings.1 == Http2::Always && !one;
        let client = self.client(settings).await?;
        let config = if one { &client.one } else { &client.any };
        let connecting = TlsConnector::from(config.clone()).connect(name, socket);
        let stream = connecting.await.map_err(|error| match reason(&error) {
            Some(reason) => BoxError::from(TlsFailed(reason)),
            None => error.into(),
        })?;
        let two = stream.get_ref().1.alpn_protocol() == Some(H2);
        if only_two && !two {
            return Err(TlsFailed("the upstream does not speak HTTP/2, and upstream.http2 = \"always\"".into()).into());
        }
        Ok(Line::tls(stream, two))
    }

    async fn client(&self, settings: (UpstreamTls, Http2)) -> Result<Arc<Client>, BoxError> {
        if let Some(client) = self.0.lock().as_ref().filter(|client| client.settings == settings) {
            return Ok(client.clone());
        }
        // Reading the roots of the machine takes tens of milliseconds, once.
        let client = Arc::new(tokio::task::spawn_blocking(move || Client::new(settings)).await??);
        *self.0.lock() = Some(client.clone());
        Ok(client)
    }
}

impl Client {
    fn new(settings: (UpstreamTls, Http2)) -> Result<Self, TlsFailed> {
        let failed = |error: rustls::Error| TlsFailed(format!("TLS cannot be set up: {error}"));
        let mut roots = system().clone();
        roots.add_parsable_certificates(settings.0.extra.iter().cloned());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(failed)?;
        let builder = if settings.0.extra.is_empty() {
            builder.with_root_certificates(roots)
        } else {
            let trust = Trust::new(roots, &settings.0.extra, provider).map_err(failed)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(trust))
        };
        let mut any = match settings.0.identity.as_deref() {
            Some(Identity { chain, key }) => builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(failed)?,
            None => builder.with_no_client_auth(),
        };
        any.resumption = Resumption::in_memory_sessions(SESSIONS);
        let mut one = any.clone();
        one.alpn_protocols = vec![H1.to_vec()];
        any.alpn_protocols = match settings.1 {
            Http2::Never => vec![H1.to_vec()],
            Http2::Auto => vec![H2.to_vec(), H1.to_vec()],
            Http2::Always => vec![H2.to_vec()],
        };
        Ok(Self { settings, any: Arc::new(any), one: Arc::new(one) })
    }
}

/// The roots of this machine, read once. What cannot be read is told.
fn system() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a root certificate of this machine cannot be read");
        }
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            tracing::warn!("this machine has no root certificates: https upstreams are trusted by upstream.tls.ca alone");
        }
        roots
    })
}

/// What TLS itself says is wrong, if it is TLS and not the network below.
pub(in crate::sidecar) fn reason(error: &(dyn Error + 'static)) -> Option<String> {
    let mut chain = std::iter::successors(Some(error), |&error| {
        // An I/O error hides what it was made of from `source`.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref).map(|inner| inner as &(dyn Error + 'static));
        inner.or_else(|| error.source())
    });
    chain.find_map(|error| error.downcast_ref::<rustls::Error>()).map(|error| format!("TLS with the upstream failed: {error}"))
}
