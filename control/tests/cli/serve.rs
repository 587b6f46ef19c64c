//! From the start to the end of `hioload serve`.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::process::{ConfigFile, hioload};
use crate::server::Server;
use crate::signals::Signal;

fn start(file: &ConfigFile) -> Server {
    Server::start(&mut hioload(&["serve", "--config", file.path()]))
}

#[test]
fn the_first_line_names_addresses_and_data_path() {
    let file = ConfigFile::on_free_ports("server.workers = 1\n");
    let server = Server::start(&mut hioload(&["--config", file.path(), "--workers", "2"]));
    let line = &server.first_line;
    assert!(line.contains(" INFO ") && line.contains(" serving addresses=127.0.0.1:"), "{line}");
    assert!(line.contains(" datapath=kernel workers=2 dpdk=no admin=127.0.0.1:"), "{line}");
    assert!(!line.contains('\u{1b}'), "no colors for a pipe: {line}");
    for address in ["addresses", "admin"] {
        assert!(TcpStream::connect(server.address(address)).is_ok(), "{address}: {line}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn on_a_host_without_ipv6_the_first_line_is_the_first_nevertheless() {
    // A network of its own, where not even loopback is up: 127.0.0.1 can be bound there, [::1] not.
    let isolated = ["-r", "-n"];
    let tried = std::process::Command::new("unshare").args(isolated).arg("true").output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("left out: this system does not let us have a network namespace");
        return;
    }
    let addresses = "server.listen = [\"127.0.0.1:0\", \"[::1]:0\"]\n";
    let file = ConfigFile::new(&format!("{addresses}control.admin = \"off\"\n"));
    let mut command = std::process::Command::new("unshare");
    command.args(isolated).args([env!("CARGO_BIN_EXE_hioload"), "--config", file.path()]);
    let mut server = Server::start(command.env_remove("RUST_LOG"));
    let line = &server.first_line;
    assert!(line.contains(" serving addresses=127.0.0.1:") && !line.contains("[::1]"), "{line}");
    let line = server.next_line();
    assert!(line.contains(" WARN ") && line.contains("address=[::1]:0"), "{line}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_limit_of_sessions_that_descriptors_do_not_allow_is_lowered_with_a_warning() {
    let file = ConfigFile::on_free_ports("server.workers = 1\nlimits.sessions_max = 200\n");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 256\nexec \"$0\" --config \"$1\""]);
    shell.arg(env!("CARGO_BIN_EXE_hioload")).arg(file.path()).env_remove("RUST_LOG");
    let line = Server::start(&mut shell).line_with("limits.sessions_max");
    // 32 for the process, 65 for the admin interface, 3 for the worker, 16 for other connections.
    assert!(line.contains(" WARN ") && line.contains("sessions_max=140 "), "{line}");
    assert!(line.contains("configured=200 descriptors=256"), "{line}");
}

#[test]
fn either_signal_closes_the_clients_and_ends_with_0() {
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let file = ConfigFile::on_free_ports("");
        let mut server = start(&file);
        let mut client = server.websocket();
        server.signal(signal);
        let closed = client.read().expect("a Close comes");
        let tungstenite::Message::Close(Some(close)) = closed else { panic!("{closed:?}") };
        assert_eq!(close.code, tungstenite::protocol::frame::coding::CloseCode::Away);
        // It answers the Close, and is gone.
        while client.read().is_ok() {}
        drop(client);
        assert_eq!(server.exit_status(), Some(0), "{signal:?}");
        let line = server.line_with("drained");
        assert!(line.contains("closed=1"), "{line}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_is_heard_though_whoever_started_the_process_blocks_all_of_them() {
    let file = ConfigFile::on_free_ports("");
    nix::sys::signal::SigSet::all().thread_block().expect("signals can be blocked");
    let mut server = start(&file);
    server.signal(Signal::Terminate);
    assert_eq!(server.exit_status(), Some(0));
}

#[test]
fn the_drain_deadline_cuts_off_who_does_not_answer_and_ends_with_3() {
    let file = ConfigFile::on_free_ports("control.drain_timeout = \"300ms\"\n");
    let mut server = start(&file);
    let _stalled = server.websocket();
    server.signal(Signal::Terminate);
    assert_eq!(server.exit_status(), Some(3));
    let line = server.line_with("cut off");
    assert!(line.contains(" WARN ") && line.contains("cut_off=1"), "{line}");
}

#[test]
fn a_second_signal_ends_at_once_with_130() {
    let file = ConfigFile::on_free_ports("control.drain_timeout = \"1h\"\n");
    let mut server = start(&file);
    let _stalled = server.websocket();
    server.signal(Signal::Terminate);
    server.line_with("draining");
    // One that comes at once is taken for the first one.
    assert_eq!(server.exit_status_while(|server| server.signal(Signal::Interrupt)), Some(130));
}

#[test]
fn signals_that_come_together_are_one_request() {
    let file = ConfigFile::on_free_ports("control.drain_timeout = \"300ms\"\n");
    let mut server = start(&file);
    let _stalled = server.websocket();
    server.signals(&[Signal::Terminate, Signal::Interrupt]);
    assert_eq!(server.exit_status(), Some(3), "the drain went on to its deadline");
}

#[test]
fn a_drain_that_the_admin_interface_asked_for_ends_with_0() {
    let file = ConfigFile::on_free_ports("");
    let mut server = start(&file);
    let admin = server.address("admin");
    let mut stream = TcpStream::connect(admin).expect("it listens");
    write!(stream, "POST /drain HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\n\r\n")
        .expect("it is read");
    assert_eq!(server.exit_status(), Some(0));
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
}

#[test]
#[cfg(unix)]
fn the_soft_limit_of_descriptors_is_raised_and_a_low_hard_one_is_told() {
    let file = ConfigFile::on_free_ports("");
    let limited = |limits: &str| {
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(format!("{limits} && exec \"$0\" --config \"$1\""));
        shell.arg(env!("CARGO_BIN_EXE_hioload")).arg(file.path()).env_remove("RUST_LOG");
        Server::start(&mut shell).line_with("file descriptors")
    };
    let raised = limited("ulimit -Sn 100 && ulimit -Hn 1500");
    assert!(raised.contains(" INFO ") && raised.contains("limit=1500"), "{raised}");
    let low = limited("ulimit -Sn 100 && ulimit -Hn 100");
    assert!(low.contains(" WARN ") && low.contains("limit=100"), "{low}");
}

#[test]
#[cfg(unix)]
fn too_few_descriptors_to_start_are_named_and_no_other_address_is_advised() {
    let file = ConfigFile::on_free_ports("server.workers = 4\n");
    for limit in [8, 12] {
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(format!("ulimit -n {limit} && exec \"$0\" --config \"$1\""));
        shell.arg(env!("CARGO_BIN_EXE_hioload")).arg(file.path()).env_remove("RUST_LOG");
        let output = shell.output().expect("a shell");
        let text = crate::process::stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("open files") && !text.contains("--addr"), "{text}");
    }
}
