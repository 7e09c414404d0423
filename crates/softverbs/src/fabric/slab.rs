//! Slots with generations: an index that outlives its object is noticed, not followed.
//!
//! A freed slot is used again only after every other free slot (first freed, first reused).

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;

/// Names one object of a [`Slab`] for as long as it lives.
pub struct Key<T> {
    index: u32,
    generation: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key from its two numbers, as they are kept in a C object's cell.
    pub const fn from_parts(index: u32, generation: u32) -> Self {
        Self { index, generation, kind: PhantomData }
    }

    /// Index and generation.
    pub fn parts(self) -> (u32, u32) {
        (self.index, self.generation)
    }

    /// The slot's index: small, and used again once the object is gone.
    pub fn index(self) -> u32 {
        self.index
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}
impl<T> Eq for Key<T> {}
impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Objects of one kind.
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: VecDeque<u32>,
    live: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    /// No objects.
    pub const fn new() -> Self {
        Self { slots: Vec::new(), free: VecDeque::new(), live: 0 }
    }

    /// The key that the next [`insert`](Self::insert) returns.
    pub fn next_key(&self) -> Key<T> {
        match self.free.front().and_then(|&i| self.slots.get(i as usize).map(|s| (i, s.generation))) {
            Some((index, generation)) => Key::from_parts(index, generation),
            None => Key::from_parts(self.slots.len() as u32, 1),
        }
    }

    /// Keeps `value` and names it.
    pub fn insert(&mut self, value: T) -> Key<T> {
        self.live += 1;
        if let Some(index) = self.free.pop_front()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.value = Some(value);
            return Key::from_parts(index, slot.generation);
        }
        let index = self.slots.len() as u32;
        self.slots.push(Slot { generation: 1, value: Some(value) });
        Key::from_parts(index, 1)
    }

    /// Takes the object out; its key names nothing from now on.
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize).filter(|s| s.generation == key.generation)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push_back(key.index);
        self.live -= 1;
        Some(value)
    }

    /// The object, if it still lives.
    #[inline]
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        match self.slots.get(key.index as usize) {
            Some(slot) if slot.generation == key.generation => slot.value.as_ref(),
            _ => None,
        }
    }

    /// The object, if it still lives.
    #[inline]
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        match self.slots.get_mut(key.index as usize) {
            Some(slot) if slot.generation == key.generation => slot.value.as_mut(),
            _ => None,
        }
    }

    /// Two different objects at once; none if either is gone or both are the same.
    #[inline]
    pub fn get_two(&mut self, a: Key<T>, b: Key<T>) -> Option<(&mut T, &mut T)> {
        let [x, y] = self.slots.get_disjoint_mut([a.index as usize, b.index as usize]).ok()?;
        if x.generation != a.generation || y.generation != b.generation {
            return None;
        }
        Some((x.value.as_mut()?, y.value.as_mut()?))
    }

    /// Whatever lives at this index now.
    #[inline]
    pub fn at(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize).and_then(|s| s.value.as_ref())
    }

    /// Whatever lives at this index now.
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize).and_then(|s| s.value.as_mut())
    }

    /// All live objects.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(i, s)| s.value.as_ref().map(|v| (Key::from_parts(i as u32, s.generation), v)))
    }

    /// Keys of all live objects, detached from the slab.
    pub fn keys(&self) -> Vec<Key<T>> {
        self.iter().map(|(k, _)| k).collect()
    }

    /// If nothing lives: from now on slots are used in the order in which they were made first. Their generations go on.
    pub fn rewind(&mut self) {
        if self.live == 0 {
            self.free = (0..self.slots.len() as u32).collect();
        }
    }

    /// How many live.
    pub fn len(&self) -> usize {
        self.live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_reach_the_next_object_of_its_slot() {
        let mut slab = Slab::new();
        let a = slab.insert(1);
        assert_eq!(slab.remove(a), Some(1));
        let b = slab.insert(2);
        assert_eq!(a.index(), b.index());
        assert_eq!(slab.get(a), None);
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.get(b), Some(&2));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn the_next_key_is_the_next_key() {
        let mut slab = Slab::new();
        for round in 0..3 {
            let expected = slab.next_key();
            let key = slab.insert(round);
            assert_eq!(expected, key);
            if round == 1 {
                slab.remove(key);
            }
        }
    }

    #[test]
    fn two_at_once_only_if_they_are_two() {
        let mut slab = Slab::new();
        let a = slab.insert(1);
        let b = slab.insert(2);
        assert!(slab.get_two(a, a).is_none());
        let (x, y) = slab.get_two(a, b).unwrap();
        std::mem::swap(x, y);
        assert_eq!((slab.get(a), slab.get(b)), (Some(&2), Some(&1)));
    }
}
