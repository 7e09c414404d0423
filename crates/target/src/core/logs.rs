//! Get Log Page (Base 5.16): the mandatory pages in their plainest form, and the discovery log page (NVMe-oF 5.4).

use std::net::SocketAddr;

use spec::fabrics::ADMIN_QUEUE_ENTRIES_MIN;
use spec::identify::{CSI_KEY_VALUE, CSI_ZONED};
use spec::log::{
    ADRFAM_IPV4, ADRFAM_IPV6, DiscoveryEntry, DiscoveryHeader, EFFECTS_SIZE, ERROR_ENTRY_SIZE,
    FIRMWARE_SLOT_SIZE, LogPageId, SMART_SIZE, SUBTYPE_NVM,
};
use spec::{AdminOpcode, Command, KeyValueOpcode, NvmOpcode, Status, ZonedOpcode};

use super::facts::FIRMWARE;
use super::{Core, Queue, Subsystem};

impl Core {
    pub(super) fn log_page(&self, cntlid: u16, queue: &Queue, command: &Command) -> Result<Vec<u8>, Status> {
        let controller = self.controllers.get(&cntlid).ok_or(Status::ABORTED_SQ_DELETION)?;
        let discovery = controller.subsystem.is_none();
        let subsystem = controller.subsystem.and_then(|index| self.subsystems.get(index));
        match command.log_page_id() {
            LogPageId::ERROR => Ok(vec![0; ERROR_ENTRY_SIZE]),
            LogPageId::DISCOVERY if discovery => Ok(self.discovery_page(queue.local)),
            LogPageId::SMART if !discovery => Ok(smart()),
            LogPageId::FIRMWARE_SLOT if !discovery => Ok(firmware_slot(subsystem)),
            LogPageId::CHANGED_NAMESPACES if !discovery => Ok(controller.changed_namespaces()),
            LogPageId::RESERVATION_NOTIFICATION if !discovery => Ok(controller.notification_page()),
            LogPageId::ASYMMETRIC_NAMESPACE_ACCESS if !discovery => {
                let subsystem = subsystem.ok_or(Status::INTERNAL_ERROR)?;
                Ok(subsystem.ana_page(controller, command))
            }
            LogPageId::COMMANDS_SUPPORTED_AND_EFFECTS if !discovery => Ok(effects(command.log_page_csi())),
            _ => Err(Status::INVALID_LOG_PAGE.with_dnr(true)),
        }
    }

    /// Every subsystem at every address that the host can be expected to reach: where a listener has no address of its
    /// own, the one by which the host came.
    fn discovery_page(&self, local: Option<SocketAddr>) -> Vec<u8> {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for listener in &self.listeners {
            let address = match local {
                Some(local) if listener.ip().is_unspecified() => SocketAddr::new(local.ip(), listener.port()),
                _ => *listener,
            };
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let mut entries = Vec::new();
        for subsystem in self.subsystems.iter().filter(|subsystem| subsystem.present) {
            for (portid, address) in (1..).zip(&addresses) {
                let entry = DiscoveryEntry {
                    adrfam: if address.is_ipv4() { ADRFAM_IPV4 } else { ADRFAM_IPV6 },
                    subtype: SUBTYPE_NVM,
                    portid,
                    asqsz: self.limits.queue_entries.max(ADMIN_QUEUE_ENTRIES_MIN),
                    trsvcid: &address.port().to_string(),
                    subnqn: &subsystem.nqn,
                    traddr: &address.ip().to_string(),
                };
                entries.push(entry.encode());
            }
        }
        let header = DiscoveryHeader { genctr: self.generation, numrec: entries.len() as u64, recfmt: 0 };
        let mut page = header.encode().to_vec();
        entries.iter().for_each(|entry| page.extend_from_slice(entry));
        page
    }
}

/// `length` bytes of the page from `offset`, zeros behind its end.
pub(super) fn window(page: &[u8], offset: u64, length: u64) -> Result<Vec<u8>, Status> {
    let invalid = Status::INVALID_FIELD.with_dnr(true);
    if !offset.is_multiple_of(4) {
        return Err(invalid);
    }
    let start = usize::try_from(offset).map_err(|_| invalid)?;
    let rest = page.get(start..).ok_or(invalid)?;
    let length = usize::try_from(length).map_err(|_| invalid)?;
    let mut bytes = rest.get(..length.min(rest.len())).unwrap_or(rest).to_vec();
    bytes.resize(length, 0);
    Ok(bytes)
}

/// SMART: 300 K, all of the spare left (Base figure 207).
fn smart() -> Vec<u8> {
    let mut page = Vec::with_capacity(SMART_SIZE);
    page.extend_from_slice(&[0, 0x2c, 0x01, 100, 10, 0]);
    page.resize(SMART_SIZE, 0);
    page
}

/// Firmware slot information: slot 1, which is read only, and slot 2 once something was put there (Base figure 208).
fn firmware_slot(subsystem: Option<&Subsystem>) -> Vec<u8> {
    let second = subsystem.and_then(|subsystem| subsystem.firmware.revision.as_deref());
    let mut page = vec![if second.is_some() { 2 } else { 1 }, 0, 0, 0, 0, 0, 0, 0];
    for revision in [FIRMWARE, second.unwrap_or_default()] {
        let fill = if revision.is_empty() { 0 } else { b' ' };
        page.extend(revision.bytes().chain(std::iter::repeat(fill)).take(8));
    }
    page.resize(FIRMWARE_SLOT_SIZE, 0);
    page
}

/// Commands supported and effects, of a command set: bit 0 supported, bit 1 changes logical blocks (Base figure 211).
fn effects(csi: u8) -> Vec<u8> {
    let admin = [
        AdminOpcode::GET_LOG_PAGE,
        AdminOpcode::IDENTIFY,
        AdminOpcode::ABORT,
        AdminOpcode::SET_FEATURES,
        AdminOpcode::GET_FEATURES,
        AdminOpcode::ASYNC_EVENT_REQUEST,
        AdminOpcode::KEEP_ALIVE,
        AdminOpcode::FORMAT_NVM,
        AdminOpcode::NAMESPACE_MANAGEMENT,
        AdminOpcode::NAMESPACE_ATTACHMENT,
        AdminOpcode::FIRMWARE_IMAGE_DOWNLOAD,
        AdminOpcode::FIRMWARE_COMMIT,
    ];
    let changing = [
        NvmOpcode::WRITE,
        NvmOpcode::WRITE_UNCORRECTABLE,
        NvmOpcode::WRITE_ZEROES,
        NvmOpcode::DATASET_MANAGEMENT,
        NvmOpcode::COPY,
    ];
    let reading = [
        NvmOpcode::READ,
        NvmOpcode::FLUSH,
        NvmOpcode::COMPARE,
        NvmOpcode::VERIFY,
        NvmOpcode::RESERVATION_REGISTER,
        NvmOpcode::RESERVATION_REPORT,
        NvmOpcode::RESERVATION_ACQUIRE,
        NvmOpcode::RESERVATION_RELEASE,
    ];
    let mut page = vec![0; EFFECTS_SIZE];
    let mut set = |index: usize, effects: u8| {
        if let Some(byte) = page.get_mut(index * 4) {
            *byte = effects;
        }
    };
    admin.iter().for_each(|opcode| set(opcode.0.into(), 1));
    if csi == CSI_KEY_VALUE {
        let reading = [KeyValueOpcode::RETRIEVE, KeyValueOpcode::LIST, KeyValueOpcode::EXIST];
        reading.iter().for_each(|opcode| set(256 + usize::from(opcode.0), 1));
        let changing = [KeyValueOpcode::STORE, KeyValueOpcode::DELETE];
        changing.iter().for_each(|opcode| set(256 + usize::from(opcode.0), 3));
        return page;
    }
    reading.iter().for_each(|opcode| set(256 + usize::from(opcode.0), 1));
    changing.iter().for_each(|opcode| set(256 + usize::from(opcode.0), 3));
    if csi == CSI_ZONED {
        set(256 + usize::from(NvmOpcode::COPY.0), 0);
        set(256 + usize::from(ZonedOpcode::ZONE_MANAGEMENT_RECEIVE.0), 1);
        set(256 + usize::from(ZonedOpcode::ZONE_MANAGEMENT_SEND.0), 3);
        set(256 + usize::from(ZonedOpcode::ZONE_APPEND.0), 3);
    }
    page
}
