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
use spec::{
    AdminOpcode, Completion, FabricsType, Status,
    fabrics::DISCOVERY_NQN,
    feature::FeatureId,
    identify::Cns,
    registers::{CAP, CC, CSTS, Cc, Csts},
};
use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    io,
    ptr::null_mut,
    rc::Rc,
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

/// Where members of the controller options and of an I/O qpair's begin.
const ARB_MECHANISM: usize = 8;
const ARBITRATION_BURST: usize = 12;
const QPRIO: usize = 0;
const CREATE_ONLY: usize = 64;

/// A controller without namespaces that offers these arbitration mechanisms (CAP.AMS): CC.AMS and the feature are left here. The target
/// knows round robin alone, so the controller is made up, and nothing can be connected beside its Admin Queue.
fn arbitrates(world: &World, offered: u64) -> Rc<Cell<(u8, Option<u32>)>> {
    let set = Rc::new(Cell::new((0, None)));
    let seen = set.clone();
    let cc = Cell::new(Cc(0));
    world.set_liar(move |answer| {
        let command = answer.command;
        let done = Completion::new(0, command.cid(), Status::SUCCESS);
        match AdminOpcode(command.opcode()) {
            AdminOpcode::FABRICS if command.fabrics_type() == FabricsType::PROPERTY_GET => {
                match command.cdw11() {
                    CAP => answer.completion = done.with_result(answer.completion.result() | offered << 17),
                    CC => answer.completion = done.with_result(cc.get().0.into()),
                    CSTS => {
                        let shut_down = if cc.get().shn() == 0 { 0 } else { 2 << 2 };
                        let csts = Csts(u32::from(cc.get().en()) | shut_down);
                        answer.completion = done.with_result(csts.0.into());
                    }
                    _ => {}
                }
            }
            AdminOpcode::FABRICS if command.fabrics_type() == FabricsType::PROPERTY_SET => {
                cc.set(Cc(command.cdw12()));
                answer.completion = done;
                if cc.get().en() && cc.get().shn() == 0 {
                    seen.set((cc.get().ams(), seen.get().1));
                }
            }
            AdminOpcode::SET_FEATURES => {
                if command.cdw10() as u8 == FeatureId::ARBITRATION.0 {
                    seen.set((seen.get().0, Some(command.cdw11())));
                }
                answer.completion = done.with_cdw0(7 << 16 | 7); // as many queues, if it is about these
            }
            AdminOpcode::IDENTIFY => {
                let mut page = vec![0; 4096];
                if Cns(command.cdw10() as u8) == Cns::CONTROLLER {
                    page[536..540].copy_from_slice(&5_u32.to_le_bytes()); // SGLS
                    page[1792..1796].copy_from_slice(&4_u32.to_le_bytes()); // IOCCSZ
                }
                (answer.page, answer.completion) = (Some(page), done);
            }
            AdminOpcode::ASYNC_EVENT_REQUEST => answer.hold = true,
            _ => {}
        }
    });
    set
}

fn with_arbitration(mechanism: u32, burst: [u8; 4]) -> Handle {
    connect_with(NQN, PORT, 0, |options| {
        // SAFETY: the members lie within the options; they need not be aligned.
        unsafe {
            options.add(ARB_MECHANISM).cast::<u32>().write_unaligned(mechanism);
            options.add(ARBITRATION_BURST).cast::<[u8; 4]>().write_unaligned(burst);
        }
    })
}

/// An arbitration mechanism that the controller does not offer is refused, as SPDK does: no controller that would be another one.
#[test]
fn an_arbitration_mechanism_is_one_that_is_offered() {
    let world = World::new();
    for (offered, mechanism) in [(0, 1), (2, 1), (1, 7), (3, 2), (3, 0x101)] {
        let set = arbitrates(&world, offered);
        let what = format!("{mechanism} of {offered}");
        assert_eq!(errno_of(&what, || with_arbitration(mechanism, [0; 4])), libc::EINVAL, "{what}");
        assert_eq!(set.get(), (0, None), "{what}: it was not enabled");
    }
    for (offered, mechanism, burst, feature) in [
        (0, 0, [0; 4], None),
        (0, 0, [8, 1, 2, 3], None),
        (0, 0, [2, 1, 2, 3], Some(2)),
        (1, 0, [0, 1, 2, 3], None),
        (1, 1, [7, 1, 2, 3], Some(0x0302_0107)),
        (2, 7, [1, 1, 2, 3], Some(1)),
    ] {
        let set = arbitrates(&world, offered);
        let controller = with_arbitration(mechanism, burst);
        assert!(!controller.is_null(), "{mechanism} of {offered}");
        assert_eq!(set.get(), (mechanism as u8, feature), "{mechanism} of {offered}");
        // Priorities go with classes alone.
        for priority in 0..5_u32 {
            let mut options: Room = [0; 512];
            // SAFETY: the options have room; the handle is live.
            let qpair = unsafe {
                let options = options.as_mut_ptr().cast::<u8>();
                spdk_nvme_ctrlr_get_default_io_qpair_opts(controller, options.cast(), 72);
                options.add(QPRIO).cast::<u32>().write_unaligned(priority);
                options.add(CREATE_ONLY).write(1);
                spdk_nvme_ctrlr_alloc_io_qpair(controller, options.cast(), 72)
            };
            let expected = priority == 0 || mechanism == 1 && priority < 4;
            assert_eq!(!qpair.is_null(), expected, "priority {priority}, {mechanism} of {offered}");
            if expected {
                // SAFETY: the handle is live.
                assert_eq!(unsafe { spdk_nvme_ctrlr_free_io_qpair(qpair) }, 0);
            }
        }
        detach(controller);
    }
    world.finish(None);
}
