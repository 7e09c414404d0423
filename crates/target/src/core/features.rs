//! Get and Set Features (Base 2.0, 5.15, 5.27), with saved and default values where there are I/O queues. Discovery
//! controllers know current values alone.
//!
//! What is saved belongs to the subsystem: every controller begins with it, and begins again with it after a reset.

use std::collections::BTreeMap;

use spec::command::NSID_ALL;
use spec::feature::async_events::{ANA_CHANGE, DISCOVERY_LOG_CHANGE, NAMESPACE_ATTRIBUTE, SMART_CRITICAL};
use spec::feature::{FeatureId, QueueCounts};
use spec::{Command, Completion, Status};

use super::step::DataPointer;
use super::{Controller, Core, Limits, Step, Subsystem};

/// SEL of Get Features: the current value, the default one, the saved one, or what can be done with it.
const SELECT_CURRENT: u32 = 0;
const SELECT_DEFAULT: u32 = 1;
const SELECT_SAVED: u32 = 2;
const SELECT_CAPABILITIES: u32 = 3;
/// SV of Set Features: save the value.
const SAVE: u32 = 1 << 31;

/// Capabilities of a feature.
const SAVEABLE: u32 = 1 << 0;
const NAMESPACE_SPECIFIC: u32 = 1 << 1;
const CHANGEABLE: u32 = 1 << 2;

/// The threshold of the composite temperature, in kelvins.
const OVER_TEMPERATURE: u32 = 343;
/// Temperature Threshold, dword 11: TMPSEL, with its value for all sensors, and THSEL.
const TMPSEL: u32 = 0xf << 16;
const THSEL: u32 = 3 << 20;
const UNDER: u32 = 1 << 20;

const INVALID: Status = Status::INVALID_FIELD.with_dnr(true);

/// Which of a feature's values: that of a namespace, or of a threshold; 0 where there is one only.
type Key = (u8, u32);

/// Values that are not the default ones.
pub(super) type Values = BTreeMap<Key, u32>;

/// What can be done with a feature; `None` if there is no such.
fn capabilities(feature: FeatureId) -> Option<u32> {
    match feature {
        FeatureId::ARBITRATION
        | FeatureId::TEMPERATURE_THRESHOLD
        | FeatureId::WRITE_ATOMICITY
        | FeatureId::ASYNC_EVENT_CONFIGURATION => Some(CHANGEABLE | SAVEABLE),
        FeatureId::ERROR_RECOVERY | FeatureId::RESERVATION_NOTIFICATION_MASK => {
            Some(CHANGEABLE | SAVEABLE | NAMESPACE_SPECIFIC)
        }
        // Nothing persists through a power loss, see RESCAP.
        FeatureId::RESERVATION_PERSISTENCE => Some(NAMESPACE_SPECIFIC),
        FeatureId::POWER_MANAGEMENT | FeatureId::NUMBER_OF_QUEUES | FeatureId::KEEP_ALIVE_TIMER => {
            Some(CHANGEABLE)
        }
        FeatureId::HOST_IDENTIFIER => Some(0),
        _ => None,
    }
}

/// The key of a value that is kept as it is, or why there is none.
fn key(subsystem: &Subsystem, command: &Command) -> Result<Key, Status> {
    let feature = FeatureId(command.cdw10() as u8);
    let which = match feature {
        FeatureId::TEMPERATURE_THRESHOLD => {
            let which = command.cdw11() & THSEL;
            if which > UNDER || !matches!(command.cdw11() & TMPSEL, 0 | TMPSEL) {
                return Err(INVALID);
            }
            which
        }
        _ if capabilities(feature).is_some_and(|capabilities| capabilities & NAMESPACE_SPECIFIC != 0) => {
            let nsid = command.nsid();
            subsystem.namespace(nsid).ok_or(Status::INVALID_NAMESPACE_OR_FORMAT.with_dnr(true))?;
            nsid
        }
        _ => 0,
    };
    Ok((feature.0, which))
}

fn default_value(key: Key, limits: &Limits) -> u32 {
    match (FeatureId(key.0), key.1) {
        (FeatureId::TEMPERATURE_THRESHOLD, 0) => OVER_TEMPERATURE,
        (FeatureId::NUMBER_OF_QUEUES, _) => queue_counts(limits.io_queues),
        _ => 0,
    }
}

fn queue_counts(queues: u16) -> u32 {
    QueueCounts { submission: queues.into(), completion: queues.into() }.to_dword()
}

impl Core {
    pub(super) fn get_features(
        &self,
        cntlid: u16,
        command: &Command,
        data: Result<DataPointer, Status>,
    ) -> Result<Step, Status> {
        let controller = self.controllers.get(&cntlid).ok_or(Status::ABORTED_SQ_DELETION)?;
        let success = Completion::new(0, command.cid(), Status::SUCCESS);
        let feature = FeatureId(command.cdw10() as u8);
        let select = command.cdw10() >> 8 & 7;
        let Some(subsystem) = controller.subsystem.and_then(|index| self.subsystems.get(index)) else {
            if select != SELECT_CURRENT {
                return Err(INVALID);
            }
            let value = match feature {
                FeatureId::ASYNC_EVENT_CONFIGURATION => controller.events.enabled,
                FeatureId::KEEP_ALIVE_TIMER => controller.kato,
                FeatureId::HOST_IDENTIFIER => return controller.host_identifier(command, data?, success),
                _ => return Err(INVALID),
            };
            data?.none()?;
            return Ok(Step::Respond(success.with_cdw0(value)));
        };
        let capabilities = capabilities(feature).ok_or(INVALID)?;
        if feature == FeatureId::HOST_IDENTIFIER && select == SELECT_CURRENT {
            return controller.host_identifier(command, data?, success);
        }
        let key = key(subsystem, command)?;
        let default = default_value(key, &self.limits);
        let value = match select {
            SELECT_CURRENT => match feature {
                FeatureId::NUMBER_OF_QUEUES => queue_counts(controller.io_queues),
                FeatureId::ASYNC_EVENT_CONFIGURATION => controller.events.enabled,
                FeatureId::KEEP_ALIVE_TIMER => controller.kato,
                _ => controller.features.get(&key).copied().unwrap_or(default),
            },
            SELECT_CAPABILITIES => capabilities,
            // An identifier has no other value.
            _ if feature == FeatureId::HOST_IDENTIFIER => return Err(INVALID),
            SELECT_DEFAULT => default,
            // Without a saved value the default one is meant.
            SELECT_SAVED => subsystem.saved.get(&key).copied().unwrap_or(default),
            _ => return Err(INVALID),
        };
        data?.none()?;
        Ok(Step::Respond(success.with_cdw0(value)))
    }

    pub(super) fn set_features(&mut self, cntlid: u16, command: &Command, now: u64) -> Result<Step, Status> {
        let limits = self.limits;
        let controller = self.controllers.get_mut(&cntlid).ok_or(Status::ABORTED_SQ_DELETION)?;
        let success = Completion::new(0, command.cid(), Status::SUCCESS);
        let feature = FeatureId(command.cdw10() as u8);
        let subsystem = controller.subsystem.and_then(|index| self.subsystems.get_mut(index));
        let saves = command.cdw10() & SAVE != 0;
        let capabilities = capabilities(feature).filter(|_| {
            // A discovery controller has no I/O queues to grant, and nothing to save or to keep.
            subsystem.is_some()
                || matches!(
                    feature,
                    FeatureId::ASYNC_EVENT_CONFIGURATION
                        | FeatureId::KEEP_ALIVE_TIMER
                        | FeatureId::HOST_IDENTIFIER
                )
        });
        let capabilities = capabilities.ok_or(INVALID)?;
        if saves && (capabilities & SAVEABLE == 0 || subsystem.is_none()) {
            return Err(Status::FEATURE_ID_NOT_SAVEABLE.with_dnr(true));
        }
        let value = command.cdw11();
        let answer = match feature {
            FeatureId::NUMBER_OF_QUEUES => {
                let counts = QueueCounts::from_dword(value);
                if counts.submission > 0xffff || counts.completion > 0xffff {
                    return Err(INVALID);
                }
                if controller.has_io_queues() {
                    return Err(Status::COMMAND_SEQUENCE_ERROR.with_dnr(true));
                }
                let wanted = counts.submission.min(counts.completion);
                controller.io_queues = limits.io_queues.min(u16::try_from(wanted).unwrap_or(u16::MAX));
                queue_counts(controller.io_queues)
            }
            FeatureId::ASYNC_EVENT_CONFIGURATION => {
                // Events that there are not cannot be asked for (Base 5.27.1.8).
                if value & !controller.known_events() != 0 {
                    return Err(INVALID);
                }
                controller.enable_events(value);
                if let Some(subsystem) = subsystem.filter(|_| saves) {
                    subsystem.saved.insert((feature.0, 0), value);
                }
                0
            }
            FeatureId::KEEP_ALIVE_TIMER => {
                controller.kato = value;
                controller.last_keep_alive = now;
                0
            }
            // Connect carries it (NVMe-oF 3.3); changing it afterwards is out of order.
            FeatureId::HOST_IDENTIFIER => return Err(Status::COMMAND_SEQUENCE_ERROR.with_dnr(true)),
            _ => {
                let subsystem = subsystem.ok_or(INVALID)?;
                for (key, value) in controller.values(subsystem, command)? {
                    controller.features.insert(key, value);
                    if saves {
                        subsystem.saved.insert(key, value);
                    }
                }
                0
            }
        };
        Ok(Step::Respond(success.with_cdw0(answer)))
    }
}

impl Controller {
    /// A controller that was just enabled, or is to be, has what was saved.
    pub(super) fn load_features(&mut self, saved: Option<&Values>) {
        self.features = saved.cloned().unwrap_or_default();
        let events = self.features.get(&(FeatureId::ASYNC_EVENT_CONFIGURATION.0, 0));
        let events = events.copied().unwrap_or_default();
        self.enable_events(events);
    }

    fn host_identifier(
        &self,
        command: &Command,
        data: DataPointer,
        success: Completion,
    ) -> Result<Step, Status> {
        // EXHID: over fabrics the identifier always has 128 bits (Base 5.27.1.25).
        if command.cdw11() & 1 == 0 {
            return Err(INVALID);
        }
        let remote = data.expect(16)?.remote()?;
        Ok(Step::SendBytes { bytes: self.hostid.to_vec(), remote, completion: success })
    }

    /// What Set Features changes of the values that are kept as they are.
    fn values(&self, subsystem: &Subsystem, command: &Command) -> Result<Vec<(Key, u32)>, Status> {
        let feature = FeatureId(command.cdw10() as u8);
        let value = command.cdw11();
        let meant = match feature {
            // Weights, and the burst.
            FeatureId::ARBITRATION => value & 0xffff_ff07,
            // The only power state; a hint at the workload is not kept.
            FeatureId::POWER_MANAGEMENT if value & 0x1f == 0 => 0,
            FeatureId::TEMPERATURE_THRESHOLD => value & 0xffff,
            // DULBE needs an error for deallocated blocks, which there is none of.
            FeatureId::ERROR_RECOVERY if value & 1 << 16 == 0 => value & 0xffff,
            FeatureId::WRITE_ATOMICITY => value & 1,
            // A bit for each type of notification.
            FeatureId::RESERVATION_NOTIFICATION_MASK => value & 0xe,
            FeatureId::RESERVATION_PERSISTENCE if value & 1 == 0 => 0,
            FeatureId::RESERVATION_PERSISTENCE => return Err(Status::FEATURE_NOT_CHANGEABLE.with_dnr(true)),
            _ => return Err(INVALID),
        };
        let of_namespaces = capabilities(feature).is_some_and(|can| can & NAMESPACE_SPECIFIC != 0);
        if of_namespaces && command.nsid() == NSID_ALL {
            let there = (1..=subsystem.namespace_count()).filter(|nsid| subsystem.namespace(*nsid).is_some());
            return Ok(there.map(|nsid| ((feature.0, nsid), meant)).collect());
        }
        Ok(vec![(key(subsystem, command)?, meant)])
    }

    /// The events that can be asked for. Critical warnings can, in every version, and never come.
    fn known_events(&self) -> u32 {
        match self.subsystem {
            Some(_) => SMART_CRITICAL | NAMESPACE_ATTRIBUTE | ANA_CHANGE,
            None => DISCOVERY_LOG_CHANGE,
        }
    }
}
