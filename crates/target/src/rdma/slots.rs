//! Request slots and work request ids of a connection.
//!
//! A slot is taken when a command is executed and free again when its response's work request has completed, so that a
//! response in flight is never overwritten. There are more slots than commands, since a host may send its next command
//! before we hear that our answer arrived.
//!
//! A slot has a work request for data and one for the response. Data in several pieces takes more: spare ones, which all
//! slots share. What must hold: a work request is posted only after it completed, and a slot with data that is not posted
//! yet waits for reads before it or has its own work request under way, whose completion brings it on. So every transfer
//! ends, however few spare ones there are.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use spec::{Command, Completion};
use verbs::{Access, ProtectionDomain, RegisteredMemory, Segment};

use super::connection::Fused;
use super::transfer::Transfer;
use crate::core::{Extent, Piece, Protection};

/// The longest buffer that a slot keeps for the next time, in bytes.
const KEPT_BUFFER: usize = 128 << 10;

/// Which work request of which slot or receive a completion belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token {
    /// The receive with this index.
    Receive(usize),
    /// Data of this slot, by its own work request.
    Data(usize),
    /// The response of this slot.
    Response(usize),
    /// Data of some slot, by the spare work request with this index.
    Spare(usize),
}

impl Token {
    pub(super) fn encode(self) -> u64 {
        let (kind, index) = match self {
            Token::Receive(index) => (1, index),
            Token::Data(index) => (2, index),
            Token::Response(index) => (3, index),
            Token::Spare(index) => (4, index),
        };
        kind << 32 | index as u64
    }

    pub(super) fn decode(id: u64) -> Option<Token> {
        let index = (id & 0xffff_ffff) as usize;
        match id >> 32 {
            1 => Some(Token::Receive(index)),
            2 => Some(Token::Data(index)),
            3 => Some(Token::Response(index)),
            4 => Some(Token::Spare(index)),
            _ => None,
        }
    }

    /// The place of the work request in the ring of receives, or in that of sends, where the spare ones are behind those of
    /// so many slots.
    pub(super) fn place(self, slots: usize) -> usize {
        match self {
            Token::Receive(index) => index,
            Token::Data(slot) => 2 * slot,
            Token::Response(slot) => 2 * slot + 1,
            Token::Spare(index) => 2 * slots + index,
        }
    }
}

/// What follows a fetch.
#[derive(Clone, Debug)]
pub(super) enum Then {
    Respond(Completion),
    Connect(Box<Command>),
    /// Compare it with this, and answer.
    Compare {
        extent: Extent,
        completion: Completion,
    },
    /// Give so many bytes to the core.
    Supply {
        command: Box<Command>,
        length: usize,
    },
    /// Check it and write it, or compare it, and answer.
    Protect {
        extent: Extent,
        protection: Protection,
        compares: bool,
        completion: Completion,
    },
    /// It belongs to two commands.
    Fused(Box<Fused>),
}

/// A command that waits, with what came behind it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub command: Command,
    pub behind: Vec<u8>,
}

/// Where a slot's request stands.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    Free,
    /// Answered or executed later, when the core says so.
    Held,
    /// Waits for its turn to read, or reads.
    Fetching {
        then: Then,
        invalidate: Option<u32>,
    },
    /// Writes, and some of it is not posted yet; the response goes behind it.
    Sending {
        completion: Completion,
        invalidate: Option<u32>,
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
    pub posted: u16,
    /// The round in which the slot's own work request for data was pushed, if it is one of them.
    own_posted: Option<u64>,
    /// The same of its response.
    response: Option<u64>,
    /// The data that is not posted yet.
    transfer: Transfer,
    /// The slot's response work request carries an invalidation.
    pub invalidates: bool,
    /// Memory for bytes that do not go straight from or to a store; kept for the next time.
    pub buffer: Option<RegisteredMemory>,
    /// The store that its data is moved from or to.
    pub store: Option<Rc<RegisteredMemory>>,
    /// The command, while it is held.
    pub kept: Option<Box<Kept>>,
    /// The key that the response is to invalidate, of data that came some time before it.
    pub invalidate_later: Option<u32>,
}

/// A part of a slot's data, and the work request for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Part {
    pub token: Token,
    pub local: Segment,
    pub remote: Piece,
}

/// All slots of a connection.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// For each spare work request the slot that it is posted for, and the round in which it was pushed.
    spares: Vec<Option<(usize, u64)>>,
    free_spares: Vec<usize>,
    /// What is pushed in a round is posted at its end, and can complete only then. A device that completes a work request twice would
    /// otherwise make it free while it waits to be posted again.
    round: Cell<u64>,
}

impl Slots {
    pub(super) fn new(count: usize, spares: usize) -> Slots {
        let slot = || Slot {
            stage: Stage::Free,
            cid: 0,
            is_io: false,
            posted: 0,
            own_posted: None,
            response: None,
            transfer: Transfer::default(),
            invalidates: false,
            buffer: None,
            store: None,
            kept: None,
            invalidate_later: None,
        };
        Slots {
            slots: std::iter::repeat_with(slot).take(count).collect(),
            free: (0..count).rev().collect(),
            spares: vec![None; spares],
            free_spares: (0..spares).rev().collect(),
            round: Cell::new(0),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn take(&mut self) -> Option<usize> {
        self.free.pop()
    }

    /// What was pushed so far is posted.
    pub(super) fn end_round(&self) {
        self.round.set(self.round.get().wrapping_add(1));
    }

    /// Whether what was pushed in that round may have completed.
    fn is_out(&self, pushed: Option<u64>) -> bool {
        pushed.is_some_and(|round| round != self.round.get())
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
            slot.response = None;
            slot.kept = None;
            slot.store = None;
            slot.invalidate_later = None;
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

    /// The stage, which is the caller's to go on from.
    pub(super) fn take_stage(&mut self, index: usize) -> Option<Stage> {
        self.slots.get_mut(index).map(|slot| std::mem::replace(&mut slot.stage, Stage::Held))
    }

    /// The slot's own memory, if it has any.
    pub(super) fn buffer(&self, index: usize) -> Option<&RegisteredMemory> {
        self.slots.get(index)?.buffer.as_ref()
    }

    /// The slot's own memory, made to be as long as this at least.
    pub(super) fn room(
        &mut self,
        index: usize,
        length: usize,
        domain: &Arc<ProtectionDomain>,
    ) -> Option<&RegisteredMemory> {
        let place = self.slots.get_mut(index)?;
        if place.buffer.as_ref().is_none_or(|buffer| buffer.length() < length) {
            let length = length.max(1).checked_next_multiple_of(4096)?;
            let buffer = RegisteredMemory::new(domain, length, Access::LocalWrite);
            place.buffer = Some(buffer.inspect_err(|error| tracing::error!(%error, "buffer")).ok()?);
        }
        place.buffer.as_ref()
    }

    /// The slot has data to move.
    pub(super) fn set_transfer(&mut self, index: usize, transfer: Transfer) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.transfer = transfer;
        }
    }

    /// Whether all of the slot's data is posted.
    pub(super) fn is_all_posted(&self, index: usize) -> bool {
        self.slots.get(index).is_none_or(|slot| slot.transfer.is_done())
    }

    /// Whether all of the slot's data is posted and completed, before there is a response.
    pub(super) fn has_all(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(|slot| slot.transfer.is_done() && slot.posted == 0)
    }

    /// The next part of the slot's data, which is to be posted now. None if all is posted, or if there is no work request
    /// for it before one of the slot's own has completed.
    pub(super) fn next_part(&mut self, index: usize) -> Option<Part> {
        let round = self.round.get();
        let slot = self.slots.get_mut(index).filter(|slot| !slot.transfer.is_done())?;
        let token = if slot.own_posted.is_some() {
            Token::Spare(*self.free_spares.last()?)
        } else {
            Token::Data(index)
        };
        let (local, remote) = slot.transfer.next()?;
        match token {
            Token::Spare(spare) => {
                self.free_spares.pop();
                *self.spares.get_mut(spare)? = Some((index, round));
            }
            _ => slot.own_posted = Some(round),
        }
        slot.posted = slot.posted.saturating_add(1);
        Some(Part { token, local, remote })
    }

    /// One of the work requests for data has completed: the slot that it was for. None if it was not posted.
    pub(super) fn part_completed(&mut self, token: Token) -> Option<usize> {
        let (index, pushed) = match token {
            Token::Data(index) => (index, self.slots.get(index)?.own_posted),
            Token::Spare(spare) => (*self.spares.get(spare)?).map(|(index, round)| (index, Some(round)))?,
            _ => return None,
        };
        if !self.is_out(pushed) {
            return None;
        }
        let slot = self.slots.get_mut(index)?;
        slot.posted = slot.posted.checked_sub(1)?;
        match token {
            Token::Spare(spare) => {
                self.spares.get_mut(spare)?.take();
                self.free_spares.push(spare);
            }
            _ => slot.own_posted = None,
        }
        Some(index)
    }

    /// The slot's response is pushed.
    pub(super) fn response_posted(&mut self, index: usize) {
        let round = self.round.get();
        if let Some(slot) = self.slots.get_mut(index) {
            slot.posted = slot.posted.saturating_add(1);
            slot.response = Some(round);
        }
    }

    /// A response has completed: its slot is free. False if it was not posted.
    #[must_use]
    pub(super) fn response_completed(&mut self, index: usize) -> bool {
        let is_out = self.slots.get(index).is_some_and(|slot| self.is_out(slot.response));
        if is_out {
            self.release(index);
        }
        is_out
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
    use crate::core::Remote;

    #[test]
    fn tokens_are_checked() {
        for token in [Token::Receive(0), Token::Data(7), Token::Response(0xffff_ffff), Token::Spare(2)] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
        assert_eq!(Token::decode(0), None);
        assert_eq!(Token::decode(5 << 32), None);
    }

    #[test]
    fn each_work_request_has_its_place() {
        let sends = (0..3).flat_map(|slot| [Token::Data(slot), Token::Response(slot)]);
        let places = sends.chain((0..2).map(Token::Spare)).map(|token| token.place(3));
        assert!(places.eq(0..8));
    }

    /// Data in pieces of one byte.
    fn transfer(pieces: usize) -> Transfer {
        let piece = Piece { address: 0, length: 1, key: 0 };
        let remote = Remote { first: piece, rest: vec![piece; pieces - 1], invalidate: None };
        Transfer::new(Segment { address: 0, length: pieces as u32, local_key: 0 }, remote)
    }

    /// The next part is posted.
    fn next(slots: &mut Slots, slot: usize) -> Option<Token> {
        let token = slots.next_part(slot).map(|part| part.token);
        slots.end_round();
        token
    }

    #[test]
    fn what_waits_to_be_posted_has_not_completed() {
        let mut slots = Slots::new(1, 1);
        slots.set_transfer(0, transfer(4));
        for _ in 0..2 {
            assert_eq!(next(&mut slots, 0), Some(Token::Data(0)));
            assert_eq!(next(&mut slots, 0), Some(Token::Spare(0)));
            for token in [Token::Data(0), Token::Spare(0)] {
                assert_eq!(slots.part_completed(token), Some(0));
                assert_eq!(slots.part_completed(token), None, "{token:?} once more");
            }
        }
        // Pushed again, in the poll in which they completed.
        slots.set_transfer(0, transfer(2));
        let pushed = [slots.next_part(0), slots.next_part(0)].map(|part| part.unwrap().token);
        for token in pushed {
            assert_eq!(slots.part_completed(token), None, "{token:?} once more");
        }
        slots.end_round();
        assert_eq!(pushed.map(|token| slots.part_completed(token)), [Some(0); 2]);
        slots.response_posted(0);
        assert!(!slots.response_completed(0));
        slots.end_round();
        assert!(slots.response_completed(0) && !slots.response_completed(0));
    }

    #[test]
    fn spare_work_requests_are_shared_and_come_back() {
        let mut slots = Slots::new(2, 1);
        slots.set_transfer(0, transfer(4));
        slots.set_transfer(1, transfer(2));
        assert_eq!(next(&mut slots, 0), Some(Token::Data(0)));
        assert_eq!(next(&mut slots, 0), Some(Token::Spare(0)));
        assert_eq!(next(&mut slots, 0), None, "there is but one");
        assert_eq!(next(&mut slots, 1), Some(Token::Data(1)), "its own is always there");
        assert_eq!(next(&mut slots, 1), None);
        assert_eq!(slots.part_completed(Token::Spare(0)), Some(0));
        assert_eq!(next(&mut slots, 1), Some(Token::Spare(0)));
        assert!(slots.is_all_posted(1) && !slots.is_all_posted(0));
        assert_eq!(slots.part_completed(Token::Data(0)), Some(0));
        assert_eq!(next(&mut slots, 0), Some(Token::Data(0)));
        assert_eq!(slots.part_completed(Token::Spare(0)), Some(1));
        assert_eq!(slots.part_completed(Token::Data(0)), Some(0));
        assert_eq!(next(&mut slots, 0), Some(Token::Data(0)));
        assert!(slots.is_all_posted(0));
        assert_eq!(next(&mut slots, 0), None);
        assert_eq!(slots.get_mut(0).unwrap().posted, 1);
    }

    #[test]
    fn without_spare_work_requests_a_transfer_takes_its_own_again_and_again() {
        let mut slots = Slots::new(1, 0);
        slots.set_transfer(0, transfer(3));
        for _ in 0..3 {
            assert_eq!(next(&mut slots, 0), Some(Token::Data(0)));
            assert_eq!(next(&mut slots, 0), None);
            assert_eq!(slots.part_completed(Token::Data(0)), Some(0));
        }
        assert!(slots.is_all_posted(0));
    }

    #[test]
    fn what_was_not_posted_cannot_complete() {
        let mut slots = Slots::new(2, 2);
        slots.set_transfer(0, transfer(2));
        for _ in 0..2 {
            for token in [Token::Data(0), Token::Data(1), Token::Data(2), Token::Spare(1), Token::Spare(2)] {
                assert_eq!(slots.part_completed(token), None, "{token:?}");
            }
            assert_eq!(next(&mut slots, 0), Some(Token::Data(0)));
            assert_eq!(next(&mut slots, 0), Some(Token::Spare(0)));
            assert_eq!(slots.part_completed(Token::Spare(0)), Some(0));
            assert_eq!(slots.part_completed(Token::Data(0)), Some(0));
            slots.set_transfer(0, transfer(2));
        }
    }

    #[test]
    fn an_idle_cid_is_of_no_unanswered_request() {
        let mut slots = Slots::new(4, 0);
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
