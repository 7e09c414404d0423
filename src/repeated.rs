//! What may be said again and again: by a program's mistake with each I/O, or by a lack that lasts.
//!
//! What must hold: however often it happens, the lines about it are few, and the last of them says how often that was.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is said of something that may happen without end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    None,
    Plain,
    /// With how often it happened.
    Sum(u64),
}

/// How often something happened that may happen without end.
pub(crate) struct Repeated(AtomicU64);

impl Repeated {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// It happened once more: what is said of that.
    pub(crate) fn next(&self) -> Line {
        worth_a_line(self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1))
    }
}

/// The first three times have a line, then each power of two has one that sums up.
fn worth_a_line(nth: u64) -> Line {
    match nth {
        0..=3 => Line::Plain,
        nth if nth.is_power_of_two() => Line::Sum(nth),
        _ => Line::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_told_a_few_times() {
        let said: Vec<_> = (1..=1000).filter(|nth| worth_a_line(*nth) != Line::None).collect();
        assert_eq!(said, [1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!((worth_a_line(3), worth_a_line(4)), (Line::Plain, Line::Sum(4)));
        let repeated = Repeated::new();
        assert_eq!([(); 5].map(|()| repeated.next() == Line::None), [false, false, false, false, true]);
    }
}
