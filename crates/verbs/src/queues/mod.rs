//! The hot room: queues whose work requests are prepared once, and that post to whatever queue pair has their seat.
//!
//! A [`SendQueue`] has slots of two cache lines: the command that the device reads, and what its user keeps of the request. Slots
//! are on lists that are linked by address, so that taking one costs no look-up. A [`ReceiveQueue`] is a ring: receives of a
//! reliable connection complete in the order in which they were posted, so the oldest that is out is the one that comes next.
//! [`SharedReceives`] are for several queue pairs, and complete in any order.
//!
//! Queues live longer than queue pairs. A [`Seat`] says where they post to and poll; the [`SeatedQueuePair`] that took it empties
//! it when it ends, and from then on posting is refused and polling finds nothing.
//!
//! What must hold, and makes the face of this module safe:
//!
//! - Slots and responses lie in [`Memory`] that a queue alone has: it takes the only share of it. So nobody else reads or writes
//!   there, but for the device, which gets commands to read and responses to write, and neither is ever reached by reference.
//! - A link is null, or the address of a slot of the same queue. Slots stay where they are; where a queue is
//!   given [new memory](SendQueue::renew), the old is kept for good.
//! - A work request is the device's no longer than the call that posts it (InfiniBand Architecture 1, 11.4.1.1: the verb consumes
//!   the request). So one serves all slots, another those with a segment whose key is known, and a short row of them those that are
//!   put off; id, addresses and lengths alone are written for each.
//! - What a work request names is memory that is registered, or a key that the device refuses. A [`Registration`] keeps the memory
//!   that it registers, and it goes with a [`SeatedQueuePair`], which gives it back once the queue pair is destroyed ([`Ended`]).
//!   That of a shared receive queue goes when that is destroyed, which is after its queue pairs.
//! - A seat is filled by a queue pair that is alive, and is emptied before that is destroyed or given up.
//! - Everything here is one thread's at a time: no type of this module is `Send`, and a queue pair that was seated is not either.

mod receive;
mod seat;
mod send;
mod shared;

pub use receive::{RESPONSE_SIZE, ReceiveQueue};
pub use seat::{Ended, Seat, SeatedQueuePair};
pub use send::{COMMAND_WORDS, SendQueue, Slot};
pub use shared::SharedReceives;

use crate::{Access, Error, Memory, ProtectionDomain, RegisteredMemory};
use std::{rc::Rc, sync::Arc};

/// The registration of a queue's memory with a device. It keeps the memory, and says nothing of it but its key.
#[derive(Debug)]
pub struct Registration(RegisteredMemory);

impl Registration {
    fn of(memory: &Rc<Memory>, domain: &Arc<ProtectionDomain>, access: Access) -> Result<Self, Error> {
        RegisteredMemory::of(memory, domain, access).map(Self)
    }

    fn local_key(&self) -> u32 {
        self.0.local_key()
    }
}

/// The one share of `memory`, if it is as long as `needed`; EINVAL if somebody else has one, too.
fn sole(memory: Rc<Memory>, needed: usize) -> Result<Rc<Memory>, Error> {
    let fits = Rc::strong_count(&memory) == 1 && Rc::weak_count(&memory) == 0 && memory.length() >= needed;
    if fits { Ok(memory) } else { Err(Error::new("taking memory for a queue", libc::EINVAL)) }
}

#[cfg(test)]
mod tests;
