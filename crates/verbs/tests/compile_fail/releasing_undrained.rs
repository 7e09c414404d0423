//! Registrations are not taken from a queue pair that has a seat, and may still use them.

use verbs::{Registration, SeatedQueuePair};

fn registrations_are_not_taken(seated: SeatedQueuePair) -> Vec<Registration> {
    seated.registrations
}

fn main() {}
