//! Reads, writes and compares of data in several pieces, which the program's own functions give.
//!
//! reset_sgl_fn says from which byte of the data on the next pieces are wanted, next_sge_fn then gives them one after the other. Both are
//! called with cb_arg, during the call only, and from the first byte on more than once if the transfer takes several commands, or cannot go
//! out at once. For the rest as `ns_transfers` has it; -EPERM (-1) says that next_sge_fn failed.

use super::{
    at_once::{pieces_sent_at_once, tags, with_whole_options},
    callback::context,
    error::invalid,
    ns::Ns,
    ns_cmd::on_namespace,
    ns_transfers::{send, with_options},
    qpair::Qpair,
    types::{
        spdk_nvme_cmd_cb, spdk_nvme_ns, spdk_nvme_ns_cmd_ext_io_opts, spdk_nvme_qpair,
        spdk_nvme_req_next_sge_cb, spdk_nvme_req_reset_sgl_cb,
    },
};
use crate::{
    host::{Data, Request, Scatter, Transfer},
    transport::Piece,
};
use libc::{c_int, c_void};
use std::ptr;

/// A program's functions for the pieces of its data.
pub(super) struct Sgl {
    reset: unsafe extern "C" fn(*mut c_void, u32),
    next: unsafe extern "C" fn(*mut c_void, *mut *mut c_void, *mut u32) -> c_int,
    argument: *mut c_void,
}

impl Sgl {
    #[inline(always)]
    pub(super) fn new(
        reset: unsafe extern "C" fn(*mut c_void, u32),
        next: unsafe extern "C" fn(*mut c_void, *mut *mut c_void, *mut u32) -> c_int,
        argument: *mut c_void,
    ) -> Self {
        Self { reset, next, argument }
    }

    /// As [`Scatter::next`].
    #[inline(always)]
    pub(super) fn ask(&self) -> Option<Piece> {
        let (mut address, mut length) = (ptr::null_mut(), 0);
        // SAFETY: the program gave the function to be called with its argument and places for a piece.
        let rc = unsafe { (self.next)(self.argument, &raw mut address, &raw mut length) };
        (rc == 0).then(|| Piece { address: address.addr() as u64, length })
    }

    /// Both of them, or an error value.
    pub(super) fn of(
        entry: &str,
        reset: spdk_nvme_req_reset_sgl_cb,
        next: spdk_nvme_req_next_sge_cb,
        argument: *mut c_void,
    ) -> Result<Self, c_int> {
        match (reset, next) {
            (Some(reset), Some(next)) => Ok(Self::new(reset, next, argument)),
            _ => Err(invalid(format!("{entry}: a function for the pieces of the data is NULL"))),
        }
    }
}

impl Scatter for Sgl {
    #[inline(always)]
    fn reset(&mut self, offset: u32) {
        // SAFETY: the program gave the function to be called with its argument and an offset.
        unsafe { (self.reset)(self.argument, offset) };
    }

    #[inline(always)]
    fn next(&mut self) -> Option<(u64, u64)> {
        let Piece { address, length } = self.ask()?;
        Some((address, u64::from(length)))
    }
}

/// As [`send`], of data in the pieces that these functions give, or the error value of having none.
fn send_pieces(
    qpair: &Qpair,
    ns: *mut spdk_nvme_ns,
    namespace: &Ns,
    request: Request,
    sgl: Result<Sgl, c_int>,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
) -> c_int {
    match sgl {
        Ok(mut sgl) => send(qpair, ns, namespace, request, Data::Given(&mut sgl), cb_fn, cb_arg),
        Err(rc) => rc,
    }
}

/// Reads lba_count blocks from lba into the pieces that the program's functions give.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. The functions give pieces that are together as
/// large as the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_readv(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
) -> c_int {
    // SAFETY: as for this entry.
    unsafe {
        let request = Request::new(Transfer::Read, lba, lba_count).with(io_flags, 0, 0);
        let functions = (reset_sgl_fn, next_sge_fn);
        if let Some(rc) = pieces_sent_at_once(ns, qpair, request, functions, context(cb_fn, cb_arg)) {
            return rc;
        }
        readv_otherwise(ns, qpair, lba, lba_count, cb_fn, cb_arg, io_flags, reset_sgl_fn, next_sge_fn)
    }
}

/// What spdk_nvme_ns_cmd_readv() does where something is unusual, or its namespace was not the last one's.
///
/// # Safety
///
/// As for the entry.
#[cold]
#[inline(never)]
unsafe extern "C" fn readv_otherwise(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_readv(ns, qpair, lba, lba_count, cb_fn, cb_arg, io_flags, reset_sgl_fn, next_sge_fn),
        ns,
        qpair as share,
        |object, namespace| {
            let request = Request { flags: io_flags, ..Request::new(Transfer::Read, lba, lba_count) };
            let sgl = Sgl::of("spdk_nvme_ns_cmd_readv", reset_sgl_fn, next_sge_fn, cb_arg);
            send_pieces(&object, ns, &namespace, request, sgl, cb_fn, cb_arg)
        }
    )
}

/// As spdk_nvme_ns_cmd_readv(), with an application tag. metadata is not looked at.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. As for spdk_nvme_ns_cmd_readv().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_readv_with_md(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
    metadata: *mut c_void,
    apptag_mask: u16,
    apptag: u16,
) -> c_int {
    let request = Request::new(Transfer::Read, lba, lba_count).with(io_flags, 0, tags(apptag_mask, apptag));
    let functions = (reset_sgl_fn, next_sge_fn);
    // SAFETY: as for this entry.
    if let Some(rc) = unsafe { pieces_sent_at_once(ns, qpair, request, functions, context(cb_fn, cb_arg)) } {
        return rc;
    }
    on_namespace!(
        spdk_nvme_ns_cmd_readv_with_md(
            ns,
            qpair,
            lba,
            lba_count,
            cb_fn,
            cb_arg,
            io_flags,
            reset_sgl_fn,
            next_sge_fn,
            metadata,
            apptag_mask,
            apptag
        ),
        ns,
        qpair as share,
        |object, namespace| {
            let sgl = Sgl::of("spdk_nvme_ns_cmd_readv_with_md", reset_sgl_fn, next_sge_fn, cb_arg);
            send_pieces(&object, ns, &namespace, request, sgl, cb_fn, cb_arg)
        }
    )
}

/// As spdk_nvme_ns_cmd_readv(), with options or none: see spdk_nvme_ns_cmd_read_ext().
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. As for spdk_nvme_ns_cmd_readv(); opts is NULL or
/// points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_readv_ext(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
    opts: *mut spdk_nvme_ns_cmd_ext_io_opts,
) -> c_int {
    let request = Request::new(Transfer::Read, lba, lba_count);
    // SAFETY: the caller vouches for the options, and as for this entry.
    unsafe {
        let functions = (reset_sgl_fn, next_sge_fn);
        if let Some(request) = with_whole_options(request, opts)
            && let Some(rc) = pieces_sent_at_once(ns, qpair, request, functions, context(cb_fn, cb_arg))
        {
            return rc;
        }
    }
    on_namespace!(
        spdk_nvme_ns_cmd_readv_ext(ns, qpair, lba, lba_count, cb_fn, cb_arg, reset_sgl_fn, next_sge_fn, opts),
        ns,
        qpair as share,
        |object, namespace| {
            let request = Request::new(Transfer::Read, lba, lba_count);
            // SAFETY: the caller vouches for the options.
            let request = match unsafe { with_options("spdk_nvme_ns_cmd_readv_ext", request, opts) } {
                Ok(request) => request,
                Err(rc) => return rc,
            };
            let sgl = Sgl::of("spdk_nvme_ns_cmd_readv_ext", reset_sgl_fn, next_sge_fn, cb_arg);
            send_pieces(&object, ns, &namespace, request, sgl, cb_fn, cb_arg)
        }
    )
}

/// Writes lba_count blocks to lba from the pieces that the program's functions give.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. The functions give pieces that are together as
/// large as the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_writev(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
) -> c_int {
    // SAFETY: as for this entry.
    unsafe {
        let request = Request::new(Transfer::Write, lba, lba_count).with(io_flags, 0, 0);
        let functions = (reset_sgl_fn, next_sge_fn);
        if let Some(rc) = pieces_sent_at_once(ns, qpair, request, functions, context(cb_fn, cb_arg)) {
            return rc;
        }
        writev_otherwise(ns, qpair, lba, lba_count, cb_fn, cb_arg, io_flags, reset_sgl_fn, next_sge_fn)
    }
}

/// What spdk_nvme_ns_cmd_writev() does where something is unusual, or its namespace was not the last one's.
///
/// # Safety
///
/// As for the entry.
#[cold]
#[inline(never)]
unsafe extern "C" fn writev_otherwise(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
) -> c_int {
    on_namespace!(
        spdk_nvme_ns_cmd_writev(
            ns,
            qpair,
            lba,
            lba_count,
            cb_fn,
            cb_arg,
            io_flags,
            reset_sgl_fn,
            next_sge_fn
        ),
        ns,
        qpair as share,
        |object, namespace| {
            let request = Request { flags: io_flags, ..Request::new(Transfer::Write, lba, lba_count) };
            let sgl = Sgl::of("spdk_nvme_ns_cmd_writev", reset_sgl_fn, next_sge_fn, cb_arg);
            send_pieces(&object, ns, &namespace, request, sgl, cb_fn, cb_arg)
        }
    )
}

/// As spdk_nvme_ns_cmd_writev(), with an application tag. metadata is not looked at.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. As for spdk_nvme_ns_cmd_writev().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_writev_with_md(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
    metadata: *mut c_void,
    apptag_mask: u16,
    apptag: u16,
) -> c_int {
    let request = Request::new(Transfer::Write, lba, lba_count).with(io_flags, 0, tags(apptag_mask, apptag));
    let functions = (reset_sgl_fn, next_sge_fn);
    // SAFETY: as for this entry.
    if let Some(rc) = unsafe { pieces_sent_at_once(ns, qpair, request, functions, context(cb_fn, cb_arg)) } {
        return rc;
    }
    on_namespace!(
        spdk_nvme_ns_cmd_writev_with_md(
            ns,
            qpair,
            lba,
            lba_count,
            cb_fn,
            cb_arg,
            io_flags,
            reset_sgl_fn,
            next_sge_fn,
            metadata,
            apptag_mask,
            apptag
        ),
        ns,
        qpair as share,
        |object, namespace| {
            let sgl = Sgl::of("spdk_nvme_ns_cmd_writev_with_md", reset_sgl_fn, next_sge_fn, cb_arg);
            send_pieces(&object, ns, &namespace, request, sgl, cb_fn, cb_arg)
        }
    )
}

/// As spdk_nvme_ns_cmd_writev(), with options or none: see spdk_nvme_ns_cmd_write_ext().
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. As for spdk_nvme_ns_cmd_writev(); opts is NULL or
/// points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_writev_ext(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
    opts: *mut spdk_nvme_ns_cmd_ext_io_opts,
) -> c_int {
    let request = Request::new(Transfer::Write, lba, lba_count);
    // SAFETY: the caller vouches for the options, and as for this entry.
    unsafe {
        let functions = (reset_sgl_fn, next_sge_fn);
        if let Some(request) = with_whole_options(request, opts)
            && let Some(rc) = pieces_sent_at_once(ns, qpair, request, functions, context(cb_fn, cb_arg))
        {
            return rc;
        }
    }
    on_namespace!(
        spdk_nvme_ns_cmd_writev_ext(
            ns,
            qpair,
            lba,
            lba_count,
            cb_fn,
            cb_arg,
            reset_sgl_fn,
            next_sge_fn,
            opts
        ),
        ns,
        qpair as share,
        |object, namespace| {
            let request = Request::new(Transfer::Write, lba, lba_count);
            // SAFETY: the caller vouches for the options.
            let request = match unsafe { with_options("spdk_nvme_ns_cmd_writev_ext", request, opts) } {
                Ok(request) => request,
                Err(rc) => return rc,
            };
            let sgl = Sgl::of("spdk_nvme_ns_cmd_writev_ext", reset_sgl_fn, next_sge_fn, cb_arg);
            send_pieces(&object, ns, &namespace, request, sgl, cb_fn, cb_arg)
        }
    )
}

/// Compares lba_count blocks from lba with the pieces that the program's functions give.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. The functions give pieces that are together as
/// large as the blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_comparev(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
) -> c_int {
    let request = Request::new(Transfer::Compare, lba, lba_count).with(io_flags, 0, 0);
    let functions = (reset_sgl_fn, next_sge_fn);
    // SAFETY: as for this entry.
    if let Some(rc) = unsafe { pieces_sent_at_once(ns, qpair, request, functions, context(cb_fn, cb_arg)) } {
        return rc;
    }
    on_namespace!(
        spdk_nvme_ns_cmd_comparev(
            ns,
            qpair,
            lba,
            lba_count,
            cb_fn,
            cb_arg,
            io_flags,
            reset_sgl_fn,
            next_sge_fn
        ),
        ns,
        qpair as share,
        |object, namespace| {
            let request = Request { flags: io_flags, ..Request::new(Transfer::Compare, lba, lba_count) };
            let sgl = Sgl::of("spdk_nvme_ns_cmd_comparev", reset_sgl_fn, next_sge_fn, cb_arg);
            send_pieces(&object, ns, &namespace, request, sgl, cb_fn, cb_arg)
        }
    )
}

/// As spdk_nvme_ns_cmd_comparev(), with an application tag. metadata is not looked at.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair. As for spdk_nvme_ns_cmd_comparev().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ns_cmd_comparev_with_md(
    ns: *mut spdk_nvme_ns,
    qpair: *mut spdk_nvme_qpair,
    lba: u64,
    lba_count: u32,
    cb_fn: spdk_nvme_cmd_cb,
    cb_arg: *mut c_void,
    io_flags: u32,
    reset_sgl_fn: spdk_nvme_req_reset_sgl_cb,
    next_sge_fn: spdk_nvme_req_next_sge_cb,
    metadata: *mut c_void,
    apptag_mask: u16,
    apptag: u16,
) -> c_int {
    let request =
        Request::new(Transfer::Compare, lba, lba_count).with(io_flags, 0, tags(apptag_mask, apptag));
    let functions = (reset_sgl_fn, next_sge_fn);
    // SAFETY: as for this entry.
    if let Some(rc) = unsafe { pieces_sent_at_once(ns, qpair, request, functions, context(cb_fn, cb_arg)) } {
        return rc;
    }
    on_namespace!(
        spdk_nvme_ns_cmd_comparev_with_md(
            ns,
            qpair,
            lba,
            lba_count,
            cb_fn,
            cb_arg,
            io_flags,
            reset_sgl_fn,
            next_sge_fn,
            metadata,
            apptag_mask,
            apptag
        ),
        ns,
        qpair as share,
        |object, namespace| {
            let sgl = Sgl::of("spdk_nvme_ns_cmd_comparev_with_md", reset_sgl_fn, next_sge_fn, cb_arg);
            send_pieces(&object, ns, &namespace, request, sgl, cb_fn, cb_arg)
        }
    )
}
