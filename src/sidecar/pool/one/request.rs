//! A request as it is written (RFC 9112 sections 3 and 6): its head, and its body piece by piece.

use crate::error::BoxError;
use crate::rfc::hop::ends_here;
use crate::sidecar::chunk::may_trail;
use crate::sidecar::outgoing::Outbound;
use crate::sidecar::pool::one::outlet::Outlet;
use crate::sidecar::upload::Upload;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, MAX_FORWARDS, SET_COOKIE, TRAILER, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use http_body::Body as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A body on its way out.
#[derive(Debug)]
pub(super) struct Uploading {
    upload: Upload,
    framing: Framing,
}

#[derive(Debug)]
enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// In chunks; the fields that may follow the last.
    Chunked(Vec<HeaderName>),
}

/// Writes the head of the request that consists of `request` and `upload`; what is left of the latter to be written.
pub(super) fn begin(request: &Outbound<'_>, upload: Upload, outlet: &mut Outlet) -> Option<Box<Uploading>> {
    let parts = request.parts;
    outlet.begin();
    let head = &mut outlet.front;
    head.extend_from_slice(parts.method.as_str().as_bytes());
    head.push(b' ');
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    if !target.starts_with(['/', '*']) {
        head.push(b'/'); // the path may be left out in front of a query
    }
    head.extend_from_slice(target.as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\n");
    let framing = if upload.is_end_stream() { None } else { Some(Framing::of(parts, &upload)) };
    for (name, value) in &parts.headers {
        // One framing, and that of the body that follows.
        let is_framing = *name == TRANSFER_ENCODING || (*name == CONTENT_LENGTH && (framing.is_some() || value != "0"));
        if !is_framing {
            write_field(head, name, value.as_bytes());
        }
    }
    request.top.write(head);
    match &framing {
        None => {}
        Some(Framing::Length(length)) => write_field(head, &CONTENT_LENGTH, itoa::Buffer::new().format(*length).as_bytes()),
        Some(Framing::Chunked(_)) => write_field(head, &TRANSFER_ENCODING, b"chunked"),
    }
    head.extend_from_slice(b"\r\n");
    framing.map(|framing| Box::new(Uploading { upload, framing }))
}

fn write_field(head: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    head.reserve(name.len() + value.len() + 4);
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

impl Framing {
    fn of(parts: &Parts, upload: &Upload) -> Self {
        let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
        let declared = match (lengths.next(), lengths.next()) {
            (Some(one), None) => one.to_str().ok().filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok()),
            _ => None,
        };
        let chunked = parts.headers.contains_key(TRANSFER_ENCODING);
        match declared.or_else(|| upload.size_hint().exact()) {
            Some(length) if !chunked => Self::Length(length),
            _ => Self::Chunked(announced(&parts.headers)),
        }
    }
}

/// The fields that `Trailer` announces: no others are sent behind the body, as nobody may look for them there.
fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(TRAILER).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    lines.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}

impl Uploading {
    /// Puts the next piece into the `outlet`; whether that was the last.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>, outlet: &mut Outlet) -> Poll<Result<bool, BoxError>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.upload).poll_frame(cx)) else {
                return Poll::Ready(match &self.framing {
                    Framing::Length(0) => Ok(true),
                    Framing::Length(_) => Err("it is shorter than its Content-Length".into()),
                    Framing::Chunked(_) => {
                        outlet.put(Bytes::from_static(b"0\r\n\r\n"), b"");
                        Ok(true)
                    }
                });
            };
            match frame?.into_data() {
                Ok(piece) if piece.is_empty() => {} // as a chunk it would be the end
                Ok(piece) => return Poll::Ready(self.piece(piece, outlet)),
                Err(frame) => {
                    if let (Ok(fields), Framing::Chunked(announced)) = (frame.into_trailers(), &self.framing) {
                        write_trailers(&fields, announced, outlet);
                        return Poll::Ready(Ok(true));
                    }
                }
            }
        }
    }

    fn piece(&mut self, piece: Bytes, outlet: &mut Outlet) -> Result<bool, BoxError> {
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(piece.len() as u64).ok_or("it is longer than its Content-Length")?;
                outlet.put(piece, b"");
                Ok(*left == 0)
            }
            Framing::Chunked(_) => {
                outlet.front.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                outlet.put(piece, b"\r\n");
                Ok(false)
            }
        }
    }
}

/// The last chunk, and the fields behind it.
fn write_trailers(fields: &HeaderMap, announced: &[HeaderName], outlet: &mut Outlet) {
    outlet.front.extend_from_slice(b"0\r\n");
    for (name, value) in fields {
        if announced.contains(name) && may_trail(name.as_str().as_bytes()) && !is_for_the_head(name) {
            write_field(&mut outlet.front, name, value.as_bytes());
        }
    }
    outlet.front.extend_from_slice(b"\r\n");
}

/// RFC 9110 section 6.5.1: what says how the content is to be taken, or ends here, comes too late in a trailer.
fn is_for_the_head(name: &HeaderName) -> bool {
    let late = [CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, MAX_FORWARDS, SET_COOKIE, TRAILER];
    late.contains(name) || ends_here(name, true)
}

#[cfg(test)]
mod tests {
    use super::{Outbound, Outlet, begin};
    use crate::body::RequestBody;
    use crate::sidecar::upload::Upload;
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Request};
    use http_body::Frame;
    use std::task::{Context, Poll, Waker};

    /// A body of unknown length.
    struct Pieces(Vec<Frame<Bytes>>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(if self.0.is_empty() { None } else { Some(Ok(self.0.remove(0))) })
        }
    }

    fn pieces(texts: &[&'static str]) -> Upload {
        Upload::new(RequestBody::new(Pieces(texts.iter().map(|text| Frame::data(Bytes::from_static(text.as_bytes()))).collect())))
    }

    /// All that is written of a request.
    fn written(method: &str, uri: &str, fields: &[(&'static str, &'static str)], upload: Upload) -> Result<String, String> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, mut outlet) = (request.body(()).unwrap().into_parts().0, Outlet::default());
        let mut uploading = begin(&Outbound::plain(&parts), upload, &mut outlet);
        let mut last = uploading.is_none();
        while let (Some(uploading), false) = (&mut uploading, last) {
            let Poll::Ready(polled) = uploading.poll_next(&mut Context::from_waker(Waker::noop()), &mut outlet) else { panic!() };
            last = polled.map_err(|error| error.to_string())?;
        }
        Ok(String::from_utf8(outlet.front).unwrap())
    }

    fn empty() -> Upload {
        Upload::new(RequestBody::default())
    }

    #[test]
    fn a_request_without_content_is_its_head() {
        for (uri, target) in [("/a?b=c", "/a?b=c"), ("http://h", "/"), ("http://h?q", "/?q"), ("*", "*"), ("http://h:80/x", "/x")] {
            let text = written("GET", uri, &[("host", "h"), ("x-a", "1"), ("x-a", "2")], empty()).unwrap();
            assert_eq!(text, format!("GET {target} HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-a: 2\r\n\r\n"), "{uri}");
        }
    }

    #[test]
    fn the_framing_is_that_of_the_body_whatever_the_fields_say() {
        let with = |fields: &[(&'static str, &'static str)], upload: Upload| {
            written("POST", "/", fields, upload).map(|text| text[17..].to_owned())
        };
        assert_eq!(with(&[("content-length", "0")], empty()).unwrap(), "content-length: 0\r\n\r\n");
        assert_eq!(with(&[("content-length", "5"), ("transfer-encoding", "chunked")], empty()).unwrap(), "\r\n");
        assert_eq!(with(&[("content-length", "5")], pieces(&["hel", "", "lo"])).unwrap(), "content-length: 5\r\n\r\nhello");
        let chunked = "transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        assert_eq!(with(&[("content-length", "5"), ("transfer-encoding", "chunked")], pieces(&["hel", "", "lo"])).unwrap(), chunked);
        assert_eq!(with(&[], pieces(&["hel", "lo"])).unwrap(), chunked);
        for field in ["+5", "5, 5", "x"] {
            assert_eq!(with(&[("content-length", field)], pieces(&["hel", "lo"])).unwrap(), chunked, "{field}");
        }
        assert_eq!(with(&[("content-length", "5"), ("content-length", "6")], pieces(&["hel", "lo"])).unwrap(), chunked);
        let known = Upload::new(RequestBody::new(http_body_util::Full::new(Bytes::from_static(b"hello"))));
        assert_eq!(with(&[], known).unwrap(), "content-length: 5\r\n\r\nhello");
    }

    #[test]
    fn a_body_of_another_length_than_was_said_is_never_complete() {
        assert!(written("POST", "/", &[("content-length", "9")], pieces(&["hello"])).unwrap_err().contains("shorter"));
        assert!(written("POST", "/", &[("content-length", "4")], pieces(&["hello"])).unwrap_err().contains("longer"));
    }

    #[test]
    fn only_announced_trailers_follow_a_body() {
        let mut fields = HeaderMap::new();
        for name in ["x-sum", "x-other", "host"] {
            fields.insert(name, HeaderValue::from_static("7"));
        }
        let frames = vec![Frame::data(Bytes::from_static(b"x")), Frame::trailers(fields)];
        let upload = Upload::new(RequestBody::new(Pieces(frames)));
        let text = written("PUT", "/", &[("trailer", "X-Sum, host")], upload).unwrap();
        assert!(text.ends_with("\r\n\r\n1\r\nx\r\n0\r\nx-sum: 7\r\n\r\n"), "{text}");
    }
}
