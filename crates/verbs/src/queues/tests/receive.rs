//! The ring of receives against a plain one.

use super::{provider::Received, *};
use crate::Segment;
use proptest::prelude::*;
use std::collections::VecDeque;

const EACH_ID: u64 = 7 << 40;

fn memory(count: u16) -> Rc<Memory> {
    Memory::new(ReceiveQueue::memory_for(count)).unwrap()
}

fn id(slot: u16) -> u64 {
    EACH_ID + u64::from(slot)
}

/// A ring whose seat a provider has, and what the device has of it.
struct Ring {
    queue: ReceiveQueue,
    provider: Provider,
    device: VecDeque<Received>,
    registration: Registration,
    /// How many completed.
    completed: u64,
}

impl Ring {
    fn new(fabric: &Fabric, most: u16, count: u16, slack: u16) -> Self {
        let (seat, mut provider) = (Seat::new(), Provider::new());
        provider.sit_on(&seat).unwrap();
        let queue = ReceiveQueue::new(memory(most), most, &seat).unwrap();
        let registration = queue.register(&fabric.domain, count, slack, id).unwrap();
        Self { queue, provider, device: VecDeque::new(), registration, completed: 0 }
    }

    /// Posts; the device has what it accepts. How many those are, in how many calls.
    fn post(&mut self, verdict: Verdict) -> (Result<(), i32>, usize, usize) {
        self.provider.set(verdict);
        let result = self.queue.post();
        let rows = self.provider.receives();
        let doorbells = rows.len();
        let accepted = rows.concat();
        self.device.extend(&accepted);
        (result, accepted.len(), doorbells)
    }

    /// The device writes a response to the receive that it got first. The slot, and what was written.
    fn complete(&mut self) -> Option<(u16, [u64; 2])> {
        let receive = self.device.pop_front()?;
        self.completed += 1;
        let response = [self.completed, !self.completed];
        // SAFETY: the memory is that of the ring, or older memory of it, which is kept for good.
        unsafe { (receive.segment.address as *mut [u64; 2]).write_volatile(response) };
        Some(((receive.id - EACH_ID) as u16, response))
    }

    /// The slots that the device has, in order.
    fn slots(&self) -> Vec<u16> {
        self.device.iter().map(|receive| (receive.id - EACH_ID) as u16).collect()
    }
}

#[test]
fn a_ring_takes_only_memory_that_is_its_own() {
    let seat = Seat::new();
    let make = |memory, count| ReceiveQueue::new(memory, count, &seat).map_err(|error| error.errno).err();
    let shared = memory(4);
    assert_eq!(make(shared.clone(), 4), Some(libc::EINVAL));
    assert_eq!(make(memory(3), 4), Some(libc::EINVAL));
    assert_eq!(make(memory(4), 0), Some(libc::EINVAL));
    let queue = ReceiveQueue::new(memory(4), 4, &seat).unwrap();
    assert_eq!((queue.most(), queue.out(), queue.has_few()), (4, 0, false));
    for memory in [shared.clone(), memory(3)] {
        assert_eq!(queue.renew(memory).map_err(|error| error.errno), Err(libc::EINVAL));
    }
    assert!(queue.renew(memory(4)).is_ok());
    assert_eq!(ReceiveQueue::new(memory(u16::MAX), u16::MAX, &seat).unwrap().most(), u16::MAX);
}

#[test]
fn a_ring_that_was_never_registered_believes_nothing() {
    let queue = ReceiveQueue::new(memory(2), 2, &Seat::new()).unwrap();
    for slot in [0, 1, 2, u16::MAX] {
        assert_eq!(queue.take(slot), None);
    }
}

#[test]
fn receives_have_a_place_each() {
    let fabric = Fabric::new();
    let mut ring = Ring::new(&fabric, 5, 3, 1);
    assert!(ring.queue.has_few());
    assert_eq!(ring.post(Verdict::Accept), (Ok(()), 3, 1), "one doorbell for all");
    let base = ring.device[0].segment.address;
    for (slot, receive) in (0..).zip(&ring.device) {
        let address = base + u64::from(slot) * RESPONSE_SIZE as u64;
        let length = RESPONSE_SIZE as u32;
        let segment = Segment { address, length, local_key: ring.registration.local_key() };
        assert_eq!(*receive, Received { id: id(slot), segments: 1, segment });
    }
    assert_eq!(ring.post(Verdict::Accept), (Ok(()), 0, 0), "the device has all");
    assert!(!ring.queue.has_few());
}

#[test]
fn what_did_not_come_next_is_not_believed() {
    let fabric = Fabric::new();
    let mut ring = Ring::new(&fabric, 3, 3, 3);
    assert_eq!(ring.queue.take(0), None, "the device has none");
    ring.post(Verdict::Accept).0.unwrap();
    for slot in [1, 2, 3, 4, u16::MAX] {
        assert_eq!(ring.queue.take(slot), None, "{slot}");
    }
    for slot in 0..3 {
        assert_eq!(ring.queue.out(), 3 - u32::from(slot));
        let (completed, response) = ring.complete().unwrap();
        assert_eq!((completed, ring.queue.take(slot)), (slot, Some(response)));
        assert_eq!(ring.queue.take(slot), None, "twice");
    }
    for slot in 0..=3 {
        assert_eq!(ring.queue.take(slot), None, "all are taken");
    }
    assert_eq!((ring.queue.out(), ring.queue.has_few()), (0, true));
}

#[test]
fn a_count_and_a_slack_are_cut_to_what_there_is() {
    let fabric = Fabric::new();
    for (count, slack, has, few_after) in
        [(0, 0, 1, 1), (9, 9, 4, 4), (4, 0, 4, 1), (2, 3, 2, 2), (3, 1, 3, 1)]
    {
        let mut ring = Ring::new(&fabric, 4, count, slack);
        assert_eq!(ring.post(Verdict::Accept), (Ok(()), has, 1));
        for taken in 1..=has {
            let (slot, response) = ring.complete().unwrap();
            assert_eq!(ring.queue.take(slot), Some(response));
            assert_eq!(ring.queue.has_few(), taken >= few_after, "{taken} of {count}, {slack}");
        }
    }
}

#[test]
fn a_ring_of_all_the_slots_there_can_be_goes_around() {
    let fabric = Fabric::new();
    let mut ring = Ring::new(&fabric, u16::MAX, u16::MAX, 40_000);
    for round in 0..3 {
        ring.post(Verdict::Accept).0.unwrap();
        assert_eq!(ring.device.len(), usize::from(u16::MAX), "{round}");
        for _ in 0..40_000 {
            assert!(!ring.queue.has_few());
            let (slot, response) = ring.complete().unwrap();
            assert_eq!(ring.queue.take(slot), Some(response));
        }
        assert!(ring.queue.has_few());
    }
}

#[test]
fn the_device_has_what_comes_before_the_refused() {
    const COUNT: u16 = 5;
    let fabric = Fabric::new();
    for begin in 0..COUNT {
        for accepted in 0..COUNT {
            let mut ring = Ring::new(&fabric, COUNT + 1, COUNT, COUNT);
            // So the chain begins there, and goes around.
            ring.post(Verdict::RefuseAfter(begin.into(), libc::ENOMEM)).0.unwrap_err();
            while let Some((slot, response)) = ring.complete() {
                assert_eq!(ring.queue.take(slot), Some(response));
            }
            let verdict = Verdict::RefuseAfter(accepted.into(), -libc::ENOMEM);
            assert_eq!(ring.post(verdict), (Err(libc::ENOMEM), accepted.into(), 1));
            assert_eq!(ring.queue.out(), accepted.into());
            assert_eq!(ring.post(Verdict::Accept), (Ok(()), usize::from(COUNT - accepted), 1));
            let expected: Vec<u16> = (begin..COUNT).chain(0..begin).collect();
            assert_eq!((ring.slots(), ring.queue.out()), (expected, COUNT.into()));
        }
    }
}

/// A request that is none of the chain tells nothing: the device may have all.
#[test]
fn a_request_that_was_not_posted_cannot_be_refused() {
    const COUNT: u16 = 5;
    let fabric = Fabric::new();
    let mut ring = Ring::new(&fabric, COUNT, COUNT, 1);
    assert_eq!(ring.post(Verdict::RefuseOther(libc::EIO)), (Err(libc::EIO), COUNT.into(), 1));
    assert_eq!(ring.queue.out(), COUNT.into());
    for slot in 0..2 {
        ring.complete().unwrap();
        ring.queue.take(slot).unwrap();
    }
    // The device has the last three already, and the second of them is named: the fourth to come of seven.
    assert_eq!(ring.post(Verdict::RefuseEarlier(3, libc::EIO)), (Err(libc::EIO), 2, 1));
    assert_eq!((ring.queue.out(), ring.slots()), (COUNT.into(), vec![2, 3, 4, 0, 1]));
}

/// The old memory is kept, since the device may still write there, and nothing of that is taken for a response.
#[test]
fn new_memory_begins_anew() {
    let fabric = Fabric::new();
    let mut ring = Ring::new(&fabric, 4, 4, 2);
    ring.post(Verdict::Accept).0.unwrap();
    let (slot, response) = ring.complete().unwrap();
    assert_eq!(ring.queue.take(slot), Some(response));
    ring.queue.renew(memory(4)).unwrap();
    assert_eq!((ring.queue.out(), ring.queue.has_few()), (0, true));
    while let Some((slot, _)) = ring.complete() {
        assert_eq!(ring.queue.take(slot), None);
    }
    let registration = ring.queue.register(&fabric.domain, 3, 1, id).unwrap();
    let old = std::mem::replace(&mut ring.registration, registration);
    ring.post(Verdict::Accept).0.unwrap();
    assert_eq!(ring.slots(), [0, 1, 2]);
    assert!(ring.device.iter().all(|receive| receive.segment.local_key == ring.registration.local_key()));
    let address = old.0.address();
    drop(old);
    assert!(is_mapped(address), "the old memory is kept, though no registration keeps it");
    while let Some((slot, response)) = ring.complete() {
        assert_eq!(ring.queue.take(slot), Some(response));
    }
}

/// A plain ring: what the device has, in order, and how many come back before few are left.
struct Model {
    count: usize,
    slack: usize,
    next: usize,
    device: VecDeque<u16>,
    until_few: usize,
    few: bool,
}

impl Model {
    fn new(count: u16, slack: u16) -> Self {
        let (count, slack) = (count.into(), slack.into());
        Self { count, slack, next: 0, device: VecDeque::new(), until_few: 0, few: true }
    }

    fn post(&mut self, accepted: usize) {
        for _ in 0..accepted {
            self.device.push_back(self.next as u16);
            self.next = (self.next + 1) % self.count;
        }
        if accepted > 0 {
            self.until_few = (self.device.len() + self.slack).saturating_sub(self.count).max(1);
            self.few = false;
        } else if self.device.len() == self.count {
            self.few = false;
        }
    }

    fn take(&mut self, slot: u16) -> bool {
        if self.device.front() != Some(&slot) {
            return false;
        }
        self.device.pop_front();
        self.until_few = self.until_few.saturating_sub(1);
        self.few |= self.until_few == 0;
        true
    }
}

#[derive(Debug, Clone)]
enum Step {
    Post(Verdict),
    /// As many complete.
    Complete(usize),
    /// The device claims that this one did.
    Claim(u16),
    /// Another queue pair has so many, with this slack.
    Register(u16, u16),
    Renew,
}

const MOST: u16 = 7;

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![
        5 => Just(Verdict::Accept),
        3 => (0..usize::from(MOST)).prop_map(|count| Verdict::RefuseAfter(count, libc::ENOMEM)),
        1 => Just(Verdict::RefuseOther(libc::EIO)),
    ];
    prop_oneof![
        10 => verdict.prop_map(Step::Post),
        10 => (1..=usize::from(MOST)).prop_map(Step::Complete),
        4 => prop_oneof![0..=MOST, Just(u16::MAX)].prop_map(Step::Claim),
        1 => (1..=MOST, 1..=MOST).prop_map(|(count, slack)| Step::Register(count, slack)),
        1 => Just(Step::Renew),
    ]
}

#[test]
fn a_ring_is_as_a_plain_one() {
    let fabric = Fabric::new();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(count in 1..=MOST, slack in 1..=MOST, steps in prop::collection::vec(step(), 0..100))| {
        let slack = slack.min(count);
        let mut ring = Ring::new(&fabric, MOST, count, slack);
        let mut model = Model::new(count, slack);
        for step in steps {
            match step {
                Step::Post(verdict) => {
                    let missing = model.count - model.device.len();
                    let (result, accepted, doorbells) = ring.post(verdict);
                    let (errno, expected) = match verdict {
                        _ if missing == 0 => (None, 0),
                        Verdict::RefuseAfter(place, errno) if place < missing => (Some(errno), place),
                        Verdict::RefuseOther(errno) => (Some(errno), missing),
                        _ => (None, missing),
                    };
                    prop_assert_eq!((result.err(), accepted), (errno, expected));
                    prop_assert_eq!(doorbells, usize::from(missing > 0));
                    model.post(accepted);
                }
                Step::Complete(times) => for _ in 0..times {
                    let completed = ring.complete();
                    prop_assert_eq!(completed.map(|(slot, _)| slot), model.device.front().copied());
                    let Some((slot, response)) = completed else { break };
                    prop_assert_eq!(ring.queue.take(slot), Some(response));
                    prop_assert!(model.take(slot));
                    prop_assert_eq!(ring.queue.has_few(), model.few);
                    prop_assert_eq!(ring.queue.out() as usize, model.device.len());
                },
                Step::Claim(slot) => {
                    let believed = ring.queue.take(slot).is_some();
                    prop_assert_eq!(believed, model.take(slot));
                    if believed {
                        ring.device.pop_front();
                    }
                }
                Step::Register(count, slack) => {
                    ring.registration = ring.queue.register(&fabric.domain, count, slack, id).unwrap();
                    model = Model::new(count, slack.min(count));
                    ring.device.clear();
                }
                Step::Renew => {
                    ring.queue.renew(memory(MOST)).unwrap();
                    let (count, slack) = (model.count as u16, model.slack as u16);
                    ring.registration = ring.queue.register(&fabric.domain, count, slack, id).unwrap();
                    model = Model::new(count, slack);
                    ring.device.clear();
                }
            }
            prop_assert_eq!(ring.queue.has_few(), model.few);
            prop_assert_eq!(ring.queue.out() as usize, model.device.len());
            prop_assert_eq!(ring.slots(), Vec::from(model.device.clone()));
        }
    });
}
