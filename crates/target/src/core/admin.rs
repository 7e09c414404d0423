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
                self.abort(cntlid, tag, command)
            }
            AdminOpcode::GET_FEATURES => self.get_features(cntlid, command, data),
            AdminOpcode::SET_FEATURES => {
                data?.none()?;
                self.set_features(cntlid, command, now)
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
                    controller.page_was_read(command.log_page_id(), &mut self.releases);
                }
                Ok(Step::SendBytes { bytes, remote, completion: success })
            }
            AdminOpcode::SECURITY_SEND | AdminOpcode::SECURITY_RECEIVE => {
                self.security(cntlid, command, data?)
            }
            AdminOpcode::FORMAT_NVM
            | AdminOpcode::NAMESPACE_MANAGEMENT
            | AdminOpcode::NAMESPACE_ATTACHMENT
            | AdminOpcode::FIRMWARE_IMAGE_DOWNLOAD
            | AdminOpcode::FIRMWARE_COMMIT => self.manage(cntlid, command, data?),
            _ => Err(Status::INVALID_OPCODE.with_dnr(true)),
        }
    }
}

impl super::Controller {
    /// Takes out the held Asynchronous Event Request with this id, if it is the Admin Queue that is meant.
    pub(super) fn take_event_request(&mut self, sqid: u16, cid: u16) -> Option<(u16, usize)> {
        let held = self.held.iter().position(|(held, _)| sqid == 0 && *held == cid)?;
        Some(self.held.remove(held))
    }
}
