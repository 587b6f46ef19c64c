//! Signals end a run in order, and the second one at once.
#![cfg(unix)]

#[expect(dead_code, reason = "other tests have servers do worse")]
mod double;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::double::{Double, Manners};

fn start(double: &Double, flags: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hioload-pktgen"))
        .args(flags.split(' '))
        .args(["--target", &double.target(), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs")
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.expect("it runs").success());
}

/// Waits until the server has got some messages.
fn wait_for_messages(double: &Double, count: usize) {
    for _ in 0..3000 {
        if double.messages() >= count {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("only {} messages came within 30 s", double.messages());
}

#[test]
fn a_run_that_is_interrupted_reports_what_there_is() {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("interrupt-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    for name in ["-INT", "-TERM"] {
        let double = Double::start(Manners::default());
        let page = folder.join(format!("page{name}.html"));
        let flags = "broadcast --connections 3 --rate 200 --warmup 0s --duration 10m";
        let child = start(&double, &format!("{flags} --report {}", page.display()));
        wait_for_messages(&double, 20);
        signal(&child, name);
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let json: Value = serde_json::from_slice(&output.stdout).expect("a report");
        let error = json["error"].as_str().expect("a reason");
        assert!(error.contains("interrupted by a signal"), "{error}");
        assert!(stderr.contains("interrupted by a signal"), "{stderr}");
        assert_eq!((&json["lost"], &json["disconnected"]), (&0.into(), &0.into()), "{stderr}");
        let count = |name: &str| json[name].as_u64().unwrap_or_else(|| panic!("no {name}"));
        assert!(count("deliveries") >= 3 * 19 && count("messages_due") >= 20, "{stderr}");
        assert_eq!(count("messages_due"), count("messages_due_sent"), "{stderr}");
        assert!(json["measured_s"].as_f64().is_some_and(|measured| measured > 0.09), "{stderr}");
        assert!(page.exists(), "{stderr}");
    }
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 2, "two pages, and no more");
    fs::remove_dir_all(&folder).expect("it goes");
}

#[test]
fn before_anything_was_measured_there_is_a_report_as_well() {
    // The roll call is heard by nobody, for want of a client.
    let double = Double::start(Manners { clients_min: 4, ..Manners::default() });
    let child = start(&double, "broadcast --connections 3 --timeout 10m --duration 10m");
    for _ in 0..3000 {
        if double.clients() == 3 {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    signal(&child, "-INT");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let error = json["error"].as_str().expect("a reason");
    assert!(error.ends_with("interrupted by a signal"), "{error}");
    assert_eq!((&json["measured_s"], &json["deliveries"]), (&0.0.into(), &0.into()));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    // It would wait for the Closes, for five seconds after the first one.
    let double = Double::start(Manners { ignores_close: true, ..Manners::default() });
    let mut child = start(&double, "broadcast --connections 3 --rate 200 --duration 10m");
    wait_for_messages(&double, 1);
    for _ in 0..100 {
        if child.try_wait().expect("a status").is_some() {
            break;
        }
        signal(&child, "-INT");
        thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    assert!(output.stdout.is_empty(), "no report");
}
