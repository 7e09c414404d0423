//! Any memory works as a buffer: what was registered in one call, what lies across registrations, what nobody registered; and what is
//! no memory at all is an error. Data are compared byte by byte, and what lies around a buffer, too.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{lines::recorded, *};
use spdk_nvme_rdma::{
    host::{Context, Controller, CopiedData, Error, IoQpair, IoQpairOptions, Namespace, Received},
    transport::{self, Ways},
};
use spec::{Command, Completion, NvmOpcode, Status};
use std::{cell::RefCell, ffi::c_void, rc::Rc, sync::Arc};

const BLOCK: usize = 512;
/// Of the environment's registrations.
const UNIT: usize = 2 << 20;
const CANARY: u8 = 0xc5;
const ROOM: usize = 64;

thread_local! {
    static ENDED: RefCell<Vec<Status>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "C" {
    fn spdk_mem_register(address: *mut c_void, length: usize) -> i32;
    fn spdk_mem_unregister(address: *mut c_void, length: usize) -> i32;
}

fn noting() -> Context {
    fn note(_: usize, completion: &Completion) {
        ENDED.with_borrow_mut(|ended| ended.push(completion.status()));
    }
    context(note, 0)
}

/// One qpair that is connected, and its world.
struct Scene {
    world: World,
    controller: Rc<Controller>,
    namespace: Arc<Namespace>,
    qpair: Rc<IoQpair>,
    before: softverbs::Ledger,
}

impl Scene {
    fn with(options: target::Options, change: impl FnOnce(IoQpairOptions) -> IoQpairOptions) -> Self {
        let world = World::with(options);
        let controller = world.controller();
        let namespace = world.namespace(&controller);
        let qpair = controller.alloc_io_qpair(change(synchronous(&controller))).unwrap();
        qpair.connect().unwrap();
        ENDED.take();
        let before = softverbs::ledger();
        Self { world, controller, namespace, qpair, before }
    }

    fn new() -> Self {
        Self::with(target::Options::default(), |options| options)
    }

    fn write(&self, buffer: *mut c_void, lba: u64, bytes: usize) -> Result<(), Error> {
        self.qpair.write(&self.namespace, buffer, lba, (bytes / BLOCK) as u32, 0, noting())
    }

    fn read(&self, buffer: *mut c_void, lba: u64, bytes: usize) -> Result<(), Error> {
        self.qpair.read(&self.namespace, buffer, lba, (bytes / BLOCK) as u32, 0, noting())
    }

    /// Polls until as many callbacks ran, and returns what they were told.
    fn ended(&self, count: usize) -> Vec<Status> {
        until("the callbacks", || {
            let _ = self.qpair.process_completions(0);
            ENDED.with_borrow(|ended| ended.len() >= count)
        });
        ENDED.take()
    }

    /// What is written from a buffer is read into another one, and lies there.
    fn round_trip(&self, from: &Buffer, to: &Buffer, lba: u64) {
        let length = from.length;
        let bytes = pattern(length, lba);
        from.fill(&bytes);
        self.write(from.start(), lba, length).unwrap();
        assert_eq!(self.ended(1), [Status::SUCCESS]);
        from.is(&bytes);
        to.fill(&vec![0x11; length]);
        self.read(to.start(), lba, length).unwrap();
        assert_eq!(self.ended(1), [Status::SUCCESS]);
        to.is(&bytes);
    }

    fn finish(self) {
        self.qpair.free();
        drop(self.qpair);
        drop(self.namespace);
        self.world.finish(Some(self.controller));
    }
}

fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A buffer with canaries around it, in memory that is reached by pointers alone.
struct Buffer {
    around: *mut u8,
    length: usize,
    /// Of the heap, or of somebody else.
    _own: Option<Vec<u8>>,
}

impl Buffer {
    /// On the heap, at an odd address.
    fn heap(length: usize) -> Self {
        let mut own = vec![0; length + 2 * ROOM + 8];
        let base = own.as_mut_ptr();
        let around = base.wrapping_byte_add(base.addr().next_multiple_of(8) + 3 - base.addr());
        Self { around, length, _own: Some(own) }
    }

    /// At an address that has room before and behind.
    fn at(start: *mut c_void, length: usize) -> Self {
        Self { around: start.cast::<u8>().wrapping_byte_sub(ROOM), length, _own: None }
    }

    fn start(&self) -> *mut c_void {
        self.around.wrapping_byte_add(ROOM).cast()
    }

    fn fill(&self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.length);
        // SAFETY: the memory is there, with room around, and nobody has a reference to it.
        unsafe {
            self.around.write_bytes(CANARY, self.length + 2 * ROOM);
            self.around.add(ROOM).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    fn is(&self, bytes: &[u8]) {
        // SAFETY: as above; no device writes here any more.
        let all = unsafe { std::slice::from_raw_parts(self.around, self.length + 2 * ROOM) };
        let (before, rest) = all.split_at(ROOM);
        let (found, behind) = rest.split_at(self.length);
        assert!(
            before.iter().chain(behind).all(|byte| *byte == CANARY),
            "bytes around the buffer were touched"
        );
        let wrong = found.iter().zip(bytes).position(|(found, wanted)| found != wanted);
        assert_eq!((wrong, found.len()), (None, bytes.len()));
    }
}

/// Fresh pages.
struct Pages(*mut c_void, usize);

impl Pages {
    /// With the length given, at a multiple of 2 MiB.
    fn new(length: usize) -> Self {
        let (rights, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping.
        let room = unsafe { libc::mmap(std::ptr::null_mut(), length + UNIT, rights, flags, -1, 0) };
        assert_ne!(room, libc::MAP_FAILED);
        Self(room.wrapping_byte_add(room.addr().next_multiple_of(UNIT) - room.addr()), length)
    }

    fn protect(&self, rights: i32) {
        // SAFETY: pages of this test's own, to which nobody has a reference.
        assert_eq!(unsafe { libc::mprotect(self.0, self.1, rights) }, 0);
    }
}

#[test]
fn memory_of_the_heap_works_at_any_address_and_of_any_length() {
    let scene = Scene::with(target::Options { mdts: 9, ..Default::default() }, |options| options);
    // In the capsule, up to 64 KiB, and more; and each of them again.
    for (turn, bytes) in [BLOCK, 4096, 8192, 65_536, BLOCK, 66_048, 1 << 20, 66_048].into_iter().enumerate() {
        let (from, to) = (Buffer::heap(bytes), Buffer::heap(bytes));
        let before = scene.qpair.ways();
        scene.round_trip(&from, &to, turn as u64);
        let Ways { bounced, on_demand, .. } = scene.qpair.ways();
        let long = bytes > 64 << 10;
        let new = (bounced - before.bounced, on_demand - before.on_demand);
        assert_eq!(new, if long { (0, 2) } else { (2, 0) }, "{bytes} bytes");
    }
    let Ways { in_place, segments, refused, .. } = scene.qpair.ways();
    assert_eq!((in_place, segments, refused), (0, 0, 0));
    // Buffers are kept for the next request: one of 4 KiB for each way, of 8 and of 64 KiB; registrations of one request are not.
    assert_eq!(softverbs::ledger().mrs, scene.before.mrs + 6);
    scene.finish();
}

/// Each piece is named by the key of its region; where a capsule has no room for that, the data go another way.
#[test]
fn a_buffer_across_registrations_is_several_segments() {
    for (in_capsule_data, bytes) in [(4096, 16 << 10), (0, 16 << 10), (0, 128 << 10)] {
        let options = target::Options { in_capsule_data, mdts: 9, ..Default::default() };
        let scene = Scene::with(options, |options| options);
        let pages = Pages::new(2 * UNIT);
        let parts = [pages.0, pages.0.wrapping_byte_add(UNIT)];
        for part in parts {
            // SAFETY: pages of this test's own.
            assert_eq!(unsafe { spdk_mem_register(part, UNIT) }, 0);
        }
        let border = parts[1].wrapping_byte_sub(5000);
        let inside = Buffer::at(parts[0].wrapping_byte_add(4096), bytes);
        scene.round_trip(&Buffer::at(border, bytes), &inside, 3);
        scene.round_trip(&inside, &Buffer::at(border, bytes), 7);
        let ways = scene.qpair.ways();
        let expected = match (in_capsule_data, bytes > 64 << 10) {
            (0, false) => (0, 2, 0),
            (0, true) => (0, 0, 2),
            _ => (2, 0, 0),
        };
        assert_eq!((ways.segments, ways.bounced, ways.on_demand), expected);
        // Of which the second part is not registered any more: all of it goes the other way.
        // SAFETY: registered above.
        assert_eq!(unsafe { spdk_mem_unregister(parts[1], UNIT) }, 0);
        scene.round_trip(&Buffer::at(border, bytes), &inside, 9);
        assert_eq!(scene.qpair.ways().segments, ways.segments);
        // SAFETY: registered above.
        assert_eq!(unsafe { spdk_mem_unregister(parts[0], UNIT) }, 0);
        scene.finish();
    }
}

#[test]
fn what_is_no_memory_is_an_error() {
    let scene = Scene::new();
    let pages = Pages::new(256 << 10);
    let wild = |result: Result<(), Error>| {
        assert!(
            matches!(result, Err(Error::Transport(transport::Error::NotRegistered { .. }))),
            "{result:?}"
        );
    };
    for bytes in [BLOCK, 4096, 128 << 10] {
        for address in [0, 0x1000, usize::MAX - 0xfff] {
            wild(scene.read(std::ptr::without_provenance_mut(address), 0, bytes));
            wild(scene.write(std::ptr::without_provenance_mut(address), 0, bytes));
        }
        pages.protect(libc::PROT_NONE);
        wild(scene.read(pages.0, 0, bytes));
        wild(scene.write(pages.0, 0, bytes));
        // Read-only memory can be written from, and not read into.
        pages.protect(libc::PROT_READ | libc::PROT_WRITE);
        Buffer::at(pages.0.wrapping_byte_add(ROOM), bytes).fill(&pattern(bytes, 5));
        pages.protect(libc::PROT_READ);
        wild(scene.read(pages.0, 0, bytes));
        scene.write(pages.0.wrapping_byte_add(ROOM), 1, bytes).unwrap();
        assert_eq!(scene.ended(1), [Status::SUCCESS]);
        let copy = Buffer::heap(bytes);
        copy.fill(&vec![0; bytes]);
        scene.read(copy.start(), 1, bytes).unwrap();
        assert_eq!(scene.ended(1), [Status::SUCCESS]);
        copy.is(&pattern(bytes, 5));
    }
    assert_eq!(scene.qpair.ways().refused, 27);
    assert!(ENDED.take().is_empty() && scene.qpair.requests_in_use() == 0);
    scene.finish();
}

/// More than there are buffers for wait, and all of them end.
#[test]
fn requests_wait_for_buffers() {
    for (delay_cmd_submit, mdts) in [(false, 5), (true, 5), (false, 2)] {
        let options = target::Options { mdts, ..Default::default() };
        let scene = Scene::with(options, |options| IoQpairOptions {
            queue_size: 128,
            queue_requests: 512,
            delay_cmd_submit,
            ..options
        });
        let bytes = 16 << 10;
        let mut pairs: Vec<_> = (0..100).map(|_| (Buffer::heap(bytes), Buffer::heap(bytes))).collect();
        for turn in 0..3 {
            for (nth, (from, _)) in pairs.iter().enumerate() {
                from.fill(&pattern(bytes, nth as u64 + turn));
                scene.write(from.start(), 32 * nth as u64, bytes).unwrap();
            }
            assert!(scene.ended(100).iter().all(|status| *status == Status::SUCCESS));
            for (nth, (_, to)) in pairs.iter().enumerate() {
                to.fill(&vec![0; bytes]);
                scene.read(to.start(), 32 * nth as u64, bytes).unwrap();
            }
            assert!(softverbs::ledger().mrs <= scene.before.mrs + 64, "more buffers than there may be");
            assert!(scene.ended(100).iter().all(|status| *status == Status::SUCCESS));
            for (nth, (_, to)) in pairs.iter().enumerate() {
                to.is(&pattern(bytes, nth as u64 + turn));
            }
            pairs.rotate_left(1);
        }
        assert_eq!(scene.qpair.requests_in_use(), 0);
        scene.finish();
    }
}

/// Where a registration for one request is refused, long data are copied, too, and wait for room in the end.
#[test]
fn long_data_are_copied_where_they_cannot_be_registered() {
    let scene = Scene::with(target::Options { mdts: 10, ..Default::default() }, |options| options);
    let bytes = 4 << 20;
    let buffers: Vec<_> = (0..6).map(|_| Buffer::heap(bytes)).collect();
    buffers[0].fill(&pattern(bytes, 1));
    scene.write(buffers[0].start(), 0, bytes).unwrap();
    assert_eq!(scene.ended(1), [Status::SUCCESS]);
    for buffer in &buffers {
        buffer.fill(&vec![0; bytes]);
        softverbs::control("fail ibv_reg_mr 1 ENOMEM").unwrap();
        scene.read(buffer.start(), 0, bytes).unwrap();
    }
    // Four have all the memory that there may be.
    assert_eq!(softverbs::ledger().mrs, scene.before.mrs + 4);
    assert_eq!(scene.ended(6), [Status::SUCCESS; 6]);
    buffers.iter().for_each(|buffer| buffer.is(&pattern(bytes, 1)));
    assert!(scene.qpair.ways().bounced >= 4);
    scene.finish();
}

/// Memory for copies that cannot be had is no reason to try again for ever.
#[test]
fn no_memory_for_a_copy_is_no_reason_to_try_again() {
    let scene = Scene::new();
    let buffer = Buffer::heap(4096);
    softverbs::control("fail ibv_reg_mr 1 ENOMEM").unwrap();
    let (result, lines) = recorded(|| scene.write(buffer.start(), 0, 4096));
    assert!(matches!(result, Err(Error::Transport(transport::Error::NotRegistered { .. }))), "{result:?}");
    assert!(lines.iter().any(|line| line.contains("ibv_reg_mr")), "{lines:?}");
    scene.round_trip(&buffer, &Buffer::heap(4096), 0);
    scene.finish();
}

/// The program's memory is its own again when the callback runs, whatever comes later.
#[test]
fn what_is_aborted_leaves_the_buffer_alone() {
    for bytes in [4096, 128 << 10] {
        let scene = Scene::with(target::Options { mdts: 9, ..Default::default() }, |options| options);
        let buffers: Vec<_> = (0..80).map(|_| Buffer::heap(bytes)).collect();
        scene.world.control("misbehave silent");
        for buffer in &buffers {
            buffer.fill(&vec![7; bytes]);
            scene.read(buffer.start(), 0, bytes).unwrap();
        }
        (0..100).for_each(|_| turn());
        scene.qpair.disconnect();
        let ended = ENDED.take();
        assert_eq!((ended.len(), ended.iter().all(|status| *status != Status::SUCCESS)), (80, true));
        if bytes == 4096 {
            // The controller wrote them all, but not here.
            buffers.iter().for_each(|buffer| buffer.is(&vec![7; bytes]));
        }
        buffers.iter().for_each(|buffer| buffer.fill(&vec![8; bytes]));
        assert!(softverbs::ledger().mrs <= scene.before.mrs, "a key that outlived its request");
        scene.world.control("behave silent");
        // It connects again, and its buffers are new ones.
        scene.qpair.connect().unwrap();
        (0..1000).for_each(|_| turn());
        buffers.iter().for_each(|buffer| buffer.is(&vec![8; bytes]));
        scene.round_trip(&buffers[0], &buffers[1], 0);
        scene.finish();
    }
}

/// A controller that fails a read may have written part of it, or all: none of that is seen.
#[test]
fn what_fails_is_not_copied() {
    let scene = Scene::new();
    scene.world.set_liar(|answer| {
        if answer.qid != 0 {
            answer.page = Some(vec![1; 4096]);
            answer.completion = Completion::new(0, answer.command.cid(), Status::INTERNAL_ERROR);
        }
    });
    let buffer = Buffer::heap(4096);
    buffer.fill(&vec![9; 4096]);
    scene.read(buffer.start(), 0, 4096).unwrap();
    assert_eq!(scene.ended(1), [Status::INTERNAL_ERROR]);
    buffer.is(&vec![9; 4096]);
    scene.finish();
}

/// What a controller leaves out of a read that it calls good is zero, and not what another request left.
#[test]
fn what_is_left_out_is_zero() {
    let scene = Scene::new();
    let buffer = Buffer::heap(4096);
    scene.round_trip(&buffer, &Buffer::heap(4096), 0);
    scene.world.set_liar(|answer| {
        if answer.qid != 0 {
            answer.page = Some(vec![1; 100]);
        }
    });
    buffer.fill(&vec![9; 4096]);
    scene.read(buffer.start(), 0, 4096).unwrap();
    assert_eq!(scene.ended(1), [Status::SUCCESS]);
    buffer.is(&[[1; 100].as_slice(), &[0; 3996]].concat());
    scene.finish();
}

/// Where the program takes the memory away while its request is out, it hears of that by the request.
#[test]
fn memory_that_goes_away_is_an_error_of_its_request() {
    let scene = Scene::new();
    let pages = Pages::new(4096);
    scene.read(pages.0, 0, 4096).unwrap();
    pages.protect(libc::PROT_NONE);
    let (ended, lines) = recorded(|| scene.ended(1));
    assert_eq!(ended, [Status::DATA_TRANSFER_ERROR]);
    assert!(lines.iter().any(|line| line.contains("cannot be copied")), "{lines:?}");
    let good = Buffer::heap(4096);
    scene.round_trip(&good, &Buffer::heap(4096), 0);
    scene.finish();
}

/// An I/O command whose data are a list, which says into `ENDED` what came of it and into `GIVEN` what the controller gave.
fn copied(scene: &Scene, opcode: NvmOpcode, cdw11: u32, data: CopiedData<'_>) {
    let mut command = Command::new(opcode.0);
    command.set_nsid(scene.namespace.id());
    command.set_cdw11(cdw11);
    let told = |completion: &Completion, received: &Received| {
        received.chunks(|_, bytes| GIVEN.with_borrow_mut(|given| given.extend(bytes)));
        ENDED.with_borrow_mut(|ended| ended.push(completion.status()));
    };
    scene.qpair.submit_copied(command, data, std::ptr::null_mut(), told).unwrap();
}

thread_local! {
    static GIVEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lists have buffers of the connection, each command one for itself, which the next commands have again: as many are registered as were
/// on their way together, up to the bound of the pool; those beyond have registrations of their own, for as long as they are on their way.
#[test]
fn a_stream_of_lists_registers_no_more_than_are_on_their_way() {
    const DEALLOCATE: u32 = 1 << 2;
    let scene = Scene::new();
    let blocks = 2 * 8 * 8;
    let (written, found) = (Buffer::heap(blocks * BLOCK), Buffer::heap(blocks * BLOCK));
    scene.round_trip(&written, &found, 0);
    // The target, which is in this process, has buffers of its own.
    let mut registered = Vec::new();
    let list = |lba: u64| [[0; 4].as_slice(), &1_u32.to_le_bytes(), &lba.to_le_bytes()].concat();
    for turn in 0..8 {
        for place in 0..8 {
            let list = list(2 * (8 * turn + place));
            copied(&scene, NvmOpcode::DATASET_MANAGEMENT, DEALLOCATE, CopiedData::Given(&list));
        }
        assert_eq!(scene.ended(8), [Status::SUCCESS; 8]);
        registered.push(softverbs::ledger().mrs);
    }
    assert_eq!(registered, vec![registered[0]; 8]);
    scene.read(found.start(), 0, blocks * BLOCK).unwrap();
    assert_eq!(scene.ended(1), [Status::SUCCESS]);
    let mut wanted = pattern(blocks * BLOCK, 0);
    wanted.chunks_mut(BLOCK).step_by(2).for_each(|block| block.fill(0));
    found.is(&wanted);

    let many = 100;
    let round = || {
        (0..many).for_each(|_| {
            copied(&scene, NvmOpcode::DATASET_MANAGEMENT, DEALLOCATE, CopiedData::Given(&list(0)));
        });
        let together = softverbs::ledger().mrs;
        assert_eq!(scene.ended(many), vec![Status::SUCCESS; many]);
        (together, softverbs::ledger().mrs)
    };
    let (_, left) = round();
    assert_eq!(round(), (left + many - 64, left));
    scene.finish();
}

/// What a controller leaves out of its answer is zero, and not what another command left there.
#[test]
fn what_is_left_out_of_a_copied_answer_is_zero() {
    let scene = Scene::new();
    for given in [4096, 100] {
        scene.world.set_liar(move |answer| {
            if answer.qid != 0 {
                answer.page = Some(vec![1; given]);
                answer.completion = Completion::new(0, answer.command.cid(), Status::SUCCESS);
            }
        });
        copied(&scene, NvmOpcode::RESERVATION_REPORT, 0, CopiedData::Room(4096));
        assert_eq!(scene.ended(1), [Status::SUCCESS]);
        assert_eq!(GIVEN.take(), [vec![1; given], vec![0; 4096 - given]].concat());
    }
    scene.finish();
}
