//! Commands whose data is looked at before anything comes of it: it is brought into the slot's own memory first.
//!
//! What must hold: between the look at the data and what is done about it no other command is executed.

use std::rc::Rc;

use spec::{Command, Completion, Status};
use verbs::{Memory, Segment};

use super::protected::ended;
use super::{Capsule, Connection, Turn};
use crate::core::protection::forget;
use crate::core::{Change, CompareAndWrite, Extent, How, Remote, Source};
use crate::rdma::io::{Failure, pieces, zero};
use crate::rdma::slots::{Kept, Stage, Then};

/// A fused Compare and Write on its way.
#[derive(Clone, Debug)]
pub(in crate::rdma) struct Fused {
    /// The slots of both commands, the extent and the answers.
    first: usize,
    second: usize,
    extent: Extent,
    completions: [Completion; 2],
    /// Where each one's data is to be fetched from, unless that is done.
    fetches: [Option<Remote>; 2],
}

impl Connection {
    /// Keeps a command, and what came behind it, for later.
    pub(super) fn keep(&mut self, slot: usize, command: &Command, capsule: Capsule<'_>) {
        let mut behind = vec![0; capsule.length()];
        self.read_capsule(capsule, spec::command::COMMAND_SIZE, &mut behind);
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.kept = Some(Box::new(Kept { command: *command, behind }));
            slot.stage = Stage::Held;
        }
    }

    /// Does what is to be done with a command that was kept. One that is not there any more was dealt with.
    pub(super) fn release(&mut self, turn: &mut Turn<'_>, slot: usize, how: How) -> Result<(), Failure> {
        let Some(place) = self.slots.get_mut(slot).filter(|slot| matches!(slot.stage, Stage::Held)) else {
            return Ok(());
        };
        let kept = place.kept.take();
        match (how, kept) {
            (How::Answer(completion), _) => self.respond(turn, slot, completion, None)?,
            (How::Execute, Some(kept)) => {
                let step = turn.core.resume(&mut self.queue, slot, &kept.command, &kept.behind, turn.now);
                self.perform(turn, slot, &kept.command, Capsule::Kept(&kept.behind), step)?;
            }
            (How::Execute, None) => return Err(Failure::Slot),
        }
        self.post()
    }

    /// Brings `length` bytes of a command's data into its slot's memory; goes on with `then` when they are here.
    pub(super) fn bring(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        source: Source,
        capsule: Capsule<'_>,
        length: usize,
        then: Then,
    ) -> Result<(), Failure> {
        let Some(segment) = self.room(slot, length) else {
            return self.give_up(turn, slot, then);
        };
        match source {
            Source::Remote(remote) => self.fetch(slot, segment, remote, then),
            Source::Capsule { offset } => {
                self.copy_in(slot, capsule, offset, length)?;
                self.arrived(turn, slot, then, None)
            }
        }
    }

    /// There is no memory for a command's data.
    fn give_up(&mut self, turn: &mut Turn<'_>, slot: usize, then: Then) -> Result<(), Failure> {
        let internal = |cid| Completion::new(0, cid, Status::INTERNAL_ERROR);
        if let Then::Fused(fused) = then {
            let [first, second] = fused.completions;
            self.respond(turn, fused.first, internal(first.cid()), None)?;
            return self.respond(turn, fused.second, internal(second.cid()), None);
        }
        let cid = self.slots.get_mut(slot).map_or(0, |slot| slot.cid);
        self.respond(turn, slot, internal(cid), None)
    }

    /// A command's data is here.
    pub(super) fn arrived(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        then: Then,
        invalidate: Option<u32>,
    ) -> Result<(), Failure> {
        match then {
            Then::Respond(completion) => self.respond(turn, slot, completion, invalidate),
            Then::Connect(command) => {
                let mut data = spec::fabrics::ConnectData([0; spec::fabrics::ConnectData::SIZE]);
                if !self.read_buffer(slot, &mut data.0) {
                    return Err(Failure::Slot);
                }
                self.connect(turn, slot, &command, &data)
            }
            Then::Compare { extent, completion } => {
                let completion = match self.is_same(turn, slot, &extent) {
                    Some(true) => completion,
                    Some(false) => Completion::new(0, completion.cid(), Status::COMPARE_FAILURE),
                    None => Completion::new(0, completion.cid(), Status::INTERNAL_ERROR),
                };
                self.respond(turn, slot, completion, invalidate)
            }
            Then::Protect { extent, protection, compares, completion } => {
                let result = self.protected_arrived(turn, slot, &extent, &protection, compares);
                self.respond(turn, slot, ended(completion, result), invalidate)
            }
            Then::Supply { command, length } => {
                let mut bytes = vec![0; length];
                if !self.read_buffer(slot, &mut bytes) {
                    return Err(Failure::Slot);
                }
                let step = turn.core.supplied(&mut self.queue, slot, &command, &bytes);
                self.invalidates_later(slot, invalidate);
                self.perform(turn, slot, &command, Capsule::Kept(&[]), step)
            }
            Then::Fused(fused) => {
                self.invalidates_later(slot, invalidate);
                self.slots.set_stage(slot, Stage::Held);
                self.go_on_with_fused(turn, fused)
            }
        }
    }

    /// Begins a Compare and Write. What came in a capsule is copied at once; then the one's data is fetched, and the other's
    /// behind it.
    pub(super) fn compare_and_write(
        &mut self,
        turn: &mut Turn<'_>,
        second: usize,
        pair: CompareAndWrite,
        capsule: Capsule<'_>,
    ) -> Result<(), Failure> {
        let CompareAndWrite { first, compare, write, extent, completions } = pair;
        let mut fused = Fused { first, second, extent, completions, fetches: [None, None] };
        let kept = self.slots.get_mut(first).and_then(|slot| slot.kept.take());
        let behind = kept.map_or_else(Vec::new, |kept| kept.behind);
        let halves = [(first, compare, Capsule::Kept(&behind)), (second, write, capsule)];
        for ((slot, source, capsule), place) in halves.into_iter().zip(&mut fused.fetches) {
            self.slots.set_stage(slot, Stage::Held);
            match source {
                Source::Remote(remote) => *place = Some(remote),
                Source::Capsule { offset } => {
                    let length = usize::try_from(extent.length).unwrap_or(usize::MAX);
                    if self.room(slot, length).is_none() {
                        return self.give_up(turn, slot, Then::Fused(Box::new(fused)));
                    }
                    self.copy_in(slot, capsule, offset, length)?;
                }
            }
        }
        self.go_on_with_fused(turn, Box::new(fused))
    }

    fn go_on_with_fused(&mut self, turn: &mut Turn<'_>, mut fused: Box<Fused>) -> Result<(), Failure> {
        let length = usize::try_from(fused.extent.length).unwrap_or(usize::MAX);
        let [compare, write] = &mut fused.fetches;
        let (slot, remote) = match (compare.take(), write) {
            (Some(remote), _) => (fused.first, remote),
            (None, write) => match write.take() {
                Some(remote) => (fused.second, remote),
                None => return self.finish_fused(turn, &fused),
            },
        };
        match self.room(slot, length) {
            Some(segment) => self.fetch(slot, segment, remote, Then::Fused(fused)),
            None => self.give_up(turn, slot, Then::Fused(fused)),
        }
    }

    fn finish_fused(&mut self, turn: &mut Turn<'_>, fused: &Fused) -> Result<(), Failure> {
        let (first, second, extent) = (fused.first, fused.second, fused.extent);
        let [compared, written] = fused.completions;
        let fail = |completion: Completion, status| Completion::new(0, completion.cid(), status);
        let (compared, written) = match self.is_same(turn, first, &extent) {
            Some(true) if self.write_extent(turn, second, &extent) => (compared, written),
            Some(false) => {
                (fail(compared, Status::COMPARE_FAILURE), fail(written, Status::ABORTED_FAILED_FUSED))
            }
            _ => (fail(compared, Status::INTERNAL_ERROR), fail(written, Status::INTERNAL_ERROR)),
        };
        self.respond(turn, first, compared, None)?;
        self.respond(turn, second, written, None)
    }

    /// Whether the slot's memory holds what the extent does.
    fn is_same(&self, turn: &Turn<'_>, slot: usize, extent: &Extent) -> Option<bool> {
        let buffer = self.slots.buffer(slot)?;
        let (mut here, mut there) = ([0; 4096], [0; 4096]);
        let (mut at, mut same) = (0, true);
        let whole = pieces(turn.stores, extent, |store, offset, length| {
            let (Some(here), Some(there)) = (here.get_mut(..length), there.get_mut(..length)) else {
                return false;
            };
            let read = buffer.read(at, here) && store.read(offset, there);
            at += length;
            same &= here == there;
            read
        });
        whole.then_some(same)
    }

    /// Writes what the slot's memory holds.
    fn write_extent(&self, turn: &Turn<'_>, slot: usize, extent: &Extent) -> bool {
        let Some(buffer) = self.slots.buffer(slot) else { return false };
        let (mut chunk, mut at) = ([0; 4096], 0);
        pieces(turn.stores, extent, |store, offset, length| {
            let Some(chunk) = chunk.get_mut(..length) else { return false };
            let read = buffer.read(at, chunk);
            at += length;
            read && store.write(offset, chunk)
        })
    }

    pub(super) fn read_buffer(&self, slot: usize, bytes: &mut [u8]) -> bool {
        self.slots.buffer(slot).is_some_and(|buffer| buffer.read(0, bytes))
    }

    /// Copies data from a capsule into the slot's memory, which has room for it.
    fn copy_in(
        &self,
        slot: usize,
        capsule: Capsule<'_>,
        offset: usize,
        length: usize,
    ) -> Result<(), Failure> {
        let mut bytes = vec![0; length];
        let copied = self.read_capsule(capsule, offset, &mut bytes)
            && self.slots.buffer(slot).is_some_and(|buffer| buffer.write(0, &bytes));
        if copied { Ok(()) } else { Err(Failure::ShortCapsule(capsule.length())) }
    }

    /// The slot's own memory, with room for so many bytes.
    pub(super) fn room(&mut self, slot: usize, length: usize) -> Option<Segment> {
        let domain = self.io.device.domain().clone();
        let buffer = self.slots.room(slot, length, &domain)?;
        Segment::of(buffer, 0, u32::try_from(length).ok()?)
    }

    /// The slot's response will have this key invalidated, whatever comes in between.
    fn invalidates_later(&mut self, slot: usize, key: Option<u32>) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.invalidate_later = key;
        }
    }
}

/// Does changes, in their order; false when one is not inside its store.
pub(in crate::rdma) fn change(stores: &[Option<Rc<Memory>>], changes: &[Change]) -> bool {
    changes.iter().all(|change| match change {
        Change::Zero(extent) => zero(stores, extent),
        Change::Blank { extent, block } => {
            let mut bytes = vec![0; *block];
            forget(&mut bytes, *block);
            let blocks = extent.length / *block as u64;
            let mut at =
                (0..blocks).filter_map(|index| usize::try_from(extent.offset + index * *block as u64).ok());
            let store = stores.get(extent.store).and_then(Option::as_ref);
            store.is_some_and(|store| at.all(|offset| store.write(offset, &bytes)))
        }
        Change::Copy { from, to } => {
            // All of it is read before any of it is written: the parts may overlap the whole.
            let mut bytes = Vec::new();
            let read = from.iter().all(|extent| {
                pieces(stores, extent, |store, offset, length| {
                    let start = bytes.len();
                    bytes.resize(start + length, 0);
                    bytes.get_mut(start..).is_some_and(|chunk| store.read(offset, chunk))
                })
            });
            let mut at = 0;
            read && bytes.len() as u64 == to.length
                && pieces(stores, to, |store, offset, length| {
                    let chunk = bytes.get(at..at + length);
                    at += length;
                    chunk.is_some_and(|chunk| store.write(offset, chunk))
                })
        }
    })
}
