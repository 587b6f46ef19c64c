//! An EAL of ordinary memory, ports, pools, and waiting with a bound.

use std::process::Command;
use std::slice;
use std::thread;
use std::time::{Duration, Instant};

use hioload_dpdk::{
    Eal, EalOptions, LogLevel, Memory, Mempool, MempoolOptions, Port, PortOptions, Started,
    StartedPort,
};
use hioload_net::{BURST_MAX, DpdkFrame, DpdkPort, FramePort, PortFrame, TxChecksum};

/// Where the tests that want interfaces of the kernel run.
const INSIDE: &str = "HIOLOAD_TEST_IN_NAMESPACE";

/// An EAL with these virtual devices.
pub(crate) fn eal(test: &str, virtual_devices: &[&str]) -> Eal {
    let mut options = EalOptions::new(format!("net-{test}-{}", std::process::id()), 1);
    options.memory = Memory::Ordinary { mib: 128 };
    options.log_level = LogLevel::Critical;
    options.virtual_devices = virtual_devices.iter().map(ToString::to_string).collect();
    Eal::start(&options).unwrap()
}

/// A pool of so many mbufs of 2 KiB.
pub(crate) fn pool(eal: &Eal, name: &str, mbufs: u32) -> Mempool {
    let name = name.to_owned();
    Mempool::new(eal, &MempoolOptions { name, mbufs, cache: 0, data_bytes: 2048, node: None })
        .unwrap()
}

/// A port of one queue pair, and what it sends from.
pub(crate) struct End {
    pub(crate) port: DpdkPort,
    pub(crate) handle: StartedPort,
    pub(crate) tx_pool: Mempool,
}

impl End {
    pub(crate) fn start(eal: &Eal, port: Port, tx_mbufs: u32) -> Self {
        let name = port.name().trim_start_matches("net_").to_owned();
        let rx_pool = pool(eal, &format!("{name}-rx"), 2047);
        let tx_pool = pool(eal, &format!("{name}-tx"), tx_mbufs);
        let Started { port: handle, mut queues } =
            port.start(&PortOptions::default(), slice::from_ref(&rx_pool)).unwrap();
        let port = DpdkPort::new(&handle, queues.remove(0), tx_pool.clone(), BURST_MAX).unwrap();
        Self { port, handle, tx_pool }
    }

    /// Sends a frame of these bytes; the next flush sees to it that it leaves.
    pub(crate) fn send(&mut self, bytes: &[u8], checksum: Option<TxChecksum>) {
        let mut frame = self.port.frame().expect("the pool has mbufs");
        assert!(frame.resize(bytes.len()));
        frame.copy_from_slice(bytes);
        self.port.send(Instant::now(), frame, checksum);
    }

    pub(crate) fn flush(&mut self) {
        self.port.flush(Instant::now());
    }

    /// The next `count` frames that come and that `wanted` picks.
    pub(crate) fn receive(
        &mut self,
        count: usize,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Vec<DpdkFrame> {
        let mut frames = Vec::new();
        until("frames", || {
            let mut burst = Vec::new();
            self.port.receive(Instant::now(), &mut burst);
            frames.extend(burst.into_iter().filter(|frame| wanted(frame)));
            frames.len() >= count
        });
        frames
    }
}

/// Waits for a fact, ten seconds at most.
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !fact() {
        assert!(Instant::now() < end, "no {what} within ten seconds");
        thread::yield_now();
    }
}

/// Runs a test once more, in a network namespace that ends with it, and there the story.
pub(crate) fn in_namespace(test: &str, story: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return story();
    }
    let status = Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare (util-linux) runs");
    assert!(status.success(), "inside the namespace: {status}");
}

/// `ip ARGUMENTS`, separated by spaces.
pub(crate) fn ip(arguments: &str) {
    let status =
        Command::new("ip").args(arguments.split(' ')).status().expect("ip (iproute2) runs");
    assert!(status.success(), "ip {arguments}: {status}");
}
