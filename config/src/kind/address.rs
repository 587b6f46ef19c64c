//! Addresses of listeners.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

use ipnet::IpNet;
use toml::de::DeValue;

use super::{Kind, Refusal, collect, quoted, shown, strings, toml_array, toml_string};
use crate::listen::ListenAddressError;
use crate::{AdminAddress, ListenAddress};

const LISTEN_ADDRESSES_MAX: usize = 64;
const NETWORKS_MAX: usize = 256;

/// The longest path that fits `sockaddr_un` with its final NUL: 108 bytes on Linux, 104 on the BSDs
/// and macOS.
const UNIX_PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// One listen address, or a list of them.
pub(crate) struct Listen;

impl Kind<Vec<ListenAddress>> for Listen {
    fn read(&self, value: &DeValue<'_>) -> Result<Vec<ListenAddress>, Vec<Refusal>> {
        const EXPECTED: &str = "an address such as \"127.0.0.1:8080\" or a list of them";
        let texts = match value {
            DeValue::String(text) => vec![text.as_ref()],
            DeValue::Array(array) => strings(array, "an address such as \"127.0.0.1:8080\"")?,
            _ => return Err(vec![Refusal::new(EXPECTED, shown(value))]),
        };
        let parse = |(index, text): (usize, &str)| {
            text.parse().map_err(|error: ListenAddressError| {
                Refusal::new(error.expected(), quoted(text)).of_element(index)
            })
        };
        collect(texts.into_iter().enumerate().map(parse))
    }

    fn check(&self, addresses: &Vec<ListenAddress>) -> Vec<Refusal> {
        if addresses.is_empty() || addresses.len() > LISTEN_ADDRESSES_MAX {
            let expected = format!("1 to {LISTEN_ADDRESSES_MAX} addresses");
            return vec![Refusal::new(expected, addresses.len().to_string())];
        }
        let refusal = |(index, address): (usize, &ListenAddress)| {
            if let ListenAddress::Address(socket) = address
                && let Some(refusal) = unusable(*socket)
            {
                return Some(refusal.of_element(index));
            }
            let earlier =
                addresses[..index].iter().find(|earlier| listeners_overlap(earlier, address))?;
            let got = if earlier == address {
                format!("\"{address}\" again")
            } else {
                format!("\"{address}\" beside \"{earlier}\"")
            };
            Some(Refusal::new("addresses that do not overlap", got).of_element(index))
        };
        addresses.iter().enumerate().filter_map(refusal).collect()
    }

    fn print(&self, addresses: &Vec<ListenAddress>) -> String {
        toml_array(addresses.iter().map(ToString::to_string))
    }
}

/// Where the admin interface listens.
pub(crate) struct Admin;

impl Kind<AdminAddress> for Admin {
    fn read(&self, value: &DeValue<'_>) -> Result<AdminAddress, Vec<Refusal>> {
        let text = value.as_str().ok_or_else(|| vec![Refusal::new(ADMIN, shown(value))])?;
        admin(text).map_err(|refusal| vec![refusal])
    }

    fn check(&self, address: &AdminAddress) -> Vec<Refusal> {
        let refusal = match address {
            AdminAddress::Tcp(address) => unusable(*address),
            AdminAddress::Unix(path) => unusable_unix(path),
            AdminAddress::Off => None,
        };
        refusal.into_iter().collect()
    }

    fn print(&self, address: &AdminAddress) -> String {
        toml_string(&address.to_string())
    }
}

const ADMIN: &str = "an address such as \"127.0.0.1:9090\", \"unix:/run/hioload.sock\" or \"off\"";

fn admin(text: &str) -> Result<AdminAddress, Refusal> {
    if text == "off" {
        return Ok(AdminAddress::Off);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(AdminAddress::Unix(path.into()));
    }
    match text.parse() {
        Ok(ListenAddress::Address(address)) => Ok(AdminAddress::Tcp(address)),
        Err(error @ ListenAddressError::HostName { .. }) => {
            Err(Refusal::new(error.expected(), quoted(text)))
        }
        Ok(ListenAddress::Every { .. }) | Err(ListenAddressError::Malformed) => {
            Err(Refusal::new(ADMIN, quoted(text)))
        }
    }
}

/// As it is written in a file.
impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminAddress::Tcp(address) => address.fmt(f),
            AdminAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            AdminAddress::Off => f.write_str("off"),
        }
    }
}

/// As it is written in a file, and by the same rules.
impl FromStr for AdminAddress {
    type Err = AdminAddressError;

    fn from_str(text: &str) -> Result<Self, AdminAddressError> {
        let address = admin(text).map_err(AdminAddressError)?;
        match Admin.check(&address).pop() {
            Some(refusal) => Err(AdminAddressError(refusal)),
            None => Ok(address),
        }
    }
}

/// Why a text is no [`AdminAddress`].
#[derive(Debug)]
pub struct AdminAddressError(Refusal);

impl fmt::Display for AdminAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for AdminAddressError {}

/// Networks, each an address and the length of its prefix, or an address alone.
pub(crate) struct Networks;

impl Kind<Vec<IpNet>> for Networks {
    fn read(&self, value: &DeValue<'_>) -> Result<Vec<IpNet>, Vec<Refusal>> {
        const EXPECTED: &str = "a network such as \"10.0.0.0/8\"";
        let array = value.as_array().ok_or_else(|| {
            vec![Refusal::new("a list of networks such as [\"10.0.0.0/8\"]", shown(value))]
        })?;
        let texts = strings(array, EXPECTED)?;
        let parse = |(index, text): (usize, &str)| {
            let host = || text.parse::<IpAddr>().map(IpNet::from);
            let network = text.parse::<IpNet>().or_else(|_| host());
            network.map_err(|_| Refusal::new(EXPECTED, quoted(text)).of_element(index))
        };
        collect(texts.into_iter().enumerate().map(parse))
    }

    fn check(&self, networks: &Vec<IpNet>) -> Vec<Refusal> {
        if networks.len() > NETWORKS_MAX {
            let expected = format!("at most {NETWORKS_MAX} networks");
            return vec![Refusal::new(expected, networks.len().to_string())];
        }
        let fault = |network: &IpNet| match network {
            // Addresses are compared without these clothes.
            IpNet::V6(it) if it.addr().to_ipv4_mapped().is_some() => {
                Some("an IPv4 network, or another IPv6 network".to_owned())
            }
            _ if network.addr() != network.network() => {
                Some(format!("the network itself, \"{}\"", network.trunc()))
            }
            _ => None,
        };
        let refusal = |(index, network): (usize, &IpNet)| {
            Some(Refusal::new(fault(network)?, quoted(&network.to_string())).of_element(index))
        };
        networks.iter().enumerate().filter_map(refusal).collect()
    }

    fn print(&self, networks: &Vec<IpNet>) -> String {
        toml_array(networks.iter().map(ToString::to_string))
    }
}

/// Whether one socket would take what the other listens for. Port 0 is another port each time.
pub(crate) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let unspecified = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && (a == b || unspecified)
}

fn listeners_overlap(a: &ListenAddress, b: &ListenAddress) -> bool {
    let others = b.socket_addresses();
    a.socket_addresses().iter().any(|a| others.iter().any(|b| overlap(*a, *b)))
}

/// Refuses what no socket of ours can accept connections on.
fn unusable(address: SocketAddr) -> Option<Refusal> {
    let got = quoted(&address.to_string());
    let ip = address.ip();
    if ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast()) {
        return Some(Refusal::new("an address of this host", got));
    }
    // IPv6 sockets here take IPv6 only, so that they and IPv4 sockets can share a port.
    if let IpAddr::V6(ip) = ip
        && let Some(ip) = ip.to_ipv4_mapped()
    {
        let expected = format!("the IPv4 address itself, \"{ip}:{}\"", address.port());
        return Some(Refusal::new(expected, got));
    }
    None
}

fn unusable_unix(path: &Path) -> Option<Refusal> {
    if !cfg!(unix) {
        let got = "a Unix socket, which this system does not have";
        return Some(Refusal::new("a TCP address or \"off\"", got));
    }
    let bytes = path.as_os_str().len();
    let text = path.to_str().filter(|text| !text.contains('\0'));
    if text.is_some() && (1..=UNIX_PATH_BYTES_MAX).contains(&bytes) {
        return None;
    }
    let expected = format!("a socket path of 1 to {UNIX_PATH_BYTES_MAX} bytes of UTF-8, no NUL");
    let got = format!("{} of {bytes} bytes", quoted(&path.to_string_lossy()));
    Some(Refusal::new(expected, got))
}
