//! How an `https` upstream is recognised, and how warmfront proves itself to it.

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// `[upstream.tls]`: what was read from its files. Without any of it an upstream is verified against the roots of this machine, by the host
/// of its URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    pub(in crate::sidecar) extra: Vec<CertificateDer<'static>>,
    pub(in crate::sidecar) identity: Option<Arc<Identity>>,
    pub(in crate::sidecar) name: Option<ServerName<'static>>,
}

/// A client certificate with its chain, and its key.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sidecar) struct Identity {
    pub(in crate::sidecar) chain: Vec<CertificateDer<'static>>,
    pub(in crate::sidecar) key: PrivateKeyDer<'static>,
}

/// What is wrong with a file or a name, and the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFault {
    /// The key of `[upstream.tls]` that it is about.
    pub key: &'static str,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub fix: &'static str,
}

impl TlsFault {
    fn new(key: &'static str, found: impl Into<String>, fix: &'static str) -> Self {
        Self { key, found: found.into(), fix }
    }
}

impl UpstreamTls {
    /// Trusts the certificate authorities in this PEM file too, beside the roots of this machine.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate that can stand for an authority.
    pub fn add_ca(&mut self, file: &Path) -> Result<(), TlsFault> {
        let extra = certificates("ca", file, "name a PEM file with the certificate of the authority that signed the upstream's")?;
        let mut roots = RootCertStore::empty();
        for certificate in &extra {
            roots.add(certificate.clone()).map_err(|error| {
                TlsFault::new(
                    "ca",
                    format!("{} holds a certificate that cannot be used: {error}", file.display()),
                    "replace that certificate",
                )
            })?;
        }
        self.extra.extend(extra);
        Ok(())
    }

    /// Shows this certificate, with its chain, to an upstream that asks for one.
    ///
    /// # Errors
    /// A file cannot be read or holds nothing of the kind, or the key is not the certificate's.
    pub fn set_identity(&mut self, certificate: &Path, key: &Path) -> Result<(), TlsFault> {
        let chain = certificates("certificate", certificate, "name a PEM file with the client's certificate first and then its chain")?;
        let key_text = read("key", key)?;
        let private = PrivateKeyDer::from_pem_slice(&key_text).map_err(|error| {
            let found = match error {
                pem::Error::NoItemsFound => format!("{} holds no private key in PEM", key.display()),
                error => format!("{} cannot be read: {error}", key.display()),
            };
            TlsFault::new("key", found, "name a PEM file with the key of upstream.tls.certificate, not encrypted")
        })?;
        CertifiedKey::from_der(chain.clone(), private.clone_key(), &aws_lc_rs::default_provider()).map_err(|error| {
            let found = format!("{} and {} do not go together: {error}", certificate.display(), key.display());
            TlsFault::new("key", found, "name the key with which this certificate was made")
        })?;
        self.identity = Some(Arc::new(Identity { chain, key: private }));
        Ok(())
    }

    /// Asks for and verifies this name instead of the host of the URL; an IP address is one too.
    ///
    /// # Errors
    /// It is neither a DNS name nor an address.
    pub fn set_server_name(&mut self, name: &str) -> Result<(), TlsFault> {
        let parsed = ServerName::try_from(name.to_owned());
        self.name = Some(parsed.map_err(|_| {
            TlsFault::new("server_name", format!("\"{name}\" is no name of a server"), "write a DNS name or an IP address alone")
        })?);
        Ok(())
    }
}

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, TlsFault> {
    fs::read(file).map_err(|error| {
        TlsFault::new(key, format!("{} cannot be read: {error}", file.display()), "name a file that exists and may be read")
    })
}

fn certificates(key: &'static str, file: &Path, fix: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let text = read(key, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| TlsFault::new(key, format!("{} cannot be read: {error}", file.display()), fix))?;
    if found.is_empty() {
        return Err(TlsFault::new(key, format!("{} holds no certificate in PEM", file.display()), fix));
    }
    Ok(found)
}
