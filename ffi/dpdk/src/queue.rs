//! Queues of a port that runs. Each belongs to one owner, who may be on any thread.

use std::sync::Arc;

use crate::burst::{BURST_MAX, Burst, count_u16};
use crate::mempool::Mempool;
use crate::port::Running;

/// A receive queue.
#[derive(Debug)]
pub struct RxQueue {
    running: Arc<Running>,
    queue: u16,
    /// Where its mbufs come from. Held, so that the pool's name stays taken.
    pool: Mempool,
    refused: u64,
}

impl RxQueue {
    pub(crate) fn new(running: &Arc<Running>, queue: u16, pool: Mempool) -> Self {
        Self { running: Arc::clone(running), queue, pool, refused: 0 }
    }

    /// Its number on the port.
    pub fn id(&self) -> u16 {
        self.queue
    }

    /// The pool that it receives into.
    pub fn pool(&self) -> &Mempool {
        &self.pool
    }

    /// Appends what has come, at most `max` frames and as far as the burst has room; gives their
    /// number.
    ///
    /// A frame in several mbufs is copied together into the first one where it fits, and refused
    /// else. Ports that are started by this crate hardly make such frames.
    pub fn receive(&mut self, burst: &mut Burst, max: usize) -> usize {
        let room = burst.room();
        let (port, count) = (self.running.device.id(), count_u16(room.len().min(max)));
        // SAFETY: the port runs and has the queue; `&mut self` is its only owner, and there is room
        // for so many pointers.
        let got = unsafe { dpdk_sys::shim_rx_burst(port, self.queue, room.as_mut_ptr(), count) };
        let got = usize::from(got.min(count));
        let good = self.keep_plain(&mut burst.room()[..got]);
        // SAFETY: the port has given these mbufs away, and `keep_plain` has looked at each.
        unsafe { burst.filled(good) };
        good
    }

    /// Frames that were refused because they lay in several mbufs or in a shared one.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Moves the mbufs that are as [`Mbuf`](crate::Mbuf) demands to the front, frees the others,
    /// and gives the number of the former.
    fn keep_plain(&mut self, mbufs: &mut [*mut dpdk_sys::rte_mbuf]) -> usize {
        let mut kept = 0;
        for index in 0..mbufs.len() {
            let mbuf = mbufs[index];
            if is_plain(mbuf) {
                mbufs.swap(kept, index);
                kept += 1;
            } else {
                self.refused += 1;
                // SAFETY: the port has given it away, and nobody has seen it yet.
                unsafe { dpdk_sys::shim_mbuf_free(mbuf) };
            }
        }
        kept
    }
}

/// Whether an mbuf is one segment that nobody else refers to, made so if it can be.
fn is_plain(mbuf: *mut dpdk_sys::rte_mbuf) -> bool {
    // SAFETY: a received mbuf; nobody else writes to it.
    let (segments, references) = {
        // SAFETY: as above.
        let header = unsafe { &*mbuf };
        (header.nb_segs, header.refcnt)
    };
    if references != 1 {
        return false;
    }
    // SAFETY: a received chain that nobody else refers to.
    segments == 1 || unsafe { dpdk_sys::shim_mbuf_linearize(mbuf) } == 0
}

/// What a port took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Frames.
    pub frames: usize,
    /// Bytes of these.
    pub bytes: usize,
}

/// A send queue.
#[derive(Debug)]
pub struct TxQueue {
    running: Arc<Running>,
    queue: u16,
    /// Whether frames may ask for checksums, which the driver prepares.
    prepare: bool,
    invalid: u64,
}

impl TxQueue {
    pub(crate) fn new(running: &Arc<Running>, queue: u16) -> Self {
        let offloads = running.granted.offloads;
        let prepare = offloads.tx_ipv4_checksum || offloads.tx_tcp_checksum;
        Self { running: Arc::clone(running), queue, prepare, invalid: 0 }
    }

    /// Its number on the port.
    pub fn id(&self) -> u16 {
        self.queue
    }

    /// Hands over the frames of a burst, in order, and says what the port took. What it did not take
    /// stays in the burst. A frame that the driver calls impossible to send is dropped
    /// and counted as [`invalid`](Self::invalid).
    pub fn send(&mut self, burst: &mut Burst) -> Sent {
        let mut taken = Sent::default();
        // Each round takes one frame at least out of the burst, or is the last.
        while !burst.is_empty() {
            let ready = self.prepare(burst);
            let before = burst.bytes_of_first(ready);
            let sent = self.hand_over(burst, ready);
            taken.frames += sent;
            taken.bytes += before - burst.bytes_of_first(ready - sent);
            if sent < ready || burst.is_empty() {
                break;
            }
            drop(burst.pop());
            self.invalid += 1;
        }
        taken
    }

    /// Frames that the driver called impossible to send.
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// The number of frames, from the first on, that can be sent.
    fn prepare(&mut self, burst: &mut Burst) -> usize {
        let held = burst.held();
        if !self.prepare {
            return held.len();
        }
        let count = count_u16(held.len());
        // SAFETY: the port runs and has the queue; `&mut self` is its only owner, and the burst
        // owns these mbufs, whose headers the driver may write to.
        let ready = unsafe {
            dpdk_sys::shim_tx_prepare(
                self.running.device.id(),
                self.queue,
                held.as_mut_ptr(),
                count,
            )
        };
        usize::from(ready.min(count))
    }

    fn hand_over(&mut self, burst: &mut Burst, count: usize) -> usize {
        debug_assert!(count <= BURST_MAX);
        if count == 0 {
            return 0;
        }
        let count = count_u16(count);
        // SAFETY: the port runs and has the queue; `&mut self` is its only owner. The burst owns
        // these mbufs, and forgets those that the port takes.
        let sent = unsafe {
            dpdk_sys::shim_tx_burst(
                self.running.device.id(),
                self.queue,
                burst.held().as_mut_ptr(),
                count,
            )
        };
        let sent = usize::from(sent.min(count));
        burst.handed_over(sent);
        sent
    }
}

#[cfg(test)]
mod tests;
