//! Errors that a program lets its commands end with, through C handles.
//!
//! What holds: each counts once and each command ends once; a command that is held back never reaches the controller; an end, a reset
//! and a full queue are as they are without.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/face.rs"]
mod face;

use common::{NQN, World, turn, until};
use face::*;
use spec::{Completion, Status};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ffi::c_void,
    ptr::{null_mut, without_provenance_mut},
    rc::Rc,
};

unsafe extern "C" {
    fn spdk_nvme_qpair_add_cmd_error_injection(
        controller: Handle,
        qpair: Handle,
        opcode: u8,
        do_not_submit: bool,
        timeout_us: u64,
        count: u32,
        sct: u8,
        sc: u8,
    ) -> i32;
    fn spdk_nvme_qpair_remove_cmd_error_injection(controller: Handle, qpair: Handle, opcode: u8);
    fn spdk_nvme_ctrlr_cmd_abort_ext(
        controller: Handle,
        qpair: Handle,
        argument: *mut c_void,
        done: Done,
        own: *mut c_void,
    ) -> i32;
    fn spdk_nvme_qpair_set_abort_dnr(qpair: Handle, dnr: bool);
}

const PORT: u16 = 4420;
const WRITE: u8 = 1;
const READ: u8 = 2;
const COMPARE: u8 = 5;
const GET_FEATURES: u8 = 0x0a;
const ENOMEM: i32 = -libc::ENOMEM;
const MILLISECOND: u64 = 1_000_000;
/// MEDIA ERROR, UNRECOVERED READ ERROR.
const MEDIA: Status = Status(0x281);
/// Long enough to see that nothing happens before, in microseconds.
const WHILE: u64 = 50_000;

type Hook = Box<dyn FnOnce()>;

thread_local! {
    static ENDED: RefCell<BTreeMap<usize, Completion>> = const { RefCell::new(BTreeMap::new()) };
    static ORDER: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

extern "C" fn ended(number: *mut c_void, completion: *const [u8; 16]) {
    // SAFETY: a completion has 16 bytes.
    let completion = Completion::from_bytes(unsafe { &*completion });
    let twice = ENDED.with_borrow_mut(|ended| ended.insert(number.addr(), completion));
    assert!(twice.is_none(), "command {} ended twice", number.addr());
    ORDER.with_borrow_mut(|order| order.push(number.addr()));
    if let Some(hook) = HOOK.take() {
        hook();
    }
}

/// How the commands of these numbers ended so far.
fn statuses(numbers: impl IntoIterator<Item = usize>) -> Vec<Option<Status>> {
    ENDED.with_borrow(|ended| {
        numbers.into_iter().map(|number| ended.get(&number).map(Completion::status)).collect()
    })
}

fn count() -> usize {
    ENDED.with_borrow(BTreeMap::len)
}

/// One controller and one I/O qpair of it, in a group or not.
struct Stage {
    world: World,
    controller: Handle,
    namespace: Handle,
    qpair: Handle,
    group: Handle,
    polled: Cell<i64>,
}

const PLAIN: QpairOptions = QpairOptions {
    queue_size: 16,
    requests: 32,
    delay_submit: false,
    create_only: true,
    asynchronous: false,
};

extern "C" fn lost(_: Handle, _: *mut c_void) {}

impl Stage {
    fn new(in_group: bool, options: QpairOptions) -> Self {
        ENDED.take();
        ORDER.take();
        let world = World::new();
        let controller = connect(NQN, PORT, 0);
        let qpair = alloc_with(controller, options);
        // SAFETY: the handles are live, here and in what follows, until the stage ends.
        let (namespace, group) = unsafe {
            let group =
                if in_group { spdk_nvme_poll_group_create(null_mut(), null_mut()) } else { null_mut() };
            if in_group {
                assert_eq!(spdk_nvme_poll_group_add(group, qpair), 0);
            }
            assert_eq!(spdk_nvme_ctrlr_connect_io_qpair(controller, qpair), 0);
            (spdk_nvme_ctrlr_get_ns(controller, 1), group)
        };
        let stage = Self { world, controller, namespace, qpair, group, polled: Cell::new(0) };
        if !options.asynchronous {
            stage.connected();
        }
        stage
    }

    fn connected(&self) {
        until("the connection", || {
            self.poll();
            // SAFETY: as in `new`.
            unsafe { spdk_nvme_qpair_is_connected(self.qpair) }
        });
    }

    fn poll(&self) -> i64 {
        self.poll_up_to(0)
    }

    fn poll_up_to(&self, most: u32) -> i64 {
        // SAFETY: as in `new`.
        let polled = unsafe {
            if self.group.is_null() {
                i64::from(spdk_nvme_qpair_process_completions(self.qpair, most))
            } else {
                spdk_nvme_poll_group_process_completions(self.group, most, lost)
            }
        };
        self.polled.set(self.polled.get() + polled.max(0));
        polled
    }

    fn poll_admin(&self) {
        // SAFETY: as in `new`.
        assert!(unsafe { spdk_nvme_ctrlr_process_admin_completions(self.controller) } >= 0);
    }

    fn inject(&self, opcode: u8, held_for: Option<u64>, count: u32, status: Status) {
        // SAFETY: as in `new`.
        let rc = unsafe { self.inject_at(self.qpair, opcode, held_for, count, status) };
        assert_eq!(rc, 0);
    }

    unsafe fn inject_at(
        &self,
        qpair: Handle,
        opcode: u8,
        held_for: Option<u64>,
        count: u32,
        status: Status,
    ) -> i32 {
        let (held, time) = (held_for.is_some(), held_for.unwrap_or(0));
        let (sct, sc) = (status.sct().0, status.sc().0);
        // SAFETY: the caller vouches for the handle.
        unsafe {
            spdk_nvme_qpair_add_cmd_error_injection(
                self.controller,
                qpair,
                opcode,
                held,
                time,
                count,
                sct,
                sc,
            )
        }
    }

    fn remove(&self, opcode: u8) {
        // SAFETY: as in `new`.
        unsafe { spdk_nvme_qpair_remove_cmd_error_injection(self.controller, self.qpair, opcode) };
    }

    /// Submits a read of so many blocks.
    fn try_read(&self, number: usize, blocks: u32) -> i32 {
        let (buffer, argument) = (self.world.buffer(), without_provenance_mut(number));
        // SAFETY: as in `new`; the buffer has 4 MiB.
        unsafe { spdk_nvme_ns_cmd_read(self.namespace, self.qpair, buffer, 0, blocks, ended, argument, 0) }
    }

    fn read(&self, numbers: impl IntoIterator<Item = usize>) {
        numbers.into_iter().for_each(|number| assert_eq!(self.try_read(number, 1), 0));
    }

    fn until_ended(&self, total: usize) {
        until("the commands", || {
            self.poll();
            count() == total
        });
    }

    fn get_feature(&self, number: usize) -> i32 {
        let argument = without_provenance_mut(number);
        // SAFETY: as in `new`; there is no payload.
        unsafe { spdk_nvme_ctrlr_cmd_get_feature(self.controller, 7, 0, null_mut(), 0, ended, argument) }
    }

    fn free(&self) {
        // SAFETY: as in `new`.
        assert_eq!(unsafe { spdk_nvme_ctrlr_free_io_qpair(self.qpair) }, 0);
    }

    /// Frees the qpair, and looks whether anything is left.
    fn end(self) {
        self.free();
        self.leave();
    }

    /// As [`Stage::end`], of a qpair that is freed already, or that the detach is to end.
    fn leave(self) {
        // SAFETY: as in `new`.
        unsafe {
            assert_eq!(spdk_nvme_detach(self.controller), 0);
            if !self.group.is_null() {
                assert_eq!(spdk_nvme_poll_group_destroy(self.group), 0);
            }
        }
        self.world.finish(None);
    }
}

fn each(test: impl Fn(Stage)) {
    for in_group in [false, true] {
        for delay_submit in [false, true] {
            test(Stage::new(in_group, QpairOptions { delay_submit, ..PLAIN }));
        }
    }
}

#[test]
fn so_many_successes_become_errors() {
    each(|stage| {
        // Also of commands that were submitted before, on the wire or waiting.
        stage.world.control("misbehave silent");
        stage.read(1..=20);
        stage.inject(READ, None, 17, MEDIA);
        stage.read(21..=24);
        stage.world.control("behave silent");
        stage.until_ended(24);
        assert_eq!(statuses(1..=17), vec![Some(MEDIA); 17]);
        assert_eq!(statuses(18..=24), vec![Some(Status::SUCCESS); 7]);
        assert_eq!(stage.polled.get(), 24);
        // The last one for an opcode counts; another opcode is another one.
        stage.inject(READ, None, 3, MEDIA);
        stage.inject(READ, None, 1, Status::INVALID_FIELD);
        stage.inject(WRITE, None, 9, MEDIA);
        stage.read(25..=27);
        stage.until_ended(27);
        assert_eq!(
            statuses(25..=27),
            [Some(Status::INVALID_FIELD), Some(Status::SUCCESS), Some(Status::SUCCESS)]
        );
        // What is taken back is over, and nothing is the matter with a full queue.
        stage.inject(READ, None, 9, MEDIA);
        stage.remove(READ);
        stage.remove(WRITE);
        stage.remove(COMPARE);
        stage.read(28..=59);
        assert_eq!(stage.try_read(60, 1), ENOMEM);
        stage.until_ended(59);
        assert_eq!(statuses(28..=59), vec![Some(Status::SUCCESS); 32]);
        stage.end();
    });
}

/// What the controller says is said, and costs no count.
#[test]
fn errors_of_the_controller_stay() {
    each(|stage| {
        stage.inject(READ, None, 1, MEDIA);
        let (buffer, namespace) = (stage.world.buffer(), stage.namespace);
        let beyond = 1 << 40;
        // SAFETY: the handles are live and the buffer is larger than a block.
        unsafe {
            let argument = without_provenance_mut(1);
            assert_eq!(
                spdk_nvme_ns_cmd_read(namespace, stage.qpair, buffer, beyond, 1, ended, argument, 0),
                0
            );
        }
        stage.until_ended(1);
        assert_eq!(statuses([1]), [Some(Status::LBA_OUT_OF_RANGE.with_dnr(true))]);
        stage.read(2..=3);
        stage.until_ended(3);
        assert_eq!(statuses(2..=3), [Some(MEDIA), Some(Status::SUCCESS)]);
        stage.end();
    });
}

#[test]
fn what_is_held_back_is_not_sent_and_ends_in_its_time() {
    each(|stage| {
        let sent = Rc::new(Cell::new(0));
        let reads = sent.clone();
        stage.world.set_liar(move |answer| {
            if answer.qid != 0 {
                reads.set(reads.get() + 1);
            }
        });
        stage.inject(READ, Some(WHILE), 3, MEDIA);
        stage.read(1..=5);
        stage.until_ended(2);
        assert_eq!(statuses(4..=5), vec![Some(Status::SUCCESS); 2]);
        // Those that were given to be held back stay so.
        stage.remove(READ);
        softverbs::sim::advance(WHILE * 1000 / 2);
        assert_eq!((stage.poll(), stage.poll(), count()), (0, 0, 2));
        softverbs::sim::advance(WHILE * 1000 / 2);
        assert_eq!((stage.poll(), count()), (3, 5), "at the first poll");
        assert_eq!(statuses(1..=3), vec![Some(MEDIA); 3]);
        assert_eq!((sent.get(), stage.polled.get()), (2, 5));
        // At the first poll after no time at all.
        // SAFETY: the handle is live.
        unsafe { spdk_nvme_qpair_set_abort_dnr(stage.qpair, true) };
        stage.inject(READ, Some(0), 1, MEDIA);
        stage.read([6]);
        assert_eq!((count(), stage.poll()), (5, 1));
        assert_eq!(statuses([6]), [Some(MEDIA.with_dnr(true))]);
        stage.end();
    });
}

/// A poll runs no more callbacks than it may, and the rest later.
#[test]
fn held_back_commands_keep_to_the_limit_of_a_poll() {
    each(|stage| {
        stage.inject(READ, Some(2000), 3, MEDIA);
        stage.read(1..=3);
        stage.inject(READ, Some(20_000), 3, MEDIA);
        stage.read(4..=6);
        let poll = || {
            let before = count();
            let polled = stage.poll_up_to(2);
            assert_eq!(polled, i64::try_from(count() - before).unwrap());
            assert!(polled <= 2, "{polled}");
            count()
        };
        softverbs::sim::advance(3 * MILLISECOND);
        until("the first two", || poll() == 2);
        softverbs::sim::advance(20 * MILLISECOND);
        until("the commands", || poll() == 6);
        assert_eq!(ORDER.take(), [1, 2, 3, 4, 5, 6]);
        stage.end();
    });
}

/// A command that is held back has a request, and none that is not there.
#[test]
fn held_back_commands_use_requests_and_no_room_on_the_wire() {
    each(|stage| {
        stage.inject(READ, Some(WHILE), 20, MEDIA);
        stage.read(1..=20);
        // More than the queue has room for.
        stage.read(21..=32);
        assert_eq!(stage.try_read(33, 1), ENOMEM);
        stage.until_ended(12);
        stage.read(33..=44);
        assert_eq!(stage.try_read(45, 1), ENOMEM);
        stage.until_ended(24);
        softverbs::sim::advance(WHILE * 1000);
        stage.until_ended(44);
        assert_eq!(statuses(1..=20), vec![Some(MEDIA); 20]);
        assert_eq!(statuses(21..=44), vec![Some(Status::SUCCESS); 24]);
        stage.remove(READ);
        for round in 0..4 {
            let first = 100 * (round + 1);
            stage.read(first..first + 32);
            assert_eq!(stage.try_read(99, 1), ENOMEM);
            stage.until_ended(44 + 32 * (round + 1));
        }
        stage.end();
    });
}

#[test]
fn each_command_of_a_split_transfer_counts() {
    each(|stage| {
        // 4 commands each.
        for (held_for, injected) in [(None, 1), (None, 4), (Some(1000), 1), (Some(1000), 4)] {
            ENDED.take();
            stage.inject(READ, held_for, injected, MEDIA);
            assert_eq!(stage.try_read(1, 4 * 256), 0);
            stage.until_ended(1);
            assert_eq!(statuses([1]), [Some(MEDIA)]);
            assert_eq!(stage.try_read(2, 4 * 256), 0);
            stage.until_ended(2);
            assert_eq!(statuses([2]), [Some(Status::SUCCESS)], "{injected} of 4 were enough");
        }
        // Of two transfers, one command each.
        ENDED.take();
        stage.inject(READ, None, 5, MEDIA);
        assert_eq!((stage.try_read(1, 4 * 256), stage.try_read(2, 4 * 256)), (0, 0));
        stage.until_ended(2);
        assert_eq!(statuses(1..=2), [Some(MEDIA), Some(MEDIA)]);
        stage.end();
    });
}

#[test]
fn an_end_aborts_what_is_held_back_and_a_reset_leaves_injections() {
    each(|stage| {
        let holds = Rc::new(Cell::new(true));
        let held = holds.clone();
        stage.world.set_liar(move |answer| answer.hold = answer.hold || answer.qid != 0 && held.get());
        stage.read([1]);
        stage.inject(READ, Some(WHILE), 2, MEDIA);
        stage.read(2..=3);
        stage.inject(READ, None, 3, MEDIA);
        stage.read([4]);
        turn();
        holds.set(false);
        // SAFETY: the handle is live.
        assert_eq!(unsafe { spdk_nvme_ctrlr_reset(stage.controller) }, 0);
        stage.until_ended(4);
        assert_eq!(statuses(1..=4), vec![Some(Status::ABORTED_SQ_DELETION); 4]);
        assert_eq!(ORDER.take(), [1, 2, 3, 4]);
        // SAFETY: the handles are live.
        assert_eq!(unsafe { spdk_nvme_ctrlr_connect_io_qpair(stage.controller, stage.qpair) }, 0);
        stage.connected();
        stage.read(5..=8);
        stage.until_ended(8);
        assert_eq!(statuses(5..=8), [Some(MEDIA), Some(MEDIA), Some(MEDIA), Some(Status::SUCCESS)]);
        stage.inject(READ, Some(WHILE), 9, MEDIA);
        stage.read(9..=11);
        ORDER.take();
        stage.free();
        assert_eq!(statuses(9..=11), vec![Some(Status::ABORTED_SQ_DELETION); 3]);
        assert_eq!(ORDER.take(), [9, 10, 11]);
        stage.leave();
    });
}

/// As programs do it: the qpair goes with its controller.
#[test]
fn a_detach_ends_what_is_held_back() {
    each(|stage| {
        stage.inject(READ, Some(WHILE), 9, MEDIA);
        stage.read(1..=3);
        stage.leave();
        assert_eq!(statuses(1..=3), vec![Some(Status::ABORTED_SQ_DELETION); 3]);
    });
}

#[test]
fn injections_come_and_go_in_callbacks() {
    each(|stage| {
        let (controller, qpair) = (stage.controller, stage.qpair);
        stage.inject(READ, None, 9, MEDIA);
        // All are answered by the first poll.
        stage.read(1..=4);
        (0..20).for_each(|_| turn());
        HOOK.set(Some(Box::new(move || {
            // SAFETY: the handles are live.
            unsafe { spdk_nvme_qpair_remove_cmd_error_injection(controller, qpair, READ) };
        })));
        stage.until_ended(4);
        let [first, rest @ ..] = &statuses(1..=4)[..] else { panic!() };
        assert_eq!((*first, rest), (Some(MEDIA), &[Some(Status::SUCCESS); 3][..]));
        // And in that of one that is held back.
        stage.inject(READ, Some(0), 2, MEDIA);
        HOOK.set(Some(Box::new(move || {
            // SAFETY: the handles are live.
            unsafe {
                spdk_nvme_qpair_remove_cmd_error_injection(controller, qpair, READ);
                assert_eq!(
                    spdk_nvme_qpair_add_cmd_error_injection(controller, qpair, READ, false, 0, 1, 0, 2),
                    0
                );
            }
        })));
        stage.read(5..=6);
        stage.until_ended(6);
        stage.read(7..=8);
        stage.until_ended(8);
        assert_eq!(
            statuses(5..=8),
            [Some(MEDIA), Some(MEDIA), Some(Status::INVALID_FIELD), Some(Status::SUCCESS)]
        );
        // One that is held back lets its callback free the qpair.
        stage.inject(READ, Some(0), 3, MEDIA);
        stage.read(9..=11);
        HOOK.set(Some(Box::new(move || {
            // SAFETY: the handle is live.
            assert_eq!(unsafe { spdk_nvme_ctrlr_free_io_qpair(qpair) }, 0);
        })));
        stage.poll();
        assert_eq!(count(), 11);
        stage.leave();
    });
}

#[test]
fn a_qpair_that_connects_holds_back_too() {
    for in_group in [false, true] {
        let stage = Stage::new(in_group, QpairOptions { asynchronous: true, ..PLAIN });
        stage.inject(READ, Some(0), 2, MEDIA);
        stage.read(1..=4);
        assert_eq!(stage.poll(), 2, "the first poll, connected or not");
        stage.inject(READ, None, 1, Status::INVALID_FIELD);
        stage.connected();
        stage.until_ended(4);
        assert_eq!(
            statuses(1..=4),
            [Some(MEDIA), Some(MEDIA), Some(Status::INVALID_FIELD), Some(Status::SUCCESS)]
        );
        stage.end();
    }
}

/// Two fused commands of which one is held back: each ends once, and the queue goes on.
#[test]
fn fused_commands_end_once_each() {
    each(|stage| {
        let (buffer, namespace, qpair) = (stage.world.buffer(), stage.namespace, stage.qpair);
        for (opcode, held_for) in [(COMPARE, Some(0)), (WRITE, Some(0)), (COMPARE, None)] {
            ENDED.take();
            stage.inject(opcode, held_for, 1, MEDIA);
            // SAFETY: the handles are live, and the buffer is larger than a block.
            unsafe {
                let (first, second) = (without_provenance_mut(1), without_provenance_mut(2));
                assert_eq!(spdk_nvme_ns_cmd_compare(namespace, qpair, buffer, 0, 1, ended, first, 1), 0);
                assert_eq!(spdk_nvme_ns_cmd_write(namespace, qpair, buffer, 0, 1, ended, second, 2), 0);
            }
            // The controller has half of it, and waits for what comes next.
            stage.read(3..=3);
            stage.until_ended(3);
            stage.remove(opcode);
            let held = if opcode == COMPARE { 0 } else { 1 };
            assert_eq!(statuses(1..=2)[held], Some(MEDIA), "{opcode:#x}, held for {held_for:?}");
        }
        ENDED.take();
        stage.read(1..=30);
        stage.until_ended(30);
        stage.end();
    });
}

#[test]
fn what_is_held_back_can_be_aborted() {
    each(|stage| {
        stage.inject(READ, Some(WHILE), 3, MEDIA);
        stage.read(1..=3);
        // SAFETY: the handles are live.
        let rc = unsafe {
            let (two, own) = (without_provenance_mut(2), without_provenance_mut(77));
            spdk_nvme_ctrlr_cmd_abort_ext(stage.controller, stage.qpair, two, ended, own)
        };
        assert_eq!(rc, 0);
        assert_eq!(statuses([77]), [Some(Status::SUCCESS)]);
        stage.until_ended(2);
        assert_eq!(statuses([2]), [Some(Status::ABORTED_BY_REQUEST.with_dnr(true))]);
        softverbs::sim::advance(WHILE * 1000);
        stage.until_ended(4);
        assert_eq!(statuses([1, 3]), [Some(MEDIA), Some(MEDIA)]);
        stage.end();
    });
}

/// The Admin Queue is the one of NULL.
#[test]
fn admin_commands_too() {
    let stage = Stage::new(false, PLAIN);
    // SAFETY: the handle is live, and NULL is the Admin Queue.
    let inject = |held_for, count, status| unsafe {
        assert_eq!(stage.inject_at(null_mut(), GET_FEATURES, held_for, count, status), 0);
    };
    inject(Some(5000), 1, Status::INVALID_FIELD);
    assert_eq!((stage.get_feature(1), stage.get_feature(2)), (0, 0));
    until("the one that is sent", || {
        stage.poll_admin();
        count() == 1
    });
    assert_eq!(statuses(1..=2), [None, Some(Status::SUCCESS)]);
    softverbs::sim::advance(6 * MILLISECOND);
    stage.poll_admin();
    assert_eq!(statuses([1]), [Some(Status::INVALID_FIELD)]);
    inject(None, 1, MEDIA);
    assert_eq!((stage.get_feature(3), stage.get_feature(4)), (0, 0));
    until("both", || {
        stage.poll_admin();
        count() == 4
    });
    assert_eq!(statuses(3..=4), [Some(MEDIA), Some(Status::SUCCESS)]);
    // One that is held back while the controller is reset ends with its queue; the controller comes back.
    inject(Some(WHILE), 1, MEDIA);
    assert_eq!(stage.get_feature(5), 0);
    // SAFETY: the handle is live.
    assert_eq!(unsafe { spdk_nvme_ctrlr_reset(stage.controller) }, 0);
    stage.poll_admin();
    assert_eq!(statuses([5]), [Some(Status::ABORTED_SQ_DELETION)]);
    // SAFETY: as before.
    unsafe { spdk_nvme_qpair_remove_cmd_error_injection(stage.controller, null_mut(), GET_FEATURES) };
    assert_eq!(stage.get_feature(6), 0);
    until("the last", || {
        stage.poll_admin();
        count() == 6
    });
    assert_eq!(statuses([6]), [Some(Status::SUCCESS)]);
    stage.end();
}

#[test]
fn handles_are_looked_at() {
    let stage = Stage::new(false, PLAIN);
    let other = connect(NQN, PORT, 1);
    let foreign = alloc(other);
    // SAFETY: the handles are live, NULL, or stale ones.
    unsafe {
        assert_eq!(stage.inject_at(foreign, READ, None, 1, MEDIA), -libc::EINVAL, "another controller's");
        let none = null_mut();
        assert_eq!(
            spdk_nvme_qpair_add_cmd_error_injection(none, none, READ, true, 0, 1, 2, 0x81),
            -libc::EINVAL
        );
        spdk_nvme_qpair_remove_cmd_error_injection(none, none, READ);
        assert_eq!(spdk_nvme_ctrlr_free_io_qpair(foreign), 0);
        assert_eq!(stage.inject_at(foreign, READ, None, 1, MEDIA), -libc::EINVAL, "a stale one");
        assert_eq!(spdk_nvme_detach(other), 0);
        assert_eq!(
            spdk_nvme_qpair_add_cmd_error_injection(other, none, READ, true, 0, 1, 2, 0x81),
            -libc::EINVAL
        );
        spdk_nvme_qpair_remove_cmd_error_injection(other, none, READ);
    }
    stage.end();
}
