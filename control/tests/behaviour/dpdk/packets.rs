//! Frames on an interface, as they are, past the kernel's TCP/IP.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, bind, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// A hardware address.
pub(crate) type Mac = [u8; 6];

/// Room for frames that wait to be read: a burst comes at once.
const WAITING_BYTES: usize = 8 << 20;

/// A packet socket of Linux: what it writes goes out on its interface.
pub(crate) struct PacketSocket {
    socket: Socket,
    mac: Mac,
}

/// What a [`PacketSocket`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Nothing,
    /// What comes in that carries IPv4.
    Ipv4,
    /// All that comes in, and all that others send. A VLAN's tag is missing from what comes in: the
    /// kernel keeps it elsewhere.
    All,
}

impl PacketSocket {
    /// One on an interface, which has to be up, in the namespace of this thread.
    pub(crate) fn on(interface: &str, reads: Reads) -> Self {
        let ether_type = match reads {
            Reads::Nothing => 0_u16,
            Reads::Ipv4 => 0x0800,
            Reads::All => 0x0003,
        };
        let protocol = Protocol::from(i32::from(ether_type.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol));
        let socket =
            socket.unwrap_or_else(|error| panic!("no packet socket, which takes root: {error}"));
        setsockopt(&socket, sockopt::RcvBufForce, &WAITING_BYTES).expect("it is root's");
        let address = link_address(interface);
        bind(socket.as_raw_fd(), &address).expect("an interface of this namespace");
        let bound = Self { socket, mac: address.addr().expect("it is Ethernet") };
        bound.forget_those_before();
        bound
    }

    /// The interface's own address.
    pub(crate) fn mac(&self) -> Mac {
        self.mac
    }

    /// Reading gives up after that time.
    pub(crate) fn set_patience(&self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).expect("a timeout");
    }

    /// Before it was bound, frames of all interfaces came.
    fn forget_those_before(&self) {
        self.socket.set_nonblocking(true).expect("an option");
        while (&self.socket).read(&mut [0; 16]).is_ok() {}
        self.socket.set_nonblocking(false).expect("an option");
    }

    /// The next frame, as far as it fits; `None` when none comes in time.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        match (&self.socket).read(buffer) {
            Ok(length) => Some(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("the interface has gone: {error}"),
        }
    }

    /// Sends a frame, or loses it where there is no room for it, as a wire may.
    pub(crate) fn send(&self, frame: &[u8]) {
        let _ = (&self.socket).write(frame);
    }
}

fn link_address(interface: &str) -> LinkAddr {
    let mut addresses = getifaddrs().expect("the interfaces of this namespace");
    let found = addresses.find_map(|found| {
        let address = *found.address?.as_link_addr()?;
        (found.interface_name == interface).then_some(address)
    });
    found.unwrap_or_else(|| panic!("no interface {interface}"))
}
