//! What a client takes from a segment, by its place in the sequence.

use super::*;

#[test]
fn a_probe_for_life_with_an_old_number_is_answered() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.say(FIRST - 1, scene.begin, ACK, WINDOW, b"");
    let answers = scene.turn();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!((answers[0].flags, answers[0].acknowledged), (ACK, FIRST));
}

#[test]
fn a_probe_of_the_window_with_an_old_number_learns_that_it_is_open_again() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.transport.hold(0, true);
    let mut sequence = FIRST;
    for _ in 0..64 {
        scene.tell(sequence, &[1; 1024]);
        sequence += 1024;
        scene.turn();
    }
    scene.say(sequence - 1, scene.begin, ACK, WINDOW, b"");
    assert_eq!(scene.turn().pop().map(|answer| answer.window), Some(0));

    // The news of it is lost.
    scene.transport.hold(0, false);
    scene.turn();
    scene.say(sequence - 1, scene.begin, ACK, WINDOW, b"");
    assert_eq!(scene.turn().pop().map(|answer| answer.window), Some(u16::MAX));
}

#[test]
fn nothing_is_acknowledged_by_what_lies_outside_of_the_window() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.send(&[7; 50]);
    scene.turn();
    for sequence in [FIRST + (1 << 28), FIRST + 65_536, FIRST - 1] {
        scene.say(sequence, scene.at(50), ACK, WINDOW, b"");
        let answers = scene.turn();
        assert_eq!(scene.transport.clients[0].unacknowledged, scene.begin, "{sequence}");
        assert_eq!(answers.len(), 1, "{sequence}: {answers:?}");
    }
    scene.say(FIRST + 65_534, scene.at(50), ACK, WINDOW, b"");
    scene.turn();
    assert_eq!(scene.transport.clients[0].unacknowledged, scene.at(50));
}

#[test]
fn a_segment_that_was_overtaken_does_not_take_the_window_back() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.tell(FIRST, b"abcd");
    scene.turn();
    scene.say(FIRST, scene.begin, ACK, 0, b"");
    scene.turn();
    scene.send(&[7; 50]);
    let sent: u32 = scene.turn().iter().map(Segment::payload_bytes).sum();
    assert_eq!(sent, 50);
}

#[test]
fn the_window_is_that_of_the_last_segment_in_order_or_of_a_new_acknowledgement() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.say(FIRST + 8, scene.begin, ACK, 0, b"");
    scene.turn();
    assert_eq!(scene.transport.clients[0].window, u32::from(WINDOW), "what comes first is missing");
    scene.say(FIRST, scene.begin, ACK, 300, b"");
    scene.turn();
    assert_eq!(scene.transport.clients[0].window, 300);
    scene.send(&[7; 50]);
    scene.turn();
    scene.say(FIRST + 8, scene.begin, ACK, 9, b"");
    scene.turn();
    assert_eq!(scene.transport.clients[0].window, 300);
    scene.say(FIRST + 8, scene.at(50), ACK, 250, b"");
    scene.turn();
    assert_eq!(scene.transport.clients[0].window, 250);
}

#[test]
fn what_is_partly_old_is_taken_from_where_it_is_new() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.tell(FIRST, b"abcd");
    scene.turn();
    scene.tell(FIRST + 2, b"cdef");
    let answers = scene.turn();
    assert_eq!(answers.last().map(|answer| answer.acknowledged), Some(FIRST + 6));
    let mut got = Vec::new();
    scene.transport.read(0, |bytes, _| got.extend_from_slice(bytes));
    assert_eq!(got, b"ef");
    assert_eq!(scene.transport.counts.duplicates_in, 0);

    scene.tell(FIRST + 2, b"cdef");
    let answers = scene.turn();
    assert_eq!(answers.last().map(|answer| answer.acknowledged), Some(FIRST + 6));
    assert_eq!(scene.transport.counts.duplicates_in, 1);
}

#[test]
fn any_number_of_segments_may_wait_for_an_acknowledgement_while_the_port_is_full() {
    let mut scene = Scene::connected(AckPolicy::Delayed);
    scene.is_full.set(true);
    for sequence in FIRST..FIRST + 300 {
        scene.tell(sequence, b"x");
        scene.turn();
    }
    scene.is_full.set(false);
    let answers = scene.turn();
    assert_eq!(answers.last().map(|answer| answer.acknowledged), Some(FIRST + 300));
}

#[test]
fn windows_are_scaled_only_where_the_server_scales_too() {
    let mut scene = Scene::new(AckPolicy::Each);
    scene.connect();
    scene.say(FIRST - 1, scene.begin, SYN | ACK, WINDOW, b"");
    let answer = scene.turn().pop().expect("an answer");
    assert_eq!(answer.window, u16::MAX, "RFC 7323 section 2.2");
}
