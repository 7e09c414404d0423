//! The RDMA objects of a connection: how they are acquired, and the one way in which they are released.
//!
//! [`Resolver`] is what exists while address and route are resolved. [`Connection`] is the whole set. It can only be
//! released as [`Drained`], and that has two sources: every posted work request accounted for, or the queue pair
//! destroyed. The release itself is a drop, in the order of the fields: queue pair → poller share → registrations
//! and work request memory → device share (protection domain) → id → event channel (I13). What the peer still owes
//! an answer for may leave as a [`Parting`]: the id and its channel, nothing else.

use super::{
    ConnectError, Error,
    config::{Association, ConnectTarget},
    device::DeviceShare,
    parting::Parting,
    poller::{Poller, PollerShare},
    qpair::Qpair,
    wire::{Opened, Opening, RECEIVE_SLACK, Wire},
};
use crate::clock::Moment;
use std::{
    cell::Cell,
    rc::{Rc, Weak},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use verbs::{
    CmId, ConnectParameters, DeviceList, Ended, EventChannel, IdOption, QueuePair, QueuePairCapabilities,
    RegisteredMemory, SeatedQueuePair,
};

/// How long a controller waits, at least, before it sends a response again that found no shared receive: 0.16 ms (InfiniBand
/// Architecture 1, table 45). The connection manager says 655.36 ms.
const RNR_DELAY: u8 = 8;

/// An id on its way to a device.
pub(super) struct Resolver {
    id: Arc<CmId>,
    channel: Arc<EventChannel>,
    devices: Arc<DeviceList>,
}

impl Resolver {
    /// Creates the event channel and the id, and sets its options.
    pub(super) fn new(target: &ConnectTarget, label: &str) -> Result<Self, Error> {
        let devices = DeviceList::open().map_err(Error::NoDevice)?;
        let channel = EventChannel::new()?;
        let id = CmId::new(&channel)?;
        if target.source.is_some() {
            // Several ids come from one source address (T82); where that cannot be said, binding will tell.
            let _ = id.set_option(IdOption::ReuseAddress);
        }
        if let Some(service) = target.type_of_service {
            id.set_option(IdOption::TypeOfService(service))?;
        }
        if let Some(timeout) = target.acknowledge_timeout
            && let Err(error) = id.set_option(IdOption::AcknowledgeTimeout(timeout))
        {
            tracing::warn!("{label}: the acknowledge timeout stays the device's own: {error}");
        }
        Ok(Self { id, channel, devices })
    }

    pub(super) fn channel(&self) -> &Arc<EventChannel> {
        &self.channel
    }

    pub(super) fn resolve_address(&self, target: &ConnectTarget) -> Result<(), Error> {
        let timeout = super::RESOLUTION_TIMEOUT;
        Ok(self.id.resolve_address(target.source.as_ref(), &target.address, timeout)?)
    }

    pub(super) fn resolve_route(&self) -> Result<(), Error> {
        Ok(self.id.resolve_route(super::RESOLUTION_TIMEOUT)?)
    }
}

/// What a connection is built for.
pub(super) struct Blueprint<'a> {
    pub(super) wire: &'a Rc<Wire>,
    pub(super) qpair: &'a Weak<Qpair>,
    /// Commands that may be outstanding at a time, if the device can.
    pub(super) depth: u16,
    /// Of these, commands that ordinary requests leave free.
    pub(super) reserved: u16,
    /// Bytes of data that a capsule may carry, if the device can gather them.
    pub(super) in_capsule_data: u32,
    /// The most descriptors of a command's data.
    pub(super) descriptors: u32,
    /// Whom it goes to.
    pub(super) association: &'a Association,
    /// What log lines call the qpair.
    pub(super) label: &'a str,
}

/// What of a connection's size the device allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fit {
    depth: u16,
    /// Receives beyond the depth.
    slack: u16,
    send_segments: u32,
}

impl Fit {
    /// Each command needs a SEND and a receive, and the queue pair one more of each; each command two completions, and
    /// the queue two more.
    /// At least one command must fit beside those that are `reserved`. What is left then is for the receives' slack, which costs a
    /// work request and a completion each, and is of use, not of need.
    fn of(limits: &verbs::DeviceLimits, depth: u16, reserved: u16) -> Result<Self, Error> {
        let too_small = |what, is, needed| Err(Error::DeviceTooSmall { what, is, needed });
        let (requests, entries) = (limits.queue_pair_work_requests, limits.completion_entries);
        let least = reserved + 1;
        if requests < u32::from(least) + 1 {
            return too_small("max_qp_wr", requests, u32::from(least) + 1);
        }
        let needed = Completions::of(least, 0).all();
        if entries < needed {
            return too_small("max_cqe", entries, needed);
        }
        if limits.segments < 1 {
            return too_small("max_sge", limits.segments, 1);
        }
        let most = (requests - 1).min((entries - 2) / 2);
        let depth = depth.min(u16::try_from(most).unwrap_or(u16::MAX)).max(1);
        let left = (requests - 1 - u32::from(depth)).min(entries - Completions::of(depth, 0).all());
        let slack = RECEIVE_SLACK.min(u16::try_from(left).unwrap_or(u16::MAX));
        Ok(Self { depth, slack, send_segments: limits.segments.min(2) })
    }
}

/// Completions that a connection can have in its queue at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Completions {
    pub(super) sends: u32,
    /// Of receives of its own.
    pub(super) receives: u32,
}

impl Completions {
    /// With as many commands, and receives beyond them.
    fn of(depth: u16, slack: u16) -> Self {
        let sends = u32::from(depth) + 1;
        Self { sends, receives: sends + u32::from(slack) }
    }

    pub(super) fn all(self) -> u32 {
        self.sends + self.receives
    }
}

/// Everything of an RDMA connection. Field order is release order.
pub(super) struct Connection {
    queue_pair: SeatedQueuePair,
    rest: Remainder,
}

/// A connection without its queue pair.
pub(super) struct Remainder {
    share: PollerShare,
    /// Once the queue pair is destroyed: what it had registered.
    _ended: Option<Ended>,
    wire: Rc<Wire>,
    connect_data: RegisteredMemory,
    device: Arc<DeviceShare>,
    id: Arc<CmId>,
    channel: Arc<EventChannel>,
    cm: CmProgress,
}

/// What the CM has said of the connection, and until when it is waited for at the end.
struct CmProgress {
    established: Cell<bool>,
    disconnected: Cell<bool>,
    awaits_disconnected: Cell<bool>,
    device_is_gone: Cell<bool>,
    drain_deadline: Cell<Moment>,
    cm_deadline: Cell<Moment>,
}

impl Connection {
    /// Builds everything for a resolved id; receives are posted, so that no response can come too early.
    /// `poller` gives the poller for the device. A failure releases what was built so far, in order (I30).
    pub(super) fn build(
        resolver: Resolver,
        blueprint: &Blueprint<'_>,
        poller: impl FnOnce(&Arc<DeviceShare>, Completions) -> Result<Rc<Poller>, Error>,
    ) -> Result<Self, Error> {
        let Resolver { id, channel, devices } = resolver;
        let device = id.device(&devices).ok_or(Error::Connect(ConnectError::Address))?;
        let device = DeviceShare::of(&device, blueprint.association)?;
        let Fit { depth, slack, send_segments } =
            Fit::of(device.limits(), blueprint.depth, blueprint.reserved)?;
        if depth < blueprint.depth {
            let label = blueprint.label;
            tracing::info!(
                "{label}: the device has room for {depth} commands at a time, not {}",
                blueprint.depth
            );
        }
        let completions = Completions::of(depth, slack);
        let poller = poller(&device, completions)?;
        let has_own_receives = poller.srq().is_none();
        let wire = blueprint.wire.clone();
        // In-capsule data is the second segment of its SEND.
        let in_capsule_data = if send_segments < 2 { 0 } else { blueprint.in_capsule_data };
        let (share, Opened { registrations, connect_data }) =
            poller.share(poller.entries_for(completions), blueprint.qpair, &wire, |owner| {
                let Blueprint { reserved, descriptors, .. } = *blueprint;
                let slack = has_own_receives.then_some(slack);
                wire.open(&Opening {
                    device: &device,
                    owner,
                    depth,
                    slack,
                    reserved,
                    in_capsule_data,
                    descriptors,
                })
            })?;
        let capabilities = QueuePairCapabilities {
            sends: u32::from(depth) + 1,
            receives: if has_own_receives { completions.receives } else { 0 },
            send_segments,
            receive_segments: 1,
        };
        let (domain, queue) = (device.domain(), poller.queue());
        let queue_pair = match poller.srq() {
            None => QueuePair::new(&id, domain, queue, capabilities)?,
            Some(srq) => QueuePair::with_shared_receives(&id, domain, queue, srq.receives(), capabilities)?,
        };
        share.receive_as(queue_pair.number())?;
        let queue_pair = queue_pair.take_seat(wire.seat(), registrations)?;
        let cm = CmProgress {
            established: Cell::new(false),
            disconnected: Cell::new(false),
            awaits_disconnected: Cell::new(false),
            device_is_gone: Cell::new(false),
            drain_deadline: Cell::new(Moment::START),
            cm_deadline: Cell::new(Moment::START),
        };
        let rest = Remainder { share, _ended: None, wire, connect_data, device, id, channel, cm };
        let connection = Self { queue_pair, rest };
        connection.rest.wire.post_receives();
        let Some(fault) = connection.rest.wire.fault() else { return Ok(connection) };
        // The queue pair goes before the memory of those receives that were accepted.
        drop(destroy(connection, blueprint.label));
        Err(Error::FirstReceives(fault.errno()))
    }

    /// Sends the CM's connect request.
    pub(super) fn request(&self, target: &ConnectTarget, private_data: &[u8]) -> Result<(), Error> {
        Ok(self.rest.id.connect(&ConnectParameters {
            private_data,
            responder_resources: self.rest.device.limits().responder_resources,
            initiator_depth: 0, // this host never reads from the controller
            retry_count: target.retry_count,
            rnr_retry_count: 7,
        })?)
    }

    pub(super) fn share(&self) -> &PollerShare {
        &self.rest.share
    }

    pub(super) fn channel(&self) -> &Arc<EventChannel> {
        &self.rest.channel
    }

    pub(super) fn device(&self) -> &DeviceShare {
        &self.rest.device
    }

    pub(super) fn domain(&self) -> &Arc<verbs::ProtectionDomain> {
        self.rest.device.domain()
    }

    /// The memory for the data of the Fabrics Connect command: it lives as long as the connection, so that a
    /// Connect which is given up cannot outlive its data (T80).
    pub(super) fn connect_data(&self) -> &RegisteredMemory {
        &self.rest.connect_data
    }

    /// Hands what was put off to the device.
    pub(super) fn post_sends(&self) {
        if !self.rest.wire.post_sends() {
            self.rest.share.mark(&self.rest.wire); // no completion may ever lead the qpair to its fault
        }
    }

    pub(super) fn saw_established(&self, label: &str) {
        self.rest.cm.established.set(true);
        if self.rest.share.poller().srq().is_some()
            && let Err(error) = self.queue_pair.queue_pair().set_rnr_delay(RNR_DELAY)
        {
            tracing::info!("{label}: a response that finds no shared receive may wait for long: {error}");
        }
    }

    pub(super) fn saw_disconnected(&self) {
        self.rest.cm.disconnected.set(true);
    }

    pub(super) fn saw_device_removal(&self) {
        self.rest.cm.device_is_gone.set(true);
    }

    /// Begins the end: nothing more is posted, the queue pair goes to the error state, which makes the device
    /// flush what it has, and the peer is told if it does not know (T26, T27, T38–T40). Its answer is waited for no longer than
    /// `cm_timeout`.
    pub(super) fn begin_draining(&self, cm_timeout: Duration, label: &str, now: Moment) {
        let Remainder { wire, id, cm, .. } = &self.rest;
        wire.begin_draining();
        if let Err(error) = self.queue_pair.queue_pair().move_to_error() {
            tracing::warn!("{label}: moving the queue pair to the error state: {error}");
        }
        if cm.established.get() && !cm.disconnected.get() && !cm.device_is_gone.get() {
            match id.disconnect() {
                Ok(()) => cm.awaits_disconnected.set(true),
                Err(error) => tracing::debug!("{label}: disconnecting: {error}"),
            }
        }
        cm.drain_deadline.set(now.after(super::DRAIN_TIMEOUT));
        cm.cm_deadline.set(now.after(cm_timeout));
    }

    /// Whether the device is done with the connection's memory: every work request accounted for, or its deadline
    /// passed.
    pub(super) fn is_safe(&self, now: Moment) -> bool {
        self.rest.wire.is_quiet() || now.has_reached(self.rest.cm.drain_deadline.get())
    }

    /// Whether draining is over: the memory is safe, and the peer answered the disconnect, or its deadline passed.
    pub(super) fn is_drained(&self, now: Moment) -> bool {
        self.is_safe(now) && (self.rest.cm.owes_nothing() || now.has_reached(self.rest.cm.cm_deadline.get()))
    }

    /// Proof by account.
    pub(super) fn accounted(self: Box<Self>) -> Result<Drained, Box<Self>> {
        if self.rest.wire.is_quiet() { Ok(Drained(Proof::Accounted(self))) } else { Err(self) }
    }

    /// Proof by destruction of the queue pair. Where even that fails the connection is quarantined.
    pub(super) fn destroyed(self, label: &str) -> Result<Drained, Quarantined> {
        let (sends, receives) = self.rest.wire.posted();
        tracing::warn!(
            "{label}: {sends} sends and {receives} receives were not flushed in time; destroying the queue pair"
        );
        Ok(Drained(Proof::Destroyed(destroy(self, label)?)))
    }
}

/// A connection that the device can no longer touch memory for. Only this can be released.
pub(super) struct Drained(Proof);

enum Proof {
    Accounted(Box<Connection>),
    Destroyed(Remainder),
}

impl Drained {
    /// Releases everything, in order, but for an id whose peer still owes its answer.
    pub(super) fn release(self, label: &str) -> Result<Option<Parting>, Quarantined> {
        let remainder = match self.0 {
            Proof::Accounted(connection) => destroy(*connection, label)?,
            Proof::Destroyed(remainder) => remainder,
        };
        let parting = (!remainder.cm.owes_nothing()).then(|| {
            let deadline = remainder.cm.cm_deadline.get();
            Parting::new(remainder.id.clone(), remainder.channel.clone(), deadline)
        });
        // The domain goes before the id: librdmacm has a domain of its own on the device, which it takes back with the last id there, and
        // only if nobody has the list of devices any more, which this library's domain holds.
        remainder.wire.let_go_of_memory();
        drop(remainder);
        Ok(parting)
    }
}

impl CmProgress {
    /// Whether no answer to a disconnect is due any more.
    fn owes_nothing(&self) -> bool {
        !self.awaits_disconnected.get() || self.disconnected.get() || self.device_is_gone.get()
    }
}

/// The queue pair could not be destroyed: its connection, with all the memory that the device may know, is kept for
/// the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quarantined;

static QUARANTINED: AtomicUsize = AtomicUsize::new(0);

fn destroy(connection: Connection, label: &str) -> Result<Remainder, Quarantined> {
    let Connection { queue_pair, rest } = connection;
    rest.share.poller().prepare_for_end();
    match queue_pair.destroy() {
        Ok(ended) => Ok(Remainder { _ended: Some(ended), ..rest }),
        Err((queue_pair, error)) => {
            // The last thing that can be done for the program's buffers: its requests will be told.
            let in_error = queue_pair.queue_pair().move_to_error().is_ok();
            if !in_error && !rest.cm.device_is_gone.get() {
                tracing::error!(
                    "{label}: the device may still use the buffers of requests that are now aborted"
                );
            }
            let count = QUARANTINED.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(
                "{label}: {error}; the connection's memory is kept for good ({count} connections so far)"
            );
            rest.share.disown();
            queue_pair.keep();
            rest.wire.spoil();
            std::mem::forget(rest);
            Err(Quarantined)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the Admin Queue, which keeps one command for Keep Alive.
    const ADMIN: (u16, u16) = (31, 1);
    const IO: (u16, u16) = (127, 0);

    fn fit(
        change: impl FnOnce(&mut verbs::DeviceLimits),
        (depth, reserved): (u16, u16),
    ) -> Result<Fit, Error> {
        let mut limits = verbs::DeviceLimits {
            queue_pair_work_requests: 32768,
            segments: 32,
            completion_entries: 1 << 22,
            shared_receive_queues: 1 << 16,
            shared_receives: 1 << 15,
            memory_regions: 1 << 20,
            memory_region_size: u64::MAX,
            responder_resources: 128,
            initiator_depth: 128,
        };
        change(&mut limits);
        Fit::of(&limits, depth, reserved)
    }

    fn fits(depth: u16, send_segments: u32) -> Result<Fit, Error> {
        Ok(Fit { depth, slack: RECEIVE_SLACK, send_segments })
    }

    fn tight(depth: u16, slack: u16) -> Result<Fit, Error> {
        Ok(Fit { depth, slack, send_segments: 2 })
    }

    /// What is missed by one is an error that names the device's attribute, what is met is enough for one command.
    fn least(what: &'static str, needed: u32, of: (u16, u16), set: fn(&mut verbs::DeviceLimits, u32)) {
        for is in 0..needed {
            let result = fit(|limits| set(limits, is), of);
            assert_eq!(result, Err(Error::DeviceTooSmall { what, is, needed }));
        }
        assert_eq!(fit(|limits| set(limits, needed), of).map(|fit| fit.depth > of.1), Ok(true), "{what}");
    }

    #[test]
    fn a_device_that_can_all_is_asked_for_what_is_wanted() {
        assert_eq!(fit(|_| {}, IO), fits(127, 2));
        assert_eq!(fit(|_| {}, ADMIN), fits(31, 2));
        assert_eq!(fit(|_| {}, (4095, 0)), fits(4095, 2));
    }

    #[test]
    fn one_command_beside_those_that_are_reserved_must_fit() {
        least("max_qp_wr", 2, IO, |limits, is| limits.queue_pair_work_requests = is);
        least("max_qp_wr", 3, ADMIN, |limits, is| limits.queue_pair_work_requests = is);
        least("max_cqe", 4, IO, |limits, is| limits.completion_entries = is);
        least("max_cqe", 6, ADMIN, |limits, is| limits.completion_entries = is);
        least("max_sge", 1, IO, |limits, is| limits.segments = is);
    }

    #[test]
    fn the_depth_is_what_the_smaller_limit_allows() {
        assert_eq!(fit(|limits| limits.queue_pair_work_requests = 64, IO), tight(63, 0));
        assert_eq!(fit(|limits| limits.completion_entries = 100, IO), tight(49, 0));
        assert_eq!(fit(|limits| limits.completion_entries = 101, IO), tight(49, 1));
        let both = |work_requests, entries| {
            fit(
                |limits| {
                    limits.queue_pair_work_requests = work_requests;
                    limits.completion_entries = entries;
                },
                IO,
            )
        };
        assert_eq!(both(64, 100), tight(49, 0));
        assert_eq!(both(16, 100), tight(15, 0));
        // The slack has what is left of both.
        assert_eq!(both(128 + 7, u32::MAX), tight(127, 7));
        assert_eq!(both(128 + 7, 256 + 5), tight(127, 5));
        // More than a depth can say.
        assert_eq!(both(u32::MAX, u32::MAX), fits(127, 2));
    }

    /// Without a second segment there is no in-capsule data; a command alone has one.
    #[test]
    fn one_segment_is_enough() {
        assert_eq!(fit(|limits| limits.segments = 1, IO), fits(127, 1));
        assert_eq!(fit(|limits| limits.segments = 2, IO), fits(127, 2));
    }
}
