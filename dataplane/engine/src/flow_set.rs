//! A queue of flows in which each stands at most once.

use std::collections::HashSet;
use std::mem;

use hioload_net::FlowId;

/// First in, first out; a flow that is in it already is not added again. One bit per place: only
/// flows that exist are added, and one that is closed is taken out by [`forget`](Self::forget).
#[derive(Default)]
pub(crate) struct FlowSet {
    /// The flows in order, behind those that were taken out.
    order: Vec<FlowId>,
    taken: usize,
    present: Vec<u64>,
    /// Flows that were closed while they stood in the queue, and stand there still: few.
    void: HashSet<FlowId>,
}

impl FlowSet {
    /// Adds `flow` at the end unless it is in the set.
    pub(crate) fn insert(&mut self, flow: FlowId) {
        let (word, bit) = place(flow);
        if word >= self.present.len() {
            self.present.resize(word + 1, 0);
        }
        if self.present[word] & bit == 0 {
            self.present[word] |= bit;
            if self.order.len() == self.order.capacity() {
                self.make_room();
            }
            self.order.push(flow);
        }
    }

    /// Where half of the list or more was taken out, moves the rest to the front: so each flow is
    /// moved once at most, and the list is no longer than twice what was ever in the set at once.
    #[cold]
    fn make_room(&mut self) {
        if self.taken >= self.order.len() / 2 {
            self.order.drain(..mem::take(&mut self.taken));
        }
    }

    /// Takes the flow out that has waited longest; one that was closed meanwhile is none any more.
    pub(crate) fn pop(&mut self) -> Option<FlowId> {
        let flow = *self.order.get(self.taken)?;
        self.taken += 1;
        if self.taken == self.order.len() {
            self.order.clear();
            self.taken = 0;
        }
        // The bit is that of the next flow in its place, which waits for its turn.
        let is_void = !self.void.is_empty() && self.void.remove(&flow);
        if !is_void {
            let (word, bit) = place(flow);
            self.present[word] &= !bit;
        }
        Some(flow)
    }

    /// The flow that is taken out after `count` others.
    pub(crate) fn ahead(&self, count: usize) -> Option<FlowId> {
        self.order.get(self.taken + count).copied()
    }

    pub(crate) fn contains(&self, flow: FlowId) -> bool {
        let (word, bit) = place(flow);
        self.present.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len() - self.taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets the next flow in the place of `flow`, which was closed, be added: the entry that may
    /// still be in the queue is void, and must not keep it out.
    pub(crate) fn forget(&mut self, flow: FlowId) {
        let (word, bit) = place(flow);
        if let Some(word) = self.present.get_mut(word)
            && *word & bit != 0
        {
            *word &= !bit;
            self.void.insert(flow);
        }
    }
}

/// The bit of a flow's place, which all flows share that come to be there one after the other.
fn place(flow: FlowId) -> (usize, u64) {
    (flow.index as usize / 64, 1 << (flow.index % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(index: u32, generation: u32) -> FlowId {
        FlowId { index, generation }
    }

    #[test]
    fn a_flow_stands_in_the_queue_once_and_leaves_in_order() {
        let mut set = FlowSet::default();
        for index in [70, 3, 70, 64, 3] {
            set.insert(flow(index, 0));
        }
        assert_eq!(set.len(), 3);
        let order: Vec<u32> = std::iter::from_fn(|| set.pop()).map(|flow| flow.index).collect();
        assert_eq!(order, [70, 3, 64]);
    }

    #[test]
    fn the_list_stays_short_though_flows_come_and_go_without_end() {
        let mut set = FlowSet::default();
        (0..10).for_each(|index| set.insert(flow(index, 0)));
        for index in 10..10_000 {
            set.insert(flow(index, 0));
            assert_eq!(set.ahead(3), Some(flow(index - 7, 0)));
            assert_eq!(set.pop(), Some(flow(index - 10, 0)));
            assert_eq!(set.len(), 10);
        }
        assert!(set.order.capacity() <= 64, "{}", set.order.capacity());
    }

    #[test]
    fn the_next_flow_of_a_place_is_not_kept_out_by_a_closed_one() {
        let mut set = FlowSet::default();
        set.insert(flow(5, 0));
        set.forget(flow(5, 0));
        set.insert(flow(5, 1));
        assert_eq!(set.pop(), Some(flow(5, 0)));
        assert!(set.contains(flow(5, 1)), "it waits for its turn still");
        set.insert(flow(5, 1));
        assert_eq!(set.pop(), Some(flow(5, 1)));
        assert!(set.is_empty() && !set.contains(flow(5, 1)));
        assert!(set.void.is_empty());
    }
}
