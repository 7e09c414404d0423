//! What a seated queue pair has is its own, and what has ended is not used.

use std::rc::Rc;
use verbs::{QueuePair, Registration, Seat, SeatedQueuePair, SendQueue};

fn registrations_go_with_the_queue_pair(queue_pair: QueuePair, seat: &Rc<Seat>, all: Vec<Registration>) {
    let _seated = queue_pair.take_seat(seat, all);
    drop(all);
}

fn a_seated_queue_pair_is_not_destroyed_alone(seated: &SeatedQueuePair) {
    let _ = QueuePair::destroy(*seated.queue_pair());
}

fn what_was_destroyed_is_not_used(seated: SeatedQueuePair) {
    let _ = seated.destroy();
    let _ = seated.queue_pair();
}

fn a_slot_does_not_outlive_its_queue(queue: SendQueue<[u64; 6], 1>) {
    let slot = queue.slot(0);
    drop(queue);
    let _ = slot.map(|slot| slot.read());
}

fn main() {}
