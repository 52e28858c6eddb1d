//! Answers of an upstream, for fuzzers: what we take for a response hyper takes for the same one.

use crate::rfc::hop::ends_here;
use crate::sidecar::chunk::may_trail;
use crate::sidecar::pool::broken::Malformed;
use crate::sidecar::pool::one::answer::Answer;
use crate::sidecar::pool::one::body::Next;
use bytes::{Bytes, BytesMut};
use http::header::CONNECTION;
use http::{HeaderMap, Method, Request, Version};
use http_body::Body as _;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// What is to be read of a response.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    status: u16,
    old: bool,
    fields: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
    /// The body has ended as it should.
    whole: bool,
    /// Another request may follow.
    persists: bool,
}

/// Bytes of an upstream, to a GET and to a HEAD: however they are cut they are the same response, or none; and what is one is one for hyper as well.
pub(in crate::sidecar) fn answer(bytes: &[u8]) {
    for method in [Method::GET, Method::HEAD] {
        let seen = read(&method, bytes, usize::MAX).ok();
        for piece in [1, 7] {
            assert_eq!(seen, read(&method, bytes, piece).ok(), "{method}, in pieces of {piece}");
        }
        let Some(ours) = seen else { continue };
        let mut theirs = hyper(&method, bytes, !ours.persists);
        theirs.fields = without_options(&theirs.fields);
        theirs.trailers = theirs.trailers.iter().filter(|(name, _)| may_trail(name.as_str().as_bytes()) && !ends_here(name, true)).fold(
            HeaderMap::new(),
            |mut all, (name, value)| {
                all.append(name, value.clone());
                all
            },
        );
        let found = (ours.status, ours.old, &ours.fields);
        assert_eq!(found, (theirs.status, theirs.old, &theirs.fields), "{method}");
        if ours.whole {
            theirs.persists &= ours.persists;
            assert_eq!(ours, theirs, "{method}");
        }
    }
}

/// All fields but for lines of Connection that nominate none.
fn without_options(fields: &HeaderMap) -> HeaderMap {
    let is_option = |option: &[u8]| matches!(&*option.trim_ascii().to_ascii_lowercase(), b"" | b"close" | b"keep-alive");
    let nominates = |value: &[u8]| !value.split(|&byte| byte == b',').all(is_option);
    let kept = fields.iter().filter(|(name, value)| *name != CONNECTION || nominates(value.as_bytes()));
    kept.fold(HeaderMap::new(), |mut all, (name, value)| {
        all.append(name, value.clone());
        all
    })
}

/// What we read, as it comes in pieces and then ends; an error if there is no head in it.
fn read(method: &Method, bytes: &[u8], piece: usize) -> Result<Seen, Malformed> {
    let (mut answer, mut come, mut pieces) = (Answer::none(), BytesMut::new(), bytes.chunks(piece.min(bytes.len().max(1))));
    answer.begin(method == Method::HEAD);
    let head = loop {
        if let Some(head) = answer.read_head(&mut come)? {
            break head;
        }
        come.extend_from_slice(pieces.next().ok_or(Malformed::StatusLine)?);
    };
    let mut seen = Seen { status: head.status.as_u16(), old: head.old, fields: head.fields, ..Seen::default() };
    loop {
        match answer.left.next(&mut come) {
            Ok(Next::Frame(frame)) => match frame.into_data() {
                Ok(data) => seen.body.extend_from_slice(&data),
                Err(frame) => seen.trailers = frame.into_trailers().unwrap_or_default(),
            },
            Ok(Next::More) => match pieces.next() {
                Some(piece) => come.extend_from_slice(piece),
                None => {
                    seen.whole = answer.left.closed().is_ok();
                    return Ok(seen);
                }
            },
            Ok(Next::End) => {
                seen.whole = true;
                seen.persists = answer.persists && come.is_empty() && pieces.next().is_none();
                return Ok(seen);
            }
            Err(_) => return Ok(seen),
        }
    }
}

/// A connection on which the bytes come after the request.
struct Scripted<'a> {
    bytes: &'a [u8],
    asked: bool,
    ends: bool,
}

impl Read for Scripted<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let (now, later) = self.bytes.split_at(self.bytes.len().min(buf.remaining()));
        if !self.asked || (now.is_empty() && !self.ends) {
            return Poll::Pending;
        }
        buf.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}

impl Write for Scripted<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What hyper reads.
fn hyper(method: &Method, bytes: &[u8], ends: bool) -> Seen {
    let (mut cx, mut seen) = (Context::from_waker(Waker::noop()), Seen::default());
    let shaking = pin!(http1::handshake::<_, Empty<Bytes>>(Scripted { bytes, asked: false, ends }));
    let Poll::Ready(Ok((mut send, mut drive))) = shaking.poll(&mut cx) else { return seen };
    let mut request = Request::new(Empty::new());
    *request.method_mut() = method.clone();
    let mut asking = pin!(send.send_request(request));
    let mut ended = false;
    let mut turns = bytes.len() * 4 + 16;
    let response = loop {
        ended = ended || Pin::new(&mut drive).poll(&mut cx).is_ready();
        match asking.as_mut().poll(&mut cx) {
            Poll::Ready(Ok(response)) => break response,
            Poll::Ready(Err(_)) => return seen,
            Poll::Pending if turns == 0 => return seen,
            Poll::Pending => turns -= 1,
        }
    };
    (seen.status, seen.old, seen.fields) = (response.status().as_u16(), response.version() == Version::HTTP_10, response.headers().clone());
    let mut body = pin!(response.into_body());
    loop {
        ended = ended || Pin::new(&mut drive).poll(&mut cx).is_ready();
        match body.as_mut().poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => seen.body.extend_from_slice(&data),
                Err(frame) => seen.trailers = frame.into_trailers().unwrap_or_default(),
            },
            Poll::Ready(None) => break seen.whole = true,
            Poll::Ready(Some(Err(_))) => break,
            Poll::Pending if turns == 0 => break,
            Poll::Pending => turns -= 1,
        }
    }
    ended = ended || Pin::new(&mut drive).poll(&mut cx).is_ready();
    seen.persists = !ended && seen.whole;
    seen
}
