//! Admin commands (Base 5).

use spec::identify::IDENTIFY_SIZE;
use spec::{AdminOpcode, Command, Completion, Status};

use super::facts::ASYNC_EVENT_REQUESTS;
use super::step::DataPointer;
use super::{Core, Queue, Step, logs};

impl Core {
    pub(super) fn admin(
        &mut self,
        queue: &Queue,
        cntlid: u16,
        tag: usize,
        command: &Command,
        data: Result<DataPointer, Status>,
        now: u64,
    ) -> Result<Step, Status> {
        let gone = Status::ABORTED_SQ_DELETION;
        let controller = self.controllers.get_mut(&cntlid).ok_or(gone)?;
        let success = Completion::new(0, command.cid(), Status::SUCCESS);
        match AdminOpcode(command.opcode()) {
            AdminOpcode::KEEP_ALIVE => {
                data?.none()?;
                // Without a timer there is nothing to keep alive.
                if controller.kato == 0 {
                    return Err(Status::KEEP_ALIVE_INVALID);
                }
                controller.last_keep_alive = now;
                Ok(Step::Respond(success))
            }
            AdminOpcode::ASYNC_EVENT_REQUEST => {
                data?.none()?;
                if controller.held.len() >= ASYNC_EVENT_REQUESTS {
                    return Err(Status::ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED.with_dnr(true));
                }
                controller.held.push((command.cid(), tag));
                controller.tell(&mut self.releases);
                Ok(Step::Hold)
            }
            AdminOpcode::ABORT => {
                data?.none()?;
                Ok(controller.abort(command, success))
            }
            AdminOpcode::GET_FEATURES => controller.get_features(command, data),
            AdminOpcode::SET_FEATURES => {
                data?.none()?;
                controller.set_features(command, &self.limits, now)
            }
            AdminOpcode::IDENTIFY => {
                let remote = data?.expect(IDENTIFY_SIZE as u64)?.remote()?;
                let bytes = self.identify(cntlid, command)?;
                Ok(Step::SendBytes { bytes, remote, completion: success })
            }
            AdminOpcode::GET_LOG_PAGE => {
                let length = command.log_page_length();
                if length > self.limits.max_transfer() {
                    return Err(Status::INVALID_FIELD.with_dnr(true));
                }
                let remote = data?.expect(length)?.remote()?;
                let page = self.log_page(cntlid, queue, command)?;
                let bytes = logs::window(&page, command.log_page_offset(), length)?;
                if !command.log_page_rae()
                    && let Some(controller) = self.controllers.get_mut(&cntlid)
                {
                    controller.page_was_read(command.log_page_id());
                }
                Ok(Step::SendBytes { bytes, remote, completion: success })
            }
            _ => Err(Status::INVALID_OPCODE.with_dnr(true)),
        }
    }
}

impl super::Controller {
    /// Abort (Base 5.1). A held Asynchronous Event Request is aborted; every other command is under way or done, and
    /// the answer says that it was not aborted.
    fn abort(&mut self, command: &Command, success: Completion) -> Step {
        let (sqid, cid) = (command.cdw10() as u16, (command.cdw10() >> 16) as u16);
        let held = self.held.iter().position(|(held, _)| sqid == 0 && *held == cid);
        match held.map(|index| self.held.remove(index)) {
            Some((cid, tag)) => {
                let released = Completion::new(0, cid, Status::ABORTED_BY_REQUEST);
                Step::RespondAndRelease { completion: success, tag, released }
            }
            None => Step::Respond(success.with_cdw0(1)),
        }
    }
}
