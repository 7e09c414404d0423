//! Commands that wait: for a time (`after`), or for something that happens in the program's run (`at`).

use std::fmt;

use super::completions::Side;
use super::which::Which;
use super::{Faults, calls, names};
use crate::fabric::Random;

/// What a command can wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occasion {
    /// A function is called.
    Call(&'static str),
    /// An event of the connection manager arrives (`enum rdma_cm_event_type`).
    Event(u32),
    /// A completion arrives.
    Completion(Side),
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(name) => write!(f, "call {name}"),
            Self::Event(kind) => write!(f, "event {}", names::cm_event_name(*kind)),
            Self::Completion(Side::Any) => write!(f, "wc"),
            Self::Completion(side) => write!(f, "wc {side}"),
        }
    }
}

/// A command that waits for an occasion.
#[derive(Debug)]
pub struct Waiting {
    pub(super) on: Occasion,
    pub(super) which: Which,
    pub(super) command: String,
}

impl Waiting {
    /// `call FUNCTION [WHICH]`, `event EVENT [WHICH]` or `wc [send|recv] [WHICH]`, and the command.
    pub fn parse(words: &[&str], command: &str) -> Result<Self, String> {
        let which = |rest: &[&str]| match *rest {
            [] => Ok(Which::next()),
            [which] => Which::parse(which),
            _ => Err("at call|event|wc NAME [WHICH]: COMMAND".to_string()),
        };
        let (on, which) = match *words {
            ["call", name, ref rest @ ..] => (Occasion::Call(calls::find(name)?.0), which(rest)?),
            ["event", name, ref rest @ ..] => (Occasion::Event(names::cm_event(name)?), which(rest)?),
            ["wc", "send", ref rest @ ..] => (Occasion::Completion(Side::Send), which(rest)?),
            ["wc", "recv", ref rest @ ..] => (Occasion::Completion(Side::Recv), which(rest)?),
            ["wc", ref rest @ ..] => (Occasion::Completion(Side::Any), which(rest)?),
            _ => return Err("at call|event|wc NAME [WHICH]: COMMAND".into()),
        };
        Ok(Self { on, which, command: command.to_string() })
    }
}

impl Faults {
    /// Something happened: the commands that waited for it are due.
    pub fn occasion(&mut self, what: Occasion, chance: &mut Random) {
        for waiting in &mut self.waiting {
            let fits = match (waiting.on, what) {
                (Occasion::Completion(a), Occasion::Completion(b)) => a == b || a == Side::Any,
                (a, b) => a == b,
            };
            if fits && waiting.which.hits(chance) {
                self.due.push_back(waiting.command.clone());
            }
        }
        self.waiting.retain(|w| !w.which.is_spent());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_occasion_is_listed_as_it_was_given() {
        for text in ["call rdma_connect", "event DISCONNECTED", "wc", "wc send", "wc recv"] {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(Waiting::parse(&words, "ledger").unwrap().on.to_string(), text);
        }
    }
}
