//! Which turns count as work, and what lies between them.

use super::*;

#[test]
fn turns_that_take_or_send_something_count_and_no_others() {
    let mut scene = Scene::connected(AckPolicy::Each);
    let mut of_a_turn = |act: fn(&mut Scene)| {
        // What was begun before is over.
        scene.turn();
        scene.events.clear();
        scene.turn();
        let before = scene.transport.busy();
        act(&mut scene);
        scene.now += STEP;
        scene.turn();
        scene.transport.busy().unwrap_or_default() - before.unwrap_or_default()
    };
    assert_eq!(of_a_turn(|_| {}), Duration::ZERO);
    assert_eq!(of_a_turn(|scene| scene.send(b"hello")), STEP);
    let flood = |scene: &mut Scene| {
        assert!(RawPackets::send_syn(&mut scene.transport, SERVER, 1));
    };
    assert_eq!(of_a_turn(flood), STEP);
    assert_eq!(of_a_turn(|scene| assert!(scene.transport.send_frame(&[0; 60]))), STEP);
}

#[test]
fn a_turn_that_sends_after_it_has_slept_does_not_count_its_sleep() {
    let mut scene = Scene::connected(AckPolicy::Each);
    scene.turn();
    scene.transport.slept = STEP;
    scene.send(b"hello");
    scene.now += 3 * STEP;
    let before = scene.transport.busy().unwrap_or_default();
    scene.turn();
    assert_eq!(scene.transport.busy(), Some(before + 2 * STEP));
}

#[test]
fn the_longest_time_in_which_nobody_looked_is_kept() {
    let mut scene = Scene::connected(AckPolicy::Each);
    for steps in [3, 50, 1] {
        scene.now += steps * STEP;
        scene.turn();
    }
    assert_eq!(scene.transport.longest_pause(), Some(50 * STEP));
}
