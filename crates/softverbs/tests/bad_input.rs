//! Calls with objects that are none: NULL, destroyed, of another kind, of another device context, no object at all. Each is
//! refused with EINVAL and changes nothing.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks, clashing_extern_declarations)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ffi::c_void;
use std::ptr::null_mut;

use common::*;
use rdma_sys::*;

/// The functions with all pointers untyped, as somebody who confuses them would call them.
mod raw {
    use std::ffi::{c_int, c_uint, c_void};
    type P = *mut c_void;
    unsafe extern "C" {
        pub fn ibv_close_device(context: P) -> c_int;
        pub fn ibv_query_device(context: P, attr: P) -> c_int;
        pub fn ibv_query_port(context: P, port: u8, attr: P) -> c_int;
        pub fn ibv_query_gid(context: P, port: u8, index: c_int, gid: P) -> c_int;
        pub fn ibv_query_pkey(context: P, port: u8, index: c_int, pkey: P) -> c_int;
        pub fn ibv_get_async_event(context: P, event: P) -> c_int;
        pub fn ibv_alloc_pd(context: P) -> P;
        pub fn ibv_dealloc_pd(pd: P) -> c_int;
        pub fn ibv_reg_mr(pd: P, at: P, length: usize, access: c_int) -> P;
        pub fn ibv_reg_mr_iova2(pd: P, at: P, length: usize, iova: u64, access: c_uint) -> P;
        pub fn ibv_dereg_mr(mr: P) -> c_int;
        pub fn ibv_create_comp_channel(context: P) -> P;
        pub fn ibv_destroy_comp_channel(channel: P) -> c_int;
        pub fn ibv_get_cq_event(channel: P, cq: P, given: P) -> c_int;
        pub fn ibv_create_cq(context: P, cqe: c_int, given: P, channel: P, vector: c_int) -> P;
        pub fn ibv_resize_cq(cq: P, cqe: c_int) -> c_int;
        pub fn ibv_destroy_cq(cq: P) -> c_int;
        pub fn ibv_create_srq(pd: P, attr: P) -> P;
        pub fn ibv_modify_srq(srq: P, attr: P, mask: c_int) -> c_int;
        pub fn ibv_query_srq(srq: P, attr: P) -> c_int;
        pub fn ibv_destroy_srq(srq: P) -> c_int;
        pub fn ibv_create_qp(pd: P, attr: P) -> P;
        pub fn ibv_modify_qp(qp: P, attr: P, mask: c_int) -> c_int;
        pub fn ibv_query_qp(qp: P, attr: P, mask: c_int, init: P) -> c_int;
        pub fn ibv_destroy_qp(qp: P) -> c_int;
        pub fn rdma_create_id(channel: P, id: P, context: P, space: c_int) -> c_int;
        pub fn rdma_destroy_id(id: P) -> c_int;
        pub fn rdma_bind_addr(id: P, address: P) -> c_int;
        pub fn rdma_resolve_addr(id: P, from: P, to: P, timeout: c_int) -> c_int;
        pub fn rdma_resolve_route(id: P, timeout: c_int) -> c_int;
        pub fn rdma_create_qp(id: P, pd: P, attr: P) -> c_int;
        pub fn rdma_connect(id: P, param: P) -> c_int;
        pub fn rdma_listen(id: P, backlog: c_int) -> c_int;
        pub fn rdma_accept(id: P, param: P) -> c_int;
        pub fn rdma_reject(id: P, data: P, length: u8) -> c_int;
        pub fn rdma_disconnect(id: P) -> c_int;
        pub fn rdma_establish(id: P) -> c_int;
        pub fn rdma_notify(id: P, event: c_uint) -> c_int;
        pub fn rdma_init_qp_attr(id: P, attr: P, mask: P) -> c_int;
        pub fn rdma_set_option(id: P, level: c_int, name: c_int, value: P, length: usize) -> c_int;
        pub fn rdma_migrate_id(id: P, channel: P) -> c_int;
        pub fn rdma_get_request(id: P, to: P) -> c_int;
        pub fn rdma_get_cm_event(channel: P, event: P) -> c_int;
        pub fn rdma_ack_cm_event(event: P) -> c_int;
        pub fn rdma_destroy_qp(id: P);
        pub fn rdma_destroy_event_channel(channel: P);
        pub fn rdma_get_src_port(id: P) -> u16;
        pub fn rdma_get_dst_port(id: P) -> u16;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Context,
    Pd,
    Mr,
    CompChannel,
    Cq,
    Srq,
    Qp,
    Id,
    EventChannel,
    Event,
}
use Kind::*;

/// One of each kind, alive.
struct Objects {
    channel: Channel,
    all: Vec<(Kind, *mut c_void)>,
}

fn make() -> Objects {
    unsafe {
        let list = ibv_get_device_list(null_mut());
        let context = ibv_open_device(*list);
        ibv_free_device_list(list);
        let channel = Channel::new();
        let id = make_id(&channel);
        let mut to = sockaddr("127.0.0.1:7");
        assert_eq!(rdma_resolve_addr(id, null_mut(), (&raw mut to).cast(), 1000), 0);
        let mut event = null_mut();
        assert_eq!(rdma_get_cm_event(channel.0, &mut event), 0);
        let pd = ibv_alloc_pd(context);
        let memory = Box::leak(vec![0u8; 4096].into_boxed_slice());
        let mr = ibv_reg_mr(pd, memory.as_mut_ptr().cast(), 4096, 1);
        let comp = ibv_create_comp_channel(context);
        let cq = ibv_create_cq(context, 4, null_mut(), comp, 0);
        let mut init: ibv_srq_init_attr = std::mem::zeroed();
        init.attr.max_wr = 1;
        let srq = ibv_create_srq(pd, &mut init);
        let mut init: ibv_qp_init_attr = std::mem::zeroed();
        init.send_cq = cq;
        init.recv_cq = cq;
        init.qp_type = ibv_qp_type::IBV_QPT_RC;
        let qp = ibv_create_qp(pd, &mut init);
        let all = vec![
            (Event, event.cast()),
            (Qp, qp.cast()),
            (Srq, srq.cast()),
            (Cq, cq.cast()),
            (CompChannel, comp.cast()),
            (Mr, mr.cast()),
            (Pd, pd.cast()),
            (Id, id.cast()),
            (EventChannel, channel.0.cast()),
            (Context, context.cast()),
        ];
        assert!(all.iter().all(|(_, p): &(Kind, *mut c_void)| !p.is_null()));
        Objects { channel, all }
    }
}

impl Objects {
    fn of(&self, kind: Kind) -> *mut c_void {
        self.all.iter().find(|(k, _)| *k == kind).unwrap().1
    }

    fn destroy(self) {
        unsafe {
            assert_eq!(raw::rdma_ack_cm_event(self.of(Event)), 0);
            assert_eq!(raw::ibv_destroy_qp(self.of(Qp)), 0);
            assert_eq!(raw::ibv_destroy_srq(self.of(Srq)), 0);
            assert_eq!(raw::ibv_destroy_cq(self.of(Cq)), 0);
            assert_eq!(raw::ibv_destroy_comp_channel(self.of(CompChannel)), 0);
            assert_eq!(raw::ibv_dereg_mr(self.of(Mr)), 0);
            assert_eq!(raw::ibv_dealloc_pd(self.of(Pd)), 0);
            assert_eq!(raw::rdma_destroy_id(self.of(Id)), 0);
            assert_eq!(raw::ibv_close_device(self.of(Context)), 0);
        }
        self.channel.destroy();
    }
}

/// Room for any attribute.
fn room() -> *mut c_void {
    static ROOM: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    let at = ROOM.get_or_init(|| Box::leak(vec![0u64; 1024].into_boxed_slice()).as_mut_ptr() as usize);
    unsafe { std::slice::from_raw_parts_mut(*at as *mut u64, 1024).fill(0) };
    *at as *mut c_void
}

fn null(p: *mut c_void) -> i32 {
    if p.is_null() { errno() } else { 0 }
}

fn minus_one(r: i32) -> i32 {
    if r == -1 { errno() } else { r }
}

type Call = fn(&Objects, *mut c_void) -> i32;

/// Every function that takes an object, and the kind that it takes there.
const CALLS: &[(&str, Kind, Call)] = unsafe {
    &[
        ("ibv_close_device", Context, |_, p| raw::ibv_close_device(p)),
        ("ibv_query_device", Context, |_, p| raw::ibv_query_device(p, room())),
        ("ibv_query_port", Context, |_, p| raw::ibv_query_port(p, 1, room())),
        ("ibv_query_gid", Context, |_, p| minus_one(raw::ibv_query_gid(p, 1, 0, room()))),
        ("ibv_query_pkey", Context, |_, p| minus_one(raw::ibv_query_pkey(p, 1, 0, room()))),
        ("ibv_get_async_event", Context, |_, p| minus_one(raw::ibv_get_async_event(p, room()))),
        ("ibv_alloc_pd", Context, |_, p| null(raw::ibv_alloc_pd(p))),
        ("ibv_create_comp_channel", Context, |_, p| null(raw::ibv_create_comp_channel(p))),
        ("ibv_create_cq", Context, |_, p| null(raw::ibv_create_cq(p, 4, null_mut(), null_mut(), 0))),
        ("ibv_dealloc_pd", Pd, |_, p| raw::ibv_dealloc_pd(p)),
        ("ibv_reg_mr", Pd, |_, p| null(raw::ibv_reg_mr(p, room(), 64, 1))),
        ("ibv_reg_mr_iova2", Pd, |_, p| null(raw::ibv_reg_mr_iova2(p, room(), 64, 0, 1))),
        ("ibv_create_srq", Pd, |_, p| null(raw::ibv_create_srq(p, room()))),
        ("ibv_create_qp", Pd, |o, p| {
            let mut init: ibv_qp_init_attr = std::mem::zeroed();
            init.send_cq = o.of(Cq).cast();
            init.recv_cq = o.of(Cq).cast();
            init.qp_type = ibv_qp_type::IBV_QPT_RC;
            null(raw::ibv_create_qp(p, (&raw mut init).cast()))
        }),
        ("ibv_create_qp, send cq", Cq, |o, p| {
            let mut init: ibv_qp_init_attr = std::mem::zeroed();
            init.send_cq = p.cast();
            init.recv_cq = o.of(Cq).cast();
            init.qp_type = ibv_qp_type::IBV_QPT_RC;
            null(raw::ibv_create_qp(o.of(Pd), (&raw mut init).cast()))
        }),
        ("ibv_create_qp, recv cq", Cq, |o, p| {
            let mut init: ibv_qp_init_attr = std::mem::zeroed();
            init.send_cq = o.of(Cq).cast();
            init.recv_cq = p.cast();
            init.qp_type = ibv_qp_type::IBV_QPT_RC;
            null(raw::ibv_create_qp(o.of(Pd), (&raw mut init).cast()))
        }),
        ("ibv_dereg_mr", Mr, |_, p| raw::ibv_dereg_mr(p)),
        ("ibv_destroy_comp_channel", CompChannel, |_, p| raw::ibv_destroy_comp_channel(p)),
        ("ibv_get_cq_event", CompChannel, |_, p| minus_one(raw::ibv_get_cq_event(p, room(), room()))),
        ("ibv_resize_cq", Cq, |_, p| raw::ibv_resize_cq(p, 8)),
        ("ibv_destroy_cq", Cq, |_, p| raw::ibv_destroy_cq(p)),
        ("ibv_modify_srq", Srq, |_, p| raw::ibv_modify_srq(p, room(), 2)),
        ("ibv_query_srq", Srq, |_, p| raw::ibv_query_srq(p, room())),
        ("ibv_destroy_srq", Srq, |_, p| raw::ibv_destroy_srq(p)),
        ("ibv_modify_qp", Qp, |_, p| raw::ibv_modify_qp(p, room(), 1)),
        ("ibv_query_qp", Qp, |_, p| raw::ibv_query_qp(p, room(), 0, room())),
        ("ibv_destroy_qp", Qp, |_, p| raw::ibv_destroy_qp(p)),
        ("rdma_destroy_id", Id, |_, p| minus_one(raw::rdma_destroy_id(p))),
        ("rdma_bind_addr", Id, |_, p| {
            let mut at = sockaddr("127.0.0.1:0");
            minus_one(raw::rdma_bind_addr(p, (&raw mut at).cast()))
        }),
        ("rdma_resolve_addr", Id, |_, p| {
            let mut at = sockaddr("127.0.0.1:7");
            minus_one(raw::rdma_resolve_addr(p, null_mut(), (&raw mut at).cast(), 1))
        }),
        ("rdma_resolve_route", Id, |_, p| minus_one(raw::rdma_resolve_route(p, 1))),
        ("rdma_create_qp", Id, |o, p| minus_one(raw::rdma_create_qp(p, o.of(Pd), room()))),
        ("rdma_connect", Id, |_, p| minus_one(raw::rdma_connect(p, room()))),
        ("rdma_listen", Id, |_, p| minus_one(raw::rdma_listen(p, 1))),
        ("rdma_accept", Id, |_, p| minus_one(raw::rdma_accept(p, room()))),
        ("rdma_reject", Id, |_, p| minus_one(raw::rdma_reject(p, null_mut(), 0))),
        ("rdma_disconnect", Id, |_, p| minus_one(raw::rdma_disconnect(p))),
        ("rdma_establish", Id, |_, p| minus_one(raw::rdma_establish(p))),
        ("rdma_notify", Id, |_, p| minus_one(raw::rdma_notify(p, 4))),
        ("rdma_init_qp_attr", Id, |_, p| minus_one(raw::rdma_init_qp_attr(p, room(), room()))),
        ("rdma_set_option", Id, |_, p| minus_one(raw::rdma_set_option(p, 0, 0, room(), 1))),
        ("rdma_migrate_id", Id, |o, p| minus_one(raw::rdma_migrate_id(p, o.of(EventChannel)))),
        ("rdma_get_request", Id, |_, p| minus_one(raw::rdma_get_request(p, room()))),
        ("rdma_get_cm_event", EventChannel, |_, p| minus_one(raw::rdma_get_cm_event(p, room()))),
        ("rdma_ack_cm_event", Event, |_, p| minus_one(raw::rdma_ack_cm_event(p))),
        ("rdma_get_src_port", Id, |_, p| if raw::rdma_get_src_port(p) == 0 { libc::EINVAL } else { 0 }),
        ("rdma_get_dst_port", Id, |_, p| if raw::rdma_get_dst_port(p) == 0 { libc::EINVAL } else { 0 }),
        ("rdma_destroy_qp", Id, |_, p| {
            raw::rdma_destroy_qp(p);
            libc::EINVAL
        }),
        ("rdma_destroy_event_channel", EventChannel, |_, p| {
            raw::rdma_destroy_event_channel(p);
            libc::EINVAL
        }),
        // Second places, where NULL has a meaning of its own and is left out below.
        ("ibv_create_cq, channel", CompChannel, |o, p| {
            null(raw::ibv_create_cq(o.of(Context), 4, null_mut(), p, 0))
        }),
        ("rdma_create_id, channel", EventChannel, |_, p| {
            minus_one(raw::rdma_create_id(p, room(), null_mut(), 0x106))
        }),
        ("ibv_create_qp, srq", Srq, |o, p| {
            let mut init: ibv_qp_init_attr = std::mem::zeroed();
            init.send_cq = o.of(Cq).cast();
            init.recv_cq = o.of(Cq).cast();
            init.srq = p.cast();
            init.qp_type = ibv_qp_type::IBV_QPT_RC;
            null(raw::ibv_create_qp(o.of(Pd), (&raw mut init).cast()))
        }),
        ("rdma_create_qp, pd", Pd, |o, p| {
            let mut init: ibv_qp_init_attr = std::mem::zeroed();
            init.send_cq = o.of(Cq).cast();
            init.recv_cq = o.of(Cq).cast();
            init.qp_type = ibv_qp_type::IBV_QPT_RC;
            minus_one(raw::rdma_create_qp(o.of(Id), p, (&raw mut init).cast()))
        }),
    ]
};

#[test]
fn objects_that_are_none() {
    let _alone = alone();
    let gone = make();
    let dead = gone.all.clone();
    gone.destroy();
    let o = make();
    let before = softverbs::ledger();
    let mut here = 0u64;
    let own: *mut c_void = (&raw mut here).cast();
    for (name, kind, call) in CALLS {
        let mut wrong: Vec<(String, *mut c_void)> = vec![
            ("a pointer to something else".into(), own),
            ("a small number".into(), 0x18 as *mut c_void),
            ("a large number".into(), (usize::MAX - 7) as *mut c_void),
            ("an object, but not its start".into(), o.of(*kind).wrapping_byte_add(8)),
        ];
        if !name.contains(", channel") && !name.contains(", srq") && !name.contains(", pd") {
            wrong.push(("NULL".into(), null_mut()));
        }
        wrong.push(("destroyed".into(), dead.iter().find(|(k, _)| k == kind).unwrap().1));
        for (other, pointer) in o.all.iter().filter(|(k, _)| k != kind) {
            wrong.push((format!("{other:?}"), *pointer));
        }
        for (what, pointer) in wrong {
            assert_eq!(call(&o, pointer), libc::EINVAL, "{name} with {what}");
            let now = softverbs::ledger();
            assert_eq!(now.objects(), before.objects(), "{name} with {what} changed something");
            let told = u64::from(!pointer.is_null());
            assert!(now.violations - before.violations >= told, "{name} with {what}: nobody was told");
        }
    }
    o.destroy();
}

#[test]
fn objects_of_another_context() {
    let _alone = alone();
    let (a, b) = (make(), make());
    let before = softverbs::ledger();
    unsafe {
        let made = raw::ibv_create_cq(a.of(Context), 4, null_mut(), b.of(CompChannel), 0);
        assert_eq!(null(made), libc::EINVAL, "a channel of another context");
        for (send, receive, srq) in [(&b, &a, None), (&a, &b, None), (&a, &a, Some(&b))] {
            let mut init: ibv_qp_init_attr = std::mem::zeroed();
            init.send_cq = send.of(Cq).cast();
            init.recv_cq = receive.of(Cq).cast();
            init.srq = srq.map_or(null_mut(), |o| o.of(Srq).cast());
            init.qp_type = ibv_qp_type::IBV_QPT_RC;
            assert_eq!(null(raw::ibv_create_qp(a.of(Pd), (&raw mut init).cast())), libc::EINVAL);
        }
        let mut init: ibv_qp_init_attr = std::mem::zeroed();
        init.send_cq = a.of(Cq).cast();
        init.recv_cq = a.of(Cq).cast();
        init.qp_type = ibv_qp_type::IBV_QPT_RC;
        let made = raw::rdma_create_qp(a.of(Id), a.of(Pd), (&raw mut init).cast());
        assert_eq!(minus_one(made), libc::EINVAL, "the identifier is on librdmacm's context");
    }
    assert_eq!(softverbs::ledger(), before);
    a.destroy();
    b.destroy();
}

#[test]
fn memory_that_is_not_there() {
    let _alone = alone();
    let o = make();
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
        let at = libc::mmap(null_mut(), 2 * page, libc::PROT_READ, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED);
        let reg = |at: *mut c_void, length, rights| {
            let mr = raw::ibv_reg_mr(o.of(Pd), at, length, rights);
            let errno = null(mr);
            if errno == 0 {
                assert_eq!(raw::ibv_dereg_mr(mr), 0);
            }
            errno
        };
        assert_eq!(reg(at, 2 * page, 0), 0);
        assert_eq!(reg(at, 2 * page, 4), 0);
        // What a kernel before 5.14 cannot tell is taken.
        if libc::madvise(room().wrapping_byte_sub(room() as usize % page), page, 23) == 0 {
            assert_eq!(reg(at, 2 * page, 1), libc::EFAULT, "read-only memory to be written");
        }
        assert_eq!(libc::munmap(at.wrapping_byte_add(page), page), 0);
        assert_eq!(reg(at, 2 * page, 0), libc::EFAULT);
        assert_eq!(reg(at.wrapping_byte_add(page), 1, 0), libc::EFAULT);
        assert_eq!(reg(at, page, 0), 0);
        assert_eq!(reg(at, 0, 0), libc::EINVAL, "no page at all");
        assert_eq!(reg(null_mut(), 0, 0), libc::EINVAL);
        assert_eq!(reg(null_mut(), 1, 0), libc::EFAULT);
        assert_eq!(reg(at, usize::MAX, 0), libc::EINVAL, "wraps around");
        for (rights, errno) in [(2, libc::EINVAL), (8, libc::EINVAL), (3, 0), (9, 0), (1 << 30, libc::EINVAL)]
        {
            assert_eq!(reg(room(), 64, rights), errno, "rights {rights:#x}");
        }
        assert_eq!(libc::munmap(at, page), 0);
    }
    o.destroy();
}
