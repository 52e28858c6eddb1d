//! A body that grows while it is read. One writer, any number of readers; each gets all bytes so far and then the rest, as they come.
//!
//! A spool starts out *keeping*: everything stays, because it will be stored. When it turns out that it will not be (too large, no room), it
//! becomes a *window*: what every reader has read is dropped, the writer waits for the fastest reader, and a reader that falls too far behind is
//! cut off, visibly. So a slow reader neither stalls the others nor grows memory without bound.

use crate::cache::budget::Reserved;
use crate::cache::head::Head;
use crate::error::BrokenBody;
use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// How far the writer may be ahead of the fastest reader of a window, in bytes.
const AHEAD: u64 = 256 << 10;
/// What a chunk costs beyond its bytes: a body that drips byte by byte must not take more room than is counted.
const CHUNK_WEIGHT: u64 = 2 * size_of::<Bytes>() as u64;

/// A body under way, with the head it belongs to.
#[derive(Debug)]
pub(crate) struct Spool {
    pub(crate) head: Arc<Head>,
    /// The length that the head promises, if it does.
    pub(crate) length: Option<u64>,
    shared: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What has arrived and may still be read, oldest first.
    chunks: VecDeque<Bytes>,
    /// The number of the first chunk in `chunks`.
    first: u64,
    /// Bytes that have arrived.
    received: u64,
    mode: Mode,
    end: End,
    readers: Vec<Option<Place>>,
    writer: Option<Waker>,
    reserved: Reserved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Keeping,
    /// A reader may be this many bytes behind the writer.
    Window(u64),
}

#[derive(Debug)]
enum End {
    Open,
    Complete(Option<HeaderMap>),
    Broken(BrokenBody),
}

/// Where a reader is.
#[derive(Debug)]
struct Place {
    chunk: u64,
    offset: u64,
    waker: Option<Waker>,
    cut: bool,
}

impl Place {
    const START: Self = Self { chunk: 0, offset: 0, waker: None, cut: false };
}

/// What the writer has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Go on.
    Yes,
    /// Nobody reads any more, and it will not be stored: stop.
    Nobody,
}

/// One reader's end. Dropping it leaves.
#[derive(Debug)]
pub(crate) struct Reader {
    spool: Arc<Spool>,
    seat: usize,
    trailers_given: bool,
}

/// A piece of a body, as a reader sees it.
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Spool {
    /// A spool, and its first reader.
    pub(crate) fn new(head: Arc<Head>, length: Option<u64>, reserved: Reserved) -> (Arc<Self>, Reader) {
        let shared = Shared {
            chunks: VecDeque::new(),
            first: 0,
            received: 0,
            mode: Mode::Keeping,
            end: End::Open,
            readers: vec![Some(Place::START)],
            writer: None,
            reserved,
        };
        let spool = Arc::new(Self { head, length, shared: Mutex::new(shared) });
        let reader = Reader { spool: Arc::clone(&spool), seat: 0, trailers_given: false };
        (spool, reader)
    }

    /// A reader from the first byte; `None` once the beginning is gone.
    pub(crate) fn reader(self: &Arc<Self>) -> Option<Reader> {
        let mut shared = self.shared.lock();
        if shared.mode != Mode::Keeping || matches!(shared.end, End::Broken(_)) {
            return None;
        }
        let place = Some(Place::START);
        let seat = match shared.readers.iter().position(Option::is_none) {
            Some(free) => {
                shared.readers[free] = place;
                free
            }
            None => {
                shared.readers.push(place);
                shared.readers.len() - 1
            }
        };
        Some(Reader { spool: Arc::clone(self), seat, trailers_given: false })
    }

    /// Adds a chunk. A spool that keeps must have room for it in its reservation; `false` if not: nothing is added, and the writer decides.
    pub(crate) fn push(&self, chunk: &Bytes, max_kept: u64) -> bool {
        let mut shared = self.shared.lock();
        let total = shared.received + chunk.len() as u64;
        let weight = total + (shared.chunks.len() as u64 + 1) * CHUNK_WEIGHT;
        if shared.mode == Mode::Keeping && (total > max_kept || !shared.reserved.cover(weight)) {
            return false;
        }
        // Before the new chunk counts: whoever has read all that there was is not behind.
        shared.cut_laggards();
        shared.received = total;
        shared.chunks.push_back(chunk.clone());
        shared.wake_readers();
        true
    }

    /// Gives up keeping: from now on only a window of `lag` bytes stays, and some slack if there is room for it: who came late is not slow yet.
    pub(crate) fn open_window(&self, lag: u64) {
        let mut shared = self.shared.lock();
        let with_slack = lag + 8 * AHEAD;
        let lag = if shared.reserved.cover(with_slack) { with_slack } else { lag };
        shared.mode = Mode::Window(lag);
        shared.drop_read();
    }

    /// Whether the writer may go on: at once while keeping; in a window, when the fastest reader is near.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Room> {
        let mut shared = self.shared.lock();
        if shared.mode == Mode::Keeping {
            return Poll::Ready(Room::Yes);
        }
        match shared.places().map(|place| place.offset).max() {
            None => Poll::Ready(Room::Nobody),
            Some(fastest) if shared.received - fastest <= AHEAD => Poll::Ready(Room::Yes),
            Some(_) => {
                shared.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether anybody reads.
    pub(crate) fn has_readers(&self) -> bool {
        self.shared.lock().places().next().is_some()
    }

    /// All bytes, in one allocation of exactly their size, as that of every kept chunk is; for a complete body that was kept.
    pub(crate) fn gather(&self) -> Bytes {
        let (chunks, length) = {
            let shared = self.shared.lock();
            (shared.chunks.clone(), usize::try_from(shared.received).unwrap_or(0))
        };
        if chunks.len() == 1 {
            return chunks[0].clone(); // exactly that already
        }
        let mut whole = Vec::with_capacity(length);
        chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
        whole.into()
    }

    /// The clean end.
    pub(crate) fn complete(&self, trailers: Option<HeaderMap>) {
        self.finish(End::Complete(trailers));
    }

    /// The end of a body that broke off: an error to every reader. Nothing happens if it has ended already.
    pub(crate) fn break_off(&self, reason: BrokenBody) {
        self.finish(End::Broken(reason));
    }

    fn finish(&self, end: End) {
        let mut shared = self.shared.lock();
        if matches!(shared.end, End::Open) {
            shared.end = end;
        }
        shared.wake_readers();
    }
}

impl Shared {
    fn places(&self) -> impl Iterator<Item = &Place> {
        self.readers.iter().flatten().filter(|place| !place.cut)
    }

    fn wake_readers(&mut self) {
        for place in self.readers.iter_mut().flatten() {
            if let Some(waker) = place.waker.take() {
                waker.wake();
            }
        }
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Cuts off the readers that a window leaves behind, and drops what nobody needs any more.
    fn cut_laggards(&mut self) {
        let Mode::Window(lag) = self.mode else { return };
        let received = self.received;
        for place in self.readers.iter_mut().flatten() {
            place.cut |= received - place.offset > lag.max(2 * AHEAD);
        }
        self.drop_read();
    }

    /// In a window: drops the chunks that every reader has read.
    fn drop_read(&mut self) {
        if self.mode == Mode::Keeping {
            return;
        }
        let needed = self.places().map(|place| place.chunk).min().unwrap_or(u64::MAX);
        while self.first < needed {
            if self.chunks.pop_front().is_none() {
                break;
            }
            self.first += 1;
        }
    }
}

impl Reader {
    pub(crate) fn head(&self) -> &Arc<Head> {
        &self.spool.head
    }

    /// The next piece; `None` is the clean end.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BrokenBody>>> {
        let mut guard = self.spool.shared.lock();
        let shared = &mut *guard;
        let Some(Some(place)) = shared.readers.get_mut(self.seat) else { return Poll::Ready(None) };
        if place.cut {
            return Poll::Ready(Some(Err(BrokenBody::new("this reader was too slow for a body that is too large to store"))));
        }
        let at = usize::try_from(place.chunk - shared.first).unwrap_or(usize::MAX);
        if let Some(chunk) = shared.chunks.get(at) {
            let chunk = chunk.clone();
            let was_first = place.chunk == shared.first;
            place.chunk += 1;
            place.offset += chunk.len() as u64;
            if was_first {
                shared.drop_read();
            }
            shared.wake_writer();
            return Poll::Ready(Some(Ok(Piece::Data(chunk))));
        }
        match &shared.end {
            End::Open => {
                match &mut place.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            End::Complete(Some(trailers)) if !self.trailers_given => {
                self.trailers_given = true;
                Poll::Ready(Some(Ok(Piece::Trailers(trailers.clone()))))
            }
            End::Complete(_) => Poll::Ready(None),
            End::Broken(reason) => Poll::Ready(Some(Err(reason.clone()))),
        }
    }

    /// Whether everything has been read and the end was clean.
    pub(crate) fn is_done(&self) -> bool {
        let shared = self.spool.shared.lock();
        let read_all =
            shared.readers.get(self.seat).and_then(Option::as_ref).is_some_and(|place| place.offset == shared.received && !place.cut);
        read_all && matches!(&shared.end, End::Complete(trailers) if trailers.is_none() || self.trailers_given)
    }

    #[cfg(test)]
    fn is_cut(&self) -> bool {
        self.spool.shared.lock().readers[self.seat].as_ref().is_some_and(|place| place.cut)
    }

    /// What is left to read, if the head promised a length.
    pub(crate) fn left(&self) -> Option<u64> {
        let length = self.spool.length?;
        let shared = self.spool.shared.lock();
        let read = shared.readers.get(self.seat).and_then(Option::as_ref).map_or(0, |place| place.offset);
        Some(length.saturating_sub(read))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut shared = self.spool.shared.lock();
        if let Some(place) = shared.readers.get_mut(self.seat) {
            *place = None;
        }
        shared.drop_read();
        shared.wake_writer();
    }
}

#[cfg(test)]
mod tests;
