//! Whose turn it is: synchronous connects of one controller's queue pairs go one after the other, whatever threads they are on.
//!
//! A target that takes connections one by one would need the time of all of them for each otherwise, and each attempt has its deadline
//! from its own beginning.
//!
//! What must hold: nobody waits for good. Who has waited for [`PATIENCE`] goes ahead, so that neither a silent target nor a callback that
//! waits for another thread stops more than the one attempt; and a thread whose turn it is does not wait for itself.

use crate::clock;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// How long one waits for the others.
const PATIENCE: Duration = Duration::from_secs(10);

/// The thread whose turn it is, 0 if it is nobody's.
#[derive(Default)]
pub(super) struct Turns(AtomicUsize);

/// It is this thread's turn until this is dropped.
pub(super) struct Turn<'a>(&'a Turns);

thread_local! {
    static HERE: u8 = const { 0 };
}

/// What no other thread has as long as this one lives; never 0.
fn this_thread() -> usize {
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

impl Turns {
    /// Waits for this thread's turn. None if it goes ahead without one: it has one already, it is not to wait (`give_up`), or it has waited
    /// for long enough.
    pub(super) fn wait_for(&self, give_up: &dyn Fn() -> bool) -> Option<Turn<'_>> {
        let me = this_thread();
        let try_once = || match self.0.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Some(true),
            Err(other) => (other == me || give_up()).then_some(false),
        };
        let is_mine = try_once().or_else(|| clock::wait(clock::now().after(PATIENCE), try_once));
        is_mine.unwrap_or(false).then(|| Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_waits_for_others_and_not_for_itself() {
        clock::test_clock::install();
        let turns = Turns::default();
        let mine = turns.wait_for(&|| false);
        assert!(mine.is_some() && turns.wait_for(&|| false).is_none(), "it is this thread's already");
        std::thread::scope(|scope| {
            // The clock of tests is a thread's own, and goes on with each look.
            let waits = |give_up: bool| {
                let turns = &turns;
                scope.spawn(move || {
                    clock::test_clock::install();
                    turns.wait_for(&|| give_up).is_some()
                })
            };
            assert!(!waits(true).join().unwrap() && !waits(false).join().unwrap());
            drop(mine);
            assert!(waits(false).join().unwrap());
        });
        assert!(turns.wait_for(&|| false).is_some(), "it was given back");
    }
}
