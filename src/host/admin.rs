//! The Admin Queue: one command at a time for the host's own needs, any number for others.

use super::Error;
use crate::{
    clock,
    transport::{Completer, Payload, Qpair},
};
use spec::{Command, Completion};
use std::{cell::Cell, ops::Deref, rc::Rc, time::Duration};
use verbs::{Access, RegisteredMemory};

/// The Admin Queue of a controller.
pub(super) struct AdminQueue {
    qpair: Rc<Qpair>,
    timeout: Duration,
}

/// The answer to a command that is under way. Whoever waits for it may stop: the command's own share of it, and of
/// its buffer, lives until the command has ended (T119, T120).
pub(super) type Answer = Rc<Cell<Option<Completion>>>;

/// The bytes that a controller and this host exchange with one admin command.
pub(super) const BUFFER_SIZE: usize = 4096;

/// A page of data from a controller, aligned as the C structures that programs see it through.
#[derive(Debug)]
#[repr(C, align(8))]
pub(super) struct Page(pub(super) [u8; BUFFER_SIZE]);

impl Deref for Page {
    type Target = [u8; BUFFER_SIZE];

    fn deref(&self) -> &[u8; BUFFER_SIZE] {
        &self.0
    }
}

impl AdminQueue {
    pub(super) fn new(qpair: Rc<Qpair>, timeout: Duration) -> Self {
        Self { qpair, timeout }
    }

    pub(super) fn qpair(&self) -> &Rc<Qpair> {
        &self.qpair
    }

    /// Sends a command; its answer appears while the queue is polled.
    pub(super) fn start(
        &self,
        command: Command,
        buffer: Option<&Rc<RegisteredMemory>>,
    ) -> Result<Answer, Error> {
        let answer = Answer::default();
        let told = answer.clone();
        let held = buffer.cloned();
        let payload = held.as_ref().map_or(Payload::None, |buffer| Payload::Registered {
            address: buffer.address(),
            length: buffer.length() as u32,
            remote_key: buffer.remote_key(),
        });
        let closure = Rc::new(move |completion: &Completion| {
            let _keeps_the_buffer = &held;
            told.set(Some(*completion));
        });
        self.qpair.submit(&command, payload, Completer::Shared(closure))?;
        self.qpair.flush();
        Ok(answer)
    }

    /// Sends a command and waits for its answer. If there is none in time the queue is disconnected, so that the
    /// command has ended when this returns.
    pub(super) fn execute(
        &self,
        what: &'static str,
        command: Command,
        buffer: Option<&Rc<RegisteredMemory>>,
    ) -> Result<Completion, Error> {
        let answer = self.start(command, buffer)?;
        let deadline = clock::now().after(self.timeout);
        let completion = clock::wait(deadline, || {
            if answer.get().is_none() {
                self.poll();
            }
            answer.get()
        });
        match completion {
            Some(completion) if completion.is_success() => Ok(completion),
            Some(completion) => Err(Error::Command { what, completion }),
            None => {
                self.qpair.disconnect();
                self.qpair.wait_until_at_rest();
                self.qpair.deliver(u32::MAX);
                Err(Error::TimedOut(what))
            }
        }
    }

    /// One poll; an error of the queue shows in the answers of its commands.
    pub(super) fn poll(&self) {
        let _ = self.qpair.process_completions(0);
    }

    /// Sends a command that the controller answers with a page of data, and waits for them.
    pub(super) fn read_page(&self, what: &'static str, command: Command) -> Result<Box<Page>, Error> {
        let buffer = self.buffer(BUFFER_SIZE)?;
        self.execute(what, command, Some(&buffer))?;
        let mut page = Box::new(Page([0; BUFFER_SIZE]));
        if buffer.read(0, &mut page.0) { Ok(page) } else { Err(Error::NoMemory) }
    }

    /// Memory that the controller may write to while this queue is connected.
    pub(super) fn buffer(&self, length: usize) -> Result<Rc<RegisteredMemory>, Error> {
        let domain = self.qpair.domain().ok_or(Error::ControllerFailed)?;
        RegisteredMemory::new(&domain, length, Access::Remote)
            .map(Rc::new)
            .map_err(|error| Error::Transport(error.into()))
    }
}
