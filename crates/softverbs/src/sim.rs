//! Simulation: one thread, time by hand, one seed.
//!
//! After [`start`] no thread of the library touches the fabric, its clock stands still, and all that is random comes from the
//! seed. A call that would block moves the time to the next thing that is due instead; if nothing is, it fails with EDEADLK.

use crate::fabric::{Clock, Random};
use crate::runtime;

/// Begins to simulate. To be called before anything else of the library, or once all that was made is given back: then another
/// simulation begins, which does not depend on the one before. What [`control`](crate::control()) has set stays set (delays,
/// `device off` or `remove`, `faults quiet`, ...), apart from what `faults off` disarms.
pub fn start(seed: u64) {
    runtime::with(|rt| {
        rt.fabric.disarm();
        rt.fabric.rewind();
        rt.forget_async_events();
        rt.manual = true;
        rt.fabric.alone = true;
        rt.fabric.clock = Clock::Manual(0);
        rt.fabric.random = Random(seed);
        rt.fabric.shared.chance = Random(seed.rotate_left(32));
        let secret = rt.fabric.random.next() as u32;
        rt.fabric.shared.mrs.rewind(secret);
        rt.next_port = 40_000;
        rt.fabric.faults_changed();
    });
}

/// Draws the order of all that may happen in more than one order, from now on; [`start`] comes first.
///
/// Work requests are no longer carried out while they are posted. What comes of them - frames that arrive at a queue pair, its
/// completions, events of an identifier - waits, each kind in its own order, and the seed decides what is next. A few things
/// happen after each call; an empty poll and [`step`] let at least one happen. A poll returns as many completions as is drawn,
/// and which of the timers due at the same moment is first is drawn too. The time moves only once nothing waits.
pub fn draw_order() {
    runtime::with(|rt| {
        let seed = rt.fabric.random.next();
        rt.fabric.shared.order.start(seed);
        let seed = rt.fabric.random.next();
        rt.fabric.timers.draw_ties(seed);
        rt.fabric.faults_changed();
    });
}

/// A number below `below`, from the same seed: for a test that acts as the peer.
pub fn draw(below: u64) -> u64 {
    runtime::with(|rt| rt.fabric.random.next() % below.max(1))
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

/// Lets the next thing happen: one that waits for its turn, or else the next that is due, to which the time moves. False if there
/// is none.
pub fn step() -> bool {
    runtime::with(|rt| rt.step(u64::MAX))
}

impl runtime::Runtime {
    /// Lets the next thing happen if it is due by `until`.
    pub fn step(&mut self, until: u64) -> bool {
        if self.act() {
            return true;
        }
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
