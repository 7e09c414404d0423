//! What a program does that it must not: told in one line, counted, and under `SOFTVERBS_STRICT=1` the end of it.

use super::objects::Shared;
use crate::log;
use crate::place::Place;

impl Shared {
    /// The program did what it must not do. Counted: under `SOFTVERBS_STRICT=1` it makes the exit status bad.
    #[cold]
    pub fn violation(&mut self, text: &str) {
        self.violations += 1;
        log::line(text);
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
            log::line("SOFTVERBS_STRICT=1: aborting");
            std::process::abort();
        }
    }
}
