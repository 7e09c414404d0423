//! One connection: its queue pair, the memory that its work requests use, and the execution of the core's steps.
//!
//! Receives go back to the queue pair before the response to their command is posted, so that a host that keeps to its
//! queue size always finds one. In one poll all receives are posted with one call and all sends with one.
//!
//! A response is posted behind all data that goes to the host, since the queue pair keeps their order, and after all data
//! that comes from the host is here. No more reads are posted at a time than the read depth says.

mod protected;
mod staged;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use spec::command::COMMAND_SIZE;
use spec::completion::COMPLETION_SIZE;
use spec::fabrics::ConnectData;
use spec::rdma::{Accept, RECFMT, RejectReason, Request};
use spec::{AdminOpcode, Command, Completion, Status};
use verbs::{
    CmEvent, CmId, ConnectParameters, DeviceLimits, Memory, QueuePair, QueuePairCapabilities, RemoteTransfer,
    Segment, WcStatus, WorkCompletion,
};

use super::counters::Counters;
use super::device::DeviceState;
use super::io::{Behind, Failure, Io, pieces, zero};
use super::slots::{Part, Slots, Stage, Then, Token};
use super::transfer::Transfer;
use crate::control::Switches;
use crate::core::{Core, Extent, Queue, Release, Remote, Source, Step};
use crate::options::Options;
pub(super) use staged::{Fused, change};

/// Completions taken at a time.
const BATCH: usize = 32;
/// Batches of one poll, so that one busy connection does not starve the others.
const BATCHES: usize = 4;
/// The spare work requests are enough for this many commands with as many pieces of data as there may be; where more come,
/// their pieces take turns.
const LISTS: usize = 8;
/// A host that connected has this long to send Connect, in nanoseconds.
const CONNECT_DEADLINE: u64 = 30_000_000_000;
/// A connection that we closed is dropped at the latest after this, in nanoseconds.
const CLOSE_DEADLINE: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Accepted; Connect is to follow until the deadline.
    Accepted(u64),
    Live,
    /// We disconnected and wait for the other side until the deadline.
    Closing(u64),
    Closed,
}

pub(super) struct Connection {
    /// `None` in `drop` only.
    qp: Option<QueuePair>,
    io: Rc<Io>,
    slots: Slots,
    id: Arc<CmId>,
    queue: Queue,
    phase: Phase,
    /// The slot of the answer to a Disconnect.
    closes_after: Option<usize>,
    /// Reads posted and not completed.
    reads: u16,
    read_depth: u16,
    /// The slots that have reads to post, in order.
    waiting_reads: VecDeque<usize>,
    /// Receives whose command waits for a slot: index and length.
    backlog: VecDeque<(usize, usize)>,
    withheld: VecDeque<(usize, Completion, Option<u32>)>,
    batch: Vec<WorkCompletion>,
}

/// What a poll works with beside the connection.
pub(super) struct Turn<'a> {
    pub core: &'a mut Core,
    pub switches: &'a mut Switches,
    pub counters: &'a mut Counters,
    pub stores: &'a [Option<Rc<Memory>>],
    pub now: u64,
}

/// Where a command's capsule is.
#[derive(Clone, Copy)]
enum Capsule<'a> {
    /// In the memory of the receives, from this byte on, so long.
    Received(usize, usize),
    /// What came behind the command was kept.
    Kept(&'a [u8]),
}

impl Capsule<'_> {
    /// Bytes behind the command.
    fn length(self) -> usize {
        match self {
            Capsule::Received(_, length) => length.saturating_sub(COMMAND_SIZE),
            Capsule::Kept(behind) => behind.len(),
        }
    }
}

impl Connection {
    /// Accepts a connection request, or says why not. `crqsize` is what to say instead of the true number of receives.
    pub(super) fn accept(
        id: &Arc<CmId>,
        event: &CmEvent,
        device: Rc<DeviceState>,
        options: &Options,
        crqsize: Option<u16>,
        now: u64,
    ) -> Result<Connection, RejectReason> {
        let request = Request::decode(event.private_data.as_slice())?;
        // HSQSIZE is zero-based, HRQSIZE is not (RDMA Transport 2.4).
        if request.hsqsize == 0 {
            return Err(RejectReason::INVALID_HSQSIZE);
        }
        if request.hrqsize == 0 {
            return Err(RejectReason::INVALID_HRQSIZE);
        }
        if request.qid > options.io_queues {
            return Err(RejectReason::INVALID_QID);
        }
        let limits = *device.limits();
        // What the event calls initiator depth is the number of reads that the host will answer at a time.
        let read_depth = event.initiator_depth.min(limits.initiator_depth).min(options.read_depth);
        if read_depth == 0 {
            return Err(RejectReason::INVALID_IRD);
        }
        // Each entry takes up to two and a half sends.
        let room = u16::try_from(limits.queue_pair_work_requests / 3).unwrap_or(u16::MAX).saturating_sub(4);
        let entries = request.hsqsize.saturating_add(1).min(options.entries_of(request.qid)).min(room);
        if entries < 2 {
            return Err(RejectReason::NO_RESOURCES);
        }
        // One more than the queue's entries would do if completions came at once; a quarter more hides their delay.
        let slots = usize::from(entries) + usize::from(entries) / 4 + 4;
        let spares = spares(request.qid, entries.into(), slots, options, &limits);
        let io =
            Io::new(device, request.qid, entries.into(), slots, spares, options).map_err(no_resources)?;
        let capabilities = QueuePairCapabilities {
            sends: (2 * slots + spares) as u32,
            receives: entries.into(),
            send_segments: 1,
            receive_segments: 1,
        };
        let qp = QueuePair::new(id, io.device.domain(), &io.completions, capabilities);
        let connection = Connection {
            qp: Some(qp.map_err(no_resources)?),
            io: Rc::new(io),
            slots: Slots::new(slots, spares),
            id: id.clone(),
            queue: Queue::new(request.qid, entries, id.local_address()),
            phase: Phase::Accepted(now.saturating_add(CONNECT_DEADLINE)),
            closes_after: None,
            reads: 0,
            read_depth: read_depth.into(),
            waiting_reads: VecDeque::new(),
            backlog: VecDeque::new(),
            withheld: VecDeque::new(),
            batch: std::iter::repeat_with(WorkCompletion::empty).take(BATCH).collect(),
        };
        for index in 0..entries.into() {
            connection.post_receive_later(index).map_err(no_resources)?;
        }
        connection.post().map_err(no_resources)?;
        let parameters = ConnectParameters {
            private_data: &Accept { recfmt: RECFMT, crqsize: crqsize.unwrap_or(entries) }.encode(),
            responder_resources: event.responder_resources.min(limits.responder_resources),
            initiator_depth: read_depth,
            retry_count: 7,
            rnr_retry_count: 7,
        };
        id.accept(&parameters).map_err(no_resources)?;
        Ok(connection)
    }

    pub(super) fn key(&self) -> usize {
        self.id.key()
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    pub(super) fn established(&mut self) {
        tracing::debug!(qid = self.queue.qid, "established");
    }

    /// The connection is gone: nothing more will come or go.
    pub(super) fn gone(&mut self, core: &mut Core, now: u64) {
        if self.phase != Phase::Closed {
            tracing::debug!(qid = self.queue.qid, "disconnected");
            // Answers the host's disconnect; an error means that there is nobody left to answer.
            let _ = self.id.disconnect();
            core.close(&mut self.queue, now);
            self.phase = Phase::Closed;
        }
    }

    /// Ends the connection from our side.
    pub(super) fn close(&mut self, core: &mut Core, now: u64) {
        if matches!(self.phase, Phase::Accepted(_) | Phase::Live) {
            core.close(&mut self.queue, now);
            self.phase = match self.id.disconnect() {
                Ok(()) => Phase::Closing(now.saturating_add(CLOSE_DEADLINE)),
                Err(_) => Phase::Closed,
            };
        }
    }

    /// Looks at deadlines.
    pub(super) fn tick(&mut self, core: &mut Core, now: u64) {
        match self.phase {
            Phase::Accepted(deadline) if now > deadline => {
                tracing::warn!(qid = self.queue.qid, "no Connect in time");
                self.close(core, now);
            }
            Phase::Closing(deadline) if now > deadline => self.phase = Phase::Closed,
            _ => {}
        }
    }

    /// Takes completions, executes commands, posts what came of it. Returns the number of completions.
    pub(super) fn poll(&mut self, turn: &mut Turn<'_>) -> usize {
        if !matches!(self.phase, Phase::Accepted(_) | Phase::Live) {
            return 0;
        }
        match self.run(turn) {
            Ok(work) => work,
            Err(failure) => {
                tracing::warn!(qid = self.queue.qid, %failure, "connection fails");
                self.close(turn.core, turn.now);
                1
            }
        }
    }

    fn run(&mut self, turn: &mut Turn<'_>) -> Result<usize, Failure> {
        let mut work = 0;
        if !self.withheld.is_empty() && !turn.switches.is_silent() {
            for (slot, completion, invalidate) in std::mem::take(&mut self.withheld) {
                self.respond(turn, slot, completion, invalidate)?;
            }
            work += 1;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let taken = self.take_completions(turn, &mut batch);
        self.batch = batch;
        work += taken?;
        self.post()?;
        Ok(work)
    }

    fn take_completions(
        &mut self,
        turn: &mut Turn<'_>,
        batch: &mut [WorkCompletion],
    ) -> Result<usize, Failure> {
        let mut work = 0;
        for _ in 0..BATCHES {
            let count = self.io.completions.poll(batch)?;
            for completion in batch.iter().take(count) {
                self.completion(turn, completion)?;
            }
            work += count;
            if count < batch.len() {
                break;
            }
        }
        Ok(work)
    }

    fn completion(&mut self, turn: &mut Turn<'_>, completion: &WorkCompletion) -> Result<(), Failure> {
        let token = Token::decode(completion.work_request_id()).ok_or(Failure::Token)?;
        if completion.status() != WcStatus::SUCCESS {
            return Err(Failure::WorkRequest(completion.status()));
        }
        match token {
            Token::Receive(index) => {
                if !self.io.receives.came_back(index) {
                    return Err(Failure::Token);
                }
                let length = completion.byte_length() as usize;
                if length < COMMAND_SIZE || length > self.io.capsule_size {
                    return Err(Failure::ShortCapsule(length));
                }
                self.backlog.push_back((index, length));
            }
            Token::Data(_) | Token::Spare(_) => {
                let slot = self.slots.part_completed(token).ok_or(Failure::Token)?;
                match self.slots.stage(slot) {
                    Some(Stage::Fetching { .. }) => self.fetched(turn, slot)?,
                    Some(Stage::Sending { .. }) => self.go_on_sending(turn, slot)?,
                    // The response is on its way, or withheld.
                    _ => {}
                }
            }
            Token::Response(index) => {
                if !self.slots.response_completed(index) {
                    return Err(Failure::Token);
                }
                if self.closes_after == Some(index) {
                    self.close(turn.core, turn.now);
                    return Ok(());
                }
            }
        }
        self.work_off_backlog(turn)
    }

    fn work_off_backlog(&mut self, turn: &mut Turn<'_>) -> Result<(), Failure> {
        while let Some((receive, length)) = self.backlog.front().copied() {
            let Some(slot) = self.slots.take() else { break };
            self.backlog.pop_front();
            self.execute(turn, slot, receive, length)?;
            self.post_receive_later(receive)?;
        }
        Ok(())
    }

    fn execute(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        receive: usize,
        length: usize,
    ) -> Result<(), Failure> {
        let capsule = receive.saturating_mul(self.io.capsule_size);
        let dwords = self.io.capsules.read_dwords(capsule).ok_or(Failure::Token)?;
        let command = Command { dwords };
        turn.counters.commands += 1;
        if self.queue.qid == 0 && command.opcode() == AdminOpcode::KEEP_ALIVE.0 {
            turn.counters.keep_alives += 1;
        }
        let is_io = self.queue.is_io() && command.opcode() != AdminOpcode::FABRICS.0;
        self.slots.start(slot, command.cid(), is_io);
        let behind = Behind {
            capsules: &self.io.capsules,
            start: capsule.saturating_add(COMMAND_SIZE),
            length: length.saturating_sub(COMMAND_SIZE),
        };
        let step = turn.core.execute(&mut self.queue, slot, &command, &behind, turn.now);
        self.perform(turn, slot, &command, Capsule::Received(capsule, length), step)
    }

    /// Does what the core says.
    fn perform(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        command: &Command,
        capsule: Capsule<'_>,
        step: Step,
    ) -> Result<(), Failure> {
        let internal = |completion: Completion| Completion::new(0, completion.cid(), Status::INTERNAL_ERROR);
        match step {
            Step::Respond(completion) => self.respond(turn, slot, completion, None),
            Step::Hold => {
                self.keep(slot, command, capsule);
                Ok(())
            }
            Step::RespondAndRelease { completion, tag, released } => {
                self.respond(turn, tag, released, None)?;
                self.respond(turn, slot, completion, None)
            }
            Step::RespondAndForget { completion, tags } => {
                tags.into_iter().for_each(|tag| self.slots.release(tag));
                self.respond(turn, slot, completion, None)
            }
            Step::Disconnect(completion) => {
                self.closes_after = Some(slot);
                self.respond(turn, slot, completion, None)
            }
            Step::SendBytes { bytes, remote, completion } => match self.buffer(slot, &bytes) {
                Some(segment) => self.send(turn, slot, segment, remote, completion),
                None => self.respond(turn, slot, internal(completion), None),
            },
            Step::SendBlocks { extent, remote, completion } => match self.segment(slot, &extent) {
                Some(segment) => self.send(turn, slot, segment, remote, completion),
                None => self.respond(turn, slot, internal(completion), None),
            },
            Step::FetchBlocks { extent, remote, completion } => match self.segment(slot, &extent) {
                Some(segment) => self.fetch(slot, segment, remote, Then::Respond(completion)),
                None => self.respond(turn, slot, internal(completion), None),
            },
            Step::FetchConnect { remote } => {
                let then = Then::Connect(Box::new(*command));
                self.bring(turn, slot, Source::Remote(remote), capsule, ConnectData::SIZE, then)
            }
            Step::ConnectInCapsule { offset } => {
                let mut data = ConnectData([0; ConnectData::SIZE]);
                if !self.read_capsule(capsule, offset, &mut data.0) {
                    return Err(Failure::ShortCapsule(capsule.length()));
                }
                self.connect(turn, slot, command, &data)
            }
            Step::CopyBlocks { offset, extent, completion } => {
                let copied = self.copy(turn, capsule, offset, &extent);
                self.respond(turn, slot, if copied { completion } else { internal(completion) }, None)
            }
            Step::ZeroBlocks { extent, completion } => {
                let zeroed = zero(turn.stores, &extent);
                self.respond(turn, slot, if zeroed { completion } else { internal(completion) }, None)
            }
            Step::CompareBlocks { source, extent, completion } => {
                let length = usize::try_from(extent.length).unwrap_or(usize::MAX);
                self.bring(turn, slot, source, capsule, length, Then::Compare { extent, completion })
            }
            Step::FetchBytes { source, length } => {
                let length = length as usize;
                let then = Then::Supply { command: Box::new(*command), length };
                self.bring(turn, slot, source, capsule, length, then)
            }
            Step::ChangeBlocks { changes, completion } => {
                let changed = change(turn.stores, &changes);
                self.respond(turn, slot, if changed { completion } else { internal(completion) }, None)
            }
            Step::Protected { what, extent, protection, completion } => {
                self.protected(turn, slot, capsule, what, extent, protection, completion)
            }
            Step::CompareAndWrite(pair) => self.compare_and_write(turn, slot, *pair, capsule),
        }
    }

    /// Does what the core says about a request that it had held.
    pub(super) fn released(&mut self, turn: &mut Turn<'_>, release: &Release) {
        if !matches!(self.phase, Phase::Accepted(_) | Phase::Live) {
            return;
        }
        if let Err(failure) = self.release(turn, release.tag, release.how) {
            tracing::warn!(qid = self.queue.qid, %failure, "connection fails");
            self.close(turn.core, turn.now);
        }
    }

    fn connect(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        command: &Command,
        data: &ConnectData,
    ) -> Result<(), Failure> {
        let completion = turn.core.connect(&mut self.queue, command, data, turn.now);
        if completion.is_success() {
            self.phase = Phase::Live;
        }
        self.respond(turn, slot, completion, None)
    }

    /// RDMA WRITEs, then the response behind them: the queue pair keeps their order.
    fn send(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        segment: Segment,
        remote: Remote,
        completion: Completion,
    ) -> Result<(), Failure> {
        self.slots.set_stage(slot, Stage::Sending { completion, invalidate: remote.invalidate });
        self.slots.set_transfer(slot, Transfer::new(segment, remote));
        self.go_on_sending(turn, slot)
    }

    /// Posts what there are work requests for; the rest when the slot's own has completed.
    fn go_on_sending(&mut self, turn: &mut Turn<'_>, slot: usize) -> Result<(), Failure> {
        while let Some(part) = self.slots.next_part(slot) {
            let Part { remote, .. } = part;
            let transfer = RemoteTransfer::Write { remote_address: remote.address, remote_key: remote.key };
            self.post_part_later(part, transfer)?;
        }
        match self.slots.stage(slot) {
            Some(Stage::Sending { completion, invalidate }) if self.slots.is_all_posted(slot) => {
                let (completion, invalidate) = (*completion, *invalidate);
                self.respond(turn, slot, completion, invalidate)
            }
            _ => Ok(()),
        }
    }

    /// RDMA READs, at once or when the reads before them allow.
    fn fetch(&mut self, slot: usize, segment: Segment, remote: Remote, then: Then) -> Result<(), Failure> {
        self.slots.set_stage(slot, Stage::Fetching { then, invalidate: remote.invalidate });
        self.slots.set_transfer(slot, Transfer::new(segment, remote));
        self.waiting_reads.push_back(slot);
        self.start_reads()
    }

    /// Posts reads in the order of their commands. A slot stays at the head of those that wait until all of its reads are
    /// posted: where work requests are missing, its own one is under way, and this is called again when that completes.
    fn start_reads(&mut self) -> Result<(), Failure> {
        while self.reads < self.read_depth {
            let Some(slot) = self.waiting_reads.front().copied() else { break };
            if let Some(part) = self.slots.next_part(slot) {
                let Part { remote, .. } = part;
                let transfer =
                    RemoteTransfer::Read { remote_address: remote.address, remote_key: remote.key };
                self.post_part_later(part, transfer)?;
                self.reads += 1;
            } else if !self.slots.is_all_posted(slot) {
                break;
            }
            if self.slots.is_all_posted(slot) {
                self.waiting_reads.pop_front();
            }
        }
        Ok(())
    }

    /// A read has completed; perhaps it was the slot's last one.
    fn fetched(&mut self, turn: &mut Turn<'_>, slot: usize) -> Result<(), Failure> {
        self.reads = self.reads.saturating_sub(1);
        self.start_reads()?;
        if !self.slots.has_all(slot) {
            return Ok(());
        }
        match self.slots.take_stage(slot) {
            Some(Stage::Fetching { then, invalidate }) => self.arrived(turn, slot, then, invalidate),
            _ => Err(Failure::Slot),
        }
    }

    fn post_part_later(&self, part: Part, transfer: RemoteTransfer) -> Result<(), Failure> {
        let request = part.token.place(self.slots.count());
        let sends = &self.io.sends;
        let pushed = sends.set_transfer(request, transfer)
            && sends.set_segment(request, 0, part.local)
            && sends.push(request, 1);
        if pushed { Ok(()) } else { Err(Failure::Slot) }
    }

    /// Posts the response of a slot later in this poll, with whatever misbehaviour is due.
    fn respond(
        &mut self,
        turn: &mut Turn<'_>,
        slot: usize,
        completion: Completion,
        invalidate: Option<u32>,
    ) -> Result<(), Failure> {
        if turn.switches.is_silent() {
            self.slots.set_stage(slot, Stage::Withheld);
            self.withheld.push_back((slot, completion, invalidate));
            return Ok(());
        }
        let mut completion = self.queue.finish(completion);
        let later = self.slots.get_mut(slot).and_then(|slot| slot.invalidate_later.take());
        let invalidate = invalidate.or(later);
        let mut copies = 1;
        self.slots.set_stage(slot, Stage::Responding);
        if self.slots.is_io(slot) {
            let damage = turn.switches.response();
            if damage.cid_out_of_range {
                completion = completion.with_cid(0xffff);
            }
            if damage.cid_idle {
                completion = completion.with_cid(self.slots.idle_cid(self.queue.sq_entries()));
            }
            copies += usize::from(damage.repeat);
        }
        self.post_response_later(slot, &completion, invalidate)?;
        turn.counters.responses += 1;
        if copies > 1
            && let Some(second) = self.slots.take()
        {
            self.slots.set_stage(second, Stage::Responding);
            self.post_response_later(second, &completion, None)?;
        }
        Ok(())
    }

    fn post_response_later(
        &mut self,
        slot: usize,
        completion: &Completion,
        invalidate: Option<u32>,
    ) -> Result<(), Failure> {
        let request = Token::Response(slot).place(self.slots.count());
        if self.slots.changes_invalidation(slot, invalidate.is_some()) {
            let transfer = match invalidate {
                Some(remote_key) => RemoteTransfer::SendWithInvalidate { remote_key },
                None => RemoteTransfer::Send,
            };
            if !self.io.sends.set_transfer(request, transfer) {
                return Err(Failure::Slot);
            }
        }
        let written = self.io.responses.write(slot * COMPLETION_SIZE, &completion.to_bytes());
        if !(written && self.io.sends.push(request, 1)) {
            return Err(Failure::Slot);
        }
        self.slots.response_posted(slot);
        Ok(())
    }

    fn post_receive_later(&self, index: usize) -> Result<(), Failure> {
        if self.io.receives.push(index) { Ok(()) } else { Err(Failure::Slot) }
    }

    fn post(&self) -> Result<(), Failure> {
        if let Some(qp) = &self.qp {
            qp.post_receives(&self.io.receives)?;
            qp.post_sends(&self.io.sends)?;
            self.slots.end_round();
        }
        Ok(())
    }

    /// The slot's own memory, holding `bytes`.
    fn buffer(&mut self, slot: usize, bytes: &[u8]) -> Option<Segment> {
        let segment = self.room(slot, bytes.len())?;
        self.slots.buffer(slot).filter(|buffer| buffer.write(0, bytes))?;
        Some(segment)
    }

    /// Copies from a capsule, `offset` bytes behind its beginning. False if not so much came.
    fn read_capsule(&self, capsule: Capsule<'_>, offset: usize, bytes: &mut [u8]) -> bool {
        match capsule {
            Capsule::Received(start, length) => {
                offset.checked_add(bytes.len()).is_some_and(|end| end <= length)
                    && self.io.capsules.read(start.saturating_add(offset), bytes)
            }
            Capsule::Kept(behind) => {
                let data = offset.checked_sub(COMMAND_SIZE).and_then(|start| behind.get(start..));
                let data = data.and_then(|data| data.get(..bytes.len()));
                data.is_some_and(|data| {
                    bytes.copy_from_slice(data);
                    true
                })
            }
        }
    }

    /// Part of a store, which is kept until the slot's work requests have completed.
    fn segment(&mut self, slot: usize, extent: &Extent) -> Option<Segment> {
        let store = self.io.device.store(extent.store)?;
        let (offset, length) = (usize::try_from(extent.offset).ok()?, u32::try_from(extent.length).ok()?);
        let segment = Segment::of(&store, offset, length)?;
        self.slots.get_mut(slot)?.store = Some(store);
        Some(segment)
    }

    /// Copies in-capsule data into a store, by way of the stack.
    fn copy(&self, turn: &Turn<'_>, capsule: Capsule<'_>, mut from: usize, extent: &Extent) -> bool {
        let mut chunk = [0; 4096];
        pieces(turn.stores, extent, |store, offset, length| {
            let Some(chunk) = chunk.get_mut(..length) else { return false };
            let read = self.read_capsule(capsule, from, chunk);
            from = from.saturating_add(length);
            read && store.write(offset, chunk)
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(qp) = self.qp.take() else { return };
        if let Err((qp, error)) = qp.destroy() {
            // The device may still use the memory: better lost than handed out again.
            tracing::error!(%error, qid = self.queue.qid, "a queue pair cannot be destroyed; its memory is lost");
            qp.keep();
            std::mem::forget(self.io.clone());
            std::mem::forget(std::mem::take(&mut self.slots));
        }
    }
}

/// Spare work requests for data in several pieces, as far as the device has room for them: without any, the pieces go one
/// after the other. Commands of the Admin Queue have one piece, since its capsules have no room for a list.
fn spares(qid: u16, entries: usize, slots: usize, options: &Options, limits: &DeviceLimits) -> usize {
    if qid == 0 {
        return 0;
    }
    let sends = (limits.queue_pair_work_requests as usize).saturating_sub(2 * slots);
    let completions = (limits.completion_entries as usize).saturating_sub(entries + 2 * slots);
    (LISTS * (usize::from(options.msdbd()) - 1)).min(sends).min(completions)
}

fn no_resources(error: impl std::fmt::Display) -> RejectReason {
    tracing::warn!(%error, "setting up a connection");
    RejectReason::NO_RESOURCES
}
