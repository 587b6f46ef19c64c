//! A port whose frames are used again at once, and that claims to compute checksums: what a driver
//! costs is no part of what is measured.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::time::Instant;

use hioload_net::{
    BURST_MAX, FramePort, PortCapabilities, PortCounters, PortFrame, RxChecksum, TxChecksum,
};

/// Bytes that a frame has room for.
const FRAME_BYTES: usize = 2048;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A frame; dropped, it is the next one that is taken.
pub(crate) struct Frame {
    bytes: Vec<u8>,
    len: usize,
}

impl Frame {
    pub(crate) fn take(len: usize) -> Self {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        Self { bytes: spare.unwrap_or_else(|| vec![0; FRAME_BYTES]), len }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        SPARE.with_borrow_mut(|spare| spare.push(mem::take(&mut self.bytes)));
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for Frame {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl PortFrame for Frame {
    fn checksum(&self) -> RxChecksum {
        RxChecksum::Good
    }

    fn stripped_tag(&self) -> Option<u16> {
        None
    }

    fn resize(&mut self, len: usize) -> bool {
        self.len = len;
        len <= FRAME_BYTES
    }
}

/// What is on its way in either direction.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) to_server: VecDeque<Frame>,
    pub(crate) to_clients: Vec<Frame>,
}

/// The server's end of a [`Wire`].
pub(crate) struct Port(pub(crate) Rc<RefCell<Wire>>);

pub(crate) const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

impl FramePort for Port {
    type Frame = Frame;

    fn capabilities(&self) -> PortCapabilities {
        PortCapabilities {
            mac: SERVER_MAC,
            mtu: 1500,
            burst: BURST_MAX,
            tx_ipv4_checksum: true,
            tx_tcp_checksum: true,
        }
    }

    fn receive(&mut self, _: Instant, frames: &mut Vec<Frame>) {
        let came = &mut self.0.borrow_mut().to_server;
        frames.extend(came.drain(..came.len().min(BURST_MAX)));
    }

    fn frame(&mut self) -> Option<Frame> {
        Some(Frame::take(0))
    }

    fn send(&mut self, _: Instant, frame: Frame, _: Option<TxChecksum>) {
        self.0.borrow_mut().to_clients.push(frame);
    }

    fn flush(&mut self, _: Instant) {}

    fn waiting(&self) -> usize {
        0
    }

    fn link_ups(&self) -> u64 {
        1
    }

    fn counters(&self) -> PortCounters {
        PortCounters::default()
    }
}
