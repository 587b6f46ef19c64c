//! Packets without a connection behind them.

use std::net::SocketAddrV4;

use hioload_net::{FramePort, PortFrame};

use super::client::{State, WINDOW_SCALE};
use super::segment::{ACK, RST, SYN, SYN_OPTIONS_BYTES, Segment, Words, write_syn_options};
use super::{PORT_WAITING_MAX, PacketTransport, number};
use crate::transport::{Position, RawPackets, Route, StrayAnswers};

/// Frames that may wait for the port before no more of these are sent: clients may have as many
/// waiting as this, and come first.
const WAITING_MAX: usize = PORT_WAITING_MAX / 4;

impl<P: FramePort> PacketTransport<P> {
    /// Whether a segment is for an address that no client has. It is counted, and not answered.
    #[inline]
    pub(super) fn is_for_stray(&mut self, segment: &Segment) -> bool {
        let Some(strays) = self.options.strays else { return false };
        if !strays.contain(segment.destination) {
            return false;
        }
        self.answers.resets += u64::from(segment.has(RST));
        self.answers.syn_acks += u64::from(segment.has(SYN) && segment.has(ACK));
        true
    }
}

impl<P: FramePort> RawPackets for PacketTransport<P> {
    fn room(&self) -> usize {
        WAITING_MAX.saturating_sub(self.port.waiting())
    }

    fn route(&self) -> Route {
        Route {
            own_mac: self.port.capabilities().mac,
            next_hop: self.template.next_hop(),
            server: self.options.server,
        }
    }

    fn stray(&self, n: u64) -> SocketAddrV4 {
        // A plan that has packets of strays has made sure of their addresses.
        let first = || SocketAddrV4::new(self.options.addresses.first(), 0);
        self.options.strays.map_or_else(first, |strays| strays.at(n))
    }

    fn send_syn(&mut self, source: SocketAddrV4, sequence: u32) -> bool {
        let words = Words { source, sequence, acknowledged: 0, flags: SYN, window: u16::MAX };
        let mss = self.mss;
        self.send_segment(&words, SYN_OPTIONS_BYTES, 0, |_, bytes| {
            write_syn_options(bytes, mss, WINDOW_SCALE);
        })
    }

    fn send_frame(&mut self, bytes: &[u8]) -> bool {
        let Some(mut frame) = self.port.frame() else { return false };
        if !frame.resize(bytes.len()) {
            return false;
        }
        frame.copy_from_slice(bytes);
        self.is_busy = true;
        self.port.send(self.now, frame, None);
        true
    }

    fn position(&self, client: usize) -> Option<Position> {
        let client = number(client);
        let it = self.clients.get(client as usize)?;
        let source = self.options.addresses.of(client, it.connection);
        let position = Position { source, next: it.next, expected: it.expected };
        (it.state == State::Established).then_some(position)
    }

    fn answers(&self) -> StrayAnswers {
        self.answers
    }
}
