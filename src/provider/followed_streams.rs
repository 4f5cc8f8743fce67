//! The streams that an account follows: a list that only grows.

use std::collections::HashMap;
use std::sync::{Arc, RwLock, RwLockReadGuard};

use crate::domain::lock::{read_lock, write_lock};
use crate::domain::stream::StreamIndex;

/// The followed streams, with an adapter's data for each, by index and by key. Streams may be added
/// at any time; an index never changes.
#[derive(Debug)]
pub(super) struct FollowedStreams<T>(RwLock<FollowedItems<T>>);

#[derive(Debug)]
struct FollowedItems<T> {
    items: Vec<Arc<T>>,
    indices: HashMap<String, StreamIndex>,
}

impl<T> FollowedStreams<T> {
    pub(super) fn new() -> Self {
        Self(RwLock::new(FollowedItems {
            items: Vec::new(),
            indices: HashMap::new(),
        }))
    }

    /// Adds an item at the end. Returns false if its key is in the list already.
    pub(super) fn add(&self, key: String, item: T) -> bool {
        let mut list = write_lock(&self.0);
        if list.indices.contains_key(&key) {
            return false;
        }
        let index = StreamIndex::new(list.items.len());
        list.indices.insert(key, index);
        list.items.push(Arc::new(item));
        true
    }

    /// The item at an index that [`Self::index_of`] or the length has named. Panics for any other.
    pub(super) fn at(&self, index: StreamIndex) -> Arc<T> {
        self.read().items[index.get()].clone()
    }

    pub(super) fn first(&self) -> Option<Arc<T>> {
        self.read().items.first().cloned()
    }

    pub(super) fn index_of(&self, key: &str) -> Option<StreamIndex> {
        self.read().indices.get(key).copied()
    }

    pub(super) fn all(&self) -> Vec<Arc<T>> {
        self.read().items.clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, FollowedItems<T>> {
        // The list is consistent between any two statements above: no panic leaves it half-changed.
        read_lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_item_keeps_its_index_and_is_added_once() {
        let list = FollowedStreams::new();
        let added = [("a", 1), ("b", 2), ("a", 3), ("c", 4)]
            .map(|(key, item)| list.add(key.to_owned(), item));
        assert_eq!(added, [true, true, false, true]);
        assert_eq!(
            list.all().iter().map(|item| **item).collect::<Vec<_>>(),
            [1, 2, 4]
        );
        assert_eq!(
            (list.index_of("c"), list.index_of("d")),
            (Some(StreamIndex::new(2)), None)
        );
        assert_eq!(
            (*list.at(StreamIndex::new(1)), list.first().as_deref()),
            (2, Some(&1))
        );
    }
}
