//! Simulation: one thread, time by hand, one seed.
//!
//! After [`start`] no thread of the library touches the fabric, its clock stands still, and all that is random comes from the
//! seed. A call that would block moves the time to the next thing that is due instead; if nothing is, it fails with EDEADLK.

use crate::fabric::{Clock, Random};
use crate::runtime;

/// Begins to simulate. To be called before anything else of the library.
pub fn start(seed: u64) {
    runtime::with(|rt| {
        rt.manual = true;
        rt.fabric.alone = true;
        rt.fabric.clock = Clock::Manual(0);
        rt.fabric.random = Random(seed);
        let secret = rt.fabric.random.next() as u32;
        rt.fabric.shared.mrs.set_secret(secret);
        rt.next_port = 40_000;
    });
}

/// The time, in nanoseconds since [`start`].
pub fn now() -> u64 {
    runtime::with(|rt| rt.fabric.clock.now())
}

/// Moves the time by `nanoseconds`; all that is due on the way happens at its own time.
pub fn advance(nanoseconds: u64) {
    runtime::with(|rt| {
        let until = rt.fabric.clock.now().saturating_add(nanoseconds);
        while rt.step(until) {}
        rt.fabric.clock = Clock::Manual(until);
    });
}

/// Moves the time to the next thing that is due, and lets it happen. False if nothing is.
pub fn step() -> bool {
    runtime::with(|rt| rt.step(u64::MAX))
}

impl runtime::Runtime {
    /// Lets the next thing happen if it is due by `until`.
    pub fn step(&mut self, until: u64) -> bool {
        match self.fabric.timers.next_due() {
            Some(due) if due <= until => {
                self.fabric.clock = Clock::Manual(due.max(self.fabric.clock.now()));
                self.drive();
                true
            }
            _ => false,
        }
    }
}
