//! What holds for every text and every configuration.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hioload_config::{
    AdminAddress, Broadcast, ClientAddress, Config, Control, Cpus, Datapath, Device, Dpdk, Idle,
    IpNet, Lcores, Limits, ListenAddress, LogFormat, LogLevel, Memory, Offloads, Origins, Port,
    Publish, Route, Secret, Server, SessionsMax, SlowConsumer, Tcp, WebSocket,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const REFERENCE: &str = include_str!("../examples/reference.toml");

/// Pieces of files: what a random edit is likely to break something with.
const PIECES: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\"",
    "'",
    "\"\"\"",
    "#",
    "\n",
    "\r",
    "\\",
    "0",
    "-1",
    "1e9",
    "true",
    "off",
    "[server]",
    "[[tcp]]",
    "[[dpdk.port]]\n",
    "\n[dpdk.port]\n",
    "vdev = \"net_null0\"\n",
    "addresses = \"10.0.0.1/24\"\n",
    "dpdk.port = [",
    "workers",
    "\u{e9}",
    "\0",
    "\u{feff}",
    "1979-05-27",
    "ns",
    "18446744073709551616",
    "64 KiB",
    "*",
    "listen = \":1\"\n",
    "a.b.c = ",
    "control.admin_token",
];

/// A printed configuration says again what it was printed from, once the hidden token is put back.
fn prints_what_it_means(mut config: Config) -> Result<(), TestCaseError> {
    let mut text = config.to_toml();
    if config.control.admin_token.is_some() {
        text = text.replace("admin_token = \"***\"", "admin_token = \"t\"");
        config.control.admin_token = Some(Secret::new("t"));
    }
    let again = Config::parse(&text, "printed.toml");
    prop_assert_eq!(again, Ok(config), "{}", text);
    Ok(())
}

fn any_text_is_answered(text: &str) -> Result<(), TestCaseError> {
    match Config::parse(text, "random.toml") {
        Ok(config) => {
            prop_assert_eq!(config.validate(), Ok(()));
            prints_what_it_means(config)
        }
        Err(error) => {
            prop_assert!(!error.faults().is_empty());
            for line in error.to_string().lines().take(error.faults().len()) {
                prop_assert!(line.starts_with("random.toml:"), "{}", line);
            }
            Ok(())
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_answered(text in any::<String>()) {
        any_text_is_answered(&text)?;
    }

    #[test]
    fn a_file_with_random_edits_is_answered(
        edits in vec((any::<Index>(), 0..20_usize, select(PIECES)), 1..6),
    ) {
        let mut text = REFERENCE.to_owned();
        for (at, removed, piece) in edits {
            // The reference is ASCII; what was put in before may not be.
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary((start + removed).min(text.len()));
            text.replace_range(start..end.max(start), piece);
        }
        any_text_is_answered(&text)?;
    }

    #[test]
    fn a_file_and_code_are_judged_alike(config in any_config()) {
        let config = Config { control: Control { admin_token: None, ..config.control }, ..config };
        let from_code = config.validate().is_ok();
        prop_assert_eq!(Config::parse(&config.to_toml(), "printed.toml").is_ok(), from_code);
    }
}

proptest! {
    // About four of five are not valid.
    #![proptest_config(ProptestConfig { max_global_rejects: 16_384, ..ProptestConfig::default() })]

    #[test]
    fn every_valid_configuration_prints_what_it_means(config in any_config()) {
        prop_assume!(config.validate().is_ok());
        prints_what_it_means(config)?;
    }

    #[test]
    fn every_valid_port_prints_what_it_means(dpdk in dpdk()) {
        let mut config = Config { dpdk, ..Config::default() };
        config.server.workers = config.workers_auto();
        config.server.listen = vec![ListenAddress::Every { port: 80 }];
        prop_assume!(config.validate().is_ok());
        prints_what_it_means(config)?;
    }
}

/// Configurations of which some are valid, and most are out of bounds somewhere.
fn any_config() -> impl Strategy<Value = Config> {
    let tables = (server(), websocket(), broadcast(), tcp(), limits(), control());
    let tables = tables.prop_map(|(server, websocket, broadcast, tcp, limits, control)| Config {
        server,
        websocket,
        broadcast,
        tcp,
        limits,
        control,
        dpdk: Dpdk::default(),
    });
    let dpdk = prop_oneof![2 => Just(Dpdk::default()), 1 => dpdk()];
    (tables, dpdk, 0..10_u8).prop_map(|(mut config, dpdk, contrary)| {
        config.dpdk = dpdk;
        // What ports ask of the other tables, for the most part.
        if contrary != 0 && config.dpdk.ports.is_empty() {
            if config.server.datapath == Datapath::Dpdk {
                config.server.datapath = Datapath::Auto;
            }
        } else if contrary != 0 {
            config.server.cpus = Cpus::Off;
            config.server.workers = config.workers_auto();
            config.server.listen = vec![ListenAddress::Every { port: 80 }];
            config.limits.sessions_max = SessionsMax::Auto;
        }
        config
    })
}

fn dpdk() -> impl Strategy<Value = Dpdk> {
    let mib = || (0..5_000_usize).prop_map(|count| count << 20);
    let memory = prop_oneof![
        10 => Just(Memory::Auto),
        10 => mib().prop_map(Memory::Each),
        10 => vec(mib(), 1..4).prop_map(Memory::Nodes),
        1 => any::<usize>().prop_map(Memory::Each),
    ];
    let eal = (
        memory,
        any::<bool>(),
        "[a-z][a-z0-9_.-]{0,9}",
        vec("--[a-z]{3,9}|-n[ -~]{0,4}|[!-~]{0,2}", 0..3),
    );
    let idle = select(&[Idle::Adaptive, Idle::Busy][..]);
    let count = || 1..1_000_000_usize;
    let flows = (count(), count(), count(), 1..=32_u16);
    (eal, idle, flows, vec(port(), 0..4)).prop_map(|(eal, idle, flows, mut ports)| {
        for (index, port) in ports.iter_mut().enumerate() {
            // Most are apart from each other.
            if let Device::Vdev(name) = &mut port.device {
                *name = format!("net_null{index}{name}");
            }
        }
        Dpdk {
            memory: eal.0,
            huge_pages: eal.1,
            file_prefix: eal.2,
            eal_args: eal.3,
            idle,
            flows_max: flows.0,
            half_open_max: flows.1,
            time_wait_max: flows.2,
            burst: flows.3,
            ports,
        }
    })
}

fn port() -> impl Strategy<Value = Port> {
    let device = prop_oneof![
        20 => "(,[a-z]{1,5}=[!-~]{1,5}){0,2}".prop_map(Device::Vdev),
        20 => "[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]".prop_map(Device::Pci),
        1 => any::<String>().prop_map(Device::Pci),
    ];
    let v4 = (any::<u32>(), 8..=30_u8)
        .prop_map(|(bits, prefix)| IpNet::new_assert(IpAddr::V4((bits | 1).into()), prefix));
    let v6 = (any::<u128>(), 48..=64_u8)
        .prop_map(|(bits, prefix)| IpNet::new_assert(IpAddr::V6((bits | 1).into()), prefix));
    let address = prop_oneof![3 => v4, 1 => v6];
    let lcores = prop_oneof![
        Just(Lcores::Auto),
        (0..40_usize, 1..40_usize).prop_map(|(at, len)| Lcores::List((at..at + len).collect())),
        vec(0..9_000_usize, 0..3).prop_map(Lcores::List),
    ];
    let near = (any::<bool>(), any::<bool>(), option::of(1..=4094_u16), 576..=9000_u16);
    let descriptors = (64..=16_384_u16, 64..=16_384_u16);
    let offloads = select(&[Offloads::Auto, Offloads::Off][..]);
    let network = (device, vec(address, 1..3), near);
    (network, lcores, descriptors, offloads).prop_map(
        |((device, addresses, near), lcores, descriptors, offloads)| {
            // The first host of the network, or the second.
            let router = addresses[0].hosts().next().unwrap();
            let network = if router.is_ipv4() { "203.0.113.0/24" } else { "2001:db8::/32" };
            let route = Route { network: network.parse().unwrap(), via: router };
            Port {
                device,
                addresses,
                gateways: Some(router).filter(|_| near.0).into_iter().collect(),
                routes: Some(route).filter(|_| near.1).into_iter().collect(),
                vlan: near.2,
                mtu: near.3,
                lcores,
                rx_descriptors: descriptors.0,
                tx_descriptors: descriptors.1,
                offloads,
            }
        },
    )
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        30 => (1..80_000_u64).prop_map(Duration::from_secs),
        30 => (1..80_000_000_u64).prop_map(Duration::from_millis),
        30 => (1_000_000..80_000_000_000_000_u64).prop_map(Duration::from_nanos),
        1 => any::<Duration>(),
    ]
}

fn listen_address() -> impl Strategy<Value = ListenAddress> {
    prop_oneof![
        any::<(IpAddr, u16)>().prop_map(|address| ListenAddress::Address(address.into())),
        any::<u16>().prop_map(|port| ListenAddress::Every { port }),
    ]
}

fn server() -> impl Strategy<Value = Server> {
    let datapath = select(&[Datapath::Auto, Datapath::Dpdk, Datapath::Kernel][..]);
    let run = |at: usize, len| Cpus::List((at..at + len).collect());
    let cpus = prop_oneof![
        10 => Just(Cpus::Off),
        10 => Just(Cpus::Auto),
        10 => (0..7_000_usize).prop_map(move |at| run(at, 512)),
        1 => (0..9_000_usize, 1..600_usize).prop_map(move |(at, len)| run(at, len)),
        1 => vec(0..10_000_usize, 0..4).prop_map(Cpus::List),
    ];
    let network = any::<(IpAddr, u8)>().prop_map(|(address, bits)| {
        let longest = IpNet::from(address).max_prefix_len();
        IpNet::new_assert(address, bits.min(longest)).trunc()
    });
    let proxies = prop_oneof![
        5 => Just((ClientAddress::Peer, Vec::new())),
        1 => (select(&[ClientAddress::ProxyProtocol, ClientAddress::XForwardedFor][..]), vec(network, 0..4)),
    ];
    let threads = (1..512_usize, cpus);
    (vec(listen_address(), 1..4), datapath, proxies, threads, 1..4097_usize).prop_map(
        |(listen, datapath, (client_address, trusted_proxies), (workers, cpus), session_shards)| {
            Server {
                listen,
                datapath,
                client_address,
                trusted_proxies,
                workers,
                cpus,
                session_shards,
            }
        },
    )
}

fn websocket() -> impl Strategy<Value = WebSocket> {
    let origins = prop_oneof![
        Just(Origins::SameOrigin),
        Just(Origins::Any),
        vec("https?://[a-z0-9.-]{1,20}(:[1-9][0-9]{3})?", 1..4).prop_map(Origins::List),
    ];
    (
        prop_oneof![20 => "/[a-z0-9/._~-]{0,12}", 1 => any::<String>()],
        1..4_000_000_usize,
        option::of(duration()),
        duration(),
        duration(),
        origins,
        vec(prop_oneof![20 => "[!-~]{1,8}", 1 => any::<String>()], 0..3),
    )
        .prop_map(
            |(path, bytes, ping_interval, pong_timeout, close_timeout, origins, subprotocols)| {
                WebSocket {
                    path,
                    message_bytes_max: bytes,
                    ping_interval,
                    pong_timeout,
                    close_timeout,
                    origins,
                    subprotocols,
                }
            },
        )
}

fn broadcast() -> impl Strategy<Value = Broadcast> {
    let publish = prop_oneof![Just(Publish::Clients), Just(Publish::Admin)];
    let slow_consumer = prop_oneof![
        Just(SlowConsumer::DropOldest),
        Just(SlowConsumer::DropNewest),
        Just(SlowConsumer::Disconnect),
    ];
    // The total holds a message for each of as many workers as there may be.
    let bytes = (3_900_000..1_000_000_000_usize, 2_000_000_000..4_000_000_000_usize);
    let counts = (1..1_000_000_usize, 1..2_000_usize);
    (publish, any::<bool>(), slow_consumer, bytes, counts).prop_map(
        |(publish, include_sender, slow_consumer, bytes, counts)| Broadcast {
            publish,
            include_sender,
            slow_consumer,
            backlog_messages_max: counts.0,
            backlog_bytes_max: bytes.0,
            backlog_total_bytes_max: bytes.1,
            mesh_slots: counts.1,
        },
    )
}

fn tcp() -> impl Strategy<Value = Tcp> {
    let buffer = || option::of(1024..100_000_000_usize);
    let keepalive = option::of((1..32_400_u64).prop_map(Duration::from_secs));
    (1..65_536_u32, buffer(), buffer(), any::<bool>(), keepalive).prop_map(
        |(accept_backlog, send_buffer_bytes, receive_buffer_bytes, nodelay, keepalive)| Tcp {
            accept_backlog,
            send_buffer_bytes,
            receive_buffer_bytes,
            nodelay,
            keepalive,
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    let sessions_max = prop_oneof![
        Just(SessionsMax::Auto),
        Just(SessionsMax::Off),
        (0..1_000_000_usize).prop_map(SessionsMax::Count),
    ];
    let count = || option::of(1..1_000_000_usize);
    let clients = (sessions_max, count(), count(), 1..=32_u8, 1..=128_u8);
    let handshake = (duration(), 512..1_000_000_usize, 5..257_usize);
    let rate = || option::of(1..1_000_000_u32);
    let rates = (rate(), rate(), option::of(3_900_000..1_000_000_000_usize));
    (clients, rates, handshake).prop_map(|(clients, rates, handshake)| Limits {
        sessions_max: clients.0,
        sessions_per_prefix_max: clients.1,
        connections_per_prefix_max: clients.2,
        prefix_v4_bits: clients.3,
        prefix_v6_bits: clients.4,
        upgrades_per_second_max: rates.0,
        messages_per_second_max: rates.1,
        bytes_per_second_max: rates.2,
        handshake_timeout: handshake.0,
        handshake_bytes_max: handshake.1,
        handshake_headers_max: handshake.2,
    })
}

fn control() -> impl Strategy<Value = Control> {
    let admin = prop_oneof![
        Just(AdminAddress::Off),
        any::<(IpAddr, u16)>().prop_map(|address| AdminAddress::Tcp(SocketAddr::from(address))),
        any::<u16>().prop_map(|port| AdminAddress::Tcp(([127, 0, 0, 1], port).into())),
        "(/[a-z \"\\\\']{1,10}){1,3}".prop_map(|path| AdminAddress::Unix(path.into())),
    ];
    let token = option::of("[!-~]{1,20}".prop_map(Secret::new));
    let format = select(&[LogFormat::Text, LogFormat::Json][..]);
    let level = select(
        &[LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace][..],
    );
    let lines = option::of(1_usize..=100_000);
    (admin, token, duration(), format, level, lines).prop_map(
        |(admin, admin_token, drain_timeout, log_format, log_level, connection_log_lines_max)| {
            Control {
                admin,
                admin_token,
                drain_timeout,
                log_format,
                log_level,
                connection_log_lines_max,
            }
        },
    )
}
