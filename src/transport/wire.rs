//! What a connection has posted, and how its completions are accounted.
//!
//! The wire owns the work requests and the registered memory that the device knows. It is shared between the
//! connection, which posts, and the poller's table, which accounts; the table forgets it before the connection lets
//! it go. Accounting calls nobody: it moves slots, counts, and notes the first fault for the qpair to find.
//!
//! Invariants: the device's SENDs are those of slots that are outstanding and not heard of, and `receives_posted` counts
//! exactly its receives; nothing is posted once draining began (T24); a response is copied out and its receive pushed
//! again before any callback can see it (T148); of `depth` commands that may be out, `ordinary` are for everybody and the
//! rest for what must not wait behind others.

use super::{
    Error,
    device::DeviceShare,
    requests::{BadCommandId, COMMAND_SIZE, Completer, Payload, Requests, Sent},
    token::{Kind, Owner, Token},
};
use crate::memory::{Cache, Covered};
use spec::{Command, Completion, Sgl, opcode::DataTransfer};
use std::{cell::Cell, rc::Rc, sync::Arc};
use verbs::{
    Access, Memory, QueuePair, ReceiveRing, RegisteredMemory, Segment, SendRing, WcStatus, WorkCompletion,
};

/// The bytes of a response.
pub(super) const RESPONSE_SIZE: usize = 16;

/// A slot that the rings or the memory, which were made for it, do not have.
const OUTSIDE: Error = Error::Internal("a slot outside of its rings");

/// Why a connection must be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("a send failed: {0}")]
    Send(WcStatus),
    #[error("a receive failed: {0}")]
    Receive(WcStatus),
    #[error("the controller sent a response of {0} bytes; one has 16")]
    Length(u32),
    #[error("the controller sent a response that belongs to no command: {0}")]
    CommandId(#[from] BadCommandId),
    #[error("posting work requests failed with errno {0}")]
    Post(i32),
    #[error("the completion queue could not be polled, errno {0}")]
    Poll(i32),
    #[error("the device completed a {0:?} that it does not have")]
    Unposted(Kind),
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl Fault {
    /// Whether it is what the end of a connection on the other side looks like from here.
    pub(super) fn is_flush(self) -> bool {
        matches!(self, Self::Send(WcStatus::FLUSHED) | Self::Receive(WcStatus::FLUSHED))
    }

    /// The errno of the call that failed, or EIO.
    pub(super) fn errno(self) -> i32 {
        match self {
            Self::Post(errno) | Self::Poll(errno) => errno,
            _ => libc::EIO,
        }
    }
}

pub(super) struct Wire {
    requests: Rc<Requests>,
    device: Arc<DeviceShare>,
    cache: Cache,
    commands: RegisteredMemory,
    responses: RegisteredMemory,
    sends: SendRing,
    receives: ReceiveRing,
    depth: Cell<u32>,
    ordinary: Cell<u32>,
    reserved: Cell<u32>,
    in_capsule_data: Cell<u32>,
    on_wire: Cell<u32>,
    receives_posted: Cell<u32>,
    fault: Cell<Option<Fault>>,
    draining: Cell<bool>,
    distrusted: Cell<bool>,
    attended: Cell<bool>,
}

impl Wire {
    /// Prepares the work requests of `owner` for `depth` commands at a time, whose responses arrive in `responses`: memory
    /// for `depth` times [`RESPONSE_SIZE`].
    pub(super) fn new(
        requests: &Rc<Requests>,
        device: &Arc<DeviceShare>,
        owner: Owner,
        depth: u16,
        responses: &Rc<Memory>,
    ) -> Result<Rc<Self>, Error> {
        let domain = device.domain();
        let commands = RegisteredMemory::of(requests.commands(), domain, Access::LocalRead)?;
        let responses = RegisteredMemory::of(responses, domain, Access::LocalWrite)?;
        let sends = SendRing::new(requests.count(), 2).ok_or(Error::NoMemory)?;
        let receives = ReceiveRing::new(usize::from(depth)).ok_or(Error::NoMemory)?;
        for slot in 0..=requests.connect_slot() {
            let at = usize::from(slot) * COMMAND_SIZE;
            let segment = Segment::of(&commands, at, COMMAND_SIZE as u32).ok_or(OUTSIDE)?;
            let id = Token::new(Kind::Send, owner, slot).to_raw();
            if !sends.set_id(usize::from(slot), id) || !sends.set_segment(usize::from(slot), 0, segment) {
                return Err(OUTSIDE);
            }
        }
        for slot in 0..depth {
            let at = usize::from(slot) * RESPONSE_SIZE;
            let segment = Segment::of(&responses, at, RESPONSE_SIZE as u32).ok_or(OUTSIDE)?;
            let id = Token::new(Kind::Receive, owner, slot).to_raw();
            if !receives.prepare(usize::from(slot), id, segment) || !receives.push(usize::from(slot)) {
                return Err(OUTSIDE);
            }
        }
        Ok(Rc::new(Self {
            requests: requests.clone(),
            device: device.clone(),
            cache: Cache::new(),
            commands,
            responses,
            sends,
            receives,
            depth: Cell::new(u32::from(depth)),
            ordinary: Cell::new(u32::from(depth)),
            reserved: Cell::new(0),
            in_capsule_data: Cell::new(0),
            on_wire: Cell::new(0),
            receives_posted: Cell::new(u32::from(depth)),
            fault: Cell::new(None),
            draining: Cell::new(false),
            distrusted: Cell::new(false),
            attended: Cell::new(false),
        }))
    }

    /// Lowers the number of commands that may be outstanding to what the controller can receive.
    pub(super) fn limit_depth(&self, limit: u32) {
        self.depth.set(self.depth.get().min(limit.max(1)));
        self.reserve(self.reserved.get());
    }

    /// Keeps room for as many commands that go ahead of all that wait; one is left to the others in any case.
    pub(super) fn reserve(&self, commands: u32) {
        self.reserved.set(commands);
        self.ordinary.set(self.depth.get().saturating_sub(commands).max(1));
    }

    /// Ordinary commands that may be outstanding at a time.
    pub(super) fn ordinary_depth(&self) -> u32 {
        self.ordinary.get()
    }

    /// Sets how many bytes of data a capsule may carry.
    pub(super) fn set_in_capsule_data(&self, bytes: u32) {
        self.in_capsule_data.set(bytes);
    }

    /// Whether another command may go out now.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.on_wire.get() < self.ordinary.get()
    }

    /// Whether another command may go out now that the reserved room is for.
    pub(super) fn has_reserved_room(&self) -> bool {
        self.on_wire.get() < self.depth.get()
    }

    /// Completes `command` with its id and data descriptor, stores it in the slot's memory and puts the slot's work
    /// request on the pending chain. On an error the slot is the caller's, and nothing was sent.
    #[inline]
    pub(super) fn push(
        &self,
        slot: u16,
        command: &Command,
        payload: Payload,
        completer: Option<Completer>,
    ) -> Result<(), Error> {
        let mut segments = 1;
        let sgl = match payload {
            // A controller that speaks keyed SGLs alone refuses the all-zero descriptor (an unkeyed data block)
            // even for a command without data, hence a keyed one of length 0.
            Payload::None => Sgl::keyed(0, 0, 0),
            Payload::Registered { address, length, remote_key } => Sgl::keyed(address, length, remote_key),
            Payload::Memory { address, length } => {
                let Covered::Registered(keys) = self.device.map().look_up(&self.cache, address, length)
                else {
                    return Err(Error::NotRegistered { address, length });
                };
                match DataTransfer::of(command.opcode()) {
                    DataTransfer::ControllerToHost | DataTransfer::None => {
                        Sgl::keyed(address, length, keys.writable)
                    }
                    DataTransfer::HostToController if length <= self.in_capsule_data.get() => {
                        let segment = Segment { address, length, local_key: keys.local };
                        if !self.sends.set_segment(usize::from(slot), 1, segment) {
                            return Err(self.internal("a slot without a second segment"));
                        }
                        segments = 2;
                        Sgl::in_capsule(0, length)
                    }
                    DataTransfer::HostToController => Sgl::keyed(address, length, keys.readable),
                    DataTransfer::Bidirectional => self.both_ways(address, length)?,
                }
            }
        };
        if !self.sends.push(usize::from(slot), segments) {
            return Err(self.internal("a slot that the send ring does not have"));
        }
        let Some(id) = self.requests.begin(slot, completer) else {
            return Err(self.internal("a slot that the requests do not have"));
        };
        let mut command = *command;
        command.set_cid(id);
        command.set_psdt_sgl();
        command.set_sgl1(sgl);
        // Inside by construction: the memory has room for every slot.
        let _stored = self.commands.write_dwords(usize::from(slot) * COMMAND_SIZE, &command.dwords);
        self.on_wire.set(self.on_wire.get() + 1);
        Ok(())
    }

    /// What cannot be, was: the connection ends, since nothing that it counts can be relied on.
    #[cold]
    fn internal(&self, what: &'static str) -> Error {
        self.distrusted.set(true);
        self.set_fault(Fault::Internal(what));
        Error::Internal(what)
    }

    /// The descriptor of a buffer that the controller may both read and write.
    #[cold]
    fn both_ways(&self, address: u64, length: u32) -> Result<Sgl, Error> {
        let key = self.device.map().key_for_both_ways(address, length)?;
        Ok(Sgl::keyed(address, length, key.ok_or(Error::NotRegistered { address, length })?))
    }

    /// Whether commands were pushed that the device does not have yet.
    pub(super) fn has_pending_sends(&self) -> bool {
        !self.sends.is_empty()
    }

    /// Hands what is pending to the device. A failure becomes the wire's fault: the requests were accepted, so
    /// they end with the connection (T104, H15, H16). False then.
    #[must_use]
    #[inline]
    pub(super) fn post_sends(&self, queue_pair: &QueuePair) -> bool {
        let result = queue_pair.post_sends(&self.sends);
        if let Err(error) = &result {
            for slot in error.unposted.iter().filter_map(|slot| u16::try_from(*slot).ok()) {
                let _ = self.requests.sent(slot);
            }
            self.set_fault(Fault::Post(error.errno));
        }
        result.is_ok()
    }

    /// As [`Wire::post_sends`], for the receives.
    #[must_use]
    #[inline]
    pub(super) fn post_receives(&self, queue_pair: &QueuePair) -> bool {
        let result = queue_pair.post_receives(&self.receives);
        if let Err(error) = &result {
            let unposted = u32::try_from(error.unposted.len()).unwrap_or(u32::MAX);
            self.receives_posted.set(self.receives_posted.get().saturating_sub(unposted));
            self.set_fault(Fault::Post(error.errno));
        }
        result.is_ok()
    }

    /// Takes account of one completion whose token named this wire.
    #[inline]
    pub(super) fn account(&self, kind: Kind, slot: u16, completion: &WorkCompletion) {
        match kind {
            Kind::Send => self.account_send(slot, completion),
            Kind::Receive => self.account_receive(slot, completion),
            Kind::SharedReceive => {} // there is no shared receive queue yet, so no such token was given
        }
    }

    #[inline]
    fn account_send(&self, slot: u16, completion: &WorkCompletion) {
        match self.requests.sent(slot) {
            Sent::Unposted => return self.distrust(Kind::Send),
            Sent::Unanswered => {}
            Sent::Finished => self.on_wire.set(self.on_wire.get().saturating_sub(1)),
        }
        if completion.status() != WcStatus::SUCCESS {
            self.set_fault(Fault::Send(completion.status()));
        }
    }

    #[inline]
    fn account_receive(&self, slot: u16, completion: &WorkCompletion) {
        if !self.receives.came_back(usize::from(slot)) {
            return self.distrust(Kind::Receive);
        }
        self.receives_posted.set(self.receives_posted.get().saturating_sub(1));
        if completion.status() != WcStatus::SUCCESS {
            self.set_fault(Fault::Receive(completion.status()));
            return;
        }
        match self.response(slot, completion.byte_length()) {
            Ok(true) => self.on_wire.set(self.on_wire.get().saturating_sub(1)),
            Ok(false) => {}
            Err(fault) => self.set_fault(fault),
        }
        if !self.draining.get() && self.receives.push(usize::from(slot)) {
            self.receives_posted.set(self.receives_posted.get() + 1);
        }
    }

    #[inline]
    fn response(&self, slot: u16, length: u32) -> Result<bool, Fault> {
        if length != RESPONSE_SIZE as u32 {
            return Err(Fault::Length(length));
        }
        let at = usize::from(slot) * RESPONSE_SIZE;
        let bytes = self.responses.read_16(at).ok_or(Fault::Length(length))?;
        Ok(self.requests.answered(&Completion::from_bytes(&bytes))?)
    }

    /// The connection is on its way out: what was not handed to the device never will be (T25).
    pub(super) fn begin_draining(&self) {
        self.draining.set(true);
        for slot in self.sends.clear() {
            // Slots are 16 bits wide by construction.
            let _ = self.requests.sent(slot as u16);
        }
        for _ in self.receives.clear() {
            self.receives_posted.set(self.receives_posted.get().saturating_sub(1));
        }
    }

    /// A completion came for what was not posted: the connection must end, and the account proves nothing any more.
    #[cold]
    fn distrust(&self, kind: Kind) {
        self.distrusted.set(true);
        self.set_fault(Fault::Unposted(kind));
    }

    /// Whether the device has none of the wire's work requests, by an account that was never wrong.
    pub(super) fn is_quiet(&self) -> bool {
        self.receives_posted.get() == 0 && !self.distrusted.get() && self.requests.sends_unheard_of() == 0
    }

    /// Work requests that the device still has: sends and receives.
    pub(super) fn posted(&self) -> (u32, u32) {
        (self.requests.sends_unheard_of(), self.receives_posted.get())
    }

    /// Notes why the connection must end. The first fault stays; after draining began errors are expected (T16).
    pub(super) fn set_fault(&self, fault: Fault) {
        if self.fault.get().is_none() && !self.draining.get() {
            self.fault.set(Some(fault));
        }
    }

    #[inline]
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }

    /// Whether the qpair must look after this wire, and was not told yet.
    #[inline]
    pub(super) fn ask_for_attention(&self) -> bool {
        !self.attended.replace(true)
    }

    /// The qpair is looking.
    #[inline]
    pub(super) fn attend(&self) {
        self.attended.set(false);
    }
}
