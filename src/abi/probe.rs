//! Finding and attaching controllers.

use super::{
    attached::{self, Known},
    ctrlr::Ctrlr,
    entry::{guard_plain, next},
    env,
    error::{self, AttachError, is_no_device},
    options,
    text::text,
    transport_id,
    types::{
        spdk_nvme_attach_cb, spdk_nvme_ctrlr, spdk_nvme_ctrlr_opts, spdk_nvme_probe_cb, spdk_nvme_remove_cb,
        spdk_nvme_transport_id,
    },
};
use crate::{clock, host};
use libc::{c_int, c_void, size_t};
use spec::{fabrics::DISCOVERY_NQN, printable};
use std::{ptr, sync::Arc, time::Duration};

/// How long attaching the controllers of one discovery log may take in all; none is begun after that.
const PROBE_TIMEOUT: Duration = Duration::from_secs(300);
/// How many controllers of one log may fail to be attached before the others are not tried: each costs a log line, and a
/// log can name thousands that are not there.
const PROBE_FAILURES_MAX: usize = 64;

/// How long one thread waits for another that is attaching the same controller.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(300);

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
    let result = guard_plain("spdk_nvme_probe", Err(error::UNWOUND), || {
        // SAFETY: the caller vouches for trid.
        if !unsafe { transport_id::is_rdma(trid) } {
            let next = next!(spdk_nvme_probe(trid, cb_ctx, probe_cb, attach_cb, remove_cb));
            return next.ok_or_else(|| {
                // SAFETY: as above.
                unsafe { not_available(trid) };
                libc::EPROTONOSUPPORT
            });
        }
        // SAFETY: as above.
        let trid = unsafe { transport_id::read(trid) };
        if !environment_is_ready(&trid) {
            return Err(libc::ENOSYS);
        }
        let program = Program { cb_ctx, probe_cb, attach_cb };
        let probed = if text(&trid.subnqn) == DISCOVERY_NQN {
            program.discover(&trid)
        } else {
            program.probe_direct(&trid)
        };
        probed.map(|()| 0)
    });
    result.unwrap_or_else(|errno| {
        error::leave(errno);
        -1
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
    let result = guard_plain("spdk_nvme_connect", Err(error::UNWOUND), || {
        if trid.is_null() {
            tracing::error!("no transport id given");
            return Err(libc::EINVAL);
        }
        // SAFETY: the caller vouches for trid.
        if !unsafe { transport_id::is_rdma(trid) } {
            return next!(spdk_nvme_connect(trid, opts, opts_size)).ok_or_else(|| {
                // SAFETY: as above.
                unsafe { not_available(trid) };
                libc::EPROTONOSUPPORT
            });
        }
        // SAFETY: as above.
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
        match attach(&trid, &merged) {
            Ok(ctrlr) => Ok(ctrlr.handle()),
            Err(error) => {
                complain(&trid, &error);
                Err(error.errno())
            }
        }
    });
    result.unwrap_or_else(|errno| {
        error::leave(errno);
        ptr::null_mut()
    })
}

/// Whether there is an environment to attach a controller with. Says why not.
fn environment_is_ready(trid: &spdk_nvme_transport_id) -> bool {
    env::install()
        .inspect_err(|error| tracing::error!("{}: no controller: {error}", transport_id::describe(trid)))
        .is_ok()
}

/// What a program gave to spdk_nvme_probe.
struct Program {
    cb_ctx: *mut c_void,
    probe_cb: spdk_nvme_probe_cb,
    attach_cb: spdk_nvme_attach_cb,
}

impl Program {
    /// Nothing, or the errno for "no controller was tried".
    fn probe_direct(&self, trid: &spdk_nvme_transport_id) -> Result<(), c_int> {
        let opts = self.wants(trid).ok_or(libc::ECANCELED)?;
        match self.attach(trid, &opts) {
            Err(AttachError::Host(error)) if is_no_device(&error) => Err(libc::ENODEV),
            _ => Ok(()),
        }
    }

    /// Asks for each controller of the discovery log, then attaches those that the program wants.
    fn discover(&self, trid: &spdk_nvme_transport_id) -> Result<(), c_int> {
        let found = discovered(trid).map_err(|error| {
            complain(trid, &error);
            error.errno()
        })?;
        let deadline = clock::now().after(PROBE_TIMEOUT);
        let mut wanted = Vec::new();
        for entry in found {
            if let Some(opts) = self.wants(&entry) {
                wanted.push((entry, opts));
            }
        }
        let mut failures = 0_usize;
        for (number, (entry, opts)) in wanted.iter().enumerate() {
            if failures >= PROBE_FAILURES_MAX || clock::now().has_reached(deadline) {
                let left = wanted.len().saturating_sub(number);
                tracing::error!(
                    "{}: {failures} controllers of the discovery log could not be attached, the other {left} are \
                     not tried: at most {PROBE_FAILURES_MAX} may fail, within {} s",
                    transport_id::describe(trid),
                    PROBE_TIMEOUT.as_secs()
                );
                break;
            }
            // One that cannot be attached does not keep the others from it.
            if self.attach(entry, opts).is_err() {
                failures = failures.saturating_add(1);
            }
        }
        Ok(())
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

    fn attach(&self, trid: &spdk_nvme_transport_id, opts: &spdk_nvme_ctrlr_opts) -> Result<(), AttachError> {
        let ctrlr = attach(trid, opts).inspect_err(|error| complain(trid, error))?;
        if let Some(attach_cb) = self.attach_cb {
            // SAFETY: the program gave the function to be called with its context and a controller. It may detach the
            // controller; the share keeps what the arguments point to.
            unsafe { attach_cb(self.cb_ctx, ctrlr.transport_id(), ctrlr.handle(), ctrlr.opts()) };
        }
        Ok(())
    }
}

/// Attaches a controller, or attaches it once more.
fn attach(trid: &spdk_nvme_transport_id, opts: &spdk_nvme_ctrlr_opts) -> Result<Arc<Ctrlr>, AttachError> {
    let known = clock::wait(clock::now().after(ATTACH_TIMEOUT), || match attached::look_for(trid, opts) {
        Known::Coming => None,
        known => Some(known),
    });
    let place = match known {
        Some(Known::Attached(ctrlr)) if ctrlr.attach_again() => return Ok(ctrlr),
        Some(Known::Attached(_)) => return Err(AttachError::Detaching),
        Some(Known::Nothing(place)) => place,
        Some(Known::Coming | Known::ComingHere) | None => return Err(AttachError::Attaching),
    };
    let id = transport_id::to_host(trid).ok_or(AttachError::AddressFamily(trid.adrfam.0))?;
    let mut opts = *opts;
    options::settle(&mut opts);
    let controller = host::Controller::connect(id, options::controller_options(&opts))?;
    let ctrlr = Ctrlr::insert(controller, *trid, opts).ok_or(AttachError::Handles)?;
    place.fill(&ctrlr);
    Ok(ctrlr)
}

/// The transport ids that a discovery controller's log names.
fn discovered(trid: &spdk_nvme_transport_id) -> Result<Vec<spdk_nvme_transport_id>, AttachError> {
    let id = transport_id::to_host(trid).ok_or(AttachError::AddressFamily(trid.adrfam.0))?;
    let options = options::controller_options(&options::default_ctrlr_opts());
    let found = host::discover(id, options)?;
    Ok(found.iter().map(|id| transport_id::from_host(id, trid)).collect())
}

/// The one log line of a controller that could not be attached. The host writes its own.
fn complain(trid: &spdk_nvme_transport_id, error: &AttachError) {
    if !matches!(error, AttachError::Host(_)) {
        tracing::error!("{}: no controller: {error}", transport_id::describe(trid));
    }
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
