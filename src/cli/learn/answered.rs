//! What a log says about the cache that answered.

/// Who answered a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// A cache, at once: no reader waited for the origin.
    Cache,
    /// The origin, whole or by confirming a copy: the reader waited.
    Origin,
    /// The origin, past a cache that was told to stay out of it.
    Past,
}

/// Reads nginx's `MISS`, Varnish's `hitmiss`, Squid's `TCP_REFRESH_HIT`, a `Cache-Status` of RFC 9211, and their like. `None` where nothing is said, as
/// nginx's `-` for a request that no cache has seen. Of a list the last member is the cache next to the reader.
pub(super) fn parse(text: &[u8]) -> Option<Answered> {
    let last = text.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    if let Some(semicolon) = memchr::memchr(b';', last) {
        return Some(of_parameters(&last[semicolon..]));
    }
    // `TCP_MISS:HIER_DIRECT`, `TCP_MISS/200`
    let end = last.iter().position(|byte| matches!(byte, b':' | b'/' | b' ')).unwrap_or(last.len());
    let word = &last[..end];
    let is = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()));
    if is(&["miss", "expired", "revalidated", "collapsed", "hitmiss", "miss-cluster", "refreshhit", "scarce"]) {
        Some(Answered::Origin)
    } else if is(&["hit", "stale", "updating", "hit-cluster", "hit-stale", "memory", "disk"]) {
        Some(Answered::Cache)
    } else if is(&["bypass", "pass", "hitpass", "pipe", "dynamic", "none", "uncacheable"]) {
        Some(Answered::Past)
    } else {
        of_squid(word)
    }
}

/// RFC 9211 section 2: `fwd` says why the request went on to the origin.
fn of_parameters(parameters: &[u8]) -> Answered {
    let mut parameters = parameters.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    match parameters.find(|parameter| *parameter == b"hit" || parameter.starts_with(b"fwd=")) {
        Some(b"fwd=bypass" | b"fwd=method" | b"fwd=request") => Answered::Past,
        Some(b"hit") | None => Answered::Cache,
        Some(_) => Answered::Origin,
    }
}

fn of_squid(word: &[u8]) -> Option<Answered> {
    let word = word.strip_prefix(b"TCP_")?;
    let has = |part: &[u8]| memchr::memmem::find(word, part).is_some();
    if has(b"REFRESH") || has(b"MISS") { Some(Answered::Origin) } else { Some(if has(b"HIT") { Answered::Cache } else { Answered::Past }) }
}

/// Whether `text` is one of nginx's words, in capitals: in a column without a label nothing less is believed.
pub(super) fn is_word_of_nginx(text: &[u8]) -> bool {
    matches!(text, b"HIT" | b"MISS" | b"EXPIRED" | b"STALE" | b"UPDATING" | b"REVALIDATED" | b"BYPASS" | b"SCARCE")
}

#[cfg(test)]
mod tests {
    use super::{Answered, Answered::*, parse};

    #[test]
    fn the_words_of_caches_are_understood() {
        let table: [(&str, Option<Answered>); 24] = [
            ("HIT", Some(Cache)),
            ("MISS", Some(Origin)),
            ("EXPIRED", Some(Origin)),
            ("REVALIDATED", Some(Origin)),
            ("STALE", Some(Cache)),
            ("UPDATING", Some(Cache)),
            ("BYPASS", Some(Past)),
            ("-", None),
            ("", None),
            ("whatever", None),
            ("hit", Some(Cache)),
            ("pass", Some(Past)),
            ("collapsed", Some(Origin)),
            ("hitmiss", Some(Origin)),
            ("TCP_MISS/200", Some(Origin)),
            ("TCP_MEM_HIT:HIER_NONE", Some(Cache)),
            ("TCP_REFRESH_UNMODIFIED", Some(Origin)),
            ("TCP_TUNNEL", Some(Past)),
            ("MISS, HIT", Some(Cache)),
            ("HIT, MISS", Some(Origin)),
            ("warmfront; hit; ttl=295", Some(Cache)),
            ("warmfront; fwd=uri-miss; stored", Some(Origin)),
            ("warmfront; fwd=bypass", Some(Past)),
            ("Origin; fwd=uri-miss, Edge; hit", Some(Cache)),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
    }
}
