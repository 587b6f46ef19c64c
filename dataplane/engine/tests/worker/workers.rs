//! Several workers, of which one is busier than the others.

use std::time::Duration;

use crate::scene::{PONG, Scene, text};

#[test]
fn a_flood_on_one_worker_does_not_keep_out_what_others_publish() {
    let mut scene = Scene::new(2, |_| {});
    let (flooding, other) = (scene.join(0), scene.join(1));
    let flood = text("").repeat(1024);
    scene.streams[1].send(other, &text("a quiet word"));

    for _ in 0..20 {
        scene.streams[0].send(flooding, &flood);
        scene.turn(0);
        // It has less to do, so it takes all there is before the other's next turn.
        (0..4).for_each(|_| scene.turn(1));
    }

    assert!(scene.heard(0, flooding).contains(&"a quiet word".to_owned()));
}

#[test]
fn rings_of_one_slot_hold_the_sender_back_and_lose_nothing() {
    let mut scene = Scene::new(3, |config| config.broadcast.mesh_slots = 1);
    let flows: Vec<_> = (0..3).map(|worker| scene.join(worker)).collect();
    for (worker, &flow) in flows.iter().enumerate() {
        let said = |count| text(&format!("{worker}:{count}"));
        let bytes: Vec<u8> = (0..300).flat_map(said).collect();
        scene.streams[worker].send(flow, &bytes);
    }
    scene.settle();
    for (worker, &flow) in flows.iter().enumerate() {
        let heard = scene.heard(worker, flow);
        for publisher in 0..3 {
            let prefix = format!("{publisher}:");
            let of_one = heard.iter().filter(|text| text.starts_with(&prefix));
            let expected: Vec<String> = (0..300).map(|count| format!("{prefix}{count}")).collect();
            assert!(of_one.eq(&expected), "worker {worker}, publisher {publisher}");
        }
    }
}

#[test]
fn a_pong_that_is_not_read_for_back_pressure_is_no_silence() {
    let mut scene = Scene::new(2, |config| config.broadcast.mesh_slots = 1);
    let (publisher, patient, other) = (scene.join(0), scene.join(0), scene.join(1));
    scene.pass(Duration::from_secs(30));
    scene.settle();
    assert_eq!(scene.heard(0, patient), ["<ping>"]);

    // The other worker is held up, so this one stops reading, and both answers wait.
    scene.streams[0].send(publisher, &text("more than the ring holds").repeat(9));
    scene.turn(0);
    scene.streams[0].send(patient, PONG);
    scene.streams[0].send(publisher, PONG);
    scene.streams[1].send(other, PONG);
    for _ in 0..4 {
        scene.pass(Duration::from_secs(10));
        scene.turn(0);
    }

    scene.settle();
    assert!(scene.streams[0].is_open(patient), "it had answered in time");
    assert!(scene.streams[0].is_open(publisher));
    assert_eq!(scene.totals().pong_timeouts, 0);
}

#[test]
fn clients_that_keep_up_lose_nothing_of_a_burst_larger_than_their_backlog() {
    const BURST: usize = 5000;
    let mut scene = Scene::new(2, |config| config.broadcast.backlog_messages_max = 100);
    let flows = [(0, scene.join(0)), (0, scene.join(0)), (1, scene.join(1))];
    let stalled = scene.join(0);
    scene.streams[0].set_window(stalled, 0);

    scene.streams[0].send(flows[0].1, &text("hi").repeat(BURST));
    scene.settle();

    for (worker, flow) in flows {
        assert_eq!(scene.heard(worker, flow).len(), BURST);
    }
    assert_eq!(scene.totals().deliveries_dropped_backlog, (BURST - 100) as u64);
}
