//! A seat, and all that has a share of it, stays with its thread.

use verbs::{ReceiveQueue, Seat, SeatedQueuePair, SendQueue, Slot};

trait Sent: Sized {
    fn to_another_thread(self);
}

impl<T: Send + 'static> Sent for T {
    fn to_another_thread(self) {
        std::thread::spawn(move || drop(self));
    }
}

fn seated(it: SeatedQueuePair) {
    it.to_another_thread();
}

fn seat(it: Seat) {
    it.to_another_thread();
}

fn sends(it: SendQueue<[u64; 6], 1>) {
    it.to_another_thread();
}

fn receives(it: ReceiveQueue) {
    it.to_another_thread();
}

fn slot(it: Slot<'static, [u64; 6], 1>) {
    it.to_another_thread();
}

/// A queue pair that has no seat may go.
fn queue_pair(it: verbs::QueuePair) {
    it.to_another_thread();
}

fn main() {}
