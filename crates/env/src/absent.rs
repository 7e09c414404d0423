//! What SPDK's programs for the NVMe host link and this library does not have: keys, sockets, trace points and the
//! application framework.
//!
//! Each function does what is true without the thing: a keyring that is empty, a list of socket implementations that is empty.
//! Where a program wants it to be there, it gets an error, and a log line names what was asked for.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

use crate::cstr;
use crate::log::{LogLevel, error};

/// `struct spdk_key`, of which there is none.
#[repr(C)]
pub struct Key {
    _none: [u8; 0],
}

/// `struct spdk_keyring`, of which there is none.
#[repr(C)]
pub struct Keyring {
    _none: [u8; 0],
}

/// `struct spdk_sock_impl_opts`, which nobody reads or writes here.
#[repr(C)]
pub struct SockImplOpts {
    _unread: [u8; 0],
}

pub(crate) type ForEachKey = Option<unsafe extern "C" fn(ctx: *mut c_void, key: *mut Key)>;

/// `struct spdk_app_opts`.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct AppOpts {
    name: *const c_char,
    json_config_file: *const c_char,
    json_config_ignore_errors: bool,
    reserved17: [u8; 7],
    rpc_addr: *const c_char,
    reactor_mask: *const c_char,
    tpoint_group_mask: *const c_char,
    shm_id: c_int,
    reserved52: [u8; 4],
    shutdown_cb: usize,
    enable_coredump: bool,
    reserved65: [u8; 3],
    mem_channel: c_int,
    main_core: c_int,
    mem_size: c_int,
    no_pci: bool,
    hugepage_single_segments: bool,
    unlink_hugepage: bool,
    no_huge: bool,
    reserved84: [u8; 4],
    hugedir: *const c_char,
    print_level: LogLevel,
    reserved100: [u8; 4],
    num_pci_addr: usize,
    pci_blocked: *mut c_void,
    pci_allowed: *mut c_void,
    iova_mode: *const c_char,
    delay_subsystem_init: bool,
    reserved137: [u8; 7],
    num_entries: u64,
    env_context: *mut c_void,
    log: usize,
    base_virtaddr: u64,
    opts_size: usize,
    disable_signal_handlers: bool,
    interrupt_mode: bool,
    enforce_numa: bool,
    reserved187: u8,
    num_trace_threads: u32,
    msg_mempool_size: usize,
    rpc_allowlist: *mut *const c_char,
    vf_token: *const c_char,
    lcore_map: *const c_char,
    rpc_log_level: LogLevel,
    rpc_log_file: *mut c_void,
    json_data: *mut c_void,
    json_data_size: usize,
    disable_cpumask_locks: bool,
}

const _: () = assert!(size_of::<AppOpts>() == 253);

/// There is nothing to prepare.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_keyring_init() -> c_int {
    0
}

/// There is nothing to undo.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_keyring_cleanup() {}

/// No key has that name.
///
/// # Safety
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_keyring_get_key(name: *const c_char) -> *mut Key {
    // SAFETY: NULL or a string.
    let name = unsafe { text(name) };
    error!("no key {name}: this library has no keyring");
    null_mut()
}

/// There is no key to give back.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_keyring_put_key(_key: *mut Key) {}

/// There is no key.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_key_get_name(_key: *mut Key) -> *const c_char {
    std::ptr::null()
}

/// There is no key.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_key_get_key(_key: *mut Key, _buf: *mut c_void, _len: c_int) -> c_int {
    -libc::ENOKEY
}

/// There is no key.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_key_dup(_key: *mut Key) -> *mut Key {
    null_mut()
}

/// There is no key to call `fn` for.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_keyring_for_each_key(
    _keyring: *mut Keyring,
    _ctx: *mut c_void,
    _fn: ForEachKey,
    _flags: u32,
) {
}

/// There is no keyring to add a key to.
///
/// # Safety
/// Both are NULL or strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_keyring_file_add_key(name: *const c_char, path: *const c_char) -> c_int {
    // SAFETY: NULL or strings.
    let (name, path) = unsafe { (text(name), text(path)) };
    error!("key {name} of file {path} is not added: this library has no keyring");
    -libc::ENOTSUP
}

/// No key has that name.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_keyring_file_remove_key(_name: *const c_char) -> c_int {
    -libc::ENOKEY
}

/// There is no implementation of any name.
///
/// # Safety
/// `impl_name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_sock_set_default_impl(impl_name: *const c_char) -> c_int {
    // SAFETY: NULL or a string.
    unsafe { no_sockets("made the default", impl_name) }
}

/// There is no implementation.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_sock_get_default_impl() -> *const c_char {
    std::ptr::null()
}

/// There is no implementation of any name.
///
/// # Safety
/// `impl_name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_sock_impl_get_opts(
    impl_name: *const c_char,
    _opts: *mut SockImplOpts,
    _len: *mut usize,
) -> c_int {
    // SAFETY: NULL or a string.
    unsafe { no_sockets("asked for its options", impl_name) }
}

/// There is no implementation of any name.
///
/// # Safety
/// `impl_name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_sock_impl_set_opts(
    impl_name: *const c_char,
    _opts: *const SockImplOpts,
    _len: usize,
) -> c_int {
    // SAFETY: NULL or a string.
    unsafe { no_sockets("given options", impl_name) }
}

/// There are no trace points.
///
/// # Safety
/// `shm_name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_trace_init(
    shm_name: *const c_char,
    _num_entries: u64,
    _num_threads: u32,
) -> c_int {
    // SAFETY: NULL or a string.
    let name = unsafe { text(shm_name) };
    error!("no trace {name}: this library has no trace points");
    -libc::ENOTSUP
}

/// There is nothing to undo.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_trace_cleanup() {}

/// Without trace points there is nothing to do for a thread.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_trace_register_user_thread() -> c_int {
    0
}

/// Without trace points there is nothing to undo for a thread.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_trace_unregister_user_thread() -> c_int {
    0
}

/// There is no group.
///
/// # Safety
/// `group_name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_trace_enable_tpoint_group(group_name: *const c_char) -> c_int {
    // SAFETY: NULL or a string.
    unsafe { no_group("enabled", group_name) }
}

/// There is no group.
///
/// # Safety
/// `group_name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_trace_disable_tpoint_group(group_name: *const c_char) -> c_int {
    // SAFETY: NULL or a string.
    unsafe { no_group("disabled", group_name) }
}

/// There is no group.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_trace_create_tpoint_group_mask(_group_name: *const c_char) -> u64 {
    0
}

/// Says in a program's usage text what its option does.
///
/// # Safety
/// `f` is NULL or an open stream, `tmask_arg` NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_trace_mask_usage(f: *mut libc::FILE, tmask_arg: *const c_char) {
    // SAFETY: NULL or a string.
    let argument = unsafe { cstr::borrow(tmask_arg) }.map(CStr::to_string_lossy).unwrap_or_default();
    let line = format!(
        " {argument} <groups>               trace points, which this library does not have: an error\n"
    );
    // SAFETY: NULL or an open stream.
    unsafe { cstr::write_stream(f, line.as_bytes()) };
}

/// Zeros, but for the few options that have another number for "not given", and for what programs pass on.
///
/// # Safety
/// `opts` is NULL or writable for `opts_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_app_opts_init(opts: *mut AppOpts, opts_size: usize) {
    if opts.is_null() || opts_size == 0 {
        error!("spdk_app_opts_init: no options, or none of their bytes ({opts_size})");
        return;
    }
    // SAFETY: numbers, addresses that may be NULL and flags: all zeros are a value of each.
    let mut defaults: AppOpts = unsafe { std::mem::zeroed() };
    defaults.shm_id = -1;
    defaults.enable_coredump = true;
    defaults.mem_channel = -1;
    defaults.main_core = -1;
    defaults.mem_size = -1;
    defaults.print_level = LogLevel::INFO;
    defaults.num_entries = 32 * 1024;
    defaults.opts_size = opts_size;
    defaults.rpc_log_level = LogLevel::DISABLED;
    let known = opts_size.min(size_of::<AppOpts>());
    // SAFETY: writable for `opts_size` bytes; no more of the defaults than there are.
    unsafe {
        opts.cast::<u8>().write_bytes(0, opts_size);
        opts.cast::<u8>().copy_from_nonoverlapping((&raw const defaults).cast(), known);
    }
}

/// 0 if no trace points are asked for.
///
/// # Safety
/// `opts` is NULL or was initialised by [`spdk_app_opts_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_app_setup_trace(opts: *mut AppOpts) -> c_int {
    if opts.is_null() {
        error!("spdk_app_setup_trace: no options");
        return -1;
    }
    // SAFETY: initialised, and programs that know of trace points have options up to their threads.
    let mask = unsafe { cstr::borrow((&raw const (*opts).tpoint_group_mask).read_unaligned()) };
    match mask {
        Some(mask) if !mask.is_empty() => {
            error!("no trace points {}: this library has none", mask.to_string_lossy());
            -1
        }
        _ => 0,
    }
}

/// Programs of older releases expect the error in errno.
///
/// # Safety
/// `impl_name` is NULL or a string.
unsafe fn no_sockets(what: &str, impl_name: *const c_char) -> c_int {
    // SAFETY: NULL or a string.
    let name = unsafe { text(impl_name) };
    error!("socket implementation {name} cannot be {what}: this library has no sockets");
    cstr::set_errno(libc::EINVAL);
    -libc::EINVAL
}

/// # Safety
/// `group_name` is NULL or a string.
unsafe fn no_group(what: &str, group_name: *const c_char) -> c_int {
    // SAFETY: NULL or a string.
    let name = unsafe { text(group_name) };
    error!("trace group {name} cannot be {what}: this library has no trace points");
    -libc::ENOTSUP
}

/// A name for a log line.
///
/// # Safety
/// `name` is NULL or a string.
unsafe fn text(name: *const c_char) -> String {
    // SAFETY: NULL or a string.
    unsafe { cstr::borrow(name) }
        .map_or_else(|| "(NULL)".to_owned(), |name| format!("'{}'", name.to_string_lossy()))
}
