//! Something for each flow of a worker, found by the flow's index.

use hioload_buffer::ChunkedVec;
use hioload_net::FlowId;

pub(crate) struct FlowTable<T> {
    slots: ChunkedVec<Slot<T>>,
    len: usize,
}

struct Slot<T> {
    /// Of the flow whose value is here, if one is.
    generation: u32,
    value: Option<T>,
}

impl<T> FlowTable<T> {
    pub(crate) fn new() -> Self {
        Self { slots: ChunkedVec::new(), len: 0 }
    }

    /// Takes `value` in; the place is free, since a place is given to one flow at a time.
    pub(crate) fn insert(&mut self, flow: FlowId, value: T) {
        let vacant = || Slot { generation: 0, value: None };
        let slot = self.slots.reach(flow.index as usize, vacant);
        slot.generation = flow.generation;
        if slot.value.replace(value).is_none() {
            self.len += 1;
        }
    }

    /// Whether the flow has not ended.
    pub(crate) fn contains(&self, flow: FlowId) -> bool {
        self.get(flow).is_some()
    }

    /// `None` when the flow has ended, even if its place is taken by a later one.
    pub(crate) fn get(&self, flow: FlowId) -> Option<&T> {
        let slot = self.slots.get(flow.index as usize)?;
        if slot.generation == flow.generation { slot.value.as_ref() } else { None }
    }

    /// See [`get`](Self::get).
    pub(crate) fn get_mut(&mut self, flow: FlowId) -> Option<&mut T> {
        let slot = self.slots.get_mut(flow.index as usize)?;
        if slot.generation == flow.generation { slot.value.as_mut() } else { None }
    }

    pub(crate) fn remove(&mut self, flow: FlowId) -> Option<T> {
        let slot = self.slots.get_mut(flow.index as usize)?;
        if slot.generation != flow.generation {
            return None;
        }
        let value = slot.value.take()?;
        self.len -= 1;
        Some(value)
    }

    /// How many flows there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Flows among the places `from..to`, and whether there are places behind them.
    pub(crate) fn range(&self, from: usize, to: usize) -> (Vec<FlowId>, bool) {
        let end = to.min(self.slots.len());
        let flows = (from.min(end)..end)
            .filter_map(|index| {
                let slot = self.slots.get(index).filter(|slot| slot.value.is_some())?;
                let index = u32::try_from(index).expect("an index of a flow");
                Some(FlowId { index, generation: slot.generation })
            })
            .collect();
        (flows, end < self.slots.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_flow_in_the_same_place_is_another() {
        let mut table = FlowTable::new();
        let (first, second) =
            (FlowId { index: 2, generation: 0 }, FlowId { index: 2, generation: 1 });
        table.insert(first, "first");
        assert_eq!(table.remove(first), Some("first"));
        table.insert(second, "second");
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get_mut(second), Some(&mut "second"));
        assert_eq!(table.range(0, 9).0, [second]);
        assert_eq!(table.range(0, usize::MAX), (vec![second], false));
        assert_eq!(table.len(), 1);
    }
}
