//! The target on RDMA: listeners, connection requests and the turn of the wheel.
//!
//! One event channel serves all ids. Each connection has its own completion queue, so a work completion always belongs
//! to the connection that polled it.

mod connection;
mod counters;
mod device;
mod io;
mod namespaces;
mod slots;
mod transfer;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use spec::firmware::BootPartition;
use spec::rdma::{Reject, RejectReason};
use verbs::{CmEvent, CmEventKind, CmId, DeviceList, EventChannel, IdOption, Memory};

use crate::control::{Command, Switches};
use crate::core::{Core, Ended, NamespaceError, UnknownSubsystem};
use crate::lies::{Liar, Lie};
use crate::options::{OptionError, Options, check_linger};
use connection::{Connection, Turn};
pub use counters::Counters;
use device::DeviceState;

/// CM events are looked for this often, in nanoseconds: reading the channel is a system call.
const CM_INTERVAL: u64 = 100_000;
/// At the latest after this many polls, should the caller's clock stand still.
const CM_POLLS: u32 = 64;
/// Keep alive timers and deadlines are looked at this often, in nanoseconds.
const TICK_INTERVAL: u64 = 1_000_000;
/// Connections at a time; more are rejected.
const CONNECTIONS_MAX: usize = 4096;
/// After a device was removed, this often: a look whether it is quite gone, and an attempt to listen again. Nanoseconds.
const RECOVERY_INTERVAL: u64 = 1_000_000_000;
/// How many looks are taken.
const RECOVERY_LOOKS: u32 = 10;
/// CM events handled in one poll.
const EVENTS_PER_POLL: usize = 32;
/// Connect requests that may wait on a listener.
const BACKLOG: u32 = 128;

/// A target. Used by one thread; dropping it closes everything.
pub struct Target {
    // The order is that of release: connections first, the channel after all ids.
    connections: Vec<Connection>,
    listeners: Vec<Listener>,
    listens: bool,
    /// Looks still to be taken at a removed device.
    removals: u32,
    devices: Vec<Rc<DeviceState>>,
    /// `None` after a device was removed, until the next connection request.
    list: Option<Arc<DeviceList>>,
    channel: Arc<EventChannel>,
    /// By number; one that is gone is `None`, and its number is not used again.
    stores: Vec<Option<Rc<Memory>>>,
    core: Core,
    switches: Switches,
    options: Options,
    counters: Counters,
    turns: Turns,
    /// Ports whose connections are to be closed.
    closing_ports: Vec<u16>,
}

#[derive(Default)]
struct Turns {
    last_events: u64,
    last_tick: u64,
    last_recovery: u64,
    polls: u32,
}

struct Listener {
    address: SocketAddr,
    id: Option<Arc<CmId>>,
    /// Closed on purpose, until told otherwise.
    closed: bool,
}

/// Why a target cannot start or do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options are wrong.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Nobody can listen on this address.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: verbs::Error,
    },
    /// There is not enough memory for a namespace.
    #[error("no memory for a namespace of {0} bytes")]
    Memory(u64),
    /// The RDMA libraries failed.
    #[error(transparent)]
    Verbs(#[from] verbs::Error),
    /// Nobody was told to listen on that port.
    #[error("there is no listener on port {0}")]
    UnknownPort(u16),
    /// No such subsystem.
    #[error(transparent)]
    UnknownSubsystem(#[from] UnknownSubsystem),
    /// What was asked for cannot be done to a namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
}

impl Error {
    /// The errno that stands for this error, positive.
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Error::Option(_) => libc::EINVAL,
            Error::Listen { error, .. } | Error::Verbs(error) => error.errno,
            Error::Memory(_) => libc::ENOMEM,
            Error::UnknownPort(_) | Error::UnknownSubsystem(_) => libc::ENOENT,
            Error::Namespace(error) => match error {
                NamespaceError::Subsystem(_) | NamespaceError::Unknown(_) => libc::ENOENT,
                NamespaceError::NotFree(_) => libc::EEXIST,
                NamespaceError::Full => libc::ENOSPC,
                NamespaceError::Size { .. }
                | NamespaceError::Group(_)
                | NamespaceError::Fixed(_)
                | NamespaceError::Zone(_) => libc::EINVAL,
            },
        }
    }
}

impl Target {
    /// Allocates the namespaces and listens.
    ///
    /// # Errors
    /// [`Error`] says what failed; nothing is left behind.
    pub fn new(options: Options) -> Result<Target, Error> {
        options.check()?;
        let namespaces =
            options.subsystems.iter().flat_map(|subsystem| subsystem.namespaces.iter().flatten());
        let stores =
            namespaces.map(|namespace| namespaces::memory(namespace).map(Some)).collect::<Result<_, _>>()?;
        let list = DeviceList::open()?;
        let channel = EventChannel::new()?;
        let listeners = options
            .listen
            .iter()
            .map(|address| Listener { address: *address, id: None, closed: false })
            .collect();
        let mut target = Target {
            connections: Vec::new(),
            listeners,
            listens: true,
            removals: 0,
            devices: Vec::new(),
            list: Some(list),
            channel,
            stores,
            core: Core::new(&options),
            switches: Switches::default(),
            options,
            counters: Counters::default(),
            turns: Turns::default(),
            closing_ports: Vec::new(),
        };
        target.listen()?;
        Ok(target)
    }

    /// The addresses that the target listens on, with the ports that it got.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.listeners.iter().map(|listener| listener.address)
    }

    /// The number of connections, those that are being closed included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// A descriptor that is readable when a connection event waits; for callers that sleep between polls.
    #[must_use]
    pub fn descriptor(&self) -> std::os::fd::RawFd {
        self.channel.descriptor()
    }

    /// Does what there is to do and returns how much that was: events, completions and closed connections. Never blocks.
    /// `now` is in nanoseconds of any clock that does not go back.
    pub fn poll(&mut self, now: u64) -> usize {
        let mut work = 0;
        self.turns.polls += 1;
        let due = now.saturating_sub(self.turns.last_events) >= CM_INTERVAL;
        if due || self.turns.polls >= CM_POLLS {
            self.turns.polls = 0;
            self.turns.last_events = now;
            work += self.events(now);
        }
        let mut turn = Turn {
            core: &mut self.core,
            switches: &mut self.switches,
            counters: &mut self.counters,
            stores: &self.stores,
            now,
        };
        work += self.connections.iter_mut().map(|connection| connection.poll(&mut turn)).sum::<usize>();
        self.serve_management();
        self.core.look_at_delays(now);
        if self.core.has_releases() {
            work += self.release(now);
        }
        if now.saturating_sub(self.turns.last_tick) >= TICK_INTERVAL {
            self.turns.last_tick = now;
            self.core.tick(now);
            self.recover(now);
            self.connections.iter_mut().for_each(|connection| connection.tick(&mut self.core, now));
        }
        work + self.close_ended(now)
    }

    /// Does what was held and is held no longer. Rounds end since each does away with something held.
    fn release(&mut self, now: u64) -> usize {
        let mut work = 0;
        while self.core.has_releases() {
            for release in self.core.take_releases() {
                let its = |connection: &&mut Connection| {
                    let queue = connection.queue();
                    queue.controller() == Some(release.cntlid) && queue.qid == release.qid
                };
                let Some(connection) = self.connections.iter_mut().find(its) else { continue };
                let mut turn = Turn {
                    core: &mut self.core,
                    switches: &mut self.switches,
                    counters: &mut self.counters,
                    stores: &self.stores,
                    now,
                };
                connection.released(&mut turn, &release);
                work += 1;
            }
        }
        work
    }

    /// Does what it is told.
    ///
    /// # Errors
    /// [`Error`]: what was named is not there, or cannot be as it is wanted, or listening again fails.
    pub fn control(&mut self, command: &Command) -> Result<(), Error> {
        match command {
            Command::Misbehave { how, after } => self.switches.set(*how, Some(*after)),
            Command::Behave(how) => self.switches.set(*how, None),
            Command::Drop(nqn) => {
                self.core.set_present(nqn, false)?;
                if !self.core.is_present() {
                    self.stop_listening();
                }
            }
            Command::Add(nqn) => {
                self.core.set_present(nqn, true)?;
                self.listens = true;
                self.listen()?;
            }
            Command::Port { port, up } => self.set_port(*port, *up)?,
            Command::Linger(milliseconds) => {
                check_linger(*milliseconds)?;
                self.core.set_linger(*milliseconds);
            }
            Command::AddNamespace { nqn, nsid, namespace } => self.add_namespace(nqn, *nsid, namespace)?,
            Command::ResizeNamespace { nqn, nsid, size } => self.resize_namespace(nqn, *nsid, *size)?,
            Command::RemoveNamespace { nqn, nsid } => self.remove_namespace(nqn, *nsid)?,
            Command::Zone { nqn, nsid, lba, state } => self.core.set_zone_state(nqn, *nsid, *lba, *state)?,
            Command::Ana { nqn, group, port, state } => {
                self.core.set_ana_state(nqn, *group, *port, *state)?;
            }
            Command::Rule { which, how, count } => self.core.add_rule(*which, *how, *count),
            Command::Resume(which) => self.core.remove_rules(*which),
            Command::Lie(lie, value) => self.lie(*lie, *value),
            Command::Truth(Some(lie)) => self.core.lies.set(*lie, None),
            Command::Truth(None) => self.core.lies.clear(),
        }
        Ok(())
    }

    /// What a boot partition of a subsystem holds, for tests of hosts; `None` if it has none.
    ///
    /// # Errors
    /// [`Error`]: there is no such subsystem.
    pub fn boot_partition(&self, nqn: &str, partition: BootPartition) -> Result<Option<&[u8]>, Error> {
        Ok(self.core.boot_partition(nqn, partition)?)
    }

    /// Tells a lie from now on ([`crate::lies`]).
    pub fn lie(&mut self, lie: Lie, value: u64) {
        self.core.lies.set(lie, Some(value));
    }

    /// Has each answer go through a function that may change it, after the named lies; `None` takes it out again.
    pub fn set_liar(&mut self, liar: Option<Liar>) {
        self.core.lies.set_liar(liar);
    }

    /// Tells all hosts that their connections end. They are gone when [`Target::connections`] is 0; poll until then, or
    /// until patience ends, before dropping the target.
    pub fn disconnect_all(&mut self, now: u64) {
        self.stop_listening();
        for connection in &mut self.connections {
            connection.close(&mut self.core, now);
        }
    }

    /// Closes a listener, and at the next poll the connections that came by it; or listens again.
    fn set_port(&mut self, port: u16, up: bool) -> Result<(), Error> {
        let mut listeners = self.listeners.iter_mut();
        let listener = listeners.find(|listener| listener.address.port() == port);
        let listener = listener.ok_or(Error::UnknownPort(port))?;
        listener.closed = !up;
        if up {
            return if self.listens { self.listen() } else { Ok(()) };
        }
        listener.id = None;
        self.closing_ports.push(port);
        Ok(())
    }

    fn stop_listening(&mut self) {
        self.listens = false;
        self.listeners.iter_mut().for_each(|listener| listener.id = None);
    }

    /// After the removal of a device: lets go of it, and listens again where the listener went with it.
    fn recover(&mut self, now: u64) {
        if now.saturating_sub(self.turns.last_recovery) < RECOVERY_INTERVAL {
            return;
        }
        self.turns.last_recovery = now;
        if self.removals > 0 {
            self.removals -= 1;
            // The kernel waits until the device is closed. librdmacm closes it when it is asked for its devices, misses
            // this one, and nothing of ours uses it.
            self.devices.retain(|device| Rc::strong_count(device) > 1);
            self.list = None;
            drop(DeviceList::open());
        }
        if self.listens && self.listeners.iter().any(|listener| listener.id.is_none() && !listener.closed) {
            match self.listen() {
                Ok(()) => tracing::info!("listening again"),
                Err(error) => tracing::debug!(%error, "not listening yet"),
            }
        }
    }

    fn listen(&mut self) -> Result<(), Error> {
        for listener in self.listeners.iter_mut().filter(|listener| listener.id.is_none() && !listener.closed)
        {
            let address = listener.address;
            let wrap = |error| Error::Listen { address, error };
            let id = CmId::new(&self.channel).map_err(wrap)?;
            // A port that a target of yesterday used may still be in time-wait. Not every stack has the option.
            let _ = id.set_option(IdOption::ReuseAddress);
            id.bind(&address).map_err(wrap)?;
            id.listen(BACKLOG).map_err(wrap)?;
            if address.port() == 0 {
                listener.address.set_port(id.local_port());
            }
            listener.id = Some(id);
        }
        let addresses = self.listeners.iter().map(|listener| listener.address).collect();
        self.core.set_listeners(addresses);
        Ok(())
    }

    fn events(&mut self, now: u64) -> usize {
        let mut work = 0;
        while work < EVENTS_PER_POLL {
            match self.channel.next_event() {
                Ok(Some(event)) => self.event(event, now),
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "reading connection events");
                    break;
                }
            }
            work += 1;
        }
        work
    }

    fn event(&mut self, event: CmEvent, now: u64) {
        tracing::debug!(kind = ?event.kind, status = event.status, "connection event");
        if event.kind == CmEventKind::ConnectRequest {
            return self.connect_request(event, now);
        }
        if event.kind == CmEventKind::DeviceRemoval {
            self.removals = RECOVERY_LOOKS;
            let mut listeners = self.listeners.iter_mut();
            let bound =
                |listener: &&mut Listener| listener.id.as_ref().is_some_and(|id| id.key() == event.id_key);
            if let Some(listener) = listeners.find(bound) {
                tracing::error!(address = %listener.address, "the listener's device is being removed");
                listener.id = None;
            }
        }
        let mut all = self.connections.iter_mut();
        let Some(connection) = all.find(|connection| connection.key() == event.id_key) else { return };
        match event.kind {
            CmEventKind::Established => connection.established(),
            CmEventKind::Disconnected
            | CmEventKind::ConnectError
            | CmEventKind::Unreachable
            | CmEventKind::Rejected
            | CmEventKind::DeviceRemoval => connection.gone(&mut self.core, now),
            _ => {}
        }
    }

    fn connect_request(&mut self, event: CmEvent, now: u64) {
        let Some(id) = event.request.clone() else { return };
        match self.accept(&id, &event, now) {
            Ok(connection) => {
                self.counters.accepted += 1;
                self.connections.push(connection);
            }
            Err(sts) => {
                self.counters.rejected += 1;
                tracing::warn!(reason = sts.name(), peer = ?id.peer_address(), "connection request rejected");
                let _ = id.reject(&Reject { recfmt: spec::rdma::RECFMT, sts }.encode());
            }
        }
    }

    fn accept(&mut self, id: &Arc<CmId>, event: &CmEvent, now: u64) -> Result<Connection, RejectReason> {
        if self.switches.connect_request() || self.connections.len() >= CONNECTIONS_MAX {
            return Err(RejectReason::NO_RESOURCES);
        }
        if let Some(reason) = self.core.lies.value(Lie::Reject) {
            return Err(RejectReason(reason as u16));
        }
        let device = self.device_of(id).ok_or(RejectReason::NO_RESOURCES)?;
        let crqsize = self.core.lies.value(Lie::Crqsize).map(|entries| entries as u16);
        Connection::accept(id, event, device, &self.options, crqsize, now)
    }

    fn device_of(&mut self, id: &Arc<CmId>) -> Option<Rc<DeviceState>> {
        let device = self.list.as_ref().and_then(|list| id.device(list)).or_else(|| {
            // Perhaps the device came after the list was taken.
            self.list = DeviceList::open().ok();
            id.device(self.list.as_ref()?)
        })?;
        if let Some(known) = self.devices.iter().find(|known| *known.device() == device) {
            return Some(known.clone());
        }
        match DeviceState::new(&device, &self.stores) {
            Ok(state) => {
                let state = Rc::new(state);
                self.devices.push(state.clone());
                Some(state)
            }
            Err(error) => {
                tracing::error!(%error, device = device.name(), "preparing a device");
                None
            }
        }
    }

    /// Closes the connections of what ended, and drops those that are closed.
    fn close_ended(&mut self, now: u64) -> usize {
        // Closing a connection may end an association, hence the loop; it ends since each round closes connections.
        loop {
            let ended = self.core.take_ended();
            if ended.is_empty() {
                break;
            }
            for connection in &mut self.connections {
                let queue = connection.queue();
                let controller = queue.controller();
                let is_io = queue.is_io();
                let over = ended.iter().any(|ended| match ended {
                    Ended::Association(cntlid) => controller == Some(*cntlid),
                    Ended::IoQueues(cntlid) => is_io && controller == Some(*cntlid),
                });
                if over {
                    connection.close(&mut self.core, now);
                }
            }
        }
        let closing = std::mem::take(&mut self.closing_ports);
        if !closing.is_empty() {
            for connection in &mut self.connections {
                let local = connection.queue().local();
                if local.is_some_and(|local| closing.contains(&local.port())) {
                    connection.close(&mut self.core, now);
                }
            }
        }
        let before = self.connections.len();
        self.connections.retain(|connection| !connection.is_closed());
        before - self.connections.len()
    }
}
