//! Abort commands (Base 2.0, 5.1) of the program.
//!
//! A controller takes so many at a time (ACL); others wait here and go out as those end. What must hold: each that was accepted is told
//! of once, also when the Admin Queue ends; a place of those that the controller takes is never lost; no more wait than the queue has
//! requests for.

use super::{Controller, Error, IoQpair};
use crate::transport::{self, Completer};
use spec::{Command, Completion, Status};
use std::{
    cell::Cell,
    collections::VecDeque,
    rc::{Rc, Weak},
};

type Told = Rc<dyn Fn(&Completion)>;

/// The Abort commands of one controller.
#[derive(Default)]
pub(super) struct Aborts {
    under_way: Cell<u32>,
    waiting: Cell<VecDeque<(Command, Told)>>,
}

/// Several Abort commands that the program hears of once.
struct Together {
    left: Cell<usize>,
    /// Whether one failed, or came too late (Dword 0, bit 0 of its completion).
    unsuccessful: Cell<bool>,
    told: Told,
}

/// Bit 0 of the completion of an Abort command: the command was not aborted.
const NOT_ABORTED: u32 = 1;

impl Aborts {
    fn take_waiting(&self) -> Option<(Command, Told)> {
        let mut waiting = self.waiting.take();
        let next = waiting.pop_front();
        self.waiting.set(waiting);
        next
    }
}

impl Controller {
    /// Asks the controller to abort a command of a queue. `told` hears of the answer, from a poll of the Admin Queue; the command
    /// that is aborted ends by itself.
    pub fn abort(&self, queue_id: u16, command_id: u16, told: Rc<dyn Fn(&Completion)>) -> Result<(), Error> {
        self.ready_for_program()?;
        let command = Command::abort(queue_id, command_id);
        let most = u32::from(self.summary().view().acl()) + 1;
        if self.aborts.under_way.get() < most {
            return self.send_abort(command, told);
        }
        let mut waiting = self.aborts.waiting.take();
        // Each gets a request once, and there are no more than these.
        let room = if waiting.len() < self.admin.ordinary_requests_free() {
            waiting.try_reserve(1).map_err(|_| Error::NoMemory)
        } else {
            Err(transport::Error::NoRequests.into())
        };
        if room.is_ok() {
            waiting.push_back((command, told));
        }
        self.aborts.waiting.set(waiting);
        room
    }

    /// Aborts all requests of a qpair, or of the Admin Queue, whose callbacks have this argument. Those that wait in the queue end by
    /// themselves at its next poll; for the others the controller is asked, and `told` hears once, after the last answer: with
    /// success, and bit 0 of Dword 0 if one of them was not aborted. False if there were none to ask for, so that `told` was not taken.
    pub fn abort_requests(
        &self,
        qpair: Option<&IoQpair>,
        argument: *mut (),
        told: Rc<dyn Fn(&Completion)>,
    ) -> Result<bool, Error> {
        self.ready_for_program()?;
        let queue = match qpair {
            Some(qpair) => qpair.transport(),
            None => self.admin.qpair(),
        };
        let on_wire = queue.requests_of(argument);
        let waited = queue.abort_waiting(argument);
        if on_wire.is_empty() {
            return if waited > 0 { Ok(false) } else { Err(Error::NoSuchRequest) };
        }
        let queue_id = queue.queue_id();
        let together =
            Rc::new(Together { left: Cell::new(on_wire.len()), unsuccessful: Cell::new(false), told });
        for (sent, command_id) in on_wire.iter().enumerate() {
            let all = together.clone();
            let asked =
                self.abort(queue_id, *command_id, Rc::new(move |completion| all.one_ended(completion)));
            match asked {
                Ok(()) => {}
                Err(error) if sent == 0 => return Err(error),
                // The program hears of those before it.
                Err(_) => {
                    together.count(on_wire.len() - sent, true);
                    break;
                }
            }
        }
        Ok(true)
    }

    fn send_abort(&self, command: Command, told: Told) -> Result<(), Error> {
        let me: Weak<Self> = self.me();
        let ended = move |completion: &Completion| {
            if let Some(controller) = me.upgrade() {
                let aborts = &controller.aborts;
                aborts.under_way.set(aborts.under_way.get().saturating_sub(1));
                controller.send_waiting_aborts();
            }
            told(completion);
        };
        self.submit_admin(command, super::Payload::None, Completer::Shared(Rc::new(ended)))?;
        self.aborts.under_way.set(self.aborts.under_way.get() + 1);
        Ok(())
    }

    /// Sends the next of those that wait, if the controller takes it; at each poll of the Admin Queue, since there may have been no
    /// request for it.
    pub(super) fn send_waiting_aborts(&self) {
        let most = u32::from(self.summary().view().acl()) + 1;
        while self.ready_for_program().is_ok()
            && self.aborts.under_way.get() < most
            && self.admin.has_ordinary_request()
            && let Some((command, told)) = self.aborts.take_waiting()
        {
            if self.send_abort(command, told.clone()).is_err() {
                told(&self.aborted());
            }
        }
    }

    /// The Admin Queue has ended: those that wait end, too.
    pub(super) fn end_waiting_aborts(&self) {
        while let Some((_, told)) = self.aborts.take_waiting() {
            told(&self.aborted());
        }
    }

    fn aborted(&self) -> Completion {
        Completion::new(0, 0, Status::ABORTED_SQ_DELETION)
    }
}

impl Together {
    fn one_ended(&self, completion: &Completion) {
        self.count(1, !completion.is_success() || completion.cdw0() & NOT_ABORTED != 0);
    }

    fn count(&self, ended: usize, unsuccessful: bool) {
        if unsuccessful {
            self.unsuccessful.set(true);
        }
        let left = self.left.get();
        self.left.set(left.saturating_sub(ended));
        if left > 0 && ended >= left {
            (self.told)(&outcome(self.unsuccessful.get()));
        }
    }
}

/// What the program hears of several Abort commands.
pub(crate) fn outcome(unsuccessful: bool) -> Completion {
    Completion::new(0, 0, Status::SUCCESS).with_cdw0(if unsuccessful { NOT_ABORTED } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_aborts_are_told_of_once_with_the_worst() {
        for (answers, expected) in [
            ([(Status::SUCCESS, 0), (Status::SUCCESS, 0)], 0),
            ([(Status::SUCCESS, 0), (Status::SUCCESS, 1)], 1),
            ([(Status::INVALID_FIELD, 0), (Status::SUCCESS, 0)], 1),
        ] {
            let heard = Rc::new(Cell::new(None));
            let told = heard.clone();
            let together = Together {
                left: Cell::new(2),
                unsuccessful: Cell::new(false),
                told: Rc::new(move |completion: &Completion| {
                    assert!(told.replace(Some((completion.is_success(), completion.cdw0()))).is_none());
                }),
            };
            for (nth, (status, cdw0)) in answers.into_iter().enumerate() {
                assert!(heard.get().is_none(), "{nth}");
                together.one_ended(&Completion::new(0, 0, status).with_cdw0(cdw0));
            }
            assert_eq!(heard.get(), Some((true, expected)));
        }
    }
}
