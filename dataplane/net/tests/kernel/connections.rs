//! Bytes in, frames out, and every way in which a connection ends.

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use hioload_net::{
    AcceptMode, Backlog, FlowId, FlushState, Place, ReadState, SocketOptions, Streams,
};

use crate::scene::{Worker, client, connected, pattern, read_to_end, worker, write};

/// A small buffer, so that a socket is soon full.
fn small_buffers() -> SocketOptions {
    SocketOptions { send_buffer_bytes: Some(16 << 10), ..SocketOptions::default() }
}

/// Queues messages until the socket takes no more; returns all that was queued.
fn fill(worker: &mut Worker, flow: FlowId) -> Vec<u8> {
    let mut queued = Vec::new();
    loop {
        let message = pattern(100_000);
        queued.extend_from_slice(&message);
        worker.enqueue(flow, &message);
        if worker.streams.flush(flow).state == FlushState::Blocked {
            return queued;
        }
    }
}

#[test]
fn sixteen_mebibytes_reach_a_slow_reader_intact() {
    let (mut worker, flow, mut client) = connected(SocketOptions::default());
    let message = pattern(16 << 20);
    worker.enqueue(flow, &message);
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut portion = [0; 10_000];
        while bytes.len() < 16 << 20 {
            let len = client.read(&mut portion).expect("bytes");
            assert!(len > 0, "an early end");
            bytes.extend_from_slice(&portion[..len]);
        }
        bytes
    });
    let flushed = worker.flush_all(flow);
    assert!(worker.blocked > 0, "the reader was not slow");
    assert_eq!((flushed.messages, flushed.bytes), (1, message.len()));
    assert_eq!(flushed.state, FlushState::Drained);
    assert!(reader.join().expect("read") == message, "the bytes differ");
    assert_eq!(worker.streams.backlog(flow), Backlog::default());
    assert_eq!(worker.streams.counters().bytes_out, 16 << 20);
}

#[test]
fn one_flush_is_bounded_and_says_that_there_is_more() {
    let roomy = SocketOptions { send_buffer_bytes: Some(4 << 20), ..SocketOptions::default() };
    let (mut worker, flow, client) = connected(roomy);
    for _ in 0..1000 {
        worker.enqueue(flow, b"message");
    }
    let first = worker.streams.flush(flow);
    assert_eq!((first.messages, first.state), (256, FlushState::More));
    assert_eq!(worker.streams.backlog(flow).messages, 744);
    assert_eq!(worker.streams.messages_sent(flow), 256);
    assert_eq!(worker.streams.counters().writes, 4);
    drop(client);
}

#[test]
fn messages_that_are_queued_together_leave_in_one_write() {
    let (mut worker, flow, mut client) = connected(SocketOptions::default());
    (0..50).for_each(|_| worker.enqueue(flow, b"message"));
    let flushed = worker.streams.flush(flow);
    assert_eq!((flushed.messages, flushed.bytes), (50, 350));
    assert_eq!(worker.streams.counters().writes, 1);
    let mut bytes = [0; 350];
    client.read_exact(&mut bytes).expect("all of them");
}

#[test]
fn a_control_frame_overtakes_messages_but_not_the_one_that_is_partly_sent() {
    let (mut worker, flow, mut client) = connected(small_buffers());
    let mut expected = fill(&mut worker, flow);
    worker.enqueue(flow, b"a message");
    let frame = worker.frame(b"<ping>");
    let ping = worker.streams.hold(frame, 0);
    worker.streams.enqueue_control(flow, ping, Place::Ahead);
    worker.streams.release(ping);
    let waiting = worker.streams.backlog(flow).messages as usize;
    // What is partly sent goes first; the other whole messages come after the ping.
    let whole_behind = (waiting - 2) * 100_000;
    expected.splice(expected.len() - whole_behind..expected.len() - whole_behind, *b"<ping>");
    expected.extend_from_slice(b"a message");
    worker.streams.finish(flow);
    let reader = std::thread::spawn(move || read_to_end(&mut client));
    assert_eq!(worker.flush_all(flow).state, FlushState::Finished);
    assert!(reader.join().expect("read") == expected, "the order differs");
}

#[test]
fn a_blocked_flow_makes_no_system_call_until_it_is_writable() {
    let (mut worker, flow, client) = connected(small_buffers());
    fill(&mut worker, flow);
    let before = worker.streams.counters();
    for _ in 0..10 {
        assert_eq!(worker.streams.flush(flow).state, FlushState::Blocked);
    }
    assert_eq!(worker.streams.counters(), before);
    drop(client);
}

#[test]
fn a_reset_by_the_peer_is_a_loss() {
    for flushing in [false, true] {
        let (mut worker, flow, client) = connected(small_buffers());
        let queued = if flushing { fill(&mut worker, flow).len() } else { 0 };
        reset(client);
        worker.turn_until(|worker| matches!(worker.read_state(flow), ReadState::Lost(_)));
        assert!(matches!(worker.streams.flush(flow).state, FlushState::Lost(_)));
        assert!(worker.streams.close(flow).bytes <= queued);
    }
}

#[test]
fn the_loss_of_a_blocked_flow_is_told_as_writable() {
    let (mut worker, flow, client) = connected(small_buffers());
    fill(&mut worker, flow);
    reset(client);
    assert!(matches!(worker.flush_all(flow).state, FlushState::Lost(_)));
}

fn reset(client: TcpStream) {
    let socket = socket2::Socket::from(client);
    socket.set_linger(Some(Duration::ZERO)).expect("set");
}

#[test]
fn what_is_queued_still_arrives_when_the_peer_has_ended_its_direction() {
    let (mut worker, flow, mut client) = connected(SocketOptions::default());
    write(&mut client, b"the last word");
    client.shutdown(Shutdown::Write).expect("ended");
    worker.turn_until(|worker| worker.read_state(flow) == ReadState::Ended);
    assert_eq!(worker.read[&flow].0, b"the last word");
    worker.enqueue(flow, b"an answer");
    worker.streams.finish(flow);
    assert_eq!(worker.flush_all(flow).state, FlushState::Finished);
    assert_eq!(read_to_end(&mut client), b"an answer");
}

#[test]
fn an_end_that_comes_with_the_last_bytes_is_seen() {
    for _ in 0..50 {
        let (address, mut worker) = worker(AcceptMode::PerWorker);
        let mut client = client(address);
        write(&mut client, b"bytes");
        drop(client);
        worker.turn_until(|worker| {
            let flow = worker.open.first().map(|flow| flow.id);
            flow.is_some_and(|flow| worker.read_state(flow) == ReadState::Ended)
        });
        assert_eq!(worker.read[&worker.open[0].id].0, b"bytes");
    }
}

#[test]
fn finish_lets_the_peer_read_to_the_end_and_write_on() {
    let (mut worker, flow, mut client) = connected(SocketOptions::default());
    worker.enqueue(flow, b"the last message");
    worker.streams.finish(flow);
    assert_eq!(worker.streams.flush(flow).state, FlushState::Finished);
    assert_eq!(read_to_end(&mut client), b"the last message");
    write(&mut client, b"thanks");
    worker.turn_until(|worker| worker.read.get(&flow).is_some_and(|read| read.0 == b"thanks"));
    assert_eq!(worker.streams.close(flow), Backlog::default());
}

#[test]
fn finish_with_an_empty_queue_ends_at_once() {
    let (mut worker, flow, mut client) = connected(SocketOptions::default());
    worker.streams.finish(flow);
    assert_eq!(read_to_end(&mut client), b"");
}

#[test]
fn closing_with_a_queue_resets_and_says_what_was_in_it() {
    let (mut worker, flow, mut client) = connected(small_buffers());
    let queued = fill(&mut worker, flow);
    let sent = usize::try_from(worker.streams.counters().bytes_out).expect("it fits");
    let left = worker.streams.close(flow);
    assert_eq!(left.bytes, queued.len() - sent);
    assert!(left.messages > 0);
    let end = client.read_to_end(&mut Vec::new());
    assert_eq!(end.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn calls_with_a_void_id_do_nothing_though_its_place_is_used_again() {
    let (address, mut worker) = worker(AcceptMode::PerWorker);
    let first_client = client(address);
    worker.turn_until(|worker| worker.open.len() == 1);
    let void = worker.open[0].id;
    worker.streams.close(void);
    drop(first_client);
    let mut second = client(address);
    worker.turn_until(|worker| worker.open.len() == 2);
    let current = worker.open[1].id;
    assert_eq!((current.index, current.generation), (void.index, void.generation + 1));
    write(&mut second, b"unread");
    assert_eq!(worker.streams.read(void, |_| panic!("read")), ReadState::Drained);
    worker.enqueue(void, b"to nobody");
    assert_eq!(worker.streams.flush(void).state, FlushState::Drained);
    assert_eq!(worker.streams.drop_oldest_unsent(void), None);
    worker.streams.finish(void);
    assert_eq!(worker.streams.close(void), Backlog::default());
    assert_eq!(worker.streams.backlog(current), Backlog::default());
    worker.turn_until(|worker| worker.read.get(&current).is_some_and(|r| r.0 == b"unread"));
}

#[test]
fn a_stream_larger_than_the_read_buffer_comes_whole_in_portions() {
    let (mut worker, flow, mut client) = connected(SocketOptions::default());
    let sent = pattern(3 << 20);
    let bytes = sent.clone();
    let writer = std::thread::spawn(move || {
        write(&mut client, &bytes);
        client
    });
    worker.turn_until(|worker| worker.read.get(&flow).is_some_and(|r| r.0.len() >= 3 << 20));
    assert!(worker.read[&flow].0 == sent, "the bytes differ");
    drop(writer.join().expect("written"));
}
