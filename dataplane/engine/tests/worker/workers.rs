//! Several workers, of which one is busier than the others.

use crate::scene::{Scene, text};

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
