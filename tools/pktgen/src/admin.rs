//! Asks a hioload appliance what it counts: `GET /stats` of its admin interface.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use httparse::{EMPTY_HEADER, Response, Status};

use crate::server::{Reading, Stats};

/// Bytes of an answer: enough for the counters of 512 workers.
const ANSWER_BYTES_MAX: usize = 16 << 20;
const HEADERS_MAX: usize = 64;
/// Characters of a refusal's reason that are shown.
const REASON_MAX: usize = 300;

/// The admin interface of an appliance. Each question has a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    /// As the flag names it.
    name: String,
    address: SocketAddr,
    timeout: Duration,
}

impl Admin {
    /// An interface at an address that `name` was resolved to.
    pub(crate) fn new(name: &str, address: SocketAddr, timeout: Duration) -> Self {
        Self { name: name.to_owned(), address, timeout }
    }

    /// What the appliance counts now.
    ///
    /// # Errors
    /// That nobody answers in time, or not as an appliance does.
    pub(crate) fn read(&self) -> Result<Reading, String> {
        self.ask().map_err(|reason| format!("--admin {}: {reason}", self.name))
    }

    fn ask(&self) -> Result<Reading, String> {
        let deadline = Instant::now() + self.timeout;
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)
            .map_err(|error| format!("{error}; control.admin of the appliance says where it is"))?;
        let answer = self.fetch(stream, deadline).map_err(|error| match error.kind() {
            // What a read that waits too long ends with depends on the system.
            ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                format!("no answer within {:?}", self.timeout)
            }
            ErrorKind::InvalidData => stranger(&error.to_string()),
            _ => error.to_string(),
        })?;
        let at = Instant::now();
        match answer.status {
            200 => {
                let stats: Result<Stats, _> = serde_json::from_slice(&answer.body);
                stats
                    .map(|stats| Reading { at, stats })
                    .map_err(|error| stranger(&error.to_string()))
            }
            404 | 405 => Err(stranger(&format!("it has no /stats (status {})", answer.status))),
            status => {
                let text = String::from_utf8_lossy(&answer.body);
                let line = text.lines().next().unwrap_or_default();
                // It goes to a terminal, whoever wrote it.
                let reason: String =
                    line.chars().filter(|char| !char.is_control()).take(REASON_MAX).collect();
                Err(format!("it refuses the question with status {status}: {reason}"))
            }
        }
    }

    fn fetch(&self, mut stream: TcpStream, deadline: Instant) -> io::Result<Answer> {
        stream.set_write_timeout(Some(self.timeout))?;
        // The appliance answers to its address and to no name, lest a web page asks it.
        let address = self.address;
        let request =
            format!("GET /stats HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut received = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left))?;
            let len = match stream.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            received.extend_from_slice(&chunk[..len]);
            if let Some(answer) = Answer::parse(&received, len == 0)? {
                return Ok(answer);
            }
            if len == 0 {
                return Err(invalid("its answer is cut short"));
            }
            if received.len() > ANSWER_BYTES_MAX {
                return Err(invalid("its answer does not end"));
            }
        }
    }
}

fn stranger(reason: &str) -> String {
    format!("what answers there is not the admin interface of hioload: {reason}")
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// Where the body of an answer ends (RFC 9112 section 6.3).
#[derive(Clone, Copy)]
enum Length {
    Chunked,
    Known(usize),
    ToTheEnd,
}

impl Answer {
    /// The answer, if all of it is there. `ended`: nothing comes behind these bytes.
    fn parse(bytes: &[u8], ended: bool) -> io::Result<Option<Self>> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = Response::new(&mut headers);
        let head_len = match response.parse(bytes) {
            Ok(Status::Complete(len)) => len,
            Ok(Status::Partial) => return Ok(None),
            Err(error) => return Err(invalid(&format!("its answer is not HTTP ({error})"))),
        };
        let mut length = Length::ToTheEnd;
        for header in response.headers.iter() {
            let value = str::from_utf8(header.value).unwrap_or_default().trim();
            if header.name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.eq_ignore_ascii_case("chunked") {
                    return Err(invalid("its answer has a transfer coding other than chunked"));
                }
                length = Length::Chunked;
            } else if header.name.eq_ignore_ascii_case("content-length")
                && !matches!(length, Length::Chunked)
            {
                let len = value.parse().map_err(|_| invalid("its Content-Length is no number"))?;
                length = Length::Known(len);
            }
        }
        let rest = &bytes[head_len..];
        let body = match length {
            Length::Chunked => unchunked(rest)?,
            Length::Known(len) => rest.get(..len).map(<[u8]>::to_vec),
            Length::ToTheEnd => ended.then(|| rest.to_vec()),
        };
        Ok(body.map(|body| Self { status: response.code.unwrap_or(0), body }))
    }
}

/// The body out of its chunks (RFC 9112 section 7.1), once the last one is there.
fn unchunked(mut bytes: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let parsed = httparse::parse_chunk_size(bytes);
        let (begin, len) = match parsed.map_err(|_| invalid("a chunk of it has no size"))? {
            Status::Complete(size) => size,
            Status::Partial => return Ok(None),
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len == 0 {
            return Ok(Some(body));
        }
        let end = begin.saturating_add(len).saturating_add(2);
        let Some(chunk) = bytes.get(begin..end) else { return Ok(None) };
        body.extend_from_slice(&chunk[..len]);
        bytes = &bytes[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of an answer however it is cut: nothing before its end, and this at it.
    #[track_caller]
    fn assert_answer(text: &str, ends_by_itself: bool, body: &str) {
        let bytes = text.as_bytes();
        for len in 0..bytes.len() {
            assert_eq!(Answer::parse(&bytes[..len], false).expect("no fault"), None, "{len}");
        }
        let whole = Answer::parse(bytes, !ends_by_itself).expect("no fault").expect("all is there");
        assert_eq!(whole, Answer { status: 200, body: body.as_bytes().to_vec() });
    }

    #[test]
    fn the_end_of_an_answer_is_where_it_says() {
        assert_answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", true, "{}");
        assert_answer("HTTP/1.0 200 OK\r\n\r\n{}", false, "{}");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_answer(
            &format!("{chunked}1\r\n{{\r\na;x\r\n\"ten\":1234\r\n0\r\n"),
            true,
            "{\"ten\":1234",
        );
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for (text, reason) in [
            ("SSH-2.0-OpenSSH_9.2p1\r\n", "not HTTP"),
            ("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "no number"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "other than chunked"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "no size"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
                "no size",
            ),
        ] {
            let error = Answer::parse(text.as_bytes(), false).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
