//! One queue pair of a controller: what it is, submission, and completions. How it connects and ends is in `life`.
//!
//! All methods take `&self`, and callbacks may call any of them again: the state is moved out of its cell for each
//! use, never borrowed across anything that calls the layer above.

mod life;

use super::{
    Error,
    config::QpairConfiguration,
    connection::{Connection, Resolver},
    group_core::GroupCore,
    parting::Parting,
    poller::Lanes,
    requests::{COMMAND_SIZE, Completer, Payload, Requests},
    state::{Action, End, Event, FailureReason, State},
    wire::Wire,
};
use crate::clock::{self, Moment};
use spec::{Command, Status};
use std::{
    cell::Cell,
    rc::{Rc, Weak},
    time::Duration,
};

/// The largest number of requests of one qpair.
const MAXIMUM_REQUESTS: u16 = 4095;
/// How often the event channel of a live qpair is looked at.
const CM_INTERVAL: Duration = Duration::from_millis(1);

// Boxes keep the state small: each use moves it out of its cell and back.
type QpairState = State<Box<Resolver>, Box<Connection>>;
type QpairEvent = Event<Box<Resolver>, Box<Connection>>;
type QpairAction = Action<Box<Resolver>, Box<Connection>>;

/// A queue pair, used by one thread at a time.
pub struct Qpair {
    me: Weak<Qpair>,
    configuration: QpairConfiguration,
    requests: Rc<Requests>,
    state: Cell<QpairState>,
    lanes: Rc<Lanes>,
    group: Cell<Option<Rc<GroupCore>>>,
    deadline: Cell<Moment>,
    /// Until when a controller that still holds the queue is asked again.
    patience: Cell<Moment>,
    next_cm_look: Cell<Moment>,
    stale_attempts: Cell<u8>,
    held_attempts: Cell<u8>,
    controller_id: Cell<u16>,
    counted_busy: Cell<bool>,
    /// The qpair is not to be used again: its end does not wait for the peer.
    leaving: Cell<bool>,
    parting: Cell<Option<Parting>>,
}

impl Qpair {
    /// A qpair that is not connected.
    pub fn new(configuration: QpairConfiguration) -> Result<Rc<Self>, Error> {
        let count = configuration.requests.clamp(1, MAXIMUM_REQUESTS);
        let requests = Requests::new(count, configuration.queue_id)?;
        let controller_id = configuration.controller_id;
        Ok(Rc::new_cyclic(|me| Self {
            me: me.clone(),
            configuration,
            requests,
            state: Cell::new(State::Idle),
            lanes: Lanes::new(),
            group: Cell::new(None),
            deadline: Cell::new(Moment::START),
            patience: Cell::new(Moment::START),
            next_cm_look: Cell::new(Moment::START),
            stale_attempts: Cell::new(0),
            held_attempts: Cell::new(0),
            controller_id: Cell::new(controller_id),
            counted_busy: Cell::new(false),
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
    pub fn label(&self) -> &str {
        &self.configuration.target.label
    }

    /// Whether requests are being exchanged.
    pub fn is_connected(&self) -> bool {
        self.with(|state| matches!(state, State::Live(_)))
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

    /// Why the qpair is not connected.
    pub fn failure_reason(&self) -> FailureReason {
        self.with(|state| match state {
            State::Disconnected(end) | State::Draining(_, end) => match end {
                End::Requested | End::Retry => FailureReason::None,
                End::NotConnected(_) => FailureReason::Unknown,
                End::Failed(reason) => *reason,
            },
            _ => FailureReason::None,
        })
    }

    /// The protection domain of the connection, if there is one.
    pub fn domain(&self) -> Option<std::sync::Arc<verbs::ProtectionDomain>> {
        self.with(|state| connection(state).map(|connection| connection.domain().clone()))
    }

    /// Ordinary commands that may be with the controller at a time; 0 without a connection. The device or the controller
    /// may allow fewer than were asked for.
    pub fn depth(&self) -> u32 {
        self.with(|state| connection(state).map_or(0, |connection| connection.wire().ordinary_depth()))
    }

    /// How many requests can be accepted at a time.
    pub fn request_count(&self) -> u32 {
        u32::from(self.requests.connect_slot()) // the last slot
    }

    /// Requests that were accepted and whose callback did not run yet.
    pub fn requests_in_use(&self) -> usize {
        self.requests.in_use()
    }

    /// Accepts a request, or refuses it: then its completer is not called. While the qpair connects, and while
    /// its queue is full, requests wait in the order of their submission.
    #[inline]
    pub fn submit(&self, command: &Command, payload: Payload, completer: Completer) -> Result<(), Error> {
        self.with(|state| match state {
            State::Live(connection) => self.submit_live(connection, command, payload, completer),
            State::Idle | State::Disconnected(_) => Err(Error::NotConnected),
            State::Draining(_, end) if *end != End::Retry => Err(Error::NotConnected),
            _ => self.submit_waiting(command, payload, completer),
        })
    }

    #[inline]
    fn submit_live(
        &self,
        connection: &Connection,
        command: &Command,
        payload: Payload,
        completer: Completer,
    ) -> Result<(), Error> {
        let wire = connection.wire();
        if self.requests.has_waiting() || !wire.has_room() {
            return self.submit_waiting(command, payload, completer);
        }
        let slot = self.requests.take().ok_or(Error::NoRequests)?;
        if let Err(error) = wire.push(slot, command, payload, Some(completer)) {
            self.requests.give_back(slot);
            return Err(error);
        }
        if self.configuration.delay_submit {
            connection.share().mark(wire);
        } else {
            connection.post_sends();
        }
        Ok(())
    }

    #[cold]
    fn submit_waiting(&self, command: &Command, payload: Payload, completer: Completer) -> Result<(), Error> {
        let slot = self.requests.take().ok_or(Error::NoRequests)?;
        if !self.requests.commands().write_dwords(usize::from(slot) * COMMAND_SIZE, &command.dwords) {
            self.requests.give_back(slot);
            return Err(Error::Internal("a slot without memory for its command"));
        }
        if !self.requests.wait(slot, payload, completer) {
            return Err(Error::Internal("a slot that the requests do not have"));
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
        let has_room = |state: &QpairState| match state {
            State::Live(connection) => connection.wire().has_reserved_room(),
            _ => false,
        };
        if !self.with(has_room) {
            return self.submit(command, payload, completer);
        }
        let slot = self.requests.take().ok_or(Error::NoRequests)?;
        self.with(|state| {
            let Some(connection) = connection(state) else { return Err(Error::NotConnected) };
            connection.wire().push(slot, command, payload, Some(completer))?;
            connection.post_sends();
            Ok(())
        })
        .inspect_err(|_| self.requests.give_back(slot))
    }

    /// The account half of a poll, for a qpair outside of a group or in a wait of its own: takes completions off
    /// its queue. Calls nobody.
    #[inline]
    pub fn account(&self, at_most: u32) {
        let Some(poller) = self.with(|state| connection(state).map(|c| c.share().poller().clone())) else {
            return;
        };
        let mut found = 0;
        loop {
            let count = u32::try_from(poller.account()).unwrap_or(0);
            found += count;
            if count == 0 || found >= at_most {
                break;
            }
        }
        drop(poller);
        if found > 0 {
            // Without a group nobody reads the list of those who asked for attention.
            self.lanes.clear_attention();
            self.attend();
        }
    }

    /// Looks after the wire once completions were accounted for: its receives go back to the device.
    #[inline]
    pub(super) fn attend(&self) {
        self.with(|state| {
            if let Some(connection) = connection(state) {
                connection.wire().attend();
                connection.post_receives();
            }
        });
    }

    /// The deliver half: runs the callbacks of at most `most` finished requests, each off every list and holding
    /// nothing. Returns how many.
    #[inline]
    pub fn deliver(&self, most: u32) -> u32 {
        let mut delivered = 0;
        while delivered < most {
            match self.requests.take_finished() {
                Some((Some(completer), completion)) => {
                    completer.complete(&completion);
                    delivered += 1;
                }
                Some((None, completion)) => self.fabric_connect_ended(&completion),
                None => break,
            }
        }
        delivered
    }

    /// Whether a callback is due.
    #[inline]
    pub fn has_finished(&self) -> bool {
        self.requests.has_finished()
    }

    /// Lets waiting requests go as far as there is room, and rings the doorbell for what is pending.
    #[inline]
    pub fn flush(&self) {
        self.with(|state| {
            if let State::Live(connection) = state {
                if self.requests.has_waiting() {
                    self.send_waiting(connection.wire());
                }
                if connection.wire().has_pending_sends() {
                    connection.post_sends();
                }
            }
        });
    }

    #[cold]
    fn send_waiting(&self, wire: &Wire) {
        while wire.has_room() {
            let Some((slot, payload)) = self.requests.next_waiting() else { return };
            let dwords = self.requests.commands().read_dwords(usize::from(slot) * COMMAND_SIZE);
            let pushed = dwords
                .zip(payload)
                .ok_or(Error::Internal("a waiting slot without its command"))
                .and_then(|(dwords, payload)| wire.push(slot, &Command { dwords }, payload, None));
            if let Err(error) = pushed {
                // It was accepted, so it is told by its callback (T109).
                tracing::error!("{}: a request that waited cannot be sent: {error}", self.label());
                self.requests.finish(slot, Status::DATA_TRANSFER_ERROR);
            }
        }
    }

    /// One whole poll of a qpair that is in no group: account, progress, deliver, flush. Returns the number of
    /// callbacks that ran, or that the qpair is not connected (callbacks of aborted requests ran nevertheless).
    pub fn process_completions(&self, most: u32) -> Result<u32, Error> {
        let most = if most == 0 { u32::MAX } else { most };
        self.account(most.min(u32::from(self.configuration.queue_size)));
        self.progress(clock::now());
        let delivered = self.deliver(most);
        self.flush();
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

    /// Leaves its group. Only at rest (T45).
    pub(super) fn leave(&self) -> Result<(), Error> {
        if !self.is_at_rest() {
            return Err(Error::NotDisconnected);
        }
        if let Some(group) = self.group.take()
            && self.counted_busy.replace(false)
        {
            group.count_busy(false);
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
    /// end, or at rest with callbacks that are due (it may have come to rest outside of the group's polls).
    pub(super) fn count_busy(&self) {
        let busy = self.with(|state| match state {
            State::Live(_) => false,
            state => !state.is_at_rest() || self.has_finished(),
        });
        if self.counted_busy.get() != busy
            && let Some(group) = self.group()
        {
            self.counted_busy.set(busy);
            group.count_busy(busy);
        }
    }

    /// Whether there are as many free request slots. Walks them: not for each I/O.
    pub fn has_free_requests(&self, count: usize) -> bool {
        self.requests.has_free(count)
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
