//! A tap, whose driver computes and verifies checksums and takes frames from the kernel, and a
//! packet socket on the kernel's side of it.

use std::fs;

use hioload_dpdk::Port;
use hioload_net::{FramePort, PortFrame, RxChecksum, TxChecksum};

use crate::scene::{self, End};

const ASK: TxChecksum = TxChecksum { link_header_bytes: 14, ip_header_bytes: 20, ipv6: false };

/// A tap and the packet socket on its other end, with the link up.
fn wire(test: &str) -> (End, End) {
    // The kernel would send of its own on IPv6.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    let eal = scene::eal(test, &["net_tap0,iface=tap0", "net_af_packet0,iface=tap0"]);
    let tap = End::start(&eal, Port::find(&eal, "net_tap0").unwrap(), 511);
    let mut socket = End::start(&eal, Port::find(&eal, "net_af_packet0").unwrap(), 511);
    scene::ip("link set tap0 up");
    for end in [&tap, &socket] {
        scene::until("link", || {
            end.handle.refresh_link().unwrap();
            end.port.link_ups() > 0
        });
    }
    // The socket was made while the link was down, and says so the first time.
    socket.send(&[0xff; 60], None);
    socket.flush();
    (tap, socket)
}

/// A TCP segment over IPv4 with both checksums right.
fn segment(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let total = u16::try_from(40 + payload.len()).unwrap();
    frame.extend([0x45, 0]);
    frame.extend(total.to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2]);
    frame.extend([0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 4, 0, 0, 0, 0, 0]);
    frame.extend(payload);
    let ip = !sum(0, &frame[14..34]);
    frame[24..26].copy_from_slice(&ip.to_be_bytes());
    let tcp = !sum(pseudo_header(&frame), &frame[34..]);
    frame[50..52].copy_from_slice(&tcp.to_be_bytes());
    frame
}

fn pseudo_header(frame: &[u8]) -> u16 {
    let tcp_bytes = u16::try_from(frame.len() - 34).unwrap();
    sum(sum(6, &tcp_bytes.to_be_bytes()), &frame[26..34])
}

/// The ones' complement sum of RFC 1071.
fn sum(start: u16, bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    let mut sum = u32::from(start) + words.sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

fn is_ours(frame: &[u8]) -> bool {
    frame.get(..6) == Some(&[2, 0, 0, 0, 0, 1])
}

#[test]
fn checksums_that_were_asked_for_are_right_on_the_wire() {
    scene::in_namespace("tap::checksums_that_were_asked_for_are_right_on_the_wire", || {
        let (mut tap, mut socket) = wire("asked");
        let capabilities = tap.port.capabilities();
        assert!(capabilities.tx_ipv4_checksum && capabilities.tx_tcp_checksum);
        let right = segment(b"of an odd length.");
        let mut asking = right.clone();
        asking[24..26].fill(0);
        let pseudo_header = pseudo_header(&asking);
        asking[50..52].copy_from_slice(&pseudo_header.to_be_bytes());

        tap.send(&asking, Some(ASK));
        tap.send(&right, None);
        tap.flush();

        let frames = socket.receive(2, is_ours);
        assert_eq!(frames[0][..], right[..]);
        assert_eq!(frames[1][..], right[..]);
    });
}

#[test]
fn checksums_of_what_comes_are_good_bad_or_unknown() {
    scene::in_namespace("tap::checksums_of_what_comes_are_good_bad_or_unknown", || {
        let (mut tap, mut socket) = wire("comes");
        let right = segment(b"payload");
        let wrong = |at: usize| {
            let mut frame = right.clone();
            frame[at] ^= 1;
            frame
        };
        let mut not_ip = right.clone();
        not_ip[12..14].copy_from_slice(&[0x88, 0xb5]);

        for frame in [&right, &wrong(60), &wrong(22), &not_ip] {
            socket.send(frame, None);
        }
        socket.flush();

        let frames = tap.receive(4, is_ours);
        let found: Vec<_> = frames.iter().map(PortFrame::checksum).collect();
        let (good, bad) = (RxChecksum::Good, RxChecksum::Bad);
        assert_eq!(found, [good, bad, bad, RxChecksum::Unknown]);
    });
}

#[test]
fn a_tag_that_the_port_took_out_is_reported() {
    scene::in_namespace("tap::a_tag_that_the_port_took_out_is_reported", || {
        let (mut tap, mut socket) = wire("tag");
        let untagged = segment(b"payload");
        let mut tagged = untagged.clone();
        tagged.splice(12..12, [0x81, 0x00, 0x20, 0x07]);

        tap.send(&tagged, None);
        tap.flush();

        let frames = socket.receive(1, is_ours);
        assert_eq!(frames[0].stripped_tag(), Some(0x2007));
        assert_eq!(frames[0][..], untagged[..]);
    });
}

#[test]
fn a_link_that_comes_back_is_counted() {
    scene::in_namespace("tap::a_link_that_comes_back_is_counted", || {
        let (tap, _socket) = wire("link");
        assert_eq!(tap.port.link_ups(), 1);
        let is_up = || {
            tap.handle.refresh_link().unwrap();
            tap.handle.link().is_up()
        };

        scene::ip("link set tap0 down");
        scene::until("loss of the link", || !is_up());
        scene::ip("link set tap0 up");
        scene::until("link", is_up);

        assert_eq!(tap.port.link_ups(), 2);
    });
}
