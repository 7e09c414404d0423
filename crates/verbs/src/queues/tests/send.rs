//! Lists of slots against plain ones, and what becomes of a slot that is posted.

use super::{provider::Sent, *};
use crate::Segment;
use proptest::prelude::*;
use std::{cell::Cell, collections::VecDeque};

/// What the user of a slot has: its index, which it cannot know otherwise.
#[derive(Clone)]
struct User {
    index: usize,
    uses: Cell<u64>,
    _rest: [u64; 4],
}

/// The lists: one that is used as a stack, and two where who comes first goes first.
const STACK: usize = 0;
const FIRST: usize = 1;
const SECOND: usize = 2;
const LISTS: usize = 3;

type Queue = SendQueue<User, LISTS>;
type Place<'a> = Slot<'a, User, LISTS>;

fn memory(count: usize) -> Rc<Memory> {
    Memory::new(Queue::memory_for(count)).unwrap()
}

fn queue(count: usize, row: usize, seat: &Rc<Seat>) -> Queue {
    let user = |index| User { index, uses: Cell::new(0), _rest: [0; 4] };
    SendQueue::new(memory(count), count, row, seat, user).unwrap()
}

fn index(slot: Option<Place<'_>>) -> Option<usize> {
    slot.map(|slot| slot.user().index)
}

/// A list, by number.
fn list(queue: &Queue, list: usize) -> Vec<usize> {
    let index = |slot: Place<'_>| slot.user().index;
    match list {
        STACK => queue.list::<STACK>().map(index).collect(),
        FIRST => queue.list::<FIRST>().map(index).collect(),
        _ => queue.list::<SECOND>().map(index).collect(),
    }
}

fn push(slot: Place<'_>, list: usize) {
    match list {
        STACK => slot.push_stack::<STACK>(),
        FIRST => slot.push::<FIRST>(),
        _ => slot.push::<SECOND>(),
    }
}

fn pop(queue: &Queue, list: usize) -> Option<Place<'_>> {
    match list {
        STACK => queue.pop_stack::<STACK>(),
        FIRST => queue.pop::<FIRST>(),
        _ => queue.pop::<SECOND>(),
    }
}

fn remove(queue: &Queue, list: usize, slot: u32) -> bool {
    match list {
        STACK => queue.remove::<STACK>(slot),
        FIRST => queue.remove::<FIRST>(slot),
        _ => queue.remove::<SECOND>(slot),
    }
}

fn first(queue: &Queue, list: usize) -> Option<Place<'_>> {
    match list {
        STACK => queue.first::<STACK>(),
        FIRST => queue.first::<FIRST>(),
        _ => queue.first::<SECOND>(),
    }
}

#[test]
fn a_queue_takes_only_memory_that_is_its_own() {
    let seat = Seat::new();
    let make = |memory| Queue::new(memory, 4, 1, &seat, |_| panic!("nothing is written there")).err();
    let shared = memory(4);
    assert_eq!(make(shared.clone()).map(|error| error.errno), Some(libc::EINVAL));
    assert_eq!(make(memory(3)).map(|error| error.errno), Some(libc::EINVAL));
    let queue = queue(4, 1, &seat);
    for memory in [shared.clone(), memory(3)] {
        assert_eq!(queue.renew(memory, Clone::clone).map_err(|error| error.errno), Err(libc::EINVAL));
    }
    assert_eq!(queue.count(), 4);
    assert_eq!(index(queue.slot(3)), Some(3));
    assert!(queue.slot(4).is_none() && queue.slot(u32::MAX).is_none());
    assert!(queue.slots().map(|slot| slot.user().index).eq(0..4));
    assert!(queue.slots().rev().map(|slot| slot.user().index).eq([3, 2, 1, 0]));
}

#[test]
fn a_command_and_what_its_user_keeps_have_a_line_each() {
    let queue = queue(2, 1, &Seat::new());
    let [first, second] = [0, 1].map(|index| queue.slot(index).unwrap());
    first.write([u64::MAX; COMMAND_WORDS]);
    second.write([1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(first.read(), [u64::MAX; COMMAND_WORDS]);
    assert_eq!(second.read(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!((first.user().index, second.user().index, second.user().uses.get()), (0, 1, 0));
    let (line, user) = (64, std::ptr::from_ref(first.user()).addr());
    assert_eq!(std::ptr::from_ref(second.user()).addr() - user, 2 * line);
    assert_eq!(user / line % 2, 1);
}

/// What can be done to lists.
#[derive(Debug, Clone)]
enum Step {
    Push(usize, u32),
    Pop(usize),
    Remove(usize, u32),
    /// Every slot that is on no list, in order, to this list.
    PushAll(usize),
    Renew,
}

const COUNT: u32 = 9;

fn step() -> impl Strategy<Value = Step> {
    let (list, slot) = (0..LISTS, 0..COUNT);
    prop_oneof![
        8 => (list.clone(), slot.clone()).prop_map(|(list, slot)| Step::Push(list, slot)),
        5 => list.clone().prop_map(Step::Pop),
        // One more than there are.
        4 => (list.clone(), 0..=COUNT).prop_map(|(list, slot)| Step::Remove(list, slot)),
        1 => list.prop_map(Step::PushAll),
        1 => Just(Step::Renew),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lists_are_as_plain_ones(steps in prop::collection::vec(step(), 0..80)) {
        let queue = queue(COUNT as usize, 1, &Seat::new());
        let mut model: [VecDeque<usize>; LISTS] = Default::default();
        let mut commands = [[0; COMMAND_WORDS]; COUNT as usize];
        let put = |model: &mut [VecDeque<usize>; LISTS], slot: Place<'_>, list: usize| {
            let index = slot.user().index;
            if model.iter().any(|list| list.contains(&index)) {
                return;
            }
            push(slot, list);
            match list {
                STACK => model[list].push_front(index),
                _ => model[list].push_back(index),
            }
        };
        for (time, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(list, slot) => {
                    let slot = queue.slot(slot).unwrap();
                    put(&mut model, slot, list);
                    commands[slot.user().index] = [time as u64; COMMAND_WORDS];
                    slot.write([time as u64; COMMAND_WORDS]);
                }
                Step::Pop(list) => prop_assert_eq!(index(pop(&queue, list)), model[list].pop_front()),
                Step::Remove(list, slot) => {
                    let place = model[list].iter().position(|index| *index == slot as usize);
                    prop_assert_eq!(remove(&queue, list, slot), place.is_some());
                    place.map(|place| model[list].remove(place));
                }
                Step::PushAll(list) => queue.slots().for_each(|slot| put(&mut model, slot, list)),
                Step::Renew => queue.renew(memory(COUNT as usize), Clone::clone).unwrap(),
            }
            for (number, expected) in model.iter().enumerate() {
                prop_assert_eq!(expected, &list(&queue, number));
                prop_assert!(number != STACK || queue.has::<STACK>(expected.len()) && !queue.has::<STACK>(expected.len() + 1));
                prop_assert_eq!(index(first(&queue, number)), expected.front().copied());
            }
            for (slot, command) in queue.slots().zip(commands) {
                prop_assert_eq!(slot.read(), command);
            }
        }
        for (number, mut expected) in model.into_iter().enumerate() {
            while let Some(slot) = pop(&queue, number) {
                prop_assert_eq!(Some(slot.user().index), expected.pop_front());
            }
            prop_assert!(expected.is_empty());
        }
    }

    /// Whoever pushes what is on a list ties a knot, also with a slot that was found before the queue had new memory. Whatever is
    /// found is a slot of the queue all the same, and a walk ends.
    #[test]
    fn a_knot_stays_inside(steps in prop::collection::vec(step(), 0..40)) {
        let queue = queue(COUNT as usize, 1, &Seat::new());
        let stale: Vec<Place<'_>> = queue.slots().collect();
        for (time, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(list, slot) if time % 3 == 0 => push(stale[slot as usize], list),
                Step::Push(list, slot) => push(queue.slot(slot).unwrap(), list),
                Step::Pop(list) => {
                    let found = index(pop(&queue, list));
                    prop_assert!(found.is_none_or(|index| index < COUNT as usize));
                }
                Step::Remove(list, slot) => _ = remove(&queue, list, slot),
                Step::PushAll(list) => queue.slots().for_each(|slot| push(slot, list)),
                Step::Renew => queue.renew(memory(COUNT as usize), Clone::clone).unwrap(),
            }
            for number in 0..LISTS {
                let found = list(&queue, number);
                prop_assert!(found.len() <= COUNT as usize);
                prop_assert!(found.iter().all(|index| *index < COUNT as usize));
            }
        }
    }
}

/// A slot that was found before the queue had new memory, and is pushed after, is not followed to where the next memory is not.
#[test]
fn a_slot_of_older_memory_is_lost_and_no_more() {
    let queue = queue(4, 1, &Seat::new());
    let old = queue.slot(2).unwrap();
    queue.renew(memory(4), Clone::clone).unwrap();
    let address = std::ptr::from_ref(old.user()).addr() as u64;
    assert!(is_mapped(address), "the old memory is kept");
    old.push::<FIRST>();
    queue.slot(3).unwrap().push::<FIRST>();
    old.push_stack::<STACK>();
    for _ in 0..3 {
        queue.renew(memory(4), Clone::clone).unwrap();
        for number in 0..LISTS {
            assert!(list(&queue, number).iter().all(|index| *index < 4));
        }
    }
    assert_eq!(list(&queue, STACK), []);
}

// ---- posting ---------------------------------------------------------------------------------------------------------

const SEGMENT: Segment = Segment { address: 0x1234_5678_9abc, length: 4096, local_key: 77 };
const EACH_ID: u64 = 1 << 40;

/// A queue that is registered, and the provider that its seat is taken by.
struct Posting {
    queue: Queue,
    provider: Provider,
    row: usize,
    local_key: u32,
    _registration: Registration,
}

impl Posting {
    fn new(fabric: &Fabric, count: usize, row: usize) -> Self {
        let (seat, mut provider) = (Seat::new(), Provider::new());
        provider.sit_on(&seat).unwrap();
        let queue = queue(count, row, &seat);
        let registration = queue.register(&fabric.domain, |slot| EACH_ID + slot as u64).unwrap();
        let local_key = registration.local_key();
        Self { queue, provider, row, local_key, _registration: registration }
    }

    fn slot(&self, index: usize) -> Place<'_> {
        self.queue.slot(index as u32).unwrap()
    }

    /// Puts off the first `count` slots.
    fn put_off(&self, count: usize) {
        for slot in 0..count {
            assert_eq!(self.slot(slot).put_off(None), slot + 1 == self.row);
        }
    }

    /// What the device must get of this slot, where the command lies in front of what its user keeps.
    fn sent(&self, index: usize, data: Option<Segment>) -> Sent {
        let slot = self.slot(index);
        let line = std::ptr::from_ref(slot.user()).addr() as u64 / 64 * 64;
        let command = Segment { address: line - 64, length: 64, local_key: self.local_key };
        Sent {
            id: EACH_ID + index as u64,
            opcode: rdma_sys::ibv_wr_opcode::IBV_WR_SEND,
            flags: rdma_sys::ibv_send_flags::IBV_SEND_SIGNALED.0,
            segments: [command].into_iter().chain(data).collect(),
            command: slot.read(),
        }
    }
}

#[test]
fn a_slot_that_is_posted_goes_out_at_once() {
    let fabric = Fabric::new();
    let posting = Posting::new(&fabric, 3, 2);
    assert!(!posting.slot(0).put_off(None));
    // One segment, two, and one again: a request has nothing left of the one before.
    for (index, data) in [(1, None), (2, Some(SEGMENT)), (1, None), (2, Some(SEGMENT)), (2, None)] {
        posting.slot(index).write([index as u64; COMMAND_WORDS]);
        assert_eq!(posting.slot(index).post(data), Ok(()));
        assert_eq!(posting.provider.sends(), [[posting.sent(index, data)]]);
    }
    assert!(!posting.queue.is_empty(), "what was put off waits");
    posting.queue.post_pending(|_| panic!("nothing was refused")).unwrap();
    assert_eq!(posting.provider.sends(), [[posting.sent(0, None)]]);
}

/// A registration of the commands has another key than the one before, and so has what is known.
#[test]
fn a_segment_whose_key_is_known_goes_behind_the_command() {
    let fabric = Fabric::new();
    let mut posting = Posting::new(&fabric, 3, 2);
    let Segment { address, length, .. } = SEGMENT;
    for local_key in [77, 78] {
        let behind = Some(Segment { address, length, local_key });
        posting.queue.set_known_key(local_key);
        for _ in 0..2 {
            assert_eq!(posting.slot(1).post_with_known(address, length), Ok(()));
            assert_eq!(posting.provider.sends(), [[posting.sent(1, behind)]]);
            assert_eq!(posting.slot(2).post(Some(SEGMENT)), Ok(()));
            assert_eq!(posting.slot(0).post(None), Ok(()));
            assert_eq!(posting.provider.sends(), [[posting.sent(2, Some(SEGMENT))], [posting.sent(0, None)]]);
        }
        assert!(!posting.slot(0).put_off_with_known(address, length));
        assert!(posting.slot(1).put_off(None));
        posting.queue.post_pending(|_| panic!("nothing was refused")).unwrap();
        assert_eq!(posting.provider.sends(), [[posting.sent(0, behind), posting.sent(1, None)]]);
        let before = posting.local_key;
        let again = posting.queue.register(&fabric.domain, |slot| EACH_ID + slot as u64).unwrap();
        posting.local_key = again.local_key();
        assert_ne!(posting.local_key, before, "then this shows nothing");
        posting._registration = again;
    }
}

#[test]
fn the_first_slot_leaves_its_stack() {
    let (seat, _provider) = (Seat::new(), Provider::new());
    let queue = queue(3, 1, &seat);
    queue.slots().for_each(Slot::push_stack::<STACK>);
    for expected in [2, 1, 0] {
        let first = queue.first::<STACK>().unwrap();
        first.leave_stack::<STACK>();
        assert_eq!((index(Some(first)), list(&queue, STACK).len()), (Some(expected), expected));
    }
}

#[test]
fn a_slot_that_is_refused_has_the_errno() {
    let fabric = Fabric::new();
    let posting = Posting::new(&fabric, 1, 1);
    for (verdict, errno) in [
        (Verdict::RefuseAfter(0, libc::ENOMEM), libc::ENOMEM),
        (Verdict::RefuseAfter(0, -libc::EINVAL), libc::EINVAL),
        (Verdict::RefuseOther(i32::MIN), i32::MAX),
    ] {
        posting.provider.set(verdict);
        assert_eq!(posting.slot(0).post(Some(SEGMENT)), Err(errno));
        posting.provider.sends();
    }
    posting.provider.set(Verdict::Accept);
    assert_eq!(posting.slot(0).post(None), Ok(()));
    assert_eq!(posting.provider.sends(), [[posting.sent(0, None)]]);
}

#[test]
fn a_row_says_when_it_is_full() {
    let fabric = Fabric::new();
    for row in 1..=3 {
        let posting = Posting::new(&fabric, 4, row);
        for length in (1..=row).chain([1, row]) {
            for place in 0..length {
                assert_eq!(posting.slot(place).put_off(None), place + 1 == row, "{place} of {row}");
            }
            if length == row {
                assert!(posting.slot(3).put_off(None), "it is lost");
            }
            posting.queue.post_pending(|_| panic!("nothing was refused")).unwrap();
            let expected: Vec<_> = (0..length).map(|place| posting.sent(place, None)).collect();
            assert_eq!(posting.provider.sends(), [expected], "{length} of {row}");
        }
    }
    // There is always room for one.
    assert!(Posting::new(&fabric, 1, 0).slot(0).put_off(None));
}

#[test]
fn who_was_refused_is_told_by_id() {
    const ROW: usize = 5;
    let fabric = Fabric::new();
    let posting = Posting::new(&fabric, ROW, ROW);
    for length in 1..=ROW {
        for place in 0..length {
            posting.put_off(length);
            posting.provider.set(Verdict::RefuseAfter(place, -libc::ENOMEM));
            let mut refused = Vec::new();
            assert_eq!(posting.queue.post_pending(|id| refused.push(id - EACH_ID)), Err(libc::ENOMEM));
            assert!(refused.into_iter().eq(place as u64..length as u64), "from {place} of {length}");
            assert!(posting.queue.is_empty());
            assert_eq!(posting.provider.sends()[0].len(), place);
        }
        // A request that is none of the chain tells nothing: the device may have them all.
        posting.put_off(length);
        posting.provider.set(Verdict::RefuseOther(libc::EIO));
        let mut refused = Vec::new();
        assert_eq!(posting.queue.post_pending(|id| refused.push(id - EACH_ID)), Err(libc::EIO));
        assert!(refused.is_empty());
        posting.provider.sends();
    }
}

/// Who was refused may be put off again while the others are still told.
#[test]
fn who_was_refused_may_be_put_off_again() {
    let fabric = Fabric::new();
    let posting = Posting::new(&fabric, 4, 4);
    posting.put_off(4);
    posting.provider.set(Verdict::RefuseAfter(1, libc::ENOMEM));
    let mut refused = Vec::new();
    let again = |id: u64| {
        refused.push(id - EACH_ID);
        let _ = posting.slot((id - EACH_ID) as usize).put_off(None);
    };
    assert_eq!(posting.queue.post_pending(again), Err(libc::ENOMEM));
    assert_eq!(refused, [1, 2, 3]);
    posting.provider.set(Verdict::Accept);
    posting.provider.sends();
    posting.queue.post_pending(|_| panic!("nothing was refused")).unwrap();
    assert_eq!(posting.provider.sends(), [[1, 2, 3].map(|slot| posting.sent(slot, None))]);
}

#[test]
fn what_is_forgotten_is_not_posted() {
    let fabric = Fabric::new();
    let posting = Posting::new(&fabric, 3, 3);
    assert!(!posting.slot(2).put_off(None) && !posting.slot(0).put_off(None));
    let mut forgotten = Vec::new();
    posting.queue.clear(|id| forgotten.push(id - EACH_ID));
    assert_eq!(forgotten, [2, 0]);
    assert!(posting.queue.is_empty());
    posting.queue.clear(|_| panic!("nothing is left"));
    assert_eq!(posting.queue.post_pending(|_| ()), Ok(()));
    assert!(posting.provider.sends().is_empty(), "no doorbell for nothing");
}

#[test]
fn a_queue_that_moves_posts_what_it_had() {
    let fabric = Fabric::new();
    let mut posting = Posting::new(&fabric, 3, 3);
    for (index, slot) in posting.queue.slots().enumerate() {
        slot.write([index as u64 + 5; COMMAND_WORDS]);
        slot.user().uses.set(index as u64 + 9);
    }
    let before = posting.sent(1, None);
    assert!(!posting.slot(1).put_off(None));
    posting.queue.renew(memory(3), Clone::clone).unwrap();
    assert!(posting.queue.is_empty(), "nothing is pending");
    let registration = posting.queue.register(&fabric.domain, |slot| EACH_ID + slot as u64).unwrap();
    assert_ne!(registration.local_key(), posting.local_key);
    posting.local_key = registration.local_key();
    assert_eq!(posting.slot(1).user().uses.get(), 10);
    posting.slot(1).post(None).unwrap();
    assert!(!posting.slot(2).put_off(None));
    posting.queue.post_pending(|_| ()).unwrap();
    let sent = [1, 2].map(|slot| posting.sent(slot, None));
    assert_ne!(sent[0].segments[0].address, before.segments[0].address);
    assert_eq!(sent[0].command, before.command);
    assert_eq!(posting.provider.sends(), sent.map(|sent| vec![sent]));
    // For another queue pair nothing of the one before is pending.
    assert!(!posting.slot(0).put_off(None));
    drop(posting.queue.register(&fabric.domain, |_| 0).unwrap());
    assert!(posting.queue.is_empty());
}

/// What can be done to a row of what was put off.
#[derive(Debug, Clone)]
enum Posted {
    At(usize, Option<u64>),
    PutOff(usize, Option<u64>),
    Pending(Verdict),
    Clear,
}

const ROW: usize = 4;
const SLOTS: usize = 6;

fn posted() -> impl Strategy<Value = Posted> {
    let data = prop::option::of(any::<u64>());
    let verdict = prop_oneof![
        4 => Just(Verdict::Accept),
        3 => (0..ROW).prop_map(|place| Verdict::RefuseAfter(place, libc::ENOMEM)),
        1 => Just(Verdict::RefuseOther(libc::EIO)),
    ];
    prop_oneof![
        2 => (0..SLOTS, data.clone()).prop_map(|(slot, data)| Posted::At(slot, data)),
        6 => (0..SLOTS, data).prop_map(|(slot, data)| Posted::PutOff(slot, data)),
        3 => verdict.prop_map(Posted::Pending),
        1 => Just(Posted::Clear),
    ]
}

/// Whatever is put off, posted and refused: the device gets what a plain row would give it.
#[test]
fn a_row_is_as_a_plain_one() {
    let fabric = Fabric::new();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in prop::collection::vec(posted(), 0..60))| {
        let posting = Posting::new(&fabric, SLOTS, ROW);
        let segment = |address| Segment { address, length: 4096, local_key: 3 };
        let mut model: Vec<Sent> = Vec::new();
        for (time, step) in steps.into_iter().enumerate() {
            match step {
                Posted::At(slot, data) => {
                    posting.slot(slot).write([time as u64; COMMAND_WORDS]);
                    posting.provider.set(Verdict::Accept);
                    prop_assert_eq!(posting.slot(slot).post(data.map(segment)), Ok(()));
                    prop_assert_eq!(posting.provider.sends(), [[posting.sent(slot, data.map(segment))]]);
                }
                Posted::PutOff(slot, data) => {
                    let full = posting.slot(slot).put_off(data.map(segment));
                    if model.len() < ROW {
                        model.push(posting.sent(slot, data.map(segment)));
                    }
                    prop_assert_eq!(full, model.len() == ROW);
                }
                Posted::Pending(verdict) => {
                    posting.provider.set(verdict);
                    let mut refused = Vec::new();
                    let result = posting.queue.post_pending(|id| refused.push(id));
                    // The device reads a command when it is posted, as it is then.
                    for sent in &mut model {
                        sent.command = posting.slot((sent.id - EACH_ID) as usize).read();
                    }
                    let (errno, accepted, told) = match verdict {
                        _ if model.is_empty() => (None, 0, 0),
                        Verdict::RefuseAfter(at, errno) if at < model.len() => (Some(errno), at, at),
                        Verdict::RefuseOther(errno) => (Some(errno), model.len(), model.len()),
                        _ => (None, model.len(), model.len()),
                    };
                    prop_assert_eq!(result.err(), errno);
                    prop_assert!(refused.into_iter().eq(model[told..].iter().map(|sent| sent.id)));
                    let rows = posting.provider.sends();
                    prop_assert_eq!(rows.len(), usize::from(!model.is_empty()));
                    prop_assert_eq!(rows.concat(), &model[..accepted]);
                    model.clear();
                }
                Posted::Clear => {
                    let mut forgotten = Vec::new();
                    posting.queue.clear(|id| forgotten.push(id));
                    prop_assert!(forgotten.into_iter().eq(model.drain(..).map(|sent| sent.id)));
                }
            }
            prop_assert_eq!(posting.queue.is_empty(), model.is_empty());
        }
    });
}
