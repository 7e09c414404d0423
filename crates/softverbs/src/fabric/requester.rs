//! The sending half of a queue pair: sends go out in order, answers complete them in order.
//!
//! Between two QPs of one process, with no delay set and nothing on the way, a send is carried out at once (`direct`). Else it
//! becomes frames (`emit`), and answers complete it (`answer`).

use super::Fabric;
use super::cq::status;
use super::link::{Far, Link};
use super::memory;
use super::objects::Shared;
use super::qp::{Qp, SendSlot, opcode, send_flag};
use super::responder::Refused;
use super::slab::Key;
use super::timers::Timer;
use super::wire::{FRAGMENT, Header, Kind, flag};

/// Nanoseconds of each RNR timer code (InfiniBand specification, encoding for RNR NAK timer field), in units of 10 us.
const RNR_TIMER: [u64; 32] = [
    65536, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048,
    3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152,
];

/// Whether a request went out and the next one may follow.
#[derive(PartialEq, Eq)]
enum Went {
    Yes,
    No,
}

impl Fabric {
    /// Sends all that may be sent now.
    #[inline]
    pub fn pump(&mut self, key: Key<Qp>) {
        loop {
            let Some(qp) = self.qps.get(key) else { return };
            let Some(_) = qp.sendable() else { return };
            let settled = qp.una == qp.next;
            let link_key = qp.link;
            let went = match link_key.and_then(|l| self.links.get(l)) {
                Some(Link { far: Far::Local(peer), .. }) if settled && !self.slow => {
                    match self.links.get(*peer) {
                        Some(Link { coming: 0, qp: Some(other), .. }) => {
                            let other = *other;
                            self.direct(key, other)
                        }
                        _ => self.emit(key),
                    }
                }
                Some(Link { far: Far::Gone, .. }) | None => {
                    self.await_silence(key);
                    Went::No
                }
                Some(_) => self.emit(key),
            };
            if went == Went::No {
                return;
            }
        }
    }

    /// Carries out the next send of `a` on its peer `b` at once.
    #[inline(always)]
    fn direct(&mut self, a: Key<Qp>, b: Key<Qp>) -> Went {
        let Some((qa, qb)) = self.qps.get_two(a, b) else { return Went::No };
        let shared = &mut self.shared;
        let seq = qa.next;
        let reads = qa.slot(seq).is_some_and(|s| s.opcode == opcode::READ);
        let slot = match qa.find_send(shared, seq, reads) {
            Ok(slot) => slot,
            Err(how) => {
                qa.fail_send(shared, how);
                return Went::No;
            }
        };
        if !qb.answers() || qb.expected != seq {
            // Done already, if the answer was lost: sent again, it is answered again.
            let again = qb.answers() && qb.expected > seq;
            self.await_silence(a);
            return if again { self.emit(a) } else { Went::No };
        }
        if reads && qa.attr.max_rd_atomic == 0 {
            qa.fail_send(shared, status::LOC_QP_OP);
            return Went::No;
        }
        match carry_out(qa, qb, shared, &slot) {
            Ok(()) => {
                qb.expected = seq + 1;
                qa.next = seq + 1;
                qa.complete_send(shared, status::SUCCESS);
                if qa.next == qa.tail { Went::No } else { Went::Yes }
            }
            Err(Refused::NotReady) => {
                let timer = qb.attr.min_rnr_timer;
                qb.wait_for_receive(shared);
                self.receiver_not_ready(a, timer);
                Went::No
            }
            Err(Refused::Wrong { told, own }) => {
                qb.refuse(shared, own);
                qa.fail_send(shared, told);
                Went::No
            }
        }
    }

    /// Sends the next fragment or request as a frame.
    fn emit(&mut self, key: Key<Qp>) -> Went {
        let Some(qp) = self.qps.get_mut(key) else { return Went::No };
        let Some(link_key) = qp.link else { return Went::No };
        if !self.links.get(link_key).is_some_and(Link::has_room) {
            return Went::No;
        }
        let seq = qp.next;
        let reads = qp.slot(seq).is_some_and(|s| s.opcode == opcode::READ);
        let slot = match qp.find_send(&self.shared, seq, reads) {
            Ok(_) if reads && qp.attr.max_rd_atomic == 0 => {
                self.fail_in_turn(key, seq, status::LOC_QP_OP);
                return Went::No;
            }
            Ok(slot) => slot,
            Err(how) => {
                self.fail_in_turn(key, seq, how);
                return Went::No;
            }
        };
        if slot.flags & send_flag::FENCE != 0 && qp.reads > 0 && qp.sent == 0 {
            return Went::No;
        }
        let mut header = Header {
            flags: wire_flags(&slot),
            word: slot.word,
            address: slot.address,
            rkey: slot.rkey,
            total: slot.length,
            ..Header::new(Kind::Send, qp.attr.dest_qp_num, seq)
        };
        if reads {
            if qp.reads >= u32::from(qp.attr.max_rd_atomic) {
                return Went::No;
            }
            qp.reads += 1;
            qp.next += 1;
            if let Some(slot) = qp.slot_mut(seq) {
                slot.progress = 0;
            }
            header.kind = Kind::Read;
            self.send(link_key, &header, |_| ());
            return Went::Yes;
        }
        if matches!(slot.opcode, opcode::WRITE | opcode::WRITE_IMM) {
            header.kind = Kind::Write;
        }
        header.offset = qp.sent;
        header.payload = FRAGMENT.min(slot.length - qp.sent);
        if header.is_last() {
            qp.next += 1;
            qp.sent = 0;
        } else {
            qp.sent += header.payload;
        }
        let segments = std::mem::take(&mut qp.scratch.0);
        self.send(link_key, &header, |out| memory::gather(&segments, header.offset, header.payload, out));
        if let Some(qp) = self.qps.get_mut(key) {
            qp.scratch.0 = segments;
        }
        Went::Yes
    }

    /// Send `seq` failed before it went out: it is reported once all before it are done.
    fn fail_in_turn(&mut self, key: Key<Qp>, seq: u64, how: u32) {
        let Some(qp) = self.qps.get_mut(key) else { return };
        if qp.una == seq {
            qp.fail_send(&mut self.shared, how);
        } else {
            qp.failed = Some((seq, how));
        }
    }

    /// An answer came.
    pub fn answer(&mut self, link: Key<Link>, header: &Header, payload: &[u8]) {
        let Some(key) = self.links.get(link).and_then(|l| l.qp) else { return };
        let Some(qp) = self.qps.get_mut(key) else { return };
        if header.kind == Kind::Silent {
            self.await_silence(key);
            return;
        }
        if header.qpn != qp.made.number || !qp.sends() {
            return;
        }
        if header.kind == Kind::ReceiverReady {
            if qp.rnr && header.seq == qp.una {
                qp.rnr = false;
                qp.epoch = qp.epoch.wrapping_add(1);
                self.pump(key);
            }
            return;
        }
        if header.seq < qp.una || header.seq > qp.next || (header.seq == qp.next && qp.sent == 0) {
            // An answer to what was answered before, or (then the peer lies) to what was never asked: it completes nothing.
            return;
        }
        let before = qp.una;
        while qp.una < header.seq && qp.slot(qp.una).is_some_and(|s| s.opcode != opcode::READ) {
            qp.complete_send(&mut self.shared, status::SUCCESS);
        }
        let in_turn = qp.una == header.seq;
        let is_read = qp.slot(qp.una).is_some_and(|s| s.opcode == opcode::READ);
        match header.kind {
            Kind::Ack if in_turn && !is_read && header.seq < qp.next => {
                qp.complete_send(&mut self.shared, status::SUCCESS)
            }
            Kind::ReadData if in_turn && is_read => take_read_data(qp, &mut self.shared, header, payload),
            Kind::Nak => {
                let told = match header.word {
                    status::REM_INV_REQ | status::REM_ACCESS => header.word,
                    _ => status::REM_OP,
                };
                qp.fail_send(&mut self.shared, told);
            }
            Kind::ReceiverNotReady if in_turn && !is_read => {
                qp.made_progress(before);
                self.receiver_not_ready(key, header.word as u8);
                return;
            }
            _ => {}
        }
        qp.made_progress(before);
        if let Some((seq, how)) = qp.failed
            && seq == qp.una
        {
            qp.fail_send(&mut self.shared, how);
        }
        self.pump(key);
    }

    /// The peer has no receive for the oldest send.
    fn receiver_not_ready(&mut self, key: Key<Qp>, timer: u8) {
        let Some(qp) = self.qps.get_mut(key) else { return };
        if qp.attr.rnr_retry == 0 {
            qp.fail_send(&mut self.shared, status::RNR_RETRY_EXC);
            return;
        }
        qp.rnr = true;
        qp.timing = false;
        qp.go_back();
        qp.epoch = qp.epoch.wrapping_add(1);
        if qp.attr.rnr_retry < 7 {
            let units = RNR_TIMER.get(usize::from(timer & 31)).copied().unwrap_or(1);
            let due = self.clock.now() + units * 10_000 * u64::from(qp.attr.rnr_retry);
            self.timers.set(due, Timer::ReceiverNotReady(key, qp.epoch));
        }
    }

    /// The peer posted no receive in time.
    pub fn rnr_expired(&mut self, key: Key<Qp>, epoch: u32) {
        if let Some(qp) = self.qps.get_mut(key)
            && qp.rnr
            && qp.epoch == epoch
        {
            qp.rnr = false;
            qp.fail_send(&mut self.shared, status::RNR_RETRY_EXC);
        }
    }

    /// The peer does not answer: unless it does in time, the oldest send fails.
    pub fn await_silence(&mut self, key: Key<Qp>) {
        if self.is_asking(key) {
            return;
        }
        let Some(qp) = self.qps.get_mut(key) else { return };
        if qp.timing || !qp.is_busy() || qp.attr.timeout == 0 {
            return;
        }
        qp.timing = true;
        qp.epoch = qp.epoch.wrapping_add(1);
        qp.retries = u32::from(qp.attr.retry_cnt);
        qp.rnr = false;
        self.timers.set(self.clock.now() + qp.transport_timeout(), Timer::Transport(key, qp.epoch));
    }

    /// The peer was silent for one timeout.
    pub fn transport_expired(&mut self, key: Key<Qp>, epoch: u32) {
        let Some(qp) = self.qps.get_mut(key) else { return };
        if !qp.timing || qp.epoch != epoch {
            return;
        }
        if !qp.is_busy() {
            qp.timing = false;
            return;
        }
        let due = self.clock.now() + qp.transport_timeout();
        if self.is_asking(key) {
            // A peer that has yet to answer whether it is there is not silent.
            self.timers.set(due, Timer::Transport(key, epoch));
            return;
        }
        let Some(qp) = self.qps.get_mut(key) else { return };
        if qp.retries == 0 {
            qp.timing = false;
            qp.fail_send(&mut self.shared, status::RETRY_EXC);
            return;
        }
        qp.retries -= 1;
        qp.go_back();
        self.timers.set(due, Timer::Transport(key, epoch));
        self.ask_unless_asking(key);
        self.pump(key);
    }

    /// The peer is there, and has heard nothing so far: all is sent again at once, and the silence until now does not count.
    pub fn peer_found(&mut self, key: Key<Qp>) {
        if let Some(qp) = self.qps.get_mut(key)
            && qp.timing
        {
            qp.timing = false;
            qp.epoch = qp.epoch.wrapping_add(1);
            qp.go_back();
        }
        self.pump(key);
    }

    /// The peer's QP is gone or in error.
    pub fn peer_silent(&mut self, key: Key<Qp>) {
        self.await_silence(key);
    }
}

impl Qp {
    /// 4.096 us times two to the power of the timeout attribute.
    fn transport_timeout(&self) -> u64 {
        4096u64 << self.attr.timeout.min(31)
    }

    /// All that is not acknowledged is to be sent again, and what failed before it was sent is found again then.
    fn go_back(&mut self) {
        self.next = self.una;
        self.sent = 0;
        self.reads = 0;
        self.failed = None;
    }

    /// Answers came: the peer is not silent.
    fn made_progress(&mut self, before: u64) {
        if self.timing && self.una != before {
            self.timing = false;
            self.epoch = self.epoch.wrapping_add(1);
        }
    }
}

/// What a send does at the peer, whose bytes lie where `find_send` found them.
#[inline(always)]
fn carry_out(qa: &mut Qp, qb: &mut Qp, shared: &mut Shared, slot: &SendSlot) -> Result<(), Refused> {
    let length = slot.length;
    match slot.opcode {
        opcode::READ => {
            let from = qb.readable(shared, slot.rkey, slot.address, length)?;
            qb.scratch.1.set(from, length);
            memory::transfer(&qb.scratch.1, &qa.scratch.0, length);
            Ok(())
        }
        opcode::WRITE | opcode::WRITE_IMM => {
            let immediate = slot.opcode == opcode::WRITE_IMM;
            let to = qb.writable(shared, slot.rkey, slot.address, length, immediate)?;
            qb.scratch.1.set(to, length);
            memory::transfer(&qa.scratch.0, &qb.scratch.1, length);
            if immediate {
                qb.finish_write_immediate(shared, length, slot.word, solicited(slot))?;
            }
            Ok(())
        }
        _ => {
            let wr_id = qb.open_receive(shared, length, slot.opcode == opcode::SEND_INV, slot.word)?;
            memory::transfer_message(&qa.scratch.0, &qb.scratch.1, length);
            qb.finish_receive(shared, wr_id, length, wire_flags(slot), slot.word);
            Ok(())
        }
    }
}

fn take_read_data(qp: &mut Qp, shared: &mut Shared, header: &Header, payload: &[u8]) {
    let seq = header.seq;
    let Some(&slot) = qp.slot(seq) else { return };
    if header.total != slot.length || header.offset != slot.progress {
        return;
    }
    if qp.find_send(shared, seq, true).is_err() {
        qp.fail_send(shared, status::LOC_PROT);
        return;
    }
    memory::scatter(payload, header.offset, &qp.scratch.0);
    if let Some(slot) = qp.slot_mut(seq) {
        slot.progress += header.payload;
    }
    if header.is_last() {
        qp.reads = qp.reads.saturating_sub(1);
        qp.complete_send(shared, status::SUCCESS);
    }
}

#[inline]
fn solicited(slot: &SendSlot) -> bool {
    slot.flags & send_flag::SOLICITED != 0
}

#[inline]
fn wire_flags(slot: &SendSlot) -> u8 {
    let word = match slot.opcode {
        opcode::SEND_IMM | opcode::WRITE_IMM => flag::IMMEDIATE,
        opcode::SEND_INV => flag::INVALIDATE,
        _ => 0,
    };
    if solicited(slot) { word | flag::SOLICITED } else { word }
}
