//! Property Get and Set (NVMe-oF 3.4, 3.5) and what a change of CC does (Base 3.5, 3.6).

use spec::fabrics::PropertySize;
use spec::registers::{BPINFO, CAP, CC, CSTS, Cap, Cc, Csts, NSSR, VS, Vs};
use spec::{Command, Completion, Status};

use super::events::Events;
use super::notifications::Notifications;
use super::{Controller, Core, Ended, Release, Step};

/// The version that controllers report.
pub(super) const VERSION: Vs = Vs::new(1, 4, 0);

/// CAP.TO: enabling and disabling happen at once, but a slow machine may be slow to say so. 7.5 s.
const TIMEOUT: u8 = 15;

impl Core {
    pub(super) fn property_get(&self, cntlid: u16, command: &Command) -> Result<Step, Status> {
        let controller = self.controllers.get(&cntlid).ok_or(Status::ABORTED_SQ_DELETION)?;
        let command_sets = Cap::CSS_NVM | if self.has_more_sets(controller) { Cap::CSS_IOCS } else { 0 };
        let subsystem = controller.subsystem.and_then(|index| self.subsystems.get(index));
        let boot = subsystem.and_then(|subsystem| subsystem.firmware.boot_partitions());
        let value = match (command.property_offset(), command.property_size()) {
            (CAP, PropertySize::EIGHT) => {
                let cap = Cap::fabrics(self.limits.queue_entries - 1, TIMEOUT, command_sets);
                cap.with_bps(boot.is_some()).0
            }
            (VS, PropertySize::FOUR) => VERSION.0.into(),
            (CC, PropertySize::FOUR) => controller.cc.0.into(),
            (CSTS, PropertySize::FOUR) => controller.csts.0.into(),
            (NSSR, PropertySize::FOUR) => 0,
            (BPINFO, PropertySize::FOUR) => match boot {
                Some(boot) => boot.0.into(),
                None => return Err(Status::INVALID_FIELD.with_dnr(true)),
            },
            _ => return Err(Status::INVALID_FIELD.with_dnr(true)),
        };
        Ok(Step::Respond(Completion::new(0, command.cid(), Status::SUCCESS).with_result(value)))
    }

    pub(super) fn property_set(&mut self, cntlid: u16, command: &Command, now: u64) -> Result<Step, Status> {
        let linger = self.limits.linger;
        let has_more_sets =
            self.controllers.get(&cntlid).is_some_and(|controller| self.has_more_sets(controller));
        let controller = self.controllers.get_mut(&cntlid).ok_or(Status::ABORTED_SQ_DELETION)?;
        if (command.property_offset(), command.property_size()) != (CC, PropertySize::FOUR) {
            return Err(Status::INVALID_FIELD.with_dnr(true));
        }
        let completion = Completion::new(0, command.cid(), Status::SUCCESS);
        let (index, cc) = (controller.subsystem, Cc(command.property_value() as u32));
        if !controller.configure(cc, has_more_sets) {
            let subsystem = index.and_then(|index| self.subsystems.get_mut(index));
            if cc.en() && cc.shn() == 0 {
                subsystem.into_iter().for_each(|subsystem| subsystem.firmware.activate(cntlid));
            }
            return Ok(Step::Respond(completion));
        }
        let saved = controller.subsystem.and_then(|index| self.subsystems.get(index));
        controller.load_features(saved.map(|subsystem| &subsystem.saved));
        let qids: Vec<u16> = controller.queues.keys().copied().collect();
        qids.into_iter().for_each(|qid| controller.let_go(qid, now, linger));
        self.ended.push(Ended::IoQueues(cntlid));
        let mut tags: Vec<usize> =
            std::mem::take(&mut controller.held).into_iter().map(|(_, tag)| tag).collect();
        // What was to be answered just now is not answered any more.
        let its = |release: &Release| (release.cntlid, release.qid) == (cntlid, 0);
        tags.extend(self.rules.forget_queue(cntlid, 0));
        tags.extend(self.releases.iter().filter(|release| its(release)).map(|release| release.tag));
        self.releases.retain(|release| !its(release));
        self.forget_security(index, cntlid);
        Ok(Step::RespondAndForget { completion, tags })
    }
}

impl Core {
    /// Whether a controller has namespaces of other command sets than that of NVM, which it says only then.
    fn has_more_sets(&self, controller: &Controller) -> bool {
        let subsystem = controller.subsystem.and_then(|index| self.subsystems.get(index));
        subsystem.is_some_and(|subsystem| !subsystem.is_plain())
    }
}

impl Controller {
    /// Takes a new CC. True when this was a reset, which ends the I/O queues and what is held (Base 3.7.2).
    fn configure(&mut self, cc: Cc, has_more_sets: bool) -> bool {
        let before = std::mem::replace(&mut self.cc, cc);
        let mut reset = false;
        if cc.en() && !before.en() {
            self.csts = if self.accepts(cc, has_more_sets) {
                Csts::default().with_rdy(true)
            } else {
                Csts::default().with_cfs(true)
            };
        } else if !cc.en() && before.en() {
            self.csts = Csts::default();
            self.events = Events::default();
            self.notifications = Notifications::default();
            reset = true;
        }
        if cc.shn() == 0 {
            self.csts = self.csts.with_shst(Csts::SHST_NORMAL);
        } else if before.shn() == 0 {
            // Nothing is cached, so a shutdown is complete at once.
            self.csts = self.csts.with_shst(Csts::SHST_COMPLETE);
        }
        reset
    }

    fn accepts(&self, cc: Cc, has_more_sets: bool) -> bool {
        let entries = self.subsystem.is_none() || (cc.iosqes() == 6 && cc.iocqes() == 4);
        entries
            && cc.mps() == 0
            && cc.ams() == 0
            && (cc.css() == Cc::CSS_NVM || cc.css() == Cc::CSS_IOCS && has_more_sets)
    }
}
