//! Which of the things that come is meant: by number, counted from the moment the command was given, or by chance.

use std::fmt;

use crate::fabric::Random;

/// `3`, `2-4`, `2-` (from then on), `always`, or `30%` (each with that chance).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Which {
    first: u64,
    last: u64,
    percent: u8,
    seen: u64,
}

impl Which {
    /// From a word of a command.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' says not which: N, N-M, N-, always, or P%");
        let number = |t: &str| t.parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(wrong);
        let (first, last, percent) = if text == "always" {
            (1, u64::MAX, 0)
        } else if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.parse().ok().filter(|p| (1..=100).contains(p)).ok_or_else(wrong)?;
            (1, u64::MAX, percent)
        } else if let Some((first, last)) = text.split_once('-') {
            let last = if last.is_empty() { u64::MAX } else { number(last)? };
            (number(first)?, last, 0)
        } else {
            (number(text)?, number(text)?, 0)
        };
        if first > last {
            return Err(wrong());
        }
        Ok(Self { first, last, percent, seen: 0 })
    }

    /// The next one that comes.
    pub fn next() -> Self {
        Self { first: 1, last: 1, percent: 0, seen: 0 }
    }

    /// One came: whether it is meant.
    pub fn hits(&mut self, chance: &mut Random) -> bool {
        self.seen += 1;
        if self.percent > 0 {
            return chance.next() % 100 < u64::from(self.percent);
        }
        (self.first..=self.last).contains(&self.seen)
    }

    /// None of those to come is meant.
    pub fn is_spent(&self) -> bool {
        self.seen >= self.last
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.percent, self.first, self.last) {
            (0, 1, u64::MAX) => write!(f, "always")?,
            (0, first, u64::MAX) => write!(f, "{first}-")?,
            (0, first, last) if first == last => write!(f, "{first}")?,
            (0, first, last) => write!(f, "{first}-{last}")?,
            (percent, ..) => write!(f, "{percent}%")?,
        }
        write!(f, " ({} seen)", self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(text: &str) -> Vec<u64> {
        let mut which = Which::parse(text).unwrap();
        let mut chance = Random(1);
        (1..=6).filter(|_| which.hits(&mut chance)).map(|_| 0).collect()
    }

    #[test]
    fn by_number_and_by_chance() {
        let mut which = Which::parse("2-3").unwrap();
        let mut chance = Random(1);
        let seen: Vec<bool> = (0..4).map(|_| which.hits(&mut chance)).collect();
        assert_eq!(seen, [false, true, true, false]);
        assert!(which.is_spent());
        assert_eq!(
            (hits("4").len(), hits("2-").len(), hits("always").len(), hits("100%").len()),
            (1, 5, 6, 6)
        );
        for wrong in ["0", "", "-", "3-2", "0-1", "x", "101%", "0%", "-1"] {
            assert!(Which::parse(wrong).is_err(), "{wrong}");
        }
    }
}
