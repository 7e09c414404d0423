//! Work of several admin commands in a row, written as `async fn` and polled by hand: there is no executor and nothing waits.
//!
//! A task is polled when the program polls the Admin Queue, after what that delivers. Dropping it cancels it: answers own their
//! buffers. What must hold: a task keeps its controller only while it is polled, so that it never keeps one alive; no list is borrowed
//! while a task runs, since it may call the program, which may begin another task or poll again.

use super::{Controller, CopiedData, Error};
use spec::{Command, Completion};
use std::{
    cell::Cell,
    future::poll_fn,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

/// The tasks of one controller.
#[derive(Default)]
pub(super) struct Tasks(Cell<Vec<Pin<Box<dyn Future<Output = ()>>>>>);

/// A task's way to its controller's Admin Queue.
#[derive(Clone)]
pub(super) struct Queue(Weak<Controller>);

/// What came back of a task's command.
pub(super) struct Answer {
    pub(super) completion: Completion,
    /// What the controller gave; empty if the command failed.
    pub(super) data: Vec<u8>,
}

impl Tasks {
    /// Begins a task: it is polled with the others from now on.
    pub(super) fn begin(&self, task: impl Future<Output = ()> + 'static) {
        let mut tasks = self.0.take();
        tasks.push(Box::pin(task));
        self.0.set(tasks);
    }

    /// Polls each task that there is.
    pub(super) fn poll(&self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut tasks = self.0.take();
        tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        // Those that began meanwhile are behind them.
        tasks.append(&mut self.0.take());
        self.0.set(tasks);
    }

    /// Cancels all.
    pub(super) fn cancel(&self) {
        drop(self.0.take());
    }
}

impl Queue {
    pub(super) fn of(controller: &Rc<Controller>) -> Self {
        Self(Rc::downgrade(controller))
    }

    /// Sends a command that the controller answers with up to `length` bytes, and waits for its end, whatever that is. An error
    /// says that it was not sent.
    pub(super) async fn read(&self, command: Command, length: u32) -> Result<Answer, Error> {
        let answer = Rc::new(Cell::new(None));
        let told = answer.clone();
        let mut room = Vec::new();
        room.try_reserve_exact(length as usize).map_err(|_| Error::NoMemory)?;
        let room = Cell::new(room);
        let controller = self.0.upgrade().ok_or(Error::ControllerFailed)?;
        controller.submit_admin_copied(command, CopiedData::Room(length), move |completion, received| {
            let mut data = room.take();
            received.chunks(|_, chunk| data.extend_from_slice(chunk));
            told.set(Some(Answer { completion: *completion, data }));
        })?;
        drop(controller);
        Ok(poll_fn(move |_| answer.take().map_or(Poll::Pending, Poll::Ready)).await)
    }
}
