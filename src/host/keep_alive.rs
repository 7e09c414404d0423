//! Keep Alive (Base 2.0, 3.9): the controller ends an association that it heard nothing of for the Keep Alive Timeout,
//! and this host one whose controller does not answer for as long.
//!
//! A controller's timer may run from Connect on, although Base 2.0 starts it once CSTS.RDY is 1. So Keep Alives are sent
//! from Connect on; of a controller that is not ready, which may refuse them or leave them lying, no answer is expected.
//!
//! What must hold: a Keep Alive is sent at each half of the timeout, while this host waits for an answer on the Admin
//! Queue or the program polls it; one request of that queue and one place on its wire are always free for it (see
//! [`AdminQueue::submit`]); what is wrong is said, but not without end.

use super::{
    admin::{AdminQueue, Answer},
    budget::Sparing,
};
use crate::clock::{self, Moment};
use std::{cell::Cell, time::Duration};

/// The Keep Alives of one controller.
pub(super) struct KeepAlive {
    /// What is asked for in Connect.
    asked: Duration,
    /// What holds: from Connect on the same, until the controller says what it grants.
    timeout: Cell<Duration>,
    next: Cell<Moment>,
    /// The one that is under way, and until when its answer must come.
    under_way: Cell<Option<(Answer, Moment)>>,
    /// When the queue was polled last, by the program or by a wait of this host.
    polled: Cell<Moment>,
    /// Whether the controller has become ready.
    ready: Cell<bool>,
    lines: Sparing,
}

/// What a look at the Keep Alives says of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Pulse {
    Alive,
    /// It did not answer in time.
    Silent,
}

impl KeepAlive {
    /// For a controller that is about to be connected with this timeout; zero for none.
    pub(super) fn new(timeout: Duration) -> Self {
        let now = clock::now();
        Self {
            asked: timeout,
            timeout: Cell::new(timeout),
            next: Cell::new(now.after(timeout / 2)),
            under_way: Cell::new(None),
            polled: Cell::new(now),
            ready: Cell::new(false),
            lines: Sparing::new(),
        }
    }

    /// The Keep Alive Timeout; zero for none.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout.get()
    }

    /// The controller says that it waits so long; zero for no Keep Alives. The next one is due at once.
    pub(super) fn grant(&self, timeout: Duration) {
        self.timeout.set(timeout);
        let now = clock::now();
        self.next.set(now);
        let deadline = now.after(timeout);
        self.under_way.set(self.under_way.take().map(|(answer, _)| (answer, deadline)));
    }

    /// The queue is about to be connected anew.
    pub(super) fn begin_anew(&self) {
        let now = clock::now();
        self.timeout.set(self.asked);
        self.next.set(now.after(self.asked / 2));
        self.under_way.set(None);
        self.polled.set(now);
        self.ready.set(false);
    }

    /// The controller is ready: from now on it has to answer.
    pub(super) fn note_ready(&self) {
        self.ready.set(true);
        let deadline = clock::now().after(self.timeout());
        self.under_way.set(self.under_way.take().map(|(answer, _)| (answer, deadline)));
    }

    /// How long ago a Keep Alive was due, if nobody polled since and the controller's timer may have run out
    /// meanwhile. To be asked before the program's poll is noted.
    pub(super) fn neglected(&self, now: Moment) -> Option<Duration> {
        let due = self.next.get();
        let neglected = !self.timeout().is_zero()
            && self.polled.get() < due
            && now.has_reached(due.after(self.timeout() / 2));
        neglected.then(|| now.since(due))
    }

    /// The queue is polled.
    pub(super) fn note_poll(&self, now: Moment) {
        self.polled.set(now);
    }

    /// Sends what is due and looks for what is overdue. After the queue was polled: an answer that came while the
    /// program was busy elsewhere counts.
    pub(super) fn look(&self, admin: &AdminQueue) -> Pulse {
        let timeout = self.timeout();
        if timeout.is_zero() || !admin.qpair().is_connected() {
            return Pulse::Alive;
        }
        let now = clock::now();
        let label = admin.qpair().label();
        match self.under_way.take() {
            Some((answer, deadline)) => match answer.get() {
                Some(completion) if !completion.is_success() => {
                    if self.ready.get() && self.lines.may_tell(now) {
                        tracing::error!("{label}: Keep Alive failed with {}", completion.status().name());
                    }
                }
                Some(_) => {}
                None if self.ready.get() && now.has_reached(deadline) => {
                    return Pulse::Silent;
                }
                None => self.under_way.set(Some((answer, deadline))),
            },
            None if now.has_reached(self.next.get()) => {
                self.next.set(now.after(timeout / 2));
                match admin.start_keep_alive() {
                    Ok(answer) => self.under_way.set(Some((answer, now.after(timeout)))),
                    Err(error) if self.lines.may_tell(now) => tracing::warn!("{label}: Keep Alive: {error}"),
                    Err(_) => {}
                }
            }
            None => {}
        }
        if let Some(count) = self.lines.sum_up(now) {
            tracing::error!("{label}: {count} more lines about Keep Alive were left out");
        }
        Pulse::Alive
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::test_clock;

    #[test]
    fn a_queue_that_nobody_polls_is_neglected_once_the_timer_may_have_run_out() {
        test_clock::install();
        let begin = clock::now();
        let keep_alive = KeepAlive::new(Duration::from_secs(10));
        let at = |seconds| begin.after(Duration::from_secs(seconds));
        assert_eq!(keep_alive.neglected(at(4)), None, "not due");
        assert_eq!(keep_alive.neglected(at(9)), None, "late, but the controller waits 10 s");
        assert_eq!(keep_alive.neglected(at(12)), Some(Duration::from_secs(7)));
        keep_alive.note_poll(at(4));
        assert_eq!(keep_alive.neglected(at(12)), Some(Duration::from_secs(7)), "polled before it was due");
        for polled in [5, 6] {
            keep_alive.note_poll(at(polled));
            assert_eq!(keep_alive.neglected(at(12)), None, "somebody polled when it was due");
        }
        assert_eq!(KeepAlive::new(Duration::ZERO).neglected(at(100)), None);
    }
}
