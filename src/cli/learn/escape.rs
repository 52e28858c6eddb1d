//! Text of strangers (targets, hosts, names of files) inside text of ours.

use std::fmt::Write as _;

/// A basic string of TOML.
pub(super) fn toml_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            _ if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Text for one line, a comment or a message: control characters are escaped, so that nothing ends it and no terminal obeys it.
pub(in crate::cli) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{plain, toml_string};
    use proptest::prelude::{any, prop_assert_eq, proptest};

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(plain("a\n\u{1b}[31mé"), "a\\n\\u{1b}[31mé");
        assert_eq!(toml_string("a\n\"\\\u{85}"), r#""a\u000A\"\\\u0085""#);
    }

    proptest! {
        #[test]
        fn any_text_survives_as_a_string_and_in_a_comment(text in any::<String>()) {
            let document = format!("# {}\nx = {} # {}\n", plain(&text), toml_string(&text), plain(&text));
            let read: toml::Table = document.parse().unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(read["x"].as_str(), Some(&*text));
        }
    }
}
