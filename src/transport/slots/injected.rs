//! Requests whose qpair has [injections](Injection): the gate stays shut, so that each submission takes the long way, and requests
//! have no function, so that each delivery does.
//!
//! What must hold: a request that is held back has a slot, but no room on the wire; it ends once, with its injected error, with its
//! qpair's connection, or by an abort.

use super::{Completer, Error, Injection, Place, Slots, Told, phase};
use crate::clock::Moment;
use spec::{Command, Completion, Status};

/// A request that is not sent.
pub(super) struct Held {
    slot: u32,
    due: Moment,
    status: Status,
}

impl Slots {
    /// From now on there is this injection, in place of another one for the same opcode. It is for requests that were accepted before,
    /// too.
    pub(in crate::transport) fn inject(&self, injection: Injection) -> Result<(), Error> {
        for slot in self.requests().filter(|slot| slot.user().phase.get() != phase::FREE) {
            let context =
                super::Context { function: slot.user().function.get(), argument: slot.user().argument.get() };
            if !context.function.is_null() {
                self.put_beside(slot, Told::Upcall(context), false)?;
                slot.user().function.set(std::ptr::null());
            }
        }
        self.injections.set(injection)?;
        self.looks.set(true);
        self.shut();
        Ok(())
    }

    /// The next [`Slots::settle`] opens the gate once there is no injection any more.
    pub(in crate::transport) fn remove_injection(&self, opcode: u8) {
        self.injections.remove(opcode);
    }

    /// Whether a request of this opcode is to be held back.
    pub(in crate::transport) fn holds_back(&self, opcode: u8) -> bool {
        self.injections.any() && self.injections.holds(opcode)
    }

    /// Accepts a request that is held back until `now` and a while.
    pub(in crate::transport) fn hold(
        &self,
        command: &Command,
        completer: Completer,
        now: Moment,
    ) -> Result<(), Error> {
        // The end of the connection, which has room for what may be with the device, is to abort these as well.
        let mut scratch = self.scratch.take();
        let room = scratch.try_reserve_exact(usize::from(self.count())).map_err(|_| Error::NoMemory);
        self.scratch.set(scratch);
        room?;
        self.with_held(|held| {
            held.try_reserve(1).map_err(|_| Error::NoMemory)?;
            let slot = self.index(self.begin_holding(command, completer)?);
            let (time, status) = self
                .injections
                .take_held(command.opcode())
                .ok_or(Error::Internal("a request is held back without an injection"))?;
            held.push(Held { slot, due: now.after_exactly(time), status });
            Ok(())
        })
    }

    fn with_held<T>(&self, use_held: impl FnOnce(&mut Vec<Held>) -> T) -> T {
        let result = self.held.with(use_held);
        self.has_held.set(self.held.any());
        result
    }

    fn begin_holding(&self, command: &Command, completer: Completer) -> Result<Place<'_>, Error> {
        let slot = self.take_reserve().ok_or(Error::NoRequests)?;
        if let Err(error) = self.set_completer(slot, completer, false) {
            self.give_back_reserve(slot);
            return Err(error);
        }
        slot.write(super::super::wire::to_words(command));
        let begun = self.begun.get().wrapping_add(1);
        self.begun.set(begun);
        self.held_back.set(self.held_back.get() + 1);
        slot.user().order.set(begun as u32);
        slot.user().phase.set(phase::HELD);
        Ok(slot)
    }

    /// Whether requests are held back.
    #[inline]
    pub(in crate::transport) fn has_held(&self) -> bool {
        self.has_held.get()
    }

    /// Finishes those that were held back for long enough.
    pub(in crate::transport) fn finish_held(&self, now: Moment) {
        self.finish_held_if(|held, _| {
            now.has_reached(held.due).then(|| held.status.with_dnr(self.abort_dnr.get()))
        });
    }

    /// Finishes those of that name that are held back, with this status. Returns how many there were.
    pub(super) fn finish_held_of(&self, name: *mut (), status: Status) -> usize {
        self.finish_held_if(|_, slot| {
            (!name.is_null() && slot.user().argument.get() == name).then_some(status)
        })
    }

    fn finish_held_if(&self, ends: impl Fn(&Held, Place<'_>) -> Option<Status>) -> usize {
        self.with_held(|held| {
            let before = held.len();
            held.retain(|held| {
                let Some(slot) = self.queue.slot(held.slot) else { return false };
                let status = ends(held, slot);
                if let Some(status) = status {
                    self.finish_unsent(slot, status);
                }
                status.is_none()
            });
            before - held.len()
        })
    }

    /// All requests end with the connection: nothing is held back any more.
    pub(super) fn forget_held(&self) {
        self.with_held(Vec::clear);
    }

    /// What the program hears of a finished request that has not been given out yet: its completion, or an injected error.
    pub(super) fn injected(&self, completion: &Completion) -> Completion {
        if self.injections.any() && completion.is_success() {
            self.as_injected(completion)
        } else {
            *completion
        }
    }

    fn as_injected(&self, completion: &Completion) -> Completion {
        let index = u32::from(completion.cid()) & self.mask;
        let slot = self.queue.slot(index).filter(|_| index != self.connect_slot());
        let opcode = slot.map(|slot| {
            let [first, ..] = slot.read();
            first as u8
        });
        match opcode.and_then(|opcode| self.injections.take_answer(opcode)) {
            Some(status) => completion.with_status(status),
            None => *completion,
        }
    }
}
