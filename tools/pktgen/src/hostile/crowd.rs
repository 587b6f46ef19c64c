//! Hostile clients as a crowd: who connects next, and when somebody has something to do.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::plan::Plan;
use crate::transport::Transport;

/// The clients of a thread, counted from 0. Each has one moment at most at which it is due; what
/// it does then, its owner knows.
#[derive(Debug)]
pub(super) struct Crowd {
    /// The place of the first one in the transport.
    first: usize,
    /// Handshakes under way at a time, and now.
    connecting_max: usize,
    connecting: usize,
    timeout_ns: u64,
    /// Clients that are to connect.
    waiting: VecDeque<usize>,
    /// By client.
    due_ns: Vec<u64>,
    /// Moments that have been set; those that are no client's any more are passed over.
    moments: BinaryHeap<Reverse<(u64, usize)>>,
}

const NEVER: u64 = u64::MAX;

impl Crowd {
    /// All of them wait to connect.
    pub(super) fn new(plan: &Plan, thread: usize) -> Self {
        let first = plan.behaved_of(thread);
        let clients = plan.clients_of(thread) - first;
        Self {
            first,
            connecting_max: (plan.connecting / plan.threads).max(1),
            connecting: 0,
            timeout_ns: nanoseconds(plan.timeout),
            waiting: (0..clients).collect(),
            due_ns: vec![NEVER; clients],
            moments: BinaryHeap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.due_ns.len()
    }

    /// The place of a client in the transport.
    pub(super) fn place(&self, client: usize) -> usize {
        self.first + client
    }

    /// Which client has this place.
    pub(super) fn client(&self, place: usize) -> usize {
        place - self.first
    }

    /// The client that may begin to connect. It is due when its patience ends.
    pub(super) fn next_to_connect(&mut self, now_ns: u64) -> Option<usize> {
        if self.connecting >= self.connecting_max {
            return None;
        }
        let client = self.waiting.pop_front()?;
        self.connecting += 1;
        self.wait(client, now_ns);
        Some(client)
    }

    /// A handshake has ended, well or not.
    pub(super) fn has_connected(&mut self) {
        self.connecting -= 1;
    }

    /// The client is due when it has waited for as long as anything may take.
    pub(super) fn wait(&mut self, client: usize, now_ns: u64) {
        self.set(client, now_ns.saturating_add(self.timeout_ns));
    }

    /// The client is due at a moment.
    pub(super) fn set(&mut self, client: usize, at_ns: u64) {
        self.due_ns[client] = at_ns;
        self.moments.push(Reverse((at_ns, client)));
    }

    /// The client's connection is no more: another one follows as soon as may be.
    pub(super) fn queue(&mut self, client: usize) {
        self.due_ns[client] = NEVER;
        self.waiting.push_back(client);
    }

    /// The next client whose time has come.
    pub(super) fn due(&mut self, now_ns: u64) -> Option<usize> {
        if self.next_moment()? > now_ns {
            return None;
        }
        let Reverse((_, client)) = self.moments.pop()?;
        self.due_ns[client] = NEVER;
        Some(client)
    }

    /// When there is something to do; 0 is at once.
    pub(super) fn next_ns(&mut self) -> Option<u64> {
        if self.connecting < self.connecting_max && !self.waiting.is_empty() {
            return Some(0);
        }
        self.next_moment()
    }

    /// Ends the connections of all.
    pub(super) fn end<T: Transport>(&mut self, transport: &mut T) {
        for client in 0..self.len() {
            transport.reset(self.place(client));
        }
        self.waiting.clear();
        self.moments.clear();
    }

    fn next_moment(&mut self) -> Option<u64> {
        while let Some(Reverse((at_ns, client))) = self.moments.peek() {
            if self.due_ns[*client] == *at_ns {
                return Some(*at_ns);
            }
            self.moments.pop();
        }
        None
    }
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::{Hostility, Piece};
    use crate::plan::Scenario;

    fn crowd(clients: usize, connecting: usize) -> Crowd {
        let (interval, piece) = (Duration::from_secs(1), Piece::Byte);
        let hostile = Hostility::Slowloris { clients, interval, piece, expect_within: None };
        let plan = Plan { hostile: Some(hostile), connecting, ..Plan::of(Scenario::Idle, clients) };
        Crowd::new(&plan, 0)
    }

    #[test]
    fn as_many_connect_at_a_time_as_may() {
        let mut crowd = crowd(3, 2);
        assert_eq!(crowd.next_ns(), Some(0));
        assert_eq!(crowd.next_to_connect(0), Some(0));
        assert_eq!(crowd.next_to_connect(0), Some(1));
        assert_eq!(crowd.next_to_connect(0), None);
        assert_eq!(crowd.next_ns(), Some(1_000_000_000), "the patience of the first two");
        crowd.has_connected();
        assert_eq!(crowd.next_to_connect(5), Some(2));
    }

    #[test]
    fn the_last_moment_that_was_set_counts_and_comes_once() {
        let mut crowd = crowd(2, 2);
        crowd.set(0, 10);
        crowd.set(1, 20);
        crowd.set(0, 30);
        assert_eq!(crowd.due(19), None);
        assert_eq!(crowd.due(25), Some(1));
        assert_eq!(crowd.due(25), None);
        assert_eq!(crowd.due(30), Some(0));
        assert_eq!(crowd.due(1_000), None);
    }
}
