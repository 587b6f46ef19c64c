//! How long a worker that finds nothing to do may sleep.

use std::time::Duration;

use hioload_config::{Config, Device, Idle as IdleWanted, Lcore};
use hioload_dpdk::StartedPort;
use hioload_net::{Idle, IdleStep};

/// Bits on the wire of the shortest frame: 64 bytes, preamble and gap.
const FRAME_BITS_MIN: u64 = 84 * 8;
/// Taken for the speed of a link that does not tell, or is down.
const LINK_MBPS: u64 = 10_000;
/// Sleeps are never shorter, since the system could not keep to it, and never longer.
const STEP_MIN: Duration = Duration::from_micros(10);
const STEP_MAX: Duration = Duration::from_millis(1);
/// Empty looks before an adaptive worker sleeps: some ten microseconds.
const SPINS: u32 = 200;

/// The receive ring of a port on one worker.
#[derive(Clone, Copy)]
struct Ring {
    /// Of a NIC, which has nothing in front of it. A virtual device has queues of the kernel's, or
    /// another process that can wait.
    is_of_nic: bool,
    descriptors: u16,
    /// Of the link.
    mbps: Option<u32>,
}

/// What the workers sleep between two looks, by the links of their ports.
pub(super) struct IdleSteps(Vec<Worker>);

struct Worker {
    step: IdleStep,
    /// Those that it serves, by their place, and whether each is a NIC.
    ports: Vec<(usize, bool)>,
}

impl IdleSteps {
    /// The policy of each of `lcores`, and what adapts those that sleep to the ports' links.
    pub(super) fn new(
        config: &Config,
        lcores: &[Lcore],
        started: &[StartedPort],
    ) -> (Vec<Idle>, Self) {
        let mut workers = Self(Vec::new());
        if config.dpdk.idle == IdleWanted::Busy {
            return (vec![Idle::Busy; lcores.len()], workers);
        }
        let policies = lcores.iter().map(|lcore| {
            let step = IdleStep::default();
            let ports = lcore.ports.iter().map(|port| (*port, is_nic(config, *port))).collect();
            workers.0.push(Worker { step: step.clone(), ports });
            Idle::Adaptive { spins: SPINS, step }
        });
        let policies = policies.collect();
        workers.adapt(started);
        (policies, workers)
    }

    /// Takes in what is known of the links now.
    pub(super) fn adapt(&self, started: &[StartedPort]) {
        for worker in &self.0 {
            let rings = worker.ports.iter().filter_map(|(place, is_of_nic)| {
                let port = started.get(*place)?;
                let descriptors = port.granted().rx_descriptors;
                Some(Ring { is_of_nic: *is_of_nic, descriptors, mbps: port.link().mbps() })
            });
            worker.step.set(step(rings));
        }
    }
}

/// Whether a worker has to wake when it asked to, and not when it suits the system: a NIC's ring
/// would overflow meanwhile. Elsewhere it would only take CPU from whoever sends to it.
pub(super) fn wakes_exactly(config: &Config, lcore: &Lcore) -> bool {
    config.dpdk.idle == IdleWanted::Adaptive && lcore.ports.iter().any(|port| is_nic(config, *port))
}

fn is_nic(config: &Config, port: usize) -> bool {
    config.dpdk.ports.get(port).is_some_and(|port| matches!(port.device, Device::Pci(_)))
}

/// Half the time in which the first of these rings to fill does so, or `None` where a NIC's is full
/// too soon to sleep at all.
fn step(rings: impl Iterator<Item = Ring>) -> Option<Duration> {
    let steps = rings.map(|ring| {
        let mbps = ring.mbps.map_or(LINK_MBPS, u64::from).max(1);
        let bits = u64::from(ring.descriptors) * FRAME_BITS_MIN;
        let half = Duration::from_nanos(bits * 1000 / mbps / 2);
        if ring.is_of_nic { half } else { half.max(STEP_MIN) }
    });
    let step = steps.min().unwrap_or(STEP_MAX).min(STEP_MAX);
    (step >= STEP_MIN).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(descriptors: u16, mbps: Option<u32>) -> Ring {
        Ring { is_of_nic: true, descriptors, mbps }
    }

    fn vdev(descriptors: u16, mbps: Option<u32>) -> Ring {
        Ring { is_of_nic: false, ..nic(descriptors, mbps) }
    }

    fn micros(rings: &[Ring]) -> Option<u128> {
        step(rings.iter().copied()).map(|step| step.as_micros())
    }

    #[test]
    fn a_worker_sleeps_half_as_long_as_its_ring_lasts() {
        assert_eq!(micros(&[nic(1024, Some(10_000))]), Some(34));
        assert_eq!(micros(&[nic(1024, Some(25_000))]), Some(13));
        assert_eq!(micros(&[nic(1024, Some(1_000))]), Some(344));
        assert_eq!(micros(&[nic(16_384, Some(100))]), Some(1000), "and never longer than that");
    }

    #[test]
    fn while_a_link_does_not_tell_it_is_taken_for_one_of_ten_gigabits() {
        assert_eq!(micros(&[nic(1024, None)]), Some(34));
        assert_eq!(micros(&[vdev(1024, None)]), Some(34));
    }

    #[test]
    fn a_worker_whose_nic_is_full_too_soon_stays_awake() {
        assert_eq!(micros(&[nic(1024, Some(100_000))]), None);
        assert_eq!(micros(&[nic(64, Some(10_000))]), None);
        assert_eq!(micros(&[vdev(1024, None), nic(1024, Some(40_000))]), None);
        assert_eq!(micros(&[vdev(64, Some(100_000))]), Some(10), "others can wait");
    }

    #[test]
    fn only_workers_with_a_nic_wake_exactly() {
        let config = |more: &str| {
            let toml = format!(
                r#"
                    server.listen = "10.0.0.1:80"
                    {more}
                    [[dpdk.port]]
                    vdev = "net_tap0"
                    addresses = ["10.0.0.1/24"]
                    [[dpdk.port]]
                    pci = "0000:03:00.0"
                    addresses = ["10.0.1.1/24"]
                "#
            );
            Config::parse(&toml, "test").expect("a valid configuration")
        };
        let lcore = |ports: &[usize]| Lcore { cpu: 0, node: 0, ports: ports.to_vec() };
        let adaptive = config("");
        let exactly = [&[0][..], &[1], &[0, 1]].map(|it| wakes_exactly(&adaptive, &lcore(it)));
        assert_eq!(exactly, [false, true, true]);
        assert!(!wakes_exactly(&config("dpdk.idle = \"busy\""), &lcore(&[1])), "it never sleeps");
    }
}
