//! Which CPU a thread runs on: Linux and Windows.
//!
//! [`PinnedThread::pin`] keeps the calling thread on one CPU for as long as the value lives;
//! dropping it gives the thread back the CPUs that it had before. A CPU has the number that the
//! system gives it. On Windows these are the 64 at most of the processor group that the process
//! runs in.
//!
//! Threads that a pinned thread starts are pinned as it is (Linux), or not (Windows).

use std::io;
use std::marker::PhantomData;

#[cfg(target_os = "linux")]
#[path = "affinity/linux.rs"]
mod system;
#[cfg(windows)]
#[path = "affinity/windows.rs"]
mod system;
#[cfg(not(any(target_os = "linux", windows)))]
#[path = "affinity/unsupported.rs"]
mod system;

/// The CPUs that the calling thread may run on, in ascending order.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] where the system does not tell, and what it says else.
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    system::Mask::of_thread().map(|mask| mask.cpus())
}

/// The calling thread is kept on one CPU while this lives.
#[derive(Debug)]
pub struct PinnedThread {
    former: system::Mask,
    /// It is about the thread that made it, and stays there.
    _not_send: PhantomData<*const ()>,
}

impl PinnedThread {
    /// Moves the calling thread to `cpu` and keeps it there.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a CPU that there is not or that the process may not
    /// use, [`io::ErrorKind::Unsupported`] where threads cannot be pinned, and what the system
    /// says else. The thread is where it was then.
    pub fn pin(cpu: usize) -> io::Result<Self> {
        let former = system::Mask::of_thread()?;
        system::Mask::of_cpu(cpu)?.apply()?;
        Ok(Self { former, _not_send: PhantomData })
    }
}

impl Drop for PinnedThread {
    fn drop(&mut self) {
        // Where all of these CPUs have been taken away in the meantime, the thread stays.
        let _ = self.former.apply();
    }
}

#[cfg(all(test, any(target_os = "linux", windows)))]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_has_one_cpu_and_then_those_of_before() {
        let before = allowed_cpus().unwrap();
        for &cpu in &before {
            let pinned = PinnedThread::pin(cpu).unwrap();
            assert_eq!(allowed_cpus().unwrap(), [cpu]);
            drop(pinned);
            assert_eq!(allowed_cpus().unwrap(), before);
        }
    }

    #[test]
    fn a_panic_undoes_it_as_well() {
        let before = allowed_cpus().unwrap();
        let panic = std::panic::catch_unwind(|| {
            let _pinned = PinnedThread::pin(before[0]).unwrap();
            panic!("within");
        });
        assert!(panic.is_err());
        assert_eq!(allowed_cpus().unwrap(), before);
    }

    #[test]
    fn other_threads_stay_where_they_are() {
        let before = allowed_cpus().unwrap();
        let cpu = before[0];
        let pinned = std::thread::spawn(move || {
            let _pinned = PinnedThread::pin(cpu).unwrap();
            allowed_cpus().unwrap()
        });
        assert_eq!(pinned.join().unwrap(), [cpu]);
        assert_eq!(allowed_cpus().unwrap(), before);
    }

    #[test]
    fn a_cpu_that_there_is_not_is_refused_and_nothing_changes() {
        let before = allowed_cpus().unwrap();
        for cpu in [8_000, 1 << 20, usize::MAX] {
            let refused = PinnedThread::pin(cpu).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "CPU {cpu}: {refused}");
            assert_eq!(allowed_cpus().unwrap(), before);
        }
    }
}
