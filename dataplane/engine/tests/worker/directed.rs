//! What the control plane asks about single sessions: messages, closes, descriptions.

use std::time::Duration;

use hioload_engine::{CloseCode, DirectedError, SessionId};

use crate::scene::{CLOSE, Scene, text};

const NO_PATIENCE: Duration = Duration::ZERO;

#[test]
fn a_message_to_one_session_reaches_it_alone_and_in_order() {
    let mut scene = Scene::new(2, |_| {});
    let flows = [scene.join(0), scene.join(1), scene.join(1)];
    let addressed = scene.ids()[1];

    for number in 0..100 {
        send(&scene, addressed, &number.to_string()).expect("taken");
    }
    scene.settle();

    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(scene.heard(1, flows[1]), expected);
    assert_eq!(scene.heard(0, flows[0]), [""; 0]);
    assert_eq!(scene.heard(1, flows[2]), [""; 0]);
    assert_eq!(scene.totals().directed_sent, 100);
}

#[test]
fn a_kick_comes_behind_what_was_sent_before_it() {
    let mut scene = Scene::new(1, |_| {});
    let (kicked, other) = (scene.join(0), scene.join(0));
    let id = scene.ids()[0];

    send(&scene, id, "last words").expect("taken");
    scene.controls.close(id, CloseCode::POLICY_VIOLATION, "as asked", NO_PATIENCE).expect("taken");
    send(&scene, id, "never heard").expect("still open");
    scene.settle();

    assert_eq!(scene.heard(0, kicked), ["last words", "<close>"]);
    scene.streams[0].send(kicked, CLOSE);
    scene.settle();
    assert!(!scene.streams[0].is_open(kicked));
    assert_eq!(send(&scene, id, "too late"), Err(DirectedError::NotOpen(id)));
    assert_eq!(scene.heard(0, other), ["left"]);
    let totals = scene.totals();
    assert_eq!((totals.sessions_kicked, totals.directed_sent, totals.directed_missed), (1, 1, 1));
}

#[test]
fn a_kicked_session_that_does_not_answer_is_cut_off() {
    let mut scene = Scene::new(1, |_| {});
    let (silent, stalled) = (scene.join(0), scene.join(0));
    scene.streams[0].set_window(stalled, 0);
    for id in scene.ids() {
        scene.controls.close(id, CloseCode::NORMAL, "", NO_PATIENCE).expect("taken");
    }
    scene.settle();
    assert!(scene.streams[0].is_open(silent) && scene.streams[0].is_open(stalled));

    scene.pass(Duration::from_secs(60));
    scene.settle();

    assert!(!scene.streams[0].is_open(silent) && !scene.streams[0].is_open(stalled));
    assert_eq!(scene.totals().close_timeouts, 2);
}

#[test]
fn whoever_has_the_place_of_a_session_that_is_gone_gets_nothing_of_its() {
    let mut scene = Scene::new(1, |_| {});
    let gone = scene.join(0);
    let id = scene.ids()[0];

    send(&scene, id, "for the one who was here").expect("still open");
    scene.controls.close(id, CloseCode::NORMAL, "", NO_PATIENCE).expect("still open");
    scene.streams[0].reset(gone);
    scene.turn(0);
    let next = scene.join(0);

    assert_eq!(next.index, gone.index);
    assert_eq!(scene.heard(0, next), [""; 0]);
    assert_eq!(scene.totals().directed_missed, 2);
}

#[test]
fn a_worker_that_is_behind_takes_no_more_than_its_queue_holds_and_loses_nothing_of_it() {
    let mut scene = Scene::new(1, |config| config.broadcast.backlog_messages_max = 5000);
    let flow = scene.join(0);
    let id = scene.ids()[0];
    let mut taken = 0;
    while send(&scene, id, &taken.to_string()).is_ok() {
        taken += 1;
    }
    assert_eq!(send(&scene, id, "one more"), Err(DirectedError::Busy));
    assert_eq!(taken, 1024);

    scene.turn(0);
    assert_eq!(scene.totals().directed_sent, 256, "a turn does a bounded part of it");
    scene.settle();

    let expected: Vec<String> = (0..taken).map(|number| number.to_string()).collect();
    assert_eq!(scene.heard(0, flow), expected);
}

#[test]
fn a_session_that_does_not_read_has_the_backlog_of_any_other() {
    let mut scene = Scene::new(1, |config| config.broadcast.backlog_messages_max = 3);
    let flow = scene.join(0);
    let id = scene.ids()[0];
    scene.streams[0].set_window(flow, 0);

    (0..10).for_each(|number| send(&scene, id, &number.to_string()).expect("taken"));
    scene.settle();
    scene.streams[0].open_window(flow);
    scene.settle();

    assert_eq!(scene.heard(0, flow), ["7", "8", "9"]);
    assert_eq!(scene.totals().deliveries_dropped_backlog, 7);
}

#[test]
fn what_was_sent_before_a_drain_is_delivered_however_late_the_worker_is() {
    let mut scene = Scene::new(2, |config| config.broadcast.backlog_messages_max = 5000);
    let flow = scene.join(1);
    let id = scene.ids()[0];
    (0..1000).for_each(|number| send(&scene, id, &number.to_string()).expect("taken"));
    scene.drain(Duration::from_secs(10));
    // The time for what had come before is over when it looks.
    scene.pass(Duration::from_secs(1));
    scene.settle();

    let heard = scene.heard(1, flow);
    assert_eq!((heard.len(), heard.last().map(String::as_str)), (1001, Some("<close>")));
    scene.streams[1].send(flow, CLOSE);
    scene.settle();
    assert!(scene.ended().iter().all(Option::is_some));
    assert_eq!(send(&scene, id, "too late"), Err(DirectedError::NotOpen(id)));
}

#[test]
fn a_page_says_what_became_of_each_sessions_messages() {
    let mut scene = Scene::new(2, |_| {});
    let (talking, stalled) = (scene.join(0), scene.join(1));
    scene.pass(Duration::from_secs(5));
    scene.streams[1].set_window(stalled, 0);
    scene.streams[0].send(talking, &text("me").repeat(2));
    scene.streams[0].send(talking, &text("hello"));
    scene.settle();

    let page = scene.sessions(None, 10);

    assert_eq!(page.next, None);
    let [first, second] = &page.sessions[..] else { panic!("two sessions: {page:?}") };
    assert_eq!((first.worker, first.messages_received, first.messages_delivered), (0, 3, 3));
    assert_eq!((first.backlog_messages, first.backlog_bytes), (0, 0));
    assert_eq!((second.worker, second.messages_received, second.messages_delivered), (1, 0, 0));
    assert_eq!((second.backlog_messages, second.backlog_bytes), (1, 2 + "hello".len()));
    assert_eq!((first.age, second.age), (Duration::from_secs(5), Duration::from_secs(5)));
    assert_eq!(first.peer.port(), 9);
}

#[test]
fn pages_list_each_session_once_over_all_workers() {
    let mut scene = Scene::new(3, |_| {});
    for number in 0..300 {
        let flow = scene.streams[number % 3].connect();
        scene.streams[number % 3].send(flow, crate::scene::UPGRADE);
    }
    scene.settle();

    let mut listed = Vec::new();
    let mut after = None;
    loop {
        // Fewer than a worker has, so that one page has sessions of two.
        let page = scene.sessions(after, 70);
        listed.extend(page.sessions.iter().map(|session| session.id));
        after = page.next;
        if after.is_none() {
            break;
        }
        assert_eq!(page.sessions.len(), 70);
        assert_eq!(after, listed.last().copied());
    }

    assert_eq!(listed.len(), 300);
    assert!(listed.is_sorted_by(|left, right| left < right));
}

#[test]
fn the_sessions_of_a_worker_that_has_ended_are_left_out() {
    let mut scene = Scene::new(2, |_| {});
    let _flows = [scene.join(0), scene.join(1)];
    let ids = scene.ids();
    scene.drop_worker(1);

    assert_eq!(scene.ids(), ids[..1]);
    assert_eq!(send(&scene, ids[1], "nobody is there"), Err(DirectedError::Stopping));
}

fn send(scene: &Scene, id: SessionId, text: &str) -> Result<(), DirectedError> {
    scene.controls.send(id, text, NO_PATIENCE)
}
