//! What a client does about what is not acknowledged, and when.

use super::*;

const SOON: Duration = Duration::from_millis(210);

#[test]
fn the_first_bytes_of_a_connection_go_out_again_after_their_own_timeout() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.send(&[7; 50]);
    scene.turn();
    let (again, after) = scene.wait_for(has_bytes);
    assert_eq!((again.sequence, again.payload_bytes()), (scene.begin, 50));
    assert!(after <= SOON, "{after:?}");
}

#[test]
fn after_a_long_backoff_a_loss_is_mended_as_soon_as_before() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.send(&[7; 50]);
    scene.turn();
    for _ in 0..3 {
        scene.wait_for(has_bytes);
    }
    scene.say(FIRST, scene.at(50), ACK, WINDOW, b"");
    scene.turn();
    scene.send(&[7; 50]);
    scene.turn();
    let (again, after) = scene.wait_for(has_bytes);
    assert_eq!(again.sequence, scene.at(50));
    assert!(after <= SOON, "{after:?}");
}

#[test]
fn a_deadline_that_is_gone_makes_nothing_happen() {
    let mut scene = Scene::connected(AckPolicy::Each);
    for round in 1..=200 {
        scene.send(b"x");
        scene.turn();
        scene.now += 10 * STEP;
        scene.say(FIRST, scene.at(round), ACK, WINDOW, b"");
        scene.turn();
    }
    for _ in 0..6_000 {
        scene.now += STEP;
        assert_eq!(scene.turn(), []);
    }
    assert_eq!(scene.transport.counts.retransmitted, 0);
}

#[test]
fn when_a_window_opens_all_goes_out_from_the_byte_that_it_was_asked_by() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.say(FIRST, scene.begin, ACK, 0, b"");
    scene.turn();
    scene.send(&[7; 50]);
    for _ in 0..3 {
        let (probe, _) = scene.wait_for(has_bytes);
        assert_eq!((probe.sequence, probe.payload_bytes()), (scene.begin, 1));
        scene.say(FIRST, scene.begin, ACK, 0, b"");
    }
    scene.turn();
    scene.say(FIRST, scene.begin, ACK, WINDOW, b"");
    let sent = scene.turn();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!((sent[0].sequence, sent[0].payload_bytes()), (scene.begin, 50));

    // Should that be lost, the time of the probes is over as well.
    let (again, after) = scene.wait_for(has_bytes);
    assert_eq!((again.sequence, again.payload_bytes()), (scene.begin, 50));
    assert!(after <= SOON, "{after:?}");
}

#[test]
fn whoever_had_to_send_again_is_told_when_all_of_it_is_acknowledged_at_once() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.send(&[7; 1500]);
    assert!(scene.turn().len() > 2 && !scene.transport.is_blocked(0), "all is on its way");

    // The first segment goes out again; the acknowledgements had only been late.
    scene.wait_for(has_bytes);
    assert!(scene.transport.is_blocked(0));
    scene.events.clear();
    scene.say(FIRST, scene.at(1500), ACK, WINDOW, b"");
    scene.turn();
    assert!(matches!(scene.events[..], [Event::Writable(0)]), "{:?}", scene.events);
    assert!(!scene.transport.is_blocked(0));
}

#[test]
fn a_syn_that_was_sent_again_is_not_timed() {
    let mut scene = Scene::new(AckPolicy::Each);
    scene.connect();
    scene.wait_for(|segment| segment.has(SYN));
    scene.say(FIRST - 1, scene.begin, SYN | ACK, WINDOW, b"");
    scene.turn();
    assert_eq!(scene.transport.clients[0].round_trip_us, 0, "RFC 6298 section 3");
}

#[test]
fn bytes_that_are_sent_again_when_the_port_has_room_are_not_timed() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.send(&[7; 50]);
    scene.turn();
    let before = scene.transport.clients[0].round_trip_us;
    scene.is_full.set(true);
    scene.now += SOON;
    assert_eq!(scene.turn(), []);
    scene.is_full.set(false);
    assert_eq!(scene.turn().len(), 1);
    scene.say(FIRST, scene.at(50), ACK, WINDOW, b"");
    scene.turn();
    assert_eq!(scene.transport.clients[0].round_trip_us, before);
}

#[test]
fn an_acknowledgement_has_the_number_behind_all_that_was_sent_though_some_goes_out_again() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.send(&[1; 3000]);
    let sent: u32 = scene.turn().iter().map(Segment::payload_bytes).sum();
    assert_eq!(sent, 3000);
    let (again, _) = scene.wait_for(has_bytes);
    assert_eq!(again.sequence, scene.at(0));
    scene.say(FIRST, scene.at(0), ACK | PSH, WINDOW, b"news");
    let answer = scene.turn().pop().expect("an acknowledgement");
    assert_eq!((answer.payload_bytes(), answer.sequence), (0, scene.at(3000)));
}
