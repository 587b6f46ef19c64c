//! What a worker's stack counts.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::PortCounters;

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
    /// A new connection that there was no memory for, or a segment whose answer there was none for.
    NoMemory,
    /// Of a connection of another worker, which does not keep up, or has ended.
    HandoverFull,
    /// A reset that ends nothing: of no connection, or not at the next sequence number of one (RFC
    /// 5961 section 3.2).
    StrayReset,
    /// A SYN of a connection that there is; its peer is asked whether it has begun anew (RFC 5961
    /// section 4.2).
    StraySyn,
    /// A segment that TCP makes nothing of, with broken options or flags that contradict each other,
    /// where no connection takes it.
    Nonsense,
}

impl DropReason {
    /// All reasons, in their order.
    pub const ALL: [Self; 15] = [
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
        Self::StrayReset,
        Self::StraySyn,
        Self::Nonsense,
    ];

    /// Whether what is dropped for this reason is a segment, as
    /// [`segments_in`](StackCounters::segments_in) counts them.
    pub fn is_of_segments(self) -> bool {
        self as usize >= Self::FlowsFull as usize
    }

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
            Self::StrayReset => "stray_reset",
            Self::StraySyn => "stray_syn",
            Self::Nonsense => "nonsense",
        }
    }
}

/// Counts of a worker's stack since the start; the gauges are of the moment.
///
/// Each of `segments_in` was taken by a connection, answered by a reset or dropped: they are the sum
/// of `segments_taken`, `resets_out` and what was dropped for reasons that
/// [are of segments](DropReason::is_of_segments).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackCounters {
    /// Frames and packets that came and were dropped, by reason.
    pub dropped: [u64; DropReason::ALL.len()],
    /// Segments that came to one of the ports' addresses with right checksums. What is handed over is
    /// counted by the worker that does not pass it on.
    pub segments_in: u64,
    /// Those that a connection has taken, whether it had use for them or not: an open or half-open
    /// one, one that has ended and is remembered, or one that they began.
    pub segments_taken: u64,
    /// Segments that were given to ports, with or without data, resets included.
    pub segments_out: u64,
    /// Segments that came for a connection of another worker, perhaps.
    pub handed_over: u64,
    /// Resets that answer segments which belong to no connection, or begin one that is refused.
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

/// Those of the [`StackCounters`] that are kept elsewhere.
pub(crate) struct Gauges {
    pub(crate) segments_out: u64,
    pub(crate) half_open: u64,
    pub(crate) open: u64,
    pub(crate) time_wait: u64,
}

impl Gauges {
    #[inline]
    pub(crate) fn fill(self, counters: &mut StackCounters) {
        let Self { segments_out, half_open, open, time_wait } = self;
        *counters = StackCounters { segments_out, half_open, open, time_wait, ..*counters };
    }
}

impl StackCounters {
    pub(crate) fn drop(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }

    /// Every count, in an order of its own.
    fn fields(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self {
            dropped,
            segments_in,
            segments_taken,
            segments_out,
            handed_over,
            resets_out,
            half_open_evicted,
            half_open_expired,
            closing_expired,
            half_open,
            open,
            time_wait,
        } = self;
        dropped.iter_mut().chain([
            segments_in,
            segments_taken,
            segments_out,
            handed_over,
            resets_out,
            half_open_evicted,
            half_open_expired,
            closing_expired,
            half_open,
            open,
            time_wait,
        ])
    }
}

const CELLS: usize = DropReason::ALL.len() + 11;
const PORT_CELLS: usize = 9;

/// [`StackCounters`], and the [`PortCounters`] of the worker's queue pairs, as other threads read
/// them: written by the worker once per turn.
///
/// Apart from what other workers write, so that no two of them share a cache line.
#[derive(Debug)]
#[repr(align(128))]
pub struct StackStats {
    cells: [AtomicU64; CELLS],
    ports: Box<[PortCells]>,
}

/// The counts of one queue pair. Their cache lines are their worker's own.
#[derive(Debug)]
#[repr(align(128))]
struct PortCells([AtomicU64; PORT_CELLS]);

impl Default for StackStats {
    /// For counts of a stack whose ports nobody asks about.
    fn default() -> Self {
        Self::new(0)
    }
}

impl StackStats {
    /// Room for the counts of a worker that serves so many ports.
    pub fn new(ports: usize) -> Self {
        let port = || PortCells([const { AtomicU64::new(0) }; PORT_CELLS]);
        Self {
            cells: [const { AtomicU64::new(0) }; CELLS],
            ports: std::iter::repeat_with(port).take(ports).collect(),
        }
    }

    pub(crate) fn publish(
        &self,
        counters: &mut StackCounters,
        ports: impl Iterator<Item = PortCounters>,
    ) {
        store(&self.cells, counters.fields());
        for (PortCells(cells), mut counters) in self.ports.iter().zip(ports) {
            store(cells, port_fields(&mut counters));
        }
    }

    /// What the worker published last; counts of one moment only while it rests.
    pub fn read(&self) -> StackCounters {
        let mut counters = StackCounters::default();
        load(&self.cells, counters.fields());
        counters
    }

    /// The same of the worker's queue pairs, in the order in which the stack was given them.
    pub fn read_ports(&self) -> Vec<PortCounters> {
        self.ports.iter().map(PortCells::read).collect()
    }
}

impl PortCells {
    fn read(&self) -> PortCounters {
        let mut counters = PortCounters::default();
        load(&self.0, port_fields(&mut counters));
        counters
    }
}

/// The same of the counts of a queue pair.
fn port_fields(counters: &mut PortCounters) -> impl Iterator<Item = &mut u64> {
    let PortCounters {
        frames_in,
        bytes_in,
        frames_out,
        bytes_out,
        bursts_in,
        bursts_out,
        dropped_tx_full,
        dropped_invalid,
        no_memory,
    } = counters;
    let fields: [_; PORT_CELLS] = [
        frames_in,
        bytes_in,
        frames_out,
        bytes_out,
        bursts_in,
        bursts_out,
        dropped_tx_full,
        dropped_invalid,
        no_memory,
    ];
    fields.into_iter()
}

fn store<'a>(cells: &[AtomicU64], fields: impl Iterator<Item = &'a mut u64>) {
    let mut cells = cells.iter();
    // A chain goes on faster by itself than when it is asked for one after the other.
    fields.for_each(|field| {
        if let Some(cell) = cells.next() {
            cell.store(*field, Ordering::Relaxed);
        }
    });
}

fn load<'a>(cells: &[AtomicU64], fields: impl Iterator<Item = &'a mut u64>) {
    for (cell, field) in cells.iter().zip(fields) {
        *field = cell.load(Ordering::Relaxed);
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
        let port = |first: u64| PortCounters {
            frames_in: first,
            bytes_in: first + 1,
            frames_out: first + 2,
            bytes_out: first + 3,
            bursts_in: first + 4,
            bursts_out: first + 5,
            dropped_tx_full: first + 6,
            dropped_invalid: first + 7,
            no_memory: first + 8,
        };
        let stats = StackStats::new(2);
        stats.publish(&mut counters, [port(10), port(20)].into_iter());
        assert_eq!(stats.read(), counters);
        assert_eq!(stats.read_ports(), [port(10), port(20)]);
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
