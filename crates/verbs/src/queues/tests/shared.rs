//! Shared receives against a plain account, over a provider that writes down what it is given.

use super::{provider::Received, *};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

const EACH_ID: u64 = 5 << 33;

fn id(slot: u16) -> u64 {
    EACH_ID + u64::from(slot)
}

/// Receives of which a provider has some. The queue itself is softverbs', and is posted to by nobody.
struct Shared {
    receives: SharedReceives,
    provider: Provider,
    device: VecDeque<Received>,
    completed: u64,
}

impl Shared {
    fn new(fabric: &Fabric, count: u16, slack: u16) -> Self {
        let provider = Provider::new();
        let mut receives = SharedReceives::new(&fabric.domain, count, slack, id).unwrap();
        provider.serve(&mut receives);
        Self { receives, provider, device: VecDeque::new(), completed: 0 }
    }

    /// Posts; the device has what it accepts. How many those are, in how many calls.
    fn post(&mut self, verdict: Verdict) -> (Result<(), i32>, usize, usize) {
        self.provider.set(verdict);
        let result = self.receives.post();
        let rows = self.provider.receives();
        let doorbells = rows.len();
        let accepted = rows.concat();
        self.device.extend(&accepted);
        (result, accepted.len(), doorbells)
    }

    /// The device writes a response to the receive that it has at a place. The slot, and what was written.
    fn complete(&mut self, place: usize) -> Option<(u16, [u64; 2])> {
        let receive = self.device.remove(place)?;
        self.completed += 1;
        let response = [self.completed, !self.completed];
        // SAFETY: the memory is that of the receives.
        unsafe { (receive.segment.address as *mut [u64; 2]).write_volatile(response) };
        Some(((receive.id - EACH_ID) as u16, response))
    }

    fn slots(&self) -> Vec<u16> {
        self.device.iter().map(|receive| (receive.id - EACH_ID) as u16).collect()
    }
}

#[test]
fn shared_receives_have_a_place_each() {
    let fabric = Fabric::new();
    assert!(SharedReceives::new(&fabric.domain, 0, 1, id).is_err_and(|error| error.errno == libc::EINVAL));
    let mut shared = Shared::new(&fabric, 5, 2);
    assert_eq!((shared.receives.count(), shared.receives.out(), shared.receives.has_few()), (5, 0, true));
    assert!((0..=5).all(|slot| shared.receives.take(slot).is_none()), "the device has none");
    assert_eq!(shared.post(Verdict::Accept), (Ok(()), 5, 1), "one doorbell for all");
    assert_eq!((shared.receives.out(), shared.receives.has_few()), (5, false));
    let base = shared.device[0].segment.address;
    let key = shared.device[0].segment.local_key;
    for (slot, receive) in (0..).zip(&shared.device) {
        let address = base + u64::from(slot) * RESPONSE_SIZE as u64;
        let segment = crate::Segment { address, length: RESPONSE_SIZE as u32, local_key: key };
        assert_eq!(*receive, Received { id: id(slot), segments: 1, segment });
    }
    assert_eq!(shared.post(Verdict::Accept), (Ok(()), 0, 0), "the device has all");
    assert_eq!(shared.receives.posted(), (5, 1));
}

/// T145: each goes back alone, or with those that came back with it, and with nothing of the chain that it was posted in.
#[test]
fn t145_what_comes_back_goes_alone() {
    let fabric = Fabric::new();
    let mut shared = Shared::new(&fabric, 6, 3);
    shared.post(Verdict::Accept).0.unwrap();
    for places in [&[0][..], &[3, 0], &[5, 4, 0], &[1, 1, 1, 1, 1]] {
        let mut expected = Vec::new();
        for place in places {
            let (slot, response) = shared.complete(*place).unwrap();
            assert_eq!(shared.receives.take(slot), Some(response));
            assert_eq!(shared.receives.take(slot), None, "twice");
            expected.push(slot);
            assert_eq!(shared.receives.has_few(), expected.len() >= 3);
        }
        let rest = shared.slots();
        assert_eq!(shared.post(Verdict::Accept), (Ok(()), places.len(), 1));
        assert_eq!(shared.slots(), [rest, expected].concat());
    }
}

/// The device that refuses some has those before them; the others wait for the next post, in their order.
#[test]
fn the_device_has_what_comes_before_the_refused_of_shared_ones() {
    let fabric = Fabric::new();
    for accepted in 0..4 {
        let mut shared = Shared::new(&fabric, 4, 1);
        let refused = shared.post(Verdict::RefuseAfter(accepted, -libc::ENOMEM));
        assert_eq!(refused, (Err(libc::ENOMEM), accepted, 1));
        assert_eq!(shared.receives.out() as usize, accepted);
        for slot in 0..4 {
            let taken = shared.receives.take(slot).is_some();
            assert_eq!(taken, usize::from(slot) < accepted);
        }
        shared.device.clear();
        assert_eq!(shared.post(Verdict::Accept), (Ok(()), 4, 1));
        let mut slots = shared.slots();
        slots.sort_unstable();
        assert_eq!(slots, [0, 1, 2, 3]);
    }
    // A request that was not posted cannot be refused: the device may have all.
    let mut shared = Shared::new(&fabric, 4, 1);
    assert_eq!(shared.post(Verdict::RefuseOther(libc::EIO)), (Err(libc::EIO), 4, 1));
    assert_eq!((shared.receives.out(), shared.receives.posted()), (4, (4, 1)));
}

#[derive(Debug, Clone)]
enum Step {
    Post(Verdict),
    /// The one at that place completes.
    Complete(usize),
    /// The device claims that this one did.
    Claim(u16),
}

const MOST: u16 = 6;

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![
        4 => Just(Verdict::Accept),
        2 => (0..usize::from(MOST)).prop_map(|count| Verdict::RefuseAfter(count, libc::ENOMEM)),
        1 => Just(Verdict::RefuseOther(libc::EIO)),
    ];
    prop_oneof![
        5 => verdict.prop_map(Step::Post),
        12 => (0..usize::from(MOST)).prop_map(Step::Complete),
        3 => prop_oneof![0..=MOST, Just(u16::MAX)].prop_map(Step::Claim),
    ]
}

#[test]
fn shared_receives_are_as_a_plain_account() {
    let fabric = Fabric::new();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(count in 1..=MOST, slack in 1..=MOST, steps in prop::collection::vec(step(), 0..150))| {
        let mut shared = Shared::new(&fabric, count, slack);
        let slack = usize::from(slack.min(count));
        let mut back: VecDeque<u16> = (0..count).collect();
        let mut out = BTreeMap::new();
        for step in steps {
            match step {
                Step::Post(verdict) => {
                    let (result, accepted, doorbells) = shared.post(verdict);
                    let (errno, expected) = match verdict {
                        _ if back.is_empty() => (None, 0),
                        Verdict::RefuseAfter(place, errno) if place < back.len() => (Some(errno), place),
                        Verdict::RefuseOther(errno) => (Some(errno), back.len()),
                        _ => (None, back.len()),
                    };
                    prop_assert_eq!((result.err(), accepted), (errno, expected));
                    prop_assert_eq!(doorbells, usize::from(!back.is_empty()));
                    for slot in back.drain(..accepted) {
                        prop_assert!(out.insert(slot, ()).is_none());
                    }
                }
                Step::Complete(place) => if let Some((slot, response)) = shared.complete(place) {
                    prop_assert_eq!(shared.receives.take(slot), Some(response));
                    prop_assert!(out.remove(&slot).is_some());
                    back.push_back(slot);
                },
                Step::Claim(slot) => {
                    let believed = shared.receives.take(slot).is_some();
                    prop_assert_eq!(believed, out.remove(&slot).is_some());
                    if believed {
                        back.push_back(slot);
                        shared.device.retain(|receive| receive.id != id(slot));
                    }
                }
            }
            prop_assert_eq!(shared.receives.has_few(), back.len() >= slack);
            prop_assert_eq!(shared.receives.out() as usize, out.len());
            let mut slots = shared.slots();
            slots.sort_unstable();
            prop_assert_eq!(slots, out.keys().copied().collect::<Vec<_>>());
        }
    });
}

/// What goes before its queue pairs is kept, with its memory; what goes after them is given back.
#[test]
fn memory_goes_after_the_queue() {
    let fabric = Fabric::new();
    let before = softverbs::ledger();
    let receives = SharedReceives::new(&fabric.domain, 4, 1, id).unwrap();
    assert_eq!((softverbs::ledger().srqs, softverbs::ledger().mrs), (before.srqs + 1, before.mrs + 1));
    drop(receives);
    assert_eq!(softverbs::ledger(), before);
    softverbs::control("fail ibv_reg_mr 1 ENOMEM").unwrap();
    assert!(SharedReceives::new(&fabric.domain, 4, 1, id).is_err_and(|error| error.errno == libc::ENOMEM));
    assert_eq!(softverbs::ledger(), before, "nothing is left of one that could not be made");

    let receives = SharedReceives::new(&fabric.domain, 4, 1, id).unwrap();
    let queue = receives.queue().clone();
    let address = receives.address();
    drop(receives);
    assert_eq!((softverbs::ledger().srqs, softverbs::ledger().mrs), (before.srqs + 1, before.mrs + 1));
    assert!(is_mapped(address), "a queue pair of it may still get responses there");
    drop(queue);
    assert_eq!((softverbs::ledger().srqs, softverbs::ledger().mrs), (before.srqs, before.mrs + 1));
}
