//! Where a client sends its frames.

use super::*;

#[test]
fn who_is_not_answered_asks_for_the_next_hop_that_a_damaged_frame_was_taken_for() {
    let mut scene = Scene::connected(AckPolicy::Each);
    let (station, nobody) = (scene.station, [2, 0xff, 0, 0, 0, 0]);
    // No checksum covers the header of Ethernet.
    scene.station = nobody;
    scene.say(FIRST, scene.begin, ACK, WINDOW, b"");
    scene.turn();
    scene.send(b"hello");
    let frames = scene.turn_to_frames();
    assert!(!frames.is_empty() && frames.iter().all(|frame| frame[..6] == nobody));

    for _ in 0..10_000 {
        scene.now += STEP;
        for frame in scene.turn_to_frames() {
            if frame[..6] == station {
                return;
            }
            let asked = Arp::read(&frame).filter(|it| it.operation == Operation::Request);
            if let Some(question) = asked {
                let mut answer = scene.server.frame().expect("there is memory");
                assert!(answer.resize(arp::FRAME_BYTES));
                question.answer(station).write(&mut answer);
                scene.server.send(scene.now, answer, None);
            }
        }
    }
    panic!("nothing comes to the server");
}
