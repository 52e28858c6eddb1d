//! The way of a command to the admin API of a running sidecar: one question, one answer in JSON, both within bounds.

use super::Failure;
use crate::config::{AdminSettings, Secret};
use crate::error::BoxError;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an answer may take, unless a command waits for work to be done.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The most bytes of an answer.
const MOST_BYTES: usize = 256 << 20;

/// Where an admin API is, and how to get in.
#[derive(Clone, Debug)]
pub(super) struct Admin {
    authority: Authority,
    token: Option<Secret>,
}

impl Admin {
    /// The admin API at `said` (`--admin`), else at `WARMFRONT_ADMIN`, else where the configuration has it listen. The token is the configuration's, or
    /// `WARMFRONT_ADMIN__TOKEN`, which stands over it.
    pub(super) fn find(said: Option<&str>, settings: &AdminSettings) -> Result<Self, Failure> {
        let of_environment = std::env::var("WARMFRONT_ADMIN").ok().filter(|url| !url.is_empty());
        let authority = match (said, &of_environment) {
            (Some(url), _) => authority(url, "--admin")?,
            (None, Some(url)) => authority(url, "WARMFRONT_ADMIN")?,
            (None, None) => reachable(settings.listen),
        };
        Ok(Self { authority, token: settings.token.clone() })
    }

    /// Asks for `path`, which may have a query.
    pub(super) async fn get_json(&self, path: &str) -> Result<Value, Trouble> {
        self.ask(Method::GET, path, None, PATIENCE).await
    }

    /// Asks for `path`, whose answer is text.
    pub(super) async fn get_text(&self, path: &str) -> Result<String, Trouble> {
        let (status, body) = self.send(Method::GET, path, None, PATIENCE).await?;
        if status.is_success() { Ok(String::from_utf8_lossy(&body).into_owned()) } else { Err(refused(status, &body)) }
    }

    /// Sends `body`, and waits for the answer for at most `patience`.
    pub(super) async fn post_json(&self, path: &str, body: &Value, patience: Duration) -> Result<Value, Trouble> {
        self.ask(Method::POST, path, Some(body), patience).await
    }

    /// Asks for the end of what is at `path`.
    pub(super) async fn delete_json(&self, path: &str) -> Result<Value, Trouble> {
        self.ask(Method::DELETE, path, None, PATIENCE).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>, patience: Duration) -> Result<Value, Trouble> {
        let (status, body) = self.send(method, path, body, patience).await?;
        answer(status, &body)
    }

    /// Asks for `path`, whose answer comes over time.
    pub(super) async fn open(&self, path: &str) -> Result<Coming, Trouble> {
        let stream = self.connect().await?;
        let request = self.request(Method::GET, path, None).map_err(|error| self.unreachable(error.to_string()))?;
        let asking = async {
            let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
            let connection = tokio::spawn(connection);
            Ok::<_, hyper::Error>((sender.send_request(request).await?, connection))
        };
        let asked = tokio::time::timeout(PATIENCE, asking).await;
        let asked = asked.map_err(|_| self.unreachable(format!("no answer within {} s", PATIENCE.as_secs())))?;
        let (response, connection) = asked.map_err(|error| self.unreachable(error.to_string()))?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            let words = Limited::new(body, MOST_BYTES).collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            return Err(refused(head.status, &words));
        }
        Ok(Coming { body, connection })
    }

    fn unreachable(&self, why: String) -> Trouble {
        Trouble::Unreachable { url: self.to_string(), why }
    }

    async fn connect(&self) -> Result<TcpStream, Trouble> {
        let host = self.authority.host().trim_matches(['[', ']']);
        let connecting = TcpStream::connect((host, self.authority.port_u16().unwrap_or(80)));
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.unreachable(error.to_string())),
            Err(_) => Err(self.unreachable(format!("no connection within {} s", CONNECT.as_secs()))),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>, patience: Duration) -> Result<(StatusCode, Bytes), Trouble> {
        let stream = self.connect().await?;
        let request = self.request(method, path, body).map_err(|error| self.unreachable(error.to_string()))?;
        match tokio::time::timeout(patience, exchange(stream, request)).await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Trouble::TooLarge),
            Ok(Err(error)) => Err(self.unreachable(error.to_string())),
            Err(_) => Err(self.unreachable(format!("no answer within {} s", patience.as_secs()))),
        }
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.authority.as_str());
        request = request.header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        match body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(Full::from(body.to_string())),
            None => request.body(Full::default()),
        }
    }
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

/// An answer that comes over time.
#[derive(Debug)]
pub(super) struct Coming {
    body: Incoming,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Coming {
    /// What comes next; `None` at the end, clean or not.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Ok(data) = self.body.frame().await?.ok()?.into_data() {
                return Some(data);
            }
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody answered.
    Unreachable { url: String, why: String },
    /// It refused: its status, and its words if it had any.
    Refused { status: StatusCode, words: String },
    /// The answer is no JSON.
    NotJson(String),
    /// The answer is too large.
    TooLarge,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { url, why } => {
                write!(
                    f,
                    "cannot reach the admin API at {url}; is `warmfront run` up?\n\n  {why}\n  fix: start it, or name its address: --admin URL, or WARMFRONT_ADMIN"
                )
            }
            Self::Refused { status: StatusCode::UNAUTHORIZED, words } => {
                write!(
                    f,
                    "the admin API wants another token: {words}\n\n  fix: set WARMFRONT_ADMIN__TOKEN, or admin.token in the configuration"
                )
            }
            Self::Refused { status, words } => write!(f, "the admin API answered {}: {words}", status.as_u16()),
            Self::NotJson(why) => {
                write!(f, "the answer of the admin API is no JSON: {why}\n\n  fix: look whether --admin names the admin listener")
            }
            Self::TooLarge => write!(f, "the answer of the admin API is longer than {} MiB", MOST_BYTES >> 20),
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Work(trouble.to_string())
    }
}

/// Does one thing on a runtime of its own.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Work(format!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(work);
    // A name that is still being looked up shall not keep the process.
    runtime.shutdown_background();
    Ok(result)
}

async fn exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), BoxError> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MOST_BYTES).collect().await?.to_bytes();
    connection.abort();
    Ok((head.status, body))
}

fn answer(status: StatusCode, body: &[u8]) -> Result<Value, Trouble> {
    if status.is_success() {
        serde_json::from_slice(body).map_err(|error| Trouble::NotJson(error.to_string()))
    } else {
        Err(refused(status, body))
    }
}

/// A refusal, with its words if it has any.
fn refused(status: StatusCode, body: &[u8]) -> Trouble {
    let read: Result<Value, _> = serde_json::from_slice(body);
    let said = read.ok().and_then(|value| Some(value.get("message").or_else(|| value.get("detail"))?.as_str()?.to_owned()));
    let words = said.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").to_owned());
    Trouble::Refused { status, words: crate::cli::learn::escape::plain(&words) }
}

/// Reads `http://host:port`, with or without its scheme.
fn authority(url: &str, name: &str) -> Result<Authority, Failure> {
    let wrong = |why: &str| {
        let url = crate::cli::learn::escape::plain(url);
        Failure::Usage(format!("{name} = {url}: {why}\n\n  fix: write http:// with host and port, as http://127.0.0.1:9180"))
    };
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some(("https", _)) => return Err(wrong("https comes with a later version")),
        Some(_) => return Err(wrong("no address of an admin API")),
        None => url,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let authority: Authority = rest.parse().map_err(|_| wrong("no address of an admin API"))?;
    let whole =
        !rest.contains('@') && !authority.host().is_empty() && (authority.as_str() == authority.host() || authority.port_u16().is_some());
    if whole { Ok(authority) } else { Err(wrong("no address of an admin API")) }
}

/// The address under which a client on this machine reaches `listen`.
fn reachable(mut listen: SocketAddr) -> Authority {
    if listen.ip().is_unspecified() {
        listen.set_ip(if listen.is_ipv4() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { IpAddr::from(Ipv6Addr::LOCALHOST) });
    }
    listen.to_string().parse().unwrap_or_else(|_| Authority::from_static("127.0.0.1:9180"))
}

#[cfg(test)]
mod tests {
    use super::{Admin, Trouble, answer, authority, reachable};
    use crate::config::Secret;
    use http::{Method, StatusCode};

    #[test]
    fn an_address_may_lack_its_scheme_and_nothing_else() {
        for (url, read) in [
            ("http://127.0.0.1:9180", "127.0.0.1:9180"),
            ("http://[::1]:9180/", "[::1]:9180"),
            ("localhost:9180", "localhost:9180"),
            ("http://warmfront", "warmfront"),
        ] {
            assert_eq!(authority(url, "x").unwrap().as_str(), read);
        }
        for url in ["", "http://", "https://a:1", "unix:/run/a", "http://a:1/api", "http://u:p@a:1", "a:port", "http://a:99999"] {
            assert!(authority(url, "x").is_err(), "{url}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_on_this_machine() {
        for (listen, reached) in [("0.0.0.0:9", "127.0.0.1:9"), ("[::]:9", "[::1]:9"), ("10.0.0.1:9", "10.0.0.1:9")] {
            assert_eq!(reachable(listen.parse().unwrap()).as_str(), reached);
        }
    }

    #[test]
    fn the_token_goes_along_and_is_never_shown() {
        let admin = Admin { authority: "a:1".parse().unwrap(), token: Some(Secret::new("hunter2")) };
        let request = admin.request(Method::GET, "/x?y", None).unwrap();
        assert_eq!(
            (&request.headers()["authorization"], &request.headers()["host"]),
            (&"Bearer hunter2".parse().unwrap(), &"a:1".parse().unwrap())
        );
        assert!(!format!("{admin:?} {request:?}").contains("hunter2"));
    }

    #[test]
    fn a_refusal_says_what_the_server_said() {
        let words = |status: u16, body: &str| answer(StatusCode::from_u16(status).unwrap(), body.as_bytes()).unwrap_err();
        let refused = |status, words: &str| Trouble::Refused { status, words: words.into() };
        assert_eq!(words(400, r#"{"success":false,"message":"no group\u001b"}"#), refused(StatusCode::BAD_REQUEST, "no group\\u{1b}"));
        assert_eq!(words(403, r#"{"detail":"foreign Origin"}"#), refused(StatusCode::FORBIDDEN, "foreign Origin"));
        assert_eq!(words(404, "<html>"), refused(StatusCode::NOT_FOUND, "Not Found"));
        assert!(matches!(words(200, "<html>"), Trouble::NotJson(_)));
        assert_eq!(answer(StatusCode::OK, b"{}").unwrap(), serde_json::json!({}));
    }
}
