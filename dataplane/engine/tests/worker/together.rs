//! What leaves together, and how much of it in a turn.

use crate::scene::{Scene, text};

#[test]
fn broadcasts_that_stand_together_and_a_reply_behind_them_are_one_write() {
    let mut scene = Scene::new(1, |_| {});
    let (speaker, other) = (scene.join(0), scene.join(0));
    let before = scene.totals().writes;
    scene.streams[0].send(speaker, &[text("one"), text("two")].concat());
    scene.settle();
    assert_eq!(scene.totals().writes - before, 2, "to each of them");

    scene.streams[0].send(speaker, &[text("three"), text("me")].concat());
    scene.settle();
    assert_eq!(scene.totals().writes - before, 4, "to each of them again");
    assert_eq!(scene.heard(0, speaker), ["one", "two", "three", "me"]);
    assert_eq!(scene.heard(0, other), ["one", "two", "three"]);
}

#[test]
fn a_turn_writes_to_a_bounded_number_of_sessions_though_nothing_else_is_to_be_done() {
    const SESSIONS: u64 = 1_100;
    let mut scene = Scene::new(1, |_| {});
    let flows: Vec<_> = (0..SESSIONS).map(|_| scene.join(0)).collect();
    let before = scene.totals();
    scene.controls.publish("news").expect("room for it");
    scene.turn(0);
    let after = scene.totals();
    assert_eq!(after.deliveries_sent - before.deliveries_sent, 1024);
    assert_eq!(after.deliveries_due - before.deliveries_due, 1024);
    scene.turn(0);
    let after = scene.totals();
    assert_eq!(after.deliveries_sent - before.deliveries_sent, SESSIONS);
    assert!(flows.iter().all(|flow| scene.heard(0, *flow) == ["news"]));
    assert_eq!(scene.controls.latencies().count(), SESSIONS);
}

#[test]
fn who_has_something_waiting_gets_what_is_new_behind_it() {
    let mut scene = Scene::new(1, |_| {});
    let (speaker, slow) = (scene.join(0), scene.join(0));
    scene.streams[0].set_window(slow, 1);
    scene.streams[0].send(speaker, &text("first"));
    scene.settle();
    scene.streams[0].open_window(slow);
    scene.streams[0].send(speaker, &text("second"));
    scene.settle();
    assert_eq!(scene.heard(0, slow), ["first", "second"]);
}
