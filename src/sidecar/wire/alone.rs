//! What a wire does for a request that the service has [without hyper](crate::sidecar::direct).

use crate::flow::thin::Thin;
use crate::sidecar::framing::write_fields;
use crate::sidecar::said::End;
use crate::sidecar::stream::Socket;
use crate::sidecar::wire::Wire;
use crate::sidecar::wire::doze::FIRST_READ;
use bytes::Bytes;
use http::HeaderMap;
use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;

impl<T: Socket> Wire<T> {
    #[cfg(test)]
    pub(in crate::sidecar) const fn socket(&mut self) -> &mut T {
        &mut self.io
    }

    /// The connection ends with what is written.
    pub(in crate::sidecar) const fn end(&mut self) {
        self.is_last = true;
    }

    /// Sends what was put together, a piece of a body, which is a part of `whole`, and its tail. What the socket does not take is kept until the [next](Self::send_unsent) may come.
    pub(in crate::sidecar) fn send(
        &mut self,
        cx: &mut Context<'_>,
        (head, body, tail): (&[u8], &[u8], &'static [u8]),
        whole: &Bytes,
    ) -> io::Result<()> {
        if head.is_empty() && body.is_empty() {
            return Ok(());
        }
        let taken = self.unsent.send(&mut self.io, cx, (head, body, tail), whole)?;
        self.took(taken);
        Ok(())
    }

    /// Sends a hit that the service has left to us, with the fields that it has put on.
    pub(in crate::sidecar) fn send_thin(&mut self, cx: &mut Context<'_>, thin: &Thin, fields: &HeaderMap, is_last: bool) -> io::Result<()> {
        let end = if is_last { End::Closes } else { End::Stays };
        self.write_hit(cx, thin, end, |out| write_fields(out, fields))
    }

    /// Until the socket has taken what was sent, and has passed it on.
    pub(in crate::sidecar) fn poll_passed_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_unsent(cx))?;
        self.flush(cx)
    }

    /// Until nobody waits for the answer any more.
    pub(in crate::sidecar) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut piece = [const { MaybeUninit::uninit() }; FIRST_READ];
        let watched = ready!(self.watch_for_end(cx, &mut ReadBuf::uninit(&mut piece)));
        Poll::Ready(watched.err().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into()))
    }
}
