//! How a request gets to whom it is for: connections that are opened, and those that come in.

use rdma_sys::rdma_cm_event_type as event_type;

use super::message::{REJ_PRIVATE, reason};
use super::{CmId, Param, State};
use crate::fabric::link::{Far, Link};
use crate::fabric::slab::Key;
use crate::fabric::timers::Timer;
use crate::fabric::wire::Garbage;
use crate::fabric::{Dial, Door, Fabric};

/// How long a TCP connection may take to be established.
const DIAL: u64 = 4_000_000_000;
/// How long whoever called may take to say what it wants: it may have been told to delay that.
const GREETING: u64 = 120_000_000_000;
/// After how long a request that found nobody is made again, the first time; then twice as long each time. A listener that is
/// just about to begin is found by a real CM too, whose messages take their time: perftest's two sides begin at the same moment.
const ASK_AGAIN: u64 = 10_000_000;
/// How often: 0.3 seconds in all.
const ASK_AGAIN_TIMES: u32 = 5;
/// How many TCP ports stand for an RDMA port.
pub const PORT_ATTEMPTS: u32 = 4;

impl Fabric {
    pub(super) fn dial(&mut self, key: Key<CmId>) {
        let Some(id) = self.cm.ids.get(key) else { return };
        let (Some(source), Some(target)) = (id.source, id.target) else { return };
        let (attempt, scope) = (id.attempt, id.scope);
        let link = self.links.insert(Link::new(Far::Socket));
        self.hold_link(key, link);
        self.handshake_timer(link, DIAL);
        let from = Some(source.ip());
        let door = Door::RdmaPort(target.port());
        self.dials.push(Dial { link, from, to: target.ip(), scope, door, attempt });
    }

    /// The carrier opened a connection: asks what it was opened for.
    pub fn dial_connected(&mut self, link: Key<Link>) {
        self.stop_handshake_timer(link);
        if let Some(qp) = self.links.get(link).and_then(|l| l.asks) {
            return self.ask_now(link, qp);
        }
        let Some(id) = self.links.get(link).and_then(|l| l.id) else {
            self.drop_link_if_unused(link);
            return;
        };
        if let Some(request) = self.cm.ids.get(id).and_then(|i| i.request.clone()) {
            self.say(link, &request);
        }
    }

    /// The carrier could not open a connection. `refused`: there is such a machine, but nobody behind that TCP port.
    pub fn dial_failed(&mut self, link: Key<Link>, refused: bool) {
        self.stop_handshake_timer(link);
        let Some(l) = self.links.get_mut(link) else { return };
        l.far = Far::Gone;
        if let Some(qp) = l.asks {
            return self.ask_failed(link, qp);
        }
        let Some(id) = l.id else {
            self.drop_link_if_unused(link);
            return;
        };
        if refused {
            self.next_attempt(id);
        } else {
            self.unreachable(id);
        }
    }

    pub(super) fn next_attempt(&mut self, key: Key<CmId>) {
        self.leave_link(key);
        let Some(id) = self.cm.ids.get_mut(key) else { return };
        if id.state != State::ReqSent {
            return;
        }
        id.attempt += 1;
        if id.attempt < PORT_ATTEMPTS {
            self.dial(key);
        } else if id.asked_again < ASK_AGAIN_TIMES {
            let pause = ASK_AGAIN << id.asked_again;
            id.asked_again += 1;
            id.attempt = 0;
            self.timers.set(self.clock.now() + pause, Timer::Redial(key));
        } else {
            id.state = State::Closed;
            self.stop_cm_timer(key);
            self.rejected(key, reason::INVALID_SERVICE_ID, Vec::new());
        }
    }

    /// Asks once more, after nobody was found.
    pub fn redial(&mut self, key: Key<CmId>) {
        if self.cm.ids.get(key).is_some_and(|i| i.state == State::ReqSent && i.link.is_none()) {
            self.dial(key);
        }
    }

    pub(super) fn unreachable(&mut self, key: Key<CmId>) {
        let Some(id) = self.cm.ids.get_mut(key) else { return };
        if matches!(id.state, State::ReqSent | State::RepSent) {
            id.state = State::Closed;
            self.stop_cm_timer(key);
            self.leave_link(key);
            self.cm_event(key, event_type::RDMA_CM_EVENT_UNREACHABLE, -libc::ETIMEDOUT, Param::default());
        }
    }

    pub(super) fn rejected(&mut self, key: Key<CmId>, why: u16, mut private: Vec<u8>) {
        private.resize(REJ_PRIVATE, 0);
        let param = Param { private, ..Param::default() };
        self.cm_event(key, event_type::RDMA_CM_EVENT_REJECTED, i32::from(why), param);
    }

    /// A connection attempt took too long, or a caller did not say what it wants.
    pub fn handshake_expired(&mut self, link: Key<Link>) {
        let Some(l) = self.links.get_mut(link) else { return };
        l.timer = None;
        if l.id.is_some() || l.asks.is_some() {
            self.closed_links.push(link);
            self.dial_failed(link, false);
        } else {
            self.close_link(link);
        }
    }

    /// Gives a socket up whose bytes are not of this protocol.
    pub fn close_for_garbage(&mut self, link: Key<Link>, garbage: Garbage) {
        let peer = self.links.get(link).and_then(|l| l.peer);
        let from = peer.map_or("within this process".to_owned(), |p| format!("from {p}"));
        crate::log::line(&format!("connection closed: {}, {from}", garbage.0));
        self.stop_handshake_timer(link);
        self.closed_links.push(link);
        self.link_ended(link);
    }

    /// Gives a socket up.
    pub fn close_link(&mut self, link: Key<Link>) {
        self.stop_handshake_timer(link);
        self.closed_links.push(link);
        self.link_ended(link);
        self.settle();
    }

    /// The carrier accepted a connection: the link for it.
    pub fn accepted(&mut self) -> Key<Link> {
        let key = self.links.insert(Link::new(Far::Socket));
        self.handshake_timer(key, GREETING);
        key
    }

    /// Gives a handshake its time, from now on.
    pub fn handshake_timer(&mut self, link: Key<Link>, after: u64) {
        self.stop_handshake_timer(link);
        if let Some(l) = self.links.get_mut(link) {
            l.timer = Some(self.timers.set(self.clock.now() + after, Timer::Handshake(link)));
        }
    }

    /// A handshake came to its end.
    pub fn stop_handshake_timer(&mut self, link: Key<Link>) {
        if let Some(timer) = self.links.get_mut(link).and_then(|l| l.timer.take()) {
            self.timers.cancel(timer);
        }
    }
}
