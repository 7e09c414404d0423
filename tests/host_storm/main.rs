//! Random worlds over the host's own face: a program with two controllers, groups and qpairs does anything at any time, its callbacks
//! do, too, and faults strike device, fabric and target.
//!
//! What is held against it is in `common/storm.rs`; beside that, no two live qpairs of a controller have one queue id, and a group is
//! destroyed exactly when it has no members. Each world ends with an empty ledger of RDMA objects. `STORM_SEEDS=first..last` runs other
//! worlds than the usual ones.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;
mod life;
#[path = "../common/replay.rs"]
mod replay;
#[path = "../common/storm.rs"]
mod storm;
#[path = "../common/troubles.rs"]
mod troubles;

use common::{World, until};
use spdk_nvme_rdma::{
    host::{Controller, ControllerOptions, Error, IoQpair, IoQpairOptions, PollGroup},
    transport,
};
use spec::Completion;
use std::{cell::RefCell, rc::Rc, time::Duration};
use storm::*;
use tracing::subscriber::NoSubscriber;

/// Places for qpairs, controllers and groups.
const QPAIRS: usize = 6;
const PAIRS: usize = 2;

/// Longer than every deadline of one call, with those of this storm's options.
const CONNECT: Duration = Duration::from_secs(30);
/// Not for the peer, only for the device.
const FREE: Duration = Duration::from_millis(1_100);
const DISCONNECT: Duration = Duration::from_millis(4_500);
const ATTACH: Duration = Duration::from_secs(30);
const DETACH: Duration = Duration::from_secs(6);

/// What an average world has at least.
const FLOORS: [(&str, f64); 21] = [
    ("worlds with shared receives", 0.3),
    ("I/Os on live qpairs", 25.0),
    ("good I/Os", 10.0),
    ("aborted I/Os", 20.0),
    ("I/Os that waited for the connection", 10.0),
    ("busy qpairs", 3.0),
    ("bad buffers", 0.5),
    ("callbacks that acted", 10.0),
    ("disconnected callbacks", 1.5),
    ("ends in callbacks", 0.5),
    ("controllers", 2.0),
    ("controllers detached in callbacks", 0.08),
    ("uses of what is gone", 3.0),
    ("targets that died", 0.2),
    ("lies", 0.2),
    ("other devices", 0.2),
    ("resets", 0.05),
    ("resets by steps", 0.05),
    ("aborts", 0.5),
    ("late commands", 0.5),
    ("events", 0.05),
];

thread_local! {
    static PROGRAM: RefCell<Option<Rc<Program>>> = const { RefCell::new(None) };
}

struct Program {
    storm: Storm,
    world: World,
    controllers: RefCell<[Option<Rc<Controller>>; PAIRS]>,
    groups: RefCell<[Option<Rc<PollGroup>>; PAIRS]>,
    qpairs: RefCell<[Option<Place>; QPAIRS]>,
    /// Qpairs whose end was begun and not yet finished.
    ending: RefCell<Vec<Place>>,
    /// Qpairs that are gone, of which the program still has a share.
    gone: RefCell<Vec<Place>>,
    /// Controllers whose reset was begun and is not over.
    resetting: RefCell<Vec<Rc<Controller>>>,
    aborts: Aborts,
}

/// A qpair, and what the program knows of it.
#[derive(Clone)]
struct Place {
    qpair: Rc<IoQpair>,
    controller: Rc<Controller>,
    group: Option<usize>,
    life: usize,
}

impl Program {
    fn controller(&self, place: usize) -> Option<Rc<Controller>> {
        self.controllers.borrow()[place].clone()
    }

    fn group(&self, place: usize) -> Option<Rc<PollGroup>> {
        self.groups.borrow()[place].clone()
    }

    fn qpair(&self, place: usize) -> Option<Place> {
        self.qpairs.borrow()[place].clone()
    }

    /// Notes which group a qpair is in, wherever the program has it by now.
    fn note_group(&self, life: usize, group: Option<usize>) {
        let mut qpairs = self.qpairs.borrow_mut();
        let mut ending = self.ending.borrow_mut();
        let all = qpairs.iter_mut().flatten().chain(ending.iter_mut());
        all.filter(|place| place.life == life).for_each(|place| place.group = group);
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
            16..18 => self.free(place),
            18 => self.begin_free(place),
            19..21 => self.leave_group(place, pair),
            21..24 => self.join_group(place, pair),
            24..26 => self.end_or_make_group(pair),
            26 => self.fail(pair),
            27..32 => self.attach_or_detach(pair),
            32..36 => self.poll_admin(pair),
            36..38 => self.misuse(),
            38..42 => self.live(pair),
            42..60 => self.submit(place),
            60..74 => self.poll_group(pair),
            74..86 => self.poll(place),
            86..89 => self.storm.weather(&self.world),
            _ => self.storm.turns(1 + self.storm.roll(24)),
        }
        self.finish_frees();
        self.storm.step();
    }

    fn options(&self, host: usize) -> ControllerOptions {
        let short = Duration::from_millis(300);
        ControllerOptions {
            admin_timeout: short,
            connect_timeout: short,
            // Long enough to see who waits for a peer that says nothing.
            cm_timeout: self.storm.dice.pick(&[short, 10 * short]),
            keep_alive_timeout: Duration::from_millis(self.storm.dice.pick(&[0, 0, 100])),
            hostnqn: format!("nqn.2024-01.test:host-{host}"),
            ..self.world.options()
        }
    }

    fn attach_or_detach(&self, pair: usize) {
        let Some(controller) = self.controller(pair) else {
            let made = self
                .storm
                .call("attach", ATTACH, || Controller::connect(self.world.id(), self.options(pair)));
            if let Ok(controller) = made {
                count("controllers");
                if self.storm.once_in(2) {
                    self.watch(&controller);
                    self.listen(&controller);
                }
                // None of this runs a callback: the place is as it was.
                self.controllers.borrow_mut()[pair] = Some(controller);
            }
            return;
        };
        // One that works is left alone for a while.
        if controller.has_failed() || self.storm.once_in(6) {
            self.detach(pair);
        }
    }

    fn detach(&self, pair: usize) {
        // Who takes it detaches it; callbacks of the frees find none.
        let Some(controller) = self.controllers.borrow_mut()[pair].take() else { return };
        self.resetting.borrow_mut().retain(|other| !Rc::ptr_eq(other, &controller));
        for place in 0..QPAIRS {
            if self.qpair(place).is_some_and(|found| Rc::ptr_eq(&found.controller, &controller)) {
                self.free(place);
            }
        }
        // The waiting is the program's own, and no time of the poll that called it back.
        self.storm.call("ends that were begun", self.storm.with_shutdown(DETACH), || {
            until("the ends that were begun", || {
                self.finish_frees();
                !self.ending.borrow().iter().any(|found| Rc::ptr_eq(&found.controller, &controller))
            })
        });
        self.storm.call("detach", self.storm.with_shutdown(DETACH), || common::detach(&controller));
        if self.storm.is_inside() {
            count("controllers detached in callbacks");
        }
    }

    fn fail(&self, pair: usize) {
        if let Some(controller) = self.controller(pair)
            && self.storm.once_in(6)
        {
            self.storm.say("the controller fails");
            controller.fail();
        }
    }

    fn poll_admin(&self, pair: usize) {
        if let Some(controller) = self.controller(pair) {
            let _ =
                self.storm.call("process_admin_completions", NONE, || controller.process_admin_completions());
            if controller.has_failed() && !self.storm.once_in(4) {
                self.detach(pair);
            }
        }
    }

    fn alloc(&self, place: usize) {
        if self.qpair(place).is_some() {
            return;
        }
        let Some(controller) = self.controller(self.storm.roll(PAIRS)) else { return };
        let queue_size: u32 = self.storm.dice.pick(&[2, 4, 16, 64, 5000]);
        let options = IoQpairOptions {
            // A larger one than the controller has would be refused.
            queue_size: queue_size.min(controller.default_io_qpair_options().queue_size),
            queue_requests: self.storm.dice.pick(&[1, 8, 64, 9000]),
            delay_cmd_submit: self.storm.once_in(2),
            async_mode: self.storm.once_in(2),
            create_only: true,
        };
        let made = self.storm.call("alloc_io_qpair", NONE, || controller.alloc_io_qpair(options));
        let Ok(qpair) = made else { return };
        let id = qpair.id();
        assert!((1..=controller.io_queue_count()).contains(&u32::from(id)));
        let same = |other: &Place| Rc::ptr_eq(&other.controller, &controller) && other.qpair.id() == id;
        let taken = self.qpairs.borrow().iter().flatten().any(same) || self.ending.borrow().iter().any(same);
        assert!(!taken, "two qpairs have the queue id {id}");
        let life = self.storm.born();
        qpair.set_tag(std::ptr::without_provenance_mut(life + 1));
        self.qpairs.borrow_mut()[place] = Some(Place { qpair, controller, group: None, life });
        if !self.storm.once_in(3) {
            self.join_group(place, self.storm.roll(PAIRS));
        }
        if !self.storm.once_in(5) {
            self.connect(place);
        }
    }

    fn connect(&self, place: usize) {
        let Some(found) = self.qpair(place) else { return };
        let _ = self.storm.call("connect", CONNECT, || found.qpair.connect());
    }

    fn disconnect(&self, place: usize) {
        let Some(found) = self.qpair(place) else { return };
        let most = if found.qpair.options().async_mode { NONE } else { DISCONNECT };
        self.storm.call("disconnect", most, || found.qpair.disconnect());
    }

    fn free(&self, place: usize) {
        let Some(found) = self.qpairs.borrow_mut()[place].take() else { return };
        if self.storm.is_inside() {
            count("ends in callbacks");
        }
        self.storm.say("free");
        self.storm.call("free", FREE, || found.qpair.free());
        self.is_gone(found);
    }

    /// Begins an end that other acts finish.
    fn begin_free(&self, place: usize) {
        let Some(found) = self.qpairs.borrow_mut()[place].take() else { return };
        self.storm.say("begin to free");
        self.ending.borrow_mut().push(found.clone());
        assert!(self.storm.call("begin_free", NONE, || found.qpair.begin_free()));
        assert!(!found.qpair.begin_free(), "it was begun");
    }

    /// A turn of all ends that were begun.
    fn finish_frees(&self) {
        let ending = self.ending.borrow().clone();
        for found in ending {
            if self.storm.call("finish_free", NONE, || found.qpair.finish_free()) {
                let place = self.ending.borrow().iter().position(|other| other.life == found.life);
                // A callback may have been here first.
                if let Some(place) = place {
                    self.ending.borrow_mut().remove(place);
                    self.is_gone(found);
                }
            }
        }
    }

    fn is_gone(&self, found: Place) {
        assert!(found.qpair.is_freed() && !found.qpair.is_connected());
        self.storm.gone(found.life);
        let mut gone = self.gone.borrow_mut();
        gone.push(found);
        if gone.len() > 8 {
            gone.remove(0);
        }
    }

    /// A qpair that is gone, or going, says so to each call.
    fn misuse(&self) {
        let mut all = self.gone.borrow().clone();
        all.extend(self.ending.borrow().iter().cloned());
        if all.is_empty() {
            return;
        }
        let found = &all[self.storm.roll(all.len())];
        count("uses of what is gone");
        self.storm.call("use of what is gone", NONE, || {
            assert!(found.qpair.connect().is_err());
            assert!(!found.qpair.begin_free());
            assert!(!found.qpair.is_connected());
        });
        self.submit_to(found);
        let _ = self.storm.call("process_completions", NONE, || found.qpair.process_completions(0));
    }

    fn join_group(&self, place: usize, pair: usize) {
        let (Some(found), Some(group)) = (self.qpair(place), self.group(pair)) else { return };
        if self.storm.call("add", NONE, || group.add(&found.qpair)).is_ok() {
            assert_eq!(found.group, None, "it is a member elsewhere");
            self.note_group(found.life, Some(pair));
        }
    }

    fn leave_group(&self, place: usize, pair: usize) {
        let (Some(found), Some(group)) = (self.qpair(place), self.group(pair)) else { return };
        if self.storm.call("remove", NONE, || group.remove(&found.qpair)).is_ok() {
            assert_eq!(found.group, Some(pair), "it was no member");
            self.note_group(found.life, None);
        }
    }

    fn end_or_make_group(&self, pair: usize) {
        match self.group(pair) {
            Some(group) => {
                let is_here = |found: &Place| found.group == Some(pair);
                let members = self.qpairs.borrow().iter().flatten().any(is_here);
                let ending = self.ending.borrow().iter().any(is_here);
                let destroyed = group.destroy().is_ok();
                assert!(!(destroyed && members), "a group was destroyed that has members");
                // What a free further out has taken is still a member until that free is over.
                assert!(destroyed || members || ending || self.storm.is_inside(), "an empty group is busy");
                if destroyed {
                    self.groups.borrow_mut()[pair] = None;
                }
            }
            None => self.groups.borrow_mut()[pair] = PollGroup::new().ok().map(Rc::new),
        }
    }

    fn submit(&self, place: usize) {
        let Some(found) = self.qpair(place) else { return };
        for _ in 0..=self.storm.roll(12) {
            if !self.submit_to(&found) {
                return;
            }
        }
    }

    fn submit_to(&self, found: &Place) -> bool {
        let Some(namespace) = found.controller.namespace(1) else { return false };
        let requests = found.qpair.options().queue_requests.min(transport::MOST_REQUESTS.into());
        let shape = self.storm.shape(self.world.buffer(), requests);
        let connected = found.qpair.is_connected();
        let number = self.storm.submit(found.life, &shape);
        let context = common::context(delivered, number);
        let Shape { buffer, lba, blocks, flags, .. } = shape;
        let result = self.storm.call("submit", NONE, || match shape.write {
            true => found.qpair.write(&namespace, buffer, lba, blocks, flags, context),
            false => found.qpair.read(&namespace, buffer, lba, blocks, flags, context),
        });
        let result = result.inspect_err(|error| self.storm.say(&format!("I/O {number}: {error}")));
        let result = result.map_err(|error| match error {
            Error::InvalidArgument(_) => Refusal::Invalid,
            Error::Transport(transport::Error::NoRequests) => Refusal::Busy,
            Error::Transport(transport::Error::NotConnected) => Refusal::NotConnected,
            Error::Transport(transport::Error::NotRegistered { .. }) => Refusal::BadMemory,
            error => panic!("no answer to a submission: {error}"),
        });
        // A submission may find that the controller's association has ended, and end the connection.
        let connected = connected && (result.is_ok() || found.qpair.is_connected());
        self.storm.submitted(number, &shape, connected, result);
        result.is_ok()
    }

    fn poll(&self, place: usize) {
        let Some(found) = self.qpair(place) else { return };
        let most = self.storm.roll(5) as u32;
        // One that is not in asynchronous mode is brought to its end within the poll that finds it lost.
        let time = if found.qpair.options().async_mode { NONE } else { DISCONNECT };
        let polled = self.storm.call("process_completions", time, || found.qpair.process_completions(most));
        if polled.is_err() && found.qpair.has_ended() {
            // It need not be polled any more: all that was due was told, whatever the budget (T108).
            self.storm.owes_nothing(found.life);
        }
    }

    fn poll_group(&self, pair: usize) {
        let Some(group) = self.group(pair) else { return };
        let most = self.storm.roll(4) as u32;
        let _ = self.storm.call("poll group", NONE, || {
            group
                .process_completions(most, &|ended| self.storm.in_callback(|| self.disconnected(ended, pair)))
        });
    }

    fn disconnected(&self, ended: &Rc<IoQpair>, pair: usize) {
        assert!(ended.has_ended() && !ended.is_freed());
        count("disconnected callbacks");
        let is_it = |found: &Option<Place>| found.as_ref().is_some_and(|it| Rc::ptr_eq(&it.qpair, ended));
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
        until("the ends that were begun", || {
            self.finish_frees();
            self.ending.borrow().is_empty()
        });
        for pair in 0..PAIRS {
            if let Some(group) = self.groups.borrow_mut()[pair].take() {
                group.destroy().expect("all members are gone");
            }
        }
        (0..PAIRS).for_each(|pair| self.detach(pair));
        self.gone.borrow_mut().clear();
        self.aborts.settle();
        self.storm.settle();
    }
}

fn delivered(number: usize, completion: &Completion) {
    let program = PROGRAM.with_borrow(|program| program.clone()).unwrap();
    program.storm.in_callback(|| {
        if program.storm.ended(number, completion) {
            program.storm.act_in_callback(|| (0..=program.storm.roll(2)).for_each(|_| program.act()));
        }
    });
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
    let (storm, world) = Storm::begin(seed, 0x686f_7374);
    let program = Rc::new(Program {
        storm,
        world,
        controllers: RefCell::default(),
        groups: RefCell::default(),
        qpairs: RefCell::default(),
        ending: RefCell::default(),
        gone: RefCell::default(),
        resetting: RefCell::default(),
        aborts: Aborts::default(),
    });
    PROGRAM.set(Some(program.clone()));
    let leave = Leave;
    if program.storm.once_in(5) {
        // Namespaces that changed, and something else.
        let event = program.storm.dice.pick(&["events", "events=0x00020001"]);
        program.storm.tell(&program.world, &format!("lie {event}"));
    }
    for pair in 0..PAIRS {
        program.end_or_make_group(pair);
        program.attach_or_detach(pair);
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
    replay::each("host_storm", seeds, storm);
    assert_floors(worlds, &FLOORS);
}
