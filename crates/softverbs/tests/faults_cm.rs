//! Events of the connection manager that go wrong on demand, in every state of a connection; in virtual time.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ptr::null_mut;

use common::*;
use rdma_sys::*;
use softverbs::{control, sim};

const MS: u64 = 1_000_000;

fn world() -> std::sync::MutexGuard<'static, ()> {
    let guard = alone();
    sim::start(2);
    control("faults off; device on; timeout cm 1s").unwrap();
    guard
}

fn kinds(channel: &Channel) -> Vec<&'static str> {
    std::iter::from_fn(|| channel.try_next()).map(|e| e.kind).collect()
}

fn resolve_addr(id: *mut rdma_cm_id) -> i32 {
    let mut addr = sockaddr("127.0.0.1:4420");
    unsafe { rdma_resolve_addr(id, null_mut(), (&raw mut addr).cast(), 1000) }
}

/// An active side with a QP on the way to a listener.
struct Asking {
    channel: Channel,
    listener: *mut rdma_cm_id,
    end: End,
}

impl Asking {
    fn new() -> Self {
        let channel = Channel::new();
        let listener = listen(&channel, "127.0.0.1:4420");
        let id = resolve(&channel, "127.0.0.1:4420");
        let end = End::new(id, &Shape::default(), ALL);
        Self { channel, listener, end }
    }

    fn connect(&self) -> i32 {
        unsafe { rdma_connect(self.end.id, &mut param(&Shape::default(), b"please")) }
    }

    /// The other side takes the request.
    fn accept(&self) -> End {
        let request = self.channel.expect("CONNECT_REQUEST");
        let end = End::new(request.id, &Shape::default(), ALL);
        assert_eq!(unsafe { rdma_accept(request.id, &mut param(&Shape::default(), b"welcome")) }, 0);
        end
    }

    fn destroy(self, other: Option<End>) {
        self.end.destroy();
        if let Some(end) = other {
            end.destroy();
        }
        unsafe { rdma_destroy_id(self.listener) };
        self.channel.destroy();
        nothing_left(0);
    }
}

#[test]
fn resolving_fails_and_can_be_done_again() {
    let _world = world();
    let channel = Channel::new();
    let id = make_id(&channel);
    control("cm ADDR_RESOLVED as ADDR_ERROR status -ETIMEDOUT").unwrap();
    assert_eq!(resolve_addr(id), 0);
    let seen = channel.next();
    assert_eq!((seen.kind, seen.status), ("ADDR_ERROR", -libc::ETIMEDOUT));
    assert_eq!(unsafe { rdma_resolve_route(id, 1000) }, -1);
    assert_eq!(resolve_addr(id), 0);
    channel.expect("ADDR_RESOLVED");
    control("cm ROUTE_RESOLVED as ROUTE_ERROR status -110").unwrap();
    assert_eq!(unsafe { rdma_resolve_route(id, 1000) }, 0);
    let seen = channel.next();
    assert_eq!((seen.kind, seen.status), ("ROUTE_ERROR", -libc::ETIMEDOUT));
    assert_eq!(unsafe { rdma_resolve_route(id, 1000) }, 0);
    channel.expect("ROUTE_RESOLVED");
    unsafe { rdma_destroy_id(id) };
    channel.destroy();
    nothing_left(0);
}

#[test]
fn no_event_at_all_in_any_state() {
    let _world = world();
    for (n, event) in ["ADDR_RESOLVED", "ROUTE_RESOLVED"].iter().enumerate() {
        let channel = Channel::new();
        let id = make_id(&channel);
        control(&format!("cm {event} drop")).unwrap();
        assert_eq!(resolve_addr(id), 0);
        if n == 1 {
            channel.expect("ADDR_RESOLVED");
            assert_eq!(unsafe { rdma_resolve_route(id, 1000) }, 0);
        }
        sim::advance(5_000 * MS);
        assert_eq!(kinds(&channel), [""; 0]);
        unsafe { rdma_destroy_id(id) };
        channel.destroy();
        nothing_left(0);
    }
    // The request is lost: the one who asks gives up at last.
    let w = Asking::new();
    control("cm CONNECT_REQUEST drop").unwrap();
    assert_eq!(w.connect(), 0);
    sim::advance(1_000 * MS - 1);
    assert_eq!(kinds(&w.channel), [""; 0]);
    sim::advance(1);
    let seen = w.channel.expect("UNREACHABLE");
    assert_eq!(seen.status, -libc::ETIMEDOUT);
    w.destroy(None);
    // The answer is lost: neither side ever hears of a connection but the one who waits for its RTU.
    let w = Asking::new();
    assert_eq!(w.connect(), 0);
    control("cm ESTABLISHED drop").unwrap();
    let other = w.accept();
    sim::advance(5_000 * MS);
    assert_eq!(kinds(&w.channel), ["UNREACHABLE"]);
    w.destroy(Some(other));
}

#[test]
fn an_event_comes_after_one_gave_up() {
    let _world = world();
    let w = Asking::new();
    control("cm ESTABLISHED 1 late 3s").unwrap();
    assert_eq!(w.connect(), 0);
    let other = w.accept();
    sim::advance(3_000 * MS - 1);
    assert_eq!(kinds(&w.channel), ["UNREACHABLE"], "the passive side waited a second for the RTU");
    sim::advance(1);
    let late = w.channel.next();
    assert_eq!(late.id, w.end.id);
    w.destroy(Some(other));
    // It does not come to an identifier that is gone.
    let w = Asking::new();
    control("cm ESTABLISHED 1 late 3s").unwrap();
    assert_eq!(w.connect(), 0);
    let other = w.accept();
    w.destroy(Some(other));
    sim::advance(5_000 * MS);
    nothing_left(0);
}

#[test]
fn every_way_in_which_connecting_fails() {
    let _world = world();
    for (event, status, seen_status) in [
        ("UNREACHABLE", "-ETIMEDOUT", -110),
        ("CONNECT_ERROR", "-EINVAL", -22),
        ("REJECTED", "stale", 10),
        ("REJECTED", "28", 28),
    ] {
        let w = Asking::new();
        assert_eq!(w.connect(), 0);
        control(&format!("cm ESTABLISHED 1 as {event} status {status}")).unwrap();
        let other = w.accept();
        let seen = w.channel.next();
        assert_eq!((seen.kind, seen.status, seen.id), (event, seen_status, w.end.id));
        assert_eq!(w.connect(), -1, "that attempt is over");
        w.destroy(Some(other));
    }
}

#[test]
fn a_stale_connection_is_rejected_again_and_again() {
    let _world = world();
    let channel = Channel::new();
    let listener = listen(&channel, "127.0.0.1:4420");
    control("cm reject 1-3 stale").unwrap();
    for attempt in 0..4 {
        let id = resolve(&channel, "127.0.0.1:4420");
        let end = End::new(id, &Shape::default(), ALL);
        assert_eq!(unsafe { rdma_connect(id, &mut param(&Shape::default(), b"")) }, 0);
        let seen = channel.next();
        if attempt < 3 {
            assert_eq!((seen.kind, seen.status, seen.private.len()), ("REJECTED", 10, 148));
            assert_eq!(end.state(), 6, "librdmacm puts the queue pair into error");
        } else {
            assert_eq!(seen.kind, "CONNECT_REQUEST");
            unsafe { rdma_destroy_id(seen.id) };
            channel.expect("REJECTED");
        }
        end.destroy();
    }
    unsafe { rdma_destroy_id(listener) };
    channel.destroy();
    nothing_left(0);
}

#[test]
fn a_command_waits_for_an_event() {
    let _world = world();
    let w = Asking::new();
    control("at event CONNECT_REQUEST: fail rdma_accept always EPROTO; at event CONNECT_REQUEST: faults")
        .unwrap();
    assert_eq!(w.connect(), 0);
    let request = w.channel.expect("CONNECT_REQUEST");
    assert_eq!(unsafe { rdma_accept(request.id, &mut param(&Shape::default(), b"")) }, -1);
    assert_eq!(errno(), libc::EPROTO);
    assert_eq!(unsafe { rdma_destroy_id(request.id) }, 0);
    w.channel.expect("REJECTED");
    w.destroy(None);
}

#[test]
fn an_accept_without_private_data() {
    let _world = world();
    for (command, private) in
        [("", 196), ("cm ESTABLISHED 1 private none", 0), ("cm ESTABLISHED 1 private 0102", 2)]
    {
        let w = Asking::new();
        assert_eq!(w.connect(), 0);
        control(command).unwrap();
        let other = w.accept();
        let seen = w.channel.expect("ESTABLISHED");
        assert_eq!((seen.id, seen.private.len()), (w.end.id, private));
        w.channel.expect("ESTABLISHED");
        w.destroy(Some(other));
    }
}

#[test]
fn events_that_nothing_caused_while_running() {
    let _world = world();
    let p = Pair::new();
    for event in ["DISCONNECTED", "DEVICE_REMOVAL", "ADDR_CHANGE", "TIMEWAIT_EXIT", "UNREACHABLE", "REJECTED"]
    {
        control(&format!("cm inject {event} on {:p}", p.a.id)).unwrap();
        let seen = p.channel.next();
        assert_eq!((seen.id, seen.kind), (p.a.id, event));
    }
    control("cm inject ADDR_CHANGE; cm inject DISCONNECTED on newest").unwrap();
    assert_eq!(kinds(&p.channel), ["ADDR_CHANGE", "ADDR_CHANGE", "DISCONNECTED"]);
    control("cm inject ADDR_CHANGE on all").unwrap();
    assert_eq!(kinds(&p.channel).len(), 3, "the listener too");
    control("cm inject DISCONNECTED on newest times 500 status 7").unwrap();
    assert_eq!(kinds(&p.channel).len(), 500, "a burst");
    let number = unsafe { (*p.b.qp).qp_num };
    control(&format!("cm inject TIMEWAIT_EXIT on qp {number}")).unwrap();
    assert_eq!(p.channel.next().id, p.b.id);
    for nobody in ["on qp 1", "on port 1", "on 0x10"] {
        assert!(control(&format!("cm inject DISCONNECTED {nobody}")).is_err());
    }
    p.destroy();
}

#[test]
fn an_injected_event_in_every_state() {
    let _world = world();
    let w = Asking::new();
    control("cm inject DEVICE_REMOVAL on newest").unwrap();
    assert_eq!(w.channel.next().id, w.end.id, "route resolved");
    assert_eq!(w.connect(), 0);
    control("cm inject UNREACHABLE").unwrap();
    let request = w.channel.expect("CONNECT_REQUEST");
    assert_eq!(kinds(&w.channel), ["UNREACHABLE"], "request out");
    control("cm inject TIMEWAIT_EXIT on newest").unwrap();
    assert_eq!(w.channel.next().id, request.id, "request in");
    unsafe { rdma_destroy_id(request.id) };
    w.destroy(None);
}

#[test]
fn a_request_that_nobody_sees_leaves_the_backlog() {
    let _world = world();
    let channel = Channel::new();
    let listener = make_id(&channel);
    let mut addr = sockaddr("127.0.0.1:4420");
    unsafe {
        assert_eq!(rdma_bind_addr(listener, (&raw mut addr).cast()), 0);
        assert_eq!(rdma_listen(listener, 1), 0);
    }
    control("cm CONNECT_REQUEST drop").unwrap();
    let mut ends = Vec::new();
    let mut ask = || {
        ends.push(End::new(resolve(&channel, "127.0.0.1:4420"), &Shape::default(), ALL));
        let id = ends.last().unwrap().id;
        assert_eq!(unsafe { rdma_connect(id, &mut param(&Shape::default(), b"")) }, 0);
    };
    ask();
    assert_eq!(kinds(&channel), [""; 0], "dropped");
    ask();
    let request = channel.expect("CONNECT_REQUEST");
    unsafe { rdma_destroy_id(request.id) };
    channel.expect("REJECTED");
    for end in ends {
        end.destroy();
    }
    unsafe { rdma_destroy_id(listener) };
    channel.destroy();
    nothing_left(0);
}

#[test]
fn disconnected_before_during_and_after_twice_and_never() {
    let _world = world();
    let p = Pair::new();
    control(&format!("at call rdma_disconnect: cm inject DISCONNECTED on {:p}", p.a.id)).unwrap();
    assert_eq!(unsafe { rdma_disconnect(p.a.id) }, 0);
    let first = p.channel.expect("DISCONNECTED");
    assert_eq!(first.id, p.a.id, "before the peer heard of anything");
    assert_eq!(p.channel.expect("DISCONNECTED").id, p.b.id);
    control("cm DISCONNECTED repeat 1").unwrap();
    assert_eq!(unsafe { rdma_disconnect(p.b.id) }, 0);
    assert_eq!(kinds(&p.channel), ["DISCONNECTED", "DISCONNECTED"]);
    sim::advance(100 * MS);
    assert_eq!(kinds(&p.channel), ["TIMEWAIT_EXIT", "TIMEWAIT_EXIT"]);
    p.destroy();

    let p = Pair::new();
    control("cm DISCONNECTED always drop").unwrap();
    assert_eq!(unsafe { rdma_disconnect(p.a.id) }, 0);
    sim::advance(5_000 * MS);
    assert_eq!(kinds(&p.channel), ["TIMEWAIT_EXIT"], "never, and TIMEWAIT_EXIT first");
    p.destroy();

    let p = Pair::new();
    control("faults off; cm DISCONNECTED 2 late 50ms").unwrap();
    assert_eq!(unsafe { rdma_disconnect(p.a.id) }, 0);
    assert_eq!(unsafe { rdma_disconnect(p.b.id) }, 0);
    sim::advance(20 * MS);
    assert_eq!(kinds(&p.channel), ["DISCONNECTED", "TIMEWAIT_EXIT", "TIMEWAIT_EXIT"]);
    sim::advance(30 * MS);
    assert_eq!(kinds(&p.channel), ["DISCONNECTED"], "after TIMEWAIT_EXIT");
    p.destroy();
}

#[test]
fn an_event_that_is_not_acknowledged_is_seen_in_the_ledger() {
    let _world = world();
    let channel = Channel::new();
    let id = make_id(&channel);
    assert_eq!(resolve_addr(id), 0);
    let mut event = null_mut();
    assert_eq!(unsafe { rdma_get_cm_event(channel.0, &mut event) }, 0);
    assert_eq!(softverbs::ledger().unacked_events, 1);
    control("fail rdma_ack_cm_event EIO; fail rdma_destroy_id EBUSY").unwrap();
    assert_eq!(unsafe { rdma_ack_cm_event(event) }, -1);
    assert_eq!(unsafe { rdma_destroy_id(id) }, -1);
    assert_eq!((errno(), softverbs::ledger().cm_ids), (libc::EBUSY, 1));
    assert_eq!(unsafe { rdma_ack_cm_event(event) }, 0);
    assert_eq!(unsafe { rdma_destroy_id(id) }, 0);
    channel.destroy();
    nothing_left(0);
}

#[test]
fn the_device_is_pulled_out_and_another_one_comes() {
    let _world = world();
    let p = Pair::new();
    let context = unsafe { (*p.a.id).verbs };
    for id in 1..=2 {
        p.b.recv(id, 0, 64);
    }
    control("device remove").unwrap();
    let mut told: Vec<_> = std::iter::from_fn(|| p.channel.try_next()).collect();
    assert!(told.iter().all(|e| e.kind == "DEVICE_REMOVAL"));
    told.retain(|e| [p.a.id, p.b.id, p.listener].contains(&e.id));
    assert_eq!(told.len(), 3);
    let mut event: ibv_async_event = unsafe { std::mem::zeroed() };
    assert_eq!(unsafe { ibv_get_async_event(context, &mut event) }, 0);
    assert_eq!(kind_of(&event), 8);
    assert_eq!((p.b.poll().status, p.b.poll().status), (5, 5), "queue pairs flush");
    unsafe {
        assert!(ibv_alloc_pd(context).is_null());
        assert_eq!(errno(), libc::EIO);
        assert!(ibv_create_cq(context, 1, null_mut(), null_mut(), 0).is_null());
        assert!(ibv_reg_mr(p.a.pd, p.a.memory.as_ptr() as *mut _, 8, 1).is_null());
        let mut attr: ibv_device_attr = std::mem::zeroed();
        assert_eq!(ibv_query_device(context, &mut attr), libc::EIO);
        assert_eq!(p.a.modify(0), libc::EIO);
        let mut count = 7;
        let list = ibv_get_device_list(&mut count);
        assert!((*list).is_null() && count == 0);
        ibv_free_device_list(list);
        assert_eq!(rdma_connect(p.a.id, &mut param(&Shape::default(), b"")), -1);
    }
    let channel = Channel::new();
    let id = make_id(&channel);
    assert_eq!(resolve_addr(id), 0);
    assert_eq!(channel.expect("ADDR_ERROR").status, -libc::ENODEV);
    unsafe { rdma_destroy_id(id) };
    // Another device: what belongs to the old one stays dead, and is given back in good order.
    control("device on").unwrap();
    let q = Pair::at("127.0.0.1:4421", Shape::default(), ALL);
    assert_ne!(unsafe { (*q.a.id).verbs }, context);
    unsafe { assert!(ibv_alloc_pd(context).is_null()) };
    q.a.send(Send::send(1, q.a.sge(0, 8)));
    q.b.recv(1, 0, 64);
    assert_eq!((q.a.poll().status, q.b.poll().status), (0, 0));
    q.a.destroy();
    q.b.destroy();
    unsafe { rdma_destroy_id(q.listener) };
    q.channel.destroy();
    channel.destroy();
    p.destroy();
}

fn kind_of(event: &ibv_async_event) -> u32 {
    let at = std::mem::offset_of!(ibv_async_event, event_type);
    unsafe { (&raw const *event).cast::<u8>().add(at).cast::<u32>().read() }
}

fn async_events(context: *mut ibv_context) -> Vec<u32> {
    unsafe {
        let flags = libc::fcntl((*context).async_fd, libc::F_GETFL);
        libc::fcntl((*context).async_fd, libc::F_SETFL, flags | libc::O_NONBLOCK);
    }
    let next = || {
        let mut event: ibv_async_event = unsafe { std::mem::zeroed() };
        (unsafe { ibv_get_async_event(context, &mut event) } == 0).then(|| {
            unsafe { ibv_ack_async_event(&mut event) };
            kind_of(&event)
        })
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn the_port_goes_down_and_up() {
    let _world = world();
    let p = Pair::with(Shape { ack_timeout: 14, retry: 7, ..Shape::default() }, ALL);
    let context = unsafe { (*p.a.id).verbs };
    let port_state = || unsafe {
        let mut attr: ibv_port_attr = std::mem::zeroed();
        let query: unsafe extern "C" fn(*mut ibv_context, u8, *mut ibv_port_attr) -> i32 =
            ibv_query_port_old();
        assert_eq!(query(context, 1, &mut attr), 0);
        attr.state
    };
    assert_eq!(port_state(), 4);
    async_events(context);
    control("port down").unwrap();
    assert_eq!((async_events(context), port_state()), (vec![10], 1));
    p.b.recv(1, 0, 64);
    p.a.send(Send::send(1, p.a.sge(0, 8)));
    sim::advance(100 * MS);
    assert!(p.a.try_poll().is_none() && p.b.try_poll().is_none());
    control("port up").unwrap();
    sim::advance(0);
    assert_eq!((async_events(context), port_state()), (vec![9], 4));
    assert_eq!((p.b.poll().status, p.a.poll().status), (0, 0), "nothing was lost");
    // Down for longer than the queue pair is patient.
    control("port down").unwrap();
    p.b.recv(2, 0, 64);
    p.a.send(Send::send(2, p.a.sge(0, 8)));
    assert_eq!(unsafe { rdma_disconnect(p.b.id) }, 0);
    sim::advance(10_000 * MS);
    assert_eq!(p.a.poll().status, 12, "RETRY_EXC_ERR");
    assert_eq!(kinds(&p.channel)[..1], ["DISCONNECTED"]);
    control("port up").unwrap();
    sim::advance(1_000 * MS);
    assert!(kinds(&p.channel).contains(&"DISCONNECTED"), "the message was on its way");
    p.destroy();
}

/// The entry point, past the inline function of verbs.h.
fn ibv_query_port_old() -> unsafe extern "C" fn(*mut ibv_context, u8, *mut ibv_port_attr) -> i32 {
    unsafe extern "C" {
        fn ibv_query_port(context: *mut ibv_context, port: u8, attr: *mut ibv_port_attr) -> i32;
    }
    ibv_query_port
}

#[test]
fn asynchronous_events_that_nothing_caused() {
    let _world = world();
    let p = Pair::new();
    let context = unsafe { (*p.a.id).verbs };
    async_events(context);
    p.a.recv(1, 0, 64);
    let number = unsafe { (*p.a.qp).qp_num };
    control(&format!("async QP_FATAL qp {number:#x}")).unwrap();
    assert_eq!((async_events(context), p.a.state(), p.a.poll().status), (vec![1], 6, 5));
    control(&format!("async CQ_ERR qp {number}; async GID_CHANGE; async DEVICE_FATAL")).unwrap();
    assert_eq!(async_events(context), [0, 18, 8]);
    assert!(
        control(&format!("async SRQ_ERR qp {number}")).is_err() && control("async QP_FATAL qp 1").is_err()
    );
    p.destroy();
}

#[test]
fn a_simulation_does_not_hear_of_the_one_before() {
    let _world = world();
    let p = Pair::new();
    let context = unsafe { (*p.a.id).verbs };
    control("port down; port up; async GID_CHANGE").unwrap();
    p.destroy();
    sim::start(4);
    let p = Pair::new();
    assert_eq!(unsafe { (*p.a.id).verbs }, context, "librdmacm's context lives on");
    assert!(!readable(unsafe { (*context).async_fd }));
    assert_eq!(async_events(context), []);
    control("async GID_CHANGE").unwrap();
    assert!(readable(unsafe { (*context).async_fd }));
    assert_eq!(async_events(context), [18]);
    p.destroy();
}

fn readable(fd: i32) -> bool {
    let mut wait = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    unsafe { libc::poll(&mut wait, 1, 0) == 1 }
}
