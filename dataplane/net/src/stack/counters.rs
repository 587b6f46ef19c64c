//! What a worker's stack counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a frame or a packet that came was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum DropReason {
    /// Too short, or with lengths that contradict each other.
    Malformed,
    /// To the hardware address of another station.
    OtherStation,
    /// Of another VLAN than the port's.
    Vlan,
    /// Of a protocol that is not served.
    Protocol,
    /// A piece of a larger IP packet.
    Fragment,
    /// From an address that no other station has for itself.
    Source,
    /// To an IP address that is not the port's.
    OtherAddress,
    /// With a wrong checksum.
    Checksum,
    /// A new connection, where there are as many as may be.
    FlowsFull,
    /// A new connection of a client that is not let in.
    NotAdmitted,
    /// A new connection that there was no memory for.
    NoMemory,
    /// Of a connection of another worker, which does not keep up.
    HandoverFull,
}

impl DropReason {
    /// All reasons, in their order.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::OtherStation,
        Self::Vlan,
        Self::Protocol,
        Self::Fragment,
        Self::Source,
        Self::OtherAddress,
        Self::Checksum,
        Self::FlowsFull,
        Self::NotAdmitted,
        Self::NoMemory,
        Self::HandoverFull,
    ];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::OtherStation => "other_station",
            Self::Vlan => "vlan",
            Self::Protocol => "protocol",
            Self::Fragment => "fragment",
            Self::Source => "source",
            Self::OtherAddress => "other_address",
            Self::Checksum => "checksum",
            Self::FlowsFull => "flows_full",
            Self::NotAdmitted => "not_admitted",
            Self::NoMemory => "no_memory",
            Self::HandoverFull => "handover_full",
        }
    }
}

/// Counts of a worker's stack since the start; the gauges are of the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackCounters {
    /// Frames and packets that came and were dropped, by reason.
    pub dropped: [u64; DropReason::ALL.len()],
    /// Segments that came for a connection.
    pub segments_in: u64,
    /// Segments that were sent.
    pub segments_out: u64,
    /// Segments that came for a connection of another worker, perhaps.
    pub handed_over: u64,
    /// Resets sent for segments that belong to no connection, or begin one that is refused.
    pub resets_out: u64,
    /// Half-open connections that made room for a new one.
    pub half_open_evicted: u64,
    /// Half-open connections that were not acknowledged in time.
    pub half_open_expired: u64,
    /// Connections that had not ended in time after they were given up, and were reset.
    pub closing_expired: u64,
    /// Gauge: connections that are not acknowledged.
    pub half_open: u64,
    /// Gauge: connections, those that are ending included.
    pub open: u64,
    /// Gauge: connections that have ended and are remembered.
    pub time_wait: u64,
}

impl StackCounters {
    pub(crate) fn drop(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }

    fn values(&self) -> impl Iterator<Item = u64> {
        let Self { dropped, .. } = *self;
        dropped.into_iter().chain([
            self.segments_in,
            self.segments_out,
            self.handed_over,
            self.resets_out,
            self.half_open_evicted,
            self.half_open_expired,
            self.closing_expired,
            self.half_open,
            self.open,
            self.time_wait,
        ])
    }
}

const CELLS: usize = DropReason::ALL.len() + 10;

/// [`StackCounters`] as other threads read them: written by the worker once per turn.
#[derive(Debug)]
pub struct StackStats {
    cells: [AtomicU64; CELLS],
}

impl Default for StackStats {
    fn default() -> Self {
        Self { cells: [const { AtomicU64::new(0) }; CELLS] }
    }
}

impl StackStats {
    pub(crate) fn publish(&self, counters: &StackCounters) {
        for (cell, value) in self.cells.iter().zip(counters.values()) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// What the worker published last; counts of one moment only while it rests.
    pub fn read(&self) -> StackCounters {
        let mut values = self.cells.iter().map(|cell| cell.load(Ordering::Relaxed));
        let mut next = || values.next().unwrap_or(0);
        StackCounters {
            dropped: std::array::from_fn(|_| next()),
            segments_in: next(),
            segments_out: next(),
            handed_over: next(),
            resets_out: next(),
            half_open_evicted: next(),
            half_open_expired: next(),
            closing_expired: next(),
            half_open: next(),
            open: next(),
            time_wait: next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_read() {
        let mut counters =
            StackCounters { open: 3, segments_in: 4, time_wait: 9, ..Default::default() };
        counters.drop(DropReason::NoMemory);
        let stats = StackStats::default();
        stats.publish(&counters);
        assert_eq!(stats.read(), counters);
    }

    #[test]
    fn each_reason_has_its_place_and_a_name_of_its_own() {
        for (place, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
        }
        let names: std::collections::BTreeSet<_> = DropReason::ALL.map(DropReason::name).into();
        assert_eq!(names.len(), DropReason::ALL.len());
    }
}
