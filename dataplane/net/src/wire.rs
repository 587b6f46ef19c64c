//! Two ports with a wire between them, in memory: quick and right, or slow and faulty.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::{
    BURST_MAX, FramePort, PortCapabilities, PortCounters, PortFrame, RxChecksum, TxChecksum,
};

/// What a wire does to frames. The default carries each at once, and as it is.
#[derive(Clone, Debug)]
pub struct WireOptions {
    /// Bytes of the longest IP packet.
    pub mtu: usize,
    /// How long a frame is on its way.
    pub latency: Duration,
    /// Frames of a million that are lost.
    pub lost_ppm: u32,
    /// Frames of a million that come twice.
    pub doubled_ppm: u32,
    /// Frames of a million that are overtaken by those sent within the latency after them.
    pub delayed_ppm: u32,
    /// Frames of a million of which a bit is turned over.
    pub damaged_ppm: u32,
    /// Frames that a direction holds; what is sent beyond is refused.
    pub frames_max: usize,
    /// Whether the ports compute and verify checksums, as network interfaces do.
    pub offloads: bool,
    /// What all of this happens by.
    pub seed: u64,
}

impl Default for WireOptions {
    fn default() -> Self {
        Self {
            mtu: 1500,
            latency: Duration::ZERO,
            lost_ppm: 0,
            doubled_ppm: 0,
            delayed_ppm: 0,
            damaged_ppm: 0,
            frames_max: 4096,
            offloads: false,
            seed: 0,
        }
    }
}

/// An end of a wire. The link is up from the beginning.
#[derive(Debug)]
pub struct MemoryPort {
    mac: [u8; 6],
    options: WireOptions,
    to_here: Arc<Mutex<Direction>>,
    from_here: Arc<Mutex<Direction>>,
    frames: Arc<FramePool>,
    /// What the wire did not take.
    refused: Vec<MemoryFrame>,
    counters: PortCounters,
    link_ups: u64,
}

/// A frame of a [`MemoryPort`].
#[derive(Debug)]
pub struct MemoryFrame {
    bytes: Vec<u8>,
    checksum: RxChecksum,
    home: Arc<FramePool>,
}

/// Frames that are used again.
#[derive(Debug, Default)]
struct FramePool(Mutex<Vec<Vec<u8>>>);

#[derive(Debug)]
struct Direction {
    random: Rng,
    on_the_way: BinaryHeap<Reverse<Due>>,
    sent: u64,
}

/// A frame on its way. Those of the same moment arrive in the order in which they were sent.
#[derive(Debug)]
struct Due {
    at: Instant,
    number: u64,
    frame: MemoryFrame,
}

/// What waits at a port for the wire, at most.
const REFUSED_MAX: usize = 256;
const LINK_BYTES_MAX: usize = 18;

impl MemoryPort {
    /// Both ends of a wire. Their hardware addresses end in 1 and in 2.
    pub fn pair(options: &WireOptions) -> (Self, Self) {
        let direction = |seed| {
            let random = Rng::with_seed(seed);
            let on_the_way = BinaryHeap::new();
            Arc::new(Mutex::new(Direction { random, on_the_way, sent: 0 }))
        };
        let there = direction(options.seed);
        let back = direction(options.seed ^ u64::MAX);
        let frames = Arc::new(FramePool::default());
        let end = |last, to_here: &Arc<_>, from_here: &Arc<_>| Self {
            mac: [2, 0, 0, 0, 0, last],
            options: options.clone(),
            to_here: Arc::clone(to_here),
            from_here: Arc::clone(from_here),
            frames: Arc::clone(&frames),
            refused: Vec::new(),
            counters: PortCounters::default(),
            link_ups: 1,
        };
        (end(1, &back, &there), end(2, &there, &back))
    }

    /// The link goes down and comes up again; nothing is lost.
    pub fn replug(&mut self) {
        self.link_ups += 1;
    }

    /// The port is another one from here on, as when a router takes over from another.
    pub fn set_mac(&mut self, mac: [u8; 6]) {
        self.mac = mac;
    }

    /// Frames that are in use, on either end or on the wire.
    pub fn frames_in_use(&self) -> usize {
        // The port's own handle is one, and the other port's.
        Arc::strong_count(&self.frames).saturating_sub(2)
    }

    /// When the next frame arrives, if one is on its way.
    pub fn next_arrival(&self) -> Option<Instant> {
        lock(&self.to_here).on_the_way.peek().map(|Reverse(due)| due.at)
    }

    /// Hands a frame to the wire, which may give it back.
    fn put(&mut self, now: Instant, frame: MemoryFrame) -> Option<MemoryFrame> {
        let options = &self.options;
        let mut direction = lock(&self.from_here);
        if direction.on_the_way.len() >= options.frames_max {
            return Some(frame);
        }
        self.counters.frames_out += 1;
        self.counters.bytes_out += frame.len() as u64;
        let mut hit = |ppm| ppm > 0 && direction.random.u32(..1_000_000) < ppm;
        let (lost, doubled) = (hit(options.lost_ppm), hit(options.doubled_ppm));
        let (delayed, damaged) = (hit(options.delayed_ppm), hit(options.damaged_ppm));
        if lost {
            return None;
        }
        let mut frame = frame;
        if damaged && !frame.is_empty() {
            let bit = direction.random.usize(..frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        let again = doubled.then(|| self.frames.copy(&frame));
        let late =
            if delayed { options.latency.max(Duration::from_micros(1)) } else { Duration::ZERO };
        for frame in std::iter::once(frame).chain(again) {
            direction.sent += 1;
            let (at, number) = (now + options.latency + late, direction.sent);
            direction.on_the_way.push(Reverse(Due { at, number, frame }));
        }
        None
    }
}

impl FramePort for MemoryPort {
    type Frame = MemoryFrame;

    fn capabilities(&self) -> PortCapabilities {
        PortCapabilities {
            mac: self.mac,
            mtu: self.options.mtu,
            burst: BURST_MAX,
            tx_ipv4_checksum: self.options.offloads,
            tx_tcp_checksum: self.options.offloads,
        }
    }

    fn receive(&mut self, now: Instant, frames: &mut Vec<MemoryFrame>) {
        let before = frames.len();
        let mut direction = lock(&self.to_here);
        while frames.len() - before < BURST_MAX
            && direction.on_the_way.peek().is_some_and(|Reverse(due)| due.at <= now)
        {
            let Some(Reverse(mut due)) = direction.on_the_way.pop() else { break };
            if self.options.offloads {
                due.frame.checksum = checksum::verify(&due.frame);
            }
            self.counters.frames_in += 1;
            self.counters.bytes_in += due.frame.len() as u64;
            frames.push(due.frame);
        }
        self.counters.bursts_in += u64::from(frames.len() > before);
    }

    fn frame(&mut self) -> Option<MemoryFrame> {
        Some(self.frames.take())
    }

    fn send(&mut self, now: Instant, mut frame: MemoryFrame, checksum: Option<TxChecksum>) {
        if let Some(wanted) = checksum {
            checksum::fill(&mut frame, wanted);
        }
        if self.refused.is_empty() {
            let refused = self.put(now, frame);
            self.counters.bursts_out += u64::from(refused.is_none());
            self.refused.extend(refused);
        } else if self.refused.len() < REFUSED_MAX {
            self.refused.push(frame);
        } else {
            self.counters.dropped_tx_full += 1;
        }
    }

    fn flush(&mut self, now: Instant) {
        let mut waiting = std::mem::take(&mut self.refused).into_iter();
        for frame in waiting.by_ref() {
            if let Some(refused) = self.put(now, frame) {
                self.refused.push(refused);
                break;
            }
        }
        self.refused.extend(waiting);
    }

    fn waiting(&self) -> usize {
        self.refused.len()
    }

    fn link_ups(&self) -> u64 {
        self.link_ups
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }
}

impl PortFrame for MemoryFrame {
    fn checksum(&self) -> RxChecksum {
        self.checksum
    }

    fn stripped_tag(&self) -> Option<u16> {
        None
    }

    fn resize(&mut self, len: usize) -> bool {
        self.bytes.resize(len, 0);
        true
    }
}

impl Deref for MemoryFrame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for MemoryFrame {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for MemoryFrame {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.bytes));
    }
}

impl FramePool {
    fn take(self: &Arc<Self>) -> MemoryFrame {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = kept.unwrap_or_else(|| Vec::with_capacity(LINK_BYTES_MAX + 1500));
        MemoryFrame { bytes, checksum: RxChecksum::Unknown, home: Arc::clone(self) }
    }

    fn copy(self: &Arc<Self>, frame: &MemoryFrame) -> MemoryFrame {
        let mut copy = self.take();
        copy.bytes.extend_from_slice(frame);
        copy
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

fn lock(direction: &Mutex<Direction>) -> MutexGuard<'_, Direction> {
    direction.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What network interfaces do with checksums.
mod checksum {
    use smoltcp::wire::{
        EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket,
    };

    use crate::{RxChecksum, TxChecksum};

    /// The sum of `bytes` and `start`, complemented.
    fn complement(bytes: &[u8], start: u32) -> u16 {
        let words = bytes
            .chunks(2)
            .map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0)));
        let mut sum = words.fold(start, |sum, word| {
            let sum = sum + word;
            (sum >> 16) + (sum & 0xffff)
        });
        sum = (sum >> 16) + (sum & 0xffff);
        !u16::try_from(sum).unwrap_or(u16::MAX)
    }

    /// Computes what was asked for, from the sum of the pseudo-header that stands there.
    pub(super) fn fill(frame: &mut [u8], wanted: TxChecksum) {
        let ip_at = usize::from(wanted.link_header_bytes);
        let tcp_at = ip_at + usize::from(wanted.ip_header_bytes);
        if !wanted.ipv6 {
            let sum = complement(&frame[ip_at..tcp_at], 0);
            frame[ip_at + 10..ip_at + 12].copy_from_slice(&sum.to_be_bytes());
        }
        let sum = complement(&frame[tcp_at..], 0);
        frame[tcp_at + 16..tcp_at + 18].copy_from_slice(&sum.to_be_bytes());
    }

    pub(super) fn verify(frame: &[u8]) -> RxChecksum {
        let known = |right| if right { RxChecksum::Good } else { RxChecksum::Bad };
        let Ok(frame) = EthernetFrame::new_checked(frame) else { return RxChecksum::Unknown };
        match frame.ethertype() {
            EthernetProtocol::Ipv4 => {
                let Ok(packet) = Ipv4Packet::new_checked(frame.payload()) else {
                    return RxChecksum::Unknown;
                };
                if packet.next_header() != IpProtocol::Tcp {
                    return RxChecksum::Unknown;
                }
                let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
                let Ok(tcp) = TcpPacket::new_checked(packet.payload()) else {
                    return RxChecksum::Unknown;
                };
                known(packet.verify_checksum() && tcp.verify_checksum(&source, &destination))
            }
            EthernetProtocol::Ipv6 => {
                let Ok(packet) = Ipv6Packet::new_checked(frame.payload()) else {
                    return RxChecksum::Unknown;
                };
                let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
                match TcpPacket::new_checked(packet.payload()) {
                    Ok(tcp) if packet.next_header() == IpProtocol::Tcp => {
                        known(tcp.verify_checksum(&source, &destination))
                    }
                    _ => RxChecksum::Unknown,
                }
            }
            _ => RxChecksum::Unknown,
        }
    }
}
