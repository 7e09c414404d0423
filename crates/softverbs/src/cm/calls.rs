//! What a program asks of its identifiers.

use rdma_sys::rdma_cm_event_type as event_type;

use super::message::{Message, REJ_PRIVATE, REP_PRIVATE, REQ_PRIVATE, Say, reason};
use super::{CmId, Event, Param, State};
use crate::fabric::Fabric;
use crate::fabric::link::Link;
use crate::fabric::objects::BellOf;
use crate::fabric::slab::Key;
use crate::fabric::timers::Timer;
use crate::fabric::wire::{Header, Kind};

impl Fabric {
    /// Queues an event on its identifier's channel.
    pub fn cm_event(&mut self, id: Key<CmId>, kind: u32, status: i32, param: Param) {
        self.cm_event_from(id, None, kind, status, param);
    }

    pub(super) fn cm_event_from(
        &mut self,
        id: Key<CmId>,
        listener: Option<Key<CmId>>,
        kind: u32,
        status: i32,
        param: Param,
    ) {
        let event = Event { id, listener, kind, status, param };
        if self.shared.unusual {
            return self.event_comes_unusually(event);
        }
        self.queue_event(event);
    }

    /// Queues an event that comes now.
    pub fn queue_event(&mut self, event: Event) {
        let Some(on) = self.cm.ids.get(event.listener.unwrap_or(event.id)) else { return };
        let channel = on.channel;
        let Some(c) = self.cm.channels.get_mut(channel) else { return };
        c.events.push_back(event);
        c.bell.owed += 1;
        self.shared.bells.push(BellOf::Events(channel));
    }

    pub(super) fn say(&mut self, link: Key<Link>, message: &Message) {
        let bytes = message.encode();
        let header = Header { payload: bytes.len() as u32, ..Header::new(Kind::Cm, 0, 0) };
        self.send(link, &header, |out| out.extend_from_slice(&bytes));
    }

    pub(super) fn say_from(&mut self, id: Key<CmId>, message: &Message) {
        if let Some(link) = self.cm.ids.get(id).and_then(|i| i.link) {
            self.say(link, message);
        }
    }

    pub(super) fn cm_timer(&mut self, id: Key<CmId>, after: u64) {
        self.stop_cm_timer(id);
        if let Some(i) = self.cm.ids.get_mut(id) {
            i.timer = Some(self.timers.set(self.clock.now() + after, Timer::Cm(id)));
        }
    }

    /// Nothing is waited for any more.
    pub fn stop_cm_timer(&mut self, id: Key<CmId>) {
        if let Some(timer) = self.cm.ids.get_mut(id).and_then(|i| i.timer.take()) {
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
        if self.shared.unusual
            && let Some(why) = self.reject_asked_for()
        {
            if let Some(id) = self.cm.ids.get_mut(key) {
                id.state = State::Closed;
            }
            self.rejected(key, why, Vec::new());
            return Ok(());
        }
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

    pub(super) fn hold_link(&mut self, id: Key<CmId>, link: Key<Link>) {
        if let Some(l) = self.links.get_mut(link) {
            l.id = Some(id);
        }
        if let Some(i) = self.cm.ids.get_mut(id) {
            i.link = Some(link);
        }
    }

    /// An identifier leaves its way.
    pub fn leave_link(&mut self, id: Key<CmId>) {
        let Some(link) = self.cm.ids.get_mut(id).and_then(|i| i.link.take()) else { return };
        if let Some(l) = self.links.get_mut(link) {
            l.id = None;
        }
        self.drop_link_if_unused(link);
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

    /// `rdma_notify`: the program saw an event of its QP from which the connection follows before its last message came.
    pub fn cm_notify(&mut self, key: Key<CmId>, event: u32) -> Result<(), i32> {
        const EVENT_COMM_EST: u32 = 4;
        const EVENT_PATH_MIG: u32 = 6;
        let id = self.cm.ids.get_mut(key).ok_or(libc::EINVAL)?;
        match (event, id.state) {
            (EVENT_COMM_EST, State::RepSent) => {
                id.state = State::Established;
                self.stop_cm_timer(key);
                self.cm_event(key, event_type::RDMA_CM_EVENT_ESTABLISHED, 0, Param::default());
                Ok(())
            }
            (EVENT_COMM_EST, State::Established) => Err(libc::EISCONN),
            (EVENT_PATH_MIG, State::Established) => Ok(()),
            _ => Err(libc::EINVAL),
        }
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

    pub(super) fn enter_timewait(&mut self, key: Key<CmId>) {
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
        let mine = |e: &Event| e.id == key || e.listener == Some(key);
        let undrawn = self.shared.order.take_events(mine);
        orphans.extend(undrawn.iter().filter(|e| e.listener == Some(key)).map(|e| e.id));
        for orphan in orphans {
            self.cm_abandon(orphan);
            self.cm.ids.remove(orphan);
        }
    }
}
