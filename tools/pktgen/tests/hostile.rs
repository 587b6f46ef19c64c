//! Hostile clients against servers that hold out. Those that do not are among the `faults`.

mod program;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hioload::config::AdminAddress;
use hioload::{Appliance, Broadcast, Config, Recovery};

use crate::program::{Ran, run};

const RING: &str = "10.0.0.1:8080";

fn appliance(handshake_timeout: Duration) -> Appliance {
    let mut config = Config::default();
    config.server.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    config.server.workers = 2;
    config.control.admin = AdminAddress::Off;
    config.limits.handshake_timeout = handshake_timeout;
    let builder = Appliance::builder().config(config).handler(Broadcast);
    builder.layer(Recovery).start().expect("it starts")
}

/// Runs the generator against the engine of the appliance, in memory.
fn ring(flags: &str) -> Ran {
    run(RING, &format!("{flags} --transport ring"))
}

/// The server did nothing wrong, to whomever, and the others got what they were to get.
#[track_caller]
fn assert_held_out(ran: &Ran) {
    assert_eq!((ran.status, &ran.json["ok"]), (0, &true.into()), "{ran:?}");
    assert!(ran.number("deliveries") > 0, "{ran:?}");
}

#[test]
fn a_flood_of_syns_is_answered_and_the_others_are_served() {
    let ran = ring("synflood --rate 2000 --duration 1s");
    assert_held_out(&ran);
    let syns = ran.number("hostile.syns");
    assert!((500..=4000).contains(&syns), "{ran:?}");
    assert!(ran.number("hostile.syn_acks") >= syns / 2, "{ran:?}");
    assert_eq!(ran.number("connections"), 10);
}

#[test]
fn a_flood_at_full_speed_is_survived() {
    // Beyond 4,096 half-open connections the oldest make room.
    let ran = ring("synflood --duration 1s --connections 3 --publish-rate 20");
    assert_held_out(&ran);
    assert!(ran.json["hostile"]["rate_per_s"].is_null(), "{ran:?}");
    assert!(ran.number("hostile.syns") > 0, "{ran:?}");
}

#[test]
fn a_flood_needs_no_others_beside() {
    let ran = ring("synflood --rate 1000 --duration 300ms --connections 0");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.json["hostile"]["syns_per_s"].as_f64().expect("a number") > 100.0, "{ran:?}");
    assert!(ran.json["deliveries"].is_null(), "{ran:?}");
}

#[test]
fn what_the_kernel_cannot_send_is_refused_by_flag() {
    for (flags, named) in [
        ("synflood", "--transport kernel: the kernel sends no SYN that nobody acknowledges"),
        ("garbage --packets 5", "--packets: the kernel's sockets send none"),
        (
            "slowloris --expect-within 10s --duration 5s",
            "--expect-within 10s: less than --duration",
        ),
        ("slowloris --bad 0", "--bad"),
        ("idle --connections 0", "--connections"),
    ] {
        let ran = run("127.0.0.1:1", flags);
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.stderr.contains(named), "{ran:?}");
    }
}

#[test]
fn a_network_without_a_free_address_has_no_place_for_a_flood() {
    let ran = ring("synflood --clients 10.7.0.1/32 --duration 1s");
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("--clients 10.7.0.1/32: no address is left"), "{ran:?}");
}

#[test]
fn requests_that_never_end_are_thrown_out_in_time() {
    for piece in ["byte", "line"] {
        let ran = ring(&format!(
            "slowloris --bad 20 --interval 50ms --piece {piece} --duration 2s --expect-within 1900ms \
             --handshake-timeout 500ms"
        ));
        assert_held_out(&ran);
        assert!(ran.number("hostile.thrown_out") >= 20, "{ran:?}");
        assert_eq!(
            ran.number("hostile.thrown_out"),
            ran.number("hostile.answered"),
            "a 408 each: {ran:?}"
        );
        let after = &ran.json["thrown_out_after_us"];
        assert!(after["min"].as_f64().expect("a number") >= 400_000.0, "{ran:?}");
    }
}

#[test]
fn an_appliance_throws_out_who_does_not_finish_and_serves_the_others() {
    let appliance = appliance(Duration::from_millis(500));
    let flags =
        "slowloris --bad 30 --threads 2 --interval 50ms --duration 2s --expect-within 1900ms";
    let ran = run(&appliance.addresses()[0].to_string(), flags);
    let timeouts = appliance.stats().totals["handshake_timeouts"];
    appliance.stop().expect("it ends well");
    assert_held_out(&ran);
    assert!(ran.number("hostile.thrown_out") >= 30, "{ran:?}");
    assert!(timeouts >= ran.number("hostile.thrown_out"), "{timeouts}: {ran:?}");
}

#[test]
fn requests_that_a_server_waits_for_are_counted_as_held() {
    let ran = ring("slowloris --bad 7 --interval 100ms --duration 500ms");
    assert_held_out(&ran);
    assert_eq!(ran.number("hostile.held"), 7, "{ran:?}");
    assert!(ran.json["thrown_out_after_us"].is_null(), "{ran:?}");
}

#[test]
fn garbage_is_answered_as_the_rules_have_it_over_every_wire() {
    for wire in ["", " --wire lost=2000,doubled=2000,delayed=2000,damaged=2000,latency=20us,seed=5"]
    {
        let ran = ring(&format!("garbage --duration 2s --seed 7{wire}"));
        assert_held_out(&ran);
        assert_eq!(ran.number("seed"), 7);
        assert!(ran.stderr.contains("--seed 7"), "{ran:?}");
        for (all, good) in [("frames", "frames_closed"), ("segments", "segments_survived")] {
            assert!(ran.number(&format!("hostile.{all}")) > 0, "{all}: {ran:?}");
            assert_eq!(
                ran.number(&format!("hostile.{all}")),
                ran.number(&format!("hostile.{good}")),
                "{ran:?}"
            );
        }
        assert!(ran.number("hostile.requests_answered") > 0, "{ran:?}");
        assert!(ran.number("hostile.packets") > 500, "{ran:?}");
    }
}

#[test]
fn an_appliance_answers_garbage_and_serves_the_others() {
    let appliance = appliance(Duration::from_secs(10));
    let flags = "garbage --bad 8 --threads 2 --duration 2s";
    let ran = run(&appliance.addresses()[0].to_string(), flags);
    let panics = appliance.stats().totals["handler_panics"];
    appliance.stop().expect("it ends well");
    assert_held_out(&ran);
    assert_eq!(panics, 0);
    assert!(ran.number("hostile.requests_answered") > 0, "{ran:?}");
    assert!(ran.number("hostile.frames") > 0, "{ran:?}");
    assert_eq!(ran.number("hostile.packets"), 0, "{ran:?}");
}

#[test]
fn a_seed_makes_the_same_garbage_again() {
    let sent = |seed: u64| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let target = listener.local_addr().expect("an address").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let mut request = vec![0; 64];
                let len = socket.read(&mut request).unwrap_or(0);
                // A key of a good upgrade is any.
                let begin = request[..len].split(|byte| *byte == b'\r').next().unwrap_or_default();
                seen.lock().expect("nobody panicked").push(begin.to_vec());
                let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
        });
        let flags = "garbage --bad 1 --connections 0 --duration 1s --timeout 1s";
        run(&target, &format!("{flags} --seed {seed}"));
        let requests = requests.lock().expect("nobody panicked").clone();
        assert!(requests.len() >= 8, "{requests:?}");
        requests[..8].to_vec()
    };
    let first = sent(5);
    assert_eq!(first, sent(5));
    assert_ne!(first, sent(6));
}
