//! A small device: its limits are told, and what is beyond them is refused as real devices refuse it.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::process::Command;
use std::ptr::null_mut;

use common::*;
use rdma_sys::*;

/// A device that is opened, with a protection domain, under a profile that ends with it.
struct Device {
    context: *mut ibv_context,
    pd: *mut ibv_pd,
}

impl Device {
    fn with(profile: &str) -> Self {
        if !profile.is_empty() {
            softverbs::control(&format!("device profile {profile}")).unwrap();
        }
        unsafe {
            let list = ibv_get_device_list(null_mut());
            let context = ibv_open_device(*list);
            ibv_free_device_list(list);
            Self { context, pd: ibv_alloc_pd(context) }
        }
    }

    fn limits(&self) -> ibv_device_attr {
        unsafe {
            let mut plain: ibv_device_attr = std::mem::zeroed();
            assert_eq!(ibv_query_device(self.context, &mut plain), 0);
            let mut all: ibv_device_attr_ex = std::mem::zeroed();
            assert_eq!(ibv_query_device_ex(self.context, std::ptr::null(), &mut all), 0);
            let bytes = |attr: &ibv_device_attr| {
                std::slice::from_raw_parts((&raw const *attr).cast::<u8>(), size_of::<ibv_device_attr>())
                    .to_vec()
            };
            assert_eq!(bytes(&plain), bytes(&all.orig_attr));
            plain
        }
    }

    /// A CQ, or the errno.
    fn cq(&self, cqe: i32) -> Result<*mut ibv_cq, i32> {
        let cq = unsafe { ibv_create_cq(self.context, cqe, null_mut(), null_mut(), 0) };
        if cq.is_null() { Err(errno()) } else { Ok(cq) }
    }

    fn qp(&self, cq: *mut ibv_cq, edit: impl FnOnce(&mut ibv_qp_cap)) -> Result<*mut ibv_qp, i32> {
        unsafe {
            let mut init: ibv_qp_init_attr = std::mem::zeroed();
            (init.send_cq, init.recv_cq) = (cq, cq);
            init.qp_type = ibv_qp_type::IBV_QPT_RC;
            init.cap.max_send_wr = 1;
            init.cap.max_send_sge = 1;
            edit(&mut init.cap);
            let qp = ibv_create_qp(self.pd, &mut init);
            if qp.is_null() { Err(errno()) } else { Ok(qp) }
        }
    }

    fn mr(&self, memory: &[u8]) -> Result<*mut ibv_mr, i32> {
        let mr = unsafe { ibv_reg_mr(self.pd, memory.as_ptr().cast_mut().cast(), memory.len(), 0) };
        if mr.is_null() { Err(errno()) } else { Ok(mr) }
    }

    fn srq(&self, max_wr: u32, max_sge: u32) -> Result<*mut ibv_srq, i32> {
        unsafe {
            let mut init: ibv_srq_init_attr = std::mem::zeroed();
            init.attr.max_wr = max_wr;
            init.attr.max_sge = max_sge;
            let srq = ibv_create_srq(self.pd, &mut init);
            if srq.is_null() { Err(errno()) } else { Ok(srq) }
        }
    }

    /// Closes it; nothing may be left on it.
    fn close(self) {
        softverbs::control("device profile off").unwrap();
        unsafe {
            assert_eq!(ibv_dealloc_pd(self.pd), 0);
            assert_eq!(ibv_close_device(self.context), 0);
        }
        nothing_left(0);
    }
}

#[test]
fn queues_are_made_as_large_as_the_device_can_and_no_larger() {
    let _alone = alone();
    let d = Device::with("max_qp_wr=16 max_sge=2 max_inline_data=20 max_qp=2 max_cqe=8 max_cq=2");
    let l = d.limits();
    assert_eq!((l.max_qp_wr, l.max_sge, l.max_sge_rd, l.max_qp), (16, 2, 2, 2));
    assert_eq!((l.max_cqe, l.max_cq), (8, 2));
    assert_eq!(d.cq(9), Err(libc::EINVAL));
    let cq = d.cq(8).unwrap();
    let second = d.cq(1).unwrap();
    assert_eq!(d.cq(1), Err(libc::ENOMEM), "there are two");
    unsafe {
        assert_eq!(ibv_resize_cq(cq, 9), libc::EINVAL);
        assert_eq!(ibv_resize_cq(cq, 4), 0);
        assert_eq!(ibv_destroy_cq(second), 0);
    }
    assert_eq!(d.qp(cq, |c| c.max_send_wr = 17), Err(libc::EINVAL));
    assert_eq!(d.qp(cq, |c| c.max_recv_wr = 17), Err(libc::EINVAL));
    assert_eq!(d.qp(cq, |c| c.max_send_sge = 3), Err(libc::EINVAL));
    assert_eq!(d.qp(cq, |c| c.max_recv_sge = 3), Err(libc::EINVAL));
    assert_eq!(d.qp(cq, |c| c.max_inline_data = 21), Err(libc::EINVAL));
    let largest = d.qp(cq, |c| {
        let cap = ibv_qp_cap { max_send_wr: 16, max_recv_wr: 16, max_send_sge: 2, max_recv_sge: 2, ..*c };
        *c = cap;
    });
    let other = d.qp(cq, |_| ()).unwrap();
    assert_eq!(d.qp(cq, |_| ()), Err(libc::ENOMEM), "there are two");
    unsafe {
        let mut attr: ibv_qp_attr = std::mem::zeroed();
        let mut init: ibv_qp_init_attr = std::mem::zeroed();
        assert_eq!(ibv_query_qp(largest.unwrap(), &mut attr, 0, &mut init), 0);
        assert_eq!(attr.cap.max_inline_data, 20, "no more is given beside segments than there is");
        assert_eq!(ibv_destroy_qp(largest.unwrap()), 0);
        assert_eq!(ibv_destroy_qp(other), 0);
        assert_eq!(ibv_destroy_cq(cq), 0);
    }
    d.close();
}

#[test]
fn regions_are_few_short_and_of_pages_that_the_device_knows() {
    let _alone = alone();
    let d = Device::with("max_mr=2 max_mr_size=4096 page_size_cap=0x201000");
    let l = d.limits();
    assert_eq!((l.max_mr, l.max_mr_size, l.page_size_cap), (2, 4096, 0x20_1000));
    let memory = vec![0u8; 4097];
    assert_eq!(d.mr(&memory), Err(libc::EINVAL), "too long");
    let two = [d.mr(&memory[..4096]).unwrap(), d.mr(&memory[..1]).unwrap()];
    assert_eq!(d.mr(&memory[..1]), Err(libc::ENOMEM), "there are two");
    assert_eq!(unsafe { ibv_dereg_mr(two[1]) }, 0);
    softverbs::control("device profile page_size_cap=0x200000").unwrap();
    assert_eq!(d.limits().max_mr, 2, "what a command does not name stays");
    assert_eq!(d.mr(&memory[..1]), Err(libc::EINVAL), "huge pages only");
    softverbs::control("device profile page_size_cap=0x1000").unwrap();
    let again = d.mr(&memory[..1]).unwrap();
    // The other end of a test in one process is another device, whose regions are not this one's.
    softverbs::without_profile(|| {
        assert_eq!(d.limits().max_mr, 1 << 20);
        for mr in [d.mr(&memory).unwrap(), d.mr(&memory).unwrap(), d.mr(&memory).unwrap()] {
            assert_eq!(unsafe { ibv_dereg_mr(mr) }, 0);
        }
    });
    let spared = softverbs::without_profile(|| d.mr(&memory).unwrap());
    assert_eq!(unsafe { ibv_dereg_mr(two[0]) }, 0);
    let second = d.mr(&memory[..1]).unwrap();
    assert_eq!(d.mr(&memory[..1]), Err(libc::ENOMEM), "two again, beside one that does not count");
    for mr in [spared, again, second] {
        assert_eq!(unsafe { ibv_dereg_mr(mr) }, 0);
    }
    d.close();
}

#[test]
fn what_the_device_does_not_offer_is_refused_as_of_a_driver_without_it() {
    let _alone = alone();
    let d = Device::with("resize_cq=off max_srq=0");
    let cq = d.cq(8).unwrap();
    assert_eq!(unsafe { ibv_resize_cq(cq, 4) }, libc::EOPNOTSUPP);
    let l = d.limits();
    assert_eq!((l.max_srq, l.max_srq_wr, l.max_srq_sge), (0, 0, 0));
    assert_eq!(d.srq(1, 1), Err(libc::EOPNOTSUPP));
    softverbs::control("device profile resize_cq=on max_srq=1 max_srq_wr=4 max_srq_sge=1").unwrap();
    assert_eq!(unsafe { ibv_resize_cq(cq, 4) }, 0);
    assert_eq!((d.srq(5, 1), d.srq(4, 2)), (Err(libc::EINVAL), Err(libc::EINVAL)));
    let srq = d.srq(4, 1).unwrap();
    assert_eq!(d.srq(1, 1), Err(libc::ENOMEM), "there is one");
    unsafe {
        assert_eq!(ibv_destroy_srq(srq), 0);
        assert_eq!(ibv_destroy_cq(cq), 0);
    }
    d.close();
}

#[test]
fn a_connection_has_no_more_reads_at_once_than_the_device() {
    let _alone = alone();
    softverbs::control("device profile max_qp_rd_atom=2 max_qp_init_rd_atom=1").unwrap();
    let channel = Channel::new();
    let address = format!("127.0.0.1:{}", fresh_port());
    let listener = listen(&channel, &address);
    let active = resolve(&channel, &address);
    let shape = Shape::default();
    let a = End::new(active, &shape, ALL);
    let mut connect = param(&shape, b"");
    unsafe {
        for (responder_resources, initiator_depth) in [(3, 1), (2, 2)] {
            connect = rdma_conn_param { responder_resources, initiator_depth, ..connect };
            assert_eq!((rdma_connect(active, &mut connect), errno()), (-1, libc::EINVAL));
        }
        // As much as the device can.
        connect = rdma_conn_param { responder_resources: 0xff, initiator_depth: 0xff, ..connect };
        assert_eq!(rdma_connect(active, &mut connect), 0);
        let mut event = null_mut();
        assert_eq!(rdma_get_cm_event(channel.0, &mut event), 0);
        let asked = (*event).param.conn;
        // What one side asks at most, the other answers at most.
        assert_eq!((asked.responder_resources, asked.initiator_depth), (1, 2));
        let passive = (*event).id;
        assert_eq!(rdma_ack_cm_event(event), 0);
        // The other end has the full device, and answers more than this one asks for.
        let b = softverbs::without_profile(|| {
            let b = End::new(passive, &shape, ALL);
            let mut accept = rdma_conn_param { responder_resources: 1, initiator_depth: 2, ..connect };
            assert_eq!(rdma_accept(passive, &mut accept), 0);
            b
        });
        assert_eq!(channel.expect("ESTABLISHED").id, active);
        assert_eq!(channel.expect("ESTABLISHED").id, passive);
        let mut attr: ibv_qp_attr = std::mem::zeroed();
        let mut init: ibv_qp_init_attr = std::mem::zeroed();
        assert_eq!(ibv_query_qp(a.qp, &mut attr, 0, &mut init), 0);
        assert_eq!((attr.max_dest_rd_atomic, attr.max_rd_atomic), (2, 1));
        a.destroy();
        b.destroy();
        rdma_destroy_id(listener);
    }
    channel.destroy();
    softverbs::control("device profile off").unwrap();
    nothing_left(0);
}

#[test]
fn a_wrong_profile_is_told_and_changes_nothing() {
    let _alone = alone();
    let d = Device::with("max_cqe=100");
    for (wrong, why) in [
        ("device profile", "device profile NAME=VALUE"),
        ("device profile max_cqe=7 max_qp_wr=0", "max_qp_wr is a number from 1 to 32768, not '0'"),
        ("device profile max_cqe=7 max_cqes=7", "max_cq, max_cqe, max_mr"),
        ("device profile max_cqe=7 resize_cq=no", "resize_cq is on or off, not 'no'"),
        ("device profile max_cqe=7 off", "NAME=VALUE"),
        ("device profile page_size_cap=4095", "from 0x1000 on"),
    ] {
        let said = softverbs::control(wrong).unwrap_err();
        assert!(said.contains(why), "{wrong}: {said}");
        assert_eq!(d.limits().max_cqe, 100, "{wrong}");
    }
    d.close();
}

/// A program that knows nothing of softverbs.
#[test]
#[ignore = "run by the test below, with a profile in its environment"]
fn stranger() {
    let d = Device::with("");
    let told = d.limits();
    println!("told {} {}", told.max_cqe, told.max_srq);
    println!("made {:?} {:?}", d.cq(4).is_ok(), d.cq(5));
}

#[test]
fn a_program_gets_its_profile_from_the_environment() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "stranger", "--ignored", "--nocapture"]);
    command.env("SOFTVERBS_CONTROL", "device profile max_cqe=4 max_srq=0");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("told 4 0\n") && text.contains("made true Err(22)\n"), "{text}");
}
