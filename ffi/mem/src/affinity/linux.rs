//! `sched_setaffinity(2)`.

use std::io;

use libc::{EINVAL, c_ulong, cpu_set_t, sched_getaffinity, sched_setaffinity};

const WORD_BITS: usize = c_ulong::BITS as usize;
/// No kernel is built for a fraction of this many CPUs.
const CPUS_MAX: usize = 1 << 16;

/// A set of CPUs, a bit each; as long as the kernel wants it, which may be longer than `cpu_set_t`.
#[derive(Debug)]
pub(super) struct Mask(Vec<c_ulong>);

impl Mask {
    pub(super) fn of_thread() -> io::Result<Self> {
        let mut mask = Self(vec![0; size_of::<cpu_set_t>() / size_of::<c_ulong>()]);
        loop {
            let bytes = size_of_val(&*mask.0);
            // SAFETY: the kernel writes at most as many bytes as it is told there are.
            let status = unsafe { sched_getaffinity(0, bytes, mask.0.as_mut_ptr().cast()) };
            if status == 0 {
                return Ok(mask);
            }
            let error = io::Error::last_os_error();
            // The kernel knows of more CPUs than the mask has bits.
            if error.raw_os_error() != Some(EINVAL) || mask.0.len() * WORD_BITS >= CPUS_MAX {
                return Err(error);
            }
            mask.0.resize(mask.0.len() * 2, 0);
        }
    }

    pub(super) fn of_cpu(cpu: usize) -> io::Result<Self> {
        if cpu >= CPUS_MAX {
            return Err(io::Error::from_raw_os_error(EINVAL));
        }
        let mut words = vec![0; cpu / WORD_BITS + 1];
        words[cpu / WORD_BITS] = 1 << (cpu % WORD_BITS);
        Ok(Self(words))
    }

    pub(super) fn cpus(&self) -> Vec<usize> {
        let bits = (0..self.0.len() * WORD_BITS)
            .filter(|cpu| self.0[cpu / WORD_BITS] >> (cpu % WORD_BITS) & 1 == 1);
        bits.collect()
    }

    /// Makes these the CPUs of the calling thread.
    pub(super) fn apply(&self) -> io::Result<()> {
        // SAFETY: the kernel reads as many bytes as there are.
        let status = unsafe { sched_setaffinity(0, size_of_val(&*self.0), self.0.as_ptr().cast()) };
        if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
