//! Inputs made of other inputs, for where no compiler helps: a few random changes at a time, with the values that break
//! things more often than others.

/// Random numbers out of a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of the `number`-th input of a seed.
    #[must_use]
    pub fn of(seed: u64, number: u64) -> Self {
        let mut random = Self(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        let state = random.next();
        Self(state)
    }

    /// The next number.
    #[allow(clippy::should_implement_trait)] // not an iterator: it never ends
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `below`, or 0.
    pub fn below(&mut self, below: usize) -> usize {
        (self.next() % (below.max(1) as u64)) as usize
    }

    /// A range of a slice of `length`, mostly short.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        let most = [4, 16, 64, length][self.below(4)];
        start..(start + self.below(most + 1)).min(length)
    }
}

const EXTREMES: [u64; 10] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff, u64::MAX];

/// An input of at most `length` bytes out of one or two of `corpus`, or out of nothing.
#[must_use]
pub fn mutate(corpus: &[Vec<u8>], words: &[&str], length: usize, random: &mut Random) -> Vec<u8> {
    if corpus.is_empty() || random.below(16) == 0 {
        let most = [8, 64, length][random.below(3)];
        return (0..random.below(most + 1)).map(|_| random.next() as u8).collect();
    }
    let mut input = corpus[random.below(corpus.len())].clone();
    let other = &corpus[random.below(corpus.len())];
    let most = [2, 4, 16][random.below(3)];
    for _ in 0..=random.below(most) {
        change(&mut input, other, words, random);
    }
    input.truncate(length);
    input
}

fn change(input: &mut Vec<u8>, other: &[u8], words: &[&str], random: &mut Random) {
    let range = random.range(input.len());
    match random.below(11) {
        0 => {
            let at = random.below(input.len());
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            let at = random.below(input.len());
            if let Some(byte) = input.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        // A little-endian number at a place where one may be.
        2 | 3 => {
            let size = 1 << random.below(4);
            let at = random.below(input.len()) / size * size;
            let value = EXTREMES[random.below(EXTREMES.len())].wrapping_add(random.below(3) as u64);
            for (to, from) in input.iter_mut().skip(at).take(size).zip(value.to_le_bytes()) {
                *to = from;
            }
        }
        4 => input[range].fill([0, 0xff, b'a', random.next() as u8][random.below(4)]),
        5 => input[range].iter_mut().for_each(|byte| *byte = random.next() as u8),
        6 => drop(input.drain(range)),
        7 => input.truncate(range.start),
        // A piece of its own, or of another, once more.
        8 | 9 => {
            let from = if random.below(2) == 0 { input.clone() } else { other.to_vec() };
            let piece = random.range(from.len());
            let until = if random.below(2) == 0 { range.start } else { range.end };
            input.splice(range.start..until, from[piece].iter().copied());
        }
        _ if words.is_empty() => input.extend_from_slice(&other[random.range(other.len())]),
        _ => {
            let word = words[random.below(words.len())].bytes();
            input.splice(range.start..range.start, word.chain([b' ']));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_its_seed_and_number() {
        let corpus = [vec![1; 100], vec![], (0..=255).collect()];
        let made = |number| mutate(&corpus, &["word"], 200, &mut Random::of(7, number));
        for number in 0..5_000 {
            assert_eq!(made(number), made(number));
            assert!(made(number).len() <= 200);
        }
        assert_ne!(made(1), made(2));
    }
}
