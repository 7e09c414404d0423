//! What a controller answers: the part of the target that is NVMe, without any RDMA.
//!
//! The transport gives every capsule to [`Core::execute`] and does what the [`Step`] says. The core never touches a
//! namespace's data: it names extents of stores, and the transport moves bytes. Times are nanoseconds of any monotonic
//! clock of the caller's.

mod admin;
mod ana;
mod connect;
mod events;
mod facts;
mod features;
mod firmware;
mod fused;
mod identify;
mod io;
mod keys;
mod logs;
mod management;
mod marks;
mod namespaces;
mod notifications;
mod opal;
mod properties;
pub(crate) mod protection;
mod release;
mod reservations;
mod rules;
mod step;
#[cfg(test)]
mod tests;
mod zones;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use spec::fabrics::ConnectData;
use spec::identify::{CSI_KEY_VALUE, CSI_NVM, CSI_ZONED};
use spec::namespace::LbaFormat;
use spec::registers::{Cc, Csts};
use spec::{AdminOpcode, Command, Completion, FabricsType, Status};

use crate::lies::{Answer, Lies, remote_of};
use crate::options::{NamespaceKind, NamespaceOptions, Options, SubsystemOptions};
pub use ana::ANA_GROUPS;
use ana::Ana;
use connect::begin_connect;
use events::{Event, Events};
use features::Values;
use firmware::Firmware;
use fused::FirstHalf;
use keys::Keys;
pub use management::Birth;
use marks::Marks;
pub use namespaces::NamespaceError;
use notifications::Notifications;
use opal::Tper;
pub use protection::Protection;
pub use release::{How, Release};
use reservations::Reservations;
use rules::Rules;
pub use rules::{Suffering, UnknownCommands, Which};
use step::DataPointer;
pub use step::{CapsuleData, Change, CompareAndWrite, Extent, Piece, Protected, Remote, Source, Step};
use zones::Zones;

/// Subsystems, controllers, and the limits that they advertise.
#[derive(Debug)]
pub struct Core {
    limits: Limits,
    subsystems: Vec<Subsystem>,
    controllers: BTreeMap<u16, Controller>,
    last_cntlid: u16,
    listeners: Vec<SocketAddr>,
    generation: u64,
    ended: Vec<Ended>,
    releases: Vec<Release>,
    /// Namespaces that were made and have no store yet, and stores of those that were deleted.
    births: Vec<Birth>,
    deaths: Vec<usize>,
    rules: Rules,
    pub(crate) lies: Lies,
}

/// Limits of every controller.
#[derive(Clone, Copy, Debug)]
struct Limits {
    queue_entries: u16,
    io_queues: u16,
    in_capsule_data: u32,
    icdoff: u16,
    descriptor_room: u32,
    /// Keyed data blocks of a command; more than one are a list in the capsule.
    descriptors: u8,
    mdts: u8,
    /// How long a queue id stays taken after its connection ended, in nanoseconds.
    linger: u64,
}

impl Limits {
    /// The longest transfer in bytes. Without MDTS there is no limit but that of the SGL's length.
    fn max_transfer(&self) -> u64 {
        if self.mdts == 0 { u64::MAX } else { 4096 << self.mdts }
    }

    /// Room for data in a capsule of this queue. Capsules of the Admin Queue are commands and nothing else: IOCCSZ and
    /// ICDOFF speak of I/O queues (NVMe-oF 4.1).
    fn capsule_data(&self, qid: u16) -> usize {
        if qid == 0 { 0 } else { self.in_capsule_data as usize }
    }

    /// Room for a list of descriptors behind the command in a capsule of this queue.
    fn descriptor_room(&self, qid: u16) -> usize {
        if qid == 0 { 0 } else { self.descriptor_room as usize }
    }

    /// Where in-capsule data starts in a capsule.
    fn data_offset(&self) -> usize {
        spec::command::COMMAND_SIZE + usize::from(self.icdoff) * 16
    }
}

#[derive(Debug)]
struct Subsystem {
    nqn: String,
    hosts: Vec<String>,
    namespaces: Vec<Option<Namespace>>,
    present: bool,
    ana: Ana,
    /// Namespaces that came since the start.
    births: u64,
    /// Saved features.
    saved: Values,
    firmware: Firmware,
    /// Its TPer, if it has one.
    tper: Option<Box<Tper>>,
}

/// A namespace: where its store is, how it is cut into blocks, and what its blocks are apart from their data.
#[derive(Clone, Debug)]
struct Namespace {
    store: usize,
    blocks: u64,
    block_shift: u8,
    /// Bytes of metadata behind the data of each block.
    metadata: u16,
    /// Type of the protection information in it, 0 for none.
    protection: u8,
    /// Bytes of data, to which it can grow.
    room: u64,
    /// The number of its format, and the format that it was made with, which is the first.
    format: u8,
    made_as: LbaFormat,
    /// Whether the controllers of its subsystem have it.
    attached: bool,
    /// ANA group.
    group: u32,
    /// Which one it is of those that came later, 0 for one that was there at the start.
    birth: u64,
    marks: Marks,
    reservations: Reservations,
    /// Its zones, or its keys, if that is what it is made of.
    zones: Option<Zones>,
    keys: Option<Keys>,
}

#[derive(Debug)]
struct Controller {
    cntlid: u16,
    /// `None` is the discovery service.
    subsystem: Option<usize>,
    hostid: [u8; 16],
    hostnqn: String,
    cc: Cc,
    csts: Csts,
    /// Keep alive timeout in milliseconds, 0 for none.
    kato: u32,
    last_keep_alive: u64,
    /// The port that the host came by.
    port: Option<u16>,
    events: Events,
    /// Features that are kept as they are.
    features: Values,
    notifications: Notifications,
    /// Held Asynchronous Event Requests: command id and the transport's tag.
    held: Vec<(u16, usize)>,
    io_queues: u16,
    queues: BTreeMap<u16, QueueId>,
}

/// What stands in the way of a Connect for a queue id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum QueueId {
    /// A queue.
    Taken,
    /// A queue that ended, until this time: targets of other make still tidy up after it.
    Held(u64),
}

/// The core's share of one connection.
#[derive(Debug)]
pub struct Queue {
    /// Queue id, as the connection request gave it.
    pub qid: u16,
    /// Commands that the transport can take at a time.
    entries: u16,
    local: Option<SocketAddr>,
    controller: Option<u16>,
    /// Entries of the submission queue once connected.
    sq_entries: u16,
    sqhd: u16,
    flow_control: bool,
    /// The last command, if it was the first of two fused ones.
    first_half: Option<FirstHalf>,
}

/// Something that ended and whose connections the transport must close.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// All queues of this controller.
    Association(u16),
    /// Its I/O queues only.
    IoQueues(u16),
}

/// A subsystem that the target does not have.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no subsystem {0}")]
pub struct UnknownSubsystem(pub String);

impl Queue {
    /// Where the host reached us.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// A queue that is not connected yet: `entries` commands fit its receives, `local` is where the host reached us.
    #[must_use]
    pub fn new(qid: u16, entries: u16, local: Option<SocketAddr>) -> Queue {
        Queue {
            qid,
            entries,
            local,
            controller: None,
            sq_entries: 0,
            sqhd: 0,
            flow_control: true,
            first_half: None,
        }
    }

    /// The controller that the queue belongs to, once connected.
    #[must_use]
    pub fn controller(&self) -> Option<u16> {
        self.controller
    }

    /// Whether Connect succeeded and the queue is an I/O queue.
    #[must_use]
    pub fn is_io(&self) -> bool {
        self.qid != 0 && self.controller.is_some()
    }

    /// Entries of the submission queue; 0 before Connect.
    #[must_use]
    pub fn sq_entries(&self) -> u16 {
        self.sq_entries
    }

    /// The completion as it goes out now: with the queue's head (NVMe-oF 2.4.1; 0xffff without flow control).
    #[must_use]
    pub fn finish(&self, completion: Completion) -> Completion {
        completion.with_sqhd(if self.flow_control { self.sqhd } else { 0xffff })
    }

    fn advance(&mut self) {
        self.sqhd = match self.sqhd.checked_add(1) {
            Some(next) if next < self.sq_entries => next,
            _ => 0,
        };
    }
}

impl Core {
    /// A core for these options, which were checked. Store `n` of the steps is the `n`-th active namespace of all
    /// subsystems in order.
    #[must_use]
    pub fn new(options: &Options) -> Core {
        let mut store = 0;
        let subsystems = options.subsystems.iter().map(|subsystem| Subsystem::new(subsystem, &mut store));
        Core {
            limits: Limits {
                queue_entries: options.queue_entries,
                io_queues: options.io_queues,
                in_capsule_data: options.in_capsule_data,
                icdoff: options.icdoff,
                descriptor_room: options.descriptor_room(),
                descriptors: options.msdbd(),
                mdts: options.mdts,
                linger: linger(options.linger_ms),
            },
            subsystems: subsystems.collect(),
            controllers: BTreeMap::new(),
            last_cntlid: 0,
            listeners: Vec::new(),
            generation: 1,
            ended: Vec::new(),
            releases: Vec::new(),
            births: Vec::new(),
            deaths: Vec::new(),
            rules: Rules::default(),
            lies: Lies::default(),
        }
    }

    /// How long queue ids stay taken after their connections ended, in milliseconds. Counts for those that end from now on.
    pub fn set_linger(&mut self, milliseconds: u32) {
        self.limits.linger = linger(milliseconds);
    }

    /// The addresses that the discovery log page is to name.
    pub fn set_listeners(&mut self, listeners: Vec<SocketAddr>) {
        if self.listeners != listeners {
            self.listeners = listeners;
            self.discovery_changed();
        }
    }

    fn discovery_changed(&mut self) {
        self.generation += 1;
        for controller in self.controllers.values_mut().filter(|controller| controller.subsystem.is_none()) {
            controller.happened(Event::DiscoveryLog, &mut self.releases);
        }
    }

    /// Takes a capsule: its command, and what came behind the command. `tag` is the transport's name for the request; held
    /// requests are answered under it.
    pub fn execute(
        &mut self,
        queue: &mut Queue,
        tag: usize,
        command: &Command,
        capsule: &dyn CapsuleData,
        now: u64,
    ) -> Step {
        queue.advance();
        if queue.first_half.is_some() && command.fuse() != fused::SECOND {
            self.abandon_first_half(queue);
        }
        let suffers = if self.rules.is_empty() { None } else { self.suffer(queue, tag, command, now) };
        let step = suffers.unwrap_or_else(|| self.dispatch(queue, tag, command, capsule, now));
        self.told(queue, tag, command, step)
    }

    /// Executes a command that was held, after all.
    pub fn resume(
        &mut self,
        queue: &mut Queue,
        tag: usize,
        command: &Command,
        capsule: &dyn CapsuleData,
        now: u64,
    ) -> Step {
        let step = self.dispatch(queue, tag, command, capsule, now);
        self.told(queue, tag, command, step)
    }

    /// Takes the data that [`Step::FetchBytes`] asked for.
    pub fn supplied(&mut self, queue: &mut Queue, tag: usize, command: &Command, bytes: &[u8]) -> Step {
        let step = match queue.qid {
            0 => self.managed(queue, command, bytes),
            _ => self.io_supplied(queue, command, bytes),
        };
        self.told(queue, tag, command, step)
    }

    /// The step as it is done: an error is an answer, and liars change what they like.
    fn told(&mut self, queue: &mut Queue, tag: usize, command: &Command, step: Result<Step, Status>) -> Step {
        let step = step.unwrap_or_else(|status| Step::Respond(Completion::new(0, command.cid(), status)));
        if self.lies.is_honest() { step } else { self.lie(queue, tag, command, step) }
    }

    /// Gives an answer to the liars and makes a step of what they left of it.
    fn lie(&mut self, queue: &mut Queue, tag: usize, command: &Command, step: Step) -> Step {
        let mut answer = Answer {
            qid: queue.qid,
            command,
            completion: Completion::new(0, command.cid(), Status::SUCCESS),
            page: None,
            remote: match &step {
                Step::SendBytes { remote, .. }
                | Step::SendBlocks { remote, .. }
                | Step::FetchBlocks { remote, .. } => Some(remote.clone()),
                _ => remote_of(command),
            },
            hold: matches!(step, Step::Hold),
        };
        let held = answer.hold;
        match &step {
            // The answer is made later, see `connect` and `supplied`. Those of two fused commands nobody lies about.
            Step::FetchConnect { .. }
            | Step::ConnectInCapsule { .. }
            | Step::FetchBytes { .. }
            | Step::CompareAndWrite(_) => return step,
            Step::SendBytes { bytes, completion, .. } => {
                answer.page = Some(bytes.clone());
                answer.completion = *completion;
            }
            Step::Respond(completion)
            | Step::RespondAndRelease { completion, .. }
            | Step::RespondAndForget { completion, .. }
            | Step::Disconnect(completion)
            | Step::SendBlocks { completion, .. }
            | Step::FetchBlocks { completion, .. }
            | Step::CopyBlocks { completion, .. }
            | Step::CompareBlocks { completion, .. }
            | Step::ChangeBlocks { completion, .. }
            | Step::Protected { completion, .. }
            | Step::ZeroBlocks { completion, .. } => answer.completion = *completion,
            Step::Hold => {}
        }
        self.lies.tell(&mut answer);
        let Answer { completion, page, remote, hold, .. } = answer;
        let page = page.filter(|page| !page.is_empty());
        if hold {
            return Step::Hold;
        }
        if held {
            self.forget(queue, tag);
        }
        match (step, page, remote) {
            (Step::RespondAndRelease { tag, released, .. }, ..) => {
                Step::RespondAndRelease { completion, tag, released }
            }
            (Step::RespondAndForget { tags, .. }, ..) => Step::RespondAndForget { completion, tags },
            (Step::Disconnect(_), ..) => Step::Disconnect(completion),
            (_, Some(bytes), Some(remote)) => Step::SendBytes { bytes, remote, completion },
            (Step::SendBlocks { extent, .. }, _, Some(remote)) => {
                Step::SendBlocks { extent, remote, completion }
            }
            (Step::FetchBlocks { extent, .. }, _, Some(remote)) => {
                Step::FetchBlocks { extent, remote, completion }
            }
            (Step::CopyBlocks { offset, extent, .. }, ..) => Step::CopyBlocks { offset, extent, completion },
            (Step::ZeroBlocks { extent, .. }, ..) => Step::ZeroBlocks { extent, completion },
            (Step::CompareBlocks { source, extent, .. }, ..) => {
                Step::CompareBlocks { source, extent, completion }
            }
            (Step::Protected { what, extent, protection, .. }, ..) => {
                Step::Protected { what, extent, protection, completion }
            }
            (Step::ChangeBlocks { changes, .. }, ..) => Step::ChangeBlocks { changes, completion },
            _ => Step::Respond(completion),
        }
    }

    fn dispatch(
        &mut self,
        queue: &mut Queue,
        tag: usize,
        command: &Command,
        capsule: &dyn CapsuleData,
        now: u64,
    ) -> Result<Step, Status> {
        // The order of the checks is that of the Linux kernel's target: the form of the command; whether it may come at
        // all now; its opcode and namespace; then where its data is and how long.
        step::check_form(command, queue.qid)?;
        let limits = self.limits;
        let data = step::data_pointer(command, &limits, queue.qid, capsule);
        let Some(cntlid) = queue.controller else {
            let connects =
                command.opcode() == AdminOpcode::FABRICS.0 && command.fabrics_type() == FabricsType::CONNECT;
            return if connects {
                data?.expect(ConnectData::SIZE as u64).map(begin_connect)
            } else {
                Err(Status::COMMAND_SEQUENCE_ERROR.with_dnr(true))
            };
        };
        let Some(controller) = self.controllers.get_mut(&cntlid) else {
            return Err(Status::ABORTED_SQ_DELETION);
        };
        if command.opcode() == AdminOpcode::FABRICS.0 {
            return self.fabrics(queue, cntlid, command, data, now);
        }
        if !controller.takes_commands() {
            return Err(Status::COMMAND_SEQUENCE_ERROR.with_dnr(true));
        }
        if queue.qid == 0 {
            return self.admin(queue, cntlid, tag, command, data, now);
        }
        if command.fuse() == 0 {
            self.io(cntlid, command, data)
        } else {
            self.fused(queue, cntlid, tag, command, data)
        }
    }

    fn fabrics(
        &mut self,
        queue: &Queue,
        cntlid: u16,
        command: &Command,
        data: Result<DataPointer, Status>,
        now: u64,
    ) -> Result<Step, Status> {
        match command.fabrics_type() {
            FabricsType::CONNECT => Err(Status::COMMAND_SEQUENCE_ERROR.with_dnr(true)),
            FabricsType::PROPERTY_GET if queue.qid == 0 => {
                data?.none()?;
                self.property_get(cntlid, command)
            }
            FabricsType::PROPERTY_SET if queue.qid == 0 => {
                data?.none()?;
                self.property_set(cntlid, command, now)
            }
            FabricsType::DISCONNECT if queue.qid != 0 => {
                data?.none()?;
                Ok(Step::Disconnect(Completion::new(0, command.cid(), Status::SUCCESS)))
            }
            _ => Err(Status::INVALID_OPCODE.with_dnr(true)),
        }
    }

    /// Answers a Connect whose data came.
    pub fn connect(
        &mut self,
        queue: &mut Queue,
        command: &Command,
        data: &ConnectData,
        now: u64,
    ) -> Completion {
        let completion = self.finish_connect(queue, command, data, now);
        if self.lies.is_honest() {
            return completion;
        }
        let mut answer =
            Answer { qid: queue.qid, command, completion, page: None, remote: None, hold: false };
        self.lies.tell(&mut answer);
        answer.completion
    }

    /// A queue's connection is gone. An Admin Queue takes its association along; an I/O queue's id stays taken for as long
    /// as the options say.
    pub fn close(&mut self, queue: &mut Queue, now: u64) {
        let Some(cntlid) = queue.controller.take() else { return };
        queue.first_half = None;
        self.rules.forget_queue(cntlid, queue.qid);
        self.releases.retain(|release| (release.cntlid, release.qid) != (cntlid, queue.qid));
        if queue.qid == 0 {
            self.end(cntlid);
        } else if let Some(controller) = self.controllers.get_mut(&cntlid) {
            controller.let_go(queue.qid, now, self.limits.linger);
        }
    }

    /// Ends the associations whose keep alive timer expired (Base 3.9.4).
    pub fn tick(&mut self, now: u64) {
        let expired = self.controllers.values().filter(|controller| controller.is_expired(now));
        let expired: Vec<u16> = expired.map(|controller| controller.cntlid).collect();
        for cntlid in expired {
            tracing::warn!(cntlid, "keep alive timer expired: association ends");
            self.end(cntlid);
        }
    }

    /// What ended since the last call.
    pub fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// Drops a subsystem with all its associations, or offers it again.
    ///
    /// # Errors
    /// [`UnknownSubsystem`].
    pub fn set_present(&mut self, nqn: &str, present: bool) -> Result<(), UnknownSubsystem> {
        let index = self.index_of(nqn)?;
        let before = self
            .subsystems
            .get_mut(index)
            .map(|subsystem| std::mem::replace(&mut subsystem.present, present));
        if before != Some(present) {
            self.discovery_changed();
        }
        if !present {
            let of_it = self.controllers.values().filter(|controller| controller.subsystem == Some(index));
            let of_it: Vec<u16> = of_it.map(|controller| controller.cntlid).collect();
            of_it.into_iter().for_each(|cntlid| self.end(cntlid));
        }
        Ok(())
    }

    /// Whether any subsystem is offered. A target without subsystems is a discovery service, which always is.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.subsystems.is_empty() || self.subsystems.iter().any(|subsystem| subsystem.present)
    }

    fn end(&mut self, cntlid: u16) {
        if let Some(controller) = self.controllers.remove(&cntlid) {
            self.forget_security(controller.subsystem, cntlid);
            self.ended.push(Ended::Association(cntlid));
        }
    }
}

fn linger(milliseconds: u32) -> u64 {
    u64::from(milliseconds).saturating_mul(1_000_000)
}

impl Namespace {
    fn new(options: &NamespaceOptions, store: usize, birth: u64) -> Namespace {
        let block_shift = options.block_size.trailing_zeros() as u8;
        Namespace {
            store,
            blocks: options.size >> block_shift,
            block_shift,
            metadata: options.metadata,
            protection: options.protection,
            room: options.room,
            format: 0,
            made_as: LbaFormat { ms: options.metadata, lbads: block_shift, rp: 0 },
            attached: true,
            group: options.group,
            birth,
            marks: Marks::default(),
            reservations: Reservations::default(),
            zones: match &options.kind {
                NamespaceKind::Zones(zones) => {
                    Some(Zones::new(zones, options.size >> block_shift, block_shift))
                }
                NamespaceKind::Blocks | NamespaceKind::Keys => None,
            },
            keys: (options.kind == NamespaceKind::Keys).then(|| Keys::new(options.size)),
        }
    }

    /// The command set that it is of.
    fn csi(&self) -> u8 {
        match (&self.zones, &self.keys) {
            (Some(_), _) => CSI_ZONED,
            (_, Some(_)) => CSI_KEY_VALUE,
            _ => CSI_NVM,
        }
    }
}

impl Subsystem {
    fn new(options: &SubsystemOptions, store: &mut usize) -> Subsystem {
        let mut namespace = |options: &NamespaceOptions| {
            let namespace = Namespace::new(options, *store, 0);
            *store += 1;
            namespace
        };
        let namespaces = options.namespaces.iter();
        Subsystem {
            nqn: options.nqn.clone(),
            hosts: options.hosts.clone(),
            namespaces: namespaces.map(|ns| ns.as_ref().map(&mut namespace)).collect(),
            ana: Ana::default(),
            births: 0,
            saved: Values::new(),
            firmware: Firmware::with_boot_partitions(options.boot),
            tper: None,
            present: true,
        }
        .with_tper(options.opal)
    }

    /// With a TPer, if it is to have one. Its MSID is always the same for the same subsystem.
    fn with_tper(mut self, opal: bool) -> Self {
        self.tper = opal.then(|| Box::new(Tper::new(&format!("{:016X}", self.fingerprint(5)))));
        self
    }

    /// The active namespace with this id.
    fn namespace(&self, nsid: u32) -> Option<&Namespace> {
        let index = usize::try_from(nsid.checked_sub(1)?).ok()?;
        self.namespaces.get(index)?.as_ref().filter(|namespace| namespace.attached)
    }

    fn namespace_mut(&mut self, nsid: u32) -> Option<&mut Namespace> {
        let index = usize::try_from(nsid.checked_sub(1)?).ok()?;
        self.namespaces.get_mut(index)?.as_mut().filter(|namespace| namespace.attached)
    }

    /// Whether it has namespaces of a command set, attached or not.
    fn has_command_set(&self, csi: u8) -> bool {
        self.namespaces.iter().flatten().any(|namespace| namespace.csi() == csi)
    }

    /// Whether all of its namespaces are of the NVM Command Set: then it says nothing of others.
    fn is_plain(&self) -> bool {
        self.namespaces.iter().flatten().all(|namespace| namespace.csi() == CSI_NVM)
    }

    /// NN: the highest namespace id.
    fn namespace_count(&self) -> u32 {
        self.namespaces.len() as u32
    }

    /// A number that is always the same for this subsystem and likely not for another (FNV-1a).
    fn fingerprint(&self, salt: u64) -> u64 {
        let start = 0xcbf2_9ce4_8422_2325 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.nqn.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

impl Controller {
    /// Whether commands other than those of Fabrics are in order: enabled, and not shut down.
    fn takes_commands(&self) -> bool {
        self.csts.rdy() && self.csts.shst() == Csts::SHST_NORMAL
    }

    fn is_taken(&self, qid: u16, now: u64) -> bool {
        match self.queues.get(&qid) {
            None => false,
            Some(QueueId::Taken) => true,
            Some(QueueId::Held(until)) => now < *until,
        }
    }

    fn has_io_queues(&self) -> bool {
        self.queues.values().any(|state| *state == QueueId::Taken)
    }

    /// The queue ended. One that a reset ended before is held since then.
    fn let_go(&mut self, qid: u16, now: u64, linger: u64) {
        if let Some(state) = self.queues.get_mut(&qid)
            && *state == QueueId::Taken
        {
            *state = QueueId::Held(now.saturating_add(linger));
        }
    }

    fn is_expired(&self, now: u64) -> bool {
        let granted = u64::from(self.kato).next_multiple_of(100) * 1_000_000;
        self.kato != 0 && now.saturating_sub(self.last_keep_alive) > granted
    }
}
