//! Writing the fields of a hit into the head that hyper writes.
//!
//! hyper takes a head from a map of fields only, and making that map out of what is stored costs more than all the rest of a hit. So the map stays empty,
//! hyper writes a status line, its own fields and the body, and behind the status line the stored lines are put as they are. A small answer goes out in one
//! plain write: gathering its pieces costs the kernel more than copying them costs us.

use crate::flow::thin::Thin;
use memchr::memchr;
use std::cell::RefCell;
use std::io::IoSlice;

/// Answers up to this size, head and body, are copied into one piece.
const ONE_PIECE: usize = 16 << 10;
/// Our own `Via` in an answer that the upstream gave in HTTP/1.1, as what is stored was.
const VIA: &[u8] = b"via: 1.1 warmfront\r\n";

thread_local! {
    /// One for all connections of a thread: nothing stays in it between two writes.
    static PIECE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(ONE_PIECE + 2048));
}

/// What to write for what hyper wants written.
pub(super) struct Spliced<'a> {
    /// The head, and with a small answer the body too.
    pub(super) piece: &'a [u8],
    /// What follows it.
    pub(super) rest: &'a [IoSlice<'a>],
    /// How many bytes of hyper's are in the piece.
    pub(super) covers: usize,
}

/// Puts `thin` into the head with which `bufs` begin, and has it written. `None` if they do not begin with a head.
pub(super) fn splice<T>(thin: &Thin, bufs: &[IoSlice<'_>], write: impl FnOnce(Spliced<'_>) -> T) -> Option<T> {
    let (head, rest) = bufs.split_first()?;
    let line = memchr(b'\n', head)? + 1;
    PIECE.with_borrow_mut(|piece| {
        piece.clear();
        piece.extend_from_slice(&head[..line]);
        thin.write(piece);
        piece.extend_from_slice(VIA);
        piece.extend_from_slice(&head[line..]);
        let body: usize = rest.iter().map(|buf| buf.len()).sum();
        Some(if piece.len() + body <= ONE_PIECE {
            rest.iter().for_each(|buf| piece.extend_from_slice(buf));
            write(Spliced { piece, rest: &[], covers: head.len() + body })
        } else {
            write(Spliced { piece, rest, covers: head.len() })
        })
    })
}
