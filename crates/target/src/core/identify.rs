//! Identify (Base 5.17).

use spec::command::NSID_ALL;
use spec::fabrics::DISCOVERY_NQN;
use spec::feature::async_events::{ANA_CHANGE, DISCOVERY_LOG_CHANGE, NAMESPACE_ATTRIBUTE};
use spec::identify::{
    CMIC_ANA, CNTRLTYPE_DISCOVERY, CNTRLTYPE_IO, CSI_KEY_VALUE, CSI_NVM, CSI_ZONED, CTRATT_EXTENDED_HOST_IDS,
    Cns, ControllerImage, FUSES_COMPARE_AND_WRITE, IDENTIFY_SIZE, OACS_FIRMWARE, OACS_FORMAT,
    OACS_NAMESPACES, OACS_SECURITY, ONCS_COMPARE, ONCS_COPY, ONCS_DATASET_MANAGEMENT, ONCS_RESERVATIONS,
    ONCS_SAVE_AND_SELECT, ONCS_VERIFY, ONCS_WRITE_UNCORRECTABLE, ONCS_WRITE_ZEROES, SGLS_KEYED, SGLS_OFFSET,
    SGLS_SUPPORTED,
};
use spec::namespace::{NamespaceId, NamespaceImage, encode_namespace_descriptors, encode_namespace_list};
use spec::reservation::RESCAP_ALL_TYPES;
use spec::{Command, Status};

use super::ana::{ANA_GROUPS, CAPABILITIES, TRANSITION_SECONDS};
use super::facts::{ASYNC_EVENT_REQUESTS, FIRMWARE};
use super::firmware::FIRMWARE_SLOTS;
use super::fused::COMPARE_AND_WRITE_BLOCKS;
use super::io::{COPY_BLOCKS, COPY_RANGE_BLOCKS, COPY_RANGES};
use super::management::FORMATS;
use super::properties::VERSION;
use super::{Controller, Core, Limits, Namespace, Subsystem, zones};

/// Keep alive granularity in units of 100 ms.
const KAS: u16 = 1;
/// The optional commands.
const ONCS: u16 = ONCS_COMPARE
    | ONCS_WRITE_UNCORRECTABLE
    | ONCS_DATASET_MANAGEMENT
    | ONCS_WRITE_ZEROES
    | ONCS_SAVE_AND_SELECT
    | ONCS_RESERVATIONS
    | ONCS_VERIFY
    | ONCS_COPY;
/// FLBAS and MC: metadata is behind the data of each block, not apart.
const METADATA_EXTENDS_DATA: u8 = 1 << 4;
const METADATA_CAN_EXTEND_DATA: u8 = 1 << 0;
/// DPC: protection information of types 1 to 3, in the last bytes of the metadata.
const PROTECTION_TYPES: u8 = 7;
const PROTECTION_LAST: u8 = 1 << 4;
/// DLFEAT: what is deallocated reads as zeros.
const DEALLOCATED_IS_ZERO: u8 = 1;

impl Core {
    pub(super) fn identify(&self, cntlid: u16, command: &Command) -> Result<Vec<u8>, Status> {
        let controller = self.controllers.get(&cntlid).ok_or(Status::ABORTED_SQ_DELETION)?;
        let subsystem = controller.subsystem.and_then(|index| self.subsystems.get(index));
        let nsid = command.nsid();
        let csi = (command.cdw11() >> 24) as u8;
        let invalid_namespace = Status::INVALID_NAMESPACE_OR_FORMAT.with_dnr(true);
        let data: [u8; IDENTIFY_SIZE] = match (Cns(command.cdw10() as u8), subsystem) {
            (Cns::CONTROLLER, subsystem) => controller_data(controller, subsystem, &self.limits),
            (Cns::NAMESPACE, Some(subsystem)) => {
                if nsid == NSID_ALL {
                    return Ok(common_data().to_vec());
                }
                if nsid == 0 || nsid > subsystem.namespace_count() {
                    return Err(invalid_namespace);
                }
                match subsystem.namespace(nsid) {
                    Some(namespace) => namespace_data(subsystem, nsid, namespace),
                    None => [0; IDENTIFY_SIZE],
                }
            }
            (Cns::ACTIVE_NAMESPACE_LIST, Some(subsystem)) => {
                if nsid >= NSID_ALL - 1 {
                    return Err(invalid_namespace);
                }
                let ids = 1..=subsystem.namespace_count();
                encode_namespace_list(ids.filter(|id| *id > nsid && subsystem.namespace(*id).is_some()))
            }
            (Cns::NAMESPACE_DESCRIPTORS, Some(subsystem)) => {
                let namespace = subsystem.namespace(nsid).ok_or(invalid_namespace)?;
                let (eui64, nguid, uuid) = identifiers(subsystem, nsid, namespace);
                let ids = [
                    NamespaceId::Eui64(&eui64),
                    NamespaceId::Nguid(&nguid),
                    NamespaceId::Uuid(&uuid),
                    NamespaceId::Csi(namespace.csi()),
                ];
                // Where there is one command set it need not be told.
                encode_namespace_descriptors(if subsystem.is_plain() { &ids[..3] } else { &ids })
            }
            (Cns::CONTROLLER_IOCS, Some(subsystem)) if csi != CSI_NVM && subsystem.has_command_set(csi) => {
                match csi {
                    CSI_ZONED => zones::controller_data(&self.limits),
                    _ => [0; IDENTIFY_SIZE],
                }
            }
            (Cns::NAMESPACE_IOCS, Some(subsystem)) if csi != CSI_NVM => {
                let namespace = subsystem.namespace(nsid).ok_or(invalid_namespace)?;
                match (csi, &namespace.zones, &namespace.keys) {
                    (CSI_ZONED, Some(zones), _) => zones.data(),
                    (CSI_KEY_VALUE, _, Some(keys)) => keys.data(namespace.group, &self.limits),
                    _ => return Err(Status::INVALID_FIELD.with_dnr(true)),
                }
            }
            _ => return Err(Status::INVALID_FIELD.with_dnr(true)),
        };
        Ok(data.to_vec())
    }
}

fn controller_data(
    controller: &Controller,
    subsystem: Option<&Subsystem>,
    limits: &Limits,
) -> [u8; IDENTIFY_SIZE] {
    let mut image = ControllerImage::default();
    image
        .set_mn("nvme-rdma-target")
        .set_fr(FIRMWARE)
        .set_mdts(limits.mdts)
        .set_cntlid(controller.cntlid)
        .set_ver(VERSION)
        .set_acl(3)
        .set_aerl((ASYNC_EVENT_REQUESTS - 1) as u8)
        .set_frmw(FIRMWARE_SLOTS << 1 | 1)
        .set_lpa(1 << 2 | 1 << 1)
        .set_kas(KAS)
        .set_maxcmd(limits.queue_entries)
        .set_sgls(SGLS_SUPPORTED | SGLS_KEYED | SGLS_OFFSET);
    match subsystem {
        None => {
            image
                .set_sn("00000000000000000000")
                .set_oaes(DISCOVERY_LOG_CHANGE)
                .set_cntrltype(CNTRLTYPE_DISCOVERY)
                .set_subnqn(DISCOVERY_NQN);
        }
        Some(subsystem) => {
            let capsule = limits.data_offset() as u32 + limits.in_capsule_data;
            let capacity = subsystem.namespaces.iter().flatten().map(|ns| ns.blocks << ns.block_shift).sum();
            image
                .set_sn(&format!("{:016X}", subsystem.fingerprint(0)))
                .set_cntrltype(CNTRLTYPE_IO)
                .set_fr(subsystem.firmware.revision.as_deref().unwrap_or(FIRMWARE))
                .set_oacs(
                    OACS_FORMAT
                        | OACS_FIRMWARE
                        | OACS_NAMESPACES
                        | if subsystem.tper.is_some() { OACS_SECURITY } else { 0 },
                )
                .set_cmic(1 << 1 | CMIC_ANA)
                .set_oaes(NAMESPACE_ATTRIBUTE | ANA_CHANGE)
                .set_anatt(TRANSITION_SECONDS)
                .set_anacap(CAPABILITIES)
                .set_anagrpmax(ANA_GROUPS)
                .set_nanagrpid(ANA_GROUPS)
                .set_tnvmcap(capacity)
                .set_sqes(0x66)
                .set_cqes(0x44)
                .set_nn(subsystem.namespace_count())
                .set_mnan(subsystem.namespace_count())
                .set_ctratt(CTRATT_EXTENDED_HOST_IDS)
                .set_oncs(ONCS)
                .set_fuses(FUSES_COMPARE_AND_WRITE)
                .set_acwu(COMPARE_AND_WRITE_BLOCKS - 1)
                .set_ocfs(1)
                .set_subnqn(&subsystem.nqn)
                .set_ioccsz(capsule / 16)
                .set_iorcsz(1)
                .set_icdoff(limits.icdoff)
                .set_msdbd(limits.descriptors)
                .set_ofcs(1);
        }
    }
    image.0
}

fn namespace_data(subsystem: &Subsystem, nsid: u32, namespace: &Namespace) -> [u8; IDENTIFY_SIZE] {
    let (eui64, nguid, _) = identifiers(subsystem, nsid, namespace);
    let mut image = NamespaceImage::default();
    image
        .set_nsze(namespace.blocks)
        .set_ncap(namespace.blocks)
        .set_nuse(namespace.blocks)
        .set_nmic(1)
        .set_anagrpid(namespace.group)
        .set_rescap(RESCAP_ALL_TYPES)
        .set_dlfeat(DEALLOCATED_IS_ZERO)
        .set_mssrl(COPY_RANGE_BLOCKS)
        .set_mcl(COPY_BLOCKS)
        .set_msrc(COPY_RANGES - 1)
        .set_nguid(nguid)
        .set_eui64(eui64)
        .set_nlbaf(if namespace.csi() == CSI_NVM { FORMATS.len() as u8 } else { 0 })
        .set_mc(METADATA_CAN_EXTEND_DATA)
        // It is the last of the metadata.
        .set_dpc(PROTECTION_TYPES | PROTECTION_LAST)
        .set_dps(namespace.protection)
        .set_flbas(namespace.format | if namespace.metadata > 0 { METADATA_EXTENDS_DATA } else { 0 });
    for number in 0..=FORMATS.len() {
        // What has keys has no blocks.
        if let Some(format) = namespace.format(number).filter(|_| namespace.keys.is_none()) {
            image.set_lba_format(number as u8, format);
        }
    }
    image.0
}

/// What all namespaces have in common: the formats that one can be made with.
fn common_data() -> [u8; IDENTIFY_SIZE] {
    let mut image = NamespaceImage::default();
    image
        .set_nlbaf((FORMATS.len() - 1) as u8)
        .set_mc(METADATA_CAN_EXTEND_DATA)
        .set_dpc(PROTECTION_TYPES | PROTECTION_LAST);
    for (number, format) in (0..).zip(FORMATS) {
        image.set_lba_format(number, format);
    }
    image.0
}

/// EUI-64, NGUID and UUID of a namespace: always the same for the same subsystem NQN and namespace id, and others for one
/// that came later. The UUID has the form of version 8 (RFC 9562), which leaves the rest to its maker.
fn identifiers(subsystem: &Subsystem, nsid: u32, namespace: &Namespace) -> ([u8; 8], [u8; 16], [u8; 16]) {
    let one = namespace.birth << 34 | u64::from(nsid) << 2;
    let word = |salt: u64| subsystem.fingerprint(one | salt).to_be_bytes();
    let pair = |salt: u64| {
        let (high, low) = (word(salt), word(salt + 1));
        u128::from(u64::from_be_bytes(high)) << 64 | u128::from(u64::from_be_bytes(low))
    };
    let uuid = pair(2) & !(0xf << 76 | 3 << 62) | 8 << 76 | 2 << 62;
    (word(1), pair(0).to_be_bytes(), uuid.to_be_bytes())
}
