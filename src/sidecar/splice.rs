//! Writing a hit, by itself or in the place of the empty answer that hyper writes.
//!
//! hyper takes a head from a map of fields only, and making that map out of what is stored costs more than all the rest of a hit. So where it has the request the map stays empty, and so
//! does the body: hyper writes a status line and its own fields, and behind the status line the stored lines are put as they are, and the stored body behind the head. A small
//! answer goes out in one plain write: gathering its pieces costs the kernel more than copying them costs us.

use crate::flow::thin::Thin;
use memchr::{memchr, memmem};
use std::cell::Cell;
use std::ops::{Deref, DerefMut};

/// Answers up to this size, head and body, are copied into one piece.
pub(super) const ONE_PIECE: usize = 16 << 10;
/// Our own `Via` in an answer that the upstream gave in HTTP/1.1, as what is stored was, and the length of the body that comes.
const VIA_AND_LENGTH: &[u8] = b"via: 1.1 warmfront\r\ncontent-length: ";
/// What hyper says of a body that is empty.
const NO_LENGTH: &[u8] = b"content-length: 0\r\n";

thread_local! {
    static PIECE: Cell<Vec<u8>> = Cell::new(Vec::with_capacity(ONE_PIECE + 2048));
}

/// Where an answer is put together. One for all connections of a thread, for nothing stays in it between two writes. It keeps room for the largest head that the thread has written, which the
/// limit of an upstream's head (64 KiB) bounds, or that of 4,096 lines in process.
pub(super) struct Piece(Vec<u8>);

impl Piece {
    /// The thread's, empty.
    pub(super) fn take() -> Self {
        Self(PIECE.take())
    }
}

impl Deref for Piece {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Piece {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.0.clear();
        PIECE.set(std::mem::take(&mut self.0));
    }
}

/// Makes of `head`, which hyper has made for an answer without content, that of `thin`, and has it written: the head, and the body if that is not in the same piece.
/// `None` if it is no such head.
pub(super) fn splice<T>(thin: &Thin, head: &[u8], write: impl FnOnce(&[u8], &[u8]) -> T) -> Option<T> {
    let (line, fields) = head.split_at(memchr(b'\n', head)? + 1);
    let at = if fields.starts_with(NO_LENGTH) { 0 } else { memmem::find(fields, NO_LENGTH)? };
    let others = |piece: &mut Vec<u8>| {
        piece.extend_from_slice(&fields[..at]);
        piece.extend_from_slice(&fields[at + NO_LENGTH.len()..]);
    };
    Some(put_together(thin, line, others, write))
}

/// Makes the whole answer of `thin`, which hyper knows nothing of, and has it written: with this status line, this line of its head, and `more` fields.
pub(super) fn hit<T>(
    thin: &Thin,
    (status, line): (&[u8], &[u8]),
    more: impl FnOnce(&mut Vec<u8>),
    write: impl FnOnce(&[u8], &[u8]) -> T,
) -> T {
    let others = |piece: &mut Vec<u8>| {
        piece.extend_from_slice(line);
        more(piece);
        piece.extend_from_slice(b"\r\n");
    };
    put_together(thin, status, others, write)
}

/// A head of a status line, what is stored, our own fields and `others` with the empty line; and the body, which is in the same piece if that stays small.
fn put_together<T>(thin: &Thin, line: &[u8], others: impl FnOnce(&mut Vec<u8>), write: impl FnOnce(&[u8], &[u8]) -> T) -> T {
    let body = &*thin.stored().body;
    let piece = &mut *Piece::take();
    piece.extend_from_slice(line);
    thin.write(piece);
    piece.extend_from_slice(VIA_AND_LENGTH);
    piece.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
    piece.extend_from_slice(b"\r\n");
    others(piece);
    if piece.len() + body.len() <= ONE_PIECE {
        piece.extend_from_slice(body);
        write(piece, &[])
    } else {
        write(piece, body)
    }
}
