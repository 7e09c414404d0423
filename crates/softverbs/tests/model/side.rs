//! One side of the connections: it does what a line of text tells it, so that it may as well be another process.

use std::ptr::null_mut;

use rdma_sys::*;
use softverbs as _;

use crate::Random;

/// Bytes of each of a queue pair's areas.
pub const AREA: usize = 256 * 1024;
/// Areas of a queue pair: what it sends, where its reads go, what its peer reads and writes, where its receives go.
pub const AREAS: usize = 4;
/// Receives of the shared queues go there, behind all queue pairs' areas.
pub const SHARED: usize = AREA;

/// Regions over all of the memory, by rights and protection domain.
pub const REGIONS: usize = 4;
const ALL: u32 = 7;
/// Local write and remote read only; no right at all; all rights, in another protection domain.
const RIGHTS: [u32; REGIONS] = [ALL, 5, 0, ALL];

/// See the head of this file.
pub struct Side {
    context: *mut ibv_context,
    pds: [*mut ibv_pd; 2],
    cqs: Vec<*mut ibv_cq>,
    srqs: Vec<*mut ibv_srq>,
    qps: Vec<*mut ibv_qp>,
    regions: Vec<*mut ibv_mr>,
    extra: Vec<*mut ibv_mr>,
    memory: Box<[u8]>,
}

/// What the memory holds at the start.
pub fn fill(memory: &mut [u8], seed: u64) {
    let mut random = Random(seed);
    for chunk in memory.chunks_mut(8) {
        let word = random.draw().to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
}

/// A number that stands for some bytes.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, |sum, chunk| {
        let mut word = [0u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
    })
}

/// Numbers of a line, one after the other.
struct Words<'a>(std::str::SplitWhitespace<'a>);

impl Words<'_> {
    fn next(&mut self) -> u64 {
        self.0.next().unwrap().parse().unwrap()
    }
    fn is_empty(&self) -> bool {
        self.0.clone().next().is_none()
    }
    fn sges(&mut self) -> Vec<ibv_sge> {
        let n = self.next();
        (0..n)
            .map(|_| ibv_sge { addr: self.next(), length: self.next() as u32, lkey: self.next() as u32 })
            .collect()
    }
}

impl Side {
    pub fn new() -> Self {
        unsafe {
            let list = ibv_get_device_list(null_mut());
            let context = ibv_open_device(*list);
            assert!(!context.is_null());
            ibv_free_device_list(list);
            Self {
                context,
                pds: [ibv_alloc_pd(context), ibv_alloc_pd(context)],
                cqs: Vec::new(),
                srqs: Vec::new(),
                qps: Vec::new(),
                regions: Vec::new(),
                extra: Vec::new(),
                memory: Box::default(),
            }
        }
    }

    /// Does what a line says; the answer.
    pub fn run(&mut self, line: &str) -> String {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut words = Words(rest.split_whitespace());
        let w = &mut words;
        match what {
            "make" => self.make(w),
            "up" => self.up(w),
            "go" => self.change(w.next(), 3),
            "reset" => self.change(w.next(), 0),
            "error" => self.change(w.next(), 6),
            "recv" => self.recv(w, false),
            "srecv" => self.recv(w, true),
            "send" => self.send(w),
            "invalidable" => self.invalidable(),
            "poll" => self.poll(),
            "states" => self.states(),
            "events" => self.events(),
            "hash" => {
                let (at, length) = (w.next() as usize, w.next() as usize);
                hash(&self.memory[at..at + length]).to_string()
            }
            "end" => self.end(),
            _ => panic!("{line}"),
        }
    }

    /// `seed memory cqs srqs (send-cq recv-cq srq+1)*`: base address, keys of the regions, numbers of the queue pairs.
    fn make(&mut self, w: &mut Words) -> String {
        let seed = w.next();
        self.memory = vec![0u8; w.next() as usize].into_boxed_slice();
        fill(&mut self.memory, seed);
        let (at, length) = (self.memory.as_mut_ptr(), self.memory.len());
        let mut said = vec![at as u64];
        unsafe {
            for (n, rights) in RIGHTS.into_iter().enumerate() {
                let pd = self.pds[usize::from(n == 3)];
                let mr = ibv_reg_mr(pd, at.cast(), length, rights as i32);
                said.extend([u64::from((*mr).lkey), u64::from((*mr).rkey)]);
                self.regions.push(mr);
            }
            for _ in 0..w.next() {
                self.cqs.push(ibv_create_cq(self.context, 4096, null_mut(), null_mut(), 0));
            }
            for _ in 0..w.next() {
                let mut init: ibv_srq_init_attr = std::mem::zeroed();
                init.attr.max_wr = 512;
                init.attr.max_sge = 4;
                self.srqs.push(ibv_create_srq(self.pds[0], &mut init));
            }
            while !w.is_empty() {
                let mut init: ibv_qp_init_attr = std::mem::zeroed();
                init.send_cq = self.cqs[w.next() as usize];
                init.recv_cq = self.cqs[w.next() as usize];
                if let Some(n) = w.next().checked_sub(1) {
                    init.srq = self.srqs[n as usize];
                }
                init.qp_type = ibv_qp_type::IBV_QPT_RC;
                init.cap.max_send_wr = 256;
                init.cap.max_recv_wr = 256;
                init.cap.max_send_sge = 4;
                init.cap.max_recv_sge = 4;
                init.cap.max_inline_data = 64;
                let qp = ibv_create_qp(self.pds[0], &mut init);
                said.push((*qp).qp_num.into());
                self.qps.push(qp);
            }
        }
        join(said)
    }

    /// `qp peer-number rights`: from RESET to RTR.
    fn up(&mut self, w: &mut Words) -> String {
        unsafe {
            let qp = self.qps[w.next() as usize];
            let mut attr: ibv_qp_attr = std::mem::zeroed();
            attr.qp_state = 1;
            attr.port_num = 1;
            attr.dest_qp_num = w.next() as u32;
            attr.qp_access_flags = w.next() as u32;
            assert_eq!(ibv_modify_qp(qp, &mut attr, 1 | 8 | 16 | 32), 0);
            attr.qp_state = 2;
            attr.path_mtu = 3;
            attr.max_dest_rd_atomic = 4;
            attr.min_rnr_timer = 1;
            attr.ah_attr.port_num = 1;
            attr.ah_attr.is_global = 1;
            attr.ah_attr.grh.dgid.raw = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1];
            let mask = 1 | 128 | 256 | (1 << 20) | (1 << 12) | (1 << 17) | (1 << 15);
            ibv_modify_qp(qp, &mut attr, mask).to_string()
        }
    }

    fn change(&mut self, qp: u64, state: u32) -> String {
        unsafe {
            let mut attr: ibv_qp_attr = std::mem::zeroed();
            attr.qp_state = state;
            attr.timeout = 8;
            attr.retry_cnt = 1;
            attr.rnr_retry = 7;
            attr.max_rd_atomic = 4;
            let more = (1 << 9) | (1 << 10) | (1 << 11) | (1 << 16) | (1 << 13);
            let mask = if state == 3 { 1 | more } else { 1 };
            ibv_modify_qp(self.qps[qp as usize], &mut attr, mask).to_string()
        }
    }

    /// `qp (id sges)*`: errno, and how many were posted.
    fn recv(&mut self, w: &mut Words, shared: bool) -> String {
        let to = w.next() as usize;
        let mut lists = Vec::new();
        let mut wrs = Vec::new();
        while !w.is_empty() {
            let wr_id = w.next();
            lists.push(w.sges());
            let list: &mut Vec<_> = lists.last_mut().unwrap();
            let (sg_list, num_sge) = (list.as_mut_ptr(), list.len() as i32);
            wrs.push(ibv_recv_wr { wr_id, next: null_mut(), sg_list, num_sge });
        }
        let first = wrs.as_mut_ptr();
        for n in 1..wrs.len() {
            wrs[n - 1].next = unsafe { first.add(n) };
        }
        let mut bad = null_mut();
        let errno = unsafe {
            if shared {
                ibv_post_srq_recv(self.srqs[to], first, &mut bad)
            } else {
                ibv_post_recv(self.qps[to], first, &mut bad)
            }
        };
        let posted = if errno == 0 { wrs.len() } else { unsafe { bad.offset_from(first) as usize } };
        format!("{errno} {posted}")
    }

    /// `qp (id opcode flags word address rkey sges)*`: errno, and how many were posted.
    fn send(&mut self, w: &mut Words) -> String {
        let qp = self.qps[w.next() as usize];
        let mut lists = Vec::new();
        let mut wrs: Vec<ibv_send_wr> = Vec::new();
        while !w.is_empty() {
            let mut wr: ibv_send_wr = unsafe { std::mem::zeroed() };
            wr.wr_id = w.next();
            wr.opcode = w.next() as u32;
            wr.send_flags = w.next() as u32;
            wr.imm_data_invalidated_rkey_union.imm_data = w.next() as u32;
            wr.wr.rdma = rdma_t { remote_addr: w.next(), rkey: w.next() as u32 };
            lists.push(w.sges());
            let list: &mut Vec<_> = lists.last_mut().unwrap();
            wr.sg_list = list.as_mut_ptr();
            wr.num_sge = list.len() as i32;
            wrs.push(wr);
        }
        let first = wrs.as_mut_ptr();
        for n in 1..wrs.len() {
            wrs[n - 1].next = unsafe { first.add(n) };
        }
        let mut bad = null_mut();
        let errno = unsafe { ibv_post_send(qp, first, &mut bad) };
        let posted = if errno == 0 { wrs.len() } else { unsafe { bad.offset_from(first) as usize } };
        format!("{errno} {posted}")
    }

    /// A region whose key may be given away to be invalidated: that key.
    fn invalidable(&mut self) -> String {
        unsafe {
            let mr = ibv_reg_mr(self.pds[0], self.memory.as_mut_ptr().cast(), 4096, ALL as i32);
            self.extra.push(mr);
            (*mr).rkey.to_string()
        }
    }

    /// All completions: `queue-pair id status opcode length word flags`, each on its own.
    fn poll(&mut self) -> String {
        let mut said = Vec::new();
        for &cq in &self.cqs {
            loop {
                let mut wc: [ibv_wc; 16] = unsafe { std::mem::zeroed() };
                let n = unsafe { ibv_poll_cq(cq, 16, wc.as_mut_ptr()) };
                assert!(n >= 0);
                for w in &wc[..n as usize] {
                    let qp = self.qps.iter().position(|q| unsafe { (**q).qp_num } == w.qp_num).unwrap();
                    let word = unsafe { w.imm_data_invalidated_rkey_union.imm_data };
                    let (status, opcode, flags): (u64, u64, u64) =
                        (w.status.into(), w.opcode.into(), w.wc_flags.into());
                    said.extend([qp as u64, w.wr_id, status, opcode, w.byte_len.into(), word.into(), flags]);
                }
                if n < 16 {
                    break;
                }
            }
        }
        join(said)
    }

    fn states(&mut self) -> String {
        let state = |qp: &*mut ibv_qp| unsafe {
            let mut attr: ibv_qp_attr = std::mem::zeroed();
            let mut init: ibv_qp_init_attr = std::mem::zeroed();
            assert_eq!(ibv_query_qp(*qp, &mut attr, 0, &mut init), 0);
            u64::from(attr.qp_state)
        };
        join(self.qps.iter().map(state).collect())
    }

    /// All asynchronous events: `event queue-pair`.
    fn events(&mut self) -> String {
        let mut said = Vec::new();
        unsafe {
            loop {
                let mut poll =
                    libc::pollfd { fd: (*self.context).async_fd, events: libc::POLLIN, revents: 0 };
                if libc::poll(&mut poll, 1, 0) == 0 {
                    return join(said);
                }
                let mut event: ibv_async_event = std::mem::zeroed();
                assert_eq!(ibv_get_async_event(self.context, &mut event), 0);
                let qp = self.qps.iter().position(|q| *q == event.element.qp).unwrap();
                said.extend([event.event_type as u64, qp as u64]);
                ibv_ack_async_event(&mut event);
            }
        }
    }

    fn end(&mut self) -> String {
        unsafe {
            for qp in self.qps.drain(..) {
                assert_eq!(ibv_destroy_qp(qp), 0);
            }
            for srq in self.srqs.drain(..) {
                assert_eq!(ibv_destroy_srq(srq), 0);
            }
            for cq in self.cqs.drain(..) {
                assert_eq!(ibv_destroy_cq(cq), 0);
            }
            for mr in self.regions.drain(..).chain(self.extra.drain(..)) {
                assert_eq!(ibv_dereg_mr(mr), 0);
            }
            for pd in self.pds {
                assert_eq!(ibv_dealloc_pd(pd), 0);
            }
            assert_eq!(ibv_close_device(self.context), 0);
        }
        String::new()
    }
}

fn join(numbers: Vec<u64>) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}
