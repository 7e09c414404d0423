//! Asynchronous events (Base 2.0, 5.2): requests that stay with the controller until it has something to tell.
//!
//! What must hold: a request is armed again by each event and never once the controller goes (T118); a controller that
//! answers at once and for ever costs a few log lines in a period, and as many commands a poll as there are requests.

use super::{admin::AdminQueue, budget::Sparing};
use crate::{
    clock,
    transport::{Completer, Payload},
};
use spec::{Command, Completion};
use std::rc::Rc;

/// Requests that are kept outstanding at most.
const REQUESTS: u32 = 4;

/// What is kept for the events of one controller.
pub(super) struct Events {
    lines: Sparing,
}

impl Events {
    pub(super) fn new() -> Self {
        Self { lines: Sparing::new() }
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
