//! Controllers: what is known about one, its admin queue, and its I/O queue pairs.
//!
//! What must hold: the admin side of a controller is reached under its one re-entrant lock, from any thread. Admin
//! callbacks run with it held, as programs rely on; it guards `Cell`s, so a callback may come back here.

use super::{
    entry::{entry, guard, next_or_complain, pass_on_if_disabled},
    error::negated_errno,
    handles::{self, Begin, Claim, Kind, LongCall, Object, is_mixed, shared_by},
    ns::Ns,
    options,
    qpair::Qpair,
    transport_id,
    types::{
        spdk_nvme_cc_css, spdk_nvme_cmd, spdk_nvme_cpl, spdk_nvme_ctrlr, spdk_nvme_ctrlr_opts,
        spdk_nvme_io_qpair_opts, spdk_nvme_ns, spdk_nvme_qpair, spdk_nvme_qprio, spdk_nvme_transport_id,
    },
};
use crate::{abi::entry::guard_plain, host};
use libc::{EINVAL, EISCONN, ENXIO, c_int, size_t};
use parking_lot::{Mutex, ReentrantMutex};
use spec::registers::Cc;
use std::{
    cell::Cell,
    collections::{BTreeSet, HashMap},
    ptr,
    rc::Rc,
    sync::Arc,
};

/// What a handle of a controller stands for.
pub(super) struct Ctrlr {
    lock: ReentrantMutex<()>,
    host: Rc<host::Controller>,
    /// What needs no lock.
    profile: Arc<host::Profile>,
    /// What spdk_nvme_ctrlr_get_transport_id points to.
    transport_id: Mutex<spdk_nvme_transport_id>,
    /// What the attach callback's options point to: the program's, with what the controller made of them.
    opts: Mutex<spdk_nvme_ctrlr_opts>,
    handle: Cell<*mut spdk_nvme_ctrlr>,
    /// How many times the program attached it, and has to detach it.
    attachments: Cell<u32>,
    /// Handles that were given out, by NSID. One per namespace, as long as the controller is attached.
    namespaces: Mutex<HashMap<u32, usize>>,
    /// Its queue pairs. What is left when the controller is detached is freed then.
    qpairs: Mutex<Qpairs>,
    /// Whoever runs a command of Opal on it has this meanwhile.
    opal: Mutex<host::opal::Left>,
}

/// The queue pairs of a controller.
enum Qpairs {
    /// Handles of those that the program has, by address, so that one of many goes as fast as one of few.
    Open(BTreeSet<usize>),
    /// The controller is being detached, which ends these. No other is made any more.
    Closed(Vec<Rc<Qpair>>),
}

// SAFETY: everything in it that is not safe to share is reached under `lock` (see `Ctrlr::admin`), is never changed
// after the controller is made (profile, handle), or has a lock of its own. The counts of `host`'s `Rc`
// change under `lock` only, since only the admin side takes shares of it, and its callbacks, tasks and listeners have weak ones: a queue pair has none. It is dropped with
// the last share of the controller, when nothing else can reach it any more. The shares of queue pairs in `qpairs` are
// those that a detach has claimed: no other thread uses these queue pairs, and the detach is one thread's at a time.
unsafe impl Send for Ctrlr {}
// SAFETY: as above.
unsafe impl Sync for Ctrlr {}

impl Object for Ctrlr {
    type Handle = spdk_nvme_ctrlr;
    const KIND: Kind = Kind::Controller;
    shared_by!(Arc);

    fn fail(&self) {
        self.admin(|host| host.fail());
    }
}

impl Ctrlr {
    /// A new controller and its handle.
    pub(super) fn insert(
        host: Rc<host::Controller>,
        transport_id: spdk_nvme_transport_id,
        mut opts: spdk_nvme_ctrlr_opts,
    ) -> Option<Arc<Self>> {
        settle(&mut opts, &host);
        let ctrlr = Arc::new(Self {
            lock: ReentrantMutex::new(()),
            profile: host.profile().clone(),
            host,
            transport_id: Mutex::new(transport_id),
            opts: Mutex::new(opts),
            handle: Cell::new(ptr::null_mut()),
            attachments: Cell::new(1),
            namespaces: Mutex::new(HashMap::new()),
            qpairs: Mutex::new(Qpairs::Open(BTreeSet::new())),
            opal: Mutex::default(),
        });
        ctrlr.handle.set(handles::insert::<Self>(ctrlr.clone())?);
        Some(ctrlr)
    }

    /// Runs `work` on the admin side, under the lock.
    pub(super) fn admin<R>(&self, work: impl FnOnce(&Rc<host::Controller>) -> R) -> R {
        let _lock = self.lock.lock();
        work(&self.host)
    }

    pub(super) fn handle(&self) -> *mut spdk_nvme_ctrlr {
        self.handle.get()
    }

    pub(super) fn transport_id(&self) -> spdk_nvme_transport_id {
        *self.transport_id.lock()
    }

    /// Where C finds the transport id, as long as the controller is attached.
    pub(super) fn transport_id_address(&self) -> *const spdk_nvme_transport_id {
        self.transport_id.data_ptr()
    }

    pub(super) fn opts(&self) -> spdk_nvme_ctrlr_opts {
        *self.opts.lock()
    }

    /// Where C finds the options, as long as the controller is attached.
    pub(super) fn opts_address(&self) -> *const spdk_nvme_ctrlr_opts {
        self.opts.data_ptr()
    }

    /// Sets where the controller is to be found from its next reset on.
    pub(super) fn set_transport_id(
        &self,
        id: host::TransportId,
        trid: &spdk_nvme_transport_id,
    ) -> Result<(), host::Error> {
        self.admin(|host| {
            host.set_transport_id(id)?;
            *self.transport_id.lock() = *trid;
            Ok(())
        })
    }

    /// The controller was brought up again: the options say what it grants now.
    pub(super) fn refresh_opts(&self) {
        self.admin(|host| settle(&mut self.opts.lock(), host));
    }

    /// What is known of the controller without its lock.
    pub(super) fn profile(&self) -> &host::Profile {
        &self.profile
    }

    /// What its last bring-up learnt, without its lock.
    pub(super) fn summary(&self) -> Arc<host::Summary> {
        self.profile.summary()
    }

    /// What log lines call it.
    pub(super) fn describe(&self) -> String {
        transport_id::describe(&self.transport_id())
    }

    /// What a queue pair gets unless the program says otherwise.
    fn default_io_qpair_opts(&self) -> spdk_nvme_io_qpair_opts {
        options::default_io_qpair_opts(&self.admin(|host| host.default_io_qpair_options()))
    }

    /// What commands of Opal have left: whoever runs one has this meanwhile, and nobody waits for it.
    pub(super) fn opal(&self) -> &Mutex<host::opal::Left> {
        &self.opal
    }

    /// Attaches once more. False if it is being detached.
    pub(super) fn attach_again(&self) -> bool {
        self.admin(|_| {
            let attached = self.attachments.get() > 0;
            if attached {
                self.attachments.set(self.attachments.get().saturating_add(1));
            }
            attached
        })
    }

    /// Whether its end was begun.
    pub(super) fn is_being_detached(&self) -> bool {
        self.admin(|_| self.attachments.get() == 0)
    }

    /// Detaches once. True if that was the last time: then the end is the caller's, who has to begin it.
    pub(super) fn detach_once(&self) -> bool {
        let last = self.admin(|host| {
            let left = self.attachments.get().checked_sub(1);
            self.attachments.set(left.unwrap_or(0));
            if left == Some(0) {
                // Whoever detaches may forget what the callback needs.
                host.listen_to_events(None);
            }
            left == Some(0)
        });
        // SAFETY: the end is claimed, not brought about: what the handle stands for stays.
        last && matches!(unsafe { handles::claim::<Self>(self.handle.get()) }, Claim::Won(_))
    }

    /// Begins the end that was claimed: all queue pairs that the program has left, at once. Calls nobody and waits for
    /// nobody.
    pub(super) fn begin_detach(&self) {
        let ending = {
            let mut qpairs = self.qpairs.lock();
            let Qpairs::Open(handles) = &*qpairs else { return };
            let claimed = handles.iter().filter_map(|handle| {
                let handle: *mut spdk_nvme_qpair = ptr::with_exposed_provenance_mut(*handle);
                // SAFETY: whoever detaches a controller uses none of its queue pairs, unless to free one: who claims it
                // first ends it, and a loser touches nothing.
                match unsafe { handles::claim::<Qpair>(handle) } {
                    Claim::Won(qpair) => Some(qpair),
                    Claim::Lost | Claim::Foreign | Claim::Invalid => None,
                }
            });
            let ending: Vec<Rc<Qpair>> = claimed.collect();
            *qpairs = Qpairs::Closed(ending.clone());
            ending
        };
        // Not under the lock: a log line goes to the program, which may call back.
        ending.iter().for_each(|qpair| qpair.begin_free());
    }

    /// Goes on with detaching; true when done, and then the handles are gone. Callbacks may come here again: nothing is
    /// taken out of the controller while one runs.
    pub(super) fn detach_poll(&self) -> bool {
        let ending = match &*self.qpairs.lock() {
            Qpairs::Open(_) => return false,
            Qpairs::Closed(ending) => ending.clone(),
        };
        // All of them, so that one deadline serves for all.
        let left = ending.iter().filter(|qpair| !qpair.finish_free()).count();
        drop(ending);
        if left > 0 {
            return false;
        }
        let done = self.admin(|host| {
            host.detach_start();
            host.detach_poll()
        });
        if done {
            let namespaces = std::mem::take(&mut *self.namespaces.lock());
            // SAFETY: whoever detaches a controller does not use it or its namespaces any more. A second removal finds
            // nothing.
            unsafe {
                for handle in namespaces.into_values() {
                    handles::remove::<Ns>(ptr::with_exposed_provenance_mut(handle));
                }
                handles::remove::<Self>(self.handle.get());
            }
        }
        done
    }

    /// Takes a queue pair in. False if the controller is being detached.
    fn admit_qpair(&self, handle: *mut spdk_nvme_qpair) -> bool {
        match &mut *self.qpairs.lock() {
            Qpairs::Open(handles) => {
                handles.insert(handle.expose_provenance());
                true
            }
            Qpairs::Closed(_) => false,
        }
    }

    pub(super) fn forget_qpair(&self, handle: *mut spdk_nvme_qpair) {
        // What is taken off the list is dropped after the lock is.
        let _gone = match &mut *self.qpairs.lock() {
            Qpairs::Open(handles) => {
                handles.remove(&handle.addr());
                None
            }
            Qpairs::Closed(ending) => {
                let place = ending.iter().position(|qpair| qpair.handle() == handle);
                place.map(|place| ending.remove(place))
            }
        };
    }

    pub(super) fn namespace(&self, nsid: u32) -> *mut spdk_nvme_ns {
        self.admin(|host| {
            let mut namespaces = self.namespaces.lock();
            if let Some(&handle) = namespaces.get(&nsid) {
                return ptr::with_exposed_provenance_mut(handle);
            }
            let Some(namespace) = host.namespace(nsid) else { return ptr::null_mut() };
            // For spdk_nvme_ns_get_ctrlr().
            namespace.set_tag(self.handle().cast());
            let Some(handle) = handles::insert::<Ns>(namespace) else { return ptr::null_mut() };
            namespaces.insert(nsid, handle.expose_provenance());
            handle
        })
    }

    /// A queue pair with these options, connected unless they say otherwise.
    fn alloc_io_qpair(self: &Arc<Self>, opts: &spdk_nvme_io_qpair_opts) -> Option<*mut spdk_nvme_qpair> {
        self.check(opts)?;
        let options = options::io_qpair_options(opts);
        let host = match self.admin(|host| host.alloc_io_qpair(options)) {
            Ok(host) => host,
            // The program that resets it, or has it fail, knows.
            Err(host::Error::Resetting | host::Error::ControllerFailed) => return None,
            Err(error) => {
                tracing::error!("{}: cannot make a qpair: {error}", self.describe());
                return None;
            }
        };
        let (call, qpair) = Qpair::insert(host, self.clone())?;
        let handle = qpair.handle();
        let admitted = self.admit_qpair(handle);
        if !admitted {
            let at = self.describe();
            tracing::error!("{at}: cannot make a qpair: the controller is being detached");
        }
        // From here on a detach may want its end, and leaves that to this call.
        if !admitted || !options.create_only && qpair.connect(&call) != 0 {
            qpair.free();
        }
        drop(qpair);
        Qpair::after("spdk_nvme_ctrlr_alloc_io_qpair", call).then_some(handle)
    }

    /// What SPDK refuses before a transport sees it.
    fn check(&self, opts: &spdk_nvme_io_qpair_opts) -> Option<()> {
        let size = usize::try_from(opts.io_queue_size).ok()?;
        for (buffer, room, entry) in [
            (opts.sq.vaddr.is_null(), opts.sq.buffer_size, size_of::<spdk_nvme_cmd>()),
            (opts.cq.vaddr.is_null(), opts.cq.buffer_size, size_of::<spdk_nvme_cpl>()),
        ] {
            if !buffer && room < size.checked_mul(entry)? as u64 {
                tracing::error!("the program's queue memory of {room} bytes is too small for {size} entries");
                return None;
            }
        }
        // SAFETY: both members of the union are the same byte, for which every value is valid.
        let delay = unsafe { opts.__bindgen_anon_1.delay_cmd_submit } != 0;
        if self.opts().enable_interrupts != 0 && delay {
            tracing::error!("delayed submission does not go together with interrupts");
            return None;
        }
        let is_weighted = || self.admin(|host| host.summary().arbitration_mechanism()) == Cc::AMS_WEIGHTED;
        // Over fabrics no command has it, so that it changes nothing (Fabrics 1.1, 3.3).
        match opts.qprio {
            spdk_nvme_qprio::SPDK_NVME_QPRIO_URGENT => {}
            priority if priority.0 > spdk_nvme_qprio::SPDK_NVME_QPRIO_LOW.0 => {
                tracing::error!("there is no queue priority {}", priority.0);
                return None;
            }
            _ if is_weighted() => {}
            priority => {
                tracing::error!("queue priority {} without weighted arbitration", priority.0);
                return None;
            }
        }
        Some(())
    }
}

/// Puts into the options what SPDK's attach callback sees: sizes as they are used, not as they were asked for.
fn settle(opts: &mut spdk_nvme_ctrlr_opts, host: &host::Controller) {
    let defaults = host.default_io_qpair_options();
    opts.io_queue_size = defaults.queue_size;
    opts.io_queue_requests = defaults.queue_requests;
    opts.command_set = spdk_nvme_cc_css(host.summary().command_set().into());
    opts.keep_alive_timeout_ms = u32::try_from(host.keep_alive_timeout().as_millis()).unwrap_or(u32::MAX);
    // A discovery controller is not asked for any, so the wish stands.
    if !host.summary().is_discovery() {
        opts.num_io_queues = host.io_queue_count();
    }
}

/// Fills opts with the defaults, up to opts_size bytes.
///
/// The host NQN and the host identifier are made of a random UUID, one for the whole process.
///
/// # Safety
///
/// opts points to opts_size bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_default_ctrlr_opts(
    opts: *mut spdk_nvme_ctrlr_opts,
    opts_size: size_t,
) {
    pass_on_if_disabled!(spdk_nvme_ctrlr_get_default_ctrlr_opts(opts, opts_size));
    guard_plain("spdk_nvme_ctrlr_get_default_ctrlr_opts", (), || {
        if opts.is_null() {
            tracing::error!("spdk_nvme_ctrlr_get_default_ctrlr_opts: options are NULL");
            return;
        }
        let mut defaults = options::default_ctrlr_opts();
        defaults.opts_size = opts_size;
        // SAFETY: the caller vouches for opts_size bytes.
        unsafe { options::write(&defaults, opts, opts_size) };
    });
}

/// The namespace with this identifier, active or not. NULL if there can be none, and for those that are not active once
/// some thousand such handles were given out.
///
/// The handle is the same each time, and good until the controller is detached.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_ns(
    ctrlr: *mut spdk_nvme_ctrlr,
    ns_id: u32,
) -> *mut spdk_nvme_ns {
    entry!(spdk_nvme_ctrlr_get_ns(ctrlr, ns_id), Ctrlr, ctrlr, ptr::null_mut(), |object| object
        .namespace(ns_id))
}

/// The identifier of the first active namespace; 0 if there is none.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_first_active_ns(ctrlr: *mut spdk_nvme_ctrlr) -> u32 {
    entry!(spdk_nvme_ctrlr_get_first_active_ns(ctrlr), Ctrlr, ctrlr, 0, |object| {
        object.admin(|host| host.first_active_namespace())
    })
}

/// The identifier of the active namespace after prev_nsid; 0 if there is none.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_next_active_ns(
    ctrlr: *mut spdk_nvme_ctrlr,
    prev_nsid: u32,
) -> u32 {
    entry!(spdk_nvme_ctrlr_get_next_active_ns(ctrlr, prev_nsid), Ctrlr, ctrlr, 0, |object| {
        object.admin(|host| host.next_active_namespace(prev_nsid))
    })
}

/// Fills opts with the defaults for this controller, up to opts_size bytes; the rest of these bytes are zero.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. opts points to opts_size bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_get_default_io_qpair_opts(
    ctrlr: *mut spdk_nvme_ctrlr,
    opts: *mut spdk_nvme_io_qpair_opts,
    opts_size: size_t,
) {
    entry!(spdk_nvme_ctrlr_get_default_io_qpair_opts(ctrlr, opts, opts_size), Ctrlr, ctrlr, (), |object| {
        if opts.is_null() {
            tracing::error!("spdk_nvme_ctrlr_get_default_io_qpair_opts: options are NULL");
            return;
        }
        let mut defaults = object.default_io_qpair_opts();
        defaults.opts_size = opts_size;
        // What lies behind the options that there are is not this library's, however much it is said to be.
        let known = opts_size.min(size_of::<spdk_nvme_io_qpair_opts>());
        // SAFETY: the caller vouches for opts_size bytes.
        unsafe {
            ptr::write_bytes(opts.cast::<u8>(), 0, known);
            options::write(&defaults, opts, opts_size);
        }
    });
}

/// Makes an I/O queue pair and connects it.
///
/// Options are read up to opts_size bytes; the rest, or all if opts is NULL, are defaults. With create_only the queue
/// pair is left unconnected, so that it can be added to a poll group before. With async_mode connecting goes on while
/// it is polled.
///
/// Returns NULL: after a log line for options that cannot be, when no queue identifier is left, or when connecting failed, and without
/// one while the controller is being reset or has failed.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching. opts is NULL or points to opts_size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_alloc_io_qpair(
    ctrlr: *mut spdk_nvme_ctrlr,
    opts: *const spdk_nvme_io_qpair_opts,
    opts_size: size_t,
) -> *mut spdk_nvme_qpair {
    entry!(
        spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, opts, opts_size),
        Ctrlr as acquired,
        ctrlr,
        ptr::null_mut(),
        |object| {
            let mut merged = object.default_io_qpair_opts();
            if !opts.is_null() {
                if opts_size == 0 {
                    tracing::error!("options of a qpair with a size of 0 are not looked at");
                }
                // SAFETY: the caller vouches for opts_size bytes.
                unsafe { options::read(&mut merged, opts, opts_size) };
            }
            object.alloc_io_qpair(&merged).unwrap_or(ptr::null_mut())
        }
    )
}

/// Takes a queue identifier, for a program that has a queue of its own on the controller. -1 if none is left.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_alloc_qid(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_ctrlr_alloc_qid(ctrlr), Ctrlr as share, ctrlr, -1, |object| {
        object.admin(|host| host.take_queue_id()).map_or_else(
            || {
                tracing::error!("{}: the controller grants no further I/O queue", object.describe());
                -1
            },
            c_int::from,
        )
    })
}

/// Gives back what spdk_nvme_ctrlr_alloc_qid() gave; anything else is ignored, with a log line.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_free_qid(ctrlr: *mut spdk_nvme_ctrlr, qid: u16) {
    entry!(spdk_nvme_ctrlr_free_qid(ctrlr, qid), Ctrlr as share, ctrlr, (), |object| {
        if !object.admin(|host| host.give_back_queue_id(qid)) {
            tracing::error!("{}: queue id {qid} was not taken", object.describe());
        }
    });
}

/// Connects a queue pair that was made with create_only, or that is disconnected.
///
/// Waits for the connection unless the queue pair was made with async_mode. Returns 0, -EISCONN if it is connected or
/// about to be, or another negated errno.
///
/// # Safety
///
/// Both are handles that nobody else is freeing, and no other thread uses qpair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_connect_io_qpair(
    ctrlr: *mut spdk_nvme_ctrlr,
    qpair: *mut spdk_nvme_qpair,
) -> c_int {
    const ENTRY: &str = "spdk_nvme_ctrlr_connect_io_qpair";
    if is_mixed(ENTRY, qpair.addr(), ctrlr.addr()) {
        return -EINVAL;
    }
    let of_this = |object: &Qpair| {
        let of_this = object.ctrlr().handle() == ctrlr;
        if !of_this {
            tracing::error!("{ENTRY}: the qpair is not this controller's");
        }
        of_this
    };
    match LongCall::begin::<Qpair>(qpair) {
        Begin::Begun(call, object) => {
            let connect = || if of_this(&object) { object.connect(&call) } else { -EINVAL };
            let rc = guard(ENTRY, &*object, -EINVAL, connect);
            drop(object);
            if Qpair::after(ENTRY, call) { rc } else { -ENXIO }
        }
        // A callback of a disconnect, or of a connect: the transport says whether it has come to rest.
        Begin::Here(object) => {
            let connect = || if of_this(&object) { object.connect_here() } else { -EINVAL };
            guard(ENTRY, &*object, -EINVAL, connect)
        }
        Begin::Elsewhere => -EISCONN,
        Begin::Ending => -ENXIO,
        Begin::Foreign => {
            next_or_complain!(spdk_nvme_ctrlr_connect_io_qpair(ctrlr, qpair), qpair, -EINVAL)
        }
        Begin::Invalid => {
            handles::complain(ENTRY, qpair.addr());
            -EINVAL
        }
    }
}

/// Polls the admin queue: delivers what is done, sends keep alives, handles events.
///
/// Returns how many commands were completed, or a negated errno: -ENXIO if the controller has failed. Callbacks run
/// with the controller locked.
///
/// # Safety
///
/// ctrlr is a handle that nobody else is detaching.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_ctrlr_process_admin_completions(ctrlr: *mut spdk_nvme_ctrlr) -> i32 {
    entry!(spdk_nvme_ctrlr_process_admin_completions(ctrlr), Ctrlr as share, ctrlr, -EINVAL, |object| {
        match object.admin(|host| host.process_admin_completions()) {
            Ok(count) => i32::try_from(count).unwrap_or(i32::MAX),
            Err(error) => negated_errno(&error),
        }
    })
}
