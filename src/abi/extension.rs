//! What this library has beyond SPDK's API.

use super::{entry::guard_plain, env};
use libc::c_void;

/// Sets what is called once in each turn of the library's own waits: connecting, freeing a queue pair, detaching.
///
/// A program that holds a target beside the host on one thread polls the target there. hook may be NULL, for none; it
/// is called on the thread that waits, with arg, and must not call into the host.
///
/// # Safety
///
/// hook can be called with arg until another hook is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_rdma_set_wait_hook(
    hook: Option<unsafe extern "C" fn(arg: *mut c_void)>,
    arg: *mut c_void,
) {
    guard_plain("spdk_nvme_rdma_set_wait_hook", (), || env::set_wait_hook(hook, arg));
}
