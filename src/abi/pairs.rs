//! Text that is made of pairs, `key:value` or `key=value`, between blanks: transport ids, host ids and the like.

use libc::{EINVAL, c_int};
use spec::printable;

/// Longest key and value, one less than what SPDK has room for.
const KEY_MAX: usize = 31;
const VALUE_MAX: usize = 1023;

/// Why a text is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParseError {
    #[error("'{0}' has neither ':' nor '='")]
    NoSeparator(String),
    #[error("key of {0} bytes, {KEY_MAX} at most")]
    KeyLength(usize),
    #[error("key '{0}' has no value")]
    NoValue(String),
    #[error("{key} of {length} bytes, {max} at most")]
    ValueLength { key: String, length: usize, max: usize },
    #[error("unknown adrfam '{0}'")]
    AddressFamily(String),
    #[error("unknown key '{0}'")]
    UnknownKey(String),
    #[error("ns '{0}' is not a number from 1 to 65535")]
    Namespace(String),
    #[error("hostaddr is for fabrics, and the transport is none")]
    NotFabrics,
}

/// What an entry returns for a text that it has read: 0, or -EINVAL with a line in the log that begins with `what`.
pub(super) fn answer(what: &str, read: Result<(), ParseError>) -> c_int {
    match read {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{what}: {error}");
            -EINVAL
        }
    }
}

/// One pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair<'a> {
    pub(super) key: &'a [u8],
    value: &'a [u8],
}

impl<'a> Pair<'a> {
    /// Whether the key is this one, in any case.
    pub(super) fn is(&self, key: &str) -> bool {
        self.key.eq_ignore_ascii_case(key.as_bytes())
    }

    /// Whether the key is one of these.
    pub(super) fn is_one_of(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.is(key))
    }

    /// The value, whatever its length.
    pub(super) fn value(&self) -> &'a [u8] {
        self.value
    }

    /// The value, if it is not longer than that.
    pub(super) fn value_within(&self, max: usize) -> Result<&'a [u8], ParseError> {
        let length = self.value.len();
        if length > max {
            return Err(ParseError::ValueLength { key: shown(self.key), length, max });
        }
        Ok(self.value)
    }
}

/// The pairs of a text, up to the first thing that is none. Blanks before a pair are skipped; blanks at the very end are
/// an error, as they look like a pair that is not there.
pub(super) struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self(text)
    }

    fn take_next(&mut self) -> Result<Pair<'a>, ParseError> {
        let rest = std::mem::take(&mut self.0);
        let start = rest.iter().position(|&byte| !is_blank(byte)).unwrap_or(rest.len());
        let text = rest.get(start..).unwrap_or_default();
        let Some(separator) = text.iter().position(|byte| matches!(byte, b':' | b'=')) else {
            return Err(ParseError::NoSeparator(shown(text)));
        };
        let (key, value) = text.split_at(separator);
        let value = value.get(1..).unwrap_or_default();
        if key.len() > KEY_MAX {
            return Err(ParseError::KeyLength(key.len()));
        }
        let length = value.iter().position(|&byte| is_blank(byte)).unwrap_or(value.len());
        let (value, after) = value.split_at(length);
        if value.is_empty() {
            return Err(ParseError::NoValue(shown(key)));
        }
        let pair = Pair { key, value };
        pair.value_within(VALUE_MAX)?;
        self.0 = after;
        Ok(pair)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<Pair<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.take_next())
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n')
}

/// Bytes of a program's text for a log line.
pub(super) fn shown(bytes: &[u8]) -> String {
    printable(&String::from_utf8_lossy(bytes)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<(String, String)>, ParseError> {
        Pairs::of(text.as_bytes()).map(|pair| pair.map(|pair| (shown(pair.key), shown(pair.value)))).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Result<Vec<(String, String)>, ParseError> {
        Ok(pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn pairs_stand_between_blanks() {
        assert_eq!(all(""), pairs(&[]));
        assert_eq!(all(" \t\na:b c=d\n\te:f"), pairs(&[("a", "b"), ("c", "d"), ("e", "f")]));
        assert_eq!(all("a=b=c:d"), pairs(&[("a", "b=c:d")]), "the first separator counts");
        assert_eq!(all("a b:c"), pairs(&[("a b", "c")]), "a key ends at a separator alone");
        assert_eq!(all(":x"), pairs(&[("", "x")]));
        assert_eq!(all(&format!("{}:1", "k".repeat(31))), pairs(&[(&"k".repeat(31), "1")]));
        assert_eq!(all(&format!("k:{}", "v".repeat(1023))), pairs(&[("k", &"v".repeat(1023))]));
    }

    #[test]
    fn what_is_no_pair_ends_the_text() {
        assert_eq!(all("a:b "), Err(ParseError::NoSeparator(String::new())), "blanks at the end");
        assert_eq!(all("\t"), Err(ParseError::NoSeparator(String::new())));
        assert_eq!(all("a:b c"), Err(ParseError::NoSeparator(String::from("c"))));
        assert_eq!(all("a:"), Err(ParseError::NoValue(String::from("a"))));
        assert_eq!(all("a: b"), Err(ParseError::NoValue(String::from("a"))));
        assert_eq!(all(&format!("{}:1", "k".repeat(32))), Err(ParseError::KeyLength(32)));
        let too_long = Err(ParseError::ValueLength { key: String::from("k"), length: 1024, max: 1023 });
        assert_eq!(all(&format!("k:{}", "v".repeat(1024))), too_long);
        let mut after = Pairs::of(b"nothing");
        assert!(after.next().is_some_and(|pair| pair.is_err()) && after.next().is_none());
    }

    #[test]
    fn keys_are_whole_and_in_any_case() {
        let pair = Pairs::of(b"NS:5").next().unwrap().unwrap();
        assert!(pair.is("ns") && pair.is_one_of(&["x", "Ns"]) && !pair.is_one_of(&["n", "nss"]));
        assert_eq!((pair.value(), pair.value_within(1)), (&b"5"[..], Ok(&b"5"[..])));
        assert!(pair.value_within(0).is_err());
    }
}
