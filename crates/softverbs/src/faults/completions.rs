//! Completions that come late, never, twice, with another status or other content, or once their QP is gone.
//!
//! The order of a work queue's completions is kept: behind one that is late wait those that come after it.

use std::ffi::c_int;
use std::fmt;

use super::script::Occasion;
use super::which::Which;
use super::{Faults, Later, fired, names};
use crate::control::duration;
use crate::fabric::Random;
use crate::fabric::cq::{Cq, Cqe};
use crate::fabric::memory::{self, Segments};
use crate::fabric::objects::Shared;
use crate::fabric::qp::Qp;
use crate::fabric::slab::Key;
use crate::runtime::Runtime;

/// The first opcode of completions of receives.
const RECV: u32 = 128;

/// Of which queue of a QP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The send queue.
    Send,
    /// The receive queue.
    Recv,
    /// Either.
    Any,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Send => "send",
            Self::Recv => "recv",
            Self::Any => "any",
        })
    }
}

impl Side {
    fn of(cqe: &Cqe) -> Self {
        if cqe.opcode >= RECV { Self::Recv } else { Self::Send }
    }

    fn takes(self, other: Self) -> bool {
        self == Self::Any || self == other
    }
}

/// When a completion that is held back comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    /// When so many nanoseconds are over.
    Time(u64),
    /// When its CQ was polled so often.
    Polls(u64),
    /// When its QP is destroyed.
    Destroyed,
    /// When another completion came: of which queue, and of which QP if that matters.
    After(Side, Option<u32>),
    /// When the one before it of the same work queue comes.
    Behind,
}

/// A number to put in the place of the true one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Value {
    Is(u64),
    Plus(u64),
    Random,
}

impl Value {
    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix('+') {
            _ if text == "random" => Ok(Self::Random),
            Some(more) => names::number(more).map(Self::Plus),
            None => names::number(text).map(Self::Is),
        }
    }

    fn of(self, truth: u64, chance: &mut Random) -> u64 {
        match self {
            Self::Is(n) => n,
            Self::Plus(n) => truth.wrapping_add(n),
            Self::Random => chance.next(),
        }
    }
}

/// What of a completion can be forged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    WrId,
    ByteLen,
    QpNum,
    Opcode,
    Imm,
    Flags,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Act {
    Hold(Release),
    Never,
    Status(u32),
    /// With that status, and the QP goes to error as with a real failure.
    Error(u32),
    Set(Vec<(Field, Value)>),
    Repeat(u64),
    Payload(u32, Vec<u8>),
}

/// A command about completions.
#[derive(Debug)]
pub struct CompletionFault {
    side: Side,
    qp: Option<u32>,
    pub(super) which: Which,
    act: Act,
    pub(super) text: String,
}

const USAGE: &str = "wc send|recv|any [qp NUMBER] [WHICH] late TIME|late N polls|never|after destroy|after send|recv|any [qp N]\
    |status S|error S|set FIELD=VALUE..|repeat N|payload OFFSET=HEX";

impl CompletionFault {
    /// `wc SIDE [qp NUMBER] [WHICH] ACTION`, without its first word.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let (side, rest) = match *words {
            [side, ref rest @ ..] => (parse_side(side)?, rest),
            [] => return Err(USAGE.into()),
        };
        let (qp, rest) = match *rest {
            ["qp", number, ref rest @ ..] => (Some(names::number32(number)?), rest),
            _ => (None, rest),
        };
        const ACTIONS: [&str; 8] = ["late", "never", "after", "status", "error", "set", "repeat", "payload"];
        let (which, rest) = match *rest {
            [first, ref rest @ ..] if !ACTIONS.contains(&first) => (Which::parse(first)?, rest),
            _ => (Which::next(), rest),
        };
        let act = match *rest {
            ["late", time] => Act::Hold(Release::Time(duration(time)?)),
            ["late", n, "polls"] => Act::Hold(Release::Polls(names::number(n)?)),
            ["never"] => Act::Never,
            ["after", "destroy"] => Act::Hold(Release::Destroyed),
            ["after", side] => Act::Hold(Release::After(parse_side(side)?, None)),
            ["after", side, "qp", n] => {
                Act::Hold(Release::After(parse_side(side)?, Some(names::number32(n)?)))
            }
            ["status", status] => Act::Status(names::status(status)?),
            ["error", status] => Act::Error(names::status(status)?),
            ["set", ref fields @ ..] if !fields.is_empty() => {
                Act::Set(fields.iter().map(|f| parse_field(f)).collect::<Result<_, _>>()?)
            }
            ["repeat", n] => match names::number(n)? {
                n @ 1..=1000 => Act::Repeat(n),
                _ => return Err("repeat 1 to 1000 times".into()),
            },
            ["payload", what] => {
                let (offset, bytes) = what.split_once('=').ok_or("payload OFFSET=HEX")?;
                Act::Payload(names::number32(offset)?, names::bytes(bytes)?)
            }
            _ => return Err(USAGE.into()),
        };
        if matches!(act, Act::Payload(..)) && side != Side::Recv {
            return Err("only a receive has a payload to forge".into());
        }
        Ok(Self { side, qp, which, act, text: words.join(" ") })
    }

    fn is_about(&self, side: Side, qp: u32) -> bool {
        self.side.takes(side) && self.qp.is_none_or(|n| n == qp)
    }
}

fn parse_side(text: &str) -> Result<Side, String> {
    match text {
        "send" => Ok(Side::Send),
        "recv" => Ok(Side::Recv),
        "any" => Ok(Side::Any),
        _ => Err(USAGE.into()),
    }
}

fn parse_field(text: &str) -> Result<(Field, Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is not FIELD=VALUE"))?;
    let field = match name {
        "wr_id" => Field::WrId,
        "byte_len" => Field::ByteLen,
        "qp_num" => Field::QpNum,
        "opcode" => Field::Opcode,
        "imm" => Field::Imm,
        "flags" => Field::Flags,
        _ => return Err(format!("'{name}' is no field: wr_id, byte_len, qp_num, opcode, imm or flags")),
    };
    let value = Value::parse(value)?;
    match value {
        Value::Is(n) | Value::Plus(n) if field != Field::WrId && n > u64::from(u32::MAX) => {
            Err(format!("'{text}': {name} has 32 bits"))
        }
        _ => Ok((field, value)),
    }
}

/// A completion that is held back.
#[derive(Clone, Copy)]
pub struct Held {
    serial: u64,
    cq: Key<Cq>,
    cqe: Cqe,
    side: Side,
    /// The QP's true number.
    qp_num: u32,
    solicited: bool,
    release: Release,
}

impl Held {
    fn lane(&self) -> (Key<Qp>, Side) {
        (self.cqe.qp, self.side)
    }
}

impl Shared {
    /// A completion comes while faults are armed.
    pub fn complete_faultily(&mut self, cq: Key<Cq>, mut cqe: Cqe, solicited: bool) {
        let (side, qp_num) = (Side::of(&cqe), cqe.qp_num);
        let truth = format!("completion of wr_id {:#x}, qp {qp_num:#x}", cqe.wr_id);
        let (mut times, mut release, mut never) = (1, None, false);
        for fault in &mut self.faults.completions {
            if matches!(fault.act, Act::Payload(..))
                || !fault.is_about(side, qp_num)
                || !fault.which.hits(&mut self.chance)
            {
                continue;
            }
            fired(&format!("{truth}: {}", fault.text));
            match &fault.act {
                Act::Hold(until) => release = Some(*until),
                Act::Never => never = true,
                Act::Status(status) => cqe.status = *status,
                Act::Error(status) => {
                    cqe.status = *status;
                    self.faults.broken.push((cqe.qp, None));
                }
                Act::Set(fields) => {
                    for (field, value) in fields {
                        forge(&mut cqe, *field, *value, &mut self.chance);
                    }
                }
                Act::Repeat(n) => times += n,
                Act::Payload(..) => {}
            }
        }
        self.faults.completions.retain(|f| !f.which.is_spent());
        self.faults.occasion(Occasion::Completion(side), &mut self.chance);
        self.call_for_attention();
        if never {
            return;
        }
        let waits_behind = self.faults.held.iter().any(|h| h.lane() == (cqe.qp, side));
        if release.is_none() && waits_behind {
            release = Some(Release::Behind);
        }
        if times > 1
            && let Some(queue) = self.cqs.get_mut(cq)
        {
            queue.crowded = true;
        }
        for _ in 0..times {
            match release {
                None => self.let_through(cq, cqe, solicited),
                Some(until) => {
                    let serial = self.faults.next_serial();
                    if let Release::Time(delay) = until {
                        self.faults.to_time.push((delay, Later::Completion(serial)));
                    }
                    self.faults.held.push(Held { serial, cq, cqe, side, qp_num, solicited, release: until });
                }
            }
        }
        if release.is_none() {
            self.release_after(side, qp_num);
        }
    }

    /// A completion of that queue came: those that waited for it come too.
    fn release_after(&mut self, side: Side, qp_num: u32) {
        let waits = |h: &Held| match h.release {
            Release::After(wanted, qp) => wanted.takes(side) && qp.is_none_or(|n| n == qp_num),
            _ => false,
        };
        let serials: Vec<u64> = self.faults.held.iter().filter(|h| waits(h)).map(|h| h.serial).collect();
        for serial in serials {
            self.release(serial);
        }
    }

    /// What a completion was held back for is over: it comes, with those behind it, unless one before it is held still.
    pub fn release(&mut self, serial: u64) {
        let held = &mut self.faults.held;
        let Some(at) = held.iter().position(|h| h.serial == serial) else { return };
        let Some(lane) = held.get(at).map(Held::lane) else { return };
        if held.iter().take(at).any(|h| h.lane() == lane) {
            if let Some(h) = held.get_mut(at) {
                h.release = Release::Behind;
            }
            return;
        }
        let mut next = Some(at);
        while let Some(h) = next.map(|at| self.faults.held.remove(at)) {
            self.let_through(h.cq, h.cqe, h.solicited);
            self.release_after(h.side, h.qp_num);
            next = self.faults.held.iter().position(|h| h.lane() == lane);
            next = next.filter(|&at| self.faults.held.get(at).is_some_and(|h| h.release == Release::Behind));
        }
        self.look_again();
    }

    /// A CQ is polled.
    pub fn count_poll(&mut self, cq: Key<Cq>) {
        let mut over = Vec::new();
        for held in self.faults.held.iter_mut().filter(|h| h.cq == cq) {
            if let Release::Polls(left) = &mut held.release {
                match left.checked_sub(1) {
                    Some(fewer) => *left = fewer,
                    None => over.push(held.serial),
                }
            }
        }
        for serial in over {
            self.release(serial);
        }
    }

    /// A QP is destroyed: what waited for that comes, and what waits otherwise goes if such QPs take their completions along.
    pub fn release_of_destroyed(&mut self, qp: Key<Qp>, purge: bool) {
        let mine = self.faults.held.iter().filter(|h| h.cqe.qp == qp);
        let waited = mine.filter(|h| h.release == Release::Destroyed).map(|h| h.serial);
        for serial in waited.collect::<Vec<_>>() {
            self.release(serial);
        }
        if purge {
            self.faults.held.retain(|h| h.cqe.qp != qp);
        }
        self.look_again();
    }

    /// All that is held back comes now.
    pub fn release_all(&mut self) {
        for held in std::mem::take(&mut self.faults.held) {
            self.let_through(held.cq, held.cqe, held.solicited);
        }
    }

    /// A receive of a QP completes: its bytes may be forged.
    pub fn forge_payload(&mut self, qp_num: u32, at: &Segments) {
        let faults = self.faults.completions.iter_mut();
        for fault in faults.filter(|f| f.is_about(Side::Recv, qp_num)) {
            if let Act::Payload(offset, bytes) = &fault.act
                && fault.which.hits(&mut self.chance)
            {
                fired(&format!("receive on qp {qp_num:#x}: {}", fault.text));
                memory::scatter(bytes, *offset, at);
            }
        }
        self.faults.completions.retain(|f| !f.which.is_spent());
    }
}

fn forge(cqe: &mut Cqe, field: Field, value: Value, chance: &mut Random) {
    let short = |truth: u32, chance: &mut Random| value.of(truth.into(), chance) as u32;
    match field {
        Field::WrId => cqe.wr_id = value.of(cqe.wr_id, chance),
        Field::ByteLen => cqe.byte_len = short(cqe.byte_len, chance),
        Field::QpNum => cqe.qp_num = short(cqe.qp_num, chance),
        Field::Opcode => cqe.opcode = short(cqe.opcode, chance),
        Field::Imm => cqe.word = short(cqe.word, chance),
        Field::Flags => cqe.flags = short(cqe.flags, chance),
    }
}

impl Runtime {
    /// A CQ is polled while something is unusual: how many completions it gives at most.
    #[cold]
    pub fn poll_unusually(&mut self, cq: Key<Cq>, count: c_int) -> c_int {
        self.fabric.shared.count_poll(cq);
        if self.fabric.shared.order.on && count > 1 {
            return 1 + self.fabric.shared.order.draw(count as u64) as c_int;
        }
        count
    }
}

impl Runtime {
    /// One completion is asked for while something is unusual, the first of a batch or a further one: whether it may come.
    #[cold]
    pub fn poll_one_unusually(&mut self, cq: Key<Cq>, first: bool) -> bool {
        if first {
            self.fabric.shared.count_poll(cq);
        }
        first || !self.fabric.shared.order.on || self.fabric.shared.order.draw(4) > 0
    }
}

impl Faults {
    /// How many completions are held back.
    pub fn held_back(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_command_about_completions() {
        let parse = |text: &str| CompletionFault::parse(&text.split_whitespace().collect::<Vec<_>>());
        for right in [
            "send never",
            "recv 3 late 5ms",
            "any qp 0x12 2- late 3 polls",
            "send after destroy",
            "send always after recv qp 7",
            "recv 1 set wr_id=+1 byte_len=0 qp_num=random",
            "recv payload 12=ffff",
            "any 10% repeat 2",
        ] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "send",
            "both never",
            "send 0 never",
            "send late",
            "send late 5",
            "send late 5 pols",
            "recv set",
            "recv set cid=1",
            "recv set wr_id",
            "recv set byte_len=4294967296",
            "send payload 0=00",
            "recv payload 0=0",
            "send status NO",
            "send repeat 0",
            "send qp x never",
            "send never never",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
