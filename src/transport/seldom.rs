//! A list of what there seldom is: one word while it is empty, since each qpair has such lists.

use std::cell::Cell;

/// The list. It is used within [`Seldom::with`] only, which is not to be called within itself: there it would be empty.
pub(super) struct Seldom<T>(Cell<Option<Box<List<T>>>>);

struct List<T>(Vec<T>);

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(Cell::new(None))
    }
}

impl<T> Seldom<T> {
    /// Whether there is anything.
    pub(super) fn any(&self) -> bool {
        let list = self.0.take();
        let any = list.is_some();
        self.0.set(list);
        any
    }

    /// Uses the list, and keeps what is in it then.
    pub(super) fn with<R>(&self, use_list: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let mut taken = self.0.take();
        let mut fresh = List(Vec::new());
        let list = taken.as_deref_mut().unwrap_or(&mut fresh);
        let result = use_list(&mut list.0);
        let has_some = !list.0.is_empty();
        self.0.set(if has_some { taken.or_else(|| Some(Box::new(fresh))) } else { None });
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list_while_there_is_something() {
        let list = Seldom::default();
        assert!(!list.any() && list.with(|list| list.is_empty()));
        list.with(|list| list.push(1));
        list.with(|list| list.push(2));
        assert!(list.any() && list.with(|list| list.clone()) == [1, 2]);
        assert_eq!(list.with(Vec::pop), Some(2));
        list.with(Vec::clear);
        assert!(!list.any() && list.with(|list| list.capacity()) == 0);
        assert_eq!(size_of::<Seldom<u64>>(), size_of::<usize>());
    }
}
