//! A piece of this host's own work on an Admin Queue: commands one after another, as the specification has the steps.
//!
//! It is an `async fn` without an executor: whoever lets it go on polls the queue first ([`AdminQueue::poll_and_look`]) and then the
//! future, once or until it ends ([`drive`]). Dropping the future cancels it: a command that is under way owns its buffer.
//!
//! What must hold: each command is charged to the work's [`Budget`], so that no loop over answers can outlast it.

use super::{
    Error,
    admin::{AdminQueue, BUFFER_SIZE, Page, Window},
    budget::Budget,
};
use crate::clock::{self, Moment};
use spec::{Command, Completion};
use std::{
    cell::Cell,
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use verbs::{Access, RegisteredMemory};

/// What a piece of work has: its queue, what it may still cost, and the buffer of its pages, registered once.
pub(super) struct Work {
    admin: Rc<AdminQueue>,
    budget: Cell<Budget>,
    page: Cell<Option<Rc<RegisteredMemory>>>,
    /// Without it there is no association.
    vital: bool,
}

impl Work {
    /// Work that the association depends on: a command that is not answered in time ends the connection.
    pub(super) fn new(admin: &Rc<AdminQueue>, budget: Budget) -> Self {
        Self { admin: admin.clone(), budget: Cell::new(budget), page: Cell::new(None), vital: true }
    }

    /// Work that may fail without harm to the association, unless the controller does not answer Keep Alives.
    pub(super) fn tolerant(admin: &Rc<AdminQueue>, budget: Budget) -> Self {
        Self { vital: false, ..Self::new(admin, budget) }
    }

    pub(super) fn admin(&self) -> &Rc<AdminQueue> {
        &self.admin
    }

    /// Gives the work more time, for a part that has a deadline of its own: that deadline.
    pub(super) fn extend(&self, time: Duration) -> Moment {
        self.budget.set(self.budget.get().with_time(|all| all.saturating_add(time)));
        clock::now().after(time)
    }

    /// Takes back what was not used of an extension.
    pub(super) fn reclaim(&self, deadline: Moment) {
        let left = deadline.since(clock::now());
        self.budget.set(self.budget.get().with_time(|all| all.saturating_sub(left)));
    }

    /// Sends a command and waits for its answer. If there is none in time, its own or that of the budget, and the work is vital, or if
    /// the controller is found silent meanwhile, the queue is being disconnected when this returns.
    pub(super) async fn execute(&self, what: &'static str, command: Command) -> Result<Completion, Error> {
        self.command(what, command, None).await
    }

    async fn command(
        &self,
        what: &'static str,
        command: Command,
        buffer: Option<Window<'_>>,
    ) -> Result<Completion, Error> {
        let budget = self.budget.get().charged(clock::now(), what)?;
        self.budget.set(budget);
        let asked = self.admin.ask(what, command, buffer, Some(budget))?;
        let ended = poll_fn(|_| asked.outcome(&self.admin).map_or(Poll::Pending, Poll::Ready)).await;
        ended.inspect_err(|error| {
            if match error {
                Error::TimedOut(_) | Error::TooSlow { .. } => self.vital,
                Error::Silent { .. } => true,
                _ => false,
            } {
                self.admin.qpair().disconnect();
            }
        })
    }

    /// Lets time go by. The queue is polled meanwhile, for whatever else it has.
    pub(super) async fn pause_until(&self, end: Moment) {
        poll_fn(|_| if clock::now().has_reached(end) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Sends a command that the controller answers with a page of data, and waits for them.
    pub(super) async fn read_page(&self, what: &'static str, command: Command) -> Result<Box<Page>, Error> {
        let mut page = Box::<Page>::default();
        self.read(what, command, &mut page.0).await?;
        Ok(page)
    }

    /// Sends a command with these bytes for the controller, and waits for its answer.
    pub(super) async fn write(
        &self,
        what: &'static str,
        command: Command,
        data: &[u8],
    ) -> Result<Completion, Error> {
        let buffer = self.admin.buffer_for(data.len(), Access::RemoteRead)?;
        if !buffer.write(0, data) {
            return Err(Error::Internal("a command's data lie outside of their buffer"));
        }
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.command(what, command, Some(Window::of(&buffer, length))).await
    }

    /// Sends a command that the controller answers with so many bytes, and waits for them.
    pub(super) async fn read(
        &self,
        what: &'static str,
        command: Command,
        data: &mut [u8],
    ) -> Result<(), Error> {
        let outside = Error::Internal("a page lies outside of its buffer");
        let buffer = match self.page.take() {
            // Nobody else has it: no command is under way with it.
            Some(buffer) if Rc::strong_count(&buffer) == 1 && data.len() <= BUFFER_SIZE => buffer,
            _ => self.admin.buffer(BUFFER_SIZE.max(data.len()))?,
        };
        // A controller that writes nothing must not be credited with the page before.
        data.fill(0);
        if !buffer.write(0, data) {
            return Err(outside);
        }
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.command(what, command, Some(Window::of(&buffer, length))).await?;
        if !buffer.read(0, data) {
            return Err(outside);
        }
        if data.len() <= BUFFER_SIZE {
            self.page.set(Some(buffer));
        }
        Ok(())
    }
}

/// Lets a piece of work go on until it ends, polling its queue alone. None if `deadline` is over before: then it is cancelled.
pub(super) fn drive<T>(admin: &AdminQueue, deadline: Moment, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    clock::wait(deadline, || match work.as_mut().poll(&mut context) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => {
            admin.poll_and_look();
            None
        }
    })
}
