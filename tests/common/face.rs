//! The C face as a C program declares it, for tests that call it from Rust.

#![allow(dead_code)]

use std::{
    ffi::{CString, c_char, c_int, c_void},
    ptr::null_mut,
};

/// A handle.
pub type Handle = *mut c_void;
/// What runs when a command is done: the program's argument, and the completion's 16 bytes.
pub type Done = extern "C" fn(*mut c_void, *const [u8; 16]);

unsafe extern "C" {
    pub fn spdk_zmalloc(size: usize, align: usize, unused: *mut u64, id: c_int, flags: u32) -> *mut c_void;
    pub fn spdk_free(buffer: *mut c_void);
    pub fn spdk_nvme_transport_id_parse(id: *mut c_void, text: *const c_char) -> c_int;
    pub fn spdk_nvme_ctrlr_get_default_ctrlr_opts(options: *mut c_void, size: usize);
    pub fn spdk_nvme_connect(id: *const c_void, options: *const c_void, size: usize) -> Handle;
    pub fn spdk_nvme_detach(controller: Handle) -> c_int;
    pub fn spdk_nvme_detach_async(controller: Handle, context: *mut Handle) -> c_int;
    pub fn spdk_nvme_detach_poll_async(context: Handle) -> c_int;
    pub fn spdk_nvme_ctrlr_get_ns(controller: Handle, id: u32) -> Handle;
    pub fn spdk_nvme_ctrlr_process_admin_completions(controller: Handle) -> i32;
    pub fn spdk_nvme_ctrlr_alloc_io_qpair(controller: Handle, options: *const c_void, size: usize) -> Handle;
    pub fn spdk_nvme_ctrlr_connect_io_qpair(controller: Handle, qpair: Handle) -> c_int;
    pub fn spdk_nvme_ctrlr_disconnect_io_qpair(qpair: Handle);
    pub fn spdk_nvme_ctrlr_free_io_qpair(qpair: Handle) -> c_int;
    pub fn spdk_nvme_qpair_process_completions(qpair: Handle, most: u32) -> i32;
    pub fn spdk_nvme_qpair_is_connected(qpair: Handle) -> bool;
    pub fn spdk_nvme_ns_cmd_read(
        namespace: Handle,
        qpair: Handle,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
    ) -> c_int;
}

/// A transport id, or another structure of options: large enough for each, and aligned.
pub type Room = [u64; 512];

/// The transport id of a subsystem on this machine.
pub fn transport_id(nqn: &str, port: u16) -> Room {
    let text = format!("trtype:RDMA adrfam:IPv4 traddr:127.0.0.1 trsvcid:{port} subnqn:{nqn}");
    let text = CString::new(text).unwrap();
    let mut id = [0; 512];
    // SAFETY: the id has room for a transport id, and the text is a C string.
    assert_eq!(unsafe { spdk_nvme_transport_id_parse(id.as_mut_ptr().cast(), text.as_ptr()) }, 0);
    id
}

/// Where members of the controller options begin, and the size of all of them, as `tests/abi` compares them.
const KEEP_ALIVE_TIMEOUT_MS: usize = 16;
const HOSTNQN: usize = 28;
const OPTIONS: usize = 856;

/// Attaches the subsystem's controller for the host of that number: each host has a controller of its own. There are no
/// Keep Alives. NULL is a failure.
pub fn connect(nqn: &str, port: u16, host: u32) -> Handle {
    let id = transport_id(nqn, port);
    let mut options: Room = [0; 512];
    let name = CString::new(format!("nqn.2024-01.test:host-{host}")).unwrap();
    // SAFETY: the options have room for OPTIONS bytes; the host NQN lies within them with 224 bytes, the timeout with 4.
    unsafe {
        let options = options.as_mut_ptr().cast::<u8>();
        spdk_nvme_ctrlr_get_default_ctrlr_opts(options.cast(), OPTIONS);
        options.add(KEEP_ALIVE_TIMEOUT_MS).write_bytes(0, 4);
        let hostnqn = options.add(HOSTNQN);
        hostnqn.write_bytes(0, 224);
        hostnqn.copy_from_nonoverlapping(name.as_ptr().cast(), name.count_bytes());
        spdk_nvme_connect(id.as_ptr().cast(), options.cast(), OPTIONS)
    }
}

/// An I/O qpair with the default options, connected. NULL is a failure.
pub fn alloc(controller: Handle) -> Handle {
    // SAFETY: no options are given.
    unsafe { spdk_nvme_ctrlr_alloc_io_qpair(controller, null_mut(), 0) }
}
