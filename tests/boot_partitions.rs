//! Boot partitions that a program writes (Base 2.0, 8.2), through the C face: the pieces and the commits, what keeps two images apart, and
//! what becomes of one whose controller fails, is reset, or goes.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/mod.rs"]
mod common;
#[path = "common/face.rs"]
mod face;

use common::{NQN, World, lines::recorded, until, with_namespaces};
use face::{
    Done, Handle, connect, spdk_nvme_ctrlr_cmd_get_feature, spdk_nvme_ctrlr_process_admin_completions,
    spdk_nvme_ctrlr_reset, spdk_nvme_ctrlr_update_firmware, spdk_nvme_detach,
};
use spdk_nvme_rdma::host::Error;
use spec::{
    AdminOpcode, Command, Completion, Status,
    firmware::{BootPartition, Bpinfo},
};
use std::{
    cell::{Cell, RefCell},
    ffi::{c_int, c_void},
    ptr::null_mut,
    rc::Rc,
};
use target::Options;

const BUSY: c_int = -libc::EBUSY;
const INVALID: c_int = -libc::EINVAL;
const DOWNLOAD: u8 = AdminOpcode::FIRMWARE_IMAGE_DOWNLOAD.0;
const COMMIT: u8 = AdminOpcode::FIRMWARE_COMMIT.0;
/// Bytes of a boot partition of the target here.
const SIZE: usize = 256 << 10;

unsafe extern "C" {
    fn spdk_nvme_ctrlr_write_boot_partition(
        controller: Handle,
        payload: *mut c_void,
        size: u32,
        id: u32,
        done: Option<Done>,
        argument: *mut c_void,
    ) -> c_int;
    fn spdk_nvme_ctrlr_get_regs_bpinfo(controller: Handle) -> u32;
    fn spdk_nvme_ctrlr_get_regs_csts(controller: Handle) -> u32;
}

thread_local! {
    static ENDED: RefCell<Vec<Status>> = const { RefCell::new(Vec::new()) };
    static CONTROLLER: Cell<Handle> = const { Cell::new(null_mut()) };
}

extern "C" fn done(_: *mut c_void, completion: *const [u8; 16]) {
    // SAFETY: a completion has 16 bytes.
    ENDED.with_borrow_mut(|ended| ended.push(Completion::from_bytes(unsafe { &*completion }).status()));
}

/// Writes the second boot partition from inside of a callback.
extern "C" fn again(argument: *mut c_void, completion: *const [u8; 16]) {
    done(argument, completion);
    let mut image = [9_u8; 8];
    let (controller, image) = (CONTROLLER.get(), image.as_mut_ptr().cast());
    // SAFETY: the handle is live, and the image has so many bytes.
    let rc = unsafe { spdk_nvme_ctrlr_write_boot_partition(controller, image, 8, 1, Some(done), null_mut()) };
    assert_eq!(rc, 0);
}

extern "C" fn nothing(_: *mut c_void, _: *const [u8; 16]) {}

/// Takes all requests that are free, with commands that the target keeps, and says how many.
fn take_all() -> usize {
    let take = || {
        // SAFETY: the handle is live.
        let rc = unsafe {
            spdk_nvme_ctrlr_cmd_get_feature(CONTROLLER.get(), 7, 0, null_mut(), 0, nothing, null_mut())
        };
        (rc == 0).then_some(())
    };
    std::iter::from_fn(take).count()
}

/// A controller with boot partitions, and what it got of images.
struct Scene {
    world: World,
    controller: Handle,
    sent: Rc<RefCell<Vec<Command>>>,
    /// The granularity that it says it has.
    fwug: Rc<Cell<u8>>,
    /// What it answers to the command of an image with this number, from 0 on, instead of what it would.
    answer: Rc<Cell<Option<(usize, Status)>>>,
}

impl Scene {
    fn new() -> Self {
        Self::with(0)
    }

    fn with(fwug: u8) -> Self {
        let world = World::with(with_namespaces("ns=1M,boot=256K", Options::default()));
        let (sent, answer): (Rc<RefCell<Vec<Command>>>, Rc<Cell<_>>) = Default::default();
        let fwug = Rc::new(Cell::new(fwug));
        let (seen, says, units) = (sent.clone(), answer.clone(), fwug.clone());
        world.set_liar(move |reply| {
            let opcode = reply.command.opcode();
            if reply.qid != 0 {
                return;
            }
            if opcode == AdminOpcode::IDENTIFY.0 && reply.command.cdw10() & 0xff == 1 {
                reply.page.as_mut().unwrap()[319] = units.get();
            }
            if [DOWNLOAD, COMMIT].contains(&opcode) {
                let number = seen.borrow().len();
                seen.borrow_mut().push(*reply.command);
                if let Some((which, status)) = says.get()
                    && which == number
                {
                    reply.completion = Completion::new(0, reply.command.cid(), status);
                }
            }
        });
        let controller = connect(NQN, 4420, 1);
        assert!(!controller.is_null());
        CONTROLLER.set(controller);
        ENDED.take();
        Self { world, controller, sent, fwug, answer }
    }

    /// Begins to write; the image is gone when the call returns.
    fn begin(&self, image: &[u8], id: u32, told: Option<Done>) -> c_int {
        let mut image = image.to_vec();
        let (size, payload) = (image.len() as u32, image.as_mut_ptr().cast());
        // SAFETY: the handle is live, and the image has so many bytes.
        let rc = unsafe {
            spdk_nvme_ctrlr_write_boot_partition(self.controller, payload, size, id, told, null_mut())
        };
        image.fill(0xee);
        rc
    }

    fn poll(&self) {
        // SAFETY: the handle is live.
        assert!(unsafe { spdk_nvme_ctrlr_process_admin_completions(self.controller) } >= 0);
    }

    /// Polls until somebody is told of an end, and gives what.
    fn end(&self) -> Status {
        until("the end of a write", || {
            self.poll();
            ENDED.with_borrow(|ended| !ended.is_empty())
        });
        (0..100).for_each(|_| self.poll());
        let ended = ENDED.take();
        assert_eq!(ended.len(), 1, "{ended:?}");
        ended[0]
    }

    fn write(&self, image: &[u8], id: u32) -> Status {
        assert_eq!(self.begin(image, id, Some(done)), 0);
        self.end()
    }

    fn update_firmware(&self) -> c_int {
        let (mut image, mut status) = (*b"REV 9.99", 0);
        let image = image.as_mut_ptr().cast();
        // SAFETY: the handle is live, the image has 8 bytes, and the status is there.
        unsafe { spdk_nvme_ctrlr_update_firmware(self.controller, image, 8, 2, 0, &raw mut status) }
    }

    fn bpinfo(&self) -> Bpinfo {
        // SAFETY: the handle is live.
        Bpinfo(unsafe { spdk_nvme_ctrlr_get_regs_bpinfo(self.controller) })
    }

    /// Waits for answers of other commands, until that of the first piece must have come as well: callbacks run, and nothing goes on by
    /// itself.
    fn deliver(&self) {
        for _ in 0..20 {
            // SAFETY: the handle is live.
            assert_eq!(unsafe { spdk_nvme_ctrlr_get_regs_csts(self.controller) } & 1, 1);
        }
        assert_eq!(self.sent.borrow().len(), 1, "the image went on");
    }

    fn holds(&self, partition: BootPartition, image: &[u8]) -> bool {
        let held = self.world.boot_partition(partition);
        held.len() == SIZE
            && held[..image.len()] == *image
            && held[image.len()..].iter().all(|byte| *byte == 0)
    }

    /// Opcode, dword 10 and dword 11 of what the target got since the last time.
    fn sent(&self) -> Vec<(u8, u32, u32)> {
        let sent = self.sent.take();
        sent.iter().map(|command| (command.opcode(), command.cdw10(), command.cdw11())).collect()
    }

    fn finish(self) {
        // SAFETY: the handle is live, and not used any more.
        assert_eq!(unsafe { spdk_nvme_detach(self.controller) }, 0);
        self.world.finish(None);
    }
}

fn image(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 + 1).collect()
}

const REPLACE: u32 = 6 << 3;
const ACTIVATE: u32 = 7 << 3;
const SECOND: u32 = 1 << 31;

/// All of an image arrives, whole pages or not, in one partition, which is the active one then.
#[test]
fn an_image_goes_to_its_partition_in_pieces() {
    let scene = Scene::new();
    assert_eq!((scene.bpinfo().size(), scene.bpinfo().active()), (SIZE as u64, BootPartition::First));
    let ragged = image(2 * 4096 + 12);
    assert_eq!(scene.write(&ragged, 1), Status::SUCCESS);
    let expected = [
        (DOWNLOAD, 1023, 0),
        (DOWNLOAD, 1023, 1024),
        (DOWNLOAD, 2, 2048),
        (COMMIT, REPLACE | SECOND, 0),
        (COMMIT, ACTIVATE | SECOND, 0),
    ];
    assert_eq!(scene.sent(), expected);
    assert_eq!(scene.bpinfo().active(), BootPartition::Second);
    assert!(scene.holds(BootPartition::Second, &ragged) && scene.holds(BootPartition::First, &[]));
    let whole = image(SIZE);
    assert_eq!(scene.write(&whole, 0), Status::SUCCESS);
    let sent = scene.sent();
    assert_eq!((sent.len(), sent[63], sent[64]), (66, (DOWNLOAD, 1023, 63 * 1024), (COMMIT, REPLACE, 0)));
    assert_eq!(scene.bpinfo().active(), BootPartition::First);
    assert!(scene.holds(BootPartition::Second, &ragged) && scene.holds(BootPartition::First, &whole));
    // One word is an image too; whoever gives no callback is told nothing.
    assert_eq!(scene.begin(&[7; 4], 1, None), 0);
    until("the commit", || {
        scene.poll();
        scene.sent.borrow().len() == 3
    });
    assert!(scene.world.boot_partition(BootPartition::Second).starts_with(&[7, 7, 7, 7, 5]));
    scene.finish();
}

/// A controller that wants larger pieces gets them: of firmware as well.
#[test]
fn pieces_are_of_the_granularity_that_the_controller_asks_for() {
    let scene = Scene::with(3);
    assert_eq!(scene.write(&image(5 * 4096), 0), Status::SUCCESS);
    assert_eq!(scene.sent()[..2], [(DOWNLOAD, 3 * 1024 - 1, 0), (DOWNLOAD, 2 * 1024 - 1, 3 * 1024)]);
    assert!(scene.holds(BootPartition::First, &image(5 * 4096)));
    let (mut bytes, mut status) = (b"REV 9.99".to_vec(), 0);
    bytes.resize(4 * 4096, 1);
    // SAFETY: the handle is live, the image has so many bytes, and the status is there.
    let rc = unsafe {
        let image = bytes.as_ptr().cast();
        spdk_nvme_ctrlr_update_firmware(scene.controller, image, 4 * 4096, 2, 0, &raw mut status)
    };
    assert_eq!(rc, 0);
    assert_eq!(scene.sent()[..2], [(DOWNLOAD, 3 * 1024 - 1, 0), (DOWNLOAD, 1023, 3 * 1024)]);
    scene.finish();
    // What one command can carry is the limit.
    let scene = Scene::with(200);
    assert_eq!(scene.fwug.get(), 200);
    assert_eq!(scene.write(&image(SIZE), 0), Status::SUCCESS);
    let lengths: Vec<u32> = scene.sent()[..2].iter().map(|(_, words, _)| (words + 1) * 4).collect();
    assert_eq!(lengths, [131_072, 131_072]);
    scene.finish();
}

/// The end is the completion of the command that failed; nothing is sent after it, and the next image has its turn.
#[test]
fn a_command_that_fails_is_the_end() {
    for (which, said) in [
        (0, Status::INVALID_FIELD.with_dnr(true)),
        (1, Status::INTERNAL_ERROR),
        (2, Status::INVALID_FIRMWARE_IMAGE.with_dnr(true)),
        (3, Status::INVALID_FIELD),
    ] {
        let scene = Scene::new();
        scene.answer.set(Some((which, said)));
        assert_eq!((scene.write(&image(8000), 0), scene.sent().len()), (said, which + 1), "{which}");
        scene.answer.set(None);
        assert_eq!(scene.bpinfo().active(), BootPartition::First);
        assert_eq!(scene.write(&image(8), 1), Status::SUCCESS);
        scene.finish();
    }
    // It is too large by a word: that the controller says.
    let scene = Scene::new();
    let status = scene.write(&image(SIZE + 4), 0);
    assert_eq!(status, Status::INVALID_FIRMWARE_IMAGE.with_dnr(true));
    assert!(scene.holds(BootPartition::First, &[]));
    scene.finish();
}

/// Two images do not mix: whoever comes second is refused, until the first one's program is told.
#[test]
fn one_image_at_a_time() {
    let scene = Scene::new();
    assert_eq!(scene.begin(&image(9000), 0, Some(again)), 0);
    let ((second, firmware), lines) =
        recorded(|| (scene.begin(&[1; 8], 1, Some(done)), scene.update_firmware()));
    assert_eq!((second, firmware, lines.len()), (BUSY, BUSY, 2), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains(NQN) && line.contains("another image")), "{lines:?}");
    until("both ends", || {
        scene.poll();
        ENDED.with_borrow(Vec::len) == 2
    });
    assert_eq!(ENDED.take(), [Status::SUCCESS; 2]);
    assert!(scene.holds(BootPartition::First, &image(9000)) && scene.holds(BootPartition::Second, &[9; 8]));
    assert_eq!(scene.update_firmware(), 0);
    scene.finish();
}

/// What cannot be is refused with a line, and nothing is sent.
#[test]
fn what_is_no_image_is_refused() {
    let scene = Scene::new();
    for (bytes, id, why) in [
        (&[][..], 0, "nothing"),
        (&[1; 6], 0, "dwords"),
        (&[1; 8], 2, "0 and 1"),
        (&[1; 8], u32::MAX, "0 and 1"),
    ] {
        let (rc, lines) = recorded(|| scene.begin(bytes, id, Some(done)));
        assert!(rc == INVALID && lines.len() == 1 && lines[0].contains(why), "{rc} {lines:?}");
    }
    // SAFETY: the handle is live, and nothing of the payload is looked at.
    let rc = unsafe {
        spdk_nvme_ctrlr_write_boot_partition(scene.controller, null_mut(), 8, 0, Some(done), null_mut())
    };
    assert_eq!(rc, INVALID);
    (0..100).for_each(|_| scene.poll());
    assert!(scene.sent().is_empty() && ENDED.take().is_empty());
    assert_eq!(scene.write(&[1; 8], 0), Status::SUCCESS, "and no turn is lost");
    scene.finish();
}

/// A controller that is reset has nothing more of the image: the rest is not sent, and nothing is committed.
#[test]
fn a_reset_is_the_end_of_an_image() {
    // Its command is under way, or has ended without the image having gone on.
    for is_delivered in [false, true] {
        let scene = Scene::new();
        assert_eq!(scene.begin(&image(9000), 0, Some(done)), 0);
        if is_delivered {
            scene.deliver();
        }
        let (status, lines) = recorded(|| {
            // SAFETY: the handle is live.
            assert_eq!(unsafe { spdk_nvme_ctrlr_reset(scene.controller) }, 0);
            scene.end()
        });
        if is_delivered {
            let said = lines.iter().filter(|line| line.contains("9000 bytes")).count();
            assert_eq!((status, said), (Status::INTERNAL_ERROR, 1), "{lines:?}");
        } else {
            assert!(!status.is_success(), "{status:?}");
        }
        assert!(scene.sent().iter().all(|(opcode, _, offset)| (*opcode, *offset) == (DOWNLOAD, 0)));
        assert!(scene.holds(BootPartition::First, &[]));
        assert_eq!(scene.write(&image(9000), 0), Status::SUCCESS);
        scene.finish();
    }
}

/// The same of firmware, whose pieces other callbacks and threads may come between: what is left of an image says so.
#[test]
fn a_reset_loses_what_is_under_way_and_nothing_else() {
    let world = World::with(with_namespaces("ns=1M", Options::default()));
    let controller = world.controller();
    controller.reset().unwrap();
    assert_eq!(controller.begin_image(), Ok(()));
    assert_eq!((controller.keeps_image(), controller.begin_image()), (Ok(()), Err(Error::ImageUnderWay)));
    controller.reset().unwrap();
    assert_eq!(
        (controller.keeps_image(), controller.begin_image()),
        (Err(Error::ImageLost), Err(Error::ImageUnderWay))
    );
    controller.end_image();
    assert_eq!((controller.begin_image(), controller.keeps_image()), (Ok(()), Ok(())));
    controller.end_image();
    world.finish(Some(controller));
}

/// A controller that is detached while it is written to: the program is told, once.
#[test]
fn a_detach_is_told_of() {
    for is_delivered in [false, true] {
        let scene = Scene::new();
        assert_eq!(scene.begin(&image(9000), 0, Some(done)), 0);
        if is_delivered {
            scene.deliver();
        }
        scene.finish();
        let ended = ENDED.take();
        assert!(ended.len() == 1 && !ended[0].is_success(), "{ended:?}");
    }
}

/// An image that finds no request free goes on when one is.
#[test]
fn an_image_waits_for_a_request() {
    let scene = Scene::new();
    scene.world.control("stall admin:0x0a");
    assert_eq!(scene.begin(&image(9000), 0, Some(done)), 0);
    scene.deliver();
    // The request that the first piece had is free: it is taken, with all others, before the image goes on.
    assert!(take_all() > 0);
    (0..200).for_each(|_| scene.poll());
    assert_eq!((scene.sent.borrow().len(), ENDED.take().len()), (1, 0));
    scene.world.control("resume all");
    assert_eq!(scene.end(), Status::SUCCESS);
    assert!(scene.holds(BootPartition::First, &image(9000)));
    scene.finish();
}
