//! By libnuma.

use std::ffi::{c_int, c_ulong, c_void};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use libc::{MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap};
use libnuma_sys::{
    MPOL_F_ADDR, MPOL_PREFERRED, get_mempolicy, mbind, numa_available, numa_bitmask_free,
    numa_bitmask_isbitset, numa_get_mems_allowed, numa_max_node, numa_node_of_cpu,
};

use super::NodeError;

/// Taken for what libnuma keeps lists for, which it fills without a lock.
static LISTS: Mutex<()> = Mutex::new(());

const WORD_BITS: usize = c_ulong::BITS as usize;
/// The kernel is built for up to 1,024 nodes.
const MASK_WORDS: usize = 1024 / WORD_BITS;

/// Bit n stands for node n.
type NodeMask = [c_ulong; MASK_WORDS];
/// What the kernel is told of it: it takes one less for the count of bits.
const MASK_BITS: c_ulong = 1024 + 1;

pub(super) fn node_of_cpu(cpu: usize) -> Option<usize> {
    let cpu = c_int::try_from(cpu).ok()?;
    let _lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_available() {
        return None;
    }
    // SAFETY: libnuma says that it is available; it refuses a CPU that there is not. The lock is
    // held.
    let node = unsafe { numa_node_of_cpu(cpu) };
    usize::try_from(node).ok()
}

pub(super) fn nodes() -> Result<Vec<usize>, NodeError> {
    let _lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_available() {
        return Err(NodeError::Unavailable);
    }
    // SAFETY: libnuma says that it is available.
    let max = unsafe { numa_max_node() };
    // SAFETY: as above.
    let mask = unsafe { numa_get_mems_allowed() };
    if mask.is_null() {
        return Err(NodeError::System(io::ErrorKind::OutOfMemory.into()));
    }
    let nodes = (0..=u32::try_from(max).unwrap_or(0)).filter(|node| {
        // SAFETY: the mask is alive until it is freed below; a bit beyond it counts as not set.
        let is_set = unsafe { numa_bitmask_isbitset(mask, *node) };
        is_set == 1
    });
    let nodes = nodes.map(|node| node as usize).collect();
    // SAFETY: the mask came from libnuma and is not used again.
    unsafe { numa_bitmask_free(mask) };
    Ok(nodes)
}

pub(super) fn node_asked_for(bytes: &[u8]) -> Option<usize> {
    let (mut mode, mut mask): (c_int, NodeMask) = (0, [0; MASK_WORDS]);
    let address = bytes.as_ptr().cast_mut().cast();
    // SAFETY: the kernel writes one mode and at most as many bits as the mask has, and only looks
    // up the address.
    let status =
        unsafe { get_mempolicy(&raw mut mode, mask.as_mut_ptr(), MASK_BITS, address, MPOL_F_ADDR) };
    if status != 0 || mode != MPOL_PREFERRED {
        return None;
    }
    (0..MASK_WORDS * WORD_BITS).find(|node| mask[node / WORD_BITS] >> (node % WORD_BITS) & 1 == 1)
}

fn is_available() -> bool {
    // SAFETY: asks the kernel, and takes nothing.
    let status = unsafe { numa_available() };
    status >= 0
}

/// Zeroed pages that come from one node when they are touched first.
#[derive(Debug)]
pub(crate) struct Pages {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the pages belong to their owner, who does with them through raw pointers alone what any
// thread may.
unsafe impl Send for Pages {}
// SAFETY: a shared reference only tells where they are.
unsafe impl Sync for Pages {}

impl Pages {
    /// Pages for `bytes`, of which there are some, on `node`.
    pub(crate) fn map(bytes: usize, node: usize) -> io::Result<Self> {
        let mut mask: NodeMask = [0; MASK_WORDS];
        let word = mask.get_mut(node / WORD_BITS).ok_or(io::ErrorKind::InvalidInput)?;
        *word = 1 << (node % WORD_BITS);
        let (access, kind) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
        // SAFETY: new memory at a place that the kernel chooses, which touches none that there is.
        let start = unsafe { mmap(ptr::null_mut(), bytes, access, kind, -1, 0) };
        if start == MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        // From here on it is unmapped when this fails.
        let pages = Self { start, bytes };
        let address: *mut c_void = start.as_ptr().cast();
        // SAFETY: the range is the mapping from above, and the kernel reads the bits that the mask
        // has.
        let status = unsafe {
            mbind(address, bytes as c_ulong, MPOL_PREFERRED, mask.as_ptr(), MASK_BITS, 0)
        };
        if status == 0 { Ok(pages) } else { Err(io::Error::last_os_error()) }
    }

    /// The first byte, at the start of a page; good for all of them while they have an owner.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `map`, and with their owner nobody refers to the pages
        // any more.
        unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    #[test]
    fn every_cpu_that_we_may_use_is_on_a_node_as_sysfs_says() {
        for cpu in crate::affinity::allowed_cpus().unwrap() {
            let node = node_of_cpu(cpu).expect("a node");
            let link = format!("/sys/devices/system/cpu/cpu{cpu}/node{node}");
            assert!(std::path::Path::new(&link).exists(), "{link}");
        }
        assert_eq!(node_of_cpu(1 << 20), None);
        assert_eq!(node_of_cpu(usize::MAX), None);
    }

    #[test]
    fn a_node_that_there_is_not_is_refused_with_those_that_there_are() {
        let nodes = nodes().unwrap();
        assert!(!nodes.is_empty());
        assert!(check_node(nodes[0]).is_ok());
        let text = check_node(999).unwrap_err().to_string();
        let expected = format!("NUMA node 999; the nodes for it are {nodes:?}");
        assert!(text.ends_with(&expected), "{text}");
    }

    #[test]
    fn pages_are_asked_of_their_node_and_other_memory_of_none() {
        for node in nodes().unwrap() {
            let pages = Pages::map(5_000, node).unwrap();
            // SAFETY: the pages are zeroed, and live until the end of the block.
            let bytes = unsafe { std::slice::from_raw_parts(pages.start().as_ptr(), 5_000) };
            assert!(bytes.iter().all(|byte| *byte == 0));
            assert_eq!(node_asked_for(&bytes[4_999..]), Some(node));
        }
        assert_eq!(node_asked_for(&[1; 100]), None);
        assert!(Pages::map(5_000, 1_000).is_err());
        assert!(Pages::map(5_000, usize::MAX).is_err());
    }
}
