//! Connect (NVMe-oF 3.3): who may attach a queue to which controller.

use spec::fabrics::{
    CATTR_DISABLE_SQ_FLOW_CONTROL, CNTLID_DYNAMIC, CNTLID_MAX, CONNECT_RECFMT, ConnectData, ConnectResponse,
    DISCOVERY_NQN, InvalidParameter,
};
use spec::registers::{Cc, Csts};
use spec::{AdminOpcode, Command, Completion, Status};

use super::events::Events;
use super::features::Values;
use super::notifications::Notifications;
use super::step::DataPointer;
use super::{Controller, Core, Queue, QueueId, Step};
use std::collections::BTreeMap;

const QID_OFFSET: u16 = 42;
const SQSIZE_OFFSET: u16 = 44;

/// A refused Connect: its status and, for invalid parameters, which one.
struct Refusal(Status, u32);

impl Refusal {
    fn in_command(ipo: u16) -> Refusal {
        Refusal::parameter(ipo, false)
    }

    fn in_data(ipo: u16) -> Refusal {
        Refusal::parameter(ipo, true)
    }

    fn parameter(ipo: u16, in_data: bool) -> Refusal {
        Refusal(Status::CONNECT_INVALID_PARAMETERS, InvalidParameter { ipo, in_data }.to_dword())
    }

    fn status(status: Status) -> Refusal {
        Refusal(status, 0)
    }
}

/// Connect data of the right length: where to get it from. Everything else is looked at when it is here.
pub(super) fn begin_connect(data: DataPointer) -> Step {
    match data {
        DataPointer::Remote(remote) => Step::FetchConnect { remote },
        DataPointer::Capsule { offset, .. } => Step::ConnectInCapsule { offset },
    }
}

/// The checks come in the order of the Linux kernel's target, so that a host that is wrong in two ways hears the same here:
/// record format; controller id (Admin Queue); subsystem; host; controller and its host (I/O queue); queue id and queue
/// size; a queue id that is taken, or still held after its connection ended.
impl Core {
    pub(super) fn finish_connect(
        &mut self,
        queue: &mut Queue,
        command: &Command,
        data: &ConnectData,
        now: u64,
    ) -> Completion {
        match self.attach(queue, command, data, now) {
            Ok(cntlid) => {
                queue.controller = Some(cntlid);
                queue.sq_entries = command.connect_sqsize().saturating_add(1);
                queue.flow_control = command.connect_cattr() & CATTR_DISABLE_SQ_FLOW_CONTROL == 0;
                // The Connect itself was the queue's first entry.
                queue.sqhd = 1;
                tracing::info!(cntlid, qid = queue.qid, host = ?data.hostnqn(), "connected");
                let response = ConnectResponse { cntlid, authreq: 0 };
                Completion::new(0, command.cid(), Status::SUCCESS).with_cdw0(response.to_dword())
            }
            Err(refusal) => refuse(queue, command, data, &refusal),
        }
    }

    fn attach(
        &mut self,
        queue: &Queue,
        command: &Command,
        data: &ConnectData,
        now: u64,
    ) -> Result<u16, Refusal> {
        if queue.controller.is_some() {
            return Err(Refusal::status(Status::COMMAND_SEQUENCE_ERROR));
        }
        if command.connect_recfmt() != CONNECT_RECFMT {
            return Err(Refusal::status(Status::CONNECT_INCOMPATIBLE_FORMAT));
        }
        if queue.qid == 0 {
            self.attach_admin(queue, command, data, now)
        } else {
            self.attach_io(queue, command, data, now)
        }
    }

    fn attach_admin(
        &mut self,
        queue: &Queue,
        command: &Command,
        data: &ConnectData,
        now: u64,
    ) -> Result<u16, Refusal> {
        if data.cntlid() != CNTLID_DYNAMIC {
            return Err(Refusal::in_data(ConnectData::CNTLID_OFFSET));
        }
        let subsystem = self.subsystem_of(data)?;
        let hostnqn = self.host_of(subsystem, data)?.to_owned();
        let cntlid = self.free_cntlid().ok_or(Refusal::status(Status::CONNECT_CONTROLLER_BUSY))?;
        check_qid(queue, command)?;
        check_sqsize(queue, command)?;
        let mut controller = Controller {
            cntlid,
            subsystem,
            hostid: data.hostid(),
            hostnqn,
            cc: Cc::default(),
            csts: Csts::default(),
            kato: command.connect_kato(),
            last_keep_alive: now,
            port: queue.local.map(|local| local.port()),
            events: Events::default(),
            features: Values::new(),
            notifications: Notifications::default(),
            held: Vec::new(),
            io_queues: self.limits.io_queues,
            queues: BTreeMap::new(),
        };
        let saved = subsystem.and_then(|index| self.subsystems.get(index)).map(|subsystem| &subsystem.saved);
        controller.load_features(saved);
        self.controllers.insert(cntlid, controller);
        self.last_cntlid = cntlid;
        Ok(cntlid)
    }

    fn attach_io(
        &mut self,
        queue: &Queue,
        command: &Command,
        data: &ConnectData,
        now: u64,
    ) -> Result<u16, Refusal> {
        let subsystem = self.subsystem_of(data)?;
        let hostnqn = self.host_of(subsystem, data)?;
        let found = self.controllers.get_mut(&data.cntlid());
        let Some(controller) = found.filter(|controller| controller.subsystem == subsystem) else {
            return Err(Refusal::in_data(ConnectData::CNTLID_OFFSET));
        };
        // The host is the one that made the association (NVMe-oF 3.3).
        if controller.hostid != data.hostid() {
            return Err(Refusal::in_data(ConnectData::HOSTID_OFFSET));
        }
        if controller.hostnqn != hostnqn {
            return Err(Refusal::in_data(ConnectData::HOSTNQN_OFFSET));
        }
        check_qid(queue, command)?;
        if controller.subsystem.is_none() || !controller.takes_commands() || queue.qid > controller.io_queues
        {
            return Err(Refusal::in_command(QID_OFFSET));
        }
        if command.connect_sqsize() == 0 {
            return Err(Refusal::in_command(SQSIZE_OFFSET));
        }
        if controller.is_taken(queue.qid, now) {
            return Err(Refusal::status(Status::COMMAND_SEQUENCE_ERROR));
        }
        check_sqsize(queue, command)?;
        controller.queues.insert(queue.qid, QueueId::Taken);
        Ok(controller.cntlid)
    }

    /// The subsystem that the data names; `None` for discovery.
    fn subsystem_of(&self, data: &ConnectData) -> Result<Option<usize>, Refusal> {
        let unknown = Refusal::in_data(ConnectData::SUBNQN_OFFSET);
        match data.subnqn() {
            None => Err(unknown),
            Some(DISCOVERY_NQN) => Ok(None),
            Some(subnqn) => {
                let mut subsystems = self.subsystems.iter();
                let index = subsystems.position(|subsystem| subsystem.nqn == subnqn && subsystem.present);
                index.map(Some).ok_or(unknown)
            }
        }
    }

    /// The NQN of a host that may use the subsystem. Where any host may, one without an NQN may too; what is there must be
    /// text.
    fn host_of<'a>(&self, subsystem: Option<usize>, data: &'a ConnectData) -> Result<&'a str, Refusal> {
        let hostnqn = data.hostnqn().filter(|nqn| !nqn.contains(char::is_control));
        let hostnqn = hostnqn.ok_or(Refusal::in_data(ConnectData::HOSTNQN_OFFSET))?;
        let hosts = subsystem.and_then(|index| self.subsystems.get(index)).map(|subsystem| &subsystem.hosts);
        match hosts {
            Some(hosts) if !hosts.is_empty() && !hosts.iter().any(|allowed| allowed == hostnqn) => {
                let Refusal(_, parameter) = Refusal::in_data(ConnectData::HOSTNQN_OFFSET);
                Err(Refusal(Status::CONNECT_INVALID_HOST, parameter))
            }
            _ => Ok(hostnqn),
        }
    }

    /// The next controller id that is not in use; ids come back as late as possible.
    fn free_cntlid(&self) -> Option<u16> {
        let mut candidates = (self.last_cntlid.saturating_add(1)..=CNTLID_MAX).chain(1..=self.last_cntlid);
        candidates.find(|cntlid| !self.controllers.contains_key(cntlid))
    }
}

/// The queue id of the connection request and of Connect must be the same (RDMA Transport 2.4).
fn check_qid(queue: &Queue, command: &Command) -> Result<(), Refusal> {
    if command.connect_qid() == queue.qid { Ok(()) } else { Err(Refusal::in_command(QID_OFFSET)) }
}

/// SQSIZE is zero-based and at least 1; the connection has receives for no more than its entries.
fn check_sqsize(queue: &Queue, command: &Command) -> Result<(), Refusal> {
    if (1..queue.entries).contains(&command.connect_sqsize()) {
        Ok(())
    } else {
        Err(Refusal::in_command(SQSIZE_OFFSET))
    }
}

fn refuse(queue: &Queue, command: &Command, data: &ConnectData, refusal: &Refusal) -> Completion {
    let Refusal(status, dword) = refusal;
    tracing::warn!(
        qid = queue.qid,
        subsystem = ?data.subnqn(),
        host = ?data.hostnqn(),
        status = status.name_for(AdminOpcode::FABRICS.0),
        parameter = dword,
        "Connect refused"
    );
    Completion::new(0, command.cid(), status.with_dnr(true)).with_cdw0(*dword)
}
