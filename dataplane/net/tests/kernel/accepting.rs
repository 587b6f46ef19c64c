//! How connections come to workers, and how that is ended.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hioload_net::{AcceptMode, FlushState, SocketOptions, Streams};

use crate::scene::{LIMIT, MODES, client, read_to_end, worker, workers, write};

#[test]
fn what_clients_send_comes_back_in_both_modes_from_every_worker() {
    for &mode in MODES {
        let (address, mut workers) = workers(mode, 2, SocketOptions::default());
        let mut clients: Vec<_> = (0..40).map(|_| client(address)).collect();
        for (client, number) in clients.iter_mut().zip(10..) {
            write(client, format!("hello {number}").as_bytes());
        }
        let start = Instant::now();
        let mut echoed = 0;
        while echoed < clients.len() {
            assert!(start.elapsed() < LIMIT, "{echoed} echoed in {mode:?}");
            for worker in &mut workers {
                worker.turn(Duration::from_millis(1));
                for (flow, (bytes, _)) in std::mem::take(&mut worker.read) {
                    worker.enqueue(flow, &bytes);
                    assert_eq!(worker.flush_all(flow).state, FlushState::Drained);
                    echoed += usize::from(!bytes.is_empty());
                }
            }
        }
        for (client, number) in clients.iter_mut().zip(10..) {
            let mut bytes = [0; 8];
            client.read_exact(&mut bytes).expect("an echo");
            assert_eq!(bytes, format!("hello {number}").as_bytes());
        }
        let accepted: Vec<u64> = workers.iter().map(|w| w.streams.counters().accepted).collect();
        assert_eq!(accepted.iter().sum::<u64>(), 40);
        assert!(accepted.iter().all(|&n| n > 0), "{mode:?}: one worker got all of {accepted:?}");
    }
}

#[test]
fn a_flow_knows_its_peer() {
    for &mode in MODES {
        let (address, mut worker) = worker(mode);
        let client = client(address);
        worker.turn_until(|worker| !worker.open.is_empty());
        assert_eq!(worker.open[0].peer, client.local_addr().expect("an address"));
    }
}

#[test]
fn stop_accepting_refuses_at_once_and_keeps_what_there_is() {
    for &mode in MODES {
        let (address, mut workers) = workers(mode, 2, SocketOptions::default());
        let mut kept = client(address);
        let start = Instant::now();
        while workers.iter().all(|worker| worker.open.is_empty()) {
            assert!(start.elapsed() < LIMIT);
            workers.iter_mut().for_each(|worker| drop(worker.turn(Duration::from_millis(1))));
        }
        workers.iter_mut().for_each(|worker| worker.streams.stop_accepting());
        let refused = TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "{mode:?}");
        let worker = workers.iter_mut().find(|worker| !worker.open.is_empty());
        let worker = worker.expect("one has the connection");
        let flow = worker.open[0].id;
        worker.enqueue(flow, b"still here");
        worker.streams.finish(flow);
        worker.flush_all(flow);
        assert_eq!(read_to_end(&mut kept), b"still here");
    }
}

#[test]
fn what_was_dealt_and_not_taken_is_closed_by_stop_accepting() {
    let (address, mut worker) = worker(AcceptMode::Dealt);
    let mut waiting = client(address);
    worker.streams.stop_accepting();
    let end = waiting.read(&mut [0; 1]);
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    worker.turn(Duration::ZERO);
    assert!(worker.open.is_empty());
}

#[test]
fn a_storm_of_connections_is_taken_in_over_several_turns_without_a_pause() {
    let (address, mut worker) = worker(AcceptMode::PerWorker);
    let storm: Vec<_> = (0..200).map(|_| client(address)).collect();
    let start = Instant::now();
    let mut taken = Vec::new();
    while taken.iter().sum::<usize>() < storm.len() {
        worker.turn(LIMIT);
        taken.push(worker.open.len());
        // Closed at once, so that no event of theirs ends the next wait.
        for flow in worker.open.drain(..) {
            worker.streams.close(flow.id);
        }
    }
    assert!(start.elapsed() < LIMIT, "it slept with connections to accept");
    assert_eq!(taken.iter().max(), Some(&64));
}

#[test]
fn a_wake_from_another_thread_ends_a_sleep_without_events() {
    let (_, mut worker) = worker(AcceptMode::PerWorker);
    let waker = worker.streams.waker();
    let start = Instant::now();
    let thread = std::thread::spawn(move || waker.wake());
    assert!(worker.turn(LIMIT).is_empty());
    assert!(start.elapsed() < LIMIT / 2, "it slept on");
    thread.join().expect("woken");
}
