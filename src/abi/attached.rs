//! Which controllers are attached, and which are about to be.
//!
//! A controller is told by its transport id and the host's NQN. Who asks for one that is attached gets the same handle;
//! who asks for one that is being attached, on another thread or in another probe context, gets it once it is.

use super::{ctrlr::Ctrlr, handles::this_thread, text::text, trid_order, types};
use parking_lot::Mutex;
use std::sync::Arc;
use types::{spdk_nvme_ctrlr_opts, spdk_nvme_transport_id};

static ATTACHED: Mutex<Registry> = Mutex::new(Registry { attached: Vec::new(), coming: Vec::new(), next: 0 });

struct Registry {
    attached: Vec<Arc<Ctrlr>>,
    coming: Vec<Coming>,
    /// The number of the next place.
    next: u64,
}

/// A controller that is being attached, and the thread that began that.
struct Coming {
    place: u64,
    transport_id: spdk_nvme_transport_id,
    hostnqn: [std::ffi::c_char; 224],
    thread: u32,
}

/// What there is of a controller.
pub(super) enum Known {
    /// It is attached.
    Attached(Arc<Ctrlr>),
    /// Another thread is attaching it.
    Coming,
    /// This thread has begun to attach it: nothing comes of it while this thread waits.
    ComingHere,
    /// Nothing: it is the caller's to attach. Others wait as long as this place is held.
    Nothing(Place),
}

/// The right to attach a controller, by its number.
pub(super) struct Place(u64);

/// Looks for a controller; if there is none, the caller gets its place.
pub(super) fn look_for(trid: &spdk_nvme_transport_id, opts: &spdk_nvme_ctrlr_opts) -> Known {
    let mut registry = ATTACHED.lock();
    let same = |other: &spdk_nvme_transport_id, hostnqn: &[std::ffi::c_char]| {
        trid_order::is_same(other, trid) && text(hostnqn) == text(&opts.hostnqn)
    };
    let attached = registry.attached.iter().find(|ctrlr| same(&ctrlr.transport_id(), &ctrlr.opts().hostnqn));
    if let Some(ctrlr) = attached {
        return Known::Attached(ctrlr.clone());
    }
    let coming = registry.coming.iter().find(|coming| same(&coming.transport_id, &coming.hostnqn));
    match coming {
        Some(coming) if coming.thread == this_thread() => Known::ComingHere,
        Some(_) => Known::Coming,
        None => {
            let place = registry.next;
            registry.next = place.wrapping_add(1);
            let (transport_id, hostnqn) = (*trid, opts.hostnqn);
            registry.coming.push(Coming { place, transport_id, hostnqn, thread: this_thread() });
            Known::Nothing(Place(place))
        }
    }
}

impl Place {
    /// The controller is attached.
    pub(super) fn fill(self, ctrlr: &Arc<Ctrlr>) {
        // Others find it before they find the place gone.
        ATTACHED.lock().attached.push(ctrlr.clone());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        ATTACHED.lock().coming.retain(|coming| coming.place != self.0);
    }
}

/// The controller was detached: from now on it is attached anew.
pub(super) fn forget(ctrlr: &Arc<Ctrlr>) {
    // What is taken off the list is dropped after the lock is: it may be the last share.
    let gone = {
        let mut registry = ATTACHED.lock();
        let place = registry.attached.iter().position(|attached| Arc::ptr_eq(attached, ctrlr));
        place.map(|place| registry.attached.swap_remove(place))
    };
    drop(gone);
}
