//! The Admin Queue: one command at a time for the host's own needs, any number for others, and Keep Alives.
//!
//! What must hold: one request is always left for a Keep Alive, whatever the program and the controller do with the
//! others; a Keep Alive goes out when it is due, also while this host waits for an answer. A piece of work that a
//! controller can lengthen is in `work`.

use super::{
    Error,
    budget::Budget,
    keep_alive::{KeepAlive, Pulse},
};
use crate::{
    clock::{self, Moment},
    transport::{self, Completer, Payload, Qpair},
};
use spec::{Command, Completion, Status};
use std::{cell::Cell, ops::Deref, rc::Rc, time::Duration};
use verbs::{Access, RegisteredMemory};

/// The Admin Queue of a controller.
pub(super) struct AdminQueue {
    qpair: Rc<Qpair>,
    timeout: Duration,
    keep_alive: KeepAlive,
    /// What the last look at the Keep Alives said.
    pulse: Cell<Pulse>,
}

/// A command of this host whose answer is waited for.
pub(super) struct Asked {
    what: &'static str,
    answer: Answer,
    deadline: Moment,
    /// What it is to be late.
    late: Error,
}

impl Asked {
    /// What became of it; None while that is open. To be asked after the queue was polled.
    pub(super) fn outcome(&self, admin: &AdminQueue) -> Option<Result<Completion, Error>> {
        let what = self.what;
        match self.answer.get() {
            Some(completion) if completion.is_success() => Some(Ok(completion)),
            // Nobody but the end of the connection answers so.
            Some(completion)
                if completion.status() == Status::ABORTED_SQ_DELETION && !admin.qpair().is_connected() =>
            {
                Some(Err(Error::ConnectionLost(what)))
            }
            Some(completion) => Some(Err(Error::Command { what, completion })),
            None if admin.pulse.get() == Pulse::Silent => {
                Some(Err(Error::Silent { during: what, timeout: admin.keep_alive.timeout() }))
            }
            None => clock::now().has_reached(self.deadline).then(|| Err(self.late.clone())),
        }
    }
}

/// The requests that nobody but this host gets: one, for a Keep Alive.
const RESERVED: u32 = 1;

/// The answer to a command that is under way. Whoever waits for it may stop: the command's own share of it, and of
/// its buffer, lives until the command has ended (T119, T120).
pub(super) type Answer = Rc<Cell<Option<Completion>>>;

/// The bytes that a controller and this host exchange with one admin command.
pub(super) const BUFFER_SIZE: usize = 4096;

/// The first `length` bytes of a buffer, for the data of one command.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    buffer: &'a Rc<RegisteredMemory>,
    length: u32,
}

/// A page of data from a controller, aligned as the C structures that programs see it through.
#[derive(Debug)]
#[repr(C, align(8))]
pub(super) struct Page(pub(super) [u8; BUFFER_SIZE]);

impl Default for Page {
    fn default() -> Self {
        Self([0; BUFFER_SIZE])
    }
}

impl Deref for Page {
    type Target = [u8; BUFFER_SIZE];

    fn deref(&self) -> &[u8; BUFFER_SIZE] {
        &self.0
    }
}

impl AdminQueue {
    /// Of a qpair that is about to be connected: `timeout` is for each command, `keep_alive` the Keep Alive Timeout.
    pub(super) fn new(qpair: Rc<Qpair>, timeout: Duration, keep_alive: Duration) -> Self {
        let keep_alive = KeepAlive::new(keep_alive);
        Self { qpair, timeout, keep_alive, pulse: Cell::new(Pulse::Alive) }
    }

    pub(super) fn keep_alive(&self) -> &KeepAlive {
        &self.keep_alive
    }

    pub(super) fn qpair(&self) -> &Rc<Qpair> {
        &self.qpair
    }

    /// Sends a command of the program, or one that may stay with the controller for long. The last request is not for
    /// them, so that a Keep Alive always goes out at once.
    pub(super) fn submit(
        &self,
        command: Command,
        payload: Payload,
        completer: Completer,
    ) -> Result<(), Error> {
        if self.qpair.is_connected() && !self.has_ordinary_request() {
            return Err(transport::Error::NoRequests.into());
        }
        self.qpair.submit(&command, payload, completer)?;
        self.qpair.flush();
        Ok(())
    }

    /// Whether a request is free beside the one that is kept for a Keep Alive.
    pub(super) fn has_ordinary_request(&self) -> bool {
        self.ordinary_requests_free() > 0
    }

    /// How many such requests are free.
    pub(super) fn ordinary_requests_free(&self) -> usize {
        let all = usize::try_from(self.qpair.request_count().saturating_sub(RESERVED)).unwrap_or(usize::MAX);
        all.saturating_sub(self.qpair.requests_in_use())
    }

    /// Sends a command of this host; its answer appears while the queue is polled.
    pub(super) fn start(&self, command: Command, buffer: Option<Window<'_>>) -> Result<Answer, Error> {
        self.start_by(Qpair::submit, command, buffer)
    }

    /// Sends a Keep Alive, ahead of all that waits for room on the wire.
    pub(super) fn start_keep_alive(&self) -> Result<Answer, Error> {
        self.start_by(Qpair::submit_ahead, Command::keep_alive(), None)
    }

    fn start_by(
        &self,
        submit: impl FnOnce(&Qpair, &Command, Payload, Completer) -> Result<(), transport::Error>,
        command: Command,
        buffer: Option<Window<'_>>,
    ) -> Result<Answer, Error> {
        let answer = Answer::default();
        let told = answer.clone();
        let payload = buffer.map_or(Payload::None, |Window { buffer, length }| Payload::Registered {
            address: buffer.address(),
            length,
            remote_key: buffer.remote_key(),
        });
        let held = buffer.map(|window| window.buffer.clone());
        let closure = Rc::new(move |completion: &Completion| {
            let _keeps_the_buffer = &held;
            told.set(Some(*completion));
        });
        submit(&self.qpair, &command, payload, Completer::Shared(closure))?;
        self.qpair.flush();
        Ok(answer)
    }

    /// Sends a command and waits for its answer. One that comes after the deadline is not looked at any more; until then
    /// the command has its request, and its buffer.
    pub(super) fn request(
        &self,
        what: &'static str,
        command: Command,
        buffer: Option<Window<'_>>,
    ) -> Result<Completion, Error> {
        let asked = self.ask(what, command, buffer, None)?;
        let outcome = clock::wait(asked.deadline, || {
            if asked.answer.get().is_none() {
                self.poll_and_look();
            }
            asked.outcome(self)
        });
        outcome.unwrap_or(Err(Error::TimedOut(what)))
    }

    /// Sends a command, whose answer shows in what this returns while the queue is polled. Part of a piece of work with this
    /// budget, if one is given.
    pub(super) fn ask(
        &self,
        what: &'static str,
        command: Command,
        buffer: Option<Window<'_>>,
        budget: Option<Budget>,
    ) -> Result<Asked, Error> {
        let answer = self.start(command, buffer).map_err(|error| match error {
            Error::Transport(transport::Error::NotConnected) => Error::ConnectionLost(what),
            error => error,
        })?;
        let own = clock::now().after(self.timeout);
        let (deadline, late) = match budget {
            Some(budget) if budget.deadline() < own => (budget.deadline(), budget.out_of_time(what)),
            _ => (own, Error::TimedOut(what)),
        };
        Ok(Asked { what, answer, deadline, late })
    }

    /// Ends the queue's connection and waits for that; its commands have ended then.
    pub(super) fn disconnect(&self) {
        self.qpair.disconnect();
        self.qpair.wait_until_at_rest();
        self.qpair.deliver(u32::MAX);
    }

    /// One poll; an error of the queue shows in the answers of its commands.
    pub(super) fn poll(&self) {
        let _ = self.qpair.process_completions(0);
    }

    /// One poll of a wait of this host, and a look after the Keep Alives.
    pub(super) fn poll_and_look(&self) {
        self.keep_alive.note_poll(clock::now());
        self.poll();
        // Whoever waits finds it in the answers.
        let _ = self.look();
    }

    /// What the last look at the Keep Alives said.
    pub(super) fn pulse(&self) -> Pulse {
        self.pulse.get()
    }

    /// Looks after the Keep Alives. Once the controller is silent it stays so.
    pub(super) fn look(&self) -> Pulse {
        if self.pulse.get() == Pulse::Alive {
            self.pulse.set(self.keep_alive.look(self));
        }
        self.pulse.get()
    }

    /// The queue is about to be connected: nothing is known of its controller.
    pub(super) fn begin_anew(&self) {
        self.keep_alive.begin_anew();
        self.pulse.set(Pulse::Alive);
    }

    /// Memory that the controller may write to while this queue is connected.
    pub(super) fn buffer(&self, length: usize) -> Result<Rc<RegisteredMemory>, Error> {
        self.buffer_for(length, Access::RemoteWrite)
    }

    /// Memory that the controller may reach so while this queue is connected.
    pub(super) fn buffer_for(&self, length: usize, access: Access) -> Result<Rc<RegisteredMemory>, Error> {
        let domain = self.qpair.domain().ok_or(Error::ControllerFailed)?;
        RegisteredMemory::new(&domain, length, access)
            .map(Rc::new)
            .map_err(|error| Error::Transport(error.into()))
    }
}

impl<'a> Window<'a> {
    /// The first `length` bytes of a buffer.
    pub(super) fn of(buffer: &'a Rc<RegisteredMemory>, length: u32) -> Self {
        Self { buffer, length }
    }
}
