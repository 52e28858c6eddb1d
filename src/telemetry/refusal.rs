//! Why warmfront answered with an error of its own.

use http::StatusCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why warmfront itself answered with an error. The spelling reaches the log, the counter, the problem body and `Cache-Status; detail=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The request could be read in two ways, or not at all: framing, Host, target, field values.
    BadRequest,
    /// The request head did not arrive within `server.header_timeout`.
    HeaderTimeout,
    /// The request head is larger than `server.max_header_bytes`.
    HeadersTooLarge,
    /// The request target is longer than 8 KiB.
    TargetTooLong,
    /// The request body is larger than `server.max_request_body`.
    BodyTooLarge,
    /// The request body came more slowly than `server.min_body_rate`, or not at all.
    BodyTimeout,
    /// A client read nothing for `server.idle_timeout`, or more slowly than `server.min_body_rate`: its response broke off.
    StalledReader,
    /// A client asked more often than `server.rate_limit` or its rule's allows.
    RateLimited,
    /// A client has `server.max_connections_per_client` connections: a further one was closed without an answer.
    TooManyConnections,
    /// CONNECT: warmfront is no tunnel to anywhere.
    ConnectMethod,
    /// An `Expect` other than `100-continue`.
    Expectation,
    /// A TLS handshake that failed, or did not end within `server.header_timeout`; nobody was answered.
    TlsHandshake,
    /// A connection that did not begin with the PROXY header that its peer owes; nobody was answered.
    ProxyHeader,
    /// An HTTP/2 connection that asked for much and used little of it, and was closed: resets, pings, settings, empty frames.
    Http2Flood,
    /// An HTTP/2 connection that broke the rules of its protocol (RFC 9113 section 5.4.1), and was closed with a GOAWAY.
    Http2Protocol,
    /// The request said `only-if-cached` and nothing stored may answer it.
    OnlyIfCached,
    /// `upstream.max_in_flight` requests are under way and `upstream.max_queue` wait already.
    QueueFull,
    /// Waited longer than `upstream.queue_timeout` for a place.
    QueueTimeout,
    /// The queue for the upstream moves too slowly: the request would have waited longer than `upstream.queue_timeout` for nothing.
    Overload,
    /// Nearly everything fails at every upstream: the circuit breakers (`upstream.breaker`) are open.
    CircuitOpen,
    /// No connection to the upstream: refused, unreachable, or its name did not resolve.
    UpstreamConnect,
    /// The upstream could not be recognised over TLS, or did not recognise us.
    UpstreamTls,
    /// No connection to the upstream within `upstream.connect_timeout`.
    ConnectTimeout,
    /// No response head from the upstream within `upstream.response_timeout`.
    ResponseTimeout,
    /// The upstream closed or reset the connection before a whole response head.
    UpstreamClosed,
    /// The upstream's response is not HTTP, ambiguous, or a 101 that nobody asked for.
    BadResponse,
    /// The fill that this request waited for ended without an answer.
    FillAborted,
    /// The origin could not be asked and the stored response must be validated first (RFC 9111 section 5.2.2.2).
    MustRevalidate,
}

impl Refusal {
    /// All reasons, in the order of their discriminants.
    pub const ALL: [Self; 28] = [
        Self::BadRequest,
        Self::HeaderTimeout,
        Self::HeadersTooLarge,
        Self::TargetTooLong,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::StalledReader,
        Self::RateLimited,
        Self::TooManyConnections,
        Self::ConnectMethod,
        Self::Expectation,
        Self::TlsHandshake,
        Self::ProxyHeader,
        Self::Http2Flood,
        Self::Http2Protocol,
        Self::OnlyIfCached,
        Self::QueueFull,
        Self::QueueTimeout,
        Self::Overload,
        Self::CircuitOpen,
        Self::UpstreamConnect,
        Self::UpstreamTls,
        Self::ConnectTimeout,
        Self::ResponseTimeout,
        Self::UpstreamClosed,
        Self::BadResponse,
        Self::FillAborted,
        Self::MustRevalidate,
    ];

    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::HeaderTimeout => "header-timeout",
            Self::HeadersTooLarge => "headers-too-large",
            Self::TargetTooLong => "target-too-long",
            Self::BodyTooLarge => "body-too-large",
            Self::BodyTimeout => "body-timeout",
            Self::StalledReader => "stalled-reader",
            Self::RateLimited => "rate-limited",
            Self::TooManyConnections => "too-many-connections",
            Self::ConnectMethod => "connect-method",
            Self::Expectation => "expectation",
            Self::TlsHandshake => "tls-handshake",
            Self::ProxyHeader => "proxy-header",
            Self::Http2Flood => "http2-flood",
            Self::Http2Protocol => "http2-protocol",
            Self::OnlyIfCached => "only-if-cached",
            Self::QueueFull => "queue-full",
            Self::QueueTimeout => "queue-timeout",
            Self::Overload => "overload",
            Self::CircuitOpen => "circuit-open",
            Self::UpstreamConnect => "upstream-connect",
            Self::UpstreamTls => "upstream-tls",
            Self::ConnectTimeout => "connect-timeout",
            Self::ResponseTimeout => "response-timeout",
            Self::UpstreamClosed => "upstream-closed",
            Self::BadResponse => "bad-response",
            Self::FillAborted => "fill-aborted",
            Self::MustRevalidate => "must-revalidate",
        }
    }

    /// The status code that goes with it.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::TlsHandshake | Self::ProxyHeader | Self::Http2Protocol => StatusCode::BAD_REQUEST,
            Self::HeaderTimeout | Self::BodyTimeout | Self::StalledReader => StatusCode::REQUEST_TIMEOUT,
            Self::RateLimited | Self::Http2Flood => StatusCode::TOO_MANY_REQUESTS,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ConnectMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::QueueFull | Self::QueueTimeout | Self::Overload | Self::CircuitOpen | Self::TooManyConnections => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::UpstreamConnect | Self::UpstreamTls | Self::UpstreamClosed | Self::BadResponse | Self::FillAborted => {
                StatusCode::BAD_GATEWAY
            }
            Self::OnlyIfCached | Self::ConnectTimeout | Self::ResponseTimeout | Self::MustRevalidate => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// How often warmfront answered with an error of its own, by reason. Refusals are rare: one number each.
#[derive(Debug, Default)]
pub(crate) struct Refusals([AtomicU64; Refusal::ALL.len()]);

impl Refusals {
    pub(crate) fn count(&self, refusal: Refusal) {
        self.0[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, refusal: Refusal) -> u64 {
        self.0[refusal as usize].load(Ordering::Relaxed)
    }
}
