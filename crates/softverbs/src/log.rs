//! What the library has to say, on stderr: one line each, all beginning with `softverbs:`.

use std::io::Write;

use crate::fabric::objects::Shared;

/// One line. A closed stderr is no error.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "softverbs: {text}");
}

impl Shared {
    /// The program did what it must not do. Counted: under `SOFTVERBS_STRICT=1` it makes the exit status bad.
    #[cold]
    pub fn violation(&mut self, text: &str) {
        self.violations += 1;
        line(text);
    }

    /// The program did what would block for ever, or is undefined, on a real device: under `SOFTVERBS_STRICT=1` it ends here.
    #[cold]
    pub fn fatal(&mut self, text: &str) {
        self.violation(text);
        if self.strict {
            line("SOFTVERBS_STRICT=1: aborting");
            std::process::abort();
        }
    }
}
