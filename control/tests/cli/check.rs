//! `hioload check FILE`.

use hioload::Config;

use crate::process::{ConfigFile, run, stderr};

#[test]
fn a_good_file_is_printed_in_full() {
    let file = ConfigFile::new("[server]\nworkers = 3\n[websocket]\nping_interval = \"1m\"\n");
    let output = run(&["check", file.path()]);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let meant = Config::load(file.path()).expect("a good file");
    assert_eq!(Config::parse(&printed, "printed"), Ok(meant));
    assert!(printed.contains("session_shards = 16"), "defaults, too: {printed}");
}

#[test]
fn every_fault_is_on_a_line_that_begins_with_its_place() {
    let file = ConfigFile::new("[server]\nworkers = 0\nlisen = 3\n");
    let output = run(&["check", file.path()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty(), "{output:?}");
    let lines = stderr(&output);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with(&format!("{}:2:11: server.workers: ", file.path())), "{lines:?}");
    assert!(lines[1].starts_with(&format!("{}:3:1: server.lisen: ", file.path())), "{lines:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = run(&["check", "no-such-file.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("no-such-file.toml: "), "{output:?}");
}

#[test]
fn a_token_is_not_printed() {
    let file = ConfigFile::new("control.admin_token = \"opensesame\"\n");
    let output = run(&["check", file.path()]);
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(printed.contains("admin_token = \"***\"") && !printed.contains("opensesame"));
}

#[test]
fn a_file_with_ports_says_what_memory_they_need() {
    let ports = "server.listen = \":80\"
[[dpdk.port]]
vdev = \"net_null0\"
addresses = \"10.0.0.1/24\"
lcores = [0]
";
    let file = ConfigFile::new(ports);
    let output = run(&["check", file.path()]);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(Config::parse(&printed, "printed").is_ok(), "a configuration still: {printed}");
    assert!(printed.contains("# lcores 0 on NUMA node 0:\n#   port 0, receive mbufs"), "{printed}");
    assert!(printed.contains("# NUMA node 0: "), "{printed}");

    let file = ConfigFile::new(&format!("dpdk.memory = \"64 MiB\"\n{ports}"));
    let output = run(&["check", file.path()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = stderr(&output);
    let start = format!("{}: dpdk.memory: expected \"auto\" or at least ", file.path());
    assert!(
        text.starts_with(&start) && text.contains("65536 flows x (1 KiB in + 2 KiB out)"),
        "{text}"
    );

    let file = ConfigFile::new(&format!("server.datapath = \"kernel\"\n{ports}"));
    let output = run(&["check", file.path()]);
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        output.status.success() && !printed.contains("# "),
        "over kernel sockets none: {printed}"
    );
}
