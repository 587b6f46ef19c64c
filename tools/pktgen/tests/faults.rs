//! The checks can fail: a server that does wrong is found out, and counted right.

#[expect(dead_code, reason = "other tests wait for clients and messages")]
mod double;
mod program;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::double::{Act, Double, Faults, Manners, answers_with};
use crate::program::{Ran, run};

const COUNTS: [&str; 7] =
    ["lost", "duplicated", "reordered", "damaged", "unexpected", "protocol_errors", "disconnected"];

/// 100 messages to five clients, 8 in flight.
const HUNDRED: &str = "broadcast --connections 5 --window 8 --messages 100 --timeout 5s";

fn against(faults: Faults, flags: &str) -> Ran {
    run(&Double::start(Manners { faults, ..Manners::default() }).target(), flags)
}

/// These counts, all others zero, and a status that says so.
#[track_caller]
fn assert_counts(ran: &Ran, expected: &[(&str, u64)]) {
    for name in COUNTS {
        let expected = expected.iter().find(|(known, _)| *known == name).map_or(0, |it| it.1);
        assert_eq!(ran.number(name), expected, "{name}: {ran:?}");
    }
    let is_faultless = expected.is_empty();
    assert_eq!(ran.status, i32::from(!is_faultless), "{ran:?}");
    assert_eq!(ran.json["ok"], is_faultless, "{ran:?}");
    assert_eq!(ran.stderr.is_empty(), is_faultless, "{ran:?}");
}

#[test]
fn a_faultless_server_has_no_fault() {
    let ran = against(double::no_fault, HUNDRED);
    assert_counts(&ran, &[]);
    assert_eq!(ran.number("deliveries"), 500);
}

#[test]
fn what_a_server_loses_is_lost() {
    let ran = against(
        |client, message| {
            if client == 3 && message % 10 == 5 { Act::Lose } else { Act::Deliver }
        },
        HUNDRED,
    );
    assert_counts(&ran, &[("lost", 10)]);
    assert_eq!(ran.number("deliveries"), 490);
}

#[test]
fn a_loss_that_nothing_comes_after_is_found_when_patience_ends() {
    let ran = against(
        |client, message| {
            if client == 2 && message == 99 { Act::Lose } else { Act::Deliver }
        },
        "broadcast --connections 5 --window 8 --messages 100 --timeout 300ms",
    );
    assert_counts(&ran, &[("lost", 1)]);
    let error = ran.json["error"].as_str().expect("a reason");
    assert!(error.contains("499 of 500 deliveries"), "{ran:?}");
}

#[test]
fn a_message_that_all_lose_stops_a_closed_loop_and_is_lost_to_each() {
    let ran = against(
        |_, message| if message == 7 { Act::Lose } else { Act::Deliver },
        "broadcast --connections 5 --messages 100 --timeout 300ms",
    );
    assert_counts(&ran, &[("lost", 5)]);
}

#[test]
fn what_comes_again_is_duplicated() {
    let ran = against(
        |client, message| {
            if client == 0 && message % 10 == 9 { Act::Repeat(3) } else { Act::Deliver }
        },
        HUNDRED,
    );
    // Twice too often, ten times. The last ones come before the end, since they are one write.
    assert_counts(&ran, &[("duplicated", 20)]);
}

#[test]
fn what_is_overtaken_is_reordered_and_not_lost() {
    let ran = against(
        |client, message| {
            if client == 4 && message % 10 == 3 { Act::HoldBack } else { Act::Deliver }
        },
        HUNDRED,
    );
    assert_counts(&ran, &[("reordered", 10)]);
}

#[test]
fn a_changed_bit_anywhere_in_a_message_is_damage() {
    // Every other message is whole, so that the ones between are accounted for.
    let ran = against(
        |client, message| {
            if client == 1 && message % 2 == 0 { Act::Flip(message / 2 % 64) } else { Act::Deliver }
        },
        "broadcast --connections 5 --window 8 --messages 129 --timeout 5s",
    );
    assert_counts(&ran, &[("damaged", 65)]);
}

#[test]
fn a_message_that_was_cut_short_is_damaged() {
    let ran = against(
        |client, message| if client == 1 && message == 50 { Act::Cut(40) } else { Act::Deliver },
        HUNDRED,
    );
    assert_counts(&ran, &[("damaged", 1)]);
}

#[test]
fn faults_of_every_kind_are_told_apart_on_several_threads() {
    let ran = against(
        |client, message| match (client, message % 20) {
            (0, 4) => Act::Lose,
            (1, 8) => Act::Repeat(2),
            (2, 12) => Act::HoldBack,
            (3, 16) => Act::Flip(48),
            _ => Act::Deliver,
        },
        "broadcast --connections 9 --threads 3 --window 8 --messages 200",
    );
    let counts = [("lost", 10), ("duplicated", 10), ("reordered", 10), ("damaged", 10)];
    assert_counts(&ran, &counts);
}

#[test]
fn a_message_that_was_cut_within_its_header_is_damaged() {
    let ran = against(
        |client, message| if client == 1 && message == 50 { Act::Cut(20) } else { Act::Deliver },
        HUNDRED,
    );
    assert_counts(&ran, &[("damaged", 1)]);
}

#[test]
fn a_message_of_nobody_is_unexpected() {
    let ran = against(
        |client, message| {
            if client == 2 && message == 10 {
                // In place of the message, which is then lost.
                Act::Raw(b"\x81\x08welcome!".to_vec())
            } else {
                Act::Deliver
            }
        },
        HUNDRED,
    );
    assert_counts(&ran, &[("unexpected", 1), ("lost", 1)]);
}

#[test]
fn a_frame_that_breaks_the_rules_is_a_protocol_error() {
    let ran = against(
        |client, message| {
            if client == 2 && message == 10 {
                Act::Raw(vec![0x82, 0x80, 0, 0, 0, 0])
            } else {
                Act::Deliver
            }
        },
        HUNDRED,
    );
    assert_counts(&ran, &[("protocol_errors", 1)]);
    assert!(ran.stderr.contains("a masked frame (RFC 6455 section 5.1)"), "{ran:?}");
}

#[test]
fn a_connection_that_ends_is_named_with_its_target() {
    let double = Double::start(Manners {
        faults: |client, message| {
            if client == 2 && message == 10 { Act::HangUp } else { Act::Deliver }
        },
        ..Manners::default()
    });
    let ran = run(&double.target(), HUNDRED);
    assert_counts(&ran, &[("disconnected", 1)]);
    let named = format!("{}: client ", double.target());
    assert!(ran.stderr.contains(&named), "{ran:?}");
}

#[test]
fn the_close_of_a_server_is_told_with_its_code() {
    let ran = against(
        |client, message| match (client, message) {
            (2, 10) => Act::Raw(vec![0x88, 2, 0x03, 0xf3]),
            // A server sends nothing behind its Close (RFC 6455 section 5.5.1).
            (2, 11..) => Act::Lose,
            _ => Act::Deliver,
        },
        HUNDRED,
    );
    assert_counts(&ran, &[("disconnected", 1)]);
    assert!(ran.stderr.contains("the server sent Close 1011"), "{ran:?}");
}

#[test]
fn a_server_may_leave_out_the_sender() {
    let double = Double::start(Manners { sender_included: false, ..Manners::default() });
    let flags = "broadcast --connections 6 --threads 2 --publishers 3 --window 4 --messages 90";
    let ran = run(&double.target(), &format!("{flags} --sender-excluded"));
    assert_counts(&ran, &[]);
    assert_eq!(ran.number("deliveries"), 90 * 5);
}

#[test]
fn who_waits_for_a_sender_that_is_left_out_is_told_of_the_flag() {
    let double = Double::start(Manners { sender_included: false, ..Manners::default() });
    let ran = run(&double.target(), "broadcast --connections 6 --timeout 1s --messages 1");
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("5 of 6 clients hear a broadcast"), "{ran:?}");
    assert!(ran.stderr.contains("--sender-excluded"), "{ran:?}");
}

#[test]
fn slow_clients_that_are_thrown_out_are_counted_and_are_no_fault() {
    let manners = Manners { throws_out_at: Some(10), clients_min: 3, ..Manners::default() };
    let double = Double::start(manners);
    // Its end reaches a client that reads nothing late, behind acknowledgements that are delayed.
    let flags = "broadcast --connections 3 --slow 2 --rate 100 --messages 100";
    let ran = run(&double.target(), flags);
    assert_counts(&ran, &[]);
    assert_eq!(ran.number("deliveries"), 100);
    assert_eq!(ran.number("slow_disconnected"), 2);
}

#[test]
fn in_the_open_loop_a_stall_counts_for_all_that_was_due_in_it() {
    let stall = Some((100, Duration::from_millis(300)));
    let double = Double::start(Manners { stall, ..Manners::default() });
    let ran = run(&double.target(), "broadcast --connections 2 --rate 1000 --messages 400");
    assert_counts(&ran, &[]);
    // All but the first 100 were due in the stall, evenly: the median waited for about half of it.
    // A generator that holds its breath with the server would see one slow message in 400.
    let median = ran.json["latency_us"]["p50"].as_f64().expect("a number");
    assert!(median > 50_000.0, "{ran:?}");
    assert_eq!(ran.json["latency_us"]["count"], 800);
}

#[test]
fn what_was_due_in_a_stall_that_outlasts_the_measurement_is_sent_and_counts() {
    let stall = Some((100, Duration::from_millis(800)));
    let double = Double::start(Manners { stall, ..Manners::default() });
    // The stall begins after 100 ms, and ends half a second after the measurement. Messages are so
    // large that the buffers between take but a part of what is due meanwhile.
    let flags = "broadcast --connections 2 --rate 1000 --size 60000 --warmup 0s --duration 400ms";
    let ran = run(&double.target(), flags);
    assert_counts(&ran, &[]);
    let due = ran.number("messages_due");
    assert!(due >= 400, "{ran:?}");
    assert_eq!(ran.number("messages_due_sent"), due, "{ran:?}");
    assert_eq!(ran.number("latency_us.count"), 2 * due, "{ran:?}");
    let maximum = ran.json["latency_us"]["max"].as_f64().expect("a number");
    assert!(maximum > 700_000.0, "{ran:?}");
}

#[test]
fn a_rate_that_is_not_kept_is_no_success() {
    let double = Double::start(Manners::default());
    let flags = "broadcast --connections 2 --rate 10000000 --warmup 0s --duration 200ms";
    let ran = run(&double.target(), &format!("{flags} --timeout 1s"));
    assert_eq!((ran.status, &ran.json["ok"]), (1, &false.into()), "{ran:?}");
    let (due, sent) = (ran.number("messages_due"), ran.number("messages_due_sent"));
    assert!(due >= 2_000_000 && sent < due, "{ran:?}");
    let reason = format!("of {due} messages that were due {sent} were sent");
    assert!(ran.stderr.contains(&reason), "{ran:?}");
}

#[test]
fn at_a_rate_slower_than_patience_nothing_is_missed() {
    // Each message takes a while to arrive, and is due long after patience with the last one ended.
    let stall = Some((1, Duration::from_millis(150)));
    let double = Double::start(Manners { stall, ..Manners::default() });
    let flags = "broadcast --connections 2 --rate 0.25 --warmup 0s --duration 5s --timeout 1s";
    let ran = run(&double.target(), flags);
    assert_counts(&ran, &[]);
    assert_eq!(ran.number("deliveries"), 4);
}

#[test]
fn a_run_that_measured_nothing_is_no_success() {
    let double = Double::start(Manners::default());
    // The first message is due at once, in the warm-up, and the next one long after the end.
    let flags = "broadcast --connections 2 --rate 0.01 --warmup 300ms --duration 100ms";
    let ran = run(&double.target(), flags);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("no message arrived in the measurement"), "{ran:?}");
}

#[test]
fn a_run_that_is_given_up_reports_what_came_before() {
    let double = Double::start(Manners {
        faults: |client, message| {
            if client == 2 && message == 50 { Act::HangUp } else { Act::Deliver }
        },
        ..Manners::default()
    });
    let flags = "broadcast --connections 3 --rate 200 --warmup 0s --duration 1m --timeout 5s";
    let ran = run(&double.target(), flags);
    assert_counts(&ran, &[("disconnected", 1)]);
    assert!(ran.number("messages") >= 50 && ran.number("deliveries") >= 3 * 49, "{ran:?}");
    assert!(ran.json["measured_s"].as_f64().is_some_and(|measured| measured > 0.2), "{ran:?}");
    assert!(ran.json["measured_to_s"].is_number(), "{ran:?}");
}

#[test]
fn a_close_that_is_not_answered_is_an_offence_in_every_mode() {
    let double = Double::start(Manners { ignores_close: true, ..Manners::default() });
    for (flags, offences) in [
        ("broadcast --messages 5", 3),
        ("broadcast --rate 100 --duration 200ms --warmup 0s", 3),
        ("idle --duration 100ms", 3),
        ("connect --total 3", 3),
        ("connect --total 3 --closed-by client", 3),
    ] {
        let ran = run(&double.target(), &format!("{flags} --connections 3 --timeout 1s"));
        assert_counts(&ran, &[("protocol_errors", offences)]);
        assert!(ran.stderr.contains("the Close is not answered within 1s"), "{ran:?}");
    }
}

#[test]
fn pings_are_answered_while_nothing_else_happens() {
    let double = Double::start(Manners { pings: true, ..Manners::default() });
    let ran = run(&double.target(), "idle --connections 7 --duration 1s");
    assert_counts(&ran, &[]);
    assert_eq!(double.pongs(), 7);
}

#[test]
fn a_name_is_resolved_to_the_address_that_answers() {
    let double = Double::start(Manners::default());
    let target = format!("localhost:{}", double.address.port());
    let ran = run(&target, "broadcast --connections 2 --messages 5");
    assert_counts(&ran, &[]);
    assert_eq!(ran.json["address"], double.target());
}

#[cfg(unix)]
#[test]
fn more_connections_than_descriptors_are_refused_before_the_first() {
    let program = env!("CARGO_BIN_EXE_hioload-pktgen");
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" idle --target 127.0.0.1:1", program])
        .output()
        .expect("a shell");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("100 connections need 136 file descriptors"), "{error}");
    assert!(error.contains("--connections 28"), "{error}");
}

/// Ends in time, with status 1 and this reason, which names the target.
#[track_caller]
fn assert_given_up(target: &str, mode: &str, reason: &str) {
    let began = Instant::now();
    let ran = run(target, &format!("{mode} --connections 3 --timeout 300ms"));
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains(target), "{ran:?}");
    assert!(ran.stderr.contains(reason), "{ran:?}");
    assert_eq!(ran.json["ok"], false, "{ran:?}");
    // Far more than it takes, far less than the 10 s of the measurement would be.
    assert!(began.elapsed() < Duration::from_secs(9), "{ran:?}");
}

#[test]
fn a_target_that_refuses_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = listener.local_addr().expect("an address").to_string();
    drop(listener);
    for mode in ["broadcast", "echo", "idle"] {
        assert_given_up(&target, mode, "refused");
    }
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let silent = answers_with(b"");
    for mode in ["broadcast", "connect", "idle"] {
        assert_given_up(&silent, mode, "the upgrade is not answered within 300ms");
    }
}

#[test]
fn an_answer_that_is_no_upgrade_is_told() {
    for (answer, reason) in [
        (&b"HTTP/1.1 503 Service Unavailable\r\n\r\n"[..], "answered with 503 Service Unavailable"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "not HTTP"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
            "wrong Sec-WebSocket-Accept",
        ),
        (b"HTTP/1.1 101 Swi", "the upgrade is not answered within 300ms"),
    ] {
        assert_given_up(&answers_with(answer), "idle", reason);
    }
}

/// A check failed: this one, so many times at least.
#[track_caller]
fn assert_found_out(ran: &Ran, name: &str, at_least: u64, example: &str) {
    assert_eq!((ran.status, &ran.json["ok"]), (1, &false.into()), "{ran:?}");
    assert!(ran.number(name) >= at_least, "{name}: {ran:?}");
    assert!(ran.stderr.contains(example), "{example}: {ran:?}");
}

#[test]
fn a_server_that_waits_for_ever_is_found_out() {
    let double = Double::start(Manners::default());
    let flags =
        "slowloris --bad 5 --connections 3 --interval 50ms --duration 1s --expect-within 400ms";
    let ran = run(&double.target(), flags);
    assert_found_out(&ran, "overstayed", 5, "still there after 400ms without a whole request");
    assert_eq!(ran.number("lost") + ran.number("disconnected"), 0, "the others fare well: {ran:?}");
}

#[test]
fn a_server_that_fails_the_others_is_found_out() {
    let double = Double::start(Manners {
        faults: |client, message| {
            if client == 1 && message == 10 { Act::HangUp } else { Act::Deliver }
        },
        ..Manners::default()
    });
    let flags = "slowloris --bad 5 --connections 3 --interval 50ms --duration 5s";
    let ran = run(&double.target(), flags);
    assert_found_out(&ran, "disconnected", 1, "client ");
}

#[test]
fn a_server_that_closes_with_a_wrong_code_is_found_out() {
    let double = Double::start(Manners { close_code: Some(1000), ..Manners::default() });
    let flags = "garbage --bad 4 --connections 2 --duration 1s --timeout 1s --seed 1";
    let ran = run(&double.target(), flags);
    assert_found_out(&ran, "wrong_answers", 1, "Close 1000, expected 100");
    // Closes that are bad tungstenite answers by itself.
    assert!(ran.number("hostile.frames_closed") * 2 < ran.number("hostile.frames"), "{ran:?}");
}

#[test]
fn a_server_that_ends_without_a_close_is_found_out() {
    let double = Double::start(Manners::default());
    let flags = "garbage --bad 4 --connections 2 --duration 1s --timeout 1s --seed 1";
    let ran = run(&double.target(), flags);
    assert_found_out(&ran, "wrong_answers", 1, "it ended without a Close");
}

#[test]
fn a_server_that_serves_bad_requests_is_found_out() {
    let target = answers_with(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let ran = run(&target, "garbage --connections 0 --duration 500ms --timeout 1s");
    assert_found_out(&ran, "wrong_answers", 1, "answered with 200");
    assert_eq!(ran.number("hostile.frames"), 0, "nobody was let in: {ran:?}");
    assert!(ran.number("hostile.refused") > 0, "{ran:?}");
}

#[test]
fn a_server_that_says_nothing_is_found_out_when_patience_ends() {
    let target = answers_with(b"");
    let ran = run(&target, "garbage --bad 3 --connections 0 --duration 2s --timeout 1s");
    assert_found_out(&ran, "wrong_answers", 1, "no answer within 1s");
}

#[test]
fn a_server_that_is_not_there_is_no_success() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = listener.local_addr().expect("an address").to_string();
    drop(listener);
    for (mode, reason) in [
        ("slowloris --interval 50ms", "no connection for a request that never ends came to be"),
        ("garbage", "no bad request or frame reached the server"),
    ] {
        let ran = run(&target, &format!("{mode} --connections 0 --duration 300ms"));
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.stderr.contains(reason), "{ran:?}");
        assert!(ran.number("hostile.refused") > 0, "{ran:?}");
    }
}
