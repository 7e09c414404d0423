//! Peers without a connection manager: two programs told each other GID and QP number in some way of their own.
//!
//! A QP that becomes ready to receive answers its peer's question if that has come already; else it asks at the process that owns the
//! peer's number: a connection, whose first frame says who asks and who is meant. The answer is yes if the peer is ready too and
//! means the asker; then the connection is their link. Else the QP waits to be asked: whoever becomes ready second finds the first
//! one waiting. If both ask at the same time, the connection of the lesser end counts. What the requester sends before they met is
//! lost; its own retries cover that, and once they met all is sent again.

use std::net::IpAddr;

use super::device::QPN_BLOCK;
use super::link::{Far, Link};
use super::qp::Qp;
use super::slab::Key;
use super::wire::{Garbage, Header, Kind};
use super::{Dial, Door, Fabric};
use crate::cm::dialing::PORT_ATTEMPTS;

/// First bytes of the question.
const MAGIC: [u8; 4] = *b"sfvq";
/// Changes when the wire does.
const VERSION: u8 = 1;
/// Bytes in the question after the header.
pub const QUESTION: usize = 8 + 16 + 16;
/// How long the answer may take.
const ANSWER: u64 = 4_000_000_000;

/// Answers, in the header's `word`.
mod answer {
    /// This connection is the link.
    pub const YES: u32 = 0;
    /// That QP is not ready, or means somebody else.
    pub const NOT_YET: u32 = 1;
    /// The process has no such block of numbers.
    pub const NOT_MINE: u32 = 2;
}

/// One end of a connection: numbers first, since GIDs of two network namespaces may be the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct End {
    /// QP number.
    pub qpn: u32,
    /// GID.
    pub gid: [u8; 16],
}

/// A QP on its way to meet its peer.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// The QP's own end.
    pub own: End,
    /// Whom it means.
    pub peer: End,
    /// The addresses behind the GIDs: own, peer's.
    pub way: (IpAddr, IpAddr),
    /// The interface of a link-local address.
    pub scope: u32,
    /// Which of the TCP ports is tried.
    attempt: u32,
    /// The connection that asks; none: it waits to be asked.
    asking: Option<Key<Link>>,
    /// The peer asked in the meantime, so it is worth asking once more.
    was_asked: bool,
}

impl Meeting {
    /// Before the first question.
    pub fn new(own: End, peer: End, way: (IpAddr, IpAddr), scope: u32) -> Self {
        Self { own, peer, way, scope, attempt: 0, asking: None, was_asked: false }
    }
}

impl Fabric {
    /// Both QPs are of this process.
    pub fn meet_within(&mut self, key: Key<Qp>) {
        let Some(qp) = self.qps.get(key) else { return };
        let (own, peer) = (qp.made.number, qp.attr.dest_qp_num);
        if self.qp_numbers.contains_key(&peer) {
            let (near, far) = self.local_pair();
            self.add_route(near, own, peer);
            self.add_route(far, peer, own);
            self.connect_qp(key);
        }
    }

    /// The peer is another process's: may be asked from now on, and is to [ask](Self::ask_unless_asking) if nobody has.
    pub fn meet(&mut self, key: Key<Qp>, meeting: Meeting) {
        self.unlink(key);
        self.meetings.insert(key, meeting);
    }

    /// A QP has no peer to look for any more.
    pub fn forget_meeting(&mut self, key: Key<Qp>) {
        if let Some(link) = self.meetings.remove(&key).and_then(|m| m.asking) {
            self.let_go(link);
        }
    }

    /// Whether it is still open if there is such a peer: a first message on a real wire needs no connection to be opened.
    pub fn is_asking(&self, key: Key<Qp>) -> bool {
        !self.meetings.is_empty() && self.meetings.get(&key).is_some_and(|m| m.asking.is_some())
    }

    fn let_go(&mut self, link: Key<Link>) {
        self.stop_handshake_timer(link);
        if let Some(l) = self.links.get_mut(link) {
            l.asks = None;
        }
        self.drop_link_if_unused(link);
    }

    fn ask(&mut self, key: Key<Qp>) {
        let Some(m) = self.meetings.get_mut(&key) else { return };
        let mut link = Link::new(Far::Socket);
        link.asks = Some(key);
        let link = self.links.insert(link);
        m.asking = Some(link);
        self.dials.push(Dial {
            link,
            from: Some(m.way.0),
            to: m.way.1,
            scope: m.scope,
            door: Door::QpNumbers(m.peer.qpn / QPN_BLOCK),
            attempt: m.attempt,
        });
        self.handshake_timer(link, ANSWER);
    }

    /// Asks unless it is asking. When something is sent again, this is done again too: nobody may have been there before.
    pub fn ask_unless_asking(&mut self, key: Key<Qp>) {
        if self.meetings.get(&key).is_some_and(|m| m.asking.is_none()) {
            self.ask(key);
        }
    }

    /// The connection is open: asks.
    pub fn ask_now(&mut self, link: Key<Link>, key: Key<Qp>) {
        let Some(m) = self.meetings.get(&key) else { return self.let_go(link) };
        let (own, peer) = (m.own, m.peer);
        let header =
            Header { payload: QUESTION as u32, word: own.qpn, ..Header::new(Kind::Meet, peer.qpn, 0) };
        self.send(link, &header, |out| {
            out.extend_from_slice(&MAGIC);
            out.extend_from_slice(&[VERSION, 0, 0, 0]);
            out.extend_from_slice(&own.gid);
            out.extend_from_slice(&peer.gid);
        });
        self.handshake_timer(link, ANSWER);
    }

    /// There was no answer, or that of another process: tries the next TCP port, or waits to be asked.
    pub fn ask_failed(&mut self, link: Key<Link>, key: Key<Qp>) {
        self.let_go(link);
        let Some(m) = self.meetings.get_mut(&key) else { return };
        m.attempt += 1;
        if m.attempt < PORT_ATTEMPTS {
            self.ask(key);
        } else {
            self.wait_to_be_asked(key);
        }
    }

    fn wait_to_be_asked(&mut self, key: Key<Qp>) {
        let Some(m) = self.meetings.get_mut(&key) else { return };
        m.attempt = 0;
        m.asking = None;
        if std::mem::take(&mut m.was_asked) {
            self.ask(key);
        } else {
            // Now it is known: nobody hears what is sent.
            self.await_silence(key);
        }
    }

    /// A peer asks.
    pub fn asked(&mut self, link: Key<Link>, header: &Header, payload: &[u8]) -> Result<(), Garbage> {
        let (from, to) = question(header, payload)?;
        self.stop_handshake_timer(link);
        let reply = self.answer_to(from, to);
        if reply != answer::YES {
            self.reply(link, from, reply);
            self.drop_link_if_unused(link);
            return Ok(());
        }
        self.reply(link, from, reply);
        if let Some(&key) = self.qp_numbers.get(&to.qpn) {
            self.forget_meeting(key);
            self.met(link, key, to.qpn, from.qpn);
        }
        Ok(())
    }

    fn reply(&mut self, link: Key<Link>, to: End, word: u32) {
        self.send(link, &Header { word, ..Header::new(Kind::Met, to.qpn, 0) }, |_| ());
    }

    fn answer_to(&mut self, from: End, to: End) -> u32 {
        let Some(&key) = self.qp_numbers.get(&to.qpn) else {
            return if self.numbers.owns(to.qpn) { answer::NOT_YET } else { answer::NOT_MINE };
        };
        if !self.qps.get(key).is_some_and(Qp::answers) {
            return answer::NOT_YET;
        }
        let Some(m) = self.meetings.get_mut(&key) else { return answer::NOT_YET };
        if (m.own, m.peer) != (to, from) {
            if m.peer.qpn == from.qpn {
                let gid = |end: End| IpAddr::from(end.gid);
                crate::log::line(&format!(
                    "QP {:#x} at {} means QP {:#x} at {}, but that one is at {} and means it at {}",
                    m.own.qpn,
                    gid(m.own),
                    m.peer.qpn,
                    gid(m.peer),
                    gid(from),
                    gid(to)
                ));
            }
            return answer::NOT_YET;
        }
        if m.asking.is_some() && m.own < m.peer {
            m.was_asked = true;
            return answer::NOT_YET;
        }
        answer::YES
    }

    /// The peer answered.
    pub fn answered(&mut self, link: Key<Link>, header: &Header) {
        let Some(key) = self.links.get(link).and_then(|l| l.asks) else { return };
        let Some(m) = self.meetings.get(&key) else { return self.let_go(link) };
        let (own, peer) = (m.own.qpn, m.peer.qpn);
        match header.word {
            answer::YES => {
                self.stop_handshake_timer(link);
                if let Some(l) = self.links.get_mut(link) {
                    l.asks = None;
                }
                self.meetings.remove(&key);
                self.met(link, key, own, peer);
            }
            answer::NOT_MINE => self.ask_failed(link, key),
            _ => {
                self.let_go(link);
                self.wait_to_be_asked(key);
            }
        }
    }

    /// Ties a link to its QP.
    fn met(&mut self, link: Key<Link>, key: Key<Qp>, own: u32, peer: u32) {
        self.add_route(link, own, peer);
        if let Some(l) = self.links.get_mut(link) {
            l.met = true;
        }
        self.connect_qp(key);
        self.peer_found(key);
    }
}

fn question(header: &Header, payload: &[u8]) -> Result<(End, End), Garbage> {
    let garbage = Garbage("a question that is none");
    let payload: &[u8; QUESTION] = payload.try_into().map_err(|_| garbage)?;
    let (head, gids) = payload.split_first_chunk::<8>().ok_or(garbage)?;
    let (from, to) = gids.split_first_chunk::<16>().ok_or(garbage)?;
    let to = to.first_chunk::<16>().ok_or(garbage)?;
    let [a, b, c, d, version, ..] = *head;
    if [a, b, c, d] != MAGIC {
        return Err(Garbage("not softverbs"));
    }
    if version != VERSION {
        return Err(Garbage("another version of softverbs"));
    }
    if header.word >> 24 != 0 || header.qpn >> 24 != 0 {
        return Err(Garbage("a QP number that is none"));
    }
    Ok((End { qpn: header.word, gid: *from }, End { qpn: header.qpn, gid: *to }))
}
