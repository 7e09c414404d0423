//! Values by their place, and places that are used again: nothing is allocated where as many values were before.

use std::cell::Cell;

/// The most values: a place has 15 bits, with room for a mark.
const MOST: usize = 0x7fff;

/// Values, each at a place.
pub(super) struct Slab<T>(Cell<Places<T>>);

struct Places<T> {
    values: Vec<Option<T>>,
    /// The places without one; there is room for all of them.
    free: Vec<u16>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self(Cell::default())
    }
}

impl<T> Slab<T> {
    /// The place that the value got. None if there is no memory for it.
    pub(super) fn insert(&self, value: T) -> Option<u16> {
        self.with(|Places { values, free }| {
            if let Some(place) = free.pop()
                && let Some(there) = values.get_mut(usize::from(place))
            {
                *there = Some(value);
                return Some(place);
            }
            let place = u16::try_from(values.len()).ok().filter(|place| usize::from(*place) < MOST)?;
            values.try_reserve(1).ok()?;
            free.try_reserve(values.len() + 1).ok()?;
            values.push(Some(value));
            Some(place)
        })
    }

    /// Takes the value out of a place.
    pub(super) fn take(&self, place: u16) -> Option<T> {
        self.with(|Places { values, free }| {
            let value = values.get_mut(usize::from(place))?.take()?;
            free.push(place);
            Some(value)
        })
    }

    /// Changes the value at a place, if there is one.
    pub(super) fn change(&self, place: u16, change: impl FnOnce(&mut T)) {
        self.with(|places| places.values.get_mut(usize::from(place))?.as_mut().map(change));
    }

    /// What is known of the value at a place.
    pub(super) fn get<R>(&self, place: u16, get: impl FnOnce(&T) -> R) -> Option<R> {
        self.with(|places| Some(get(places.values.get(usize::from(place))?.as_ref()?)))
    }

    /// Whether there is none.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.with(|places| places.values.iter().all(Option::is_none))
    }

    fn with<R>(&self, use_places: impl FnOnce(&mut Places<T>) -> R) -> R {
        let mut places = self.0.take();
        let result = use_places(&mut places);
        // What is replaced is the empty one from above, which owns nothing.
        std::mem::forget(self.0.replace(places));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_a_value_is_taken_once() {
        let slab = Slab::default();
        let places: Vec<_> = (0..4).map(|value| slab.insert(value).unwrap()).collect();
        assert_eq!(places, [0, 1, 2, 3]);
        assert_eq!((slab.take(1), slab.take(1), slab.take(4)), (Some(1), None, None));
        assert_eq!((slab.insert(7), slab.insert(8)), (Some(1), Some(4)));
        slab.change(1, |value| *value = 9);
        assert_eq!((slab.get(1, |value| *value), slab.take(1)), (Some(9), Some(9)));
        slab.change(1, |_| panic!("there is none"));
        assert_eq!(slab.get(1, |value| *value), None);
        for place in [0, 2, 3, 4] {
            assert!(!slab.is_empty());
            slab.take(place).unwrap();
        }
        assert!(slab.is_empty());
    }

    #[test]
    fn there_is_a_most() {
        let slab = Slab::default();
        for _ in 0..MOST {
            slab.insert(()).unwrap();
        }
        assert_eq!(slab.insert(()), None);
        slab.take(77).unwrap();
        assert_eq!((slab.insert(()), slab.insert(())), (Some(77), None));
    }
}
