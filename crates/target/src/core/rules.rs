//! What commands are made to suffer when the target is told so: to wait, for a time or until they are let go, or to fail.
//!
//! What must hold: a command that waits is executed, answered or forgotten once; it was not executed before. Both halves of a
//! fused operation are next to each other, so they never wait for this. Of two rules for a command the later one counts.

use std::str::FromStr;

use spec::{AdminOpcode, Command, Completion, NvmOpcode, Status};

use super::{Controller, Core, How, Queue, Release, Step};

/// A rule that cannot be kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownCommands;

/// Commands by their command set and opcode. No opcode are all of the set but Asynchronous Event Requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// Those of the Admin Queue.
    Admin(Option<u8>),
    /// Those of I/O queues.
    Io(Option<u8>),
    /// Fabrics commands of connected queues, by type.
    Fabrics(Option<u8>),
}

/// What a command suffers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Suffering {
    /// It waits until it is let go.
    Stall,
    /// It waits for so many nanoseconds.
    Delay(u64),
    /// It is answered with this status, and not executed.
    Fail(Status),
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    which: Which,
    how: Suffering,
    /// For so many commands more; `None` for all.
    left: Option<u64>,
}

/// A command that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    cntlid: u16,
    qid: u16,
    tag: usize,
    cid: u16,
    nsid: u32,
    which: Which,
    /// When it is executed, if that is known.
    until: Option<u64>,
}

impl Waiting {
    fn release(&self, how: How) -> Release {
        Release { cntlid: self.cntlid, qid: self.qid, tag: self.tag, how }
    }
}

/// The rules, and who waits.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    waiting: Vec<Waiting>,
    /// When the next one has waited long enough; never later than that.
    due: Option<u64>,
}

impl Rules {
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Takes out those who wait and for whom this holds.
    fn take(&mut self, mut of: impl FnMut(&Waiting) -> bool) -> Vec<Waiting> {
        let (taken, left) = self.waiting.iter().partition(|waiting| of(waiting));
        self.waiting = left;
        taken
    }

    /// Nobody of this queue waits any more. The tags of those who did.
    pub(super) fn forget_queue(&mut self, cntlid: u16, qid: u16) -> Vec<usize> {
        let its = self.take(|waiting| (waiting.cntlid, waiting.qid) == (cntlid, qid));
        its.into_iter().map(|waiting| waiting.tag).collect()
    }

    pub(super) fn forget(&mut self, cntlid: u16, qid: u16, tag: usize) {
        self.take(|waiting| (waiting.cntlid, waiting.qid, waiting.tag) == (cntlid, qid, tag));
    }
}

impl Which {
    /// The opcode of a command on a queue.
    fn of(command: &Command, qid: u16) -> Which {
        match command.opcode() {
            opcode if opcode == AdminOpcode::FABRICS.0 => Which::Fabrics(Some(command.fabrics_type().0)),
            opcode if qid == 0 => Which::Admin(Some(opcode)),
            opcode => Which::Io(Some(opcode)),
        }
    }

    /// Whether this one is meant.
    fn means(self, command: Which) -> bool {
        match (self, command) {
            (Which::Admin(None), Which::Admin(opcode)) => opcode != Some(AdminOpcode::ASYNC_EVENT_REQUEST.0),
            (Which::Io(None), Which::Io(_)) | (Which::Fabrics(None), Which::Fabrics(_)) => true,
            _ => self == command,
        }
    }
}

impl FromStr for Which {
    type Err = UnknownCommands;

    /// A name, an opcode of an I/O command, or the opcode or `any` behind `admin:`, `io:` or `fabrics:`.
    fn from_str(text: &str) -> Result<Which, UnknownCommands> {
        if let Some((_, which)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*which);
        }
        let (set, opcode) = text.split_once(':').unwrap_or(("io", text));
        let opcode = match opcode.strip_prefix("0x") {
            _ if opcode == "any" => None,
            Some(digits) => Some(u8::from_str_radix(digits, 16).map_err(|_| UnknownCommands)?),
            None => Some(opcode.parse().map_err(|_| UnknownCommands)?),
        };
        match set {
            "admin" => Ok(Which::Admin(opcode)),
            "io" => Ok(Which::Io(opcode)),
            "fabrics" => Ok(Which::Fabrics(opcode)),
            _ => Err(UnknownCommands),
        }
    }
}

const fn admin(opcode: AdminOpcode) -> Which {
    Which::Admin(Some(opcode.0))
}

const fn io(opcode: NvmOpcode) -> Which {
    Which::Io(Some(opcode.0))
}

/// Names of commands.
const NAMES: &[(&str, Which)] = &[
    ("get-log-page", admin(AdminOpcode::GET_LOG_PAGE)),
    ("identify", admin(AdminOpcode::IDENTIFY)),
    ("abort", admin(AdminOpcode::ABORT)),
    ("set-features", admin(AdminOpcode::SET_FEATURES)),
    ("get-features", admin(AdminOpcode::GET_FEATURES)),
    ("async-event-request", admin(AdminOpcode::ASYNC_EVENT_REQUEST)),
    ("keep-alive", admin(AdminOpcode::KEEP_ALIVE)),
    ("flush", io(NvmOpcode::FLUSH)),
    ("write", io(NvmOpcode::WRITE)),
    ("read", io(NvmOpcode::READ)),
    ("write-uncorrectable", io(NvmOpcode::WRITE_UNCORRECTABLE)),
    ("compare", io(NvmOpcode::COMPARE)),
    ("write-zeroes", io(NvmOpcode::WRITE_ZEROES)),
    ("dataset-management", io(NvmOpcode::DATASET_MANAGEMENT)),
    ("verify", io(NvmOpcode::VERIFY)),
    ("reservation-register", io(NvmOpcode::RESERVATION_REGISTER)),
    ("reservation-report", io(NvmOpcode::RESERVATION_REPORT)),
    ("reservation-acquire", io(NvmOpcode::RESERVATION_ACQUIRE)),
    ("reservation-release", io(NvmOpcode::RESERVATION_RELEASE)),
    ("copy", io(NvmOpcode::COPY)),
];

impl Core {
    /// From now on commands suffer, so many of them or all.
    pub fn add_rule(&mut self, which: Which, how: Suffering, count: Option<u64>) {
        self.rules.rules.retain(|rule| rule.which != which);
        if count != Some(0) {
            self.rules.rules.push(Rule { which, how, left: count });
        }
    }

    /// Commands suffer no more, and those that wait are let go.
    pub fn remove_rules(&mut self, which: Option<Which>) {
        let meant = |command: Which| which.is_none_or(|which| which.means(command) || which == command);
        self.rules.rules.retain(|rule| !meant(rule.which));
        let free = self.rules.take(|waiting| meant(waiting.which));
        self.releases.extend(free.iter().map(|waiting| waiting.release(How::Execute)));
    }

    /// Lets go those that have waited long enough.
    pub fn look_at_delays(&mut self, now: u64) {
        if self.rules.due.is_none_or(|due| now < due) {
            return;
        }
        let mut free = self.rules.take(|waiting| waiting.until.is_some_and(|until| until <= now));
        free.sort_by_key(|waiting| waiting.until);
        self.releases.extend(free.iter().map(|waiting| waiting.release(How::Execute)));
        self.rules.due = self.rules.waiting.iter().filter_map(|waiting| waiting.until).min();
    }

    /// What a command suffers that came just now, if there is a rule for it.
    pub(super) fn suffer(
        &mut self,
        queue: &Queue,
        tag: usize,
        command: &Command,
        now: u64,
    ) -> Option<Result<Step, Status>> {
        let (cntlid, qid) = (queue.controller?, queue.qid);
        let which = Which::of(command, qid);
        let found = self.rules.rules.iter().rposition(|rule| rule.which.means(which))?;
        let rule = self.rules.rules.get_mut(found)?;
        let how = rule.how;
        if !matches!(how, Suffering::Fail(_)) && command.fuse() != 0 {
            return None;
        }
        if let Some(left) = &mut rule.left {
            *left -= 1;
            if *left == 0 {
                self.rules.rules.remove(found);
            }
        }
        let until = match how {
            Suffering::Fail(status) => return Some(Err(status)),
            Suffering::Stall => None,
            Suffering::Delay(time) => Some(now.saturating_add(time)),
        };
        let (cid, nsid) = (command.cid(), command.nsid());
        self.rules.waiting.push(Waiting { cntlid, qid, tag, cid, nsid, which, until });
        self.rules.due = [self.rules.due, until].into_iter().flatten().min();
        Some(Ok(Step::Hold))
    }

    /// Abort (Base 5.1). A request for an event is aborted, and so is a command that was made to wait; every other command is
    /// under way or done, and the answer says that it was not aborted. The answer to what is aborted goes out first.
    pub(super) fn abort(&mut self, cntlid: u16, tag: usize, command: &Command) -> Result<Step, Status> {
        let success = Completion::new(0, command.cid(), Status::SUCCESS);
        let (sqid, cid) = (command.cdw10() as u16, (command.cdw10() >> 16) as u16);
        let controller = self.controllers.get_mut(&cntlid).ok_or(Status::ABORTED_SQ_DELETION)?;
        if let Some((cid, tag)) = controller.take_event_request(sqid, cid) {
            let released = Completion::new(0, cid, Status::ABORTED_BY_REQUEST);
            return Ok(Step::RespondAndRelease { completion: success, tag, released });
        }
        let meant = |waiting: &Waiting| (waiting.cntlid, waiting.qid, waiting.cid) == (cntlid, sqid, cid);
        let aborted = self.rules.take(meant);
        if aborted.is_empty() {
            return Ok(Step::Respond(success.with_cdw0(1)));
        }
        for waiting in aborted {
            let completion = Completion::new(0, waiting.cid, Status::ABORTED_BY_REQUEST);
            self.releases.push(waiting.release(How::Answer(completion)));
        }
        self.releases.push(Release { cntlid, qid: 0, tag, how: How::Answer(success) });
        Ok(Step::Hold)
    }

    /// Aborts what waits of these hosts for a namespace of a subsystem, since they lost their registrations.
    pub(super) fn abort_preempted(&mut self, subsystem: Option<usize>, nsid: u32, hosts: &[[u8; 16]]) {
        let its = |controller: &&Controller| {
            controller.subsystem == subsystem && hosts.contains(&controller.hostid)
        };
        let controllers: Vec<u16> =
            self.controllers.values().filter(its).map(|controller| controller.cntlid).collect();
        let aborted = self.rules.take(|waiting| {
            waiting.qid != 0 && waiting.nsid == nsid && controllers.contains(&waiting.cntlid)
        });
        for waiting in aborted {
            let completion = Completion::new(0, waiting.cid, Status::ABORTED_PREEMPT);
            self.releases.push(waiting.release(How::Answer(completion)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_opcodes() {
        for (text, which) in [
            ("read", Which::Io(Some(2))),
            ("0x02", Which::Io(Some(2))),
            ("2", Which::Io(Some(2))),
            ("io:any", Which::Io(None)),
            ("identify", Which::Admin(Some(6))),
            ("admin:0xC1", Which::Admin(Some(0xc1))),
            ("fabrics:4", Which::Fabrics(Some(4))),
        ] {
            assert_eq!(text.parse(), Ok(which), "{text}");
        }
        for text in ["", "reed", "admin", "admin:", "admin:0x100", "nvm:1", "0x"] {
            assert_eq!(text.parse::<Which>(), Err(UnknownCommands), "{text}");
        }
    }
}
