//! The connection manager behind librdmacm: identifiers, what they say to each other, and the events that come of it.
//!
//! Which event comes when, and with which numbers in it, is what the Linux kernel's rdma_cm gives for an InfiniBand-style device
//! (RoCE): see the README's table. An event is queued on the channel that its identifier is on at that moment.

#![allow(unsafe_code)]

pub mod attributes;
pub mod message;

use std::collections::VecDeque;
use std::net::SocketAddr;

use rdma_sys::{rdma_cm_event_type as event_type, rdma_cm_id, rdma_event_channel};

use crate::fabric::link::{Far, Link};
use crate::fabric::objects::{Bell, BellOf};
use crate::fabric::slab::{Key, Slab};
use crate::fabric::timers::Timer;
use crate::fabric::wire::{Header, Kind};
use crate::fabric::{Dial, Fabric};
use message::{Message, REJ_PRIVATE, REP_PRIVATE, REQ_PRIVATE, Say, reason};

/// How long the peer's CM may stay silent: what the kernel's retries add up to.
const PEER_TIMEOUT: u64 = 70_000_000_000;
/// How long a connection rests after its end.
const TIMEWAIT: u64 = 500_000_000;
/// How long a TCP connection may take to be established.
const DIAL: u64 = 4_000_000_000;
/// How long whoever called may take to say what it wants: it may have been told to delay that.
const GREETING: u64 = 120_000_000_000;
/// After how long a request that found nobody is made once more.
const ASK_AGAIN: u64 = 50_000_000;
/// How many TCP ports stand for an RDMA port.
pub const PORT_ATTEMPTS: u32 = 4;

/// Where an identifier is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum State {
    Idle,
    Bound,
    AddrResolved,
    RouteResolved,
    Listening,
    /// Active: the request is out.
    ReqSent,
    /// Active: the reply is here; RTU is not sent yet.
    RepReceived,
    /// Passive: a request is here.
    ReqReceived,
    /// Passive: the reply is out.
    RepSent,
    Established,
    /// The program disconnected first.
    DreqSent,
    /// The peer disconnected, or is dead.
    DreqReceived,
    TimeWait,
    /// Rejected, unreachable, or over.
    Closed,
}

/// The connection parameters of an event.
#[derive(Clone, Debug, Default)]
pub struct Param {
    /// Private data, padded as the real one pads it.
    pub private: Vec<u8>,
    /// As the program is to see it: the peer's initiator depth.
    pub responder_resources: u8,
    /// As the program is to see it: the peer's responder resources.
    pub initiator_depth: u8,
    /// As the peer gave it.
    pub flow_control: u8,
    /// As the peer gave it.
    pub retry_count: u8,
    /// As the peer gave it.
    pub rnr_retry_count: u8,
    /// As the peer gave it.
    pub srq: u8,
    /// The peer's QP.
    pub qp_num: u32,
}

/// An event that waits to be fetched.
#[derive(Debug)]
pub struct Event {
    /// What it is about; for a connection request, the new identifier.
    pub id: Key<CmId>,
    /// For a connection request: who listened.
    pub listener: Option<Key<CmId>>,
    /// `enum rdma_cm_event_type`.
    pub kind: u32,
    /// 0, a negative errno, or a reject reason.
    pub status: i32,
    /// See [`Param`].
    pub param: Param,
}

/// An event channel.
pub struct EventChannel {
    /// The C struct.
    pub cell: *mut rdma_event_channel,
    /// Its file descriptor, which counts `events`.
    pub bell: Bell,
    /// Events to be fetched.
    pub events: VecDeque<Event>,
    /// Identifiers on it.
    pub children: u32,
    /// Made for a synchronous identifier.
    pub internal: bool,
    /// Creation order.
    pub serial: u64,
}

/// A connection identifier.
pub struct CmId {
    /// The C struct; null until the program fetched the request that made it.
    pub cell: *mut rdma_cm_id,
    /// Where its events go.
    pub channel: Key<EventChannel>,
    /// `enum rdma_port_space`.
    pub space: u32,
    /// See [`State`].
    pub state: State,
    /// Its own address.
    pub source: Option<SocketAddr>,
    /// The peer's address.
    pub target: Option<SocketAddr>,
    /// The interface of a link-local target.
    pub scope: u32,
    /// The way to the peer.
    pub link: Option<Key<Link>>,
    /// Who listened, until the program fetched the request.
    pub listener: Option<Key<CmId>>,
    /// Listening: how many requests may wait to be fetched, and how many do.
    pub backlog: (u32, u32),
    /// Our QP's number, as told to the peer.
    pub own_qpn: u32,
    /// The peer's QP's number.
    pub peer_qpn: u32,
    /// RDMA READs that we answer at once.
    pub responder_resources: u8,
    /// RDMA READs that we ask at once.
    pub initiator_depth: u8,
    /// Transport retries.
    pub retry_count: u8,
    /// RNR retries: what the peer asked for.
    pub rnr_retry_count: u8,
    /// The message that asks, kept until the way is open.
    pub request: Option<Message>,
    /// Which TCP port is tried.
    pub attempt: u32,
    /// Nobody was found, and the round of ports is tried once more.
    pub asked_again: bool,
    /// Events fetched and not acknowledged.
    pub unacked: u32,
    /// Synchronous: calls wait for their event themselves.
    pub sync: bool,
    /// Bringing up the QP failed: the peer's answers to that are not shown.
    pub connect_error: bool,
    /// Options: type of service, ACK timeout, address reuse, this family only.
    pub options: Options,
    /// The timer that runs for what it waits for.
    pub timer: Option<u64>,
    /// Creation order.
    pub serial: u64,
}

/// What `rdma_set_option` set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// RDMA_OPTION_ID_TOS.
    pub tos: u8,
    /// RDMA_OPTION_ID_ACK_TIMEOUT.
    pub ack_timeout: Option<u8>,
    /// RDMA_OPTION_ID_REUSEADDR.
    pub reuse: bool,
    /// RDMA_OPTION_ID_AFONLY.
    pub only_family: bool,
}

impl CmId {
    /// An idle identifier.
    pub fn new(cell: *mut rdma_cm_id, channel: Key<EventChannel>, space: u32, serial: u64) -> Self {
        Self {
            cell,
            channel,
            space,
            state: State::Idle,
            source: None,
            target: None,
            scope: 0,
            link: None,
            listener: None,
            backlog: (0, 0),
            own_qpn: 0,
            peer_qpn: 0,
            responder_resources: 0,
            initiator_depth: 0,
            retry_count: 7,
            rnr_retry_count: 7,
            request: None,
            attempt: 0,
            asked_again: false,
            unacked: 0,
            sync: false,
            connect_error: false,
            options: Options::default(),
            timer: None,
            serial,
        }
    }
}

/// All of connection management.
pub struct Cm {
    /// Identifiers.
    pub ids: Slab<CmId>,
    /// Event channels.
    pub channels: Slab<EventChannel>,
    /// Identifiers that listen.
    pub listeners: Vec<Key<CmId>>,
    /// How long the peer's CM may stay silent, in nanoseconds.
    pub peer_timeout: u64,
    /// How long a connection rests after its end, in nanoseconds.
    pub timewait: u64,
}

impl Cm {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            ids: Slab::new(),
            channels: Slab::new(),
            listeners: Vec::new(),
            peer_timeout: PEER_TIMEOUT,
            timewait: TIMEWAIT,
        }
    }

    /// Who listens for this address.
    pub fn find_listener(&self, to: SocketAddr, space: u32) -> Option<Key<CmId>> {
        let fits = |id: &CmId| {
            let Some(own) = id.source else { return false };
            let any = own.ip().is_unspecified()
                && (own.is_ipv4() == to.is_ipv4() || (own.is_ipv6() && !id.options.only_family));
            id.state == State::Listening
                && id.space == space
                && own.port() == to.port()
                && (own.ip() == to.ip() || any)
        };
        self.listeners.iter().copied().find(|k| self.ids.get(*k).is_some_and(fits))
    }
}

impl Fabric {
    /// Queues an event on its identifier's channel.
    pub fn cm_event(&mut self, id: Key<CmId>, kind: u32, status: i32, param: Param) {
        self.cm_event_from(id, None, kind, status, param);
    }

    fn cm_event_from(
        &mut self,
        id: Key<CmId>,
        listener: Option<Key<CmId>>,
        kind: u32,
        status: i32,
        param: Param,
    ) {
        let Some(on) = self.cm.ids.get(listener.unwrap_or(id)) else { return };
        let channel = on.channel;
        let Some(c) = self.cm.channels.get_mut(channel) else { return };
        c.events.push_back(Event { id, listener, kind, status, param });
        c.bell.owed += 1;
        self.shared.bells.push(BellOf::Events(channel));
    }

    fn say(&mut self, link: Key<Link>, message: &Message) {
        let bytes = message.encode();
        let header = Header { payload: bytes.len() as u32, ..Header::new(Kind::Cm, 0, 0) };
        self.send(link, &header, |out| out.extend_from_slice(&bytes));
    }

    fn say_from(&mut self, id: Key<CmId>, message: &Message) {
        if let Some(link) = self.cm.ids.get(id).and_then(|i| i.link) {
            self.say(link, message);
        }
    }

    fn cm_timer(&mut self, id: Key<CmId>, after: u64) {
        self.stop_cm_timer(id);
        if let Some(i) = self.cm.ids.get_mut(id) {
            i.timer = Some(self.timers.set(self.clock.now() + after, Timer::Cm(id)));
        }
    }

    fn stop_cm_timer(&mut self, id: Key<CmId>) {
        if let Some(timer) = self.cm.ids.get_mut(id).and_then(|i| i.timer.take()) {
            self.timers.cancel(timer);
        }
    }

    fn handshake_timer(&mut self, link: Key<Link>, after: u64) {
        if let Some(l) = self.links.get_mut(link) {
            l.timer = Some(self.timers.set(self.clock.now() + after, Timer::Handshake(link)));
        }
    }

    fn stop_handshake_timer(&mut self, link: Key<Link>) {
        if let Some(timer) = self.links.get_mut(link).and_then(|l| l.timer.take()) {
            self.timers.cancel(timer);
        }
    }

    /// `rdma_connect`: asks the peer. `ask` is the request, without addresses.
    pub fn cm_connect(&mut self, key: Key<CmId>, ask: Message) -> Result<(), i32> {
        let id = self.cm.ids.get_mut(key).ok_or(libc::EINVAL)?;
        let (State::RouteResolved, Some(source), Some(target)) = (id.state, id.source, id.target) else {
            return Err(libc::EINVAL);
        };
        if ask.private.len() > REQ_PRIVATE {
            return Err(libc::EINVAL);
        }
        id.own_qpn = ask.qpn;
        id.retry_count = ask.retry_count;
        id.responder_resources = ask.responder_resources;
        id.initiator_depth = ask.initiator_depth;
        let request = Message { source: Some(source), target: Some(target), space: id.space as u16, ..ask };
        id.state = State::ReqSent;
        id.attempt = 0;
        let space = id.space;
        self.cm_timer(key, self.cm.peer_timeout);
        if self.cm.find_listener(target, space).is_some() {
            let (near, _) = self.local_pair();
            self.hold_link(key, near);
            self.say(near, &request);
        } else if self.alone {
            if let Some(id) = self.cm.ids.get_mut(key) {
                id.state = State::Closed;
            }
            self.stop_cm_timer(key);
            self.rejected(key, reason::INVALID_SERVICE_ID, Vec::new());
        } else if let Some(id) = self.cm.ids.get_mut(key) {
            id.request = Some(request);
            self.dial(key);
        }
        Ok(())
    }

    fn hold_link(&mut self, id: Key<CmId>, link: Key<Link>) {
        if let Some(l) = self.links.get_mut(link) {
            l.id = Some(id);
        }
        if let Some(i) = self.cm.ids.get_mut(id) {
            i.link = Some(link);
        }
    }

    fn leave_link(&mut self, id: Key<CmId>) {
        let Some(link) = self.cm.ids.get_mut(id).and_then(|i| i.link.take()) else { return };
        if let Some(l) = self.links.get_mut(link) {
            l.id = None;
        }
        self.drop_link_if_unused(link);
    }

    fn dial(&mut self, key: Key<CmId>) {
        let Some(id) = self.cm.ids.get(key) else { return };
        let (Some(source), Some(target)) = (id.source, id.target) else { return };
        let (attempt, scope) = (id.attempt, id.scope);
        let link = self.links.insert(Link::new(Far::Socket));
        self.hold_link(key, link);
        self.handshake_timer(link, DIAL);
        let from = Some(source.ip());
        self.dials.push(Dial { link, from, to: target.ip(), scope, port: target.port(), attempt });
    }

    /// The carrier opened a connection: asks what it was opened for.
    pub fn dial_connected(&mut self, link: Key<Link>) {
        self.stop_handshake_timer(link);
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

    fn next_attempt(&mut self, key: Key<CmId>) {
        self.leave_link(key);
        let Some(id) = self.cm.ids.get_mut(key) else { return };
        if id.state != State::ReqSent {
            return;
        }
        id.attempt += 1;
        if id.attempt < PORT_ATTEMPTS {
            self.dial(key);
        } else if !id.asked_again {
            // A listener that is just about to begin is found by a real CM too, whose answer takes its time.
            id.asked_again = true;
            id.attempt = 0;
            self.timers.set(self.clock.now() + ASK_AGAIN, Timer::Redial(key));
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

    fn unreachable(&mut self, key: Key<CmId>) {
        let Some(id) = self.cm.ids.get_mut(key) else { return };
        if matches!(id.state, State::ReqSent | State::RepSent) {
            id.state = State::Closed;
            self.stop_cm_timer(key);
            self.leave_link(key);
            self.cm_event(key, event_type::RDMA_CM_EVENT_UNREACHABLE, -libc::ETIMEDOUT, Param::default());
        }
    }

    fn rejected(&mut self, key: Key<CmId>, why: u16, mut private: Vec<u8>) {
        private.resize(REJ_PRIVATE, 0);
        let param = Param { private, ..Param::default() };
        self.cm_event(key, event_type::RDMA_CM_EVENT_REJECTED, i32::from(why), param);
    }

    /// A connection attempt took too long, or a caller did not say what it wants.
    pub fn handshake_expired(&mut self, link: Key<Link>) {
        let Some(l) = self.links.get_mut(link) else { return };
        l.timer = None;
        match l.id {
            Some(_) => {
                self.closed_links.push(link);
                self.dial_failed(link, false);
            }
            None => self.close_link(link),
        }
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

    /// `rdma_accept`: replies. `reply` is without addresses.
    pub fn cm_accept(&mut self, key: Key<CmId>, reply: Message) -> Result<(), i32> {
        let id = self.cm.ids.get_mut(key).ok_or(libc::EINVAL)?;
        if id.state != State::ReqReceived || reply.private.len() > REP_PRIVATE {
            return Err(libc::EINVAL);
        }
        id.own_qpn = reply.qpn;
        id.state = State::RepSent;
        self.cm_timer(key, self.cm.peer_timeout);
        self.say_from(key, &reply);
        Ok(())
    }

    /// The QP numbers of a connection are known: its link is found by them.
    pub fn cm_route(&mut self, key: Key<CmId>, own: u32) {
        let Some(id) = self.cm.ids.get_mut(key) else { return };
        id.own_qpn = own;
        let peer = id.peer_qpn;
        if let Some(link) = id.link {
            self.add_route(link, own, peer);
        }
    }

    /// `rdma_reject`.
    pub fn cm_reject(&mut self, key: Key<CmId>, why: u16, private: Vec<u8>) -> Result<(), i32> {
        let id = self.cm.ids.get_mut(key).ok_or(libc::EINVAL)?;
        if !matches!(id.state, State::ReqReceived | State::RepReceived) || private.len() > REJ_PRIVATE {
            return Err(libc::EINVAL);
        }
        id.state = State::Closed;
        self.say_from(key, &Message { reason: why, private, ..Message::new(Say::Rej) });
        self.leave_link(key);
        Ok(())
    }

    /// The active side is ready to use.
    pub fn cm_establish(&mut self, key: Key<CmId>) -> Result<(), i32> {
        let id = self.cm.ids.get_mut(key).ok_or(libc::EINVAL)?;
        if id.state != State::RepReceived {
            return Err(libc::EINVAL);
        }
        id.state = State::Established;
        self.say_from(key, &Message::new(Say::Rtu));
        Ok(())
    }

    /// `rdma_disconnect`, apart from the QP.
    pub fn cm_disconnect(&mut self, key: Key<CmId>) -> Result<(), i32> {
        let id = self.cm.ids.get_mut(key).ok_or(libc::EINVAL)?;
        match id.state {
            State::Established | State::RepSent => {
                id.state = State::DreqSent;
                self.cm_timer(key, self.cm.peer_timeout);
                self.say_from(key, &Message::new(Say::Dreq));
                // A peer that is dead will not reply: its end was noticed, or will be.
                Ok(())
            }
            State::DreqReceived => {
                self.say_from(key, &Message::new(Say::Drep));
                self.enter_timewait(key);
                Ok(())
            }
            State::DreqSent
            | State::TimeWait
            | State::Closed
            | State::ReqSent
            | State::ReqReceived
            | State::RepReceived => Ok(()),
            _ => Err(libc::EINVAL),
        }
    }

    fn enter_timewait(&mut self, key: Key<CmId>) {
        if let Some(id) = self.cm.ids.get_mut(key) {
            id.state = State::TimeWait;
        }
        self.cm_timer(key, self.cm.timewait);
    }

    /// The program is done with an identifier: tells the peer, forgets its events. The identifier itself is the caller's to remove.
    pub fn cm_abandon(&mut self, key: Key<CmId>) {
        let Some(id) = self.cm.ids.get_mut(key) else { return };
        let state = std::mem::replace(&mut id.state, State::Closed);
        let rej = |why| Message { reason: why, ..Message::new(Say::Rej) };
        match state {
            State::Listening => self.cm.listeners.retain(|k| *k != key),
            State::ReqSent => self.say_from(key, &rej(reason::TIMEOUT)),
            State::ReqReceived | State::RepReceived => self.say_from(key, &rej(reason::CONSUMER_DEFINED)),
            State::RepSent => self.say_from(key, &rej(reason::CONSUMER_DEFINED)),
            State::Established => self.say_from(key, &Message::new(Say::Dreq)),
            State::DreqReceived => self.say_from(key, &Message::new(Say::Drep)),
            _ => {}
        }
        self.stop_cm_timer(key);
        self.leave_link(key);
        // Events that were not fetched go, and with them the identifiers that the program never saw.
        let mut orphans = Vec::new();
        for c in self.cm.channels.keys() {
            let Some(c) = self.cm.channels.get_mut(c) else { continue };
            c.events.retain(|e| {
                let mine = e.id == key || e.listener == Some(key);
                if mine && e.listener == Some(key) {
                    orphans.push(e.id);
                }
                !mine
            });
        }
        for orphan in orphans {
            self.cm_abandon(orphan);
            self.cm.ids.remove(orphan);
        }
    }

    /// A message came.
    pub fn cm_message(&mut self, link: Key<Link>, payload: &[u8]) {
        let message = match Message::decode(payload) {
            Ok(message) => message,
            Err(garbage) => {
                crate::log::line(&format!("connection closed: {}", garbage.0));
                self.stop_handshake_timer(link);
                self.closed_links.push(link);
                self.link_ended(link);
                return;
            }
        };
        let holder = self.links.get(link).and_then(|l| l.id);
        match (holder, message.say) {
            (None, Say::Req) => self.take_request(link, message),
            (None, Say::End) => self.drop_link_if_unused(link),
            (None, _) => {}
            (Some(id), _) => self.take_message(id, message),
        }
    }

    fn take_request(&mut self, link: Key<Link>, ask: Message) {
        self.stop_handshake_timer(link);
        let Some(l) = self.links.get(link) else { return };
        let by_socket = l.far == Far::Socket;
        let (Some(source), Some(target)) = (ask.source, ask.target) else { return };
        let listener = self.cm.find_listener(target, u32::from(ask.space));
        let Some((listener, l)) = listener.and_then(|k| self.cm.ids.get_mut(k).map(|l| (k, l))) else {
            let say = if by_socket { Say::NotMine } else { Say::Rej };
            self.say(link, &Message { reason: reason::INVALID_SERVICE_ID, ..Message::new(say) });
            self.drop_link_if_unused(link);
            return;
        };
        if l.backlog.1 >= l.backlog.0 {
            self.say(link, &Message { reason: reason::CONSUMER_DEFINED, ..Message::new(Say::Rej) });
            self.drop_link_if_unused(link);
            return;
        }
        l.backlog.1 += 1;
        let (channel, space, options) = (l.channel, l.space, l.options);
        let serial = self.next_serial();
        let mut id = CmId::new(std::ptr::null_mut(), channel, space, serial);
        id.state = State::ReqReceived;
        id.source = Some(target);
        id.target = Some(source);
        id.listener = Some(listener);
        id.options = options;
        id.peer_qpn = ask.qpn;
        id.responder_resources = ask.initiator_depth;
        id.initiator_depth = ask.responder_resources;
        id.retry_count = ask.retry_count;
        id.rnr_retry_count = ask.rnr_retry_count;
        let id = self.cm.ids.insert(id);
        self.hold_link(id, link);
        let param = param_of(ask, REQ_PRIVATE);
        self.cm_event_from(id, Some(listener), event_type::RDMA_CM_EVENT_CONNECT_REQUEST, 0, param);
    }

    fn take_message(&mut self, key: Key<CmId>, message: Message) {
        let Some(id) = self.cm.ids.get_mut(key) else { return };
        match (message.say, id.state) {
            (Say::Rep, State::ReqSent) => {
                id.state = State::RepReceived;
                id.peer_qpn = message.qpn;
                id.responder_resources = message.initiator_depth;
                id.initiator_depth = message.responder_resources;
                id.rnr_retry_count = message.rnr_retry_count;
                let own = id.own_qpn;
                self.stop_cm_timer(key);
                self.cm_route(key, own);
                let param = Param { retry_count: 0, ..param_of(message, REP_PRIVATE) };
                self.cm_event(key, event_type::RDMA_CM_EVENT_CONNECT_RESPONSE, 0, param);
            }
            (Say::Rtu, State::RepSent) => {
                id.state = State::Established;
                self.stop_cm_timer(key);
                self.cm_event(key, event_type::RDMA_CM_EVENT_ESTABLISHED, 0, Param::default());
            }
            (Say::NotMine, State::ReqSent) => self.next_attempt(key),
            (Say::Rej, State::ReqSent | State::ReqReceived | State::RepSent | State::RepReceived) => {
                self.end_of_attempt(key, message.reason, message.private);
            }
            (Say::End, State::ReqSent | State::ReqReceived | State::RepSent | State::RepReceived) => {
                self.end_of_attempt(key, reason::CONSUMER_DEFINED, Vec::new());
            }
            (Say::Dreq | Say::End, State::Established) => {
                id.state = State::DreqReceived;
                self.cm_event(key, event_type::RDMA_CM_EVENT_DISCONNECTED, 0, Param::default());
            }
            (Say::Dreq, State::RepSent) => {
                // The peer was ready, and is gone already; its RTU is overtaken by this.
                id.state = State::DreqReceived;
                self.stop_cm_timer(key);
                self.cm_event(key, event_type::RDMA_CM_EVENT_ESTABLISHED, 0, Param::default());
                self.cm_event(key, event_type::RDMA_CM_EVENT_DISCONNECTED, 0, Param::default());
            }
            (Say::Dreq, State::DreqSent) => {
                id.state = State::DreqReceived;
                self.stop_cm_timer(key);
                self.cm_event(key, event_type::RDMA_CM_EVENT_DISCONNECTED, 0, Param::default());
            }
            (Say::Drep | Say::End, State::DreqSent) => {
                self.cm_event(key, event_type::RDMA_CM_EVENT_DISCONNECTED, 0, Param::default());
                self.enter_timewait(key);
            }
            _ => {}
        }
    }

    fn end_of_attempt(&mut self, key: Key<CmId>, why: u16, private: Vec<u8>) {
        let Some(id) = self.cm.ids.get_mut(key) else { return };
        id.state = State::Closed;
        let hidden = id.cell.is_null();
        self.stop_cm_timer(key);
        self.leave_link(key);
        // A request that the program has not fetched yet stays what it is: accepting it will fail.
        if !hidden {
            self.rejected(key, why, private);
        }
    }

    /// The time for what an identifier waits for is over.
    pub fn cm_expired(&mut self, key: Key<CmId>) {
        let Some(id) = self.cm.ids.get_mut(key) else { return };
        id.timer = None;
        match id.state {
            State::ReqSent | State::RepSent => self.unreachable(key),
            State::DreqSent => {
                self.cm_event(key, event_type::RDMA_CM_EVENT_DISCONNECTED, 0, Param::default());
                self.enter_timewait(key);
            }
            State::TimeWait => {
                id.state = State::Closed;
                self.leave_link(key);
                self.cm_event(key, event_type::RDMA_CM_EVENT_TIMEWAIT_EXIT, 0, Param::default());
            }
            _ => {}
        }
    }
}

fn param_of(message: Message, room: usize) -> Param {
    let mut private = message.private;
    private.resize(room, 0);
    Param {
        private,
        // What one side asks at most, the other answers at most.
        responder_resources: message.initiator_depth,
        initiator_depth: message.responder_resources,
        flow_control: message.flow_control,
        retry_count: message.retry_count,
        rnr_retry_count: message.rnr_retry_count,
        srq: message.srq,
        qp_num: message.qpn,
    }
}

// SAFETY: the C struct's pointer is only used behind the fabric's lock.
unsafe impl Send for CmId {}
// SAFETY: as above.
unsafe impl Send for EventChannel {}
