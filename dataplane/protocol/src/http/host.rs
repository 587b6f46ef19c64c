//! Host and port, as `Host`, `Origin` and an absolute target name them.

use std::net::Ipv6Addr;

/// A host and perhaps a port (RFC 3986 section 3.2, without user information).
#[derive(Clone, Copy, Debug)]
pub(super) struct Authority<'a> {
    host: Host<'a>,
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
enum Host<'a> {
    /// A registered name or an IPv4 address: compared by letters, their case aside.
    Name(&'a str),
    /// Compared by value, since an IPv6 address can be written in several ways.
    V6(Ipv6Addr),
}

impl<'a> Authority<'a> {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; `None` when `text` is anything else.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                (Host::V6(address.parse().ok()?), port)
            }
            None => {
                let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                (Host::Name(is_registered_name(name).then_some(name)?), port)
            }
        };
        Some(Self { host, port: parse_port(port)? })
    }

    /// Whether both name the same host and port, `default_port` standing in for a missing one.
    pub(super) fn matches(&self, other: &Authority<'_>, default_port: u16) -> bool {
        let hosts_match = match (self.host, other.host) {
            (Host::Name(ours), Host::Name(theirs)) => ours.eq_ignore_ascii_case(theirs),
            (Host::V6(ours), Host::V6(theirs)) => ours == theirs,
            _ => false,
        };
        hosts_match && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }
}

/// The port of a scheme that has one by default here.
pub(super) fn default_port(scheme: &str) -> Option<u16> {
    if scheme.eq_ignore_ascii_case("http") {
        Some(80)
    } else if scheme.eq_ignore_ascii_case("https") {
        Some(443)
    } else {
        None
    }
}

/// RFC 3986 section 3.2.2, but not empty: no `http` address has an empty host.
fn is_registered_name(name: &str) -> bool {
    let is_name_byte = |byte| b"-._~!$&'()*+,;=".contains(&byte) || byte.is_ascii_alphanumeric();
    // What stands behind a percent sign begins with the two digits of the byte that it encodes.
    let mut parts = name.split('%');
    let is_plain = |text: &str| text.bytes().all(is_name_byte);
    !name.is_empty()
        && parts.next().is_some_and(is_plain)
        && parts.all(|part| {
            part.split_at_checked(2).is_some_and(|(digits, rest)| {
                digits.bytes().all(|digit| digit.is_ascii_hexdigit()) && is_plain(rest)
            })
        })
}

/// What follows the host: nothing, or a colon and perhaps digits (RFC 3986 section 3.2.3).
fn parse_port(text: &str) -> Option<Option<u16>> {
    let digits = match text.strip_prefix(':') {
        None => return text.is_empty().then_some(None),
        Some("") => return Some(None),
        Some(digits) => digits,
    };
    // `parse` alone would let a plus sign through.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read() {
        let good = [
            "a",
            "chat.example:8080",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8080",
            "a:",
            "a_b",
            "%C3%a9.example",
            "a%20",
        ];
        for good in good {
            assert!(Authority::parse(good).is_some(), "{good}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let bad = [
            "", ":80", "a b", "user@a", "a/b", "a:80:81", "a:+80", "a:65536", "a:x", "[::1", "[a]",
            "[::1]80", "::1", "a\u{e9}", "a#b", "a?b", "%", "a%", "a%2", "a%2g", "a%%20",
            "%\u{e9}",
        ];
        for bad in bad {
            assert!(Authority::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_missing_port_is_the_default_one() {
        let same = |a, b| Authority::parse(a).unwrap().matches(&Authority::parse(b).unwrap(), 80);
        assert!(same("Chat.Example", "chat.example:80"));
        assert!(same("[::1]:80", "[0:0::1]"));
        assert!(!same("chat.example", "chat.example:8080"));
        assert!(!same("chat.example", "chat.example.net"));
        assert!(!same("[::1]", "localhost"));
    }
}
