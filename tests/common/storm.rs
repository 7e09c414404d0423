//! What the storms over the API have in common: a program that does anything at any time, against a target to which anything happens.
//!
//! The program itself is the test's: it knows one face of the library. Here is what is held against it at each step:
//! * each I/O that was accepted has one callback, each that was refused none, and none is due once its qpair is gone;
//! * what a qpair aborts it aborts in the order of submission;
//! * "try again" is said only of what can pass: of a qpair with I/Os outstanding;
//! * a call takes no more time than it may; most take none at all.
//!
//! A callback must not unwind into C, so what fails in one is kept, and fails the world at its next step.

#![allow(dead_code)]

use crate::{
    common::{NQN, World, hurry, turn},
    replay,
    troubles::{Dice, PEACE, at_some_time, shared_receives, trouble},
};
use spdk_nvme_rdma::transport::share_receives;
use spec::{Completion, Status};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

/// A bit that no I/O flag has.
const NO_FLAG: u32 = 1 << 2;

/// Bytes of a block of the target's namespace, and of the memory for I/O.
const BLOCK: u64 = 512;
const BUFFER: u64 = 4 << 20;
/// Acts of one world, those in callbacks included.
const MOST_ACTS: u32 = 3000;
/// How deep callbacks act in callbacks.
const MOST_DEPTH: u32 = 4;

thread_local! {
    /// Memory that no environment knows. Its content is nobody's.
    static FOREIGN: Vec<Cell<u8>> = vec![Cell::new(0); BUFFER as usize + 64];
    static TALLY: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
    static LONGEST: RefCell<BTreeMap<&'static str, (Duration, u64)>> = const { RefCell::new(BTreeMap::new()) };
}

/// One world's storm.
pub struct Storm {
    pub dice: Dice,
    pub target: target::Options,
    seed: u64,
    loud: bool,
    ios: RefCell<Vec<Io>>,
    lives: RefCell<Vec<Life>>,
    /// Callbacks act.
    acting: Cell<bool>,
    depth: Cell<u32>,
    acts: Cell<u32>,
    /// Time that calls inside of the current one took.
    inside: Cell<Duration>,
    /// By how much the clock may jump in this world.
    jumps: Cell<Duration>,
    /// The target told or tells lies: what it says proves nothing.
    lies: Cell<bool>,
    failed: Cell<bool>,
}

/// An I/O.
struct Io {
    life: usize,
    accepted: Option<bool>,
    ended: bool,
    /// It must not succeed.
    wrong: bool,
    acts: bool,
}

/// What is known of a qpair.
#[derive(Default, Clone)]
struct Life {
    outstanding: usize,
    last_abort: Option<usize>,
    gone: bool,
}

/// An I/O that the program is about to submit.
pub struct Shape {
    pub write: bool,
    pub buffer: *mut c_void,
    pub lba: u64,
    pub blocks: u32,
    pub flags: u32,
    /// There is no memory at the buffer.
    pub wild: bool,
    /// The buffer is the program's, and not registered: what is needed for it may be refused.
    pub foreign: bool,
    /// However often it is tried, it is refused.
    pub impossible: bool,
    /// Its data lie in pieces: how many commands it takes is for device and target to say.
    pub scattered: bool,
}

/// Why an I/O was refused, whatever the face calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It can never be.
    Invalid,
    /// Try again after a poll.
    Busy,
    NotConnected,
    /// The buffer is not the program's to give.
    BadMemory,
    /// The device does not do what it is asked for.
    Device,
}

impl Storm {
    /// A storm and its world. The options of its target are drawn, too.
    pub fn begin(seed: u64, salt: u64) -> (Self, World) {
        let dice = Dice::new(seed ^ salt);
        let target = target::Options {
            mdts: dice.pick(&[0, 1, 5]),
            io_queues: dice.pick(&[2, 4, 64]),
            queue_entries: dice.pick(&[16, 32, 128]),
            in_capsule_data: dice.pick(&[0, 4096]),
            linger_ms: dice.pick(&[0, 1, 30]),
            ..target::Options::default()
        };
        let world = World::drawn_with(seed, target.clone());
        // Of their own, so that the rest of a world is as it is without.
        let receives = shared_receives(&Dice::new(!seed ^ salt));
        share_receives(receives);
        count(if receives == 0 { "worlds with own receives" } else { "worlds with shared receives" });
        let loud = is_loud();
        softverbs::control(if loud { "faults loud" } else { "faults quiet" }).unwrap();
        if dice.once_in(2) {
            softverbs::control("purge off").unwrap();
        }
        let storm = Self {
            dice,
            target,
            seed,
            loud,
            ios: RefCell::default(),
            lives: RefCell::default(),
            acting: Cell::new(true),
            depth: Cell::new(0),
            acts: Cell::new(0),
            inside: Cell::default(),
            jumps: Cell::default(),
            lies: Cell::new(false),
            failed: Cell::new(false),
        };
        (storm, world)
    }

    pub fn roll(&self, below: usize) -> usize {
        self.dice.roll(below)
    }

    pub fn once_in(&self, times: usize) -> bool {
        self.dice.once_in(times)
    }

    /// Lets loose the faults of this world: on both hosts, so twice of them.
    pub fn let_loose(&self) {
        for _ in 0..self.roll(7) {
            let what = trouble(&self.dice);
            if let Some(time) = what.strip_prefix("clock jump ").and_then(|time| time.strip_suffix("ms")) {
                self.jumps.set(self.jumps.get() + Duration::from_millis(time.parse().unwrap()));
            }
            let command = at_some_time(&self.dice, what, 60_000);
            self.say(&command);
            softverbs::control(&command).unwrap();
        }
    }

    /// What happens outside of the program: to the target, and to the device.
    pub fn weather(&self, world: &World) {
        if !world.has_target() {
            self.say("a target comes");
            let _ = world.try_start_target(self.target.clone());
            return;
        }
        match self.roll(16) {
            0 => {
                self.say("the target dies");
                count("targets that died");
                world.kill_target();
            }
            1 => self.tell(world, "misbehave silent"),
            2 => self.tell(world, "misbehave reject-connections"),
            3 => self.tell(world, self.dice.pick(&["misbehave repeat-response", "misbehave cid-idle"])),
            4 => self.tell(world, self.dice.pick(&["linger 0", "linger 30"])),
            5 => {
                self.lies.set(true);
                count("lies");
                let lie = self.dice.pick(&[
                    "random",
                    "connect-status",
                    "connect-status=0x4183",
                    "connect-answer",
                    "reject",
                    "crqsize",
                    "csts",
                    "csts=1",
                    "events",
                    "namespace-size",
                ]);
                self.tell(world, &format!("lie {lie}"));
            }
            6 => {
                let profile = self.dice.pick(&[
                    "max_qp_wr=4",
                    "max_qp_wr=1 max_cqe=3",
                    "max_cqe=12 resize_cq=off",
                    "max_sge=1 max_srq=0",
                    "max_qp_rd_atom=1",
                    "resize_cq=off",
                ]);
                self.say(profile);
                count("other devices");
                softverbs::control(&format!("device profile {profile}")).unwrap();
            }
            7 => {
                count("changes of the namespace");
                let change = self.dice.pick(&[
                    "ns resize NQN 1 1M",
                    "ns resize NQN 1 8M",
                    "ana NQN 1 inaccessible",
                    "ana NQN 1 change",
                    "ana NQN 1 optimized",
                ]);
                self.tell(world, &change.replace("NQN", NQN));
            }
            8 => {
                count("commands that wait or fail");
                let how = self.dice.pick(&[
                    "stall read 3",
                    "stall identify 1",
                    "stall io:any 5",
                    "delay write 20 10",
                    "delay admin:0x18 50 2",
                    "fail read 0x0281 3",
                    "fail identify 0x4006 1",
                    "fail fabrics:1 0x4183 1",
                    "resume all",
                ]);
                // A namespace that cannot be identified is inactive, whatever the target has.
                if how.starts_with("fail identify") {
                    self.lies.set(true);
                }
                self.tell(world, how);
            }
            _ => {
                for what in ["behave silent", "behave reject-connections", "truth all", "resume all"] {
                    world.control(what);
                }
                softverbs::control("device profile off; device on; port up; peer speaks").unwrap();
            }
        }
    }

    /// Has the target do something.
    pub fn tell(&self, world: &World, what: &str) {
        self.say(what);
        world.control(what);
    }

    /// Peace: no fault any more, and callbacks only listen.
    pub fn calm(&self) {
        self.acting.set(false);
        softverbs::control(PEACE).unwrap();
    }

    /// At the end of all: every I/O has what it was promised.
    pub fn settle(&self) {
        self.step();
        for (number, io) in self.ios.borrow().iter().enumerate() {
            assert_eq!(io.accepted, Some(io.ended), "I/O {number}: accepted, and ended");
        }
        assert!(self.lives.borrow().iter().all(|life| life.gone), "a qpair that nobody freed");
    }

    /// What is looked at after each act.
    pub fn step(&self) {
        assert!(!self.failed.get(), "something failed in a callback");
    }

    /// Whether there may be another act.
    pub fn may_act(&self) -> bool {
        self.acts.set(self.acts.get() + 1);
        self.acts.get() <= MOST_ACTS
    }

    /// How many acts there were.
    pub fn acts(&self) -> u32 {
        self.acts.get()
    }

    /// Whether this is an act in a callback.
    pub fn is_inside(&self) -> bool {
        self.depth.get() > 0
    }

    /// Runs what the program does in a callback.
    pub fn in_callback(&self, work: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            self.failed.set(true);
        }
    }

    /// Runs acts in a callback, if callbacks act and this one is not too deep.
    pub fn act_in_callback(&self, work: impl FnOnce()) {
        if self.acting.get() && self.depth.get() < MOST_DEPTH && self.acts.get() < MOST_ACTS {
            count("callbacks that acted");
            self.depth.set(self.depth.get() + 1);
            work();
            self.depth.set(self.depth.get() - 1);
        }
    }

    pub fn say(&self, what: &str) {
        if self.loud {
            let depth = self.depth.get();
            eprintln!("storm {}: {:indent$}{what}", self.seed, "", indent = 2 * depth as usize);
        }
    }

    /// Runs a call that may take `most` of its own time: that of calls in its callbacks is theirs.
    pub fn call<R>(&self, what: &'static str, most: Duration, call: impl FnOnce() -> R) -> R {
        if most > NONE {
            hurry();
        }
        let begin = softverbs::sim::now();
        let around = self.inside.replace(Duration::ZERO);
        let result = call();
        let whole = Duration::from_nanos(softverbs::sim::now() - begin);
        let own = whole.saturating_sub(self.inside.get());
        self.inside.set(around + whole);
        LONGEST.with_borrow_mut(|longest| {
            let longest = longest.entry(what).or_default();
            *longest = (*longest).max((own, self.seed));
        });
        let most = most + self.jumps.get();
        assert!(own <= most, "{what} took {own:?}, and may take {most:?}");
        result
    }

    /// How long a detach may take that takes `most` of its own: a target that lies may say that it shuts down, and for how long.
    pub fn with_shutdown(&self, most: Duration) -> Duration {
        most + if self.lies.get() { SHUTDOWN } else { Duration::ZERO }
    }

    /// Time passes, and the other side gets its turns.
    pub fn turns(&self, count: usize) {
        self.call("turns", Duration::from_secs(1), || (0..count).for_each(|_| turn()));
    }

    /// Another qpair.
    pub fn born(&self) -> usize {
        let mut lives = self.lives.borrow_mut();
        lives.push(Life::default());
        lives.len() - 1
    }

    /// All that was accepted has ended.
    pub fn owes_nothing(&self, life: usize) {
        assert_eq!(self.lives.borrow()[life].outstanding, 0, "a qpair has ended and owes callbacks");
    }

    /// A qpair is gone: all that was accepted has ended.
    pub fn gone(&self, life: usize) {
        let life = &mut self.lives.borrow_mut()[life];
        assert_eq!(life.outstanding, 0, "a qpair is gone and owes callbacks");
        life.gone = true;
    }

    /// Whether a qpair is gone.
    pub fn is_gone(&self, life: usize) -> bool {
        self.lives.borrow()[life].gone
    }

    /// An I/O of this qpair that has not ended, if there is one.
    pub fn any_outstanding(&self, life: Option<usize>) -> Option<usize> {
        let ios = self.ios.borrow();
        let is_it = |io: &Io| Some(io.life) == life && io.accepted == Some(true) && !io.ended;
        let count = ios.iter().filter(|io| is_it(io)).count();
        let nth = (count > 0).then(|| self.roll(count))?;
        ios.iter().enumerate().filter(|(_, io)| is_it(io)).nth(nth).map(|(number, _)| number)
    }

    /// An I/O for a qpair with so many requests.
    pub fn shape(&self, buffer: *mut c_void, requests: u32) -> Shape {
        let mut shape = Shape {
            write: self.once_in(2),
            buffer,
            lba: self.roll(1000) as u64,
            blocks: self.dice.pick(&[1, 1, 1, 8, 64]),
            flags: self.dice.pick(&[0, 0, 0, 1 << 30]),
            wild: false,
            foreign: self.once_in(8),
            impossible: false,
            scattered: false,
        };
        if shape.foreign {
            count("buffers that are not registered");
            shape.buffer =
                FOREIGN.with(|foreign| foreign.as_ptr().cast_mut().cast::<c_void>().wrapping_byte_add(3));
        }
        if self.once_in(6) {
            match self.roll(6) {
                0 => (shape.buffer, shape.wild) = (std::ptr::null_mut(), true),
                1 => (shape.buffer, shape.wild) = (std::ptr::without_provenance_mut(0x1000), true),
                2 => shape.blocks = 0,
                3 => shape.flags = NO_FLAG,
                4 => shape.lba = self.dice.pick(&[u64::MAX - 3, 16_384]),
                _ => shape.blocks = self.dice.pick(&[300, 2048, 8192]),
            }
        }
        let bytes = u64::from(shape.blocks) * BLOCK;
        assert!(bytes <= BUFFER);
        let largest = if self.target.mdts == 0 { u64::from(u32::MAX) } else { 4096 << self.target.mdts };
        let parts = bytes.div_ceil(largest);
        shape.impossible = shape.blocks == 0 || shape.flags == NO_FLAG || parts > u64::from(requests);
        shape
    }

    /// Some of them are to have their data in pieces, as far apart as they are long.
    pub fn scatter(&self, shape: &mut Shape) {
        let bytes = u64::from(shape.blocks) * BLOCK;
        shape.scattered = !shape.wild && 2 * bytes <= BUFFER && self.once_in(4);
    }

    /// An I/O is about to be submitted. Its number.
    pub fn submit(&self, life: usize, shape: &Shape) -> usize {
        let wrong = shape.impossible || shape.wild || shape.lba > 1000;
        let acts = self.once_in(3);
        let mut ios = self.ios.borrow_mut();
        ios.push(Io { life, accepted: None, ended: false, wrong, acts });
        ios.len() - 1
    }

    /// How the submission came out. `connected` is what the qpair said before.
    pub fn submitted(&self, number: usize, shape: &Shape, connected: bool, result: Result<(), Refusal>) {
        // What a target lies about its limits and its namespace is what the library goes by.
        let lies = self.lies.get() || shape.scattered;
        let mut ios = self.ios.borrow_mut();
        let io = &mut ios[number];
        io.accepted = Some(result.is_ok());
        assert!(!io.ended, "I/O {number} ended inside of its submission");
        let life = &mut self.lives.borrow_mut()[io.life];
        assert!(!life.gone || result.is_err(), "a qpair that is gone accepts");
        match result {
            Ok(()) => {
                assert!(lies || !shape.impossible, "an I/O was accepted that cannot be");
                life.outstanding += 1;
                count(if connected { "I/Os on live qpairs" } else { "I/Os that waited for the connection" });
            }
            Err(refusal) => {
                count("refused I/Os");
                match refusal {
                    Refusal::Invalid => assert!(lies || shape.impossible, "what could be is called invalid"),
                    Refusal::Busy => {
                        assert!(lies || !shape.impossible, "try again, for what can never be");
                        assert!(life.outstanding > 0, "try again, and nothing is outstanding");
                        count("busy qpairs");
                    }
                    Refusal::NotConnected => assert!(!connected, "it is connected, and says that it is not"),
                    Refusal::Device => count("refusals of the device"),
                    Refusal::BadMemory => {
                        assert!(shape.wild || shape.foreign, "good memory is refused");
                        count("bad buffers");
                    }
                }
            }
        }
    }

    /// An I/O's callback. Whether the program is to act in it.
    pub fn ended(&self, number: usize, completion: &Completion) -> bool {
        let mut ios = self.ios.borrow_mut();
        let io = &mut ios[number];
        assert_eq!(io.accepted, Some(true), "I/O {number} was not accepted and ended");
        assert!(!std::mem::replace(&mut io.ended, true), "I/O {number} ended twice");
        let life = &mut self.lives.borrow_mut()[io.life];
        assert!(!life.gone, "I/O {number} ended after its qpair was gone");
        life.outstanding -= 1;
        match completion.status() {
            Status::SUCCESS => {
                count("good I/Os");
                assert!(!io.wrong || self.lies.get(), "I/O {number} is wrong and succeeded");
            }
            // A target, too, answers so when it ends an association, and in any order. The host's own carry the queue's id.
            Status::ABORTED_SQ_DELETION if completion.sqid() == 0 => count("I/Os that the target aborted"),
            Status::ABORTED_SQ_DELETION => {
                count("aborted I/Os");
                let last = life.last_abort.replace(number);
                assert!(last < Some(number), "I/O {number} is aborted after {last:?}: not their order");
            }
            _ => count("I/Os that failed"),
        }
        io.acts
    }
}

/// What a program knows of the Abort commands that it asked for: each that was accepted is told of once, and no other.
#[derive(Default)]
pub struct Aborts(RefCell<Vec<Abort>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Abort {
    /// Being asked for.
    Asked,
    Accepted,
    Refused,
    Told,
}

impl Aborts {
    /// Another one is about to be asked for. Its number.
    pub fn ask(&self) -> usize {
        let mut all = self.0.borrow_mut();
        all.push(Abort::Asked);
        all.len() - 1
    }

    /// The answer to that. `told_inside`: the program may have been told by then.
    pub fn answered(&self, number: usize, accepted: bool, told_inside: bool) {
        let abort = &mut self.0.borrow_mut()[number];
        match (*abort, accepted) {
            (Abort::Asked, true) => *abort = Abort::Accepted,
            (Abort::Asked, false) => *abort = Abort::Refused,
            (Abort::Told, true) if told_inside => {}
            (before, accepted) => panic!("abort {number} was {before:?}, accepted: {accepted}"),
        }
        count(if accepted { "aborts" } else { "refused aborts" });
    }

    /// Its callback.
    pub fn told(&self, number: usize) {
        let abort = &mut self.0.borrow_mut()[number];
        let is_due = matches!(*abort, Abort::Accepted | Abort::Asked);
        assert!(is_due, "abort {number} is told of, and was {abort:?}");
        *abort = Abort::Told;
    }

    /// At the end of all.
    pub fn settle(&self) {
        let owed = self.0.borrow().iter().position(|abort| *abort == Abort::Accepted);
        assert_eq!(owed, None, "an abort was accepted and never told of");
    }
}

/// Whether somebody looks at one world: thousands of lines help nobody else.
pub fn is_loud() -> bool {
    let seeds = replay::seeds(0..0);
    replay::is_chosen() && seeds.end - seeds.start == 1
}

/// The most that a controller has to shut down.
const SHUTDOWN: Duration = Duration::from_secs(120);

/// How long calls may take. Those that do not wait take no time.
pub const NONE: Duration = Duration::ZERO;

/// Counts what happened, over all worlds.
pub fn count(what: &'static str) {
    TALLY.with_borrow_mut(|tally| *tally.entry(what).or_default() += 1);
}

/// A storm that does nothing proves nothing: of each of these there was so much, on average of all worlds.
pub fn assert_floors(worlds: u64, floors: &[(&'static str, f64)]) {
    eprintln!("{worlds} worlds:");
    TALLY.with_borrow(|tally| {
        for (what, count) in tally {
            eprintln!("  {what}: {count}, {:.2} a world", *count as f64 / worlds as f64);
        }
        LONGEST.with_borrow(|longest| {
            for (what, (time, seed)) in longest {
                eprintln!("  longest {what}: {time:?} (seed {seed})");
            }
        });
        for (what, floor) in floors {
            let count = tally.get(what).copied().unwrap_or(0);
            assert!(worlds < 100 || count as f64 >= floor * worlds as f64, "{what}: only {count}");
        }
    });
}
