//! Requests that are taken up without hyper, and hits that are written without it.

use crate::flow::hit::Hit;
use crate::flow::thin::Thin;
use crate::sidecar::at_once::{AtOnce, Taken, Whole};
use crate::sidecar::framing::write_field;
use crate::sidecar::said::End;
use crate::sidecar::splice::hit;
use crate::sidecar::stream::Socket;
use crate::sidecar::wire::Wire;
use crate::sidecar::wire::doze::FIRST_READ;
use std::io;
use std::task::Context;
use tokio::io::ReadBuf;

/// What a head has come to.
pub(super) enum TakenUp {
    /// It is answered.
    Answered,
    /// The service is to be asked: there is [something](AtOnce::asked) for it.
    Asked,
    /// It is for hyper.
    Left,
}

impl<T: Socket> Wire<T> {
    /// Has hits looked for before hyper sees a request.
    pub(in crate::sidecar) fn with_hits(mut self, at_once: Option<AtOnce>) -> Self {
        self.at_once = at_once.map(Box::new);
        self
    }

    /// What the service has left of its answer.
    pub(in crate::sidecar) fn take_thin(&mut self) -> Option<Thin> {
        let thin = self.exchange.take_thin();
        if let (Some(_), Some(at_once)) = (&thin, &mut self.at_once) {
            at_once.was_hit();
        }
        thin
    }

    /// Takes up the request whose head has just been completed, if it can do without hyper, which sees nothing of it then. What the socket has not taken of an answer is left to the flush that ends
    /// each turn of hyper, and of a connection without it.
    pub(super) fn take_up(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        (start, used): (usize, usize),
        from_surplus: bool,
    ) -> io::Result<TakenUp> {
        let Some(at_once) = &mut self.at_once else { return Ok(TakenUp::Left) };
        let head = if from_surplus { &self.surplus[..used] } else { &buf.filled()[start..start + used] };
        let Some(head) = Whole::get(head).filter(|_| self.scan.is_whole()) else {
            at_once.give_up();
            return Ok(TakenUp::Left);
        };
        let taken = at_once.take_up(head, self.scan.repeated(), self.settings.load(), self.is_alone);
        if used > FIRST_READ {
            at_once.give_up(); // without hyper it would not come in one piece
        }
        match taken {
            Taken::Hit(Hit { thin, server_timing }, end) => {
                self.open();
                self.exchange.begin();
                self.exchange.end();
                self.split(buf, start, used, from_surplus, true);
                self.is_last = end.is_near();
                self.write_hit(cx, &thin, end, |out| server_timing.iter().for_each(|(name, value)| write_field(out, name, value)))?;
                Ok(TakenUp::Answered)
            }
            Taken::Get(get) => {
                at_once.asked = Some(get);
                self.open();
                self.split(buf, start, used, from_surplus, true);
                Ok(TakenUp::Asked)
            }
            Taken::Spared | Taken::Left => Ok(TakenUp::Left),
        }
    }

    pub(super) fn write_hit(&mut self, cx: &mut Context<'_>, thin: &Thin, end: End, more: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let (io, unsent) = (&mut self.io, &mut self.unsent);
        let lines = (end.status_line(), end.line());
        hit(thin, lines, more, |piece, body| unsent.send(io, cx, (piece, body, b""), &thin.stored().body).map(|_| ()))
    }
}
