//! Two connected queue pairs in one process, by the C functions that any verbs program calls.

#![allow(
    dead_code,
    missing_docs,
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    clippy::self_named_constructors
)]

pub mod victim;

use std::net::SocketAddr;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rdma_sys::*;
use softverbs as _;

pub const EVENT_NAMES: [&str; 16] = [
    "ADDR_RESOLVED",
    "ADDR_ERROR",
    "ROUTE_RESOLVED",
    "ROUTE_ERROR",
    "CONNECT_REQUEST",
    "CONNECT_RESPONSE",
    "CONNECT_ERROR",
    "UNREACHABLE",
    "REJECTED",
    "ESTABLISHED",
    "DISCONNECTED",
    "DEVICE_REMOVAL",
    "MULTICAST_JOIN",
    "MULTICAST_ERROR",
    "ADDR_CHANGE",
    "TIMEWAIT_EXIT",
];

pub const LOCAL_WRITE: u32 = 1;
pub const REMOTE_WRITE: u32 = 2;
pub const REMOTE_READ: u32 = 4;
pub const ALL: u32 = LOCAL_WRITE | REMOTE_WRITE | REMOTE_READ;

/// Tests of one binary share one fabric: one at a time.
pub fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(|e| e.into_inner());
    softverbs::control("delay off; purge off; timewait 10ms; device profile off").unwrap();
    *BEFORE.lock().unwrap() = softverbs::ledger();
    guard
}

/// A thread of this process, which another one looks at.
#[derive(Clone, Copy)]
pub struct Sleeper {
    tid: i32,
    sleeps: u64,
}

impl Sleeper {
    /// This thread, which is about to make a call that waits.
    pub fn here() -> Self {
        let tid = unsafe { libc::gettid() };
        let (_, sleeps) = Self::look(tid).unwrap();
        Self { tid, sleeps }
    }

    /// Whether the thread sleeps now, and how often it went to sleep so far; none if it is gone.
    fn look(tid: i32) -> Option<(bool, u64)> {
        let status = std::fs::read_to_string(format!("/proc/self/task/{tid}/status")).ok()?;
        let line = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
        Some((line("State:")?.starts_with('S'), line("voluntary_ctxt_switches:")?.parse().ok()?))
    }

    /// Returns once the thread went to sleep after [`here`](Self::here), and sleeps: its call waits.
    pub fn wait_until_it_sleeps(self) {
        let end = Instant::now() + Duration::from_secs(20);
        while !Self::look(self.tid).is_some_and(|(asleep, sleeps)| asleep && sleeps > self.sleeps) {
            assert!(Instant::now() < end, "the other thread does not wait");
            std::thread::yield_now();
        }
    }
}

/// Returns once all data is there that was on its way within the process, and the answers to it: what is sent later between another
/// pair comes later, since delays are the same for all.
pub fn let_all_arrive() {
    let marker = Pair::with(Shape { ack_timeout: 20, retry: 7, ..Shape::default() }, ALL);
    marker.a.send(Send::write(1, marker.a.sge(0, 8), marker.b.at(0), marker.b.rkey()));
    assert_eq!((marker.a.poll().status, marker.b.try_poll()), (0, None));
    marker.give_back();
}

/// What a test before this one left behind when it failed.
static BEFORE: Mutex<softverbs::Ledger> = Mutex::new(softverbs::Ledger::EMPTY);

/// Shows that the test left nothing behind, and did `violations` wrong things.
pub fn nothing_left(violations: u64) {
    let before = *BEFORE.lock().unwrap();
    let now = softverbs::ledger();
    assert_eq!(now, softverbs::Ledger { violations: before.violations + violations, ..before });
}

pub fn fresh_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 10_000 + (std::process::id() % 500) as u16 * 20;
    base + NEXT.fetch_add(1, Ordering::Relaxed)
}

pub fn sockaddr(text: &str) -> libc::sockaddr_storage {
    let address: SocketAddr = text.parse().unwrap();
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    unsafe {
        match address {
            SocketAddr::V4(a) => {
                let v4 = &mut *(&raw mut storage).cast::<libc::sockaddr_in>();
                v4.sin_family = libc::AF_INET as u16;
                v4.sin_port = a.port().to_be();
                v4.sin_addr.s_addr = u32::from_ne_bytes(a.ip().octets());
            }
            SocketAddr::V6(a) => {
                let v6 = &mut *(&raw mut storage).cast::<libc::sockaddr_in6>();
                v6.sin6_family = libc::AF_INET6 as u16;
                v6.sin6_port = a.port().to_be();
                v6.sin6_addr.s6_addr = a.ip().octets();
            }
        }
    }
    storage
}

pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap()
}

/// What a fetched event said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub id: *mut rdma_cm_id,
    pub listen_id: *mut rdma_cm_id,
    pub kind: &'static str,
    pub status: i32,
    pub private: Vec<u8>,
    pub responder_resources: u8,
    pub initiator_depth: u8,
    pub retry_count: u8,
    pub rnr_retry_count: u8,
    pub qp_num: u32,
}

/// An event channel that does not block.
pub struct Channel(pub *mut rdma_event_channel);

impl Channel {
    pub fn new() -> Self {
        let channel = unsafe { rdma_create_event_channel() };
        assert!(!channel.is_null());
        unsafe {
            let flags = libc::fcntl((*channel).fd, libc::F_GETFL);
            libc::fcntl((*channel).fd, libc::F_SETFL, flags | libc::O_NONBLOCK);
        }
        Self(channel)
    }

    pub fn try_next(&self) -> Option<Seen> {
        let mut event: *mut rdma_cm_event = null_mut();
        unsafe {
            if rdma_get_cm_event(self.0, &mut event) != 0 {
                assert_eq!(errno(), libc::EAGAIN);
                return None;
            }
            let conn = (*event).param.conn;
            let private = if conn.private_data.is_null() {
                Vec::new()
            } else {
                std::slice::from_raw_parts(conn.private_data.cast::<u8>(), conn.private_data_len.into())
                    .to_vec()
            };
            let seen = Seen {
                id: (*event).id,
                listen_id: (*event).listen_id,
                kind: EVENT_NAMES[(*event).event as usize],
                status: (*event).status,
                private,
                responder_resources: conn.responder_resources,
                initiator_depth: conn.initiator_depth,
                retry_count: conn.retry_count,
                rnr_retry_count: conn.rnr_retry_count,
                qp_num: conn.qp_num,
            };
            assert_eq!(rdma_ack_cm_event(event), 0);
            Some(seen)
        }
    }

    pub fn next(&self) -> Seen {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(seen) = self.try_next() {
                return seen;
            }
            assert!(Instant::now() < end, "no event in time");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    pub fn expect(&self, kind: &str) -> Seen {
        let seen = self.next();
        assert_eq!(seen.kind, kind, "{seen:?}");
        seen
    }

    pub fn destroy(self) {
        unsafe { rdma_destroy_event_channel(self.0) };
    }
}

pub fn make_id(channel: &Channel) -> *mut rdma_cm_id {
    let mut id = null_mut();
    assert_eq!(unsafe { rdma_create_id(channel.0, &mut id, null_mut(), rdma_port_space::RDMA_PS_TCP) }, 0);
    id
}

pub fn listen(channel: &Channel, address: &str) -> *mut rdma_cm_id {
    let id = make_id(channel);
    let mut addr = sockaddr(address);
    unsafe {
        assert_eq!(rdma_bind_addr(id, (&raw mut addr).cast()), 0, "{}", errno());
        assert_eq!(rdma_listen(id, 16), 0, "{}", errno());
    }
    id
}

pub fn resolve(channel: &Channel, address: &str) -> *mut rdma_cm_id {
    let id = make_id(channel);
    let mut addr = sockaddr(address);
    unsafe {
        assert_eq!(rdma_resolve_addr(id, null_mut(), (&raw mut addr).cast(), 2000), 0);
        channel.expect("ADDR_RESOLVED");
        assert_eq!(rdma_resolve_route(id, 2000), 0);
        channel.expect("ROUTE_RESOLVED");
    }
    id
}

/// Sizes and rights of an end.
#[derive(Clone, Copy)]
pub struct Shape {
    pub send_wr: u32,
    pub recv_wr: u32,
    pub sge: u32,
    pub inline: u32,
    pub sig_all: bool,
    pub cqe: i32,
    pub rnr_retry: u8,
    pub reads: u8,
    pub srq: bool,
    pub ack_timeout: u8,
    pub retry: u8,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            send_wr: 16,
            recv_wr: 16,
            sge: 4,
            inline: 64,
            sig_all: true,
            cqe: 64,
            rnr_retry: 7,
            reads: 4,
            srq: false,
            ack_timeout: 8,
            retry: 2,
        }
    }
}

/// One side of a connection.
pub struct End {
    pub id: *mut rdma_cm_id,
    pub pd: *mut ibv_pd,
    pub cq: *mut ibv_cq,
    pub comp: *mut ibv_comp_channel,
    pub qp: *mut ibv_qp,
    pub srq: *mut ibv_srq,
    pub mr: *mut ibv_mr,
    pub memory: Box<[u8]>,
}

/// A completion, as far as tests look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wc {
    pub wr_id: u64,
    pub status: u32,
    pub opcode: u32,
    pub byte_len: u32,
    pub word: u32,
    pub flags: u32,
    pub qp_num: u32,
}

pub const MEMORY: usize = 1 << 20;

impl End {
    pub fn new(id: *mut rdma_cm_id, shape: &Shape, rights: u32) -> Self {
        unsafe {
            let context = (*id).verbs;
            assert!(!context.is_null());
            let pd = ibv_alloc_pd(context);
            let comp = ibv_create_comp_channel(context);
            let cq = ibv_create_cq(context, shape.cqe, null_mut(), comp, 0);
            let mut attr: ibv_qp_init_attr = std::mem::zeroed();
            let srq = if shape.srq {
                let mut init: ibv_srq_init_attr = std::mem::zeroed();
                init.attr.max_wr = shape.recv_wr;
                init.attr.max_sge = shape.sge;
                ibv_create_srq(pd, &mut init)
            } else {
                null_mut()
            };
            attr.send_cq = cq;
            attr.recv_cq = cq;
            attr.srq = srq;
            attr.cap.max_send_wr = shape.send_wr;
            attr.cap.max_recv_wr = shape.recv_wr;
            attr.cap.max_send_sge = shape.sge;
            attr.cap.max_recv_sge = shape.sge;
            attr.cap.max_inline_data = shape.inline;
            attr.qp_type = ibv_qp_type::IBV_QPT_RC;
            attr.sq_sig_all = i32::from(shape.sig_all);
            assert_eq!(rdma_create_qp(id, pd, &mut attr), 0, "{}", errno());
            let mut memory = vec![0u8; MEMORY].into_boxed_slice();
            let mr = ibv_reg_mr(pd, memory.as_mut_ptr().cast(), MEMORY, rights as i32);
            assert!(!mr.is_null());
            Self { id, pd, cq, comp, qp: (*id).qp, srq, mr, memory }
        }
    }

    pub fn at(&self, offset: usize) -> u64 {
        self.memory.as_ptr() as u64 + offset as u64
    }

    pub fn lkey(&self) -> u32 {
        unsafe { (*self.mr).lkey }
    }

    pub fn rkey(&self) -> u32 {
        unsafe { (*self.mr).rkey }
    }

    pub fn sge(&self, offset: usize, length: u32) -> ibv_sge {
        ibv_sge { addr: self.at(offset), length, lkey: self.lkey() }
    }

    pub fn try_recv(&self, wr_id: u64, mut sges: Vec<ibv_sge>) -> i32 {
        let mut wr =
            ibv_recv_wr { wr_id, next: null_mut(), sg_list: sges.as_mut_ptr(), num_sge: sges.len() as i32 };
        let mut bad = null_mut();
        unsafe {
            if self.srq.is_null() {
                ibv_post_recv(self.qp, &mut wr, &mut bad)
            } else {
                ibv_post_srq_recv(self.srq, &mut wr, &mut bad)
            }
        }
    }

    pub fn recv(&self, wr_id: u64, offset: usize, length: u32) {
        assert_eq!(self.try_recv(wr_id, vec![self.sge(offset, length)]), 0);
    }

    pub fn try_send(&self, wr: Send) -> i32 {
        let mut sges = wr.sges;
        let mut c: ibv_send_wr = unsafe { std::mem::zeroed() };
        c.wr_id = wr.wr_id;
        c.sg_list = sges.as_mut_ptr();
        c.num_sge = sges.len() as i32;
        c.opcode = wr.opcode;
        c.send_flags = wr.flags;
        c.imm_data_invalidated_rkey_union.imm_data = wr.word;
        c.wr.rdma = rdma_t { remote_addr: wr.address, rkey: wr.rkey };
        let mut bad = null_mut();
        unsafe { ibv_post_send(self.qp, &mut c, &mut bad) }
    }

    pub fn send(&self, wr: Send) {
        assert_eq!(self.try_send(wr), 0);
    }

    pub fn try_poll(&self) -> Option<Wc> {
        let mut wc: ibv_wc = unsafe { std::mem::zeroed() };
        match unsafe { ibv_poll_cq(self.cq, 1, &mut wc) } {
            0 => None,
            1 => Some(Wc {
                wr_id: wc.wr_id,
                status: wc.status,
                opcode: wc.opcode,
                byte_len: wc.byte_len,
                word: unsafe { wc.imm_data_invalidated_rkey_union.imm_data },
                flags: wc.wc_flags,
                qp_num: wc.qp_num,
            }),
            n => panic!("ibv_poll_cq gave {n}"),
        }
    }

    pub fn poll(&self) -> Wc {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(wc) = self.try_poll() {
                return wc;
            }
            assert!(Instant::now() < end, "no completion in time");
            std::thread::yield_now();
        }
    }

    pub fn state(&self) -> u32 {
        let mut attr: ibv_qp_attr = unsafe { std::mem::zeroed() };
        let mut init: ibv_qp_init_attr = unsafe { std::mem::zeroed() };
        assert_eq!(unsafe { ibv_query_qp(self.qp, &mut attr, 0, &mut init) }, 0);
        attr.qp_state
    }

    pub fn modify(&self, state: u32) -> i32 {
        let mut attr: ibv_qp_attr = unsafe { std::mem::zeroed() };
        attr.qp_state = state;
        unsafe { ibv_modify_qp(self.qp, &mut attr, 1) }
    }

    pub fn destroy(self) {
        unsafe {
            rdma_destroy_qp(self.id);
            if !self.srq.is_null() {
                assert_eq!(ibv_destroy_srq(self.srq), 0);
            }
            assert_eq!(ibv_dereg_mr(self.mr), 0);
            assert_eq!(ibv_destroy_cq(self.cq), 0);
            assert_eq!(ibv_destroy_comp_channel(self.comp), 0);
            assert_eq!(ibv_dealloc_pd(self.pd), 0);
            assert_eq!(rdma_destroy_id(self.id), 0);
        }
    }
}

/// A send work request.
pub struct Send {
    pub wr_id: u64,
    pub opcode: u32,
    pub flags: u32,
    pub sges: Vec<ibv_sge>,
    pub word: u32,
    pub address: u64,
    pub rkey: u32,
}

pub const SIGNALED: u32 = 2;
pub const FENCE: u32 = 1;
pub const SOLICITED: u32 = 4;
pub const INLINE: u32 = 8;

impl Send {
    pub fn new(wr_id: u64, opcode: u32, sges: Vec<ibv_sge>) -> Self {
        Self { wr_id, opcode, flags: SIGNALED, sges, word: 0, address: 0, rkey: 0 }
    }
    pub fn send(wr_id: u64, sge: ibv_sge) -> Self {
        Self::new(wr_id, ibv_wr_opcode::IBV_WR_SEND, vec![sge])
    }
    pub fn write(wr_id: u64, sge: ibv_sge, address: u64, rkey: u32) -> Self {
        Self { address, rkey, ..Self::new(wr_id, ibv_wr_opcode::IBV_WR_RDMA_WRITE, vec![sge]) }
    }
    pub fn read(wr_id: u64, sge: ibv_sge, address: u64, rkey: u32) -> Self {
        Self { address, rkey, ..Self::new(wr_id, ibv_wr_opcode::IBV_WR_RDMA_READ, vec![sge]) }
    }
}

/// Two connected ends: `a` connected, `b` accepted.
pub struct Pair {
    pub channel: Channel,
    pub listener: *mut rdma_cm_id,
    pub a: End,
    pub b: End,
}

pub fn param(shape: &Shape, private: &[u8]) -> rdma_conn_param {
    rdma_conn_param {
        private_data: private.as_ptr().cast(),
        private_data_len: private.len() as u8,
        responder_resources: shape.reads,
        initiator_depth: shape.reads,
        flow_control: 1,
        retry_count: shape.retry,
        rnr_retry_count: shape.rnr_retry,
        srq: 0,
        qp_num: 0,
    }
}

impl Pair {
    pub fn new() -> Self {
        Self::with(Shape::default(), ALL)
    }

    pub fn with(shape: Shape, rights: u32) -> Self {
        Self::at(&format!("127.0.0.1:{}", fresh_port()), shape, rights)
    }

    pub fn at(address: &str, shape: Shape, rights: u32) -> Self {
        let channel = Channel::new();
        let listener = listen(&channel, address);
        let id = resolve(&channel, address);
        let mut timeout = shape.ack_timeout;
        unsafe {
            assert_eq!(rdma_set_option(id, 0, 3, (&raw mut timeout).cast(), 1), 0);
            assert_eq!(rdma_set_option(listener, 0, 3, (&raw mut timeout).cast(), 1), 0);
        }
        let a = End::new(id, &shape, rights);
        let mut conn = param(&shape, b"");
        assert_eq!(unsafe { rdma_connect(id, &mut conn) }, 0);
        let request = channel.expect("CONNECT_REQUEST");
        assert_eq!(request.listen_id, listener);
        let b = End::new(request.id, &shape, rights);
        assert_eq!(unsafe { rdma_accept(request.id, &mut conn) }, 0);
        let (first, second) = (channel.expect("ESTABLISHED"), channel.expect("ESTABLISHED"));
        assert!(first.id == a.id && second.id == b.id);
        Self { channel, listener, a, b }
    }

    /// Gives everything back, and shows that nothing is left.
    pub fn destroy(self) {
        self.give_back();
        nothing_left(0);
    }

    /// Gives everything back.
    pub fn give_back(self) {
        self.a.destroy();
        self.b.destroy();
        unsafe { rdma_destroy_id(self.listener) };
        self.channel.destroy();
    }
}
