//! Registrations are given back by the end of their queue pair, which its destruction alone makes.

use verbs::{Ended, Registration};

fn an_end_is_not_made_up(registrations: Vec<Registration>) -> Ended {
    Ended { _registrations: registrations }
}

fn main() {}
