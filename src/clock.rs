//! The one clock and the one wait.
//!
//! Nothing in the host or the transport reads a clock of its own, sleeps or blocks: ticks come from the
//! environment, and every synchronous call waits in [`wait`], which calls the relax hook once a turn. A simulation
//! installs virtual ticks and a hook that moves its peers.
//!
//! What must hold: the clock that is installed has a rate. SPDK's has none before `spdk_env_init`, and one that was taken
//! then would make each deadline be over at once for as long as the process lives.

use once_cell::sync::OnceCell;
use std::{sync::atomic::AtomicU64, sync::atomic::Ordering, time::Duration};

/// Where ticks come from, and what a waiting thread does with a turn in which nothing happened.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// A counter that never goes back.
    pub ticks: fn() -> u64,
    /// How many ticks make a second.
    pub ticks_hz: fn() -> u64,
    /// Called once in each turn of a wait.
    pub relax: fn(),
}

static CLOCK: OnceCell<Clock> = OnceCell::new();
static TICKS_PER_MILLISECOND: AtomicU64 = AtomicU64::new(1);

/// A clock was not installed: it has no rate, so no deadline could be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the environment's clock has no rate yet (spdk_get_ticks_hz() is 0)")]
pub struct NoRate;

/// Installs the clock. The first one that has a rate stays; returns whether it was this one.
pub fn install(clock: Clock) -> Result<bool, NoRate> {
    let mut first = false;
    CLOCK.get_or_try_init(|| {
        let rate = (clock.ticks_hz)();
        if rate == 0 {
            return Err(NoRate);
        }
        // Before the clock is there to be read, so that nobody makes a deadline without it.
        TICKS_PER_MILLISECOND.store((rate / 1000).max(1), Ordering::Relaxed);
        first = true;
        Ok(clock)
    })?;
    Ok(first)
}

/// A moment, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The beginning of time: every deadline made from it has passed.
    pub const START: Self = Self(0);

    /// The moment `duration` after this one.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        // Rounded up: a wait that is asked for is never none.
        let milliseconds = u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let ticks = milliseconds.saturating_mul(TICKS_PER_MILLISECOND.load(Ordering::Relaxed));
        Self(self.0.saturating_add(ticks))
    }

    /// As [`Moment::after`], where a duration of zero is none at all.
    #[must_use]
    pub fn after_exactly(self, duration: Duration) -> Self {
        if duration.is_zero() { self } else { self.after(duration) }
    }

    /// How long ago `earlier` was, in whole milliseconds; zero if it is still to come.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let ticks = self.0.saturating_sub(earlier.0);
        let each = TICKS_PER_MILLISECOND.load(Ordering::Relaxed).max(1);
        Duration::from_millis(ticks.checked_div(each).unwrap_or(0))
    }

    /// Whether `deadline` is over at this moment.
    #[inline]
    pub fn has_reached(self, deadline: Self) -> bool {
        self >= deadline
    }
}

/// The moment that it is.
#[inline]
pub fn now() -> Moment {
    Moment(CLOCK.get().map_or(u64::MAX, |clock| (clock.ticks)()))
}

/// The one wait: calls `poll` until it gives a value or `deadline` is over, and the relax hook between. None if
/// the deadline came first.
pub fn wait<T>(deadline: Moment, mut poll: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        if let Some(value) = poll() {
            return Some(value);
        }
        if now().has_reached(deadline) {
            return None;
        }
        if let Some(clock) = CLOCK.get() {
            (clock.relax)();
        }
    }
}

#[cfg(test)]
pub(crate) mod test_clock {
    //! A clock that tests move by hand: one tick is a microsecond, and each turn of a wait is one millisecond.

    use super::*;
    use std::cell::Cell;

    thread_local! {
        static TICKS: Cell<u64> = const { Cell::new(1_000_000) };
    }

    pub(crate) fn install() {
        // Another test may have been first.
        let _ = super::install(Clock {
            ticks: || TICKS.get(),
            ticks_hz: || 1_000_000,
            relax: || advance(Duration::from_millis(1)),
        });
    }

    pub(crate) fn advance(by: Duration) {
        TICKS.set(TICKS.get() + u64::try_from(by.as_micros()).unwrap());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_its_value_or_its_deadline() {
        test_clock::install();
        let start = now();
        let mut turns = 0;
        let value = wait(start.after(Duration::from_millis(10)), || {
            turns += 1;
            (turns == 3).then_some("done")
        });
        assert_eq!(value, Some("done"));
        assert_eq!(wait(start.after(Duration::from_millis(10)), || None::<()>), None);
        assert!(now().has_reached(start.after(Duration::from_millis(10))));
        assert!(!now().has_reached(start.after(Duration::from_secs(1))));
        assert_eq!(start.after(Duration::from_millis(1500)).since(start), Duration::from_millis(1500));
        assert_eq!(start.since(start.after(Duration::from_secs(1))), Duration::ZERO);
        assert!(
            !start.has_reached(start.after(Duration::from_nanos(1))),
            "less than a millisecond is not nothing"
        );
    }
}
