//! What an account follows: a list that only ever grows.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::domain::stream::StreamIndex;

/// Streams, and what an adapter knows of each, by position and by key. More may be added at any time; what is in the
/// list stays where it is.
#[derive(Debug)]
pub(super) struct Followed<T>(RwLock<List<T>>);

#[derive(Debug)]
struct List<T> {
    items: Vec<Arc<T>>,
    positions: HashMap<String, StreamIndex>,
}

impl<T> Followed<T> {
    /// Nothing yet.
    pub(super) fn nothing() -> Self {
        Self(RwLock::new(List {
            items: Vec::new(),
            positions: HashMap::new(),
        }))
    }

    /// Adds an item at the end; false where its key is in the list already.
    pub(super) fn add(&self, key: String, item: T) -> bool {
        let mut list = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if list.positions.contains_key(&key) {
            return false;
        }
        let index = StreamIndex::new(list.items.len());
        list.positions.insert(key, index);
        list.items.push(Arc::new(item));
        true
    }

    /// The item at a position that the list has.
    pub(super) fn at(&self, index: StreamIndex) -> Arc<T> {
        self.list().items[index.get()].clone()
    }

    pub(super) fn first(&self) -> Option<Arc<T>> {
        self.list().items.first().cloned()
    }

    pub(super) fn position(&self, key: &str) -> Option<StreamIndex> {
        self.list().positions.get(key).copied()
    }

    pub(super) fn all(&self) -> Vec<Arc<T>> {
        self.list().items.clone()
    }

    /// A list is in order between any two statements above: no panic leaves it half-changed.
    fn list(&self) -> RwLockReadGuard<'_, List<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_list_stays_where_it_is_and_is_in_it_once() {
        let list = Followed::nothing();
        let added = [("a", 1), ("b", 2), ("a", 3), ("c", 4)]
            .map(|(key, item)| list.add(key.to_owned(), item));
        assert_eq!(added, [true, true, false, true]);
        assert_eq!(
            list.all().iter().map(|item| **item).collect::<Vec<_>>(),
            [1, 2, 4]
        );
        assert_eq!(
            (list.position("c"), list.position("d")),
            (Some(StreamIndex::new(2)), None)
        );
        assert_eq!(
            (*list.at(StreamIndex::new(1)), list.first().as_deref()),
            (2, Some(&1))
        );
    }
}
