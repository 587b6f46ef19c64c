//! An interface that takes fewer frames than there are to be sent.

use std::sync::Arc;
use std::time::Duration;

use hioload_net::{FlowLimit, FramePort, WireOptions};

use crate::scene::{Scene, arena, options, port_options};

const FLOWS: usize = 300;

#[test]
fn what_the_interface_does_not_take_waits_in_the_flows_and_nothing_is_lost() {
    let arena = arena();
    let wire = WireOptions { frames_max: 32, ..WireOptions::default() };
    let mut options = options();
    (options.flows_max, options.half_open_max) = (FLOWS, FLOWS);
    options.flows_in_all = Arc::new(FlowLimit::new(FLOWS));
    let mut scene = Scene::with(&arena, &wire, port_options(), options);
    let connections: Vec<_> = (0..FLOWS).map(|_| scene.connect()).collect();

    // Much more than the wire and the port hold, while nobody takes anything from the wire.
    for number in 0..3_u8 {
        for (flow, _) in &connections {
            scene.say(*flow, &[number; 100]);
        }
        scene.pass_alone(Duration::from_micros(100));
    }

    let port = scene.streams.ports().next().expect("a port").counters();
    assert_eq!(port.dropped_tx_full, 0);
    let began = scene.now;
    for (_, client) in &connections {
        let expected: Vec<u8> = [[0; 100], [1; 100], [2; 100]].concat();
        assert_eq!(scene.hears(*client, 300), expected);
    }
    assert!(scene.now - began < Duration::from_millis(500), "no timeout was waited for");
    let port = scene.streams.ports().next().expect("a port").counters();
    assert_eq!(port.dropped_tx_full, 0);
}

#[test]
fn a_flow_that_ends_while_it_waits_for_the_interface_is_no_harm() {
    let arena = arena();
    let wire = WireOptions { frames_max: 8, ..WireOptions::default() };
    let mut options = options();
    (options.flows_max, options.half_open_max) = (FLOWS, FLOWS);
    options.flows_in_all = Arc::new(FlowLimit::new(FLOWS));
    let mut scene = Scene::with(&arena, &wire, port_options(), options);
    let connections: Vec<_> = (0..150).map(|_| scene.connect()).collect();
    for (flow, _) in &connections {
        scene.say(*flow, &[7; 100]);
    }

    for (_, client) in &connections[..75] {
        scene.station.socket(*client).abort();
    }
    for (_, client) in &connections[75..] {
        assert_eq!(scene.hears(*client, 100), [7; 100]);
    }
    // Their places are used again.
    let (flow, client) = scene.connect();
    scene.say(flow, b"hello");
    assert_eq!(scene.hears(client, 5), b"hello");
}
