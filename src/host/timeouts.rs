//! Commands that take longer than the program allows: it is told of each once, and decides what becomes of it.
//!
//! Who is watched, and how long, is the controller's, for any thread; each qpair takes it over at its next poll. What must hold: a qpair that
//! is not watched pays nothing for it; one that is walks its requests only when the oldest may be late; the program is told with nothing
//! borrowed, and may do anything then.

use super::{Controller, IoQpair, PollGroup};
use crate::clock::{self, Moment};
use spec::AdminOpcode;
use std::{rc::Rc, time::Duration};

/// What the program wants to hear of, and how. Plain words, since any thread may have them.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    /// How long a command of an I/O qpair may take.
    pub io: Duration,
    /// How long an admin command may take.
    pub admin: Duration,
    /// Tells the layer above that a command with this id is late: of the qpair whose tag is given, or of the Admin Queue if that is NULL.
    pub tell: fn(context: [usize; 3], qpair: *mut (), command_id: u16),
    /// Three words of the layer above.
    pub context: [usize; 3],
}

impl Controller {
    /// Sets what the program wants to hear of commands that are late; None for nothing. Commands that were accepted before have no
    /// clock.
    pub fn watch_timeouts(&self, watch: Option<Watch>) {
        self.admin.qpair().watch(watch.map(|watch| watch.admin));
        self.shared.set_watch(watch);
    }

    /// Tells of the admin commands that are late.
    pub(super) fn tell_late(&self, now: Moment) {
        let Some(watch) = self.shared.watch().filter(|_| self.admin.qpair().is_watched()) else { return };
        for id in self.admin.qpair().late(now) {
            (watch.tell)(watch.context, std::ptr::null_mut(), id);
        }
    }

    /// Tells of a Keep Alive whose answer is overdue: its limit is the Keep Alive Timeout, whatever that of others is.
    pub(super) fn tell_silent(&self) {
        let Some(watch) = self.shared.watch() else { return };
        if let Some(id) = self.admin.qpair().outstanding_with(AdminOpcode::KEEP_ALIVE.0) {
            (watch.tell)(watch.context, std::ptr::null_mut(), id);
        }
    }
}

impl IoQpair {
    /// Tells of the commands that are late, after a poll.
    #[cold]
    pub(super) fn tell_late(&self) {
        let Some(watch) = self.shared.watch() else { return };
        for id in self.transport().late(clock::now()) {
            if self.is_freed() {
                return; // by the one before
            }
            (watch.tell)(watch.context, self.tag(), id);
        }
    }
}

impl PollGroup {
    /// As [`IoQpair::tell_late`], of all members.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_late(&self) {
        let watched: Vec<Rc<IoQpair>> = self.members(|members| {
            members.iter().filter(|qpair| qpair.transport().is_watched()).cloned().collect()
        });
        watched.iter().filter(|qpair| !qpair.is_freed()).for_each(|qpair| qpair.tell_late());
    }
}
