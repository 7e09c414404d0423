//! Two ends in one process: what goes right.

#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]

mod common;

use common::*;
use rdma_sys::*;

const SUCCESS: u32 = ibv_wc_status::IBV_WC_SUCCESS;

#[test]
fn send_lands_in_the_posted_receive() {
    let _alone = alone();
    let mut p = Pair::new();
    p.a.memory[..5].copy_from_slice(b"hello");
    p.b.recv(7, 100, 50);
    p.a.send(Send::send(3, p.a.sge(0, 5)));
    let wc = p.b.poll();
    assert_eq!((wc.wr_id, wc.status, wc.opcode, wc.byte_len, wc.flags), (7, SUCCESS, 128, 5, 0));
    assert_eq!(wc.qp_num, unsafe { (*p.b.qp).qp_num });
    let wc = p.a.poll();
    assert_eq!((wc.wr_id, wc.status, wc.opcode), (3, SUCCESS, 0));
    assert_eq!(&p.b.memory[100..106], b"hello\0");
    assert!(p.a.try_poll().is_none() && p.b.try_poll().is_none());
    p.destroy();
}
