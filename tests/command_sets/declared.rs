//! What the tests call of the C face beside what `common/face.rs` declares.

#![allow(dead_code)]

use super::{Done, Handle, Next, Page, Reset};
use std::ffi::{c_char, c_int, c_void};

unsafe extern "C" {
    pub fn spdk_nvme_ctrlr_get_flags(controller: Handle) -> u64;
    pub fn spdk_nvme_ctrlr_format(controller: Handle, namespace: u32, format: *const u32) -> c_int;
    pub fn spdk_nvme_ctrlr_reconnect_io_qpair(qpair: Handle) -> c_int;
    pub fn spdk_nvme_ns_get_csi(ns: Handle) -> u32;
    pub fn spdk_nvme_ns_is_active(ns: Handle) -> bool;
    pub fn spdk_nvme_ns_get_sector_size(ns: Handle) -> u32;
    pub fn spdk_nvme_nvm_ns_get_data(ns: Handle) -> Page;
    pub fn spdk_nvme_zns_ctrlr_get_data(controller: Handle) -> Page;
    pub fn spdk_nvme_zns_ctrlr_get_max_zone_append_size(controller: Handle) -> u32;
    pub fn spdk_nvme_zns_ns_get_data(ns: Handle) -> Page;
    pub fn spdk_nvme_zns_ns_get_zone_size_sectors(ns: Handle) -> u64;
    pub fn spdk_nvme_zns_ns_get_zone_size(ns: Handle) -> u64;
    pub fn spdk_nvme_zns_ns_get_num_zones(ns: Handle) -> u64;
    pub fn spdk_nvme_zns_ns_get_max_open_zones(ns: Handle) -> u32;
    pub fn spdk_nvme_zns_ns_get_max_active_zones(ns: Handle) -> u32;
    pub fn spdk_nvme_zns_close_zone(
        n: Handle,
        q: Handle,
        slba: u64,
        all: bool,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_zns_finish_zone(
        n: Handle,
        q: Handle,
        slba: u64,
        all: bool,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_zns_open_zone(
        n: Handle,
        q: Handle,
        slba: u64,
        all: bool,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_zns_reset_zone(
        n: Handle,
        q: Handle,
        slba: u64,
        all: bool,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_zns_offline_zone(
        n: Handle,
        q: Handle,
        slba: u64,
        all: bool,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_zns_set_zone_desc_ext(
        n: Handle,
        q: Handle,
        slba: u64,
        b: *mut c_void,
        l: u32,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_zns_report_zones(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        l: u32,
        slba: u64,
        which: u32,
        partial: bool,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_zns_ext_report_zones(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        l: u32,
        slba: u64,
        which: u32,
        partial: bool,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_zns_zone_append(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        slba: u64,
        blocks: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
    ) -> c_int;
    pub fn spdk_nvme_zns_zone_append_with_md(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        m: *mut c_void,
        slba: u64,
        blocks: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
        mask: u16,
        tag: u16,
    ) -> c_int;
    pub fn spdk_nvme_zns_zone_appendv(
        n: Handle,
        q: Handle,
        slba: u64,
        blocks: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
        r: Option<Reset>,
        x: Option<Next>,
    ) -> c_int;
    pub fn spdk_nvme_zns_zone_appendv_with_md(
        n: Handle,
        q: Handle,
        slba: u64,
        blocks: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
        r: Option<Reset>,
        x: Option<Next>,
        m: *mut c_void,
        mask: u16,
        tag: u16,
    ) -> c_int;
    pub fn spdk_nvme_kv_ctrlr_get_data(controller: Handle) -> Page;
    pub fn spdk_nvme_kv_ns_get_data(ns: Handle) -> Page;
    pub fn spdk_nvme_kv_store(
        n: Handle,
        q: Handle,
        k: *const u8,
        kl: u8,
        v: *const c_void,
        vl: u32,
        d: Done,
        a: *mut c_void,
        o: u8,
    ) -> c_int;
    pub fn spdk_nvme_kv_retrieve(
        n: Handle,
        q: Handle,
        k: *const u8,
        kl: u8,
        v: *mut c_void,
        vl: u32,
        d: Done,
        a: *mut c_void,
        o: u8,
    ) -> c_int;
    pub fn spdk_nvme_kv_delete(n: Handle, q: Handle, k: *const u8, kl: u8, d: Done, a: *mut c_void) -> c_int;
    pub fn spdk_nvme_kv_exist(n: Handle, q: Handle, k: *const u8, kl: u8, d: Done, a: *mut c_void) -> c_int;
    pub fn spdk_nvme_kv_list(
        n: Handle,
        q: Handle,
        k: *const u8,
        kl: u8,
        b: *mut c_void,
        l: u32,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_ctrlr_is_ocssd_supported(controller: Handle) -> bool;
    pub fn spdk_nvme_ocssd_ctrlr_cmd_geometry(
        c: Handle,
        nsid: u32,
        b: *mut c_void,
        l: u32,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_ocssd_ns_cmd_vector_reset(
        n: Handle,
        q: Handle,
        l: *mut u64,
        c: u32,
        i: *mut c_void,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_ocssd_ns_cmd_vector_read(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        l: *mut u64,
        c: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
    ) -> c_int;
    pub fn spdk_nvme_ocssd_ns_cmd_vector_read_with_md(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        m: *mut c_void,
        l: *mut u64,
        c: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
    ) -> c_int;
    pub fn spdk_nvme_ocssd_ns_cmd_vector_write(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        l: *mut u64,
        c: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
    ) -> c_int;
    pub fn spdk_nvme_ocssd_ns_cmd_vector_write_with_md(
        n: Handle,
        q: Handle,
        b: *mut c_void,
        m: *mut c_void,
        l: *mut u64,
        c: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
    ) -> c_int;
    pub fn spdk_nvme_ocssd_ns_cmd_vector_copy(
        n: Handle,
        q: Handle,
        to: *mut u64,
        from: *mut u64,
        c: u32,
        d: Done,
        a: *mut c_void,
        f: u32,
    ) -> c_int;
    pub fn spdk_nvme_cuse_register(controller: Handle) -> c_int;
    pub fn spdk_nvme_cuse_unregister(controller: Handle) -> c_int;
    pub fn spdk_nvme_cuse_update_namespaces(controller: Handle);
    pub fn spdk_nvme_cuse_get_ctrlr_name(controller: Handle, name: *mut c_char, size: *mut usize) -> c_int;
    pub fn spdk_nvme_cuse_get_ns_name(
        controller: Handle,
        nsid: u32,
        name: *mut c_char,
        size: *mut usize,
    ) -> c_int;
    pub fn spdk_nvme_pcie_set_hotplug_filter(filter: *const c_void);
    pub fn spdk_nvme_ctrlr_map_cmb(controller: Handle, size: *mut usize) -> *mut c_void;
    pub fn spdk_nvme_ctrlr_map_pmr(controller: Handle, size: *mut usize) -> *mut c_void;
    pub fn spdk_nvme_ctrlr_reserve_cmb(controller: Handle) -> c_int;
    pub fn spdk_nvme_ctrlr_enable_pmr(controller: Handle) -> c_int;
    pub fn spdk_nvme_ctrlr_disable_pmr(controller: Handle) -> c_int;
    pub fn spdk_nvme_ctrlr_unmap_pmr(controller: Handle) -> c_int;
    pub fn spdk_nvme_ctrlr_read_boot_partition_start(
        controller: Handle,
        payload: *mut c_void,
        size: u32,
        offset: u32,
        id: u32,
    ) -> c_int;
    pub fn spdk_nvme_ctrlr_read_boot_partition_poll(controller: Handle) -> c_int;
    pub fn spdk_nvme_ctrlr_write_boot_partition(
        controller: Handle,
        payload: *mut c_void,
        size: u32,
        id: u32,
        d: Done,
        a: *mut c_void,
    ) -> c_int;
    pub fn spdk_opal_dev_construct(controller: Handle) -> *mut c_void;
    pub fn spdk_opal_dev_destruct(dev: *mut c_void);
    pub fn spdk_opal_get_d0_features_info(dev: *mut c_void) -> *mut c_void;
    pub fn spdk_opal_get_locking_range_info(dev: *mut c_void, id: u32) -> *mut c_void;
    pub fn spdk_opal_free_locking_range_info(dev: *mut c_void, id: u32);
    pub fn spdk_opal_cmd_take_ownership(dev: *mut c_void, password: *mut c_char) -> c_int;
    pub fn spdk_opal_cmd_lock_unlock(
        dev: *mut c_void,
        user: u32,
        flag: u32,
        range: u32,
        p: *const c_char,
    ) -> c_int;
    pub fn spdk_opal_cmd_setup_locking_range(
        dev: *mut c_void,
        user: u32,
        range: u32,
        start: u64,
        length: u64,
        p: *const c_char,
    ) -> c_int;
    pub fn spdk_opal_cmd_get_max_ranges(dev: *mut c_void, p: *const c_char) -> c_int;
    pub fn spdk_opal_cmd_get_locking_range_info(
        dev: *mut c_void,
        p: *const c_char,
        user: u32,
        range: u32,
    ) -> c_int;
    pub fn spdk_opal_cmd_enable_user(dev: *mut c_void, user: u32, p: *const c_char) -> c_int;
    pub fn spdk_opal_cmd_add_user_to_locking_range(
        dev: *mut c_void,
        user: u32,
        range: u32,
        flag: u32,
        p: *const c_char,
    ) -> c_int;
    pub fn spdk_opal_cmd_set_new_passwd(
        dev: *mut c_void,
        user: u32,
        new: *const c_char,
        old: *const c_char,
        new_user: bool,
    ) -> c_int;
    pub fn spdk_opal_cmd_erase_locking_range(
        dev: *mut c_void,
        user: u32,
        range: u32,
        p: *const c_char,
    ) -> c_int;
    pub fn spdk_opal_cmd_secure_erase_locking_range(
        dev: *mut c_void,
        user: u32,
        range: u32,
        p: *const c_char,
    ) -> c_int;
    pub fn spdk_opal_cmd_activate_locking_sp(dev: *mut c_void, p: *const c_char) -> c_int;
    pub fn spdk_opal_cmd_revert_tper(dev: *mut c_void, p: *const c_char) -> c_int;
}
