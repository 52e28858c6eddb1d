//! `[upstream.tls]`: what `check` says of files, and of an upstream behind TLS.

use crate::process::{Folder, outcome};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use std::net::TcpListener;
use std::sync::Arc;

/// A certificate for `localhost` that is its own authority, and its key.
fn certificate() -> (rcgen::Certificate, KeyPair) {
    let (params, key) = (CertificateParams::new(vec!["localhost".into()]).unwrap(), KeyPair::generate().unwrap());
    (params.self_signed(&key).unwrap(), key)
}

#[test]
fn each_file_that_does_not_hold_what_it_should_is_a_fault_with_its_key_and_fix() {
    let folder = Folder::new("upstream-tls");
    let ((certificate, key), (_, other)) = (certificate(), certificate());
    folder.write("certificate.pem", &certificate.pem());
    folder.write("key.pem", &key.serialize_pem());
    folder.write("other.pem", &other.serialize_pem());
    for (table, said) in [
        ("ca = \"missing.pem\"", "warmfront.toml:4:6: upstream.tls.ca: missing.pem cannot be read: No such file"),
        ("ca = \"key.pem\"", "upstream.tls.ca: key.pem holds no certificate in PEM"),
        ("certificate = \"certificate.pem\"", "upstream.tls.certificate: is set without upstream.tls.key"),
        ("key = \"key.pem\"", "upstream.tls.key: is set without upstream.tls.certificate"),
        ("certificate = \"key.pem\"\nkey = \"key.pem\"", "upstream.tls.certificate: key.pem holds no certificate in PEM"),
        ("certificate = \"certificate.pem\"\nkey = \"certificate.pem\"", "upstream.tls.key: certificate.pem holds no private key in PEM"),
        ("certificate = \"certificate.pem\"\nkey = \"other.pem\"", "upstream.tls.key: certificate.pem and other.pem do not go together"),
        ("server_name = \"a b\"", "upstream.tls.server_name: \"a b\" is no name of a server"),
    ] {
        folder.write("warmfront.toml", &format!("[upstream]\nurls = [\"https://localhost\"]\n[upstream.tls]\n{table}\n"));
        let checked = outcome(folder.path(), &["check"], &[]);
        assert_eq!(checked.code, Some(1), "{table}");
        assert!(checked.err.contains(said) && checked.err.contains("fix: "), "{table}: {}", checked.err);
    }
    let sound = "[upstream]\nurls = [\"http://localhost:1\"]\nhttp2 = \"auto\"\n[upstream.tls]\nca = \"certificate.pem\"\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n";
    folder.write("warmfront.toml", sound);
    let checked = outcome(folder.path(), &["check"], &[]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    assert!(checked.err.contains("no upstream is an https one"), "{}", checked.err);
}

#[test]
fn the_example_is_sound_with_every_key_uncommented() {
    let folder = Folder::new("example");
    let ((ca, _), (certificate, key)) = (certificate(), certificate());
    folder.write("ca.pem", &ca.pem());
    folder.write("client.pem", &certificate.pem());
    folder.write("client.key", &key.serialize_pem());
    let commented = |line: &str| {
        line.starts_with("# [") || line.split_once(" = ").is_some_and(|(name, _)| name.starts_with("# ") && !name[2..].contains(' '))
    };
    let lines = include_str!("../../examples/warmfront.toml").lines();
    let text: Vec<&str> = lines.map(|line| if commented(line) { &line[2..] } else { line }).collect();
    assert!(text.contains(&"[upstream.tls]"));
    folder.write("warmfront.toml", &text.join("\n"));
    let checked = outcome(folder.path(), &["check"], &[]);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    assert!(checked.err.matches("fix: ").count() == 1 && checked.err.contains("no upstream is an https one"), "{}", checked.err);
}

#[test]
fn connect_shakes_hands_with_an_upstream_behind_tls_and_says_what_is_wrong() {
    let folder = Folder::new("upstream-tls-connect");
    let (certificate, key) = certificate();
    folder.write("ca.pem", &certificate.pem());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let config = Arc::new(config);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        }
    });
    let url = format!("https://localhost:{port}");
    let known =
        outcome(folder.path(), &["check", "--connect"], &[("WARMFRONT_UPSTREAM__URLS", &url), ("WARMFRONT_UPSTREAM__TLS__CA", "ca.pem")]);
    assert_eq!(known.code, Some(0), "{}", known.err);
    let unknown = outcome(folder.path(), &["check", "--connect"], &[("WARMFRONT_UPSTREAM__URLS", &url)]);
    assert_eq!(unknown.code, Some(1));
    for words in
        [&format!("the upstream {url} cannot be reached"), "invalid peer certificate: UnknownIssuer", "fix: look at what [upstream.tls]"]
    {
        assert!(unknown.err.contains(words), "{}", unknown.err);
    }
}
