//! Commands that end with an error, and whoever is told of them beside the one that sent them.
//!
//! A success pays nothing for that. A response with an error is none that [`Slots::answered`] knows, so it comes here; its request
//! leaves its function, so that its delivery takes the long way, and there it is told of right before its callback. The same is true of a
//! request that ends with the connection.
//!
//! What must hold: what a peer can repeat is bounded: [`AT_ONCE`] commands of a qpair are told of, and one more for each second that
//! has passed since; how many were left out is told behind the last of those, and at the end of the connection. Nothing is borrowed while somebody
//! is told.

use super::{Context, NOBODY, Place, Slots, Told, completion, phase};
use crate::{
    clock::{self, Moment},
    transport::wire::from_words,
};
use spec::{AdminOpcode, Command, Completion, Status};
use std::{
    cell::{Cell, OnceCell},
    rc::{Rc, Weak},
};

/// Commands that are told of at once, of one qpair: as many as most of its requests.
const AT_ONCE: u32 = 128;

/// What there is to tell of commands that ended with an error.
#[derive(Debug, Clone, Copy)]
pub enum Failure<'a> {
    /// A command, and what it ended with.
    Command(&'a Command, &'a Completion),
    /// So many others that ended before, of which nothing was told.
    Others(u64),
}

/// Whoever is told of commands that ended with an error.
pub trait FailureListener {
    /// This is what there is to tell. Right before the callback of a command.
    fn hear(&self, failure: Failure<'_>);
}

/// Who is told of a qpair's commands, and of how many.
#[derive(Default)]
pub(super) struct Failures {
    listener: Cell<Option<Weak<dyn FailureListener>>>,
    /// Once there is something to tell.
    budget: OnceCell<Box<Budget>>,
}

impl Failures {
    fn listener(&self) -> Option<Rc<dyn FailureListener>> {
        let listener = self.listener.take();
        let strong = listener.as_ref().and_then(Weak::upgrade);
        self.listener.set(listener);
        strong
    }

    fn budget(&self) -> &Budget {
        self.budget.get_or_init(Box::default)
    }
}

/// Of how many commands something may be told.
struct Budget {
    /// How many may be told of yet, and since when that is so.
    left: Cell<u32>,
    since: Cell<Moment>,
    /// Requests that left their function for this and whose delivery is still to come.
    coming: Cell<u32>,
    /// How many were left out since somebody was told.
    left_out: Cell<u64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: Cell::new(AT_ONCE),
            since: Cell::new(clock::now()),
            coming: Cell::new(0),
            left_out: Cell::new(0),
        }
    }
}

impl Budget {
    /// How many may be told of.
    fn left(&self) -> u32 {
        let now = clock::now();
        let seconds = u32::try_from(now.since(self.since.get()).as_secs()).unwrap_or(u32::MAX);
        if seconds > 0 {
            self.since.set(now);
            self.left.set(self.left.get().saturating_add(seconds).min(AT_ONCE));
        }
        self.left.get()
    }

    /// Whether one more may be told of, besides those that are coming. If not, it counts as left out.
    fn expect_one(&self) -> bool {
        let expected = self.left() > self.coming.get();
        if expected {
            self.coming.set(self.coming.get() + 1);
        } else {
            self.leave_out();
        }
        expected
    }

    /// Whether one that has come may be told of. If not, it counts as left out.
    fn take_one(&self) -> bool {
        self.coming.set(self.coming.get().saturating_sub(1));
        match self.left().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => {
                self.leave_out();
                return false;
            }
        }
        true
    }

    fn leave_out(&self) {
        self.left_out.set(self.left_out.get().saturating_add(1));
    }
}

impl Slots {
    /// Sets who is told of commands that end with an error from now on.
    pub(in crate::transport) fn listen_to_failures(&self, listener: Option<Weak<dyn FailureListener>>) {
        self.failures.listener.set(listener);
    }

    /// A request ends with the completion that is in its slot, which its SEND or its connection's end was waited for with.
    #[cold]
    #[inline(never)]
    pub(super) fn finish_answered(&self, slot: Place<'_>) {
        if !completion(slot.user().completion.get()).is_success() {
            self.expect_failure(slot);
        }
        self.make_finished(slot);
    }

    /// The request of a slot ends with an error: it is told of when it is delivered, if somebody listens.
    #[cold]
    #[inline(never)]
    pub(super) fn expect_failure(&self, slot: Place<'_>) {
        let is_connect = self.index(slot) == self.connect_slot();
        if is_connect || self.failures.listener().is_none() {
            return;
        }
        let request = slot.user();
        let context = Context { function: request.function.get(), argument: request.argument.get() };
        if !context.function.is_null() {
            if !self.failures.budget().expect_one() {
                return;
            }
            if self.put_beside(slot, Told::Upcall(context), false).is_err() {
                return self.failures.budget().leave_out();
            }
            request.function.set(NOBODY.function);
        }
        if request.phase.get() == phase::WAITING {
            // What stands in the place of its data pointer is not one.
            let mut words = slot.read();
            if let Some(word) = words.get_mut(super::SGL_WORD) {
                *word = 0;
            }
            slot.write(words);
        }
        self.looks.set(true);
    }

    /// What the program hears of a finished request that has no function and was taken off its list just now: its completion, or an
    /// injected error. If it is an error, whoever listens is told.
    #[inline(always)]
    pub(in crate::transport) fn looked_at(&self, completion: &Completion) -> Completion {
        if self.looks.get() { self.look_at(completion) } else { *completion }
    }

    #[cold]
    #[inline(never)]
    fn look_at(&self, completion: &Completion) -> Completion {
        if !self.has_finished() && !self.injections.any() {
            self.looks.set(false);
        }
        let completion = self.injected(completion);
        if !completion.is_success() {
            self.tell_failure(&completion);
        }
        completion
    }

    fn tell_failure(&self, completion: &Completion) {
        let index = u32::from(completion.cid()) & self.mask;
        let slot = self.queue.slot(index).filter(|_| index != self.connect_slot());
        let (Some(slot), Some(listener)) = (slot, self.failures.listener()) else { return };
        let mut command = from_words(slot.read());
        // Of these there are always some; that they go with the queue is no news.
        let is_event = self.queue_id == 0 && command.opcode() == AdminOpcode::ASYNC_EVENT_REQUEST.0;
        if is_event && completion.status().is(Status::ABORTED_SQ_DELETION) {
            return;
        }
        if self.failures.budget().take_one() {
            // One that was never sent has none.
            command.set_cid(completion.cid());
            listener.hear(Failure::Command(&command, completion));
            if self.failures.budget().coming.get() == 0 {
                self.tell_of_others();
            }
        }
    }

    /// Whether commands were left out, of which nobody was told yet.
    pub(in crate::transport) fn has_left_out(&self) -> bool {
        self.failures.budget.get().is_some_and(|budget| budget.left_out.get() > 0)
    }

    /// Tells how many were left out.
    #[cold]
    pub(in crate::transport) fn tell_of_others(&self) {
        let count = self.failures.budget().left_out.take();
        if let (1.., Some(listener)) = (count, self.failures.listener()) {
            listener.hear(Failure::Others(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_told_of_as_there_is_room_for_and_one_more_each_second() {
        clock::test_clock::install();
        let failures = Budget::default();
        assert!((0..AT_ONCE).all(|_| failures.expect_one()), "as many as are told of at once");
        assert!(!failures.expect_one());
        assert!((0..AT_ONCE).all(|_| failures.take_one()));
        assert!(!failures.take_one() && !failures.expect_one());
        assert_eq!((failures.left_out.get(), failures.coming.get()), (3, 0));
        clock::test_clock::advance(std::time::Duration::from_millis(2_100));
        assert!(failures.expect_one() && failures.take_one() && failures.take_one());
        assert!(!failures.take_one());
        clock::test_clock::advance(std::time::Duration::from_secs(1_000_000));
        assert_eq!(failures.left(), AT_ONCE);
    }
}
