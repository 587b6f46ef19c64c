//! The flags that say what carries the packets.

use std::net::Ipv4Addr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hioload_net::WireOptions;
use ipnet::Ipv4Net;

use crate::link::{Carrier, Link, Packets};
use crate::packet::AckPolicy;

/// Where the server of `--transport ring` is.
pub(super) const RING_TARGET: &str = "10.0.0.1:8080";
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const RING_CLIENTS: &str = "10.1.0.0/16";

/// What carries the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    /// Sockets of the operating system
    Kernel,
    /// A network interface of DPDK's, which is all the generator's; this program speaks TCP itself.
    /// Needs a build with --features dpdk
    Dpdk,
    /// A wire in memory to a server in this process, on smoltcp as over DPDK: no network, no root
    Ring,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Dpdk => "dpdk",
            Self::Ring => "ring",
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct LinkFlags {
    /// What carries the packets
    #[arg(long, value_enum, default_value_t = Transport::Kernel)]
    transport: Transport,

    /// dpdk, ring: the addresses of the clients, as a network; each address has 64,512 ports. ARP
    /// is answered for them [default: 10.1.0.0/16 with ring]
    #[arg(long, value_name = "NETWORK", value_parser = clients, help_heading = PACKETS)]
    clients: Option<Ipv4Net>,

    /// dpdk, ring: the address of this side of the link, if the clients are in a network behind it;
    /// ARP is answered for it alone
    #[arg(long, value_name = "IP", help_heading = PACKETS)]
    gateway: Option<Ipv4Addr>,

    /// dpdk, ring: the router to the server, if that is not on the link
    #[arg(long, value_name = "IP", help_heading = PACKETS)]
    via: Option<Ipv4Addr>,

    /// dpdk, ring: when clients acknowledge what comes
    /// [default: each]
    #[arg(long, value_enum, value_name = "WHEN", help_heading = PACKETS)]
    acks: Option<AckPolicy>,

    /// ring: what the wire does to frames, such as lost=1000,doubled=10,delayed=10,damaged=10 (of a
    /// million), latency=50us, seed=1
    #[arg(long, value_name = "FAULTS", value_parser = wire, help_heading = PACKETS)]
    wire: Option<WireOptions>,

    /// ring: how long its server waits for a request [default: 10s, as an appliance does]
    #[arg(long, value_name = "DURATION", value_parser = super::duration, help_heading = PACKETS)]
    handshake_timeout: Option<Duration>,

    #[cfg(feature = "dpdk")]
    #[command(flatten)]
    dpdk: dpdk::DpdkFlags,
}

const PACKETS: &str = "Packets";

impl LinkFlags {
    /// What carries the packets, or which flags contradict each other.
    pub(super) fn link(self) -> Result<Link, String> {
        if let Some(flag) = self.idle_flag() {
            let transport = self.transport.name();
            return Err(format!("{flag}: it does nothing with --transport {transport}"));
        }
        let carrier = match self.transport {
            Transport::Kernel => return Ok(Link::Kernel),
            Transport::Ring => Carrier::Ring {
                wire: self.wire.clone().unwrap_or_default(),
                handshake_timeout: self.handshake_timeout.unwrap_or(HANDSHAKE_TIMEOUT),
            },
            Transport::Dpdk => self.dpdk()?,
        };
        let clients = match (self.clients, self.transport) {
            (Some(clients), _) => clients,
            (None, Transport::Ring) => RING_CLIENTS.parse().map_err(|_| RING_CLIENTS.to_owned())?,
            (None, _) => {
                return Err("--transport dpdk: name the clients' addresses by --clients".to_owned());
            }
        };
        let (gateway, via, acks) = (self.gateway, self.via, self.acks.unwrap_or_default());
        Ok(Link::Packets(Packets { carrier, clients, gateway, via, acks }))
    }

    pub(super) fn is_ring(&self) -> bool {
        self.transport == Transport::Ring
    }

    pub(super) fn is_kernel(&self) -> bool {
        self.transport == Transport::Kernel
    }

    /// A flag that is set, and is for other transports.
    fn idle_flag(&self) -> Option<&'static str> {
        let packets = [
            ("--clients", self.clients.is_some()),
            ("--gateway", self.gateway.is_some()),
            ("--via", self.via.is_some()),
            ("--acks", self.acks.is_some()),
        ];
        let ring = [
            ("--wire", self.wire.is_some()),
            ("--handshake-timeout", self.handshake_timeout.is_some()),
        ];
        let packets = packets.into_iter().filter(|_| self.transport == Transport::Kernel);
        let ring = ring.into_iter().filter(|_| self.transport != Transport::Ring);
        let dpdk = self.dpdk_flags().into_iter().filter(|_| self.transport != Transport::Dpdk);
        packets.chain(ring).chain(dpdk).find(|(_, is_set)| *is_set).map(|(flag, _)| flag)
    }

    #[cfg(feature = "dpdk")]
    fn dpdk_flags(&self) -> impl IntoIterator<Item = (&'static str, bool)> + use<> {
        self.dpdk.flags()
    }

    #[cfg(not(feature = "dpdk"))]
    #[expect(clippy::unused_self, reason = "the flags are there with the feature")]
    fn dpdk_flags(&self) -> impl IntoIterator<Item = (&'static str, bool)> + use<> {
        []
    }

    #[cfg(feature = "dpdk")]
    fn dpdk(&self) -> Result<Carrier, String> {
        self.dpdk.port().map(Carrier::Dpdk)
    }

    #[cfg(not(feature = "dpdk"))]
    #[expect(clippy::unused_self, reason = "the flags are there with the feature")]
    fn dpdk(&self) -> Result<Carrier, String> {
        Err("--transport dpdk: this program was built without DPDK; on Linux with libdpdk, build \
             it by cargo build --release -p hioload-pktgen --features dpdk"
            .to_owned())
    }
}

#[cfg(feature = "dpdk")]
mod dpdk {
    use clap::Args;

    use super::PACKETS;
    use crate::link::{Device, DpdkPort};

    #[derive(Args, Debug)]
    pub(super) struct DpdkFlags {
        /// dpdk: a virtual device, such as net_memif0,role=client,socket=/run/memif.sock
        #[arg(long, value_name = "DEVICE", conflicts_with = "pci", help_heading = PACKETS)]
        vdev: Option<String>,

        /// dpdk: the PCI address of a network interface, such as 0000:03:00.0
        #[arg(long, value_name = "ADDRESS", help_heading = PACKETS)]
        pci: Option<String>,

        /// dpdk: the CPU that the generator keeps busy [default: the last one it may use]
        #[arg(long, value_name = "N", help_heading = PACKETS)]
        cpu: Option<usize>,

        /// dpdk: memory for packets [default: 64]
        #[arg(
            long,
            value_name = "MIB",
            value_parser = clap::value_parser!(u32).range(16..=1 << 20),
            help_heading = PACKETS
        )]
        memory: Option<u32>,

        /// dpdk: memory in ordinary pages, where there are no huge ones: enough for virtual devices
        #[arg(long, help_heading = PACKETS)]
        no_huge: bool,

        /// dpdk: names this process among others that use DPDK [default: hioload-pktgen-PID]
        #[arg(long, value_name = "NAME", help_heading = PACKETS)]
        file_prefix: Option<String>,

        /// dpdk: one more argument for DPDK's EAL, as it is; may be repeated
        #[arg(long, value_name = "ARG", allow_hyphen_values = true, help_heading = PACKETS)]
        eal_arg: Vec<String>,

        /// dpdk: the longest packet [default: 1500]
        #[arg(
            long,
            value_name = "BYTES",
            value_parser = clap::value_parser!(u16).range(576..=9600),
            help_heading = PACKETS
        )]
        mtu: Option<u16>,

        /// dpdk: frames that either queue holds [default: 2048]
        #[arg(
            long,
            value_name = "N",
            value_parser = clap::value_parser!(u16).range(64..=8192),
            help_heading = PACKETS
        )]
        descriptors: Option<u16>,
    }

    const MEMORY_MIB: u32 = 64;
    const MTU: u16 = 1500;
    const DESCRIPTORS: u16 = 2048;

    impl DpdkFlags {
        /// All of them, and whether they are set.
        pub(super) fn flags(&self) -> [(&'static str, bool); 9] {
            [
                ("--vdev", self.vdev.is_some()),
                ("--pci", self.pci.is_some()),
                ("--cpu", self.cpu.is_some()),
                ("--memory", self.memory.is_some()),
                ("--no-huge", self.no_huge),
                ("--file-prefix", self.file_prefix.is_some()),
                ("--eal-arg", !self.eal_arg.is_empty()),
                ("--mtu", self.mtu.is_some()),
                ("--descriptors", self.descriptors.is_some()),
            ]
        }

        pub(super) fn port(&self) -> Result<DpdkPort, String> {
            let device = match (&self.vdev, &self.pci) {
                (Some(vdev), _) => Device::Vdev(vdev.clone()),
                (None, Some(pci)) => Device::Pci(pci.clone()),
                (None, None) => {
                    return Err("--transport dpdk: name a device by --vdev or --pci".to_owned());
                }
            };
            let own_prefix = || format!("hioload-pktgen-{}", std::process::id());
            Ok(DpdkPort {
                device,
                cpu: self.cpu,
                memory_mib: self.memory.unwrap_or(MEMORY_MIB),
                huge_pages: !self.no_huge,
                file_prefix: self.file_prefix.clone().unwrap_or_else(own_prefix),
                eal_args: self.eal_arg.clone(),
                mtu: self.mtu.unwrap_or(MTU),
                descriptors: self.descriptors.unwrap_or(DESCRIPTORS),
            })
        }
    }
}

fn clients(text: &str) -> Result<Ipv4Net, &'static str> {
    let network: Ipv4Net =
        text.parse().map_err(|_| "expected a network of IPv4, such as 10.1.0.0/16")?;
    // RFC 6890 and RFC 5771: this host, loopback, and all from multicast on.
    let [first, last] = [network.network(), network.broadcast()].map(|end| end.octets()[0]);
    if first == 0 || last >= 224 || (first..=last).contains(&127) {
        return Err("expected addresses that a host may have");
    }
    Ok(network)
}

fn wire(text: &str) -> Result<WireOptions, String> {
    let mut options = WireOptions::default();
    for part in text.split(',') {
        let (name, value) =
            part.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, got {part:?}"))?;
        let ppm = || {
            let ppm = value.parse().ok().filter(|ppm| *ppm <= 1_000_000);
            ppm.ok_or_else(|| format!("{name}: expected a number of a million, got {value:?}"))
        };
        match name {
            "lost" => options.lost_ppm = ppm()?,
            "doubled" => options.doubled_ppm = ppm()?,
            "delayed" => options.delayed_ppm = ppm()?,
            "damaged" => options.damaged_ppm = ppm()?,
            "latency" => {
                let us = value.strip_suffix("us").and_then(|us| us.parse().ok());
                let us = us.filter(|us| *us <= 1_000_000);
                let expected = || format!("latency: expected 0us to 1000000us, got {value:?}");
                options.latency = Duration::from_micros(us.ok_or_else(expected)?);
            }
            "seed" => {
                let seed = value.parse();
                options.seed =
                    seed.map_err(|_| format!("seed: expected a whole number, got {value:?}"))?;
            }
            _ => {
                return Err(format!(
                    "{name}: expected lost, doubled, delayed, damaged, latency or seed"
                ));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_the_wire_are_read_and_bad_ones_named() {
        let options = wire("lost=1000,latency=50us,seed=7").expect("good ones");
        assert_eq!((options.lost_ppm, options.seed), (1000, 7));
        assert_eq!(options.latency, Duration::from_micros(50));
        for (text, named) in [
            ("lost", "NAME=VALUE"),
            ("lost=x", "lost"),
            ("lost=1000001", "lost"),
            ("latency=5", "latency"),
            ("seed=-1", "seed"),
            ("colour=1", "colour"),
        ] {
            let error = wire(text).expect_err(text);
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
