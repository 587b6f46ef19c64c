//! What a transport keeps of each connection of a worker, by [`FlowId`].

use hioload_buffer::ChunkedVec;

use crate::FlowId;

/// Values in dense places that are used again. A [`FlowId`] whose connection has gone finds
/// nothing, whoever has its place now.
pub(crate) struct FlowSlots<T> {
    slots: ChunkedVec<Slot<T>>,
    /// Places that were used.
    used: u32,
    free: Vec<u32>,
}

/// In cache lines of its own: a delivery touches one where the value is no larger.
#[repr(align(64))]
struct Slot<T> {
    /// Of the value that is here or, in a free place, of the one that comes next.
    generation: u32,
    value: Option<T>,
}

impl<T> FlowSlots<T> {
    pub(crate) fn new() -> Self {
        Self { slots: ChunkedVec::new(), used: 0, free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, value: T) -> FlowId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        });
        let slot = self.slots.reach(index as usize, || Slot { generation: 0, value: None });
        slot.value = Some(value);
        FlowId { index, generation: slot.generation }
    }

    #[inline]
    pub(crate) fn get(&self, flow: FlowId) -> Option<&T> {
        let slot = self.slots.get(flow.index as usize)?;
        if slot.generation == flow.generation { slot.value.as_ref() } else { None }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, flow: FlowId) -> Option<&mut T> {
        let slot = self.slots.get_mut(flow.index as usize)?;
        if slot.generation == flow.generation { slot.value.as_mut() } else { None }
    }

    /// Has the place of `flow` come into the caches, all of it.
    #[inline]
    pub(crate) fn prefetch(&self, flow: FlowId) {
        self.prefetch_at(flow.index as usize);
    }

    /// Has a place come into the caches, whoever is there.
    #[inline]
    pub(crate) fn prefetch_at(&self, index: usize) {
        if let Some(slot) = self.slots.get(index) {
            hioload_mem::prefetch_all(slot);
        }
    }

    /// Whatever is in a place.
    #[inline]
    pub(crate) fn at(&mut self, index: usize) -> Option<(FlowId, &mut T)> {
        let slot = self.slots.get_mut(index)?;
        let flow = FlowId { index: u32::try_from(index).ok()?, generation: slot.generation };
        Some((flow, slot.value.as_mut()?))
    }

    /// Likewise, to be looked at.
    pub(crate) fn peek(&self, index: usize) -> Option<&T> {
        self.slots.get(index)?.value.as_ref()
    }

    /// All values, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FlowId, &T)> {
        (0..self.used).filter_map(|index| {
            let slot = self.slots.get(index as usize)?;
            Some((FlowId { index, generation: slot.generation }, slot.value.as_ref()?))
        })
    }

    pub(crate) fn remove(&mut self, flow: FlowId) -> Option<T> {
        let slot = self.slots.get_mut(flow.index as usize)?;
        if slot.generation != flow.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(flow.index);
        Some(value)
    }

    /// Bytes of a place.
    #[cfg(test)]
    pub(crate) const SLOT_BYTES: usize = size_of::<Slot<T>>();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_void_id_finds_nothing_though_its_place_is_used_again() {
        let mut slots = FlowSlots::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        assert_eq!(slots.remove(first), None);
        assert!(slots.at(0).is_none());
        let second = slots.insert("second");
        assert_eq!((second.index, second.generation), (first.index, 1));
        assert!(slots.get(first).is_none() && slots.get_mut(first).is_none());
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
        assert_eq!(slots.at(0).map(|(id, _)| id), Some(second));
        assert!(slots.at(1).is_none());
        assert_eq!(slots.iter().collect::<Vec<_>>(), [(second, &"second")]);
    }
}
