//! Hits that are written without hyper.

use crate::flow::hit::Hit;
use crate::flow::thin::Thin;
use crate::sidecar::at_once::AtOnce;
use crate::sidecar::splice::hit;
use crate::sidecar::stream::Socket;
use crate::sidecar::wire::Wire;
use std::io;
use std::task::Context;
use tokio::io::ReadBuf;

impl<T: Socket> Wire<T> {
    /// Has hits looked for before hyper sees a request.
    pub(in crate::sidecar) fn with_hits(mut self, at_once: Option<AtOnce>) -> Self {
        self.at_once = at_once.map(Box::new);
        self
    }

    /// What the service has left of its answer.
    pub(super) fn take_thin(&mut self) -> Option<Thin> {
        let thin = self.exchange.take_thin();
        if let (Some(_), Some(at_once)) = (&thin, &mut self.at_once) {
            at_once.was_hit();
        }
        thin
    }

    /// Answers the request whose head has just been completed, if that can be done at once. Then hyper sees nothing of it, and what the socket has not taken is
    /// left to the flush with which hyper ends each of its turns.
    pub(super) fn answer_at_once(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        (start, used): (usize, usize),
        from_surplus: bool,
    ) -> io::Result<bool> {
        let Some(at_once) = &mut self.at_once else { return Ok(false) };
        let Some(fields) = self.scan.repeated() else {
            at_once.pass();
            return Ok(false);
        };
        let head = if from_surplus { &self.surplus[..used] } else { &buf.filled()[start..start + used] };
        let Some(hit) = at_once.answer(head, fields, self.settings.load()) else { return Ok(false) };
        self.open();
        self.exchange.begin();
        self.exchange.end();
        self.split(buf, start, used, from_surplus, true);
        if self.at_once.as_ref().is_some_and(|at_once| at_once.is_enough()) {
            self.exchange.doze();
        }
        self.write_hit(cx, &hit)?;
        Ok(true)
    }

    fn write_hit(&mut self, cx: &mut Context<'_>, Hit { thin, server_timing }: &Hit) -> io::Result<()> {
        let (io, unsent) = (&mut self.io, &mut self.unsent);
        hit(thin, server_timing.as_ref(), |piece, body| unsent.send(io, cx, (piece, body), &thin.stored().body))
    }
}

#[cfg(test)]
mod tests {
    use super::{Socket, Wire};
    use crate::sidecar::Sidecar;
    use crate::sidecar::at_once::tests::Bench;
    use crate::sidecar::exchange::Exchange;
    use crate::sidecar::settings::{Origin, ServerSettings, UpstreamSettings};
    use bytes::BytesMut;
    use http::uri::Authority;
    use std::future::poll_fn;
    use std::io;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio::time::Instant;

    /// Has what was put there, and takes everything.
    struct Said(&'static [u8]);

    impl AsyncRead for Said {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if self.0.is_empty() {
                return Poll::Pending;
            }
            buf.put_slice(std::mem::take(&mut self.0));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Said {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Socket for Said {
        fn left(&self) -> u64 {
            0
        }
    }

    /// A turn of hyper's, or of what stands in for it: whether it was given something to read, which is answered then.
    async fn is_read(wire: &mut Wire<Said>, exchange: &Exchange, said: &'static str) -> bool {
        wire.io.0 = said.as_bytes();
        let mut piece = [0; 1024];
        let mut buf = ReadBuf::new(&mut piece);
        let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut *wire).poll_read(cx, &mut buf))).await.is_ready();
        if read {
            exchange.end();
        }
        poll_fn(|cx| Pin::new(&mut *wire).poll_flush(cx)).await.unwrap();
        read
    }

    #[tokio::test]
    async fn hyper_stays_with_who_has_it_make_a_request_now_and_then() {
        const HIT: &str = "GET /stored HTTP/1.1\r\nHost: h\r\n\r\n";
        let sidecar = Sidecar::new(ServerSettings::default(), UpstreamSettings::new(Origin::http(Authority::from_static("o:1"))));
        let (live, exchange, bench) = (sidecar.live().clone(), Arc::new(Exchange::new()), Bench::lucky().await);
        let wire = Wire::new(Said(b""), BytesMut::new(), Instant::now(), live, exchange.clone());
        let mut wire = wire.with_hits(Some(bench.at_once));
        assert!(is_read(&mut wire, &exchange, HIT).await, "nobody has said it before");
        for other in
            ["POST /form HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", "GET /stored HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n"]
        {
            for number in 0..100 {
                assert!(!is_read(&mut wire, &exchange, HIT).await && !exchange.is_dozing(), "number {number} between {other:?}");
                if number % 20 == 19 {
                    assert!(is_read(&mut wire, &exchange, other).await);
                    while is_read(&mut wire, &exchange, "").await {} // its body
                }
            }
        }
        for _ in 0..32 {
            assert!(!exchange.is_dozing() && !is_read(&mut wire, &exchange, HIT).await);
        }
        assert!(exchange.is_dozing(), "it goes where hits alone are asked for");
    }
}
