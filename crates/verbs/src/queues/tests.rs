//! Tests of the hot room. Seats are tried over softverbs, by real queue pairs; queues, shared ones too, by a [`Provider`] of the tests'
//! own, which says what it was given and refuses what it is told to, so that a property test costs no device.

mod provider;
mod receive;
mod seat;
mod send;
mod shared;

use super::*;
use crate::{Device, DeviceList};
use provider::{Provider, Verdict};
use std::sync::{Mutex, MutexGuard, PoisonError};

// RDMA without a device. Its symbols win over those of the shared libraries.
use softverbs as _;

/// A device, for one test at a time: they share its ledger and its faults.
struct Fabric {
    device: Device,
    domain: Arc<ProtectionDomain>,
    _alone: MutexGuard<'static, ()>,
}

impl Fabric {
    fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        softverbs::control("faults off").unwrap();
        let device = DeviceList::open().unwrap().devices().remove(0);
        let domain = ProtectionDomain::new(&device).unwrap();
        Self { device, domain, _alone: alone }
    }
}

/// Whether there is memory at the address.
fn is_mapped(address: u64) -> bool {
    let (mut answer, page) = (0, address & !0xfff);
    // SAFETY: one byte of answer for one page; the call only looks (`mincore(2)`).
    unsafe { libc::mincore(page as *mut libc::c_void, 1, &raw mut answer) == 0 }
}

#[test]
fn memory_that_somebody_else_has_is_refused() {
    let memory = Memory::new(64).unwrap();
    assert!(sole(memory.clone(), 64).is_err_and(|error| error.errno == libc::EINVAL), "shared");
    let weak = Rc::downgrade(&memory);
    assert!(
        sole(memory, 64).is_err_and(|error| error.errno == libc::EINVAL),
        "a share can come of a weak one"
    );
    assert!(weak.upgrade().is_none());
    assert!(sole(Memory::new(63).unwrap(), 64).is_err_and(|error| error.errno == libc::EINVAL), "too short");
    assert!(sole(Memory::new(64).unwrap(), 64).is_ok());
}
