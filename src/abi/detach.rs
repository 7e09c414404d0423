//! Detaching controllers: at once, or many together while they are polled.
//!
//! A detach context is always ours; controllers of the next library are detached by it, in a context of its own that
//! ours carries.

use super::{
    attached::forget,
    ctrlr::Ctrlr,
    entry::{entry, next, next_of, pass_on_if_disabled},
    env,
    handles::{self, Claim, Found, Kind, Object, find, share, shared_by},
    types::{spdk_nvme_ctrlr, spdk_nvme_detach_ctx},
};
use crate::{abi::entry::guard_plain, clock};
use libc::{EAGAIN, EINVAL, ENOMEM, c_int};
use parking_lot::Mutex;
use std::{cell::Cell, ptr, rc::Rc, sync::Arc, time::Duration};

/// Longer than all deadlines of a detach together, but for that of the shutdown.
const DETACH_TIMEOUT: Duration = Duration::from_secs(60);
/// How often that is waited for.
const DETACH_WAITS: u64 = 3;

/// What a handle of a detach context stands for.
pub(super) struct DetachContext {
    ours: Mutex<Vec<Arc<Ctrlr>>>,
    /// The next library's context; NULL if it has none of its controllers to detach.
    theirs: Cell<*mut spdk_nvme_detach_ctx>,
}

impl Object for DetachContext {
    type Handle = spdk_nvme_detach_ctx;
    const KIND: Kind = Kind::DetachContext;
    shared_by!(Rc);

    /// What it holds fails by itself.
    fn fail(&self) {}
}

/// Detaches a controller, and waits until that is done. Queue pairs that it still has are freed, all at once: a silent
/// controller costs one deadline, however many they are.
///
/// A controller that was attached more than once is only detached with the last of these calls. A queue pair that another
/// thread is freeing or connecting is that thread's to end, and not waited for. Returns 0, also if the controller is being
/// detached already, or -EINVAL for a handle that is no controller.
///
/// # Safety
///
/// Nobody else uses ctrlr, its namespaces or its queue pairs, but to free or detach them, too; nobody does afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_detach(ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
    entry!(spdk_nvme_detach(ctrlr), Ctrlr as acquired, ctrlr, -EINVAL, |object| {
        if object.detach_once() {
            object.begin_detach();
            // Each step of a detach has a deadline of its own; this one is for a fault in them. A process that was stopped
            // for longer finds it over although nothing is wrong, and gets it again.
            let time = DETACH_TIMEOUT.saturating_add(object.admin(|host| host.shutdown_time()));
            let wait = || clock::wait(clock::now().after(time), || finish(&object).then_some(()));
            if (0..DETACH_WAITS).all(|_| wait().is_none()) {
                let at = object.describe();
                tracing::error!(
                    "{at}: the detach is not over after {} s",
                    time.as_secs().saturating_mul(DETACH_WAITS)
                );
            }
        }
        0
    })
}

/// Begins to detach a controller, and returns at once. The context is made if *detach_ctx is NULL; it takes any number of
/// controllers. Callbacks run while the context is polled.
///
/// Returns 0, also if the controller is being detached already, -EINVAL for a handle that is no controller, -ENOMEM.
///
/// # Safety
///
/// As for spdk_nvme_detach(). detach_ctx points to NULL or to a context that was not polled to its end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_detach_async(
    ctrlr: *mut spdk_nvme_ctrlr,
    detach_ctx: *mut *mut spdk_nvme_detach_ctx,
) -> c_int {
    pass_on_if_disabled!(spdk_nvme_detach_async(ctrlr, detach_ctx));
    guard_plain("spdk_nvme_detach_async", -EINVAL, || {
        if detach_ctx.is_null() {
            tracing::error!(
                "spdk_nvme_detach_async: there is no place for the detach context: detach_ctx is NULL"
            );
            return -EINVAL;
        }
        let ctrlr = match handles::acquire::<Ctrlr>(ctrlr) {
            Claim::Won(ours) => Ok(ours),
            Claim::Foreign => Err(ctrlr),
            Claim::Lost | Claim::Invalid => {
                handles::complain("spdk_nvme_detach_async", ctrlr.addr());
                return -EINVAL;
            }
        };
        // SAFETY: the caller vouches for detach_ctx and what it points to.
        match unsafe { Slot::open(detach_ctx) } {
            Ok(slot) => match ctrlr {
                Ok(ours) => slot.detach(ours),
                // SAFETY: the caller vouches for the handle.
                Err(theirs) => unsafe { slot.detach_foreign(theirs) },
            },
            Err(rc) => rc,
        }
    })
}

/// Goes on with detaching. Returns 0 when all controllers of the context are detached, and the context is gone then;
/// -EAGAIN if there is more to do; -EINVAL for a handle that is no detach context.
///
/// # Safety
///
/// detach_ctx is a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_detach_poll_async(detach_ctx: *mut spdk_nvme_detach_ctx) -> c_int {
    entry!(spdk_nvme_detach_poll_async(detach_ctx), DetachContext as share, detach_ctx, -EINVAL, |object| {
        object.poll(detach_ctx)
    })
}

/// Waits until all controllers of the context are detached; the context is gone then. NULL is allowed.
///
/// # Safety
///
/// detach_ctx is NULL or a handle that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spdk_nvme_detach_poll(detach_ctx: *mut spdk_nvme_detach_ctx) {
    if detach_ctx.is_null() {
        return;
    }
    entry!(spdk_nvme_detach_poll(detach_ctx), DetachContext as share, detach_ctx, (), |object| {
        while object.poll(detach_ctx) == -EAGAIN {
            env::relax();
        }
    });
}

impl DetachContext {
    /// Goes on with all that is being detached: 0, and the context's handle is gone, or -EAGAIN. Callbacks may come here
    /// again, so the list holds what is being detached until it is, and is not locked while one runs. Whoever finds the
    /// list empty first ends the context; the others get the same answer.
    fn poll(&self, handle: *mut spdk_nvme_detach_ctx) -> c_int {
        let ours = self.ours.lock().clone();
        for ctrlr in ours {
            if finish(&ctrlr) {
                self.ours.lock().retain(|other| !Arc::ptr_eq(other, &ctrlr));
            }
        }
        let theirs = self.theirs.get();
        if !theirs.is_null() && next!(spdk_nvme_detach_poll_async(theirs)).unwrap_or(0) != -EAGAIN {
            self.theirs.set(ptr::null_mut());
        }
        if !self.ours.lock().is_empty() || !self.theirs.get().is_null() {
            return -EAGAIN;
        }
        // SAFETY: whoever polls a context vouches for its handle.
        drop(unsafe { handles::remove::<Self>(handle) });
        0
    }
}

/// Goes on with detaching; true when done, and then the controller can be attached anew.
fn finish(ctrlr: &Arc<Ctrlr>) -> bool {
    let done = ctrlr.detach_poll();
    if done {
        forget(ctrlr);
    }
    done
}

/// The program's context, made or found. A new one is given to the program when something is in it.
struct Slot {
    context: Rc<DetachContext>,
    handle: *mut spdk_nvme_detach_ctx,
    program: *mut *mut spdk_nvme_detach_ctx,
    new: bool,
}

impl Slot {
    /// # Safety
    /// `program` points to NULL or to a handle that no other thread uses.
    unsafe fn open(program: *mut *mut spdk_nvme_detach_ctx) -> Result<Self, c_int> {
        // SAFETY: the caller vouches for the pointer.
        let handle = unsafe { program.read() };
        if handle.is_null() {
            let context =
                Rc::new(DetachContext { ours: Mutex::new(Vec::new()), theirs: Cell::new(ptr::null_mut()) });
            let handle = handles::insert::<DetachContext>(context.clone()).ok_or(-ENOMEM)?;
            return Ok(Self { context, handle, program, new: true });
        }
        // SAFETY: the caller vouches for the handle.
        match unsafe { find::<DetachContext>(handle) } {
            // SAFETY: `find` gave the reference just now.
            Found::Ours(found) => Ok(Self { context: unsafe { share(found) }, handle, program, new: false }),
            Found::Foreign | Found::Invalid => {
                handles::complain("spdk_nvme_detach_async", handle.addr());
                Err(-EINVAL)
            }
        }
    }

    fn detach(self, ctrlr: Arc<Ctrlr>) -> c_int {
        let last = ctrlr.detach_once();
        if last {
            // In the context before anything of it ends.
            self.context.ours.lock().push(ctrlr.clone());
            ctrlr.begin_detach();
        }
        self.close(last);
        0
    }

    /// # Safety
    /// As for spdk_nvme_detach.
    unsafe fn detach_foreign(self, ctrlr: *mut spdk_nvme_ctrlr) -> c_int {
        let mut theirs = self.context.theirs.get();
        let slot = &raw mut theirs;
        let Some(detach_async) = next_of!(spdk_nvme_detach_async(ctrlr, slot)) else {
            tracing::error!(
                "spdk_nvme_detach_async: {ctrlr:p} is not a controller of this library, and there is no other"
            );
            self.close(false);
            return -EINVAL;
        };
        // SAFETY: the caller vouches for the controller; the context is the same library's.
        let rc = unsafe { detach_async(ctrlr, slot) };
        self.context.theirs.set(theirs);
        self.close(rc == 0 && !theirs.is_null());
        rc
    }

    /// Gives a new context to the program if it is used, and takes it back if not.
    fn close(self, used: bool) {
        if !self.new {
            return;
        }
        if used {
            // SAFETY: whoever opened the slot vouched for the pointer.
            unsafe { self.program.write(self.handle) };
        } else {
            // SAFETY: nobody else knows the handle.
            drop(unsafe { handles::remove::<DetachContext>(self.handle) });
        }
    }
}
