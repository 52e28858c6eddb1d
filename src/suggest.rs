//! How faults speak of what somebody wrote: quoted, and with the known word that is nearest to a misspelt one.

/// The candidate that `word` most likely stands for, if any is near: the same but for case, `_`, `-` and `.`, or a few slips away.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let near = candidates.into_iter().map(|candidate| (distance(&word, &plain(candidate)), candidate));
    near.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// `text` in quotes, escaped, and cut where it is long.
pub(crate) fn quote(text: &str) -> String {
    const MOST: usize = 60;
    let escaped: String = text.chars().take(MOST).collect::<String>().escape_debug().to_string().replace("\\'", "'");
    if text.chars().count() > MOST { format!("\"{escaped}\"...") } else { format!("\"{escaped}\"") }
}

fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | '.')).take(64).flat_map(char::to_lowercase).collect()
}

/// Edits between two words, where exchanging neighbours is one edit (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = a[i - 1] == b[j - 1];
            let mut least = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + usize::from(!same));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{nearest, quote};

    #[test]
    fn slips_find_their_word_and_strangers_find_none() {
        let words = ["max_bytes", "max_object", "listen", "ttl", "urls"];
        for (slip, word) in [
            ("max_byte", "max_bytes"),
            ("maxBytes", "max_bytes"),
            ("max-objects", "max_object"),
            ("lisetn", "listen"),
            ("url", "urls"),
            ("tll", "ttl"),
        ] {
            assert_eq!(nearest(slip, words), Some(word), "{slip}");
        }
        for stranger in ["", "banana", "x", "timeout"] {
            assert_eq!(nearest(stranger, words), None, "{stranger}");
        }
    }

    #[test]
    fn found_text_is_escaped_and_cut() {
        assert_eq!(quote("a\n\u{1b}[31m'\""), "\"a\\n\\u{1b}[31m'\\\"\"");
        assert_eq!(quote(&"x".repeat(99)).len(), 65);
    }
}
