//! What a target can be told while it runs: to misbehave, and to drop and bring back subsystems.
//!
//! The text form serves the program's options and control socket; the C API maps its functions to the same values.

use std::str::FromStr;

use thiserror::Error;

use crate::lies::{self, Lie};

/// A way to misbehave towards hosts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Misbehaviour {
    /// The next I/O response carries command id 0xffff.
    CidOutOfRange,
    /// The next I/O response carries the id of a command that is not outstanding on its queue.
    CidIdle,
    /// The next I/O response is sent twice.
    RepeatResponse,
    /// No response is sent from now on, until switched off; then all that were held back go out.
    Silent,
    /// Connect requests are rejected from now on, until switched off.
    RejectConnections,
}

/// A command to a running target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Misbehave: once after `after` I/O responses, or for the lasting ones from that moment on.
    Misbehave {
        /// How.
        how: Misbehaviour,
        /// After how many more I/O responses (connect requests for [`Misbehaviour::RejectConnections`]).
        after: u64,
    },
    /// Stop misbehaving this way.
    Behave(Misbehaviour),
    /// End all associations with a subsystem and refuse new ones. Without any subsystem left the target stops to
    /// listen, so that connect requests are rejected as for an unknown service.
    Drop(String),
    /// Offer a subsystem again.
    Add(String),
    /// Queue ids stay taken for this many milliseconds after their connections ended.
    Linger(u32),
    /// Tell a lie from now on, with this number.
    Lie(Lie, u64),
    /// Tell the truth again: about this, or about everything.
    Truth(Option<Lie>),
}

/// A command that cannot be read.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "'{0}' is not a command: expected 'misbehave WHAT[:AFTER]', 'behave WHAT', 'drop NQN', 'add NQN', \
     'linger MILLISECONDS', 'lie NAME[=NUMBER]', 'truth NAME' or 'truth all', with WHAT one of cid-out-of-range, cid-idle, repeat-response, \
     silent, reject-connections, and NAME one of {names}",
    names = lies::names()
)]
pub struct CommandError(pub String);

impl FromStr for Misbehaviour {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Misbehaviour, CommandError> {
        Ok(match text {
            "cid-out-of-range" => Misbehaviour::CidOutOfRange,
            "cid-idle" => Misbehaviour::CidIdle,
            "repeat-response" => Misbehaviour::RepeatResponse,
            "silent" => Misbehaviour::Silent,
            "reject-connections" => Misbehaviour::RejectConnections,
            _ => return Err(CommandError(text.to_owned())),
        })
    }
}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Command, CommandError> {
        let error = || CommandError(text.to_owned());
        let (verb, object) = text.trim().split_once(' ').ok_or_else(error)?;
        let object = object.trim();
        match verb {
            "misbehave" => {
                let (how, after) = match object.split_once(':') {
                    Some((how, after)) => (how, after.parse().map_err(|_| error())?),
                    None => (object, 0),
                };
                Ok(Command::Misbehave { how: how.parse().map_err(|_| error())?, after })
            }
            "behave" => Ok(Command::Behave(object.parse().map_err(|_| error())?)),
            "drop" => Ok(Command::Drop(object.to_owned())),
            "add" => Ok(Command::Add(object.to_owned())),
            "linger" => Ok(Command::Linger(object.parse().map_err(|_| error())?)),
            "lie" => lies::parse(object).map(|(lie, value)| Command::Lie(lie, value)).map_err(|_| error()),
            "truth" if object == "all" => Ok(Command::Truth(None)),
            "truth" => Ok(Command::Truth(Some(object.parse().map_err(|_| error())?))),
            _ => Err(error()),
        }
    }
}

/// One misbehaviour's switch: off, or on after a number of occasions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Switch(Option<u64>);

impl Switch {
    /// An occasion passes; true when the misbehaviour is due at it.
    fn due(&mut self) -> bool {
        match &mut self.0 {
            None => false,
            Some(0) => true,
            Some(after) => {
                *after -= 1;
                false
            }
        }
    }

    fn due_once(&mut self) -> bool {
        let due = self.due();
        if due {
            self.0 = None;
        }
        due
    }
}

/// What a response is to suffer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Damage {
    pub cid_out_of_range: bool,
    pub cid_idle: bool,
    pub repeat: bool,
}

/// The switches of a target.
#[derive(Debug, Default)]
pub(crate) struct Switches {
    cid_out_of_range: Switch,
    cid_idle: Switch,
    repeat: Switch,
    silent: Switch,
    reject: Switch,
}

impl Switches {
    pub(crate) fn set(&mut self, how: Misbehaviour, after: Option<u64>) {
        let switch = match how {
            Misbehaviour::CidOutOfRange => &mut self.cid_out_of_range,
            Misbehaviour::CidIdle => &mut self.cid_idle,
            Misbehaviour::RepeatResponse => &mut self.repeat,
            Misbehaviour::Silent => &mut self.silent,
            Misbehaviour::RejectConnections => &mut self.reject,
        };
        *switch = Switch(after);
    }

    /// Whether no response may be sent now.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent == Switch(Some(0))
    }

    /// An I/O response is about to be sent.
    pub(crate) fn response(&mut self) -> Damage {
        self.silent.due();
        Damage {
            cid_out_of_range: self.cid_out_of_range.due_once(),
            cid_idle: self.cid_idle.due_once(),
            repeat: self.repeat.due_once(),
        }
    }

    /// A connect request came; true to reject it.
    pub(crate) fn connect_request(&mut self) -> bool {
        self.reject.due()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        assert_eq!(
            "misbehave cid-idle:3".parse(),
            Ok(Command::Misbehave { how: Misbehaviour::CidIdle, after: 3 })
        );
        assert_eq!(" behave silent\n".parse(), Ok(Command::Behave(Misbehaviour::Silent)));
        assert_eq!("drop nqn.x:1".parse(), Ok(Command::Drop("nqn.x:1".into())));
        assert_eq!("add nqn.x:1".parse(), Ok(Command::Add("nqn.x:1".into())));
        assert_eq!("linger 30".parse(), Ok(Command::Linger(30)));
        assert_eq!("lie csts=1".parse(), Ok(Command::Lie(Lie::Csts, 1)));
        assert_eq!("truth csts".parse(), Ok(Command::Truth(Some(Lie::Csts))));
        assert_eq!("truth all".parse(), Ok(Command::Truth(None)));
        for text in [
            "",
            "lie",
            "linger on",
            "lie so",
            "truth so",
            "misbehave",
            "misbehave cid-idle:x",
            "misbehave politely",
            "dance now",
        ] {
            assert!(text.parse::<Command>().is_err(), "{text}");
        }
    }

    #[test]
    fn one_shot_switches_fire_once_and_lasting_ones_last() {
        let mut switches = Switches::default();
        assert_eq!(switches.response(), Damage::default());
        switches.set(Misbehaviour::CidOutOfRange, Some(1));
        switches.set(Misbehaviour::Silent, Some(2));
        assert_eq!(switches.response(), Damage::default());
        assert!(switches.response().cid_out_of_range);
        assert!(switches.is_silent());
        assert_eq!(switches.response(), Damage::default());
        assert!(switches.is_silent());
        switches.set(Misbehaviour::Silent, None);
        assert!(!switches.is_silent());
        switches.set(Misbehaviour::RejectConnections, Some(1));
        assert!(!switches.connect_request());
        assert!(switches.connect_request());
        assert!(switches.connect_request());
    }
}
