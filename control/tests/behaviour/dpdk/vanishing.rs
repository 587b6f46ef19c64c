//! Clients that vanish without a word, in the middle of a handshake or later.

use std::thread;

use crate::Backend;
use crate::client::Client;
use crate::dpdk::crowd::Crowd;
use crate::dpdk::held::Held;
use crate::dpdk::packets::Mac;
use crate::dpdk::strangers::{Strangers, Until};
use crate::dpdk::wire::Wire;
use crate::process::Process;
use crate::scene::wait_until;

const WIRE: Wire = Wire::Tap;

/// Two equal rounds: what the first has taken is enough for the second.
const ROUNDS: usize = 2;
const CONNECTIONS: usize = 100_000 / ROUNDS;
const DELIVERIES: usize = 1_000_000 / ROUNDS;
/// Clients that stay.
const STAYING: usize = 100;
/// Of each round, those that complete the handshake of TCP. They come first.
const CONNECTED: usize = CONNECTIONS / 5;
/// Of those at one time, so that both rounds have as many.
const AT_ONCE: u64 = 2000;
/// Clients that come together.
const LOT: usize = 100;

/// Silence ends a connection after three seconds, and one that is no session has said what it wants
/// by half a second. Who stays keeps up.
const CONFIG: &str = r#"
    tcp.keepalive = "1s"
    limits.handshake_timeout = "500ms"
    broadcast.backlog_messages_max = 100
    dpdk.flows_max = 4000
"#;

/// By how much the heap may grow from the first round to the second: 20 bytes for each connection.
const GROWTH_MAX: u64 = 1 << 20;

#[test]
fn a_hundred_thousand_clients_that_vanish_leave_nothing_behind() {
    let process = Process::start(Backend::Dpdk(WIRE), CONFIG);
    let address = process.address;
    Client::connect(address).send_close(1000);
    let before = Held::once_back(&process, &Held::by(&process), 0);
    let mut crowd = Crowd::connect(address, STAYING);
    let mut strangers = Strangers::on(WIRE.interface(), address, mac(&process));

    let rounds = [(); ROUNDS].map(|()| {
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..CONNECTIONS / LOT {
                    strangers.come(LOT, until);
                    wait_until("some are given up", || Held::by(&process).open < AT_ONCE);
                }
            });
            crowd.chat(DELIVERIES / STAYING);
        });
        Held::once_back(&process, &before, STAYING as u64)
    });

    let [first, second] = &rounds;
    assert!(second.heap_bytes < first.heap_bytes + GROWTH_MAX, "{rounds:?}");
    assert_eq!(second.huge_bytes, first.huge_bytes);
    let stats = process.stats();
    let lcore = &stats["lcores"][0];
    let given_up = [&lcore["half_open_evicted"], &lcore["half_open_expired"]];
    let given_up: u64 = given_up.map(|count| count.as_u64().expect("a count")).iter().sum();
    let connected = ROUNDS * CONNECTED;
    assert_eq!(given_up, (ROUNDS * CONNECTIONS - connected) as u64);
    // The one ahead of all, those that stay and those that vanished later.
    assert_eq!(stats["totals"]["connections_accepted"], 1 + STAYING + connected);
    drop(crowd);
    Held::once_back(&process, &before, 0);
    assert_eq!(process.stats()["totals"]["connections"], 0);
    Client::connect(address).round_trip("still there?");
}

/// How far each comes. Few complete the handshake of WebSocket.
fn until(number: usize) -> Until {
    match (number % CONNECTIONS, number % 20) {
        (CONNECTED.., _) => Until::Syn,
        (_, 0..=9) => Until::Connected,
        (_, 10..=17) => Until::HalfARequest,
        (_, 18) => Until::Asked,
        _ => Until::HalfAMessage,
    }
}

/// The port's address.
fn mac(process: &Process) -> Mac {
    let stats = process.stats();
    let text = stats["ports"][0]["mac"].as_str().expect("an address");
    let bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("a byte"));
    bytes.collect::<Vec<_>>().try_into().expect("six bytes")
}
