//! What this library has beyond SPDK's API.

use super::{
    entry::{entry, guard_plain},
    env,
    qpair::Qpair,
    types::spdk_nvme_qpair,
};
use crate::transport::Ways;
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

/// Counts the commands of an I/O queue pair by the way in which their data were reached.
///
/// counts gets as many of these as it has room for, in this order; further ones may follow in other versions:
///
/// 0. used in place, each piece in memory that was registered in one call;
/// 1. used in place, across several registrations;
/// 2. not registered by the program, so registered for the length of the command;
/// 3. not registered, so copied through memory of this library's;
/// 4. refused: memory that is not there, or not writable for data that are read.
///
/// A command whose data went several ways counts for the last of them. What went the shortest way, as a read or write of memory that is
/// registered mostly does, is not counted. Returns how many counts there are; 0 for a handle that is no I/O queue pair of RDMA.
///
/// # Safety
///
/// qpair is a handle that no other thread uses. counts has room for that many, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_rdma_qpair_get_memory_counts(
    qpair: *mut spdk_nvme_qpair,
    counts: *mut u64,
    room: usize,
) -> usize {
    entry!(spdk_nvme_rdma_qpair_get_memory_counts(qpair, counts, room), Qpair, qpair, 0, |object| {
        let Ways { in_place, segments, on_demand, bounced, refused } = object.host().ways();
        let all = [in_place, segments, on_demand, bounced, refused];
        for (nth, count) in all.iter().enumerate().take(if counts.is_null() { 0 } else { room }) {
            // SAFETY: the caller vouches for the room, and this place is within it.
            unsafe { counts.wrapping_add(nth).write_unaligned(*count) };
        }
        all.len()
    })
}
