//! Connection management: which event comes when, and with what in it.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use common::*;
use rdma_sys::*;

fn address() -> String {
    format!("127.0.0.1:{}", fresh_port())
}

fn destroy_id(id: *mut rdma_cm_id) {
    assert_eq!(unsafe { rdma_destroy_id(id) }, 0);
}

/// Shows that nothing comes of what was before: a whole connection has its events on that channel, to the end of its timewait, and
/// they are the next ones. Delays and timewait are the same for all, so whatever began before would come before.
fn nothing_more(channel: &Channel) {
    let others = Channel::new();
    let listener = listen(&others, &address());
    let port = unsafe { u16::from_be(rdma_get_src_port(listener)) };
    let id = resolve(&others, &format!("127.0.0.1:{port}"));
    let shape = Shape::default();
    let a = End::new(id, &shape, ALL);
    assert_eq!(unsafe { rdma_connect(id, &mut param(&shape, b"")) }, 0);
    let b = End::new(others.expect("CONNECT_REQUEST").id, &shape, ALL);
    assert_eq!(unsafe { rdma_accept(b.id, &mut param(&shape, b"")) }, 0);
    others.expect("ESTABLISHED");
    others.expect("ESTABLISHED");
    assert_eq!(unsafe { (rdma_migrate_id(a.id, channel.0), rdma_migrate_id(b.id, channel.0)) }, (0, 0));
    assert_eq!(unsafe { rdma_disconnect(a.id) }, 0);
    assert_eq!(channel.expect("DISCONNECTED").id, b.id);
    assert_eq!(unsafe { rdma_disconnect(b.id) }, 0);
    for kind in ["DISCONNECTED", "TIMEWAIT_EXIT", "TIMEWAIT_EXIT"] {
        let seen = channel.expect(kind);
        assert!(seen.id == a.id || seen.id == b.id, "{seen:?}");
    }
    a.destroy();
    b.destroy();
    destroy_id(listener);
    others.destroy();
    assert_eq!(channel.try_next(), None);
}

#[test]
fn both_sides_see_what_the_other_gave() {
    let _alone = alone();
    let (channel, address) = (Channel::new(), address());
    let listener = listen(&channel, &address);
    let id = resolve(&channel, &address);
    assert_ne!(unsafe { rdma_get_src_port(id) }, 0);
    assert_eq!(
        unsafe { u16::from_be(rdma_get_dst_port(id)) }.to_string(),
        address.rsplit(':').next().unwrap()
    );
    let shape = Shape::default();
    let a = End::new(id, &shape, ALL);
    let mut ask = param(&shape, b"how do you do");
    (ask.responder_resources, ask.initiator_depth, ask.retry_count, ask.rnr_retry_count) = (5, 6, 4, 3);
    assert_eq!(unsafe { rdma_connect(id, &mut ask) }, 0);
    let request = channel.expect("CONNECT_REQUEST");
    assert_eq!((request.status, request.listen_id), (0, listener));
    assert_eq!(request.private.len(), 56);
    assert_eq!(&request.private[..14], b"how do you do\0");
    assert!(request.private[13..].iter().all(|b| *b == 0));
    assert_eq!((request.responder_resources, request.initiator_depth), (6, 5));
    assert_eq!((request.retry_count, request.rnr_retry_count), (4, 3));
    assert_eq!(request.qp_num, unsafe { (*a.qp).qp_num });
    let b = End::new(request.id, &shape, ALL);
    unsafe {
        assert_eq!((*request.id).context, (*listener).context);
        assert_eq!(rdma_get_dst_port(request.id), rdma_get_src_port(id));
        assert_eq!(rdma_get_src_port(request.id), rdma_get_dst_port(id));
    }
    let mut reply = param(&shape, b"fine");
    (reply.responder_resources, reply.initiator_depth, reply.rnr_retry_count) = (2, 3, 5);
    assert_eq!(unsafe { rdma_accept(request.id, &mut reply) }, 0);
    let established = channel.expect("ESTABLISHED");
    assert_eq!((established.id, established.status, established.private.len()), (id, 0, 196));
    assert_eq!(&established.private[..5], b"fine\0");
    assert_eq!((established.responder_resources, established.initiator_depth), (3, 2));
    assert_eq!((established.retry_count, established.rnr_retry_count), (0, 5));
    assert_eq!(established.qp_num, unsafe { (*b.qp).qp_num });
    let established = channel.expect("ESTABLISHED");
    assert_eq!((established.id, established.private.len()), (request.id, 0));
    // What was agreed is in the QPs: each side asks for no more reads than the other answers.
    unsafe {
        let (mut attr, mut init): (ibv_qp_attr, ibv_qp_init_attr) = (std::mem::zeroed(), std::mem::zeroed());
        assert_eq!(ibv_query_qp(a.qp, &mut attr, 0, &mut init), 0);
        assert_eq!(
            (attr.max_rd_atomic, attr.max_dest_rd_atomic, attr.retry_cnt, attr.rnr_retry),
            (2, 3, 4, 5)
        );
        assert_eq!((attr.qp_state, attr.dest_qp_num), (3, (*b.qp).qp_num));
        assert_eq!(attr.qp_access_flags & 7, 6);
        assert_eq!(ibv_query_qp(b.qp, &mut attr, 0, &mut init), 0);
        assert_eq!(
            (attr.max_rd_atomic, attr.max_dest_rd_atomic, attr.retry_cnt, attr.rnr_retry),
            (3, 2, 4, 3)
        );
    }
    a.destroy();
    b.destroy();
    destroy_id(listener);
    channel.destroy();
    nothing_left(0);
}

#[test]
fn a_reject_carries_reason_and_private_data() {
    let _alone = alone();
    let (channel, address) = (Channel::new(), address());
    let listener = listen(&channel, &address);
    let id = resolve(&channel, &address);
    let shape = Shape::default();
    let a = End::new(id, &shape, ALL);
    a.recv(1, 0, 8);
    assert_eq!(unsafe { rdma_connect(id, &mut param(&shape, b"")) }, 0);
    let request = channel.expect("CONNECT_REQUEST");
    assert_eq!(unsafe { rdma_reject(request.id, [0u8; 149].as_ptr().cast(), 149) }, -1, "more than fits");
    assert_eq!(unsafe { rdma_accept(request.id, &mut param(&shape, &[0; 197])) }, -1, "more than fits");
    assert_eq!(unsafe { rdma_reject(request.id, b"no".as_ptr().cast(), 2) }, 0);
    let seen = channel.expect("REJECTED");
    assert_eq!((seen.id, seen.status, seen.private.len()), (id, 28, 148));
    assert_eq!(&seen.private[..3], b"no\0");
    // librdmacm puts the QP into error.
    assert_eq!(a.poll().status, ibv_wc_status::IBV_WC_WR_FLUSH_ERR);
    assert_eq!(unsafe { rdma_accept(request.id, &mut param(&shape, b"")) }, -1);
    destroy_id(request.id);
    nothing_more(&channel);
    a.destroy();
    destroy_id(listener);
    channel.destroy();
    nothing_left(0);
}

#[test]
fn nobody_listens_there() {
    let _alone = alone();
    let channel = Channel::new();
    let id = resolve(&channel, &address());
    let a = End::new(id, &Shape::default(), ALL);
    assert_eq!(unsafe { rdma_connect(id, &mut param(&Shape::default(), b"")) }, 0);
    let seen = channel.expect("REJECTED");
    assert_eq!((seen.status, seen.private.len()), (8, 148));
    a.destroy();
    channel.destroy();
    nothing_left(0);
}

#[test]
fn an_address_that_cannot_be_reached() {
    let _alone = alone();
    let channel = Channel::new();
    let id = make_id(&channel);
    // No machine of this test has a way to the IPv6 documentation range.
    let mut to = sockaddr("[2001:db8::1]:4420");
    assert_eq!(unsafe { rdma_resolve_addr(id, null_mut(), (&raw mut to).cast(), 100) }, 0);
    let seen = channel.next();
    if seen.kind == "ADDR_ERROR" {
        assert!(seen.status == -libc::ENETUNREACH || seen.status == -libc::EHOSTUNREACH, "{seen:?}");
        assert_eq!(unsafe { rdma_resolve_route(id, 100) }, -1);
    } else {
        assert_eq!(seen.kind, "ADDR_RESOLVED");
    }
    destroy_id(id);
    let id = make_id(&channel);
    let mut from = sockaddr("192.0.2.77:0");
    assert_eq!(unsafe { rdma_bind_addr(id, (&raw mut from).cast()) }, -1);
    assert_eq!(errno(), libc::EADDRNOTAVAIL);
    destroy_id(id);
    channel.destroy();
    nothing_left(0);
}

#[test]
fn no_device_at_all() {
    let _alone = alone();
    softverbs::control("device off").unwrap();
    let channel = Channel::new();
    unsafe {
        let mut count = 7;
        let list = ibv_get_device_list(&mut count);
        assert!(count == 0 && !list.is_null() && (*list).is_null());
        ibv_free_device_list(list);
        let list = rdma_get_devices(&mut count);
        assert!(count == 0 && !list.is_null() && (*list).is_null());
        rdma_free_devices(list);
        let id = make_id(&channel);
        let mut to = sockaddr("127.0.0.1:4420");
        assert_eq!(rdma_resolve_addr(id, null_mut(), (&raw mut to).cast(), 100), 0);
        let seen = channel.expect("ADDR_ERROR");
        assert_eq!(seen.status, -libc::ENODEV);
        destroy_id(id);
        let id = make_id(&channel);
        assert_eq!(rdma_bind_addr(id, (&raw mut to).cast()), -1);
        assert_eq!(errno(), libc::ENODEV);
        destroy_id(id);
    }
    softverbs::control("device on").unwrap();
    channel.destroy();
    nothing_left(0);
}

#[test]
fn whoever_disconnects_both_hear_of_it_once_and_of_the_end_of_timewait() {
    let _alone = alone();
    for active_first in [true, false] {
        let p = Pair::new();
        let (first, second) = if active_first { (&p.a, &p.b) } else { (&p.b, &p.a) };
        first.recv(1, 0, 8);
        second.recv(2, 0, 8);
        assert_eq!(unsafe { rdma_disconnect(first.id) }, 0);
        assert_eq!(first.poll().status, ibv_wc_status::IBV_WC_WR_FLUSH_ERR);
        let seen = p.channel.expect("DISCONNECTED");
        assert_eq!((seen.id, seen.status), (second.id, 0));
        // The kernel leaves the second QP alone until its program disconnects too.
        assert_eq!(second.state(), 3);
        nothing_more(&p.channel);
        assert_eq!(unsafe { rdma_disconnect(second.id) }, 0);
        assert_eq!(second.poll().wr_id, 2);
        assert_eq!(p.channel.expect("DISCONNECTED").id, first.id);
        let ids = [p.channel.expect("TIMEWAIT_EXIT").id, p.channel.expect("TIMEWAIT_EXIT").id];
        assert!(ids.contains(&first.id) && ids.contains(&second.id));
        assert_eq!(unsafe { rdma_disconnect(first.id) }, 0);
        nothing_more(&p.channel);
        p.destroy();
    }
}

#[test]
fn both_disconnect_at_once() {
    let _alone = alone();
    let p = Pair::new();
    softverbs::control("delay cm rx 5ms").unwrap();
    assert_eq!(unsafe { rdma_disconnect(p.a.id) }, 0);
    assert_eq!(unsafe { rdma_disconnect(p.b.id) }, 0);
    let ids = [p.channel.expect("DISCONNECTED").id, p.channel.expect("DISCONNECTED").id];
    assert!(ids.contains(&p.a.id) && ids.contains(&p.b.id));
    nothing_more(&p.channel);
    p.destroy();
}

#[test]
fn destroying_an_id_disconnects() {
    let _alone = alone();
    let p = Pair::new();
    let (a, b) = (p.a, p.b);
    a.destroy();
    assert_eq!(p.channel.expect("DISCONNECTED").id, b.id);
    b.destroy();
    nothing_more(&p.channel);
    destroy_id(p.listener);
    p.channel.destroy();
    nothing_left(0);
}

#[test]
fn a_listener_that_goes_rejects_what_it_did_not_fetch() {
    let _alone = alone();
    let (server, client, address) = (Channel::new(), Channel::new(), address());
    let listener = listen(&server, &address);
    let id = resolve(&client, &address);
    let a = End::new(id, &Shape::default(), ALL);
    assert_eq!(unsafe { rdma_connect(id, &mut param(&Shape::default(), b"")) }, 0);
    destroy_id(listener);
    assert_eq!(client.expect("REJECTED").status, 28);
    assert_eq!(server.try_next(), None);
    a.destroy();
    client.destroy();
    server.destroy();
    nothing_left(0);
}

#[test]
fn a_request_that_was_withdrawn_cannot_be_accepted() {
    let _alone = alone();
    let (server, client, address) = (Channel::new(), Channel::new(), address());
    let listener = listen(&server, &address);
    for fetched_before in [true, false] {
        let id = resolve(&client, &address);
        let a = End::new(id, &Shape::default(), ALL);
        assert_eq!(unsafe { rdma_connect(id, &mut param(&Shape::default(), b"")) }, 0);
        let request = fetched_before.then(|| server.expect("CONNECT_REQUEST"));
        a.destroy();
        let request = request.unwrap_or_else(|| server.expect("CONNECT_REQUEST"));
        if fetched_before {
            assert_eq!(server.expect("REJECTED").id, request.id);
        }
        let b = End::new(request.id, &Shape::default(), ALL);
        assert_eq!(unsafe { rdma_accept(request.id, &mut param(&Shape::default(), b"")) }, -1);
        b.destroy();
    }
    destroy_id(listener);
    client.destroy();
    server.destroy();
    nothing_left(0);
}

#[test]
fn more_requests_than_the_backlog_are_rejected() {
    let _alone = alone();
    let (server, client, address) = (Channel::new(), Channel::new(), address());
    let listener = make_id(&server);
    let mut addr = sockaddr(&address);
    unsafe {
        assert_eq!(rdma_bind_addr(listener, (&raw mut addr).cast()), 0);
        assert_eq!(rdma_listen(listener, 2), 0);
    }
    let ends: Vec<End> = (0..3)
        .map(|_| {
            let id = resolve(&client, &address);
            let end = End::new(id, &Shape::default(), ALL);
            assert_eq!(unsafe { rdma_connect(id, &mut param(&Shape::default(), b"")) }, 0);
            end
        })
        .collect();
    assert_eq!(client.expect("REJECTED").id, ends[2].id);
    for _ in 0..2 {
        let request = server.expect("CONNECT_REQUEST");
        destroy_id(request.id);
        assert_eq!(client.expect("REJECTED").status, 28);
    }
    nothing_more(&server);
    for end in ends {
        end.destroy();
    }
    destroy_id(listener);
    client.destroy();
    server.destroy();
    nothing_left(0);
}

#[test]
fn a_port_is_taken_once() {
    let _alone = alone();
    let (channel, address) = (Channel::new(), address());
    let listener = listen(&channel, &address);
    let second = make_id(&channel);
    let mut addr = sockaddr(&address);
    unsafe {
        assert_eq!(rdma_bind_addr(second, (&raw mut addr).cast()), -1);
        assert_eq!(errno(), libc::EADDRINUSE);
        destroy_id(listener);
        assert_eq!(rdma_bind_addr(second, (&raw mut addr).cast()), 0);
    }
    destroy_id(second);
    channel.destroy();
    nothing_left(0);
}

#[test]
fn calls_in_the_wrong_state_are_refused() {
    let _alone = alone();
    let (channel, address) = (Channel::new(), address());
    let refused = |result: i32| {
        assert_eq!((result, errno()), (-1, libc::EINVAL));
    };
    let id = make_id(&channel);
    let mut addr = sockaddr(&address);
    let mut conn = param(&Shape::default(), b"");
    unsafe {
        refused(rdma_resolve_route(id, 10));
        refused(rdma_connect(id, &mut conn));
        refused(rdma_accept(id, &mut conn));
        refused(rdma_disconnect(id));
        refused(rdma_reject(id, null_mut(), 0));
        refused(rdma_establish(id));
        let mut init: ibv_qp_init_attr = std::mem::zeroed();
        refused(rdma_create_qp(id, null_mut(), &mut init));
        assert_eq!(rdma_bind_addr(id, (&raw mut addr).cast()), 0);
        refused(rdma_bind_addr(id, (&raw mut addr).cast()));
        assert_eq!(rdma_listen(id, 1), 0);
        refused(rdma_listen(id, 1));
        refused(rdma_resolve_addr(id, null_mut(), (&raw mut addr).cast(), 10));
        let mut unix: libc::sockaddr = std::mem::zeroed();
        unix.sa_family = libc::AF_UNIX as u16;
        let other = make_id(&channel);
        refused(rdma_bind_addr(other, (&raw mut unix).cast()));
        refused(rdma_resolve_addr(other, null_mut(), (&raw mut unix).cast(), 10));
        let mut tos = 1u8;
        refused(rdma_set_option(other, 0, 0, (&raw mut tos).cast(), 2));
        assert_eq!(rdma_set_option(other, 0, 0, (&raw mut tos).cast(), 1), 0);
        let mut timeout = 32u8;
        refused(rdma_set_option(other, 0, 3, (&raw mut timeout).cast(), 1));
        let mut out = null_mut();
        assert_eq!(rdma_create_id(channel.0, &mut out, null_mut(), rdma_port_space::RDMA_PS_UDP), -1);
        assert_eq!(errno(), libc::EOPNOTSUPP);
        destroy_id(other);
    }
    destroy_id(id);
    let id = resolve(&channel, &address);
    let a = End::new(id, &Shape::default(), ALL);
    unsafe {
        let long = [0u8; 57];
        refused(rdma_connect(id, &mut param(&Shape::default(), &long)));
        let mut most = param(&Shape::default(), b"");
        most.initiator_depth = 200;
        refused(rdma_connect(id, &mut most));
    }
    a.destroy();
    channel.destroy();
    nothing_left(0);
}

#[test]
fn events_move_with_their_id_to_another_channel() {
    let _alone = alone();
    let p = Pair::new();
    let other = Channel::new();
    assert_eq!(unsafe { rdma_disconnect(p.a.id) }, 0);
    // The event for `b` waits in the old channel when it moves.
    assert_eq!(unsafe { rdma_migrate_id(p.b.id, other.0) }, 0);
    assert_eq!(unsafe { (*p.b.id).channel }, other.0);
    assert_eq!(p.channel.try_next(), None);
    let readable = |c: &Channel| {
        let mut poll = libc::pollfd { fd: unsafe { (*c.0).fd }, events: libc::POLLIN, revents: 0 };
        (unsafe { libc::poll(&mut poll, 1, 0) }) == 1
    };
    assert!(readable(&other) && !readable(&p.channel));
    assert_eq!(other.expect("DISCONNECTED").id, p.b.id);
    assert!(!readable(&other));
    let (a, b) = (p.a, p.b);
    a.destroy();
    b.destroy();
    destroy_id(p.listener);
    other.destroy();
    p.channel.destroy();
    nothing_left(0);
}

#[test]
fn queue_pairs_outside_the_ids() {
    let _alone = alone();
    let (channel, address) = (Channel::new(), address());
    let listener = listen(&channel, &address);
    let id = resolve(&channel, &address);
    let shape = Shape::default();
    unsafe {
        let context = (*id).verbs;
        let pd = ibv_alloc_pd(context);
        let cq = ibv_create_cq(context, 16, null_mut(), null_mut(), 0);
        let make = || {
            let mut init: ibv_qp_init_attr = std::mem::zeroed();
            init.send_cq = cq;
            init.recv_cq = cq;
            init.qp_type = ibv_qp_type::IBV_QPT_RC;
            init.cap.max_send_wr = 4;
            init.cap.max_recv_wr = 4;
            init.cap.max_send_sge = 1;
            init.cap.max_recv_sge = 1;
            ibv_create_qp(pd, &mut init)
        };
        let advance = |id, qp, state| {
            let (mut attr, mut mask): (ibv_qp_attr, i32) = (std::mem::zeroed(), 0);
            attr.qp_state = state;
            assert_eq!(rdma_init_qp_attr(id, &mut attr, &mut mask), 0);
            assert_eq!(ibv_modify_qp(qp, &mut attr, mask), 0);
        };
        let (qa, qb) = (make(), make());
        let mut conn = param(&shape, b"");
        conn.qp_num = (*qa).qp_num;
        assert_eq!(rdma_connect(id, &mut conn), 0);
        let request = channel.expect("CONNECT_REQUEST");
        assert_eq!(request.qp_num, (*qa).qp_num);
        for state in [1, 2, 3] {
            advance(request.id, qb, state);
        }
        conn.qp_num = (*qb).qp_num;
        assert_eq!(rdma_accept(request.id, &mut conn), 0);
        let response = channel.expect("CONNECT_RESPONSE");
        assert_eq!((response.id, response.qp_num, response.private.len()), (id, (*qb).qp_num, 196));
        assert_eq!(channel.try_next(), None, "not before the active side says so");
        for state in [1, 2, 3] {
            advance(id, qa, state);
        }
        assert_eq!(rdma_establish(id), 0);
        assert_eq!(channel.expect("ESTABLISHED").id, request.id);
        let mut memory = [0u8; 64];
        let mr = ibv_reg_mr(pd, memory.as_mut_ptr().cast(), 64, 1);
        let mut sge = ibv_sge { addr: memory.as_ptr() as u64, length: 8, lkey: (*mr).lkey };
        let mut wr = ibv_recv_wr { wr_id: 1, next: null_mut(), sg_list: &mut sge, num_sge: 1 };
        let mut bad = null_mut();
        assert_eq!(ibv_post_recv(qb, &mut wr, &mut bad), 0);
        let mut wr: ibv_send_wr = std::mem::zeroed();
        wr.sg_list = &mut sge;
        wr.num_sge = 1;
        wr.opcode = ibv_wr_opcode::IBV_WR_SEND;
        wr.send_flags = SIGNALED;
        let mut bad = null_mut();
        assert_eq!(ibv_post_send(qa, &mut wr, &mut bad), 0);
        let mut wcs: [ibv_wc; 2] = std::mem::zeroed();
        assert_eq!(ibv_poll_cq(cq, 2, wcs.as_mut_ptr()), 2);
        assert!(wcs.iter().all(|w| w.status == 0));
        assert_eq!(ibv_destroy_qp(qa), 0);
        assert_eq!(ibv_destroy_qp(qb), 0);
        assert_eq!(ibv_dereg_mr(mr), 0);
        assert_eq!(ibv_destroy_cq(cq), 0);
        assert_eq!(ibv_dealloc_pd(pd), 0);
        destroy_id(request.id);
    }
    destroy_id(id);
    destroy_id(listener);
    channel.destroy();
    nothing_left(0);
}

#[test]
fn a_queue_pair_that_cannot_be_brought_up_is_a_connect_error() {
    let _alone = alone();
    let (channel, address) = (Channel::new(), address());
    let listener = listen(&channel, &address);
    let id = resolve(&channel, &address);
    let shape = Shape::default();
    let a = End::new(id, &shape, ALL);
    assert_eq!(unsafe { rdma_connect(id, &mut param(&shape, b"")) }, 0);
    let request = channel.expect("CONNECT_REQUEST");
    let b = End::new(request.id, &shape, ALL);
    assert_eq!(a.modify(6), 0);
    assert_eq!(unsafe { rdma_accept(request.id, &mut param(&shape, b"")) }, 0);
    let seen = channel.expect("CONNECT_ERROR");
    assert_eq!((seen.id, seen.status), (id, -1));
    a.destroy();
    assert_eq!(channel.expect("REJECTED").id, request.id);
    b.destroy();
    destroy_id(listener);
    channel.destroy();
    nothing_left(0);
}

#[test]
fn synchronous_ids_wait_for_themselves() {
    let _alone = alone();
    let address = address();
    let (ready, go) = std::sync::mpsc::channel();
    let at = address.clone();
    let server = std::thread::spawn(move || unsafe {
        let (mut listener, mut id) = (null_mut(), null_mut());
        assert_eq!(rdma_create_id(null_mut(), &mut listener, null_mut(), rdma_port_space::RDMA_PS_TCP), 0);
        let mut addr = sockaddr(&at);
        assert_eq!(rdma_bind_addr(listener, (&raw mut addr).cast()), 0);
        assert_eq!(rdma_listen(listener, 1), 0);
        ready.send(()).unwrap();
        assert_eq!(rdma_get_request(listener, &mut id), 0);
        let end = End::new(id, &Shape::default(), ALL);
        end.recv(1, 0, 64);
        assert_eq!(rdma_accept(id, &mut param(&Shape::default(), b"")), 0);
        assert_eq!(end.poll().wr_id, 1);
        assert_eq!(rdma_disconnect(id), 0);
        end.destroy();
        destroy_id(listener);
    });
    go.recv().unwrap();
    unsafe {
        let mut id = null_mut();
        assert_eq!(rdma_create_id(null_mut(), &mut id, null_mut(), rdma_port_space::RDMA_PS_TCP), 0);
        let mut addr = sockaddr(&address);
        assert_eq!(rdma_resolve_addr(id, null_mut(), (&raw mut addr).cast(), 1000), 0);
        assert_eq!((*(*id).event).event, 0);
        assert_eq!(rdma_resolve_route(id, 1000), 0);
        let end = End::new(id, &Shape::default(), ALL);
        assert_eq!(rdma_connect(id, &mut param(&Shape::default(), b"")), 0);
        assert_eq!((*(*id).event).event, rdma_cm_event_type::RDMA_CM_EVENT_ESTABLISHED);
        end.send(Send::send(1, end.sge(0, 8)));
        assert_eq!(end.poll().status, 0);
        assert_eq!(rdma_disconnect(id), 0);
        end.destroy();
    }
    server.join().unwrap();
    nothing_left(0);
}

#[test]
fn a_synchronous_connect_that_is_rejected_fails() {
    let _alone = alone();
    unsafe {
        let mut id = null_mut();
        assert_eq!(rdma_create_id(null_mut(), &mut id, null_mut(), rdma_port_space::RDMA_PS_TCP), 0);
        let mut addr = sockaddr(&address());
        assert_eq!(rdma_resolve_addr(id, null_mut(), (&raw mut addr).cast(), 1000), 0);
        assert_eq!(rdma_resolve_route(id, 1000), 0);
        let end = End::new(id, &Shape::default(), ALL);
        assert_eq!(rdma_connect(id, &mut param(&Shape::default(), b"")), -1);
        assert_eq!(errno(), libc::ECONNREFUSED);
        end.destroy();
    }
    nothing_left(0);
}

#[test]
fn delays_are_kept_and_do_not_reorder() {
    let _alone = alone();
    let (channel, address) = (Channel::new(), address());
    let listener = listen(&channel, &address);
    let id = resolve(&channel, &address);
    let a = End::new(id, &Shape::default(), ALL);
    softverbs::control("delay cm rx 20ms; delay cm tx 10ms").unwrap();
    let start = Instant::now();
    assert_eq!(unsafe { rdma_connect(id, &mut param(&Shape::default(), b"")) }, 0);
    let request = channel.expect("CONNECT_REQUEST");
    assert!(start.elapsed() >= Duration::from_millis(30));
    let b = End::new(request.id, &Shape::default(), ALL);
    assert_eq!(unsafe { rdma_accept(request.id, &mut param(&Shape::default(), b"")) }, 0);
    channel.expect("ESTABLISHED");
    assert!(start.elapsed() >= Duration::from_millis(60));
    channel.expect("ESTABLISHED");
    // Changed while it runs: what is on its way keeps its order all the same.
    softverbs::control("delay off; delay data rx 30ms 30ms").unwrap();
    for n in 0..8 {
        b.recv(n, n as usize * 8, 8);
    }
    let start = Instant::now();
    for n in 0..8 {
        if n == 6 {
            softverbs::control("delay off").unwrap();
        }
        a.send(Send::send(n, a.sge(0, 8)));
    }
    for n in 0..8 {
        assert_eq!((b.poll().wr_id, a.poll().wr_id), (n, n));
    }
    assert!(start.elapsed() >= Duration::from_millis(1));
    a.destroy();
    b.destroy();
    destroy_id(listener);
    channel.destroy();
    nothing_left(0);
}
