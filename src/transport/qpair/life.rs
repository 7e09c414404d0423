//! How a qpair lives: connecting, what ends it, and draining.
//!
//! CM events, faults and deadlines become events of [`step`]; here its actions are performed. While an event is
//! handled the state is moved out of its cell, never borrowed across anything that calls the layer above.

use super::{CM_INTERVAL, Qpair, QpairAction, QpairEvent, connection};
use crate::{
    clock::{self, Moment},
    transport::{
        BACKOFF, BACKOFF_MOST, ConnectError, DRAIN_TIMEOUT, Error, RESOLUTION_TIMEOUT, STALE_RETRIES,
        completer::Payload,
        connection::{Blueprint, Connection, Resolver},
        parting::Parting,
        poller::Poller,
        state::{Action, End, Event, FailureReason, Refused, State, step},
        wire::Fault,
    },
};
use spec::{
    Command, Completion, Status,
    fabrics::{ConnectData, ConnectResponse},
    rdma,
};
use std::{fmt::Display, time::Duration};
use verbs::{CmEvent, CmEventKind};

/// CM REJECTED status: the peer still holds an older connection (InfiniBand Architecture 1, 12.6.7.2, code 10).
const REJECT_STALE: i32 = 10;
/// CM REJECTED status: the peer's program rejected, with private data (code 28).
const REJECT_CONSUMER: i32 = 28;

/// How a poll found that a live connection is live no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum Loss {
    /// It is live, or was not.
    None,
    /// By what the CM told, or by what was noticed on this side.
    Told,
    /// By a completion, or what could not be posted.
    Completion,
    /// Its completion queue cannot be polled.
    Queue,
}

impl Qpair {
    /// Begins to connect. The result of the attempt shows in the state: poll until it is live or at rest.
    pub fn connect(&self) -> Result<(), Error> {
        self.with(|state| match state {
            State::Idle | State::Disconnected(_) => Ok(()),
            State::Draining(_, end) if *end != End::Retry => Err(Error::Disconnecting),
            _ => Err(Error::AlreadyConnected),
        })?;
        if self.leaving.get() {
            return Err(Error::Disconnecting);
        }
        self.wire.renew_if_spoiled()?;
        self.stale_attempts.set(0);
        self.held_attempts.set(0);
        let association = self.association();
        self.patience.set(clock::now().after(association.target.connect_timeout));
        let resolver = Resolver::new(&association.target, &self.label()).map_err(|error| {
            tracing::error!("{}: connecting: {error}", self.label());
            match error {
                Error::NoDevice(_) => error,
                error => Error::Connect(as_connect_error(&error)),
            }
        })?;
        self.reason_before.set(self.failure_reason());
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

    /// Waits until an attempt to connect has ended, polling this qpair alone (T159); asks `give_up` at each turn whether
    /// the attempt is to be given up.
    pub fn wait_until_connected(&self, give_up: &dyn Fn() -> bool) -> Result<(), Error> {
        let result = clock::wait(self.end_of_all_deadlines(), || {
            self.turn();
            if self.connect_result().is_none() && give_up() {
                self.disconnect();
            }
            self.connect_result()
        });
        result.unwrap_or_else(|| {
            self.attempt_failed(ConnectError::TimedOut);
            if self.is_connected() {
                return Ok(()); // the answer was there after all
            }
            self.wait_until_at_rest();
            Err(Error::Connect(ConnectError::TimedOut))
        })
    }

    /// Begins to disconnect; nothing if the qpair is at rest. Poll until it is at rest.
    pub fn disconnect(&self) {
        self.apply(Event::Disconnect);
    }

    /// Begins the last end: as [`Qpair::disconnect`], but it is over as soon as the device is done with all memory. What
    /// the peer still owes then is the [parting](Qpair::take_parting). There is no connecting again.
    pub fn leave_for_good(&self) {
        self.leaving.set(true);
        self.disconnect();
    }

    /// What the last connection left of itself, if its peer still owes the answer to its disconnect.
    pub fn take_parting(&self) -> Option<Parting> {
        self.parting.take()
    }

    /// One turn of waiting for the end: accounts and progresses, and says whether the qpair is at rest. Runs no callback.
    pub fn is_at_rest_by_now(&self) -> bool {
        self.account(u32::MAX);
        self.progress(clock::now());
        self.is_at_rest()
    }

    /// Waits until the qpair is at rest, polling this qpair alone. Runs no callback.
    pub fn wait_until_at_rest(&self) {
        let ended = clock::wait(self.end_of_all_deadlines(), || self.is_at_rest_by_now().then_some(()));
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
        let association = self.association();
        let target = &association.target;
        let attempt = (RESOLUTION_TIMEOUT * 3 + DRAIN_TIMEOUT + BACKOFF_MOST)
            .saturating_add(target.cm_timeout.saturating_mul(2));
        let attempts = attempt.saturating_mul(u32::from(STALE_RETRIES) + 2);
        // Once for the Connect commands of all attempts but the last, once for that.
        let answers = target.connect_timeout.saturating_mul(2);
        clock::now().after(attempts.saturating_add(answers).saturating_add(Duration::from_secs(1)))
    }

    /// The connection is of no use any more, for a reason that lies outside of it and that `why` tells.
    pub fn fail(&self, reason: FailureReason, why: &str) {
        if self.with(|state| matches!(state, State::Draining(_, End::Retry))) {
            self.disconnect(); // no other attempt follows
        } else {
            self.connection_failed(reason, &why);
        }
    }

    /// As [`Qpair::disconnect`], for a reason that the [failure reason](Qpair::failure_reason) is to tell.
    pub fn end(&self, reason: FailureReason) {
        if self.with(|state| matches!(state, State::Draining(_, End::Retry))) {
            self.disconnect(); // no other attempt follows
        } else {
            self.apply(Event::Failed(reason));
        }
    }

    /// Sees to what is neither submission nor completion: CM events, faults, deadlines, draining.
    #[inline]
    pub(in crate::transport) fn progress(&self, now: Moment) -> Loss {
        self.finish_held(now);
        let look = if self.is_connected() {
            now.has_reached(self.next_cm_look.get())
        } else {
            self.with(|state| !matches!(state, State::Idle | State::Disconnected(_) | State::Building))
        };
        if look || self.wire.is_faulty() { self.progress_slowly(now) } else { Loss::None }
    }

    /// As [`Qpair::progress`], for a live member of a group: its events are found by the group.
    pub(in crate::transport) fn progress_without_look(&self, now: Moment) -> Loss {
        if self.wire.is_faulty() { self.progress_slowly(now) } else { Loss::None }
    }

    /// A CM event waits.
    pub(in crate::transport) fn look_for_events(&self, now: Moment) -> Loss {
        self.progress_slowly(now)
    }

    /// What was heard comes first: an answer that is there, then the CM's events, which know the peer's reason, then
    /// faults, then deadlines. How a live connection ended in that.
    #[cold]
    pub(super) fn progress_slowly(&self, now: Moment) -> Loss {
        let was_live = self.is_connected();
        // What was not there when the poll accounted for completions waits for the next poll.
        let fault = self.with(|state| connection(state).and_then(|_| self.wire.fault()));
        self.hear_connect_answer();
        self.read_cm_events();
        self.next_cm_look.set(now.after(CM_INTERVAL));
        let is_live = self.is_connected();
        if let Some(fault) = fault {
            self.fault_ended_connection(fault);
        }
        self.check_deadline(now);
        match fault {
            _ if !was_live || self.is_connected() => Loss::None,
            Some(Fault::Poll(_)) if is_live => Loss::Queue,
            Some(_) if is_live => Loss::Completion,
            _ => Loss::Told,
        }
    }

    fn hear_connect_answer(&self) {
        if let Some(answer) = self.wire.slots.take_connect_answer() {
            self.fabric_connect_ended(&answer);
        }
    }

    /// Before an attempt is given up: whether the controller has answered the Connect command all the same, which says
    /// more than any other end. The answer may be in the completion queue still.
    fn heard_after_all(&self) -> bool {
        if !self.with(|state| matches!(state, State::FabricConnect(_))) {
            return false;
        }
        if let Some(poller) = self.with(|state| connection(state).map(|c| c.share().poller().clone())) {
            poller.account_until_empty();
        }
        let refusal = || self.wire.slots.connect_answer().filter(|answer| !answer.is_success());
        match self.wire.slots.take_connect_answer().or_else(refusal) {
            Some(answer) => {
                self.fabric_connect_ended(&answer);
                true
            }
            None => false,
        }
    }

    /// The attempt to connect ends badly: one line, and the end. Nothing if no attempt is under way, or if the
    /// controller's answer turns out to be there.
    fn attempt_failed(&self, error: ConnectError) {
        if self.heard_after_all() {
            return;
        }
        self.log_connect_failure(&error);
        self.apply(Event::ConnectFailed(error));
    }

    /// The connection, or the attempt at one, ends badly for `reason`: one line, and the end.
    fn connection_failed(&self, reason: FailureReason, why: &dyn Display) {
        // An answer that is there wins over an attempt's end; if it made the qpair live, this is the end of that.
        self.heard_after_all();
        if self.is_connected() {
            tracing::error!("{}: the connection failed: {why}", self.label());
        } else {
            self.log_connect_failure(why);
        }
        self.apply(Event::Failed(reason));
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
        let reason = match fault {
            Fault::Post(_) | Fault::Poll(_) | Fault::Unposted(_) => FailureReason::Local,
            fault if fault.is_flush() => FailureReason::Unknown,
            Fault::Length(_) | Fault::CommandId(_) => FailureReason::Remote,
            Fault::Send(_) | Fault::Receive(_) => FailureReason::Unknown,
        };
        self.connection_failed(reason, &self.wire.told(fault));
    }

    pub(super) fn check_deadline(&self, now: Moment) {
        enum Due {
            Nothing,
            End(ConnectError),
            DrainEnded,
            NextAttempt,
        }
        let over = now.has_reached(self.deadline.get());
        let due = self.with(|state| match state {
            State::Draining(connection, _) if self.leaving.get() && connection.is_safe(now) => {
                Due::DrainEnded
            }
            State::Draining(connection, _) if connection.is_drained(now) => Due::DrainEnded,
            State::ResolvingAddress(_) if over => Due::End(ConnectError::Address),
            State::ResolvingRoute(_) if over => Due::End(ConnectError::Route),
            State::Connecting(_) | State::FabricConnect(_) if over => Due::End(ConnectError::TimedOut),
            State::Backoff if over => Due::NextAttempt,
            _ => Due::Nothing,
        });
        match due {
            Due::Nothing => {}
            Due::End(error) => self.attempt_failed(error),
            Due::DrainEnded => self.apply(Event::DrainEnded),
            Due::NextAttempt => match Resolver::new(&self.association().target, &self.label()) {
                Ok(resolver) => self.apply(Event::Connect(Box::new(resolver))),
                Err(error) => {
                    self.log_connect_failure(&error);
                    self.apply(Event::ConnectFailed(as_connect_error(&error)));
                }
            },
        }
    }

    /// The one line of an attempt that failed. An event that comes when no attempt is under way means nothing.
    fn log_connect_failure(&self, why: &dyn Display) {
        let step = self.with(|state| match state {
            State::Idle | State::Live(_) | State::Draining(..) | State::Disconnected(_) => None,
            state => Some(state.name()),
        });
        if let Some(step) = step {
            tracing::error!("{}: connecting failed while {step}: {why}", self.label());
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
                    self.connection_failed(FailureReason::Local, &format_args!("reading CM events: {error}"));
                    return;
                }
            }
        }
    }

    pub(super) fn cm_event(&self, event: &CmEvent) {
        match event.kind {
            CmEventKind::AddressResolved => self.apply(Event::AddressResolved),
            CmEventKind::RouteResolved => self.apply(Event::RouteResolved),
            CmEventKind::AddressError => self.attempt_failed(ConnectError::Address),
            CmEventKind::RouteError => self.attempt_failed(ConnectError::Route),
            CmEventKind::Unreachable => self.attempt_failed(ConnectError::Unreachable),
            CmEventKind::ConnectError => self.attempt_failed(ConnectError::Lost),
            CmEventKind::Rejected => self.rejected(event),
            CmEventKind::Established => match self.accepted(event) {
                Ok(()) => self.apply(Event::Established),
                Err(error) => self.attempt_failed(error),
            },
            CmEventKind::Disconnected => {
                self.with(|state| connection(state).map(|connection| connection.saw_disconnected()));
                self.connection_failed(FailureReason::Remote, &"the controller ended it");
            }
            CmEventKind::DeviceRemoval => {
                self.with(|state| connection(state).map(|connection| connection.saw_device_removal()));
                self.connection_failed(FailureReason::Local, &"the RDMA device is being removed");
            }
            CmEventKind::AddressChange => {
                self.connection_failed(FailureReason::Local, &"the local address moved to another device");
            }
            CmEventKind::TimewaitExit
            | CmEventKind::ConnectRequest
            | CmEventKind::ConnectResponse
            | CmEventKind::Other(_) => {
                let label = self.label();
                tracing::debug!("{label}: CM event {:?}, status {}, ignored", event.kind, event.status);
            }
        }
    }

    fn rejected(&self, event: &CmEvent) {
        let attempts = self.stale_attempts.get();
        if event.status == REJECT_STALE && attempts < STALE_RETRIES {
            self.stale_attempts.set(attempts + 1);
            let next = attempts + 1;
            tracing::warn!("{}: rejected as stale; retry {next} of {STALE_RETRIES} follows", self.label());
            return self.apply(Event::StillHeld);
        }
        let reason = (event.status == REJECT_CONSUMER)
            .then(|| rdma::Reject::decode(event.private_data.as_slice()).ok())
            .flatten()
            .map(|reject| reject.sts);
        self.attempt_failed(ConnectError::Rejected { status: event.status, reason });
    }

    /// Takes what an accepting controller says of its queue. Private data that is missing, as some providers give
    /// none, leaves the depth as it is.
    fn accepted(&self, event: &CmEvent) -> Result<(), ConnectError> {
        let crqsize = match rdma::Accept::decode(event.private_data.as_slice()) {
            Ok(accept) => accept.crqsize,
            Err(error) => {
                tracing::debug!("{}: accepted without usable private data: {error}", self.label());
                0
            }
        };
        let needed = self.configuration.reserved + 1;
        self.with(|state| {
            let State::Connecting(connection) = state else { return Ok(()) };
            connection.saw_established(&self.label());
            match crqsize {
                0 => Ok(()),
                crqsize if crqsize < needed => Err(ConnectError::TooShallow { crqsize, needed }),
                crqsize => {
                    self.wire.limit_depth(u32::from(crqsize));
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
            self.follow_state();
            next = self.perform(action);
            if ended {
                self.wire.slots.abort_all();
            }
        }
        self.count_busy();
    }

    pub(super) fn perform(&self, action: QpairAction) -> Option<QpairEvent> {
        let association = self.association();
        let target = &association.target;
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
                tracing::debug!("{}: connected", self.label());
                if let Err(error) = self.watch_events() {
                    // Live, but deaf to its end: better not live.
                    tracing::error!("{}: the connection failed: watching CM events: {error}", self.label());
                    return Some(Event::Failed(FailureReason::Local));
                }
                self.flush_now();
                if self.has_finished() {
                    self.wire.ask(); // what waited and could not be sent is to be told of
                }
                Ok(())
            }
            Action::Drain => {
                self.with(|state| {
                    if let State::Draining(connection, _) = state {
                        connection.begin_draining(target.cm_timeout, &self.label(), now);
                    }
                });
                Ok(())
            }
            Action::Release(connection) => {
                self.release(connection);
                self.wire.slots.reset_connect();
                self.deadline.set(clock::now().after(self.backoff()));
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
            match &error {
                Error::Connect(error) => self.log_connect_failure(error),
                error => self.log_connect_failure(error),
            }
            Event::ConnectFailed(as_connect_error(&error))
        })
    }

    /// How long to wait before the next attempt: a little longer each time.
    fn backoff(&self) -> Duration {
        let attempts = self.stale_attempts.get().max(self.held_attempts.get());
        (BACKOFF * u32::from(attempts.max(1))).min(BACKOFF_MOST)
    }

    pub(super) fn release(&self, connection: Box<Connection>) {
        let label = &*self.label();
        let released = match connection.accounted() {
            Ok(drained) => drained.release(label),
            Err(connection) => connection.destroyed(label).and_then(|drained| drained.release(label)),
        };
        self.wire.shut();
        if let Ok(parting) = released {
            tracing::debug!("{label}: released");
            // For a qpair that may connect again, the answer was waited for, and a parting means that it never came.
            self.parting.set(parting.filter(|_| self.leaving.get()));
        }
    }

    pub(super) fn build(&self, resolver: Resolver) -> Result<Connection, Error> {
        let label = self.label();
        let association = self.association();
        let blueprint = Blueprint {
            wire: &self.wire,
            qpair: &self.me,
            depth: self.queue_size().saturating_sub(1).max(1),
            reserved: self.configuration.reserved,
            in_capsule_data: association.in_capsule_data,
            descriptors: association.descriptors,
            association: &association,
            label: &label,
        };
        let group = self.group();
        Connection::build(resolver, &blueprint, |device, needed| match &group {
            Some(group) => group.poller(device, needed),
            None => Poller::new(device, &self.lanes, needed.all()),
        })
    }

    pub(super) fn private_data(&self) -> [u8; rdma::Request::SIZE] {
        let size = self.queue_size();
        // HSQSIZE is zero-based as SQSIZE is and equal to it; HRQSIZE counts (RDMA Transport 1.0, figure 4; T83).
        rdma::Request {
            recfmt: rdma::RECFMT,
            qid: self.queue_id(),
            hrqsize: size,
            hsqsize: size.saturating_sub(1),
            cntlid: if self.queue_id() == 0 { 0 } else { self.association().controller_id },
        }
        .encode()
    }

    pub(super) fn send_fabric_connect(&self, connection: &Connection) -> Result<(), Error> {
        let association = self.association();
        let invalid = |_| Error::Connect(ConnectError::Status(Status::INVALID_FIELD));
        let data = ConnectData::new(
            association.hostid,
            association.controller_id,
            &association.subnqn,
            &association.hostnqn,
        )
        .map_err(invalid)?;
        let memory = connection.connect_data();
        if !memory.write(0, &data.0) {
            return Err(Error::Internal("the memory of Connect is too short"));
        }
        let size = self.queue_size().saturating_sub(1);
        let command = Command::connect(self.queue_id(), size, 0, association.keep_alive_timeout);
        let payload = Payload::Registered {
            address: memory.address(),
            length: ConnectData::SIZE as u32,
            remote_key: memory.remote_key(),
        };
        let slot = self.wire.slots.connect().ok_or(Error::Internal("no slot for Connect"))?;
        self.wire.push(connection.device(), slot, &command, payload)?;
        connection.post_sends();
        Ok(())
    }

    /// What the controller answered to the Connect command.
    pub(in crate::transport) fn fabric_connect_ended(&self, answer: &Completion) {
        if !self.with(|state| matches!(state, State::FabricConnect(_))) {
            return;
        }
        let refused = |error: ConnectError| {
            self.log_connect_failure(&error);
            self.apply(Event::ConnectFailed(error));
        };
        let response = ConnectResponse::decode(answer);
        if self.is_still_held(answer.status()) {
            self.apply(Event::StillHeld);
        } else if !answer.is_success() {
            refused(ConnectError::Status(answer.status()));
        } else if response.requires_authentication() {
            refused(ConnectError::AuthenticationRequired);
        } else {
            self.controller_id.set(response.cntlid);
            self.apply(Event::FabricConnected);
        }
    }

    /// Whether the controller refused an I/O queue because it still holds the one of that id, and may be asked again:
    /// kernel targets take a moment to let go of a queue whose connection has ended, and answer with COMMAND SEQUENCE
    /// ERROR until then (Fabrics 1.1, 3.3: a queue can be created once).
    fn is_still_held(&self, status: Status) -> bool {
        if self.queue_id() == 0 || !status.is(Status::COMMAND_SEQUENCE_ERROR) {
            return false;
        }
        let attempts = self.held_attempts.get();
        if clock::now().has_reached(self.patience.get()) {
            return false;
        }
        if attempts == 0 {
            tracing::info!("{}: the controller still holds the queue of that id; trying again", self.label());
        }
        self.held_attempts.set(attempts.saturating_add(1));
        true
    }
}

fn as_connect_error(error: &Error) -> ConnectError {
    match error {
        Error::Connect(error) => *error,
        Error::Verbs(error) | Error::NoDevice(error) => ConnectError::Resources(error.errno),
        Error::NoMemory => ConnectError::Resources(libc::ENOMEM),
        Error::NoMap(_) => ConnectError::Resources(libc::ENOSYS),
        Error::FirstReceives(errno) => ConnectError::Resources(*errno),
        Error::DeviceTooSmall { .. } | Error::NoSharedReceives { .. } => {
            ConnectError::Resources(libc::EOPNOTSUPP)
        }
        Error::SharedReceives { error, .. } => ConnectError::Resources(error.errno),
        Error::QueueLimit { .. } => ConnectError::Resources(libc::EINVAL),
        _ => ConnectError::Resources(libc::ENOTRECOVERABLE),
    }
}

#[cfg(test)]
mod tests;
