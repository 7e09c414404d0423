//! Finding and attaching controllers: at once, or while a probe context is polled.
//!
//! A probe context is either ours or the next library's: each is of controllers of one transport.

use super::{
    attaching::{Attaching, ProbeContext, Program, Turn, Wanted, complain},
    ctrlr::Ctrlr,
    disabled::disabled,
    entry::{entry, guard_plain, next, next_of, pass_on_if_disabled},
    env,
    error::{self, AttachError},
    handles, log, options,
    text::text,
    transport_id,
    types::{
        spdk_nvme_attach_cb, spdk_nvme_attach_fail_cb, spdk_nvme_ctrlr, spdk_nvme_ctrlr_opts,
        spdk_nvme_probe_cb, spdk_nvme_probe_ctx, spdk_nvme_remove_cb, spdk_nvme_transport_id,
        spdk_nvme_transport_type,
    },
};
use crate::{clock, host};
use libc::{c_int, c_void, size_t};
use spec::{fabrics::DISCOVERY_NQN, printable};
use std::{
    collections::VecDeque,
    ptr,
    rc::Rc,
    sync::{Arc, Once},
    time::Duration,
};

/// How long a synchronous call waits at most for the controllers that it attaches. Each has deadlines of its own, and all together one:
/// this is for a fault in them.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1200);

/// Attaches the controllers at a transport id, and waits for that.
///
/// With the discovery subsystem's NQN those that its log names, else the one at this transport id. probe_cb is called
/// for each and says whether to attach it, and how; attach_cb is called with each that was attached. Without probe_cb
/// all are attached. A controller that is attached already is attached once more, with the same handle. remove_cb is
/// never called over RDMA.
///
/// Returns 0, also if a controller could not be attached: then a log line says why, and attach_cb is not called.
/// Returns -1 if no controller was tried: no RDMA device, discovery failed, or probe_cb declined the only one
/// (ECANCELED). errno says why.
///
/// # Safety
///
/// trid is NULL (PCIe) or points to a transport id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_probe(
    trid: *const spdk_nvme_transport_id,
    cb_ctx: *mut c_void,
    probe_cb: spdk_nvme_probe_cb,
    attach_cb: spdk_nvme_attach_cb,
    remove_cb: spdk_nvme_remove_cb,
) -> c_int {
    pass_on_if_disabled!(spdk_nvme_probe(trid, cb_ctx, probe_cb, attach_cb, remove_cb));
    let asked = Asked { cb_ctx, probe_cb, attach_cb, attach_fail_cb: None };
    let next = || next!(spdk_nvme_probe(trid, cb_ctx, probe_cb, attach_cb, remove_cb));
    // SAFETY: as for this function.
    unsafe { probe("spdk_nvme_probe", trid, asked, next) }
}

/// As spdk_nvme_probe(), and attach_fail_cb is called for each controller that could not be attached, with a negated errno.
///
/// # Safety
///
/// trid is NULL (PCIe) or points to a transport id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_probe_ext(
    trid: *const spdk_nvme_transport_id,
    cb_ctx: *mut c_void,
    probe_cb: spdk_nvme_probe_cb,
    attach_cb: spdk_nvme_attach_cb,
    attach_fail_cb: spdk_nvme_attach_fail_cb,
    remove_cb: spdk_nvme_remove_cb,
) -> c_int {
    pass_on_if_disabled!(spdk_nvme_probe_ext(trid, cb_ctx, probe_cb, attach_cb, attach_fail_cb, remove_cb));
    let asked = Asked { cb_ctx, probe_cb, attach_cb, attach_fail_cb };
    let next = || next!(spdk_nvme_probe_ext(trid, cb_ctx, probe_cb, attach_cb, attach_fail_cb, remove_cb));
    // SAFETY: as for this function.
    unsafe { probe("spdk_nvme_probe_ext", trid, asked, next) }
}

/// Begins what spdk_nvme_probe() does, and returns a context: poll it with spdk_nvme_probe_poll_async() until that returns 0.
///
/// probe_cb is called before this returns, and so is attach_cb for a controller that is attached already. A discovery log is read
/// before this returns. Returns NULL, after a log line, if no controller is tried; errno says why, as for spdk_nvme_probe().
///
/// # Safety
///
/// trid is NULL (PCIe) or points to a transport id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_probe_async(
    trid: *const spdk_nvme_transport_id,
    cb_ctx: *mut c_void,
    probe_cb: spdk_nvme_probe_cb,
    attach_cb: spdk_nvme_attach_cb,
    remove_cb: spdk_nvme_remove_cb,
) -> *mut spdk_nvme_probe_ctx {
    pass_on_if_disabled!(spdk_nvme_probe_async(trid, cb_ctx, probe_cb, attach_cb, remove_cb));
    let asked = Asked { cb_ctx, probe_cb, attach_cb, attach_fail_cb: None };
    let next = || next!(spdk_nvme_probe_async(trid, cb_ctx, probe_cb, attach_cb, remove_cb));
    // SAFETY: as for this function.
    unsafe { probe_async("spdk_nvme_probe_async", trid, asked, next) }
}

/// As spdk_nvme_probe_async(), and attach_fail_cb is called for each controller that could not be attached, with a negated errno.
///
/// # Safety
///
/// trid is NULL (PCIe) or points to a transport id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_probe_async_ext(
    trid: *const spdk_nvme_transport_id,
    cb_ctx: *mut c_void,
    probe_cb: spdk_nvme_probe_cb,
    attach_cb: spdk_nvme_attach_cb,
    attach_fail_cb: spdk_nvme_attach_fail_cb,
    remove_cb: spdk_nvme_remove_cb,
) -> *mut spdk_nvme_probe_ctx {
    pass_on_if_disabled!(spdk_nvme_probe_async_ext(
        trid,
        cb_ctx,
        probe_cb,
        attach_cb,
        attach_fail_cb,
        remove_cb
    ));
    let asked = Asked { cb_ctx, probe_cb, attach_cb, attach_fail_cb };
    let next =
        || next!(spdk_nvme_probe_async_ext(trid, cb_ctx, probe_cb, attach_cb, attach_fail_cb, remove_cb));
    // SAFETY: as for this function.
    unsafe { probe_async("spdk_nvme_probe_async_ext", trid, asked, next) }
}

/// Lets the controllers of a context go on; attach_cb and attach_fail_cb are called here, in the order in which the controllers end.
///
/// Returns 0 when all are attached or have failed, and the context is gone then; -EAGAIN if there is more to do, or if called from
/// a callback of this context; -EINVAL for a handle that is no probe context.
///
/// # Safety
///
/// probe_ctx is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_probe_poll_async(probe_ctx: *mut spdk_nvme_probe_ctx) -> c_int {
    entry!(spdk_nvme_probe_poll_async(probe_ctx), ProbeContext as share, probe_ctx, -libc::EINVAL, |object| {
        object.poll(probe_ctx)
    })
}

/// Begins what spdk_nvme_connect() does, and returns a context: poll it with spdk_nvme_probe_poll_async() until that returns 0.
/// attach_cb is then called with opts as its context, if the controller was attached; it was not if attach_cb was not called.
///
/// All of opts is read, during this call; NULL is for the defaults. Returns NULL, after a log line, if it cannot be tried; errno
/// says why, as for spdk_nvme_connect().
///
/// # Safety
///
/// trid is NULL, which is refused, or points to a transport id. opts is NULL or points to options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_connect_async(
    trid: *const spdk_nvme_transport_id,
    opts: *const spdk_nvme_ctrlr_opts,
    attach_cb: spdk_nvme_attach_cb,
) -> *mut spdk_nvme_probe_ctx {
    pass_on_if_disabled!(spdk_nvme_connect_async(trid, opts, attach_cb));
    let begun = guard_plain("spdk_nvme_connect_async", Err(error::UNWOUND), || {
        // SAFETY: the caller vouches for trid.
        if trid.is_null() || !unsafe { transport_id::is_rdma(trid) } {
            let next = || next!(spdk_nvme_connect_async(trid, opts, attach_cb));
            // SAFETY: as above.
            return unsafe { theirs(trid, next) };
        }
        // SAFETY: the caller vouches for both.
        let wanted = unsafe { wanted(trid, opts, size_of::<spdk_nvme_ctrlr_opts>(), false) }?;
        let program = Program { cb_ctx: opts.cast_mut().cast(), attach_cb, attach_fail_cb: None };
        begin(&wanted.trid.clone(), program, VecDeque::from([Box::new(wanted)]))
    });
    begun.unwrap_or_else(|errno| {
        error::leave(errno);
        ptr::null_mut()
    })
}

/// Says that this process has attached controllers of the transport, which only local ones can be without being probed: -ENOTSUP, after
/// a log line, for RDMA. For PCIe 0 where no other library is, whatever the number of calls: there is none attached.
///
/// # Safety
///
/// trid is NULL, which is refused with -EINVAL, or points to a transport id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_scan_attached(trid: *const spdk_nvme_transport_id) -> c_int {
    pass_on_if_disabled!(spdk_nvme_scan_attached(trid));
    guard_plain("spdk_nvme_scan_attached", -libc::EINVAL, || {
        if trid.is_null() {
            tracing::error!("spdk_nvme_scan_attached: no transport id given");
            return -libc::EINVAL;
        }
        // SAFETY: the caller vouches for trid.
        if unsafe { transport_id::is_rdma(trid) } {
            tracing::error!("spdk_nvme_scan_attached: there is nothing to scan for over RDMA");
            return -libc::ENOTSUP;
        }
        next!(spdk_nvme_scan_attached(trid)).unwrap_or_else(|| {
            // SAFETY: as above.
            let trtype = unsafe { transport_id::read(trid) }.trtype;
            // SPDK's bdev_nvme asks this ten times a second, whatever controllers it has.
            if trtype == spdk_nvme_transport_type::SPDK_NVME_TRANSPORT_PCIE {
                return 0;
            }
            // SAFETY: as above.
            unsafe { not_available(trid) };
            -libc::ENOENT
        })
    })
}

/// Attaches the controller at a transport id, and waits for that. With the discovery subsystem's NQN this is the
/// discovery controller itself.
///
/// Options are read up to opts_size bytes; the rest, or all if opts is NULL, are defaults. A controller that is
/// attached already is attached once more, with the same handle. Returns NULL, after a log line, if it cannot be
/// attached; errno says why, as EINVAL, ENODEV, EHOSTUNREACH, ECONNREFUSED, ETIMEDOUT or EACCES.
///
/// # Safety
///
/// trid is NULL, which is refused, or points to a transport id. opts is NULL or points to opts_size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_connect(
    trid: *const spdk_nvme_transport_id,
    opts: *const spdk_nvme_ctrlr_opts,
    opts_size: size_t,
) -> *mut spdk_nvme_ctrlr {
    pass_on_if_disabled!(spdk_nvme_connect(trid, opts, opts_size));
    let result = guard_plain("spdk_nvme_connect", Err(error::UNWOUND), || {
        // SAFETY: the caller vouches for trid.
        if trid.is_null() || !unsafe { transport_id::is_rdma(trid) } {
            // SPDK's library looks for the controller that it has made by the host NQN. Without options that is its own default, while
            // what it made the controller with are the defaults of spdk_nvme_ctrlr_get_default_ctrlr_opts, which it gets from here.
            let defaults = options::default_ctrlr_opts();
            let (opts, opts_size) = if opts.is_null() {
                (&raw const defaults, size_of_val(&defaults))
            } else {
                (opts, opts_size)
            };
            let next = || next!(spdk_nvme_connect(trid, opts, opts_size));
            // SAFETY: as above.
            return unsafe { theirs(trid, next) };
        }
        // SAFETY: the caller vouches for both.
        let wanted = unsafe { wanted(trid, opts, opts_size, true) }?;
        let trid = wanted.trid;
        attach(wanted).map(|ctrlr| ctrlr.handle()).map_err(|error| {
            complain(&trid, &error);
            error.errno()
        })
    });
    result.unwrap_or_else(|errno| {
        error::leave(errno);
        ptr::null_mut()
    })
}

/// What a program gave to one of the probe family.
struct Asked {
    cb_ctx: *mut c_void,
    probe_cb: spdk_nvme_probe_cb,
    attach_cb: spdk_nvme_attach_cb,
    attach_fail_cb: spdk_nvme_attach_fail_cb,
}

impl Asked {
    fn program(&self) -> Program {
        Program { cb_ctx: self.cb_ctx, attach_cb: self.attach_cb, attach_fail_cb: self.attach_fail_cb }
    }

    /// The controllers that the program wants: the one at this transport id, or of those that a discovery log names. `waits` says
    /// that it waits for them. An errno if no controller is to be tried.
    fn wanted(&self, trid: &spdk_nvme_transport_id, waits: bool) -> Result<VecDeque<Box<Wanted>>, c_int> {
        if !environment_is_ready(trid) {
            return Err(libc::ENOSYS);
        }
        let wants = |trid: &spdk_nvme_transport_id| {
            self.wants(trid).map(|opts| Box::new(Wanted { trid: *trid, opts, waits }))
        };
        if text(&trid.subnqn) != DISCOVERY_NQN {
            return wants(trid).map(|wanted| VecDeque::from([wanted])).ok_or_else(|| {
                let at = transport_id::describe(trid);
                tracing::error!("{at}: no controller: probe_cb declined the only one that there is to try");
                libc::ECANCELED
            });
        }
        let found = discovered(trid).map_err(|error| {
            complain(trid, &error);
            error.errno()
        })?;
        Ok(found.iter().filter_map(wants).collect())
    }

    /// The program's options if it wants this controller.
    fn wants(&self, trid: &spdk_nvme_transport_id) -> Option<spdk_nvme_ctrlr_opts> {
        let mut opts = options::default_ctrlr_opts();
        match self.probe_cb {
            None => Some(opts),
            // SAFETY: the program gave the function to be called with its context, a transport id and options.
            Some(probe_cb) => (unsafe { probe_cb(self.cb_ctx, trid, &raw mut opts) } != 0).then_some(opts),
        }
    }
}

/// The body of the synchronous ones: 0, or -1 and errno if no controller was tried.
///
/// # Safety
/// `trid` is NULL or points to a transport id.
unsafe fn probe(
    entry: &str,
    trid: *const spdk_nvme_transport_id,
    asked: Asked,
    next: impl FnOnce() -> Option<c_int>,
) -> c_int {
    let result = guard_plain(entry, Err(error::UNWOUND), || {
        // SAFETY: the caller vouches for trid.
        if !unsafe { transport_id::is_rdma(trid) } {
            // SAFETY: as above.
            return unsafe { next_or_none(trid, next) };
        }
        // SAFETY: as above.
        let trid = unsafe { transport_id::read(trid) };
        let context = ProbeContext::new(asked.program(), asked.wanted(&trid, true)?);
        tried(&trid, context.begin())?;
        let waited = clock::wait(clock::now().after(PROBE_TIMEOUT), || context.turn().then_some(()));
        if waited.is_none() {
            let at = transport_id::describe(&trid);
            tracing::error!("{at}: not all controllers are attached after {} s", PROBE_TIMEOUT.as_secs());
        }
        Ok(0)
    });
    result.unwrap_or_else(|errno| {
        error::leave(errno);
        -1
    })
}

/// The body of the asynchronous ones: a context, or NULL and errno if no controller is tried.
///
/// # Safety
/// `trid` is NULL or points to a transport id.
unsafe fn probe_async(
    entry: &str,
    trid: *const spdk_nvme_transport_id,
    asked: Asked,
    next: impl FnOnce() -> Option<*mut spdk_nvme_probe_ctx>,
) -> *mut spdk_nvme_probe_ctx {
    let begun = guard_plain(entry, Err(error::UNWOUND), || {
        // SAFETY: the caller vouches for trid.
        if !unsafe { transport_id::is_rdma(trid) } {
            // SAFETY: as above.
            return unsafe { next_or_none(trid, next) };
        }
        // SAFETY: as above.
        let trid = unsafe { transport_id::read(trid) };
        begin(&trid, asked.program(), asked.wanted(&trid, false)?)
    });
    begun.unwrap_or_else(|errno| {
        error::leave(errno);
        ptr::null_mut()
    })
}

/// Begins a context that the program polls.
fn begin(
    trid: &spdk_nvme_transport_id,
    program: Program,
    wanted: VecDeque<Box<Wanted>>,
) -> Result<*mut spdk_nvme_probe_ctx, c_int> {
    let context = Rc::new(ProbeContext::new(program, wanted));
    let handle = handles::insert::<ProbeContext>(context.clone()).ok_or_else(|| {
        complain(trid, &AttachError::Handles);
        libc::ENOMEM
    })?;
    tried(trid, context.begin()).inspect_err(|_| {
        // SAFETY: nobody else knows the handle.
        drop(unsafe { handles::remove::<ProbeContext>(handle) });
    })?;
    Ok(handle)
}

/// Whether a controller was tried, although the first one failed at once: not without an RDMA device, and not if the only one that is
/// asked for is being detached.
fn tried(trid: &spdk_nvme_transport_id, begun: Result<(), c_int>) -> Result<(), c_int> {
    match begun {
        Err(errno @ (libc::ENODEV | libc::EBUSY)) if text(&trid.subnqn) != DISCOVERY_NQN => Err(errno),
        _ => Ok(()),
    }
}

/// Whether there is an environment to attach a controller with. Says why not.
fn environment_is_ready(trid: &spdk_nvme_transport_id) -> bool {
    let ready = env::install()
        .inspect_err(|error| tracing::error!("{}: no controller: {error}", transport_id::describe(trid)))
        .is_ok();
    if ready {
        announce();
    }
    ready
}

/// Says once, when a controller is first asked for, that it will be ours: where there is another library that has RDMA as well, its user
/// cannot see otherwise which of them it is.
fn announce() {
    static ANNOUNCED: Once = Once::new();
    ANNOUNCED.call_once(|| {
        // Any of its functions would do; it is not called.
        if next_of!(spdk_nvme_connect((), (), ())).is_some() {
            log::tell(format_args!(
                "version {} serves RDMA here, SPDK's own library all other transports; \
                 SPDK_NVME_RDMA_DISABLE=1 leaves RDMA to it, too",
                env!("CARGO_PKG_VERSION")
            ));
        } else if disabled() {
            log::tell(format_args!(
                "SPDK_NVME_RDMA_DISABLE is set, and no other library is there that has RDMA: this one serves it all the same"
            ));
        }
    });
}

/// What a connect without a transport id, or with another transport's, comes to.
///
/// # Safety
/// `trid` is NULL or points to a transport id.
unsafe fn theirs<T>(
    trid: *const spdk_nvme_transport_id,
    next: impl FnOnce() -> Option<T>,
) -> Result<T, c_int> {
    if trid.is_null() {
        tracing::error!("no transport id given");
        return Err(libc::EINVAL);
    }
    // SAFETY: the caller vouches for trid.
    unsafe { next_or_none(trid, next) }
}

/// What the next library says for a transport that is not ours, or that there is none.
///
/// # Safety
/// `trid` is NULL or points to a transport id.
unsafe fn next_or_none<T>(
    trid: *const spdk_nvme_transport_id,
    next: impl FnOnce() -> Option<T>,
) -> Result<T, c_int> {
    next().ok_or_else(|| {
        // SAFETY: the caller vouches for trid.
        unsafe { not_available(trid) };
        libc::EPROTONOSUPPORT
    })
}

/// The controller that a program asks for with options of this size.
///
/// # Safety
/// `trid` points to a transport id; `opts` is NULL or so many bytes can be read.
unsafe fn wanted(
    trid: *const spdk_nvme_transport_id,
    opts: *const spdk_nvme_ctrlr_opts,
    opts_size: size_t,
    waits: bool,
) -> Result<Wanted, c_int> {
    // SAFETY: the caller vouches for trid.
    let trid = unsafe { transport_id::read(trid) };
    if !environment_is_ready(&trid) {
        return Err(libc::ENOSYS);
    }
    let mut merged = options::default_ctrlr_opts();
    if !opts.is_null() {
        // SAFETY: the caller vouches for opts_size bytes.
        unsafe { options::read(&mut merged, opts, opts_size) };
        merged.opts_size = opts_size;
    }
    Ok(Wanted { trid, opts: merged, waits })
}

/// Attaches a controller, or attaches it once more, and waits for that.
fn attach(wanted: Wanted) -> Result<Arc<Ctrlr>, AttachError> {
    let mut next = Some(Attaching::begin(Box::new(wanted)));
    let ended = clock::wait(clock::now().after(PROBE_TIMEOUT), || match next.take()? {
        Turn::More(attaching) => {
            next = Some(attaching.turn());
            None
        }
        Turn::Attached(ctrlr) => Some(Ok(ctrlr)),
        Turn::Failed(_, error) => Some(Err(error)),
    });
    ended.unwrap_or(Err(AttachError::Attaching))
}

/// The transport ids that a discovery controller's log names.
fn discovered(trid: &spdk_nvme_transport_id) -> Result<Vec<spdk_nvme_transport_id>, AttachError> {
    let id = transport_id::to_host(trid).ok_or(AttachError::AddressFamily(trid.adrfam.0))?;
    let options = options::controller_options(&options::default_ctrlr_opts());
    let found = host::discover(id, options)?;
    Ok(found.iter().map(|id| transport_id::from_host(id, trid)).collect())
}

/// There is no library for this transport.
///
/// # Safety
/// `trid` is NULL or can be read.
unsafe fn not_available(trid: *const spdk_nvme_transport_id) {
    if trid.is_null() {
        tracing::error!("no transport id was given, and PCIe controllers are not offered here");
        return;
    }
    // SAFETY: the caller vouches for trid.
    let trid = unsafe { transport_id::read(trid) };
    tracing::error!(
        "transport type {} ({}) is not offered here",
        trid.trtype.0,
        printable(&text(&trid.trstring))
    );
}
