//! What a program may ask of a poll group, and what it cannot wait for: queue pairs over RDMA are polled and have no descriptor.

use super::{
    entry::{entry, next},
    poll_group::PollGroup,
    types::{
        spdk_fd_group, spdk_nvme_disconnected_qpair_cb, spdk_nvme_poll_group,
        spdk_nvme_poll_group_interrupt_cb,
    },
};
use libc::{EAGAIN, EEXIST, EINVAL, EIO, c_int, c_void};
use std::ptr;

/// The context that the group was made with. NULL for a handle that is no poll group.
///
/// # Safety
///
/// group is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_get_ctx(group: *mut spdk_nvme_poll_group) -> *mut c_void {
    entry!(spdk_nvme_poll_group_get_ctx(group), PollGroup, group, ptr::null_mut(), |object| object.context())
}

/// Whether all queue pairs of the group are connected: 0, also if there are none; -EIO if one is disconnected, or was never connected;
/// else -EAGAIN, since one is on its way.
///
/// # Safety
///
/// group is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_all_connected(group: *mut spdk_nvme_poll_group) -> c_int {
    entry!(spdk_nvme_poll_group_all_connected(group), PollGroup as share, group, -EINVAL, |object| {
        let ours = match object.host().all_connected() {
            Some(true) => 0,
            Some(false) => -EAGAIN,
            None => -EIO,
        };
        let inner = object.inner();
        if ours == -EIO || inner.is_null() {
            return ours;
        }
        match next!(spdk_nvme_poll_group_all_connected(inner)).unwrap_or(0) {
            0 => ours,
            theirs => theirs,
        }
    })
}

/// There is nothing to wait for in a group of queue pairs over RDMA: -EINVAL.
///
/// # Safety
///
/// group is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_wait(
    group: *mut spdk_nvme_poll_group,
    disconnected_qpair_cb: spdk_nvme_disconnected_qpair_cb,
) -> c_int {
    entry!(spdk_nvme_poll_group_wait(group, disconnected_qpair_cb), PollGroup, group, -EINVAL, |_object| {
        -EINVAL
    })
}

/// The descriptor that a program could wait on for the group: there is none over RDMA, so -EINVAL.
///
/// # Safety
///
/// group is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_get_fd(group: *mut spdk_nvme_poll_group) -> c_int {
    entry!(spdk_nvme_poll_group_get_fd(group), PollGroup, group, -EINVAL, |_object| -EINVAL)
}

/// As spdk_nvme_poll_group_get_fd(): NULL.
///
/// # Safety
///
/// group is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_get_fd_group(
    group: *mut spdk_nvme_poll_group,
) -> *mut spdk_fd_group {
    entry!(spdk_nvme_poll_group_get_fd_group(group), PollGroup, group, ptr::null_mut(), |_object| {
        ptr::null_mut()
    })
}

/// Sets what would be called if the group had something to wait for; over RDMA it never is. Returns 0, or -EEXIST if another function was set
/// before and not taken away with NULL.
///
/// # Safety
///
/// group is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_set_interrupt_callback(
    group: *mut spdk_nvme_poll_group,
    cb_fn: spdk_nvme_poll_group_interrupt_cb,
    cb_ctx: *mut c_void,
) -> c_int {
    entry!(
        spdk_nvme_poll_group_set_interrupt_callback(group, cb_fn, cb_ctx),
        PollGroup,
        group,
        -EINVAL,
        |object| if object.set_interrupts(cb_fn.is_some()) { 0 } else { -EEXIST }
    )
}
