//! What one thread rewrites while others read it, C among them: without a lock for the readers, and for them never half old, half new.
//!
//! What must hold: one thread writes at a time; its callers have a lock of their own for that. A reader spins only while a writer is
//! in the middle of a few stores.

use super::admin::BUFFER_SIZE;
use std::{
    hint::spin_loop,
    ops::Range,
    sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
};

/// Some words that readers get whole.
#[derive(Debug)]
pub(super) struct Published<const N: usize> {
    /// Odd while the words are being written.
    version: AtomicU32,
    words: [AtomicU64; N],
}

impl<const N: usize> Published<N> {
    pub(super) fn new(words: [u64; N]) -> Self {
        Self { version: AtomicU32::new(0), words: words.map(AtomicU64::new) }
    }

    /// Writes all words.
    pub(super) fn write(&self, words: [u64; N]) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // No word is seen before the version that says so.
        fence(Ordering::Release);
        self.words.iter().zip(words).for_each(|(to, word)| to.store(word, Ordering::Relaxed));
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// All words, of one writing.
    #[inline]
    pub(super) fn read(&self) -> [u64; N] {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let words =
                std::array::from_fn(|at| self.words.get(at).map_or(0, |word| word.load(Ordering::Relaxed)));
            // No word was read after the version that comes now.
            fence(Ordering::Acquire);
            if version & 1 == 0 && self.version.load(Ordering::Relaxed) == version {
                return words;
            }
            spin_loop();
        }
    }

    /// Where some of the words are, for C, which reads them as they come.
    pub(super) fn address(&self, words: Range<usize>) -> *const u8 {
        self.words.get(words).unwrap_or_default().as_ptr().cast()
    }
}

/// A page of data from a controller that C has a pointer to: it stays where it is, and is rewritten in place.
#[derive(Debug)]
pub struct SharedPage(Box<[AtomicU64]>);

impl SharedPage {
    /// A page of zeros. None if there is no memory for it.
    pub(super) fn new() -> Option<Self> {
        let mut words = Vec::new();
        words.try_reserve_exact(BUFFER_SIZE / 8).ok()?;
        words.resize_with(BUFFER_SIZE / 8, AtomicU64::default);
        Some(Self(words.into_boxed_slice()))
    }

    /// Writes data to its beginning, and zeros behind them.
    pub(super) fn write(&self, data: &[u8]) {
        let mut chunks = data.chunks(8);
        for word in &self.0 {
            let mut bytes = [0; 8];
            let chunk = chunks.next().unwrap_or_default();
            bytes.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
    }

    /// What it says now.
    pub fn read(&self) -> [u8; BUFFER_SIZE] {
        let mut data = [0; BUFFER_SIZE];
        for (to, word) in data.as_chunks_mut::<8>().0.iter_mut().zip(&self.0) {
            *to = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        data
    }

    /// Where it is.
    pub fn address(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::atomic::AtomicBool, thread};

    #[test]
    fn a_reader_never_sees_two_writings_mixed() {
        let published = Published::new([0; 8]);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let words = published.read();
                    assert!(words.iter().all(|word| *word == words[0]), "{words:?}");
                    assert!(words[0] >= last, "{} after {last}", words[0]);
                    last = words[0];
                }
                last
            });
            (1..=200_000).for_each(|word| published.write([word; 8]));
            done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
        assert_eq!(published.read(), [200_000; 8]);
    }

    #[test]
    fn a_page_is_rewritten_where_it_is() {
        let page = SharedPage::new().unwrap();
        let address = page.address();
        page.write(&[7; BUFFER_SIZE]);
        assert_eq!(page.read(), [7; BUFFER_SIZE]);
        page.write(&[1, 2, 3]);
        assert_eq!((&page.read()[..4], page.address()), (&[1, 2, 3, 0][..], address));
        assert!(page.read()[3..].iter().all(|byte| *byte == 0));
    }
}
