//! Connect (NVMe-oF 3.3): who may attach a queue to which controller.

use spec::fabrics::{
    CATTR_DISABLE_SQ_FLOW_CONTROL, CNTLID_DYNAMIC, CNTLID_MAX, CONNECT_RECFMT, ConnectData, ConnectResponse,
    DISCOVERY_NQN, InvalidParameter,
};
use spec::registers::{Cc, Csts};
use spec::{Command, Completion, Status};

use super::step::DataPointer;
use super::{Controller, Core, Queue, Step};
use std::collections::BTreeSet;

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

impl Core {
    /// What is checked before the data is fetched.
    pub(super) fn begin_connect(
        &self,
        queue: &Queue,
        command: &Command,
        data: DataPointer,
    ) -> Result<Step, Status> {
        let data = data.expect(ConnectData::SIZE as u64)?;
        if let Err(refusal) = self.check_command(queue, command) {
            return Ok(Step::Respond(refuse(command, &refusal)));
        }
        Ok(match data {
            DataPointer::Remote { remote, .. } => Step::FetchConnect { remote },
            DataPointer::Capsule { offset, .. } => Step::ConnectInCapsule { offset },
        })
    }

    pub(super) fn finish_connect(
        &mut self,
        queue: &mut Queue,
        command: &Command,
        data: &ConnectData,
        now: u64,
    ) -> Completion {
        let result = if queue.controller.is_some() {
            Err(Refusal::status(Status::COMMAND_SEQUENCE_ERROR))
        } else if queue.qid == 0 {
            self.connect_admin(command, data, now)
        } else {
            self.connect_io(queue.qid, data)
        };
        match result {
            Ok(cntlid) => {
                queue.controller = Some(cntlid);
                queue.sq_entries = command.connect_sqsize().saturating_add(1);
                queue.flow_control = command.connect_cattr() & CATTR_DISABLE_SQ_FLOW_CONTROL == 0;
                // The Connect itself was the queue's first entry.
                queue.sqhd = 1;
                tracing::info!(cntlid, qid = queue.qid, host = data.hostnqn(), "connected");
                let response = ConnectResponse { cntlid, authreq: 0 };
                Completion::new(0, command.cid(), Status::SUCCESS).with_cdw0(response.to_dword())
            }
            Err(refusal) => refuse(command, &refusal),
        }
    }

    fn check_command(&self, queue: &Queue, command: &Command) -> Result<(), Refusal> {
        if command.connect_recfmt() != CONNECT_RECFMT {
            return Err(Refusal::status(Status::CONNECT_INCOMPATIBLE_FORMAT));
        }
        // The queue id of the connection request and of Connect must be the same (RDMA Transport 2.4).
        if command.connect_qid() != queue.qid {
            return Err(Refusal::in_command(QID_OFFSET));
        }
        let sqsize = command.connect_sqsize();
        if sqsize == 0 || sqsize >= self.limits.queue_entries.min(queue.entries) {
            return Err(Refusal::in_command(SQSIZE_OFFSET));
        }
        Ok(())
    }

    fn connect_admin(&mut self, command: &Command, data: &ConnectData, now: u64) -> Result<u16, Refusal> {
        let (subsystem, hostnqn) = self.check_data(data)?;
        let hostnqn = hostnqn.to_owned();
        if data.cntlid() != CNTLID_DYNAMIC {
            return Err(Refusal::in_data(ConnectData::CNTLID_OFFSET));
        }
        let cntlid = self.free_cntlid().ok_or(Refusal::status(Status::CONNECT_CONTROLLER_BUSY))?;
        let controller = Controller {
            cntlid,
            subsystem,
            hostid: data.hostid(),
            hostnqn,
            cc: Cc::default(),
            csts: Csts::default(),
            kato: command.connect_kato(),
            last_keep_alive: now,
            async_events: 0,
            held: Vec::new(),
            io_queues: self.limits.io_queues,
            queues: BTreeSet::new(),
        };
        self.controllers.insert(cntlid, controller);
        self.last_cntlid = cntlid;
        Ok(cntlid)
    }

    fn connect_io(&mut self, qid: u16, data: &ConnectData) -> Result<u16, Refusal> {
        let (subsystem, hostnqn) = self.check_data(data)?;
        let invalid_cntlid = Refusal::in_data(ConnectData::CNTLID_OFFSET);
        let found = self.controllers.get(&data.cntlid());
        let Some(controller) = found.filter(|controller| controller.subsystem == subsystem) else {
            return Err(invalid_cntlid);
        };
        if controller.subsystem.is_none() {
            return Err(Refusal::in_command(QID_OFFSET));
        }
        if controller.hostid != data.hostid() {
            return Err(Refusal::in_data(ConnectData::HOSTID_OFFSET));
        }
        if controller.hostnqn != hostnqn {
            return Err(Refusal::in_data(ConnectData::HOSTNQN_OFFSET));
        }
        if !controller.csts.rdy() || qid > controller.io_queues {
            return Err(Refusal::in_command(QID_OFFSET));
        }
        let cntlid = controller.cntlid;
        let controller = self.controllers.get_mut(&cntlid).ok_or(invalid_cntlid)?;
        if !controller.queues.insert(qid) {
            return Err(Refusal::status(Status::COMMAND_SEQUENCE_ERROR));
        }
        Ok(cntlid)
    }

    /// The subsystem (`None` for discovery) and the host's NQN.
    fn check_data<'a>(&self, data: &'a ConnectData) -> Result<(Option<usize>, &'a str), Refusal> {
        let subnqn = data.subnqn().ok_or(Refusal::in_data(ConnectData::SUBNQN_OFFSET))?;
        let hostnqn = data.hostnqn().filter(|nqn| !nqn.is_empty());
        let hostnqn = hostnqn.ok_or(Refusal::in_data(ConnectData::HOSTNQN_OFFSET))?;
        if subnqn == DISCOVERY_NQN {
            return Ok((None, hostnqn));
        }
        let mut subsystems = self.subsystems.iter().enumerate();
        let found = subsystems.find(|(_, subsystem)| subsystem.nqn == subnqn && subsystem.present);
        let (index, subsystem) = found.ok_or(Refusal::in_data(ConnectData::SUBNQN_OFFSET))?;
        if !subsystem.hosts.is_empty() && !subsystem.hosts.iter().any(|allowed| allowed == hostnqn) {
            return Err(Refusal::status(Status::CONNECT_INVALID_HOST));
        }
        Ok((Some(index), hostnqn))
    }

    /// The next controller id that is not in use; ids come back as late as possible.
    fn free_cntlid(&self) -> Option<u16> {
        let mut candidates = (self.last_cntlid.saturating_add(1)..=CNTLID_MAX).chain(1..=self.last_cntlid);
        candidates.find(|cntlid| !self.controllers.contains_key(cntlid))
    }
}

fn refuse(command: &Command, refusal: &Refusal) -> Completion {
    let Refusal(status, dword) = refusal;
    tracing::warn!(qid = command.connect_qid(), status = status.name_for(0x7f), "Connect refused");
    Completion::new(0, command.cid(), status.with_dnr(true)).with_cdw0(*dword)
}
