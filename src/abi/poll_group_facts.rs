//! What a program may ask of a poll group, and what it can wait for: queue pairs over RDMA are polled and have no descriptor, so that is
//! what the next library's group has, for queue pairs over other transports.

use super::{
    entry::{entry, next},
    poll_group::{Interrupts, PollGroup},
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

/// Waits for the queue pairs of another library in the group, as that library does. There is nothing to wait for in queue pairs over
/// RDMA: -EINVAL if the group has any, or none of either kind; and without disconnected_qpair_cb.
///
/// # Safety
///
/// group is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_wait(
    group: *mut spdk_nvme_poll_group,
    disconnected_qpair_cb: spdk_nvme_disconnected_qpair_cb,
) -> c_int {
    entry!(
        spdk_nvme_poll_group_wait(group, disconnected_qpair_cb),
        PollGroup as share,
        group,
        -EINVAL,
        |object| {
            let inner = object.inner();
            if inner.is_null() || !object.host().is_empty() || disconnected_qpair_cb.is_none() {
                return -EINVAL;
            }
            next!(spdk_nvme_poll_group_wait(inner, disconnected_qpair_cb)).unwrap_or(-EINVAL)
        }
    )
}

/// The descriptor that a program can wait on for queue pairs of another library in the group, as that library gives it. There is none over
/// RDMA: -EINVAL where there is no such library.
///
/// # Safety
///
/// group is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_get_fd(group: *mut spdk_nvme_poll_group) -> c_int {
    entry!(spdk_nvme_poll_group_get_fd(group), PollGroup as share, group, -EINVAL, |object| {
        let inner = object.inner_or_made();
        if inner.is_null() {
            return -EINVAL;
        }
        next!(spdk_nvme_poll_group_get_fd(inner)).unwrap_or(-EINVAL)
    })
}

/// As spdk_nvme_poll_group_get_fd(), or NULL.
///
/// # Safety
///
/// group is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_get_fd_group(
    group: *mut spdk_nvme_poll_group,
) -> *mut spdk_fd_group {
    entry!(spdk_nvme_poll_group_get_fd_group(group), PollGroup as share, group, ptr::null_mut(), |object| {
        let inner = object.inner_or_made();
        if inner.is_null() {
            return ptr::null_mut();
        }
        next!(spdk_nvme_poll_group_get_fd_group(inner)).unwrap_or(ptr::null_mut())
    })
}

/// Sets what is called when queue pairs of another library in the group have something to do; over RDMA it never is. Returns 0, or -EEXIST if
/// another function was set before and not taken away with NULL.
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
        PollGroup as share,
        group,
        -EINVAL,
        |object| {
            object.inner_or_made();
            if !object.set_interrupts(cb_fn.map(|function| Interrupts { function, group, argument: cb_ctx }))
            {
                return -EEXIST;
            }
            let rc = hand_on_interrupts(&object);
            if rc != 0 {
                object.set_interrupts(None);
            }
            rc
        }
    )
}

/// Sets with the next library's group, if there is one, what the program has set with ours. What that library answered.
pub(super) fn hand_on_interrupts(object: &PollGroup) -> c_int {
    let inner = object.inner();
    if inner.is_null() {
        return 0;
    }
    // The program knows the group by our handle, which that library never sees.
    let function: spdk_nvme_poll_group_interrupt_cb =
        object.interrupts().map(|_| interrupt as unsafe extern "C" fn(_, _));
    let object = ptr::from_ref(object).cast_mut().cast::<c_void>();
    next!(spdk_nvme_poll_group_set_interrupt_callback(inner, function, object)).unwrap_or(0)
}

/// The next library's group has something to do: the program hears of it by the handle that it knows.
///
/// # Safety
///
/// Called by the next library for its group in the group `object`, which outlives it.
unsafe extern "C" fn interrupt(_inner: *mut spdk_nvme_poll_group, object: *mut c_void) {
    // SAFETY: the next library's group is destroyed before the object that it is in. The copy is all that is used once the program's
    // function may have ended both.
    let interrupts = unsafe { (*object.cast::<PollGroup>()).interrupts() };
    if let Some(Interrupts { function, group, argument }) = interrupts {
        // SAFETY: the program gave the function to be called with its group and this argument.
        unsafe { function(group, argument) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::handles::{Found, find};
    use crate::abi::poll_group::{spdk_nvme_poll_group_create, spdk_nvme_poll_group_destroy};
    use std::cell::Cell;

    thread_local! {
        static HEARD: Cell<(*mut spdk_nvme_poll_group, *mut c_void)> =
            const { Cell::new((ptr::null_mut(), ptr::null_mut())) };
    }

    /// Ends the group, as a program may.
    unsafe extern "C" fn hear(group: *mut spdk_nvme_poll_group, argument: *mut c_void) {
        HEARD.set((group, argument));
        // SAFETY: it is used on this thread alone.
        assert_eq!(unsafe { spdk_nvme_poll_group_destroy(group) }, 0);
    }

    #[test]
    fn a_program_hears_of_an_interrupt_by_the_handle_that_it_knows() {
        let mut argument = 0_u8;
        let argument = (&raw mut argument).cast();
        // SAFETY: the group is used on this thread alone, and interrupt() gets what the next library would.
        unsafe {
            let group = spdk_nvme_poll_group_create(ptr::null_mut(), ptr::null_mut());
            let Found::Ours(object) = find::<PollGroup>(group) else { panic!("no group") };
            let of_it = ptr::from_ref(object).cast_mut().cast();
            interrupt(ptr::null_mut(), of_it);
            assert!(HEARD.get().0.is_null(), "there is no function yet");
            assert_eq!(spdk_nvme_poll_group_set_interrupt_callback(group, Some(hear), argument), 0);
            interrupt(ptr::null_mut(), of_it);
            assert_eq!(HEARD.get(), (group, argument));
        }
    }
}
