//! The smaller calls of librdmacm: options, addresses, events that the program brings, channels that do not block.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ffi::{CString, c_void};
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
