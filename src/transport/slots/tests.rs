//! The slots of one qpair without a device: what a SEND, a response and an end do to them, and the account of room.

use super::*;
use crate::{
    memory,
    transport::{MOST_REQUESTS, completer::tell_nobody},
};
use std::{cell::RefCell, rc::Weak};

fn slots(count: u16) -> Slots {
    let memory = Memory::new(Slots::memory_for(count)).unwrap();
    Slots::new(memory, count, count, 0, 7, &Seat::new()).unwrap()
}

/// Slots whose gate is open for all of them.
fn open(count: u16) -> Slots {
    let slots = slots(count);
    slots.open_gate(u32::from(count));
    slots
}

/// A response with this command id comes.
fn answer(slots: &Slots, id: u16) -> Result<(), BadCommandId> {
    let [low, high] = words(Completion::new(1, id, Status::SUCCESS));
    if slots.answered(low, high) { Ok(()) } else { slots.answered_otherwise(low, high) }
}

fn nobody() -> Completer {
    Completer::Shared(Rc::new(|_| {}))
}

/// The index and the command id of a request that went out.
fn outstanding(slots: &Slots) -> Option<(u16, u16)> {
    let slot = slots.first_open()?;
    let context = Context { function: tell_nobody as *const (), argument: std::ptr::null_mut() };
    let id = slots.begin_first(slot, context);
    Some((id & slots.mask as u16, id))
}

fn deliver(slots: &Slots) -> Option<Completion> {
    let finished = slots.take_finished()?;
    if finished.context.function.is_null()
        && let Otherwise::Ends(Ending { told: Told::Closure(closure), .. }) =
            slots.otherwise(finished.completion.cid())
    {
        closure(&finished.completion);
    }
    Some(finished.completion)
}

/// Both completions of a request.
fn complete(slots: &Slots, (slot, id): (u16, u16)) {
    assert!(slots.sent(slot));
    answer(slots, id).unwrap();
}

#[test]
fn t11_a_slot_is_free_only_after_its_send_and_its_response() {
    for response_first in [true, false] {
        let slots = open(1);
        let (slot, id) = outstanding(&slots).unwrap();
        if response_first {
            answer(&slots, id).unwrap();
            assert!(!slots.has_finished() && outstanding(&slots).is_none());
            assert!(slots.sent(slot));
        } else {
            assert!(slots.sent(slot));
            assert!(!slots.has_finished() && outstanding(&slots).is_none());
            answer(&slots, id).unwrap();
        }
        assert!(outstanding(&slots).is_none(), "finished, not delivered");
        assert_eq!(deliver(&slots).unwrap().cid(), id);
        assert_eq!(outstanding(&slots).unwrap().0, slot);
    }
}

#[test]
fn h10_a_response_with_a_bad_command_id_is_refused() {
    for count in [1, 3, 4, 127, 128, 1023, 4095, MOST_REQUESTS] {
        let slots = open(count);
        let (slot, id) = outstanding(&slots).unwrap();
        assert_eq!(answer(&slots, 0xffff), Err(BadCommandId::OutOfRange(0xffff)), "{count}");
        if let Some(idle) = slots.first_open() {
            let idle = idle.user().id.get(); // generation 0 was never given
            assert_eq!(answer(&slots, idle), Err(BadCommandId::Idle(idle)));
        }
        answer(&slots, id).unwrap();
        assert_eq!(answer(&slots, id), Err(BadCommandId::Repeated(id)), "before the send");
        assert!(slots.sent(slot));
        assert!(!slots.sent(slot), "a second completion of the send changes nothing");
        assert_eq!(answer(&slots, id), Err(BadCommandId::Idle(id)), "finished");
        deliver(&slots).unwrap();
        assert_eq!(answer(&slots, id), Err(BadCommandId::Idle(id)), "free");
        let (again, next) = outstanding(&slots).unwrap();
        assert_eq!(again, slot);
        assert_ne!(next, id, "an old id does not fit the slot's next use");
        assert_eq!(answer(&slots, id), Err(BadCommandId::Repeated(id)));
        assert!(!slots.sent(count + 1), "no such slot");
    }
}

type Heard = Rc<RefCell<Vec<(u16, Status)>>>;

struct Listener(Heard);

impl FailureListener for Listener {
    fn hear(&self, failure: Failure<'_>) {
        match failure {
            Failure::Command(command, completion) => {
                self.0.borrow_mut().push((command.cid(), completion.status()));
            }
            Failure::Others(count) => panic!("{count} others"),
        }
    }
}

/// Whoever sent it is told by the function that it gave, whether somebody listens or not; success and error may come in either order.
#[test]
fn an_error_is_told_of_beside_and_ends_as_it_would_without() {
    clock::test_clock::install();
    for (listens, response_first) in [(false, false), (false, true), (true, false), (true, true)] {
        let slots = open(2);
        let told = Heard::default();
        let listener = Rc::new(Listener(told.clone()));
        if listens {
            let listener: Weak<dyn FailureListener> = Rc::downgrade(&listener) as _;
            slots.listen_to_failures(Some(listener));
        }
        let (failing, failing_id) = outstanding(&slots).unwrap();
        let fine = outstanding(&slots).unwrap();
        complete(&slots, fine);
        let [low, high] = words(Completion::new(1, failing_id, Status::INVALID_FIELD));
        if !response_first {
            assert!(slots.sent(failing));
        }
        assert!(!slots.answered(low, high), "an error goes no short way");
        assert_eq!(slots.answered_otherwise(low, high), Ok(()));
        if response_first {
            assert!(slots.sent(failing));
        }
        assert!(!slots.answered(low, high));
        assert!(slots.answered_otherwise(low, high).is_err(), "twice");
        let first = slots.take_finished().unwrap();
        assert_eq!((first.context.function, first.completion.cid()), (tell_nobody as *const (), fine.1));
        let second = slots.take_finished().unwrap();
        assert_eq!(
            (second.completion.cid(), second.completion.status()),
            (failing_id, Status::INVALID_FIELD)
        );
        assert_eq!(second.context.function.is_null(), listens);
        if listens {
            assert_eq!(slots.looked_at(&second.completion), second.completion);
            let Otherwise::Ends(Ending { told: Told::Upcall(context), held: None }) =
                slots.otherwise(failing_id)
            else {
                panic!("the function is gone");
            };
            assert_eq!(context.function, tell_nobody as *const ());
        }
        assert_eq!(told.take(), vec![(failing_id, Status::INVALID_FIELD); usize::from(listens)]);
        assert!(!slots.looks.get() && slots.has_nothing_beside());
        assert_eq!(slots.in_use(), 0);
        assert!(
            outstanding(&slots).is_some() && outstanding(&slots).is_some() && outstanding(&slots).is_none()
        );
    }
}

#[test]
fn no_command_id_is_the_reserved_one() {
    for count in [1, 2, 3, 4095, MOST_REQUESTS] {
        let slots = open(count);
        for _ in 0..3 * 65536_u32 / u32::from(count) {
            let slot = slots.connect().unwrap();
            assert_ne!(slots.begin(slot), 0xffff);
            for _ in 0..count.min(4) {
                let request = outstanding(&slots).unwrap();
                assert_ne!(request.1, 0xffff);
                complete(&slots, request);
            }
            while deliver(&slots).is_some() {}
            slots.reset_connect();
        }
    }
}

#[test]
fn an_abort_finishes_each_request_once_and_in_order() {
    let slots = open(4);
    let (answered, id) = outstanding(&slots).unwrap();
    let (_, lost) = outstanding(&slots).unwrap();
    slots.wait([0; COMMAND_WORDS], |_| Ok(Payload::None), nobody()).unwrap();
    answer(&slots, id).unwrap();
    slots.close_gate();
    slots.abort_all();
    slots.abort_all();
    let heard: Vec<_> = std::iter::from_fn(|| deliver(&slots)).collect();
    assert_eq!(heard.len(), 3);
    let of = |completion: &Completion| (completion.cid(), completion.status(), completion.sqid());
    assert_eq!(of(&heard[0]), (id, Status::SUCCESS, 1));
    assert_eq!(of(&heard[1]), (lost, Status::ABORTED_SQ_DELETION, 7));
    assert_eq!(heard[2].status(), Status::ABORTED_SQ_DELETION);
    assert_eq!(slots.in_use(), 0);
    assert!(!slots.sent(answered), "a late completion of the send changes nothing");
}

/// Also when the count of commands wraps among those that are out.
#[test]
fn aborts_come_in_the_order_of_submission() {
    for begun in [0, u32::MAX - 3] {
        let slots = open(8);
        slots.begun.set(u64::from(begun));
        let first: Vec<_> = (0..8).map(|_| outstanding(&slots).unwrap()).collect();
        // Half of them end, and their slots are used again, the last one first.
        first[..4].iter().for_each(|request| complete(&slots, *request));
        while deliver(&slots).is_some() {}
        let second: Vec<_> = (0..4).map(|_| outstanding(&slots).unwrap()).collect();
        slots.close_gate();
        slots.abort_all();
        let expected: Vec<_> = first[4..].iter().chain(&second).map(|(_, id)| *id).collect();
        let heard: Vec<_> = std::iter::from_fn(|| deliver(&slots)).map(|heard| heard.cid()).collect();
        assert_eq!(heard, expected);
    }
}

#[test]
fn an_answer_to_connect_does_not_outlive_its_attempt() {
    let slots = open(2);
    let request = outstanding(&slots).unwrap();
    let connect = slots.begin(slots.connect().unwrap());
    for request in [(slots.connect_slot() as u16, connect), request] {
        complete(&slots, request);
    }
    slots.reset_connect();
    assert_eq!(deliver(&slots).map(|completion| completion.cid()), Some(request.1));
    assert!(deliver(&slots).is_none());
}

#[test]
fn the_answer_to_connect_is_taken_once_both_completions_were_heard() {
    let slots = slots(2);
    let id = slots.begin(slots.connect().unwrap());
    assert!(slots.connect_answer().is_none());
    answer(&slots, id).unwrap();
    assert_eq!(slots.connect_answer().unwrap().cid(), id);
    assert!(slots.take_connect_answer().is_none(), "its SEND is with the device");
    assert!(slots.sent(slots.connect_slot() as u16));
    assert_eq!(slots.take_connect_answer().unwrap().cid(), id);
    assert!(slots.take_connect_answer().is_none() && !slots.has_finished());
}

/// The request that has waited longest goes.
fn go(slots: &Slots) -> Option<(Place<'_>, [u64; COMMAND_WORDS], Payload)> {
    let found = slots.next_to_go();
    if found.is_some() {
        slots.goes();
    }
    found
}

#[test]
fn waiting_requests_keep_their_order_and_what_they_are() {
    let slots = slots(3);
    let payload = |slot: u64| Payload::Registered { address: slot << 40, length: 512, remote_key: 7 };
    for slot in 0..3 {
        slots.wait([slot, 1, 2, 3, 4, 5, 6, 7], |_| Ok(payload(slot)), nobody()).unwrap();
    }
    assert_eq!(slots.wait([0; COMMAND_WORDS], |_| Ok(Payload::None), nobody()), Err(Error::NoRequests));
    assert!(go(&slots).is_none(), "not before the connection is live");
    slots.open_gate(2);
    for slot in 0..2 {
        let (_, words, found) = go(&slots).unwrap();
        assert_eq!((words, found), ([slot, 1, 2, 0, 4, 5, 6, 7], payload(slot)));
    }
    assert!(go(&slots).is_none(), "there is no more room");
}

#[test]
fn a_closure_is_called_once_and_forgotten_with_its_slot() {
    let slots = open(2);
    let heard = Rc::new(Cell::new(0));
    let completer = || {
        let heard = heard.clone();
        Completer::Shared(Rc::new(move |_: &Completion| heard.set(heard.get() + 1)))
    };
    let slot = slots.take_open().unwrap();
    slots.set_completer(slot, completer(), false).unwrap();
    slots.give_back_open(slot);
    assert_eq!(Rc::strong_count(&heard), 1, "a request that was not accepted");
    for _ in 0..3 {
        let slot = slots.take_open().unwrap();
        slots.set_completer(slot, completer(), false).unwrap();
        let id = slots.begin(slot);
        complete(&slots, (id & slots.mask as u16, id));
        deliver(&slots).unwrap();
    }
    assert_eq!((heard.get(), Rc::strong_count(&heard)), (3, 1));
}

/// A program may give an argument without a function, and the argument may look like the place of a closure.
#[test]
fn an_argument_without_a_function_is_no_closure_of_another() {
    let slots = open(2);
    let heard = Rc::new(Cell::new(0));
    let told = heard.clone();
    let slot = slots.take_open().unwrap();
    let completer = Completer::Shared(Rc::new(move |_: &Completion| told.set(told.get() + 1)));
    slots.set_completer(slot, completer, false).unwrap();
    let id = slots.begin(slot);
    let other = slots.first_open().unwrap();
    let context = Context { function: std::ptr::null(), argument: slot.user().argument.get() };
    let other = slots.begin_first(other, context);
    complete(&slots, (other & slots.mask as u16, other));
    assert!(deliver(&slots).is_some() && heard.get() == 0, "it ran the other one's");
    complete(&slots, (id & slots.mask as u16, id));
    assert!(deliver(&slots).is_some() && heard.get() == 1);
}

/// What a request holds comes with its end; the completer is the one that it had, by its name.
#[test]
fn what_a_request_holds_changes_neither_its_completer_nor_its_name() {
    let slots = open(2);
    let argument = std::ptr::without_provenance_mut(0x70);
    let function = std::ptr::without_provenance(0x60);
    let split = slots.begin_split(2, Context { function, argument }).unwrap();
    let completers = [
        Completer::Upcall(Context { function, argument }),
        Completer::Named(Rc::new(|_: &Completion| {}), argument),
        Completer::Part(split, argument),
        Completer::Shared(Rc::new(|_: &Completion| {})),
        Completer::Upcall(NOBODY),
    ];
    for (nth, completer) in completers.into_iter().enumerate() {
        let slot = slots.take_open().unwrap();
        slots.set_completer(slot, completer, false).unwrap();
        slots.hold_until_end(slot, memory::Held::default()).unwrap();
        let id = slots.begin(slot);
        assert_eq!(slots.outstanding_of(argument), if nth < 3 { vec![id] } else { vec![] });
        complete(&slots, (id & slots.mask as u16, id));
        let finished = slots.take_finished().unwrap();
        assert!(finished.context.function.is_null());
        let Otherwise::Ends(Ending { held, told }) = slots.otherwise(finished.completion.cid()) else {
            panic!("{nth}: it is no Connect");
        };
        assert!(held.is_some(), "{nth}");
        assert!(match told {
            Told::Upcall(context) => nth == 0 && (context.function, context.argument) == (function, argument),
            Told::Closure(_) => nth == 1 || nth == 3,
            Told::Part(part) => nth == 2 && part == split,
            Told::Nobody => nth == 4,
        });
    }
    slots.forget_split(split);
    assert!(slots.has_nothing_beside());
    assert_eq!(slots.queue.list::<OPEN>().count(), 2);
}

/// A transfer in parts is told of once, after its last part, with the first error, however many parts ended at once.
#[test]
fn a_transfer_is_told_of_once() {
    let slots = open(4);
    let argument = std::ptr::without_provenance_mut(0x70);
    let context = Context { function: std::ptr::without_provenance(0x60), argument };
    let completion = |status| Completion::new(7, 0, status);
    for (results, expected) in [
        ([Status::SUCCESS; 3], Status::SUCCESS),
        ([Status::SUCCESS, Status::INVALID_FIELD, Status::SUCCESS], Status::INVALID_FIELD),
        ([Status::INVALID_FIELD, Status::INTERNAL_ERROR, Status::SUCCESS], Status::INVALID_FIELD),
    ] {
        let split = slots.begin_split(4, context).unwrap();
        let [first, second, third] = results.map(completion);
        assert!(slots.count_parts(split, 1, &first).is_none());
        assert!(slots.count_parts(split, 2, &second).is_none());
        let (told, result) = slots.count_parts(split, 1, &third).unwrap();
        assert_eq!((told.argument, result.status()), (argument, expected));
        assert!(slots.count_parts(split, 1, &third).is_none(), "it is over");
    }
    // As many as there are slots.
    let all: Vec<_> = (0..5).map(|_| slots.begin_split(1, context).unwrap()).collect();
    assert_eq!(slots.begin_split(1, context), Err(Error::NoRequests));
    all.into_iter().for_each(|split| slots.forget_split(split));
    // A part that is given back was never one.
    let split = slots.begin_split(2, context).unwrap();
    let slot = slots.take_open().unwrap();
    slots.set_completer(slot, Completer::Part(split, argument), false).unwrap();
    slots.give_back_open(slot);
    slots.forget_split(split);
    assert!(slots.has_nothing_beside());
}

/// A request that was to go out at once, or whose turn it is, waits for something other than room: the room is for others.
#[test]
fn who_waits_for_something_else_takes_no_room() {
    let slots = open(2);
    let slot = slots.take_open().unwrap();
    slots.set_completer(slot, nobody(), false).unwrap();
    slots.wait_after_all(slot, [5; COMMAND_WORDS], Payload::None);
    assert!(slots.first_open().is_none() && slots.has_waiting(), "the gate is open");
    assert_eq!((slots.room.get(), slots.lent.get()), (2, 0));
    for _ in 0..5 {
        assert!(slots.next_to_go().is_some());
        slots.stays();
        slots.settle();
        assert!(slots.has_waiting() && slots.first_open().is_none());
        assert_eq!((slots.room.get(), slots.lent.get()), (2, 0));
    }
    let (slot, words, _) = go(&slots).unwrap();
    assert_eq!(words[0], 5);
    let id = slots.begin(slot);
    slots.settle();
    assert_eq!(slots.queue.list::<OPEN>().count(), 1);
    complete(&slots, (id & slots.mask as u16, id));
    deliver(&slots).unwrap();
    assert_eq!(slots.queue.list::<OPEN>().count(), 2);
}

/// What went ahead is no room of the others, finished or not.
#[test]
fn the_room_of_what_went_ahead_is_not_lent() {
    let slots = slots(4);
    slots.open_gate(2);
    let ahead = slots.take_reserve().unwrap();
    slots.set_completer(ahead, nobody(), true).unwrap();
    let id = slots.begin(ahead);
    let first = outstanding(&slots).unwrap();
    outstanding(&slots).unwrap();
    complete(&slots, (id & slots.mask as u16, id));
    slots.wait([0; COMMAND_WORDS], |_| Ok(Payload::None), nobody()).unwrap();
    assert!(go(&slots).is_none(), "it was lent");
    slots.settle();
    complete(&slots, first);
    assert!(go(&slots).is_some(), "the first one's room is there");
}

#[test]
fn a_request_of_nobody_ends_and_gives_its_slot_back() {
    let slots = open(1);
    for _ in 0..3 {
        let slot = slots.first_open().unwrap();
        let context = Context { function: std::ptr::null(), argument: std::ptr::without_provenance_mut(1) };
        let id = slots.begin_first(slot, context);
        complete(&slots, (id & slots.mask as u16, id));
        assert!(deliver(&slots).is_some());
    }
}

/// Also where the gate was shut meanwhile.
#[test]
fn a_slot_that_is_given_back_gives_its_room_back() {
    let slots = open(4);
    let open = || slots.queue.list::<OPEN>().count() as u32;
    let slot = slots.take_open().unwrap();
    assert_eq!((open(), slots.room.get()), (3, 0));
    slots.give_back_open(slot);
    assert_eq!((open(), slots.room.get(), slots.in_use()), (4, 0, 0));
    let slot = slots.take_open().unwrap();
    slots.wait([0; COMMAND_WORDS], |_| Ok(Payload::None), nobody()).unwrap();
    slots.give_back_open(slot);
    assert_eq!((open(), slots.room.get()), (0, 4), "the gate is shut");
    let (slot, ..) = go(&slots).unwrap();
    slots.begin(slot);
    slots.settle();
    assert_eq!((open(), slots.room.get(), slots.on_wire()), (3, 0, 1));
}

/// What goes ahead has a slot of its own and leaves the account of room alone.
#[test]
fn what_goes_ahead_is_outside_of_the_account() {
    let slots = slots(3);
    slots.open_gate(2);
    let open = || slots.queue.list::<OPEN>().count();
    let ahead = slots.take_reserve().unwrap();
    assert!(slots.take_reserve().is_none());
    slots.give_back_reserve(ahead);
    let ahead = slots.take_reserve().unwrap();
    slots.set_completer(ahead, nobody(), true).unwrap();
    let id = slots.begin(ahead);
    assert_eq!((open(), slots.on_wire()), (2, 1));
    complete(&slots, (id & slots.mask as u16, id));
    deliver(&slots).unwrap();
    assert_eq!((open(), slots.room.get()), (2, 0));
    assert!(slots.take_reserve().is_some(), "it came back to where it was taken from");
}

#[test]
fn free_slots_are_those_that_are_open_and_those_in_reserve() {
    let slots = slots(4);
    let free = || (0..6).take_while(|count| slots.has_free(*count)).last().unwrap();
    assert_eq!(free(), 4, "before the gate opens");
    slots.open_gate(2);
    assert_eq!(free(), 4);
    outstanding(&slots).unwrap();
    assert_eq!(free(), 3);
    slots.wait([0; COMMAND_WORDS], |_| Ok(Payload::None), nobody()).unwrap();
    assert_eq!(free(), 2);
}

/// Everything stays as it is where the slots move to other memory.
#[test]
fn slots_that_move_are_what_they_were() {
    let slots = open(8);
    let out = outstanding(&slots).unwrap();
    let finished: Vec<_> = (0..2).map(|_| outstanding(&slots).unwrap()).collect();
    finished.iter().for_each(|request| complete(&slots, *request));
    slots.wait([9; COMMAND_WORDS], |_| Ok(Payload::None), nobody()).unwrap();
    let in_use = slots.in_use();
    slots.renew(Memory::new(Slots::memory_for(8)).unwrap()).unwrap();
    assert_eq!(slots.in_use(), in_use);
    for request in finished {
        assert_eq!(deliver(&slots).unwrap().cid(), request.1);
    }
    assert!(slots.has_waiting() && go(&slots).is_some_and(|(_, words, _)| words[0] == 9));
    complete(&slots, out);
    assert_eq!(deliver(&slots).unwrap().cid(), out.1);
}

/// A model of the account: what is with the controller, what is finished, and who waits.
struct Model {
    slots: Slots,
    cap: u32,
    out: RefCell<Vec<(u16, u16)>>,
    finished: Cell<u32>,
    waiting: Cell<u32>,
}

impl Model {
    fn submit(&self) {
        if let Some(request) = outstanding(&self.slots) {
            assert_eq!(self.waiting.get(), 0, "somebody was overtaken");
            self.out.borrow_mut().push(request);
        } else if self.slots.wait([0; COMMAND_WORDS], |_| Ok(Payload::None), nobody()).is_ok() {
            self.waiting.set(self.waiting.get() + 1);
        }
    }

    fn complete(&self, which: usize) {
        let mut out = self.out.borrow_mut();
        if !out.is_empty() {
            let which = which % out.len();
            complete(&self.slots, out.remove(which));
            self.finished.set(self.finished.get() + 1);
        }
    }

    fn deliver(&self) {
        let delivered = deliver(&self.slots).is_some();
        assert_eq!(delivered, self.finished.get() > 0);
        self.finished.set(self.finished.get().saturating_sub(1));
    }

    /// What a poll does at its end.
    fn settle(&self) {
        while let Some((slot, ..)) = go(&self.slots) {
            let id = self.slots.begin(slot);
            self.out.borrow_mut().push((id & self.slots.mask as u16, id));
            self.waiting.set(self.waiting.get() - 1);
        }
        self.slots.settle();
        let on_wire = self.out.borrow().len() as u32;
        assert!(self.waiting.get() == 0 || on_wire == self.cap, "room for one that waits");
        // Whatever is off the wire has given its room, as far as there are free slots.
        let open = self.slots.queue.list::<OPEN>().count() as u32;
        let in_use = on_wire + self.finished.get() + self.waiting.get();
        let free = u32::from(self.slots.count()) - in_use;
        if self.waiting.get() == 0 {
            assert_eq!(open, (self.cap - on_wire).min(free));
        }
    }

    fn check(&self) {
        let on_wire = self.out.borrow().len() as u32;
        assert!(on_wire <= self.cap, "{on_wire} of {} are out", self.cap);
        assert_eq!(self.slots.on_wire(), on_wire);
        assert_eq!(self.slots.in_use() as u32, on_wire + self.finished.get() + self.waiting.get());
        assert_eq!(self.slots.has_waiting(), self.waiting.get() > 0);
        let open = self.slots.queue.list::<OPEN>().count() as u32;
        let account = open + self.slots.room.get() + on_wire + self.finished.get() - self.slots.lent.get();
        assert_eq!(account, self.cap);
    }
}

proptest::proptest! {
    #[test]
    fn the_account_of_room_is_right(
        count in 1_u16..12, cap in 1_u32..16, steps in proptest::collection::vec((0_u8..5, 0_usize..16), 1..200),
    ) {
        let slots = slots(count);
        slots.open_gate(cap);
        let model = Model {
            slots,
            cap: cap.min(u32::from(count)),
            out: RefCell::default(),
            finished: Cell::new(0),
            waiting: Cell::new(0),
        };
        for (step, which) in steps {
            match step {
                0 | 1 => model.submit(),
                2 => model.complete(which),
                3 => model.deliver(),
                _ => model.settle(),
            }
            model.check();
        }
    }
}

/// The gate is shut as long as there are injections, and the account of room goes on past it.
#[test]
fn injections_keep_the_gate_shut() {
    let slots = slots(5);
    slots.open_gate(2);
    let injection = Injection {
        opcode: 2,
        held_for: Some(Duration::from_millis(1)),
        count: 2,
        status: Status::INVALID_FIELD,
    };
    slots.inject(injection).unwrap();
    let read = spec::Command::read(1, 0, 1);
    for now in [Moment::START, Moment::START.after(Duration::from_secs(1))] {
        assert!(slots.first_open().is_none());
        assert!(slots.holds_back(2) && !slots.holds_back(1));
        slots.hold(&read, nobody(), now).unwrap();
        slots.settle();
    }
    assert!(!slots.holds_back(2) && slots.has_held() && slots.first_open().is_none());
    // Two requests are held back, and the room is still for two commands.
    let begin = || slots.take_open().map(|slot| slots.begin(slot));
    let out: Vec<_> = std::iter::from_fn(begin).collect();
    assert_eq!((out.len(), slots.on_wire(), slots.in_use()), (2, 2, 4));
    slots.finish_held(Moment::START.after(Duration::from_millis(1)));
    assert_eq!(deliver(&slots).unwrap().status(), Status::INVALID_FIELD);
    assert!(deliver(&slots).is_none() && slots.has_held());
    slots.settle();
    assert!(begin().is_none(), "it had no room to give back");
    slots.remove_injection(2);
    slots.settle();
    complete(&slots, (out[0] & slots.mask as u16, out[0]));
    deliver(&slots).unwrap();
    assert!(outstanding(&slots).is_some(), "the gate is open");
    assert!(outstanding(&slots).is_none());
    slots.close_gate();
    slots.abort_all();
    let heard: Vec<_> = std::iter::from_fn(|| deliver(&slots)).collect();
    assert_eq!((heard.len(), slots.in_use(), slots.has_held()), (3, 0, false));
    assert!(heard.iter().all(|completion| completion.status() == Status::ABORTED_SQ_DELETION));
}

/// What goes the short way while nothing is watched has no time limit, whatever the slot's request before it had.
#[test]
fn a_time_limit_ends_with_the_watch() {
    let slots = open(1);
    slots.watch(Some(Duration::ZERO));
    let slot = slots.take_open().unwrap();
    slots.set_completer(slot, nobody(), false).unwrap();
    let id = slots.begin(slot);
    assert_eq!(slots.late(clock::now().after_exactly(Duration::from_secs(9))), [id]);
    complete(&slots, (id & slots.mask as u16, id));
    deliver(&slots).unwrap();
    let slot = slots.take_open().unwrap();
    slots.set_completer(slot, nobody(), false).unwrap();
    let id = slots.begin(slot);
    complete(&slots, (id & slots.mask as u16, id));
    deliver(&slots).unwrap();
    slots.watch(None);
    slots.settle();
    outstanding(&slots).unwrap();
    slots.watch(Some(Duration::ZERO));
    assert_eq!(slots.late(clock::now().after_exactly(Duration::from_secs(9))), []);
}
