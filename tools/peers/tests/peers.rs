//! The servers that hioload is compared with do what they are compared in: stories over loopback,
//! each told of every server.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Bytes, Error, Message};

const TUNGSTENITE: &str = env!("CARGO_BIN_EXE_broadcast-tungstenite");
const FASTWEBSOCKETS: &str = env!("CARGO_BIN_EXE_broadcast-fastwebsockets");

/// Longest wait for anything; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server of its own, killed when the test ends.
struct Server {
    process: Child,
    address: SocketAddr,
}

type Client = WebSocket<TcpStream>;

impl Server {
    fn start(program: &str, flags: &[&str]) -> Self {
        let mut process = Command::new(program)
            .args(["--addr", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on ").expect("where it listens");
        let address = address.parse().expect("an address");
        Self { process, address }
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        stream
    }

    /// A client that has joined for certain: it has heard the server.
    fn join(&self) -> Client {
        let url = format!("ws://{}/any/path", self.address);
        let (mut client, _) = tungstenite::client(url, self.tcp()).expect("an upgrade");
        client.send(Message::Ping("joined".into())).expect("a ping");
        assert_eq!(client.read().expect("a pong"), Message::Pong("joined".into()));
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("it still runs");
        self.process.wait().expect("it ends");
    }
}

fn on_each_server(flags: &[&str], story: impl Fn(&Server)) {
    for program in [TUNGSTENITE, FASTWEBSOCKETS] {
        println!("{program}");
        story(&Server::start(program, flags));
    }
}

/// Texts and binary messages, of lengths on both sides of each form of the header.
fn messages() -> Vec<Message> {
    let lengths = [0, 1, 64, 125, 126, 1024, 1025, 40_000, 65_535, 65_536, 200_000];
    let letters = "abcdefghij".repeat(20_000);
    lengths
        .into_iter()
        .flat_map(|length| {
            let text = &letters[..length];
            [Message::text(text), Message::binary(text.as_bytes().to_vec())]
        })
        .collect()
}

/// A frame as only a client that fragments sends it.
fn fragment(opcode: Data, payload: &[u8], is_final: bool) -> Message {
    let payload = Bytes::copy_from_slice(payload);
    Message::Frame(Frame::message(payload, OpCode::Data(opcode), is_final))
}

fn next(client: &mut Client) -> Message {
    client.read().expect("a message")
}

#[test]
fn every_client_gets_every_message_in_order_the_sender_too() {
    on_each_server(&[], |server| {
        let mut clients = [server.join(), server.join(), server.join()];
        for message in messages() {
            clients[0].write(message).expect("room");
        }
        clients[0].flush().expect("the server reads");

        for client in &mut clients {
            for message in messages() {
                // Not assert_eq: it would print 200,000 bytes.
                assert!(next(client) == message, "{} bytes came otherwise", message.len());
            }
        }
    });
}

#[test]
fn messages_of_several_clients_all_arrive_each_in_its_order() {
    const MESSAGES: usize = 300;
    on_each_server(&[], |server| {
        let mut clients = [server.join(), server.join(), server.join()];
        for number in 0..MESSAGES {
            for (sender, client) in clients.iter_mut().enumerate() {
                client.send(Message::text(format!("{sender} {number}"))).expect("room");
            }
        }
        for client in &mut clients {
            let mut expected = [0; 3];
            for _ in 0..3 * MESSAGES {
                let message = next(client).into_text().expect("a text");
                let (sender, number) = message.split_once(' ').expect("two numbers");
                let expected = &mut expected[sender.parse::<usize>().expect("a number")];
                assert_eq!(number.parse(), Ok(*expected), "from {sender}");
                *expected += 1;
            }
        }
    });
}

#[test]
fn a_fragmented_message_arrives_whole() {
    on_each_server(&[], |server| {
        let [mut ada, mut ben] = [server.join(), server.join()];
        // Cut within a letter of two bytes.
        let (first, second) = "one, tw\u{f6} and three".as_bytes().split_at(8);
        ada.send(fragment(Data::Text, first, false)).expect("room");
        ada.send(Message::Ping("between".into())).expect("room");
        ada.send(fragment(Data::Continue, second, true)).expect("room");

        assert_eq!(next(&mut ada), Message::Pong("between".into()));
        assert_eq!(next(&mut ada), Message::text("one, tw\u{f6} and three"));
        assert_eq!(next(&mut ben), Message::text("one, tw\u{f6} and three"));
    });
}

#[test]
fn a_ping_is_answered_with_its_own_payload_while_messages_flow() {
    on_each_server(&[], |server| {
        let [mut ada, mut ben] = [server.join(), server.join()];
        for number in 0_u8..50 {
            ada.send(Message::text(number.to_string())).expect("room");
            ben.send(Message::Ping(vec![number; usize::from(number)].into())).expect("room");
        }
        let (mut texts, mut pongs) = (0_u8, 0_u8);
        while (texts, pongs) != (50, 50) {
            match next(&mut ben) {
                Message::Text(text) => {
                    assert_eq!(text.as_str(), texts.to_string());
                    texts += 1;
                }
                Message::Pong(payload) => {
                    assert_eq!(payload, vec![pongs; usize::from(pongs)]);
                    pongs += 1;
                }
                other => panic!("expected a text or a pong, got {other:?}"),
            }
        }
    });
}

#[test]
fn a_close_is_answered_and_ends_the_connection_and_no_other() {
    on_each_server(&[], |server| {
        let [mut ada, mut ben, mut eve] = [server.join(), server.join(), server.join()];
        let close = CloseFrame { code: CloseCode::Library(4000), reason: "enough".into() };
        // In one segment, so that the server reads both at once.
        ada.write(Message::text("last words")).expect("room");
        ada.close(Some(close.clone())).expect("room");

        assert_eq!(next(&mut ada), Message::text("last words"));
        assert_eq!(next(&mut ada), Message::Close(Some(close)));
        assert!(matches!(ada.read(), Err(Error::ConnectionClosed)), "the stream ends");

        assert_eq!(next(&mut ben), Message::text("last words"));
        // One that goes without a word.
        drop(ben);
        eve.send(Message::text("still here")).expect("room");
        assert_eq!(next(&mut eve), Message::text("last words"));
        assert_eq!(next(&mut eve), Message::text("still here"));
    });
}

#[test]
fn an_echo_server_answers_the_sender_alone() {
    on_each_server(&["--echo"], |server| {
        let [mut ada, mut ben] = [server.join(), server.join()];
        ada.send(Message::text("to myself")).expect("room");
        assert_eq!(next(&mut ada), Message::text("to myself"));
        ben.send(Message::text("something else")).expect("room");
        assert_eq!(next(&mut ben), Message::text("something else"));
    });
}

#[test]
fn who_does_not_read_loses_the_oldest_and_nobody_else_anything() {
    // More than the buffers of a connection hold in the kernel on both sides, with that flag.
    const MESSAGES: u32 = 600;
    const MESSAGE_BYTES: usize = 8 << 10;
    const FLAGS: [&str; 4] = ["--queue", "4", "--send-buffer", "16384"];
    let message = |number: u32| {
        let mut payload = vec![b'.'; MESSAGE_BYTES];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        Message::binary(payload)
    };
    let number = |message: Message| {
        let payload = message.into_data();
        u32::from_be_bytes(payload[..4].try_into().expect("four bytes"))
    };

    on_each_server(&FLAGS, |server| {
        let [mut ada, mut sleeper] = [server.join(), server.join()];
        for sent in 0..MESSAGES {
            ada.send(message(sent)).expect("the server reads");
            assert_eq!(number(next(&mut ada)), sent);
        }

        let mut seen = vec![number(next(&mut sleeper))];
        while seen.last() != Some(&(MESSAGES - 1)) {
            seen.push(number(next(&mut sleeper)));
        }
        assert!(seen.is_sorted_by(|earlier, later| earlier < later), "order is kept: {seen:?}");
        assert!(seen.len() < MESSAGES as usize, "nothing was dropped");
        let newest: Vec<u32> = (MESSAGES - 4..MESSAGES).collect();
        assert!(seen.ends_with(&newest), "the newest wait: {seen:?}");
    });
}

#[test]
fn what_is_no_upgrade_is_refused() {
    on_each_server(&[], |server| {
        let mut stream = server.tcp();
        let request = "GET / HTTP/1.1\r\nHost: peer\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut answer = Vec::new();
        // A reset is a refusal as well.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        server.join();
    });
}

/// tokio-tungstenite refuses such a client. It must wait for the answer (RFC 6455 section 4.1),
/// so that is its right; hyper hands what came early on, and it must not be lost here.
#[test]
fn what_came_right_behind_the_request_is_not_lost() {
    let server = Server::start(FASTWEBSOCKETS, &[]);
    let mut stream = server.tcp();
    let mut request =
        b"GET / HTTP/1.1\r\nHost: peer\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            .to_vec();
    // A masked text of two letters, with a mask of zeros.
    request.extend_from_slice(b"\x81\x82\0\0\0\0hi");
    stream.write_all(&request).expect("the server reads");

    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    let mut client = WebSocket::from_raw_socket(stream, Role::Client, None);
    assert_eq!(next(&mut client), Message::text("hi"));
}

#[test]
fn a_port_that_is_taken_is_refused_with_the_reason() {
    on_each_server(&[], |server| {
        let address = server.address.to_string();
        for program in [TUNGSTENITE, FASTWEBSOCKETS] {
            let output =
                Command::new(program).args(["--addr", &address]).output().expect("it runs");
            let reason = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{reason}");
            assert!(reason.starts_with(&format!("cannot listen on {address}: ")), "{reason}");
        }
    });
}
