//! What the library has to say, on stderr: one line each, all beginning with `softverbs:`.

use std::io::Write;

/// One line, written at once, since processes share a stderr. A closed stderr is no error.
pub fn line(text: &str) {
    let _ = std::io::stderr().write_all(format!("softverbs: {text}\n").as_bytes());
}
