//! Addresses to listen on.

use std::error::Error;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Where the appliance accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// One address, such as `127.0.0.1:8080` or `[::1]:8080`.
    Address(SocketAddr),
    /// Every address of the host, IPv6 and IPv4, written `:8080`.
    Every {
        /// The port; 0 lets the system choose one for each family.
        port: u16,
    },
}

impl ListenAddress {
    /// The socket addresses to bind: `:8080` stands for `[::]:8080` and `0.0.0.0:8080`, in this
    /// order. The IPv6 one takes IPv6 connections only (`IPV6_V6ONLY`), or the second would fail.
    pub fn socket_addresses(&self) -> Vec<SocketAddr> {
        match *self {
            ListenAddress::Address(address) => vec![address],
            ListenAddress::Every { port } => {
                vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
            }
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        ListenAddress::Address(address)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Address(address) => address.fmt(f),
            ListenAddress::Every { port } => write!(f, ":{port}"),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(ListenAddress::Address(address));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(ListenAddressError::Malformed);
        };
        // `u16::from_str` would take "+80", which no address has.
        let port = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        match (host, port.and_then(|port| port.parse().ok())) {
            ("", Some(port)) => Ok(ListenAddress::Every { port }),
            (host, Some(port)) if is_host_name(host) => Err(ListenAddressError::HostName { port }),
            _ => Err(ListenAddressError::Malformed),
        }
    }
}

/// Letters, digits, hyphens and dots with a letter in the last label: a name, not a mistyped
/// address (RFC 1123, section 2.1).
fn is_host_name(host: &str) -> bool {
    let last_label = host.rsplit('.').next().unwrap_or(host);
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && last_label.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Why a text is no [`ListenAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddressError {
    /// Neither `ADDRESS:PORT` nor `:PORT`.
    Malformed,
    /// A host name in place of an address.
    HostName {
        /// The port that was asked for.
        port: u16,
    },
}

impl ListenAddressError {
    /// What should have been written.
    pub(crate) fn expected(self) -> String {
        match self {
            ListenAddressError::Malformed => {
                "an address such as \"127.0.0.1:8080\", \"[::1]:8080\" or \":8080\"".to_owned()
            }
            ListenAddressError::HostName { port } => format!(
                "an address, since names are not looked up (this host is \"127.0.0.1:{port}\" or \
                 \"[::1]:{port}\")"
            ),
        }
    }
}

impl fmt::Display for ListenAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected())
    }
}

impl Error for ListenAddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_they_are_written() {
        for text in ["127.0.0.1:8080", "[::1]:8080", ":8080", "0.0.0.0:0", "[fe80::1%3]:80", ":0"] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn a_port_alone_stands_for_every_address_of_both_families() {
        let address: ListenAddress = ":8080".parse().unwrap();
        let expected = ["[::]:8080".parse().unwrap(), "0.0.0.0:8080".parse().unwrap()];
        assert_eq!(address.socket_addresses(), expected);
    }

    #[test]
    fn a_host_name_is_refused_with_the_addresses_to_write_instead() {
        for text in ["localhost:8080", "chat.example:8080"] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert_eq!(error, ListenAddressError::HostName { port: 8080 });
            assert!(error.to_string().contains("\"127.0.0.1:8080\" or \"[::1]:8080\""));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let malformed = [
            "",
            ":",
            "8080",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "127.0.0.1:+80",
            ":+80",
            ":-1",
            "::1:8080",
            "[::1]",
            "127.0.0:80",
            "300.0.0.1:80",
            " :80",
            "http://[::1]:80",
        ];
        for text in malformed {
            let result = text.parse::<ListenAddress>();
            assert_eq!(result, Err(ListenAddressError::Malformed), "{text:?}");
        }
    }
}
