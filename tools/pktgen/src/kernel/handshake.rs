//! From nothing to an open WebSocket connection, without blocking (RFC 6455 section 4.1).

use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

use httparse::{EMPTY_HEADER, Header, Response, Status};
use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use crate::kernel::endpoint::Endpoint;

/// An answer to the upgrade may be as long as this, and have as many headers.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;

/// A connection on its way.
#[derive(Debug)]
pub(crate) struct Handshake {
    socket: TcpStream,
    step: Step,
    pub(crate) began: Instant,
    connected: Instant,
}

#[derive(Debug)]
enum Step {
    Tcp,
    Upgrade {
        key: String,
        /// What is left of the request; seldom anything.
        unsent: Vec<u8>,
        received: Vec<u8>,
    },
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It waits for the server.
    Pending,
    Open(Opened),
}

/// A connection that speaks WebSocket.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What came behind the answer to the upgrade: frames.
    pub(crate) tail: Vec<u8>,
    pub(crate) connect_ns: u64,
    pub(crate) upgrade_ns: u64,
}

impl Handshake {
    /// Sends the first packet, from the `source`th address.
    ///
    /// # Errors
    /// Of the system: no descriptor, no port, no route.
    pub(crate) fn start(
        endpoint: &Endpoint,
        source: usize,
        registry: &Registry,
        token: Token,
    ) -> Result<Self, String> {
        let began = Instant::now();
        let mut socket = endpoint.connect(source).map_err(|error| {
            if matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse) {
                let remedy = "no free local port or no such local address; see --source";
                format!("{error} ({remedy})")
            } else {
                error.to_string()
            }
        })?;
        socket
            .register(registry, token, Interest::READABLE | Interest::WRITABLE)
            .map_err(|error| error.to_string())?;
        Ok(Self { socket, step: Step::Tcp, began, connected: began })
    }

    /// What it waits for.
    pub(crate) fn waits_for(&self) -> &'static str {
        match self.step {
            Step::Tcp => "the TCP connection is not answered",
            Step::Upgrade { .. } => "the upgrade is not answered",
        }
    }

    pub(crate) fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// Goes on as far as the server lets it.
    ///
    /// # Errors
    /// Why this connection will not be.
    pub(crate) fn advance(&mut self, endpoint: &Endpoint) -> Result<Progress, String> {
        self.advance_io(endpoint).map_err(|error| error.to_string())
    }

    fn advance_io(&mut self, endpoint: &Endpoint) -> io::Result<Progress> {
        if let Step::Tcp = self.step {
            if !is_connected(&self.socket)? {
                return Ok(Progress::Pending);
            }
            self.connected = Instant::now();
            self.socket.set_nodelay(true)?;
            let key = generate_key();
            let unsent = endpoint.request(&key);
            self.step = Step::Upgrade { key, unsent, received: Vec::new() };
        }
        let Step::Upgrade { key, unsent, received } = &mut self.step else {
            return Ok(Progress::Pending);
        };
        send(&mut self.socket, unsent)?;
        let mut chunk = [0; 4096];
        loop {
            let len = match self.socket.read(&mut chunk) {
                Ok(0) => return Err(io::Error::other("the server ended it before the upgrade")),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Progress::Pending);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            received.extend_from_slice(&chunk[..len]);
            if let Some(answer_len) = answer_len(received, key).map_err(io::Error::other)? {
                return Ok(Progress::Open(Opened {
                    tail: received.split_off(answer_len),
                    connect_ns: nanoseconds(self.began, self.connected),
                    upgrade_ns: nanoseconds(self.connected, Instant::now()),
                }));
            }
            if received.len() > ANSWER_BYTES_MAX {
                return Err(io::Error::other("the answer to the upgrade does not end"));
            }
        }
    }
}

/// As mio has it: an event is a hint, an error or a peer is a fact.
fn is_connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

fn send(socket: &mut TcpStream, unsent: &mut Vec<u8>) -> io::Result<()> {
    while !unsent.is_empty() {
        match socket.write(unsent) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => drop(unsent.drain(..len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The length of the answer once it is complete, if it agrees to the upgrade.
fn answer_len(received: &[u8], key: &str) -> Result<Option<usize>, String> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut answer = Response::new(&mut headers);
    let answer_len = match answer.parse(received) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("the answer to the upgrade is not HTTP: {error}")),
    };
    if answer.code != Some(101) {
        let (code, reason) = (answer.code.unwrap_or(0), answer.reason.unwrap_or(""));
        return Err(format!("the upgrade was answered with {code} {reason}").trim_end().to_owned());
    }
    let accept = derive_accept_key(key.as_bytes());
    let refusal = if !has_token(answer.headers, "Upgrade", "websocket") {
        "has no \"Upgrade: websocket\""
    } else if !has_token(answer.headers, "Connection", "Upgrade") {
        "has no \"Connection: Upgrade\""
    } else if values(answer.headers, "Sec-WebSocket-Accept").ne([accept.as_bytes()]) {
        "has a wrong Sec-WebSocket-Accept"
    } else if values(answer.headers, "Sec-WebSocket-Extensions").next().is_some() {
        "has an extension that nobody asked for"
    } else if values(answer.headers, "Sec-WebSocket-Protocol").next().is_some() {
        "has a subprotocol that nobody asked for"
    } else {
        return Ok(Some(answer_len));
    };
    Err(format!("the answer to the upgrade {refusal} (RFC 6455 section 4.1)"))
}

fn values<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let of_name = move |header: &&Header<'_>| header.name.eq_ignore_ascii_case(name);
    headers.iter().filter(of_name).map(|header| header.value)
}

fn has_token(headers: &[Header<'_>], name: &str, token: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn nanoseconds(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n\
        Connection: keep-alive, upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    #[test]
    fn an_answer_is_complete_at_its_last_byte() {
        for len in 0..ANSWER.len() {
            assert_eq!(answer_len(&ANSWER.as_bytes()[..len], KEY), Ok(None), "{len} bytes");
        }
        let with_a_frame = [ANSWER.as_bytes(), &[0x82, 0]].concat();
        assert_eq!(answer_len(&with_a_frame, KEY), Ok(Some(ANSWER.len())));
    }

    #[test]
    fn what_is_wrong_with_an_answer_is_said() {
        for (answer, named) in [
            (ANSWER.replace("101 Switching Protocols", "503 Busy"), "answered with 503 Busy"),
            (ANSWER.replace("upgrade: ", "x: "), "\"Upgrade: websocket\""),
            (ANSWER.replace("keep-alive, upgrade", "close"), "\"Connection: Upgrade\""),
            (ANSWER.replace("s3p", "S3p"), "wrong Sec-WebSocket-Accept"),
            (ANSWER.replace("Sec-WebSocket-Accept", "X"), "wrong Sec-WebSocket-Accept"),
            (ANSWER.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n"), "an extension"),
            (ANSWER.replace("\r\n\r\n", "\r\nsec-websocket-protocol: x\r\n\r\n"), "a subprotocol"),
            ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "not HTTP"),
        ] {
            let error = answer_len(answer.as_bytes(), KEY).expect_err(named);
            assert!(error.contains(named), "{error}");
        }
    }
}
