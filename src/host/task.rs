//! Work of several admin commands in a row, written as `async fn` and polled by hand: there is no executor and nothing waits.
//!
//! A task is polled when the program polls the Admin Queue, after what that delivers. Dropping it cancels it: answers own their
//! buffers. What must hold: a task keeps its controller only while it is polled, so that it never keeps one alive; no list is borrowed
//! while a task runs, since it may call the program, which may begin another task or poll again.

use super::{Controller, CopiedData, Error};
use crate::transport;
use spec::{Command, Completion};
use std::{
    cell::Cell,
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

/// The tasks of one controller.
#[derive(Default)]
pub(super) struct Tasks {
    waiting: Cell<VecDeque<Task>>,
    /// How often all were cancelled: one that is being polled then is not put back.
    cancelled: Cell<u32>,
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// A task's way to its controller's Admin Queue.
#[derive(Clone)]
pub(super) struct Queue(Weak<Controller>);

/// What came back of a task's command.
pub(super) struct Answer {
    pub(super) completion: Completion,
    /// What the controller gave; empty if the command failed.
    pub(super) data: Vec<u8>,
}

/// A command that was sent, and whose answer comes.
pub(super) struct Sent(Rc<Cell<Option<Answer>>>);

impl Tasks {
    /// Begins a task. It is polled with the others, not before.
    pub(super) fn begin(&self, task: impl Future<Output = ()> + 'static) {
        self.put_back(Box::pin(task));
    }

    /// Polls each task that there is by now, once. All but the one that is polled are in their place meanwhile, for whoever polls
    /// from its callback.
    pub(super) fn poll(&self) {
        let mut context = Context::from_waker(Waker::noop());
        let waiting = self.waiting.take();
        let count = waiting.len();
        self.waiting.set(waiting);
        for _ in 0..count {
            let mut waiting = self.waiting.take();
            let next = waiting.pop_front();
            self.waiting.set(waiting);
            let Some(mut task) = next else { return };
            let cancelled = self.cancelled.get();
            if task.as_mut().poll(&mut context).is_pending() && self.cancelled.get() == cancelled {
                self.put_back(task);
            }
        }
    }

    /// Cancels all.
    pub(super) fn cancel(&self) {
        self.cancelled.set(self.cancelled.get().wrapping_add(1));
        drop(self.waiting.take());
    }

    fn put_back(&self, task: Task) {
        let mut waiting = self.waiting.take();
        waiting.push_back(task);
        self.waiting.set(waiting);
    }
}

impl Queue {
    pub(super) fn of(controller: &Rc<Controller>) -> Self {
        Self(Rc::downgrade(controller))
    }

    /// Sends a command that the controller answers with `length` bytes. An error says that it was not sent.
    pub(super) fn send(&self, command: Command, length: u32) -> Result<Sent, Error> {
        self.send_with(command, CopiedData::Room(length))
    }

    /// Sends a command with these data. An error says that it was not sent.
    pub(super) fn send_with(&self, command: Command, data: CopiedData<'_>) -> Result<Sent, Error> {
        let answer = Rc::new(Cell::new(None));
        let told = answer.clone();
        let mut room = Vec::new();
        if let CopiedData::Room(length) = data {
            room.try_reserve_exact(length as usize).map_err(|_| Error::NoMemory)?;
        }
        let room = Cell::new(room);
        let controller = self.0.upgrade().ok_or(Error::ControllerFailed)?;
        controller.submit_admin_copied(
            command,
            data,
            std::ptr::null_mut(),
            move |completion, received| {
                let mut data = room.take();
                received.chunks(|_, chunk| data.extend_from_slice(chunk));
                told.set(Some(Answer { completion: *completion, data }));
            },
        )?;
        Ok(Sent(answer))
    }

    /// As [`Queue::send`], and waits for the command's end, whatever that is.
    pub(super) async fn read(&self, command: Command, length: u32) -> Result<Answer, Error> {
        Ok(self.send(command, length)?.answer().await)
    }

    /// As [`Queue::send_with`], if the controller may have it, and waits for the command's end; before that for a request, if none is
    /// free: those that there are end some time.
    pub(super) async fn run(
        &self,
        command: Command,
        data: CopiedData<'_>,
        may: impl Fn(&Controller) -> Result<(), Error>,
    ) -> Result<Completion, Error> {
        let send = || {
            may(&*self.0.upgrade().ok_or(Error::ControllerFailed)?)?;
            self.send_with(command, data)
        };
        let sent = poll_fn(|_| match send() {
            Err(Error::Transport(transport::Error::NoRequests)) => Poll::Pending,
            sent => Poll::Ready(sent),
        });
        Ok(sent.await?.answer().await.completion)
    }
}

impl Sent {
    /// Waits for the end of the command.
    pub(super) async fn answer(self) -> Answer {
        poll_fn(move |_| self.0.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task that ends when told, and what becomes of it.
    struct Probe {
        ends: Rc<Cell<bool>>,
        ended: Rc<Cell<bool>>,
    }

    fn begin(tasks: &Tasks, then: impl FnOnce() + 'static) -> Probe {
        let probe = Probe { ends: Rc::default(), ended: Rc::default() };
        let (ends, ended) = (probe.ends.clone(), probe.ended.clone());
        let mut then = Some(then);
        tasks.begin(async move {
            poll_fn(|_| if ends.get() { Poll::Ready(()) } else { Poll::Pending }).await;
            ended.set(true);
            if let Some(then) = then.take() {
                then();
            }
        });
        probe
    }

    /// A callback that waits for another task finds it; one that ends the controller is the last that is heard of.
    #[test]
    fn a_task_may_poll_and_cancel_the_others() {
        let tasks = Rc::new(Tasks::default());
        let first = begin(&tasks, || {});
        let (again, ends) = (tasks.clone(), first.ends.clone());
        let ended = first.ended.clone();
        let second = begin(&tasks, move || {
            ends.set(true);
            again.poll();
            assert!(ended.get(), "the first one was found");
        });
        tasks.poll();
        assert!(!first.ended.get() && !second.ended.get());
        second.ends.set(true);
        tasks.poll();
        assert!(second.ended.get());

        let pending = begin(&tasks, || {});
        let all = tasks.clone();
        let canceller = begin(&tasks, move || all.cancel());
        let late = begin(&tasks, || {});
        canceller.ends.set(true);
        late.ends.set(true);
        tasks.poll();
        pending.ends.set(true);
        tasks.poll();
        assert!(canceller.ended.get() && !pending.ended.get() && !late.ended.get());
        assert_eq!(Rc::strong_count(&pending.ends), 1, "it is gone");
    }
}
