//! Drawn order: what may happen in more than one order happens in one that the seed decides.
//!
//! What is to happen without time passing waits in lanes: the frames that arrive at a link, of each class; the completions of a
//! work queue; the events of an identifier. Each lane keeps its own order, as the specifications demand; which lane is next is
//! drawn.

use std::collections::{BTreeMap, VecDeque};

use super::cq::{Cq, Cqe};
use super::link::{Class, Link};
use super::objects::Shared;
use super::qp::Qp;
use super::slab::Key;
use super::{Fabric, Random};
use crate::cm::{CmId, Event};

/// Whose order is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Lane {
    /// What arrives at a link.
    Frames(Key<Link>, Class),
    /// The completions of a send queue.
    Sends(Key<Qp>),
    /// The completions of a receive queue.
    Receives(Key<Qp>),
    /// The events of an identifier.
    Events(Key<CmId>),
}

/// What waits in a lane.
pub enum Pending {
    /// A frame.
    Frame(Vec<u8>),
    /// A completion: on which queue, and whether it is solicited.
    Completion(Key<Cq>, Cqe, bool),
    /// An event.
    Event(Event),
}

/// The lanes.
pub struct Order {
    /// Order is drawn.
    pub on: bool,
    random: Random,
    lanes: BTreeMap<Lane, VecDeque<Pending>>,
    /// Lanes in which something waits.
    ready: Vec<Lane>,
    /// Of four chances, how many there are that one more thing happens after a call. Drawn anew now and then, so that there are
    /// times in which much waits, and times in which little does.
    eager: u64,
}

impl Order {
    /// Nothing is drawn.
    pub fn new() -> Self {
        Self { on: false, random: Random(0), lanes: BTreeMap::new(), ready: Vec::new(), eager: 0 }
    }

    /// From now on order is drawn.
    pub fn start(&mut self, seed: u64) {
        self.on = true;
        self.random = Random(seed);
        self.eager = self.draw(4);
    }

    /// Nothing is drawn any more; what waits is forgotten.
    pub fn stop(&mut self) {
        *self = Self::new();
    }

    /// A number below `below`.
    pub fn draw(&mut self, below: u64) -> u64 {
        self.random.next() % below.max(1)
    }

    /// Appends to a lane.
    pub fn push(&mut self, lane: Lane, pending: Pending) {
        let waiting = self.lanes.entry(lane).or_default();
        if waiting.is_empty() {
            self.ready.push(lane);
        }
        waiting.push_back(pending);
    }

    /// Takes what happens next.
    pub fn next(&mut self) -> Option<(Lane, Pending)> {
        if self.ready.is_empty() {
            return None;
        }
        let at = (self.random.next() % self.ready.len() as u64) as usize;
        let lane = *self.ready.get(at)?;
        let waiting = self.lanes.get_mut(&lane)?;
        let pending = waiting.pop_front()?;
        if waiting.is_empty() {
            self.ready.swap_remove(at);
        }
        Some((lane, pending))
    }

    /// Closes a lane; what waited in it.
    pub fn close(&mut self, lane: Lane) -> VecDeque<Pending> {
        self.ready.retain(|l| *l != lane);
        self.lanes.remove(&lane).unwrap_or_default()
    }

    /// Takes events out that nobody will fetch.
    pub fn take_events(&mut self, gone: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut taken = Vec::new();
        for (lane, waiting) in &mut self.lanes {
            if !matches!(lane, Lane::Events(_)) || waiting.is_empty() {
                continue;
            }
            for pending in std::mem::take(waiting) {
                match pending {
                    Pending::Event(event) if gone(&event) => taken.push(event),
                    other => waiting.push_back(other),
                }
            }
            if waiting.is_empty() {
                self.ready.retain(|l| l != lane);
            }
        }
        self.lanes.retain(|lane, waiting| !matches!(lane, Lane::Events(_)) || !waiting.is_empty());
        taken
    }
}

impl Shared {
    /// A completion that nothing holds back: it is queued, or waits until its turn is drawn.
    pub fn let_through(&mut self, cq: Key<Cq>, cqe: Cqe, solicited: bool) {
        if !self.order.on {
            self.queue_completion(cq, cqe, solicited);
            return;
        }
        let lane = if cqe.frees > 0 { Lane::Sends(cqe.qp) } else { Lane::Receives(cqe.qp) };
        self.order.push(lane, Pending::Completion(cq, cqe, solicited));
    }

    /// A QP is destroyed: of what is on its way, as much as is drawn has come already, and the rest never comes.
    pub fn close_lanes_of(&mut self, qp: Key<Qp>) {
        for lane in [Lane::Sends(qp), Lane::Receives(qp)] {
            let waiting = self.order.close(lane);
            let come = self.order.draw(waiting.len() as u64 + 1);
            for pending in waiting.into_iter().take(come as usize) {
                if let Pending::Completion(cq, cqe, solicited) = pending {
                    self.queue_completion(cq, cqe, solicited);
                }
            }
        }
    }
}

impl Fabric {
    /// Draws what happens next, and lets it happen. False if nothing waits.
    pub fn act(&mut self) -> bool {
        let Some((lane, pending)) = self.shared.order.next() else { return false };
        match (lane, pending) {
            (Lane::Frames(link, _), Pending::Frame(frame)) => self.deliver(link, &frame),
            (_, Pending::Completion(cq, cqe, solicited)) => self.shared.queue_completion(cq, cqe, solicited),
            (_, Pending::Event(event)) => self.queue_event(event),
            _ => {}
        }
        self.settle();
        true
    }

    /// Lets a drawn number of things happen: after a call, `least` of them at least.
    pub fn act_some(&mut self, least: u32) {
        for _ in 0..least {
            if !self.act() {
                return;
            }
        }
        if self.shared.order.draw(32) == 0 {
            self.shared.order.eager = self.shared.order.draw(4);
        }
        while self.shared.order.draw(4) < self.shared.order.eager && self.act() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_keeps_its_order_and_lanes_are_drawn() {
        let lane = |n| Lane::Frames(Key::from_parts(n, 1), Class::Data);
        let mut orders = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut order = Order::new();
            order.start(seed);
            for (l, n) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
                order.push(lane(l), Pending::Frame(vec![n]));
            }
            let mut seen = Vec::new();
            while let Some((l, Pending::Frame(f))) = order.next() {
                seen.push((l, f[0]));
            }
            let of = |l| seen.iter().filter(|s| s.0 == lane(l)).map(|s| s.1).collect::<Vec<_>>();
            assert_eq!((of(1), of(2)), (vec![1, 2], vec![1, 2]));
            orders.insert(seen);
        }
        assert_eq!(orders.len(), 6, "all interleavings of two and two");
    }
}
