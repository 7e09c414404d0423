//! Each entry that transfers data of a namespace sends the same command every time: the first one takes the long way, and those after it
//! the short one.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/face.rs"]
mod face;

use common::{NQN, World, until};
use face::*;
use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    ptr::null_mut,
    rc::Rc,
};

const PORT: u16 = 4420;
const ENXIO: i32 = -libc::ENXIO;
/// FUA.
const FLAGS: u32 = 1 << 30;
const TAG: u16 = 0x1234;
const TAG_MASK: u16 = 0xff0f;
const CDW13: u32 = 0x0000_0042;
const LBA: u64 = 0x30;
const BLOCKS: u32 = 8;
const BYTES: usize = 4096;
const WRITE: u8 = 1;
const READ: u8 = 2;
const COMPARE: u8 = 5;

thread_local! {
    static BUFFER: Cell<*mut u8> = const { Cell::new(null_mut()) };
    static OFFSET: Cell<usize> = const { Cell::new(0) };
    static ENDED: Cell<u32> = const { Cell::new(0) };
    static SENT: Cell<u32> = const { Cell::new(0) };
    /// Runs when the first piece is asked for.
    static MEANWHILE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

extern "C" fn done(_: *mut c_void, completion: *const [u8; 16]) {
    // SAFETY: a completion is there for the time of the call.
    let completion = unsafe { *completion };
    assert_eq!(completion[14] >> 1 | completion[15] << 7, 0, "it succeeded");
    ENDED.set(ENDED.get() + 1);
}

extern "C" fn ended(_: *mut c_void, _: *const [u8; 16]) {
    ENDED.set(ENDED.get() + 1);
}

extern "C" fn reset(_: *mut c_void, offset: u32) {
    OFFSET.set(offset as usize);
}

/// Two pieces, the second half of the buffer before the first.
extern "C" fn next(_: *mut c_void, address: *mut *mut c_void, length: *mut u32) -> i32 {
    if let Some(work) = MEANWHILE.take() {
        work();
    }
    let offset = OFFSET.get();
    // SAFETY: the library gives places for both, and the buffer has BYTES.
    unsafe {
        *address = BUFFER.get().add((offset + BYTES / 2) % BYTES).cast();
        *length = (BYTES / 2 - offset % (BYTES / 2)) as u32;
        OFFSET.set(offset + *length as usize);
    }
    0
}

/// Calls an entry, and returns what it does.
type Call = fn(Handle, Handle) -> i32;

fn options() -> IoOptions {
    IoOptions {
        size: size_of::<IoOptions>(),
        memory_domain: null_mut(),
        memory_domain_ctx: null_mut(),
        io_flags: FLAGS,
        reserved: [0; 4],
        metadata: null_mut(),
        apptag_mask: TAG_MASK,
        apptag: TAG,
        cdw13: CDW13,
        accel_sequence: null_mut(),
    }
}

/// An entry that takes no tags, one with tags, one with options: which have command dwords 13 and 15.
const PLAIN: (u32, u32) = (0, 0);
const TAGGED: (u32, u32) = (0, (TAG_MASK as u32) << 16 | TAG as u32);
const WITH_OPTIONS: (u32, u32) = (CDW13, TAGGED.1);

macro_rules! one_piece {
    ($entry:ident) => {
        // SAFETY: the handles are live, and the buffer has so many bytes.
        |n, q| unsafe { $entry(n, q, BUFFER.get().cast(), LBA, BLOCKS, done, null_mut(), FLAGS) }
    };
    ($entry:ident, tags) => {
        // SAFETY: as above.
        |n, q| unsafe {
            let buffer = BUFFER.get().cast();
            $entry(n, q, buffer, null_mut(), LBA, BLOCKS, done, null_mut(), FLAGS, TAG_MASK, TAG)
        }
    };
    ($entry:ident, options) => {
        // SAFETY: as above.
        |n, q| unsafe { $entry(n, q, BUFFER.get().cast(), LBA, BLOCKS, done, null_mut(), &options()) }
    };
}

macro_rules! pieces {
    ($entry:ident) => {
        // SAFETY: the handles are live, and the pieces lie in the buffer.
        |n, q| unsafe { $entry(n, q, LBA, BLOCKS, done, null_mut(), FLAGS, reset, next) }
    };
    ($entry:ident, tags) => {
        // SAFETY: as above.
        |n, q| unsafe {
            let none = null_mut();
            $entry(n, q, LBA, BLOCKS, done, none, FLAGS, reset, next, none, TAG_MASK, TAG)
        }
    };
    ($entry:ident, options) => {
        // SAFETY: as above.
        |n, q| unsafe { $entry(n, q, LBA, BLOCKS, done, null_mut(), reset, next, &options()) }
    };
}

const FORMS: [(&str, u8, (u32, u32), Call); 16] = [
    ("write", WRITE, PLAIN, one_piece!(spdk_nvme_ns_cmd_write)),
    ("write_with_md", WRITE, TAGGED, one_piece!(spdk_nvme_ns_cmd_write_with_md, tags)),
    ("write_ext", WRITE, WITH_OPTIONS, one_piece!(spdk_nvme_ns_cmd_write_ext, options)),
    ("read", READ, PLAIN, one_piece!(spdk_nvme_ns_cmd_read)),
    ("read_with_md", READ, TAGGED, one_piece!(spdk_nvme_ns_cmd_read_with_md, tags)),
    ("read_ext", READ, WITH_OPTIONS, one_piece!(spdk_nvme_ns_cmd_read_ext, options)),
    ("compare", COMPARE, PLAIN, one_piece!(spdk_nvme_ns_cmd_compare)),
    ("compare_with_md", COMPARE, TAGGED, one_piece!(spdk_nvme_ns_cmd_compare_with_md, tags)),
    ("writev", WRITE, PLAIN, pieces!(spdk_nvme_ns_cmd_writev)),
    ("writev_with_md", WRITE, TAGGED, pieces!(spdk_nvme_ns_cmd_writev_with_md, tags)),
    ("writev_ext", WRITE, WITH_OPTIONS, pieces!(spdk_nvme_ns_cmd_writev_ext, options)),
    ("readv", READ, PLAIN, pieces!(spdk_nvme_ns_cmd_readv)),
    ("readv_with_md", READ, TAGGED, pieces!(spdk_nvme_ns_cmd_readv_with_md, tags)),
    ("readv_ext", READ, WITH_OPTIONS, pieces!(spdk_nvme_ns_cmd_readv_ext, options)),
    ("comparev", COMPARE, PLAIN, pieces!(spdk_nvme_ns_cmd_comparev)),
    ("comparev_with_md", COMPARE, TAGGED, pieces!(spdk_nvme_ns_cmd_comparev_with_md, tags)),
];

fn buffer() -> *mut u8 {
    // SAFETY: 1 is the flag for memory that is good for I/O.
    let buffer = unsafe { spdk_zmalloc(BYTES, 4096, null_mut(), -1, 1) };
    assert!(!buffer.is_null());
    BUFFER.set(buffer.cast());
    buffer.cast()
}

#[test]
fn each_form_sends_the_same_command_every_time() {
    let world = World::new();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let sent = seen.clone();
    world.set_liar(move |answer| {
        let command = answer.command;
        if answer.qid > 0 && command.opcode() != 0x7f {
            let tail = [command.cdw12(), command.cdw13(), command.cdw14(), command.cdw15()];
            sent.borrow_mut().push((command.opcode(), command.nsid(), command.lba(), tail));
        }
    });
    let controller = connect(NQN, PORT, 1);
    // SAFETY: the handles are live until they are freed below.
    unsafe {
        let namespace = spdk_nvme_ctrlr_get_ns(controller, 1);
        let buffer = buffer();
        for (name, opcode, (cdw13, cdw15), call) in FORMS {
            // A qpair that has not seen the namespace: the first command takes the long way.
            let qpair = alloc(controller);
            assert!(!qpair.is_null());
            for time in 0..3 {
                seen.borrow_mut().clear();
                ENDED.set(0);
                assert_eq!(call(namespace, qpair), 0, "{name}, time {time}");
                until(name, || spdk_nvme_qpair_process_completions(qpair, 0) >= 0 && ENDED.get() == 1);
                let expected = (opcode, 1, LBA, [FLAGS | (BLOCKS - 1), cdw13, 0, cdw15]);
                assert_eq!(seen.borrow()[..], [expected], "{name}, time {time}");
            }
            assert_eq!(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
        }
        spdk_free(buffer.cast());
        assert_eq!(spdk_nvme_detach(controller), 0);
    }
    world.finish(None);
}

/// A program's function may do anything while it is asked for pieces: end the queue pair, use it, or end it and begin another, which
/// may be known by the same handle.
#[test]
fn a_program_may_do_anything_while_it_is_asked_for_pieces() {
    let world = World::new();
    let controller = connect(NQN, PORT, 1);
    // SAFETY: the handles are live until they are freed below.
    unsafe {
        let namespace = spdk_nvme_ctrlr_get_ns(controller, 1);
        let buffer = buffer();
        for first_is_seen in [false, true] {
            let qpair = alloc(controller);
            let readv = |qpair| {
                spdk_nvme_ns_cmd_readv(namespace, qpair, LBA, BLOCKS, ended, null_mut(), 0, reset, next)
            };
            let one_more = |qpair| {
                ENDED.set(0);
                assert_eq!(readv(qpair), 0);
                until("a read", || spdk_nvme_qpair_process_completions(qpair, 0) >= 0 && ENDED.get() == 1);
            };
            if first_is_seen {
                one_more(qpair);
            }
            // Reads by the same queue pair, as many as it has requests for, go before.
            let place = qpair.expose_provenance();
            SENT.set(0);
            ENDED.set(0);
            MEANWHILE.replace(Some(Box::new(move || {
                let qpair = std::ptr::with_exposed_provenance_mut(place);
                let (namespace, none) = (namespace, null_mut());
                while spdk_nvme_ns_cmd_read(namespace, qpair, buffer.cast(), 0, 8, ended, none, 0) == 0 {
                    SENT.set(SENT.get() + 1);
                }
            })));
            assert_eq!(readv(qpair), -libc::ENOMEM, "seen: {first_is_seen}");
            until("all of them", || {
                spdk_nvme_qpair_process_completions(qpair, 0) >= 0 && ENDED.get() == SENT.get()
            });
            one_more(qpair);
            // It is disconnected.
            MEANWHILE.replace(Some(Box::new(move || {
                spdk_nvme_ctrlr_disconnect_io_qpair(std::ptr::with_exposed_provenance_mut(place));
            })));
            assert_eq!(readv(qpair), ENXIO, "seen: {first_is_seen}");
            assert_eq!(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
            // It is freed.
            let qpair = alloc(controller);
            if first_is_seen {
                one_more(qpair);
            }
            let place = qpair.expose_provenance();
            MEANWHILE.replace(Some(Box::new(move || {
                assert_eq!(spdk_nvme_ctrlr_free_io_qpair(std::ptr::with_exposed_provenance_mut(place)), 0);
            })));
            let rc = readv(qpair);
            assert!([ENXIO, -libc::EINVAL].contains(&rc), "seen: {first_is_seen}: {rc}");
        }
        spdk_free(buffer.cast());
        assert_eq!(spdk_nvme_detach(controller), 0);
    }
    world.finish(None);
}
