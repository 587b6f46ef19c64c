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
}

const ABSENT: u32 = u32::MAX;

impl Topic {
    pub(crate) fn members(&self) -> &[FlowId] {
        &self.members
    }

    pub(crate) fn contains(&self, flow: FlowId) -> bool {
        let position = self.positions.get(flow.index as usize).copied().unwrap_or(ABSENT);
        self.members.get(position as usize) == Some(&flow)
    }

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
        let at = *position as usize;
        if self.members.get(at) != Some(&flow) {
            return;
        }
        *position = ABSENT;
        self.members.swap_remove(at);
        if let Some(moved) = self.members.get(at) {
            self.positions[moved.index as usize] = u32::try_from(at).expect("a place it had");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn members_are_those_who_joined_and_did_not_leave(
            steps in prop::collection::vec((0u32..40, any::<bool>()), 0..200),
        ) {
            let mut topic = Topic::default();
            let mut expected = std::collections::BTreeSet::new();
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
    }
}
