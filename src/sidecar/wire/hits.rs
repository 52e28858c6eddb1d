//! Hits that are written without hyper.

use crate::flow::hit::Hit;
use crate::flow::thin::Thin;
use crate::sidecar::at_once::{AtOnce, Whole};
use crate::sidecar::said::End;
use crate::sidecar::splice::hit;
use crate::sidecar::stream::Socket;
use crate::sidecar::wire::Wire;
use crate::sidecar::wire::doze::FIRST_READ;
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
    /// left to the flush that ends each turn of hyper, and of a connection without it.
    pub(super) fn answer_at_once(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        (start, used): (usize, usize),
        from_surplus: bool,
    ) -> io::Result<bool> {
        let Some(at_once) = self.at_once.as_mut().filter(|at_once| self.scan.is_whole() && at_once.is_likely()) else { return Ok(false) };
        let head = if from_surplus { &self.surplus[..used] } else { &buf.filled()[start..start + used] };
        let Some(head) = Whole::get(head) else { return Ok(false) };
        let answer = at_once.answer(head, self.scan.repeated(), self.settings.load(), self.is_alone);
        let Some((hit, end)) = answer else { return Ok(false) };
        self.open();
        self.exchange.begin();
        self.exchange.end();
        self.split(buf, start, used, from_surplus, true);
        self.is_last = end.is_near();
        if used > FIRST_READ {
            self.at_once.iter_mut().for_each(|at_once| at_once.give_up()); // without hyper it would not come in one piece
        }
        self.write_hit(cx, &hit, end)?;
        Ok(true)
    }

    fn write_hit(&mut self, cx: &mut Context<'_>, Hit { thin, server_timing }: &Hit, end: End) -> io::Result<()> {
        let (io, unsent) = (&mut self.io, &mut self.unsent);
        let lines = (end.status_line(), end.line());
        hit(thin, lines, server_timing.as_ref(), |piece, body| unsent.send(io, cx, (piece, body), &thin.stored().body))
    }
}
