//! The way between two ends: in order in each direction, with delays that can be set.
//!
//! A link's other end is a link of the same process, or a socket that the carrier reads and writes. Data and connection
//! management have a queue each: both keep their own order, as two queue pairs of a real wire do.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::Fabric;
use super::order::{Lane, Pending};
use super::qp::Qp;
use super::slab::Key;
use super::timers::Timer;
use super::wire::{Garbage, HEADER, Header, Kind};
use crate::cm::CmId;

/// What kind of traffic a frame is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// Requests and answers of queue pairs.
    Data,
    /// Messages of the connection manager.
    Cm,
}

/// A delay: `base` give or take up to `jitter`, in nanoseconds, never below zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Delay {
    /// Nanoseconds.
    pub base: u64,
    /// Nanoseconds.
    pub jitter: u64,
}

/// The delays of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delays {
    /// Data that arrives here.
    pub data_rx: Delay,
    /// Data that leaves here.
    pub data_tx: Delay,
    /// Connection management that arrives here.
    pub cm_rx: Delay,
    /// Connection management that leaves here.
    pub cm_tx: Delay,
}

impl Delays {
    /// Whether data is delayed in either direction.
    pub fn on_data(&self) -> bool {
        self.data_rx != Delay::default() || self.data_tx != Delay::default()
    }
}

/// Where a link leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Far {
    /// To a link of this process.
    Local(Key<Link>),
    /// Over a socket, which the carrier keeps under the link's key.
    Socket,
    /// Nowhere any more: the peer is gone.
    Gone,
}

/// Frames that wait for their time.
#[derive(Default)]
pub struct Waiting {
    frames: VecDeque<(u64, Vec<u8>)>,
    last: u64,
}

impl Waiting {
    /// Appends a frame that is due at `due`, but not before the ones ahead of it. Whether a timer must be set, and for when.
    fn push(&mut self, due: u64, frame: Vec<u8>) -> Option<u64> {
        let due = if self.frames.is_empty() { due } else { due.max(self.last) };
        self.last = due;
        self.frames.push_back((due, frame));
        (self.frames.len() == 1 && due < HELD).then_some(due)
    }

    fn pop(&mut self, now: u64) -> Option<Vec<u8>> {
        if self.frames.front()?.0 > now {
            return None;
        }
        self.frames.pop_front().map(|(_, f)| f)
    }

    fn next_due(&self) -> Option<u64> {
        self.frames.front().map(|(due, _)| *due).filter(|due| *due < HELD)
    }

    /// What was held is due at `now`. Whether a timer must be set.
    fn lift_hold(&mut self, now: u64) -> bool {
        let first = self.frames.front().is_some_and(|(due, _)| *due >= HELD);
        for (due, _) in self.frames.iter_mut().filter(|(due, _)| *due >= HELD) {
            *due = now;
        }
        if self.last >= HELD {
            self.last = now;
        }
        first
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// One end of a way.
pub struct Link {
    /// See [`Far`].
    pub far: Far,
    /// The QP that talks here.
    pub qp: Option<Key<Qp>>,
    /// The connection identifier that talks here.
    pub id: Option<Key<CmId>>,
    /// The QP that asks here whether this is the way to its peer.
    pub asks: Option<Key<Qp>>,
    /// QP numbers, ours and the peer's, under which the link is known in `Fabric::routes`.
    pub route: Option<(u32, u32)>,
    /// Frames that are on their way to this end within the process, waiting or in the inbox.
    pub coming: u32,
    /// Who is at the other end of the socket, for the log.
    pub peer: Option<SocketAddr>,
    /// Bytes for the socket.
    pub out: Vec<u8>,
    /// How many bytes at the front of `out` the socket took already.
    pub taken: usize,
    /// Frames were delayed before they went to the socket, as many as the program likes.
    delayed: bool,
    /// In `Fabric::dirty_links`.
    pub dirty: bool,
    /// Its QPs met without a connection manager.
    pub met: bool,
    /// The socket ended; what still waits is delivered first.
    pub ended: bool,
    /// The timer of its handshake.
    pub timer: Option<u64>,
    rx: [Waiting; 2],
    tx: [Waiting; 2],
}

/// A delay that is no time but lasts until it is lifted.
const HELD: u64 = u64::MAX / 4;

/// As much as waits for a socket before a QP holds back.
const HIGH_WATER: usize = 1 << 20;

/// As much as waits for a socket before its peer has had enough: answers are added without holding back, but a peer with all its
/// queue pair's requests on the way is owed far fewer.
const TOO_MUCH: usize = 16 << 20;

impl Link {
    /// A link that leads to `far`.
    pub fn new(far: Far) -> Self {
        Self {
            far,
            qp: None,
            id: None,
            asks: None,
            route: None,
            coming: 0,
            peer: None,
            delayed: false,
            out: Vec::new(),
            taken: 0,
            dirty: false,
            met: false,
            ended: false,
            timer: None,
            rx: Default::default(),
            tx: Default::default(),
        }
    }

    /// Whether bulk data may be added.
    pub fn has_room(&self) -> bool {
        self.out.len() - self.taken < HIGH_WATER
    }

    /// Whether the peer lets answers pile up, and asks on.
    pub fn is_choked(&self) -> bool {
        !self.delayed && self.out.len() - self.taken > TOO_MUCH
    }

    /// Whether nothing waits to arrive.
    pub fn is_drained(&self) -> bool {
        self.coming == 0 && self.rx.iter().all(Waiting::is_empty)
    }

    /// Whether nothing waits to leave.
    pub fn is_flushed(&self) -> bool {
        self.out.len() == self.taken && self.tx.iter().all(Waiting::is_empty)
    }

    fn rx(&mut self, class: Class) -> &mut Waiting {
        let [data, cm] = &mut self.rx;
        if class == Class::Data { data } else { cm }
    }

    fn tx(&mut self, class: Class) -> &mut Waiting {
        let [data, cm] = &mut self.tx;
        if class == Class::Data { data } else { cm }
    }
}

fn class_of(kind: Kind) -> Class {
    if kind == Kind::Cm { Class::Cm } else { Class::Data }
}

impl Fabric {
    fn sample(&mut self, class: Class, receive: bool) -> u64 {
        let delay = match (class, receive) {
            (Class::Data, true) => self.delays.data_rx,
            (Class::Data, false) => self.delays.data_tx,
            (Class::Cm, true) => self.delays.cm_rx,
            (Class::Cm, false) => self.delays.cm_tx,
        };
        if delay.jitter == 0 {
            return delay.base;
        }
        let low = delay.base.saturating_sub(delay.jitter);
        let width = delay.base + delay.jitter - low + 1;
        low + self.random.next() % width
    }

    /// Sends a frame. `fill` appends exactly `header.payload` bytes.
    pub fn send(&mut self, key: Key<Link>, header: &Header, fill: impl FnOnce(&mut Vec<u8>)) {
        let class = class_of(header.kind);
        let Some(link) = self.links.get_mut(key) else { return };
        if self.shared.unusual && class == Class::Data {
            let (far, qp) = (link.far, link.qp);
            if let Some(qp) = qp
                && self.gets_no_answer(key, far)
            {
                self.await_silence(qp);
            }
        }
        let Some(link) = self.links.get_mut(key) else { return };
        match link.far {
            Far::Gone => {}
            Far::Local(peer) => {
                let mut frame = Vec::with_capacity(HEADER + header.payload as usize);
                header.encode(&mut frame);
                fill(&mut frame);
                let mut delay = self.sample(class, false) + self.sample(class, true);
                if self.shared.unusual && (self.is_held(key, class, false) || self.is_held(peer, class, true))
                {
                    delay = HELD;
                }
                self.receive_later(peer, class, delay, frame);
            }
            Far::Socket => {
                let mut delay = self.sample(class, false);
                if self.shared.unusual && self.is_held(key, class, false) {
                    delay = HELD;
                }
                let Some(link) = self.links.get_mut(key) else { return };
                if delay == 0 && link.tx(class).is_empty() {
                    header.encode(&mut link.out);
                    fill(&mut link.out);
                    self.mark_dirty(key);
                    return;
                }
                let mut frame = Vec::with_capacity(HEADER + header.payload as usize);
                header.encode(&mut frame);
                fill(&mut frame);
                let due = self.clock.now() + delay;
                link.delayed = true;
                if let Some(due) = link.tx(class).push(due, frame) {
                    self.timers.set(due, Timer::Transmit(key, class));
                }
            }
        }
    }

    /// A frame came off the socket of this link: takes it now, or when its delay is over.
    pub fn receive(&mut self, key: Key<Link>, header: &Header, frame: &[u8]) {
        let class = class_of(header.kind);
        let mut delay = self.sample(class, true);
        if self.shared.unusual {
            if self.shared.order.on {
                return self.receive_later(key, class, delay, frame.to_vec());
            }
            if self.is_held(key, class, true) {
                delay = HELD;
            }
        }
        let Some(link) = self.links.get_mut(key) else { return };
        if delay == 0 && link.rx(class).is_empty() {
            self.take(key, frame);
        } else {
            self.receive_later(key, class, delay, frame.to_vec());
        }
    }

    fn receive_later(&mut self, key: Key<Link>, class: Class, delay: u64, frame: Vec<u8>) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.coming += 1;
        if delay == 0 && link.rx(class).is_empty() {
            self.arrive(key, class, frame);
            return;
        }
        let due = self.clock.now() + delay;
        if let Some(due) = link.rx(class).push(due, frame) {
            self.timers.set(due, Timer::Receive(key, class));
        }
    }

    /// The front of a receive queue is due.
    pub fn receive_due(&mut self, key: Key<Link>, class: Class) {
        let now = self.clock.now();
        while let Some(frame) = self.links.get_mut(key).and_then(|l| l.rx(class).pop(now)) {
            self.arrive(key, class, frame);
        }
        let Some(link) = self.links.get_mut(key) else { return };
        if let Some(due) = link.rx(class).next_due() {
            self.timers.set(due, Timer::Receive(key, class));
        }
    }

    /// The front of a transmit queue is due.
    pub fn transmit_due(&mut self, key: Key<Link>, class: Class) {
        let now = self.clock.now();
        let Some(link) = self.links.get_mut(key) else { return };
        while let Some(frame) = link.tx(class).pop(now) {
            link.out.extend_from_slice(&frame);
        }
        if let Some(due) = link.tx(class).next_due() {
            self.timers.set(due, Timer::Transmit(key, class));
        }
        self.mark_dirty(key);
    }

    /// A frame is here, and is taken at once or when its turn is drawn.
    fn arrive(&mut self, key: Key<Link>, class: Class, frame: Vec<u8>) {
        if self.shared.order.on {
            self.shared.order.push(Lane::Frames(key, class), Pending::Frame(frame));
        } else {
            self.inbox.push_back((key, frame));
        }
    }

    /// What was held back on its way to this link (or out of it) is due now.
    pub fn lift_hold(&mut self, key: Key<Link>, class: Class, receive: bool) {
        let now = self.clock.now();
        let Some(link) = self.links.get_mut(key) else { return };
        let (queue, timer) = if receive {
            (link.rx(class), Timer::Receive(key, class))
        } else {
            (link.tx(class), Timer::Transmit(key, class))
        };
        if queue.lift_hold(now) {
            self.timers.set(now, timer);
        }
    }

    /// Delivers what is due within the process. Each delivery may add more.
    pub fn deliver_inbox(&mut self) {
        while let Some((key, frame)) = self.inbox.pop_front() {
            self.deliver(key, &frame);
        }
    }

    /// A frame that was on its way to this end within the process is taken.
    pub fn deliver(&mut self, key: Key<Link>, frame: &[u8]) {
        if let Some(link) = self.links.get_mut(key) {
            link.coming -= 1;
            self.take(key, frame);
        }
        self.after_delivery(key);
    }

    fn take(&mut self, key: Key<Link>, frame: &[u8]) {
        if self.shared.unusual && self.shared.faults.touch_data() {
            return self.take_doubtfully(key, frame);
        }
        self.take_truly(key, frame);
    }

    /// Takes a frame as it is.
    pub fn take_truly(&mut self, key: Key<Link>, frame: &[u8]) {
        let Ok(Some(header)) = Header::decode(frame) else { return };
        let payload = frame.get(HEADER..).unwrap_or_default();
        let greets = matches!(header.kind, Kind::Cm | Kind::Meet | Kind::Met);
        if !greets && self.links.get(key).is_some_and(|l| l.timer.is_some()) {
            return self.close_for_garbage(key, Garbage("no greeting"));
        }
        match header.kind {
            Kind::Meet => {
                if let Err(garbage) = self.asked(key, &header, payload) {
                    self.close_for_garbage(key, garbage);
                }
            }
            Kind::Met => self.answered(key, &header),
            Kind::Cm => self.cm_message(key, payload),
            Kind::Send | Kind::Write | Kind::Read => self.request(key, &header, payload),
            Kind::ReadData
            | Kind::Ack
            | Kind::Nak
            | Kind::ReceiverNotReady
            | Kind::ReceiverReady
            | Kind::Silent => {
                self.answer(key, &header, payload);
                if self.draining
                    && let Some(qp) = self.links.get(key).and_then(|l| l.qp)
                {
                    self.tell_drained(qp);
                }
            }
        }
    }

    /// The carrier is to write this link's bytes.
    pub fn mark_dirty(&mut self, key: Key<Link>) {
        if let Some(link) = self.links.get_mut(key)
            && !link.dirty
        {
            link.dirty = true;
            self.dirty_links.push(key);
        }
    }

    /// Two links that lead to each other.
    pub fn local_pair(&mut self) -> (Key<Link>, Key<Link>) {
        let a = self.links.insert(Link::new(Far::Gone));
        let b = self.links.insert(Link::new(Far::Local(a)));
        if let Some(link) = self.links.get_mut(a) {
            link.far = Far::Local(b);
        }
        (a, b)
    }

    /// A socket ended. What waits to arrive is delivered first; then the peer counts as dead.
    pub fn link_ended(&mut self, key: Key<Link>) {
        if let Some(link) = self.links.get_mut(key) {
            link.far = Far::Gone;
            link.out = Vec::new();
            link.taken = 0;
            link.ended = true;
            // A dying peer's kernel says good-bye for it: that takes as long as any message of the connection manager.
            let farewell = crate::cm::message::frame_of_end();
            let delay = self.sample(Class::Cm, true);
            self.receive_later(key, Class::Cm, delay, farewell);
        }
    }

    /// An ended link whose last frame was delivered tells QP and CM; a link that nobody holds goes away.
    fn after_delivery(&mut self, key: Key<Link>) {
        let Some(link) = self.links.get_mut(key) else { return };
        if link.ended && link.is_drained() {
            link.ended = false;
            let (asks, met) = (link.asks, link.met);
            if let Some(qp) = link.qp {
                self.peer_silent(qp);
                if met && self.qps.get(qp).is_some_and(Qp::answers) {
                    // The question may have been one of the peer's former life.
                    self.strangers.push(qp);
                }
            }
            if let Some(qp) = asks {
                self.ask_failed(key, qp);
            }
        }
        self.drop_link_if_unused(key);
    }

    /// Takes a link away once neither QP nor CM id holds it and all its bytes are sent.
    pub fn drop_link_if_unused(&mut self, key: Key<Link>) {
        let Some(link) = self.links.get(key) else { return };
        if link.qp.is_some() || link.id.is_some() || link.asks.is_some() {
            return;
        }
        match link.far {
            // The local peer drops with it, once nothing is on its way to it and nobody holds it either.
            Far::Local(peer) => {
                let Some(other) = self.links.get(peer) else {
                    self.remove_link(key);
                    return;
                };
                if other.coming == 0 && link.coming == 0 && other.qp.is_none() && other.id.is_none() {
                    self.remove_link(key);
                    self.remove_link(peer);
                }
            }
            Far::Socket if !link.is_flushed() => {}
            Far::Socket | Far::Gone => self.remove_link(key),
        }
    }

    fn remove_link(&mut self, key: Key<Link>) {
        if let Some(link) = self.links.remove(key) {
            if self.shared.order.on {
                self.shared.order.close(Lane::Frames(key, Class::Data));
                self.shared.order.close(Lane::Frames(key, Class::Cm));
            }
            // The numbers may stand for a newer link by now.
            if let Some(route) = link.route
                && self.routes.get(&route) == Some(&key)
            {
                self.routes.remove(&route);
            }
            if let Some(timer) = link.timer {
                self.timers.cancel(timer);
            }
            if link.far == Far::Socket {
                self.closed_links.push(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_frame_with_a_shorter_delay_does_not_overtake() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.push(100, vec![1]), Some(100));
        assert_eq!(waiting.push(50, vec![2]), None);
        assert_eq!(waiting.pop(99), None);
        assert_eq!(waiting.pop(100), Some(vec![1]));
        assert_eq!(waiting.pop(100), Some(vec![2]));
        assert_eq!(waiting.push(70, vec![3]), Some(70));
    }
}
