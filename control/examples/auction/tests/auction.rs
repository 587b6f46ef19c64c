//! The auction, driven without a network.

use std::thread;
use std::time::Duration;

use hioload::Config;
use hioload::testing::{Client, Harness, Received};

/// Longest wait for another thread.
const PATIENCE: Duration = Duration::from_secs(20);

fn harness() -> Harness {
    let (builder, appraiser) = auction::builder(Config::default());
    let harness = Harness::new(builder).expect("the paths are fit to be asked for");
    let handle = harness.handle();
    thread::spawn(move || appraiser.run(&handle));
    harness
}

fn bidder(harness: &Harness, name: &str) -> Client {
    let client = harness.open(format!("/ws?name={name}").as_str());
    assert_eq!(client.next(), Some(Received::text(format!("welcome, {name}"))));
    client
}

#[test]
fn a_higher_bid_is_told_to_bidders_and_watchers() {
    let harness = harness();
    let (ann, bob, watcher) =
        (bidder(&harness, "ann"), bidder(&harness, "bob"), harness.open("/watch"));
    ann.send("bid 100");
    bob.send("bid 120");
    for client in [&ann, &bob] {
        assert_eq!(client.texts(), ["ann bids 100", "bob bids 120"]);
    }
    assert_eq!(watcher.texts(), ["nobody has bid yet", "ann bids 100", "bob bids 120"]);
    assert_eq!(harness.open("/watch").texts(), ["bob has bid 120"]);
    assert_eq!(harness.stats().probes["highest_bid"], 120);
}

#[test]
fn a_bid_that_is_too_low_concerns_its_bidder_alone() {
    let harness = harness();
    let (ann, bob) = (bidder(&harness, "ann"), bidder(&harness, "bob"));
    ann.send("bid 100");
    assert_eq!(bob.texts(), ["ann bids 100"]);
    bob.send("bid 100");
    assert_eq!(bob.texts(), ["too low: ann has bid 100"]);
    assert_eq!(ann.texts(), ["ann bids 100"]);
}

#[test]
fn who_does_not_say_a_name_is_not_let_in() {
    let harness = harness();
    for path in ["/ws", "/ws?name=", "/ws?name=%22", "/ws?name=aaaaabbbbbcccccdddddeeeee"] {
        assert_eq!(harness.try_open(path).unwrap_err().status(), Some(401), "{path}");
    }
    assert_eq!(harness.stats().probes["active_clients"], 0);
}

#[test]
fn nonsense_is_borne_twice() {
    let harness = harness();
    let (ann, bob) = (bidder(&harness, "ann"), bidder(&harness, "bob"));
    for nonsense in ["hm", "bid", "bid -1"] {
        assert_eq!(ann.closed(), None);
        ann.send(nonsense);
    }
    bob.send("hm");
    let reason = "come back when you know what you want";
    assert_eq!(ann.closed(), Some((Some(1008), reason.to_owned())));
    assert_eq!(bob.closed(), None, "each has a count of its own");
}

#[test]
fn a_watcher_that_talks_is_shown_out() {
    let harness = harness();
    let (watcher, other) = (harness.open("/watch"), harness.open("/watch"));
    watcher.send("bid 100");
    assert_eq!(watcher.closed(), Some((Some(1008), "watchers watch".to_owned())));
    assert!(!watcher.is_open() && other.is_open());
}

#[test]
fn the_layer_is_around_both_paths() {
    let harness = harness();
    let (ann, watcher) = (bidder(&harness, "ann"), harness.open("/watch"));
    let speech = "a long speech ".repeat(20);
    ann.send(speech.as_str());
    watcher.send(speech.as_str());
    assert_eq!(ann.texts(), ["shorter, please"]);
    assert_eq!(watcher.texts(), ["nobody has bid yet", "shorter, please"]);
}

#[test]
fn the_standing_can_be_asked_for_in_plain_http() {
    let harness = harness();
    assert_eq!(harness.request("/standing").status(), 404);
    bidder(&harness, "ann").send("bid 100");
    let answer = harness.request("/standing");
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.text(), "{\"bidder\":\"ann\",\"amount\":100}\n");
}

#[test]
fn the_appraiser_answers_from_a_thread_of_its_own() {
    let harness = harness();
    let (ann, bob) = (bidder(&harness, "ann"), bidder(&harness, "bob"));
    ann.send("appraise");
    assert_eq!(ann.wait(PATIENCE), Some(Received::text("the appraiser says 121")));
    assert_eq!(bob.received(), [], "only who asks is answered");
}

#[test]
fn a_bidder_who_hangs_is_given_up_and_the_others_go_on() {
    let harness = harness();
    let (ann, bob) = (bidder(&harness, "ann"), bidder(&harness, "bob"));
    ann.fall_silent();
    harness.pass(Duration::from_secs(120));
    assert!(!ann.is_open());
    bob.send("bid 1");
    assert_eq!(bob.texts(), ["bob bids 1"]);
}

#[test]
fn at_the_end_everybody_is_told() {
    let harness = harness();
    let (ann, watcher) = (bidder(&harness, "ann"), harness.open("/watch"));
    harness.drain();
    for client in [ann, watcher] {
        assert_eq!(client.closed().and_then(|(code, _)| code), Some(1001));
    }
    let drained = harness.drained().expect("all have answered");
    assert_eq!((drained.closed, drained.cut_off), (2, 0));
}
