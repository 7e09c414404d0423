//! What a program may ask of a controller that costs no command: facts that bring-up learnt, and answers that are the same
//! for all controllers over fabrics.

use super::{
    ctrlr::Ctrlr,
    entry::entry,
    types::{
        spdk_nvme_cap_register, spdk_nvme_ctrlr, spdk_nvme_ctrlr_data, spdk_nvme_ctrlr_flags as Flags,
        spdk_nvme_ctrlr_opts, spdk_nvme_nvm_ctrlr_data, spdk_nvme_qp_failure_reason, spdk_nvme_transport_id,
        spdk_nvme_vs_register,
    },
};
use crate::{abi::qpair::reason, host};
use spec::{feature::FeatureId, identify, log::LogPageId, registers::Cap};
use std::ptr;

/// The controller's Identify data. It stays where it is as long as the controller is attached. NULL for a handle
/// that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_data(
    ctrlr: *mut spdk_nvme_ctrlr,
) -> *const spdk_nvme_ctrlr_data {
    entry!(spdk_nvme_ctrlr_get_data(ctrlr), Ctrlr, ctrlr, ptr::null(), |object| {
        object.profile().identify_data().address().cast()
    })
}

/// The Identify data that the NVM command set has of the controller. They stay where they are as long as the controller is attached. NULL
/// for a handle that is no controller, and if the controller has no such data.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_nvm_ctrlr_get_data(
    ctrlr: *mut spdk_nvme_ctrlr,
) -> *const spdk_nvme_nvm_ctrlr_data {
    entry!(spdk_nvme_nvm_ctrlr_get_data(ctrlr), Ctrlr, ctrlr, ptr::null(), |object| {
        object.profile().nvm_data().map_or(ptr::null(), |data| data.address().cast())
    })
}

/// The transport id that the controller was attached with, or that spdk_nvme_ctrlr_set_trid() has set. NULL for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_transport_id(
    ctrlr: *mut spdk_nvme_ctrlr,
) -> *const spdk_nvme_transport_id {
    entry!(spdk_nvme_ctrlr_get_transport_id(ctrlr), Ctrlr, ctrlr, ptr::null(), |object| {
        object.transport_id_address()
    })
}

/// The options that the controller is used with: the program's, with what the controller made of them. They stay where
/// they are as long as it is attached. NULL for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_opts(
    ctrlr: *mut spdk_nvme_ctrlr,
) -> *const spdk_nvme_ctrlr_opts {
    entry!(spdk_nvme_ctrlr_get_opts(ctrlr), Ctrlr, ctrlr, ptr::null(), |object| object.opts_address())
}

/// What the controller can do, as bits of enum spdk_nvme_ctrlr_flags. 0 for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_flags(ctrlr: *mut spdk_nvme_ctrlr) -> u64 {
    entry!(spdk_nvme_ctrlr_get_flags(ctrlr), Ctrlr, ctrlr, 0, |object| flags(&object.summary()))
}

/// The controller's identifier (CNTLID) as the answer to Connect has it. 0 for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_id(ctrlr: *mut spdk_nvme_ctrlr) -> u16 {
    entry!(spdk_nvme_ctrlr_get_id(ctrlr), Ctrlr, ctrlr, 0, |object| object.summary().controller_id())
}

/// The highest namespace identifier that there can be (NN), which is not how many there are. 0 for a discovery controller
/// and for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_num_ns(ctrlr: *mut spdk_nvme_ctrlr) -> u32 {
    entry!(spdk_nvme_ctrlr_get_num_ns(ctrlr), Ctrlr, ctrlr, 0, |object| object.summary().namespace_count())
}

/// The bytes that one command may transfer. A longer I/O is split. 0 for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_max_xfer_size(ctrlr: *const spdk_nvme_ctrlr) -> u32 {
    entry!(spdk_nvme_ctrlr_get_max_xfer_size(ctrlr), Ctrlr, ctrlr, 0, |object| object
        .summary()
        .largest_transfer())
}

/// The elements of a scattered buffer that one command may have; 65535 if the controller takes no SGLs. 0 for a handle that
/// is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_max_sges(ctrlr: *const spdk_nvme_ctrlr) -> u16 {
    entry!(spdk_nvme_ctrlr_get_max_sges(ctrlr), Ctrlr, ctrlr, 0, |object| max_sges(&object.summary()))
}

/// The NUMA node of the RDMA device that reaches the controller; -1 if it has none, is not known, or for a handle that is no
/// controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_numa_id(ctrlr: *mut spdk_nvme_ctrlr) -> i32 {
    entry!(spdk_nvme_ctrlr_get_numa_id(ctrlr), Ctrlr, ctrlr, -1, |object| {
        object.summary().numa_node().and_then(|node| i32::try_from(node).ok()).unwrap_or(-1)
    })
}

/// Whether it is a discovery controller. False for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_is_discovery(ctrlr: *mut spdk_nvme_ctrlr) -> bool {
    entry!(spdk_nvme_ctrlr_is_discovery(ctrlr), Ctrlr, ctrlr, false, |object| object.summary().is_discovery())
}

/// Whether it is reached over fabrics: always, but for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_is_fabrics(ctrlr: *mut spdk_nvme_ctrlr) -> bool {
    entry!(spdk_nvme_ctrlr_is_fabrics(ctrlr), Ctrlr, ctrlr, false, |object| {
        let _ = object;
        true
    })
}

/// Whether the controller has failed: its queue pairs end at their next poll. False for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_is_failed(ctrlr: *mut spdk_nvme_ctrlr) -> bool {
    entry!(spdk_nvme_ctrlr_is_failed(ctrlr), Ctrlr, ctrlr, false, |object| object.profile().has_failed())
}

/// Whether the controller has a feature. Those that the specifications make mandatory are taken for granted; of a discovery
/// controller, and for a handle that is no controller, the answer is false.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_is_feature_supported(
    ctrlr: *mut spdk_nvme_ctrlr,
    feature_code: u8,
) -> bool {
    entry!(spdk_nvme_ctrlr_is_feature_supported(ctrlr, feature_code), Ctrlr, ctrlr, false, |object| {
        !object.summary().is_discovery() && has_feature(&object.summary(), feature_code)
    })
}

/// Whether the controller has a log page, as spdk_nvme_ctrlr_is_feature_supported().
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_is_log_page_supported(
    ctrlr: *mut spdk_nvme_ctrlr,
    log_page: u8,
) -> bool {
    entry!(spdk_nvme_ctrlr_is_log_page_supported(ctrlr, log_page), Ctrlr, ctrlr, false, |object| {
        !object.summary().is_discovery() && has_log_page(&object.summary(), log_page)
    })
}

/// Whether the namespace with this identifier is active. False if there is none, or for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_is_active_ns(ctrlr: *mut spdk_nvme_ctrlr, ns_id: u32) -> bool {
    entry!(spdk_nvme_ctrlr_is_active_ns(ctrlr, ns_id), Ctrlr, ctrlr, false, |object| {
        object.admin(|host| host.is_active_namespace(ns_id))
    })
}

/// Why the Admin Queue is not connected any more; SPDK_NVME_QPAIR_FAILURE_NONE while it is.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_admin_qp_failure_reason(
    ctrlr: *mut spdk_nvme_ctrlr,
) -> spdk_nvme_qp_failure_reason {
    entry!(
        spdk_nvme_ctrlr_get_admin_qp_failure_reason(ctrlr),
        Ctrlr,
        ctrlr,
        spdk_nvme_qp_failure_reason::SPDK_NVME_QPAIR_FAILURE_UNKNOWN,
        |object| object.admin(|host| reason(host.failure_reason()))
    )
}

/// The CAP property as bring-up read it. All bits are 0 for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_regs_cap(ctrlr: *mut spdk_nvme_ctrlr) -> spdk_nvme_cap_register {
    let refused = spdk_nvme_cap_register { raw: 0 };
    entry!(spdk_nvme_ctrlr_get_regs_cap(ctrlr), Ctrlr, ctrlr, refused, |object| {
        spdk_nvme_cap_register { raw: object.summary().capabilities().0 }
    })
}

/// The VS property as bring-up read it. All bits are 0 for a handle that is no controller.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_regs_vs(ctrlr: *mut spdk_nvme_ctrlr) -> spdk_nvme_vs_register {
    let refused = spdk_nvme_vs_register { raw: 0 };
    entry!(spdk_nvme_ctrlr_get_regs_vs(ctrlr), Ctrlr, ctrlr, refused, |object| {
        spdk_nvme_vs_register { raw: object.summary().version().0 }
    })
}

fn flags(summary: &host::Summary) -> u64 {
    let view = summary.view();
    let all = [
        (view.sgls() & identify::SGLS_SUPPORT != 0, Flags::SPDK_NVME_CTRLR_SGL_SUPPORTED),
        (view.oacs() & identify::OACS_SECURITY != 0, Flags::SPDK_NVME_CTRLR_SECURITY_SEND_RECV_SUPPORTED),
        (summary.capabilities().ams() & Cap::AMS_WEIGHTED != 0, Flags::SPDK_NVME_CTRLR_WRR_SUPPORTED),
        (
            view.fuses() & identify::FUSES_COMPARE_AND_WRITE != 0,
            Flags::SPDK_NVME_CTRLR_COMPARE_AND_WRITE_SUPPORTED,
        ),
        (
            view.sgls() & identify::SGLS_SUPPORT == identify::SGLS_DWORD_ALIGNED,
            Flags::SPDK_NVME_CTRLR_SGL_REQUIRES_DWORD_ALIGNMENT,
        ),
        (summary.has_append(), Flags::SPDK_NVME_CTRLR_ZONE_APPEND_SUPPORTED),
        (view.oacs() & identify::OACS_DIRECTIVES != 0, Flags::SPDK_NVME_CTRLR_DIRECTIVES_SUPPORTED),
        (view.sgls() & identify::SGLS_METADATA != 0, Flags::SPDK_NVME_CTRLR_MPTR_SGL_SUPPORTED),
    ];
    all.into_iter().filter(|(is, _)| *is).fold(0, |flags, (_, flag)| flags | u64::from(flag.0))
}

fn max_sges(summary: &host::Summary) -> u16 {
    if summary.view().sgls() & identify::SGLS_SUPPORT == 0 { u16::MAX } else { summary.max_descriptors() }
}

fn has_feature(summary: &host::Summary, code: u8) -> bool {
    let view = summary.view();
    match FeatureId(code) {
        FeatureId::ARBITRATION
        | FeatureId::POWER_MANAGEMENT
        | FeatureId::TEMPERATURE_THRESHOLD
        | FeatureId::ERROR_RECOVERY
        | FeatureId::NUMBER_OF_QUEUES
        | FeatureId::INTERRUPT_COALESCING
        | FeatureId::INTERRUPT_VECTOR_CONFIGURATION
        | FeatureId::WRITE_ATOMICITY
        | FeatureId::ASYNC_EVENT_CONFIGURATION => true,
        FeatureId::VOLATILE_WRITE_CACHE => view.vwc() & 1 != 0,
        FeatureId::AUTONOMOUS_POWER_STATE_TRANSITION => view.apsta() & 1 != 0,
        FeatureId::HOST_MEMORY_BUFFER => view.hmpre() != 0,
        FeatureId::HOST_BEHAVIOR_SUPPORT => summary.has_extended_lba_formats(),
        _ => view.vid() == INTEL && INTEL_FEATURES.contains(&code),
    }
}

fn has_log_page(summary: &host::Summary, page: u8) -> bool {
    let view = summary.view();
    match LogPageId(page) {
        LogPageId::ERROR | LogPageId::SMART | LogPageId::FIRMWARE_SLOT => true,
        LogPageId::COMMANDS_SUPPORTED_AND_EFFECTS => view.lpa() & identify::LPA_COMMAND_EFFECTS != 0,
        LogPageId::ASYMMETRIC_NAMESPACE_ACCESS => view.cmic() & identify::CMIC_ANA != 0,
        LogPageId::FDP_CONFIGURATIONS
        | LogPageId::FDP_RECLAIM_UNIT_HANDLE_USAGE
        | LogPageId::FDP_STATISTICS
        | LogPageId::FDP_EVENTS => view.ctratt() & identify::CTRATT_FDP != 0,
        _ => false,
    }
}

/// Intel's vendor id, and the features of its own that programs ask for: largest LBA, native largest LBA, power governor,
/// SMBus address, LED, workload counters, latency tracking.
const INTEL: u16 = 0x8086;
const INTEL_FEATURES: [u8; 7] = [0xc1, 0xc2, 0xc6, 0xc8, 0xc9, 0xd5, 0xe2];
