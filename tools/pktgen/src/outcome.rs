//! What a thread has to say at its end.

use std::fmt;

use serde::Serialize;

use crate::check::Offences;
use crate::hostile::Findings;
use crate::latency::Latency;

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
    /// Where the generator has a TCP of its own.
    pub(crate) segments: Option<SegmentCounts>,
    /// Of the hostile clients.
    pub(crate) hostile: Option<Findings>,
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
