//! Transports: which there are, and options for all controllers.
//!
//! This library has RDMA. What else there is, the next library in the process has; options are for both.

use super::{
    entry::{guard_plain, next, pass_on_if_disabled},
    error::invalid,
    options::{read, write},
    text::c_bytes,
    transport_id::name,
    types::{spdk_nvme_transport_ops, spdk_nvme_transport_opts, spdk_nvme_transport_type},
};
use crate::transport;
use libc::{EINVAL, c_char, c_int, size_t};
use parking_lot::Mutex;
use spec::printable;
use std::{mem::offset_of, ptr::addr_of, time::Duration};

/// The options as they are now. `opts_size` is of no meaning here.
static OPTIONS: Mutex<spdk_nvme_transport_opts> = Mutex::new(spdk_nvme_transport_opts {
    rdma_srq_size: 0,
    reserved4: [0; 4],
    opts_size: 0,
    rdma_max_cq_size: 0,
    rdma_cm_event_timeout_ms: 1000,
    rdma_umr_per_io: 0,
    reserved23: 0,
    tcp_connect_timeout_ms: 0,
});

/// Bytes of a program's struct from where on its own size is known.
const WITH_SIZE: usize = offset_of!(spdk_nvme_transport_opts, rdma_max_cq_size);
/// The room that the name has at the beginning of what a transport consists of.
const NAME: usize = 33;

/// How long an event of the connection manager may be waited for.
pub(super) fn cm_timeout() -> Duration {
    Duration::from_millis(u64::from(OPTIONS.lock().rdma_cm_event_timeout_ms))
}

/// Gets the options of the transports, as far as they lie within opts_size bytes. What is of other transports than RDMA comes from the
/// next library, if there is one.
///
/// # Safety
///
/// opts is NULL or has opts_size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_transport_get_opts(
    opts: *mut spdk_nvme_transport_opts,
    opts_size: size_t,
) {
    pass_on_if_disabled!(spdk_nvme_transport_get_opts(opts, opts_size));
    guard_plain("spdk_nvme_transport_get_opts", (), || {
        if opts.is_null() || opts_size == 0 {
            let _ =
                invalid(format!("spdk_nvme_transport_get_opts: options of {opts_size} bytes at {opts:p}"));
            return;
        }
        let mut own = *OPTIONS.lock();
        own.opts_size = opts_size;
        if next!(spdk_nvme_transport_get_opts(opts, opts_size)).is_some() {
            let mut theirs = own;
            // SAFETY: the caller vouches for the struct, which the next library has filled.
            unsafe { read(&mut theirs, opts, opts_size) };
            own.tcp_connect_timeout_ms = theirs.tcp_connect_timeout_ms;
        }
        // SAFETY: the caller vouches for the struct.
        unsafe { write(&own, opts, opts_size) };
    });
}

/// Sets the options of the transports, as far as they lie within both opts_size and the struct's own size; the next library gets them, too.
/// They are for what is made from then on: rdma_cm_event_timeout_ms for controllers that are attached, rdma_max_cq_size for the completion
/// queues of poll groups, rdma_srq_size for receives that the members of a poll group share on each device (65535 at most; 0: each has
/// its own).
///
/// Returns 0, or -EINVAL if opts is NULL, opts_size 0, or a value out of its range; nothing is set then.
///
/// # Safety
///
/// opts is NULL or has opts_size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_transport_set_opts(
    opts: *const spdk_nvme_transport_opts,
    opts_size: size_t,
) -> c_int {
    pass_on_if_disabled!(spdk_nvme_transport_set_opts(opts, opts_size));
    guard_plain("spdk_nvme_transport_set_opts", -EINVAL, || {
        if opts.is_null() || opts_size == 0 {
            return invalid(format!(
                "spdk_nvme_transport_set_opts: options of {opts_size} bytes at {opts:p}"
            ));
        }
        let size = match opts_size {
            // SAFETY: the caller vouches for the struct, in which its size lies whole.
            WITH_SIZE.. => opts_size.min(unsafe { addr_of!((*opts).opts_size).read_unaligned() }),
            opts_size => opts_size,
        };
        let mut wanted = *OPTIONS.lock();
        // SAFETY: the caller vouches for the struct.
        unsafe { read(&mut wanted, opts, size) };
        if c_int::try_from(wanted.tcp_connect_timeout_ms).is_err() {
            let timeout = wanted.tcp_connect_timeout_ms;
            return invalid(format!("spdk_nvme_transport_set_opts: tcp_connect_timeout_ms is {timeout}"));
        }
        if let Some(rc) = next!(spdk_nvme_transport_set_opts(opts, opts_size)).filter(|rc| *rc != 0) {
            return rc;
        }
        transport::limit_group_queues(wanted.rdma_max_cq_size);
        transport::share_receives(wanted.rdma_srq_size);
        *OPTIONS.lock() = wanted;
        0
    })
}

/// Whether there is a transport of this type: RDMA, and what the next library has.
#[unsafe(no_mangle)]
pub extern "C" fn spdk_nvme_transport_available(trtype: spdk_nvme_transport_type) -> bool {
    pass_on_if_disabled!(spdk_nvme_transport_available(trtype));
    guard_plain("spdk_nvme_transport_available", false, || match trtype {
        spdk_nvme_transport_type::SPDK_NVME_TRANSPORT_RDMA => true,
        // SPDK looks for the type's name, and one without has none to look for.
        trtype if name(trtype).is_none() => false,
        trtype => next!(spdk_nvme_transport_available(trtype)).unwrap_or(false),
    })
}

/// As spdk_nvme_transport_available(), by the transport's name in any case. NULL is no transport.
///
/// # Safety
///
/// transport_name is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_transport_available_by_name(transport_name: *const c_char) -> bool {
    pass_on_if_disabled!(spdk_nvme_transport_available_by_name(transport_name));
    guard_plain("spdk_nvme_transport_available_by_name", false, || {
        // SAFETY: the caller vouches for the string.
        match unsafe { c_bytes(transport_name) } {
            None => false,
            Some(text) if text.eq_ignore_ascii_case(b"RDMA") => true,
            Some(_) => next!(spdk_nvme_transport_available_by_name(transport_name)).unwrap_or(false),
        }
    })
}

/// Brings another transport, for the next library. Without one there is nobody to use it, which is said in a line.
///
/// # Safety
///
/// ops is NULL or begins with the transport's name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_transport_register(ops: *const spdk_nvme_transport_ops) {
    // SPDK does this while libraries are loaded, when there is no place for log lines yet.
    if next!(spdk_nvme_transport_register(ops)).is_some() {
        return;
    }
    guard_plain("spdk_nvme_transport_register", (), || {
        // SAFETY: the caller vouches for the name, which is shorter than its room.
        let Some(room) = (unsafe { ops.cast::<[u8; NAME]>().as_ref() }) else {
            tracing::error!("spdk_nvme_transport_register: ops is NULL");
            return;
        };
        let text = String::from_utf8_lossy(room.split(|byte| *byte == 0).next().unwrap_or_default());
        tracing::error!("transport {}: there is no library here that could use it", printable(&text));
    });
}
