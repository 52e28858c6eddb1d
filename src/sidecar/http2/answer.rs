//! One request of a connection of HTTP/2, and its answer.

use crate::error::BoxError;
use crate::sidecar::admission::Stop;
use crate::sidecar::attend::{Answer, Serve};
use crate::sidecar::forward::{Seat, Told, forward, stopped};
use crate::sidecar::http2::SEND_BUFFER;
use crate::sidecar::http2::incoming::{Incoming, News};
use crate::sidecar::http2::line::Traffic;
use crate::sidecar::http2::request;
use crate::sidecar::limits::Pace;
use crate::sidecar::live::Live;
use crate::sidecar::target::Memory;
use crate::telemetry::Refusal;
use crate::telemetry::log::Overruled;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use tokio::time::{Instant, timeout};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With an answer, or a broken one.
    Answered,
    /// The client gave it up, or did not take its answer.
    Abandoned,
}

/// Answers one request.
pub(super) async fn answer<S: Serve<B>, B: Answer>(
    mut service: S,
    seat: Arc<Seat>,
    traffic: Arc<Traffic>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Ending {
    let (mut parts, stream) = request.into_parts();
    traffic.used(request::weight(&parts));
    let (accept, head) = (parts.headers.get(ACCEPT).cloned(), parts.method == Method::HEAD);
    let https = {
        let settings = seat.live.settings.load();
        seat.peer.is_asked_over_https(&parts.headers, &settings.server, &settings.upstream)
    };
    let checked = request::check(&mut parts, https);
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let news = Arc::new(News::default());
    let expects = parts.headers.contains_key(EXPECT);
    let overruled = (!stream.is_end_stream()).then(|| parts.extensions.get_or_insert_default::<Overruled>().clone());
    let incoming = Incoming::new(stream, length, expects, seat.live.clone(), traffic, news.clone(), overruled);
    let response = match checked {
        Err(stop) => stopped(&seat, stop, accept, Some(&Told { parts: &parts, began: seat.live.clock.moment(), leg: None })),
        Ok(()) => {
            let settings = seat.live.settings.load_full();
            let (request, mut memory) = (Request::from_parts(parts, incoming), Memory::default()); // its target names the host
            let mut answering = pin!(forward(&mut service, false, &seat, &settings, &mut memory, request));
            let response = loop {
                tokio::select! {
                    biased;
                    response = &mut answering => {
                        let Ok(response) = response;
                        break response;
                    }
                    _ = poll_fn(|cx| respond.poll_reset(cx)) => return Ending::Abandoned,
                    () = news.wanted.notified() => go_on(&mut respond),
                }
            };
            if news.is_silent() { stopped(&seat, silence(), accept, None) } else { response }
        }
    };
    send(response, head, respond, &seat.live).await
}

fn silence() -> Stop {
    Stop::Refuse(Refusal::BodyTimeout, "three times server.header_timeout without server.min_body_rate".into())
}

/// RFC 9110 section 10.1.1: the client waits for this before it sends the body.
fn go_on(respond: &mut SendResponse<Bytes>) {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::CONTINUE;
    let _ = respond.send_informational(response); // where it cannot be sent, nothing can
}

/// Sends an answer at the pace of the client, who is given up when it credits nothing for `server.idle_timeout`, or for so long in all less than
/// `server.min_body_rate`.
async fn send<B>(response: Response<B>, head: bool, mut respond: SendResponse<Bytes>, live: &Live) -> Ending
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = response.into_parts();
    let silent = head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    fit(&mut parts.headers, body.size_hint().exact().filter(|_| !silent));
    let ends = silent || body.is_end_stream();
    let Ok(mut stream) = respond.send_response(Response::from_parts(parts, ()), ends) else { return Ending::Abandoned };
    if ends {
        return Ending::Answered;
    }
    let (mut body, mut pace) = (pin!(body), Pace::default());
    loop {
        let sent = match next(body.as_mut(), &mut stream).await {
            Next::Data(data) => {
                let last = body.is_end_stream();
                match write(&mut stream, data, last, &mut pace, live).await {
                    Ok(()) if last => return Ending::Answered,
                    sent => sent,
                }
            }
            Next::Trailers(trailers) => return ended(stream.send_trailers(trailers)),
            Next::End => return ended(stream.send_data(Bytes::new(), true)),
            Next::Broken => {
                stream.send_reset(Reason::INTERNAL_ERROR); // no client may take it for a whole body
                return Ending::Answered;
            }
            Next::Reset => Err(Gone),
        };
        if sent.is_err() {
            stream.send_reset(Reason::CANCEL);
            return Ending::Abandoned;
        }
    }
}

/// The client does not want the rest, or does not take it.
struct Gone;

fn ended(sent: Result<(), h2::Error>) -> Ending {
    if sent.is_ok() { Ending::Answered } else { Ending::Abandoned }
}

/// The fields of an answer: none of a connection (RFC 9113 section 8.2.2), and a length where it is known.
fn fit(headers: &mut HeaderMap, exact: Option<u64>) {
    headers.remove(CONNECTION);
    if let Some(length) = exact
        && !headers.contains_key(CONTENT_LENGTH)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

enum Next {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Broken,
    Reset,
}

/// What comes next of the body, unless the client has reset the stream meanwhile.
async fn next<B>(mut body: Pin<&mut B>, stream: &mut SendStream<Bytes>) -> Next
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    poll_fn(|cx| match body.as_mut().poll_frame(cx) {
        Poll::Ready(None) => Poll::Ready(Next::End),
        Poll::Ready(Some(Err(_))) => Poll::Ready(Next::Broken),
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(match frame.into_data().map_err(Frame::into_trailers) {
            Ok(data) => Next::Data(data),
            Err(Ok(trailers)) => Next::Trailers(trailers),
            Err(Err(_)) => Next::Data(Bytes::new()),
        }),
        Poll::Pending => stream.poll_reset(cx).map(|_| Next::Reset),
    })
    .await
}

/// Sends a piece of a body as the client credits it. What is handed to the connection has its window already, so that whatever waits for the client
/// waits here, where it has a deadline.
async fn write(stream: &mut SendStream<Bytes>, mut data: Bytes, last: bool, pace: &mut Pace, live: &Live) -> Result<(), Gone> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len().min(SEND_BUFFER));
        let mut credit = stream.capacity();
        if credit == 0 {
            credit = credited(stream, pace, live).await?;
        }
        let piece = data.split_to(credit.min(data.len()));
        let end = last && data.is_empty();
        stream.send_data(piece, end).map_err(|_| Gone)?;
        if end {
            return Ok(());
        }
    }
    if last { stream.send_data(Bytes::new(), true).map_err(|_| Gone) } else { Ok(()) }
}

/// Waits for the client to credit something: how much.
async fn credited(stream: &mut SendStream<Bytes>, pace: &mut Pace, live: &Live) -> Result<usize, Gone> {
    let (idle_timeout, floor) = {
        let server = &live.settings.load().server;
        (server.idle_timeout, server.min_body_rate)
    };
    let since = Instant::now();
    let Ok(credited) = timeout(pace.left(idle_timeout, floor), poll_fn(|cx| stream.poll_capacity(cx))).await else {
        live.count(Refusal::StalledReader);
        return Err(Gone);
    };
    let credit = credited.and_then(Result::ok).ok_or(Gone)?;
    pace.moved(since.elapsed(), credit, floor);
    Ok(credit)
}
