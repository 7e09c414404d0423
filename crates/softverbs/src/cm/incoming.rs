//! What peers say, and what their silence means.

use rdma_sys::rdma_cm_event_type as event_type;

use super::message::{Message, REP_PRIVATE, REQ_PRIVATE, Say, reason};
use super::{CmId, Param, State};
use crate::fabric::Fabric;
use crate::fabric::link::{Far, Link};
use crate::fabric::slab::Key;

impl Fabric {
    /// A message came.
    pub fn cm_message(&mut self, link: Key<Link>, payload: &[u8]) {
        let message = match Message::decode(payload) {
            Ok(message) => message,
            Err(garbage) => return self.close_for_garbage(link, garbage),
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
