//! Wires between clients and a port of DPDK. The clients use sockets of the kernel's TCP, but for one
//! wire, at whose other end there is no kernel.
//!
//! The test has a network namespace of its own, which is gone with it, and so are the interfaces. A
//! process can start DPDK once, so each test needs one of its own, as `cargo nextest` gives it.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::SigSet;

use crate::dpdk::relay;

/// What is between the clients and the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// A tap of DPDK's.
    Tap,
    /// A pair of the kernel's virtual interfaces, one end of which DPDK has taken, with two queues.
    Veth,
    /// Such a pair in a VLAN, with one queue, and a relay that the clients' frames get their tag from.
    Tagged,
    /// Such a pair, taken through an XDP socket, with one queue: DPDK does not know more of these
    /// interfaces.
    Xdp,
    /// Memory that the server shares with a [`Station`](super::station::Station) in this process.
    Memif,
}

/// The VLAN of [`Wire::Tagged`].
pub(crate) const VLAN: u16 = 7;

/// What a story gets that says nothing else: one worker, and small tables.
const DEFAULTS: [(&str, usize); 4] = [
    ("server.workers", 1),
    ("dpdk.flows_max", 2000),
    ("dpdk.half_open_max", 500),
    ("dpdk.time_wait_max", 2000),
];

/// Where clients come from that choose no address.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 2);

/// Another address of the kernel's end.
pub(crate) fn other_host(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 31, 7, number)
}

impl Wire {
    /// The kernel's end.
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::Tap => "tap0",
            Self::Veth | Self::Xdp => "veth0",
            Self::Tagged => relay::CLIENTS,
            Self::Memif => panic!("the kernel is not at this end"),
        }
    }

    /// Serves at the other end, and says what `toml` says, and what it leaves open as all stories
    /// do.
    pub(crate) fn configuration(self, toml: &str) -> String {
        self.configuration_with(toml, "")
    }

    /// The same, with further keys of the port.
    pub(crate) fn configuration_with(self, toml: &str, port: &str) -> String {
        self.prepare();
        let vdev = match self {
            Self::Tap => "net_tap0,iface=tap0".to_owned(),
            Self::Veth => "net_af_packet0,iface=veth1,qpairs=2".to_owned(),
            // What bypasses the queueing discipline is not seen by the relay.
            Self::Tagged => "net_af_packet0,iface=veth1,qdisc_bypass=0".to_owned(),
            Self::Xdp => "net_af_xdp0,iface=veth1".to_owned(),
            Self::Memif => memif("server"),
        };
        let vlan = if self == Self::Tagged { format!("vlan = {VLAN}") } else { String::new() };
        let open = DEFAULTS.iter().filter(|(key, _)| !toml.contains(key));
        let defaults: String = open.map(|(key, value)| format!("{key} = {value}\n")).collect();
        let file_prefix = file_prefix();
        format!(
            r#"
            server.datapath = "dpdk"
            server.listen = ["172.31.0.1:8080", "[fd31::1]:8080"]
            dpdk.file_prefix = "{file_prefix}"
            {defaults}
            {toml}

            [[dpdk.port]]
            vdev = "{vdev}"
            addresses = ["172.31.0.1/16", "fd31::1/64"]
            {vlan}
            {port}
            "#
        )
    }

    /// Leaves the host's network for an empty one, and makes what there has to be before DPDK
    /// starts. This thread leaves, and those that it starts.
    fn prepare(self) {
        static PREPARED: Once = Once::new();
        PREPARED.call_once(|| {
            enter_namespace();
            assert_huge_pages();
            match self {
                Self::Tap | Self::Memif => {}
                Self::Veth => veth("numrxqueues 2 numtxqueues 2"),
                Self::Xdp => veth("numrxqueues 1 numtxqueues 1"),
                Self::Tagged => relay::lay_cables(),
            }
        });
    }

    /// Gives the kernel's end, where there is one, its addresses. A tap is made by the server.
    pub(crate) fn connect(self) {
        if self == Self::Memif {
            return;
        }
        if self == Self::Tagged {
            relay::start(VLAN);
        }
        let end = self.interface();
        ip(&format!(
            "address replace 172.31.0.2/16 dev {end}
            address replace fd31::2/64 dev {end} nodad
            link set {end} up
            route replace local 172.31.7.0/24 dev {end}"
        ));
    }
}

/// A pair of interfaces, the second of which, with these queues, is for DPDK.
fn veth(queues: &str) {
    ip(&format!("link add veth0 type veth peer name veth1 {queues}"));
    send_as_over_a_cable(&["veth0", "veth1"]);
    silence("veth1");
    ip("link set veth1 up");
}

/// One end of the shared memory: the server's, which makes the socket that both meet at, or the
/// client's, which makes the memory.
pub(crate) fn memif(role: &str) -> String {
    let socket = memif_socket();
    format!(
        "net_memif0,role={role},id=0,socket={},socket-abstract=no,bsize=2048,rsize=11",
        socket.display()
    )
}

/// Where both ends of the shared memory meet.
pub(crate) fn memif_socket() -> PathBuf {
    std::env::temp_dir().join(format!("{}.memif", file_prefix()))
}

/// What names the files of DPDK that are this test's.
pub(crate) fn file_prefix() -> String {
    format!("behaviour-{}", std::process::id())
}

/// Files in huge pages that this test has left. Free huge pages are those of the host, so others
/// may take some meanwhile.
pub(crate) fn huge_page_files() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/mounts").expect("mounts");
    let places = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "hugetlbfs").then_some(place)
    });
    places.flat_map(|place| files_in(place.as_ref())).collect()
}

/// Files of this test in a directory.
pub(crate) fn files_in(directory: &Path) -> Vec<String> {
    let files = fs::read_dir(directory).expect("a directory");
    let names = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(&file_prefix())).collect()
}

/// Has the kernel put frames on an interface as they go over a cable: what stays within the host is
/// sent in pieces of 64 KiB without a checksum otherwise.
pub(crate) fn send_as_over_a_cable(ends: &[&str]) {
    for end in ends {
        run("ethtool", &["-K", end, "tx", "off", "tso", "off", "gso", "off", "gro", "off"]);
    }
}

/// The kernel is not to speak of itself at an end that is not its own.
pub(crate) fn silence(end: &str) {
    let of_ipv6 = format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6");
    fs::write(of_ipv6, "1").expect("it is root's");
}

/// Leaves the network namespace that this thread is in for an empty one.
pub(crate) fn enter_namespace() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| {
        panic!("cannot make a network namespace, which takes root: {error}");
    });
    ip("link set lo up");
}

/// Keeps signals from this thread and those that it starts from now on. DPDK's tap has one sent to
/// its process for every frame, which would break off what clients wait for.
pub(crate) fn leave_signals_to_others() {
    SigSet::all().thread_block().expect("signals can be blocked");
}

/// What most stories need, and two of them run at a time.
const HUGE_PAGES: usize = 128;

fn assert_huge_pages() {
    let free = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    let free = fs::read_to_string(free).map_or(0, |count| count.trim().parse().unwrap_or(0));
    assert!(
        free >= HUGE_PAGES,
        "{free} huge pages of 2 MiB are free, which is less than {HUGE_PAGES}; as root: \
         sysctl vm.nr_hugepages=1024"
    );
}

/// Runs commands of `ip`, one to a line.
pub(crate) fn ip(commands: &str) {
    let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn();
    let ip = ip.as_mut().unwrap_or_else(|error| panic!("`ip`, of the package iproute2: {error}"));
    let mut input = ip.stdin.take().expect("it is piped");
    for command in commands.lines().map(str::trim) {
        writeln!(input, "{command}").expect("it reads");
    }
    drop(input);
    assert!(ip.wait().expect("it ends").success(), "failed: {commands}");
}

/// Runs a program, which has to succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = output(program, arguments);
    assert!(
        output.status.success(),
        "failed: {program} {}\n{}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs a program to its end.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("`{program}`: {error}"))
}
