//! How connections end, and what is left of them.

use super::segment::{FIN, RST};
use super::*;

#[test]
fn one_that_did_not_read_and_ends_has_room_again_for_what_the_server_still_has() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.transport.hold(0, true);
    let mut sequence = FIRST;
    for _ in 0..64 {
        scene.tell(sequence, &[1; 1024]);
        sequence += 1024;
        scene.turn();
    }
    assert!(!scene.transport.finish(0), "the server has to end its half");
    let sent = scene.turn();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!((sent[0].flags, sent[0].window), (ACK | FIN, u16::MAX));

    scene.say(sequence, scene.at(1), ACK | PSH, WINDOW, b"the rest");
    let answer = scene.turn().pop().expect("an answer");
    assert_eq!(answer.acknowledged, sequence + 8);
    scene.say(sequence + 8, scene.at(1), ACK | FIN, WINDOW, b"");
    scene.turn();
    assert!(matches!(scene.events.last(), Some(Event::Gone(0))), "{:?}", scene.events);
}

#[test]
fn the_end_of_what_an_earlier_run_began_is_a_reset() {
    let mut scene = Scene::connected(AckPolicy::Each);
    let other = SocketAddrV4::new(*scene.client.ip(), 40_000);
    scene.say_to(other, 5000, 77, (ACK | FIN | PSH, WINDOW), b"nobody has taken it");
    let answers = scene.turn();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!((answers[0].flags, answers[0].sequence), (RST, 77));
}

#[test]
fn a_fin_that_comes_again_to_one_that_has_ended_is_acknowledged() {
    let mut scene = Scene::connected(AckPolicy::Each);
    assert!(!scene.transport.finish(0));
    scene.turn();
    let end = scene.at(1);
    for _ in 0..2 {
        scene.say(FIRST, end, ACK | FIN, WINDOW, b"");
        let answers = scene.turn();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!((answers[0].flags, answers[0].acknowledged), (ACK, FIRST + 1));
    }
    assert!(matches!(scene.events[..], [Event::Connected(0), Event::Gone(0)]));
}

#[test]
fn one_whose_server_does_not_end_its_half_is_reset_after_a_while_and_told_of() {
    let mut scene = Scene::connected(AckPolicy::Each);
    assert!(!scene.transport.finish(0));
    scene.turn();
    scene.say(FIRST, scene.at(1), ACK, WINDOW, b"");
    scene.turn();
    let (_, after) = scene.wait_for(|segment| segment.has(RST));
    assert!(after.abs_diff(Duration::from_secs(1)) < Duration::from_millis(10), "{after:?}");
    let told = [&scene.events[1], &scene.events[2]];
    assert!(matches!(told, [Event::HalfOpen(0), Event::Gone(0)]), "{told:?}");
}

#[test]
fn what_is_left_at_the_end_of_a_run_is_reset() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.send(b"it is under way");
    scene.turn();
    scene.transport.reset_all();
    let resets = scene.turn();
    assert_eq!(resets.len(), 1, "{resets:?}");
    assert_eq!((resets[0].flags, resets[0].sequence), (RST | ACK, scene.at(15)));
    scene.transport.reset_all();
    assert_eq!(scene.turn(), [], "nothing is left");
}

#[test]
fn a_reset_behind_a_probe_of_the_window_has_the_number_that_a_closed_window_lets_in() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.say(FIRST, scene.at(0), ACK, 0, b"");
    scene.turn();
    scene.send(b"for later");
    let (probe, _) = scene.wait_for(has_bytes);
    assert_eq!((probe.sequence, probe.payload_bytes()), (scene.at(0), 1));
    scene.transport.reset_all();
    let resets = scene.turn();
    assert_eq!(resets.len(), 1, "{resets:?}");
    assert_eq!((resets[0].flags, resets[0].sequence), (RST | ACK, scene.at(0)));
}
