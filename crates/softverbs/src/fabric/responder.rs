//! The receiving half of a queue pair: requests are taken strictly in order, checked, carried out, and answered in order.
//!
//! What is wrong with a request puts the QP into error and is told to the requester; which status each side sees follows the
//! InfiniBand specification's error tables for reliable connections.

use super::Fabric;
use super::cq::status;
use super::link::Link;
use super::memory::{self, access};
use super::objects::{Shared, Subject};
use super::qp::{Qp, Response};
use super::slab::Key;
use super::wire::{FRAGMENT, Header, Kind, flag};

const EVENT_QP_REQ_ERR: u32 = 2;
const EVENT_QP_ACCESS_ERR: u32 = 3;
const EVENT_SRQ_LIMIT_REACHED: u32 = 15;
const WC_WITH_IMM: u32 = 2;
const WC_WITH_INV: u32 = 8;
const OPCODE_RECV: u32 = 0;
const OPCODE_RECV_RDMA_WITH_IMM: u32 = 1;

/// Why a request is not carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// No receive is posted.
    NotReady,
    /// It is wrong: what the requester's completion says, and what happens here.
    Wrong {
        /// The requester's status.
        told: u32,
        /// This side's trace of it.
        own: Trace,
    },
}

/// How a refused request shows on the responder's side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trace {
    /// A receive completes with this status.
    Receive(u64, u32),
    /// An asynchronous event.
    Event(u32),
}

const INVALID_REQUEST: Refused =
    Refused::Wrong { told: status::REM_INV_REQ, own: Trace::Event(EVENT_QP_REQ_ERR) };
const ACCESS_DENIED: Refused =
    Refused::Wrong { told: status::REM_ACCESS, own: Trace::Event(EVENT_QP_ACCESS_ERR) };

impl Qp {
    /// Checks an RDMA READ; where its bytes are.
    #[inline]
    pub fn readable(&self, shared: &Shared, rkey: u32, address: u64, length: u32) -> Result<u64, Refused> {
        if self.attr.qp_access_flags & access::REMOTE_READ == 0 || self.attr.max_dest_rd_atomic == 0 {
            return Err(INVALID_REQUEST);
        }
        shared.mrs.remote(self.made.pd, rkey, address, length, access::REMOTE_READ).map_err(|_| ACCESS_DENIED)
    }

    /// Checks an RDMA WRITE; where its bytes go. With immediate data it needs a receive.
    #[inline]
    pub fn writable(
        &self,
        shared: &Shared,
        rkey: u32,
        address: u64,
        length: u32,
        immediate: bool,
    ) -> Result<u64, Refused> {
        if self.attr.qp_access_flags & access::REMOTE_WRITE == 0 {
            return Err(INVALID_REQUEST);
        }
        let to = shared
            .mrs
            .remote(self.made.pd, rkey, address, length, access::REMOTE_WRITE)
            .map_err(|_| ACCESS_DENIED)?;
        if immediate && !self.has_receive(shared) {
            return Err(Refused::NotReady);
        }
        Ok(to)
    }

    fn has_receive(&self, shared: &Shared) -> bool {
        match self.made.srq {
            Some(srq) => shared.srqs.get(srq).is_some_and(|s| s.ring.len() > 0),
            None => self.rq.len() > 0,
        }
    }

    /// Takes the receive for a SEND of `length` bytes; its segments go to the second scratch list. The id of the receive.
    #[inline(always)]
    pub fn open_receive(
        &mut self,
        shared: &mut Shared,
        length: u32,
        invalidate: bool,
        word: u32,
    ) -> Result<u64, Refused> {
        // A shared queue's receives are checked against its own protection domain.
        let (ring, pd) = match self.made.srq {
            Some(srq) => match shared.srqs.get(srq) {
                Some(s) => (&s.ring, s.pd),
                None => return Err(Refused::NotReady),
            },
            None => (&self.rq, self.made.pd),
        };
        let Some((wr_id, list)) = ring.front() else { return Err(Refused::NotReady) };
        let room = memory::total_length(list);
        let found = if room < u64::from(length) {
            Err(Refused::Wrong { told: status::REM_INV_REQ, own: Trace::Receive(wr_id, status::LOC_LEN) })
        } else {
            shared.mrs.segments(pd, list, true, length, &mut self.scratch.1).map_err(|_| Refused::Wrong {
                told: status::REM_OP,
                own: Trace::Receive(wr_id, status::LOC_PROT),
            })
        };
        self.pop_receive(shared);
        found?;
        if invalidate && shared.mrs.invalidate(self.made.pd, word).is_err() {
            return Err(Refused::Wrong {
                told: status::REM_INV_REQ,
                own: Trace::Receive(wr_id, status::LOC_QP_OP),
            });
        }
        Ok(wr_id)
    }

    #[inline(always)]
    fn pop_receive(&mut self, shared: &mut Shared) -> Option<u64> {
        let Some(key) = self.made.srq else { return self.rq.pop() };
        let srq = shared.srqs.get_mut(key)?;
        let wr_id = srq.ring.pop();
        if srq.limit > 0 && srq.ring.len() < srq.limit as usize {
            srq.limit = 0;
            shared.async_event(self.made.context, Subject::Srq(key), EVENT_SRQ_LIMIT_REACHED);
        }
        wr_id
    }

    /// The SEND is in: completes its receive.
    #[inline(always)]
    pub fn finish_receive(&mut self, shared: &mut Shared, wr_id: u64, length: u32, flags: u8, word: u32) {
        let with = match flags & (flag::IMMEDIATE | flag::INVALIDATE) {
            0 => 0,
            flag::IMMEDIATE => WC_WITH_IMM,
            _ => WC_WITH_INV,
        };
        let word = if with == 0 { 0 } else { word };
        if shared.unusual {
            shared.forge_payload(self.made.number, &self.scratch.1);
        }
        let solicited = flags & flag::SOLICITED != 0;
        self.complete_receive(shared, wr_id, status::SUCCESS, OPCODE_RECV, length, word, with, solicited);
    }

    /// The RDMA WRITE with immediate data is in: takes and completes a receive.
    pub fn finish_write_immediate(
        &mut self,
        shared: &mut Shared,
        length: u32,
        word: u32,
        solicited: bool,
    ) -> Result<(), Refused> {
        let wr_id = self.pop_receive(shared).ok_or(Refused::NotReady)?;
        self.complete_receive(
            shared,
            wr_id,
            status::SUCCESS,
            OPCODE_RECV_RDMA_WITH_IMM,
            length,
            word,
            WC_WITH_IMM,
            solicited,
        );
        Ok(())
    }

    /// The peer is to hear when there is a receive.
    pub fn wait_for_receive(&mut self, shared: &mut Shared) {
        self.owes_ready = true;
        if let Some(srq) = self.made.srq.and_then(|s| shared.srqs.get_mut(s))
            && !srq.waiting.contains(&self.made.key)
        {
            srq.waiting.push(self.made.key);
        }
    }

    /// A wrong request: leaves its trace here and goes to error.
    pub fn refuse(&mut self, shared: &mut Shared, own: Trace) {
        match own {
            Trace::Receive(wr_id, how) => {
                self.complete_receive(shared, wr_id, how, OPCODE_RECV, 0, 0, 0, false)
            }
            Trace::Event(event) => shared.async_event(self.made.context, Subject::Qp(self.made.key), event),
        }
        self.inbound.active = false;
        self.enter_error(shared);
    }
}

impl Fabric {
    /// A request came.
    pub fn request(&mut self, link: Key<Link>, header: &Header, payload: &[u8]) {
        let key = self.links.get(link).and_then(|l| l.qp);
        let Some((key, qp)) = key.and_then(|k| self.qps.get_mut(k).map(|q| (k, q))) else {
            self.send(link, &Header::new(Kind::Silent, 0, header.seq), |_| ());
            return;
        };
        if !qp.answers() || header.qpn != qp.made.number {
            self.send(link, &Header::new(Kind::Silent, 0, header.seq), |_| ());
            return;
        }
        if header.seq != qp.expected {
            // Sent before the requester heard of a refusal, and sent again later; or done already, and the answer came late.
            if header.seq < qp.expected && header.is_last() && header.kind != Kind::Read {
                let done = qp.expected - 1;
                self.acknowledge(key, done);
            }
            return;
        }
        let done = match header.kind {
            Kind::Read => self.begin_read(key, header),
            _ => self.fragment(key, header, payload),
        };
        match done {
            Ok(()) => {}
            Err(Refused::NotReady) => self.not_ready(key, header.seq),
            Err(Refused::Wrong { told, own }) => {
                let Some(qp) = self.qps.get_mut(key) else { return };
                let nak = Header { word: told, ..Header::new(Kind::Nak, qp.attr.dest_qp_num, header.seq) };
                qp.refuse(&mut self.shared, own);
                self.send(link, &nak, |_| ());
            }
        }
    }

    /// The peer hears of it after what it has asked to read before: an answer that came too soon would mean nothing to it.
    fn not_ready(&mut self, key: Key<Qp>, seq: u64) {
        let Some(qp) = self.qps.get_mut(key) else { return };
        qp.inbound.active = false;
        qp.wait_for_receive(&mut self.shared);
        // The last word on it is all that counts, however often a peer that does not listen asks.
        qp.responses.retain(|r| !matches!(r, Response::NotReady(_) | Response::Ready(_)));
        qp.responses.push_back(Response::NotReady(seq));
        self.respond(key);
    }

    /// A part of a SEND or RDMA WRITE, the next one that is expected.
    fn fragment(&mut self, key: Key<Qp>, header: &Header, payload: &[u8]) -> Result<(), Refused> {
        let Some(qp) = self.qps.get_mut(key) else { return Ok(()) };
        let shared = &mut self.shared;
        let immediate = header.flags & flag::IMMEDIATE != 0;
        if !qp.inbound.active {
            if header.offset != 0 {
                // What is left of a message that was refused for want of a receive.
                return Ok(());
            }
            if header.kind == Kind::Send {
                let invalidate = header.flags & flag::INVALIDATE != 0;
                let list = qp.peek_receive(shared);
                let wr_id = qp.open_receive(shared, header.total, invalidate, header.word)?;
                qp.inbound.wr_id = wr_id;
                qp.inbound.sges = list;
            } else {
                qp.writable(shared, header.rkey, header.address, header.total, immediate)?;
            }
            qp.inbound.active = true;
            qp.inbound.send = header.kind == Kind::Send;
            qp.inbound.total = header.total;
            qp.inbound.offset = 0;
        }
        if (header.kind == Kind::Send, header.total) != (qp.inbound.send, qp.inbound.total) {
            // The peer changed its mind in the middle of a message.
            return Err(if qp.inbound.send {
                let own = Trace::Receive(qp.inbound.wr_id, status::LOC_QP_OP);
                Refused::Wrong { told: status::REM_INV_REQ, own }
            } else {
                INVALID_REQUEST
            });
        }
        if header.offset == 0 {
            // Sent again from its start, after the requester took this side for silent.
            qp.inbound.offset = 0;
        }
        if header.offset != qp.inbound.offset {
            return Ok(());
        }
        if header.kind == Kind::Send {
            let wr_id = qp.inbound.wr_id;
            let list = std::mem::take(&mut qp.inbound.sges);
            let pd = qp.made.srq.and_then(|k| shared.srqs.get(k)).map_or(qp.made.pd, |s| s.pd);
            let found = shared.mrs.segments(pd, &list, true, header.total, &mut qp.scratch.1);
            qp.inbound.sges = list;
            if found.is_err() {
                let own = Trace::Receive(wr_id, status::LOC_PROT);
                return Err(Refused::Wrong { told: status::REM_OP, own });
            }
        } else {
            let address = header.address.wrapping_add(u64::from(header.offset));
            let to = qp.writable(shared, header.rkey, address, header.payload, false)?;
            qp.scratch.1.set(to, header.payload);
        }
        let at = if header.kind == Kind::Send { header.offset } else { 0 };
        memory::scatter(payload, at, &qp.scratch.1);
        qp.inbound.offset += header.payload;
        if !header.is_last() {
            return Ok(());
        }
        if header.kind == Kind::Send {
            let wr_id = qp.inbound.wr_id;
            qp.finish_receive(shared, wr_id, header.total, header.flags, header.word);
        } else if immediate {
            let solicited = header.flags & flag::SOLICITED != 0;
            qp.finish_write_immediate(shared, header.total, header.word, solicited)?;
        }
        qp.inbound.active = false;
        qp.expected += 1;
        self.acknowledge(key, header.seq);
        Ok(())
    }

    fn acknowledge(&mut self, key: Key<Qp>, seq: u64) {
        let Some(qp) = self.qps.get_mut(key) else { return };
        if qp.ack_due.replace(seq).is_none() {
            self.shared.acks.push(key);
        }
    }

    fn begin_read(&mut self, key: Key<Qp>, header: &Header) -> Result<(), Refused> {
        let Some(qp) = self.qps.get_mut(key) else { return Ok(()) };
        qp.readable(&self.shared, header.rkey, header.address, header.total)?;
        let waiting = qp.responses.iter().filter(|r| matches!(r, Response::Read { .. })).count();
        if waiting >= usize::from(qp.attr.max_dest_rd_atomic) {
            return Err(INVALID_REQUEST);
        }
        qp.expected += 1;
        // The answer acknowledges all before it.
        qp.ack_due = None;
        qp.responses.push_back(Response::Read {
            seq: header.seq,
            address: header.address,
            rkey: header.rkey,
            offset: 0,
            total: header.total,
        });
        self.respond(key);
        Ok(())
    }

    /// Sends the acknowledgements that are due, one for each QP.
    pub fn send_acks(&mut self) {
        while let Some(key) = self.shared.acks.pop() {
            let Some(qp) = self.qps.get_mut(key) else { continue };
            let Some(seq) = qp.ack_due.take() else { continue };
            // The later one says all that the earlier one would.
            match qp.responses.back_mut() {
                Some(Response::Ack(last)) => *last = seq,
                _ => qp.responses.push_back(Response::Ack(seq)),
            }
            self.respond(key);
        }
    }

    /// Sends the answers that wait, as far as there is room.
    pub fn respond(&mut self, key: Key<Qp>) {
        loop {
            let Some(qp) = self.qps.get_mut(key) else { return };
            let Some(link) = qp.link else { return };
            let to = qp.attr.dest_qp_num;
            match qp.responses.front_mut() {
                None => return,
                Some(&mut Response::Ack(seq)) => {
                    qp.responses.pop_front();
                    self.send(link, &Header::new(Kind::Ack, to, seq), |_| ());
                }
                Some(&mut Response::NotReady(seq)) => {
                    let timer = u32::from(qp.attr.min_rnr_timer);
                    qp.responses.pop_front();
                    let header = Header { word: timer, ..Header::new(Kind::ReceiverNotReady, to, seq) };
                    self.send(link, &header, |_| ());
                }
                Some(&mut Response::Ready(seq)) => {
                    qp.responses.pop_front();
                    self.send(link, &Header::new(Kind::ReceiverReady, to, seq), |_| ());
                }
                Some(Response::Read { seq, address, rkey, offset, total }) => {
                    if !self.links.get(link).is_some_and(Link::has_room) {
                        return;
                    }
                    let header = Header {
                        offset: *offset,
                        payload: FRAGMENT.min(*total - *offset),
                        total: *total,
                        ..Header::new(Kind::ReadData, to, *seq)
                    };
                    let (from, rkey) = (address.wrapping_add(u64::from(*offset)), *rkey);
                    *offset += header.payload;
                    if header.is_last() {
                        qp.responses.pop_front();
                    }
                    match qp.readable(&self.shared, rkey, from, header.payload) {
                        Ok(from) => {
                            let segment = memory::Segments::one(from, header.payload);
                            self.send(link, &header, |out| memory::gather(&segment, 0, header.payload, out));
                        }
                        Err(Refused::Wrong { told, own }) => {
                            let nak = Header { word: told, ..Header::new(Kind::Nak, to, header.seq) };
                            qp.refuse(&mut self.shared, own);
                            self.send(link, &nak, |_| ());
                            return;
                        }
                        Err(Refused::NotReady) => return,
                    }
                }
            }
        }
    }

    /// Tells peers that wait for a receive that there is one.
    pub fn send_ready(&mut self) {
        while let Some(key) = self.shared.ready.pop() {
            let Some(qp) = self.qps.get_mut(key) else { continue };
            if !std::mem::take(&mut qp.owes_ready) {
                continue;
            }
            qp.responses.push_back(Response::Ready(qp.expected));
            self.respond(key);
        }
    }

    /// Tells the peers of QPs that went to error or away that there will be no more answers.
    pub fn send_silence(&mut self) {
        while let Some(key) = self.shared.silent.pop() {
            self.tell_silence(key);
        }
    }

    /// Tells the peer of one QP.
    pub fn tell_silence(&mut self, key: Key<Qp>) {
        let Some(qp) = self.qps.get(key) else { return };
        let header = Header::new(Kind::Silent, qp.attr.dest_qp_num, 0);
        if let Some(link) = qp.link {
            self.send(link, &header, |_| ());
        }
    }
}

impl Qp {
    /// A copy of the segments of the receive that is next.
    fn peek_receive(&mut self, shared: &Shared) -> Vec<rdma_sys::ibv_sge> {
        let mut list = std::mem::take(&mut self.inbound.sges);
        list.clear();
        let ring = match self.made.srq {
            Some(srq) => shared.srqs.get(srq).map(|s| &s.ring),
            None => Some(&self.rq),
        };
        if let Some((_, sges)) = ring.and_then(|r| r.front()) {
            list.extend_from_slice(sges);
        }
        list
    }
}
