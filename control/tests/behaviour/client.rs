//! A client that does what it is told, right or wrong, one byte stream at a time.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Longest wait for anything; a test that waits longer has failed. Under Wine all takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(if cfg!(windows) { 60 } else { 20 });

/// What a server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// Code and reason.
    Close(Option<u16>, String),
    /// The end of the stream, in order or by a reset.
    End,
}

/// A client over a stream, one of the kernel's where nothing else is said.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    unread: Vec<u8>,
}

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const FIN: u8 = 0x80;

impl Client {
    /// A TCP connection, before any request.
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("the server accepts"))
    }

    /// A TCP connection that comes from another address of this host.
    pub(crate) fn tcp_from(source: IpAddr, address: SocketAddr) -> Self {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((source, 0)).into()).expect("an address of this host");
        socket.connect(&address.into()).expect("the server accepts");
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self::on(stream)
    }

    /// A WebSocket session.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut client = Self::tcp(address);
        client.upgrade("");
        client
    }

    /// A WebSocket session at `path`.
    pub(crate) fn connect_at(address: SocketAddr, path: &str) -> Self {
        let mut client = Self::tcp(address);
        client.upgrade_at(path, "");
        client
    }
}

impl<S: Read + Write> Client<S> {
    /// On a connection that there is, before any request. Reading waits for [`PATIENCE`] at most.
    pub(crate) fn on(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Upgrades, with further header lines, each ended by CRLF.
    pub(crate) fn upgrade(&mut self, headers: &str) {
        self.upgrade_at("/ws", headers);
    }

    fn upgrade_at(&mut self, path: &str, headers: &str) {
        self.send(upgrade_request(headers).replacen("/ws", path, 1).as_bytes());
        let head = self.response_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "not upgraded: {head}");
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(&frame(FIN | TEXT, text.as_bytes()));
    }

    pub(crate) fn send_close(&mut self, code: u16) {
        self.send(&frame(FIN | CLOSE, &code.to_be_bytes()));
    }

    /// The head of an HTTP response, its last line break included.
    pub(crate) fn response_head(&mut self) -> String {
        loop {
            let end = self.unread.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return String::from_utf8(head).expect("a head in ASCII");
            }
            assert!(self.fill(), "the stream ended within a head: {:?}", self.unread);
        }
    }

    /// A whole HTTP response: its head and as much body as the head says.
    pub(crate) fn response(&mut self) -> (String, Vec<u8>) {
        let head = self.response_head();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.parse().expect("a length"));
        (head, self.bytes(length))
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            assert!(self.fill(), "the stream ended within a body");
        }
        self.unread.drain(..count).collect()
    }

    /// The next frame; messages of this server are never fragmented.
    pub(crate) fn next(&mut self) -> Received {
        loop {
            if let Some((received, length)) = parse(&self.unread) {
                self.unread.drain(..length);
                return received;
            }
            if !self.fill() {
                return Received::End;
            }
        }
    }

    pub(crate) fn next_text(&mut self) -> String {
        match self.next() {
            Received::Text(text) => text,
            other => panic!("expected a text, got {other:?}"),
        }
    }

    /// Reads on to the Close, past messages.
    pub(crate) fn until_close(&mut self) -> (Vec<Received>, Option<u16>, String) {
        let mut before = Vec::new();
        loop {
            match self.next() {
                Received::Close(code, reason) => return (before, code, reason),
                Received::End => panic!("the stream ended without a Close, after {before:?}"),
                other => before.push(other),
            }
        }
    }

    /// Whether the server has ended the stream, with nothing before its end.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.next() == Received::End
    }

    /// Sends a text and waits until it comes back.
    pub(crate) fn round_trip(&mut self, text: &str) {
        self.send_text(text);
        while self.next() != Received::Text(text.to_owned()) {}
    }

    /// `false` at the end of the stream.
    fn fill(&mut self) -> bool {
        let mut bytes = [0; 64 << 10];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.unread.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came for {PATIENCE:?}: {error}"),
        }
    }
}

pub(crate) fn upgrade_request(headers: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    )
}

/// A frame as a client sends it, masked.
pub(crate) fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first_byte];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).expect("below 126")),
        length @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).expect("below 2^16").to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The first frame of `bytes` and its length, if it is complete.
fn parse(bytes: &[u8]) -> Option<(Received, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (length, start) = match second {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (usize::try_from(length).expect("a length that fits"), 10)
        }
        length => (usize::from(length), 2),
    };
    let payload = bytes.get(start..start + length)?.to_vec();
    let received = match first & 0x7f {
        1 => Received::Text(String::from_utf8(payload).expect("text in UTF-8")),
        2 => Received::Binary(payload),
        8 => {
            let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            let reason = payload.get(2..).unwrap_or_default();
            Received::Close(code, String::from_utf8_lossy(reason).into_owned())
        }
        9 => Received::Ping(payload),
        10 => Received::Pong(payload),
        opcode => panic!("opcode {opcode} or a reserved bit from the server"),
    };
    Some((received, start + length))
}
