//! The thread in which the EAL waits for interrupts and for the sockets of drivers.
//!
//! Whoever takes a callback back wakes it, and it then reads what callbacks are left, in memory of
//! the EAL: the memif driver leaves that of its listening socket. `rte_eal_cleanup` unmaps the memory
//! and does not end the thread (DPDK 22.11), which dies of that when it wakes late, as on a busy host,
//! and the process with it.
//!
//! An alarm of the EAL's goes off in that thread, but is no way of waiting for it: `rte_eal_cleanup`
//! takes the callback of alarms back, where there were any, and so wakes it once more.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// In brackets, as in `/proc/PID/task/TID/stat`; later versions have the second name.
const NAMES: [&str; 2] = ["(eal-intr-thread)", "(dpdk-intr)"];

/// Longest wait for the thread.
const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_micros(100);

/// Waits until the thread sleeps, and says whether it does. The system counts it as awake from the
/// moment at which it is woken. Where the system does not say, there is nothing to wait for.
pub(super) fn thread_rests() -> bool {
    let begin = Instant::now();
    while is_awake() {
        if begin.elapsed() >= PATIENCE {
            return false;
        }
        thread::sleep(STEP);
    }
    true
}

fn is_awake() -> bool {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return false };
    let stats = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("stat")));
    stats.flatten().any(|stat| is_interrupt_thread(&stat) && !sleeps(&stat))
}

fn is_interrupt_thread(stat: &str) -> bool {
    NAMES.iter().any(|name| stat.contains(name))
}

/// Behind the name stands the state (proc_pid_stat(5)).
fn sleeps(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" S "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Eal, EalOptions, Memory};

    #[test]
    fn a_running_eal_has_the_thread_and_it_comes_to_rest() {
        let mut options = EalOptions::new(format!("interrupts-{}", std::process::id()), 1);
        options.memory = Memory::Ordinary { mib: 64 };
        let _eal = Eal::start(&options).unwrap();
        let threads = fs::read_dir("/proc/self/task").unwrap();
        let stats = threads.map(|it| fs::read_to_string(it.unwrap().path().join("stat")).unwrap());
        assert_eq!(stats.filter(|stat| is_interrupt_thread(stat)).count(), 1);

        assert!(thread_rests());
    }

    #[test]
    fn only_a_thread_that_waits_sleeps() {
        for (state, expected) in [("S", true), ("R", false), ("D", false)] {
            let stat = format!("12 (eal-intr-thread) {state} 1 12 12 0 -1");
            assert!(is_interrupt_thread(&stat));
            assert_eq!(sleeps(&stat), expected, "{stat}");
        }
        assert!(!is_interrupt_thread("13 (hioload) R 1 12 12 0 -1"));
    }
}
