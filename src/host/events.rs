//! Asynchronous events (Base 2.0, 5.2): requests that stay with the controller until it has something to tell.
//!
//! What must hold: a request is armed again by each event and never once the controller goes (T118); a controller that
//! answers at once and for ever costs a few log lines in a period, and as many commands a poll as there are requests.

use super::{Controller, admin::AdminQueue, budget::Sparing};
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

impl Controller {
    /// Keeps one Asynchronous Event Request outstanding.
    pub(super) fn arm_async_event(&self) {
        if !self.takes_events() {
            return;
        }
        let me = self.share();
        let told = Rc::new(move |completion: &Completion| {
            if let Some(controller) = me.upgrade() {
                controller.async_event(completion);
            }
        });
        let admin = self.admin_queue();
        let armed = admin.submit(Command::async_event_request(), Payload::None, Completer::Shared(told));
        if let Err(error) = armed
            && self.events().lines.may_tell(clock::now())
        {
            tracing::warn!("{}: Asynchronous Event Request: {error}", admin.qpair().label());
        }
    }

    fn async_event(&self, completion: &Completion) {
        let label = self.admin_queue().qpair().label();
        let lines = &self.events().lines;
        if completion.is_success() {
            if lines.may_tell(clock::now()) {
                tracing::info!("{label}: asynchronous event {:#010x}", completion.cdw0());
            }
            self.arm_async_event();
        } else if self.takes_events() && lines.may_tell(clock::now()) {
            // It is not armed again: a controller that refuses one would refuse the next.
            let status = completion.status().name();
            tracing::warn!("{label}: Asynchronous Event Request was refused with {status}");
        }
    }
}
