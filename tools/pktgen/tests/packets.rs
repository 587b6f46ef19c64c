//! Clients with a TCP of their own against `smoltcp`, in one process, over wires of every quality.

use std::process::Command;

use serde_json::Value;

/// Runs the program without a network.
fn run(flags: &str) -> (i32, Value, String) {
    // Machines that do much else at a time let a thread wait for long.
    run_within(flags, "25s")
}

fn run_within(flags: &str, timeout: &str) -> (i32, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hioload-pktgen"))
        .args(flags.split(' '))
        .args(["--transport", "ring", "--json", "--timeout", timeout])
        .output()
        .expect("it runs");
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("it ends by itself"), json, stderr)
}

/// Runs it, and expects no offence.
#[track_caller]
fn good(flags: &str) -> Value {
    let (status, json, stderr) = run(flags);
    assert_eq!((status, &json["ok"]), (0, &Value::Bool(true)), "{flags}: {json} {stderr}");
    json
}

fn segments(json: &Value, name: &str) -> u64 {
    json["segments"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {json}"))
}

const FAULTY: &str =
    "--wire lost=5000,doubled=30000,delayed=5000,damaged=3000,latency=20us,seed=11";

#[test]
fn a_good_wire_carries_each_message_in_one_segment() {
    let json = good("broadcast --connections 30 --messages 100");
    assert_eq!(json["deliveries"], 3000);
    assert_eq!(json["transport"], "ring");
    assert_eq!(segments(&json, "out_of_order"), 0);
    assert_eq!(segments(&json, "damaged"), 0);
    assert_eq!(segments(&json, "dropped_out"), 0);
    // Each delivery is a segment and its acknowledgement; what else there is comes once a client.
    assert!(segments(&json, "segments_in") >= 3000 && segments(&json, "segments_out") >= 3000);
}

#[test]
fn messages_come_whole_and_in_order_over_a_wire_that_loses_doubles_and_reorders() {
    let json = good(&format!("broadcast --connections 10 --window 4 --messages 200 {FAULTY}"));
    assert_eq!(json["deliveries"], 2000);
    // Some hundred segments come, of which three in a hundred come twice.
    assert!(segments(&json, "duplicates_in") > 0, "{json}");
}

#[test]
fn messages_of_many_segments_go_both_ways_over_a_bad_wire() {
    let json = good(&format!("echo --connections 4 --size 5000 --messages 300 {FAULTY}"));
    assert_eq!(json["deliveries"], 300);
    assert!(segments(&json, "retransmitted") > 0, "{json}");
    assert!(segments(&json, "out_of_order") > 0, "{json}");
}

#[test]
fn connections_end_in_order_whoever_is_the_first() {
    for closed_by in ["client", "server"] {
        for wire in ["", &format!(" {FAULTY}")] {
            let flags = format!("connect --connections 8 --total 80 --closed-by {closed_by}{wire}");
            let json = good(&flags);
            assert_eq!(json["connects"], 80, "{flags}");
        }
    }
}

#[test]
fn a_connection_that_is_reset_leaves_nothing_behind() {
    let json = good("connect --connections 8 --total 200 --closed-by reset");
    assert_eq!(json["connects"], 200);
    assert_eq!(segments(&json, "resets_out"), 200);
}

#[test]
fn one_address_serves_many_clients_and_is_used_again() {
    let json =
        good("connect --clients 10.7.0.1/32 --connections 20 --total 300 --closed-by client");
    assert_eq!(json["connects"], 300);
}

#[test]
fn every_second_segment_is_acknowledged_where_that_was_asked_for() {
    // A backlog of 16 makes the server send on before it is acknowledged.
    let flags = "broadcast --connections 10 --window 16 --size 1400 --messages 320";
    let each = good(flags);
    let delayed = good(&format!("{flags} --acks delayed"));
    assert_eq!(delayed["deliveries"], 3200);
    let acks = |json: &Value| segments(json, "segments_out") * 1000 / segments(json, "segments_in");
    assert!(acks(&delayed) < acks(&each), "{delayed} {each}");
}

#[test]
fn slow_clients_do_not_read_and_the_others_lack_nothing() {
    let json = good("broadcast --connections 20 --slow 5 --window 8 --messages 400");
    assert_eq!(json["deliveries"], 15 * 400);
}

#[test]
fn clients_behind_a_gateway_are_reached_by_its_address() {
    let json =
        good("broadcast --gateway 10.0.0.2 --clients 192.168.0.0/24 --connections 9 --messages 20");
    assert_eq!(json["deliveries"], 180);
}

#[test]
fn a_server_that_nobody_answers_for_is_named() {
    let (status, json, stderr) = run_within("idle --via 10.0.0.9", "300ms");
    assert_eq!(status, 1, "{json}");
    assert!(stderr.contains("10.0.0.9: nobody answers to ARP within 300ms"), "{stderr}");
}
