//! Peers that are silent, die, or lie; and a port through which nothing goes.
//!
//! What a silent peer says, or what a port that is down should carry, is held back and comes when that is over, in its order: so a
//! peer can also answer after one gave up. Meanwhile transport timers run as if nothing had been heard.

use super::which::Which;
use super::{fired, names};
use crate::fabric::Fabric;
use crate::fabric::link::{Class, Far, Link};
use crate::fabric::qp::Qp;
use crate::fabric::slab::Key;
use crate::fabric::wire::{HEADER, Header, Kind};

/// What does not get through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocked {
    /// The port is down: nothing, in either direction.
    pub port: bool,
    /// No peer is heard: data, connection management.
    pub silent: [bool; 2],
    /// The peer of this QP is not heard: data, connection management.
    pub silent_to: Vec<(u32, [bool; 2])>,
}

impl Blocked {
    /// Whether anything is.
    pub fn is_any(&self) -> bool {
        self.port || self.silent != [false; 2] || !self.silent_to.is_empty()
    }

    /// One line for each.
    pub fn lines(&self) -> Vec<String> {
        let words = |[data, cm]: [bool; 2]| match (data, cm) {
            (true, true) => "",
            (true, false) => " data",
            _ => " cm",
        };
        let mut lines = Vec::new();
        if self.port {
            lines.push("port down".into());
        }
        if self.silent != [false; 2] {
            lines.push(format!("peer silent{}", words(self.silent)));
        }
        for (qp, what) in &self.silent_to {
            lines.push(format!("peer silent{} qp {qp:#x}", words(*what)));
        }
        lines
    }

    /// Another peer is silent, or one speaks again: `[data|cm] [qp N]`.
    pub fn change(&self, words: &[&str], silent: bool) -> Result<Self, String> {
        let mut new = self.clone();
        let (what, rest) = match *words {
            ["data", ref rest @ ..] => ([true, false], rest),
            ["cm", ref rest @ ..] => ([false, true], rest),
            ref rest => ([true, true], rest),
        };
        let apply = |now: [bool; 2]| {
            let mut after = now;
            for (a, w) in after.iter_mut().zip(what) {
                *a = if silent { *a || w } else { *a && !w };
            }
            after
        };
        match *rest {
            [] => {
                new.silent = apply(new.silent);
                if !silent {
                    new.silent_to.iter_mut().for_each(|(_, s)| *s = apply(*s));
                }
            }
            ["qp", number] => {
                let number = names::number32(number)?;
                if !new.silent_to.iter().any(|(n, _)| *n == number) {
                    new.silent_to.push((number, [false; 2]));
                }
                new.silent_to.iter_mut().filter(|(n, _)| *n == number).for_each(|(_, s)| *s = apply(*s));
            }
            _ => return Err("peer silent|speaks [data|cm] [qp NUMBER]".into()),
        }
        new.silent_to.retain(|(_, s)| *s != [false; 2]);
        Ok(new)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Act {
    Drop,
    Repeat(u64),
    Kind(Kind),
    Seq(i64),
    Word(u32),
    Offset(u32),
    Total(u32),
    Garbage,
}

/// What a peer says that is not true.
#[derive(Debug)]
pub struct Lie {
    qp: Option<u32>,
    pub(super) which: Which,
    act: Act,
    pub(super) text: String,
}

const KINDS: [(&str, Kind); 9] = [
    ("send", Kind::Send),
    ("write", Kind::Write),
    ("read", Kind::Read),
    ("read_data", Kind::ReadData),
    ("ack", Kind::Ack),
    ("nak", Kind::Nak),
    ("rnr", Kind::ReceiverNotReady),
    ("ready", Kind::ReceiverReady),
    ("silent", Kind::Silent),
];

impl Lie {
    /// `peer lies [qp N] [WHICH] ACTION`, without its first two words.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        const USAGE: &str =
            "peer lies [qp N] [WHICH] drop|repeat N|kind K|seq +N|seq -N|word N|offset N|total N|garbage";
        const ACTIONS: [&str; 8] = ["drop", "repeat", "kind", "seq", "word", "offset", "total", "garbage"];
        let (qp, rest) = match *words {
            ["qp", number, ref rest @ ..] => (Some(names::number32(number)?), rest),
            ref rest => (None, rest),
        };
        let (which, rest) = match *rest {
            [first, ref rest @ ..] if !ACTIONS.contains(&first) => (Which::parse(first)?, rest),
            ref rest => (Which::next(), rest),
        };
        let act = match *rest {
            ["drop"] => Act::Drop,
            ["garbage"] => Act::Garbage,
            ["repeat", n] => match names::number(n)? {
                n @ 1..=1000 => Act::Repeat(n),
                _ => return Err("repeat 1 to 1000 times".into()),
            },
            ["kind", kind] => match KINDS.iter().find(|(n, _)| *n == kind) {
                Some((_, kind)) => Act::Kind(*kind),
                None => return Err(format!("'{kind}' is no kind of frame")),
            },
            ["seq", by] if by.starts_with(['+', '-']) => {
                Act::Seq(by.parse().map_err(|_| format!("'{by}' is no number"))?)
            }
            ["word", n] => Act::Word(names::number32(n)?),
            ["offset", n] => Act::Offset(names::number32(n)?),
            ["total", n] => Act::Total(names::number32(n)?),
            _ => return Err(USAGE.into()),
        };
        Ok(Self { qp, which, act, text: words.join(" ") })
    }
}

impl Fabric {
    fn number_of(&self, link: &Link) -> Option<u32> {
        link.qp.and_then(|k| self.qps.get(k)).map(|q| q.made.number)
    }

    /// Whether what goes out of this link (`receive`: comes in to it) is held back.
    pub fn is_held(&self, key: Key<Link>, class: Class, receive: bool) -> bool {
        let blocked = &self.shared.faults.blocked;
        if blocked.port || !receive {
            return blocked.port;
        }
        let of = |[data, cm]: [bool; 2]| if class == Class::Data { data } else { cm };
        if of(blocked.silent) {
            return true;
        }
        if blocked.silent_to.is_empty() {
            return false;
        }
        let Some(link) = self.links.get(key) else { return false };
        let id = link.id.and_then(|k| self.cm.ids.get(k)).map(|i| i.own_qpn);
        let own = [self.number_of(link), id];
        blocked.silent_to.iter().any(|(n, what)| of(*what) && own.contains(&Some(*n)))
    }

    /// Whether a frame that goes out of this link gets no further, or no answer to it is heard; then the QP waits for one in vain.
    pub fn gets_no_answer(&self, key: Key<Link>, far: Far) -> bool {
        let there = match far {
            Far::Local(peer) => self.is_held(peer, Class::Data, true),
            Far::Socket | Far::Gone => false,
        };
        there || self.is_held(key, Class::Data, false) || self.is_held(key, Class::Data, true)
    }

    /// Changes what does not get through. What was held back and no longer is comes now.
    pub fn set_blocked(&mut self, blocked: Blocked) {
        if self.shared.faults.blocked == blocked {
            return;
        }
        self.shared.faults.blocked = blocked;
        self.faults_changed();
        let links: Vec<(Key<Link>, Far, Option<Key<Qp>>)> =
            self.links.iter().map(|(k, l)| (k, l.far, l.qp)).collect();
        for (key, far, qp) in links {
            for class in [Class::Data, Class::Cm] {
                for receive in [false, true] {
                    // What comes to a link of this process is held there, whatever holds it.
                    let mut held = self.is_held(key, class, receive);
                    if receive && let Far::Local(peer) = far {
                        held |= self.is_held(peer, class, false);
                    }
                    if !held {
                        self.lift_hold(key, class, receive);
                    }
                }
            }
            if let Some(qp) = qp
                && self.gets_no_answer(key, far)
            {
                self.await_silence(qp);
            }
        }
    }

    /// A peer falls silent or speaks again: see [`Blocked::change`].
    pub fn change_silence(&mut self, words: &[&str], silent: bool) -> Result<(), String> {
        let blocked = self.shared.faults.blocked.change(words, silent)?;
        if blocked != self.shared.faults.blocked {
            fired(if silent { "a peer is silent" } else { "a peer speaks" });
            self.set_blocked(blocked);
        }
        Ok(())
    }

    /// Peers die: that of this QP, or all.
    pub fn kill_peers(&mut self, qp: Option<u32>) -> Result<(), String> {
        let links: Vec<(Key<Link>, Far)> = self
            .links
            .iter()
            .filter(|(_, l)| {
                let id = l.id.and_then(|k| self.cm.ids.get(k)).map(|i| i.own_qpn);
                qp.is_none_or(|n| [self.number_of(l), id].contains(&Some(n)))
            })
            .map(|(k, l)| (k, l.far))
            .collect();
        if links.is_empty() {
            return Err("there is no such peer".into());
        }
        fired(&format!("{} peers die", links.len()));
        for (key, far) in links {
            self.end_way(key, far);
        }
        Ok(())
    }

    fn end_way(&mut self, key: Key<Link>, far: Far) {
        match far {
            Far::Gone => return,
            Far::Socket => self.closed_links.push(key),
            Far::Local(peer) => {
                if let Some(other) = self.links.get_mut(peer)
                    && other.far == Far::Local(key)
                {
                    other.far = Far::Gone;
                    if let Some(qp) = other.qp {
                        self.await_silence(qp);
                    }
                }
            }
        }
        self.link_ended(key);
    }

    /// A frame was lost on its way to this link: who waits for it, or for an answer to it, finds out in time. A requester of
    /// another process does not.
    fn miss(&mut self, key: Key<Link>, kind: Kind) {
        let Some(link) = self.links.get(key) else { return };
        let waits = match (kind, link.far) {
            (Kind::Send | Kind::Write | Kind::Read, Far::Local(peer)) => {
                self.links.get(peer).and_then(|l| l.qp)
            }
            (Kind::Send | Kind::Write | Kind::Read, _) => None,
            _ => link.qp,
        };
        if let Some(qp) = waits {
            self.await_silence(qp);
        }
    }

    /// A frame of data arrives while peers may lie.
    #[cold]
    pub fn take_doubtfully(&mut self, key: Key<Link>, frame: &[u8]) {
        let Ok(Some(mut header)) = Header::decode(frame) else { return };
        if matches!(header.kind, Kind::Cm | Kind::Meet | Kind::Met) {
            return self.take_truly(key, frame);
        }
        let own = self.links.get(key).and_then(|l| self.number_of(l));
        let shared = &mut self.shared;
        let (mut times, mut garbage) = (1, false);
        for lie in &mut shared.faults.lies {
            if lie.qp.is_some_and(|n| Some(n) != own) || !lie.which.hits(&mut shared.chance) {
                continue;
            }
            fired(&format!("{:?} {} of the peer: {}", header.kind, header.seq, lie.text));
            match lie.act {
                Act::Drop => times = 0,
                Act::Repeat(n) => times += n,
                Act::Kind(kind) => header.kind = kind,
                Act::Seq(by) => header.seq = header.seq.wrapping_add_signed(by),
                Act::Word(word) => header.word = word,
                Act::Offset(offset) => header.offset = offset,
                Act::Total(total) => header.total = total,
                Act::Garbage => garbage = true,
            }
        }
        shared.faults.lies.retain(|l| !l.which.is_spent());
        if times == 0 {
            self.miss(key, header.kind);
        }
        if garbage {
            crate::log::line("connection closed: not softverbs");
            if let Some(far) = self.links.get(key).map(|l| l.far) {
                self.end_way(key, far);
            }
            return;
        }
        let mut forged = Vec::with_capacity(frame.len());
        header.encode(&mut forged);
        forged.extend_from_slice(frame.get(HEADER..).unwrap_or_default());
        for _ in 0..times {
            self.take_truly(key, &forged);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn silence_is_by_class_and_by_queue_pair() {
        let none = Blocked::default();
        let all = none.change(&words(""), true).unwrap();
        assert_eq!(all.silent, [true, true]);
        assert_eq!(all.change(&words("cm"), false).unwrap().silent, [true, false]);
        let one = none.change(&words("data qp 0x11"), true).unwrap();
        assert_eq!(one.silent_to, [(0x11, [true, false])]);
        assert!(!one.change(&words("qp 17"), false).unwrap().is_any());
        assert!(!one.change(&words(""), false).unwrap().is_any());
        assert!(none.change(&words("data qp"), true).is_err() && none.change(&words("both"), true).is_err());
    }

    #[test]
    fn what_is_no_lie() {
        for right in ["drop", "qp 3 2- seq -1", "50% repeat 2", "1 kind nak", "garbage", "word 0"] {
            assert!(Lie::parse(&words(right)).is_ok(), "{right}");
        }
        for wrong in ["", "1", "kind cm", "seq 1", "repeat 0", "qp x drop", "word", "garbage more"] {
            assert!(Lie::parse(&words(wrong)).is_err(), "{wrong}");
        }
    }
}
