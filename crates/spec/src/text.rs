//! Text from the other side, made fit for a log line.
//!
//! What a controller sends (NQNs, addresses, names) may hold anything. In a log line it must neither end the line nor
//! steer the terminal that shows it, so every such text goes through [`printable`].

use std::fmt::{self, Write as _};

/// `text`, with what could forge or hide a log line written as escapes: control characters (C0, DEL, C1), the line and
/// paragraph separators of Unicode, and the marks that turn the direction of text.
#[must_use]
pub const fn printable(text: &str) -> Printable<'_> {
    Printable(text)
}

/// Whether `character` can forge or hide a log line.
#[must_use]
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How [`printable`] shows a text.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, character)) =
            rest.char_indices().find(|(_, character)| is_unprintable(*character))
        {
            let (before, from) = rest.split_at(at);
            formatter.write_str(before)?;
            character.escape_default().try_for_each(|escape| formatter.write_char(escape))?;
            rest = from.get(character.len_utf8()..).unwrap_or_default();
        }
        formatter.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_forge_a_line_is_escaped() {
        for (text, shown) in [
            ("nqn.2014-08.org:plain ü", "nqn.2014-08.org:plain ü"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\0\u{7f}\u{9b}x", "\\u{0}\\u{7f}\\u{9b}x"),
            ("\u{2028}\u{202e}", "\\u{2028}\\u{202e}"),
            ("", ""),
        ] {
            assert_eq!(printable(text).to_string(), shown);
        }
    }
}
