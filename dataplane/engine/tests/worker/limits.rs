//! Limits of how many there may be: a place is free again however its holder went.

use std::time::Duration;

use hioload_config::SessionsMax;
use hioload_net::FlowId;

use crate::scene::{CLOSE, Scene, UPGRADE, text};

/// How a session ends.
type End = fn(&mut Scene, FlowId);

fn room_for_one() -> Scene {
    Scene::new(2, |config| {
        config.limits.sessions_max = SessionsMax::Count(1);
        config.limits.sessions_per_prefix_max = Some(1);
        config.limits.connections_per_prefix_max = Some(1);
    })
}

fn is_upgraded(scene: &Scene, worker: usize, flow: FlowId) -> bool {
    scene.streams[worker].output(flow).starts_with(b"HTTP/1.1 101 ")
}

#[test]
fn a_session_that_ends_leaves_its_place_however_it_ends() {
    let ways: [(&str, End); 8] = [
        ("it says Close", |scene, flow| scene.streams[0].send(flow, CLOSE)),
        ("it is reset", |scene, flow| scene.streams[0].reset(flow)),
        ("its stream ends", |scene, flow| scene.streams[0].end(flow)),
        ("it breaks the protocol", |scene, flow| scene.streams[0].send(flow, &[0xff; 9])),
        ("the handler closes it", |scene, flow| scene.streams[0].send(flow, &text("bye"))),
        ("the handler fails", |scene, flow| scene.streams[0].send(flow, &text("fail"))),
        ("the handler panics", |scene, flow| scene.streams[0].send(flow, &text("panic"))),
        ("it falls silent", |scene, _| {
            scene.pass(Duration::from_secs(31));
            scene.settle();
            scene.pass(Duration::from_secs(11));
        }),
    ];
    let mut scene = room_for_one();
    for (way, end) in ways {
        let flow = scene.join(0);
        assert!(is_upgraded(&scene, 0, flow), "before: {way}");
        end(&mut scene, flow);
        scene.settle();
        // Whoever does not answer a Close is cut off.
        scene.pass(Duration::from_secs(6));
        scene.settle();
        assert!(!scene.streams[0].is_open(flow), "{way}");
        let next = scene.join(1);
        assert!(is_upgraded(&scene, 1, next), "after: {way}");
        scene.streams[1].reset(next);
        scene.settle();
    }
    assert_eq!(
        (scene.totals().limit_sessions, scene.totals().limit_connections_per_prefix),
        (0, 0)
    );
}

#[test]
fn a_connection_that_ends_leaves_its_place_whatever_it_was_about() {
    let mut scene = room_for_one();
    let requests: [&[u8]; 4] =
        [b"", &UPGRADE[..40], b"nonsense\r\n", b"GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n"];
    for request in requests {
        let flow = scene.streams[0].connect();
        scene.streams[0].send(flow, request);
        scene.settle();
        // Its request does not come in time, and neither does its end.
        for _ in 0..2 {
            scene.pass(Duration::from_secs(11));
            scene.settle();
        }
        assert!(!scene.streams[0].is_open(flow), "{}", request.escape_ascii());
        let next = scene.join(1);
        assert!(is_upgraded(&scene, 1, next), "after: {}", request.escape_ascii());
        scene.streams[1].reset(next);
        scene.settle();
    }
    assert_eq!(scene.totals().limit_connections_per_prefix, 0);
}

#[test]
fn a_connection_too_many_on_another_worker_is_gone_at_once() {
    let mut scene = room_for_one();
    let first = scene.join(0);
    let second = scene.streams[1].connect();
    scene.streams[1].send(second, UPGRADE);
    scene.settle();
    assert!(!scene.streams[1].is_open(second));
    assert_eq!(scene.totals().limit_connections_per_prefix, 1);
    scene.streams[0].send(first, &text("still here"));
    scene.settle();
    assert_eq!(scene.heard(0, first), ["still here"]);
}
