//! A queue pair of DPDK's as a port.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use hioload_dpdk::{
    Burst, Checksum, LinkState, Mbuf, Mempool, PortError, RxQueue, StartedPort, TxChecksums,
    TxQueue,
};

use crate::{
    BURST_MAX, FramePort, PortCapabilities, PortCounters, PortFrame, RxChecksum, TxChecksum,
};

/// Bytes of an Ethernet header with a VLAN tag.
const LINK_HEADER_BYTES_MAX: usize = 14 + 4;

/// Frames that wait behind the burst that the port does not take, at most.
const WAITING_MAX: usize = 256;

/// A queue pair of a network interface that DPDK drives.
///
/// Frames that are sent gather to bursts. What the interface does not take waits: a burst and 256
/// frames behind it, in order. Whoever has the [`StartedPort`] watches the link.
#[derive(Debug)]
pub struct DpdkPort {
    rx: RxQueue,
    tx: TxQueue,
    tx_pool: Mempool,
    /// Frames taken from the interface, or given to it, at a time.
    burst: usize,
    capabilities: PortCapabilities,
    link: Arc<LinkState>,
    /// Where frames come in; empty between calls.
    received: Burst,
    /// Empty frames at hand.
    spare: Burst,
    /// The next frames to be sent, and those behind them.
    sending: Burst,
    waiting: VecDeque<DpdkFrame>,
    /// Whether the interface has not taken all of `sending`. It is not asked again before a flush.
    is_full: bool,
    counters: PortCounters,
}

/// A frame in an mbuf.
#[derive(Debug)]
pub struct DpdkFrame(Mbuf);

/// Why a queue pair cannot be a port.
#[derive(Debug, thiserror::Error)]
pub enum DpdkPortError {
    /// The longest frame does not fit into the mbufs to send from.
    #[error(
        "port {port}: a frame of {frame_bytes} bytes does not fit into the {data_bytes} of an mbuf \
         of mempool {pool:?}"
    )]
    PoolTooSmall {
        /// The port's name.
        port: String,
        /// The pool's name.
        pool: String,
        /// Bytes that its mbufs hold.
        data_bytes: usize,
        /// Bytes of the longest frame.
        frame_bytes: usize,
    },
    /// DPDK says no.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl DpdkPort {
    /// Makes a port of a queue pair of `port`. It takes the frames that it gives from `tx_pool`,
    /// which should be no pool that anything is received into: or slow clients leave no memory for
    /// what they send. `burst` frames are taken from the interface or given to it at a time, 1 to
    /// [`BURST_MAX`]; any other number stands for the next one of these.
    ///
    /// # Errors
    /// When the longest frame does not fit into the mbufs of the pool.
    pub fn new(
        port: &StartedPort,
        (rx, tx): (RxQueue, TxQueue),
        tx_pool: Mempool,
        burst: usize,
    ) -> Result<Self, DpdkPortError> {
        let granted = port.granted();
        let mtu = usize::from(granted.mtu);
        let (data_bytes, frame_bytes) =
            (usize::from(tx_pool.data_bytes()), mtu + LINK_HEADER_BYTES_MAX);
        if data_bytes < frame_bytes {
            let (port, pool) = (port.name().to_owned(), tx_pool.name().to_owned());
            return Err(DpdkPortError::PoolTooSmall { port, pool, data_bytes, frame_bytes });
        }
        let burst = burst.clamp(1, BURST_MAX);
        let capabilities = PortCapabilities {
            mac: port.mac()?,
            mtu,
            burst,
            tx_ipv4_checksum: granted.offloads.tx_ipv4_checksum,
            tx_tcp_checksum: granted.offloads.tx_tcp_checksum,
        };
        Ok(Self {
            rx,
            tx,
            tx_pool,
            burst,
            capabilities,
            link: port.link(),
            received: Burst::new(),
            spare: Burst::new(),
            sending: Burst::new(),
            waiting: VecDeque::with_capacity(WAITING_MAX),
            is_full: false,
            counters: PortCounters::default(),
        })
    }

    /// Whether the next frame has to wait behind the burst.
    fn is_burst_whole(&self) -> bool {
        self.sending.len() >= self.burst
    }

    /// Gives the interface the burst, and fills it up from behind.
    fn hand_over(&mut self) {
        let sent = self.tx.send(&mut self.sending);
        self.counters.frames_out += sent.frames as u64;
        self.counters.bytes_out += sent.bytes as u64;
        self.counters.bursts_out += u64::from(sent.frames > 0);
        self.is_full = !self.sending.is_empty();
        while !self.is_burst_whole()
            && let Some(DpdkFrame(mbuf)) = self.waiting.pop_front()
        {
            self.append(mbuf);
        }
    }

    /// Appends to the burst, which has room: every caller has looked.
    fn append(&mut self, mbuf: Mbuf) {
        if let Err(mbuf) = self.sending.push(mbuf) {
            self.counters.dropped_tx_full += 1;
            drop(mbuf);
        }
    }
}

impl FramePort for DpdkPort {
    type Frame = DpdkFrame;

    fn capabilities(&self) -> PortCapabilities {
        self.capabilities
    }

    fn receive(&mut self, _: Instant, frames: &mut Vec<DpdkFrame>) {
        let count = self.rx.receive(&mut self.received, self.burst);
        self.counters.frames_in += count as u64;
        self.counters.bursts_in += u64::from(count > 0);
        while let Some(mbuf) = self.received.pop() {
            self.counters.bytes_in += mbuf.len() as u64;
            frames.push(DpdkFrame(mbuf));
        }
    }

    fn frame(&mut self) -> Option<DpdkFrame> {
        if self.spare.is_empty() && !self.tx_pool.take_burst(self.burst, &mut self.spare) {
            // Fewer than a burst, perhaps, but one.
            self.tx_pool.take_burst(1, &mut self.spare);
        }
        let frame = self.spare.pop().map(DpdkFrame);
        self.counters.no_memory += u64::from(frame.is_none());
        frame
    }

    fn send(&mut self, _: Instant, mut frame: DpdkFrame, checksum: Option<TxChecksum>) {
        let asked =
            checksum.is_none_or(|TxChecksum { link_header_bytes, ip_header_bytes, ipv6 }| {
                frame.0.ask_checksums(TxChecksums {
                    link_header_bytes,
                    ip_header_bytes,
                    ipv6,
                    ip: self.capabilities.tx_ipv4_checksum,
                    tcp: self.capabilities.tx_tcp_checksum,
                })
            });
        if !asked {
            self.counters.dropped_invalid += 1;
            return;
        }
        if checksum.is_none() {
            frame.0.clear_flags();
        }
        if !self.is_burst_whole() && self.waiting.is_empty() {
            self.append(frame.0);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(frame);
        } else {
            self.counters.dropped_tx_full += 1;
        }
        if self.is_burst_whole() && !self.is_full {
            self.hand_over();
        }
    }

    fn flush(&mut self, _: Instant) {
        // A burst, and those behind it: as many rounds as there can be bursts.
        for _ in 0..=WAITING_MAX.div_ceil(self.burst) {
            if self.sending.is_empty() {
                break;
            }
            self.hand_over();
            if self.is_full {
                break;
            }
        }
    }

    fn waiting(&self) -> usize {
        self.sending.len() + self.waiting.len()
    }

    fn link_ups(&self) -> u64 {
        self.link.ups()
    }

    fn counters(&self) -> PortCounters {
        let dropped_invalid = self.counters.dropped_invalid + self.rx.refused() + self.tx.invalid();
        PortCounters { dropped_invalid, ..self.counters }
    }
}

impl PortFrame for DpdkFrame {
    fn checksum(&self) -> RxChecksum {
        match (self.0.ip_checksum(), self.0.l4_checksum()) {
            (Checksum::Bad, _) | (_, Checksum::Bad) => RxChecksum::Bad,
            (Checksum::Good, Checksum::Good) => RxChecksum::Good,
            (Checksum::Unknown, Checksum::Good) => RxChecksum::TcpGood,
            _ => RxChecksum::Unknown,
        }
    }

    fn stripped_tag(&self) -> Option<u16> {
        self.0.stripped_vlan()
    }

    fn resize(&mut self, len: usize) -> bool {
        self.0.resize(len)
    }
}

impl Deref for DpdkFrame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for DpdkFrame {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
