//! Sessions that do not keep up, under each policy and limit.

use std::time::Duration;

use hioload_config::{Config, Publish, SlowConsumer};
use hioload_engine::Totals;
use hioload_net::FlowId;

use crate::scene::{CLOSE, Scene, text};

const BACKLOG: usize = 10;

/// A worker with a client that speaks and reads, and one that has stopped reading.
struct Crowd {
    scene: Scene,
    speaker: FlowId,
    stalled: FlowId,
}

impl Crowd {
    fn new(policy: SlowConsumer, change: impl FnOnce(&mut Config)) -> Self {
        let mut scene = Scene::new(1, |config| {
            config.broadcast.slow_consumer = policy;
            config.broadcast.backlog_messages_max = BACKLOG;
            change(config);
        });
        let (speaker, stalled) = (scene.join(0), scene.join(0));
        scene.streams[0].set_window(stalled, 0);
        Self { scene, speaker, stalled }
    }

    /// Says the numbers from `first` to before `end`, all at once.
    fn say(&mut self, first: usize, end: usize) {
        let said: Vec<u8> = (first..end).flat_map(|number| text(&number.to_string())).collect();
        self.scene.streams[0].send(self.speaker, &said);
        self.scene.settle();
    }

    fn heard_by_stalled(&mut self) -> Vec<String> {
        self.scene.streams[0].open_window(self.stalled);
        self.scene.settle();
        self.scene.heard(0, self.stalled)
    }
}

fn numbers(first: usize, end: usize) -> Vec<String> {
    (first..end).map(|number| number.to_string()).collect()
}

/// Every delivery that was due is sent, dropped for one reason, or waits.
#[track_caller]
fn assert_reconciles(totals: &Totals) {
    let dropped = totals.deliveries_dropped_backlog
        + totals.deliveries_dropped_memory
        + totals.deliveries_dropped_disconnected
        + totals.deliveries_dropped_closed;
    assert_eq!(totals.deliveries_due, totals.deliveries_sent + dropped + totals.backlog_messages);
}

#[test]
fn drop_oldest_keeps_the_newest_messages() {
    let mut crowd = Crowd::new(SlowConsumer::DropOldest, |_| {});
    crowd.say(0, 100);
    let totals = crowd.scene.totals();
    assert_eq!((totals.deliveries_dropped_backlog, totals.backlog_messages), (90, 10));
    assert_reconciles(&totals);
    assert_eq!(crowd.heard_by_stalled(), numbers(90, 100));
    assert_eq!(crowd.scene.heard(0, crowd.speaker), numbers(0, 100));
}

#[test]
fn drop_newest_keeps_the_oldest_messages_and_takes_new_ones_when_there_is_room() {
    let mut crowd = Crowd::new(SlowConsumer::DropNewest, |_| {});
    crowd.say(0, 100);
    let totals = crowd.scene.totals();
    assert_eq!((totals.deliveries_dropped_backlog, totals.backlog_messages), (90, 10));
    assert_reconciles(&totals);
    assert_eq!(crowd.heard_by_stalled(), numbers(0, 10));

    crowd.say(100, 103);
    let heard = [numbers(0, 10), numbers(100, 103)].concat();
    assert_eq!(crowd.heard_by_stalled(), heard);
    assert_eq!(crowd.scene.heard(0, crowd.speaker), numbers(0, 103));
}

#[test]
fn disconnect_ends_the_session_with_a_close_instead_of_its_backlog() {
    let mut crowd = Crowd::new(SlowConsumer::Disconnect, |_| {});
    crowd.say(0, 50);
    let totals = crowd.scene.totals();
    assert_eq!(totals.slow_disconnects, 1);
    // All fifty were due to it: it was there when the hub took them together.
    assert_eq!((totals.deliveries_dropped_disconnected, totals.backlog_messages), (50, 0));
    assert_reconciles(&totals);

    crowd.say(50, 51);
    assert_eq!(crowd.scene.totals().deliveries_due, 50 * 2 + 1, "it is subscribed no more");
    assert_eq!(crowd.heard_by_stalled(), ["<close>"]);
    crowd.scene.streams[0].send(crowd.stalled, CLOSE);
    crowd.scene.settle();
    assert!(!crowd.scene.streams[0].is_open(crowd.stalled), "the handshake is over");
    assert_eq!(crowd.scene.heard(0, crowd.speaker)[..51], numbers(0, 51));
}

#[test]
fn a_disconnected_session_that_never_reads_is_cut_off_after_the_close_timeout() {
    let mut crowd = Crowd::new(SlowConsumer::Disconnect, |config| {
        config.websocket.close_timeout = Duration::from_secs(3);
    });
    crowd.say(0, 100);
    assert!(crowd.scene.streams[0].is_open(crowd.stalled));
    crowd.scene.pass(Duration::from_secs(4));
    crowd.scene.settle();
    assert!(!crowd.scene.streams[0].is_open(crowd.stalled));
    assert_eq!(crowd.scene.totals().close_timeouts, 1);
    assert_eq!(crowd.scene.totals().active_clients(), 1);
}

#[test]
fn a_session_may_be_too_slow_for_its_own_replies() {
    for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest, SlowConsumer::Disconnect] {
        let mut crowd = Crowd::new(policy, |_| {});
        crowd.scene.streams[0].send(crowd.stalled, &text("me").repeat(30));
        crowd.scene.settle();
        let totals = crowd.scene.totals();
        assert_reconciles(&totals);
        let dropped = totals.deliveries_dropped_backlog + totals.deliveries_dropped_disconnected;
        let lost = if policy == SlowConsumer::Disconnect { BACKLOG as u64 + 1 } else { 20 };
        assert_eq!(dropped, lost, "{policy:?}");
    }
}

#[test]
fn a_message_of_which_a_byte_was_sent_is_kept_whatever_the_policy() {
    for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest, SlowConsumer::Disconnect] {
        let mut crowd = Crowd::new(policy, |_| {});
        crowd.scene.streams[0].set_window(crowd.stalled, 1);
        crowd.say(0, 100);
        let heard = crowd.heard_by_stalled();
        assert_eq!(heard[0], "0", "{policy:?}");
        assert_reconciles(&crowd.scene.totals());
    }
}

#[test]
fn a_message_longer_than_a_backlog_reaches_those_of_whom_nothing_waits() {
    for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest, SlowConsumer::Disconnect] {
        let mut crowd = Crowd::new(policy, |config| {
            config.broadcast.backlog_bytes_max = 100;
            config.websocket.message_bytes_max = 90;
        });
        crowd.scene.controls.publish("long ".repeat(24).as_str()).expect("published");
        crowd.scene.settle();
        assert_eq!(crowd.scene.heard(0, crowd.speaker).len(), 1, "{policy:?}");
        assert_eq!(crowd.heard_by_stalled().len(), 1, "{policy:?}");
        crowd.scene.controls.publish("long ".repeat(24).as_str()).expect("published");
        crowd.scene.settle();
        assert_eq!(crowd.scene.heard(0, crowd.speaker).len(), 2, "{policy:?}");
    }
}

#[test]
fn queued_messages_hold_no_more_memory_than_they_may() {
    const TOTAL: usize = 64 << 10;
    for policy in [SlowConsumer::DropOldest, SlowConsumer::DropNewest, SlowConsumer::Disconnect] {
        let mut crowd = Crowd::new(policy, |config| {
            config.broadcast.backlog_messages_max = 1 << 20;
            config.broadcast.backlog_total_bytes_max = TOTAL;
            config.websocket.message_bytes_max = 100;
        });
        for first in (0..10_000).step_by(10) {
            crowd.say(first, first + 10);
            let held = crowd.scene.totals().backlog_bytes;
            // What is published in one turn comes on top.
            assert!(held <= (TOTAL + 10 * 512) as u64, "{policy:?}: {held} bytes");
        }
        let totals = crowd.scene.totals();
        assert_reconciles(&totals);
        assert_eq!(totals.deliveries_dropped_backlog, 0, "{policy:?}");
        let dropped = totals.deliveries_dropped_memory + totals.deliveries_dropped_disconnected;
        assert!(dropped > 100, "{policy:?}: {dropped}");
        let heard = crowd.scene.heard(0, crowd.speaker);
        assert_eq!(heard[..10_000], numbers(0, 10_000), "{policy:?}: who keeps up loses nothing");
    }
}

#[test]
fn a_snapshot_counts_what_waits_on_every_worker() {
    let mut scene = Scene::new(2, |_| {});
    let (speaker, stalled) = (scene.join(0), scene.join(1));
    scene.streams[1].set_window(stalled, 0);
    scene.streams[0].send(speaker, &text("hi").repeat(7));
    scene.settle();

    let workers = scene.snapshot();
    assert_eq!(workers.len(), 2);
    workers.iter().for_each(assert_reconciles);
    assert_eq!((workers[0].deliveries_sent, workers[0].backlog_messages), (7, 0));
    assert_eq!((workers[1].deliveries_sent, workers[1].backlog_messages), (0, 7));
    assert!(workers[1].backlog_bytes >= 7 * 4);
}

#[test]
fn a_snapshot_says_which_worker_does_not_answer() {
    let scene = Scene::new(2, |_| {});
    let error = scene.controls.snapshot().expect_err("nobody turns the workers");
    assert_eq!(error.to_string(), "worker 0 has not answered for a second");
}

#[test]
fn a_snapshot_after_the_end_has_the_last_counts() {
    let mut scene = Scene::new(1, |_| {});
    let speaker = scene.join(0);
    scene.streams[0].send(speaker, &text("hi"));
    scene.settle();
    scene.drop_worker(0);
    assert_eq!(scene.controls.snapshot().expect("it has ended")[0].deliveries_sent, 1);
}

#[test]
fn where_the_control_plane_publishes_a_message_of_a_client_ends_its_session() {
    let mut scene = Scene::new(1, |config| config.broadcast.publish = Publish::Admin);
    let (reader, speaker) = (scene.join(0), scene.join(0));
    scene.streams[0].send(speaker, &text("hi"));
    scene.controls.publish("news").expect("published");
    scene.settle();

    assert_eq!(scene.heard(0, speaker), ["<close>"]);
    // `Chat` says it of each session that has closed.
    assert_eq!(scene.heard(0, reader), ["left", "news"]);
    let totals = scene.totals();
    assert_eq!((totals.messages_refused, totals.messages_received), (1, 0));
    assert_eq!(totals.protocol_errors, 0);
}
