//! What is posted goes through the seat of its queue, which a queue pair alone takes.

use std::rc::Rc;
use verbs::{Memory, QueuePair, ReceiveQueue, Seat, SendQueue, Slot};

fn a_queue_pair_posts_no_slot(queue_pair: QueuePair, slot: Slot<'_, [u64; 6], 1>) {
    queue_pair.post(slot);
}

fn sends_need_a_seat(memory: Rc<Memory>, none: ()) {
    let _ = SendQueue::<[u64; 6], 1>::new(memory, 1, 1, none, |_| [0; 6]);
}

fn receives_need_a_seat(memory: Rc<Memory>, none: ()) {
    let _ = ReceiveQueue::new(memory, 1, none);
}

fn nobody_else_fills_a_seat(seat: &Seat) {
    let _ = unsafe { seat.take(std::ptr::null_mut()) };
}

fn main() {}
