//! An EAL, pools, and waiting with a bound.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use hioload_dpdk::{
    Burst, Eal, EalOptions, LogLevel, Mbuf, Memory, Mempool, MempoolOptions, RxQueue,
};

/// Options for a test: ordinary memory, no PCI, files of its own, one worker lcore.
pub(crate) fn options(test: &str) -> EalOptions {
    let mut options = EalOptions::new(format!("{test}-{}", std::process::id()), 1);
    options.memory = Memory::Ordinary { mib: 128 };
    options.lcores.worker_cpus = vec![0];
    options.log_level = LogLevel::Error;
    options
}

/// Removes what DPDK leaves behind where the EAL did not start, or was not cleaned up.
pub(crate) fn remove_files(options: &EalOptions) {
    let directory = Path::new("/var/run/dpdk").join(&options.file_prefix);
    if let Err(error) = fs::remove_dir_all(&directory) {
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{}: {error}", directory.display());
    }
}

/// An EAL for a test, with these virtual devices.
pub(crate) fn eal(test: &str, virtual_devices: &[&str]) -> Eal {
    let mut options = options(test);
    options.virtual_devices = virtual_devices.iter().map(ToString::to_string).collect();
    Eal::start(&options).unwrap()
}

/// A pool of 1,023 mbufs of 2 KiB.
pub(crate) fn pool(eal: &Eal, name: &str) -> Mempool {
    let options = MempoolOptions {
        name: name.to_owned(),
        mbufs: 1023,
        cache: 32,
        data_bytes: 2048,
        node: None,
    };
    Mempool::new(eal, &options).unwrap()
}

/// A frame of these bytes.
pub(crate) fn frame(pool: &Mempool, bytes: &[u8]) -> Mbuf {
    let mut mbuf = pool.take().expect("the pool has mbufs");
    assert!(mbuf.resize(bytes.len()));
    mbuf.copy_from_slice(bytes);
    mbuf
}

/// A burst of these frames.
pub(crate) fn burst<'a>(pool: &Mempool, frames: impl IntoIterator<Item = &'a [u8]>) -> Burst {
    let mut burst = Burst::new();
    for bytes in frames {
        burst.push(frame(pool, bytes)).expect("32 frames at most");
    }
    burst
}

/// The next `count` frames that come and that `wanted` picks.
pub(crate) fn receive(rx: &mut RxQueue, count: usize, wanted: impl Fn(&[u8]) -> bool) -> Vec<Mbuf> {
    let mut frames = Vec::new();
    until("frames", || {
        let mut burst = Burst::new();
        rx.receive(&mut burst, 32);
        while let Some(mbuf) = burst.pop() {
            if wanted(&mbuf) {
                frames.push(mbuf);
            }
        }
        frames.len() >= count
    });
    frames
}

/// Waits for a fact, ten seconds at most.
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !fact() {
        assert!(Instant::now() < end, "no {what} within ten seconds");
        thread::yield_now();
    }
}
