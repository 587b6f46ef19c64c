//! Flags, good and bad.

use std::net::TcpListener;

use crate::process::{ConfigFile, hioload, run, stderr};

#[test]
fn version_and_help_are_answers_and_no_errors() {
    let version = run(&["--version"]);
    assert!(version.status.success());
    let expected = format!("hioload {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);

    let help = run(&["--help"]);
    assert!(help.status.success());
    let text = String::from_utf8_lossy(&help.stdout);
    for word in ["serve", "check", "stats", "--config", "--addr", "--dpdk", "--shards", "--workers"]
    {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn bad_flags_are_named_with_what_was_expected() {
    let table: [(&[&str], &str, &str); 7] = [
        (&["--wrokers", "2"], "--wrokers", "--workers"),
        (&["--workers", "two"], "--workers", "a whole number"),
        (&["--workers", "0"], "--workers", "from 1 to 512"),
        (&["serve", "--shards", "5000"], "--shards", "from 1 to 4096"),
        (&["--addr", "localhost:8080"], "--addr", "127.0.0.1:8080"),
        (&["--addr", ":9090"], "--addr", "control.admin"),
        (&["check"], "<FILE>", "required"),
    ];
    for (arguments, named, expected) in table {
        let output = run(arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(named) && text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_bad_file_is_named_with_the_line() {
    let file = ConfigFile::new("[server]\nworkers = 0\n");
    let output = run(&["serve", "--config", file.path()]);
    assert_eq!(output.status.code(), Some(2));
    let place = format!("{}:2:11: server.workers: ", file.path());
    assert!(stderr(&output).starts_with(&place), "{output:?}");
}

#[test]
fn an_address_by_flag_helps_a_file_that_contradicts_itself() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let file = ConfigFile::new("server.listen = \":7\"\ncontrol.admin = \"127.0.0.1:7\"\n");

    let alone = run(&["--config", file.path()]);
    assert_eq!(alone.status.code(), Some(2));
    let place = format!("{}:2:17: control.admin: ", file.path());
    assert!(stderr(&alone).starts_with(&place), "{alone:?}");

    // It comes as far as the addresses.
    let helped = run(&["--config", file.path(), "--addr", &address]);
    assert_eq!(helped.status.code(), Some(1), "{helped:?}");
}

#[test]
fn a_flag_that_contradicts_the_file_is_named_beside_the_place() {
    let file = ConfigFile::new("control.admin = \"127.0.0.1:7\"\n");
    let output = run(&["--config", file.path(), "--addr", ":7"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.starts_with(&format!("{}:1:17: control.admin: ", file.path())), "{text}");
    assert!(text.trim_end().ends_with("(server.listen is what --addr says)"), "{text}");
}

#[test]
fn a_filter_that_is_none_is_named() {
    let output = hioload(&[]).env("RUST_LOG", "a=b=c").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("RUST_LOG: "), "{output:?}");
}

#[test]
#[cfg(not(feature = "dpdk"))]
fn dpdk_is_refused_with_the_reason_and_a_remedy() {
    const PORT: &str = "server.listen = \":0\"
control.admin = \"127.0.0.1:0\"
[[dpdk.port]]
vdev = \"net_null0\"
addresses = [\"10.0.0.1/24\"]
";
    let file = ConfigFile::new(PORT);
    let by_flag = run(&["--config", file.path(), "--dpdk"]);
    let file = ConfigFile::new(&format!("server.datapath = \"dpdk\"\n{PORT}"));
    let by_file = run(&["--config", file.path()]);
    for output in [by_flag, by_file] {
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(text.contains("this build has no DPDK data path"), "{text}");
        assert!(text.contains("\"kernel\"") && text.contains("--dpdk"), "{text}");
    }
}

#[test]
fn dpdk_without_a_port_is_refused_with_the_remedy() {
    let file = ConfigFile::on_free_ports("");
    let output = run(&["--config", file.path(), "--dpdk"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.starts_with("--dpdk: expected a port that DPDK serves on"), "{text}");
    assert!(text.contains("[[dpdk.port]]"), "{text}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let file = ConfigFile::on_free_ports("");
    let output = run(&["--config", file.path(), "--addr", &address]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains(&address) && text.contains("taken") && text.contains("--addr"), "{text}");

    let file = ConfigFile::new(&format!(
        "server.listen = \"127.0.0.1:0\"\ncontrol.admin = \"{address}\"\n"
    ));
    let output = run(&["--config", file.path()]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains(&address) && text.contains("control.admin"), "{text}");
}
