//! File descriptors run out: those who are in are served, nobody spins, the next one gets in when
//! one leaves.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Backend;
use crate::client::{Client, PATIENCE, upgrade_request};
use crate::on_the_kernel_alone;
use crate::process::Process;
use crate::scene::wait_until;

// DPDK's flows have no descriptors.
on_the_kernel_alone!(a_server_without_descriptors_serves_those_it_has);

/// Sessions take what there is.
const UNLIMITED: &str = "
    server.workers = 1
    limits.sessions_max = \"off\"
";

fn a_server_without_descriptors_serves_those_it_has(backend: Backend) {
    let process = Process::start_within("ulimit -n 64", backend, UNLIMITED);
    // Open before descriptors run out, since it needs one, too.
    let mut admin = Admin::connect(&process);

    let mut clients = connect_until_one_is_not_served(&process);
    let mut waiting = clients.pop().expect("the last one waits");
    assert!(clients.len() > 20, "only {} were served", clients.len());
    wait_until("accepting has paused", || admin.total("accept_pauses") > 0);

    let (first, last) = (0, clients.len() - 1);
    clients[first].send_text("we are in");
    assert_eq!(clients[last].next_text(), "we are in");

    // An idle worker turns once for each question, and now and then to try again; one that spins
    // turns without end.
    const QUESTIONS: u64 = 200;
    let before = admin.total("turns");
    for _ in 0..QUESTIONS {
        admin.total("turns");
    }
    let turns = admin.total("turns") - before;
    assert!(turns < QUESTIONS + 50, "{turns} turns while nothing else happened");

    clients[last].send_close(1000);
    clients[last].until_close();
    clients.pop();
    assert!(waiting.response_head().starts_with("HTTP/1.1 101 "), "it got in");
}

/// Clients that were upgraded, and behind them one that was not, for want of a descriptor.
fn connect_until_one_is_not_served(process: &Process) -> Vec<Client> {
    let mut clients = Vec::new();
    loop {
        let mut client = Client::tcp(process.address);
        client.send(upgrade_request("").as_bytes());
        client.stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
        let answered = client.stream.peek(&mut [0]);
        client.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        match answered {
            Ok(_) => {
                assert!(client.response_head().starts_with("HTTP/1.1 101 "));
                clients.push(client);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                clients.push(client);
                return clients;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(clients.len() <= 64, "there are not that many descriptors");
    }
}

/// A kept connection to the admin server.
struct Admin {
    stream: TcpStream,
    host: String,
}

impl Admin {
    fn connect(process: &Process) -> Self {
        let stream = TcpStream::connect(process.admin).expect("the admin server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut admin = Self { stream, host: process.admin.to_string() };
        admin.total("turns");
        admin
    }

    fn total(&mut self, name: &str) -> u64 {
        let request = format!("GET /stats HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.write_all(request.as_bytes()).expect("it reads");
        let stats: serde_json::Value = serde_json::from_slice(&self.response_body()).expect("JSON");
        stats["totals"][name].as_u64().unwrap_or_else(|| panic!("{name} in {stats}"))
    }

    fn response_body(&mut self) -> Vec<u8> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("it answers");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("ASCII").to_lowercase();
        let length = head.split_once("content-length: ").expect("a length").1;
        let length = length.split("\r\n").next().expect("a line").parse().expect("a number");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a body");
        body
    }
}
