//! How many work requests a second one core simulates, in drawn order: SENDs and the receives that they take, between pairs of queue
//! pairs, all completions polled. One line: `simulation: N WRs/s`, by the processor's time, so that what else runs does not count.

// A benchmark calls C as C programs do, and says what it expects by panicking.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ptr::null_mut;
use std::time::Duration;

use rdma_sys::*;
use softverbs::sim;

const PAIRS: usize = 32;
const DEPTH: u64 = 16;
const ROUNDS: u64 = 400;

struct End {
    qp: *mut ibv_qp,
    cq: *mut ibv_cq,
}

unsafe fn end(context: *mut ibv_context, pd: *mut ibv_pd) -> End {
    unsafe {
        let cq = ibv_create_cq(context, 4 * DEPTH as i32, null_mut(), null_mut(), 0);
        let mut attr: ibv_qp_init_attr = std::mem::zeroed();
        attr.send_cq = cq;
        attr.recv_cq = cq;
        attr.cap = ibv_qp_cap {
            max_send_wr: DEPTH as u32,
            max_recv_wr: DEPTH as u32,
            max_send_sge: 1,
            max_recv_sge: 1,
            max_inline_data: 0,
        };
        attr.qp_type = ibv_qp_type::IBV_QPT_RC;
        attr.sq_sig_all = 1;
        End { qp: ibv_create_qp(pd, &mut attr), cq }
    }
}

unsafe fn connect(qp: *mut ibv_qp, peer: *mut ibv_qp) {
    unsafe {
        let mut attr: ibv_qp_attr = std::mem::zeroed();
        attr.qp_state = 1;
        attr.port_num = 1;
        assert_eq!(ibv_modify_qp(qp, &mut attr, 1 | 1 << 3 | 1 << 4 | 1 << 5), 0);
        attr.qp_state = 2;
        attr.dest_qp_num = (*peer).qp_num;
        attr.path_mtu = 5;
        attr.ah_attr.port_num = 1;
        let rtr = 1 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 15 | 1 << 17 | 1 << 20;
        assert_eq!(ibv_modify_qp(qp, &mut attr, rtr), 0);
        attr.qp_state = 3;
        attr.timeout = 14;
        attr.rnr_retry = 7;
        assert_eq!(ibv_modify_qp(qp, &mut attr, 1 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 13 | 1 << 16), 0);
    }
}

/// What this process used of the processor.
fn processor_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a timespec that may be written.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn main() {
    sim::start(1);
    sim::draw_order();
    unsafe {
        let list = ibv_get_device_list(null_mut());
        let context = ibv_open_device(*list);
        let pd = ibv_alloc_pd(context);
        let memory = vec![0u8; 128].leak();
        let mr = ibv_reg_mr(pd, memory.as_mut_ptr().cast(), 128, 1);
        let mut sge = ibv_sge { addr: memory.as_ptr() as u64, length: 64, lkey: (*mr).lkey };
        let pairs: Vec<(End, End)> = (0..PAIRS).map(|_| (end(context, pd), end(context, pd))).collect();
        for (a, b) in &pairs {
            connect(a.qp, b.qp);
            connect(b.qp, a.qp);
        }
        let mut wc: [ibv_wc; 16] = std::mem::zeroed();
        let begin = processor_time();
        for _ in 0..ROUNDS {
            for (a, b) in &pairs {
                for wr_id in 0..DEPTH {
                    let mut bad = null_mut();
                    let mut recv = ibv_recv_wr { wr_id, next: null_mut(), sg_list: &mut sge, num_sge: 1 };
                    assert_eq!(ibv_post_recv(b.qp, &mut recv, &mut bad), 0);
                    let mut send: ibv_send_wr = std::mem::zeroed();
                    send.wr_id = wr_id;
                    send.sg_list = &mut sge;
                    send.num_sge = 1;
                    send.opcode = ibv_wr_opcode::IBV_WR_SEND;
                    let mut bad = null_mut();
                    assert_eq!(ibv_post_send(a.qp, &mut send, &mut bad), 0);
                }
            }
            for (a, b) in &pairs {
                for cq in [a.cq, b.cq] {
                    let mut left = DEPTH as i32;
                    while left > 0 {
                        let got = ibv_poll_cq(cq, 16, wc.as_mut_ptr());
                        assert!(got >= 0 && wc[..got as usize].iter().all(|w| w.status == 0));
                        left -= got;
                    }
                }
            }
        }
        let took = processor_time() - begin;
        for (a, b) in &pairs {
            for end in [a, b] {
                assert_eq!((ibv_destroy_qp(end.qp), ibv_destroy_cq(end.cq)), (0, 0));
            }
        }
        assert_eq!((ibv_dereg_mr(mr), ibv_dealloc_pd(pd), ibv_close_device(context)), (0, 0, 0));
        ibv_free_device_list(list);
        let requests = 2 * DEPTH * ROUNDS * PAIRS as u64;
        println!("simulation: {:.0} WRs/s", requests as f64 / took.as_secs_f64());
    }
}
