//! The seam below TCP: bursts of Ethernet frames.

use std::ops::DerefMut;
use std::time::Instant;

/// Frames that [`FramePort::receive`] hands over at most in one call.
pub const BURST_MAX: usize = 32;

/// What a port says of itself, the same for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortCapabilities {
    /// The address that frames of ours are sent from.
    pub mac: [u8; 6],
    /// Bytes of the longest IP packet that fits into a frame.
    pub mtu: usize,
    /// Frames that a call of [`FramePort::receive`] gives where more wait, 1 to [`BURST_MAX`].
    pub burst: usize,
    /// Whether the port computes the header checksum of IPv4 packets that
    /// [ask for it](FramePort::send).
    pub tx_ipv4_checksum: bool,
    /// Whether the port computes the checksum of TCP segments that [ask for it](FramePort::send).
    pub tx_tcp_checksum: bool,
}

/// Whether the checksums of a frame that has come are right: the IPv4 header's and TCP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxChecksum {
    /// The port looked at all there are, and they are right.
    Good,
    /// TCP's is right; the port did not look at the IPv4 header's, if there is one. What is in TCP's
    /// field may be something else: a frame that never was on a wire has only the sum of the
    /// pseudo-header there.
    TcpGood,
    /// The port looked, and one is wrong.
    Bad,
    /// The port did not look at all of them.
    Unknown,
}

/// Where the port finds the headers whose checksums it is to compute.
///
/// The checksum field of IPv4 holds zero; that of TCP holds the sum of the pseudo-header, not
/// complemented, as network interfaces want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxChecksum {
    /// Bytes in front of the IP header.
    pub link_header_bytes: u8,
    /// Bytes of the IP header, extensions included.
    pub ip_header_bytes: u16,
    /// Whether it is IPv6.
    pub ipv6: bool,
}

/// An Ethernet frame, without preamble and check sequence, in memory of its port.
///
/// Dropping it gives the memory back, on whatever thread.
pub trait PortFrame: DerefMut<Target = [u8]> + Send {
    /// What the port says of the checksums.
    fn checksum(&self) -> RxChecksum;

    /// The VLAN tag (priority, drop eligibility and identifier) that the port took out of the
    /// frame, where it did.
    fn stripped_tag(&self) -> Option<u16>;

    /// Makes the frame `len` bytes long, and says whether there is room for so many. Bytes that
    /// are new have any value.
    #[must_use]
    fn resize(&mut self, len: usize) -> bool;
}

/// Counts of a port's queue pair since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    /// Frames that came.
    pub frames_in: u64,
    /// Bytes of these.
    pub bytes_in: u64,
    /// Frames that the interface has taken.
    pub frames_out: u64,
    /// Bytes of these.
    pub bytes_out: u64,
    /// Calls of the interface that brought a frame at least.
    pub bursts_in: u64,
    /// Calls of the interface that took a frame at least.
    pub bursts_out: u64,
    /// Frames dropped because the interface took none and as many waited as may.
    pub dropped_tx_full: u64,
    /// Frames dropped because they were not as the interface demands, or did not come as one piece.
    pub dropped_invalid: u64,
    /// Frames that could not be made because there was no memory for them.
    pub no_memory: u64,
}

/// A queue pair of a network interface, or what stands in for one. One lcore owns it.
///
/// What the interface does not take at once waits, up to a bound of the implementation; what is
/// beyond is dropped and counted, as any network may.
pub trait FramePort {
    /// A frame in memory of the port.
    type Frame: PortFrame;

    /// What the port is like.
    fn capabilities(&self) -> PortCapabilities;

    /// Appends what has come to `frames`, at most [`BURST_MAX`] of them.
    fn receive(&mut self, now: Instant, frames: &mut Vec<Self::Frame>);

    /// An empty frame with room for the longest one that may be sent: an Ethernet header with a
    /// VLAN tag, and a packet of the MTU. `None`, which is counted, while there is no memory.
    fn frame(&mut self) -> Option<Self::Frame>;

    /// Sends a frame, at once or with the next ones; a [`flush`](Self::flush) at the latest.
    /// `checksum` asks for those that the [capabilities](PortCapabilities) name.
    fn send(&mut self, now: Instant, frame: Self::Frame, checksum: Option<TxChecksum>);

    /// Hands over what waits, as far as the interface takes it.
    fn flush(&mut self, now: Instant);

    /// Frames that wait for the interface.
    fn waiting(&self) -> usize;

    /// How often the link has come up: whoever remembers another number has news to tell to the
    /// other stations.
    fn link_ups(&self) -> u64;

    /// Counts since the start.
    fn counters(&self) -> PortCounters;
}
