//! The proof at the start: one slow request through warmfront, twice.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::HOST};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

const PATH: &str = "/api/schools/primary?page=1&pageSize=20";

/// `GET /api/schools/primary?...  812 ms -> 0.4 ms`, or why not.
pub(super) async fn line(front: SocketAddr) -> String {
    match twice(front).await {
        Ok(line) => line,
        Err(error) => format!("GET {PATH}  failed: {error}"),
    }
}

async fn twice(front: SocketAddr) -> Result<String, crate::error::BoxError> {
    let stream = TcpStream::connect(front).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let (first, _) = ask(&mut sender, front).await?;
    let (second, response) = ask(&mut sender, front).await?;
    connection.abort();
    let status = response.headers().get("cache-status").and_then(|status| status.to_str().ok()).unwrap_or("no Cache-Status");
    Ok(format!("GET {PATH}  {} -> {}  ({status})", millis(first), millis(second)))
}

async fn ask(sender: &mut SendRequest<Empty<Bytes>>, front: SocketAddr) -> Result<(Duration, Response<()>), crate::error::BoxError> {
    let request = Request::get(PATH).header(HOST, front.to_string()).body(Empty::new())?;
    let started = Instant::now();
    sender.ready().await?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    body.collect().await?;
    let taken = started.elapsed();
    if head.status != StatusCode::OK {
        return Err(format!("it answered {}", head.status).into());
    }
    Ok((taken, Response::from_parts(head, ())))
}

/// `812 ms`, `0.4 ms`.
fn millis(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::millis;
    use std::time::Duration;

    #[test]
    fn short_times_keep_a_decimal() {
        assert_eq!((millis(Duration::from_micros(812_400)).as_str(), millis(Duration::from_micros(412)).as_str()), ("812 ms", "0.4 ms"));
    }
}
