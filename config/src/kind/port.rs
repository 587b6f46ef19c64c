//! A port of DPDK: its device, and what it is on the network.

use std::net::IpAddr;

use ipnet::IpNet;
use toml::de::DeValue;

use super::{Kind, Refusal, collect, quoted, shown, strings, toml_array, toml_string};
use crate::cpus::{CPU_MAX, parse_list};
use crate::dpdk::LCORES_MAX;
use crate::{Lcores, Route};

/// As many as the data path keeps for an interface.
const ADDRESSES_MAX: usize = 8;
/// The data path keeps 8, of which a gateway of each family is one.
const ROUTES_MAX: usize = 6;
const DEVICE_BYTES_MAX: usize = 255;
/// DPDK keeps a name of 64 bytes with its final NUL (`RTE_DEV_NAME_MAX_LEN`).
const NAME_BYTES_MAX: usize = 63;

/// A device by its PCI address.
pub(crate) struct Pci;

impl Kind<String> for Pci {
    /// The domain may be left out where it is 0, as `lspci` does.
    fn read(&self, value: &DeValue<'_>) -> Result<String, Vec<Refusal>> {
        let text = value.as_str().ok_or_else(|| vec![Refusal::new(PCI, shown(value))])?;
        let (address, arguments) = split_device(text);
        let canonical = canonical_pci(address).map(|address| format!("{address}{arguments}"));
        canonical.ok_or_else(|| vec![Refusal::new(PCI, quoted(text))])
    }

    fn check(&self, device: &String) -> Vec<Refusal> {
        let (address, _) = split_device(device);
        match canonical_pci(address) {
            Some(canonical) if canonical == address => arguments_fault(device),
            Some(canonical) => {
                let expected = format!("{PCI}, in full {}", quoted(&canonical));
                vec![Refusal::new(expected, quoted(device))]
            }
            None => vec![Refusal::new(PCI, quoted(device))],
        }
    }

    fn print(&self, device: &String) -> String {
        toml_string(device)
    }
}

const PCI: &str = "a PCI address such as \"0000:03:00.0\"";

/// A virtual device by driver and number.
pub(crate) struct Vdev;

impl Kind<String> for Vdev {
    fn read(&self, value: &DeValue<'_>) -> Result<String, Vec<Refusal>> {
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| vec![Refusal::new(VDEV, shown(value))])
    }

    fn check(&self, device: &String) -> Vec<Refusal> {
        let (name, _) = split_device(device);
        let accepted = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
        if starts_well && name.len() <= NAME_BYTES_MAX && name.bytes().all(accepted) {
            return arguments_fault(device);
        }
        vec![Refusal::new(VDEV, quoted(device))]
    }

    fn print(&self, device: &String) -> String {
        toml_string(device)
    }
}

const VDEV: &str = "a virtual device such as \"net_tap0,iface=tap0\"";

/// The name, and the arguments with their comma.
fn split_device(text: &str) -> (&str, &str) {
    text.split_at(text.find(',').unwrap_or(text.len()))
}

fn arguments_fault(device: &str) -> Vec<Refusal> {
    if device.len() <= DEVICE_BYTES_MAX && !device.chars().any(char::is_control) {
        return Vec::new();
    }
    let expected = format!("a device and its arguments in at most {DEVICE_BYTES_MAX} bytes");
    vec![Refusal::new(expected, quoted(device))]
}

/// Domain, bus, device and function in lower case, as DPDK names a device.
fn canonical_pci(text: &str) -> Option<String> {
    let (rest, function) = text.split_once('.')?;
    let parts: Vec<&str> = rest.split(':').collect();
    let (domain, bus, device) = match parts[..] {
        [bus, device] => ("0000", bus, device),
        [domain, bus, device] => (domain, bus, device),
        _ => return None,
    };
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>, max: u32| {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(text, 16).ok()?;
        (is_hex && digits.contains(&text.len()) && number <= max).then_some(number)
    };
    let domain = number(domain, 4..=8, u32::MAX)?;
    let (bus, device) = (number(bus, 2..=2, 0xff)?, number(device, 2..=2, 0x1f)?);
    let function = number(function, 1..=1, 7)?;
    Some(format!("{domain:04x}:{bus:02x}:{device:02x}.{function}"))
}

/// The addresses of a port, each with the prefix of its network.
pub(crate) struct Addresses;

impl Kind<Vec<IpNet>> for Addresses {
    fn read(&self, value: &DeValue<'_>) -> Result<Vec<IpNet>, Vec<Refusal>> {
        let texts = one_or_more(value, ADDRESS)?;
        let parse = |(index, text): (usize, &str)| {
            text.parse().map_err(|_| Refusal::new(ADDRESS, quoted(text)).of_element(index))
        };
        collect(texts.into_iter().enumerate().map(parse))
    }

    fn check(&self, addresses: &Vec<IpNet>) -> Vec<Refusal> {
        if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
            let expected = format!("1 to {ADDRESSES_MAX} addresses");
            return vec![Refusal::new(expected, addresses.len().to_string())];
        }
        let refusal = |(index, address): (usize, &IpNet)| {
            let earlier = &addresses[..index];
            let expected = if is_no_host(address) {
                "an address of a host and the prefix of its network"
            } else if earlier.iter().any(|earlier| earlier.addr() == address.addr()) {
                "each address once"
            } else {
                return None;
            };
            Some(Refusal::new(expected, quoted(&address.to_string())).of_element(index))
        };
        addresses.iter().enumerate().filter_map(refusal).collect()
    }

    fn print(&self, addresses: &Vec<IpNet>) -> String {
        toml_array(addresses.iter().map(ToString::to_string))
    }
}

const ADDRESS: &str = "an address and prefix such as \"10.0.0.1/24\"";

/// Addresses that no host on a network has: those of all hosts, of a network itself, of this host.
fn is_no_host(address: &IpNet) -> bool {
    let ip = address.addr();
    if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || address.prefix_len() == 0 {
        return true;
    }
    match address {
        // A network of two hosts or one has neither of the two addresses (RFC 3021).
        IpNet::V4(it) if it.prefix_len() < 31 => {
            it.addr() == it.network() || it.addr() == it.broadcast()
        }
        IpNet::V4(it) => it.addr().is_broadcast(),
        // The first one means any router (RFC 4291, section 2.6.1).
        IpNet::V6(it) if it.prefix_len() < 127 && it.addr() == it.network() => true,
        IpNet::V6(it) => it.addr().to_ipv4_mapped().is_some(),
    }
}

/// The routers of a port, at most one for each family.
pub(crate) struct Gateways;

impl Kind<Vec<IpAddr>> for Gateways {
    fn read(&self, value: &DeValue<'_>) -> Result<Vec<IpAddr>, Vec<Refusal>> {
        let texts = one_or_more(value, GATEWAY)?;
        let parse = |(index, text): (usize, &str)| {
            text.parse().map_err(|_| Refusal::new(GATEWAY, quoted(text)).of_element(index))
        };
        collect(texts.into_iter().enumerate().map(parse))
    }

    fn check(&self, gateways: &Vec<IpAddr>) -> Vec<Refusal> {
        let refusal = |(index, gateway): (usize, &IpAddr)| {
            let family = |earlier: &&IpAddr| earlier.is_ipv4() == gateway.is_ipv4();
            let earlier = gateways[..index].iter().find(family)?;
            let got = format!("\"{gateway}\" beside \"{earlier}\"");
            Some(Refusal::new("one gateway for each of IPv4 and IPv6", got).of_element(index))
        };
        gateways.iter().enumerate().filter_map(refusal).collect()
    }

    fn print(&self, gateways: &Vec<IpAddr>) -> String {
        toml_array(gateways.iter().map(ToString::to_string))
    }
}

const GATEWAY: &str = "an address such as \"10.0.0.254\"";

/// Static routes.
pub(crate) struct Routes;

impl Kind<Vec<Route>> for Routes {
    fn read(&self, value: &DeValue<'_>) -> Result<Vec<Route>, Vec<Refusal>> {
        let expected = || format!("a list of routes such as [{ROUTE:?}]");
        let array = value.as_array().ok_or_else(|| vec![Refusal::new(expected(), shown(value))])?;
        let expected = format!("a route such as {ROUTE:?}");
        let texts = strings(array, &expected)?;
        let parse = |(index, text): (usize, &str)| {
            let refusal = || Refusal::new(expected.as_str(), quoted(text)).of_element(index);
            route(text).ok_or_else(refusal)
        };
        collect(texts.into_iter().enumerate().map(parse))
    }

    fn check(&self, routes: &Vec<Route>) -> Vec<Refusal> {
        if routes.len() > ROUTES_MAX {
            let expected = format!("at most {ROUTES_MAX} routes");
            return vec![Refusal::new(expected, routes.len().to_string())];
        }
        let refusal = |(index, route): (usize, &Route)| {
            let network = &route.network;
            let expected = if network.prefix_len() == 0 {
                "a network, since the route to all others is the gateway".to_owned()
            } else if network.addr() != network.network() {
                format!("the network itself, \"{}\"", network.trunc())
            } else if network.addr().is_ipv4() != route.via.is_ipv4() {
                "a network and a router of one family".to_owned()
            } else if routes[..index].iter().any(|earlier| earlier.network == *network) {
                "one route to a network".to_owned()
            } else {
                return None;
            };
            Some(Refusal::new(expected, quoted(&route.to_string())).of_element(index))
        };
        routes.iter().enumerate().filter_map(refusal).collect()
    }

    fn print(&self, routes: &Vec<Route>) -> String {
        toml_array(routes.iter().map(ToString::to_string))
    }
}

const ROUTE: &str = "10.9.0.0/16 via 10.0.0.7";

fn route(text: &str) -> Option<Route> {
    let (network, via) = text.split_once(" via ")?;
    Some(Route { network: network.parse().ok()?, via: via.parse().ok()? })
}

/// `"auto"`, a list of numbers, or a text as for `server.cpus`.
pub(crate) struct LcoreList;

impl Kind<Lcores> for LcoreList {
    fn read(&self, value: &DeValue<'_>) -> Result<Lcores, Vec<Refusal>> {
        let read = match value {
            DeValue::String(text) if text == "auto" => return Ok(Lcores::Auto),
            DeValue::String(text) => parse_list(text).map(Lcores::List),
            DeValue::Array(array) => {
                let expected = format!("a CPU from 0 to {CPU_MAX}");
                let cpu = |(index, element): (usize, &toml::Spanned<DeValue<'_>>)| {
                    let value = element.get_ref();
                    let cpu = super::number::integer(value);
                    cpu.ok_or_else(|| {
                        Refusal::new(expected.as_str(), shown(value)).of_element(index)
                    })
                };
                return collect(array.iter().enumerate().map(cpu)).map(Lcores::List);
            }
            _ => None,
        };
        read.ok_or_else(|| {
            let expected =
                format!("\"auto\" or a list of CPUs from 0 to {CPU_MAX} such as [1, 2] or \"1-2\"");
            vec![Refusal::new(expected, shown(value))]
        })
    }

    fn check(&self, lcores: &Lcores) -> Vec<Refusal> {
        let Lcores::List(lcores) = lcores else {
            return Vec::new();
        };
        if lcores.is_empty() || lcores.len() > LCORES_MAX {
            let expected = format!("1 to {LCORES_MAX} CPUs");
            return vec![Refusal::new(expected, lcores.len().to_string())];
        }
        if let Some(cpu) = lcores.iter().find(|cpu| **cpu > CPU_MAX) {
            return vec![Refusal::new(format!("CPUs from 0 to {CPU_MAX}"), cpu.to_string())];
        }
        let repeated = lcores.iter().enumerate().find(|(at, cpu)| lcores[..*at].contains(cpu));
        let refusal = |(_, cpu)| Refusal::new("each CPU once", format!("{cpu} again"));
        repeated.map(refusal).into_iter().collect()
    }

    fn print(&self, lcores: &Lcores) -> String {
        match lcores {
            Lcores::Auto => toml_string("auto"),
            Lcores::List(lcores) => {
                let lcores: Vec<_> = lcores.iter().map(ToString::to_string).collect();
                format!("[{}]", lcores.join(", "))
            }
        }
    }
}

/// One text, or a list of them.
fn one_or_more<'v>(value: &'v DeValue<'_>, expected: &str) -> Result<Vec<&'v str>, Vec<Refusal>> {
    match value {
        DeValue::String(text) => Ok(vec![text.as_ref()]),
        DeValue::Array(array) => strings(array, expected),
        _ => Err(vec![Refusal::new(format!("{expected} or a list of them"), shown(value))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pci_address_is_named_in_full() {
        let table = [
            ("0000:03:00.0", Some("0000:03:00.0")),
            ("03:00.0", Some("0000:03:00.0")),
            ("0000:AF:1f.7", Some("0000:af:1f.7")),
            ("10000:01:00.0", Some("10000:01:00.0")),
            ("00000000:01:00.0", Some("0000:01:00.0")),
            ("", None),
            ("03:00", None),
            ("3:00.0", None),
            ("000:03:00.0", None),
            ("0000:03:20.0", None),
            ("0000:03:00.8", None),
            ("0000:+3:00.0", None),
            ("0000:0000:03:00.0", None),
            ("eth0", None),
        ];
        for (text, canonical) in table {
            assert_eq!(canonical_pci(text).as_deref(), canonical, "{text:?}");
        }
    }

    #[test]
    fn an_address_is_one_that_a_host_can_have() {
        let is_no_host = |text: &str| is_no_host(&text.parse().unwrap());
        for text in
            ["10.0.0.1/24", "10.0.0.0/31", "10.0.0.1/32", "fd00::1/64", "fe80::1/64", "fd00::/127"]
        {
            assert!(!is_no_host(text), "{text}");
        }
        for text in [
            "0.0.0.0/8",
            "10.0.0.0/24",
            "10.0.0.255/24",
            "255.255.255.255/32",
            "127.0.0.1/8",
            "224.0.0.1/4",
            "10.0.0.1/0",
            "::1/128",
            "::/64",
            "fd00::/64",
            "ff02::1/16",
            "::ffff:10.0.0.1/120",
        ] {
            assert!(is_no_host(text), "{text}");
        }
    }
}
