//! What a target can be told while it runs: to misbehave, to drop and bring back subsystems, and to change namespaces.
//!
//! The text form serves the program's options and control socket; the C API maps its functions to the same values.

use std::str::FromStr;

use spec::Status;
use spec::ana::AnaState;
use spec::zoned::ZoneState;
use thiserror::Error;

use crate::core::{Suffering, Which};
use crate::lies::{self, Lie};
use crate::options::{NamespaceOptions, parse_size};

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
    /// The listener on this port is closed, with the connections that came by it, or it listens again.
    Port {
        /// The port.
        port: u16,
        /// Whether it listens.
        up: bool,
    },
    /// Queue ids stay taken for this many milliseconds after their connections ended.
    Linger(u32),
    /// A namespace comes: by this id, or by the lowest that is free.
    AddNamespace {
        /// The subsystem's NQN.
        nqn: String,
        /// Its id.
        nsid: Option<u32>,
        /// What it is.
        namespace: NamespaceOptions,
    },
    /// A namespace has another size.
    ResizeNamespace {
        /// The subsystem's NQN.
        nqn: String,
        /// Its id.
        nsid: u32,
        /// Its size in bytes.
        size: u64,
    },
    /// A namespace goes, with its data.
    RemoveNamespace {
        /// The subsystem's NQN.
        nqn: String,
        /// Its id.
        nsid: u32,
    },
    /// The medium of a zone fails.
    Zone {
        /// The subsystem's NQN.
        nqn: String,
        /// The namespace.
        nsid: u32,
        /// The first block of the zone.
        lba: u64,
        /// What state it is in from now on.
        state: ZoneState,
    },
    /// An ANA group has another state.
    Ana {
        /// The subsystem's NQN.
        nqn: String,
        /// The group.
        group: u32,
        /// The port of the listener for whose hosts that counts; `None` for all.
        port: Option<u16>,
        /// The state.
        state: AnaState,
    },
    /// Commands suffer from now on.
    Rule {
        /// Which ones.
        which: Which,
        /// How.
        how: Suffering,
        /// So many of them; `None` for all.
        count: Option<u64>,
    },
    /// These commands, or all, suffer no more, and those that wait are executed.
    Resume(Option<Which>),
    /// Tell a lie from now on, with this number.
    Lie(Lie, u64),
    /// Tell the truth again: about this, or about everything.
    Truth(Option<Lie>),
}

/// A command that cannot be read.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "'{0}' is not a command: expected 'misbehave WHAT[:AFTER]', 'behave WHAT', 'drop NQN', 'add NQN', \
     'port PORT down', 'port PORT up', 'linger MILLISECONDS', 'ns add NQN ns=SIZE[..MOST][:BLOCK[+METADATA[:piTYPE]|:zSIZE[/CAPACITY[/OPEN[/ACTIVE]]]]|:kv][@GROUP] [nsid=NSID]', 'ns resize NQN NSID SIZE', \
     'ns remove NQN NSID', 'zone NQN NSID LBA STATE', 'ana NQN GROUP STATE [port=PORT]', 'stall OPCODE [COUNT]', 'delay OPCODE MILLISECONDS [COUNT]', \
     'fail OPCODE STATUS [COUNT]', 'resume OPCODE', 'resume all', 'lie NAME[=NUMBER]', 'truth NAME' or 'truth all', with WHAT \
     one of cid-out-of-range, cid-idle, repeat-response, silent, reject-connections, STATE one of optimized, \
     non-optimized, inaccessible, persistent-loss, change, or for a zone read-only, offline, OPCODE a command's name as 'read' or 'identify', or a number or 'any' \
     behind 'io:', 'admin:' or 'fabrics:', and NAME one of {names}",
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
            "port" => port(object).ok_or_else(error),
            "linger" => Ok(Command::Linger(object.parse().map_err(|_| error())?)),
            "ns" => namespace(object).ok_or_else(error),
            "zone" => zone(object).ok_or_else(error),
            "ana" => ana(object).ok_or_else(error),
            "stall" | "delay" | "fail" => rule(verb, object).ok_or_else(error),
            "resume" if object == "all" => Ok(Command::Resume(None)),
            "resume" => object.parse().map(|which| Command::Resume(Some(which))).map_err(|_| error()),
            "lie" => lies::parse(object).map(|(lie, value)| Command::Lie(lie, value)).map_err(|_| error()),
            "truth" if object == "all" => Ok(Command::Truth(None)),
            "truth" => Ok(Command::Truth(Some(object.parse().map_err(|_| error())?))),
            _ => Err(error()),
        }
    }
}

/// `PORT down` or `PORT up`.
fn port(text: &str) -> Option<Command> {
    let (port, state) = text.split_once(' ')?;
    let up = match state.trim() {
        "up" => true,
        "down" => false,
        _ => return None,
    };
    Some(Command::Port { port: port.parse().ok()?, up })
}

/// `add NQN ns=...`, `resize NQN NSID SIZE`, `remove NQN NSID`.
fn namespace(text: &str) -> Option<Command> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let size = |text: &str| parse_size(text).ok();
    match words.as_slice() {
        ["add", nqn, words @ ..] => {
            let (mut nsid, mut namespace) = (None, None);
            for word in words {
                match word.split_once('=')? {
                    ("nsid", number) => nsid = Some(number.parse().ok()?),
                    ("ns", description) => namespace = Some(NamespaceOptions::parse(description).ok()?),
                    _ => return None,
                }
            }
            Some(Command::AddNamespace { nqn: (*nqn).to_owned(), nsid, namespace: namespace? })
        }
        ["resize", nqn, nsid, bytes] => {
            let (nqn, nsid) = ((*nqn).to_owned(), nsid.parse().ok()?);
            Some(Command::ResizeNamespace { nqn, nsid, size: size(bytes)? })
        }
        ["remove", nqn, nsid] => {
            Some(Command::RemoveNamespace { nqn: (*nqn).to_owned(), nsid: nsid.parse().ok()? })
        }
        _ => None,
    }
}

/// `NQN NSID LBA STATE`.
fn zone(text: &str) -> Option<Command> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [nqn, nsid, lba, state] = words.as_slice() else { return None };
    let state = match *state {
        "read-only" => ZoneState::READ_ONLY,
        "offline" => ZoneState::OFFLINE,
        _ => return None,
    };
    Some(Command::Zone { nqn: (*nqn).to_owned(), nsid: nsid.parse().ok()?, lba: lba.parse().ok()?, state })
}

/// `NQN GROUP STATE [port=PORT]`.
fn ana(text: &str) -> Option<Command> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (nqn, group, state, port) = match words.as_slice() {
        [nqn, group, state] => (nqn, group, state, None),
        [nqn, group, state, port] => (nqn, group, state, Some(port.strip_prefix("port=")?.parse().ok()?)),
        _ => return None,
    };
    let state = match *state {
        "optimized" => AnaState::OPTIMIZED,
        "non-optimized" => AnaState::NON_OPTIMIZED,
        "inaccessible" => AnaState::INACCESSIBLE,
        "persistent-loss" => AnaState::PERSISTENT_LOSS,
        "change" => AnaState::CHANGE,
        _ => return None,
    };
    Some(Command::Ana { nqn: (*nqn).to_owned(), group: group.parse().ok()?, port, state })
}

/// `OPCODE [COUNT]`, `OPCODE MILLISECONDS [COUNT]` or `OPCODE STATUS [COUNT]`.
fn rule(verb: &str, text: &str) -> Option<Command> {
    let mut words = text.split_whitespace();
    let which = words.next()?.parse().ok()?;
    let how = match verb {
        "stall" => Suffering::Stall,
        "delay" => Suffering::Delay(words.next()?.parse::<u32>().ok().map(u64::from)? * 1_000_000),
        _ => {
            let status = words.next()?;
            let status = match status.strip_prefix("0x") {
                Some(digits) => u16::from_str_radix(digits, 16).ok()?,
                None => status.parse().ok()?,
            };
            // The phase tag is no part of it.
            Suffering::Fail(Status(status & 0x7fff))
        }
    };
    let count = words.next().map(|count| count.parse().ok().filter(|count| *count > 0));
    match (count, words.next()) {
        (Some(None), _) | (_, Some(_)) => None,
        (count, None) => Some(Command::Rule { which, how, count: count.flatten() }),
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
        let zone = |state| Command::Zone { nqn: "nqn.x:1".into(), nsid: 2, lba: 64, state };
        assert_eq!("zone nqn.x:1 2 64 read-only".parse(), Ok(zone(ZoneState::READ_ONLY)));
        assert_eq!("zone nqn.x:1 2 64 offline".parse(), Ok(zone(ZoneState::OFFLINE)));
        assert!("zone nqn.x:1 2 64 full".parse::<Command>().is_err());
        assert_eq!("linger 30".parse(), Ok(Command::Linger(30)));
        assert_eq!("port 4420 down".parse(), Ok(Command::Port { port: 4420, up: false }));
        assert_eq!("port 4420 up".parse(), Ok(Command::Port { port: 4420, up: true }));
        assert_eq!("lie csts=1".parse(), Ok(Command::Lie(Lie::Csts, 1)));
        assert_eq!("truth csts".parse(), Ok(Command::Truth(Some(Lie::Csts))));
        assert_eq!("truth all".parse(), Ok(Command::Truth(None)));
        let nqn = || "nqn.x:1".to_owned();
        let namespace = NamespaceOptions {
            size: 4096,
            block_size: 4096,
            room: 1 << 20,
            group: 2,
            ..NamespaceOptions::new(4096, 4096)
        };
        assert_eq!(
            "ns add nqn.x:1 ns=4K..1M:4K@2 nsid=7".parse(),
            Ok(Command::AddNamespace { nqn: nqn(), nsid: Some(7), namespace })
        );
        let namespace = NamespaceOptions::new(1 << 20, 512);
        assert_eq!(
            "ns add nqn.x:1 ns=1M".parse(),
            Ok(Command::AddNamespace { nqn: nqn(), nsid: None, namespace })
        );
        let resize = Command::ResizeNamespace { nqn: nqn(), nsid: 2, size: 2 << 20 };
        assert_eq!("ns resize nqn.x:1 2 2M".parse(), Ok(resize));
        assert_eq!("ns remove nqn.x:1 2".parse(), Ok(Command::RemoveNamespace { nqn: nqn(), nsid: 2 }));
        let ana = |port, state| Command::Ana { nqn: nqn(), group: 1, port, state };
        assert_eq!("ana nqn.x:1 1 inaccessible".parse(), Ok(ana(None, AnaState::INACCESSIBLE)));
        assert_eq!("ana nqn.x:1 1 change port=4420".parse(), Ok(ana(Some(4420), AnaState::CHANGE)));
        let (which, all) = (Which::Io(Some(2)), None);
        let rule = |how, count| Ok(Command::Rule { which, how, count });
        assert_eq!("stall read".parse(), rule(Suffering::Stall, all));
        assert_eq!("stall io:2 3".parse(), rule(Suffering::Stall, Some(3)));
        assert_eq!("delay read 5".parse(), rule(Suffering::Delay(5_000_000), all));
        let failure = Suffering::Fail(Status::UNRECOVERED_READ_ERROR.with_dnr(true));
        assert_eq!("fail read 0x4281 1".parse(), rule(failure, Some(1)));
        assert_eq!("resume read".parse(), Ok(Command::Resume(Some(which))));
        assert_eq!("resume all".parse(), Ok(Command::Resume(None)));
        for text in [
            "",
            "stall",
            "stall reed",
            "stall read 0",
            "stall read 1 2",
            "delay read",
            "delay read soon",
            "fail read",
            "fail read 0x10000",
            "resume",
            "ns",
            "ns add nqn.x",
            "ns add nqn.x ns=12",
            "ns add nqn.x ns=1M id=1",
            "ns resize nqn.x 1",
            "ns remove nqn.x one",
            "ana nqn.x 1 lost",
            "ana nqn.x 1 change 4420",
            "lie",
            "linger on",
            "port",
            "port 4420",
            "port 4420 sideways",
            "port 70000 up",
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
