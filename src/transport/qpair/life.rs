//! How a qpair lives: connecting, what ends it, and draining.
//!
//! CM events, faults and deadlines become events of [`step`]; here its actions are performed. While an event is
//! handled the state is moved out of its cell, never borrowed across anything that calls the layer above.

use super::{CM_INTERVAL, Qpair, QpairAction, QpairEvent, connection};
use crate::{
    clock::{self, Moment},
    transport::{
        ConnectError, DRAIN_TIMEOUT, Error, RESOLUTION_TIMEOUT, STALE_BACKOFF, STALE_RETRIES,
        connection::{Blueprint, Connection, Resolver},
        poller::Poller,
        requests::Payload,
        state::{Action, End, Event, FailureReason, Refused, State, step},
        wire::Fault,
    },
};
use spec::{
    Command, Completion, Status,
    fabrics::{ConnectData, ConnectResponse},
    rdma,
};
use std::time::Duration;
use verbs::{CmEvent, CmEventKind};

/// CM REJECTED status: the peer still holds an older connection (InfiniBand Architecture 1, 12.6.7.2, code 10).
const REJECT_STALE: i32 = 10;
/// CM REJECTED status: the peer's program rejected, with private data (code 28).
const REJECT_CONSUMER: i32 = 28;

impl Qpair {
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

    pub(super) fn turn(&self) {
        self.account(u32::MAX);
        self.progress(clock::now());
        if !self.is_at_rest() {
            self.deliver(u32::MAX);
        }
        self.flush();
    }

    /// Later than every deadline of a life: whoever waits so long found a fault in this file.
    pub(super) fn end_of_all_deadlines(&self) -> Moment {
        let target = &self.configuration.target;
        let attempt = (RESOLUTION_TIMEOUT * 3 + DRAIN_TIMEOUT + STALE_BACKOFF)
            .saturating_add(target.cm_timeout.saturating_mul(2));
        let attempts = attempt.saturating_mul(u32::from(STALE_RETRIES) + 1);
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
    pub(in crate::transport) fn progress_without_look(&self, now: Moment) {
        let fault = self.with(|state| connection(state).and_then(|connection| connection.wire().fault()));
        if fault.is_some() {
            self.progress_slowly(now, fault);
        }
    }

    /// A CM event waits.
    pub(in crate::transport) fn look_for_events(&self, now: Moment) {
        self.progress_slowly(now, None);
    }

    /// Asks for another visit at the group's next poll, if there is a connection.
    pub(in crate::transport) fn ask_for_attention(&self) {
        self.with(|state| {
            if let Some(connection) = connection(state) {
                connection.share().mark(connection.wire());
            }
        });
    }

    #[cold]
    pub(super) fn progress_slowly(&self, now: Moment, fault: Option<Fault>) {
        self.read_cm_events();
        self.next_cm_look.set(now.after(CM_INTERVAL));
        if let Some(fault) = fault {
            self.fault_ended_connection(fault);
        }
        self.check_deadline(now);
    }

    pub(super) fn fault_ended_connection(&self, fault: Fault) {
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
            Fault::Post(_) | Fault::Poll(_) | Fault::Unposted(_) => FailureReason::Local,
            fault if fault.is_flush() => FailureReason::Unknown,
            Fault::Length(_) | Fault::CommandId(_) => FailureReason::Remote,
            Fault::Send(_) | Fault::Receive(_) => FailureReason::Unknown,
        };
        self.apply(Event::Failed(reason));
    }

    pub(super) fn check_deadline(&self, now: Moment) {
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
                Err(error) => {
                    tracing::error!("{}: connecting again: {error}", self.label());
                    self.apply(Event::ConnectFailed(as_connect_error(&error)));
                }
            }
        }
    }

    pub(super) fn log_connect_failure(&self, error: ConnectError) {
        let step = self.with(|state| match state {
            State::Idle | State::Live(_) | State::Draining(..) | State::Disconnected(_) => None,
            state => Some(state.name()),
        });
        // An event that comes when no attempt is under way means nothing.
        if let Some(step) = step {
            tracing::error!("{}: connecting failed while {step}: {error}", self.label());
        }
    }

    pub(super) fn read_cm_events(&self) {
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

    pub(super) fn cm_event(&self, event: &CmEvent) {
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

    pub(super) fn rejected(&self, event: &CmEvent) -> QpairEvent {
        let attempts = self.stale_attempts.get();
        if event.status == REJECT_STALE && attempts < STALE_RETRIES {
            self.stale_attempts.set(attempts + 1);
            let next = attempts + 1;
            tracing::warn!("{}: rejected as stale; retry {next} of {STALE_RETRIES} follows", self.label());
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
    pub(super) fn accepted(&self, event: &CmEvent) -> Result<(), ConnectError> {
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

    pub(super) fn apply(&self, event: QpairEvent) {
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

    pub(super) fn perform(&self, action: QpairAction) -> Option<QpairEvent> {
        let target = &self.configuration.target;
        let now = clock::now();
        let result = match action {
            Action::Nothing => Ok(()),
            Action::ResolveAddress => {
                // The CM's own timeout tells first; this is for a CM that does not.
                self.deadline.set(now.after(RESOLUTION_TIMEOUT + Duration::from_millis(500)));
                self.with(|state| match state {
                    State::ResolvingAddress(resolver) => resolver.resolve_address(target),
                    _ => Ok(()),
                })
            }
            Action::ResolveRoute => {
                self.deadline.set(now.after(RESOLUTION_TIMEOUT + Duration::from_millis(500)));
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
                self.deadline.set(clock::now().after(STALE_BACKOFF));
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

    pub(super) fn release(&self, connection: Box<Connection>) {
        let label = self.label();
        let released = match connection.accounted() {
            Ok(drained) => drained.release(label),
            Err(connection) => connection.destroyed(label).and_then(|drained| drained.release(label)),
        };
        if released.is_ok() {
            tracing::debug!("{label}: released");
        }
    }

    pub(super) fn build(&self, resolver: Resolver) -> Result<Connection, Error> {
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

    pub(super) fn private_data(&self) -> [u8; rdma::Request::SIZE] {
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

    pub(super) fn send_fabric_connect(&self, connection: &Connection) -> Result<(), Error> {
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

    pub(super) fn fabric_connect_ended(&self, completion: &Completion) {
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
