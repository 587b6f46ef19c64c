//! What a message costs this client in allocations: nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;

use clap::Parser;
use hioload_mem::CountingAllocator;
use hioload_pktgen::Cli;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn messages_that_are_sent_and_received_allocate_nothing() {
    let target = echo_server();
    // What is done once per run is the same in both, but for the threads' luck with the scheduler.
    let few = allocations_of_a_run(&target, 1_000);
    let many = allocations_of_a_run(&target, 21_000);
    let more = many.saturating_sub(few);
    assert!(more < 200, "{more} allocations more for 20,000 messages more ({few}, {many})");
}

fn allocations_of_a_run(target: &str, messages: usize) -> u64 {
    let messages = messages.to_string();
    let flags = ["hioload-pktgen", "echo", "--connections", "4", "--window", "8", "--json"];
    let flags = flags.into_iter().chain(["--target", target, "--messages", &messages]);
    let cli = Cli::try_parse_from(flags).expect("good flags");
    let before = CountingAllocator::all_threads();
    assert_eq!(hioload_pktgen::run(cli), ExitCode::SUCCESS);
    (CountingAllocator::all_threads() - before).calls
}

/// Sends everything back, and allocates nothing for it: the count is of the whole process.
fn echo_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            thread::spawn(move || {
                socket.set_nodelay(true).expect("an option");
                let websocket = tungstenite::accept(socket).expect("an upgrade");
                echo(websocket.get_ref());
            });
        }
    });
    address.to_string()
}

/// Frames of 64 bytes, masked; anything else is the end.
fn echo(mut socket: &TcpStream) {
    const HEADER: usize = 2;
    const FRAME: usize = HEADER + 4 + 64;
    let mut frame = [0; FRAME];
    while socket.read_exact(&mut frame[..HEADER]).is_ok() && frame[..HEADER] == [0x82, 0x80 | 64] {
        if socket.read_exact(&mut frame[HEADER..]).is_err() {
            return;
        }
        let [_, _, key @ .., _, _] = *frame.first_chunk::<8>().expect("it is longer");
        for (byte, key) in frame[HEADER + 4..].iter_mut().zip(key.into_iter().cycle()) {
            *byte ^= key;
        }
        let mut answer = [0; HEADER + 64];
        answer[..HEADER].copy_from_slice(&[0x82, 64]);
        answer[HEADER..].copy_from_slice(&frame[HEADER + 4..]);
        if socket.write_all(&answer).is_err() {
            return;
        }
    }
}
