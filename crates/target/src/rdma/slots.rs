//! Request slots and work request ids of a connection.
//!
//! A slot is taken when a command is executed and free again when its response's work request has completed, so that a
//! response in flight is never overwritten. There are more slots than commands, since a host may send its next command
//! before we hear that our answer arrived.

use spec::{Command, Completion};
use verbs::{RegisteredMemory, Segment};

use crate::core::Remote;

/// The longest buffer that a slot keeps for the next time, in bytes.
const KEPT_BUFFER: usize = 128 << 10;

/// Which work request of which slot or receive a completion belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token {
    /// The receive with this index.
    Receive(usize),
    /// The data transfer of this slot.
    Data(usize),
    /// The response of this slot.
    Response(usize),
}

impl Token {
    pub(super) fn encode(self) -> u64 {
        let (kind, index) = match self {
            Token::Receive(index) => (1, index),
            Token::Data(index) => (2, index),
            Token::Response(index) => (3, index),
        };
        kind << 32 | index as u64
    }

    pub(super) fn decode(id: u64) -> Option<Token> {
        let index = (id & 0xffff_ffff) as usize;
        match id >> 32 {
            1 => Some(Token::Receive(index)),
            2 => Some(Token::Data(index)),
            3 => Some(Token::Response(index)),
            _ => None,
        }
    }
}

/// What follows a fetch.
#[derive(Clone, Debug)]
pub(super) enum Then {
    Respond(Completion),
    Connect(Box<Command>),
}

/// Where a slot's request stands.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    Free,
    /// Answered later, by the core.
    Held,
    /// Waits for its turn to read, or reads.
    Fetching {
        segment: Segment,
        remote: Remote,
        then: Then,
    },
    /// The response is ready, but responses are withheld.
    Withheld,
    /// The response is posted.
    Responding,
}

pub(super) struct Slot {
    pub stage: Stage,
    pub cid: u16,
    /// The command is one of an I/O command set.
    pub is_io: bool,
    /// Work requests posted and not completed.
    pub posted: u8,
    /// The slot's response work request carries an invalidation.
    pub invalidates: bool,
    /// Memory for bytes that are no blocks; kept for the next time.
    pub buffer: Option<RegisteredMemory>,
}

/// All slots of a connection.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

impl Slots {
    pub(super) fn new(count: usize) -> Slots {
        let slot =
            || Slot { stage: Stage::Free, cid: 0, is_io: false, posted: 0, invalidates: false, buffer: None };
        Slots { slots: std::iter::repeat_with(slot).take(count).collect(), free: (0..count).rev().collect() }
    }

    pub(super) fn take(&mut self) -> Option<usize> {
        self.free.pop()
    }

    /// A command takes its slot.
    pub(super) fn start(&mut self, index: usize, cid: u16, is_io: bool) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.cid = cid;
            slot.is_io = is_io;
            slot.stage = Stage::Held;
        }
    }

    pub(super) fn release(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.stage = Stage::Free;
            slot.posted = 0;
            // Pages are small but for a host that asks for a huge log page; that memory is not kept.
            if slot.buffer.as_ref().is_some_and(|buffer| buffer.length() > KEPT_BUFFER) {
                slot.buffer = None;
            }
            self.free.push(index);
        }
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Slot> {
        self.slots.get_mut(index)
    }

    pub(super) fn is_io(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(|slot| slot.is_io)
    }

    pub(super) fn stage(&self, index: usize) -> Option<&Stage> {
        self.slots.get(index).map(|slot| &slot.stage)
    }

    pub(super) fn set_stage(&mut self, index: usize, stage: Stage) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.stage = stage;
        }
    }

    /// One more work request of this slot is posted.
    pub(super) fn posted(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.posted = slot.posted.saturating_add(1);
        }
    }

    /// Whether the slot's response work request must be rewritten: it invalidates a key, or did so the last time.
    pub(super) fn changes_invalidation(&mut self, index: usize, invalidates: bool) -> bool {
        let Some(slot) = self.slots.get_mut(index) else { return false };
        std::mem::replace(&mut slot.invalidates, invalidates) || invalidates
    }

    /// A command id below `entries` that no unanswered request has, the highest one; 0xfffe when there is none.
    pub(super) fn idle_cid(&self, entries: u16) -> u16 {
        let active = |cid: u16| {
            let unanswered = |slot: &Slot| !matches!(slot.stage, Stage::Free | Stage::Responding);
            self.slots.iter().any(|slot| slot.cid == cid && unanswered(slot))
        };
        (0..entries).rev().find(|cid| !active(*cid)).unwrap_or(0xfffe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_checked() {
        for token in [Token::Receive(0), Token::Data(7), Token::Response(0xffff_ffff)] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
        assert_eq!(Token::decode(0), None);
        assert_eq!(Token::decode(4 << 32), None);
    }

    #[test]
    fn an_idle_cid_is_of_no_unanswered_request() {
        let mut slots = Slots::new(4);
        assert_eq!(slots.idle_cid(2), 1);
        let slot = slots.take().unwrap();
        slots.start(slot, 1, true);
        assert_eq!(slots.idle_cid(2), 0);
        let other = slots.take().unwrap();
        slots.start(other, 0, true);
        assert_eq!(slots.idle_cid(2), 0xfffe);
        slots.release(slot);
        assert_eq!(slots.idle_cid(2), 1);
    }
}
