//! What the threads have to say at their end.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::check::Offences;
use crate::hostile::Findings;
use crate::latency::Latency;
use crate::pace::Kept;

#[derive(Debug)]
pub(crate) struct Outcome {
    /// From when a message was due to its arrival.
    pub(crate) delivery: Latency,
    /// The same for each phase of the mix, of messages that were due in it.
    pub(crate) stages: Vec<Latency>,
    /// From the first packet to an open TCP connection.
    pub(crate) connect: Latency,
    /// From there to the end of the HTTP upgrade.
    pub(crate) upgrade: Latency,
    pub(crate) offences: Offences,
    /// Slow clients whose connection the server ended.
    pub(crate) slow_disconnected: u64,
    pub(crate) traffic: Traffic,
    /// Between two looks for news, where a thread never waits for news.
    pub(crate) longest_pause: Option<Duration>,
    /// How the schedule was kept, in the open loop.
    pub(crate) kept: Option<Kept>,
    /// Where the generator has a TCP of its own.
    pub(crate) segments: Option<SegmentCounts>,
    /// Of the hostile clients.
    pub(crate) hostile: Option<Findings>,
}

impl Outcome {
    /// Of a thread that has seen nothing.
    pub(crate) fn empty() -> Self {
        Self {
            delivery: Latency::new(),
            stages: Vec::new(),
            connect: Latency::new(),
            upgrade: Latency::new(),
            offences: Offences::default(),
            slow_disconnected: 0,
            traffic: Traffic::default(),
            longest_pause: None,
            kept: None,
            segments: None,
            hostile: None,
        }
    }

    /// Adds what another thread has to say.
    pub(crate) fn merge(&mut self, other: Self) {
        self.delivery.merge(&other.delivery);
        // Each has all stages, or, where it has seen nothing, none.
        self.stages.resize_with(self.stages.len().max(other.stages.len()), Latency::new);
        for (stage, of_other) in self.stages.iter_mut().zip(&other.stages) {
            stage.merge(of_other);
        }
        self.connect.merge(&other.connect);
        self.upgrade.merge(&other.upgrade);
        self.offences.merge(other.offences);
        self.slow_disconnected += other.slow_disconnected;
        self.traffic.merge(other.traffic);
        self.longest_pause = self.longest_pause.max(other.longest_pause);
        if let Some(kept) = other.kept {
            let all = self.kept.get_or_insert_default();
            all.due += kept.due;
            all.sent += kept.sent;
        }
        // Where there are any there is one thread.
        self.segments = self.segments.or(other.segments);
        match (&mut self.hostile, other.hostile) {
            (Some(all), Some(hostile)) => all.merge(&hostile),
            (all, hostile) => *all = all.take().or(hostile),
        }
    }
}

/// What went over all connections of a run, in the measurement or not, so that it can be held
/// against what a server has counted since its start. Hostile clients are no part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Traffic {
    /// Messages that clients sent, calls of the roll among them.
    pub(crate) messages_sent: u64,
    /// Whole messages that came to clients that read. What slow ones are sent is not looked at.
    pub(crate) messages_received: u64,
    /// Connections that were upgraded.
    pub(crate) opened: u64,
    /// Of these, those of slow clients.
    pub(crate) opened_slow: u64,
    /// Connections whose Close the server answered.
    pub(crate) closed: u64,
}

impl Traffic {
    fn merge(&mut self, other: Self) {
        self.messages_sent += other.messages_sent;
        self.messages_received += other.messages_received;
        self.opened += other.opened;
        self.opened_slow += other.opened_slow;
        self.closed += other.closed;
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages_sent, messages_received, opened, opened_slow, closed } = self;
        write!(f, "{messages_sent} messages sent, {messages_received} received; ")?;
        write!(f, "{opened} connections opened")?;
        if *opened_slow > 0 {
            write!(f, " ({opened_slow} slow)")?;
        }
        write!(f, ", {closed} closed")
    }
}

/// Segments and frames of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct SegmentCounts {
    pub(crate) segments_in: u64,
    pub(crate) segments_out: u64,
    /// Segments that were sent again.
    pub(crate) retransmitted: u64,
    /// Segments that came before one that was missing, and were asked for again.
    pub(crate) out_of_order: u64,
    /// Segments that had come before.
    pub(crate) duplicates_in: u64,
    /// Packets of TCP that were not whole, or had a wrong checksum.
    pub(crate) damaged: u64,
    pub(crate) resets_in: u64,
    pub(crate) resets_out: u64,
    /// Frames that the port did not take, or had no memory for.
    pub(crate) dropped_out: u64,
}

impl fmt::Display for SegmentCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in, {} out", self.segments_in, self.segments_out)?;
        for (name, count) in [
            ("retransmitted", self.retransmitted),
            ("out of order", self.out_of_order),
            ("duplicates", self.duplicates_in),
            ("damaged", self.damaged),
            ("resets in", self.resets_in),
            ("resets out", self.resets_out),
            ("not sent", self.dropped_out),
        ] {
            if count > 0 {
                write!(f, ", {count} {name}")?;
            }
        }
        Ok(())
    }
}
