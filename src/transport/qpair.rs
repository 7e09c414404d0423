//! One queue pair of a controller: submission, completions, connect, disconnect.
//!
//! The qpair drives [`step`]: it turns CM events, faults and deadlines into events, and performs the actions. While
//! an event is handled the state is moved out of its cell, never borrowed across anything that calls the layer
//! above. All methods take `&self`; callbacks may call any of them again.

use super::{
    ConnectError, Error,
    connection::{Blueprint, Connection, Resolver},
    poll_group::GroupCore,
    poller::{Lanes, Poller},
    requests::{COMMAND_SIZE, Completer, Payload, Requests},
    state::{Action, End, Event, FailureReason, Refused, State, step},
    wire::{Fault, Wire},
};
use crate::clock::{self, Moment};
use spec::{
    Command, Completion, Status,
    fabrics::{ConnectData, ConnectResponse},
    rdma,
};
use std::{
    cell::Cell,
    net::SocketAddr,
    rc::{Rc, Weak},
    time::Duration,
};
use verbs::{CmEvent, CmEventKind};

/// Where a qpair connects to, and how.
#[derive(Debug, Clone)]
pub struct ConnectTarget {
    /// The controller's address and port.
    pub address: SocketAddr,
    /// The local address to come from.
    pub source: Option<SocketAddr>,
    /// What log lines call this qpair: address, NQN and queue id.
    pub label: String,
    /// The type of service of the connection's packets.
    pub type_of_service: Option<u8>,
    /// The local acknowledge timeout, 4.096 µs × 2^value.
    pub acknowledge_timeout: Option<u8>,
    /// Retransmissions after a timeout, 0 to 7.
    pub retry_count: u8,
    /// How long a CM event may be waited for.
    pub cm_timeout: Duration,
    /// How long the Fabrics Connect command may take.
    pub connect_timeout: Duration,
}

/// What a qpair is made of.
#[derive(Debug, Clone)]
pub struct QpairConfiguration {
    /// Where it connects to.
    pub target: ConnectTarget,
    /// The queue id, 0 for the Admin Queue.
    pub queue_id: u16,
    /// Entries of the submission queue, at least 2; one less may be outstanding.
    pub queue_size: u16,
    /// Requests that may be accepted at a time; those that the queue has no room for wait.
    pub requests: u16,
    /// Whether submissions ring the doorbell at the next poll instead of at once.
    pub delay_submit: bool,
    /// The controller to connect to: [`spec::fabrics::CNTLID_DYNAMIC`] for the Admin Queue.
    pub controller_id: u16,
    /// The subsystem's NQN.
    pub subnqn: String,
    /// The host's NQN.
    pub hostnqn: String,
    /// The host's identifier.
    pub hostid: [u8; 16],
    /// The Keep Alive Timeout in milliseconds, 0 for none; the Admin Queue's alone.
    pub keep_alive_timeout: u32,
    /// Bytes of data that a capsule may carry.
    pub in_capsule_data: u32,
}

/// The largest number of requests of one qpair.
const MAXIMUM_REQUESTS: u16 = 4095;
/// CM REJECTED status: the peer still holds an older connection (InfiniBand Architecture 1, 12.6.7.2, code 10).
const REJECT_STALE: i32 = 10;
/// CM REJECTED status: the peer's program rejected, with private data (code 28).
const REJECT_CONSUMER: i32 = 28;
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
    next_cm_look: Cell<Moment>,
    stale_attempts: Cell<u8>,
    controller_id: Cell<u16>,
    counted_busy: Cell<bool>,
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
            next_cm_look: Cell::new(Moment::START),
            stale_attempts: Cell::new(0),
            controller_id: Cell::new(controller_id),
            counted_busy: Cell::new(false),
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
            return Err(Error::NoRequests);
        }
        self.requests.wait(slot, payload, completer);
        Ok(())
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
                .ok_or(Error::NoRequests)
                .and_then(|dwords| wire.push(slot, &Command { dwords }, payload, None));
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
            State::Idle | State::Disconnected(_) => true,
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

    /// Begins to connect. The result of the attempt shows in the state: poll until it is live or at rest.
    pub fn connect(&self) -> Result<(), Error> {
        self.with(|state| match state {
            State::Idle | State::Disconnected(_) => Ok(()),
            State::Draining(_, end) if *end != End::Retry => Err(Error::Disconnecting),
            _ => Err(Error::AlreadyConnected),
        })?;
        self.stale_attempts.set(0);
        let resolver = Resolver::new(&self.configuration.target).inspect_err(|error| {
            tracing::error!("{}: connecting: {error}", self.label());
        })?;
        self.apply(Event::Connect(Box::new(resolver)));
        self.connect_result().unwrap_or(Ok(()))
    }

    /// How the attempt to connect ended; None while it goes on.
    pub fn connect_result(&self) -> Option<Result<(), Error>> {
        self.with(|state| match state {
            State::Live(_) => Some(Ok(())),
            State::Disconnected(End::NotConnected(error)) => Some(Err(Error::Connect(*error))),
            State::Disconnected(_) => Some(Err(Error::Connect(ConnectError::Cancelled))),
            State::Idle => Some(Err(Error::NotConnected)),
            _ => None,
        })
    }

    /// Waits until an attempt to connect has ended, polling this qpair alone (T159).
    pub fn wait_until_connected(&self) -> Result<(), Error> {
        let result = clock::wait(self.end_of_all_deadlines(), || {
            self.turn();
            self.connect_result()
        });
        result.unwrap_or_else(|| {
            self.log_connect_failure(ConnectError::TimedOut);
            self.apply(Event::ConnectFailed(ConnectError::TimedOut));
            self.wait_until_at_rest();
            Err(Error::Connect(ConnectError::TimedOut))
        })
    }

    /// Begins to disconnect; nothing if the qpair is at rest. Poll until it is at rest.
    pub fn disconnect(&self) {
        self.apply(Event::Disconnect);
    }

    /// Waits until the qpair is at rest, polling this qpair alone. Runs no callback.
    pub fn wait_until_at_rest(&self) {
        let ended = clock::wait(self.end_of_all_deadlines(), || {
            self.account(u32::MAX);
            self.progress(clock::now());
            self.is_at_rest().then_some(())
        });
        if ended.is_none() {
            self.apply(Event::DrainEnded);
        }
    }

    fn turn(&self) {
        self.account(u32::MAX);
        self.progress(clock::now());
        if !self.is_at_rest() {
            self.deliver(u32::MAX);
        }
        self.flush();
    }

    /// Later than every deadline of a life: whoever waits so long found a fault in this file.
    fn end_of_all_deadlines(&self) -> Moment {
        let target = &self.configuration.target;
        let attempt = (super::RESOLUTION_TIMEOUT * 3 + super::DRAIN_TIMEOUT + super::STALE_BACKOFF)
            .saturating_add(target.cm_timeout.saturating_mul(2));
        let attempts = attempt.saturating_mul(u32::from(super::STALE_RETRIES) + 1);
        clock::now()
            .after(attempts.saturating_add(target.connect_timeout).saturating_add(Duration::from_secs(1)))
    }

    /// The connection is of no use any more, for a reason that lies outside of it.
    pub fn fail(&self, reason: FailureReason) {
        self.apply(Event::Failed(reason));
    }

    /// Sees to what is neither submission nor completion: CM events, faults, deadlines, draining.
    #[inline]
    pub fn progress(&self, now: Moment) {
        let (look, fault) = self.with(|state| match state {
            State::Idle | State::Disconnected(_) | State::Building => (false, None),
            State::Live(connection) => (now.has_reached(self.next_cm_look.get()), connection.wire().fault()),
            _ => (true, connection(state).and_then(|connection| connection.wire().fault())),
        });
        if look || fault.is_some() {
            self.progress_slowly(now, fault);
        }
    }

    /// As [`Qpair::progress`], for a live member of a group: its events are found by the group.
    #[inline]
    pub(super) fn progress_without_look(&self, now: Moment) {
        let fault = self.with(|state| connection(state).and_then(|connection| connection.wire().fault()));
        if fault.is_some() {
            self.progress_slowly(now, fault);
        }
    }

    /// A CM event waits.
    pub(super) fn look_for_events(&self, now: Moment) {
        self.progress_slowly(now, None);
    }

    /// Asks for another visit at the group's next poll, if there is a connection.
    pub(super) fn ask_for_attention(&self) {
        self.with(|state| {
            if let Some(connection) = connection(state) {
                connection.share().mark(connection.wire());
            }
        });
    }

    #[cold]
    fn progress_slowly(&self, now: Moment, fault: Option<Fault>) {
        self.read_cm_events();
        self.next_cm_look.set(now.after(CM_INTERVAL));
        if let Some(fault) = fault {
            self.fault_ended_connection(fault);
        }
        self.check_deadline(now);
    }

    fn fault_ended_connection(&self, fault: Fault) {
        let known = self.with(|state| match state {
            State::FabricConnect(_) | State::Live(_) => false,
            // The CM flushes the queue pair before it tells that the target rejected, and why; what it says decides
            // whether another attempt follows. Should it say nothing, the deadline does.
            State::Connecting(_) => fault.is_flush(),
            // A CM event told of the same end before.
            _ => true,
        });
        if known {
            return;
        }
        tracing::error!("{}: the connection failed: {fault}", self.label());
        let reason = match fault {
            Fault::Post(_) | Fault::Poll(_) => FailureReason::Local,
            fault if fault.is_flush() => FailureReason::Unknown,
            Fault::Length(_) | Fault::CommandId(_) => FailureReason::Remote,
            Fault::Send(_) | Fault::Receive(_) => FailureReason::Unknown,
        };
        self.apply(Event::Failed(reason));
    }

    fn check_deadline(&self, now: Moment) {
        let over = now.has_reached(self.deadline.get());
        let event = self.with(|state| match state {
            State::Draining(connection, _) => connection.is_drained(now).then_some(Event::DrainEnded),
            State::ResolvingAddress(_) if over => Some(Event::ConnectFailed(ConnectError::Address)),
            State::ResolvingRoute(_) if over => Some(Event::ConnectFailed(ConnectError::Route)),
            State::Connecting(_) | State::FabricConnect(_) if over => {
                Some(Event::ConnectFailed(ConnectError::TimedOut))
            }
            _ => None,
        });
        if let Some(event) = event {
            if let Event::ConnectFailed(error) = &event {
                self.log_connect_failure(*error);
            }
            self.apply(event);
        } else if over && self.with(|state| matches!(state, State::StaleBackoff)) {
            match Resolver::new(&self.configuration.target) {
                Ok(resolver) => self.apply(Event::Connect(Box::new(resolver))),
                Err(error) => self.apply(Event::ConnectFailed(as_connect_error(&error))),
            }
        }
    }

    fn log_connect_failure(&self, error: ConnectError) {
        let step = self.with(|state| match state {
            State::Idle | State::Live(_) | State::Draining(..) | State::Disconnected(_) => None,
            state => Some(state.name()),
        });
        // An event that comes when no attempt is under way means nothing.
        if let Some(step) = step {
            tracing::error!("{}: connecting failed while {step}: {error}", self.label());
        }
    }

    fn read_cm_events(&self) {
        loop {
            let channel = self.with(|state| match state {
                State::ResolvingAddress(resolver) | State::ResolvingRoute(resolver) => {
                    Some(resolver.channel().clone())
                }
                _ => connection(state).map(|connection| connection.channel().clone()),
            });
            let Some(channel) = channel else { return };
            match channel.next_event() {
                Ok(Some(event)) => self.cm_event(&event),
                Ok(None) => return,
                Err(error) => {
                    tracing::error!("{}: reading CM events: {error}", self.label());
                    self.apply(Event::Failed(FailureReason::Local));
                    return;
                }
            }
        }
    }

    fn cm_event(&self, event: &CmEvent) {
        let label = self.label();
        let failed = |error| {
            self.log_connect_failure(error);
            Event::ConnectFailed(error)
        };
        let event = match event.kind {
            CmEventKind::AddressResolved => Event::AddressResolved,
            CmEventKind::RouteResolved => Event::RouteResolved,
            CmEventKind::AddressError => failed(ConnectError::Address),
            CmEventKind::RouteError => failed(ConnectError::Route),
            CmEventKind::Unreachable => failed(ConnectError::Unreachable),
            CmEventKind::ConnectError => failed(ConnectError::Lost),
            CmEventKind::Rejected => self.rejected(event),
            CmEventKind::Established => match self.accepted(event) {
                Ok(()) => Event::Established,
                Err(error) => failed(error),
            },
            CmEventKind::Disconnected => {
                self.with(|state| connection(state).map(|connection| connection.saw_disconnected()));
                if self.is_connected() {
                    tracing::error!("{label}: the controller ended the connection");
                }
                Event::Failed(FailureReason::Remote)
            }
            CmEventKind::DeviceRemoval => {
                self.with(|state| connection(state).map(|connection| connection.saw_device_removal()));
                tracing::error!("{label}: the RDMA device is being removed");
                Event::Failed(FailureReason::Local)
            }
            CmEventKind::AddressChange => {
                tracing::error!("{label}: the local address moved to another device");
                Event::Failed(FailureReason::Local)
            }
            CmEventKind::TimewaitExit
            | CmEventKind::ConnectRequest
            | CmEventKind::ConnectResponse
            | CmEventKind::Other(_) => {
                tracing::debug!("{label}: CM event {:?}, status {}, ignored", event.kind, event.status);
                return;
            }
        };
        self.apply(event);
    }

    fn rejected(&self, event: &CmEvent) -> QpairEvent {
        let attempts = self.stale_attempts.get();
        if event.status == REJECT_STALE && attempts < super::STALE_RETRIES {
            self.stale_attempts.set(attempts + 1);
            tracing::warn!("{}: rejected as a stale connection; attempt {attempts} follows", self.label());
            return Event::RejectedStale;
        }
        let reason = (event.status == REJECT_CONSUMER)
            .then(|| rdma::Reject::decode(event.private_data.as_slice()).ok())
            .flatten()
            .map(|reject| reject.sts);
        let error = ConnectError::Rejected { status: event.status, reason };
        self.log_connect_failure(error);
        Event::ConnectFailed(error)
    }

    /// Takes what an accepting controller says of its queue. Private data that is missing, as some providers give
    /// none, leaves the depth as it is.
    fn accepted(&self, event: &CmEvent) -> Result<(), ConnectError> {
        self.with(|state| {
            let State::Connecting(connection) = state else { return Ok(()) };
            connection.saw_established();
            match rdma::Accept::decode(event.private_data.as_slice()) {
                Ok(accept) if accept.crqsize > 0 => {
                    connection.wire().limit_depth(u32::from(accept.crqsize));
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(error) => {
                    tracing::debug!("{}: accepted without usable private data: {error}", self.label());
                    Ok(())
                }
            }
        })
    }

    fn apply(&self, event: QpairEvent) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let was_at_rest = self.is_at_rest();
            let (state, action) = step(self.state.replace(State::Building), event);
            let ended = !was_at_rest && state.is_at_rest();
            self.state.set(state);
            next = self.perform(action);
            if ended {
                self.requests.abort_all();
            }
        }
        self.count_busy();
    }

    fn perform(&self, action: QpairAction) -> Option<QpairEvent> {
        let target = &self.configuration.target;
        let now = clock::now();
        let result = match action {
            Action::Nothing => Ok(()),
            Action::ResolveAddress => {
                // The CM's own timeout tells first; this is for a CM that does not.
                self.deadline.set(now.after(super::RESOLUTION_TIMEOUT + Duration::from_millis(500)));
                self.with(|state| match state {
                    State::ResolvingAddress(resolver) => resolver.resolve_address(target),
                    _ => Ok(()),
                })
            }
            Action::ResolveRoute => {
                self.deadline.set(now.after(super::RESOLUTION_TIMEOUT + Duration::from_millis(500)));
                self.with(|state| match state {
                    State::ResolvingRoute(resolver) => resolver.resolve_route(),
                    _ => Ok(()),
                })
            }
            Action::Build(resolver) => match self.build(*resolver) {
                Ok(connection) => return Some(Event::Built(Box::new(connection))),
                Err(error) => Err(error),
            },
            Action::RequestConnection => {
                self.deadline.set(now.after(target.cm_timeout));
                self.with(|state| match state {
                    State::Connecting(connection) => connection.request(target, &self.private_data()),
                    _ => Ok(()),
                })
            }
            Action::SendFabricConnect => {
                self.deadline.set(now.after(target.connect_timeout));
                self.with(|state| match state {
                    State::FabricConnect(connection) => self.send_fabric_connect(connection),
                    _ => Ok(()),
                })
            }
            Action::Start => {
                tracing::debug!("{}: connected", target.label);
                if let Err(error) = self.watch_events() {
                    // Live, but deaf to its end: better not live.
                    tracing::error!("{}: CM events cannot be watched: {error}", target.label);
                    return Some(Event::Failed(FailureReason::Local));
                }
                self.flush();
                Ok(())
            }
            Action::Drain => {
                self.with(|state| {
                    if let State::Draining(connection, _) = state {
                        connection.begin_draining(target, now);
                    }
                });
                Ok(())
            }
            Action::Release(connection) => {
                self.release(connection);
                self.requests.reset_connect_slot();
                self.deadline.set(clock::now().after(super::STALE_BACKOFF));
                Ok(())
            }
            Action::Drop(resolver) | Action::Refuse(Refused::Id(resolver)) => {
                drop(resolver);
                Ok(())
            }
            Action::Refuse(Refused::Connection(connection)) => {
                self.release(connection);
                Ok(())
            }
        };
        result.err().map(|error| {
            let step = self.with(State::name);
            tracing::error!("{}: connecting failed while {step}: {error}", target.label);
            Event::ConnectFailed(as_connect_error(&error))
        })
    }

    fn release(&self, connection: Box<Connection>) {
        let label = self.label();
        let released = match connection.accounted() {
            Ok(drained) => drained.release(label),
            Err(connection) => connection.destroyed(label).and_then(|drained| drained.release(label)),
        };
        if released.is_ok() {
            tracing::debug!("{label}: released");
        }
    }

    fn build(&self, resolver: Resolver) -> Result<Connection, Error> {
        let blueprint = Blueprint {
            requests: &self.requests,
            qpair: &self.me,
            depth: self.configuration.queue_size.saturating_sub(1).max(1),
        };
        let group = self.group();
        let connection = Connection::build(resolver, &blueprint, |device, entries| match &group {
            Some(group) => group.poller(device, entries),
            None => Poller::new(device, &self.lanes, entries),
        })?;
        connection.wire().set_in_capsule_data(self.configuration.in_capsule_data);
        Ok(connection)
    }

    fn private_data(&self) -> [u8; rdma::Request::SIZE] {
        let configuration = &self.configuration;
        let size = configuration.queue_size;
        // HSQSIZE is zero-based as SQSIZE is and equal to it; HRQSIZE counts (RDMA Transport 1.0, figure 4; T83).
        rdma::Request {
            recfmt: rdma::RECFMT,
            qid: configuration.queue_id,
            hrqsize: size,
            hsqsize: size.saturating_sub(1),
            cntlid: if configuration.queue_id == 0 { 0 } else { configuration.controller_id },
        }
        .encode()
    }

    fn send_fabric_connect(&self, connection: &Connection) -> Result<(), Error> {
        let configuration = &self.configuration;
        let invalid = |_| Error::Connect(ConnectError::Status(Status::INVALID_FIELD));
        let data = ConnectData::new(
            configuration.hostid,
            configuration.controller_id,
            &configuration.subnqn,
            &configuration.hostnqn,
        )
        .map_err(invalid)?;
        let memory = connection.connect_data();
        if !memory.write(0, &data.0) {
            return Err(Error::NoMemory);
        }
        let size = configuration.queue_size.saturating_sub(1);
        let command = Command::connect(configuration.queue_id, size, 0, configuration.keep_alive_timeout);
        let payload = Payload::Registered {
            address: memory.address(),
            length: ConnectData::SIZE as u32,
            remote_key: memory.remote_key(),
        };
        connection.wire().push(self.requests.connect_slot(), &command, payload, None)?;
        connection.post_sends();
        Ok(())
    }

    fn fabric_connect_ended(&self, completion: &Completion) {
        let failed = |error| {
            self.log_connect_failure(error);
            Event::ConnectFailed(error)
        };
        let response = ConnectResponse::decode(completion);
        let event = if !completion.is_success() {
            failed(ConnectError::Status(completion.status()))
        } else if response.requires_authentication() {
            failed(ConnectError::AuthenticationRequired)
        } else {
            self.controller_id.set(response.cntlid);
            Event::FabricConnected
        };
        self.apply(event);
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
            self.disconnect();
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

fn as_connect_error(error: &Error) -> ConnectError {
    match error {
        Error::Connect(error) => *error,
        Error::Verbs(error) | Error::NoDevice(error) => ConnectError::Resources(error.errno),
        _ => ConnectError::Resources(libc::ENOMEM),
    }
}

#[cfg(test)]
mod tests;
