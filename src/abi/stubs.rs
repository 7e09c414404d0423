//! The entry points that are not there yet, as `stub.rs` has them. Generated from `entry_points.toml` and what was
//! measured of SPDK's prototypes: `NVME_RDMA_UPDATE_STUBS=1 cargo test --test entry_points` writes it anew.

#![allow(clippy::too_many_arguments, clippy::missing_safety_doc)] // the arguments are SPDK's, and what is to be said of them, too

use super::stub::{Pointer, stub};
use libc::c_int;
use std::ptr;

stub!(
    spdk_nvme_ctrlr_authenticate(a1: Pointer, a2: Pointer, a3: Pointer) -> c_int,
    handles(a1),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_ctrlr_set_keys(a1: Pointer, a2: Pointer) -> c_int,
    handles(a1),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_cuse_get_ctrlr_name(a1: Pointer, a2: Pointer, a3: Pointer) -> c_int,
    handles(a1),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_cuse_get_ns_name(a1: Pointer, a2: u32, a3: Pointer, a4: Pointer) -> c_int,
    handles(a1),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_cuse_register(a1: Pointer) -> c_int,
    handles(a1),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_cuse_unregister(a1: Pointer) -> c_int,
    handles(a1),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_cuse_update_namespaces(a1: Pointer) -> (),
    handles(a1),
    ()
);

stub!(
    spdk_nvme_dhchap_calculate(a1: Pointer, a2: u32, a3: Pointer, a4: u32, a5: u16, a6: u8,
        a7: Pointer, a8: Pointer, a9: Pointer, a10: u64, a11: Pointer,
        a12: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_dhchap_dhkey_derive_secret(a1: Pointer, a2: Pointer, a3: u64, a4: Pointer, a5: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_dhchap_dhkey_free(a1: Pointer) -> (),
    nothing(),
    ()
);

stub!(
    spdk_nvme_dhchap_dhkey_get_pubkey(a1: Pointer, a2: Pointer, a3: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_dhchap_generate_dhkey(a1: u32) -> Pointer,
    nothing(),
    ptr::null_mut()
);

stub!(
    spdk_nvme_kv_ctrlr_get_data(a1: Pointer) -> Pointer,
    handles(a1),
    ptr::null_mut()
);

stub!(
    spdk_nvme_kv_delete(a1: Pointer, a2: Pointer, a3: Pointer, a4: u8, a5: Pointer,
        a6: Pointer) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_kv_exist(a1: Pointer, a2: Pointer, a3: Pointer, a4: u8, a5: Pointer,
        a6: Pointer) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_kv_list(a1: Pointer, a2: Pointer, a3: Pointer, a4: u8, a5: Pointer,
        a6: u32, a7: Pointer, a8: Pointer) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_kv_ns_get_data(a1: Pointer) -> Pointer,
    handles(a1),
    ptr::null_mut()
);

stub!(
    spdk_nvme_kv_retrieve(a1: Pointer, a2: Pointer, a3: Pointer, a4: u8, a5: Pointer,
        a6: u32, a7: Pointer, a8: Pointer, a9: u8) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_kv_store(a1: Pointer, a2: Pointer, a3: Pointer, a4: u8, a5: Pointer,
        a6: u32, a7: Pointer, a8: Pointer, a9: u8) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_ocssd_ctrlr_cmd_geometry(a1: Pointer, a2: u32, a3: Pointer, a4: u32, a5: Pointer,
        a6: Pointer) -> c_int,
    handles(a1),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_ocssd_ns_cmd_vector_copy(a1: Pointer, a2: Pointer, a3: Pointer, a4: Pointer, a5: u32,
        a6: Pointer, a7: Pointer, a8: u32) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_ocssd_ns_cmd_vector_read(a1: Pointer, a2: Pointer, a3: Pointer, a4: Pointer, a5: u32,
        a6: Pointer, a7: Pointer, a8: u32) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_ocssd_ns_cmd_vector_read_with_md(a1: Pointer, a2: Pointer, a3: Pointer, a4: Pointer,
        a5: Pointer, a6: u32, a7: Pointer, a8: Pointer, a9: u32) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_ocssd_ns_cmd_vector_reset(a1: Pointer, a2: Pointer, a3: Pointer, a4: u32, a5: Pointer,
        a6: Pointer, a7: Pointer) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_ocssd_ns_cmd_vector_write(a1: Pointer, a2: Pointer, a3: Pointer, a4: Pointer, a5: u32,
        a6: Pointer, a7: Pointer, a8: u32) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_ocssd_ns_cmd_vector_write_with_md(a1: Pointer, a2: Pointer, a3: Pointer, a4: Pointer,
        a5: Pointer, a6: u32, a7: Pointer, a8: Pointer, a9: u32) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_pcie_set_hotplug_filter(a1: Pointer) -> (),
    nothing(),
    ()
);

stub!(
    spdk_nvme_qpair_authenticate(a1: Pointer, a2: Pointer, a3: Pointer) -> c_int,
    handles(a1),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_zns_close_zone(a1: Pointer, a2: Pointer, a3: u64, a4: u8, a5: Pointer,
        a6: Pointer) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_zns_ctrlr_get_max_zone_append_size(a1: Pointer) -> u32,
    handles(a1),
    0
);

stub!(
    spdk_nvme_zns_ext_report_zones(a1: Pointer, a2: Pointer, a3: Pointer, a4: u32, a5: u64,
        a6: u32, a7: u8, a8: Pointer, a9: Pointer) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_zns_finish_zone(a1: Pointer, a2: Pointer, a3: u64, a4: u8, a5: Pointer,
        a6: Pointer) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_zns_ns_get_max_active_zones(a1: Pointer) -> u32,
    handles(a1),
    0
);

stub!(
    spdk_nvme_zns_ns_get_max_open_zones(a1: Pointer) -> u32,
    handles(a1),
    0
);

stub!(
    spdk_nvme_zns_ns_get_num_zones(a1: Pointer) -> u64,
    handles(a1),
    0
);

stub!(
    spdk_nvme_zns_ns_get_zone_size(a1: Pointer) -> u64,
    handles(a1),
    0
);

stub!(
    spdk_nvme_zns_ns_get_zone_size_sectors(a1: Pointer) -> u64,
    handles(a1),
    0
);

stub!(
    spdk_nvme_zns_offline_zone(a1: Pointer, a2: Pointer, a3: u64, a4: u8, a5: Pointer,
        a6: Pointer) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_zns_open_zone(a1: Pointer, a2: Pointer, a3: u64, a4: u8, a5: Pointer,
        a6: Pointer) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_zns_report_zones(a1: Pointer, a2: Pointer, a3: Pointer, a4: u32, a5: u64,
        a6: u32, a7: u8, a8: Pointer, a9: Pointer) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_zns_set_zone_desc_ext(a1: Pointer, a2: Pointer, a3: u64, a4: Pointer, a5: u32,
        a6: Pointer, a7: Pointer) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_zns_zone_append(a1: Pointer, a2: Pointer, a3: Pointer, a4: u64, a5: u32,
        a6: Pointer, a7: Pointer, a8: u32) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_zns_zone_append_with_md(a1: Pointer, a2: Pointer, a3: Pointer, a4: Pointer, a5: u64,
        a6: u32, a7: Pointer, a8: Pointer, a9: u32, a10: u16, a11: u16) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_zns_zone_appendv(a1: Pointer, a2: Pointer, a3: u64, a4: u32, a5: Pointer,
        a6: Pointer, a7: u32, a8: Pointer, a9: Pointer) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_nvme_zns_zone_appendv_with_md(a1: Pointer, a2: Pointer, a3: u64, a4: u32, a5: Pointer,
        a6: Pointer, a7: u32, a8: Pointer, a9: Pointer, a10: Pointer,
        a11: u16, a12: u16) -> c_int,
    handles(a1, a2),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_cmd_activate_locking_sp(a1: Pointer, a2: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_cmd_add_user_to_locking_range(a1: Pointer, a2: u32, a3: u32, a4: u32, a5: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_cmd_enable_user(a1: Pointer, a2: u32, a3: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_cmd_erase_locking_range(a1: Pointer, a2: u32, a3: u32, a4: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_cmd_get_locking_range_info(a1: Pointer, a2: Pointer, a3: u32, a4: u32) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_cmd_get_max_ranges(a1: Pointer, a2: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_cmd_lock_unlock(a1: Pointer, a2: u32, a3: u32, a4: u32, a5: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_cmd_revert_tper(a1: Pointer, a2: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_cmd_secure_erase_locking_range(a1: Pointer, a2: u32, a3: u32, a4: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_cmd_set_new_passwd(a1: Pointer, a2: u32, a3: Pointer, a4: Pointer, a5: u8) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_cmd_setup_locking_range(a1: Pointer, a2: u32, a3: u32, a4: u64, a5: u64, a6: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_cmd_take_ownership(a1: Pointer, a2: Pointer) -> c_int,
    nothing(),
    -libc::ENOTSUP
);

stub!(
    spdk_opal_dev_construct(a1: Pointer) -> Pointer,
    handles(a1),
    ptr::null_mut()
);

stub!(
    spdk_opal_dev_destruct(a1: Pointer) -> (),
    nothing(),
    ()
);

stub!(
    spdk_opal_free_locking_range_info(a1: Pointer, a2: u32) -> (),
    nothing(),
    ()
);

stub!(
    spdk_opal_get_d0_features_info(a1: Pointer) -> Pointer,
    nothing(),
    ptr::null_mut()
);

stub!(
    spdk_opal_get_locking_range_info(a1: Pointer, a2: u32) -> Pointer,
    nothing(),
    ptr::null_mut()
);

