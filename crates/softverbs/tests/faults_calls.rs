//! Calls that fail on demand: every function of the C face, in its own convention, and nothing left behind.

// A test says what it expects by panicking, and calls C as C programs do.
#![allow(missing_docs, unsafe_code, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod preload;

use std::collections::BTreeSet;
use std::ffi::{CString, c_int, c_void};
use std::process::Command;
use std::ptr::null_mut;

use common::*;
use preload::library;
use rdma_sys::*;
use softverbs::control;

/// The library as programs load it: another instance than the one in this binary.
struct Loaded(*mut c_void);

impl Loaded {
    fn new() -> Self {
        let path = CString::new(library().to_str().unwrap()).unwrap();
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null());
        Self(handle)
    }

    fn find(&self, name: &str) -> *mut c_void {
        let name = CString::new(name).unwrap();
        unsafe { libc::dlsym(self.0, name.as_ptr()) }
    }

    fn control(&self, command: &str) -> c_int {
        let control: unsafe extern "C" fn(*const libc::c_char) -> c_int =
            unsafe { std::mem::transmute(self.find("softverbs_control")) };
        let command = CString::new(command).unwrap();
        unsafe { control(command.as_ptr()) }
    }

    /// Calls a function with NULLs, which it must not look at.
    fn call(&self, name: &str) -> (isize, i32) {
        type Any = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> isize;
        let function: Any = unsafe { std::mem::transmute(self.find(name)) };
        unsafe {
            *libc::__errno_location() = 0;
            (function(0, 0, 0, 0, 0, 0), *libc::__errno_location())
        }
    }
}

/// What cannot fail by its prototype: it returns nothing, or a text, a number, or its own kind of answer; or it is ours. What is
/// not offered fails anyhow.
const CANNOT_FAIL: &[&str] = &[
    "ibv_ack_async_event",
    "ibv_ack_cq_events",
    "ibv_event_type_str",
    "ibv_free_device_list",
    "ibv_get_device_guid",
    "ibv_get_device_index",
    "ibv_get_device_name",
    "ibv_is_fork_initialized",
    "ibv_node_type_str",
    "ibv_port_state_str",
    "ibv_qp_to_qp_ex",
    "ibv_query_qp_data_in_order",
    "ibv_unimport_dm",
    "ibv_unimport_mr",
    "ibv_unimport_pd",
    "ibv_wc_status_str",
    "rdma_destroy_ep",
    "rdma_destroy_event_channel",
    "rdma_destroy_qp",
    "rdma_destroy_srq",
    "rdma_event_str",
    "rdma_free_devices",
    "rdma_freeaddrinfo",
    "rdma_get_dst_port",
    "rdma_get_src_port",
    "softverbs_alive",
    "softverbs_control",
    "softverbs_violations",
];

#[test]
fn every_exported_function_fails_as_told() {
    let loaded = Loaded::new();
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let exported: BTreeSet<&str> = text
        .lines()
        .filter_map(|l| l.split(' ').nth(2))
        .map(|n| n.split('@').next().unwrap())
        .filter(|n| ["ibv_", "_ibv_", "rdma_", "softverbs_"].iter().any(|p| n.starts_with(p)))
        .collect();
    assert!(exported.len() > 80, "{exported:?}");
    let mut failed = 0;
    for name in &exported {
        if CANNOT_FAIL.contains(name) {
            let command = format!("fail {name} ENOMEM");
            assert_eq!(loaded.control(&command), libc::EINVAL, "{name} cannot fail, but was armed");
            continue;
        }
        if loaded.control(&format!("fail {name} 2 ENOSPC")) != 0 {
            // Not offered: it answers EOPNOTSUPP (or has nothing to give) whatever it is called with.
            let (answer, errno) = loaded.call(name);
            let not_offered = errno == libc::EOPNOTSUPP || *name == "ibv_read_sysfs_file";
            assert!(not_offered, "{name} is offered, but cannot be made to fail: {answer}, {errno}");
            continue;
        }
        // The first call is not meant; most refuse what this one gives them, and those that would wait, or believe their
        // pointers, are not called with it.
        assert_eq!(loaded.control("faults off"), 0);
        assert_eq!(loaded.control(&format!("fail {name} ENOSPC")), 0);
        let (answer, errno) = loaded.call(name);
        let as_int = answer as c_int;
        let fits = answer == 0 || [-1, libc::ENOSPC, -libc::ENOSPC].contains(&as_int);
        assert!(fits && errno == libc::ENOSPC, "{name}: {answer}, {errno}");
        let null = answer == 0;
        let makes = name.contains("_create_")
            || name.contains("_reg_mr")
            || name.contains("_alloc_")
            || name.contains("_open_")
            || name.ends_with("_list")
            || *name == "rdma_get_devices";
        let is_ibv =
            name.starts_with("ibv_") || *name == "rdma_create_event_channel" || *name == "rdma_get_devices";
        assert_eq!(null, makes && is_ibv, "{name} answered {answer}");
        failed += 1;
    }
    assert!(failed > 55, "only {failed} functions can be made to fail");
    let alive: extern "C" fn() -> c_int = unsafe { std::mem::transmute(loaded.find("softverbs_alive")) };
    assert_eq!(alive(), 0);
}

/// Gives something back; false if that failed.
type Undo = Box<dyn Fn() -> bool>;

/// A careful program: makes all it needs for a connection to itself, uses it, and gives everything back whatever fails. The error is
/// the name of what failed. What failed once at its destruction is destroyed again.
struct Careful {
    undo: Vec<(&'static str, Undo)>,
}

type Step<T> = Result<T, &'static str>;

impl Careful {
    fn made<T: 'static>(
        &mut self,
        name: &'static str,
        pointer: *mut T,
        undo: impl Fn(*mut T) -> bool + 'static,
    ) -> Step<*mut T> {
        if pointer.is_null() {
            return Err(name);
        }
        self.undo.push((name, Box::new(move || undo(pointer))));
        Ok(pointer)
    }

    fn ok(name: &'static str, result: c_int) -> Step<()> {
        if result == 0 { Ok(()) } else { Err(name) }
    }

    fn event(&mut self, channel: *mut rdma_event_channel, kind: u32) -> Step<*mut rdma_cm_id> {
        let mut event = null_mut();
        Self::ok("rdma_get_cm_event", unsafe { rdma_get_cm_event(channel, &mut event) })?;
        let (id, was) = unsafe { ((*event).id, (*event).event) };
        if was == 4 {
            self.made("rdma_create_id", id, |id| unsafe { rdma_destroy_id(id) } == 0)?;
        }
        if unsafe { rdma_ack_cm_event(event) } != 0 {
            assert_eq!(unsafe { rdma_ack_cm_event(event) }, 0);
            return Err("rdma_ack_cm_event");
        }
        if was == kind { Ok(id) } else { Err("another event") }
    }

    fn qp(&mut self, id: *mut rdma_cm_id, pd: *mut ibv_pd, cq: *mut ibv_cq) -> Step<()> {
        let mut attr: ibv_qp_init_attr = unsafe { std::mem::zeroed() };
        attr.send_cq = cq;
        attr.recv_cq = cq;
        attr.cap = ibv_qp_cap {
            max_send_wr: 4,
            max_recv_wr: 4,
            max_send_sge: 1,
            max_recv_sge: 1,
            max_inline_data: 0,
        };
        attr.qp_type = ibv_qp_type::IBV_QPT_RC;
        Self::ok("rdma_create_qp", unsafe { rdma_create_qp(id, pd, &mut attr) })?;
        let id = id as usize;
        self.undo.push((
            "rdma_destroy_qp",
            Box::new(move || {
                unsafe { rdma_destroy_qp(id as *mut rdma_cm_id) };
                true
            }),
        ));
        Ok(())
    }

    fn run(&mut self, port: u16) -> Step<()> {
        unsafe {
            let channel = self.made("rdma_create_event_channel", rdma_create_event_channel(), |c| {
                rdma_destroy_event_channel(c);
                true
            })?;
            let mut address = sockaddr(&format!("127.0.0.1:{port}"));
            let address = (&raw mut address).cast::<libc::sockaddr>();
            let tcp = rdma_port_space::RDMA_PS_TCP;
            let mut listener = null_mut();
            Self::ok("rdma_create_id", rdma_create_id(channel, &mut listener, null_mut(), tcp))?;
            self.made("rdma_create_id", listener, |id| rdma_destroy_id(id) == 0)?;
            let mut tos = 7u8;
            Self::ok("rdma_set_option", rdma_set_option(listener, 0, 0, (&raw mut tos).cast(), 1))?;
            Self::ok("rdma_bind_addr", rdma_bind_addr(listener, address))?;
            Self::ok("rdma_listen", rdma_listen(listener, 4))?;
            let mut id = null_mut();
            Self::ok("rdma_create_id", rdma_create_id(channel, &mut id, null_mut(), tcp))?;
            self.made("rdma_create_id", id, |id| rdma_destroy_id(id) == 0)?;
            Self::ok("rdma_resolve_addr", rdma_resolve_addr(id, null_mut(), address, 1000))?;
            self.event(channel, 0)?;
            Self::ok("rdma_resolve_route", rdma_resolve_route(id, 1000))?;
            self.event(channel, 2)?;
            let context = (*id).verbs;
            let mut count = 0;
            let list = ibv_get_device_list(&mut count);
            if list.is_null() {
                return Err("ibv_get_device_list");
            }
            let opened = ibv_open_device(*list);
            ibv_free_device_list(list);
            self.made("ibv_open_device", opened, |c| ibv_close_device(c) == 0)?;
            let mut device: ibv_device_attr = std::mem::zeroed();
            Self::ok("ibv_query_device", ibv_query_device(context, &mut device))?;
            let pd = self.made("ibv_alloc_pd", ibv_alloc_pd(context), |p| ibv_dealloc_pd(p) == 0)?;
            let comp = ibv_create_comp_channel(context);
            let comp = self.made("ibv_create_comp_channel", comp, |c| ibv_destroy_comp_channel(c) == 0)?;
            let cq = ibv_create_cq(context, 16, null_mut(), comp, 0);
            let cq = self.made("ibv_create_cq", cq, |c| ibv_destroy_cq(c) == 0)?;
            Self::ok("ibv_resize_cq", ibv_resize_cq(cq, 32))?;
            let memory = Box::leak(vec![0u8; 64].into_boxed_slice());
            let mr = ibv_reg_mr(pd, memory.as_mut_ptr().cast(), 64, 1);
            let mr = self.made("ibv_reg_mr", mr, |m| ibv_dereg_mr(m) == 0)?;
            let mut init: ibv_srq_init_attr = std::mem::zeroed();
            init.attr.max_wr = 4;
            init.attr.max_sge = 1;
            let srq =
                self.made("ibv_create_srq", ibv_create_srq(pd, &mut init), |s| ibv_destroy_srq(s) == 0)?;
            self.qp(id, pd, cq)?;
            let mut param = param(&Shape::default(), b"hello");
            Self::ok("rdma_connect", rdma_connect(id, &mut param))?;
            let other = self.event(channel, 4)?;
            self.qp(other, pd, cq)?;
            Self::ok("rdma_accept", rdma_accept(other, &mut param))?;
            self.event(channel, 9)?;
            self.event(channel, 9)?;
            let mut sge = ibv_sge { addr: memory.as_ptr() as u64, length: 8, lkey: (*mr).lkey };
            let mut recv = ibv_recv_wr { wr_id: 1, next: null_mut(), sg_list: &mut sge, num_sge: 1 };
            let mut bad_recv = null_mut();
            Self::ok("ibv_post_recv", ibv_post_recv((*other).qp, &mut recv, &mut bad_recv))?;
            Self::ok("ibv_post_srq_recv", ibv_post_srq_recv(srq, &mut recv, &mut bad_recv))?;
            let mut send: ibv_send_wr = std::mem::zeroed();
            send.sg_list = &mut sge;
            send.num_sge = 1;
            send.opcode = ibv_wr_opcode::IBV_WR_SEND;
            send.send_flags = 2;
            let mut bad = null_mut();
            Self::ok("ibv_req_notify_cq", ibv_req_notify_cq(cq, 0))?;
            Self::ok("ibv_post_send", ibv_post_send((*id).qp, &mut send, &mut bad))?;
            let (mut on, mut of) = (null_mut(), null_mut());
            Self::ok("ibv_get_cq_event", ibv_get_cq_event(comp, &mut on, &mut of))?;
            ibv_ack_cq_events(on, 1);
            let mut wc: [ibv_wc; 4] = std::mem::zeroed();
            let mut got = 0;
            while got < 2 {
                match ibv_poll_cq(cq, 4, wc.as_mut_ptr()) {
                    n if n < 0 => return Err("ibv_poll_cq"),
                    n => got += n,
                }
            }
            Self::ok("rdma_disconnect", rdma_disconnect(id))?;
            self.event(channel, 10)?;
            let mut attr: ibv_qp_attr = std::mem::zeroed();
            let mut init: ibv_qp_init_attr = std::mem::zeroed();
            Self::ok("ibv_query_qp", ibv_query_qp((*id).qp, &mut attr, 0, &mut init))?;
            attr.qp_state = 6;
            Self::ok("ibv_modify_qp", ibv_modify_qp((*other).qp, &mut attr, 1))
        }
    }

    fn clean_up(self) -> Vec<&'static str> {
        let mut again = Vec::new();
        for (name, undo) in self.undo.into_iter().rev() {
            if !undo() {
                assert!(undo(), "{name} could not be given back");
                again.push(name);
            }
        }
        again
    }
}

/// Each function that the careful program calls fails at each of its calls in turn; the program notices each, and nothing is left.
#[test]
fn each_call_of_a_program_fails_in_turn_and_nothing_is_left() {
    let _alone = alone();
    let calls = [
        "rdma_create_event_channel",
        "rdma_create_id",
        "rdma_set_option",
        "rdma_bind_addr",
        "rdma_listen",
        "rdma_resolve_addr",
        "rdma_get_cm_event",
        "rdma_ack_cm_event",
        "rdma_resolve_route",
        "ibv_get_device_list",
        "ibv_open_device",
        "ibv_query_device",
        "ibv_alloc_pd",
        "ibv_create_comp_channel",
        "ibv_create_cq",
        "ibv_resize_cq",
        "ibv_reg_mr",
        "ibv_create_srq",
        "rdma_create_qp",
        "rdma_connect",
        "rdma_accept",
        "ibv_post_recv",
        "ibv_post_srq_recv",
        "ibv_req_notify_cq",
        "ibv_post_send",
        "ibv_get_cq_event",
        "ibv_poll_cq",
        "rdma_disconnect",
        "ibv_query_qp",
        "ibv_create_qp",
        "ibv_modify_qp",
        "rdma_destroy_id",
        "ibv_close_device",
        "ibv_dealloc_pd",
        "ibv_destroy_comp_channel",
        "ibv_destroy_cq",
        "ibv_dereg_mr",
        "ibv_destroy_srq",
    ];
    let mut failures = 0;
    control("faults quiet").unwrap();
    for call in calls {
        for n in 1.. {
            control(&format!("fail {call} {n} EIO")).unwrap();
            let mut program = Careful { undo: Vec::new() };
            let result = program.run(fresh_port());
            let again = program.clean_up();
            control("faults off").unwrap();
            nothing_left(0);
            if result.is_ok() && again.is_empty() {
                assert!(n > 1, "{call} was never made to fail");
                break;
            }
            // A verb that librdmacm calls fails librdmacm's function, or the connection.
            let inside = ["ibv_create_qp", "ibv_modify_qp"].contains(&call);
            assert!(result.is_ok() || result == Err(call) || inside, "{call} {n}: {result:?}");
            failures += 1;
        }
    }
    control("faults loud").unwrap();
    assert!(failures >= calls.len() + 10, "{failures}");
}

#[test]
fn a_list_of_sends_is_taken_up_to_the_one_that_fails() {
    let _alone = alone();
    for (place, refused) in [("first", 0), ("middle", 1), ("last", 3), ("2", 1), ("9", 3)] {
        let p = Pair::new();
        let mut sges: Vec<ibv_sge> = (0..4).map(|_| p.a.sge(0, 8)).collect();
        let mut list: Vec<ibv_send_wr> = unsafe { (0..4).map(|_| std::mem::zeroed()).collect() };
        for i in (0..4).rev() {
            list[i].wr_id = i as u64;
            list[i].sg_list = &mut sges[i];
            list[i].num_sge = 1;
            list[i].opcode = ibv_wr_opcode::IBV_WR_SEND;
            list[i].send_flags = 2;
            list[i].next = if i < 3 { &raw mut list[i + 1] } else { null_mut() };
        }
        for id in 0..4 {
            p.b.recv(id, 0, 8);
        }
        control(&format!("fail ibv_post_send 2 ENOMEM at {place}")).unwrap();
        p.a.send(Send::send(100, p.a.sge(0, 8)));
        assert_eq!(p.a.poll().wr_id, 100, "the first call is not meant");
        let mut bad = null_mut();
        assert_eq!(unsafe { ibv_post_send(p.a.qp, list.as_mut_ptr(), &mut bad) }, libc::ENOMEM);
        assert_eq!(bad, &raw mut list[refused], "{place}");
        for i in 0..refused {
            assert_eq!(p.a.poll().wr_id, i as u64);
        }
        assert!(p.a.try_poll().is_none());
        assert_eq!(p.a.try_send(Send::send(101, p.a.sge(0, 8))), 0, "once is once");
        p.destroy();
    }
}

#[test]
fn a_list_of_receives_is_taken_up_to_the_one_that_fails() {
    let _alone = alone();
    for srq in [false, true] {
        let p = Pair::with(Shape { srq, ..Shape::default() }, ALL);
        let mut sges: Vec<ibv_sge> = (0..3).map(|_| p.b.sge(0, 8)).collect();
        let mut list: Vec<ibv_recv_wr> = unsafe { (0..3).map(|_| std::mem::zeroed()).collect() };
        for i in (0..3).rev() {
            list[i] = ibv_recv_wr { wr_id: i as u64, next: null_mut(), sg_list: &mut sges[i], num_sge: 1 };
            if i < 2 {
                list[i].next = &raw mut list[i + 1];
            }
        }
        let mut bad = null_mut();
        let posted = unsafe {
            if srq {
                control("fail ibv_post_srq_recv ENOMEM at last").unwrap();
                ibv_post_srq_recv(p.b.srq, list.as_mut_ptr(), &mut bad)
            } else {
                control("fail ibv_post_recv ENOMEM at last").unwrap();
                ibv_post_recv(p.b.qp, list.as_mut_ptr(), &mut bad)
            }
        };
        assert_eq!((posted, bad), (libc::ENOMEM, &raw mut list[2]));
        for id in 0..2 {
            p.a.send(Send::send(id, p.a.sge(0, 8)));
            assert_eq!((p.a.poll().wr_id, p.b.poll().wr_id), (id, id));
        }
        p.destroy();
    }
}

#[test]
fn a_poll_that_fails_loses_nothing() {
    let _alone = alone();
    let p = Pair::new();
    p.b.recv(7, 0, 8);
    p.a.send(Send::send(1, p.a.sge(0, 8)));
    control("fail ibv_poll_cq 2-3 EIO").unwrap();
    let mut wc: ibv_wc = unsafe { std::mem::zeroed() };
    let mut poll = || unsafe { ibv_poll_cq(p.b.cq, 1, &mut wc) };
    assert_eq!([poll(), poll(), poll(), poll()], [1, -libc::EIO, -libc::EIO, 0]);
    assert_eq!(wc.wr_id, 7);
    assert_eq!(p.a.poll().wr_id, 1);
    p.destroy();
}

#[test]
fn devices_that_are_not_there() {
    let _alone = alone();
    let mut count = 77;
    unsafe {
        control("fail rdma_get_devices ENODEV").unwrap();
        assert!(rdma_get_devices(&mut count).is_null());
        assert_eq!((count, errno()), (0, libc::ENODEV));
        control("at call rdma_get_devices 2: device off").unwrap();
        let list = rdma_get_devices(&mut count);
        assert_eq!((count, (*list).is_null()), (1, false));
        rdma_free_devices(list);
        let list = rdma_get_devices(&mut count);
        assert_eq!((count, (*list).is_null()), (0, true), "it disappeared between two calls");
        rdma_free_devices(list);
        control("device on").unwrap();
    }
    nothing_left(0);
}

#[test]
fn events_that_cannot_be_fetched() {
    let _alone = alone();
    let channel = Channel::new();
    control("fail rdma_get_cm_event 1-2 EIO").unwrap();
    let mut event = null_mut();
    for expected in [libc::EIO, libc::EIO, libc::EAGAIN] {
        assert_eq!(unsafe { rdma_get_cm_event(channel.0, &mut event) }, -1);
        assert_eq!(errno(), expected);
    }
    control("fail rdma_create_event_channel EMFILE").unwrap();
    assert!(unsafe { rdma_create_event_channel() }.is_null());
    assert_eq!(errno(), libc::EMFILE);
    channel.destroy();
    nothing_left(0);
}

#[test]
fn wrong_commands_arm_nothing() {
    let _alone = alone();
    for wrong in ["fail", "fail ibv_open_device", "fail ibv_open_device soon EIO", "fail ibv_frobnicate EIO"]
    {
        assert!(control(wrong).is_err(), "{wrong}");
    }
    let channel = Channel::new();
    channel.destroy();
    // What came before the wrong command was carried out.
    assert!(control("fail rdma_create_event_channel EMFILE; fail what").is_err());
    assert!(unsafe { rdma_create_event_channel() }.is_null());
    control("fail rdma_create_event_channel always EMFILE; faults; faults off").unwrap();
    Channel::new().destroy();
    nothing_left(0);
}

fn table(context: *mut ibv_context) -> *mut verbs_context {
    let offset = std::mem::offset_of!(verbs_context, context);
    unsafe { context.byte_sub(offset).cast() }
}

#[test]
fn polling_and_posting_by_functions_fails_too() {
    let _alone = alone();
    unsafe {
        let list = ibv_get_device_list(null_mut());
        let context = ibv_open_device(*list);
        ibv_free_device_list(list);
        let pd = ibv_alloc_pd(context);
        let mut attr: ibv_cq_init_attr_ex = std::mem::zeroed();
        attr.cqe = 8;
        control("fail ibv_create_cq_ex ENOMEM").unwrap();
        let create_cq = (*table(context)).create_cq_ex.unwrap();
        assert!(create_cq(context, &mut attr).is_null() && errno() == libc::ENOMEM);
        let cq = create_cq(context, &mut attr);
        assert!(!cq.is_null());
        let mut poll: ibv_poll_cq_attr = std::mem::zeroed();
        control("fail ibv_start_poll 2 EIO").unwrap();
        let mut start = || (*cq).start_poll.unwrap()(cq, &mut poll);
        assert_eq!([start(), start(), start()], [libc::ENOENT, libc::EIO, libc::ENOENT]);

        let mut attr: ibv_qp_init_attr_ex = std::mem::zeroed();
        attr.send_cq = cq.cast();
        attr.recv_cq = cq.cast();
        attr.qp_type = ibv_qp_type::IBV_QPT_RC;
        attr.comp_mask = 1 | 1 << 6;
        attr.pd = pd;
        attr.send_ops_flags = 1 << 2;
        let create_qp = (*table(context)).create_qp_ex.unwrap();
        control("fail ibv_create_qp_ex ENOMEM").unwrap();
        assert!(create_qp(context, &mut attr).is_null());
        let qp = create_qp(context, &mut attr);
        assert!(!qp.is_null(), "{}", errno());
        let ex = ibv_qp_to_qp_ex(qp);
        control("fail ibv_wr_complete ENOMEM").unwrap();
        (*ex).wr_start.unwrap()(ex);
        assert_eq!((*ex).wr_complete.unwrap()(ex), libc::ENOMEM);
        // The batch is over: the next one need not wait for its end.
        (*ex).wr_start.unwrap()(ex);
        assert_eq!((*ex).wr_complete.unwrap()(ex), libc::EINVAL, "the queue pair is not ready");
        assert_eq!((ibv_destroy_qp(qp), ibv_destroy_cq(cq.cast())), (0, 0));
        assert_eq!((ibv_dealloc_pd(pd), ibv_close_device(context)), (0, 0));
    }
    nothing_left(0);
}

#[test]
fn a_queue_pair_that_cannot_be_brought_up_or_put_into_error() {
    let _alone = alone();
    let channel = Channel::new();
    let address = format!("127.0.0.1:{}", fresh_port());
    let listener = listen(&channel, &address);
    let a = End::new(resolve(&channel, &address), &Shape::default(), ALL);
    assert_eq!(unsafe { rdma_connect(a.id, &mut param(&Shape::default(), b"")) }, 0);
    let b = End::new(channel.expect("CONNECT_REQUEST").id, &Shape::default(), ALL);
    assert_eq!(unsafe { rdma_accept(b.id, &mut param(&Shape::default(), b"")) }, 0);
    // INIT, RTR, RTS on the reply: the last of them fails.
    control("fail ibv_modify_qp 3 EINVAL").unwrap();
    assert_eq!(channel.expect("CONNECT_ERROR").id, a.id);
    a.destroy();
    b.destroy();
    unsafe { rdma_destroy_id(listener) };
    while channel.try_next().is_some() {}
    channel.destroy();
    let p = Pair::new();
    control("fail ibv_modify_qp ENOMEM").unwrap();
    assert_eq!(unsafe { rdma_disconnect(p.a.id) }, -1);
    assert_eq!((errno(), p.a.state(), p.channel.try_next()), (libc::ENOMEM, 3, None));
    assert_eq!(unsafe { rdma_disconnect(p.a.id) }, 0);
    p.destroy();
}
