//! What is left of a connection once its memory is safe: a CM id whose peer has not answered the disconnect yet.
//!
//! Nobody waits for a dead peer one by one. A qpair that is freed goes as soon as the device has none of its work
//! requests; what the peer may still owe is the answer to the CM's disconnect, and that can be waited for elsewhere,
//! for all at once. The id lives until then, since the CM repeats a disconnect only as long as there is an id.
//!
//! A parting holds no memory that a device knows: queue pair, registrations and poller share were released before it.

use crate::clock::Moment;
use std::sync::Arc;
use verbs::{CmEventKind, CmId, EventChannel};

/// A CM id on its last way. Dropping it destroys the id, whether the peer has answered or not.
pub struct Parting {
    // Field order is release order: the id reports to the channel.
    id: Arc<CmId>,
    channel: Arc<EventChannel>,
    deadline: Moment,
}

impl Parting {
    pub(super) fn new(id: Arc<CmId>, channel: Arc<EventChannel>, deadline: Moment) -> Self {
        Self { id, channel, deadline }
    }

    /// Whether there is nothing to wait for any more: the peer answered, the device is going, the events cannot be
    /// read, or the deadline is over. Never blocks.
    pub fn is_over(&self, now: Moment) -> bool {
        // What was heard comes before the deadline, and what can wait is bounded: a channel serves this one id.
        for _ in 0..EVENTS_AT_A_TIME {
            match self.channel.next_event() {
                Ok(Some(event)) => match event.kind {
                    CmEventKind::Disconnected | CmEventKind::DeviceRemoval | CmEventKind::TimewaitExit => {
                        return true;
                    }
                    _ => {}
                },
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!("the end of CM id {:#x}: {error}", self.id.key());
                    return true;
                }
            }
        }
        now.has_reached(self.deadline)
    }
}

/// Events that are read in one look. An id at its end has two or three.
const EVENTS_AT_A_TIME: usize = 16;
