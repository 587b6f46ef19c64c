//! A list that grows without moving what is in it.

use std::ops::{Index, IndexMut};

/// Items by index, in chunks of [`CHUNK_LEN`](Self::CHUNK_LEN).
///
/// A `Vec` that grows by doubling copies everything at once, in whatever turn that falls, and owns
/// up to twice the memory it needs. This one allocates a chunk and copies nothing.
pub struct ChunkedVec<T> {
    chunks: Vec<Box<[T; CHUNK_LEN]>>,
}

const CHUNK_LEN: usize = 256;

impl<T> ChunkedVec<T> {
    /// Items that come into being together.
    pub const CHUNK_LEN: usize = CHUNK_LEN;

    /// No items, and no memory.
    pub const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// How many items there are: a multiple of [`CHUNK_LEN`](Self::CHUNK_LEN).
    pub fn len(&self) -> usize {
        self.chunks.len() * CHUNK_LEN
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The item at `index`. If there is none, adds items that `make` makes until there is.
    pub fn reach(&mut self, index: usize, mut make: impl FnMut() -> T) -> &mut T {
        while index >= self.len() {
            let chunk: Box<[T]> = (0..CHUNK_LEN).map(|_| make()).collect();
            let Ok(chunk) = chunk.try_into() else { unreachable!("it has that length") };
            self.chunks.push(chunk);
        }
        &mut self.chunks[index / CHUNK_LEN][index % CHUNK_LEN]
    }

    /// The item at `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        Some(&self.chunks.get(index / CHUNK_LEN)?[index % CHUNK_LEN])
    }

    /// Has the item at `index`, if there is one, come into the caches; its first cache line.
    #[inline]
    pub fn prefetch(&self, index: usize) {
        if let Some(item) = self.get(index) {
            hioload_mem::prefetch(item);
        }
    }

    /// The item at `index`, to be changed.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        Some(&mut self.chunks.get_mut(index / CHUNK_LEN)?[index % CHUNK_LEN])
    }
}

impl<T> Index<usize> for ChunkedVec<T> {
    type Output = T;

    /// # Panics
    /// When there is no item at `index`.
    fn index(&self, index: usize) -> &T {
        self.get(index).expect("an item at the index")
    }
}

impl<T> IndexMut<usize> for ChunkedVec<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        self.get_mut(index).expect("an item at the index")
    }
}

impl<T> Default for ChunkedVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_where_they_are_while_the_list_grows() {
        let mut numbers = 0..;
        let mut list = ChunkedVec::new();
        assert!(list.get(0).is_none() && list.is_empty());
        list.reach(0, || numbers.next());
        let place = std::ptr::from_ref(&list[7]).addr();
        list.reach(1_000, || numbers.next());
        assert_eq!(std::ptr::from_ref(&list[7]).addr(), place);
        assert_eq!(list.len(), 1_024);
        assert!((0..1_024).all(|index| list.get(index) == Some(&Some(index))));
        assert!(list.get(1_024).is_none() && list.get_mut(1_024).is_none());
    }
}
