//! `SetThreadAffinityMask`.

use std::io;

use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, GetProcessAffinityMask, SetThreadAffinityMask,
};

/// The CPUs of the processor group, a bit each.
#[derive(Debug)]
pub(super) struct Mask(usize);

impl Mask {
    /// The CPUs that the calling thread may use. Windows tells only when it gets others.
    pub(super) fn of_thread() -> io::Result<Self> {
        let process = of_process()?;
        let former = exchange(process)?;
        exchange(former)?;
        Ok(Self(former))
    }

    pub(super) fn of_cpu(cpu: usize) -> io::Result<Self> {
        let bit = u32::try_from(cpu).ok().and_then(|cpu| 1_usize.checked_shl(cpu)).unwrap_or(0);
        if bit & of_process()? == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self(bit))
    }

    pub(super) fn cpus(&self) -> Vec<usize> {
        (0..usize::BITS as usize).filter(|cpu| self.0 >> cpu & 1 == 1).collect()
    }

    /// Makes these the CPUs of the calling thread.
    pub(super) fn apply(&self) -> io::Result<()> {
        exchange(self.0).map(|_| ())
    }
}

fn of_process() -> io::Result<usize> {
    let (mut process, mut system) = (0, 0);
    // SAFETY: takes nothing, and returns a constant that stands for this process.
    let this = unsafe { GetCurrentProcess() };
    // SAFETY: both masks are there to be written to.
    let done = unsafe { GetProcessAffinityMask(this, &raw mut process, &raw mut system) };
    match (done, process) {
        (0, _) => Err(io::Error::last_os_error()),
        // A process with threads in several groups has no one mask.
        (_, 0) => Err(io::ErrorKind::Unsupported.into()),
        (_, mask) => Ok(mask),
    }
}

/// Gives the calling thread the CPUs of `mask` and returns those that it had.
fn exchange(mask: usize) -> io::Result<usize> {
    // SAFETY: takes nothing, and returns a constant that stands for this thread.
    let this = unsafe { GetCurrentThread() };
    // SAFETY: the handle is the thread's own, which may change itself; no memory is passed.
    let former = unsafe { SetThreadAffinityMask(this, mask) };
    if former == 0 { Err(io::Error::last_os_error()) } else { Ok(former) }
}
