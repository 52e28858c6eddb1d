//! One exchange over a socket and a body that a test makes.

use super::{Delimited, Direct, FRAMES, ONE_PIECE, TURN, Then, fill};
use crate::error::BoxError;
use crate::flow::body::CacheBody;
use crate::sidecar::Sidecar;
use crate::sidecar::answering::Answering;
use crate::sidecar::exchange::Exchange;
use crate::sidecar::forward::{Asked, Seat};
use crate::sidecar::forwarded::Peer;
use crate::sidecar::open::Open;
use crate::sidecar::settings::{Origin, ServerSettings, UpstreamSettings};
use crate::sidecar::stream::Socket;
use crate::sidecar::wire::Wire;
use bytes::{Bytes, BytesMut};
use http::uri::Authority;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, advance};

/// `"!"` is an error, `"?"` a wait, `":"` trailers, all others are data.
struct Frames<I>(I);

impl<I: Iterator<Item = &'static str> + Unpin> Body for Frames<I> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match self.0.next() {
            None => None,
            Some("?") => return Poll::Pending,
            Some("!") => Some(Err(BoxError::from("broken"))),
            Some(":") => Some(Ok(Frame::trailers(HeaderMap::new()))),
            Some(data) => Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))),
        })
    }
}

/// What a body of these frames comes to at one go: what was put together, with the large piece and the tail in brackets, and what then.
fn filled(frames: &[&'static str], delimited: &mut Delimited) -> (String, &'static str) {
    let (mut out, body) = (Vec::new(), std::pin::pin!(Frames(frames.iter().copied())));
    let filled = fill(&mut Context::from_waker(Waker::noop()), &mut out, body, delimited);
    let mut text = String::from_utf8(out).unwrap();
    if !filled.large.is_empty() {
        text += &format!("[{}|{}]", filled.large.len(), filled.tail.escape_ascii());
    }
    let then = match filled.then {
        Then::More => "more",
        Then::Waiting => "waiting",
        Then::Over => "over",
        Then::Broken(_) => "broken",
    };
    (text, then)
}

#[test]
fn pieces_are_put_together_while_they_are_there_and_small() {
    let large: &'static str = "x".repeat(ONE_PIECE + 1).leak();
    for (frames, told, expected, then) in [
        (&["a", "bc"][..], Delimited::Chunked, "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "over"),
        (&["a", "", "bc", ":"], Delimited::Chunked, "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "over"),
        (&["a", "?", "bc"], Delimited::Chunked, "1\r\na\r\n", "waiting"),
        (&["a", "!"], Delimited::Chunked, "1\r\na\r\n", "broken"),
        (&["a", large, "b"], Delimited::Chunked, "1\r\na\r\n4001\r\n[16385|\\r\\n]", "more"),
        (&["a", "bc"], Delimited::Length(3), "abc", "over"),
        (&["a", "bc", "!"], Delimited::Length(3), "abc", "over"),
        (&["a", "?"], Delimited::Length(3), "a", "waiting"),
        (&["a", large], Delimited::Length(16_387), "a[16385|]", "more"),
        (&["a"], Delimited::Length(3), "a", "broken"),
        (&["a", "!"], Delimited::Length(3), "a", "broken"),
        (&["a", "bcd"], Delimited::Length(3), "a", "broken"),
        (&["a"], Delimited::Absent, "", "over"),
        (&[], Delimited::Length(0), "", "over"),
        (&[], Delimited::Chunked, "0\r\n\r\n", "over"),
    ] {
        assert_eq!(filled(frames, &mut { told }), (expected.to_owned(), then), "{:?}", told);
    }
}

#[test]
fn a_piece_of_many_small_frames_has_an_end() {
    let mut delimited = Delimited::Length(1000);
    let (text, then) = filled(&["x"; FRAMES + 1], &mut delimited);
    assert_eq!((text.len(), then, delimited), (FRAMES, "more", Delimited::Length(1000 - FRAMES as u64)));
}

/// Never ends, and counts its frames; of no bytes there is one.
struct Endless(Arc<AtomicUsize>, usize);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0.fetch_add(1, Ordering::Relaxed) > 0 && self.1 == 0 {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; self.1])))))
    }
}

/// Takes so many bytes until it is given more room, and passes them on when it is flushed, which is counted.
struct Narrow(usize, usize);

impl AsyncRead for Narrow {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Narrow {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let taken = buf.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Poll::Pending } else { Poll::Ready(Ok(taken)) }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_write(cx, &bufs.iter().flat_map(|buf| buf.to_vec()).collect::<Vec<_>>())
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.1 += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Socket for Narrow {}

type Exchanging = Direct<Ready<Result<Response<CacheBody<Endless>>, Infallible>>, CacheBody<Endless>>;

/// An exchange whose answer never ends, in frames of `size`, over this socket, with a `server.min_body_rate` of 100 bytes a second.
fn endless<T: Socket>(size: usize, socket: T) -> (Arc<AtomicUsize>, Pin<Box<Exchanging>>, Wire<T>) {
    let server = ServerSettings { min_body_rate: 100, idle_timeout: Duration::from_secs(60), ..ServerSettings::default() };
    let sidecar = Sidecar::new(server, UpstreamSettings::new(Origin::http(Authority::from_static("o:1"))));
    let seat = Arc::new(Seat {
        live: sidecar.live().clone(),
        exchange: Arc::new(Exchange::new()),
        upstream: sidecar.upstream(),
        peer: Arc::new(Peer::new(None)),
        open: Open::default(),
    });
    let frames = Arc::new(AtomicUsize::new(0));
    let response = Response::new(CacheBody::pass(Endless(Arc::clone(&frames), size)));
    let asked = Asked::of(&Request::new(()).into_parts().0);
    let answering = Answering::called(&seat, ready(Ok(response)), asked, None);
    let wire = Wire::new(socket, BytesMut::new(), Instant::now(), Arc::clone(&seat.live), Arc::clone(&seat.exchange));
    (frames, Box::pin(Direct::new(answering, false)), wire)
}

#[tokio::test]
async fn a_turn_has_an_end_though_body_and_socket_have_none() {
    let (began, (frames, mut direct, mut wire)) = (Instant::now(), endless(32 << 10, Narrow(usize::MAX, 0)));
    for turn in 1..4 {
        assert!(poll_fn(|cx| Poll::Ready(direct.as_mut().poll(cx, &mut wire, false))).await.is_pending());
        assert_eq!(frames.load(Ordering::Relaxed), turn * TURN);
    }
    let going = tokio::spawn(async move { poll_fn(|cx| direct.as_mut().poll(cx, &mut wire, false)).await.is_ok() });
    while frames.load(Ordering::Relaxed) < 10 * TURN {
        assert!(began.elapsed() < Duration::from_secs(20), "and there is a next one");
        tokio::task::yield_now().await;
    }
    going.abort();
}

#[tokio::test]
async fn what_there_is_is_passed_on_before_more_is_waited_for() {
    let (frames, mut direct, mut wire) = endless(0, Narrow(usize::MAX, 0));
    assert!(poll_fn(|cx| Poll::Ready(direct.as_mut().poll(cx, &mut wire, false))).await.is_pending());
    assert_eq!((frames.load(Ordering::Relaxed), wire.socket().1), (2, 1));
}

/// Takes 64 KiB of its own as TLS does, and passes on so many bytes until it is given more room.
#[derive(Default)]
struct Sealed {
    kept: usize,
    room: usize,
    left: u64,
}

impl Sealed {
    fn pass_on(&mut self) {
        let passed = self.kept.min(self.room);
        (self.kept, self.room, self.left) = (self.kept - passed, self.room - passed, self.left + passed as u64);
    }
}

impl AsyncRead for Sealed {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Sealed {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.pass_on();
        let taken = buf.len().min((64 << 10) - self.kept);
        self.kept += taken;
        if taken == 0 { Poll::Pending } else { Poll::Ready(Ok(taken)) }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_write(cx, &bufs.iter().flat_map(|buf| buf.to_vec()).collect::<Vec<_>>())
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pass_on();
        if self.kept == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Socket for Sealed {
    fn left(&self) -> u64 {
        self.left
    }
}

#[tokio::test(start_paused = true)]
async fn what_leaves_counts_for_a_reader_over_tls_and_not_what_is_kept() {
    for size in [100, 16 << 10, 64 << 10] {
        // The floor is 3,000 bytes each half a minute.
        for (each, is_given_up) in [(4000, false), (2000, true), (0, true)] {
            let (_, mut direct, mut wire) = endless(size, Sealed::default());
            let mut given_up = false;
            for _ in 0..200 {
                wire.socket().room = each;
                for _ in 0..20 {
                    given_up |= poll_fn(|cx| Poll::Ready(direct.as_mut().poll(cx, &mut wire, false))).await.is_ready();
                    if given_up {
                        break;
                    }
                }
                if given_up {
                    break;
                }
                advance(Duration::from_secs(30)).await;
            }
            assert_eq!(given_up, is_given_up, "{each} bytes each half a minute, in frames of {size}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_above_the_floor_is_not_given_up_however_small_the_pieces_are() {
    // Each wait ends with the rest of a piece, which is as small as the head in front of the first.
    for (size, piece) in [(100, 154 * 106), (16 << 10, 16_392), (64 << 10, 65_545)] {
        let (frames, mut direct, mut wire) = endless(size, Narrow(0, 0));
        for round in 0..500 {
            wire.socket().0 = 5 * piece;
            while wire.socket().0 > 0 {
                let polled = poll_fn(|cx| Poll::Ready(direct.as_mut().poll(cx, &mut wire, false))).await;
                assert!(polled.is_pending(), "round {round}, frames of {size}: {polled:?}");
            }
            advance(Duration::from_secs(30)).await;
        }
        assert!(frames.load(Ordering::Relaxed) * (size + 20) >= 500 * 5 * piece);
        let given_up = poll_fn(|cx| {
            wire.socket().0 = 0;
            Poll::Ready(direct.as_mut().poll(cx, &mut wire, false))
        })
        .await;
        assert!(given_up.is_pending());
        advance(Duration::from_secs(61)).await;
        let given_up = poll_fn(|cx| Poll::Ready(direct.as_mut().poll(cx, &mut wire, false))).await;
        assert!(matches!(given_up, Poll::Ready(Err(_))), "who reads nothing is");
    }
}
