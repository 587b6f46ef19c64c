//! A client that others have written: what it takes for WebSocket, we speak.

use std::net::{SocketAddr, TcpStream};

use tungstenite::client::client_with_config;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{Bytes, Error, Message, WebSocket};

use crate::Backend;
use crate::client::PATIENCE;
use crate::on_every_backend;
use crate::scene::Server;

on_every_backend!(
    text_and_binary_come_back_as_they_were_sent,
    fragments_come_back_as_one_message,
    a_ping_is_answered_with_what_it_said,
    a_close_is_echoed_with_its_code_and_ends_the_connection,
    a_close_of_the_server_is_understood,
    sixteen_mebibytes_come_back_when_the_limit_allows_them,
);

/// 16 MiB, the limit of a message and of a frame at either end.
const LARGE: usize = 16 << 20;

fn connect(address: SocketAddr) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    let limits =
        WebSocketConfig::default().max_frame_size(Some(LARGE)).max_message_size(Some(LARGE));
    let url = format!("ws://{address}/ws");
    client_with_config(url, stream, Some(limits)).expect("it upgrades").0
}

fn next(client: &mut WebSocket<TcpStream>) -> Message {
    client.read().expect("a message comes")
}

/// A frame that the client masks when it sends it.
fn fragment(payload: &str, opcode: Data, is_final: bool) -> Message {
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    Message::Frame(Frame::message(payload, OpCode::Data(opcode), is_final))
}

fn text_and_binary_come_back_as_they_were_sent(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = connect(server.address());
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for message in [
        Message::text("gr\u{fc}\u{df}e, \u{1f30d}"),
        Message::binary(bytes),
        Message::text(""),
        Message::binary(Vec::new()),
    ] {
        client.send(message.clone()).expect("sent");
        assert!(next(&mut client) == message, "{} bytes", message.len());
    }
}

fn fragments_come_back_as_one_message(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = connect(server.address());
    client.write(fragment("in ", Data::Text, false)).expect("written");
    client.write(fragment("three ", Data::Continue, false)).expect("written");
    client.write(Message::Ping(Bytes::from_static(b"between"))).expect("written");
    client.write(fragment("parts", Data::Continue, true)).expect("written");
    client.flush().expect("sent");
    assert_eq!(next(&mut client), Message::Pong(Bytes::from_static(b"between")));
    assert_eq!(next(&mut client), Message::text("in three parts"));
}

fn a_ping_is_answered_with_what_it_said(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = connect(server.address());
    for payload in [&b""[..], &[b'p'; 125]] {
        client.send(Message::Ping(Bytes::from_static(payload))).expect("sent");
        assert_eq!(next(&mut client), Message::Pong(Bytes::from_static(payload)));
    }
}

fn a_close_is_echoed_with_its_code_and_ends_the_connection(backend: Backend) {
    let server = Server::broadcast(backend, "");
    for code in [CloseCode::Normal, CloseCode::Away, CloseCode::Library(4321)] {
        let mut client = connect(server.address());
        client.close(Some(CloseFrame { code, reason: "bye".into() })).expect("sent");
        let Message::Close(Some(echo)) = next(&mut client) else { panic!("no Close for {code}") };
        assert_eq!(echo.code, code);
        assert!(matches!(client.read(), Err(Error::ConnectionClosed)), "the orderly end");
    }
    let mut client = connect(server.address());
    client.close(None).expect("sent");
    assert_eq!(next(&mut client), Message::Close(None), "no code, no code back");
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)), "the orderly end");
}

fn a_close_of_the_server_is_understood(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = connect(server.address());
    server.appliance.handle().drain();
    let Message::Close(Some(close)) = next(&mut client) else { panic!("no Close") };
    assert_eq!(
        (close.code, close.reason.as_str()),
        (CloseCode::Away, "the server is shutting down")
    );
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)), "the orderly end");
    let drained = server.appliance.join().expect("it ends well");
    assert_eq!((drained.closed, drained.cut_off), (1, 0));
}

fn sixteen_mebibytes_come_back_when_the_limit_allows_them(backend: Backend) {
    let limits = r#"
        websocket.message_max = "16 MiB"
        broadcast.backlog_max = "64 MiB"
    "#;
    let server = Server::broadcast(backend, limits);
    let mut client = connect(server.address());
    let message = Message::binary((0..=250).cycle().take(LARGE).collect::<Vec<u8>>());
    client.send(message.clone()).expect("sent");
    assert!(next(&mut client) == message, "the same bytes");

    let text = Message::text("x".repeat(LARGE));
    client.send(text.clone()).expect("sent");
    assert!(next(&mut client) == text, "the same text");
}
