//! The other faces of the data port, as real clients see them: curl, nghttp and openssl before the binary. What is not installed is passed over.

use crate::certificate::Certificate;
use crate::house::answer;
use crate::origin::Origin;
use crate::process::{Folder, Running};
use std::process::{Command, Stdio};

/// A sidecar that speaks TLS and plain HTTP, and where.
struct Faces {
    sidecar: Running,
    tls: String,
    plain: String,
}

impl Faces {
    fn open(folder: &Folder, origin: &Origin, certificate: &Certificate) -> Self {
        let files = certificate.settings();
        folder.write(
            "warmfront.toml",
            &format!(
                "[server]\nlisten = [\"https://127.0.0.1:0\", \"127.0.0.1:0\"]\n[server.tls]\ncertificate = {:?}\nkey = {:?}\n[upstream]\nurls = [\"http://{}\"]\n",
                files.certificate, files.key, origin.address
            ),
        );
        let sidecar = Running::start(folder.path(), &["run"], &[]);
        let line = sidecar.wait_for(" listening on ");
        let addresses = line.split(" listening on ").nth(1).unwrap().split(',').next().unwrap();
        let (tls, plain) = addresses.split_once(" and ").unwrap();
        let port = tls.rsplit(':').next().unwrap();
        Self { sidecar, tls: format!("https://localhost:{port}"), plain: format!("http://{plain}") }
    }
}

/// What a command says; `None` if there is none.
async fn said(program: &'static str, args: Vec<String>) -> Option<String> {
    let running = tokio::task::spawn_blocking(move || {
        Command::new(program).args(args).stdin(Stdio::null()).env_remove("http_proxy").env_remove("https_proxy").output().ok()
    });
    let output = running.await.unwrap()?;
    Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

async fn curl(certificate: &Certificate, args: &[&str]) -> Option<String> {
    let trusted = certificate.settings().certificate.display().to_string();
    let usual = ["--noproxy", "*", "-sS", "-i", "--max-time", "15", "--cacert", &trusted];
    said("curl", usual.iter().chain(args).map(|&arg| arg.to_owned()).collect()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_speaks_every_face_and_those_of_one_scheme_share_their_copies() {
    let (folder, certificate) = (Folder::new("faces-curl"), Certificate::new());
    let origin = Origin::always(answer("Cache-Control: max-age=60", "0123456789")).await;
    let faces = Faces::open(&folder, &origin, &certificate);
    let (tls, plain) = (format!("{}/page", faces.tls), format!("{}/page", faces.plain));
    let host = ["-H", "Host: api.example"];
    for (way, url, version) in [
        ("--http1.1", &tls, "HTTP/1.1 200"),
        ("--http2", &tls, "HTTP/2 200"),
        ("--http1.1", &plain, "HTTP/1.1 200"),
        ("--http2-prior-knowledge", &plain, "HTTP/2 200"),
        ("--http2", &plain, "HTTP/1.1 200"), // its offer to upgrade is passed over
        ("--tls-max", &tls, "HTTP/2 200"),
    ] {
        let limit = if way == "--tls-max" { &["1.2"][..] } else { &[] };
        let Some(text) = curl(&certificate, &[&[way], limit, &host, &[url.as_str()]].concat()).await else { return };
        assert!(text.starts_with(version) && text.ends_with("0123456789"), "{way} {url}: {text}");
    }
    assert_eq!(origin.requests().len(), 2, "one copy for each scheme");
    let part = curl(&certificate, &["--http2", "-r", "2-4", host[0], host[1], &tls]).await.unwrap();
    assert!(part.starts_with("HTTP/2 206") && part.ends_with("234"), "{part}");
    let head = curl(&certificate, &["--http2", "-I", host[0], host[1], &tls]).await.unwrap();
    assert!(head.contains("content-length: 10") && head.contains("cache-status: warmfront; hit"), "{head}");
    let file = folder.path().join("upload");
    std::fs::write(&file, "x".repeat(3 << 20)).unwrap();
    let upload = curl(&certificate, &["--http2", "-T", file.to_str().unwrap(), &tls]).await.unwrap();
    assert!(upload.contains("HTTP/2 200"), "{upload}");
    assert!(origin.last().body.len() == 3 << 20);
    let wrong = curl(&certificate, &[&tls.replace("https", "http")]).await.unwrap();
    assert!(wrong.starts_with("HTTP/1.1 400"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_to_openssl_after_sighup_and_a_bad_one_is_refused() {
    let (folder, mut certificate) = (Folder::new("faces-openssl"), Certificate::new());
    let origin = Origin::always(answer("", "x")).await;
    let faces = Faces::open(&folder, &origin, &certificate);
    let address = faces.tls.trim_start_matches("https://").to_owned();
    let shown = |trusted: &Certificate| {
        let trusted = trusted.settings().certificate.display().to_string();
        let args = ["s_client", "-connect", &address, "-CAfile", &trusted, "-verify_hostname", "localhost", "-alpn", "h2"];
        said("openssl", args.iter().map(|&arg| arg.to_owned()).collect())
    };
    let Some(text) = shown(&certificate).await else { return };
    assert!(text.contains("Verify return code: 0") && text.contains("ALPN protocol: h2") && text.contains("TLSv1.3"), "{text}");
    std::fs::write(certificate.settings().key, "no key").unwrap();
    faces.sidecar.signal("HUP");
    faces.sidecar.wait_for("reload refused, nothing changed: server.tls.key");
    certificate.renew();
    faces.sidecar.signal("HUP");
    faces.sidecar.wait_for("warmfront: reloaded warmfront.toml");
    let text = shown(&certificate).await.unwrap();
    assert!(text.contains("Verify return code: 0"), "the new one: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nghttp_is_served_over_both() {
    let (folder, certificate) = (Folder::new("faces-nghttp"), Certificate::new());
    let origin = Origin::always(answer("Cache-Control: max-age=60", "0123456789")).await;
    let faces = Faces::open(&folder, &origin, &certificate);
    for url in [&faces.tls, &faces.plain] {
        let args = ["-nvs", "--no-dep", &format!("{url}/a"), &format!("{url}/b")].map(str::to_owned);
        let Some(text) = said("nghttp", args.to_vec()).await else { return };
        assert_eq!(text.matches(":status: 200").count(), 2, "{text}");
    }
}
