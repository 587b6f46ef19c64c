//! What an appliance holds that runs in a process of its own.

use std::fs;
use std::thread;
use std::time::Instant;

use crate::client::PATIENCE;
use crate::process::Process;

/// Mbufs that a worker keeps at hand to be sent, of each pool: two bursts.
const AT_HAND: u64 = 64;

/// What there is of something at a moment.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Mbufs that are out, by pool.
    pub(crate) mbufs: Vec<(String, u64)>,
    /// TCP connections.
    pub(crate) half_open: u64,
    pub(crate) open: u64,
    pub(crate) time_wait: u64,
    /// Bytes of memory that the process has touched and that are no file's: its heap and stacks.
    pub(crate) heap_bytes: u64,
    /// Bytes in huge pages: mbufs and the rings of flows.
    pub(crate) huge_bytes: u64,
}

impl Held {
    pub(crate) fn by(process: &Process) -> Self {
        let stats = process.stats();
        let count = |value: &serde_json::Value| value.as_u64().expect("a count");
        let pools = stats["mempools"].as_array().expect("a list");
        let pools = pools.iter().map(|pool| {
            let name = pool["name"].as_str().expect("a name");
            (name.to_owned(), count(&pool["in_use"]))
        });
        let flows = &stats["flows"];
        let status = fs::read_to_string(format!("/proc/{}/status", process.id()));
        let status = status.expect("it runs");
        let bytes = |key: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(key)).expect(key);
            let value = value.trim_start_matches(':').trim().trim_end_matches(" kB");
            value.parse::<u64>().expect("a size") << 10
        };
        Self {
            mbufs: pools.collect(),
            half_open: count(&flows["half_open"]),
            open: count(&flows["open"]),
            time_wait: count(&flows["time_wait"]),
            heap_bytes: bytes("RssAnon"),
            huge_bytes: bytes("HugetlbPages"),
        }
    }

    /// Waits until so many connections are left, and mbufs are where they were `before`.
    pub(crate) fn once_back(process: &Process, before: &Self, open: u64) -> Self {
        let start = Instant::now();
        loop {
            let now = Self::by(process);
            let mut pools = now.mbufs.iter().zip(&before.mbufs);
            let are_back = pools.all(|((_, now), (_, before))| *now <= before + AT_HAND);
            if are_back && now.half_open == 0 && now.open == open {
                return now;
            }
            assert!(start.elapsed() < PATIENCE, "{now:?} is not back at {before:?}");
            thread::yield_now();
        }
    }
}
