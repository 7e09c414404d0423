//! The lines about commands that end with an error: two for each, in the form that people and scripts know, right before its callback;
//! of so many at a time as there is room for; none where the program wants none.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/face.rs"]
mod face;

use common::{NQN, World, lines, until};
use face::*;
use spec::{Completion, Status};
use std::{
    cell::RefCell,
    ffi::c_void,
    ptr::{null_mut, without_provenance_mut},
};
use tracing::Level;

unsafe extern "C" {
    fn spdk_nvme_qpair_set_abort_dnr(qpair: Handle, dnr: bool);
}

const PORT: u16 = 4420;
/// Where the member `disable_error_logging` of the controller options is.
const DISABLE_ERROR_LOGGING: usize = 582;
/// Commands of a qpair of which something is told at once.
const AT_ONCE: usize = 128;

thread_local! {
    static ENDED: RefCell<Vec<Status>> = const { RefCell::new(Vec::new()) };
}

/// Says so among the lines.
extern "C" fn ended(number: *mut c_void, completion: *const [u8; 16]) {
    // SAFETY: a completion has 16 bytes.
    let status = Completion::from_bytes(unsafe { &*completion }).status();
    ENDED.with_borrow_mut(|ended| ended.push(status));
    tracing::info!(target: "spdk_nvme_rdma::test", "callback {}", number.addr());
}

/// A controller whose options are changed, and one I/O qpair of it, in a group or not.
struct Stage {
    world: World,
    controller: Handle,
    namespace: Handle,
    qpair: Handle,
    group: Handle,
}

extern "C" fn lost(_: Handle, _: *mut c_void) {}

impl Stage {
    fn new(in_group: bool, delay_submit: bool, change: impl FnOnce(*mut u8)) -> Self {
        ENDED.take();
        let world = World::new();
        let controller = connect_with(NQN, PORT, 0, change);
        let options = QpairOptions {
            queue_size: 128,
            requests: 1024,
            delay_submit,
            create_only: true,
            asynchronous: false,
        };
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
        Self { world, controller, namespace, qpair, group }
    }

    fn poll(&self) {
        // SAFETY: as in `new`.
        unsafe {
            if self.group.is_null() {
                spdk_nvme_qpair_process_completions(self.qpair, 0);
            } else {
                spdk_nvme_poll_group_process_completions(self.group, 0, lost);
            }
        }
    }

    /// Submits a read of so many blocks from this one on.
    fn read(&self, number: usize, lba: u64, blocks: u32) {
        let (buffer, argument) = (self.world.buffer(), without_provenance_mut(number));
        // SAFETY: as in `new`; the buffer has 4 MiB.
        let rc = unsafe {
            spdk_nvme_ns_cmd_read(self.namespace, self.qpair, buffer, lba, blocks, ended, argument, 0)
        };
        assert_eq!(rc, 0);
    }

    fn until_ended(&self, total: usize) {
        until("the commands", || {
            self.poll();
            // SAFETY: as in `new`.
            unsafe { spdk_nvme_ctrlr_process_admin_completions(self.controller) };
            ENDED.with_borrow(Vec::len) == total
        });
    }

    fn disconnect(&self) {
        // SAFETY: as in `new`.
        unsafe { spdk_nvme_ctrlr_disconnect_io_qpair(self.qpair) };
    }

    fn end(self) {
        // SAFETY: as in `new`.
        unsafe {
            assert_eq!(spdk_nvme_ctrlr_free_io_qpair(self.qpair), 0);
            assert_eq!(spdk_nvme_detach(self.controller), 0);
            if !self.group.is_null() {
                assert_eq!(spdk_nvme_poll_group_destroy(self.group), 0);
            }
        }
        self.world.finish(None);
    }
}

/// The texts of the lines of information (which is a notice to the program) while `work` runs.
fn notices(work: impl FnOnce()) -> Vec<String> {
    let ((), all) = lines::record(work);
    all.into_iter().filter(|(level, _)| *level == Level::INFO).map(|(_, text)| text).collect()
}

/// A line without what stands before the first closing bracket, and that.
fn cut(line: &str) -> (&str, &str) {
    line.split_once("] ").unwrap_or_else(|| panic!("no prefix: {line}"))
}

/// The number that stands behind `name` in a line.
fn number_behind(line: &str, name: &str) -> u32 {
    let (_, rest) = line.split_once(name).unwrap_or_else(|| panic!("no {name} in {line}"));
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

fn each(change: fn(*mut u8), test: impl Fn(Stage)) {
    for (in_group, delay_submit) in [(false, false), (false, true), (true, false), (true, true)] {
        test(Stage::new(in_group, delay_submit, change));
    }
}

#[test]
fn an_error_has_two_lines_right_before_its_callback() {
    each(
        |_| {},
        |stage| {
            let lines = notices(|| {
                stage.read(1, 0, 1);
                stage.read(2, 1 << 40, 2);
                stage.read(3, 1, 1);
                stage.until_ended(3);
            });
            let [first, command, completion, second, third] = &lines[..] else { panic!("{lines:#?}") };
            assert_eq!([first, second, third], ["callback 1", "callback 2", "callback 3"]);
            let handle = stage.qpair;
            let prefix =
                format!("[nqn.2024-01.test:host-0,{NQN},127.0.0.1,cntlid:1,qid:1,qpair:{handle:p},ENABLED");
            let (before, text) = cut(command);
            assert_eq!(before, prefix);
            let cid = number_behind(text, "cid:");
            let data = "SGL KEYED DATA BLOCK ";
            assert!(
                text.starts_with(&format!("READ sqid:1 cid:{cid} nsid:1 lba:1099511627776 len:2 {data}")),
                "{text}"
            );
            let (before, text) = cut(completion);
            assert_eq!(before, prefix);
            assert!(
                text.starts_with(&format!("LBA OUT OF RANGE (00/80) qid:1 cid:{cid} cdw0:00000000 sqhd:")),
                "{text}"
            );
            assert!(text.ends_with(" p:0 m:0 dnr:1"), "{text}");
            assert_eq!(ENDED.take()[1], Status::LBA_OUT_OF_RANGE.with_dnr(true));
            stage.end();
        },
    );
}

#[test]
fn nothing_is_written_where_the_program_wants_nothing() {
    let quiet = |options: *mut u8| {
        // SAFETY: the member lies within the options.
        unsafe { options.add(DISABLE_ERROR_LOGGING).write(1) };
    };
    each(quiet, |stage| {
        let lines = notices(|| {
            stage.read(1, 1 << 40, 1);
            stage.world.control("fail admin:10 0x4002 1");
            let argument = without_provenance_mut(2);
            // SAFETY: as in `new`; there is no payload.
            let rc = unsafe {
                spdk_nvme_ctrlr_cmd_get_feature(stage.controller, 7, 0, null_mut(), 0, ended, argument)
            };
            assert_eq!(rc, 0);
            stage.until_ended(2);
            stage.world.control("misbehave silent");
            stage.read(3, 0, 1);
            stage.disconnect();
        });
        assert!(ENDED.take().iter().all(|status| *status != Status::SUCCESS));
        assert!(lines.iter().all(|line| !line.contains("qpair:")), "{lines:#?}");
        stage.world.control("behave silent");
        stage.end();
    });
}

/// Those that were with the controller, and those that waited for it. A program that makes the connection end hears of as many as of others.
#[test]
fn what_ends_with_the_connection_is_told_of_up_to_a_number() {
    each(
        |_| {},
        |stage| {
            stage.world.control("misbehave silent");
            // SAFETY: as in `new`.
            unsafe { spdk_nvme_qpair_set_abort_dnr(stage.qpair, true) };
            const WAITING: usize = 3;
            let (sent, all) = (127, 127 + WAITING + 40);
            let mut lines = notices(|| {
                (0..all).for_each(|number| stage.read(number, 0, 1));
                stage.poll();
                stage.disconnect();
            });
            assert_eq!(ENDED.take(), vec![Status::ABORTED_SQ_DELETION.with_dnr(true); all]);
            let told: Vec<_> = lines.iter().filter(|line| line.contains(",qpair:")).collect();
            assert_eq!(told.len(), 2 * AT_ONCE + 1, "{lines:#?}");
            // Behind the last of them.
            let more = lines.remove(3 * AT_ONCE - 1);
            let text = cut(&more).1;
            assert!(
                text.starts_with(&format!("{} more commands ended with an error", all - AT_ONCE)),
                "{text}"
            );
            for number in 0..AT_ONCE {
                let at = 3 * number;
                assert!(cut(&lines[at]).1.starts_with("READ sqid:1 cid:"), "{}", lines[at]);
                let end = "dnr:1";
                let status = cut(&lines[at + 1]).1;
                assert!(status.starts_with("ABORTED - SQ DELETION (00/08) qid:1 cid:"), "{status}");
                assert!(status.ends_with(end), "{status}");
                assert_eq!(lines[at + 2], format!("callback {number}"));
                // One that was never sent names no data.
                let names_none = lines[at].ends_with("SGL KEYED DATA BLOCK ADDRESS 0x0 len:0x0 key:0x0");
                assert_eq!(names_none, number >= sent, "{number}: {}", lines[at]);
            }

            // Time passes, and with it there is room for more.
            softverbs::sim::advance(5_000_000_000);
            stage.world.control("behave silent");
            until("the target to let go", || stage.world.connections() == 1);
            // SAFETY: as in `new`.
            assert_eq!(unsafe { spdk_nvme_ctrlr_connect_io_qpair(stage.controller, stage.qpair) }, 0);
            let lines = notices(|| {
                (0..20).for_each(|number| stage.read(number, 1 << 40, 1));
                stage.until_ended(20);
            });
            let told = lines.iter().filter(|line| line.contains("LBA OUT OF RANGE")).count();
            assert!((5..10).contains(&told), "{lines:#?}");
            stage.end();
        },
    );
}

/// Each command of a transfer is one of its own.
#[test]
fn the_commands_of_a_long_transfer_are_told_of_one_by_one() {
    each(
        |_| {},
        |stage| {
            stage.world.control("fail read 0x0281 2");
            let lines = notices(|| {
                stage.read(1, 0, 2048); // 1 MiB
                stage.until_ended(1);
            });
            assert_eq!(ENDED.take(), [Status(0x281)]);
            let of = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
            assert_eq!((of("UNRECOVERED READ ERROR (02/81)"), of("READ sqid:1")), (2, 2), "{lines:#?}");
            assert_eq!(lines.last().unwrap(), "callback 1");
            stage.end();
        },
    );
}

/// The Admin Queue has no handle; events that are asked for go with it, without a word.
#[test]
fn admin_commands_are_told_of_and_events_are_not() {
    let stage = Stage::new(false, false, |_| {});
    let lines = notices(|| {
        stage.world.control("fail admin:10 0x4002 1");
        let argument = without_provenance_mut(7);
        // SAFETY: as in `new`; there is no payload.
        let rc = unsafe {
            spdk_nvme_ctrlr_cmd_get_feature(stage.controller, 7, 0, null_mut(), 0, ended, argument)
        };
        assert_eq!(rc, 0);
        stage.until_ended(1);
    });
    let [command, completion, callback] = &lines[..] else { panic!("{lines:#?}") };
    assert_eq!(callback, "callback 7");
    let (prefix, text) = cut(command);
    let start = format!("[nqn.2024-01.test:host-0,{NQN},127.0.0.1,cntlid:1,qid:0,qpair:0x");
    assert!(prefix.starts_with(&start) && prefix.ends_with(",ENABLED"), "{prefix}");
    assert!(text.starts_with("GET FEATURES NUMBER OF QUEUES cid:"), "{text}");
    let (_, text) = cut(completion);
    assert!(text.starts_with("INVALID FIELD (00/02) qid:0 cid:") && text.ends_with("dnr:1"), "{text}");
    let lines = notices(|| stage.end());
    assert!(lines.iter().all(|line| !line.contains("qpair:")), "{lines:#?}");
}
