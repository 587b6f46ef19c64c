//! Pools of mbufs.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

use dpdk_sys::rte_mempool;
use hioload_mem::slab::PieceSource;

use crate::burst::{BURST_MAX, Burst};
use crate::eal::Eal;
use crate::errno::Errno;
use crate::mbuf::Mbuf;

/// Bytes of a name: DPDK puts "MP_" in front and ends it with a zero, within 26 bytes less what
/// the rings of a pool add.
const NAME_BYTES_MAX: usize = 20;

/// Mbufs that an lcore keeps for itself at most (`RTE_MEMPOOL_CACHE_MAX_SIZE`).
const CACHE_MAX: u32 = 512;

/// What a pool is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MempoolOptions {
    /// Unique among the pools of the process; 1 to 20 bytes.
    pub name: String,
    /// Mbufs in all. A power of two less one wastes no memory.
    pub mbufs: u32,
    /// Mbufs that each lcore may keep for itself, at most 512 and mbufs / 1.5. What lies in the
    /// cache of one lcore no other can have, and a cache grows to 1.5 times this number.
    pub cache: u32,
    /// Bytes of data that an mbuf holds at least, besides its headroom of 128.
    pub data_bytes: u16,
    /// The NUMA node whose memory it is; any when `None`.
    pub node: Option<u32>,
}

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
#[error("mempool {name:?}: {problem}")]
pub struct MempoolError {
    /// Its name.
    pub name: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// A pool of mbufs. Clones are the same one, on any thread.
///
/// When the last is gone, its memory is freed as soon as no mbuf and no open port is left.
#[derive(Clone, Debug)]
pub struct Mempool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    raw: NonNull<rte_mempool>,
    eal: Eal,
    name: String,
    mbufs: u32,
    data_bytes: u16,
}

// SAFETY: any thread may take from a pool and give back to it: it is made with the default ring,
// which is for many producers and consumers.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Mempool {
    /// Makes a pool.
    ///
    /// # Errors
    /// When the options contradict each other, the name is taken, or there is not enough memory.
    pub fn new(eal: &Eal, options: &MempoolOptions) -> Result<Self, MempoolError> {
        let MempoolOptions { name, mbufs, cache, data_bytes, node } = options;
        let refuse = |problem| MempoolError { name: name.clone(), problem };
        let Some(room) = u16::try_from(dpdk_sys::RTE_PKTMBUF_HEADROOM)
            .ok()
            .and_then(|headroom| headroom.checked_add(*data_bytes))
        else {
            return Err(refuse(format!(
                "{data_bytes} bytes of data and the headroom exceed 65,535"
            )));
        };
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
            return Err(refuse(format!("a name has 1 to {NAME_BYTES_MAX} bytes")));
        }
        let c_name = CString::new(name.as_str())
            .map_err(|_| refuse("a zero byte in the name".to_owned()))?;
        if *cache > CACHE_MAX || u64::from(*cache) * 3 > u64::from(*mbufs) * 2 {
            return Err(refuse(format!(
                "a cache of {cache} for each lcore; at most {CACHE_MAX}, and {mbufs} mbufs / 1.5"
            )));
        }
        let node_id = match node {
            None => dpdk_sys::SHIM_SOCKET_ID_ANY,
            Some(node) => {
                i32::try_from(*node).map_err(|_| refuse(format!("no NUMA node {node}")))?
            }
        };
        // SAFETY: the EAL runs; the name ends in a zero and is copied.
        let raw = unsafe {
            dpdk_sys::rte_pktmbuf_pool_create(c_name.as_ptr(), *mbufs, *cache, 0, room, node_id)
        };
        let Some(raw) = NonNull::new(raw) else {
            return Err(refuse(reason(Errno::last(), options, room)));
        };
        let (name, mbufs, data_bytes) = (name.clone(), *mbufs, *data_bytes);
        Ok(Self(Arc::new(Inner { raw, eal: eal.clone(), name, mbufs, data_bytes })))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Mbufs in all.
    pub fn mbufs(&self) -> u32 {
        self.0.mbufs
    }

    /// Bytes of data that an mbuf holds, besides the headroom.
    pub fn data_bytes(&self) -> u16 {
        self.0.data_bytes
    }

    /// Mbufs that can be had, those in caches included. Close to the truth while others use the
    /// pool, exact when nobody does. Walks over the caches of all lcores.
    pub fn available(&self) -> u32 {
        // SAFETY: the pool exists.
        unsafe { dpdk_sys::rte_mempool_avail_count(self.0.raw.as_ptr()) }
    }

    /// Mbufs that are out: with somebody, or in the ring of a port. As exact as
    /// [`available`](Self::available).
    pub fn in_use(&self) -> u32 {
        // SAFETY: the pool exists.
        unsafe { dpdk_sys::rte_mempool_in_use_count(self.0.raw.as_ptr()) }
    }

    /// An empty mbuf; `None` while there is none.
    pub fn take(&self) -> Option<Mbuf> {
        let mut burst = Burst::new();
        self.take_burst(1, &mut burst);
        burst.pop()
    }

    /// Appends `count` empty mbufs, or none at all where the pool or the burst has no room for so
    /// many; says whether it has.
    pub fn take_burst(&self, count: usize, burst: &mut Burst) -> bool {
        debug_assert!(count <= BURST_MAX, "asks for more than a burst holds");
        let room = burst.room();
        if count > room.len() {
            return false;
        }
        let Ok(bulk) = u32::try_from(count) else { return false };
        // SAFETY: the pool exists, and there is room for so many pointers.
        let taken =
            unsafe { dpdk_sys::shim_mbuf_alloc_bulk(self.0.raw.as_ptr(), room.as_mut_ptr(), bulk) };
        if taken != 0 {
            return false;
        }
        // SAFETY: these mbufs are new: one segment, no data, one reference.
        unsafe { burst.filled(count) };
        true
    }

    pub(crate) fn as_ptr(&self) -> *mut rte_mempool {
        self.0.raw.as_ptr()
    }
}

// SAFETY: an mbuf that was taken is ours alone until it is dropped, and its memory, which never
// moves, begins at a cache line, as all objects of a mempool and the headers of mbufs have whole
// lines. It is headroom and data bytes long: so the pool was made. Clones of the handle keep it.
unsafe impl PieceSource for Mempool {
    fn piece_bytes(&self) -> usize {
        dpdk_sys::RTE_PKTMBUF_HEADROOM as usize + usize::from(self.data_bytes())
    }

    fn take(&self) -> Option<NonNull<u8>> {
        Some(Mempool::take(self)?.into_memory())
    }

    unsafe fn give_back(&self, piece: NonNull<u8>) {
        // SAFETY: the caller says that it came from `take`, and that nobody uses it.
        drop(unsafe { Mbuf::from_memory(piece) });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: this was the last handle; queues hold one each.
        unsafe { self.eal.retire(self.raw) };
    }
}

fn reason(errno: Errno, options: &MempoolOptions, room: u16) -> String {
    const ENOMEM: i32 = 12;
    const EEXIST: i32 = 17;
    match errno.number() {
        EEXIST => "the name is taken; mbufs of a former pool may be in use still".to_owned(),
        ENOMEM => {
            // A header of 128 bytes, and one of the pool's.
            let bytes = u64::from(options.mbufs) * (u64::from(room) + 128 + 64);
            let place =
                options.node.map_or_else(String::new, |node| format!(" on NUMA node {node}"));
            format!(
                "{} mbufs of {room} bytes take {} MiB{place}, which there are not: reserve more \
                 huge pages or ask for fewer mbufs ({errno})",
                options.mbufs,
                bytes.div_ceil(1 << 20),
            )
        }
        _ => errno.to_string(),
    }
}
