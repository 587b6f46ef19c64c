//! Segments that are sent without a socket.

use std::net::SocketAddr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};

use super::device::Output;
use crate::FramePort;

/// As `smoltcp` has it, and Linux.
const HOP_LIMIT: u8 = 64;

/// Where a connection is, as an acknowledgement says it.
#[derive(Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) window: u16,
}

/// Sends an acknowledgement without data from one end of a connection to the other.
pub(crate) fn acknowledge<P: FramePort>(
    output: &mut Output<P>,
    from: SocketAddr,
    to: SocketAddr,
    Numbers { sequence, acknowledged, window }: Numbers,
) {
    let reply = TcpRepr {
        src_port: from.port(),
        dst_port: to.port(),
        control: TcpControl::None,
        seq_number: number(sequence),
        ack_number: Some(number(acknowledged)),
        window_len: window,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let source = IpAddress::from(from.ip());
    let destination = IpAddress::from(to.ip());
    let len = reply.buffer_len();
    let header = IpRepr::new(source, destination, IpProtocol::Tcp, len, HOP_LIMIT);
    // A port that computes checksums does so over whatever stands there.
    let checksums = ChecksumCapabilities::default();
    output.send_packet(header.buffer_len(), |bytes| {
        header.emit(&mut *bytes, &checksums);
        let mut packet = TcpPacket::new_unchecked(&mut bytes[header.header_len()..]);
        reply.emit(&mut packet, &source, &destination, &checksums);
    });
}

#[expect(clippy::cast_possible_wrap, reason = "smoltcp has sequence numbers signed, bit for bit")]
fn number(sequence: u32) -> TcpSeqNumber {
    TcpSeqNumber(sequence as i32)
}
