//! The fabric: all objects of this process, and what happens between them.
//!
//! It does no I/O and takes no lock: sockets, descriptors and threads are the carrier's (`crate::carrier`), which brings it bytes
//! and takes its bytes away, and the C face (`crate::capi`) calls it behind one lock. Its only clock is [`Clock`], which a test
//! may move by hand, and its only chance is [`Random`], so that the same calls with the same seed give the same events.

pub mod cells;
pub mod cq;
pub mod deregistered;
pub mod device;
pub mod link;
pub mod meeting;
pub mod memory;
mod misuse;
pub mod objects;
pub mod order;
pub mod posting;
pub mod profile;
pub mod qp;
pub mod requester;
pub mod responder;
pub mod slab;
pub mod srq;
pub mod state;
pub mod timers;
pub mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use crate::cm::Cm;
use link::{Delays, Link};
use objects::Shared;
use qp::Qp;
use slab::{Key, Slab};
use timers::{Timer, Timers};

/// Where the fabric's time comes from, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's monotonic clock.
    Real,
    /// The same, ahead by so many nanoseconds: it jumped.
    Ahead(u64),
    /// A time that only moves when it is told to.
    Manual(u64),
}

impl Clock {
    /// Nanoseconds since some moment.
    pub fn now(&self) -> u64 {
        match self {
            Self::Real => crate::carrier::clock::monotonic(),
            Self::Ahead(by) => crate::carrier::clock::monotonic().saturating_add(*by),
            Self::Manual(now) => *now,
        }
    }
}

/// A small generator (splitmix64): the same seed gives the same numbers.
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What another process is looked for by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// It listens on this RDMA port.
    RdmaPort(u16),
    /// It has this block of QP numbers.
    QpNumbers(u32),
}

/// A connection that the carrier is to open.
#[derive(Clone, Debug)]
pub struct Dial {
    /// The link that it is for.
    pub link: Key<Link>,
    /// Where from, if the program bound an address.
    pub from: Option<IpAddr>,
    /// Where to, and the interface for link-local addresses.
    pub to: IpAddr,
    /// The interface of a link-local address.
    pub scope: u32,
    /// Whom to.
    pub door: Door,
    /// Which of the TCP ports that stand for it is tried.
    pub attempt: u32,
}

/// All there is.
pub struct Fabric {
    /// See [`Clock`].
    pub clock: Clock,
    /// See [`Random`].
    pub random: Random,
    /// Everything but QPs, links and connection management.
    pub shared: Shared,
    /// Queue pairs.
    pub qps: Slab<Qp>,
    /// Queue pairs by number.
    pub qp_numbers: BTreeMap<u32, Key<Qp>>,
    /// Where the next number comes from.
    pub numbers: device::QpNumbers,
    /// Ways to peers.
    pub links: Slab<Link>,
    /// Ways by QP numbers: ours, the peer's.
    pub routes: BTreeMap<(u32, u32), Key<Link>>,
    /// Frames that are due within the process.
    pub inbox: VecDeque<(Key<Link>, Vec<u8>)>,
    /// What is to happen later.
    pub timers: Timers,
    /// Delays as set.
    pub delays: Delays,
    /// Data is delayed: nothing is carried out at once.
    pub slow: bool,
    /// A destroyed QP takes its completions along.
    pub purge_on_destroy: bool,
    /// Connection management.
    pub cm: Cm,
    /// Links with bytes for the carrier.
    pub dirty_links: Vec<Key<Link>>,
    /// Links whose socket the carrier is to close.
    pub closed_links: Vec<Key<Link>>,
    /// Connections that the carrier is to open.
    pub dials: Vec<Dial>,
    /// QPs that are ready to receive from a peer that no connection manager knows: the carrier finds out where that is.
    pub strangers: Vec<Key<Qp>>,
    /// QPs that look for such a peer.
    pub meetings: BTreeMap<Key<Qp>, meeting::Meeting>,
    /// There are no other processes: a simulation.
    pub alone: bool,
    /// There is a device at all.
    pub has_device: bool,
    /// A QP was told to drain its send queue, once.
    pub draining: bool,
    serial: u64,
}

impl Fabric {
    /// An empty fabric. `seed` decides all that is random.
    pub fn new(clock: Clock, seed: u64, strict: bool) -> Self {
        let mut random = Random(seed);
        let secret = random.next() as u32;
        Self {
            clock,
            random,
            shared: Shared::new(secret, strict, Random(seed.rotate_left(32))),
            qps: Slab::new(),
            qp_numbers: BTreeMap::new(),
            numbers: device::QpNumbers::default(),
            links: Slab::new(),
            routes: BTreeMap::new(),
            inbox: VecDeque::new(),
            timers: Timers::new(),
            delays: Delays::default(),
            slow: false,
            purge_on_destroy: false,
            cm: Cm::new(),
            dirty_links: Vec::new(),
            closed_links: Vec::new(),
            dials: Vec::new(),
            strangers: Vec::new(),
            meetings: BTreeMap::new(),
            alone: false,
            has_device: true,
            draining: false,
            serial: 0,
        }
    }

    /// The next number in the order of creation.
    pub fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// If nothing is left of what was before, makes what comes independent of it: a simulation begins.
    pub fn rewind(&mut self) {
        while self.act() {}
        self.shared.order.stop();
        if self.qps.len() + self.cm.ids.len() > 0 {
            return;
        }
        self.numbers = device::QpNumbers::default();
        self.timers = Timers::new();
        self.routes.clear();
        for link in self.links.keys() {
            self.links.remove(link);
        }
        self.links.rewind();
        self.qps.rewind();
        self.cm.ids.rewind();
        self.cm.channels.rewind();
        self.shared.cqs.rewind();
        self.shared.srqs.rewind();
        self.shared.channels.rewind();
    }

    /// Sets the delays.
    pub fn set_delays(&mut self, delays: Delays) {
        self.delays = delays;
        self.faults_changed();
    }

    /// Whether something is left to do that needs no time to pass.
    #[inline]
    pub fn is_restless(&self) -> bool {
        !(self.inbox.is_empty()
            && self.shared.ready.is_empty()
            && self.shared.silent.is_empty()
            && self.shared.acks.is_empty())
    }

    /// Does all that needs no time to pass.
    pub fn settle(&mut self) {
        while self.is_restless() {
            self.deliver_inbox();
            self.send_acks();
            self.send_ready();
            self.send_silence();
        }
    }

    /// Whether something is to happen that was to happen later.
    #[inline]
    pub fn is_due(&self) -> bool {
        self.timers.next_due().is_some_and(|due| due <= self.clock.now())
    }

    /// Does all that is due by now.
    pub fn expire(&mut self) {
        let now = self.clock.now();
        while let Some(timer) = self.timers.expire(now) {
            match timer {
                Timer::Receive(link, class) => self.receive_due(link, class),
                Timer::Transmit(link, class) => self.transmit_due(link, class),
                Timer::Transport(qp, epoch) => self.transport_expired(qp, epoch),
                Timer::ReceiverNotReady(qp, epoch) => self.rnr_expired(qp, epoch),
                Timer::Cm(id) => self.cm_expired(id),
                Timer::Redial(id) => self.redial(id),
                Timer::Handshake(link) => self.handshake_expired(link),
                Timer::Fault(serial) => self.fault_due(serial),
            }
            self.settle();
        }
    }

    /// The socket of a link took bytes: whoever held back may go on.
    pub fn link_writable(&mut self, key: Key<Link>) {
        if let Some(qp) = self.links.get(key).and_then(|l| l.qp) {
            self.respond(qp);
            self.pump(qp);
        }
        self.drop_link_if_unused(key);
    }

    /// A QP became ready to receive: finds the way to its peer.
    pub fn connect_qp(&mut self, key: Key<Qp>) {
        let Some(qp) = self.qps.get(key) else { return };
        let (own, peer) = (qp.made.number, qp.attr.dest_qp_num);
        let link = match self.routes.get(&(own, peer)) {
            Some(&link) => link,
            // The connection manager knows the peer, but was not told yet which QP of ours is meant.
            None if self.cm_link_to(own, peer).is_some() => {
                let Some(link) = self.cm_link_to(own, peer) else { return };
                self.add_route(link, own, peer);
                link
            }
            // No connection manager was asked.
            None if self.alone => return self.meet_within(key),
            None => return self.strangers.push(key),
        };
        self.unlink(key);
        if let Some(l) = self.links.get_mut(link) {
            l.qp = Some(key);
        }
        if let Some(qp) = self.qps.get_mut(key) {
            qp.link = Some(link);
        }
    }

    fn cm_link_to(&self, own: u32, peer: u32) -> Option<Key<Link>> {
        let fits = |id: &crate::cm::CmId| id.peer_qpn == peer && (id.own_qpn == 0 || id.own_qpn == own);
        self.cm.ids.iter().filter(|(_, id)| fits(id)).find_map(|(_, id)| id.link)
    }

    /// Makes a link known under QP numbers.
    pub fn add_route(&mut self, link: Key<Link>, own: u32, peer: u32) {
        if let Some(l) = self.links.get_mut(link) {
            if let Some(old) = l.route.replace((own, peer))
                && self.routes.get(&old) == Some(&link)
            {
                self.routes.remove(&old);
            }
            self.routes.insert((own, peer), link);
        }
    }

    /// A QP leaves its link.
    pub fn unlink(&mut self, key: Key<Qp>) {
        self.forget_meeting(key);
        let Some(link) = self.qps.get_mut(key).and_then(|q| q.link.take()) else { return };
        if let Some(l) = self.links.get_mut(link) {
            l.qp = None;
            // What is still on its way here belongs to the life that ends: the next one finds a way of its own.
            if l.id.is_none()
                && let Some(route) = l.route.take()
                && self.routes.get(&route) == Some(&link)
            {
                self.routes.remove(&route);
            }
        }
        self.drop_link_if_unused(link);
    }
}
