//! What is not offered: the answer is EOPNOTSUPP, never the real library's function on an object that is not its own.

#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_uint, c_void};

use crate::carrier::sys;

/// A function that makes something: NULL, errno EOPNOTSUPP.
macro_rules! makes_nothing {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> *mut c_void {
            sys::set_errno(libc::EOPNOTSUPP);
            std::ptr::null_mut()
        }
    )*};
}

/// A verb: it returns EOPNOTSUPP itself.
macro_rules! returns_errno {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> c_int {
            sys::set_errno(libc::EOPNOTSUPP);
            libc::EOPNOTSUPP
        }
    )*};
}

/// A call of librdmacm: -1, errno EOPNOTSUPP.
macro_rules! returns_minus_one {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> c_int {
            sys::set_errno(libc::EOPNOTSUPP);
            -1
        }
    )*};
}

makes_nothing! {
    /// Address handles are for datagrams.
    ibv_create_ah;
    /// Address handles are for datagrams.
    ibv_create_ah_from_wc;
    /// There is no kernel device to import.
    ibv_import_device;
    /// There is no device memory.
    ibv_import_dm;
    /// Nothing can be shared between processes.
    ibv_import_mr;
    /// Nothing can be shared between processes.
    ibv_import_pd;
    /// There are no DMA buffers.
    ibv_reg_dmabuf_mr;
}

returns_errno! {
    /// Multicast is for datagrams.
    ibv_attach_mcast;
    /// Multicast is for datagrams.
    ibv_detach_mcast;
    /// Address handles are for datagrams.
    ibv_destroy_ah;
    /// Address handles are for datagrams.
    ibv_init_ah_from_wc;
    /// There are no vendor options to negotiate.
    ibv_query_ece;
    /// There are no vendor options to negotiate.
    ibv_set_ece;
    /// A region keeps what it was registered with.
    ibv_rereg_mr;
    /// There are no Ethernet addresses.
    ibv_resolve_eth_l2_from_gid;
}

returns_minus_one! {
    /// Multicast is for datagrams.
    rdma_join_multicast;
    /// Multicast is for datagrams.
    rdma_join_multicast_ex;
    /// Multicast is for datagrams.
    rdma_leave_multicast;
    /// There are no vendor options to negotiate.
    rdma_set_local_ece;
    /// There are no vendor options to negotiate.
    rdma_get_remote_ece;
    /// Extended shared receive queues are not offered.
    rdma_create_srq_ex;
}

/// Nothing was imported, so there is nothing to let go of.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_unimport_pd(_pd: *mut c_void) {}

/// As [`ibv_unimport_pd`].
#[unsafe(no_mangle)]
pub extern "C" fn ibv_unimport_mr(_mr: *mut c_void) {}

/// As [`ibv_unimport_pd`].
#[unsafe(no_mangle)]
pub extern "C" fn ibv_unimport_dm(_dm: *mut c_void) {}

/// Data of a message may arrive in any order of its bytes.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_query_qp_data_in_order(_qp: *mut c_void, _opcode: c_uint, _flags: u32) -> c_int {
    0
}

/// There is no kernel device behind this one, so there is nothing to read in sysfs.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_read_sysfs_file(
    _dir: *const c_char,
    _file: *const c_char,
    _buf: *mut c_char,
    _size: usize,
) -> c_int {
    sys::set_errno(libc::ENOENT);
    -1
}

/// Nothing needs to be kept from a child process, and nothing is.
#[unsafe(no_mangle)]
pub extern "C" fn ibv_is_fork_initialized() -> c_int {
    // IBV_FORK_UNNEEDED
    2
}
