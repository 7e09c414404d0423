//! Registrations are given back when their queue pair has been destroyed: not while it lives, and by nobody else.

use verbs::{Ended, Registration, SeatedQueuePair};

fn registrations_are_not_taken(seated: SeatedQueuePair) -> Vec<Registration> {
    seated.registrations
}

fn an_end_is_not_made_up(registrations: Vec<Registration>) -> Ended {
    Ended { _registrations: registrations }
}

fn an_end_is_not_copied(ended: &Ended) -> Ended {
    ended.clone()
}

fn main() {}
