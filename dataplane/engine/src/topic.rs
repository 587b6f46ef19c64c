//! Who gets a message: the sessions of one worker that are subscribed.

use hioload_net::FlowId;

/// The subscribers of a topic on one worker, dense, in no particular order.
///
/// "Everybody" is the one topic that exists.
#[derive(Default)]
pub(crate) struct Topic {
    members: Vec<FlowId>,
    /// Place of each flow in `members`, by the flow's index; `ABSENT` when it is not there.
    positions: Vec<u32>,
    /// Members before this place were visited in the round that is under way.
    visited: usize,
}

const ABSENT: u32 = u32::MAX;

impl Topic {
    pub(crate) fn members(&self) -> &[FlowId] {
        &self.members
    }

    /// Starts a round, in which each member is visited once.
    pub(crate) fn begin_round(&mut self) {
        self.visited = 0;
    }

    /// The next `count` members of the round, or as many as are left: none when it is over. Who
    /// leaves during a round is not visited afterwards, and nobody is for that missed or visited
    /// twice.
    pub(crate) fn visit(&mut self, count: usize) -> &[FlowId] {
        let from = self.visited;
        self.visited = self.members.len().min(from.saturating_add(count));
        &self.members[from..self.visited]
    }

    /// Whether all members were visited.
    pub(crate) fn round_is_over(&self) -> bool {
        self.visited == self.members.len()
    }

    pub(crate) fn contains(&self, flow: FlowId) -> bool {
        let position = self.positions.get(flow.index as usize).copied().unwrap_or(ABSENT);
        self.members.get(position as usize) == Some(&flow)
    }

    /// Takes part in a round that is under way, too: the hub lets nobody join during one.
    pub(crate) fn join(&mut self, flow: FlowId) {
        let index = flow.index as usize;
        if index >= self.positions.len() {
            self.positions.resize(index + 1, ABSENT);
        }
        debug_assert_eq!(self.positions[index], ABSENT, "a flow joins once");
        self.positions[index] = u32::try_from(self.members.len()).expect("fewer than 2^32 flows");
        self.members.push(flow);
    }

    /// Does nothing when `flow` is not a member.
    pub(crate) fn leave(&mut self, flow: FlowId) {
        let Some(position) = self.positions.get_mut(flow.index as usize) else { return };
        let mut at = *position as usize;
        if self.members.get(at) != Some(&flow) {
            return;
        }
        *position = ABSENT;
        if at < self.visited {
            // The last one visited takes the place, and only its own is filled from the end.
            self.visited -= 1;
            self.members.swap(at, self.visited);
            self.note_place(at);
            at = self.visited;
        }
        self.members.swap_remove(at);
        self.note_place(at);
    }

    /// Writes down where the member at `at` is, if there is one and it is there to stay.
    fn note_place(&mut self, at: usize) {
        if let Some(member) = self.members.get(at) {
            let position = &mut self.positions[member.index as usize];
            if *position != ABSENT {
                *position = u32::try_from(at).expect("fewer than 2^32 flows");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn members_are_those_who_joined_and_did_not_leave(
            steps in prop::collection::vec((0u32..40, any::<bool>()), 0..200),
        ) {
            let mut topic = Topic::default();
            let mut expected = BTreeSet::new();
            for (index, join) in steps {
                let flow = FlowId { index, generation: 7 };
                if join && expected.insert(index) {
                    topic.join(flow);
                } else if !join {
                    expected.remove(&index);
                    topic.leave(flow);
                }
                topic.leave(FlowId { index, generation: 6 });
                let mut members: Vec<u32> = topic.members().iter().map(|flow| flow.index).collect();
                members.sort_unstable();
                prop_assert_eq!(members, expected.iter().copied().collect::<Vec<_>>());
            }
        }

        /// Beside an oracle that keeps two sets.
        #[test]
        fn a_round_visits_everybody_once_who_stays_until_it_comes_to_them(
            members in 0_u32..60,
            steps in prop::collection::vec((0_u32..60, 0_usize..8), 0..100),
        ) {
            let flow = |index| FlowId { index, generation: 3 };
            let mut topic = Topic::default();
            (0..members).for_each(|index| topic.join(flow(index)));
            topic.begin_round();
            let mut left: BTreeSet<u32> = (0..members).collect();
            for (leaves, count) in steps {
                let due = count.min(left.len());
                let visited: Vec<u32> = topic.visit(count).iter().map(|it| it.index).collect();
                prop_assert_eq!(visited.len(), due);
                prop_assert!(visited.iter().all(|index| left.remove(index)));
                topic.leave(flow(leaves));
                left.remove(&leaves);
                prop_assert!(!topic.contains(flow(leaves)));
            }
        }
    }
}
