//! Room in completion queues and places in the table, over RDMA without a device.

use super::*;
use crate::transport::{
    completer::{Completer, Context, Payload},
    wire::{Opened, Opening, Parts},
};
use verbs::{
    Access, CmId, DeviceList, EventChannel, QueuePair, QueuePairCapabilities, ReceiveRing, RegisteredMemory,
    Segment,
};

const DEPTH: u16 = 63;
const ENTRIES: u32 = DEPTH as u32 * 2 + 2;

/// A wire's place and room, and what must live as long as these.
struct Shared {
    share: PollerShare,
    wire: Rc<Wire>,
    _opened: Opened,
}

fn wire() -> Rc<Wire> {
    let parts = Parts::new(DEPTH, DEPTH, 0, 1).unwrap();
    Wire::new(parts, Weak::new(), false, crate::transport::tell_nobody)
}

fn share(poller: &Rc<Poller>, device: &Arc<DeviceShare>) -> Shared {
    let wire = wire();
    let open = |owner| {
        wire.open(&Opening {
            device,
            owner,
            depth: DEPTH,
            slack: Some(0),
            reserved: 0,
            in_capsule_data: 0,
            descriptors: 1,
        })
    };
    let (share, opened) = poller.share(ENTRIES, &Weak::new(), &wire, open).unwrap();
    Shared { share, wire, _opened: opened }
}

fn device() -> Arc<DeviceShare> {
    DeviceShare::with(DeviceList::open().unwrap().devices().first().unwrap(), None, None).unwrap()
}

#[test]
fn t56_room_goes_back_with_the_share_that_took_it() {
    let device = device();
    let poller = Poller::new(&device, &Lanes::new(false), ENTRIES).unwrap();
    let kept = share(&poller, &device);
    let grown = {
        let _second = share(&poller, &device);
        assert_eq!(poller.reserved.get(), 2 * ENTRIES);
        poller.queue().capacity()
    };
    assert!(grown >= 2 * ENTRIES, "the queue grew for the second");
    for _ in 0..20 {
        let shared = share(&poller, &device);
        assert_eq!(shared.share.owner().index, 1, "the place of the one that left");
        drop(shared);
        assert_eq!((poller.reserved.get(), poller.queue().capacity()), (ENTRIES, grown));
    }
    drop(kept);
    assert_eq!(poller.reserved.get(), 0);
}

/// A queue pair that completes to the poller's queue, in error: each of its receives, which fill more than a batch, is flushed.
fn flushed(poller: &Poller, device: &DeviceShare) -> QueuePair {
    let receives = BATCH + 3;
    let id = CmId::new(&EventChannel::new().unwrap()).unwrap();
    id.bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let capabilities =
        QueuePairCapabilities { sends: 1, receives: receives as u32, send_segments: 1, receive_segments: 1 };
    let queue_pair = QueuePair::new(&id, device.domain(), poller.queue(), capabilities).unwrap();
    let memory = RegisteredMemory::new(device.domain(), 16, Access::LocalWrite).unwrap();
    let ring = ReceiveRing::new(receives).unwrap();
    for slot in 0..receives {
        let segment = Segment::of(&memory, 0, 16).unwrap();
        assert!(ring.prepare(slot, 0, segment) && ring.push(slot));
    }
    queue_pair.post_receives(&ring).unwrap();
    queue_pair.move_to_error().unwrap();
    queue_pair
}

/// A queue that is left holds nothing of who left: its room is another's from then on.
#[test]
fn t56_a_queue_is_polled_empty_before_room_goes_back() {
    let device = device();
    let poller = Poller::new(&device, &Lanes::new(false), ENTRIES).unwrap();
    let shared = share(&poller, &device);
    let queue_pair = flushed(&poller, &device);
    drop(shared);
    assert_eq!(poller.queue().poll_batch(&mut Batch::<1>::new()).map(<[_]>::len), Some(0));
    assert_eq!(poller.stray.get(), BATCH as u64 + 3, "accounted for as nobody's");
    drop(queue_pair);
}

/// Receives that are shared have their room once, and members theirs for SENDs.
#[test]
fn t56_shared_receives_have_room_of_their_own() {
    let device = device();
    let (sends, receives) = (u32::from(DEPTH) + 1, 20);
    let srq = Srq::new(&device, receives).unwrap();
    let needed = Completions { sends, receives: sends };
    let queue = queue_of(&device, sends + 21).unwrap();
    let poller = Poller::of(queue, Some(srq), &Lanes::new(false));
    let room = poller.queue().capacity();
    assert_eq!(poller.entries_for(needed), sends);
    assert!(poller.has_room_for(sends, sends), "no more than there is");
    assert!(!poller.has_room_for(room - 20, room), "a completion more than receives is theirs");
    assert_eq!(poller.queue().capacity(), room);
    let open = |wire: &Rc<Wire>| {
        let wire = wire.clone();
        let device = device.clone();
        move |owner| {
            wire.open(&Opening {
                device: &device,
                owner,
                depth: DEPTH,
                slack: None,
                reserved: 0,
                in_capsule_data: 0,
                descriptors: 1,
            })
        }
    };
    let wires = [wire(), wire()];
    let shares = wires.each_ref().map(|wire| poller.share(sends, &Weak::new(), wire, open(wire)).unwrap());
    assert!(poller.queue().capacity() >= 2 * sends + 21);
    wires.iter().for_each(|wire| assert_eq!(wire.posted(), (0, 0), "none of its own"));
    drop(shares);
    assert_eq!(poller.reserved.get(), 0);
}

/// T147: a number is entered once, and goes with who entered it.
#[test]
fn t147_a_number_has_one_owner() {
    let srq = Srq::new(&device(), 4).unwrap();
    let [first, second] = [Owner::first(0), Owner::first(1)];
    for number in [9, 3, 7] {
        srq.enter(number, first).unwrap();
    }
    assert!(matches!(srq.enter(7, second), Err(Error::Internal(_))));
    srq.enter(8, second).unwrap();
    srq.leave(second);
    srq.leave(first.successor());
    let owners = || (0..12).filter_map(|number| srq.owner_of(number)).collect::<Vec<_>>();
    assert_eq!(owners(), [first; 3]);
    srq.enter(8, second).unwrap();
    srq.leave(first);
    assert_eq!((owners(), srq.owner_of(8)), (vec![second], Some(second)));
}

#[test]
fn t57_a_share_that_fails_takes_no_room() {
    let device = device();
    let poller = Poller::new(&device, &Lanes::new(false), ENTRIES).unwrap();
    let refused = poller.share(ENTRIES, &Weak::new(), &wire(), |_| Err::<(), _>(Error::NoMemory));
    assert!(refused.is_err());
    assert_eq!(poller.reserved.get(), 0);
    assert_eq!(share(&poller, &device).share.owner().index, 0);
}

#[test]
fn t53_a_queue_that_fails_fails_its_own_wires_only() {
    let device = device();
    let lanes = Lanes::new(true);
    let pollers = [0, 1].map(|_| Poller::new(&device, &lanes, ENTRIES).unwrap());
    let [broken, well] = pollers.each_ref().map(|poller| share(poller, &device));
    pollers[0].fail_all();
    assert_eq!((broken.wire.fault(), well.wire.fault()), (Some(Fault::Poll(libc::EIO)), None));
    lanes.begin_poll();
    assert!(Rc::ptr_eq(&lanes.next_asking().unwrap(), &broken.wire));
    assert!(lanes.next_asking().is_none());
}

/// Whoever asks is looked after once, in the next poll, or in one inside of a callback of the poll that goes on (T50).
#[test]
fn who_asks_is_looked_after_once() {
    let device = device();
    let lanes = Lanes::new(true);
    let poller = Poller::new(&device, &lanes, ENTRIES).unwrap();
    let all: Vec<_> = (0..4).map(|_| share(&poller, &device)).collect();
    let asking = || {
        let found = std::iter::from_fn(|| lanes.next_asking());
        let mut found: Vec<_> = found
            .map(|wire| all.iter().position(|shared| Rc::ptr_eq(&shared.wire, &wire)).unwrap())
            .collect();
        found.sort_unstable();
        found
    };
    for _ in 0..2 {
        lanes.mark(&all[1].wire);
        lanes.mark(&all[3].wire);
    }
    assert!(asking().is_empty(), "before the poll");
    lanes.begin_poll();
    lanes.mark(&all[0].wire);
    lanes.mark(&all[1].wire); // on the list already
    assert_eq!(asking(), [1, 3]);
    lanes.begin_poll();
    assert_eq!(asking(), [0]);
    // An inner poll finds whom the outer one did not come to.
    all.iter().for_each(|shared| lanes.mark(&shared.wire));
    lanes.begin_poll();
    let first = lanes.next_asking().unwrap();
    lanes.mark(&first);
    lanes.begin_poll();
    assert_eq!(asking(), [0, 1, 2, 3]);
    assert!(lanes.next_asking().is_none(), "nothing is left to the outer one");
}

/// A wire leaves the list with its share, wherever on it it is, and may ask in another table then.
#[test]
fn who_leaves_asks_no_more() {
    let device = device();
    let [lanes, others] = [0, 1].map(|_| Lanes::new(true));
    let poller = Poller::new(&device, &lanes, ENTRIES).unwrap();
    for leaver in 0..3 {
        let mut all: Vec<_> = (0..3).map(|_| share(&poller, &device)).collect();
        all.iter().for_each(|shared| lanes.mark(&shared.wire));
        let Shared { share, wire, .. } = all.remove(leaver);
        drop(share);
        others.mark(&wire);
        lanes.begin_poll();
        assert_eq!(std::iter::from_fn(|| lanes.next_asking()).count(), 2);
        others.begin_poll();
        assert!(Rc::ptr_eq(&others.next_asking().unwrap(), &wire));
        assert!(others.next_asking().is_none());
    }
}

/// The recent wire asks no more, since it is in each poll; it leaves its place to another, or with its share.
#[test]
fn one_wire_is_the_recent_one() {
    let device = device();
    let lanes = Lanes::new(true);
    let poller = Poller::new(&device, &lanes, ENTRIES).unwrap();
    let [first, second, idle] = [0, 1, 2].map(|_| share(&poller, &device));
    [&first, &second].iter().for_each(|shared| shared.wire.go_live(Some(lanes.clone())));
    let is_recent = |shared: &Shared| lanes.recent().is_some_and(|wire| Rc::ptr_eq(&wire, &shared.wire));
    let asking = || {
        lanes.begin_poll();
        let is_somebody = lanes.has_asking();
        let found: Vec<_> = std::iter::from_fn(|| lanes.next_asking()).collect();
        assert_eq!(is_somebody, !found.is_empty());
        found
    };
    lanes.offer(&idle.wire, true);
    assert!(lanes.recent().is_none(), "it is not live here");
    lanes.offer(&first.wire, false);
    assert!(is_recent(&first));
    lanes.mark(&first.wire);
    assert!(asking().is_empty(), "it is looked after anyway");
    lanes.offer(&second.wire, false);
    assert!(is_recent(&first), "there is one");
    lanes.offer(&second.wire, true);
    assert!(is_recent(&second));
    assert!(asking().is_empty(), "it had nothing to do");
    lanes.mark(&first.wire);
    assert_eq!(asking().len(), 1, "who is the recent one no more has to ask");
    // One that has something to do asks when another takes its place.
    let nobody = Completer::Upcall(Context { function: std::ptr::null(), argument: std::ptr::null_mut() });
    second.wire.slots.wait(Default::default(), |_| Ok(Payload::None), nobody).unwrap();
    lanes.offer(&first.wire, true);
    assert!(is_recent(&first));
    assert!(matches!(&asking()[..], [wire] if Rc::ptr_eq(wire, &second.wire)));
    first.wire.set_fault(Fault::Poll(libc::EIO));
    lanes.retire(&first.wire);
    assert!(matches!(&asking()[..], [wire] if Rc::ptr_eq(wire, &first.wire)), "nobody would see its fault");
    lanes.offer(&first.wire, false);
    drop(first);
    assert!(lanes.recent().is_none());
}

#[test]
fn t08_nothing_of_a_disowned_share_is_accounted_for() {
    let device = device();
    let lanes = Lanes::new(true);
    let poller = Poller::new(&device, &lanes, ENTRIES).unwrap();
    let Shared { share, .. } = share(&poller, &device);
    let old = share.owner();
    share.disown();
    let table = lanes.table.take().unwrap();
    assert!(table.lanes.iter().all(|lane| lane.occupant.is_none() && lane.owner != old));
    lanes.table.set(Some(table));
}

/// T55: who polls finds a queue as long as somebody has a share of it, and no longer.
#[test]
fn t55_a_poller_lives_as_long_as_its_shares() {
    let device = device();
    let lanes = Lanes::new(true);
    let found = || lanes.pollers.all().filter_map(PollerPlace::poller).count();
    let pollers: Vec<_> = (0..3).map(|_| Poller::new(&device, &lanes, ENTRIES).unwrap()).collect();
    assert_eq!(found(), 0, "nobody has a share");
    let mut shares: Vec<_> = pollers.iter().map(|poller| share(poller, &device)).collect();
    let second = share(&pollers[1], &device);
    let weak: Vec<_> = pollers.iter().map(Rc::downgrade).collect();
    drop(pollers);
    assert_eq!(found(), 3);
    drop(shares.remove(1));
    assert_eq!(found(), 3, "there is another share of it");
    drop(second);
    assert_eq!((found(), weak[1].strong_count()), (2, 0));
    let next = Poller::new(&device, &lanes, ENTRIES).unwrap();
    shares.push(share(&next, &device));
    assert_eq!((found(), lanes.pollers.all().count()), (3, 3), "the place is used again");
    drop((next, shares));
    assert_eq!(found(), 0);
    assert!(weak.iter().all(|weak| weak.strong_count() == 0));
}
