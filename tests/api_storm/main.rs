//! Random worlds over the C face: a program with two controllers, groups and qpairs does anything at any time, its callbacks do, too;
//! it holds on to handles that are stale, and faults strike device, fabric and target.
//!
//! What is held against it is in `common/storm.rs`; beside that, a stale handle is an error to every entry, who ends what is ending
//! gets the neutral answer, and a group is destroyed exactly when it has no members. Each world ends with an empty ledger of RDMA
//! objects. `STORM_SEEDS=first..last` runs other worlds than the usual ones.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/face.rs"]
mod face;
mod life;
#[path = "../common/replay.rs"]
mod replay;
#[path = "../common/storm.rs"]
mod storm;
#[path = "../common/troubles.rs"]
mod troubles;

use common::{NQN, World, until};
use face::*;
use spec::Completion;
use std::{
    cell::{Cell, RefCell},
    ffi::{c_int, c_void},
    ptr::null_mut,
    rc::Rc,
    time::Duration,
};
use storm::*;
use tracing::subscriber::NoSubscriber;

/// Places for qpairs, controllers and groups.
const QPAIRS: usize = 6;
const PAIRS: usize = 2;

/// Longer than every deadline of one call, with those of this storm's options.
const CONNECT: Duration = Duration::from_secs(20);
const FREE: Duration = Duration::from_millis(1_500);
const DISCONNECT: Duration = Duration::from_millis(2_500);
const ATTACH: Duration = Duration::from_secs(20);
const DETACH: Duration = Duration::from_secs(3);

const EAGAIN: i32 = -libc::EAGAIN;
/// Deadlines of admin commands and of Fabrics Connect.
const TIMEOUT_MS: u32 = 300;

/// What an average world has at least.
const FLOORS: [(&str, f64); 22] = [
    ("worlds with shared receives", 0.3),
    ("I/Os on live qpairs", 20.0),
    ("good I/Os", 6.0),
    ("aborted I/Os", 20.0),
    ("I/Os that waited for the connection", 10.0),
    ("busy qpairs", 3.0),
    ("bad buffers", 0.5),
    ("callbacks that acted", 10.0),
    ("disconnected callbacks", 1.5),
    ("ends in callbacks", 0.5),
    ("ends of what was ending", 2.0),
    ("controllers", 1.5),
    ("controllers detached in callbacks", 0.08),
    ("uses of stale handles", 3.0),
    ("targets that died", 0.2),
    ("lies", 0.2),
    ("other devices", 0.2),
    ("resets", 0.05),
    ("resets by steps", 0.05),
    ("aborts", 0.5),
    ("late commands", 0.5),
    ("I/Os in pieces", 5.0),
];

thread_local! {
    static PROGRAM: RefCell<Option<Rc<Program>>> = const { RefCell::new(None) };
}

struct Program {
    storm: Storm,
    world: World,
    controllers: Cell<[Handle; PAIRS]>,
    groups: Cell<[Handle; PAIRS]>,
    qpairs: RefCell<[Option<Place>; QPAIRS]>,
    /// Qpairs that are being freed further out.
    ending: RefCell<Vec<Place>>,
    /// Controllers that are being detached, with the qpairs that the program left to them.
    going: RefCell<Vec<Going>>,
    /// How many controllers are about to be detached, further out.
    leaving: Cell<u32>,
    /// The context of those that are detached while they are polled; NULL if there is none.
    context: Cell<Handle>,
    stale: RefCell<Vec<Handle>>,
    /// Controllers whose reset was begun and is not over.
    resetting: RefCell<Vec<Handle>>,
    /// Controllers that are in the midst of a reset, further out.
    resets: RefCell<Vec<Handle>>,
    aborts: Aborts,
    /// Which I/O is being asked for its pieces, and from which byte of its data on.
    asked: Cell<(usize, u32)>,
}

/// A qpair, and what the program knows of it.
#[derive(Clone, Copy)]
struct Place {
    qpair: Handle,
    controller: Handle,
    requests: u32,
    asynchronous: bool,
    group: Option<usize>,
    life: usize,
}

#[derive(Clone)]
struct Going {
    controller: Handle,
    qpairs: Vec<Place>,
    in_context: bool,
}

/// A call of the C face, timed by its name.
macro_rules! call {
    ($storm:expr, $most:expr, $entry:ident($($argument:expr),*)) => {
        // SAFETY: all calls are on this thread, of handles that the library gave out, live or stale; what else they
        // point to is large enough for its kind.
        $storm.call(stringify!($entry), $most, || unsafe { $entry($($argument),*) })
    };
}
use call;

impl Program {
    fn controller(&self, pair: usize) -> Option<Handle> {
        Some(self.controllers.get()[pair]).filter(|handle| !handle.is_null())
    }

    fn set_controller(&self, pair: usize, handle: Handle) {
        let mut all = self.controllers.get();
        all[pair] = handle;
        self.controllers.set(all);
    }

    fn group(&self, pair: usize) -> Option<Handle> {
        Some(self.groups.get()[pair]).filter(|handle| !handle.is_null())
    }

    fn set_group(&self, pair: usize, handle: Handle) {
        let mut all = self.groups.get();
        all[pair] = handle;
        self.groups.set(all);
    }

    fn qpair(&self, place: usize) -> Option<Place> {
        self.qpairs.borrow()[place]
    }

    fn take_qpair(&self, place: usize) -> Option<Place> {
        self.qpairs.borrow_mut()[place].take()
    }

    /// Does anything.
    fn act(&self) {
        if !self.storm.may_act() {
            return;
        }
        let (place, pair) = (self.storm.roll(QPAIRS), self.storm.roll(PAIRS));
        match self.storm.roll(100) {
            0..10 => self.alloc(place),
            10..14 => self.connect(place),
            14..16 => self.disconnect(place),
            16..19 => self.free(place),
            19..22 => self.leave_group(place, pair),
            22..25 => self.join_group(place, pair),
            25..27 => self.end_or_make_group(pair),
            27..31 => self.attach_or_detach(pair),
            31..34 => self.poll_admin(pair),
            34..36 => self.use_stale(),
            36..39 => self.meddle(),
            39..41 => self.poll_context(),
            41..45 => self.live(pair),
            45..61 => self.submit(place),
            61..75 => self.poll_group(pair),
            75..86 => self.poll(place),
            86..90 => self.storm.weather(&self.world),
            _ => self.storm.turns(1 + self.storm.roll(24)),
        }
        self.storm.step();
    }

    fn attach_or_detach(&self, pair: usize) {
        let Some(controller) = self.controller(pair) else { return self.attach(pair) };
        if self.storm.once_in(6) {
            self.detach(pair);
        } else if self.storm.once_in(4) {
            // Once more, and back: a controller that is attached is the same one.
            let again = self.connect_controller(pair);
            if !again.is_null() {
                assert_eq!(again, controller, "another controller for the same host");
                assert_eq!(call!(self.storm, NONE, spdk_nvme_detach(again)), 0);
            }
        }
    }

    fn connect_controller(&self, pair: usize) -> Handle {
        let keep_alive_ms = self.storm.dice.pick(&[0, 0, 100]);
        self.storm.call("spdk_nvme_connect", ATTACH, || {
            connect_within(NQN, 4420, u32::try_from(pair).unwrap(), TIMEOUT_MS, keep_alive_ms)
        })
    }

    fn attach(&self, pair: usize) {
        if self.leaving.get() > 0 {
            return;
        }
        let controller = self.connect_controller(pair);
        if !controller.is_null() {
            let is_it = |going: &Going| going.controller == controller;
            assert!(!self.going.borrow().iter().any(is_it), "attached while it is being detached");
            count("controllers");
            if self.storm.once_in(2) {
                self.watch(controller);
            }
            // None of this runs a callback: the place is as it was.
            self.set_controller(pair, controller);
        }
    }

    /// Detaches at once, or lets it be polled; its qpairs were freed before, or are left to it.
    fn detach(&self, pair: usize) {
        let Some(controller) = self.controller(pair) else { return };
        self.set_controller(pair, null_mut());
        if self.storm.is_inside() {
            count("controllers detached in callbacks");
        }
        let is_its = |place: &usize| self.qpair(*place).is_some_and(|found| found.controller == controller);
        if self.storm.once_in(2) {
            // A callback that attached it would have it attached twice.
            self.leaving.set(self.leaving.get() + 1);
            (0..QPAIRS).filter(is_its).for_each(|place| self.free(place));
            self.leaving.set(self.leaving.get() - 1);
        }
        let qpairs = (0..QPAIRS).filter(is_its).filter_map(|place| self.take_qpair(place)).collect();
        let in_context = self.storm.once_in(2);
        self.storm.say(if in_context { "detach_async" } else { "detach" });
        self.going.borrow_mut().push(Going { controller, qpairs, in_context });
        if in_context {
            let mut context = self.context.get();
            assert_eq!(call!(self.storm, NONE, spdk_nvme_detach_async(controller, &raw mut context)), 0);
            assert!(!context.is_null());
            self.context.set(context);
        } else {
            assert_eq!(call!(self.storm, self.storm.with_shutdown(DETACH), spdk_nvme_detach(controller)), 0);
            self.is_detached(|going| going.controller == controller);
        }
    }

    fn poll_context(&self) {
        let context = self.context.get();
        if context.is_null() {
            return;
        }
        match call!(self.storm, NONE, spdk_nvme_detach_poll_async(context)) {
            // A callback of this poll may have come to the end first, and there may be another context by now.
            0 if self.context.get() == context => {
                self.context.set(null_mut());
                self.stale.borrow_mut().push(context);
                self.is_detached(|going| going.in_context);
            }
            0 => {}
            rc => assert_eq!(rc, EAGAIN),
        }
    }

    fn is_detached(&self, which: impl Fn(&Going) -> bool) {
        let all = self.going.take();
        let (detached, left) = all.into_iter().partition(which);
        self.going.replace(left);
        for Going { controller, qpairs, .. } in detached {
            self.resetting.borrow_mut().retain(|other| *other != controller);
            self.stale.borrow_mut().push(controller);
            qpairs.into_iter().for_each(|found| self.is_gone(found));
        }
    }

    fn poll_admin(&self, pair: usize) {
        let Some(controller) = self.controller(pair) else { return };
        let rc = call!(self.storm, NONE, spdk_nvme_ctrlr_process_admin_completions(controller));
        if rc < 0 && !self.storm.once_in(3) {
            self.detach(pair);
        }
    }

    fn alloc(&self, place: usize) {
        let Some(controller) = self.controller(self.storm.roll(PAIRS)) else { return };
        if self.qpair(place).is_some() {
            return;
        }
        let options = QpairOptions {
            queue_size: self.storm.dice.pick(&[2, 4, 16, 64, 5000]),
            requests: self.storm.dice.pick(&[1, 8, 64, 9000]),
            delay_submit: self.storm.once_in(2),
            create_only: !self.storm.once_in(4),
            asynchronous: self.storm.once_in(2),
        };
        let most = if options.create_only || options.asynchronous { NONE } else { CONNECT };
        let qpair =
            self.storm.call("spdk_nvme_ctrlr_alloc_io_qpair", most, || alloc_with(controller, options));
        if qpair.is_null() {
            return;
        }
        let QpairOptions { asynchronous, requests, .. } = options;
        let (group, life) = (None, self.storm.born());
        let requests = requests.min(32_766);
        let new = Place { qpair, controller, requests, asynchronous, group, life };
        // Nothing was outstanding on it, so allocating runs no callback: the place is as it was.
        assert!(self.qpairs.borrow_mut()[place].replace(new).is_none());
        if !self.storm.once_in(3) {
            self.join_group(place, self.storm.roll(PAIRS));
        }
        if !self.storm.once_in(5) {
            self.connect(place);
        }
    }

    fn connect(&self, place: usize) {
        let Some(found) = self.qpair(place) else { return };
        let most = if found.asynchronous { NONE } else { CONNECT };
        let Place { controller, qpair, .. } = found;
        let rc = call!(self.storm, most, spdk_nvme_ctrlr_connect_io_qpair(controller, qpair));
        assert!(rc != EAGAIN || self.is_resetting(controller), "try again, and the controller is not reset");
    }

    fn disconnect(&self, place: usize) {
        let Some(found) = self.qpair(place) else { return };
        let most = if found.asynchronous { NONE } else { DISCONNECT };
        call!(self.storm, most, spdk_nvme_ctrlr_disconnect_io_qpair(found.qpair));
    }

    fn free(&self, place: usize) {
        let Some(found) = self.take_qpair(place) else { return };
        if self.storm.is_inside() {
            count("ends in callbacks");
        }
        self.storm.say("free");
        self.ending.borrow_mut().push(found);
        assert_eq!(call!(self.storm, FREE, spdk_nvme_ctrlr_free_io_qpair(found.qpair)), 0);
        self.ending.borrow_mut().retain(|other| other.life != found.life);
        self.is_gone(found);
    }

    fn is_gone(&self, found: Place) {
        self.storm.gone(found.life);
        self.stale.borrow_mut().push(found.qpair);
    }

    /// Every entry refuses a handle that is stale.
    fn use_stale(&self) {
        let stale = self.stale.borrow();
        if stale.is_empty() {
            return;
        }
        count("uses of stale handles");
        let handle = stale[self.storm.roll(stale.len())];
        drop(stale);
        let storm = &self.storm;
        let live = self.qpairs.borrow().iter().flatten().next().map_or(null_mut(), |found| found.qpair);
        let mut context = null_mut();
        let buffer = self.world.buffer();
        let refusals = [
            call!(storm, NONE, spdk_nvme_detach(handle)),
            call!(storm, NONE, spdk_nvme_detach_async(handle, &raw mut context)),
            call!(storm, NONE, spdk_nvme_detach_poll_async(handle)),
            call!(storm, NONE, spdk_nvme_ctrlr_process_admin_completions(handle)),
            call!(storm, NONE, spdk_nvme_ctrlr_connect_io_qpair(handle, handle)),
            call!(storm, NONE, spdk_nvme_ctrlr_connect_io_qpair(handle, live)),
            call!(storm, NONE, spdk_nvme_ctrlr_free_io_qpair(handle)),
            call!(storm, NONE, spdk_nvme_qpair_process_completions(handle, 0)),
            call!(storm, NONE, spdk_nvme_poll_group_destroy(handle)),
            call!(storm, NONE, spdk_nvme_poll_group_add(handle, live)),
            call!(storm, NONE, spdk_nvme_poll_group_remove(handle, live)),
            call!(storm, NONE, spdk_nvme_ns_cmd_read(handle, handle, buffer, 0, 1, delivered, null_mut(), 0)),
            call!(storm, NONE, spdk_nvme_ns_cmd_write(handle, live, buffer, 0, 1, delivered, null_mut(), 0)),
            i32::try_from(call!(
                storm,
                NONE,
                spdk_nvme_poll_group_process_completions(handle, 0, disconnected)
            ))
            .unwrap(),
        ];
        assert_eq!(refusals, [-libc::EINVAL; 14]);
        assert!(context.is_null());
        assert!(call!(storm, NONE, spdk_nvme_ctrlr_get_ns(handle, 1)).is_null());
        assert!(call!(storm, NONE, spdk_nvme_ctrlr_alloc_io_qpair(handle, null_mut(), 0)).is_null());
        assert!(!call!(storm, NONE, spdk_nvme_qpair_is_connected(handle)));
        call!(storm, NONE, spdk_nvme_ctrlr_disconnect_io_qpair(handle));
    }

    /// Uses what is ending: who ends it once more is told that all is well, everything else is refused.
    fn meddle(&self) {
        let storm = &self.storm;
        let ending = self.ending.borrow().clone();
        if let Some(found) = ending.last() {
            count("ends of what was ending");
            assert_eq!(call!(storm, NONE, spdk_nvme_ctrlr_free_io_qpair(found.qpair)), 0);
            self.use_ending(found, storm.roll(4));
        }
        let going = self.going.borrow().clone();
        if let Some(Going { controller, qpairs, in_context }) = going.last() {
            count("ends of what was ending");
            let mut context = null_mut();
            // Of several in a context, it may be gone while the others are not.
            let is_neutral = |rc| rc == 0 || (*in_context && rc == -libc::EINVAL);
            let rc = call!(storm, NONE, spdk_nvme_detach(*controller));
            assert!(is_neutral(rc), "{rc}");
            let rc = call!(storm, NONE, spdk_nvme_detach_async(*controller, &raw mut context));
            assert!(is_neutral(rc), "{rc}");
            assert!(context.is_null(), "there is nothing to wait for");
            assert!(call!(storm, NONE, spdk_nvme_ctrlr_alloc_io_qpair(*controller, null_mut(), 0)).is_null());
            if let Some(found) = qpairs.first() {
                // It may be gone, while its controller is not.
                let rc = call!(storm, NONE, spdk_nvme_ctrlr_free_io_qpair(found.qpair));
                assert!(rc == 0 || rc == -libc::EINVAL, "{rc}");
                self.use_ending(found, storm.roll(4));
            }
        }
    }

    fn use_ending(&self, found: &Place, how: usize) {
        let (storm, Place { qpair, controller, .. }) = (&self.storm, *found);
        assert!(!call!(storm, NONE, spdk_nvme_qpair_is_connected(qpair)));
        match how {
            0 => {
                let _ = call!(storm, NONE, spdk_nvme_qpair_process_completions(qpair, 0));
            }
            1 => {
                let rc = call!(storm, NONE, spdk_nvme_ctrlr_connect_io_qpair(controller, qpair));
                assert!(rc != 0 && (rc != EAGAIN || self.is_resetting(controller)), "{rc}");
            }
            2 => {
                let most = if found.asynchronous { NONE } else { DISCONNECT };
                call!(storm, most, spdk_nvme_ctrlr_disconnect_io_qpair(qpair));
            }
            _ => {
                if let Some(group) = found.group.and_then(|pair| self.group(pair)) {
                    let _ = call!(storm, NONE, spdk_nvme_poll_group_remove(group, qpair));
                }
            }
        }
    }

    fn join_group(&self, place: usize, pair: usize) {
        let (Some(found), Some(group)) = (self.qpair(place), self.group(pair)) else { return };
        if call!(self.storm, NONE, spdk_nvme_poll_group_add(group, found.qpair)) == 0 {
            assert_eq!(found.group, None, "it is a member elsewhere");
            self.qpairs.borrow_mut()[place].as_mut().unwrap().group = Some(pair);
        }
    }

    fn leave_group(&self, place: usize, pair: usize) {
        let (Some(found), Some(group)) = (self.qpair(place), self.group(pair)) else { return };
        if call!(self.storm, NONE, spdk_nvme_poll_group_remove(group, found.qpair)) == 0 {
            assert_eq!(found.group, Some(pair), "it was no member");
            self.qpairs.borrow_mut()[place].as_mut().unwrap().group = None;
        }
    }

    fn end_or_make_group(&self, pair: usize) {
        let Some(group) = self.group(pair) else {
            let context = std::ptr::without_provenance_mut(pair + 1);
            self.set_group(pair, call!(self.storm, NONE, spdk_nvme_poll_group_create(context, null_mut())));
            return;
        };
        let members = self.qpairs.borrow().iter().flatten().any(|found| found.group == Some(pair));
        let rc = call!(self.storm, NONE, spdk_nvme_poll_group_destroy(group));
        assert!(!(rc == 0 && members), "a group was destroyed that has members");
        if rc == 0 {
            self.stale.borrow_mut().push(group);
            self.set_group(pair, null_mut());
        } else {
            assert_eq!(rc, -libc::EBUSY);
            // What is ending is still a member until its end is over.
            let ending = !self.ending.borrow().is_empty() || !self.going.borrow().is_empty();
            assert!(members || ending, "an empty group is busy");
        }
    }

    fn submit(&self, place: usize) {
        let Some(found) = self.qpair(place) else { return };
        let namespace = call!(self.storm, NONE, spdk_nvme_ctrlr_get_ns(found.controller, 1));
        assert!(!namespace.is_null());
        for _ in 0..=self.storm.roll(12) {
            if !self.submit_to(&found, namespace) {
                return;
            }
        }
    }

    fn submit_to(&self, found: &Place, namespace: Handle) -> bool {
        let mut shape = self.storm.shape(self.world.buffer(), found.requests);
        self.storm.scatter(&mut shape);
        let connected = call!(self.storm, NONE, spdk_nvme_qpair_is_connected(found.qpair));
        let number = self.storm.submit(found.life, &shape);
        let argument = std::ptr::without_provenance_mut(number + 1);
        let (&Shape { buffer, lba, blocks, flags, .. }, qpair) = (&shape, found.qpair);
        let rc = if shape.scattered {
            count("I/Os in pieces");
            let command = if shape.write { spdk_nvme_ns_cmd_writev } else { spdk_nvme_ns_cmd_readv };
            call!(
                self.storm,
                NONE,
                command(namespace, qpair, lba, blocks, delivered, argument, flags, asked_from, asked_for)
            )
        } else {
            let command = if shape.write { spdk_nvme_ns_cmd_write } else { spdk_nvme_ns_cmd_read };
            call!(
                self.storm,
                NONE,
                command(namespace, qpair, buffer, lba, blocks, delivered, argument, flags)
            )
        };
        let result = match -rc {
            0 => Ok(()),
            libc::EINVAL => Err(Refusal::Invalid),
            libc::ENOMEM => Err(Refusal::Busy),
            libc::ENXIO => Err(Refusal::NotConnected),
            libc::EPERM => Err(Refusal::BadMemory),
            // The first of them has memory for descriptors registered, which the device may refuse.
            libc::EIO if shape.scattered => Err(Refusal::Device),
            errno => panic!("no answer to a submission: errno {errno}"),
        };
        // A submission may find that the controller's association has ended, and end the connection.
        let connected =
            connected && (rc == 0 || call!(self.storm, NONE, spdk_nvme_qpair_is_connected(qpair)));
        self.storm.submitted(number, &shape, connected, result);
        rc == 0
    }

    fn poll(&self, place: usize) {
        let Some(found) = self.qpair(place) else { return };
        let most = self.storm.roll(5) as u32;
        // One that is not in async_mode is brought to its end within the poll that finds it lost.
        let time = if found.asynchronous { NONE } else { DISCONNECT };
        let rc = call!(self.storm, time, spdk_nvme_qpair_process_completions(found.qpair, most));
        assert!(rc >= 0 || rc == -libc::ENXIO, "{rc}");
        assert!(most == 0 || rc <= most as i32, "{rc} callbacks, and at most {most} were asked for");
    }

    fn poll_group(&self, pair: usize) {
        let Some(group) = self.group(pair) else { return };
        let most = self.storm.roll(4) as u32;
        let rc = call!(self.storm, NONE, spdk_nvme_poll_group_process_completions(group, most, disconnected));
        // A queue that cannot be polled is told apart.
        assert!(rc >= 0 || [libc::ENXIO, libc::EIO].contains(&-(rc as i32)), "{rc}");
    }

    fn is_disconnected(&self, qpair: Handle, pair: usize) {
        assert!(!call!(self.storm, NONE, spdk_nvme_qpair_is_connected(qpair)));
        count("disconnected callbacks");
        let is_it = |found: &Option<Place>| found.is_some_and(|it| it.qpair == qpair);
        let Some(place) = self.qpairs.borrow().iter().position(is_it) else {
            panic!("a qpair ended that the program does not have");
        };
        self.storm.act_in_callback(|| match self.storm.roll(6) {
            0 => self.free(place),
            1 | 2 => self.connect(place),
            3 => self.leave_group(place, pair),
            4 => self.act(),
            _ => {}
        });
    }

    /// Most programs have live qpairs when trouble comes.
    fn warm_up(&self) {
        for _ in 0..20 {
            (0..QPAIRS).for_each(|place| self.poll(place));
            (0..PAIRS).for_each(|pair| self.poll_group(pair));
            self.storm.turns(5);
        }
    }

    /// All that is left comes to its end.
    fn end(&self) {
        (0..QPAIRS).for_each(|place| self.free(place));
        (0..PAIRS).for_each(|pair| self.detach(pair));
        until("the detach", || {
            self.poll_context();
            self.context.get().is_null()
        });
        for group in self.groups.get().into_iter().filter(|group| !group.is_null()) {
            assert_eq!(
                call!(self.storm, NONE, spdk_nvme_poll_group_destroy(group)),
                0,
                "all members are gone"
            );
        }
        self.aborts.settle();
        self.storm.settle();
    }
}

fn program() -> Rc<Program> {
    PROGRAM.with_borrow(|program| program.clone()).unwrap()
}

extern "C" fn delivered(argument: *mut c_void, completion: *const [u8; 16]) {
    let program = program();
    // SAFETY: the library gives a completion that is there until this returns.
    let completion = Completion::from_bytes(unsafe { &*completion });
    program.storm.in_callback(|| {
        if program.storm.ended(argument.addr() - 1, &completion) {
            program.storm.act_in_callback(|| (0..=program.storm.roll(2)).for_each(|_| program.act()));
        }
    });
}

extern "C" fn asked_from(argument: *mut c_void, offset: u32) {
    program().asked.set((argument.addr() - 1, offset));
}

/// Pieces of one to four blocks, none next to the one before: as far apart as they are long.
extern "C" fn asked_for(argument: *mut c_void, address: *mut *mut c_void, length: *mut u32) -> c_int {
    let program = program();
    let (number, offset) = program.asked.get();
    assert_eq!(argument.addr() - 1, number, "somebody else is asked");
    let piece = 512 << (number % 3);
    let bytes = piece - offset % piece;
    program.asked.set((number, offset + bytes));
    // SAFETY: the library wants them stored here; twice the data lie within the buffer.
    unsafe {
        address.write(program.world.buffer().byte_add(2 * (offset as usize)));
        length.write(bytes);
    }
    0
}

extern "C" fn disconnected(qpair: Handle, context: *mut c_void) {
    let program = program();
    program.storm.in_callback(|| program.is_disconnected(qpair, context.addr() - 1));
}

/// A program that failed is left as it is: its objects may be in any state.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        std::mem::forget(PROGRAM.take());
    }
}

fn storm(seed: u64) {
    let quiet = (!is_loud()).then(|| tracing::subscriber::set_default(NoSubscriber::default()));
    let (storm, world) = Storm::begin(seed, 0x6162_6900);
    let program = Rc::new(Program {
        storm,
        world,
        controllers: Cell::new([null_mut(); PAIRS]),
        groups: Cell::new([null_mut(); PAIRS]),
        qpairs: RefCell::default(),
        ending: RefCell::default(),
        going: RefCell::default(),
        leaving: Cell::new(0),
        context: Cell::new(null_mut()),
        stale: RefCell::default(),
        resetting: RefCell::default(),
        resets: RefCell::default(),
        aborts: Aborts::default(),
        asked: Cell::default(),
    });
    PROGRAM.set(Some(program.clone()));
    let leave = Leave;
    for pair in 0..PAIRS {
        program.end_or_make_group(pair);
        program.attach(pair);
    }
    (0..4).for_each(|place| program.alloc(place));
    program.warm_up();
    program.storm.let_loose();
    (0..400).for_each(|_| program.act());
    program.storm.calm();
    program.end();
    PROGRAM.set(None);
    drop(leave);
    let Ok(program) = Rc::try_unwrap(program) else { panic!("somebody holds the program") };
    program.world.finish(None);
    drop(quiet);
}

#[test]
fn any_program_gets_what_it_was_promised() {
    let seeds = replay::seeds(0..2_000);
    let worlds = seeds.end - seeds.start;
    replay::each("api_storm", seeds, storm);
    assert_floors(worlds, &FLOORS);
}
