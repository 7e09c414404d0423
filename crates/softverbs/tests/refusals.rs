//! What a real kernel refuses is refused; what would be undefined is noticed.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ptr::null_mut;

use common::*;
use rdma_sys::*;

#[test]
fn parents_stay_while_they_have_children() {
    let _alone = alone();
    let p = Pair::new();
    unsafe {
        assert_eq!(ibv_dealloc_pd(p.a.pd), libc::EBUSY);
        assert_eq!(ibv_destroy_cq(p.a.cq), libc::EBUSY);
        assert_eq!(ibv_destroy_comp_channel(p.a.comp), libc::EBUSY);
        rdma_destroy_qp(p.a.id);
        assert_eq!(ibv_dealloc_pd(p.a.pd), libc::EBUSY, "the region is still there");
        assert_eq!(ibv_dereg_mr(p.a.mr), 0);
        assert_eq!(ibv_dealloc_pd(p.a.pd), 0);
        assert_eq!(ibv_destroy_comp_channel(p.a.comp), libc::EBUSY, "the queue is still there");
        assert_eq!(ibv_destroy_cq(p.a.cq), 0);
        assert_eq!(ibv_destroy_comp_channel(p.a.comp), 0);
        assert_eq!(rdma_destroy_id(p.a.id), 0);
        p.b.destroy();
        rdma_destroy_id(p.listener);
    }
    p.channel.destroy();
    nothing_left(0);
}

#[test]
fn destroyed_and_foreign_objects_are_noticed() {
    let _alone = alone();
    let p = Pair::new();
    unsafe {
        let context = (*p.a.id).verbs;
        let pd = ibv_alloc_pd(context);
        let cq = ibv_create_cq(context, 4, null_mut(), null_mut(), 0);
        assert_eq!(ibv_dealloc_pd(pd), 0);
        assert_eq!(ibv_dealloc_pd(pd), libc::EINVAL);
        assert!(ibv_reg_mr(pd, (&raw const p).cast_mut().cast(), 1, 1).is_null());
        assert_eq!(ibv_destroy_cq(cq), 0);
        let mut wc: ibv_wc = std::mem::zeroed();
        assert!(ibv_poll_cq(cq, 1, &mut wc) < 0);
        assert_eq!(ibv_req_notify_cq(cq, 0), libc::EINVAL);
        let qp = p.a.qp;
        rdma_destroy_qp(p.a.id);
        assert_eq!(ibv_destroy_qp(qp), libc::EINVAL);
        assert_eq!(p.a.try_send(Send::send(1, p.a.sge(0, 1))), libc::EINVAL);
        assert_eq!(p.a.try_recv(1, vec![]), libc::EINVAL);
        let mut foreign: ibv_pd = std::mem::zeroed();
        assert_eq!(ibv_dealloc_pd(&mut foreign), libc::EINVAL);
        assert_eq!(ibv_dealloc_pd(null_mut()), libc::EINVAL);
        assert_eq!(rdma_destroy_id(null_mut()), -1);
        assert_eq!(ibv_dereg_mr(p.a.mr), 0);
        assert_eq!(ibv_destroy_cq(p.a.cq), 0);
        assert_eq!(ibv_destroy_comp_channel(p.a.comp), 0);
        assert_eq!(ibv_dealloc_pd(p.a.pd), 0);
        assert_eq!(rdma_destroy_id(p.a.id), 0);
        assert_eq!(rdma_destroy_id(p.a.id), -1);
        p.b.destroy();
        rdma_destroy_id(p.listener);
    }
    p.channel.destroy();
    nothing_left(9);
}

#[test]
fn regions_are_checked_when_they_are_made() {
    let _alone = alone();
    let p = Pair::new();
    let at = p.a.memory.as_ptr() as *mut libc::c_void;
    unsafe {
        let refused = |addr, length, rights: u32, why| {
            assert!(ibv_reg_mr(p.a.pd, addr, length, rights as i32).is_null());
            assert_eq!(errno(), why);
        };
        refused(at, 64, REMOTE_WRITE, libc::EINVAL);
        refused(at, 64, 1 << 31, libc::EINVAL);
        refused(null_mut(), 64, LOCAL_WRITE, libc::EFAULT);
        refused(at, usize::MAX, LOCAL_WRITE, libc::EINVAL);
        // Under another address: keys and offsets count from there.
        let mr = ibv_reg_mr_iova2(p.b.pd, p.b.memory.as_ptr() as *mut _, 4096, 0x10, ALL);
        p.a.send(Send::write(1, p.a.sge(0, 8), 0x10 + 4088, (*mr).rkey));
        assert_eq!(p.a.poll().status, 0);
        p.a.send(Send::write(2, p.a.sge(0, 8), 0x10 + 4089, (*mr).rkey));
        assert_eq!(p.a.poll().status, ibv_wc_status::IBV_WC_REM_ACCESS_ERR);
        assert_eq!(ibv_dereg_mr(mr), 0);
    }
    p.destroy();
}

#[test]
fn queue_pairs_are_checked_when_they_are_made_and_changed() {
    let _alone = alone();
    let p = Pair::new();
    unsafe {
        let context = (*p.a.id).verbs;
        let cq = ibv_create_cq(context, 4, null_mut(), null_mut(), 0);
        let mut init: ibv_qp_init_attr = std::mem::zeroed();
        init.send_cq = cq;
        init.recv_cq = cq;
        init.qp_type = ibv_qp_type::IBV_QPT_UD;
        assert!(ibv_create_qp(p.a.pd, &mut init).is_null());
        assert_eq!(errno(), libc::EOPNOTSUPP);
        init.qp_type = ibv_qp_type::IBV_QPT_RC;
        init.cap.max_send_sge = 33;
        assert!(ibv_create_qp(p.a.pd, &mut init).is_null());
        init.cap.max_send_sge = 1;
        init.cap.max_send_wr = 1;
        init.cap.max_recv_wr = 1;
        let qp = ibv_create_qp(p.a.pd, &mut init);
        let change = |state: u32, mask: i32, edit: &dyn Fn(&mut ibv_qp_attr)| {
            let mut attr: ibv_qp_attr = std::mem::zeroed();
            attr.qp_state = state;
            attr.port_num = 1;
            attr.ah_attr.port_num = 1;
            attr.path_mtu = 3;
            edit(&mut attr);
            ibv_modify_qp(qp, &mut attr, mask)
        };
        let plain: &dyn Fn(&mut ibv_qp_attr) = &|_| ();
        let init_mask = 1 | 8 | 16 | 32;
        let rtr_mask = 1 | 128 | 256 | (1 << 20) | (1 << 12) | (1 << 17) | (1 << 15);
        let rts_mask = 1 | (1 << 9) | (1 << 10) | (1 << 11) | (1 << 16) | (1 << 13);
        let mut wr: ibv_send_wr = std::mem::zeroed();
        wr.opcode = ibv_wr_opcode::IBV_WR_SEND;
        let mut bad = null_mut();
        let mut rwr: ibv_recv_wr = std::mem::zeroed();
        let mut rbad = null_mut();
        assert_eq!(ibv_post_recv(qp, &mut rwr, &mut rbad), libc::EINVAL, "RESET takes no receives");
        assert_eq!(change(2, rtr_mask, plain), libc::EINVAL, "RESET to RTR");
        assert_eq!(change(1, init_mask & !8, plain), libc::EINVAL, "rights missing");
        assert_eq!(change(1, init_mask, &|a| a.port_num = 2), libc::EINVAL, "no such port");
        assert_eq!(change(1, init_mask, plain), 0);
        assert_eq!(ibv_post_recv(qp, &mut rwr, &mut rbad), 0);
        assert_eq!(ibv_post_recv(qp, &mut rwr, &mut rbad), libc::ENOMEM, "full");
        assert_eq!(ibv_post_send(qp, &mut wr, &mut bad), libc::EINVAL, "INIT takes no sends");
        assert_eq!(change(3, rts_mask, plain), libc::EINVAL, "INIT to RTS");
        assert_eq!(change(2, rtr_mask, &|a| a.path_mtu = 9), libc::EINVAL, "no such MTU");
        assert_eq!(change(2, rtr_mask, plain), libc::EINVAL, "no GID of the peer");
        assert_eq!(change(2, rtr_mask, &|a| a.ah_attr.is_global = 1), 0);
        assert_eq!(change(3, rts_mask, &|a| a.retry_cnt = 8), libc::EINVAL, "no such count");
        assert_eq!(change(3, rts_mask, plain), 0);
        assert_eq!(change(1, init_mask, plain), libc::EINVAL, "RTS to INIT");
        assert_eq!((*qp).state, 3);
        assert_eq!(change(6, 1, plain), 0);
        assert_eq!(change(3, 1, plain), libc::EINVAL, "ERR to RTS");
        assert_eq!(change(0, 1, plain), 0);
        assert_eq!((*qp).state, 0);
        assert_eq!(ibv_destroy_qp(qp), 0);
        assert_eq!(ibv_destroy_cq(cq), 0);
        assert!(ibv_create_cq(context, 0, null_mut(), null_mut(), 0).is_null());
        assert!(ibv_create_cq(context, 4, null_mut(), null_mut(), 9).is_null());
    }
    p.destroy();
}

#[test]
fn a_queue_is_not_made_smaller_than_what_waits_in_it() {
    let _alone = alone();
    let p = Pair::new();
    for id in 0..4 {
        p.a.send(Send::write(id, p.a.sge(0, 8), p.b.at(0), p.b.rkey()));
    }
    unsafe {
        assert_eq!(ibv_resize_cq(p.a.cq, 3), libc::EINVAL);
        assert_eq!(ibv_resize_cq(p.a.cq, 4), 0);
        assert_eq!((*p.a.cq).cqe, 4);
        assert_eq!(ibv_resize_cq(p.a.cq, 400), 0);
    }
    for id in 0..4 {
        assert_eq!(p.a.poll().wr_id, id);
    }
    p.destroy();
}

#[test]
fn destroying_what_has_events_in_the_programs_hands_would_block_and_is_reported() {
    let _alone = alone();
    let p = Pair::new();
    unsafe {
        assert_eq!(rdma_disconnect(p.a.id), 0);
        let mut event = null_mut();
        assert_eq!(rdma_get_cm_event(p.channel.0, &mut event), 0);
        assert_eq!((*event).id, p.b.id);
        // Another thread acknowledges in time: no harm done.
        let late = event as usize;
        let here = Sleeper::here();
        let thread = std::thread::spawn(move || {
            here.wait_until_it_sleeps();
            assert_eq!(rdma_ack_cm_event(late as *mut rdma_cm_event), 0);
        });
        let before = softverbs::ledger().violations;
        p.b.destroy();
        thread.join().unwrap();
        assert_eq!(softverbs::ledger().violations, before);
        p.a.destroy();
        rdma_destroy_id(p.listener);
    }
    p.channel.destroy();
    let p = Pair::new();
    unsafe {
        assert_eq!(rdma_disconnect(p.a.id), 0);
        let mut event = null_mut();
        assert_eq!(rdma_get_cm_event(p.channel.0, &mut event), 0);
        p.b.destroy();
        p.a.destroy();
        rdma_destroy_id(p.listener);
        assert_eq!(rdma_ack_cm_event(event), 0);
    }
    p.channel.destroy();
    nothing_left(1);
}

/// `struct ibv_gid_entry`.
#[repr(C)]
#[derive(Clone, Copy)]
struct GidEntry([u64; 4]);

unsafe extern "C" {
    fn _ibv_query_gid_table(
        context: *mut ibv_context,
        table: *mut GidEntry,
        most: usize,
        flags: u32,
        size: usize,
    ) -> isize;
    fn ibv_query_gid_type(context: *mut ibv_context, port: u8, index: u32, kind: *mut u32) -> i32;
}

#[test]
fn a_table_is_not_cut_to_the_room_there_is() {
    let _alone = alone();
    let p = Pair::new();
    unsafe {
        let context = (*p.a.id).verbs;
        let untouched = GidEntry([7; 4]);
        let query = |room: usize| {
            let mut table = [untouched; 64];
            let got = _ibv_query_gid_table(context, table.as_mut_ptr(), room, 0, size_of::<GidEntry>());
            (got, table.iter().filter(|e| e.0 != untouched.0).count())
        };
        let (all, written) = query(64);
        assert!(all > 0 && written == all as usize, "this machine has addresses, and no 64 of them");
        assert_eq!(query(all as usize), (all, written));
        for room in 0..all as usize {
            assert_eq!(query(room), (-(libc::EINVAL as isize), 0), "{room} of {all}");
        }
        let mut kind = 0;
        assert_eq!(ibv_query_gid_type(context, 1, all as u32 - 1, &mut kind), 0);
        assert_eq!((ibv_query_gid_type(context, 1, all as u32, &mut kind), errno()), (-1, libc::EINVAL));
        assert_eq!((ibv_query_gid_type(context, 2, 0, &mut kind), errno()), (-1, libc::EINVAL));
    }
    p.destroy();
}

#[test]
fn wrong_commands_are_refused() {
    let _alone = alone();
    for wrong in
        ["delay", "delay data up 5ms", "delay data rx 5", "delay data rx 1ms 1ms 1ms", "nonsense", "timewait"]
    {
        assert!(softverbs::control(wrong).is_err(), "{wrong}");
    }
    assert!(softverbs::control(" ; delay data rx 1ms 1us;delay cm tx off ; delay off;").is_ok());
}
