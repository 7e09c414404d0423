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
/// What the pieces of an I/O are asked with: from which byte of its data on.
pub type Reset = extern "C" fn(*mut c_void, u32);
/// The next piece: where it begins, and its bytes.
pub type Next = extern "C" fn(*mut c_void, *mut *mut c_void, *mut u32) -> c_int;
/// What [`spdk_nvme_probe`] asks with: its context, a transport id, and the options that the program may change.
pub type Probed = extern "C" fn(*mut c_void, *const c_void, *mut u8) -> bool;
/// What it tells of a controller: its context, the transport id, the controller, and its options.
pub type Attached = extern "C" fn(*mut c_void, *const c_void, Handle, *const u8);
/// What a poll group runs for a qpair that is disconnected: the qpair, and the group's context.
pub type Disconnected = extern "C" fn(Handle, *mut c_void);

unsafe extern "C" {
    pub fn spdk_zmalloc(size: usize, align: usize, unused: *mut u64, id: c_int, flags: u32) -> *mut c_void;
    pub fn spdk_free(buffer: *mut c_void);
    pub fn spdk_nvme_transport_id_parse(id: *mut c_void, text: *const c_char) -> c_int;
    pub fn spdk_nvme_ctrlr_get_default_ctrlr_opts(options: *mut c_void, size: usize);
    pub fn spdk_nvme_connect(id: *const c_void, options: *const c_void, size: usize) -> Handle;
    pub fn spdk_nvme_probe(
        id: *const c_void,
        context: *mut c_void,
        probed: Probed,
        attached: Attached,
        removed: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_detach(controller: Handle) -> c_int;
    pub fn spdk_nvme_detach_async(controller: Handle, context: *mut Handle) -> c_int;
    pub fn spdk_nvme_detach_poll_async(context: Handle) -> c_int;
    pub fn spdk_nvme_ctrlr_get_ns(controller: Handle, id: u32) -> Handle;
    pub fn spdk_nvme_ctrlr_process_admin_completions(controller: Handle) -> i32;
    pub fn spdk_nvme_ctrlr_reset(controller: Handle) -> c_int;
    pub fn spdk_nvme_ctrlr_cmd_get_feature(
        controller: Handle,
        feature: u8,
        cdw11: u32,
        payload: *mut c_void,
        size: u32,
        done: Done,
        argument: *mut c_void,
    ) -> c_int;
    pub fn spdk_nvme_ctrlr_update_firmware(
        controller: Handle,
        image: *const c_void,
        size: u32,
        slot: c_int,
        action: u32,
        status: *mut u16,
    ) -> c_int;
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
    pub fn spdk_nvme_ns_cmd_write(
        namespace: Handle,
        qpair: Handle,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_readv(
        namespace: Handle,
        qpair: Handle,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
        reset: Reset,
        next: Next,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_writev(
        namespace: Handle,
        qpair: Handle,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
        reset: Reset,
        next: Next,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_compare(
        namespace: Handle,
        qpair: Handle,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_comparev(
        namespace: Handle,
        qpair: Handle,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
        reset: Reset,
        next: Next,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_read_with_md(
        namespace: Handle,
        qpair: Handle,
        buffer: *mut c_void,
        metadata: *mut c_void,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
        apptag_mask: u16,
        apptag: u16,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_write_with_md(
        namespace: Handle,
        qpair: Handle,
        buffer: *mut c_void,
        metadata: *mut c_void,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
        apptag_mask: u16,
        apptag: u16,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_compare_with_md(
        namespace: Handle,
        qpair: Handle,
        buffer: *mut c_void,
        metadata: *mut c_void,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
        apptag_mask: u16,
        apptag: u16,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_readv_with_md(
        namespace: Handle,
        qpair: Handle,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
        reset: Reset,
        next: Next,
        metadata: *mut c_void,
        apptag_mask: u16,
        apptag: u16,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_writev_with_md(
        namespace: Handle,
        qpair: Handle,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
        reset: Reset,
        next: Next,
        metadata: *mut c_void,
        apptag_mask: u16,
        apptag: u16,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_comparev_with_md(
        namespace: Handle,
        qpair: Handle,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        flags: u32,
        reset: Reset,
        next: Next,
        metadata: *mut c_void,
        apptag_mask: u16,
        apptag: u16,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_read_ext(
        namespace: Handle,
        qpair: Handle,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        options: *const IoOptions,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_write_ext(
        namespace: Handle,
        qpair: Handle,
        buffer: *mut c_void,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        options: *const IoOptions,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_readv_ext(
        namespace: Handle,
        qpair: Handle,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        reset: Reset,
        next: Next,
        options: *const IoOptions,
    ) -> c_int;
    pub fn spdk_nvme_ns_cmd_writev_ext(
        namespace: Handle,
        qpair: Handle,
        lba: u64,
        blocks: u32,
        done: Done,
        argument: *mut c_void,
        reset: Reset,
        next: Next,
        options: *const IoOptions,
    ) -> c_int;
    pub fn spdk_nvme_ctrlr_get_default_io_qpair_opts(controller: Handle, options: *mut c_void, size: usize);
    pub fn spdk_nvme_poll_group_create(context: *mut c_void, table: *mut c_void) -> Handle;
    pub fn spdk_nvme_poll_group_destroy(group: Handle) -> c_int;
    pub fn spdk_nvme_poll_group_add(group: Handle, qpair: Handle) -> c_int;
    pub fn spdk_nvme_poll_group_remove(group: Handle, qpair: Handle) -> c_int;
    pub fn spdk_nvme_poll_group_process_completions(group: Handle, most: u32, ended: Disconnected) -> i64;
}

/// The options of an I/O, as the ABI has them (`tests/abi` compares the library's own).
#[repr(C)]
pub struct IoOptions {
    pub size: usize,
    pub memory_domain: *mut c_void,
    pub memory_domain_ctx: *mut c_void,
    pub io_flags: u32,
    pub reserved: [u8; 4],
    pub metadata: *mut c_void,
    pub apptag_mask: u16,
    pub apptag: u16,
    pub cdw13: u32,
    pub accel_sequence: *mut c_void,
}

/// A transport id, or another structure of options: large enough for each, and aligned.
pub type Room = [u64; 512];

/// The transport id of a subsystem on this machine.
pub fn transport_id(nqn: &str, port: u16) -> Room {
    transport_id_at(nqn, "127.0.0.1", port)
}

/// As [`transport_id`], of another address.
pub fn transport_id_at(nqn: &str, address: &str, port: u16) -> Room {
    let text = format!("trtype:RDMA adrfam:IPv4 traddr:{address} trsvcid:{port} subnqn:{nqn}");
    let text = CString::new(text).unwrap();
    let mut id = [0; 512];
    // SAFETY: the id has room for a transport id, and the text is a C string.
    assert_eq!(unsafe { spdk_nvme_transport_id_parse(id.as_mut_ptr().cast(), text.as_ptr()) }, 0);
    id
}

/// Where members of the controller options begin, and the size of all of them, as `tests/abi` compares them.
pub const ENABLE_INTERRUPTS: usize = 6;
pub const KEEP_ALIVE_TIMEOUT_MS: usize = 16;
pub const HOSTNQN: usize = 28;
const ADMIN_TIMEOUT_MS: usize = 576;
const FABRICS_CONNECT_TIMEOUT_US: usize = 600;
const OPTIONS: usize = 856;

/// Attaches the subsystem's controller for the host of that number: each host has a controller of its own. There are no
/// Keep Alives. NULL is a failure.
pub fn connect(nqn: &str, port: u16, host: u32) -> Handle {
    connect_with(nqn, port, host, |_| {})
}

/// As [`connect`], with deadlines of `milliseconds` for admin commands and for Fabrics Connect, and a Keep Alive Timeout.
pub fn connect_within(nqn: &str, port: u16, host: u32, milliseconds: u32, keep_alive_ms: u32) -> Handle {
    connect_with(nqn, port, host, |options| {
        let timeout = u64::from(milliseconds) * 1000;
        // SAFETY: the members lie within the options; they need not be aligned.
        unsafe {
            options.add(ADMIN_TIMEOUT_MS).cast::<u32>().write_unaligned(milliseconds);
            options.add(FABRICS_CONNECT_TIMEOUT_US).cast::<u64>().write_unaligned(timeout);
            options.add(KEEP_ALIVE_TIMEOUT_MS).cast::<u32>().write_unaligned(keep_alive_ms);
        }
    })
}

/// `change` gets the options' OPTIONS bytes.
pub fn connect_with(nqn: &str, port: u16, host: u32, change: impl FnOnce(*mut u8)) -> Handle {
    connect_to(&transport_id(nqn, port), host, change)
}

/// As [`connect_with`], of a transport id.
pub fn connect_to(id: &Room, host: u32, change: impl FnOnce(*mut u8)) -> Handle {
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
        change(options);
        spdk_nvme_connect(id.as_ptr().cast(), options.cast(), OPTIONS)
    }
}

/// An I/O qpair with the default options, connected. NULL is a failure.
pub fn alloc(controller: Handle) -> Handle {
    // SAFETY: no options are given.
    unsafe { spdk_nvme_ctrlr_alloc_io_qpair(controller, null_mut(), 0) }
}

/// Where members of an I/O qpair's options begin, and the size of all of them.
const IO_QUEUE_SIZE: usize = 4;
const IO_QUEUE_REQUESTS: usize = 8;
const DELAY_CMD_SUBMIT: usize = 12;
const CREATE_ONLY: usize = 64;
const ASYNC_MODE: usize = 65;
const IO_QPAIR_OPTIONS: usize = 72;

/// Options of an I/O qpair.
#[derive(Debug, Clone, Copy)]
pub struct QpairOptions {
    pub queue_size: u32,
    pub requests: u32,
    pub delay_submit: bool,
    pub create_only: bool,
    pub asynchronous: bool,
}

/// An I/O qpair with these options, but for a queue that is larger than what it would get by itself. NULL is a failure.
pub fn alloc_with(controller: Handle, of: QpairOptions) -> Handle {
    let mut options: Room = [0; 512];
    // SAFETY: the options have room for IO_QPAIR_OPTIONS bytes, and their members lie within; they need not be aligned.
    unsafe {
        let options = options.as_mut_ptr().cast::<u8>();
        spdk_nvme_ctrlr_get_default_io_qpair_opts(controller, options.cast(), IO_QPAIR_OPTIONS);
        let queue_size = options.add(IO_QUEUE_SIZE).cast::<u32>();
        queue_size.write_unaligned(of.queue_size.min(queue_size.read_unaligned()));
        options.add(IO_QUEUE_REQUESTS).cast::<u32>().write_unaligned(of.requests);
        options.add(DELAY_CMD_SUBMIT).write(of.delay_submit.into());
        options.add(CREATE_ONLY).write(of.create_only.into());
        options.add(ASYNC_MODE).write(of.asynchronous.into());
        spdk_nvme_ctrlr_alloc_io_qpair(controller, options.cast(), IO_QPAIR_OPTIONS)
    }
}
