//! Two ports that are each other's wire.

use std::slice;

use hioload_dpdk::{PortOptions, Started, ring_pair};
use hioload_net::{DpdkPort, DpdkPortError, FramePort, PortCounters, PortFrame, RxChecksum};

use crate::scene::{self, End};

#[test]
fn frames_cross_in_order_are_counted_and_leave_nothing_behind() {
    let eal = scene::eal("cross", &[]);
    let (near, far) = ring_pair(&eal, "wire").unwrap();
    let (mut near, mut far) = (End::start(&eal, near, 511), End::start(&eal, far, 511));
    assert_eq!(near.port.capabilities().mtu, 1500);
    assert_eq!(near.port.link_ups(), 1);

    for number in 0..40_u8 {
        near.send(&[number; 60], None);
    }
    assert_eq!(near.port.waiting(), 8);
    near.flush();

    let frames = far.receive(40, |_| true);
    assert!(frames.iter().zip(0..).all(|(frame, number)| frame[..] == [number; 60]));
    assert_eq!(frames[0].checksum(), RxChecksum::Unknown);
    assert_eq!(frames[0].stripped_tag(), None);
    let sent = near.port.counters();
    assert_eq!((sent.frames_out, sent.bytes_out, sent.bursts_out), (40, 2400, 2));
    let came = far.port.counters();
    assert_eq!((came.frames_in, came.bytes_in), (40, 2400));
    drop(frames);
    // Those at hand for the next frames are still out.
    assert_eq!(near.tx_pool.in_use(), 64 - 40);
    drop(near);
}

#[test]
fn what_the_interface_refuses_waits_in_order_and_the_surplus_is_dropped() {
    let eal = scene::eal("refuses", &[]);
    let (near, far) = ring_pair(&eal, "wire").unwrap();
    let (mut near, mut far) = (End::start(&eal, near, 2047), End::start(&eal, far, 63));
    // A ring holds 1,023 frames; a burst waits, and 256 behind it.
    let frames = 1023 + 32 + 256;

    for number in 0..frames + 5 {
        near.send(&u32::to_be_bytes(number), None);
    }

    let counters = near.port.counters();
    assert_eq!((counters.frames_out, counters.dropped_tx_full), (1023, 5));
    assert_eq!(near.port.waiting(), 288);
    near.flush();
    assert_eq!(near.port.waiting(), 288);

    let first = far.receive(1023, |_| true);
    near.flush();
    assert_eq!(near.port.waiting(), 0);
    let rest = far.receive(288, |_| true);
    for (number, frame) in (0..frames).zip(first.iter().chain(&rest)) {
        assert_eq!(frame[..], u32::to_be_bytes(number));
    }
    assert_eq!(near.port.counters().frames_out, u64::from(frames));
}

#[test]
fn without_memory_there_is_no_frame_and_that_is_counted() {
    let eal = scene::eal("no-memory", &[]);
    let (near, _far) = ring_pair(&eal, "wire").unwrap();
    let mut near = End::start(&eal, near, 40);

    let frames: Vec<_> = std::iter::from_fn(|| near.port.frame()).take(100).collect();

    assert_eq!(frames.len(), 40);
    assert_eq!(near.port.counters(), PortCounters { no_memory: 1, ..PortCounters::default() });
    drop(frames);
    assert!(near.port.frame().is_some());
}

#[test]
fn a_frame_has_room_for_the_mtu_and_a_tag() {
    let eal = scene::eal("room", &[]);
    let (near, far) = ring_pair(&eal, "wire").unwrap();
    let mut near = End::start(&eal, near, 63);
    assert!(near.port.frame().unwrap().resize(1518));

    let rx_pool = scene::pool(&eal, "far-rx", 511);
    let options = PortOptions { mtu: 2020, ..PortOptions::default() };
    let Started { port, mut queues } = far.start(&options, slice::from_ref(&rx_pool)).unwrap();
    let small = hioload_dpdk::MempoolOptions {
        name: "small".to_owned(),
        mbufs: 63,
        cache: 0,
        data_bytes: 1024,
        node: None,
    };
    let small = hioload_dpdk::Mempool::new(&eal, &small).unwrap();
    let error = DpdkPort::new(&port, queues.remove(0), small, 32).unwrap_err();
    assert!(matches!(error, DpdkPortError::PoolTooSmall { data_bytes: 1024, .. }), "{error}");
}
