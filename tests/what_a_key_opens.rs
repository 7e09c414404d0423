//! What a peer can do with the keys that this host gives away (`docs/security.md`), tried by a peer that does not keep to the
//! NVMe protocol: it reads and writes with a key wherever it likes.

#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{lines::recorded, *};
use spdk_nvme_rdma::{
    memory::{Cache, Covered, Keys, Map},
    transport::Payload,
};
use spec::Command;
use std::{
    cell::RefCell, collections::HashSet, ffi::c_void, net::SocketAddr, rc::Rc, sync::Arc, time::Duration,
};
use verbs::{
    Access, CmEvent, CmEventKind, CmId, CompletionQueue, ConnectParameters, Device, DeviceLimits, DeviceList,
    EventChannel, ProtectionDomain, QueuePair, QueuePairCapabilities, RegisteredMemory, RemoteTransfer,
    Segment, SendRing, WcStatus, WorkCompletion,
};

/// The peer's answer when the key does not open that (IBV_WC_REM_ACCESS_ERR).
const REFUSED: WcStatus = WcStatus(10);
const LENGTH: usize = 4096;

fn device() -> Device {
    DeviceList::open().unwrap().devices().into_iter().next().unwrap()
}

fn expect(channel: &Arc<EventChannel>, kind: CmEventKind) -> CmEvent {
    let mut found = None;
    until("an event of the CM", || {
        found = channel.next_event().unwrap();
        found.is_some()
    });
    let event = found.unwrap();
    assert_eq!(event.kind, kind, "status {}", event.status);
    event
}

fn queue_pair(id: &Arc<CmId>, domain: &Arc<ProtectionDomain>) -> (QueuePair, Arc<CompletionQueue>) {
    let queue = CompletionQueue::new(domain.device(), 8).unwrap();
    let capabilities = QueuePairCapabilities { sends: 2, receives: 2, send_segments: 1, receive_segments: 1 };
    (QueuePair::new(id, domain, &queue, capabilities).unwrap(), queue)
}

/// Connects a queue pair of `domain` to a peer that does `transfer`, and returns how that ended.
fn attack(domain: &Arc<ProtectionDomain>, transfer: RemoteTransfer) -> WcStatus {
    let address: SocketAddr = "127.0.0.1:4421".parse().unwrap();
    let listening = EventChannel::new().unwrap();
    let listener = CmId::new(&listening).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(1).unwrap();

    let channel = EventChannel::new().unwrap();
    let id = CmId::new(&channel).unwrap();
    id.resolve_address(None, &address, Duration::from_secs(2)).unwrap();
    expect(&channel, CmEventKind::AddressResolved);
    id.resolve_route(Duration::from_secs(2)).unwrap();
    expect(&channel, CmEventKind::RouteResolved);
    let (victim, _queue) = queue_pair(&id, domain);
    let parameters = |responder_resources, initiator_depth| ConnectParameters {
        private_data: &[],
        responder_resources,
        initiator_depth,
        retry_count: 7,
        rnr_retry_count: 7,
    };
    id.connect(&parameters(4, 0)).unwrap();

    let request = expect(&listening, CmEventKind::ConnectRequest).request.unwrap();
    let own = ProtectionDomain::new(&device()).unwrap();
    let (attacker, completions) = queue_pair(&request, &own);
    request.accept(&parameters(0, 4)).unwrap();
    expect(&channel, CmEventKind::Established);
    expect(&listening, CmEventKind::Established);

    let memory = RegisteredMemory::new(&own, LENGTH, Access::LocalWrite).unwrap();
    let sends = SendRing::new(1, 1).unwrap();
    let segment = Segment::of(&memory, 0, LENGTH as u32).unwrap();
    assert!(sends.set_segment(0, 0, segment) && sends.set_transfer(0, transfer) && sends.push(0, 1));
    attacker.post_sends(&sends).unwrap();
    let mut batch = [WorkCompletion::empty()];
    until("the attack", || completions.poll(&mut batch).unwrap() == 1);
    victim.destroy().unwrap();
    attacker.destroy().unwrap();
    batch[0].status()
}

/// Whether a peer can read with this key, and whether it can write.
fn opens(domain: &Arc<ProtectionDomain>, remote_address: u64, remote_key: u32) -> (bool, bool) {
    let ends = |transfer| match attack(domain, transfer) {
        WcStatus::SUCCESS => true,
        REFUSED => false,
        other => panic!("{transfer:?}: {other}"),
    };
    (
        ends(RemoteTransfer::Read { remote_address, remote_key }),
        ends(RemoteTransfer::Write { remote_address, remote_key }),
    )
}

fn keys(map: &Map, buffer: *mut c_void, length: usize) -> Option<Keys> {
    match map.look_up(&Cache::new(), buffer.addr() as u64, length as u32) {
        Covered::Registered(keys) => Some(keys),
        Covered::No => None,
    }
}

/// A domain, and a map whose device says to have these limits.
fn mapped(change: impl FnOnce(&mut DeviceLimits)) -> (Arc<ProtectionDomain>, Map) {
    let device = device();
    let domain = ProtectionDomain::new(&device).unwrap();
    let mut limits = device.limits().unwrap();
    change(&mut limits);
    let map = Map::new(&domain, &limits).unwrap();
    (domain, map)
}

#[test]
fn a_key_opens_memory_in_one_direction() {
    let world = World::new();
    let (domain, map) = mapped(|_| {});
    let at = world.buffer().addr() as u64;
    let keys = keys(&map, world.buffer(), LENGTH).unwrap();
    assert_eq!(opens(&domain, at, keys.readable), (true, false), "the key of a write command");
    assert_eq!(opens(&domain, at, keys.writable), (false, true), "the key of a read command");
    let before = softverbs::ledger().mrs;
    let both = map.key_for_both_ways(at, LENGTH as u32).unwrap().unwrap();
    assert_eq!(map.key_for_both_ways(at, LENGTH as u32), Ok(Some(both)));
    assert_eq!(softverbs::ledger().mrs, before + 1, "it is made once");
    assert_eq!(opens(&domain, at, both), (true, true));
    assert_eq!(map.key_for_both_ways(8192, LENGTH as u32), Ok(None), "memory that is not registered");
    assert_eq!(map.key_for_both_ways(u64::MAX - 5, 4096), Ok(None));
    drop(map);
    assert_eq!(opens(&domain, at, keys.readable), (false, false), "the keys ended with the registration");
    assert_eq!(opens(&domain, at, keys.writable), (false, false));
    drop(domain);
    world.finish(None);
}

/// A device, or a process, that cannot have two registrations for each region: one with both rights is better than none.
#[test]
fn memory_is_registered_once_where_twice_is_too_much() {
    let world = World::new();
    let at = world.buffer().addr() as u64;
    let cases = [
        ("fail ibv_reg_mr 2 ENOMEM", 1 << 20, "ibv_reg_mr failed"),
        ("fail ibv_reg_mr 1 ENOMEM", 1 << 20, "ibv_reg_mr failed"),
        ("faults off", 7, "the device has 7 memory regions"),
    ];
    for (fault, regions, why) in cases {
        let before = softverbs::ledger().mrs;
        let ((domain, map), lines) = recorded(|| {
            softverbs::control(&format!("faults quiet; {fault}")).unwrap();
            mapped(|limits| limits.memory_regions = regions)
        });
        softverbs::control("faults off").unwrap();
        let keys = keys(&map, world.buffer(), LENGTH).unwrap();
        assert_eq!(keys.readable, keys.writable, "{fault}");
        assert_eq!(softverbs::ledger().mrs, before + 1, "{fault}");
        let said = lines.iter().filter(|line| line.contains("once for reading and writing")).count();
        assert!(said == 1 && lines.iter().any(|line| line.contains(why)), "{fault}: {lines:?}");
        assert_eq!(map.key_for_both_ways(at, LENGTH as u32), Ok(Some(keys.readable)));
        assert_eq!(opens(&domain, at, keys.readable), (true, true), "{fault}");
    }
    world.finish(None);
}

#[test]
fn a_region_that_is_too_large_for_the_device_is_registered_in_pieces() {
    let world = World::new();
    let piece = 1 << 20;
    let (domain, map) = mapped(|limits| limits.memory_region_size = piece as u64);
    let regions = softverbs::ledger().mrs;
    assert!(regions >= 8, "4 MiB in pieces of 1 MiB, each twice: {regions}");
    let base = world.buffer();
    let cut = base.addr().next_multiple_of(piece) - base.addr() + piece;
    let find = |offset: usize, length| keys(&map, base.wrapping_byte_add(offset), length);
    let (left, right) = (find(cut - 8192, 8192).unwrap(), find(cut, 8192).unwrap());
    assert_ne!(left, right);
    assert_eq!(find(cut - 4096, 4096), Some(left));
    assert_eq!(find(cut - 4096, 4097), None, "a buffer across two pieces");
    let at = |offset: usize| base.wrapping_byte_add(offset).addr() as u64;
    assert_eq!(map.key_for_both_ways(at(cut - 4096), 4097), Ok(None));
    assert_eq!(opens(&domain, at(cut - 4096), left.readable), (true, false));
    assert_eq!(opens(&domain, at(cut), right.readable), (true, false));
    assert_eq!(opens(&domain, at(cut), left.readable), (false, false), "a key ends with its piece");
    // A piece that the device refuses takes the whole region with it.
    softverbs::control("faults quiet; fail ibv_reg_mr 4-5 ENOMEM").unwrap();
    let before = softverbs::ledger().mrs;
    let limits = DeviceLimits { memory_region_size: piece as u64, ..domain.device().limits().unwrap() };
    assert!(Map::new(&domain, &limits).is_err());
    assert_eq!(softverbs::armed(), 0, "an attempt with two registrations, and one with one");
    assert_eq!(softverbs::ledger().mrs, before, "what was registered before it was given back");
    drop((map, domain));
    world.finish(None);
}

/// All that a device knows while a controller connects and works.
#[test]
fn no_memory_of_a_host_has_more_rights_than_its_use_needs() {
    const REMOTE_WRITE: u32 = 2;
    const REMOTE_READ: u32 = 4;
    let world = World::new();
    let seen: Rc<RefCell<HashSet<(usize, u32)>>> = Rc::default();
    let see = seen.clone();
    watch(Some(Box::new(move || {
        see.borrow_mut().extend(softverbs::ledger_lines().iter().filter_map(|line| {
            let words: Vec<&str> = line.strip_prefix("mr ")?.split([' ', ',']).collect();
            let rights = words.iter().position(|word| *word == "rights")?;
            let rights = u32::from_str_radix(words[rights + 1].trim_start_matches("0x"), 16).unwrap();
            Some((words[2].parse().unwrap(), rights))
        }));
    })));
    let controller = world.controller();
    let namespace = world.namespace(&controller);
    let qpair = connected(&controller);
    let reads = world.read_many(&qpair, &namespace, 8);
    until("the reads", || {
        let _ = qpair.process_completions(0);
        all_ended(&reads)
    });
    watch(None);
    let seen = seen.take();
    let wide = REMOTE_READ | REMOTE_WRITE;
    assert!(seen.iter().all(|(_, rights)| rights & wide != wide), "{seen:?}");
    assert!(seen.contains(&(1024, REMOTE_READ)), "the data of a Connect: {seen:?}");
    assert!(seen.contains(&(4096, REMOTE_WRITE | 1)), "an Identify page: {seen:?}");
    assert!(seen.iter().all(|(length, rights)| *length != 1024 || *rights == REMOTE_READ), "{seen:?}");
    qpair.free();
    drop(qpair);
    world.finish(Some(controller));
}

/// A vendor's command whose data go both ways gets a key for both; those around it do not.
#[test]
fn a_command_both_ways_has_a_key_of_its_own() {
    let world = World::new();
    let controller = world.controller();
    let qpair = connected(&controller);
    let before = softverbs::ledger().mrs;
    thread_local!(static ENDED: RefCell<Vec<u16>> = const { RefCell::new(Vec::new()) });
    for opcode in [0x81, 0x83, 0x83, 0x82] {
        let context =
            context(|_, completion| ENDED.with_borrow_mut(|ended| ended.push(completion.status().0)), 0);
        let payload = Payload::Memory { address: world.buffer().addr() as u64, length: 8192 };
        qpair.submit(Command::new(opcode), payload, context).unwrap();
        let expected = before + usize::from(opcode != 0x81);
        assert_eq!(softverbs::ledger().mrs, expected, "after opcode {opcode:#x}");
    }
    until("the answers", || {
        let _ = qpair.process_completions(0);
        ENDED.with_borrow(Vec::len) == 4
    });
    assert!(qpair.is_connected());
    qpair.free();
    drop(qpair);
    world.finish(Some(controller));
}
