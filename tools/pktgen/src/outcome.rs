//! What a thread has to say at its end.

use crate::check::Offences;
use crate::latency::Latency;

#[derive(Debug)]
pub(crate) struct Outcome {
    /// From when a message was due to its arrival.
    pub(crate) delivery: Latency,
    /// From the first packet to an open TCP connection.
    pub(crate) connect: Latency,
    /// From there to the end of the HTTP upgrade.
    pub(crate) upgrade: Latency,
    pub(crate) offences: Offences,
    /// Slow clients whose connection the server ended.
    pub(crate) slow_disconnected: u64,
}
