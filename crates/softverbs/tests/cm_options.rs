//! The smaller calls of librdmacm: options, addresses, events that the program brings, channels that do not block.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ffi::{CString, c_void};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::ptr::null_mut;

use common::*;
use rdma_sys::*;

const COMM_EST: ibv_event_type = ibv_event_type::IBV_EVENT_COMM_EST;
const PATH_MIG: ibv_event_type = ibv_event_type::IBV_EVENT_PATH_MIG;

fn set(id: *mut rdma_cm_id, name: i32, mut value: i32, length: usize) -> (i32, i32) {
    let result = unsafe { rdma_set_option(id, 0, name, (&raw mut value).cast::<c_void>(), length) };
    (result, if result == 0 { 0 } else { errno() })
}

#[test]
fn options_are_of_their_length_and_in_time() {
    let _alone = alone();
    let channel = Channel::new();
    let id = make_id(&channel);
    let (tos, reuse, family, timeout) = (0, 1, 2, 3);
    assert_eq!(set(id, tos, 96, 1), (0, 0));
    assert_eq!(set(id, tos, 96, 4), (-1, libc::EINVAL));
    assert_eq!(set(id, timeout, 9, 1), (0, 0));
    assert_eq!(set(id, timeout, 32, 1), (-1, libc::EINVAL));
    assert_eq!(set(id, 77, 1, 4), (-1, libc::ENOSYS));
    assert_eq!(unsafe { rdma_set_option(id, 1, 1, null_mut(), 0) }, -1);
    assert_eq!(errno(), libc::ENOSYS);
    assert_eq!(set(id, reuse, 1, 1), (-1, libc::EINVAL));
    assert_eq!((set(id, reuse, 0, 4), set(id, reuse, 1, 4), set(id, family, 1, 4)), ((0, 0), (0, 0), (0, 0)));
    let mut address = sockaddr(&format!("127.0.0.1:{}", fresh_port()));
    assert_eq!(unsafe { rdma_bind_addr(id, (&raw mut address).cast()) }, 0);
    assert_eq!(set(id, reuse, 0, 4), (-1, libc::EINVAL));
    assert_eq!((set(id, reuse, 1, 4), set(id, family, 0, 4)), ((0, 0), (0, 0)));
    assert_eq!(unsafe { rdma_listen(id, 1) }, 0);
    assert_eq!(set(id, reuse, 1, 4), (-1, libc::EINVAL));
    assert_eq!(set(id, family, 0, 4), (-1, libc::EINVAL));
    assert_eq!(unsafe { rdma_destroy_id(id) }, 0);
    channel.destroy();
    nothing_left(0);
}

/// Connects `id`, whose address is resolved, to whoever listens on the channel.
fn connected(channel: &Channel, id: *mut rdma_cm_id) -> (End, End) {
    let shape = Shape::default();
    assert_eq!(unsafe { rdma_resolve_route(id, 1000) }, 0);
    assert_eq!(channel.expect("ROUTE_RESOLVED").id, id);
    let a = End::new(id, &shape, ALL);
    let mut conn = param(&shape, b"");
    assert_eq!(unsafe { rdma_connect(id, &mut conn) }, 0);
    let passive = channel.expect("CONNECT_REQUEST").id;
    let b = End::new(passive, &shape, ALL);
    assert_eq!(unsafe { rdma_accept(passive, &mut conn) }, 0);
    assert_eq!(channel.expect("ESTABLISHED").id, id);
    assert_eq!(channel.expect("ESTABLISHED").id, passive);
    (a, b)
}

/// Resolves `to`, from `from`; 0 or the errno.
fn resolve_from(channel: &Channel, id: *mut rdma_cm_id, from: &str, to: &str) -> i32 {
    let (mut from, mut to) = (sockaddr(from), sockaddr(to));
    let result = unsafe { rdma_resolve_addr(id, (&raw mut from).cast(), (&raw mut to).cast(), 1000) };
    if result != 0 {
        return errno();
    }
    assert_eq!(channel.expect("ADDR_RESOLVED").id, id);
    0
}

const REUSE: i32 = 1;
const ONLY_FAMILY: i32 = 2;

#[test]
fn a_source_port_is_shared_by_all_who_say_so() {
    let _alone = alone();
    let channel = Channel::new();
    let to = format!("127.0.0.1:{}", fresh_port());
    let from = format!("127.0.0.1:{}", fresh_port());
    let listener = listen(&channel, &to);
    let ids = [(); 5].map(|()| make_id(&channel));
    for id in &ids[..3] {
        assert_eq!(set(*id, REUSE, 1, 4), (0, 0));
    }
    let mut ends = Vec::new();
    for id in &ids[..2] {
        assert_eq!(resolve_from(&channel, *id, &from, &to), 0);
        ends.push(connected(&channel, *id));
    }
    for (number, (a, b)) in ends.iter().enumerate() {
        assert_eq!(unsafe { rdma_get_src_port(a.id) }, unsafe { rdma_get_src_port(ends[0].0.id) });
        b.recv(1, 0, 64);
        a.send(Send::send(number as u64, a.sge(0, 8)));
        assert_eq!((a.poll().wr_id, b.poll().status), (number as u64, 0), "each has a way of its own");
    }
    // One that does not say so gets it neither then, nor if it said so and took it back.
    assert_eq!(resolve_from(&channel, ids[3], &from, &to), libc::EADDRINUSE);
    assert_eq!((set(ids[2], REUSE, 0, 4), set(ids[4], REUSE, 1, 4)), ((0, 0), (0, 0)));
    assert_eq!(resolve_from(&channel, ids[2], &from, &to), libc::EADDRINUSE);
    // Who shares a port does not listen on it.
    let mut address = sockaddr(&from);
    unsafe {
        assert_eq!(rdma_bind_addr(ids[4], (&raw mut address).cast()), 0);
        assert_eq!((rdma_listen(ids[4], 1), errno()), (-1, libc::EADDRINUSE));
        for (a, b) in ends {
            a.destroy();
            b.destroy();
        }
        assert_eq!(rdma_listen(ids[4], 1), 0, "it has the port alone now");
        // An address of a listener's port that is no more the listener's may be taken by another.
        assert_eq!(resolve_from(&channel, ids[3], &from, &to), libc::EADDRINUSE);
        assert_eq!(rdma_destroy_id(ids[4]), 0);
        assert_eq!(resolve_from(&channel, ids[3], &from, &to), 0);
        for id in [ids[2], ids[3], listener] {
            assert_eq!(rdma_destroy_id(id), 0);
        }
    }
    channel.destroy();
    nothing_left(0);
}

#[test]
fn any_address_and_one_address_do_not_have_the_same_port() {
    let _alone = alone();
    let channel = Channel::new();
    let port = fresh_port();
    let bind = |id: *mut rdma_cm_id, ip: &str| {
        let mut address = sockaddr(&format!("{ip}:{port}"));
        if unsafe { rdma_bind_addr(id, (&raw mut address).cast()) } == 0 { 0 } else { errno() }
    };
    let ids = [(); 4].map(|()| make_id(&channel));
    assert_eq!(bind(ids[0], "0.0.0.0"), 0);
    assert_eq!(bind(ids[1], "127.0.0.1"), libc::EADDRNOTAVAIL);
    assert_eq!(bind(ids[1], "0.0.0.0"), libc::EADDRNOTAVAIL);
    // Another family is another port only if both say that theirs is the only one.
    assert_eq!(set(ids[2], ONLY_FAMILY, 1, 4), (0, 0));
    assert_eq!(bind(ids[2], "[::]"), libc::EADDRNOTAVAIL);
    assert_eq!(set(ids[0], ONLY_FAMILY, 1, 4), (0, 0));
    assert_eq!(bind(ids[2], "[::]"), 0);
    for id in ids {
        assert_eq!(unsafe { rdma_destroy_id(id) }, 0);
    }
    channel.destroy();
    nothing_left(0);
}

type Another<L> = (std::process::Child, L);

/// Lets it end.
fn finish((mut child, lines): Another<impl Iterator<Item = String>>) {
    drop(child.stdin.take());
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
}

/// Another process, which takes a port, says how that went, and keeps it until it hears something.
#[test]
#[ignore = "run by the test below"]
fn another_process() {
    let channel = Channel::new();
    let id = make_id(&channel);
    if std::env::var("REUSE").unwrap() == "1" {
        assert_eq!(set(id, REUSE, 1, 4), (0, 0));
    }
    let mut address = sockaddr(&std::env::var("ADDRESS").unwrap());
    let bound = unsafe { rdma_bind_addr(id, (&raw mut address).cast()) };
    println!("bound {}", if bound == 0 { 0 } else { errno() });
    let _ = std::io::stdin().read_line(&mut String::new());
    assert_eq!(unsafe { rdma_destroy_id(id) }, 0);
    channel.destroy();
}

#[test]
fn processes_share_a_port_if_both_say_so() {
    let _alone = alone();
    let channel = Channel::new();
    let address = format!("127.0.0.1:{}", fresh_port());
    let start = |reuse: bool| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "another_process", "--ignored", "--nocapture"]);
        command.env("ADDRESS", &address).env("REUSE", if reuse { "1" } else { "0" });
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let bound = lines.find_map(|l| l.split_once("bound ").map(|w| w.1.to_string()));
        ((child, lines), bound.unwrap().parse::<i32>().unwrap())
    };
    let bind = |reuse: bool| {
        let id = make_id(&channel);
        assert_eq!(set(id, REUSE, i32::from(reuse), 4), (0, 0));
        let mut at = sockaddr(&address);
        let bound = unsafe { rdma_bind_addr(id, (&raw mut at).cast()) };
        (id, if bound == 0 { 0 } else { errno() })
    };
    for (theirs, ours, expected) in
        [(true, true, 0), (true, false, libc::EADDRINUSE), (false, true, libc::EADDRINUSE)]
    {
        let (child, bound) = start(theirs);
        assert_eq!(bound, 0);
        let (id, got) = bind(ours);
        assert_eq!(got, expected, "theirs {theirs}, ours {ours}");
        if got == 0 {
            assert_eq!((unsafe { rdma_listen(id, 1) }, errno()), (-1, libc::EADDRINUSE));
        }
        finish(child);
        if got == 0 {
            assert_eq!(unsafe { rdma_listen(id, 1) }, 0, "they are gone");
        }
        assert_eq!(unsafe { rdma_destroy_id(id) }, 0);
    }
    // Saying so late helps as well.
    let (id, bound) = bind(false);
    assert_eq!(bound, 0);
    let (child, bound) = start(true);
    assert_eq!(bound, libc::EADDRINUSE);
    finish(child);
    assert_eq!(set(id, REUSE, 1, 4), (0, 0));
    let (child, bound) = start(true);
    assert_eq!(bound, 0);
    finish(child);
    assert_eq!(unsafe { rdma_destroy_id(id) }, 0);
    channel.destroy();
    nothing_left(0);
}

/// What librdmacm fills in once it knows an identifier's device.
fn has_device(id: *mut rdma_cm_id) -> bool {
    unsafe {
        let i = &*id;
        let own = !i.pd.is_null() && (*i.pd).context == i.verbs;
        assert_eq!(i.verbs.is_null(), i.pd.is_null());
        assert_eq!(i.port_num, u8::from(own));
        own
    }
}

#[test]
fn an_identifier_shows_its_device_and_the_way_to_its_peer() {
    let _alone = alone();
    let channel = Channel::new();
    let address = format!("127.0.0.1:{}", fresh_port());
    let listener = listen(&channel, &address);
    assert!(has_device(listener), "bound");
    let any = make_id(&channel);
    let mut anywhere = sockaddr(&format!("0.0.0.0:{}", fresh_port()));
    assert_eq!(unsafe { rdma_bind_addr(any, (&raw mut anywhere).cast()) }, 0);
    assert!(!has_device(any), "bound to no address of a device");
    let id = make_id(&channel);
    assert!(!has_device(id));
    let mut to = sockaddr(&address);
    unsafe {
        assert_eq!(rdma_resolve_addr(id, null_mut(), (&raw mut to).cast(), 1000), 0);
        assert_eq!(channel.expect("ADDR_RESOLVED").id, id);
        assert!(has_device(id), "resolved");
        assert_eq!(((*id).route.num_paths, (*id).route.path_rec.is_null()), (0, true));
        // As rdma_reg_msgs does, before there is a queue pair.
        let mut bytes = [0u8; 64];
        let mr = ibv_reg_mr((*id).pd, bytes.as_mut_ptr().cast(), bytes.len(), 1);
        assert!(!mr.is_null());
        assert_eq!(rdma_resolve_route(id, 1000), 0);
        assert_eq!(channel.expect("ROUTE_RESOLVED").id, id);
        let path = (*id).route.path_rec.as_ref().unwrap();
        let local = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1];
        assert_eq!(((*id).route.num_paths, path.sgid.raw, path.dgid.raw), (1, local, local));
        assert_eq!((path.reversible, path.pkey, path.mtu), (1, 0xffff, 5));
        // A shared receive queue and a queue pair whose program names no domain are of that one.
        let mut srq_init: ibv_srq_init_attr = std::mem::zeroed();
        srq_init.attr.max_wr = 1;
        let default = (*id).pd;
        assert_eq!(rdma_create_srq(id, null_mut(), &mut srq_init), 0);
        assert_eq!(((*(*id).srq).pd, (*id).pd), (default, default));
        let mut init: ibv_qp_init_attr = std::mem::zeroed();
        init.qp_type = ibv_qp_type::IBV_QPT_RC;
        (init.cap.max_send_wr, init.cap.max_recv_wr) = (1, 1);
        assert_eq!(rdma_create_qp(id, null_mut(), &mut init), 0);
        assert_eq!((*(*id).qp).pd, default);
        let mut conn = param(&Shape::default(), b"");
        assert_eq!(rdma_connect(id, &mut conn), 0);
        let request = channel.expect("CONNECT_REQUEST").id;
        assert!(has_device(request), "asked");
        assert_eq!((*request).route.num_paths, 1);
        assert_eq!(rdma_destroy_id(request), 0);
        assert_eq!(channel.expect("REJECTED").id, id);
        rdma_destroy_qp(id);
        rdma_destroy_srq(id);
        assert_eq!(ibv_dereg_mr(mr), 0);
        for id in [id, any, listener] {
            assert_eq!(rdma_destroy_id(id), 0);
        }
    }
    channel.destroy();
    nothing_left(0);
}

#[test]
fn an_endpoint_without_attributes_has_a_protection_domain() {
    let _alone = alone();
    let (host, service) = (CString::new("127.0.0.1").unwrap(), CString::new("4420").unwrap());
    unsafe {
        let mut hints: rdma_addrinfo = std::mem::zeroed();
        hints.ai_port_space = 0x106;
        let mut found = null_mut();
        assert_eq!(
            rdma_getaddrinfo(host.as_ptr().cast_mut(), service.as_ptr().cast_mut(), &hints, &mut found),
            0
        );
        let mut id = null_mut();
        assert_eq!(rdma_create_ep(&mut id, found, null_mut(), null_mut()), 0);
        assert!(has_device(id));
        rdma_destroy_ep(id);
        rdma_freeaddrinfo(found);
    }
    nothing_left(0);
}

/// What is set comes back in the attributes of the connection's QP.
#[test]
fn type_of_service_and_timeout_reach_the_queue_pair() {
    let _alone = alone();
    let p = Pair::new();
    unsafe {
        let mut attr: ibv_qp_attr = std::mem::zeroed();
        let mut init: ibv_qp_init_attr = std::mem::zeroed();
        assert_eq!(ibv_query_qp(p.a.qp, &mut attr, 0, &mut init), 0);
        assert_eq!(attr.timeout, Shape::default().ack_timeout);
        assert_eq!((set(p.a.id, 0, 104, 1), set(p.a.id, 3, 5, 1)), ((0, 0), (0, 0)));
        let mut mask = 0;
        attr.qp_state = ibv_qp_state::IBV_QPS_RTR;
        assert_eq!(rdma_init_qp_attr(p.a.id, &mut attr, &mut mask), 0);
        assert_eq!(attr.ah_attr.grh.traffic_class, 104);
        attr.qp_state = ibv_qp_state::IBV_QPS_RTS;
        assert_eq!(rdma_init_qp_attr(p.a.id, &mut attr, &mut mask), 0);
        assert_eq!(attr.timeout, 5);
    }
    p.destroy();
}

#[test]
fn a_program_that_sees_data_first_brings_the_news() {
    let _alone = alone();
    let channel = Channel::new();
    let address = format!("127.0.0.1:{}", fresh_port());
    let listener = listen(&channel, &address);
    assert_eq!((unsafe { rdma_notify(listener, COMM_EST) }, errno()), (-1, libc::EINVAL));
    let active = resolve(&channel, &address);
    let shape = Shape::default();
    let a = End::new(active, &shape, ALL);
    let mut connect = param(&shape, b"");
    assert_eq!(unsafe { rdma_connect(active, &mut connect) }, 0);
    let passive = channel.expect("CONNECT_REQUEST").id;
    let b = End::new(passive, &shape, ALL);
    assert_eq!((unsafe { rdma_notify(passive, COMM_EST) }, errno()), (-1, libc::EINVAL), "too soon");
    let mut accept = param(&shape, b"");
    assert_eq!(unsafe { rdma_accept(passive, &mut accept) }, 0);
    // The message that says that the active side is ready, which is sent when it hears of this, takes long.
    softverbs::control("delay cm rx 100s").unwrap();
    assert_eq!(channel.expect("ESTABLISHED").id, active);
    assert!(channel.try_next().is_none());
    assert_eq!(unsafe { rdma_notify(passive, COMM_EST) }, 0);
    assert_eq!(channel.expect("ESTABLISHED").id, passive);
    assert_eq!((unsafe { rdma_notify(passive, COMM_EST) }, errno()), (-1, libc::EISCONN));
    assert_eq!(unsafe { rdma_notify(passive, PATH_MIG) }, 0);
    assert_eq!(
        (unsafe { rdma_notify(passive, ibv_event_type::IBV_EVENT_SQ_DRAINED) }, errno()),
        (-1, libc::EINVAL)
    );
    softverbs::control("delay off").unwrap();
    a.destroy();
    b.destroy();
    unsafe { rdma_destroy_id(listener) };
    channel.destroy();
    nothing_left(0);
}

/// `(flags, family, QP type, port space)` and both addresses' families of what is found, or the error.
type Found = Result<(i32, i32, i32, i32, Option<u16>, Option<u16>), i32>;

fn find(node: Option<&str>, service: Option<&str>, hints: Option<&rdma_addrinfo>) -> Found {
    let text = |t: Option<&str>| t.map(|t| CString::new(t).unwrap());
    let (node, service) = (text(node), text(service));
    let pointer = |t: &Option<CString>| t.as_ref().map_or(null_mut(), |t| t.as_ptr().cast_mut());
    let hints = hints.map_or(std::ptr::null(), |h| h as *const _);
    let mut found = null_mut();
    unsafe {
        let code = rdma_getaddrinfo(pointer(&node), pointer(&service), hints, &mut found);
        if code != 0 {
            return Err(code);
        }
        let f = &*found;
        let family = |a: *mut c_void| a.cast::<u16>().as_ref().copied();
        let seen = (
            f.ai_flags,
            f.ai_family,
            f.ai_qp_type as i32,
            f.ai_port_space as i32,
            family(f.ai_src_addr.cast()),
            family(f.ai_dst_addr.cast()),
        );
        rdma_freeaddrinfo(found);
        Ok(seen)
    }
}

#[test]
fn addresses_are_found_as_the_hints_say() {
    const PASSIVE: i32 = 1;
    const NUMERICHOST: i32 = 2;
    const FAMILY: i32 = 8;
    const RC: i32 = 2;
    const TCP: i32 = 0x106;
    let _alone = alone();
    let hints = |flags, family: i32| rdma_addrinfo {
        ai_flags: flags,
        ai_family: family,
        ..unsafe { std::mem::zeroed() }
    };
    let (v4, v6) = (libc::AF_INET, libc::AF_INET6);
    let port = Some("7471");
    assert_eq!(find(Some("127.0.0.1"), port, None), Ok((0, v4, RC, TCP, None, Some(v4 as u16))));
    let passive = hints(PASSIVE, v4);
    assert_eq!(find(None, port, Some(&passive)), Ok((PASSIVE, v4, RC, TCP, Some(v4 as u16), None)));
    let six = hints(PASSIVE | FAMILY, v6);
    assert_eq!(find(None, port, Some(&six)), Ok((PASSIVE, v6, RC, TCP, Some(v6 as u16), None)));
    // The family counts without its flag too.
    let six = hints(PASSIVE, v6);
    assert_eq!(find(None, port, Some(&six)), Ok((PASSIVE, v6, RC, TCP, Some(v6 as u16), None)));
    let numeric = hints(NUMERICHOST, 0);
    assert_eq!(find(Some("::1"), port, Some(&numeric)), Ok((0, v6, RC, TCP, None, Some(v6 as u16))));
    assert_eq!(find(Some("localhost"), port, Some(&numeric)), Err(libc::EAI_NONAME));
    // Nothing but hints: they come back as they are.
    let mut only = hints(PASSIVE | FAMILY, v6);
    assert_eq!(find(None, None, Some(&only)), Ok((PASSIVE | FAMILY, v6, 0, 0, None, None)));
    only.ai_port_space = TCP;
    assert_eq!(find(None, None, Some(&only)).unwrap().3, TCP);
    assert_eq!(find(None, None, None), Err(-1));
    assert_eq!(errno(), libc::EINVAL);
    nothing_left(0);
}

#[test]
fn a_channel_that_does_not_block_is_empty_at_once() {
    let _alone = alone();
    let channel = Channel::new();
    unsafe {
        let fd = (*channel.0).fd;
        libc::fcntl(fd, libc::F_SETFL, libc::fcntl(fd, libc::F_GETFL) | libc::O_NONBLOCK);
        let mut event = null_mut();
        assert_eq!(rdma_get_cm_event(channel.0, &mut event), -1);
        assert_eq!(errno(), libc::EAGAIN);
        let id = make_id(&channel);
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        assert_eq!(libc::poll(&mut poll, 1, 0), 0);
        let mut to = sockaddr("127.0.0.1:7");
        assert_eq!(rdma_resolve_addr(id, null_mut(), (&raw mut to).cast(), 2000), 0);
        assert_eq!(libc::poll(&mut poll, 1, 20_000), 1);
        assert_eq!(rdma_get_cm_event(channel.0, &mut event), 0);
        assert_eq!(rdma_ack_cm_event(event), 0);
        assert_eq!(libc::poll(&mut poll, 1, 0), 0);
        assert_eq!(rdma_destroy_id(id), 0);
    }
    channel.destroy();
    nothing_left(0);
}

/// A program closes the descriptor of a channel that it is still to hear by: that is an error, and no wait without end.
#[test]
fn a_channel_whose_descriptor_was_closed_is_an_error() {
    let _alone = alone();
    let channel = unsafe { rdma_create_event_channel() };
    assert!(!channel.is_null());
    let spare = unsafe { libc::fcntl((*channel).fd, libc::F_DUPFD_CLOEXEC, 0) };
    assert_eq!(unsafe { libc::close((*channel).fd) }, 0);
    let mut event = null_mut();
    assert_eq!(unsafe { rdma_get_cm_event(channel, &mut event) }, -1);
    assert_eq!(errno(), libc::EBADF);
    // It is closed with the channel, which has to be its own again.
    unsafe {
        assert_eq!(libc::dup3(spare, (*channel).fd, libc::O_CLOEXEC), (*channel).fd);
        libc::close(spare);
        rdma_destroy_event_channel(channel);
    }
    nothing_left(0);
}
