//! An HTTP client that sends what it is told, right or wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for anything; a test that waits longer has failed. Under Wine all takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(if cfg!(windows) { 60 } else { 20 });

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header field; the name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(there, _)| *there == name).map(|(_, value)| value).next()
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Sends a request as it stands and reads the answer up to the end of the stream.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Answer {
    // A server that has heard enough may have closed.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    // So a reset after the answer is no surprise either.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).expect("a text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.expect("a status"), head: head.to_owned(), body: body.to_owned() }
}

/// A request with the right `Host` and further header lines, each ended by CRLF.
pub(crate) fn request(address: SocketAddr, line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    exchange(connect(address), &request(address, &format!("GET {path}"), "", b""))
}

pub(crate) fn post(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Answer {
    exchange(connect(address), &request(address, &format!("POST {path}"), headers, body))
}
