//! Errors that a program wants in place of what a controller would answer, to see how it copes with them.
//!
//! What must hold: each is taken from its count once, when a request is held back or when a success becomes an error; nothing is
//! borrowed while somebody is called.

use super::{Error, seldom::Seldom};
use spec::Status;
use std::{cell::Cell, time::Duration};

/// An error for commands of one opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injection {
    /// The opcode.
    pub opcode: u8,
    /// The next ones are not sent, but end so after so long. None: they are sent, and a success becomes the error.
    pub held_for: Option<Duration>,
    /// How many of them.
    pub count: u32,
    /// The error.
    pub status: Status,
}

/// The injections of one qpair, one for each opcode.
#[derive(Default)]
pub(super) struct Injections {
    any: Cell<bool>,
    all: Seldom<Injection>,
}

impl Injections {
    /// Whether there are any, be it such that are used up.
    pub(super) fn any(&self) -> bool {
        self.any.get()
    }

    /// In place of the one that there is for this opcode.
    pub(super) fn set(&self, injection: Injection) -> Result<(), Error> {
        self.with(|all| {
            if let Some(same) = all.iter_mut().find(|known| known.opcode == injection.opcode) {
                *same = injection;
                return Ok(());
            }
            all.try_reserve(1).map_err(|_| Error::NoMemory)?;
            all.push(injection);
            Ok(())
        })
    }

    pub(super) fn remove(&self, opcode: u8) {
        self.with(|all| all.retain(|known| known.opcode != opcode));
    }

    /// Whether the next command of this opcode is to be held back.
    pub(super) fn holds(&self, opcode: u8) -> bool {
        self.with(|all| {
            all.iter().any(|known| known.opcode == opcode && known.count > 0 && known.held_for.is_some())
        })
    }

    /// Counts a command of this opcode that is to be held back: for how long, and how it ends.
    pub(super) fn take_held(&self, opcode: u8) -> Option<(Duration, Status)> {
        let injection = self.take(opcode, |injection| injection.held_for.is_some())?;
        Some((injection.held_for?, injection.status))
    }

    /// Counts a command of this opcode that has succeeded: how it ends instead.
    pub(super) fn take_answer(&self, opcode: u8) -> Option<Status> {
        self.take(opcode, |injection| injection.held_for.is_none()).map(|injection| injection.status)
    }

    fn take(&self, opcode: u8, is_meant: impl Fn(&Injection) -> bool) -> Option<Injection> {
        self.with(|all| {
            let injection = all.iter_mut().find(|known| known.opcode == opcode && is_meant(known))?;
            injection.count = injection.count.checked_sub(1)?;
            Some(*injection)
        })
    }

    fn with<T>(&self, use_all: impl FnOnce(&mut Vec<Injection>) -> T) -> T {
        let result = self.all.with(use_all);
        self.any.set(self.all.any());
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_injection_is_used_up_and_stays() {
        let injections = Injections::default();
        let mut injection = Injection { opcode: 2, held_for: None, count: 2, status: Status::INVALID_FIELD };
        assert!(!injections.any());
        injections.set(injection).unwrap();
        assert_eq!((injections.take_held(2), injections.take_answer(1)), (None, None));
        assert!(!injections.holds(2));
        assert_eq!(injections.take_answer(2), Some(Status::INVALID_FIELD));
        assert_eq!(injections.take_answer(2), Some(Status::INVALID_FIELD));
        assert_eq!(injections.take_answer(2), None);
        assert!(injections.any());
        // The same opcode once more: there is one for each.
        injection.held_for = Some(Duration::from_millis(3));
        injections.set(injection).unwrap();
        assert!(injections.holds(2) && !injections.holds(1));
        assert_eq!(injections.take_answer(2), None);
        assert_eq!(injections.take_held(2), Some((Duration::from_millis(3), Status::INVALID_FIELD)));
        injections.remove(1);
        assert!(injections.any());
        injections.remove(2);
        assert!(!injections.any() && !injections.holds(2));
    }
}
