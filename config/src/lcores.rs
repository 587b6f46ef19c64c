//! Which CPUs serve which ports.

use std::collections::{BTreeMap, BTreeSet};

use crate::dpdk::{Device, Dpdk, LCORES_MAX, Lcore, Lcores};

/// What a host is like, as far as ports are concerned.
pub trait Host {
    /// The CPUs that the process may use.
    fn cpus(&self) -> Vec<usize>;

    /// The NUMA node of a CPU; 0 where nodes are not known.
    fn node_of_cpu(&self, cpu: usize) -> usize;

    /// The NUMA node of a device; `None` where it has none, or that is not known.
    fn node_of_device(&self, device: &Device) -> Option<usize>;
}

/// The lcores of `dpdk` on `host`, in ascending order of their CPUs; empty where there are no ports
/// or no CPUs.
///
/// Ports that name their lcores have these, whether the process may use them or not. The others
/// take CPUs of their node in turn, none that is named and none twice, until there are `workers`
/// lcores in all or no more CPUs. A port for which none is left shares those of its node. Where a
/// port has no node, or the node no CPU, all CPUs are near.
pub fn place_lcores(dpdk: &Dpdk, workers: usize, host: &impl Host) -> Vec<Lcore> {
    let workers = workers.min(LCORES_MAX);
    let cpus = host.cpus();
    let mut ports_of: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut open = Vec::new();
    for (index, port) in dpdk.ports.iter().enumerate() {
        match &port.lcores {
            Lcores::Auto => open.push((index, near(host, &cpus, &port.device))),
            Lcores::List(list) => list.iter().for_each(|cpu| {
                ports_of.entry(*cpu).or_default().insert(index);
            }),
        }
    }
    let mut served = BTreeSet::new();
    loop {
        let before = ports_of.len();
        for (index, near) in &open {
            let free = near.iter().find(|cpu| !ports_of.contains_key(*cpu));
            if let Some(cpu) = free.filter(|_| ports_of.len() < workers) {
                ports_of.entry(*cpu).or_default().insert(*index);
                served.insert(*index);
            }
        }
        if ports_of.len() == before {
            break;
        }
    }
    for (index, near) in open.iter().filter(|(index, _)| !served.contains(index)) {
        let taken: Vec<usize> = ports_of.keys().copied().collect();
        let shared: Vec<usize> = taken.iter().copied().filter(|cpu| near.contains(cpu)).collect();
        for cpu in if shared.is_empty() { taken } else { shared } {
            ports_of.entry(cpu).or_default().insert(*index);
        }
    }
    let lcore = |(cpu, ports): (usize, BTreeSet<usize>)| {
        let ports = ports.into_iter().collect();
        Lcore { cpu, node: host.node_of_cpu(cpu), ports }
    };
    ports_of.into_iter().map(lcore).collect()
}

/// The CPUs of a device's node, or all.
fn near(host: &impl Host, cpus: &[usize], device: &Device) -> Vec<usize> {
    let node = host.node_of_device(device);
    let of_node = |cpu: &usize| node.is_some_and(|node| host.node_of_cpu(*cpu) == node);
    let near: Vec<_> = cpus.iter().copied().filter(of_node).collect();
    if near.is_empty() { cpus.to_vec() } else { near }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::Port;

    /// Two nodes of four CPUs. A device is on the node that its name says.
    struct TwoNodes;

    impl Host for TwoNodes {
        fn cpus(&self) -> Vec<usize> {
            (0..8).collect()
        }

        fn node_of_cpu(&self, cpu: usize) -> usize {
            cpu / 4
        }

        fn node_of_device(&self, device: &Device) -> Option<usize> {
            device.name().parse().ok()
        }
    }

    /// The lcores of a port, and the node that it is on.
    type On = (Lcores, Option<usize>);

    fn dpdk(ports: &[On]) -> Dpdk {
        let port = |(lcores, node): &On| {
            let name = node.map_or("anywhere".to_owned(), |node| node.to_string());
            Port { lcores: lcores.clone(), device: Device::Vdev(name), ..Port::default() }
        };
        Dpdk { ports: ports.iter().map(port).collect(), ..Dpdk::default() }
    }

    fn places(ports: &[On], workers: usize) -> Vec<(usize, Vec<usize>)> {
        let placed = place_lcores(&dpdk(ports), workers, &TwoNodes);
        assert!(placed.iter().all(|lcore| lcore.node == lcore.cpu / 4), "{placed:?}");
        placed.into_iter().map(|lcore| (lcore.cpu, lcore.ports)).collect()
    }

    fn open(node: Option<usize>) -> On {
        (Lcores::Auto, node)
    }

    fn named(cpus: &[usize]) -> On {
        (Lcores::List(cpus.to_vec()), Some(0))
    }

    #[test]
    fn named_lcores_serve_the_ports_that_name_them() {
        let placed = places(&[named(&[1, 2]), named(&[2, 3])], 3);
        assert_eq!(placed, [(1, vec![0]), (2, vec![0, 1]), (3, vec![1])]);
    }

    #[test]
    fn open_ports_take_cpus_of_their_nodes_in_turn() {
        let placed = places(&[open(Some(0)), open(Some(1))], 4);
        assert_eq!(placed, [(0, vec![0]), (1, vec![0]), (4, vec![1]), (5, vec![1])]);
        let placed = places(&[open(Some(0)), named(&[1])], 8);
        assert_eq!(placed, [(0, vec![0]), (1, vec![1]), (2, vec![0]), (3, vec![0])]);
    }

    #[test]
    fn a_port_for_which_no_lcore_is_left_shares_those_of_its_node() {
        let placed = places(&[open(None), open(None)], 1);
        assert_eq!(placed, [(0, vec![0, 1])]);
        let placed = places(&[open(Some(1)), open(Some(0)), open(Some(0))], 2);
        assert_eq!(placed, [(0, vec![1, 2]), (4, vec![0])]);
    }

    proptest! {
        #[test]
        fn every_port_is_served_and_by_no_more_lcores_than_workers(
            ports in vec(
                (
                    prop_oneof![
                        Just(Lcores::Auto),
                        vec(0..8_usize, 1..4).prop_map(Lcores::List),
                    ],
                    option::of(0..3_usize),
                ),
                1..6,
            ),
            workers in 1..12_usize,
        ) {
            let dpdk = dpdk(&ports);
            let placed = place_lcores(&dpdk, workers, &TwoNodes);
            prop_assert!(placed.len() <= workers.max(dpdk.lcores_named().len()));
            for (index, (lcores, _)) in ports.iter().enumerate() {
                let mine = placed.iter().filter(|lcore| lcore.ports.contains(&index));
                let mine: Vec<_> = mine.map(|lcore| lcore.cpu).collect();
                match lcores {
                    Lcores::Auto => prop_assert!(!mine.is_empty(), "port {}: {:?}", index, placed),
                    Lcores::List(list) => {
                        let named: BTreeSet<_> = list.iter().copied().collect();
                        prop_assert_eq!(mine, named.into_iter().collect::<Vec<_>>());
                    }
                }
            }
        }
    }
}
