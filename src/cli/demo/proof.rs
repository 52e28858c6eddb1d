//! The proof: a slow request through warmfront, twice, and what the start-up run has warmed, asked for the first time.

use crate::warm::Warm;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::HOST};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// In no plan.
const COLD: &str = "/api/schools/primary?page=2&pageSize=20";
/// In the plan of the demo.
const WARMED: &str = "/api/schools/primary?page=1&pageSize=20";

/// `GET /api/schools/primary?...  812 ms -> 0.4 ms`, or why not.
pub(super) async fn line(front: SocketAddr) -> String {
    match times(front, COLD, 2).await {
        Ok((times, status)) => format!("GET {COLD}  {}  ({status})", times.join(" -> ")),
        Err(error) => format!("GET {COLD}  failed: {error}"),
    }
}

/// What the start-up run came to, once it has ended, and what that is worth.
pub(super) async fn warmed(front: SocketAddr, warm: &Warm) -> String {
    let mut text = String::from("\nStart-up run\n");
    let mut reports = warm.reports();
    let runs_at_startup: Vec<_> =
        warm.settings().groups.iter().filter(|group| group.schedule.runs_at_startup()).map(|group| group.name.clone()).collect();
    let done = |report: &crate::warm::Report| {
        report.groups.iter().filter(|group| runs_at_startup.contains(&group.name)).all(|group| group.totals.runs > 0)
    };
    let Ok(report) = reports.wait_for(|report| done(report)).await.map(|report| report.clone()) else { return text };
    for group in &report.groups {
        let Some(last) = &group.last else { continue };
        text += &format!(
            "  {:14} {:3} items warm in {:.1} s, {}\n",
            group.name,
            last.fates.warm(),
            last.duration.as_secs_f64(),
            group.schedule.join(", ")
        );
        last.problems.iter().for_each(|problem| text += &format!("    {problem}\n"));
    }
    text + &match times(front, WARMED, 1).await {
        Ok((times, status)) => format!("GET {WARMED}  {}, the first time anybody asks  ({status})\n", times.join(" ")),
        Err(error) => format!("GET {WARMED}  failed: {error}\n"),
    }
}

/// How long each of `count` requests took, and what Cache-Status said of the last.
async fn times(front: SocketAddr, path: &str, count: usize) -> Result<(Vec<String>, String), crate::error::BoxError> {
    let stream = TcpStream::connect(front).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let (mut times, mut status) = (Vec::new(), String::new());
    for _ in 0..count {
        let (time, response) = ask(&mut sender, front, path).await?;
        times.push(millis(time));
        status = response.headers().get("cache-status").and_then(|status| status.to_str().ok()).unwrap_or("no Cache-Status").into();
    }
    connection.abort();
    Ok((times, status))
}

async fn ask(
    sender: &mut SendRequest<Empty<Bytes>>,
    front: SocketAddr,
    path: &str,
) -> Result<(Duration, Response<()>), crate::error::BoxError> {
    let request = Request::get(path).header(HOST, front.to_string()).body(Empty::new())?;
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
