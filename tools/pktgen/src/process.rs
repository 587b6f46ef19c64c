//! CPU time and memory of a process on this host.

use std::time::Duration;

#[cfg(target_os = "linux")]
use nix::{
    errno::Errno,
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

/// A process, by its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pid: u32,
}

impl Process {
    /// # Errors
    /// That there is none, or that this system does not tell.
    pub(crate) fn find(pid: u32) -> Result<Self, String> {
        let process = Self { pid };
        process.cpu()?;
        Ok(process)
    }

    /// This process.
    pub(crate) fn own() -> Option<Self> {
        Self::find(std::process::id()).ok()
    }
}

#[cfg(target_os = "linux")]
impl Process {
    /// User and system time of all its threads, those that have ended included. From the process's
    /// CPU clock, since `/proc` counts in steps of 10 ms.
    pub(crate) fn cpu(self) -> Result<Duration, String> {
        let refused = |error: Errno| format!("--server-pid {}: {}", self.pid, error.desc());
        let pid = i32::try_from(self.pid).map_err(|_| refused(Errno::ESRCH))?;
        let clock = clock_getcpuclockid(Pid::from_raw(pid)).map_err(refused)?;
        clock_gettime(clock).map(Duration::from).map_err(refused)
    }

    /// Resident memory, bytes.
    pub(crate) fn memory(self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.pid);
        let status = self.read(&path)?;
        resident_bytes(&status).ok_or_else(|| format!("{path} has no VmRSS"))
    }

    fn read(self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path)
            .map_err(|error| format!("--server-pid {}: {path}: {error}", self.pid))
    }
}

#[cfg(target_os = "linux")]
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(not(target_os = "linux"))]
impl Process {
    pub(crate) fn cpu(self) -> Result<Duration, String> {
        Err(self.unknown())
    }

    pub(crate) fn memory(self) -> Result<u64, String> {
        Err(self.unknown())
    }

    fn unknown(self) -> String {
        format!("--server-pid {}: this needs /proc, which only Linux has", self.pid)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_memory_and_time() {
        let process = Process::own().expect("it runs");
        assert!(process.memory().expect("it is told") > 100_000);
        assert!(process.cpu().expect("it is told") > Duration::ZERO);
    }

    #[test]
    fn resident_memory_is_read_as_bytes() {
        assert_eq!(resident_bytes("Name:\ta\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        let error = Process::find(u32::MAX).expect_err("there is none");
        assert_eq!(error, "--server-pid 4294967295: No such process");
    }
}
