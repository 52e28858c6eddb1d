//! Putting stored parts of one representation together (RFC 9111 section 3.4).

use crate::cache::entry::Stored;
use crate::cache::groups::{Groups, Level};
use crate::cache::head::Head;
use crate::cache::resource::Resource;
use crate::rfc::etag::EntityTag;
use crate::rfc::range::ContentRange;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderValue, StatusCode};

/// `new`, a part, together with a stored part that shares its strong entity tag and touches it; as the whole representation if nothing is missing.
pub(crate) fn combine(new: Stored, resource: &Resource, groups: &Groups) -> Stored {
    let joined = resource.variants().iter().filter(|old| old.level(groups) == Level::Valid).find_map(|old| join(&new, old));
    joined.unwrap_or(new)
}

fn join(new: &Stored, old: &Stored) -> Option<Stored> {
    let (here, there) = (new.range()?, old.range()?);
    let length = here.complete.filter(|_| here.complete == there.complete && share_strong_validator(&new.head, &old.head))?;
    let same_fields = new.head.fingerprint() == old.head.fingerprint();
    let apart = here.start > there.end.saturating_add(1) || there.start > here.end.saturating_add(1);
    if apart || !same_fields {
        return None;
    }
    let union = ContentRange { start: here.start.min(there.start), end: here.end.max(there.end), complete: Some(length) };
    let body = overlay(union, (&old.body, there.start), (&new.body, here.start))?;
    let whole = union.start == 0 && union.end + 1 == length;
    let head = head_for(&new.head, union, whole)?;
    Some(Stored::new(head, body, None, (!whole).then_some(union)))
}

fn share_strong_validator(one: &Head, other: &Head) -> bool {
    let strong = |head: &Head| head.etag().filter(|etag| EntityTag::parse(etag.as_bytes()).is_some_and(|etag| !etag.weak));
    strong(one).is_some_and(|one| strong(other) == Some(one))
}

/// The bytes of both; where they overlap, those of the newer one.
fn overlay(union: ContentRange, old: (&Bytes, u64), new: (&Bytes, u64)) -> Option<Bytes> {
    let mut bytes = vec![0; usize::try_from(union.end - union.start + 1).ok()?];
    for (part, start) in [old, new] {
        let at = usize::try_from(start - union.start).ok()?;
        bytes.get_mut(at..at + part.len())?.copy_from_slice(part);
    }
    Some(bytes.into())
}

/// The fields of the newer response, for the union.
fn head_for(head: &Head, union: ContentRange, whole: bool) -> Option<Head> {
    let mut headers = head.fields.to_map();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(union.end - union.start + 1));
    if whole {
        headers.remove(CONTENT_RANGE);
    } else {
        headers.insert(CONTENT_RANGE, crate::rfc::range::content_range(union.range(), union.complete?));
    }
    let status = if whole { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    let joined = Head::new(status, &headers, head.life(), head.lineage());
    Some(joined.selected_by(head.selector.clone()).under_rule(head.rule().cloned()))
}
