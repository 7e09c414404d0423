//! A program with protection domains and keys of its own: `spdk_nvme_rdma_init_hooks`.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use spdk_nvme_rdma::{
    host::{Context, Controller, ControllerOptions, Error},
    transport::share_receives,
};
use spec::{Completion, Status};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    ffi::{CStr, c_char, c_int, c_void},
    ptr::null_mut,
    rc::Rc,
};

type Pointer = *mut c_void;

#[repr(C)]
struct Hooks {
    get_ibv_pd: Option<extern "C" fn(*const c_char, Pointer) -> Pointer>,
    get_rkey: Option<extern "C" fn(Pointer, Pointer, usize) -> u64>,
    put_rkey: Option<extern "C" fn(u64)>,
}

unsafe extern "C" {
    fn spdk_nvme_rdma_init_hooks(hooks: *mut Hooks);
    fn ibv_alloc_pd(context: Pointer) -> Pointer;
    fn ibv_dealloc_pd(domain: Pointer) -> c_int;
    fn ibv_reg_mr(domain: Pointer, address: Pointer, length: usize, access: c_int) -> Pointer;
    fn ibv_dereg_mr(region: Pointer) -> c_int;
}

/// Local write, remote write, remote read.
const ALL: c_int = 7;
/// Where an `ibv_mr` has its remote key.
const RKEY: usize = 40;
/// Where a transport id has its address and its NQN.
const TRADDR: usize = 44;
const SUBNQN: usize = 334;

thread_local! {
    static DOMAIN: Cell<Pointer> = const { Cell::new(null_mut()) };
    static ASKED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// The region of each key, and what it is of.
    static KEYS: RefCell<HashMap<u64, (Pointer, usize)>> = RefCell::default();
    static REFUSES: Cell<bool> = const { Cell::new(false) };
    static ENDED: RefCell<Vec<Status>> = const { RefCell::new(Vec::new()) };
}

extern "C" fn get_domain(trid: *const c_char, context: Pointer) -> Pointer {
    // SAFETY: a transport id has these texts.
    let text = |at| unsafe { CStr::from_ptr(trid.wrapping_add(at)) }.to_string_lossy().into_owned();
    ASKED.with_borrow_mut(|asked| asked.push(format!("{} {}", text(TRADDR), text(SUBNQN))));
    if REFUSES.get() {
        return null_mut();
    }
    if DOMAIN.get().is_null() {
        // SAFETY: the library gives the device's context.
        DOMAIN.set(unsafe { ibv_alloc_pd(context) });
    }
    DOMAIN.get()
}

extern "C" fn get_key(domain: Pointer, address: Pointer, length: usize) -> u64 {
    if !DOMAIN.get().is_null() {
        assert_eq!(domain, DOMAIN.get());
    }
    // SAFETY: memory that the environment registers, with a domain that is alive.
    let region = unsafe { ibv_reg_mr(domain, address, length, ALL) };
    assert!(!region.is_null());
    // SAFETY: an ibv_mr has its key there.
    let key = unsafe { region.wrapping_byte_add(RKEY).cast::<u32>().read() };
    // The upper half is the program's.
    let key = u64::from(key) | 0x5a5a << 32;
    KEYS.with_borrow_mut(|keys| assert!(keys.insert(key, (region, address.addr())).is_none()));
    key
}

extern "C" fn put_key(key: u64) {
    let (region, _) = KEYS.with_borrow_mut(|keys| keys.remove(&key)).expect("a key that was given, once");
    // SAFETY: registered above.
    assert_eq!(unsafe { ibv_dereg_mr(region) }, 0);
}

fn set(domain: bool, keys: bool) {
    let mut hooks = Hooks {
        get_ibv_pd: if domain { Some(get_domain) } else { None },
        get_rkey: if keys { Some(get_key) } else { None },
        put_rkey: if keys { Some(put_key) } else { None },
    };
    // SAFETY: the functions live as long as the process.
    unsafe { spdk_nvme_rdma_init_hooks(&mut hooks) };
}

fn noting() -> Context {
    fn note(_: usize, completion: &Completion) {
        ENDED.with_borrow_mut(|ended| ended.push(completion.status()));
    }
    context(note, 0)
}

/// Writes and reads through the world's buffer, which is registered, and memory which is not.
fn exchange(world: &World, controller: &Rc<Controller>) {
    let namespace = world.namespace(controller);
    let qpair = connected(controller);
    let heap = vec![Cell::new(0_u8); 512 * 8];
    let start = world.buffer().cast::<u8>();
    let wait = || {
        until("an I/O", || {
            qpair.process_completions(0).is_ok() && ENDED.with_borrow(|ended| !ended.is_empty())
        });
        assert_eq!(ENDED.take(), [Status::SUCCESS]);
    };
    for blocks in [1, 8] {
        let bytes = 512 * blocks as usize;
        let byte = |at: usize| (at * 7 + blocks as usize) as u8;
        // SAFETY: the buffer has 4 MiB, and nobody has a reference to it.
        (0..bytes).for_each(|at| unsafe { start.add(at).write(byte(at)) });
        qpair.write(&namespace, world.buffer(), 3, blocks, 0, noting()).unwrap();
        wait();
        qpair.read(&namespace, heap.as_ptr().cast_mut().cast(), 3, blocks, 0, noting()).unwrap();
        wait();
        assert!((0..bytes).all(|at| heap[at].get() == byte(at)));
        heap.iter().for_each(|place| place.set(place.get().wrapping_add(1)));
        qpair.write(&namespace, heap.as_ptr().cast_mut().cast(), 3, blocks, 0, noting()).unwrap();
        wait();
        qpair.read(&namespace, world.buffer(), 3, blocks, 0, noting()).unwrap();
        wait();
        // SAFETY: as above.
        assert!((0..bytes).all(|at| unsafe { start.add(at).read() } == byte(at).wrapping_add(1)));
    }
    qpair.free();
}

/// One process, one set of hooks: one test, so that no other meets them.
#[test]
fn a_program_brings_its_own_domain_and_keys() {
    for (domain, keys) in [(true, true), (true, false), (false, true)] {
        let world = World::new();
        set(domain, keys);
        ASKED.take();
        let before = softverbs::ledger();
        let controller = world.controller();
        exchange(&world, &controller);
        assert_eq!(ASKED.with_borrow(|asked| !asked.is_empty()), domain);
        ASKED.with_borrow(|asked| {
            assert!(asked.iter().all(|one| *one == format!("127.0.0.1 {NQN}")), "{asked:?}")
        });
        let buffer = world.buffer().addr();
        let covers = |(_, start): &(Pointer, usize)| *start <= buffer && buffer - start < 64 << 20;
        assert_eq!(KEYS.with_borrow(|given| given.values().any(covers)), keys);
        if domain {
            // The target's own beside the program's: there is none of the library's.
            assert_eq!(softverbs::ledger().pds, before.pds + 2);
        }
        detach(&controller);
        drop(controller);
        assert!(KEYS.with_borrow(HashMap::is_empty), "keys that were not given back");
        let programs = DOMAIN.replace(null_mut());
        if domain {
            // SAFETY: allocated by the hook; nobody uses it any more, or this would be refused.
            assert_eq!(unsafe { ibv_dealloc_pd(programs) }, 0);
        }
        // SAFETY: NULL takes the hooks away.
        unsafe { spdk_nvme_rdma_init_hooks(null_mut()) };
        world.finish(None);
    }

    // A domain that the program does not have is no connection; without hooks all is as it was.
    let world = World::new();
    set(true, false);
    REFUSES.set(true);
    let refused = Controller::connect(world.id(), world.options());
    assert!(matches!(refused, Err(Error::Transport(_))), "{:?}", refused.err());
    REFUSES.set(false);
    // SAFETY: as above.
    unsafe { spdk_nvme_rdma_init_hooks(null_mut()) };
    ASKED.take();
    let controller = world.controller();
    exchange(&world, &controller);
    assert!(ASKED.take().is_empty());
    domains_share_no_receives(&world, &controller);
    world.finish(Some(controller));
}

/// T154: members of one group whose domains differ have a shared receive queue for each domain.
fn domains_share_no_receives(world: &World, controller: &Rc<Controller>) {
    share_receives(8);
    let group = poll_group();
    let mut members = vec![member(controller, &group, synchronous(controller))];
    set(true, false);
    let options = ControllerOptions { hostnqn: "nqn.2024-01.test:other".into(), ..world.options() };
    let other = Controller::connect(world.id(), options).unwrap();
    members.extend((0..2).map(|_| member(&other, &group, synchronous(&other))));
    members.push(member(controller, &group, synchronous(controller)));
    assert_eq!(softverbs::ledger().srqs, 2);
    let reads: Vec<_> =
        members.iter().flat_map(|qpair| world.read_many(qpair, &world.namespace(controller), 40)).collect();
    poll_until(&group, "the reads", || all_ended(&reads));
    assert_eq!(count_with(&reads, Status::SUCCESS), reads.len());
    members.iter().for_each(|qpair| qpair.free());
    group.destroy().unwrap();
    drop((members, group));
    detach(&other);
    drop(other);
    share_receives(0);
    // SAFETY: as above: NULL takes the hooks away, and nobody uses the domain any more.
    unsafe {
        spdk_nvme_rdma_init_hooks(null_mut());
        assert_eq!(ibv_dealloc_pd(DOMAIN.replace(null_mut())), 0);
    }
}
