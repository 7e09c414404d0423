//! A host and a target in one thread, over RDMA without a device and with time by hand.
//!
//! Every wait of the host calls [`turn`], which lets the target poll once and moves the time by 20 µs. Each I/O has a
//! number; the records say how often its callback ran and with what, so that [`World::finish`] can hold them against
//! what was accepted (I01), and against an empty ledger (I24, I30).

#![allow(unsafe_code, dead_code, missing_docs)]

pub mod lines;

use {env as _, softverbs as _};

use spdk_nvme_rdma::{
    clock::{self, Clock},
    host::{
        AddressFamily, Context, Controller, ControllerOptions, IoQpair, IoQpairOptions, Namespace, PollGroup,
        TransportId,
    },
    transport::share_receives,
};
use spec::{Completion, Status, firmware::BootPartition};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    ffi::{c_int, c_void},
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, Once},
};
use target::{Options, SubsystemOptions, Target};

pub const NQN: &str = "nqn.2024-01.test:subsystem";
/// Turns after which a test gives up: 60 s of its time.
const PATIENCE: u32 = 3_000_000;
const TURN: u64 = 20_000;
/// A turn of a wait in which nothing has happened for long.
const LONG_TURN: u64 = 1_000_000;

unsafe extern "C" {
    fn spdk_zmalloc(size: usize, align: usize, unused: *mut u64, numa_id: c_int, flags: u32) -> *mut c_void;
    fn spdk_free(buffer: *mut c_void);
}

type Hook = Box<dyn FnOnce(&Completion)>;

thread_local! {
    static TARGET: RefCell<Option<Target>> = const { RefCell::new(None) };
    static RECORDS: RefCell<Vec<Record>> = const { RefCell::new(Vec::new()) };
    static HOOKS: RefCell<HashMap<usize, Hook>> = RefCell::new(HashMap::new());
    /// Short turns that are left; None if all are short.
    static PACE: Cell<Option<u32>> = const { Cell::new(None) };
    static ORDER: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    static WATCH: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

/// What became of one I/O.
#[derive(Debug, Clone, Default)]
struct Record {
    accepted: bool,
    completions: Vec<Status>,
}

/// The world of one test. There is one RDMA in a process, so tests take turns.
pub struct World {
    buffer: *mut c_void,
    _alone: MutexGuard<'static, ()>,
}

/// One turn of the other side and of time.
pub fn turn() {
    TARGET.with_borrow_mut(|target| {
        if let Some(target) = target {
            // A small device is the host's.
            softverbs::without_profile(|| target.poll(softverbs::sim::now()));
        }
    });
    softverbs::sim::advance(match PACE.get() {
        Some(0) => LONG_TURN,
        Some(left) => {
            PACE.set(Some(left - 1));
            TURN
        }
        None => TURN,
    });
    WATCH.with_borrow_mut(|watch| {
        if let Some(look) = watch {
            look();
        }
    });
}

/// Turns from here on are long ones once there were some hundred, until this is called again: for whoever has thousands of
/// waits, of which many run into their deadlines.
pub fn hurry() {
    PACE.set(Some(500));
}

/// Runs `look`, which takes no turn itself, at the end of each turn of this thread, until it is replaced.
pub fn watch(look: Option<Box<dyn FnMut()>>) {
    WATCH.with_borrow_mut(|watch| *watch = look);
}

impl World {
    pub fn new() -> World {
        World::with(Options::default())
    }

    pub fn with(options: Options) -> World {
        World::begin(options, None)
    }

    /// A world of its own seed, which draws the order of all that may happen in more than one.
    pub fn drawn(seed: u64) -> World {
        World::begin(Options::default(), Some(seed))
    }

    /// As [`World::drawn`], with a target of these options.
    pub fn drawn_with(seed: u64, options: Options) -> World {
        World::begin(options, Some(seed))
    }

    fn begin(options: Options, seed: Option<u64>) -> World {
        static ALONE: Mutex<()> = Mutex::new(());
        static START: Once = Once::new();
        let alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        START.call_once(|| {
            softverbs::sim::start(7);
            let first =
                clock::install(Clock { ticks: softverbs::sim::now, ticks_hz: || 1_000_000_000, relax: turn });
            assert_eq!(first, Ok(true));
        });
        assert_clean("before the test");
        share_receives(0);
        if let Some(seed) = seed {
            softverbs::sim::start(seed);
            softverbs::sim::draw_order();
        }
        softverbs::control("delay off; device on; device profile off; purge on; faults off").unwrap();
        // SAFETY: as env.h describes it.
        let buffer = unsafe { spdk_zmalloc(4 << 20, 4096, std::ptr::null_mut(), -1, 1) };
        assert!(!buffer.is_null());
        let mut world = World { buffer, _alone: alone };
        world.start_target(options);
        world
    }

    pub fn start_target(&mut self, options: Options) {
        self.start_target_at("127.0.0.1:4420".parse().unwrap(), options);
    }

    pub fn start_target_at(&mut self, address: SocketAddr, options: Options) {
        let target = Target::new(offering(options, address)).unwrap();
        TARGET.with_borrow_mut(|place| assert!(place.replace(target).is_none()));
    }

    /// Whether there is a target.
    pub fn has_target(&self) -> bool {
        TARGET.with_borrow(Option::is_some)
    }

    /// Starts a target where there is none. False if that is refused, which a fault may bring about.
    pub fn try_start_target(&self, options: Options) -> bool {
        let options = offering(options, "127.0.0.1:4420".parse().unwrap());
        let target = softverbs::without_profile(|| Target::new(options)).ok();
        let started = target.is_some();
        TARGET.with_borrow_mut(|place| assert!(std::mem::replace(place, target).is_none()));
        started
    }

    /// The target dies: everything of it is gone at once.
    pub fn kill_target(&self) {
        drop(TARGET.with_borrow_mut(Option::take));
    }

    pub fn control(&self, command: &str) {
        TARGET.with_borrow_mut(|target| {
            target.as_mut().unwrap().control(&command.parse().unwrap()).unwrap();
        });
    }

    /// Has each answer of the target go through a function.
    pub fn set_liar(&self, liar: impl FnMut(&mut target::Answer<'_>) + 'static) {
        TARGET.with_borrow_mut(|target| target.as_mut().unwrap().set_liar(Some(Box::new(liar))));
    }

    /// What a boot partition of the target's subsystem holds.
    pub fn boot_partition(&self, partition: BootPartition) -> Vec<u8> {
        TARGET.with_borrow(|target| {
            target.as_ref().unwrap().boot_partition(NQN, partition).unwrap().unwrap().to_vec()
        })
    }

    pub fn connections(&self) -> usize {
        TARGET.with_borrow(|target| target.as_ref().map_or(0, Target::connections))
    }

    pub fn id(&self) -> TransportId {
        TransportId {
            address_family: AddressFamily::Ipv4,
            traddr: String::from("127.0.0.1"),
            trsvcid: String::from("4420"),
            subnqn: String::from(NQN),
        }
    }

    pub fn options(&self) -> ControllerOptions {
        let keep_alive_timeout = std::time::Duration::ZERO;
        ControllerOptions { upcall, keep_alive_timeout, ..ControllerOptions::default() }
    }

    pub fn controller(&self) -> Rc<Controller> {
        Controller::connect(self.id(), self.options()).unwrap()
    }

    pub fn namespace(&self, controller: &Controller) -> Arc<Namespace> {
        controller.namespace(1).unwrap()
    }

    /// The test's memory for I/O, 4 MiB.
    pub fn buffer(&self) -> *mut c_void {
        self.buffer
    }

    /// Submits a read of one block. Its number, and whether it was accepted.
    pub fn try_read(&self, qpair: &IoQpair, namespace: &Namespace) -> (usize, bool) {
        read(self.buffer, qpair, namespace)
    }

    /// Submits a read that must be accepted.
    pub fn read(&self, qpair: &IoQpair, namespace: &Namespace) -> usize {
        let (number, accepted) = self.try_read(qpair, namespace);
        assert!(accepted, "refused");
        number
    }

    pub fn read_many(&self, qpair: &IoQpair, namespace: &Namespace, count: usize) -> Vec<usize> {
        (0..count).map(|_| self.read(qpair, namespace)).collect()
    }

    /// Detaches, ends the target, and looks whether anything is left and each accepted I/O had one callback.
    pub fn finish(self, controller: Option<Rc<Controller>>) {
        if let Some(controller) = controller {
            detach(&controller);
            assert_eq!(Rc::strong_count(&controller), 1, "somebody holds the controller");
        }
        self.end_target();
        // SAFETY: allocated in `with`, freed once.
        unsafe { spdk_free(self.buffer) };
        assert_clean("after the test");
        HOOKS.with_borrow(|hooks| assert!(hooks.is_empty(), "a hook that never ran"));
    }
}

/// The subsystem of these options, or one with a namespace of 8 MiB, at that address.
fn offering(options: Options, address: SocketAddr) -> Options {
    let options = if options.subsystems.is_empty() { with_namespaces("ns=8M", options) } else { options };
    Options { listen: vec![address], ..options }
}

/// These options, with a subsystem that has these namespaces, as the target's command line has them.
pub fn with_namespaces(namespaces: &str, options: Options) -> Options {
    let subsystems = vec![SubsystemOptions::parse(&format!("{NQN},{namespaces}")).unwrap()];
    Options { subsystems, ..options }
}

impl World {
    /// One life: connects, reads over two members of a group and one qpair outside, and ends. Goes on as far as it gets.
    pub fn live(&self, options: ControllerOptions) {
        let Ok(controller) = Controller::connect(self.id(), options) else { return };
        if let Some(namespace) = controller.namespace(1)
            && let Ok(group) = PollGroup::new()
        {
            let mut qpairs: Vec<Rc<IoQpair>> = Vec::new();
            for options in [synchronous(&controller), asynchronous(&controller)] {
                let Ok(qpair) = controller.alloc_io_qpair(options) else { continue };
                if group.add(&qpair).is_ok() {
                    let _ = qpair.connect();
                }
                qpairs.push(qpair);
            }
            if let Ok(qpair) = controller.alloc_io_qpair(synchronous(&controller)) {
                let _ = qpair.connect();
                qpairs.push(qpair);
            }
            for _ in 0..3 {
                let mut reads = Vec::new();
                for qpair in &qpairs {
                    for _ in 0..8 {
                        let (number, accepted) = self.try_read(qpair, &namespace);
                        if accepted {
                            reads.push(number);
                        }
                    }
                }
                for _ in 0..2_000 {
                    if all_ended(&reads) {
                        break;
                    }
                    let _ = group.process_completions(0, &nobody);
                    for qpair in &qpairs {
                        let _ = qpair.process_completions(0);
                    }
                    let _ = controller.process_admin_completions();
                    turn();
                }
            }
            for qpair in qpairs {
                qpair.free();
            }
            group.destroy().expect("all members are gone");
        }
        detach(&controller);
    }

    /// Ends the target, and looks whether each accepted I/O had one callback.
    pub fn end_target(&self) {
        self.kill_target();
        softverbs::sim::advance(1_000_000_000);
        assert_exactly_once();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(TARGET.with_borrow_mut(Option::take));
    }
}

/// A poll group that callbacks may hold, too.
pub fn poll_group() -> Rc<PollGroup> {
    Rc::new(PollGroup::new().unwrap())
}

pub fn read(buffer: *mut c_void, qpair: &IoQpair, namespace: &Namespace) -> (usize, bool) {
    let number = RECORDS.with_borrow_mut(|records| {
        records.push(Record::default());
        records.len() - 1
    });
    let accepted = qpair.read(namespace, buffer, 0, 1, 0, context(delivered, number)).is_ok();
    RECORDS.with_borrow_mut(|records| records[number].accepted = accepted);
    (number, accepted)
}

/// Hears of a completion, with the number that its context was made with.
pub type Heard = fn(usize, &Completion);

/// What `heard` is called with once the I/O has ended.
pub fn context(heard: Heard, number: usize) -> Context {
    Context { function: heard as *const (), argument: std::ptr::without_provenance_mut(number + 1) }
}

/// The upcall of all qpairs.
pub fn upcall(argument: *mut (), completion: &Completion, function: *const ()) {
    // SAFETY: [`context`] made it from a function of this type.
    let heard: Heard = unsafe { std::mem::transmute(function) };
    heard(argument.addr() - 1, completion);
}

fn delivered(number: usize, completion: &Completion) {
    RECORDS.with_borrow_mut(|records| records[number].completions.push(completion.status()));
    ORDER.with_borrow_mut(|order| order.push(number));
    let hook = HOOKS.with_borrow_mut(|hooks| hooks.remove(&number));
    if let Some(hook) = hook {
        hook(completion);
    }
}

/// Runs `hook` in the callback of I/O `number`.
pub fn on_completion(number: usize, hook: impl FnOnce(&Completion) + 'static) {
    HOOKS.with_borrow_mut(|hooks| hooks.insert(number, Box::new(hook)));
}

/// How the I/O ended, if it did.
pub fn status(number: usize) -> Option<Status> {
    RECORDS.with_borrow(|records| {
        assert!(records[number].completions.len() <= 1, "I/O {number} ended more than once");
        records[number].completions.first().copied()
    })
}

pub fn all_ended(numbers: &[usize]) -> bool {
    numbers.iter().all(|number| status(*number).is_some())
}

pub fn count_with(numbers: &[usize], wanted: Status) -> usize {
    numbers.iter().filter(|number| status(**number) == Some(wanted)).count()
}

/// How many I/Os so far, of this world and those before, ended like this.
pub fn ever_ended_with(wanted: Status) -> usize {
    RECORDS.with_borrow(|records| records.iter().filter(|r| r.completions.contains(&wanted)).count())
}

/// The numbers of the I/Os in the order of their callbacks since the last call.
pub fn take_order() -> Vec<usize> {
    ORDER.with_borrow_mut(std::mem::take)
}

fn assert_exactly_once() {
    RECORDS.with_borrow(|records| {
        for (number, record) in records.iter().enumerate() {
            assert_eq!(record.completions.len(), usize::from(record.accepted), "I/O {number}: {record:?}");
        }
    });
}

fn assert_clean(when: &str) {
    let ledger = softverbs::ledger();
    assert!(ledger.is_clean(), "{when}: {ledger:?}");
}

/// Turns until `done` says so.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..PATIENCE {
        if done() {
            return;
        }
        turn();
    }
    panic!("waited too long for {what}");
}

pub fn detach(controller: &Controller) {
    controller.detach_start();
    until("the detach", || controller.detach_poll());
}

/// Polls the Admin Queue until what freed qpairs left, of which the peer's answer is waited for, is gone, too.
pub fn until_let_go(controller: &Controller, rest: &softverbs::Ledger) {
    until("what was freed to be let go of", || {
        let _ = controller.process_admin_completions();
        softverbs::ledger() == *rest
    });
}

pub fn nobody(_: &Rc<IoQpair>) {}

/// Polls the group until `done`; a lost member is no reason to stop.
pub fn poll_until(group: &PollGroup, what: &str, mut done: impl FnMut() -> bool) {
    until(what, || {
        let _ = group.process_completions(0, &nobody);
        done()
    });
}

pub fn synchronous(controller: &Controller) -> IoQpairOptions {
    IoQpairOptions { queue_size: 64, queue_requests: 128, ..controller.default_io_qpair_options() }
}

pub fn asynchronous(controller: &Controller) -> IoQpairOptions {
    IoQpairOptions { async_mode: true, create_only: true, ..synchronous(controller) }
}

/// A connected qpair outside of a group.
pub fn connected(controller: &Rc<Controller>) -> Rc<IoQpair> {
    let qpair = controller.alloc_io_qpair(synchronous(controller)).unwrap();
    qpair.connect().unwrap();
    qpair
}

/// A connected member of a group.
pub fn member(controller: &Rc<Controller>, group: &PollGroup, options: IoQpairOptions) -> Rc<IoQpair> {
    let qpair = controller.alloc_io_qpair(options).unwrap();
    group.add(&qpair).unwrap();
    qpair.connect().unwrap();
    poll_until(group, "the connection", || qpair.is_connected());
    qpair
}

/// A flag that a closure and its test share.
#[derive(Clone, Default)]
pub struct Count(Rc<Cell<u32>>);

impl Count {
    pub fn up(&self) {
        self.0.set(self.0.get() + 1);
    }
    pub fn get(&self) -> u32 {
        self.0.get()
    }
}

/// Runs one of the ignored tests of this binary in a process of its own, which has the faults in TEST_FAULTS and must reach them.
pub fn in_a_process_of_its_own(test: &str, faults: &str) {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("TEST_FAULTS", faults)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr).into_owned();
    assert!(child.status.success(), "{faults}: {}\n{said}", child.status);
    assert!(said.contains("softverbs: fault: "), "{faults} did not happen\n{said}");
}
