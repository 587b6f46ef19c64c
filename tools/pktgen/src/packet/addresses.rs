//! Which client has which address and ports. Both ways it is arithmetic: a segment finds its client
//! without a table.

use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;

/// Clients use all ports but the first 1,024 (RFC 6335 section 6).
const FIRST_PORT: u32 = 1024;
const PORTS: u32 = 65_536 - FIRST_PORT;

/// Client `n` has the `n % addresses`th address, and there a stripe of the ports: it uses one after
/// the other for its connections, so that no two in a row have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    first: u32,
    count: u32,
    /// Addresses of the network behind those, which no client has.
    others: u32,
    clients: u32,
    ports_per_client: u32,
}

/// A client, and which of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) client: u32,
    /// The place in the client's stripe of ports.
    pub(super) turn: u32,
}

impl Addresses {
    /// All host addresses of a network but `taken`, as far as there are clients for them.
    ///
    /// # Errors
    /// That there are fewer ports than clients.
    pub(crate) fn new(
        network: Ipv4Net,
        clients: usize,
        taken: &[Ipv4Addr],
    ) -> Result<Self, String> {
        // Hosts leave out the network's own address and that of all of it (RFC 919 section 7).
        let mut hosts = network.hosts().map(u32::from);
        let first = hosts.next().unwrap_or_default();
        let last = hosts.next_back().unwrap_or(first);
        let taken: Vec<u32> = taken.iter().map(|taken| u32::from(*taken)).collect();
        let (first, last) = longest_gap(first, last, &taken)
            .ok_or_else(|| format!("--clients {network}: no address is left for the clients"))?;
        let available = last - first + 1;
        let clients = u32::try_from(clients).unwrap_or(u32::MAX);
        let count = available.min(clients).max(1);
        let clients_per_address = clients.div_ceil(count);
        let ports_per_client = PORTS / clients_per_address.max(1);
        if ports_per_client == 0 {
            return Err(format!(
                "--clients {network}: {count} addresses have room for {}, not for {clients}",
                u64::from(count) * u64::from(PORTS)
            ));
        }
        Ok(Self { first, count, others: available - count, clients, ports_per_client })
    }

    /// The addresses that no client has, if there are any.
    pub(crate) fn strays(&self) -> Option<Strays> {
        (self.others > 0).then_some(Strays { first: self.first + self.count, count: self.others })
    }

    /// Where a client's connection of this number comes from.
    pub(super) fn of(&self, client: u32, connection: u32) -> SocketAddrV4 {
        let (slot, address) = (client / self.count, client % self.count);
        let turn = connection % self.ports_per_client;
        let port = FIRST_PORT + slot * self.ports_per_client + turn;
        // A slot and a turn are below what `new` divided the ports by.
        SocketAddrV4::new(Ipv4Addr::from(self.first + address), u16::try_from(port).unwrap_or(0))
    }

    /// Whose address and port it is.
    #[inline]
    pub(super) fn owner(&self, address: u32, port: u16) -> Option<Owner> {
        let at = address.wrapping_sub(self.first);
        let port = u32::from(port).checked_sub(FIRST_PORT)?;
        let (slot, turn) = (port / self.ports_per_client, port % self.ports_per_client);
        let client = slot.checked_mul(self.count)?.checked_add(at)?;
        (at < self.count && client < self.clients).then_some(Owner { client, turn })
    }

    /// Whether it is one of the clients' addresses.
    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address).wrapping_sub(self.first) < self.count
    }

    pub(super) fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.first)
    }

    /// Whether one of a client's first so many connections, which count from 1, had this turn.
    pub(super) fn was_used(&self, turn: u32, connections: u32) -> bool {
        connections >= self.ports_per_client || (1..=connections).contains(&turn)
    }

    /// The turn of a connection of this number.
    #[inline]
    pub(super) fn turn(&self, connection: u32) -> u32 {
        connection % self.ports_per_client
    }
}

/// Addresses for packets that belong to no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strays {
    first: u32,
    count: u32,
}

impl Strays {
    /// The `n`th address and port: each pair comes once before the first one comes again.
    #[expect(clippy::cast_possible_truncation, reason = "both are remainders of 32 bits")]
    pub(super) fn at(self, n: u64) -> SocketAddrV4 {
        // Neighbours differ in their ports, too.
        const STRIDE: u64 = 7919;
        let (address, round) = (n % u64::from(self.count), n / u64::from(self.count));
        let port = (round + address * STRIDE) % u64::from(PORTS);
        let port = u16::try_from(FIRST_PORT + port as u32).unwrap_or(u16::MAX);
        SocketAddrV4::new(Ipv4Addr::from(self.first + address as u32), port)
    }

    #[inline]
    pub(super) fn contain(self, address: u32) -> bool {
        address.wrapping_sub(self.first) < self.count
    }
}

/// The longest run of addresses without one that is taken.
fn longest_gap(first: u32, last: u32, taken: &[u32]) -> Option<(u32, u32)> {
    let mut taken: Vec<u32> =
        taken.iter().copied().filter(|taken| (first..=last).contains(taken)).collect();
    taken.sort_unstable();
    let mut begin = u64::from(first);
    let mut longest: Option<(u64, u64)> = None;
    for end in taken.into_iter().map(u64::from).chain([u64::from(last) + 1]) {
        let is_longer = longest.is_none_or(|(from, to)| end.saturating_sub(begin) > to - from);
        if end > begin && is_longer {
            longest = Some((begin, end));
        }
        begin = end + 1;
    }
    let (from, to) = longest?;
    Some((u32::try_from(from).ok()?, u32::try_from(to - 1).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(network: &str, clients: usize, taken: &[&str]) -> Result<Addresses, String> {
        let taken: Vec<Ipv4Addr> = taken.iter().map(|ip| ip.parse().expect("one")).collect();
        Addresses::new(network.parse().expect("a network"), clients, &taken)
    }

    #[test]
    fn every_connection_finds_its_client_again() {
        for (network, clients) in
            [("10.1.0.0/16", 1_000_000), ("10.1.0.0/16", 7), ("10.0.0.0/30", 100_000)]
        {
            let addresses = addresses(network, clients, &[]).expect("room");
            let last = u32::try_from(clients - 1).expect("a few");
            for client in [0, 1, last / 2, last] {
                for connection in [0, 1, 77, 65_000, 4_000_000_000] {
                    let from = addresses.of(client, connection);
                    let owner = addresses.owner(u32::from(*from.ip()), from.port());
                    let turn = addresses.turn(connection);
                    assert_eq!(owner, Some(Owner { client, turn }), "{network} {from}");
                }
            }
        }
    }

    #[test]
    fn ports_are_used_from_the_second_on() {
        let addresses = addresses("10.0.0.4/32", 20_000, &[]).expect("room");
        assert_eq!(addresses.ports_per_client, 3);
        let used = |connections| [0, 1, 2].map(|turn| addresses.was_used(turn, connections));
        assert_eq!(used(0), [false, false, false]);
        assert_eq!(used(1), [false, true, false]);
        assert_eq!(used(2), [false, true, true]);
        assert_eq!(used(3), [true, true, true]);
    }

    #[test]
    fn strangers_have_no_owner() {
        let addresses = addresses("10.1.0.0/24", 3, &[]).expect("room");
        let stranger = |address: &str, port| {
            addresses.owner(u32::from(address.parse::<Ipv4Addr>().expect("an address")), port)
        };
        assert_eq!(stranger("10.1.0.0", 2000), None);
        assert_eq!(stranger("10.1.0.4", 2000), None);
        assert_eq!(stranger("10.1.0.1", 1023), None);
        assert!(stranger("10.1.0.3", 65_535).is_some());
    }

    #[test]
    fn addresses_that_others_have_are_left_out() {
        let addresses = addresses("10.0.0.0/24", 300, &["10.0.0.1", "10.0.0.2"]).expect("room");
        assert_eq!(addresses.first(), Ipv4Addr::new(10, 0, 0, 3));
        assert!(addresses.contains(Ipv4Addr::new(10, 0, 0, 254)));
        assert!(!addresses.contains(Ipv4Addr::new(10, 0, 0, 255)));
    }

    #[test]
    fn strays_have_the_addresses_that_are_left_and_each_pair_once() {
        let addresses = addresses("10.0.0.0/29", 2, &["10.0.0.1"]).expect("room");
        let strays = addresses.strays().expect("10.0.0.4 to 10.0.0.6");
        let all = 3 * u64::from(PORTS);
        let pairs: std::collections::HashSet<_> = (0..all).map(|n| strays.at(n)).collect();
        assert_eq!(pairs.len() as u64, all);
        for stray in &pairs {
            let address = u32::from(*stray.ip());
            assert!(strays.contain(address) && !addresses.contains(*stray.ip()), "{stray}");
            assert_eq!(addresses.owner(address, stray.port()), None, "{stray}");
        }
        assert_eq!(strays.at(all), strays.at(0));
    }

    #[test]
    fn a_network_that_is_full_has_no_strays() {
        let addresses = addresses("10.0.0.4/32", 2, &[]).expect("room");
        assert_eq!(addresses.strays(), None);
    }

    #[test]
    fn more_clients_than_ports_are_refused() {
        let error = addresses("10.0.0.0/30", 200_000, &[]).expect_err("too many");
        assert!(error.contains("--clients 10.0.0.0/30") && error.contains("129024"), "{error}");
        let error = addresses("10.0.0.1/32", 1, &["10.0.0.1"]).expect_err("it is taken");
        assert!(error.contains("no address is left"), "{error}");
    }
}
