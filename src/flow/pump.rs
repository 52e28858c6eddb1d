//! Moves a body from the origin into its spool, and from there into the store: only after a clean, complete end.

use crate::cache::admit::NotStored;
use crate::cache::entry::Stored;
use crate::cache::fate::{Failing, Fate};
use crate::cache::fields::MOST_LINES;
use crate::cache::head::Head;
use crate::error::BrokenBody;
use crate::flow::combine::combine;
use crate::flow::errand::Errand;
use crate::flow::flight::Ticket;
use crate::flow::spool::{Room, Spool};
use crate::rfc::range::ContentRange;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use http_body_util::BodyExt as _;
use std::fmt::Display;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a fill that nobody reads may wait for the next piece of its body.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(60);

/// How a body ended.
enum End {
    Clean(Option<HeaderMap>),
    Broken(BrokenBody),
    Abandoned,
}

/// Breaks off what was not finished: a body that panics, or a runtime that goes down, must leave no reader waiting.
struct Unfinished<'a>(&'a Spool);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.break_off(BrokenBody::new("the fill was aborted"));
    }
}

/// Fills `spool` from `body` and stores the result. `ticket` keeps the flight open for joiners as long as the body is being kept.
pub(crate) async fn pump<RB>(errand: Errand, spool: Arc<Spool>, body: RB, range: Option<ContentRange>, mut ticket: Option<Ticket>)
where
    RB: Body<Data = Bytes>,
    RB::Error: Display,
{
    let _unfinished = Unfinished(&spool);
    let mut received = 0;
    let mut keeping = true;
    let end = {
        let on_chunk = |chunk: Bytes| {
            received += chunk.len() as u64;
            // What is kept takes what is counted for it, not the buffer that it was read into.
            let chunk = if keeping { Bytes::copy_from_slice(&chunk) } else { chunk };
            if spool.push(&chunk, errand.settings.max_object) {
                return;
            }
            // Too large, or no room: from here on it passes through, and the next crowd need not queue for it.
            keeping = false;
            ticket = None;
            errand.member.leave(); // it may stream for hours
            note_too_large(&errand, &spool);
            // Whoever has read nothing yet is not too slow.
            spool.open_window(received);
            spool.push(&chunk, 0);
        };
        transfer(body, &spool, on_chunk).await
    };
    match end {
        End::Clean(_) if spool.length.is_some_and(|length| length != received) => {
            errand.settle(|| Fate::Failed(Failing::Broken));
            spool.break_off(BrokenBody::new(format!("{received} bytes came, the head promised {}", spool.length.unwrap_or(0))));
        }
        End::Clean(trailers) => {
            if keeping && trailers.as_ref().is_some_and(|trailers| trailers.len() > MOST_LINES) {
                keeping = false;
                note_too_large(&errand, &spool);
            }
            let kept = keeping && store(&errand, &spool, trailers.clone(), range);
            errand.settle(|| fate(&errand, &spool, keeping, kept));
            spool.complete(trailers);
        }
        End::Broken(reason) => {
            errand.settle(|| Fate::Failed(Failing::Broken));
            spool.break_off(reason);
        }
        End::Abandoned => {
            errand.settle(|| Fate::Failed(Failing::TimedOut));
            spool.break_off(BrokenBody::new("nobody was reading"));
        }
    }
    drop(ticket); // after the store has it: whoever comes now finds it there
}

/// What is said of a response that turns out to be too large when it is on its way.
fn note_too_large(errand: &Errand, spool: &Spool) {
    let (hash, now) = (errand.key.hash_value(), errand.shared.clock.now());
    errand.shared.predictor.remember(hash, now);
    errand.shared.unstored.note(hash, NotStored::TooLarge, now);
    errand.outdate(spool.head.status, NotStored::TooLarge);
}

async fn transfer<RB>(body: RB, spool: &Spool, mut on_chunk: impl FnMut(Bytes)) -> End
where
    RB: Body<Data = Bytes>,
    RB::Error: Display,
{
    let mut body = pin!(body);
    let mut patience = pin!(sleep(ORPHAN_PATIENCE));
    let mut last = Instant::now();
    let mut trailers = None;
    loop {
        if poll_fn(|cx| spool.poll_room(cx)).await == Room::Nobody {
            return End::Abandoned;
        }
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = &mut patience => {
                let silent = last.elapsed() >= ORPHAN_PATIENCE;
                if silent && !spool.has_readers() {
                    return End::Abandoned;
                }
                patience.as_mut().reset(if silent { Instant::now() } else { last } + ORPHAN_PATIENCE);
                continue;
            }
        };
        last = Instant::now();
        match frame {
            None => return End::Clean(trailers),
            Some(Err(error)) => return End::Broken(BrokenBody::new(error.to_string())),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) if chunk.is_empty() => {}
                Ok(chunk) => on_chunk(chunk),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
}

/// What became of a warm request whose body came whole.
fn fate(errand: &Errand, spool: &Spool, keeping: bool, kept: bool) -> Fate {
    let status = spool.head.status;
    if status.is_client_error() || status.is_server_error() {
        return Fate::Failed(Failing::Status(status)); // though it may be stored
    }
    match (keeping, kept) {
        (false, _) => Fate::Uncacheable(NotStored::TooLarge),
        (true, false) => Fate::Failed(Failing::Purged),
        (true, true) if errand.stored.is_some() => Fate::Refreshed,
        (true, true) => Fate::Stored,
    }
}

/// `false`: it was purged meanwhile, or is not what it says it is.
fn store(errand: &Errand, spool: &Spool, trailers: Option<HeaderMap>, range: Option<ContentRange>) -> bool {
    let body = spool.gather();
    if range.is_some_and(|range| range.end - range.start + 1 != body.len() as u64) {
        return false; // it is not the part that it says it is
    }
    // A body of unknown length has one now: HEAD wants to know it.
    let wants_length = trailers.is_none() && !spool.head.fields.has(&CONTENT_LENGTH) && spool.head.may_have_content();
    let head = if wants_length { spool.head.with_length(body.len()) } else { Head::clone(&spool.head) };
    let took = u32::try_from(errand.shared.clock.now().since(errand.began).as_millis()).unwrap_or(u32::MAX);
    let mut stored = Stored::new(head, body, trailers, range).costing(took);
    if stored.range().is_some()
        && let Some(resource) = errand.shared.store.get_owned(&errand.key)
    {
        stored = combine(stored, &resource, &errand.shared.groups);
        if stored.body.len() as u64 > errand.settings.max_object {
            return false;
        }
    }
    let stored = stored.followed_by(&errand.shared.budget);
    let stored = Arc::new(stored.warmed(errand.warmth(took)).after(errand.replaced()));
    errand.shared.store.put(&errand.key, &stored, &errand.member, errand.settings.max_variants)
}
