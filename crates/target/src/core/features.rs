//! Get and Set Features (Base 5.15, 5.27): number of queues, asynchronous event configuration, keep alive timer, and the
//! host identifier, read only over fabrics.

use spec::feature::async_events::{ANA_CHANGE, DISCOVERY_LOG_CHANGE, NAMESPACE_ATTRIBUTE, SMART_CRITICAL};
use spec::feature::{FeatureId, QueueCounts};
use spec::{Command, Completion, Status};

use super::step::DataPointer;
use super::{Controller, Limits, Step};

/// SEL of Get Features: the current value. Others need the save and default attributes, which are not supported.
const SELECT_CURRENT: u32 = 0;

impl Controller {
    pub(super) fn get_features(
        &self,
        command: &Command,
        data: Result<DataPointer, Status>,
    ) -> Result<Step, Status> {
        if command.cdw10() >> 8 & 7 != SELECT_CURRENT {
            return Err(Status::INVALID_FIELD.with_dnr(true));
        }
        let success = Completion::new(0, command.cid(), Status::SUCCESS);
        let value = match FeatureId(command.cdw10() as u8) {
            FeatureId::NUMBER_OF_QUEUES if self.subsystem.is_some() => self.queue_counts(),
            FeatureId::ASYNC_EVENT_CONFIGURATION => self.events.enabled,
            FeatureId::KEEP_ALIVE_TIMER => self.kato,
            FeatureId::HOST_IDENTIFIER => {
                // EXHID: over fabrics the identifier always has 128 bits (Base 5.27.1.25).
                if command.cdw11() & 1 == 0 {
                    return Err(Status::INVALID_FIELD.with_dnr(true));
                }
                let remote = data?.expect(16)?.remote()?;
                return Ok(Step::SendBytes { bytes: self.hostid.to_vec(), remote, completion: success });
            }
            _ => return Err(Status::INVALID_FIELD.with_dnr(true)),
        };
        data?.none()?;
        Ok(Step::Respond(success.with_cdw0(value)))
    }

    pub(super) fn set_features(
        &mut self,
        command: &Command,
        limits: &Limits,
        now: u64,
    ) -> Result<Step, Status> {
        let success = Completion::new(0, command.cid(), Status::SUCCESS);
        if command.cdw10() & 1 << 31 != 0 {
            return Err(Status::FEATURE_ID_NOT_SAVEABLE.with_dnr(true));
        }
        let value = match FeatureId(command.cdw10() as u8) {
            // A discovery controller has no I/O queues to grant.
            FeatureId::NUMBER_OF_QUEUES if self.subsystem.is_some() => {
                let counts = QueueCounts::from_dword(command.cdw11());
                if counts.submission > 0xffff || counts.completion > 0xffff {
                    return Err(Status::INVALID_FIELD.with_dnr(true));
                }
                if self.has_io_queues() {
                    return Err(Status::COMMAND_SEQUENCE_ERROR.with_dnr(true));
                }
                let wanted = counts.submission.min(counts.completion);
                self.io_queues = limits.io_queues.min(u16::try_from(wanted).unwrap_or(u16::MAX));
                self.queue_counts()
            }
            FeatureId::ASYNC_EVENT_CONFIGURATION => {
                // Events that there are not cannot be asked for (Base 5.27.1.8).
                if command.cdw11() & !self.known_events() != 0 {
                    return Err(Status::INVALID_FIELD.with_dnr(true));
                }
                self.enable_events(command.cdw11());
                0
            }
            FeatureId::KEEP_ALIVE_TIMER => {
                self.kato = command.cdw11();
                self.last_keep_alive = now;
                0
            }
            // Connect carries it (NVMe-oF 3.3); changing it afterwards is out of order.
            FeatureId::HOST_IDENTIFIER => return Err(Status::COMMAND_SEQUENCE_ERROR.with_dnr(true)),
            _ => return Err(Status::INVALID_FIELD.with_dnr(true)),
        };
        Ok(Step::Respond(success.with_cdw0(value)))
    }

    /// The events that can be asked for. Critical warnings can, in every version, and never come.
    fn known_events(&self) -> u32 {
        match self.subsystem {
            Some(_) => SMART_CRITICAL | NAMESPACE_ATTRIBUTE | ANA_CHANGE,
            None => DISCOVERY_LOG_CHANGE,
        }
    }

    fn queue_counts(&self) -> u32 {
        let queues = self.io_queues.into();
        QueueCounts { submission: queues, completion: queues }.to_dword()
    }
}
