//! What is counted of a poll group.
//!
//! What must hold: the answer is one object, which holds whatever a program finds through it, and goes as a whole.

use super::{
    entry::{entry, next},
    error::{invalid, negated_errno},
    poll_group::PollGroup,
    types::{
        spdk_nvme_poll_group, spdk_nvme_poll_group_stat, spdk_nvme_rdma_device_stat,
        spdk_nvme_transport_poll_group_stat, spdk_nvme_transport_type,
    },
};
use crate::transport::DeviceStatistics;
use libc::{EINVAL, ENOTSUP, c_int};
use std::{ffi::CString, mem::zeroed, ptr, slice};

/// What a program gets.
#[repr(C)]
struct Statistics {
    /// What it knows of that: first, so that its address is that of the whole.
    known: spdk_nvme_poll_group_stat,
    transports: Vec<*mut spdk_nvme_transport_poll_group_stat>,
    own: spdk_nvme_transport_poll_group_stat,
    devices: Vec<spdk_nvme_rdma_device_stat>,
    _names: Vec<CString>,
    /// What the next library counted of its own, which is that library's to free; or NULL.
    theirs: *mut spdk_nvme_poll_group_stat,
}

impl Statistics {
    /// Of what this library counted, if that is something, and of what the next one did, if that is.
    ///
    /// # Safety
    /// What is theirs is NULL, or what the next library has made.
    unsafe fn new(own: Option<Vec<DeviceStatistics>>, theirs: *mut spdk_nvme_poll_group_stat) -> Box<Self> {
        let has_own = own.is_some();
        let own = own.unwrap_or_default();
        let names: Vec<CString> =
            own.iter().map(|device| CString::new(device.name.as_str()).unwrap_or_default()).collect();
        let devices = own.iter().zip(&names).map(|(device, name)| spdk_nvme_rdma_device_stat {
            name: name.as_ptr(),
            polls: device.polls,
            idle_polls: device.idle_polls,
            completions: device.completions,
            queued_requests: device.queued_requests,
            total_send_wrs: device.sends,
            send_doorbell_updates: device.send_doorbells,
            total_recv_wrs: device.receives,
            recv_doorbell_updates: device.receive_doorbells,
        });
        let devices: Vec<_> = devices.collect();
        // SAFETY: integers and pointers, for which zero is valid.
        let mut all = Box::new(unsafe {
            Self { known: zeroed(), transports: Vec::new(), own: zeroed(), devices, _names: names, theirs }
        });
        all.own.trtype = spdk_nvme_transport_type::SPDK_NVME_TRANSPORT_RDMA;
        let device_stats = if all.devices.is_empty() { ptr::null_mut() } else { all.devices.as_mut_ptr() };
        all.own.__bindgen_anon_1.rdma.num_devices = u32::try_from(all.devices.len()).unwrap_or(u32::MAX);
        all.own.__bindgen_anon_1.rdma.device_stats = device_stats;
        if has_own {
            let own = ptr::from_mut(&mut all.own);
            all.transports.push(own);
        }
        // SAFETY: the caller vouches for what is theirs.
        if let Some(theirs) = unsafe { theirs.as_ref() }.filter(|theirs| !theirs.transport_stat.is_null()) {
            let count = usize::try_from(theirs.num_transports).unwrap_or(0);
            // SAFETY: as above: the array has so many entries.
            all.transports.extend_from_slice(unsafe { slice::from_raw_parts(theirs.transport_stat, count) });
        }
        all.known.num_transports = u32::try_from(all.transports.len()).unwrap_or(u32::MAX);
        all.known.transport_stat = all.transports.as_mut_ptr();
        all
    }
}

/// What was counted of a group: polls, completions, work requests and doorbells, for each device that its queue pairs are connected over,
/// as long as one is. Through *stats, which is to be given to spdk_nvme_poll_group_free_stats().
///
/// Returns 0, -ENOTSUP if the group never had a queue pair, -ENOMEM if there is no memory; *stats is not written then.
///
/// # Safety
///
/// group is a handle that no other thread uses. stats is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_get_stats(
    group: *mut spdk_nvme_poll_group,
    stats: *mut *mut spdk_nvme_poll_group_stat,
) -> c_int {
    entry!(spdk_nvme_poll_group_get_stats(group, stats), PollGroup, group, -EINVAL, |object| {
        if stats.is_null() {
            return invalid(String::from("spdk_nvme_poll_group_get_stats: stats is NULL"));
        }
        let own = match object.host().statistics() {
            Ok(own) => own,
            Err(error) => return negated_errno(&error),
        };
        let mut theirs: *mut spdk_nvme_poll_group_stat = ptr::null_mut();
        let inner = object.inner();
        if !inner.is_null() {
            let place = &raw mut theirs;
            match next!(spdk_nvme_poll_group_get_stats(inner, place)) {
                None | Some(0) => {}
                Some(rc) if rc == -ENOTSUP => theirs = ptr::null_mut(),
                Some(rc) => return rc,
            }
        }
        if own.is_none() && theirs.is_null() {
            return -ENOTSUP;
        }
        // SAFETY: theirs is what the next library has made just now, or NULL.
        let all = unsafe { Statistics::new(own, theirs) };
        // SAFETY: the caller vouches for the place.
        unsafe { stats.write(Box::into_raw(all).cast()) };
        0
    })
}

/// Frees what spdk_nvme_poll_group_get_stats() gave. NULL is nothing.
///
/// # Safety
///
/// group is a handle that no other thread uses. stat is NULL or what the other function gave for this group, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_poll_group_free_stats(
    group: *mut spdk_nvme_poll_group,
    stat: *mut spdk_nvme_poll_group_stat,
) {
    entry!(spdk_nvme_poll_group_free_stats(group, stat), PollGroup, group, (), |object| {
        if stat.is_null() {
            return;
        }
        // SAFETY: the caller vouches that it is what the other function made, and has not freed.
        let all = unsafe { Box::from_raw(stat.cast::<Statistics>()) };
        let (inner, theirs) = (object.inner(), all.theirs);
        if !theirs.is_null() && !inner.is_null() {
            let _ = next!(spdk_nvme_poll_group_free_stats(inner, theirs));
        }
    });
}
