//! Every mode against a real appliance, in this process.

mod program;

use std::net::TcpListener;

use hioload::config::AdminAddress;
use hioload::{
    Appliance, Broadcast, Config, Handler, HandlerError, Message, Outbox, Recovery, Session,
};

use crate::program::{Ran, run};

/// Sends every message back.
struct Echo;

impl Handler for Echo {
    fn on_message(
        &self,
        _session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        out.send(message);
        Ok(())
    }
}

fn appliance(handler: impl Handler, adjust: impl FnOnce(&mut Config)) -> Appliance {
    let mut config = Config::default();
    config.server.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    config.server.workers = 2;
    config.control.admin = AdminAddress::Off;
    adjust(&mut config);
    let builder = Appliance::builder().config(config).handler(handler);
    builder.layer(Recovery).start().expect("it starts")
}

/// Runs the generator against an appliance with this handler, and expects no offence.
fn run_against(handler: impl Handler, flags: &str) -> Ran {
    let appliance = appliance(handler, |_| {});
    let ran = run(&appliance.addresses()[0].to_string(), flags);
    appliance.stop().expect("it ends well");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(ran.json["ok"], true, "{ran:?}");
    ran
}

#[test]
fn one_publisher_reaches_all_clients() {
    let ran = run_against(Broadcast, "broadcast --connections 50 --messages 100");
    assert_eq!(ran.number("messages"), 100);
    assert_eq!(ran.number("deliveries"), 5000);
    assert_eq!(ran.json["latency_us"]["count"], 5000);
    assert_eq!(ran.json["tcp_connect_us"]["count"], 50);
}

#[test]
fn publishers_on_several_threads_keep_a_window_each() {
    let flags = "broadcast --connections 30 --threads 3 --publishers 7 --window 16 --messages 1000";
    let ran = run_against(Broadcast, flags);
    assert_eq!(ran.number("messages"), 1000);
    assert_eq!(ran.number("deliveries"), 30_000);
}

#[test]
fn messages_larger_than_a_read_are_checked_whole() {
    let flags = "broadcast --connections 4 --size 300001 --window 2 --messages 20";
    let ran = run_against(Broadcast, flags);
    assert_eq!(ran.number("deliveries"), 80);
}

#[test]
fn the_open_loop_sends_as_many_as_it_was_told() {
    let ran = run_against(
        Broadcast,
        "broadcast --connections 5 --publishers 2 --rate 1000 --messages 300",
    );
    assert_eq!(ran.number("deliveries"), 1500);
    let seconds = ran.json["measured_s"].as_f64().expect("a number");
    assert!(seconds >= 0.299, "300 messages at 1000 a second took {seconds} s");
}

#[test]
fn a_run_is_told_over_time() {
    let flags = "broadcast --connections 5 --rate 1000 --warmup 100ms --duration 1s";
    let ran = run_against(Broadcast, flags);
    let series = ran.json["series"].as_array().expect("a list");
    let of = |name: &str| -> Vec<f64> {
        series.iter().map(|point| point[name].as_f64().expect("a number")).collect()
    };
    let ends = of("at_s");
    assert!(ends.is_sorted() && ends.len() >= 5, "{ran:?}");
    // What was counted is all in it, but for what came after the last point.
    let lengths = std::iter::once(&0.0).chain(&ends).zip(&ends).map(|(from, to)| to - from);
    let deliveries: f64 =
        of("deliveries_per_s").iter().zip(lengths).map(|(rate, length)| rate * length).sum();
    assert!((1000.0..=6500.0).contains(&deliveries), "{deliveries} deliveries in {ran:?}");
    assert!(series.iter().any(|point| point["open"] == 5), "{ran:?}");
    let (from, to) = (&ran.json["measured_from_s"], &ran.json["measured_to_s"]);
    let measured = to.as_f64().expect("a number") - from.as_f64().expect("a number");
    assert!((1.0..5.0).contains(&measured), "{ran:?}");
}

#[test]
fn slow_clients_read_nothing_and_nobody_waits_for_them() {
    let appliance = appliance(Broadcast, |config| config.broadcast.backlog_messages_max = 100);
    // 16 MiB: more than the buffers of a socket take.
    let flags = "broadcast --connections 10 --slow 3 --threads 2 --window 4 --size 16384 \
                 --messages 1000";
    let ran = run(&appliance.addresses()[0].to_string(), flags);
    let dropped = appliance.stats().totals["deliveries_dropped_backlog"];
    appliance.stop().expect("it ends well");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(ran.number("deliveries"), 7000);
    assert_eq!(ran.number("slow_disconnected"), 0);
    assert!(dropped > 0, "the server dropped nothing: somebody read");
}

#[test]
fn an_echo_comes_back_to_the_one_who_sent_it() {
    let ran = run_against(Echo, "echo --connections 20 --threads 2 --window 4 --messages 2000");
    assert_eq!(ran.number("deliveries"), 2000);
}

#[test]
fn connections_are_counted_one_by_one() {
    let ran = run_against(Broadcast, "connect --connections 10 --threads 2 --total 300");
    assert_eq!(ran.number("connects"), 300);
    assert_eq!(ran.json["upgrade_us"]["count"], 300);
}

#[test]
fn either_side_may_end_connections_first() {
    for closed_by in ["server", "client", "reset"] {
        let flags = format!("connect --connections 10 --total 100 --closed-by {closed_by}");
        assert_eq!(run_against(Broadcast, &flags).number("connects"), 100, "{closed_by}");
    }
}

#[test]
fn connections_come_from_the_addresses_that_were_given() {
    let flags = "idle --connections 10 --duration 1ms --source 127.0.0.1,127.0.0.2";
    assert_eq!(run_against(Broadcast, flags).number("connects"), 10);
    let stranger = run("127.0.0.1:1", "idle --source ::1");
    assert!(stranger.stderr.contains("--source ::1: "), "{stranger:?}");
}

#[test]
fn idle_clients_stay() {
    let ran = run_against(Broadcast, "idle --connections 40 --duration 50ms");
    assert_eq!(ran.number("connects"), 40);
}

#[test]
fn a_broadcast_server_is_no_echo_server() {
    let appliance = appliance(Broadcast, |_| {});
    let target = appliance.addresses()[0].to_string();
    let ran = run(&target, "echo --connections 2 --messages 2");
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(ran.number("unexpected"), 2, "each got what the other sent: {ran:?}");
}

#[test]
fn the_end_of_the_server_is_an_offence() {
    let appliance = appliance(Broadcast, |_| {});
    let target = appliance.addresses()[0].to_string();
    let handle = appliance.handle().clone();
    let ending = std::thread::spawn(move || {
        while handle.stats().probes["active_clients"] < 10 {
            std::thread::yield_now();
        }
        handle.drain();
    });
    let ran = run(&target, "idle --connections 10 --duration 2s");
    ending.join().expect("no panic");
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(ran.number("disconnected"), 10, "{ran:?}");
    assert!(ran.json["examples"][0].as_str().expect("a text").contains("Close 1001"), "{ran:?}");
}

#[test]
fn what_the_server_counted_stands_beside_what_the_clients_saw() {
    let appliance = appliance(Broadcast, |config| {
        config.control.admin = AdminAddress::Tcp("127.0.0.1:0".parse().expect("an address"));
    });
    let admin = appliance.admin_address().expect("it has one");
    let flags = format!("broadcast --connections 50 --messages 100 --admin {admin}");
    let ran = run(&appliance.addresses()[0].to_string(), &flags);
    appliance.stop().expect("it ends well");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(ran.json["server_datapath"], "kernel");
    // A call of the roll may be under way still.
    assert!(ran.number("server_messages_published") >= 100, "{ran:?}");
    assert!(ran.number("server_deliveries_sent") >= 5000, "{ran:?}");
    assert_eq!(ran.number("server_sessions_open"), 50);
    assert_eq!(ran.json["server_deliveries_dropped"]["backlog"], 0);
    let shares = ran.json["server_busy_share"].as_array().expect("a list");
    assert_eq!(shares.len(), 2, "one for each worker");
    assert!(ran.json["server_busy_ns_per_delivery"].as_f64().expect("a number") > 0.0);
    assert!(ran.json["server_mempools"].is_null(), "there are none without DPDK");
}

#[test]
fn an_admin_address_that_is_none_is_told_before_the_run() {
    let appliance = appliance(Broadcast, |_| {});
    let target = appliance.addresses()[0].to_string();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = nobody.local_addr().expect("an address").to_string();
    // That of the clients answers, too, but not that.
    for (admin, reason) in
        [(&target, "it has no /stats (status 404)"), (&silent, "no answer within")]
    {
        let ran = run(&target, &format!("idle --timeout 300ms --admin {admin}"));
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.stderr.contains(&format!("--admin {admin}: ")), "{ran:?}");
        assert!(ran.stderr.contains(reason), "{ran:?}");
    }
    drop(nobody);
    let ran = run(&target, &format!("idle --admin {silent}"));
    assert!(ran.stderr.contains("refused"), "{ran:?}");
    appliance.stop().expect("it ends well");
}

#[cfg(target_os = "linux")]
#[test]
fn cpu_and_memory_of_the_server_are_told() {
    let flags = format!(
        "broadcast --connections 10 --duration 300ms --warmup 0s --server-pid {}",
        std::process::id()
    );
    let ran = run_against(Broadcast, &flags);
    assert!(ran.json["server_cpu_ns_per_delivery"].as_f64().expect("a number") > 0.0, "{ran:?}");
    assert!(ran.number("server_rss_bytes") > 100_000, "{ran:?}");
}
