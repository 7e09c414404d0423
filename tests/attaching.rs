//! What a C program is told of an attempt to attach a controller: why there is none, by errno, and what the controller's options
//! came to.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/face.rs"]
mod face;

use common::{
    NQN, World,
    lines::{errors, logged, record},
    until,
};
use face::*;
use spec::fabrics::DISCOVERY_NQN;
use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    io,
    ptr::null_mut,
};
use tracing::Level;

unsafe extern "C" {
    fn spdk_nvme_ctrlr_get_opts(controller: Handle) -> *const u8;
}

/// Where the simulation's target listens.
const PORT: u16 = 4420;

/// The errno that an attempt which fails leaves where there was none. It has one error line.
fn errno_of(what: &str, attempt: impl FnOnce() -> Handle) -> i32 {
    let (left, lines) = record(|| {
        // SAFETY: errno of this thread can always be written.
        unsafe { libc::__errno_location().write(0) };
        let controller = attempt();
        let left = io::Error::last_os_error().raw_os_error();
        assert!(controller.is_null(), "{what}");
        left
    });
    assert_eq!(errors(&lines).len(), 1, "{what}: {lines:?}");
    left.unwrap_or(0)
}

/// A16: NULL alone says nothing, so errno does; with each kind of failure its own.
#[test]
fn a16_errno_says_why_there_is_no_controller() {
    let world = World::new();
    assert_eq!(errno_of("nobody listens", || connect(NQN, 4421, 0)), libc::ECONNREFUSED);
    let malformed = |options: *mut u8| {
        // SAFETY: the host NQN lies within the options.
        unsafe { options.add(HOSTNQN).write(0x1b) };
    };
    assert_eq!(errno_of("a host NQN", || connect_with(NQN, PORT, 0, malformed)), libc::EINVAL);
    for address in ["localhost", "127.0.0.256", "::1"] {
        let id = transport_id_at(NQN, address, PORT);
        assert_eq!(errno_of(address, || connect_to(&id, 0, |_| {})), libc::EINVAL, "{address}");
    }
    let unknown = "nqn.2024-01.test:nobody";
    assert_eq!(errno_of("an unknown subsystem", || connect(unknown, PORT, 0)), libc::EINVAL);
    world.control("lie connect-status");
    assert_eq!(errno_of("a host that is not allowed", || connect(NQN, PORT, 0)), libc::EACCES);
    world.control("truth all");
    until("the target to be rid of it", || world.connections() == 0);
    world.control("misbehave silent");
    assert_eq!(errno_of("a silent target", || connect_within(NQN, PORT, 0, 200, 0)), libc::ETIMEDOUT);
    world.control("behave silent");
    softverbs::control("device off").unwrap();
    assert_eq!(errno_of("no device", || connect(NQN, PORT, 0)), libc::ENODEV);
    softverbs::control("device on").unwrap();
    // None of them is in the way of one that succeeds.
    let controller = connect(NQN, PORT, 0);
    assert!(!controller.is_null());
    detach(controller);
    world.finish(None);
}

fn detach(controller: Handle) {
    // SAFETY: on this thread, which is the only one.
    assert_eq!(unsafe { spdk_nvme_detach(controller) }, 0);
}

thread_local! {
    /// Each controller that was told of, and whether its options have interrupts.
    static ATTACHED: RefCell<Vec<(Handle, u8)>> = const { RefCell::new(Vec::new()) };
    static ASK: Cell<u8> = const { Cell::new(0) };
}

extern "C" fn asks(_: *mut c_void, _: *const c_void, options: *mut u8) -> bool {
    // SAFETY: the member lies within the options.
    unsafe { options.add(ENABLE_INTERRUPTS).write(ASK.get()) };
    true
}

extern "C" fn attached(_: *mut c_void, _: *const c_void, controller: Handle, options: *const u8) {
    // SAFETY: as above.
    let interrupts = unsafe { options.add(ENABLE_INTERRUPTS).read() };
    ATTACHED.with_borrow_mut(|attached| attached.push((controller, interrupts)));
}

/// A19: who asks for interrupts is told once for a controller that there are none, and finds none in its options.
#[test]
fn a19_interrupts_that_are_asked_for_are_told_not_to_be() {
    let world = World::new();
    let id = transport_id(NQN, PORT);
    for ask in [0, 1] {
        ASK.set(ask);
        let lines = logged(Level::INFO, || {
            // SAFETY: the id is one, and the functions are what is called for here.
            let rc = unsafe { spdk_nvme_probe(id.as_ptr().cast(), null_mut(), asks, attached, null_mut()) };
            assert_eq!(rc, 0);
        });
        let of_interrupts = lines.iter().filter(|line| line.contains("interrupts")).count();
        assert_eq!(of_interrupts, usize::from(ask), "{lines:?}");
        let attached = ATTACHED.take();
        assert!(matches!(attached[..], [(_, 0)]), "{attached:?}");
        detach(attached[0].0);

        let mut controller = null_mut();
        let lines = logged(Level::INFO, || {
            controller = connect_with(NQN, PORT, 0, |options| {
                // SAFETY: the member lies within the options.
                unsafe { options.add(ENABLE_INTERRUPTS).write(ask) };
            });
        });
        let of_interrupts = lines.iter().filter(|line| line.contains("interrupts")).count();
        assert_eq!(of_interrupts, usize::from(ask), "{lines:?}");
        assert!(!controller.is_null());
        detach(controller);
    }
    world.finish(None);
}

/// How many I/O queues the controller's options have.
fn io_queues(controller: Handle) -> u32 {
    // SAFETY: the handle is live, and the member is the first one.
    unsafe { spdk_nvme_ctrlr_get_opts(controller).cast::<u32>().read() }
}

/// What a controller grants is in its options. One of discovery is not asked.
#[test]
fn a_discovery_controller_keeps_the_wish_for_queues() {
    let world = World::new();
    for (nqn, expected) in [(NQN, 64), (DISCOVERY_NQN, 1024)] {
        let controller = connect(nqn, PORT, 0);
        assert!(!controller.is_null(), "{nqn}");
        assert_eq!(io_queues(controller), expected, "{nqn}");
        detach(controller);
    }
    world.finish(None);
}
