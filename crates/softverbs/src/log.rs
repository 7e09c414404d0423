//! What the library has to say, on stderr: one line each, all beginning with `softverbs:`.

use std::io::Write;

use crate::fabric::objects::Shared;
use crate::place::Place;

/// One line, written at once, since processes share a stderr. A closed stderr is no error.
pub fn line(text: &str) {
    let _ = std::io::stderr().write_all(format!("softverbs: {text}\n").as_bytes());
}

impl Shared {
    /// The program did what it must not do. Counted: under `SOFTVERBS_STRICT=1` it makes the exit status bad.
    #[cold]
    pub fn violation(&mut self, text: &str) {
        self.violations += 1;
        line(text);
    }

    /// As [`violation`](Self::violation), of the C function that was called just now: tells where.
    #[cold]
    pub fn misuse(&mut self, text: &str) {
        self.violation(&format!("{text}; called at {}", Place::here()));
    }

    /// The program used an object that it had destroyed, which is undefined on a real device.
    #[cold]
    pub fn used_after_destroy(
        &mut self,
        what: &str,
        pointer: usize,
        places: Option<(Place, Place)>,
        used: Place,
    ) {
        let (made, destroyed) = places.unwrap_or_default();
        self.violation(&format!(
            "{what} {pointer:#x} is used after it was destroyed: made at {made}; destroyed at {destroyed}; used at {used}"
        ));
        self.abort_if_strict();
    }

    /// The program did what would block for ever, or is undefined, on a real device: under `SOFTVERBS_STRICT=1` it ends here.
    #[cold]
    pub fn fatal(&mut self, text: &str) {
        self.misuse(text);
        self.abort_if_strict();
    }

    fn abort_if_strict(&self) {
        if self.strict {
            line("SOFTVERBS_STRICT=1: aborting");
            std::process::abort();
        }
    }
}
