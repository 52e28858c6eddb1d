//! Certificates made for one test, in files of its own, and clients that trust them.

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use warmfront::sidecar::settings::{ListenAddr, ServerSettings, TlsSettings};

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A folder with a certificate for `localhost` and its key; gone with this.
pub struct Certificate {
    pub folder: PathBuf,
    pub der: CertificateDer<'static>,
}

impl Certificate {
    pub fn new() -> Self {
        let folder = format!("warmfront-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut new = Self { folder, der: CertificateDer::from(Vec::new()) };
        new.renew();
        new
    }

    pub fn settings(&self) -> TlsSettings {
        TlsSettings { certificate: self.folder.join("cert.pem"), key: self.folder.join("key.pem") }
    }

    /// Another certificate in the same files.
    pub fn renew(&mut self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let TlsSettings { certificate, key } = self.settings();
        std::fs::write(certificate, made.cert.pem()).unwrap();
        std::fs::write(key, made.signing_key.serialize_pem()).unwrap();
        self.der = made.cert.der().clone();
    }

    /// Lets the data port speak TLS with it.
    pub fn serve(&self, server: &mut ServerSettings) {
        server.listen = vec![ListenAddr::Tls("127.0.0.1:0".parse().unwrap())];
        server.tls = self.settings();
    }

    /// A client's end of TLS that trusts this certificate and offers these protocols.
    pub fn config(&self, protocols: &[&[u8]]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS).unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config
    }

    pub async fn connect(&self, address: SocketAddr, protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        self.over(TcpStream::connect(address).await?, protocols).await
    }

    pub async fn over(&self, stream: TcpStream, protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        TlsConnector::from(Arc::new(self.config(protocols))).connect("localhost".try_into().unwrap(), stream).await
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
