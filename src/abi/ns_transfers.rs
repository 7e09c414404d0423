//! Reads, writes and compares with more to them than blocks and a buffer: application tags, and the options of an I/O.
//!
//! For all of them: as `ns_blocks` has it. There are no metadata apart from the data over RDMA: where a namespace has them behind the
//! data of each block they are in the buffer, and a pointer to others is not looked at.

use super::{
    at_once::{sent_at_once, tags, with_whole_options},
    callback::context,
    error::{invalid, submission},
    ns::Ns,
    ns_cmd::on_namespace,
    qpair::Qpair,
    types::{spdk_nvme_cmd_cb, spdk_nvme_ns, spdk_nvme_ns_cmd_ext_io_opts, spdk_nvme_qpair},
};
use crate::host::{Data, Request, Transfer};
use libc::{c_int, c_void, iovec, size_t};
use std::{mem::offset_of, ptr, slice};

/// Sends a transfer; see the head of this file.
pub(super) fn send(
    qpair: &Qpair,
    ns: *mut spdk_nvme_ns,
    namespace: &Ns,
    request: Request,
    mut data: Data<'_>,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    // What the short way knows the namespace by.
    let name = ns.cast_const().cast();
    submission(qpair.host().transfer(name, namespace, &request, &mut data, context(cb_fn, cb_arg)))
}

/// The options of an I/O, up to the size that they say; those of NULL are zeros. An error value if they ask for what there is not: memory
/// domains, and sequences of accelerated operations.
///
/// # Safety
/// `opts` is NULL, or as many bytes as it says can be read.
pub(super) unsafe fn with_options(
    entry: &str,
    request: Request,
    opts: *const spdk_nvme_ns_cmd_ext_io_opts,
) -> Result<Request, c_int> {
    if opts.is_null() {
        return Ok(request);
    }
    // SAFETY: the size is the first member.
    let size: size_t = unsafe { ptr::addr_of!((*opts).size).read() };
    let mut known = spdk_nvme_ns_cmd_ext_io_opts {
        size,
        memory_domain: ptr::null_mut(),
        memory_domain_ctx: ptr::null_mut(),
        io_flags: 0,
        reserved28: [0; 4],
        metadata: ptr::null_mut(),
        apptag_mask: 0,
        apptag: 0,
        cdw13: 0,
        accel_sequence: ptr::null_mut(),
    };
    // The ends of the members, the last of which that the program knows.
    let ends = [
        offset_of!(spdk_nvme_ns_cmd_ext_io_opts, memory_domain),
        offset_of!(spdk_nvme_ns_cmd_ext_io_opts, memory_domain_ctx),
        offset_of!(spdk_nvme_ns_cmd_ext_io_opts, io_flags),
        offset_of!(spdk_nvme_ns_cmd_ext_io_opts, reserved28),
        offset_of!(spdk_nvme_ns_cmd_ext_io_opts, metadata),
        offset_of!(spdk_nvme_ns_cmd_ext_io_opts, apptag_mask),
        offset_of!(spdk_nvme_ns_cmd_ext_io_opts, apptag),
        offset_of!(spdk_nvme_ns_cmd_ext_io_opts, cdw13),
        offset_of!(spdk_nvme_ns_cmd_ext_io_opts, accel_sequence),
        size_of::<spdk_nvme_ns_cmd_ext_io_opts>(),
    ];
    let end = ends.into_iter().take_while(|end| *end <= size).last().unwrap_or(0);
    // SAFETY: `end` is at most both sizes.
    unsafe { ptr::copy_nonoverlapping(opts.cast::<u8>(), (&raw mut known).cast::<u8>(), end) };
    if !known.memory_domain.is_null() {
        return Err(invalid(format!("{entry}: the controller has no memory domains")));
    }
    if !known.accel_sequence.is_null() {
        return Err(invalid(format!("{entry}: the controller takes no accelerated sequences")));
    }
    Ok(Request {
        flags: known.io_flags,
        cdw13: known.cdw13,
        cdw15: tags(known.apptag_mask, known.apptag),
        ..request
    })
}

/// Reads lba_count blocks from lba into payload, as spdk_nvme_ns_cmd_read(), with an application tag. metadata is not looked at.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_read_with_md(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    metadata: *mut c_void,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    apptag_mask: u16,
    apptag: u16,
) -> c_int {
    let request = Request::new(Transfer::Read, lba, lba_count).with(io_flags, 0, tags(apptag_mask, apptag));
    // SAFETY: as for this entry.
    if unsafe { sent_at_once(ns, qpair, request, payload, context(cb_fn, cb_arg)) } {
        return 0;
    }
    on_namespace!(
        spdk_nvme_ns_cmd_read_with_md(
            ns,
            qpair,
            payload,
            metadata,
            lba,
            lba_count,
            cb_fn,
            cb_arg,
            io_flags,
            apptag_mask,
            apptag
        ),
        ns,
        qpair,
        |object, namespace| {
            send(object, ns, namespace, request, Data::Contiguous(payload), cb_fn, cb_arg)
        }
    )
}

/// Writes lba_count blocks to lba from payload, as spdk_nvme_ns_cmd_write(), with an application tag. metadata is not looked at.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_write_with_md(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    metadata: *mut c_void,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    apptag_mask: u16,
    apptag: u16,
) -> c_int {
    let request = Request::new(Transfer::Write, lba, lba_count).with(io_flags, 0, tags(apptag_mask, apptag));
    // SAFETY: as for this entry.
    if unsafe { sent_at_once(ns, qpair, request, payload, context(cb_fn, cb_arg)) } {
        return 0;
    }
    on_namespace!(
        spdk_nvme_ns_cmd_write_with_md(
            ns,
            qpair,
            payload,
            metadata,
            lba,
            lba_count,
            cb_fn,
            cb_arg,
            io_flags,
            apptag_mask,
            apptag
        ),
        ns,
        qpair,
        |object, namespace| {
            send(object, ns, namespace, request, Data::Contiguous(payload), cb_fn, cb_arg)
        }
    )
}

/// Compares lba_count blocks from lba with payload, as spdk_nvme_ns_cmd_compare(), with an application tag. metadata is not looked at.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_compare_with_md(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    metadata: *mut c_void,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    apptag_mask: u16,
    apptag: u16,
) -> c_int {
    let request =
        Request::new(Transfer::Compare, lba, lba_count).with(io_flags, 0, tags(apptag_mask, apptag));
    // SAFETY: as for this entry.
    if unsafe { sent_at_once(ns, qpair, request, payload, context(cb_fn, cb_arg)) } {
        return 0;
    }
    on_namespace!(
        spdk_nvme_ns_cmd_compare_with_md(
            ns,
            qpair,
            payload,
            metadata,
            lba,
            lba_count,
            cb_fn,
            cb_arg,
            io_flags,
            apptag_mask,
            apptag
        ),
        ns,
        qpair,
        |object, namespace| {
            send(object, ns, namespace, request, Data::Contiguous(payload), cb_fn, cb_arg)
        }
    )
}

/// Reads lba_count blocks from lba into payload, with options, which are read during the call, up to their size. A memory domain or an accelerated
/// sequence is refused with -EINVAL.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks; opts is NULL, which is
/// refused, or points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_read_ext(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    opts: *mut spdk_nvme_ns_cmd_ext_io_opts,
) -> c_int {
    let request = Request::new(Transfer::Read, lba, lba_count);
    // SAFETY: the caller vouches for the options, and as for this entry.
    unsafe {
        if let Some(request) = with_whole_options(request, opts)
            && sent_at_once(ns, qpair, request, payload, context(cb_fn, cb_arg))
        {
            return 0;
        }
    }
    on_namespace!(
        spdk_nvme_ns_cmd_read_ext(ns, qpair, payload, lba, lba_count, cb_fn, cb_arg, opts),
        ns,
        qpair,
        |object, namespace| {
            if opts.is_null() {
                return invalid(String::from("spdk_nvme_ns_cmd_read_ext: options are NULL"));
            }
            let request = Request::new(Transfer::Read, lba, lba_count);
            // SAFETY: the caller vouches for the options.
            match unsafe { with_options("spdk_nvme_ns_cmd_read_ext", request, opts) } {
                Ok(request) => send(object, ns, namespace, request, Data::Contiguous(payload), cb_fn, cb_arg),
                Err(rc) => rc,
            }
        }
    )
}

/// Reads lba_count blocks from lba into the iovcnt pieces of iov, with options or none. Both are read during the call.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. iov has as many elements, which are together as
/// large as the blocks; opts is NULL or points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_read_iov(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    iov: *mut iovec,
    iovcnt: u32,
    opts: *mut spdk_nvme_ns_cmd_ext_io_opts,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_read_iov(ns, qpair, lba, lba_count, cb_fn, cb_arg, iov, iovcnt, opts),
        ns,
        qpair,
        |object, namespace| {
            if iov.is_null() || iovcnt == 0 {
                return invalid(format!("spdk_nvme_ns_cmd_read_iov: {iovcnt} pieces at {iov:p}"));
            }
            let request = Request::new(Transfer::Read, lba, lba_count);
            // SAFETY: the caller vouches for the options.
            let request = match unsafe { with_options("spdk_nvme_ns_cmd_read_iov", request, opts) } {
                Ok(request) => request,
                Err(rc) => return rc,
            };
            // SAFETY: the caller vouches for as many elements.
            let pieces = unsafe { slice::from_raw_parts(iov, iovcnt as usize) };
            send(object, ns, namespace, request, Data::Vector(pieces), cb_fn, cb_arg)
        }
    )
}

/// Writes lba_count blocks to lba from payload, with options, which are read during the call, up to their size. A memory domain or an accelerated
/// sequence is refused with -EINVAL.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks; opts is NULL, which is
/// refused, or points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_write_ext(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    payload: *mut c_void,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    opts: *mut spdk_nvme_ns_cmd_ext_io_opts,
) -> c_int {
    let request = Request::new(Transfer::Write, lba, lba_count);
    // SAFETY: the caller vouches for the options, and as for this entry.
    unsafe {
        if let Some(request) = with_whole_options(request, opts)
            && sent_at_once(ns, qpair, request, payload, context(cb_fn, cb_arg))
        {
            return 0;
        }
    }
    on_namespace!(
        spdk_nvme_ns_cmd_write_ext(ns, qpair, payload, lba, lba_count, cb_fn, cb_arg, opts),
        ns,
        qpair,
        |object, namespace| {
            if opts.is_null() {
                return invalid(String::from("spdk_nvme_ns_cmd_write_ext: options are NULL"));
            }
            let request = Request::new(Transfer::Write, lba, lba_count);
            // SAFETY: the caller vouches for the options.
            match unsafe { with_options("spdk_nvme_ns_cmd_write_ext", request, opts) } {
                Ok(request) => send(object, ns, namespace, request, Data::Contiguous(payload), cb_fn, cb_arg),
                Err(rc) => rc,
            }
        }
    )
}

/// Writes lba_count blocks to lba from the iovcnt pieces of iov, with options or none. Both are read during the call.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. iov has as many elements, which are together as
/// large as the blocks; opts is NULL or points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_write_iov(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    iov: *mut iovec,
    iovcnt: u32,
    opts: *mut spdk_nvme_ns_cmd_ext_io_opts,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_write_iov(ns, qpair, lba, lba_count, cb_fn, cb_arg, iov, iovcnt, opts),
        ns,
        qpair,
        |object, namespace| {
            if iov.is_null() || iovcnt == 0 {
                return invalid(format!("spdk_nvme_ns_cmd_write_iov: {iovcnt} pieces at {iov:p}"));
            }
            let request = Request::new(Transfer::Write, lba, lba_count);
            // SAFETY: the caller vouches for the options.
            let request = match unsafe { with_options("spdk_nvme_ns_cmd_write_iov", request, opts) } {
                Ok(request) => request,
                Err(rc) => return rc,
            };
            // SAFETY: the caller vouches for as many elements.
            let pieces = unsafe { slice::from_raw_parts(iov, iovcnt as usize) };
            send(object, ns, namespace, request, Data::Vector(pieces), cb_fn, cb_arg)
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_up_to_their_size() {
        let plain = Request::new(Transfer::Read, 7, 8);
        // SAFETY: the options are this function's own, and NULL is allowed.
        let read = |opts: &spdk_nvme_ns_cmd_ext_io_opts| unsafe { with_options("test", plain, opts) };
        let mut opts = spdk_nvme_ns_cmd_ext_io_opts {
            size: size_of::<spdk_nvme_ns_cmd_ext_io_opts>(),
            memory_domain: ptr::null_mut(),
            memory_domain_ctx: ptr::null_mut(),
            io_flags: 1 << 30,
            reserved28: [0; 4],
            metadata: ptr::null_mut(),
            apptag_mask: 0xff,
            apptag: 0x17,
            cdw13: 9,
            accel_sequence: ptr::null_mut(),
        };
        let all = read(&opts).unwrap();
        assert_eq!((all.flags, all.cdw13, all.cdw15), (1 << 30, 9, 0x00ff_0017));
        assert_eq!((all.lba, all.blocks), (7, 8));
        for (size, flags, cdw13, cdw15) in [
            (51, 1 << 30, 9, 0x00ff_0017),
            (47, 1 << 30, 0, 0x00ff_0017),
            (44, 1 << 30, 0, 0x00ff_0017),
            (42, 1 << 30, 0, 0x00ff_0000),
            (27, 0, 0, 0),
            (8, 0, 0, 0),
            (0, 0, 0, 0),
        ] {
            opts.size = size;
            let some = read(&opts).unwrap();
            assert_eq!((some.flags, some.cdw13, some.cdw15), (flags, cdw13, cdw15), "{size}");
        }
        opts.accel_sequence = ptr::dangling_mut();
        assert!(read(&opts).is_ok(), "beyond the size");
        opts.size = 56;
        assert_eq!(read(&opts).err(), Some(-libc::EINVAL));
        opts.accel_sequence = ptr::null_mut();
        opts.memory_domain = ptr::dangling_mut();
        assert_eq!(read(&opts).err(), Some(-libc::EINVAL));
        // SAFETY: as above.
        assert_eq!(unsafe { with_options("test", plain, ptr::null()) }.unwrap().flags, 0);
    }
}
