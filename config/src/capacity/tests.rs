use proptest::prelude::*;

use super::*;
use crate::dpdk::Device;

const KIB: u64 = 1 << 10;

/// Two lcores on node 0 and one on node 1, which serve the one port.
fn lcores() -> Vec<Lcore> {
    [(1, 0), (2, 0), (9, 1)].map(|(cpu, node)| Lcore { cpu, node, ports: vec![0] }).to_vec()
}

fn config() -> Config {
    let mut config = Config::default();
    config.dpdk.ports = vec![Port::default()];
    config
}

#[test]
fn a_pool_holds_what_can_be_taken_at_one_time() {
    let pool = receive_pool(&config(), &Port { rx_descriptors: 512, ..Port::default() }, 2);
    assert_eq!(pool.mbufs(), 512 + 32 + 2 * 384 + 256, "and what waits for the other lcore");
    assert_eq!((pool.data_room_bytes, pool.bytes()), (2048, 1568 * 2448));
    assert_eq!(receive_pool(&config(), &Port::default(), 1).mbufs(), 1024 + 32 + 384);
    let pool = transmit_pool(&config(), &Port::default());
    assert_eq!(pool.mbufs(), 1024 + 32 + 384);
}

#[test]
fn xdp_sockets_fill_a_ring_of_their_own_and_send_from_the_pool_they_receive_into() {
    let device = Device::Vdev("net_af_xdp0,iface=eth1".to_owned());
    let pool = receive_pool(&config(), &Port { device, ..Port::default() }, 1);
    assert_eq!(pool.mbufs(), 2048 + 1024 + 32 + 384);
}

#[test]
fn an_mbuf_holds_the_largest_frame_of_its_port() {
    let room = |mtu| data_room_bytes(&Port { mtu, ..Port::default() });
    assert_eq!([576, 1500, 2022, 2023, 9000].map(room), [2048, 2048, 2048, 3072, 9216]);
}

#[test]
fn without_huge_pages_each_mbuf_has_pages_of_its_own() {
    let mut config = config();
    config.dpdk.huge_pages = false;
    let pool = |mtu| receive_pool(&config, &Port { mtu, ..Port::default() }, 1);
    assert_eq!([1500, 9000].map(|mtu| pool(mtu).mbuf_bytes), [4096, 3 * 4096]);
    let printed = Capacity::new(&config, &lcores()).to_string();
    assert!(
        printed.contains("NUMA node 1: 126 MiB in ordinary pages = 46 MiB of EAL"),
        "{printed}"
    );
}

#[test]
fn messages_have_mbufs_for_a_backlog_and_the_mesh_within_their_share() {
    let mut config = config();
    assert_eq!(message_pool(&config, 3).mbufs(), 1024 + 1024 + 3 * 384);
    assert_eq!(message_pool(&config, 1).mbufs(), 1024 + 384, "no other worker, no mesh");
    config.broadcast.backlog_total_bytes_max = 3 * 1500 * 2448;
    assert_eq!(message_pool(&config, 3).mbufs(), 1500 + 3 * 384);
    config.broadcast.backlog_total_bytes_max = usize::MAX;
    config.broadcast.backlog_messages_max = 1_000_000;
    assert_eq!(message_pool(&config, 3).mbufs(), 8192 + 1024 + 3 * 384, "the rest is on the heap");
}

#[test]
fn a_share_leaves_room_for_an_uneven_spread() {
    assert_eq!(share(65_536, 1), 65_536);
    assert_eq!(share(65_536, 4), 16_384 + 2_048 + 64);
    assert_eq!(share(100, 4), 25 + 3 + 64);
    assert_eq!(share(10, 4), 10);
}

#[test]
fn the_sum_says_what_each_term_is() {
    let capacity = Capacity::new(&config(), &lcores());
    let expected = "\
lcores 1-2 on NUMA node 0, each:
  port 0, receive mbufs        6.4 MiB = (1024 descriptors + 32 in a burst + 1152 in caches + 512 handed over) x 2448 B
  port 0, transmit mbufs       3.4 MiB = (1024 descriptors + 32 in a burst + 384 in caches) x 2448 B
  port 0, queues               0.3 MiB = (1024 + 1024 descriptors) x 128 B
  message mbufs                7.5 MiB = (1024 in a backlog + 1024 in the mesh + 1152 in caches) x 2448 B
  rings of flows                80 MiB = 24640 flows x (1 KiB in + 2 KiB out), in whole 16 MiB
  on the heap, at most        33.1 MiB = 24640 flows x 1280 B + 24640 in TIME-WAIT x 128 B
lcores 9 on NUMA node 1:
  port 0, receive mbufs        6.4 MiB = (1024 descriptors + 32 in a burst + 1152 in caches + 512 handed over) x 2448 B
  port 0, transmit mbufs       3.4 MiB = (1024 descriptors + 32 in a burst + 384 in caches) x 2448 B
  port 0, queues               0.3 MiB = (1024 + 1024 descriptors) x 128 B
  message mbufs                7.5 MiB = (1024 in a backlog + 1024 in the mesh + 1152 in caches) x 2448 B
  rings of flows                80 MiB = 24640 flows x (1 KiB in + 2 KiB out), in whole 16 MiB
  on the heap, at most        33.1 MiB = 24640 flows x 1280 B + 24640 in TIME-WAIT x 128 B
NUMA node 0: 212 MiB in huge pages (106 of 2 MiB) = 52 MiB of EAL, 16 MiB for itself included, + 160 \
MiB rings of flows
NUMA node 1: 114 MiB in huge pages (57 of 2 MiB) = 34 MiB of EAL, 16 MiB for itself included, + 80 \
MiB rings of flows";
    assert_eq!(capacity.to_string(), expected);
}

#[test]
fn memory_that_holds_what_is_needed_goes_to_eal_but_for_the_rings() {
    let capacity = Capacity::new(&config(), &lcores());
    let mib = 1 << 20;
    for (memory, eal) in [
        (Memory::Auto, [52, 34]),
        (Memory::Each(212 * mib), [52, 132]),
        (Memory::Nodes(vec![1024 * mib, 114 * mib]), [864, 34]),
    ] {
        assert_eq!(capacity.check(&memory), Ok(()), "{memory:?}");
        assert_eq!(capacity.eal_mib(&memory), eal, "{memory:?}");
    }
}

#[test]
fn memory_that_is_too_small_is_refused_with_the_arithmetic() {
    let capacity = Capacity::new(&config(), &lcores());
    let mib = 1 << 20;
    assert_eq!(capacity.check(&Memory::Each(211 * mib)).unwrap_err().node, 0);
    let error = capacity.check(&Memory::Nodes(vec![1024 * mib])).unwrap_err();
    let expected = "dpdk.memory: expected \"auto\" or at least 114 MiB of NUMA node 1, which is 1 \
        lcore x (port 0, receive mbufs 6.4 MiB [(1024 descriptors + 32 in a burst + 1152 in caches + \
        512 handed over) x 2448 B] + port 0, transmit mbufs 3.4 MiB [(1024 descriptors + 32 in a burst + 384 in caches) x \
        2448 B] + port 0, queues 0.3 MiB [(1024 + 1024 descriptors) x 128 B] + message mbufs 7.5 MiB \
        [(1024 in a backlog + 1024 in the mesh + 1152 in caches) x 2448 B] + rings of flows 80 MiB \
        [24640 flows x (1 KiB in + 2 KiB out), in whole 16 MiB]) + 16 MiB for EAL, got 0 MiB; fewer \
        dpdk.flows_max, smaller buffers in [tcp] or fewer descriptors need less";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn without_lcores_nothing_is_needed() {
    let capacity = Capacity::new(&Config::default(), &[]);
    assert_eq!((capacity.to_string(), capacity.eal_mib(&Memory::Auto)), (String::new(), vec![]));
    assert_eq!(capacity.check(&Memory::Each(1)), Ok(()));
}

proptest! {
    #[test]
    fn shares_hold_all_of_it_together(total in 0..100_000_000_usize, lcores in 1..128_usize) {
        let one = share(total, lcores);
        prop_assert!(one <= total && one * lcores >= total);
    }

    #[test]
    fn what_is_needed_is_given_and_one_mib_less_is_refused(
        flows in 1..1_000_000_usize,
        rings in (1024..100_000_usize, 1024..100_000_usize),
        descriptors in 64..16_384_u16,
        mtu in 576..=9000_u16,
        at in prop::collection::vec((0..16_usize, 0..3_usize), 1..20),
    ) {
        let mut config = config();
        config.dpdk.flows_max = flows;
        config.dpdk.ports = vec![Port { rx_descriptors: descriptors, mtu, ..Port::default() }; 3];
        config.tcp.receive_buffer_bytes = Some(rings.0);
        config.tcp.send_buffer_bytes = Some(rings.1);
        let lcores: Vec<Lcore> = at
            .into_iter()
            .enumerate()
            .map(|(cpu, (ports, node))| Lcore {
                cpu,
                node,
                ports: (0..3).filter(|port| ports >> port & 1 == 1).collect(),
            })
            .collect();
        let capacity = Capacity::new(&config, &lcores);
        let needed: Vec<usize> = (0..3).map(|node| narrow(capacity.needed_bytes(node))).collect();
        prop_assert_eq!(capacity.check(&Memory::Nodes(needed.clone())), Ok(()));
        prop_assert_eq!(capacity.check(&Memory::Auto), Ok(()));

        let flow = wide(rings.0 + rings.1);
        for node in 0..3 {
            let here: Vec<_> = lcores.iter().filter(|lcore| lcore.node == node).collect();
            if here.is_empty() {
                prop_assert_eq!(needed[node], 0);
                continue;
            }
            // Each lcore holds its flows, and each of its queues as many mbufs as descriptors.
            let queues = here.iter().map(|lcore| wide(lcore.ports.len())).sum::<u64>();
            let of_queues = queues * u64::from(descriptors) * (u64::from(mtu) + KIB / 4);
            let of_flows = wide(here.len()) * wide(capacity.flows_per_lcore) * flow;
            prop_assert!(wide(needed[node]) >= of_queues + of_flows);

            let mut short = needed.clone();
            short[node] -= 1 << 20;
            let error = capacity.check(&Memory::Nodes(short)).unwrap_err();
            prop_assert_eq!(error.node, node);
        }
    }
}
