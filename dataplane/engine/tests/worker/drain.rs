//! Drains, in every order.

use std::time::Duration;

use crate::scene::{CLOSE, Scene, text};

const TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn a_second_drain_does_not_open_the_worker_again() {
    let mut scene = Scene::new(2, |_| {});
    let (publisher, other) = (scene.join(0), scene.join(1));
    scene.drain(TIMEOUT);
    scene.settle_one(0);

    scene.drain(TIMEOUT);
    scene.turn(0);
    scene.streams[0].send(publisher, &text("too late"));
    scene.settle();

    assert_eq!(scene.totals().messages_published, 0);
    assert_eq!(scene.heard(1, other), ["<close>"]);
    scene.streams[0].send(publisher, CLOSE);
    scene.streams[1].send(other, CLOSE);
    scene.settle();
    assert!(scene.ended().iter().all(|ended| ended.is_some_and(|it| it.cut_off == 0)));
}

#[test]
fn the_loss_of_a_worker_does_not_hold_up_the_drain_of_the_others() {
    let mut scene = Scene::new(2, |_| {});
    let client = scene.join(0);
    scene.drain(TIMEOUT);
    scene.settle_one(0);
    assert_eq!(scene.heard(0, client), [""; 0]);

    scene.drop_worker(1);
    scene.settle();

    assert_eq!(scene.heard(0, client), ["<close>"]);
}

#[test]
fn the_deadline_cuts_off_those_who_hang() {
    let mut scene = Scene::new(1, |_| {});
    let (polite, silent, stalled) = (scene.join(0), scene.join(0), scene.join(0));
    scene.streams[0].set_window(stalled, 0);
    scene.streams[0].send(polite, &text("last words"));
    scene.drain(TIMEOUT);
    scene.settle();
    assert_eq!(scene.heard(0, polite), ["last words", "<close>"]);
    assert_eq!(scene.heard(0, silent), ["last words", "<close>"]);
    scene.streams[0].send(polite, CLOSE);
    scene.settle();
    assert!(!scene.streams[0].is_open(polite));

    scene.pass(TIMEOUT);
    scene.settle();

    let ended = scene.ended()[0].expect("the deadline has passed");
    assert_eq!((ended.closed, ended.cut_off), (1, 2));
    assert_eq!(scene.streams[0].open_flows(), 0);
}

#[test]
fn what_the_control_plane_has_published_is_sent_though_the_time_to_settle_is_over() {
    let mut scene = Scene::new(2, |config| config.broadcast.mesh_slots = 1);
    let (speaker, other) = (scene.join(0), scene.join(1));
    // The other worker takes nothing, so this one is congested and publishes no more.
    scene.streams[0].send(speaker, &text("before").repeat(3));
    scene.settle_one(0);
    scene.controls.publish("accepted").expect("there is room");
    scene.drain(TIMEOUT);
    scene.turn(0);
    scene.pass(Duration::from_secs(1));
    scene.turn(0);

    scene.settle();
    for (worker, flow) in [(0, speaker), (1, other)] {
        let heard = scene.heard(worker, flow);
        assert_eq!(heard, ["before", "before", "before", "accepted", "<close>"]);
    }
}
