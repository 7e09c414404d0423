//! Callbacks of the program, as the host carries them.

use super::types::{spdk_nvme_cmd_cb, spdk_nvme_cpl};
use crate::host;
use libc::c_void;
use std::{mem::transmute, ptr};

/// What the host carries of a callback. A program that gives no function is not called.
#[inline(always)]
pub(super) fn context(function: spdk_nvme_cmd_cb, argument: *mut c_void) -> host::Context {
    let function = function.map_or(ptr::null(), |function| function as *const ());
    host::Context { function, argument: argument.cast() }
}

/// Calls the program: the [`host::Upcall`] of each qpair.
pub(super) fn upcall(argument: *mut (), completion: &spec::Completion, function: *const ()) {
    // The host's completion and C's are the same 16 bytes.
    const {
        assert!(size_of::<spec::Completion>() == size_of::<spdk_nvme_cpl>());
        assert!(align_of::<spec::Completion>() >= align_of::<spdk_nvme_cpl>());
    }
    // SAFETY: `context` made it from a function of this type, and the host tells of nobody whose function is NULL.
    let function: unsafe extern "C" fn(*mut c_void, *const spdk_nvme_cpl) = unsafe { transmute(function) };
    // SAFETY: the program gave the function to be called with this argument and a completion. It returns; a C++
    // exception must not leave it, as with SPDK.
    unsafe { function(argument.cast(), ptr::from_ref(completion).cast()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::Status;

    #[test]
    fn a_completion_is_the_same_in_c() {
        unsafe extern "C" fn store(argument: *mut c_void, cpl: *const spdk_nvme_cpl) {
            // SAFETY: the test gives room for a completion.
            unsafe { argument.cast::<spdk_nvme_cpl>().write(cpl.read()) };
        }
        // SAFETY: a completion of zeros is a valid one.
        let mut seen: spdk_nvme_cpl = unsafe { std::mem::zeroed() };
        let target = context(Some(store), (&raw mut seen).cast());
        let completion = spec::Completion::new(7, 0x1234, Status(0x4281)).with_cdw0(0xdead_beef).with_sqhd(9);
        upcall(target.argument, &completion, target.function);
        assert_eq!((seen.cdw0, seen.sqhd, seen.sqid, seen.cid), (0xdead_beef, 9, 7, 0x1234));
        // SAFETY: both members of the union are the same two bytes.
        let status = unsafe { seen.__bindgen_anon_1.status };
        assert_eq!((status.sct(), status.sc(), status.dnr(), status.m(), status.p()), (2, 0x81, 1, 0, 0));
        assert!(context(None, ptr::null_mut()).function.is_null());
    }
}
