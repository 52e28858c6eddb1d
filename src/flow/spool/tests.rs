use super::{Piece, Reader, Room, Spool};
use crate::cache::budget::Budget;
use crate::cache::freshness::{Life, LifetimeSource};
use crate::cache::head::{Head, Lineage};
use crate::cache::key::{KeyParts, KeySecrets};
use crate::clock::Stamp;
use crate::error::BrokenBody;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

fn spool(budget: &Budget) -> (Arc<Spool>, Reader) {
    let life = Life {
        received: Stamp::from_millis(0),
        initial_age: 0,
        lifetime: 0,
        source: LifetimeSource::Default,
        stale_while_revalidate: 0,
        stale_if_error: 0,
        must_revalidate: false,
        no_cache: false,
    };
    let parts = KeyParts { https: false, authority: "h", path: "/", query: None, partition: None };
    let lineage = Lineage { born: 0, groups: None, key: KeySecrets::new().build(&parts).to_key() };
    Spool::new(Arc::new(Head::new(StatusCode::OK, &HeaderMap::new(), life, lineage)), None, budget.reserve_none())
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Everything that is there now, as text; `Err` if the body is broken, and whether the end was reached.
fn drain(reader: &mut Reader) -> Result<(String, bool), BrokenBody> {
    let mut text = String::new();
    loop {
        match reader.poll_piece(&mut cx()) {
            Poll::Ready(Some(Ok(Piece::Data(data)))) => text.push_str(std::str::from_utf8(&data).unwrap()),
            Poll::Ready(Some(Ok(Piece::Trailers(_)))) => text.push('|'),
            Poll::Ready(Some(Err(broken))) => return Err(broken),
            Poll::Ready(None) => return Ok((text, true)),
            Poll::Pending => return Ok((text, false)),
        }
    }
}

fn push(spool: &Spool, text: &'static str) -> bool {
    spool.push(&Bytes::from_static(text.as_bytes()), 1 << 20)
}

#[test]
fn a_late_reader_gets_the_bytes_so_far_and_then_the_rest() {
    let (spool, mut early) = spool(&Budget::new(1 << 20));
    assert!(push(&spool, "ab"));
    assert_eq!(drain(&mut early).unwrap(), ("ab".into(), false));
    let mut late = spool.reader().unwrap();
    assert!(push(&spool, "cd"));
    spool.complete(Some(HeaderMap::new()));
    assert_eq!(drain(&mut early).unwrap(), ("cd|".into(), true));
    assert_eq!(drain(&mut late).unwrap(), ("abcd|".into(), true));
    assert_eq!(spool.gather(), "abcd");
}

#[test]
fn a_broken_body_is_an_error_to_every_reader_and_takes_no_new_ones() {
    let (spool, mut reader) = spool(&Budget::new(1 << 20));
    push(&spool, "ab");
    spool.break_off(BrokenBody::new("reset"));
    assert!(drain(&mut reader).is_err() && spool.reader().is_none());
}

#[test]
fn a_spool_that_keeps_refuses_what_its_budget_or_cap_does_not_cover() {
    let budget = Budget::new(3 + super::CHUNK_WEIGHT);
    let (spool, reader) = spool(&budget);
    assert!(push(&spool, "abc") && !push(&spool, "d"), "a chunk weighs more than its bytes");
    assert!(!spool.push(&Bytes::new(), 2));
    assert_eq!(budget.used(), 3 + super::CHUNK_WEIGHT);
    drop((spool, reader));
    assert_eq!(budget.used(), 0);
}

#[test]
fn where_there_is_room_a_late_reader_of_a_window_has_slack() {
    let chunk = Bytes::from(vec![b'x'; 256 << 10]);
    let cut_after = |budget: u64| {
        let (spool, mut fast) = spool(&Budget::new(budget));
        let late = spool.reader().unwrap();
        spool.open_window(1);
        (1..).find(|_| {
            spool.push(&chunk, 0);
            drain(&mut fast).unwrap();
            late.is_cut()
        })
    };
    assert_eq!((cut_after(1), cut_after(16 << 20)), (Some(4), Some(10)));
}

#[test]
fn a_reader_that_has_read_everything_is_never_behind_however_large_the_next_chunk() {
    let (spool, mut reader) = spool(&Budget::new(1));
    spool.open_window(0);
    for _ in 0..3 {
        spool.push(&Bytes::from(vec![b'x'; 4 << 20]), 0);
        assert_eq!(drain(&mut reader).unwrap().0.len(), 4 << 20);
    }
}

#[test]
fn a_window_waits_for_the_fastest_reader_and_cuts_the_slowest() {
    let (spool, mut fast) = spool(&Budget::new(1));
    let mut slow = spool.reader().unwrap();
    spool.open_window(1 << 20);
    assert!(spool.reader().is_none(), "the beginning may be gone");
    let chunk = Bytes::from(vec![b'x'; 200 << 10]);
    for _ in 0..2 {
        assert_eq!(spool.poll_room(&mut cx()), Poll::Ready(Room::Yes));
        spool.push(&chunk, 0);
    }
    assert_eq!(spool.poll_room(&mut cx()), Poll::Pending);
    for _ in 0..5 {
        drain(&mut fast).unwrap();
        assert_eq!(spool.poll_room(&mut cx()), Poll::Ready(Room::Yes));
        spool.push(&chunk, 0);
    }
    assert!(drain(&mut slow).is_err(), "1 MiB behind");
    assert_eq!(drain(&mut fast).unwrap().0.len(), 200 << 10);
    assert!(spool.shared.lock().chunks.is_empty(), "what all have read is dropped");
    drop(fast);
    assert_eq!(spool.poll_room(&mut cx()), Poll::Ready(Room::Nobody));
}
