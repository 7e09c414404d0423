//! Random work on one controller by several threads at once: two with a queue pair each, one that polls the Admin Queue, and one that
//! resets, fails, disconnects and reconnects the controller, sets time limits, and has the target stall, fail and drop.
//!
//! What holds: each I/O that was accepted ends once, on the thread of its queue pair; no call waits for ever; once the troubles are
//! over the same controller carries I/O again; everything can be freed, and nothing is left behind. `STORM_SEEDS=A..B` draws other
//! work; the threads meet differently in each run all the same.

use super::*;

type Timed = extern "C" fn(*mut c_void, *mut c_void, *mut c_void, u16);

unsafe extern "C" {
    fn spdk_nvme_ctrlr_fail(controller: *mut c_void);
    fn spdk_nvme_ctrlr_disconnect(controller: *mut c_void) -> c_int;
    fn spdk_nvme_ctrlr_reconnect_async(controller: *mut c_void);
    fn spdk_nvme_ctrlr_reconnect_poll_async(controller: *mut c_void) -> c_int;
    fn spdk_nvme_ctrlr_reconnect_io_qpair(qpair: *mut c_void) -> c_int;
    fn spdk_nvme_ctrlr_register_timeout_callback(
        controller: *mut c_void,
        io_us: u64,
        admin_us: u64,
        timed: Option<Timed>,
        argument: *mut c_void,
    );
    fn spdk_nvme_ctrlr_cmd_abort_ext(
        controller: *mut c_void,
        qpair: *mut c_void,
        argument: *mut c_void,
        done: Done,
        own: *mut c_void,
    ) -> c_int;
    fn spdk_nvme_ctrlr_cmd_abort(
        controller: *mut c_void,
        qpair: *mut c_void,
        cid: u16,
        done: Done,
        argument: *mut c_void,
    ) -> c_int;
}

/// What the threads do, each drawn from a seed of its own: a generator of small numbers (xorshift).
struct Dice(u64);

impl Dice {
    fn new(seed: u64, thread: u64) -> Self {
        Self(
            (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (thread + 1).wrapping_mul(0xd134_2543_de82_ef95),
        )
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Admin commands that were accepted, and that have ended; whichever thread polls is told.
static ADMIN_SENT: AtomicU32 = AtomicU32::new(0);
static ADMIN_ENDED: AtomicU32 = AtomicU32::new(0);

extern "C" fn admin_ended(_: *mut c_void, _: *const [u8; 16]) {
    ADMIN_ENDED.fetch_add(1, Ordering::Relaxed);
}

/// Sends an admin command, and counts it if it is accepted.
fn send_admin(send: impl FnOnce() -> c_int) {
    ADMIN_SENT.fetch_add(1, Ordering::Relaxed);
    if send() != 0 {
        ADMIN_SENT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A command is late: it is aborted, on whichever thread it was seen.
extern "C" fn timed_out(_: *mut c_void, controller: *mut c_void, qpair: *mut c_void, cid: u16) {
    // SAFETY: both are there during the call; NULL is the Admin Queue.
    send_admin(|| unsafe { spdk_nvme_ctrlr_cmd_abort(controller, qpair, cid, admin_ended, null_mut()) });
}

/// A queue pair, and what its I/O came to.
struct Line<'a> {
    world: &'a World,
    qpair: Option<Shared>,
    reads: Reads,
    accepted: u32,
}

impl Line<'_> {
    /// One of the things that a thread does with its queue pair.
    fn act(&mut self, dice: &mut Dice) {
        let Some(qpair) = self.qpair else { return self.begin() };
        match dice.below(40) {
            0 => self.free(),
            // SAFETY: the queue pair is this thread's.
            1 => unsafe { spdk_nvme_ctrlr_disconnect_io_qpair(qpair.0) },
            2 => {
                let all = std::ptr::from_ref(&self.reads).cast_mut().cast();
                let controller = self.world.controller.0;
                // SAFETY: the queue pair is this thread's; its reads have this argument.
                send_admin(|| unsafe {
                    spdk_nvme_ctrlr_cmd_abort_ext(controller, qpair.0, all, admin_ended, null_mut())
                });
            }
            3..=20 => self.accepted += self.world.read(qpair, &self.reads, dice.below(24) as u32),
            _ => self.poll(dice.below(8) == 0),
        }
    }

    fn begin(&mut self) {
        // SAFETY: the controller is attached; no options are given. A controller that is reset or failed gives none.
        let qpair = unsafe { spdk_nvme_ctrlr_alloc_io_qpair(self.world.controller.0, null(), 0) };
        self.qpair = (!qpair.is_null()).then_some(Shared(qpair));
    }

    /// As a program does: a queue pair that has failed is connected again, or given up.
    fn poll(&mut self, gives_up: bool) {
        let Some(qpair) = self.qpair else { return };
        if self.world.poll(qpair) >= 0 {
            return;
        }
        if gives_up {
            return self.free();
        }
        // SAFETY: the queue pair is this thread's.
        let rc = unsafe { spdk_nvme_ctrlr_reconnect_io_qpair(qpair.0) };
        assert!(rc <= 0, "reconnecting a queue pair: {rc}");
    }

    fn free(&mut self) {
        if let Some(qpair) = self.qpair.take() {
            self.world.free(qpair);
            assert_eq!(self.reads.ended(), self.accepted, "what was accepted has ended with the queue pair");
        }
    }

    /// Reads until one succeeds.
    fn live(&mut self) {
        let before = self.reads.succeeded.load(Ordering::Relaxed);
        until("a read to succeed again", || {
            match self.qpair {
                None => self.begin(),
                Some(qpair) => {
                    self.accepted += self.world.read(qpair, &self.reads, 1);
                    self.poll(false);
                }
            }
            self.reads.succeeded.load(Ordering::Relaxed) > before
        });
    }
}

/// What the thread that has the controller does to it.
fn disturb(world: &World, dice: &mut Dice) {
    let controller = world.controller.0;
    // SAFETY: the controller is attached.
    unsafe {
        match dice.below(20) {
            0 => spdk_nvme_ctrlr_fail(controller),
            1 | 2 | 14..=16 => {
                spdk_nvme_ctrlr_reset(controller);
            }
            3 => reconnect(world),
            4 => {
                let timed = (dice.below(3) > 0).then_some(timed_out as Timed);
                let us = 1 + dice.below(20_000);
                spdk_nvme_ctrlr_register_timeout_callback(controller, us, us, timed, null_mut());
            }
            5 | 6 => {
                let none = null_mut();
                send_admin(|| spdk_nvme_ctrlr_cmd_get_feature(controller, 7, 0, none, 0, admin_ended, none));
            }
            7 => world.peer.control("stall io:2 3"),
            8 => world.peer.control("delay io:2 2 5"),
            9 => world.peer.control("fail io:2 0x281 3"),
            10 => world.peer.control(&format!("drop {NQN}")),
            11..=13 => {
                world.peer.control(&format!("add {NQN}"));
                world.peer.control("resume all");
            }
            _ => pause(),
        }
    }
}

/// The asynchronous form of a reset, to its end.
fn reconnect(world: &World) {
    let controller = world.controller.0;
    // SAFETY: the controller is attached.
    unsafe {
        if spdk_nvme_ctrlr_disconnect(controller) != 0 {
            return;
        }
        until("the Admin Queue to end", || world.admin_poll() < 0);
        spdk_nvme_ctrlr_reconnect_async(controller);
        until("a reconnect to end", || spdk_nvme_ctrlr_reconnect_poll_async(controller) != -libc::EAGAIN);
    }
}

fn storm(seed: u64) {
    const ACTIONS: u32 = 60;
    let world = World::new();
    let (shared, over, working) = (&world, &AtomicBool::new(false), &AtomicU32::new(2));
    ADMIN_SENT.store(0, Ordering::Relaxed);
    ADMIN_ENDED.store(0, Ordering::Relaxed);
    thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || {
                let _leaving = Leaving(working);
                let mut dice = Dice::new(seed, thread);
                let mut line = Line { world: shared, qpair: None, reads: Reads::new(), accepted: 0 };
                while !over.load(Ordering::Acquire) {
                    line.act(&mut dice);
                    if dice.below(16) == 0 {
                        pause();
                    }
                }
                line.live();
                line.free();
                line.reads.check();
            });
        }
        scope.spawn(move || {
            while working.load(Ordering::Acquire) > 0 {
                shared.admin_poll();
                pause();
            }
        });
        let mut dice = Dice::new(seed, 7);
        for _ in 0..ACTIONS {
            disturb(shared, &mut dice);
            pause();
        }
        shared.peer.control(&format!("add {NQN}"));
        shared.peer.control("resume all");
        // SAFETY: the controller is attached.
        unsafe {
            spdk_nvme_ctrlr_register_timeout_callback(shared.controller.0, 0, 0, None, null_mut());
            // The target adds its subsystem in its own time.
            until("a reset to succeed", || spdk_nvme_ctrlr_reset(shared.controller.0) == 0);
        }
        over.store(true, Ordering::Release);
    });
    until("the admin commands to end", || {
        world.admin_poll();
        ADMIN_ENDED.load(Ordering::Relaxed) == ADMIN_SENT.load(Ordering::Relaxed)
    });
    world.finish();
}

#[test]
fn threads_that_do_anything_at_once_lose_nothing() {
    let seeds = match std::env::var("STORM_SEEDS") {
        Ok(text) => {
            let (first, end) = text.split_once("..").expect("STORM_SEEDS=A..B");
            first.parse().unwrap()..end.parse().unwrap()
        }
        Err(_) => 0..6,
    };
    for seed in seeds {
        println!("storm of threads {seed}");
        storm(seed);
    }
}
