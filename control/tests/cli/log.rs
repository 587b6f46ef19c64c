//! The log.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::process::{ConfigFile, hioload};
use crate::server::{PATIENCE, Server};
use crate::signals::Signal;

#[test]
fn as_json_each_line_is_an_object() {
    let file = ConfigFile::on_free_ports("control.log_format = \"json\"\n");
    let mut server = Server::start(&mut hioload(&["--config", file.path()]));
    for line in [server.first_line.clone(), server.next_line()] {
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(line["level"], "INFO", "{line}");
    }
    let first: serde_json::Value = serde_json::from_str(&server.first_line).expect("JSON");
    assert_eq!((&first["message"], &first["datapath"]), (&"serving".into(), &"kernel".into()));
}

#[test]
fn the_environment_refines_the_level_of_the_file() {
    let file = ConfigFile::on_free_ports("control.log_level = \"error\"\n");
    let refinement = "hioload::limits=info";
    let mut command = hioload(&["--config", file.path()]);
    let server = Server::start(command.env("RUST_LOG", refinement));
    let line = &server.first_line;
    assert!(line.contains("hioload::limits: file descriptors"), "nothing before: {line}");
}

#[test]
fn a_reader_who_sleeps_stops_nobody() {
    let file = ConfigFile::on_free_ports("control.log_level = \"trace\"\n");
    // As in `hioload 2>&1 | reader`: what goes to standard output is not read either.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec \"$0\" --config \"$1\" >&2"]).arg(env!("CARGO_BIN_EXE_hioload"));
    let mut server = Server::start(shell.arg(file.path()).env_remove("RUST_LOG"));
    while !server.first_line.contains(" admin=") {
        server.first_line = server.next_line();
    }
    // From here on nobody reads. A pipe holds 64 KiB, the queue 8192 lines; a connection logs two.
    let admin = server.address("admin");
    for _ in 0..5000 {
        assert!(ask(admin).starts_with("HTTP/1.1 200 "));
    }
    server.signal(Signal::Terminate);
    assert_eq!(server.exit_status(), Some(0));
}

fn ask(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer comes");
    answer
}
