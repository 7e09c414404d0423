//! A whole conversation: a host connects, looks at what it is told, does I/O and ends, with a target that answers as the input
//! says ([`crate::hostile`]).
//!
//! What must hold is what [`World::finish`] looks for, that the C face's answers are such as it documents, and that an answer to no
//! command ends its connection.

use crate::{
    hostile::{ADDRESS, NQN, Script},
    input::Input,
    world::{self, BUFFER, World, turn},
};
use libc::c_void;
use spdk_nvme_rdma::abi::{
    ctrlr::*,
    ctrlr_facts::*,
    detach::{spdk_nvme_detach, spdk_nvme_detach_async, spdk_nvme_detach_poll_async},
    ns::*,
    ns_cmd::{spdk_nvme_ns_cmd_read, spdk_nvme_ns_cmd_write},
    poll_group::*,
    print::spdk_nvme_qpair_print_completion,
    qpair::*,
    transport_id::spdk_nvme_transport_id_parse,
    types::{
        spdk_nvme_cpl, spdk_nvme_ctrlr, spdk_nvme_ctrlr_opts, spdk_nvme_io_qpair_opts, spdk_nvme_ns,
        spdk_nvme_poll_group, spdk_nvme_qpair, spdk_nvme_transport_id,
    },
    zns::spdk_nvme_zns_reset_zone,
};
use std::{
    cell::{Cell, RefCell},
    ffi::CString,
    mem::zeroed,
    ptr,
};

/// Bytes of the plan before the lies.
pub const PLAN: usize = 10;

/// Polls after which the host has noticed what it was told.
const NOTICE: u32 = 20;

/// What the host does.
#[derive(Clone, Copy, Debug)]
struct Plan {
    flags: u8,
    more_flags: u8,
    qpairs: usize,
    ios: u32,
    blocks: u32,
    rounds: u32,
    /// Polls of a round, at most.
    patience: u32,
    /// What a callback does.
    acts: u8,
}

impl Plan {
    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

const DISCOVER: u8 = 1;
const GROUP: u8 = 2;
const KEEP_ALIVE: u8 = 4;
const DELAY: u8 = 8;
const ASYNC: u8 = 16;
const DETACH_ASYNC: u8 = 32;
const LEAVE_QPAIRS: u8 = 64;
const DISCONNECT: u8 = 128;
/// Of the second byte of flags.
const RECONNECT: u8 = 1;
const WRITES: u8 = 2;
const NO_SHUTDOWN: u8 = 4;

/// Talks.
pub fn run(input: &[u8]) {
    let mut fields = Input::new(input);
    let plan = Plan {
        flags: fields.u8(),
        more_flags: fields.u8(),
        qpairs: 1 + usize::from(fields.u8() % 4),
        ios: 1 + u32::from(fields.u8() % 40),
        blocks: 1 + (u32::from(fields.u8()) * 3) % 700,
        rounds: 1 + u32::from(fields.u8() % 3),
        patience: 20 + u32::from(fields.u8()) * 8,
        acts: fields.u8(),
    };
    let count = usize::from(fields.u16() % 32);
    let world = World::new(Some(Script::new(fields, count)));
    let trid = transport_id(if plan.has(DISCOVER) { spec::fabrics::DISCOVERY_NQN } else { NQN });
    if plan.has(DISCOVER) {
        for ctrlr in world.discover(&trid) {
            visit(&world, ctrlr, plan);
            // SAFETY: the handle stands for one attachment, which ends here.
            assert_eq!(unsafe { spdk_nvme_detach(ctrlr) }, 0);
        }
        return world.finish();
    }
    let mut opts = options();
    if plan.has(KEEP_ALIVE) {
        opts.keep_alive_timeout_ms = 200;
    }
    opts.no_shn_notification = plan.more_flags & NO_SHUTDOWN;
    if !plan.has(DETACH_ASYNC) {
        let opts = (&raw const opts, size_of::<spdk_nvme_ctrlr_opts>());
        world.attach(&trid, Some(opts), |ctrlr| visit(&world, ctrlr, plan));
        return world.finish();
    }
    // SAFETY: the arguments are this function's own; handles are used as long as they are good.
    unsafe {
        let size = size_of::<spdk_nvme_ctrlr_opts>();
        let ctrlr = spdk_nvme_rdma::abi::probe::spdk_nvme_connect(&raw const trid, &raw const opts, size);
        if !ctrlr.is_null() {
            visit(&world, ctrlr, plan);
            let mut context = ptr::null_mut();
            assert_eq!(spdk_nvme_detach_async(ctrlr, &raw mut context), 0);
            while !context.is_null() && spdk_nvme_detach_poll_async(context) == -libc::EAGAIN {
                turn();
            }
        }
    }
    world.finish();
}

/// The transport id of a subsystem of the target.
#[must_use]
pub fn transport_id(subnqn: &str) -> spdk_nvme_transport_id {
    let ([a, b, c, d], port) = ADDRESS;
    let text = format!("trtype:RDMA adrfam:IPv4 traddr:{a}.{b}.{c}.{d} trsvcid:{port} subnqn:{subnqn}");
    let text = CString::new(text).unwrap();
    // SAFETY: a transport id of zeros is a valid one, and this function's own.
    unsafe {
        let mut trid = zeroed();
        assert_eq!(spdk_nvme_transport_id_parse(&raw mut trid, text.as_ptr()), 0);
        trid
    }
}

/// Options with short deadlines, since many things will not be answered.
#[must_use]
pub fn options() -> spdk_nvme_ctrlr_opts {
    // SAFETY: options of zeros are valid, and this function's own.
    unsafe {
        let mut opts: spdk_nvme_ctrlr_opts = zeroed();
        spdk_nvme_ctrlr_get_default_ctrlr_opts(&raw mut opts, size_of::<spdk_nvme_ctrlr_opts>());
        opts.admin_timeout_ms = 200;
        opts.fabrics_connect_timeout_us = 200_000;
        opts.keep_alive_timeout_ms = 0;
        opts
    }
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::NOWHERE) };
    static QPAIRS: RefCell<Vec<*mut spdk_nvme_qpair>> = const { RefCell::new(Vec::new()) };
}

/// What a callback finds around it.
#[derive(Clone, Copy)]
struct Place {
    ctrlr: *mut spdk_nvme_ctrlr,
    ns: *mut spdk_nvme_ns,
    group: *mut spdk_nvme_poll_group,
    buffer: *mut c_void,
    acts: u8,
    /// Actions left.
    left: u32,
}

impl Place {
    const NOWHERE: Self = Self {
        ctrlr: ptr::null_mut(),
        ns: ptr::null_mut(),
        group: ptr::null_mut(),
        buffer: ptr::null_mut(),
        acts: 0,
        left: 0,
    };
}

/// All that the host does with a controller, from the look at its data to the last free.
fn visit(world: &World, ctrlr: *mut spdk_nvme_ctrlr, plan: Plan) {
    // SAFETY: handles come from the host and are used until they are given back; the buffer is as large as any I/O.
    unsafe {
        let Some(ns) = look(ctrlr) else { return };
        let group = if plan.has(GROUP) {
            let group = spdk_nvme_poll_group_create(ptr::null_mut(), ptr::null_mut());
            assert!(!group.is_null());
            group
        } else {
            ptr::null_mut()
        };
        PLACE.set(Place { ctrlr, ns, group, buffer: world.buffer(), acts: plan.acts, left: 8 });
        for _ in 0..plan.qpairs {
            let qpair = allocate(ctrlr, group, plan);
            if !qpair.is_null() {
                QPAIRS.with_borrow_mut(|qpairs| qpairs.push(qpair));
            }
        }
        for round in 0..plan.rounds {
            for qpair in qpairs() {
                for number in 0..plan.ios {
                    submit(qpair, plan, number + round);
                }
            }
            for _ in 0..plan.patience {
                poll(group);
                if world::outstanding() == 0 && round + 1 < plan.rounds {
                    break;
                }
                turn();
            }
            if plan.more_flags & RECONNECT != 0 {
                for qpair in qpairs() {
                    let _ = spdk_nvme_ctrlr_connect_io_qpair(ctrlr, qpair);
                }
            }
        }
        for _ in 0..NOTICE {
            poll(group);
            turn();
        }
        assert_eq!(world.unnoticed(), 0, "an answer to no command does not end the connection");
        if plan.has(DISCONNECT) {
            qpairs().into_iter().for_each(|qpair| spdk_nvme_ctrlr_disconnect_io_qpair(qpair));
        }
        // What a group holds must be freed before the group; else the controller's end does it.
        if !plan.has(LEAVE_QPAIRS) || !group.is_null() {
            while let Some(qpair) = QPAIRS.with_borrow_mut(Vec::pop) {
                assert_eq!(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
            }
        }
        if !group.is_null() {
            assert_eq!(spdk_nvme_poll_group_destroy(group), 0);
        }
        PLACE.set(Place { group: ptr::null_mut(), left: 0, ..PLACE.get() });
        QPAIRS.with_borrow_mut(Vec::clear);
    }
}

fn qpairs() -> Vec<*mut spdk_nvme_qpair> {
    QPAIRS.with_borrow(Vec::clone)
}

fn is_there(qpair: *mut spdk_nvme_qpair) -> bool {
    QPAIRS.with_borrow(|qpairs| qpairs.contains(&qpair))
}

/// Reads all that the controller says of itself; a namespace for I/O.
unsafe fn look(ctrlr: *mut spdk_nvme_ctrlr) -> Option<*mut spdk_nvme_ns> {
    // SAFETY: the handle is good, and so are those that come from it.
    unsafe {
        let data = spdk_nvme_ctrlr_get_data(ctrlr);
        assert!(!data.is_null());
        let highest = (*data).nn;
        assert!(!spdk_nvme_ctrlr_get_transport_id(ctrlr).is_null());
        let mut id = spdk_nvme_ctrlr_get_first_active_ns(ctrlr);
        let mut chosen = None;
        let mut seen = 0;
        while id != 0 && seen < 5_000 {
            let ns = spdk_nvme_ctrlr_get_ns(ctrlr, id);
            assert!(!ns.is_null() && id <= highest && spdk_nvme_ns_get_id(ns) == id);
            assert!(spdk_nvme_ns_is_active(ns));
            let size = spdk_nvme_ns_get_sector_size(ns);
            assert!(size.is_power_of_two() && size >= 512, "blocks of {size} bytes");
            assert_eq!(
                spdk_nvme_ns_get_size(ns),
                spdk_nvme_ns_get_num_sectors(ns).wrapping_mul(u64::from(size))
            );
            assert!(!spdk_nvme_ns_get_data(ns).is_null());
            let _ = spdk_nvme_ns_get_csi(ns);
            chosen = chosen.or(Some(ns));
            let next = spdk_nvme_ctrlr_get_next_active_ns(ctrlr, id);
            assert!(next == 0 || next > id, "{next} after {id}");
            id = next;
            seen += 1;
        }
        for id in [0, 1, 2, highest, highest.wrapping_add(1), u32::MAX] {
            let ns = spdk_nvme_ctrlr_get_ns(ctrlr, id);
            assert_eq!(ns.is_null(), id == 0 || id > highest, "namespace {id} of {highest}");
            if !ns.is_null() && !spdk_nvme_ns_is_active(ns) {
                let _ = (spdk_nvme_ns_get_size(ns), spdk_nvme_ns_get_sector_size(ns));
            }
        }
        chosen
    }
}

unsafe fn allocate(
    ctrlr: *mut spdk_nvme_ctrlr,
    group: *mut spdk_nvme_poll_group,
    plan: Plan,
) -> *mut spdk_nvme_qpair {
    // SAFETY: the handles are good, and the options this function's own.
    unsafe {
        let mut opts: spdk_nvme_io_qpair_opts = zeroed();
        let size = size_of::<spdk_nvme_io_qpair_opts>();
        spdk_nvme_ctrlr_get_default_io_qpair_opts(ctrlr, &raw mut opts, size);
        opts.io_queue_requests = 64;
        opts.__bindgen_anon_1.delay_cmd_submit = u8::from(plan.has(DELAY));
        opts.async_mode = u8::from(plan.has(ASYNC));
        opts.create_only = u8::from(!group.is_null());
        let qpair = spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, &raw const opts, size);
        if !qpair.is_null() && !group.is_null() {
            assert_eq!(spdk_nvme_poll_group_add(group, qpair), 0);
            let _ = spdk_nvme_ctrlr_connect_io_qpair(ctrlr, qpair);
        }
        qpair
    }
}

fn submit(qpair: *mut spdk_nvme_qpair, plan: Plan, number: u32) {
    let place = PLACE.get();
    // SAFETY: the handles are good.
    let size = unsafe { spdk_nvme_ns_get_sector_size(place.ns) };
    let most = BUFFER as u32 / size;
    if most == 0 {
        return;
    }
    // Small ones, which fit into a capsule, and the size that the plan has, which may have to be split.
    let blocks = if number.is_multiple_of(3) { plan.blocks.clamp(1, most) } else { 1 };
    let argument = world::begin();
    let lba = u64::from(number % 64);
    let done = Some(done as unsafe extern "C" fn(_, _));
    // SAFETY: the handles are good and the buffer is as large as the blocks.
    let rc = unsafe {
        if number % 16 == 15 {
            spdk_nvme_zns_reset_zone(place.ns, qpair, lba, false, done, argument)
        } else if plan.more_flags & WRITES != 0 && !number.is_multiple_of(2) {
            spdk_nvme_ns_cmd_write(place.ns, qpair, place.buffer, lba, blocks, done, argument, 0)
        } else {
            spdk_nvme_ns_cmd_read(place.ns, qpair, place.buffer, lba, blocks, done, argument, 0)
        }
    };
    assert!(rc <= 0, "{rc}");
    world::submitted(argument, rc);
}

unsafe extern "C" fn done(argument: *mut c_void, completion: *const spdk_nvme_cpl) {
    // SAFETY: the completion is one.
    let status = unsafe { completion.cast::<spec::Completion>().read() };
    world::called(argument, status.is_success());
    let place = PLACE.get();
    let qpairs = qpairs();
    let Some(&qpair) = qpairs.get(argument.addr() % qpairs.len().max(1)) else { return };
    // SAFETY: the completion is one, and the handles are good.
    unsafe {
        let mut copy = completion.read();
        spdk_nvme_qpair_print_completion(qpair, &raw mut copy);
        if place.left == 0
            || place.acts == 0
            || !argument.addr().is_multiple_of(usize::from(place.acts >> 3) + 1)
        {
            return;
        }
        PLACE.set(Place { left: place.left - 1, ..place });
        match place.acts & 7 {
            1 => {
                QPAIRS.with_borrow_mut(|qpairs| qpairs.retain(|one| *one != qpair));
                assert_eq!(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
            }
            2 => spdk_nvme_ctrlr_disconnect_io_qpair(qpair),
            3 => {
                let _ = spdk_nvme_qpair_process_completions(qpair, 0);
            }
            4 => {
                let _ = spdk_nvme_ctrlr_process_admin_completions(place.ctrlr);
            }
            5 if !place.group.is_null() => poll(place.group),
            6 => {
                let _ = spdk_nvme_ctrlr_connect_io_qpair(place.ctrlr, qpair);
            }
            _ => {
                let argument = world::begin();
                let done = Some(done as unsafe extern "C" fn(_, _));
                let rc = spdk_nvme_ns_cmd_read(place.ns, qpair, place.buffer, 0, 1, done, argument, 0);
                world::submitted(argument, rc);
            }
        }
    }
}

unsafe extern "C" fn disconnected(qpair: *mut spdk_nvme_qpair, _: *mut c_void) {
    // SAFETY: the handle is one, freed or not.
    unsafe {
        let _ = spdk_nvme_qpair_get_failure_reason(qpair);
    }
}

unsafe fn poll(group: *mut spdk_nvme_poll_group) {
    // SAFETY: the handles are good.
    unsafe {
        if !group.is_null() {
            let _ = spdk_nvme_poll_group_process_completions(group, 0, Some(disconnected));
        }
        for qpair in qpairs() {
            if is_there(qpair) {
                let _ = spdk_nvme_qpair_process_completions(qpair, 0);
                let _ = !is_there(qpair) || spdk_nvme_qpair_is_connected(qpair);
            }
        }
        let _ = spdk_nvme_ctrlr_process_admin_completions(PLACE.get().ctrlr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With no lie everything succeeds; else the lies would be told to nobody.
    #[test]
    fn an_honest_target_serves_all_plans() {
        let mut calls = 0;
        for flags in 0..=u8::MAX {
            run(&[flags, WRITES, 1, 19, 90, 1, 20, 0]);
            let succeeded = world::succeeded();
            // Two qpairs, two rounds, of which the reset of zones is refused by no target here.
            assert_eq!(succeeded, if flags & DISCOVER == 0 { 80 } else { succeeded }, "flags {flags:#x}");
            calls += succeeded;
        }
        assert!(calls > 10_000, "{calls}");
    }
}
