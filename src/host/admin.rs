//! The Admin Queue: one command at a time for the host's own needs, any number for others, and Keep Alives.
//!
//! What must hold: one request is always left for a Keep Alive, whatever the program and the controller do with the
//! others; a Keep Alive goes out when it is due, also while this host waits for an answer; a piece of work that a
//! controller can lengthen runs within a [`Budget`].

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
    /// What the work that is under way has left.
    budget: Cell<Option<Budget>>,
    /// The buffer of that work's pages, registered once.
    page: Cell<Option<Rc<RegisteredMemory>>>,
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

impl Page {
    /// A page that begins with `data` and goes on with zeros, alone in a box, since a vector can be asked for memory
    /// that there may not be. None if there is none.
    pub(super) fn with(data: &[u8]) -> Option<Box<[Self]>> {
        let mut bytes = [0; BUFFER_SIZE];
        bytes.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        let mut room = Vec::new();
        room.try_reserve_exact(1).ok()?;
        room.push(Self(bytes));
        Some(room.into_boxed_slice())
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
        Self { qpair, timeout, keep_alive, budget: Cell::new(None), page: Cell::new(None) }
    }

    pub(super) fn keep_alive(&self) -> &KeepAlive {
        &self.keep_alive
    }

    pub(super) fn qpair(&self) -> &Rc<Qpair> {
        &self.qpair
    }

    /// Runs `work` within a budget, which each of its commands is charged to.
    pub(super) fn within<R>(
        &self,
        budget: Budget,
        work: impl FnOnce() -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.budget.set(Some(budget));
        let result = work();
        self.budget.set(None);
        self.page.set(None);
        result
    }

    /// Runs a part of the work that has a deadline of its own, `time` from now: what it spends is not charged.
    pub(super) fn beside<R>(
        &self,
        time: Duration,
        part: impl FnOnce(Moment) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let begin = clock::now();
        let change = |change: &dyn Fn(Duration) -> Duration| {
            self.budget.set(self.budget.get().map(|budget| budget.with_time(change)));
        };
        change(&|all| all.saturating_add(time));
        let result = part(begin.after(time));
        let left = time.saturating_sub(clock::now().since(begin));
        change(&|all| all.saturating_sub(left));
        result
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
        let in_use = u32::try_from(self.qpair.requests_in_use()).unwrap_or(u32::MAX);
        in_use.saturating_add(RESERVED) < self.qpair.request_count()
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

    /// Sends a command that this host cannot do without, and waits for its answer. If there is none in time, its own or
    /// that of the budget, or if the controller is found silent meanwhile, the queue is disconnected, so that the command
    /// has ended when this returns.
    pub(super) fn execute(
        &self,
        what: &'static str,
        command: Command,
        buffer: Option<Window<'_>>,
    ) -> Result<Completion, Error> {
        self.request(what, command, buffer).inspect_err(|error| {
            if matches!(error, Error::TimedOut(_) | Error::TooSlow { .. } | Error::Silent { .. }) {
                self.disconnect();
            }
        })
    }

    /// Sends a command and waits for its answer. One that comes after the deadline is not looked at any more; until then
    /// the command has its request, and its buffer.
    pub(super) fn request(
        &self,
        what: &'static str,
        command: Command,
        buffer: Option<Window<'_>>,
    ) -> Result<Completion, Error> {
        let now = clock::now();
        let budget = self.budget.get().map(|budget| budget.charged(now, what)).transpose()?;
        self.budget.set(budget);
        let answer = self.start(command, buffer).map_err(|error| match error {
            Error::Transport(transport::Error::NotConnected) => Error::ConnectionLost(what),
            error => error,
        })?;
        let own = now.after(self.timeout);
        let deadline = budget.map_or(own, |budget| budget.deadline().min(own));
        let mut pulse = Pulse::Alive;
        let completion = clock::wait(deadline, || {
            if answer.get().is_none() {
                pulse = self.poll_and_look();
            }
            match (answer.get(), pulse) {
                (None, Pulse::Alive) => None,
                (completion, _) => Some(completion),
            }
        });
        match completion.flatten() {
            Some(completion) if completion.is_success() => Ok(completion),
            // Nobody but the end of the connection answers so.
            Some(completion)
                if completion.status() == Status::ABORTED_SQ_DELETION && !self.qpair.is_connected() =>
            {
                Err(Error::ConnectionLost(what))
            }
            Some(completion) => Err(Error::Command { what, completion }),
            None => match budget {
                _ if pulse == Pulse::Silent => {
                    Err(Error::Silent { during: what, timeout: self.keep_alive.timeout() })
                }
                Some(budget) if budget.deadline() < own => Err(budget.out_of_time(what)),
                _ => Err(Error::TimedOut(what)),
            },
        }
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
    pub(super) fn poll_and_look(&self) -> Pulse {
        self.keep_alive.note_poll(clock::now());
        self.poll();
        self.keep_alive.look(self)
    }

    /// Sends a command that the controller answers with a page of data, and waits for them.
    pub(super) fn read_page(&self, what: &'static str, command: Command) -> Result<Box<Page>, Error> {
        let mut page = Box::new(Page([0; BUFFER_SIZE]));
        self.read(what, command, &mut page.0)?;
        Ok(page)
    }

    /// Sends a command that the controller answers with so many bytes, a page at most, and waits for them.
    pub(super) fn read(&self, what: &'static str, command: Command, data: &mut [u8]) -> Result<(), Error> {
        let outside = Error::Internal("a page lies outside of its buffer");
        let buffer = match self.page.take() {
            // Nobody else has it: no command is under way with it.
            Some(buffer) if Rc::strong_count(&buffer) == 1 => buffer,
            _ => self.buffer(BUFFER_SIZE)?,
        };
        // A controller that writes nothing must not be credited with the page before.
        data.fill(0);
        if !buffer.write(0, data) {
            return Err(outside);
        }
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.execute(what, command, Some(Window { buffer: &buffer, length }))?;
        if !buffer.read(0, data) {
            return Err(outside);
        }
        if self.budget.get().is_some() {
            self.page.set(Some(buffer));
        }
        Ok(())
    }

    /// Memory that the controller may write to while this queue is connected.
    fn buffer(&self, length: usize) -> Result<Rc<RegisteredMemory>, Error> {
        let domain = self.qpair.domain().ok_or(Error::ControllerFailed)?;
        RegisteredMemory::new(&domain, length, Access::RemoteWrite)
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
