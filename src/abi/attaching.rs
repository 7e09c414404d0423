//! Controllers on their way to a program: one that is asked for and being brought up, or several in a probe context.
//!
//! Nothing here waits: a context is polled, and each poll lets each of its controllers go on by one turn. What must hold: no lock is held
//! and nothing of a context is taken out while a callback runs, which may detach, probe again, or poll the context that it came from;
//! of many that a discovery log names so many at a time are tried, and not for ever.

use super::{
    attached::{self, Known, Place},
    ctrlr::Ctrlr,
    error::AttachError,
    handles::{self, Kind, Object, shared_by},
    options, print, transport_id,
    types::{
        spdk_nvme_attach_cb, spdk_nvme_attach_fail_cb, spdk_nvme_ctrlr_opts, spdk_nvme_probe_ctx,
        spdk_nvme_transport_id,
    },
};
use crate::{
    clock::{self, Moment},
    host, transport,
};
use libc::{EAGAIN, c_int, c_void};
use std::{cell::Cell, collections::VecDeque, rc::Rc, sync::Arc, time::Duration};

/// Controllers of one context that are on their way at a time.
const AT_A_TIME: usize = 64;
/// How many controllers of one log may fail to be attached before the others are not tried: each costs a log line, and a
/// log can name thousands that are not there.
const FAILURES_MAX: usize = 64;
/// How long attaching the controllers of one context may take in all; none is begun after that.
const CONTEXT_TIMEOUT: Duration = Duration::from_secs(300);
/// How long one waits for another thread that is attaching the same controller.
const OTHER_TIMEOUT: Duration = Duration::from_secs(300);

/// A controller that is asked for.
pub(super) struct Wanted {
    pub(super) trid: spdk_nvme_transport_id,
    pub(super) opts: spdk_nvme_ctrlr_opts,
    /// Whether the thread that wants it does nothing else until it is there.
    pub(super) waits: bool,
}

/// How far one has come.
pub(super) enum Attaching {
    /// Another thread, or another context, is attaching it. This one waits for that, up to a moment.
    Waiting(Box<Wanted>, Moment),
    /// It is being brought up.
    BringingUp(Box<Wanted>, Place, Rc<host::Controller>),
}

/// What a turn came to.
pub(super) enum Turn {
    /// It goes on.
    More(Attaching),
    /// It is attached.
    Attached(Arc<Ctrlr>),
    /// It is not.
    Failed(Box<Wanted>, AttachError),
}

impl Attaching {
    /// Begins to attach a controller. Where it is attached already it is attached once more, at once.
    pub(super) fn begin(wanted: Box<Wanted>) -> Turn {
        Self::Waiting(wanted, clock::now().after(OTHER_TIMEOUT)).turn()
    }

    /// Lets it go on by one turn. Calls nobody.
    pub(super) fn turn(self) -> Turn {
        match self {
            Self::Waiting(mut wanted, deadline) => match attached::look_for(&wanted.trid, &wanted.opts) {
                Known::Attached(ctrlr) if ctrlr.attach_again() => Turn::Attached(ctrlr),
                Known::Attached(_) => Turn::Failed(wanted, AttachError::Detaching),
                Known::ComingHere if wanted.waits => Turn::Failed(wanted, AttachError::Attaching),
                Known::Coming | Known::ComingHere if clock::now().has_reached(deadline) => {
                    Turn::Failed(wanted, AttachError::Attaching)
                }
                Known::Coming | Known::ComingHere => Turn::More(Self::Waiting(wanted, deadline)),
                Known::Nothing(place) => match begin(&mut wanted) {
                    // The first step is taken at once.
                    Ok(host) => Self::BringingUp(wanted, place, host).turn(),
                    Err(error) => Turn::Failed(wanted, error),
                },
            },
            Self::BringingUp(wanted, place, host) => match host.poll_bring_up() {
                None => Turn::More(Self::BringingUp(wanted, place, host)),
                Some(Err(error)) => Turn::Failed(wanted, error.into()),
                Some(Ok(())) => match Ctrlr::insert(host, wanted.trid, wanted.opts) {
                    Some(ctrlr) => {
                        place.fill(&ctrlr);
                        Turn::Attached(ctrlr)
                    }
                    None => Turn::Failed(wanted, AttachError::Handles),
                },
            },
        }
    }
}

/// Begins to bring a controller up.
fn begin(wanted: &mut Wanted) -> Result<Rc<host::Controller>, AttachError> {
    let trid = &wanted.trid;
    let id = transport_id::to_host(trid).ok_or(AttachError::AddressFamily(trid.adrfam.0))?;
    options::settle(&mut wanted.opts);
    let (asked, most) = (wanted.opts.io_queue_requests, u32::from(transport::MOST_REQUESTS));
    if asked > most {
        tracing::warn!(
            "{}: io_queue_requests is {asked}; a qpair has at most {most}",
            transport_id::describe(trid)
        );
    }
    let controller = host::Controller::begin(id, options::controller_options(&wanted.opts))?;
    print::print_admin_failures(&controller, &wanted.opts);
    Ok(controller)
}

/// Whom a context tells.
#[derive(Clone, Copy)]
pub(super) struct Program {
    pub(super) cb_ctx: *mut c_void,
    pub(super) attach_cb: spdk_nvme_attach_cb,
    pub(super) attach_fail_cb: spdk_nvme_attach_fail_cb,
}

impl Program {
    fn attached(&self, ctrlr: &Ctrlr) {
        if let Some(attach_cb) = self.attach_cb {
            // SAFETY: the program gave the function to be called with its context and a controller. It may detach the
            // controller; the caller's share keeps what the arguments point to.
            unsafe {
                attach_cb(self.cb_ctx, ctrlr.transport_id_address(), ctrlr.handle(), ctrlr.opts_address());
            }
        }
    }

    fn failed(&self, trid: &spdk_nvme_transport_id, error: &AttachError) {
        complain(trid, error);
        if let Some(attach_fail_cb) = self.attach_fail_cb {
            // SAFETY: the program gave the function to be called with its context, a transport id and an errno.
            unsafe { attach_fail_cb(self.cb_ctx, trid, error.errno().saturating_neg()) };
        }
    }
}

/// What a handle of a probe context stands for.
pub(super) struct ProbeContext {
    program: Program,
    /// Not begun yet.
    wanted: Cell<VecDeque<Box<Wanted>>>,
    coming: Cell<VecDeque<Attaching>>,
    /// How many are being let go on just now, by a poll that a callback runs in.
    taken: Cell<usize>,
    failures: Cell<usize>,
    deadline: Moment,
}

impl Object for ProbeContext {
    type Handle = spdk_nvme_probe_ctx;
    const KIND: Kind = Kind::ProbeContext;
    shared_by!(Rc);

    /// What it holds fails by itself.
    fn fail(&self) {}
}

impl ProbeContext {
    /// A context that is to attach these.
    pub(super) fn new(program: Program, wanted: VecDeque<Box<Wanted>>) -> Self {
        Self {
            program,
            wanted: Cell::new(wanted),
            coming: Cell::default(),
            taken: Cell::new(0),
            failures: Cell::new(0),
            deadline: clock::now().after(CONTEXT_TIMEOUT),
        }
    }

    /// Begins those that may be begun. What is attached already is told of at once. The first error, if there was one.
    pub(super) fn begin(&self) -> Result<(), c_int> {
        let mut result = Ok(());
        while self.on_the_way() < AT_A_TIME {
            let Some(wanted) = self.take_wanted() else { break };
            self.taken.set(self.taken.get().saturating_add(1));
            if let Err(errno) = self.account(Attaching::begin(wanted)) {
                result = result.and(Err(errno));
            }
        }
        result
    }

    /// Lets all go on by one turn. True when all are attached or have failed.
    pub(super) fn turn(&self) -> bool {
        let count = self.with_coming(|coming| coming.len());
        for _ in 0..count {
            let Some(next) = self.with_coming(VecDeque::pop_front) else { break };
            self.taken.set(self.taken.get().saturating_add(1));
            // What it came to is told there.
            let _ = self.account(next.turn());
        }
        let _ = self.begin();
        self.on_the_way() == 0
    }

    /// One poll of the context with this handle: 0 when it is over, and then its handle is gone, or -EAGAIN.
    pub(super) fn poll(&self, handle: *mut spdk_nvme_probe_ctx) -> c_int {
        if !self.turn() {
            return -EAGAIN;
        }
        // SAFETY: whoever polls a context vouches for its handle; a second removal finds nothing.
        drop(unsafe { handles::remove::<Self>(handle) });
        0
    }

    /// Takes account of what a turn came to, and tells the program.
    fn account(&self, turn: Turn) -> Result<(), c_int> {
        let taken = || self.taken.set(self.taken.get().saturating_sub(1));
        match turn {
            Turn::More(attaching) => {
                self.with_coming(|coming| coming.push_back(attaching));
                taken();
                Ok(())
            }
            Turn::Attached(ctrlr) => {
                self.program.attached(&ctrlr);
                taken();
                Ok(())
            }
            Turn::Failed(wanted, error) => {
                self.failures.set(self.failures.get().saturating_add(1));
                self.program.failed(&wanted.trid, &error);
                taken();
                Err(error.errno())
            }
        }
    }

    /// The next one that may be begun. Once too many have failed, or after too long, the others are not tried.
    fn take_wanted(&self) -> Option<Box<Wanted>> {
        let mut wanted = self.wanted.take();
        let next = wanted.pop_front();
        let is_over = self.failures.get() >= FAILURES_MAX || clock::now().has_reached(self.deadline);
        if let Some(next) = next.as_ref().filter(|_| is_over) {
            let (left, failures) = (wanted.len().saturating_add(1), self.failures.get());
            tracing::error!(
                "{}: {failures} controllers of the discovery log could not be attached, this one and the others, {left} in \
                 all, are not tried: at most {FAILURES_MAX} may fail, within {} s",
                transport_id::describe(&next.trid),
                CONTEXT_TIMEOUT.as_secs()
            );
            return None;
        }
        self.wanted.set(wanted);
        next
    }

    fn on_the_way(&self) -> usize {
        self.with_coming(|coming| coming.len()).saturating_add(self.taken.get())
    }

    /// Runs `work` on those that are coming, out of their cell. It must not call the program.
    fn with_coming<T>(&self, work: impl FnOnce(&mut VecDeque<Attaching>) -> T) -> T {
        let mut coming = self.coming.take();
        let result = work(&mut coming);
        self.coming.set(coming);
        result
    }
}

/// The one log line of a controller that could not be attached. The host writes its own.
pub(super) fn complain(trid: &spdk_nvme_transport_id, error: &AttachError) {
    if !matches!(error, AttachError::Host(_)) {
        tracing::error!("{}: no controller: {error}", transport_id::describe(trid));
    }
}
