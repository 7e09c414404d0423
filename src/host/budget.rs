//! What a controller may cost this host: time, commands and log lines.
//!
//! Whatever a controller can lengthen (lists, logs, retries, events) is bounded here and not by what it says. A
//! [`Budget`] is held by the Admin Queue and charged by each command, so that no loop over answers can outlast it,
//! not even one that nobody thought of. [`Complaints`] bounds the lines of one piece of work, [`Sparing`] those of a
//! controller's whole life.

use super::Error;
use crate::clock::Moment;
use std::{cell::Cell, time::Duration};

/// How long bringing a controller up may take in all, from the first Property Get on, beside the time
/// that it spends on becoming ready, for which CAP.TO is the bound.
pub const BRING_UP_TIMEOUT: Duration = Duration::from_secs(60);
/// Admin commands of one bring-up: two for each namespace that is taken in, and what polls CSTS.
pub(super) const BRING_UP_COMMANDS: u32 = 200_000;
/// How long reading a discovery log may take in all, however often it changes meanwhile.
pub const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Admin commands of one discovery: each attempt reads four entries with a command, and the header twice.
pub(super) const DISCOVERY_COMMANDS: u32 = 4_000;

/// Lines of one kind that are logged one by one.
const LINES: u32 = 4;
/// How long [`Sparing`] counts before it begins anew.
const PERIOD: Duration = Duration::from_secs(10);

/// The time and the commands that a piece of work has left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    what: &'static str,
    begin: Moment,
    time: Duration,
    commands: u32,
}

impl Budget {
    /// For `what`, from `now` on.
    pub(super) fn new(what: &'static str, now: Moment, time: Duration, commands: u32) -> Self {
        Self { what, begin: now, time, commands }
    }

    /// Until when it lasts.
    pub(super) fn deadline(&self) -> Moment {
        self.begin.after(self.time)
    }

    /// With more time, or with less.
    #[must_use]
    pub(super) fn with_time(self, time: impl FnOnce(Duration) -> Duration) -> Self {
        Self { time: time(self.time), ..self }
    }

    /// Takes a command off it, which `during` names.
    pub(super) fn charged(self, now: Moment, during: &'static str) -> Result<Self, Error> {
        if now.has_reached(self.deadline()) {
            return Err(self.out_of_time(during));
        }
        match self.commands.checked_sub(1) {
            Some(commands) => Ok(Self { commands, ..self }),
            None => Err(Error::TooManyCommands { what: self.what, during }),
        }
    }

    /// The error of a budget whose time is over.
    pub(super) fn out_of_time(&self, during: &'static str) -> Error {
        Error::TooSlow { what: self.what, during }
    }
}

/// The log lines of one piece of work: the first few are written, the others counted for one line that sums up.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    all: u32,
}

impl Complaints {
    /// Counts a complaint; whether it gets a line of its own.
    pub(super) fn count(&mut self) -> bool {
        self.all = self.all.saturating_add(1);
        self.all <= LINES
    }

    /// How many got none.
    pub(super) fn untold(&self) -> u32 {
        self.all.saturating_sub(LINES)
    }
}

/// Log lines of what a controller can repeat as long as it lives: a few in a period, then one that says how many were
/// left out.
#[derive(Debug)]
pub(super) struct Sparing {
    ends: Cell<Moment>,
    told: Cell<u32>,
    untold: Cell<u64>,
}

impl Sparing {
    pub(super) fn new() -> Self {
        Self { ends: Cell::new(Moment::START), told: Cell::new(0), untold: Cell::new(0) }
    }

    /// Whether a line may be written now; if not it is counted.
    pub(super) fn may_tell(&self, now: Moment) -> bool {
        if now.has_reached(self.ends.get()) && self.untold.get() == 0 {
            self.ends.set(now.after(PERIOD));
            self.told.set(0);
        }
        let told = self.told.get();
        if told < LINES {
            self.told.set(told + 1);
        } else {
            self.untold.set(self.untold.get().saturating_add(1));
        }
        told < LINES
    }

    /// How many lines were left out, once a period in which there were any is over.
    pub(super) fn sum_up(&self, now: Moment) -> Option<u64> {
        let untold = self.untold.get();
        if untold == 0 || !now.has_reached(self.ends.get()) {
            return None;
        }
        self.untold.set(0);
        Some(untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{self, test_clock};

    #[test]
    fn a_budget_ends_by_time_or_by_commands() {
        test_clock::install();
        let now = clock::now();
        let budget = Budget::new("the work", now, Duration::from_secs(1), 2);
        let late = now.after(Duration::from_secs(1));
        assert!(matches!(budget.charged(late, "a step"), Err(Error::TooSlow { .. })));
        let budget = budget.with_time(|time| time + Duration::from_secs(1));
        let budget = budget.charged(late, "a step").and_then(|left| left.charged(late, "a step")).unwrap();
        let error = budget.charged(now, "a step").unwrap_err();
        assert_eq!(error, Error::TooManyCommands { what: "the work", during: "a step" });
    }

    #[test]
    fn complaints_beyond_the_first_few_are_counted() {
        let mut complaints = Complaints::default();
        assert_eq!((0..100).filter(|_| complaints.count()).count(), LINES as usize);
        assert_eq!(complaints.untold(), 100 - LINES);
    }

    #[test]
    fn a_flood_costs_a_few_lines_in_a_period() {
        test_clock::install();
        let lines = Sparing::new();
        let begin = clock::now();
        let mut told = 0;
        let mut sums = Vec::new();
        for tenth in 0..300_u64 {
            let now = begin.after(Duration::from_millis(100 * tenth));
            sums.extend(lines.sum_up(now));
            told += u32::from(lines.may_tell(now));
        }
        assert_eq!(told, 3 * LINES);
        assert_eq!(sums, [96, 96], "and the last period is still to be summed up");
        assert_eq!(lines.sum_up(begin.after(Duration::from_secs(31))), Some(96));
        assert_eq!(lines.sum_up(begin.after(Duration::from_secs(60))), None);
    }
}
