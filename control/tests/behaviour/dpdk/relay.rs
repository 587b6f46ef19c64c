//! A switch that puts clients into a VLAN, for a kernel without IEEE 802.1Q.
//!
//! `client0`, whose other end the relay has, is where the kernel's clients are, without a tag. On the
//! wire between `veth0` and `veth1`, which DPDK has taken, all frames that the relay sends have one,
//! and it carries none back but those that have it.

use std::sync::Arc;
use std::thread;

use crate::dpdk::packets::{PacketSocket, Reads};
use crate::dpdk::wire::{ip, send_as_over_a_cable, silence};

/// Where the clients are.
pub(crate) const CLIENTS: &str = "client0";
/// The relay's end of that.
const SWITCHED: &str = "relay0";
/// The relay's end of the port's wire.
pub(crate) const TRUNK: &str = "veth0";
/// The port.
const PORT: &str = "veth1";

/// Longer than any frame.
const FRAME_BYTES_MAX: usize = 2048;

/// Makes the interfaces, all but the clients' ready.
pub(crate) fn lay_cables() {
    ip(&format!(
        "link add {CLIENTS} type veth peer name {SWITCHED}
        link add {TRUNK} type veth peer name {PORT}"
    ));
    send_as_over_a_cable(&[CLIENTS, SWITCHED, TRUNK, PORT]);
    for end in [SWITCHED, TRUNK, PORT] {
        silence(end);
        ip(&format!("link set {end} up"));
    }
    // It would answer for the clients' addresses.
    ip(&format!("link set {SWITCHED} arp off"));
}

/// Carries frames in both directions from now on, as long as the process lives.
pub(crate) fn start(vlan: u16) {
    ip(&format!("link set {CLIENTS} up"));
    let [high, low] = vlan.to_be_bytes();
    let tag = [0x81, 0x00, high, low];
    // One socket for both directions: it does not read what it has sent.
    let clients = Arc::new(PacketSocket::on(SWITCHED, Reads::All));
    let trunk = PacketSocket::on(TRUNK, Reads::Nothing);
    // What goes out has its tag where it belongs. What comes in at the trunk has lost it.
    let port = PacketSocket::on(PORT, Reads::All);
    let switched = Arc::clone(&clients);
    thread::spawn(move || {
        carry(&switched, |frame| {
            let (addresses, rest) = frame.split_at(12);
            trunk.send(&[addresses, &tag, rest].concat());
        });
    });
    thread::spawn(move || {
        let ours = port.mac();
        carry(&port, |frame| {
            let (addresses, rest) = frame.split_at(12);
            if addresses[6..] == ours
                && let Some(rest) = rest.strip_prefix(&tag)
            {
                clients.send(&[addresses, rest].concat());
            }
        });
    });
}

/// Hands on what comes, frame by frame.
fn carry(from: &PacketSocket, mut hand_on: impl FnMut(&[u8])) {
    let mut buffer = [0; FRAME_BYTES_MAX];
    loop {
        if let Some(frame) = from.receive(&mut buffer).filter(|frame| frame.len() > 12) {
            hand_on(frame);
        }
    }
}
