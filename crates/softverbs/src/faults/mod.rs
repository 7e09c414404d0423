//! Faults that were asked for: a table of what is armed, and the places where it takes effect.
//!
//! Nothing here costs anything until something is armed: the places on the data path look at `Shared::unusual` and nothing else.
//! What is armed is told by commands (`crate::control`; the README has the grammar). Each fault that takes effect says so in one
//! line.

pub mod calls;
pub mod completions;
pub mod connections;
pub mod device;
pub mod names;
pub mod peers;
pub mod posting;
pub mod script;
pub mod which;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cm::Event;
use crate::fabric::Fabric;
use crate::fabric::objects::{BellOf, Shared, Subject};
use crate::fabric::qp::Qp;
use crate::fabric::slab::Key;
use crate::fabric::timers::Timer;
use crate::runtime::Runtime;
use calls::CallFault;
use completions::{CompletionFault, Held};
use connections::{EventFault, Rejects};
use peers::{Blocked, Lie};
use script::Waiting;

/// `Shared::unusual` of this process's fabric, for those who do not hold its lock.
static UNUSUAL: AtomicBool = AtomicBool::new(false);

/// Faults take effect without a line: `faults quiet`.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether faults say so when they take effect.
pub fn be_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// One line for a fault that took effect.
pub fn fired(text: &str) {
    if QUIET.load(Ordering::Relaxed) {
        return;
    }
    crate::log::line(&format!("fault: {text}"));
}

/// What is to happen at a time.
#[derive(Debug)]
pub enum Later {
    /// A completion that was held back comes.
    Completion(u64),
    /// An event that was held back comes.
    Event(Box<Event>),
    /// A command is carried out.
    Command(String),
}

/// What is armed.
#[derive(Default)]
pub struct Faults {
    calls: Vec<CallFault>,
    completions: Vec<CompletionFault>,
    events: Vec<EventFault>,
    rejects: Vec<Rejects>,
    lies: Vec<Lie>,
    waiting: Vec<Waiting>,
    /// See [`Blocked`].
    pub blocked: Blocked,
    /// Completions that are held back, in the order in which they were made.
    held: Vec<Held>,
    /// QPs that go to error, and the asynchronous event that tells.
    broken: Vec<(Key<Qp>, Option<u32>)>,
    /// Commands whose occasion came.
    due: VecDeque<String>,
    to_time: Vec<(u64, Later)>,
    later: BTreeMap<u64, Later>,
    serial: u64,
    /// The number that the next QP gets.
    pub next_qp_number: Option<u32>,
}

impl Faults {
    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn are_any(&self) -> bool {
        !(self.calls.is_empty()
            && self.completions.is_empty()
            && self.events.is_empty()
            && self.rejects.is_empty()
            && self.lies.is_empty()
            && self.waiting.is_empty()
            && self.held.is_empty()
            && self.broken.is_empty()
            && self.due.is_empty()
            && self.to_time.is_empty()
            && self.later.is_empty())
            || self.blocked.is_any()
    }

    /// Whether completions are to be looked at one by one.
    pub fn touch_completions(&self) -> bool {
        !(self.completions.is_empty() && self.held.is_empty() && self.waiting.is_empty())
    }

    /// Whether data must not be carried out at once.
    pub fn touch_data(&self) -> bool {
        self.blocked.is_any() || !self.lies.is_empty()
    }

    /// One line for each thing that is armed.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for f in &self.calls {
            lines.push(format!("fail {} {} {}{}", f.name, f.which, names::errno_name(f.errno), f.place));
        }
        for f in &self.completions {
            lines.push(format!("wc {}: {}", f.text, f.which));
        }
        for f in &self.events {
            lines.push(format!("cm {}: {}", f.text, f.which));
        }
        for r in &self.rejects {
            lines.push(format!("cm reject {} reason {}", r.which, r.reason));
        }
        for l in &self.lies {
            lines.push(format!("peer lies {}: {}", l.text, l.which));
        }
        for w in &self.waiting {
            lines.push(format!("at {} {}: {}", w.on, w.which, w.command));
        }
        lines.extend(self.next_qp_number.map(|number| format!("next qp_num {number:#x}")));
        lines.extend(self.blocked.lines());
        if self.held_back() > 0 {
            lines.push(format!("{} completions held back", self.held_back()));
        }
        for later in self.later.values().chain(self.to_time.iter().map(|(_, l)| l)) {
            match later {
                Later::Command(command) => lines.push(format!("later: {command}")),
                Later::Event(event) => {
                    lines.push(format!("event {} held back", names::cm_event_name(event.kind)))
                }
                Later::Completion(_) => {}
            }
        }
        lines
    }
}

/// What a command arms.
#[derive(Debug)]
pub enum Arm {
    /// A call.
    Call(CallFault),
    /// Completions.
    Completion(CompletionFault),
    /// Events.
    Event(EventFault),
    /// Attempts to connect.
    Reject(Rejects),
    /// What a peer says.
    Lie(Lie),
    /// A command for later.
    Wait(Waiting),
    /// A command after so many nanoseconds.
    After(u64, String),
}

impl Shared {
    /// What is unusual changed.
    pub fn look_again(&mut self) {
        self.unusual = self.faults.are_any() || self.order.on;
        UNUSUAL.store(self.unusual, Ordering::Relaxed);
    }

    /// Something is to be done once the call, or what the helper does, is through.
    pub fn call_for_attention(&mut self) {
        self.bells.push(BellOf::Faults);
    }
}

impl Fabric {
    /// Arms a fault.
    pub fn arm(&mut self, what: Arm) {
        let faults = &mut self.shared.faults;
        match what {
            Arm::Call(f) => faults.calls.push(f),
            Arm::Completion(f) => faults.completions.push(f),
            Arm::Event(f) => faults.events.push(f),
            Arm::Reject(f) => faults.rejects.push(f),
            Arm::Lie(f) => faults.lies.push(f),
            Arm::Wait(f) => faults.waiting.push(f),
            Arm::After(time, command) => faults.to_time.push((time, Later::Command(command))),
        }
        self.faults_changed();
    }

    /// What is armed changed: the flags that follow from it.
    pub fn faults_changed(&mut self) {
        self.shared.look_again();
        self.slow = self.delays.on_data() || self.shared.faults.touch_data() || self.shared.order.on;
    }

    /// Clears all faults. What was held back comes now.
    pub fn disarm(&mut self) {
        let faults = &mut self.shared.faults;
        let later = std::mem::take(&mut faults.later);
        let to_time = std::mem::take(&mut faults.to_time);
        faults.calls.clear();
        faults.completions.clear();
        faults.events.clear();
        faults.rejects.clear();
        faults.lies.clear();
        faults.waiting.clear();
        faults.due.clear();
        faults.next_qp_number = None;
        self.shared.release_all();
        for later in later.into_values().chain(to_time.into_iter().map(|(_, l)| l)) {
            if let Later::Event(event) = later {
                self.event_arrives(*event);
            }
        }
        self.set_blocked(Blocked::default());
        self.faults_changed();
    }

    /// One line for each thing that is armed.
    pub fn fault_lines(&self) -> Vec<String> {
        self.shared.faults.lines()
    }

    /// Does what a fault left to be done: timers for what comes later, QPs that broke.
    fn tend_faults(&mut self) {
        for (delay, later) in std::mem::take(&mut self.shared.faults.to_time) {
            let serial = self.shared.faults.next_serial();
            self.timers.set(self.clock.now().saturating_add(delay), Timer::Fault(serial));
            self.shared.faults.later.insert(serial, later);
        }
        for (key, event) in std::mem::take(&mut self.shared.faults.broken) {
            let Some(qp) = self.qps.get_mut(key) else { continue };
            if let Some(event) = event {
                self.shared.async_event(qp.made.context, Subject::Qp(key), event);
            }
            if qp.state != crate::fabric::qp::State::Reset {
                qp.enter_error(&mut self.shared);
            }
        }
        self.faults_changed();
    }

    /// The time for something came.
    pub fn fault_due(&mut self, serial: u64) {
        match self.shared.faults.later.remove(&serial) {
            Some(Later::Completion(held)) => self.shared.release(held),
            Some(Later::Event(event)) => self.event_arrives(*event),
            Some(Later::Command(command)) => {
                self.shared.faults.due.push_back(command);
                self.shared.call_for_attention();
            }
            None => {}
        }
        self.faults_changed();
    }
}

impl Runtime {
    /// Carries out the commands whose occasion came.
    pub fn obey(&mut self) {
        while let Some(command) = self.fabric.shared.faults.due.pop_front() {
            fired(&format!("now: {command}"));
            if let Err(why) = self.control(&command) {
                crate::log::line(&why);
            }
        }
    }

    /// What faults left to be done. True if that may have given the fabric something to do.
    #[cold]
    pub fn tend(&mut self) -> bool {
        let faults = &self.fabric.shared.faults;
        let busy = !(faults.due.is_empty() && faults.broken.is_empty() && faults.to_time.is_empty());
        if busy {
            self.fabric.tend_faults();
            self.obey();
        }
        busy
    }
}
