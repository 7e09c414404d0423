//! One queue pair of a controller: what it is, submission, and completions. How it connects and ends is in `life`.
//!
//! All methods take `&self`, and callbacks may call any of them again: the state is moved out of its cell for each
//! use, never borrowed across anything that calls the layer above.
//!
//! The way of one I/O is the [`Wire`]'s. What is here is the way around: [`Qpair::submit`] for what is not plain, and
//! [`Qpair::process_completions`] with everything that a poll may have to see to; [`Qpair::poll`] is a poll that has nothing else
//! to do.

mod life;

pub(super) use life::Loss;

use super::{
    Error,
    completer::{Completer, Context, Payload, Upcall},
    config::{Association, QpairConfiguration},
    connection::{Connection, Resolver},
    group_core::GroupCore,
    injections::Injection,
    parting::Parting,
    poller::Lanes,
    slots::{FailureListener, Place, Split},
    state::{Action, End, Event, FailureReason, State},
    wire::{self, BATCH, Parts, Ways, Wire},
};
use crate::{
    clock::{self, Moment},
    memory::{Lent, Piece},
};
use parking_lot::Mutex;
use spec::{Command, Completion, Status};
use std::{
    cell::Cell,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

/// The largest number of requests of one qpair: with the one for Fabrics Connect half as many as there are command ids, which leaves a bit
/// to tell two commands of a slot apart.
pub const MOST_REQUESTS: u16 = (1 << 15) - 2;
/// How often the event channel of a live qpair is looked at.
const CM_INTERVAL: Duration = Duration::from_millis(1);

// Boxes keep the state small: each use moves it out of its cell and back.
type QpairState = State<Box<Resolver>, Box<Connection>>;
type QpairEvent = Event<Box<Resolver>, Box<Connection>>;
type QpairAction = Action<Box<Resolver>, Box<Connection>>;

/// A queue pair, used by one thread at a time.
pub struct Qpair {
    me: Weak<Qpair>,
    wire: Rc<Wire>,
    /// Polls that may yet be short ones, until one looks at the clock; none unless live and in no group.
    short_polls: Cell<u8>,
    configuration: QpairConfiguration,
    /// What the next attempt to connect goes by, and the one that is under way. Uncontended: there is no empty one to put in its
    /// place while it is shared.
    association: Mutex<Arc<Association>>,
    label: Cell<Arc<str>>,
    state: Cell<QpairState>,
    lanes: Rc<Lanes>,
    group: Cell<Option<Rc<GroupCore>>>,
    /// Where it is among the group's members.
    place: Cell<usize>,
    deadline: Cell<Moment>,
    /// Until when a controller that still holds the queue is asked again.
    patience: Cell<Moment>,
    next_cm_look: Cell<Moment>,
    stale_attempts: Cell<u8>,
    held_attempts: Cell<u8>,
    controller_id: Cell<u16>,
    /// The failure reason when the last attempt to connect began.
    reason_before: Cell<FailureReason>,
    /// The program wants a larger queue than the controller had for one: it is asked for as it is.
    oversized: bool,
    counted_busy: Cell<bool>,
    counted_ended: Cell<bool>,
    /// The qpair is not to be used again: its end does not wait for the peer.
    leaving: Cell<bool>,
    parting: Cell<Option<Parting>>,
}

impl Qpair {
    /// A qpair that is not connected, and that connects with this association unless it is told another.
    pub fn new(configuration: QpairConfiguration, association: &Arc<Association>) -> Result<Rc<Self>, Error> {
        let count = configuration.requests.clamp(1, MOST_REQUESTS);
        let depth = configuration.queue_size.saturating_sub(1).max(1);
        // What is put off goes out with one doorbell, however much it is; a full row would not wait for the poll.
        let row = if configuration.delay_submit { depth.min(count) + 1 } else { 0 };
        let parts = Parts::new(count, depth, row, configuration.queue_id)?;
        let label = label_of(configuration.queue_id, association);
        let oversized = u32::from(configuration.queue_size) > association.queue_entries;
        Ok(Rc::new_cyclic(|me| Self {
            me: me.clone(),
            wire: Wire::new(parts, me.clone(), configuration.delay_submit, configuration.upcall),
            short_polls: Cell::new(0),
            configuration,
            label: Cell::new(label),
            controller_id: Cell::new(association.controller_id),
            reason_before: Cell::new(FailureReason::None),
            oversized,
            association: Mutex::new(association.clone()),
            state: Cell::new(State::Idle),
            lanes: Lanes::new(false),
            group: Cell::new(None),
            place: Cell::new(0),
            deadline: Cell::new(Moment::START),
            patience: Cell::new(Moment::START),
            next_cm_look: Cell::new(Moment::START),
            stale_attempts: Cell::new(0),
            held_attempts: Cell::new(0),
            counted_busy: Cell::new(false),
            counted_ended: Cell::new(false),
            leaving: Cell::new(false),
            parting: Cell::new(None),
        }))
    }

    /// The queue id.
    pub fn queue_id(&self) -> u16 {
        self.configuration.queue_id
    }

    /// The controller id that the controller gave in its answer to Connect.
    pub fn controller_id(&self) -> u16 {
        self.controller_id.get()
    }

    /// What log lines call this qpair.
    pub fn label(&self) -> Arc<str> {
        let label = self.label.replace(Arc::default());
        self.label.set(label.clone());
        label
    }

    /// Sets what the next attempt to connect goes by. Only at rest.
    pub fn associate(&self, association: &Arc<Association>) -> Result<(), Error> {
        if !self.is_at_rest() {
            return Err(Error::NotDisconnected);
        }
        self.label.set(label_of(self.queue_id(), association));
        *self.association.lock() = association.clone();
        Ok(())
    }

    /// What the attempt to connect that is under way goes by, or the last one, or the next.
    fn association(&self) -> Arc<Association> {
        self.association.lock().clone()
    }

    /// The entries of the queue: no more than a controller has for one that was reset since, and is another now.
    fn queue_size(&self) -> u16 {
        if self.oversized {
            return self.configuration.queue_size;
        }
        let most = u16::try_from(self.association().queue_entries).unwrap_or(u16::MAX);
        self.configuration.queue_size.min(most.max(2))
    }

    /// The way of an I/O.
    #[inline(always)]
    pub fn wire(&self) -> &Rc<Wire> {
        &self.wire
    }

    /// How completions reach the layer above.
    pub fn upcall(&self) -> Upcall {
        self.configuration.upcall
    }

    /// Whether requests are being exchanged.
    #[inline(always)]
    pub fn is_connected(&self) -> bool {
        self.wire.is_live()
    }

    /// Whether there is neither a connection nor an attempt at one.
    pub fn is_at_rest(&self) -> bool {
        self.with(State::is_at_rest)
    }

    /// Whether there was a connection, or an attempt, and it is over.
    pub fn has_ended(&self) -> bool {
        self.with(|state| matches!(state, State::Disconnected(_)))
    }

    /// Whether the connection is on its way out.
    pub fn is_draining(&self) -> bool {
        self.with(|state| matches!(state, State::Draining(_, end) if *end != End::Retry))
    }

    /// Why the qpair is not connected. An attempt to connect again that fails leaves the reason that there was before.
    pub fn failure_reason(&self) -> FailureReason {
        self.with(|state| match state {
            State::Disconnected(end) | State::Draining(_, end) => match end {
                End::Requested | End::Retry => FailureReason::None,
                End::NotConnected(_) => match self.reason_before.get() {
                    FailureReason::None => FailureReason::Unknown,
                    reason => reason,
                },
                End::Failed(reason) => *reason,
            },
            _ => FailureReason::None,
        })
    }

    /// The protection domain of the connection, if there is one.
    pub fn domain(&self) -> Option<std::sync::Arc<verbs::ProtectionDomain>> {
        self.with(|state| connection(state).map(|connection| connection.domain().clone()))
    }

    /// A buffer of the connection's pool, registered for this one right, with what an earlier request left in it. None if there is no
    /// connection, or the pool has none for so many bytes.
    pub fn lend(&self, length: usize, access: verbs::Access) -> Option<Lent> {
        self.with(|state| self.wire.lend(connection(state)?.device(), length, access))
    }

    /// Ordinary commands that may be with the controller at a time; 0 without a connection. The device or the controller
    /// may allow fewer than were asked for.
    pub fn depth(&self) -> u32 {
        self.with(|state| connection(state).map_or(0, |_| self.wire.ordinary_depth()))
    }

    /// How many requests can be accepted at a time.
    pub fn request_count(&self) -> u32 {
        u32::from(self.wire.slots.count())
    }

    /// Requests that were accepted and whose callback did not run yet.
    pub fn requests_in_use(&self) -> usize {
        self.wire.slots.in_use()
    }

    /// Commands that are with the controller. Walks all requests.
    pub fn commands_out(&self) -> u32 {
        self.wire.slots.on_wire()
    }

    /// How the data of its commands were reached so far.
    pub fn ways(&self) -> Ways {
        self.wire.ways()
    }

    /// Whether requests that end with the connection say that they are not to be tried again (DNR).
    pub fn abort_dnr(&self) -> bool {
        self.wire.slots.abort_dnr()
    }

    /// Sets whether requests that end with the connection say that they are not to be tried again (DNR).
    pub fn set_abort_dnr(&self, dnr: bool) {
        self.wire.slots.set_abort_dnr(dnr);
    }

    /// Accepts a request, or refuses it: then its completer is not called. While the qpair connects, and while
    /// its queue is full, requests wait in the order of their submission.
    pub fn submit(&self, command: &Command, payload: Payload, completer: Completer) -> Result<(), Error> {
        self.submit_with(command, |_| Ok(payload), completer)
    }

    /// As [`Qpair::submit`], of data in several pieces, no more than [`Qpair::most_pieces`]. They are kept until they are sent.
    pub fn submit_pieces(
        &self,
        command: &Command,
        pieces: &[Piece],
        completer: Completer,
    ) -> Result<(), Error> {
        let Self { wire, .. } = self;
        let store = |slot: Place<'_>| {
            wire.rows.store(wire.slots.count(), wire.slots.index(slot), pieces)?;
            Ok(Payload::Row { pieces: pieces.len() as u32 })
        };
        self.submit_with(command, store, completer)
    }

    /// Pieces that the data of a command may lie in, over the connection that there is, or was last.
    pub fn most_pieces(&self) -> u32 {
        self.wire.most_pieces()
    }

    fn submit_with(
        &self,
        command: &Command,
        payload: impl FnOnce(Place<'_>) -> Result<Payload, Error>,
        completer: Completer,
    ) -> Result<(), Error> {
        let slots = &self.wire.slots;
        if slots.holds_back(command.opcode()) {
            return self.hold(command, completer);
        }
        self.with(|state| match state {
            State::Live(connection) => self.submit_live(connection, command, payload, completer),
            State::Idle | State::Disconnected(_) => Err(Error::NotConnected),
            State::Draining(_, end) if *end != End::Retry => Err(Error::NotConnected),
            _ => self.wire.slots.wait(wire::to_words(command), payload, completer),
        })
    }

    /// Accepts a request that is not sent, but ends with an injected error, where it would be accepted.
    #[cold]
    fn hold(&self, command: &Command, completer: Completer) -> Result<(), Error> {
        self.with(|state| match state {
            State::Idle | State::Disconnected(_) => Err(Error::NotConnected),
            State::Draining(_, end) if *end != End::Retry => Err(Error::NotConnected),
            _ => self.wire.slots.hold(command, completer, clock::now()),
        })?;
        // No completion leads a poll to it.
        self.short_polls.set(0);
        self.count_busy();
        Ok(())
    }

    fn submit_live(
        &self,
        connection: &Connection,
        command: &Command,
        payload: impl FnOnce(Place<'_>) -> Result<Payload, Error>,
        completer: Completer,
    ) -> Result<(), Error> {
        let Some(slot) = self.wire.slots.take_open() else {
            self.wire.slots.count_queued();
            return self.wire.slots.wait(wire::to_words(command), payload, completer);
        };
        let pushed =
            self.wire.slots.set_completer(slot, completer, false).and_then(|()| payload(slot)).and_then(
                |payload| match self.wire.push(connection.device(), slot, command, payload) {
                    // Others have the memory that its data would go through: it goes when they have ended.
                    Err(Error::NoBuffers) => {
                        self.wire.slots.wait_after_all(slot, wire::to_words(command), payload);
                        Ok(())
                    }
                    pushed => pushed,
                },
            );
        if let Err(error) = pushed {
            self.wire.slots.give_back_open(slot);
            return Err(error);
        }
        if self.configuration.delay_submit {
            self.wire.ask();
        } else {
            connection.post_sends();
        }
        Ok(())
    }

    /// As [`Qpair::submit`], ahead of all that waits, in the room that the configuration reserved: for what must go out
    /// however busy the queue is. Where that is taken, too, it waits like any other.
    pub fn submit_ahead(
        &self,
        command: &Command,
        payload: Payload,
        completer: Completer,
    ) -> Result<(), Error> {
        let held_back = self.wire.slots.holds_back(command.opcode());
        let has_room = self.is_connected() && self.wire.has_reserved_room() && !held_back;
        let Some(slot) = has_room.then(|| self.wire.slots.take_reserve()).flatten() else {
            return self.submit(command, payload, completer);
        };
        self.wire
            .slots
            .set_completer(slot, completer, true)
            .and_then(|()| {
                self.with(|state| {
                    let Some(connection) = connection(state) else { return Err(Error::NotConnected) };
                    self.wire.push(connection.device(), slot, command, payload)?;
                    connection.post_sends();
                    Ok(())
                })
            })
            .inspect_err(|_| self.wire.slots.give_back_reserve(slot))
    }

    /// The command ids of the requests of that name that are with the controller, the oldest first. The name is a request's argument,
    /// or that of a [named](Completer::Named) one.
    pub fn requests_of(&self, name: *mut ()) -> Vec<u16> {
        self.wire.slots.outstanding_of(name)
    }

    /// Ends the requests of that name that wait: their callbacks run at the next poll. Returns how many there were.
    pub fn abort_waiting(&self, name: *mut ()) -> usize {
        let count = self.wire.slots.finish_waiting_of(name, Status::ABORTED_BY_REQUEST.with_dnr(true));
        if count > 0 {
            // No completion leads its group to it.
            self.wire.ask();
            self.count_busy();
        }
        count
    }

    /// From now on requests may take so long, or as long as they like.
    pub fn watch(&self, limit: Option<Duration>) {
        self.wire.slots.watch(limit);
        self.short_polls.set(0);
        // A gate that is not watched any more opens.
        self.flush_now();
    }

    /// Lets commands of an opcode end with an error, from those on that were accepted already.
    pub fn inject(&self, injection: Injection) -> Result<(), Error> {
        self.wire.slots.inject(injection)?;
        self.short_polls.set(0);
        Ok(())
    }

    /// Commands of that opcode end as they do, but for those that are held back already.
    pub fn remove_injection(&self, opcode: u8) {
        self.wire.slots.remove_injection(opcode);
        self.short_polls.set(0);
        // A gate that nothing keeps shut any more opens.
        self.flush_now();
    }

    /// Finishes requests that were held back for long enough.
    pub(super) fn finish_held(&self, now: Moment) {
        if self.wire.slots.has_held() {
            self.wire.slots.finish_held(now);
            self.count_busy();
        }
    }

    /// Whether requests are watched.
    pub fn is_watched(&self) -> bool {
        self.wire.slots.is_watched()
    }

    /// The command ids of the requests that are with the controller for too long, the oldest first, each once.
    pub fn late(&self, now: Moment) -> Vec<u16> {
        self.wire.slots.late(now)
    }

    /// The command id of a request with this opcode that is with the controller.
    pub fn outstanding_with(&self, opcode: u8) -> Option<u16> {
        self.wire.slots.outstanding_with(opcode)
    }

    /// The account half of a poll, for a qpair outside of a group or in a wait of its own: takes completions off
    /// its queue. Calls nobody.
    pub fn account(&self, at_most: u32) {
        let Some(poller) = self.with(|state| connection(state).map(|c| c.share().poller().clone())) else {
            return;
        };
        poller.account_up_to(at_most.wrapping_sub(1));
        self.wire.refill();
    }

    /// The deliver half: runs the callbacks of at most `most` finished requests, each off every list and holding
    /// nothing. Returns how many.
    pub fn deliver(&self, most: u32) -> u32 {
        let delivered = self.wire.deliver(most);
        if self.wire.slots.has_left_out() {
            self.sum_up_failures();
        }
        delivered
    }

    /// Sets who is told of commands that end with an error, right before their callbacks run; nobody is before that.
    pub fn listen_to_failures(&self, listener: Option<Weak<dyn FailureListener>>) {
        self.wire.slots.listen_to_failures(listener);
    }

    /// With the connection over and all callbacks run: how many commands ended with an error of which nothing was told.
    #[cold]
    #[inline(never)]
    pub(super) fn sum_up_failures(&self) {
        let slots = &self.wire.slots;
        if slots.has_left_out() && !slots.has_finished() && self.is_at_rest() {
            slots.tell_of_others();
        }
    }

    /// Whether a callback is due.
    pub fn has_finished(&self) -> bool {
        self.wire.slots.has_finished()
    }

    /// Lets waiting requests go as far as there is room, and rings the doorbell for what is pending.
    #[inline]
    pub fn flush(&self) {
        if self.wire.has_pending_sends() || self.wire.slots.is_unsettled() {
            self.flush_now();
        }
    }

    #[inline(never)]
    pub(super) fn flush_now(&self) {
        self.with(|state| {
            if let State::Live(connection) = state {
                if self.wire.slots.is_unsettled() {
                    self.send_waiting(connection);
                }
                if self.wire.has_pending_sends() {
                    connection.post_sends();
                }
            }
        });
    }

    #[cold]
    fn send_waiting(&self, connection: &Connection) {
        while let Some((slot, words, payload)) = self.wire.slots.next_to_go() {
            let pushed = self.wire.push(connection.device(), slot, &wire::from_words(words), payload);
            if let Err(Error::NoBuffers) = pushed {
                // Somebody has them, whose end leads here again.
                self.wire.slots.stays();
                break;
            }
            self.wire.slots.goes();
            if let Err(error) = pushed {
                // It was accepted, so it is told by its callback (T109).
                tracing::error!("{}: a request that waited cannot be sent: {error}", self.label());
                self.wire.slots.finish(slot, Status::INTERNAL_ERROR.with_dnr(true));
            }
        }
        self.wire.slots.settle();
    }

    /// A poll of a qpair that is in no group, for when there is nothing but completions: it takes no look at state or clock.
    /// None if there is something else, or may be: then it is to be a [whole one](Qpair::process_completions), to which what this
    /// one accounted for is not lost.
    #[inline(always)]
    pub(crate) fn poll(&self, most: u32) -> Option<u32> {
        let wire = &*self.wire;
        let (left, none) = self.short_polls.get().overflowing_sub(1);
        self.short_polls.set(left);
        if none {
            return self.begin_whole_poll();
        }
        // No limit becomes the largest one.
        let limit = most.wrapping_sub(1);
        // What was put off since the last poll goes first: its completions may be there at once.
        if wire.has_pending_sends() {
            wire.post_sends_inline();
        }
        let mut all = 0;
        loop {
            let found = wire.account_own();
            all += found as u32;
            if found < BATCH || all > limit {
                break;
            }
        }
        if all == 0 {
            return self.after_account(limit).ok();
        }
        wire.refill();
        if wire.is_faulty() {
            return None;
        }
        let delivered = wire.deliver_up_to(limit);
        if wire.has_pending_sends() || wire.slots.is_unsettled() {
            self.flush_now();
            // A callback may have ended the connection: then nothing is settled.
            return wire.is_live().then_some(delivered);
        }
        Some(delivered)
    }

    /// The next poll is a whole one, which says how many short ones may follow.
    #[cold]
    #[inline(never)]
    fn begin_whole_poll(&self) -> Option<u32> {
        self.short_polls.set(0);
        None
    }

    /// One whole poll of a qpair that is in no group: account, progress, deliver, flush. Returns the number of
    /// callbacks that ran, or that the qpair is not connected (callbacks of aborted requests ran nevertheless).
    pub fn process_completions(&self, most: u32) -> Result<u32, Error> {
        let limit = most.wrapping_sub(1);
        if self.wire.has_pending_sends() {
            self.wire.post_sends();
        }
        self.account(limit.saturating_add(1).min(u32::from(self.configuration.queue_size)));
        self.after_account(limit)
    }

    /// What follows the account half: at most `limit` + 1 callbacks.
    #[inline(never)]
    fn after_account(&self, limit: u32) -> Result<u32, Error> {
        self.progress(clock::now());
        let delivered = self.wire.deliver_up_to(limit);
        self.flush();
        if self.is_connected() {
            let short = self.is_alone() && !self.wire.slots.needs_whole_polls();
            self.short_polls.set(if short { u8::MAX } else { 0 });
            return Ok(delivered);
        }
        let lost = self.with(|state| match state {
            // `Building` is never seen from here, but for a panic in a step, whose connection is gone.
            State::Idle | State::Building | State::Disconnected(_) => true,
            State::Draining(_, end) => *end != End::Retry,
            _ => false,
        });
        if lost {
            // The qpair is no longer polled for long: what was aborted is told now, whatever the budget (T108).
            self.deliver(u32::MAX);
            return Err(Error::NotConnected);
        }
        Ok(delivered)
    }

    /// Lets the wire's short ways be gone, or not, as the state is.
    pub(super) fn follow_state(&self) {
        let live = self.with(|state| matches!(state, State::Live(_)));
        if live == self.wire.is_live() {
            return;
        }
        self.short_polls.set(0);
        if live {
            if self.queue_id() == 0 {
                // What was sent to the Admin Queue meanwhile was for the controller as it was; this one is still to be enabled.
                self.wire.slots.abort_waiting();
            }
            self.wire.go_live(self.group().map(|group| group.shared_lanes()));
        } else {
            self.wire.leave_live();
        }
    }

    fn is_alone(&self) -> bool {
        let group = self.group.take();
        let alone = group.is_none();
        self.group.set(group);
        alone
    }

    /// Joins a group. Only at rest, and only if it is in none.
    pub(super) fn join(&self, core: &Rc<GroupCore>) -> Result<(), Error> {
        if !self.is_at_rest() {
            return Err(Error::NotDisconnected);
        }
        let current = self.group.take();
        let result = if current.is_none() { Ok(()) } else { Err(Error::WrongGroup) };
        self.group.set(current.or_else(|| Some(core.clone())));
        self.count_busy();
        result
    }

    pub(super) fn place(&self) -> usize {
        self.place.get()
    }

    pub(super) fn set_place(&self, place: usize) {
        self.place.set(place);
    }

    /// Leaves its group. Only at rest (T45).
    pub(super) fn leave(&self) -> Result<(), Error> {
        if !self.is_at_rest() {
            return Err(Error::NotDisconnected);
        }
        if let Some(group) = self.group.take() {
            if self.counted_busy.replace(false) {
                group.count_unusual(false);
            }
            if self.counted_ended.replace(false) {
                group.count_unusual(false);
            }
        }
        Ok(())
    }

    fn group(&self) -> Option<Rc<GroupCore>> {
        let group = self.group.take();
        self.group.set(group.clone());
        group
    }

    fn watch_events(&self) -> Result<(), verbs::Error> {
        let Some(group) = self.group() else { return Ok(()) };
        self.with(|state| match connection(state) {
            Some(connection) => group.watch(connection.channel(), connection.share().owner()),
            None => Ok(()),
        })
    }

    /// Tells the group whether this qpair needs progress at each of its polls: on its way to a connection or to its
    /// end, with requests that are held back, or at rest with callbacks that are due (it may have come to rest outside of the group's polls); and whether it has
    /// ended.
    pub(super) fn count_busy(&self) {
        let busy = self.with(|state| match state {
            State::Live(_) => self.wire.slots.has_held(),
            state => !state.is_at_rest() || self.has_finished(),
        });
        if self.counted_busy.get() != busy
            && let Some(group) = self.group()
        {
            self.counted_busy.set(busy);
            group.count_unusual(busy);
        }
        let ended = self.has_ended();
        if self.counted_ended.get() != ended
            && let Some(group) = self.group()
        {
            self.counted_ended.set(ended);
            group.count_unusual(ended);
        }
    }

    /// A transfer in so many parts, each of them a request whose completer is [`Completer::Part`]. `context` hears of it once, after the
    /// last, with the first error if there was one.
    pub fn begin_split(&self, parts: u32, context: Context) -> Result<Split, Error> {
        self.wire.slots.begin_split(parts, context)
    }

    /// A transfer of which no part was accepted: nobody hears of it.
    pub fn forget_split(&self, split: Split) {
        self.wire.slots.forget_split(split);
    }

    /// So many parts of a transfer were never sent, and count as ended like this.
    pub fn parts_ended(&self, split: Split, parts: u32, completion: &Completion) {
        self.wire.parts_ended(split, parts, completion);
    }

    /// Whether there are as many free request slots. Walks them: not for each I/O.
    pub fn has_free_requests(&self, count: usize) -> bool {
        self.wire.slots.has_free(count)
    }

    /// Whether the group must let this qpair progress at each poll.
    pub(super) fn is_busy(&self) -> bool {
        self.counted_busy.get()
    }

    /// Runs `use_state` with the state out of its cell. It must not call the layer above.
    #[inline]
    fn with<T>(&self, use_state: impl FnOnce(&QpairState) -> T) -> T {
        let state = self.state.replace(State::Building);
        let result = use_state(&state);
        // What is replaced is the `Building` from above, which owns nothing: forgetting it saves the look.
        std::mem::forget(self.state.replace(state));
        result
    }
}

impl Drop for Qpair {
    fn drop(&mut self) {
        // Whoever drops a qpair has brought it to rest; if not, its connection must not simply vanish under the
        // device.
        if !self.is_at_rest() {
            self.leave_for_good();
            self.wait_until_at_rest();
        }
    }
}

/// What log lines call the qpair of that queue id.
fn label_of(queue_id: u16, association: &Association) -> Arc<str> {
    let label = &association.target.label;
    match queue_id {
        0 => Arc::from(format!("{label} admin queue")),
        id => Arc::from(format!("{label} qid {id}")),
    }
}

#[inline]
fn connection(state: &QpairState) -> Option<&Connection> {
    match state {
        State::Connecting(connection)
        | State::FabricConnect(connection)
        | State::Live(connection)
        | State::Draining(connection, _) => Some(connection),
        _ => None,
    }
}
