//! How long messages take from being published to being written.

use std::time::Duration;

use crate::scene::{Scene, text};

#[test]
fn every_delivery_is_timed_from_the_publication_until_the_transport_has_the_last_byte() {
    let mut scene = Scene::new(2, |_| {});
    let (sender, other) = (scene.join(0), scene.join(1));
    let before = scene.totals().deliveries_sent;
    // The answer to the upgrade is sent; of what comes now one byte at first.
    scene.streams[1].set_window(other, 1);
    scene.streams[0].send(sender, &text("hello"));
    scene.settle();
    scene.pass(Duration::from_millis(40));
    scene.settle();
    let latencies = scene.controls.latencies();
    assert_eq!(
        (latencies.count(), latencies.max()),
        (1, Duration::ZERO),
        "who reads has it at once"
    );

    scene.streams[1].open_window(other);
    scene.settle();
    let latencies = scene.controls.latencies();
    assert_eq!(scene.totals().deliveries_sent, before + 2);
    assert_eq!((latencies.count(), latencies.max()), (2, Duration::from_millis(40)));
    assert!((latencies.sum_seconds() - 0.04).abs() < 1e-9, "{latencies:?}");
    assert_eq!(latencies.quantile(500), Duration::from_micros(1));
    assert_eq!(latencies.quantile(990), Duration::from_millis(40));
}

#[test]
fn what_is_dropped_or_no_message_is_not_timed() {
    let mut scene = Scene::new(1, |config| config.broadcast.backlog_messages_max = 2);
    let (sender, slow) = (scene.join(0), scene.join(0));
    scene.streams[0].set_window(slow, 0);
    for number in 0..5 {
        scene.streams[0].send(sender, &text(&number.to_string()));
        scene.settle();
    }
    scene.streams[0].send(sender, crate::scene::PING);
    scene.streams[0].send(sender, crate::scene::CLOSE);
    scene.settle();
    scene.pass(Duration::from_millis(1));
    scene.streams[0].open_window(slow);
    scene.settle();
    let (totals, latencies) = (scene.totals(), scene.controls.latencies());
    assert!(totals.deliveries_dropped_backlog >= 3, "{totals:?}");
    assert_eq!(latencies.count(), totals.deliveries_sent);
    assert_eq!(latencies.max(), Duration::from_millis(1));
}

#[test]
fn a_message_of_the_control_plane_is_timed_from_the_call() {
    let mut scene = Scene::new(1, |_| {});
    scene.join(0);
    scene.controls.publish("hello").expect("room for it");
    scene.pass(Duration::from_secs(60));
    scene.settle();
    let latencies = scene.controls.latencies();
    assert_eq!(latencies.count(), 1);
    // The call has the time of the system, the worker a clock that was set then and moved by hand.
    assert!(latencies.max() >= Duration::from_secs(50), "{latencies:?}");
}
