//! Files with ports of DPDK: what they mean, and what is wrong with them.

use std::net::IpAddr;

use hioload_config::{
    Config, Device, Dpdk, Idle, Lcores, Memory, Offloads, PORTS_MAX, Port, Route,
};

fn parse(text: &str) -> Config {
    Config::parse(text, "test.toml").unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(text: &str) -> String {
    Config::parse(text, "hioload.toml").expect_err(text).to_string()
}

/// A port that breaks no rule beside its like, if their numbers differ.
fn port(number: usize) -> Port {
    Port {
        device: Device::Vdev(format!("net_null{number}")),
        addresses: vec![format!("10.0.{number}.1/24").parse().unwrap()],
        ..Port::default()
    }
}

fn with_ports(ports: Vec<Port>) -> Config {
    let mut config = Config::default();
    config.server.listen = vec![":8080".parse().unwrap()];
    config.dpdk.ports = ports;
    config.server.workers = config.workers_auto();
    config
}

#[test]
fn a_port_without_addresses_is_refused_where_its_device_is() {
    let text = "server.listen = \":80\"\n[[dpdk.port]]\npci = \"0000:03:00.0\"\n";
    let refusal = refusal(text);
    assert!(refusal.starts_with("hioload.toml:3:7: dpdk.port[0].pci: a port needs"), "{refusal}");
}

#[test]
fn ports_beside_the_default_addresses_are_served_where_a_change_says_others() {
    let text = "[[dpdk.port]]\nvdev = \"net_null0\"\naddresses = [\"10.0.0.1/24\"]\n";
    let listen = |address: &str| {
        let address = address.parse().unwrap();
        Config::parse_with(text, "hioload.toml", |config| config.server.listen = vec![address])
    };
    assert!(listen("10.0.0.1:80").is_ok() && listen(":80").is_ok());
    let error = listen("10.0.0.2:80").unwrap_err().to_string();
    assert!(error.starts_with("server.listen: clients come to the ports of DPDK"), "{error}");
}

#[test]
fn every_key_reaches_its_field() {
    let config = parse(
        r#"
        server.listen = ["10.0.0.1:80", "[fd00::1]:80", "0.0.0.0:81"]
        [dpdk]
        memory = ["1 GiB", 0, "64 MiB"]
        huge_pages = true
        file_prefix = "other"
        eal_args = ["--log-level=8"]
        idle = "busy"
        flows_max = 1000
        half_open_max = 100
        time_wait_max = 2000
        burst = 16
        [[dpdk.port]]
        pci = "03:00.0,rx_vec_en=1"
        addresses = ["10.0.0.1/24", "fd00::1/64"]
        gateway = ["10.0.0.254", "fd00::ffff"]
        routes = ["10.9.0.0/16 via 10.0.0.7"]
        vlan = 7
        mtu = 9000
        lcores = [2, 1]
        rx_descriptors = 512
        tx_descriptors = 256
        offloads = "off"
        [[dpdk.port]]
        vdev = "net_tap0,iface=tap0"
        addresses = "10.1.0.1/24"
        gateway = "10.1.0.254"
        lcores = "1-3"
        "#,
    );
    let first = Port {
        device: Device::Pci("0000:03:00.0,rx_vec_en=1".to_owned()),
        addresses: vec!["10.0.0.1/24".parse().unwrap(), "fd00::1/64".parse().unwrap()],
        gateways: vec!["10.0.0.254".parse().unwrap(), "fd00::ffff".parse().unwrap()],
        routes: vec![Route {
            network: "10.9.0.0/16".parse().unwrap(),
            via: "10.0.0.7".parse().unwrap(),
        }],
        vlan: Some(7),
        mtu: 9000,
        lcores: Lcores::List(vec![2, 1]),
        rx_descriptors: 512,
        tx_descriptors: 256,
        offloads: Offloads::Off,
    };
    let second = Port {
        device: Device::Vdev("net_tap0,iface=tap0".to_owned()),
        addresses: vec!["10.1.0.1/24".parse().unwrap()],
        gateways: vec!["10.1.0.254".parse().unwrap()],
        lcores: Lcores::List(vec![1, 2, 3]),
        ..Port::default()
    };
    let expected = Dpdk {
        memory: Memory::Nodes(vec![1 << 30, 0, 64 << 20]),
        huge_pages: true,
        file_prefix: "other".to_owned(),
        eal_args: vec!["--log-level=8".to_owned()],
        idle: Idle::Busy,
        flows_max: 1000,
        half_open_max: 100,
        time_wait_max: 2000,
        burst: 16,
        ports: vec![first, second],
    };
    assert_eq!(config.dpdk, expected);
    assert_eq!(config.dpdk.ports[0].device.name(), "0000:03:00.0");
    assert_eq!(config.dpdk.ports[1].device.name(), "net_tap0");
}

#[test]
fn a_port_is_printed_as_a_table_of_its_array() {
    let config = with_ports(vec![port(0), port(1)]);
    let printed = config.to_toml();
    let expected = r#"
[[dpdk.port]]
pci = "off"
vdev = "net_null1"
addresses = ["10.0.1.1/24"]
gateway = []
routes = []
vlan = "off"
mtu = 1500
lcores = "auto"
rx_descriptors = 1024
tx_descriptors = 1024
offloads = "auto"
"#;
    assert!(printed.ends_with(expected), "{printed}");
    assert_eq!(parse(&printed), config);
}

#[test]
fn link_local_routers_need_no_address_of_their_network() {
    let config = parse(
        r#"
        server.listen = ":1"
        [[dpdk.port]]
        vdev = "net_null0"
        addresses = "2001:db8::10/64"
        gateway = "fe80::1"
        routes = ["2001:db8:9::/48 via fe80::9"]
        "#,
    );
    let port = &config.dpdk.ports[0];
    assert_eq!(port.gateways, ["fe80::1".parse::<IpAddr>().unwrap()]);
    assert_eq!(port.routes[0].via, "fe80::9".parse::<IpAddr>().unwrap());
}

#[test]
fn an_array_may_stand_on_one_line() {
    let text =
        "server.listen = ':1'\ndpdk.port = [{ vdev = 'net_null0', addresses = '10.0.0.1/8' }]";
    assert_eq!(parse(text).dpdk.ports.len(), 1);
    assert_eq!(parse("dpdk.port = []"), Config::default());
}

#[test]
fn workers_are_as_many_as_the_lcores_of_all_ports() {
    let two = |lcores: [&str; 2], more: &str| {
        format!(
            "{more}\nserver.listen = ':1'\n\
             [[dpdk.port]]\nvdev = 'net_null0'\naddresses = '10.0.0.1/8'\nlcores = {}\n\
             [[dpdk.port]]\nvdev = 'net_null1'\naddresses = '11.0.0.1/8'\nlcores = {}\n",
            lcores[0], lcores[1]
        )
    };
    let workers = |lcores, more| parse(&two(lcores, more)).server.workers;
    assert_eq!(workers(["[1, 2]", "[2, 3]"], ""), 3);
    assert_eq!(workers(["[1, 2]", "[2, 3]"], "server.workers = 3"), 3);
    assert_eq!(workers(["[1, 2]", "[2, 3]"], "server.cpus = '3,1-2'"), 3);
    assert_eq!(workers(["'auto'", "[2]"], "server.workers = 9"), 9);
    // Those that are named are not fewer for the others.
    assert!(workers(["'auto'", "'1-64'"], "") >= 64);
    // Over kernel sockets they may be as many as they like.
    let kernel = "server.datapath = 'kernel'\nserver.workers = 5";
    assert_eq!(workers(["[1, 2]", "[2, 3]"], kernel), 5);
    assert_eq!(workers(["[1, 2]", "[2, 3]"], "server.datapath = 'kernel'"), 3);
}

#[test]
fn ports_beside_kernel_sockets_ask_nothing_of_the_listen_addresses() {
    let mut config = with_ports(vec![port(0)]);
    config.server.listen = Config::default().server.listen;
    assert!(config.validate().is_err());
    config.server.datapath = hioload_config::Datapath::Kernel;
    assert_eq!(config.validate(), Ok(()));
}

#[test]
fn faults_of_several_ports_are_told_apart() {
    let text = r#"server.listen = ":80"
[[dpdk.port]]
vdev = "net_null0"
addresses = ["10.0.0.1/24"]
[[dpdk.port]]
pci = "eth0"
addresses = ["10.0.1.1/24", "10.0.1.2"]
mut = 1500
[[dpdk.port]]
addresses = ["10.0.0.1/8"]
"#;
    let expected = "\
hioload.toml:6:7: dpdk.port[1].pci: expected a PCI address such as \"0000:03:00.0\" or \"off\", got \
\"eth0\"
hioload.toml:7:29: dpdk.port[1].addresses: expected an address and prefix such as \
\"10.0.0.1/24\", got \"10.0.1.2\"
hioload.toml:8:1: dpdk.port[1].mut: unknown key: did you mean \"mtu\"?
hioload.toml:9:1: dpdk.port[2]: expected a device, by one of pci and vdev, got neither
hioload.toml:10:13: dpdk.port[2].addresses: expected each address once, got \"10.0.0.1/8\", which \
dpdk.port[0] has as well";
    assert_eq!(refusal(text), expected);
}

#[test]
fn more_ports_than_there_may_be_are_refused_and_not_read() {
    let config = with_ports((0..PORTS_MAX).map(port).collect());
    assert_eq!(config.validate(), Ok(()));

    let config = with_ports((0..=PORTS_MAX).map(port).collect());
    let message = "dpdk.port: expected at most 32 times [[dpdk.port]], got 33";
    assert_eq!(config.validate().unwrap_err().to_string(), message);
    let error = Config::parse(&config.to_toml(), "hioload.toml").unwrap_err();
    assert_eq!(error.faults().len(), 1, "{error}");
    assert!(error.to_string().ends_with(message), "{error}");

    let many = "[[dpdk.port]]\nmut = 1\n".repeat(4_000);
    let error = Config::parse(&many, "hioload.toml").unwrap_err();
    assert!(error.faults().len() + error.omitted() >= 4_000);
}

#[test]
fn a_port_from_code_is_refused_by_the_keys_of_a_file() {
    let mut config = with_ports(vec![port(0), Port::default()]);
    config.dpdk.ports[0].mtu = 100;
    let error = config.validate().unwrap_err().to_string();
    let expected = "\
dpdk.port[0].mtu: expected a whole number from 576 to 9000, got 100
dpdk.port[1].addresses: expected 1 to 8 addresses, got 0
dpdk.port[1]: expected a device, by one of pci and vdev, got neither";
    assert_eq!(error, expected);
}

/// A rule, a file that breaks it, and the answer without the name of the file.
type Broken = (&'static str, &'static str, &'static str);

#[test]
fn every_broken_file_gets_its_answer() {
    for (rule, text, answer) in TABLE {
        // The table's ports are short of a device and addresses where these are not the matter.
        let text = text.replace("NULL0", "vdev = 'net_null0'\naddresses = '10.0.0.1/24'");
        let text = text.replace("NULL1", "vdev = 'net_null1'\naddresses = '10.1.0.1/24'");
        assert_eq!(refusal(&text), format!("hioload.toml:{answer}"), "{rule}");
    }
}

const TABLE: &[Broken] = &[
    (
        "DPDK without a port",
        "server.datapath = 'dpdk'",
        "1:19: server.datapath: expected a port that DPDK serves on: add [[dpdk.port]] with pci or \
         vdev, and addresses, or set \"auto\" or \"kernel\" for kernel sockets, got \"dpdk\" \
         without a port",
    ),
    (
        "a table in place of an array of them",
        "[dpdk.port]\npci = '03:00.0'",
        "1:1: dpdk.port: expected tables under [[dpdk.port]], got a table",
    ),
    (
        "a value in place of a table of the array",
        "dpdk.port = [5]",
        "1:14: dpdk.port[0]: expected a table, got 5",
    ),
    (
        "an array that is nearly a known one",
        "[[dpdk.ports]]",
        "1:8: dpdk.ports: unknown key: did you mean \"port\"?",
    ),
    (
        "an array outside of its table",
        "[[port]]",
        "1:3: port: unknown key: it is written [[dpdk.port]]",
    ),
    (
        "a key of a port outside of it",
        "[dpdk]\npci = '03:00.0'",
        "2:1: dpdk.pci: unknown key: it belongs to [[dpdk.port]]",
    ),
    (
        "a key of another table in a port",
        "[[dpdk.port]]\nNULL0\nburst = 3\n[server]\nlisten = ':1'",
        "4:1: dpdk.port[0].burst: unknown key: it belongs to [dpdk]",
    ),
    (
        "an unknown key of a port that is like no other",
        "[[dpdk.port]]\nNULL0\nspeed_of_it = 3\n[server]\nlisten = ':1'",
        "4:1: dpdk.port[0].speed_of_it: unknown key: [[dpdk.port]] has pci, vdev, addresses, \
         gateway, routes, vlan, mtu, lcores, rx_descriptors, tx_descriptors, offloads",
    ),
    (
        "a value without quotes in a port",
        "server.listen = ':1'\n[[dpdk.port]]\nvlan = off",
        "3:8: dpdk.port[0].vlan: expected a value, got text without quotes",
    ),
    (
        "two devices for a port",
        "server.listen = ':1'\n[[dpdk.port]]\nNULL0\npci = '03:00.0'",
        "2:1: dpdk.port[0]: expected a device, by one of pci and vdev, got \"0000:03:00.0\" beside \
         \"net_null0\"",
    ),
    (
        "descriptors that XDP sockets cannot have",
        "server.listen = ':1'\n[[dpdk.port]]\nvdev = 'net_af_xdp0,iface=eth1'\n\
         addresses = '10.1.0.1/24'\nrx_descriptors = 1000",
        "5:18: dpdk.port[0].rx_descriptors: expected a power of two, as the rings of an XDP socket \
         have (\"net_af_xdp0\"), got 1000",
    ),
    (
        "a device twice",
        "server.listen = ':1'\n[[dpdk.port]]\nNULL0\n[[dpdk.port]]\nvdev = 'net_null0,copy=1'\n\
         addresses = '10.1.0.1/24'",
        "6:8: dpdk.port[1].vdev: expected each device once, got \"net_null0\", which is that of \
         dpdk.port[0] as well",
    ),
    (
        "a virtual device without a name",
        "server.listen = ':1'\n[[dpdk.port]]\nvdev = ',iface=x'\naddresses = '10.0.0.1/24'",
        "3:8: dpdk.port[0].vdev: expected a virtual device such as \"net_tap0,iface=tap0\" or \
         \"off\", got \",iface=x\"",
    ),
    (
        "a port without an address",
        "[[dpdk.port]]\nvdev = 'net_null0'\naddresses = []",
        "3:13: dpdk.port[0].addresses: expected 1 to 8 addresses, got 0",
    ),
    (
        "an address that is the network's",
        "server.listen = ':1'\n[[dpdk.port]]\nvdev = 'net_null0'\naddresses = '10.0.0.0/24'",
        "4:13: dpdk.port[0].addresses: expected an address of a host and the prefix of its \
         network, got \"10.0.0.0/24\"",
    ),
    (
        "an address twice in one port",
        "server.listen = ':1'\n[[dpdk.port]]\nvdev = 'net_null0'\n\
         addresses = ['10.0.0.1/24', '10.0.0.1/8']",
        "4:29: dpdk.port[0].addresses: expected each address once, got \"10.0.0.1/8\"",
    ),
    (
        "a gateway in no network of the port",
        "server.listen = ':1'\n[[dpdk.port]]\nNULL0\ngateway = '10.0.1.1'",
        "5:11: dpdk.port[0].gateway: expected a router in one of the port's own networks, or a \
         link-local one beside an IPv6 address, other than the port itself, got \"10.0.1.1\"",
    ),
    (
        "a link-local gateway of a port without IPv6",
        "server.listen = ':1'\n[[dpdk.port]]\nNULL0\ngateway = 'fe80::1'",
        "5:11: dpdk.port[0].gateway: expected a router in one of the port's own networks, or a \
         link-local one beside an IPv6 address, other than the port itself, got \"fe80::1\"",
    ),
    (
        "two gateways of one family",
        "server.listen = ':1'\n[[dpdk.port]]\nNULL0\ngateway = ['10.0.0.2', '10.0.0.3']",
        "5:24: dpdk.port[0].gateway: expected one gateway for each of IPv4 and IPv6, got \
         \"10.0.0.3\" beside \"10.0.0.2\"",
    ),
    (
        "a route that is none",
        "server.listen = ':1'\n[[dpdk.port]]\nNULL0\nroutes = ['10.9.0.0/16']",
        "5:11: dpdk.port[0].routes: expected a route such as \"10.9.0.0/16 via 10.0.0.7\", got \
         \"10.9.0.0/16\"",
    ),
    (
        "a route by the port itself",
        "server.listen = ':1'\n[[dpdk.port]]\nNULL0\nroutes = ['10.9.0.0/16 via 10.0.0.1']",
        "5:10: dpdk.port[0].routes: expected a router in one of the port's own networks, or a \
         link-local one beside an IPv6 address, other than the port itself, got \"10.9.0.0/16 via \
         10.0.0.1\"",
    ),
    (
        "a route to everywhere",
        "server.listen = ':1'\n[[dpdk.port]]\nNULL0\nroutes = ['0.0.0.0/0 via 10.0.0.2']",
        "5:11: dpdk.port[0].routes: expected a network, since the route to all others is the \
         gateway, got \"0.0.0.0/0 via 10.0.0.2\"",
    ),
    (
        "a link too small for IPv6",
        "server.listen = ':1'\n[[dpdk.port]]\nvdev = 'net_null0'\naddresses = 'fd00::1/64'\nmtu = 1000",
        "5:7: dpdk.port[0].mtu: expected at least 1280 with an IPv6 address (\"fd00::1/64\"), got \
         1000",
    ),
    (
        "a VLAN that there is not",
        "server.listen = ':1'\n[[dpdk.port]]\nNULL0\nvlan = 4095",
        "5:8: dpdk.port[0].vlan: expected a whole number from 1 to 4094 or \"off\", got 4095",
    ),
    (
        "a CPU twice in one port",
        "server.listen = ':1'\n[[dpdk.port]]\nNULL0\nlcores = [1, 2, 1]",
        "5:10: dpdk.port[0].lcores: expected each CPU once, got 1 again",
    ),
    (
        "an lcore that is no CPU",
        "server.listen = ':1'\n[[dpdk.port]]\nNULL0\nlcores = [1, 'two']",
        "5:14: dpdk.port[0].lcores: expected a CPU from 0 to 8191, got \"two\"",
    ),
    (
        "workers that contradict the lcores",
        "server.listen = ':1'\nserver.workers = 3\n[[dpdk.port]]\nNULL0\nlcores = [1, 2]",
        "2:18: server.workers: each lcore of the ports is a worker: expected server.workers 2 (the \
         lcores of all ports are \"1-2\") or \"auto\", got 3",
    ),
    (
        "fewer workers than lcores that are named",
        "server.listen = ':1'\nserver.workers = 1\n[[dpdk.port]]\nNULL0\nlcores = [1, 2]\n\
         [[dpdk.port]]\nNULL1",
        "2:18: server.workers: each lcore of the ports is a worker: expected server.workers of at \
         least 2 (the lcores of all ports are \"1-2\") or \"auto\", got 1",
    ),
    (
        "CPUs that contradict the lcores",
        "server.listen = ':1'\nserver.cpus = '0-1'\n[[dpdk.port]]\nNULL0\nlcores = [1, 2]",
        "2:15: server.cpus: the workers run on the lcores of the ports: expected \"off\" or \
         \"1-2\", got \"0-1\"",
    ),
    (
        "CPUs beside lcores that are open",
        "server.listen = ':1'\nserver.cpus = '0-1'\n[[dpdk.port]]\nNULL0",
        "2:15: server.cpus: the workers run on the lcores of the ports: expected \"off\" or \
         \"auto\", or all ports to name their lcores, got \"0-1\"",
    ),
    (
        "an address that is no port's",
        "server.listen = ['10.0.0.1:80', '10.0.0.2:80']\n[[dpdk.port]]\nNULL0",
        "1:17: server.listen: clients come to the ports of DPDK: expected server.listen of \
         addresses of ports, such as \"10.0.0.1:80\", or \":80\", got \"10.0.0.2:80\"",
    ),
    (
        "ports beside the default addresses",
        "[[dpdk.port]]\nNULL0",
        "3:13: dpdk.port[0].addresses: clients come to the ports of DPDK: expected server.listen \
         of addresses of ports, such as \"10.0.0.1:8080\", or \":8080\", got \"127.0.0.1:8080\"",
    ),
    (
        "more sessions than flows",
        "server.listen = ':1'\nlimits.sessions_max = 70000\n[[dpdk.port]]\nNULL0",
        "2:23: limits.sessions_max: each session is a flow: expected dpdk.flows_max of at least \
         70000 (limits.sessions_max), got 65536",
    ),
    (
        "an argument that hioload sets",
        "dpdk.eal_args = ['--log-level=8', '--lcores=1@1']",
        "1:35: dpdk.eal_args: expected arguments without --lcores, which hioload sets from \
         dpdk.port lcores, got \"--lcores=1@1\"",
    ),
    (
        "memory that is not in whole MiB",
        "dpdk.memory = ['1 GiB', '1000 KiB']",
        "1:25: dpdk.memory: expected whole MiB from 1 MiB to 1024 GiB, got 1000 KiB",
    ),
    (
        "memory that is no size",
        "dpdk.memory = 'lots'",
        "1:15: dpdk.memory: expected \"auto\", a size such as \"1 GiB\" or a list of them, got \
         \"lots\"",
    ),
    (
        "memory of nodes without huge pages",
        "[dpdk]\nhuge_pages = false\nmemory = ['1 GiB', '1 GiB']",
        "3:10: dpdk.memory: expected \"auto\" or one size, since memory is taken of each NUMA node \
         only with dpdk.huge_pages, got a list of 2",
    ),
    (
        "a prefix that is a path",
        "dpdk.file_prefix = '../x'",
        "1:20: dpdk.file_prefix: expected 1 to 64 letters, digits and _-. that begin with a letter \
         or digit, got \"../x\"",
    ),
    (
        "a burst that no queue gives",
        "dpdk.burst = 33",
        "1:14: dpdk.burst: expected a whole number from 8 to 32, got 33",
    ),
];
