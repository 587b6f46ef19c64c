//! The environment abstraction layer: memory, lcores, devices. Once per process.

mod interrupts;
mod options;

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, NulError, c_int};
use std::fs;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dpdk_sys::rte_mempool;

pub use options::{EalOptions, Lcores, LogLevel, Memory};

use crate::errno::Errno;
use crate::lcore::LcoreId;
use crate::live;

/// Whether this process has tried to start an EAL; DPDK allows for one try.
static TRIED: AtomicBool = AtomicBool::new(false);

/// The running EAL. Clones are the same one; with the last of them, and of what was made of them,
/// it is cleaned up.
#[derive(Clone, Debug)]
pub struct Eal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Held while an lcore is given something to do, and while ports are looked up or made: DPDK
    /// expects one thread to do that.
    control: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Ports that somebody has. Their rings may hold mbufs of any pool.
    ports: BTreeSet<u16>,
    /// Pools that nobody has any more, but perhaps their mbufs.
    retired: Vec<Retired>,
}

/// A pool that no handle refers to.
#[derive(Debug)]
struct Retired(NonNull<rte_mempool>);

// SAFETY: a pool belongs to no thread.
unsafe impl Send for Retired {}

/// Why the EAL did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EalError {
    /// It has been started in this process before, or that was tried.
    #[error(
        "DPDK's EAL was started in this process before, and can be only once; a new process may"
    )]
    Again,
    /// An option that the EAL would misunderstand.
    #[error("DPDK option {name}: {problem}")]
    Option {
        /// Which one.
        name: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// The EAL itself says no. Its own lines are on standard error.
    #[error("DPDK's EAL does not start with \"{arguments}\": {errno}. {remedy}")]
    Refused {
        /// What the EAL was given, as on a command line.
        arguments: String,
        /// Its reason.
        errno: Errno,
        /// What most often helps.
        remedy: &'static str,
    },
}

impl Eal {
    /// Starts the EAL. The calling thread becomes that of the main lcore: it may run where
    /// [`Lcores`] says, and so may the threads that it starts from now on.
    ///
    /// # Errors
    /// With a bad option, the second time in a process, and when DPDK refuses.
    pub fn start(options: &EalOptions) -> Result<Self, EalError> {
        let arguments = options.arguments()?;
        let line = arguments[1..].join(" ");
        let arguments: Vec<CString> = arguments
            .into_iter()
            .map(CString::new)
            .collect::<Result<_, NulError>>()
            .map_err(|error| EalError::Option {
                name: "arguments",
                problem: format!("a zero byte in {:?}", String::from_utf8_lossy(&error.into_vec())),
            })?;
        let count = c_int::try_from(arguments.len()).map_err(|_| EalError::Option {
            name: "arguments",
            problem: format!("{} of them are too many", arguments.len()),
        })?;
        if TRIED.swap(true, Ordering::SeqCst) {
            return Err(EalError::Again);
        }

        // Leaked, once per process: DPDK may refer to them for as long as it runs.
        let mut pointers: Vec<_> = arguments.into_iter().map(CString::into_raw).collect();
        pointers.push(std::ptr::null_mut());
        // SAFETY: `count` strings that stay, and a null pointer behind them, in memory that DPDK
        // may reorder; nothing of DPDK was called before.
        let parsed = unsafe { dpdk_sys::rte_eal_init(count, pointers.leak().as_mut_ptr()) };
        if parsed < 0 {
            let errno = Errno::last();
            return Err(EalError::Refused { arguments: line, errno, remedy: remedy(errno) });
        }
        Ok(Self(Arc::new(Inner { state: Mutex::default(), control: Mutex::new(()) })))
    }

    /// The version of the library that runs, as "DPDK 22.11.1".
    pub fn version() -> String {
        // SAFETY: takes nothing.
        let version = unsafe { dpdk_sys::rte_version() };
        // SAFETY: a string that ends in a zero and stays.
        let version = unsafe { CStr::from_ptr(version) };
        version.to_string_lossy().into_owned()
    }

    /// The lcores that can be [launched](Eal::launch) on: all but the main one.
    pub fn workers(&self) -> Vec<LcoreId> {
        let mut workers = Vec::new();
        let mut last = u32::MAX; // "before the first", for DPDK
        loop {
            // SAFETY: takes any number; skips the main lcore and does not wrap around.
            last = unsafe { dpdk_sys::rte_get_next_lcore(last, 1, 0) };
            if last >= dpdk_sys::RTE_MAX_LCORE {
                return workers;
            }
            workers.push(LcoreId(last));
        }
    }

    /// The NUMA node of an lcore; `None` when there is no such lcore.
    pub fn node(&self, lcore: LcoreId) -> Option<u32> {
        // SAFETY: takes any number.
        if unsafe { dpdk_sys::rte_lcore_is_enabled(lcore.0) } == 0 {
            return None;
        }
        // SAFETY: the lcore exists.
        Some(unsafe { dpdk_sys::rte_lcore_to_socket_id(lcore.0) })
    }

    /// Gives one thread at a time the right to launch, and to look up or make ports.
    pub(crate) fn control(&self) -> MutexGuard<'_, ()> {
        self.0.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a port for one owner; `false` when it has one.
    pub(crate) fn claim_port(&self, id: u16) -> bool {
        self.0.state().ports.insert(id)
    }

    /// Gives back a port that was never configured or is closed.
    pub(crate) fn release_port(&self, id: u16) {
        let mut state = self.0.state();
        state.ports.remove(&id);
        state.sweep();
    }

    /// Frees a pool as soon as that is safe.
    ///
    /// # Safety
    /// Nothing but mbufs and the rings of ports may refer to the pool.
    pub(crate) unsafe fn retire(&self, pool: NonNull<rte_mempool>) {
        let mut state = self.0.state();
        state.retired.push(Retired(pool));
        state.sweep();
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Frees the pools that nothing refers to: no port is open that could hold or receive mbufs of
    /// them, no handle is left to make some, and there is no mbuf at all.
    fn sweep(&mut self) {
        if self.retired.is_empty() || !self.ports.is_empty() || !live::none() {
            return;
        }
        for Retired(pool) in self.retired.drain(..) {
            // SAFETY: nothing refers to it, as above.
            unsafe { dpdk_sys::rte_mempool_free(pool.as_ptr()) };
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Neither port nor pool can be left, as they hold the EAL; mbufs may be.
        self.state().sweep();
        if !live::none() || !interrupts::thread_rests() {
            return;
        }
        let runtime = runtime_directory();
        // SAFETY: there are no pools, ports, queues, mbufs or running closures any more, all of
        // which hold the EAL or are counted; the interrupt thread rests, and nothing is left that
        // would wake it; and no other EAL can have been started.
        let cleaned = unsafe { dpdk_sys::rte_eal_cleanup() };
        if let (0, Some(directory)) = (cleaned, runtime) {
            // DPDK leaves sockets and tables there, which are of no use to anybody. If they cannot
            // be removed, the next start with this prefix overwrites them.
            let _ = fs::remove_dir_all(directory);
        }
    }
}

fn runtime_directory() -> Option<PathBuf> {
    // SAFETY: the EAL runs; returns a string of its own.
    let directory = unsafe { dpdk_sys::rte_eal_get_runtime_dir() };
    if directory.is_null() {
        return None;
    }
    // SAFETY: not null, and ends in a zero.
    let directory = unsafe { CStr::from_ptr(directory) }.to_str().ok()?;
    (!directory.is_empty()).then(|| PathBuf::from(directory))
}

/// What most often helps, by what `rte_eal_init` documents for its error numbers.
fn remedy(errno: Errno) -> &'static str {
    const EPERM: i32 = 1;
    const EAGAIN: i32 = 11;
    const ENOMEM: i32 = 12;
    const EACCES: i32 = 13;
    const ENODEV: i32 = 19;
    const EINVAL: i32 = 22;
    const EPROTO: i32 = 71;
    const EALREADY: i32 = 114;
    match errno.number() {
        EPERM | EACCES => {
            "Run as root, or with access to huge pages and devices; see that huge pages are \
             reserved (vm.nr_hugepages) and hugetlbfs is mounted on /dev/hugepages"
        }
        EAGAIN | EALREADY => {
            "Another process may be using the same file prefix or device; choose another prefix or \
             end that process"
        }
        ENOMEM => {
            "Reserve more huge pages on each NUMA node that memory is asked of (vm.nr_hugepages), \
             or ask for less memory"
        }
        ENODEV | EINVAL => {
            "One of the arguments is not understood, or names a device, a driver or a CPU that is \
             not there; the EAL says which on standard error"
        }
        EPROTO => "The PCI bus cannot be read; without PCI devices, name none",
        _ => "The EAL says more on standard error",
    }
}
