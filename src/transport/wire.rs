//! All that the way of one I/O touches: submission, accounting and delivery of a qpair.
//!
//! The wire lives as long as its qpair. A connection opens it: registers its memory, gives it an owner's name for its work
//! requests and a seat at a queue pair; and shuts it again. So submitting and polling look at no state and own nothing: whether
//! the connection is live the gate of `slots` says, and without a queue pair the seat is empty.
//!
//! Accounting calls nobody: it moves slots to the list of finished ones and notes the first fault for the qpair to find.
//! Delivering holds nothing while a callback runs.
//!
//! Invariants: nothing is posted once draining began (T24); a response is copied out before its receive goes back to the device;
//! nothing is counted: what the device has is found by walking the slots, while draining. What few requests need (a closure, a
//! trace, a time limit, an injected error) is off this way: their qpair keeps its gate shut, or their slot has no function, and
//! each leads to the long way by a test that is there anyway.

mod data;
mod reach;

pub use data::Ways;
pub(crate) use reach::{Reach, Resolved, SeveralToController, SeveralToHost, ToController, ToHost};

use super::{
    Error,
    completer::{Context, Payload, Upcall},
    device::DeviceShare,
    poller::Lanes,
    qpair::Qpair,
    rows::{ENTRY, PIECES, Rows},
    slots::{BadCommandId, Ending, Finished, Otherwise, Place, Slots, Split, Told},
    statistics::Counts,
    token::{Kind, Owner, Token},
};
use crate::memory::{Cache, Piece, Pool};
use data::{Reached, given_back};
use reach::Behind;
use spec::{Command, Completion};
use std::{
    cell::Cell,
    rc::{Rc, Weak},
};
use verbs::{
    Access, Batch, COMMAND_WORDS, Memory, RESPONSE_SIZE, ReceiveQueue, RegisteredMemory, Registration, Seat,
    WcStatus, WorkCompletion,
};

/// Receives beyond the depth of a queue, so that they go back to the device by the dozen.
pub(super) const RECEIVE_SLACK: u16 = 16;

/// Completions that are taken off a queue at a time.
pub(super) const BATCH: usize = 32;

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

/// What a connection opens a wire with.
pub(super) struct Opening<'a> {
    pub(super) device: &'a DeviceShare,
    pub(super) owner: Owner,
    /// Commands that may be outstanding at a time.
    pub(super) depth: u16,
    /// Receives beyond that; None if its queue pair takes them from a shared queue.
    pub(super) slack: Option<u16>,
    /// Of the depth, commands that ordinary requests leave free.
    pub(super) reserved: u16,
    /// Bytes of data that a capsule may carry.
    pub(super) in_capsule_data: u32,
    /// The most descriptors of a command's data.
    pub(super) descriptors: u32,
}

/// What an opened wire has registered with the device.
pub(super) struct Opened {
    pub(super) registrations: Vec<Registration>,
    pub(super) connect_data: RegisteredMemory,
}

/// All that the way of one I/O touches.
pub struct Wire {
    pub(super) slots: Slots,
    cache: Cache,
    receives: ReceiveQueue,
    /// What is the same for all tokens of the owner; 0 while it has none.
    key: Cell<u64>,
    upcall: Upcall,
    in_capsule_data: Cell<u32>,
    /// Sends are put off until the next poll.
    delay: bool,
    /// A poll group looks after it.
    grouped: Cell<bool>,
    /// It has a fault.
    faulty: Cell<bool>,
    /// Its group looks after it at its next poll: it is on the list of those, or the recent one.
    asking: Cell<bool>,
    /// Who comes after it on that list.
    next_asking: Cell<Option<Rc<Wire>>>,
    lanes: Cell<Option<Rc<Lanes>>>,
    /// The address of these lanes; NULL without any.
    home: Cell<*const Lanes>,
    seat: Rc<Seat>,
    qpair: Weak<Qpair>,
    // The rest is for connecting and ending.
    fault: Cell<Option<Fault>>,
    /// The provider's own code of the completion that failed, if that is the fault; 0 if it has none.
    vendor_error: Cell<u32>,
    draining: Cell<bool>,
    distrusted: Cell<bool>,
    /// What was counted before the connection that there is.
    before: Cell<Counts>,
    depth: Cell<u32>,
    reserved: Cell<u32>,
    connect_data: Cell<Option<Rc<Memory>>>,
    pub(super) rows: Rows,
    /// Descriptors of a row that a capsule may carry: 16 at most.
    row_room: Cell<u8>,
    /// For data that are not registered, once there are any.
    pool: Cell<Option<Rc<Pool>>>,
    ways: Cell<Ways>,
    /// A device may still use the memory, although its connection is over.
    spoiled: Cell<bool>,
}

/// What a wire is made of, but for its qpair.
pub(super) struct Parts {
    slots: Slots,
    receives: ReceiveQueue,
    connect_data: Rc<Memory>,
    seat: Rc<Seat>,
}

impl Parts {
    /// For `requests`, of which `depth` may be with the controller at a time, and `row` SENDs be put off.
    pub(super) fn new(requests: u16, depth: u16, row: u16, queue_id: u16) -> Result<Self, Error> {
        let receives = receives_for(depth);
        let [commands, responses, connect_data] = memory_for(requests, receives)?;
        let seat = Seat::new();
        Ok(Self {
            slots: Slots::new(commands, requests, depth, row, queue_id, &seat)?,
            receives: ReceiveQueue::new(responses, receives, &seat)?,
            connect_data,
            seat,
        })
    }
}

fn receives_for(depth: u16) -> u16 {
    depth.saturating_add(RECEIVE_SLACK)
}

/// All memory of a wire that a device may be let at, in one mapping: commands, responses, and the data of Fabrics Connect.
fn memory_for(requests: u16, receives: u16) -> Result<[Rc<Memory>; 3], Error> {
    let sizes =
        [Slots::memory_for(requests), ReceiveQueue::memory_for(receives), spec::fabrics::ConnectData::SIZE];
    Ok(Memory::several(sizes)?)
}

impl Wire {
    /// Of these parts; a completion reaches the layer above by `upcall`.
    pub(super) fn new(parts: Parts, qpair: Weak<Qpair>, delay: bool, upcall: Upcall) -> Rc<Self> {
        let Parts { slots, receives, connect_data, seat } = parts;
        Rc::new(Self {
            slots,
            cache: Cache::new(),
            receives,
            key: Cell::new(0),
            upcall,
            in_capsule_data: Cell::new(0),
            delay,
            grouped: Cell::new(false),
            faulty: Cell::new(false),
            asking: Cell::new(false),
            next_asking: Cell::new(None),
            lanes: Cell::new(None),
            home: Cell::new(std::ptr::null()),
            seat,
            qpair,
            fault: Cell::new(None),
            vendor_error: Cell::new(0),
            draining: Cell::new(false),
            distrusted: Cell::new(false),
            before: Cell::default(),
            depth: Cell::new(0),
            reserved: Cell::new(0),
            connect_data: Cell::new(Some(connect_data)),
            rows: Rows::default(),
            row_room: Cell::new(0),
            pool: Cell::new(None),
            ways: Cell::default(),
            spoiled: Cell::new(false),
        })
    }

    /// Forgets the memory that was looked up last: it may be of an earlier [epoch](crate::epoch).
    pub(crate) fn forget_memory(&self) {
        self.cache.clear();
    }

    // ---- the way of an I/O ---------------------------------------------------------------------------------------

    /// Sends an NVM command, if nothing about it is unusual; otherwise false, and nothing was changed: then it goes the long way,
    /// [`Qpair::submit`].
    ///
    /// `head` is the command's first two dwords, but for the command id, with PSDT 01b; `tail` its dwords 10 to 15, two to a word;
    /// `data` one of [`ToHost`], [`ToController`] and their like. The caller has seen that the epoch is the one in
    /// which it called [`Wire::forget_memory`] last.
    #[inline(always)]
    pub(crate) fn submit(
        self: &Rc<Self>,
        head: u64,
        tail: [u64; 3],
        data: impl Reach,
        context: Context,
    ) -> bool {
        let Some(slot) = self.slots.first_open() else { return false };
        let Some(data) = data.reach(self, self.slots.index(slot)) else { return false };
        let id = self.slots.begin_first(slot, context);
        self.send(slot, id, head, tail, data);
        true
    }

    /// As [`Wire::submit`], a part of a transfer, which the layer above calls by this name.
    #[inline(always)]
    pub(crate) fn submit_part(
        self: &Rc<Self>,
        head: u64,
        tail: [u64; 3],
        data: impl Reach,
        split: Split,
        name: *mut (),
    ) -> bool {
        let Some(slot) = self.slots.first_open() else { return false };
        let Some(data) = data.reach(self, self.slots.index(slot)) else { return false };
        let id = self.slots.begin_first(slot, Context { function: std::ptr::null(), argument: name });
        self.slots.set_part(slot, split);
        self.send(slot, id, head, tail, data);
        true
    }

    #[inline(always)]
    fn send(self: &Rc<Self>, slot: Place<'_>, id: u16, head: u64, tail: [u64; 3], (sgl, behind): Resolved) {
        slot.write([head + (u64::from(id) << 16), 0, 0, sgl[0], sgl[1], tail[0], tail[1], tail[2]]);
        if self.delay {
            let is_full = match behind {
                Behind::Nothing => slot.put_off(None),
                Behind::Data(segment) => slot.put_off(Some(segment)),
                Behind::Row(address, length) => slot.put_off_with_known(address, length),
            };
            if is_full {
                self.row_is_full();
            }
            if self.grouped.get() && !self.asking.get() {
                self.ask();
            }
            return;
        }
        let posted = match behind {
            Behind::Nothing => slot.post(None),
            Behind::Data(segment) => slot.post(Some(segment)),
            Behind::Row(address, length) => slot.post_with_known(address, length),
        };
        if let Err(errno) = posted {
            self.was_refused(slot, errno);
        }
    }

    #[cold]
    #[inline(never)]
    fn row_is_full(&self) {
        self.post_sends();
    }

    /// The device refused a SEND: its request was accepted, so it ends with the connection (T104, H15, H16).
    #[cold]
    #[inline(never)]
    fn was_refused(self: &Rc<Self>, slot: Place<'_>, errno: i32) {
        self.slots.was_refused(slot);
        self.set_fault(Fault::Post(errno));
        self.ask(); // no completion may ever lead the qpair to its fault
    }

    /// Takes account of the completions of a queue that is this wire's own: a batch at most. Returns how many there were.
    #[inline(always)]
    pub(super) fn account_own(&self) -> usize {
        let mut batch = Batch::<BATCH>::new();
        let Some(found) = self.seat.poll(&mut batch) else { return self.cannot_poll() };
        for completion in found {
            let token = Token::from_raw(completion.work_request_id());
            // Anything else is what is left of an earlier connection.
            if token.key() == self.key.get() {
                self.account(token, completion);
            }
        }
        found.len()
    }

    #[cold]
    #[inline(never)]
    fn cannot_poll(&self) -> usize {
        self.set_fault(Fault::Poll(libc::EIO));
        0
    }

    /// Takes account of one completion whose token named this wire.
    #[inline(always)]
    pub(super) fn account(&self, token: Token, completion: &WorkCompletion) {
        if completion.status() != WcStatus::SUCCESS {
            return self.account_failed(completion);
        }
        if !token.is_receive() {
            if !self.slots.sent(token.slot()) {
                self.distrust(Kind::Send);
            }
            return;
        }
        let Some(response) = self.receives.take(token.slot()) else { return self.distrust(Kind::Receive) };
        self.account_response(response, completion);
    }

    #[inline(always)]
    fn account_response(&self, [low, high]: [u64; 2], completion: &WorkCompletion) {
        if completion.byte_length() != RESPONSE_SIZE as u32 {
            self.bad_length(completion);
        } else if !self.slots.answered(low, high) {
            self.answered_otherwise(low, high);
        }
    }

    /// Takes account of a completion that its queue pair had of a shared receive: with the response, if the device had that receive.
    pub(super) fn account_shared(&self, response: Option<[u64; 2]>, completion: &WorkCompletion) {
        match response {
            None => self.distrust(Kind::Receive),
            Some(response) if completion.status() == WcStatus::SUCCESS => {
                self.account_response(response, completion);
            }
            Some(_) => self.set_failure(Kind::Receive, completion),
        }
    }

    #[cold]
    #[inline(never)]
    fn bad_length(&self, completion: &WorkCompletion) {
        self.set_fault(Fault::Length(completion.byte_length()));
    }

    #[cold]
    #[inline(never)]
    fn answered_otherwise(&self, low: u64, high: u64) {
        if let Err(bad) = self.slots.answered_otherwise(low, high) {
            self.set_fault(Fault::CommandId(bad));
        }
    }

    #[cold]
    #[inline(never)]
    fn account_failed(&self, completion: &WorkCompletion) {
        let token = Token::from_raw(completion.work_request_id());
        let slot = token.slot();
        let (kind, is_posted) = match token.is_receive() {
            true => (Kind::Receive, self.receives.take(slot).is_some()),
            false => (Kind::Send, self.slots.sent(slot)),
        };
        if !is_posted {
            self.distrust(kind);
        } else if !self.draining.get() {
            self.set_failure(kind, completion);
        }
    }

    /// Lets the device have receives again, when it has few.
    #[inline(always)]
    pub(super) fn refill(&self) {
        if self.receives.has_few() {
            self.post_receives();
        }
    }

    /// Runs the callbacks of at most `most` finished requests, each off every list and holding nothing. Returns how many.
    #[inline]
    pub(super) fn deliver(&self, most: u32) -> u32 {
        most.checked_sub(1).map_or(0, |limit| self.deliver_up_to(limit))
    }

    /// As [`Wire::deliver`], for one more than `limit`.
    #[inline(always)]
    pub(super) fn deliver_up_to(&self, limit: u32) -> u32 {
        let upcall = self.upcall;
        let mut delivered = 0;
        while delivered <= limit
            && let Some(finished) = self.slots.take_finished()
        {
            let Finished { context: Context { function, argument }, completion } = finished;
            delivered += 1;
            if function.is_null() {
                self.deliver_otherwise(&completion);
            } else {
                upcall(argument, &completion, function);
            }
        }
        delivered
    }

    #[inline(never)]
    fn deliver_otherwise(&self, completion: &Completion) {
        let completion = self.slots.looked_at(completion);
        match self.slots.take_part(completion.cid()) {
            Some(split) => self.parts_ended(split, 1, &completion),
            None => self.deliver_ending(&completion),
        }
    }

    #[cold]
    #[inline(never)]
    fn deliver_ending(&self, completion: &Completion) {
        let Ending { held, told } = match self.slots.otherwise(completion.cid()) {
            Otherwise::Ends(ending) => ending,
            Otherwise::Connect => {
                if let Some(qpair) = self.qpair.upgrade() {
                    qpair.fabric_connect_ended(completion);
                }
                return;
            }
        };
        let completion = held.map_or(*completion, |held| given_back(held, *completion));
        match told {
            Told::Part(split) => self.parts_ended(split, 1, &completion),
            Told::Upcall(Context { function, argument }) => (self.upcall)(argument, &completion, function),
            Told::Closure(call) => call(&completion),
            Told::Nobody => {}
        }
    }

    /// So many parts of a transfer have ended like this. Whoever hears of the transfer is told if they were the last.
    #[inline]
    pub(super) fn parts_ended(&self, split: Split, parts: u32, completion: &Completion) {
        if let Some((Context { function, argument }, completion)) =
            self.slots.count_parts(split, parts, completion)
            && !function.is_null()
        {
            (self.upcall)(argument, &completion, function);
        }
    }

    // ---- the long way --------------------------------------------------------------------------------------------

    /// Completes `command` with its id and data descriptor, stores it in the slot and puts the slot off until
    /// [`Wire::post_sends`], which comes by itself when the row is full. On an error the slot is the caller's, and nothing was
    /// sent.
    pub(super) fn push(
        &self,
        device: &DeviceShare,
        slot: Place<'_>,
        command: &Command,
        payload: Payload,
    ) -> Result<(), Error> {
        let Reached { sgl, behind, held } = self.resolve(device, slot, command, payload)?;
        if let Some(held) = held {
            self.slots.hold_until_end(slot, held)?;
        }
        let mut command = *command;
        command.set_cid(self.slots.begin(slot));
        command.set_psdt_sgl();
        command.set_sgl1(sgl);
        slot.write(to_words(&command));
        if slot.put_off(behind) {
            self.post_sends();
        }
        Ok(())
    }

    /// Whether commands were put off that the device does not have yet.
    #[inline(always)]
    pub(super) fn has_pending_sends(&self) -> bool {
        !self.slots.has_nothing_pending()
    }

    /// Hands what was put off to the device. A failure becomes the wire's fault: the requests were accepted, so they end with the
    /// connection (T104, H15, H16). False then.
    #[inline(never)]
    pub(super) fn post_sends(&self) -> bool {
        self.post_sends_inline()
    }

    /// As [`Wire::post_sends`], compiled into the few places that must not pay for a call.
    #[inline(always)]
    pub(super) fn post_sends_inline(&self) -> bool {
        self.slots.post_pending().map_err(|errno| self.set_fault(Fault::Post(errno))).is_ok()
    }

    /// Hands all receives to the device that it does not have. What fails is not posted again: a queue pair in error would give it
    /// back at once, for ever.
    #[inline(never)]
    pub(super) fn post_receives(&self) {
        if !self.draining.get()
            && !self.faulty.get()
            && let Err(errno) = self.receives.post()
        {
            self.set_fault(Fault::Post(errno));
        }
    }

    // ---- opening and shutting ------------------------------------------------------------------------------------

    /// Makes it ready for a connection.
    pub(super) fn open(&self, opening: &Opening<'_>) -> Result<Opened, Error> {
        self.renew_if_spoiled()?;
        let Opening { device, owner, depth, slack, reserved, in_capsule_data, descriptors } = *opening;
        let domain = device.domain();
        let mut registrations = Vec::new();
        registrations.try_reserve_exact(2).map_err(|_| Error::NoMemory)?;
        let send = |slot| Token::new(Kind::Send, owner, slot).to_raw();
        registrations.push(self.slots.register(domain, send)?);
        let receive = |slot| Token::new(Kind::Receive, owner, slot).to_raw();
        match slack {
            Some(slack) => {
                let count = depth.saturating_add(slack);
                registrations.push(self.receives.register(domain, count, slack, receive)?);
            }
            None => self.receives.stand_by(),
        }
        let connect_data = self.connect_data.take();
        self.connect_data.set(connect_data.clone());
        let connect_data = connect_data.ok_or(Error::Internal("a wire without memory for Connect"))?;
        let connect_data = RegisteredMemory::of(&connect_data, domain, Access::RemoteRead)?;
        self.cache.clear();
        self.key.set(owner.key());
        self.fault.set(None);
        self.vendor_error.set(0);
        self.faulty.set(false);
        self.draining.set(false);
        self.distrusted.set(false);
        self.depth.set(u32::from(depth));
        self.reserved.set(u32::from(reserved));
        let row_room = descriptors.min(in_capsule_data / ENTRY as u32).min(PIECES as u32);
        self.row_room.set(row_room as u8);
        // A key that the program gave is for the controller.
        self.in_capsule_data.set(if device.has_keys_of_program() { 0 } else { in_capsule_data });
        Ok(Opened { registrations, connect_data })
    }

    /// Its queue pair is destroyed: what was registered for the data of its commands is given back, but for what requests hold until
    /// they are told.
    pub(super) fn let_go_of_memory(&self) {
        self.rows.shut();
        if let Some(pool) = self.pool.take() {
            pool.close();
        }
    }

    /// Its connection was released: nothing that still comes is its own.
    pub(super) fn shut(&self) {
        self.key.set(0);
        self.fault.set(None);
        self.vendor_error.set(0);
        self.faulty.set(false);
    }

    /// Where the queue pair of its connection sits.
    pub(super) fn seat(&self) -> &Rc<Seat> {
        &self.seat
    }

    /// Its connection is kept for good, and a device may still use its memory: it gets other memory, at once or with its next
    /// connection.
    pub(super) fn spoil(&self) {
        self.spoiled.set(true);
        self.key.set(0);
        self.rows.spoil();
        if let Some(pool) = self.pool.take() {
            pool.spoil();
        }
        // Without memory there is no next connection; the requests are told all the same.
        let _ = self.renew();
    }

    /// Other memory for what a device may still use, if that was not to be had at once. Nothing is written to it before.
    pub(super) fn renew_if_spoiled(&self) -> Result<(), Error> {
        if self.spoiled.get() { self.renew() } else { Ok(()) }
    }

    fn renew(&self) -> Result<(), Error> {
        let receives = receives_for(self.configured_depth());
        let [commands, responses, connect_data] = memory_for(self.slots.count(), receives)?;
        self.slots.renew(commands)?;
        self.receives.renew(responses)?;
        // The connection that is kept has a share of the old one.
        self.connect_data.set(Some(connect_data));
        self.spoiled.set(false);
        Ok(())
    }

    fn configured_depth(&self) -> u16 {
        self.receives.most().saturating_sub(RECEIVE_SLACK)
    }

    /// The connection is live, in a group that has these lanes or in none: lets requests go.
    pub(super) fn go_live(&self, lanes: Option<Rc<Lanes>>) {
        self.grouped.set(lanes.is_some());
        self.home.set(lanes.as_ref().map_or(std::ptr::null(), Rc::as_ptr));
        self.lanes.set(lanes);
        self.slots.open_gate(self.ordinary_depth());
    }

    /// The connection is not live any more.
    pub(super) fn leave_live(&self) {
        self.slots.close_gate();
        self.grouped.set(false);
        self.home.set(std::ptr::null());
        self.lanes.set(None);
    }

    /// Whether requests are being exchanged.
    #[inline(always)]
    pub(super) fn is_live(&self) -> bool {
        self.slots.is_live()
    }

    /// Lowers the number of commands that may be outstanding to what the controller can receive.
    pub(super) fn limit_depth(&self, limit: u32) {
        self.depth.set(self.depth.get().min(limit.max(1)));
    }

    /// Ordinary commands that may be outstanding at a time.
    pub(super) fn ordinary_depth(&self) -> u32 {
        self.depth.get().saturating_sub(self.reserved.get()).max(1)
    }

    /// Whether another command may go out now that the reserved room is for.
    pub(super) fn has_reserved_room(&self) -> bool {
        self.slots.on_wire() < self.depth.get()
    }

    /// The connection is on its way out: what was not handed to the device never will be (T25).
    pub(super) fn begin_draining(&self) {
        self.draining.set(true);
        self.slots.forget_pending();
    }

    /// A completion came for what was not posted: the connection must end, and the account proves nothing any more.
    #[cold]
    #[inline(never)]
    fn distrust(&self, kind: Kind) {
        self.distrusted.set(true);
        self.set_fault(Fault::Unposted(kind));
    }

    /// Whether the device has none of the wire's work requests, by an account that was never wrong.
    pub(super) fn is_quiet(&self) -> bool {
        self.receives.out() == 0 && !self.distrusted.get() && self.slots.sends_unheard_of() == 0
    }

    /// Work requests that the device still has: sends and receives.
    pub(super) fn posted(&self) -> (u32, u32) {
        (self.slots.sends_unheard_of(), self.receives.out())
    }

    /// What is counted is to begin from here on: with a connection.
    pub(super) fn begin_counts(&self) {
        self.before.set(self.all_counts());
    }

    /// What was counted since then.
    pub(super) fn counts(&self) -> Counts {
        self.all_counts().since(self.before.get())
    }

    fn all_counts(&self) -> Counts {
        let (sends, send_doorbells, queued) = self.slots.posted();
        let (receives, receive_doorbells) = self.receives.posted();
        Counts { queued, sends, send_doorbells, receives, receive_doorbells }
    }

    /// Notes why the connection must end. The first fault stays; after draining began errors are expected (T16).
    #[cold]
    #[inline(never)]
    pub(super) fn set_fault(&self, fault: Fault) {
        if self.fault.get().is_none() && !self.draining.get() {
            self.fault.set(Some(fault));
            self.faulty.set(true);
        }
    }

    /// As [`Wire::set_fault`], of a completion that failed.
    #[cold]
    #[inline(never)]
    fn set_failure(&self, kind: Kind, completion: &WorkCompletion) {
        if self.fault.get().is_none() {
            self.vendor_error.set(completion.vendor_error());
        }
        let status = completion.status();
        self.set_fault(if kind == Kind::Send { Fault::Send(status) } else { Fault::Receive(status) });
    }

    /// A fault in words, with the provider's own code, by which its makers know the cause.
    pub(super) fn told(&self, fault: Fault) -> String {
        match self.vendor_error.get() {
            0 => fault.to_string(),
            code => format!("{fault} (vendor error {code:#x})"),
        }
    }

    #[inline(always)]
    pub(super) fn is_faulty(&self) -> bool {
        self.faulty.get()
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }

    // ---- the list of those that are to be looked after -----------------------------------------------------------

    /// Asks to be looked after at the group's next poll; nothing outside of a group.
    #[inline(always)]
    pub(super) fn ask(self: &Rc<Self>) {
        if let Some(lanes) = self.lanes.take() {
            lanes.mark(self);
            std::mem::forget(self.lanes.replace(Some(lanes)));
        }
    }

    /// Whether it is live in the group that has these lanes.
    #[inline(always)]
    pub(super) fn is_home(&self, lanes: &Lanes) -> bool {
        std::ptr::eq(self.home.get(), lanes)
    }

    /// Whether its group looks after it at its next poll.
    pub(super) fn is_asking(&self) -> bool {
        self.asking.get()
    }

    pub(super) fn set_asking(&self, asking: bool) {
        self.asking.set(asking);
    }

    /// What is the same for all tokens of its owner; 0 while it has none.
    #[inline(always)]
    pub(super) fn key(&self) -> u64 {
        self.key.get()
    }

    pub(super) fn qpair(&self) -> Option<Rc<Qpair>> {
        self.qpair.upgrade()
    }

    /// Puts the wire in front of a list, unless it is on one.
    #[inline(always)]
    pub(super) fn push_asking(self: &Rc<Self>, list: &Cell<Option<Rc<Self>>>) {
        if !self.asking.replace(true) {
            Self::link(self.clone(), list);
        }
    }

    /// Takes the first wire off a list.
    #[inline(always)]
    pub(super) fn pop_asking(list: &Cell<Option<Rc<Self>>>) -> Option<Rc<Self>> {
        let wire = Self::unlink(list)?;
        wire.asking.set(false);
        Some(wire)
    }

    /// Moves all wires of a list to another one, and hands to the device on the way what they put off.
    #[inline(always)]
    pub(super) fn post_all(from: &Cell<Option<Rc<Self>>>, to: &Cell<Option<Rc<Self>>>) {
        while let Some(wire) = Self::unlink(from) {
            if wire.has_pending_sends() {
                wire.post_sends_inline();
            }
            Self::link(wire, to);
        }
    }

    #[inline(always)]
    fn link(wire: Rc<Self>, list: &Cell<Option<Rc<Self>>>) {
        // A wire that is on no list has nobody after it: there is nothing to drop.
        std::mem::forget(wire.next_asking.replace(list.take()));
        std::mem::forget(list.replace(Some(wire)));
    }

    #[inline(always)]
    fn unlink(list: &Cell<Option<Rc<Self>>>) -> Option<Rc<Self>> {
        let wire = list.take()?;
        std::mem::forget(list.replace(wire.next_asking.take()));
        Some(wire)
    }

    /// Takes this wire off a list, if it is on it. Walks the list.
    pub(super) fn leave_asking(&self, list: &Cell<Option<Rc<Self>>>) {
        let others = Cell::new(None);
        while let Some(wire) = Self::pop_asking(list) {
            if !std::ptr::eq(Rc::as_ptr(&wire), self) {
                wire.push_asking(&others);
            }
        }
        while let Some(wire) = Self::pop_asking(&others) {
            wire.push_asking(list);
        }
    }
}

/// A command as eight words.
pub(super) fn to_words(command: &Command) -> [u64; COMMAND_WORDS] {
    let (pairs, _) = command.dwords.as_chunks::<2>();
    let mut words = [0; COMMAND_WORDS];
    for (word, [low, high]) in words.iter_mut().zip(pairs) {
        *word = u64::from(*low) | u64::from(*high) << 32;
    }
    words
}

/// The reverse of [`to_words`].
pub(super) fn from_words(words: [u64; COMMAND_WORDS]) -> Command {
    let mut dwords = [0; 16];
    let (pairs, _) = dwords.as_chunks_mut::<2>();
    for (pair, word) in pairs.iter_mut().zip(words) {
        *pair = [word as u32, (word >> 32) as u32];
    }
    Command { dwords }
}

#[cfg(test)]
mod tests;
