//! Connections that end at an awkward moment, and those that take their place.

use std::time::Duration;

use crate::scene::{CLOSE, PAGE_BYTES, Scene, UPGRADE, text};

#[test]
fn a_client_that_resets_right_behind_its_upgrade_leaves_nothing_behind() {
    let mut scene = Scene::new(1, |_| {});
    let hasty = scene.streams[0].connect();
    scene.settle();

    scene.streams[0].send(hasty, UPGRADE);
    scene.streams[0].reset(hasty);
    scene.settle();

    let successor = scene.join(0);
    assert_eq!(successor.index, hasty.index, "the place is used again");
    scene.streams[0].send(successor, &text("hello"));
    scene.settle();
    assert_eq!(scene.heard(0, successor), ["hello"]);
    assert_eq!(scene.totals().deliveries_due, 1);
    assert_eq!(scene.totals().active_clients(), 1);
}

/// More deliveries than a turn makes, so that what is asked for behind them waits for the next.
fn fill_hub(scene: &mut Scene, members: usize) -> Vec<hioload_net::FlowId> {
    let flows: Vec<_> = (0..members).map(|_| scene.join(0)).collect();
    let flood = text("flood").repeat(1000);
    scene.streams[0].send(flows[0], &flood);
    flows
}

#[test]
fn an_upgrade_that_waits_in_the_hub_is_void_when_its_connection_is_reset() {
    let mut scene = Scene::new(1, |_| {});
    let flows = fill_hub(&mut scene, 200);
    let hasty = scene.streams[0].connect();
    scene.streams[0].send(hasty, UPGRADE);
    scene.turn(0);
    scene.streams[0].reset(hasty);
    scene.settle();

    let successor = scene.join(0);
    assert_eq!(successor.index, hasty.index, "the place is used again");
    let before = scene.totals().deliveries_due;
    scene.streams[0].send(flows[0], &text("hello"));
    scene.settle();
    assert_eq!(scene.heard(0, successor).last().map(String::as_str), Some("hello"));
    assert_eq!(scene.totals().deliveries_due - before, 201);
}

#[test]
fn an_end_that_waits_in_the_hub_does_not_hold_up_the_next_connection_of_its_place() {
    let mut scene = Scene::new(1, |_| {});
    fill_hub(&mut scene, 200);
    let first = scene.streams[0].connect();
    scene.streams[0]
        .send(first, b"GET /nothing HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    scene.turn(0);
    scene.streams[0].reset(first);
    scene.turn(0);
    assert!(!scene.streams[0].is_open(first));

    let second = scene.streams[0].connect();
    assert_eq!(second.index, first.index, "the place is used again");
    scene.streams[0].send(second, &[UPGRADE, &text("me")].concat());
    scene.settle();
    assert_eq!(scene.heard(0, second), ["me"]);
}

#[test]
fn a_session_that_closes_gets_its_last_words_and_then_the_close() {
    let mut scene = Scene::new(2, |_| {});
    let (leaver, other) = (scene.join(0), scene.join(1));
    let mut bytes = [text("one"), text("me"), text("bye"), text("ignored")].concat();
    bytes.extend_from_slice(CLOSE);
    scene.streams[0].set_window(leaver, 0);
    scene.streams[0].send(leaver, &bytes);
    scene.settle();
    scene.streams[0].set_window(leaver, 13);
    scene.settle();
    assert_eq!(scene.heard(0, leaver), ["one", "me"]);
    scene.streams[0].open_window(leaver);
    scene.settle();
    assert!(!scene.streams[0].is_open(leaver), "both have said Close, and all is sent");
    assert_eq!(scene.heard(1, other), ["one", "left"]);
    assert_eq!(scene.totals().messages_ignored, 1);
}

#[test]
fn a_panic_of_the_handler_ends_its_session_and_no_other() {
    let mut scene = Scene::new(1, |_| {});
    let (unlucky, other) = (scene.join(0), scene.join(0));
    scene.streams[0].send(unlucky, &[text("panic"), text("ignored")].concat());
    scene.settle();
    assert_eq!(scene.heard(0, unlucky), ["<close>"]);
    scene.streams[0].send(other, &text("still here"));
    scene.settle();
    assert_eq!(scene.heard(0, other), ["still here"]);
    scene.pass(Duration::from_secs(6));
    scene.settle();
    assert!(!scene.streams[0].is_open(unlucky), "its Close was not answered in time");
    assert_eq!((scene.totals().handler_panics, scene.totals().close_timeouts), (1, 1));
}

#[test]
fn a_client_that_asks_for_pages_and_does_not_read_them_holds_little_memory() {
    let mut scene = Scene::new(1, |_| {});
    let greedy = scene.streams[0].connect();
    scene.streams[0].set_window(greedy, 0);
    scene.streams[0].send(greedy, &b"GET /page HTTP/1.1\r\nHost: test\r\n\r\n".repeat(90));
    scene.turn(0);
    assert!(!scene.streams[0].is_open(greedy));

    let patient = scene.streams[0].connect();
    scene.streams[0].send(patient, &b"GET /page HTTP/1.1\r\nHost: test\r\n\r\n".repeat(9));
    scene.settle();
    assert!(scene.streams[0].output(patient).len() > 9 * PAGE_BYTES);
}

#[test]
fn a_browser_that_keeps_its_connection_is_not_counted_as_late() {
    let mut scene = Scene::new(1, |_| {});
    let (browser, silent) = (scene.streams[0].connect(), scene.streams[0].connect());
    scene.streams[0].send(browser, b"GET /page HTTP/1.1\r\nHost: test\r\n\r\n");
    scene.settle();

    for _ in 0..2 {
        scene.pass(Duration::from_secs(11));
        scene.settle();
    }

    assert!(!scene.streams[0].is_open(browser) && !scene.streams[0].is_open(silent));
    assert_eq!(scene.totals().handshake_timeouts, 1);
}

#[test]
fn a_client_that_goes_on_sending_does_not_escape_its_deadline() {
    let mut scene = Scene::new(1, |_| {});
    let flooding = scene.join(0);
    scene.streams[0].send(flooding, &[0xff; 9]);
    scene.settle();
    assert_eq!(scene.heard(0, flooding), ["<close>"]);

    scene.pass(Duration::from_secs(6));
    for _ in 0..2 {
        scene.streams[0].send(flooding, &vec![0; 1 << 20]);
        scene.turn(0);
    }

    assert!(!scene.streams[0].is_open(flooding));
}

#[test]
fn a_stale_event_does_not_hide_the_connection_that_came_after() {
    let mut scene = Scene::new(1, |_| {});
    let gone = scene.join(0);
    scene.streams[0].reset(gone);
    scene.settle();

    scene.streams[0].send(gone, b"an event of a connection that is closed");
    let successor = scene.join(0);
    assert_eq!(successor.index, gone.index, "the place is used again");

    assert!(scene.streams[0].output(successor).starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn a_delivery_that_goes_on_over_turns_skips_who_left_and_reaches_everybody_else_once() {
    let mut scene = Scene::new(1, |_| {});
    let flows: Vec<_> = (0..1_100).map(|_| scene.join(0)).collect();
    scene.streams[0].send(flows[0], &text("hello").repeat(64));
    scene.turn(0);
    // 64 messages to 1,100 sessions are more than a turn delivers.
    assert!((1..64 * 1_100).contains(&scene.totals().deliveries_due));
    let (early, late) = (flows[1], flows[1_099]);
    scene.streams[0].reset(early);
    scene.streams[0].reset(late);
    scene.settle();

    let expected = scene.heard(0, flows[0]);
    assert!(expected.len() > 64);
    for &flow in flows.iter().filter(|&&flow| flow != early && flow != late) {
        assert_eq!(scene.heard(0, flow), expected, "{flow:?}");
    }
}
