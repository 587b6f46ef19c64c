//! A frame in a pool's memory.

use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

use dpdk_sys::rte_mbuf;

use crate::live;

/// What a port says of a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It vouches for what the checksum covers. The field itself may hold something else, where the
    /// frame never was on a wire.
    Good,
    /// It looked, and it is wrong.
    Bad,
    /// It did not look.
    Unknown,
}

/// Checksums that the port is to compute. The fields must hold what DPDK wants there: zero in the
/// IPv4 header, the sum of the pseudo-header in TCP's (`rte_eth_tx_prepare` fills in both).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxChecksums {
    /// Bytes in front of the IP header, at most 127.
    pub link_header_bytes: u8,
    /// Bytes of the IP header, at most 511.
    pub ip_header_bytes: u16,
    /// Whether it is IPv6.
    pub ipv6: bool,
    /// Whether to compute that of the IPv4 header.
    pub ip: bool,
    /// Whether to compute TCP's.
    pub tcp: bool,
}

/// An mbuf of one segment that nobody else can see: its data are a slice of bytes.
///
/// Dropping it gives it back to its own pool, on any thread. Threads of the EAL have a cache in
/// front of the pool, others do not.
#[repr(transparent)]
pub struct Mbuf {
    // Of a pool that exists, reference count 1, one segment, `data_off + data_len <= buf_len`, no
    // other pointer to it in use; counted in `live`.
    raw: NonNull<rte_mbuf>,
}

// SAFETY: an mbuf is plain memory; pools take mbufs back from any thread.
unsafe impl Send for Mbuf {}
// SAFETY: through a shared reference it is only read.
unsafe impl Sync for Mbuf {}

impl Mbuf {
    /// # Safety
    /// `raw` must be as the field says, and already counted in `live`.
    pub(crate) unsafe fn from_raw(raw: NonNull<rte_mbuf>) -> Self {
        Self { raw }
    }

    pub(crate) fn as_raw(&self) -> NonNull<rte_mbuf> {
        self.raw
    }

    fn header(&self) -> &rte_mbuf {
        // SAFETY: the mbuf lives as long as `self`, and nobody writes to it meanwhile.
        unsafe { self.raw.as_ref() }
    }

    fn header_mut(&mut self) -> &mut rte_mbuf {
        // SAFETY: the mbuf lives as long as `self`, and nobody else looks at it.
        unsafe { self.raw.as_mut() }
    }

    fn data(&self) -> *mut u8 {
        let header = self.header();
        header.buf_addr.cast::<u8>().wrapping_add(usize::from(header.data_off))
    }

    /// Bytes in front of the data.
    pub fn headroom(&self) -> usize {
        usize::from(self.header().data_off)
    }

    /// Bytes behind the data.
    pub fn tailroom(&self) -> usize {
        usize::from(self.header().buf_len) - self.headroom() - self.len()
    }

    /// Makes the data `len` bytes long, from where they begin; bytes that are new have any value.
    /// `false` when there is no room for so many.
    #[must_use]
    pub fn resize(&mut self, len: usize) -> bool {
        if len > self.len() + self.tailroom() {
            return false;
        }
        self.set_len(len);
        true
    }

    /// Puts `count` bytes of any value in front. `false` when the headroom is less.
    #[must_use]
    pub fn prepend(&mut self, count: usize) -> bool {
        if count > self.headroom() {
            return false;
        }
        self.move_begin(self.headroom() - count);
        self.set_len(self.len() + count);
        true
    }

    /// Takes `count` bytes away in front. `false` when there are fewer.
    #[must_use]
    pub fn trim_front(&mut self, count: usize) -> bool {
        if count > self.len() {
            return false;
        }
        self.move_begin(self.headroom() + count);
        self.set_len(self.len() - count);
        true
    }

    // Both callers have seen that it is within the buffer, whose length is 16 bits wide.
    fn move_begin(&mut self, data_off: usize) {
        self.header_mut().data_off = u16::try_from(data_off).unwrap_or(u16::MAX);
    }

    fn set_len(&mut self, len: usize) {
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        let header = self.header_mut();
        header.data_len = len;
        header.pkt_len = len.into();
    }

    /// What the port that it came through says of the IPv4 header's checksum.
    pub fn ip_checksum(&self) -> Checksum {
        checksum(
            self.header().ol_flags,
            dpdk_sys::SHIM_MBUF_RX_IP_CKSUM_GOOD,
            dpdk_sys::SHIM_MBUF_RX_IP_CKSUM_BAD,
        )
    }

    /// What the port that it came through says of TCP's or UDP's checksum.
    pub fn l4_checksum(&self) -> Checksum {
        checksum(
            self.header().ol_flags,
            dpdk_sys::SHIM_MBUF_RX_L4_CKSUM_GOOD,
            dpdk_sys::SHIM_MBUF_RX_L4_CKSUM_BAD,
        )
    }

    /// The VLAN tag that the port took out of the frame, where it did.
    pub fn stripped_vlan(&self) -> Option<u16> {
        let header = self.header();
        (header.ol_flags & dpdk_sys::SHIM_MBUF_RX_VLAN_STRIPPED != 0).then_some(header.vlan_tci)
    }

    /// Forgets what a port said, and what was asked of one.
    pub fn clear_flags(&mut self) {
        self.header_mut().ol_flags = 0;
    }

    /// Asks the port that it is sent through for checksums, in place of what was asked before.
    /// `false`, and nothing is asked, when a header is longer than DPDK can say.
    #[must_use]
    pub fn ask_checksums(&mut self, ask: TxChecksums) -> bool {
        let link_bits = dpdk_sys::SHIM_MBUF_L2_LEN_BITS;
        let fits = u64::from(ask.link_header_bytes) >> link_bits == 0
            && u64::from(ask.ip_header_bytes) >> dpdk_sys::SHIM_MBUF_L3_LEN_BITS == 0;
        let mut flags = 0;
        if fits {
            flags |=
                if ask.ipv6 { dpdk_sys::SHIM_MBUF_TX_IPV6 } else { dpdk_sys::SHIM_MBUF_TX_IPV4 };
            if ask.ip && !ask.ipv6 {
                flags |= dpdk_sys::SHIM_MBUF_TX_IP_CKSUM;
            }
            if ask.tcp {
                flags |= dpdk_sys::SHIM_MBUF_TX_TCP_CKSUM;
            }
        }
        let lengths =
            u64::from(ask.link_header_bytes) | u64::from(ask.ip_header_bytes) << link_bits;
        let header = self.header_mut();
        header.ol_flags = flags;
        header.__bindgen_anon_3.tx_offload = if fits { lengths } else { 0 };
        fits
    }

    /// Its memory, headroom included, which begins at a cache line.
    pub(crate) fn into_memory(self) -> NonNull<u8> {
        debug_assert_eq!(self.header().buf_addr.addr(), self.raw.as_ptr().wrapping_add(1).addr());
        // SAFETY: the memory follows the header at once in pools without private data, as all are
        // that this crate makes.
        let memory = unsafe { self.raw.add(1) }.cast();
        mem::forget(self);
        memory
    }

    /// The mbuf that has this memory.
    ///
    /// # Safety
    /// `memory` came from [`into_memory`](Self::into_memory), and nobody uses it any more.
    pub(crate) unsafe fn from_memory(memory: NonNull<u8>) -> Self {
        // SAFETY: the header lies in front of the memory, as `into_memory` says.
        let raw = unsafe { memory.cast::<rte_mbuf>().sub(1) };
        // SAFETY: `into_memory` has forgotten an mbuf that was as the field says, and nobody has
        // changed that.
        unsafe { Self::from_raw(raw) }
    }

    /// A handle that can be cloned and only read.
    pub fn share(self) -> SharedMbuf {
        let shared = SharedMbuf { raw: self.raw, data: self.data(), len: self.len() };
        mem::forget(self);
        shared
    }
}

/// With both bits, the field is not filled in but the data are right (`RTE_MBUF_F_RX_*_CKSUM_NONE`).
fn checksum(flags: u64, good: u64, bad: u64) -> Checksum {
    match (flags & good != 0, flags & bad != 0) {
        (true, _) => Checksum::Good,
        (false, true) => Checksum::Bad,
        (false, false) => Checksum::Unknown,
    }
}

impl Deref for Mbuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: within the mbuf's buffer, which is memory of the pool's and lives as long; the
        // mbuf has no other owner who could write to it. All bytes of a pool have been given by the
        // kernel, so they hold some value.
        unsafe { slice::from_raw_parts(self.data(), usize::from(self.header().data_len)) }
    }
}

impl DerefMut for Mbuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and `self` is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.data(), usize::from(self.header().data_len)) }
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: ours alone, and its pool exists, since `live` counts it until the next line.
        unsafe { dpdk_sys::shim_mbuf_free(self.raw.as_ptr()) };
        live::dropped(1);
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mbuf")
            .field("headroom", &self.headroom())
            .field("len", &self.len())
            .field("tailroom", &self.tailroom())
            .finish()
    }
}

/// A reference to an mbuf that others have, too. Nobody can write to it any more, and no port is
/// given it; the last one to go gives it back to its pool.
pub struct SharedMbuf {
    // As in `Mbuf`, but for the reference count: one for each `SharedMbuf`. Only that field changes.
    raw: NonNull<rte_mbuf>,
    data: *const u8,
    len: usize,
}

// SAFETY: the data are only read, and DPDK counts references atomically.
unsafe impl Send for SharedMbuf {}
// SAFETY: as above.
unsafe impl Sync for SharedMbuf {}

impl SharedMbuf {
    #[cfg(test)]
    pub(crate) fn as_raw(&self) -> NonNull<rte_mbuf> {
        self.raw
    }

    /// How many there are; another number at once where others clone and drop theirs.
    pub fn references(&self) -> u16 {
        // SAFETY: the mbuf is not given back before `self` is dropped; the read is atomic.
        unsafe { dpdk_sys::shim_mbuf_refcnt_read(self.raw.as_ptr()) }
    }

    /// Another reference. `None` when there are 32,767 already.
    pub fn try_clone(&self) -> Option<Self> {
        // SAFETY: as in `references`; the count is changed atomically.
        let count = unsafe { dpdk_sys::shim_mbuf_refcnt_update(self.raw.as_ptr(), 1) };
        live::made(1);
        let clone = Self { raw: self.raw, data: self.data, len: self.len };
        // Threads that are between the two lines above are far fewer than the counts left.
        (count <= i16::MAX.unsigned_abs()).then_some(clone)
    }
}

impl Deref for SharedMbuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: these were the data of an `Mbuf`, which no one can write to since it is shared.
        unsafe { slice::from_raw_parts(self.data, self.len) }
    }
}

impl Drop for SharedMbuf {
    fn drop(&mut self) {
        // SAFETY: takes away the one reference that `self` stands for; the pool exists, since
        // `live` counts it until the next line.
        unsafe { dpdk_sys::shim_mbuf_free(self.raw.as_ptr()) };
        live::dropped(1);
    }
}

impl fmt::Debug for SharedMbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMbuf").field("len", &self.len).finish()
    }
}
