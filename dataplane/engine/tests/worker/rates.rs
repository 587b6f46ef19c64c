//! Limits of what a session may send in a second.

use std::time::Duration;

use crate::scene::{Scene, text};

/// Time passes while the worker has nothing to do, and not in one of its turns.
fn sleep(scene: &mut Scene, time: Duration) {
    scene.pass(time);
    scene.turn(0);
}

#[test]
fn a_bucket_fills_again_as_time_passes() {
    let mut scene = Scene::new(1, |config| config.limits.messages_per_second_max = Some(2));
    let flow = scene.join(0);
    let mut said = 0;
    for _ in 0..5 {
        scene.streams[0].send(flow, &text("two a second").repeat(2));
        scene.settle();
        sleep(&mut scene, Duration::from_secs(1));
        said += 2;
    }
    assert_eq!(scene.heard(0, flow), vec!["two a second"; said]);

    scene.streams[0].send(flow, &text("three").repeat(3));
    scene.settle();
    assert_eq!(scene.heard(0, flow)[said..], ["three", "three", "<close>"]);
    assert_eq!((scene.totals().limit_message_rate, scene.totals().sessions_closed), (1, 1));
}

#[test]
fn upgrades_are_limited_over_all_workers_together() {
    let mut scene = Scene::new(2, |config| config.limits.upgrades_per_second_max = Some(3));
    let flows: Vec<_> =
        [0, 1, 0, 1, 0].iter().map(|&worker| (worker, scene.join(worker))).collect();
    let upgraded = flows.iter().filter(|(worker, flow)| {
        scene.streams[*worker].output(*flow).starts_with(b"HTTP/1.1 101 ")
    });
    assert_eq!(upgraded.count(), 3);
    assert_eq!(scene.totals().limit_upgrade_rate, 2);
}

#[test]
fn what_a_congested_worker_did_not_read_is_not_held_against_its_clients() {
    let mut scene = Scene::new(2, |config| {
        config.broadcast.mesh_slots = 1;
        config.limits.messages_per_second_max = Some(3);
    });
    let (speaker, steady) = (scene.join(0), scene.join(0));
    // The other worker takes nothing, so that this one stops reading.
    scene.streams[0].send(speaker, &text("congestion").repeat(3));
    scene.settle_one(0);
    for _ in 0..4 {
        scene.streams[0].send(steady, &text("three a second").repeat(3));
        scene.settle_one(0);
        scene.pass(Duration::from_secs(1));
    }
    assert!(scene.streams[0].bytes_unread() > 0, "the worker is congested");

    scene.settle();
    assert_eq!(scene.totals().messages_received, 15);
    assert_eq!(scene.totals().limit_message_rate, 0);

    // From here on it is as it was before.
    scene.streams[0].send(steady, &text("too many").repeat(9));
    scene.settle();
    assert_eq!(scene.totals().limit_message_rate, 1);
}
