//! Asynchronous events (Base 2.0, 5.2): requests that stay with the controller until it has something to tell.
//!
//! What must hold: a request is armed again by each event and never once the controller goes (T118); a controller that
//! answers at once and for ever costs a few log lines in a period, and as many commands a poll as there are requests.

use super::{admin::AdminQueue, budget::Sparing};
use crate::{
    clock,
    transport::{Completer, Payload},
};
use spec::{Command, Completion, Status};
use std::{cell::Cell, collections::VecDeque, rc::Rc};

/// Requests that are kept outstanding at most.
const REQUESTS: u32 = 4;

/// Events that wait for their listener at most: what one poll of the queue can bring, several times over.
const WAITING: usize = 256;

/// Ends that say nothing of the controller: its queue went, or it had a request more than it takes.
const SILENT: [Status; 2] = [Status::ABORTED_SQ_DELETION, Status::ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED];

/// Who hears of the events of a controller.
pub type EventListener = Rc<dyn Fn(&Completion)>;

/// What is kept for the events of one controller.
pub(super) struct Events {
    lines: Sparing,
    listener: Cell<Option<EventListener>>,
    /// Ends of requests that the listener has not heard of, in the order in which they came.
    waiting: Cell<VecDeque<Completion>>,
    /// The listener is being told: a poll from there does not tell it of the next.
    telling: Cell<bool>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            lines: Sparing::new(),
            listener: Cell::default(),
            waiting: Cell::default(),
            telling: Cell::new(false),
        }
    }

    /// Sets who hears of events; the last one counts.
    pub(super) fn listen(&self, listener: Option<EventListener>) {
        self.listener.set(listener);
    }

    /// Tells the listener of what has come by now; without one it is forgotten. Whoever is told may do anything; a poll from there
    /// tells of nothing, so that a controller that answers at once does not make one callback run in another without end.
    pub(super) fn tell(&self) {
        if self.telling.replace(true) {
            return;
        }
        let waiting = self.waiting.take();
        let count = waiting.len();
        self.waiting.set(waiting);
        for _ in 0..count {
            let mut waiting = self.waiting.take();
            let next = waiting.pop_front();
            self.waiting.set(waiting);
            let listener = self.listener.take();
            self.listener.set(listener.clone());
            if let (Some(completion), Some(listener)) = (next, listener) {
                listener(&completion);
            }
        }
        self.telling.set(false);
    }

    /// Keeps one Asynchronous Event Request outstanding; `told` hears of its end.
    pub(super) fn request(&self, admin: &AdminQueue, told: Rc<dyn Fn(&Completion)>) {
        let requested = admin.submit(Command::async_event_request(), Payload::None, Completer::Shared(told));
        if let Err(error) = requested
            && self.lines.may_tell(clock::now())
        {
            tracing::warn!("{}: Asynchronous Event Request: {error}", admin.qpair().label());
        }
    }

    /// Takes account of the end of a request, while others are `wanted`. Whether it was an event, so that a request is to
    /// take its place.
    pub(super) fn heard(&self, admin: &AdminQueue, completion: &Completion, wanted: bool) -> bool {
        let label = admin.qpair().label();
        if wanted && !SILENT.contains(&completion.status().with_dnr(false)) {
            let mut waiting = self.waiting.take();
            // More than that say nothing new: whoever is late has to look at all of its state.
            if waiting.len() < WAITING && waiting.try_reserve(1).is_ok() {
                waiting.push_back(*completion);
            }
            self.waiting.set(waiting);
        }
        if completion.is_success() {
            if self.lines.may_tell(clock::now()) {
                tracing::info!("{label}: asynchronous event {:#010x}", completion.cdw0());
            }
        } else if wanted && self.lines.may_tell(clock::now()) {
            // It is not requested again: a controller that refuses one would refuse the next.
            let status = completion.status().name();
            tracing::warn!("{label}: Asynchronous Event Request was refused with {status}");
        }
        completion.is_success()
    }

    /// Says how many events got no line, once a flood of them is over or has lasted for a period.
    pub(super) fn sum_up(&self, admin: &AdminQueue) {
        if let Some(count) = self.lines.sum_up(clock::now()) {
            tracing::info!("{}: {count} more asynchronous events were not logged", admin.qpair().label());
        }
    }
}

/// How many requests a controller with this AERL (zero-based) gets: so many that even the queue of a small device has room
/// for a command beside them. Room for a Keep Alive is reserved apart.
pub(super) fn requests(aerl: u8, admin: &AdminQueue) -> u32 {
    REQUESTS.min(u32::from(aerl) + 1).min(admin.qpair().depth().saturating_sub(1))
}
