//! The HTTP upgrade, from the client's side (RFC 6455 section 4.1).

use httparse::{EMPTY_HEADER, Header, Response, Status};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use crate::plan::Plan;

/// An answer to the upgrade may be as long as this, and have as many headers.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;

/// The request that all clients send, but for the key.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    before_key: String,
}

/// An upgrade that was asked for.
#[derive(Debug)]
pub(crate) struct Upgrade {
    key: String,
    received: Vec<u8>,
}

impl Request {
    pub(crate) fn new(plan: &Plan) -> Self {
        let before_key = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
            plan.path, plan.target
        );
        Self { before_key }
    }
}

impl Upgrade {
    /// An upgrade with a key of its own, whose request is put into `wire`.
    pub(crate) fn ask(request: &Request, wire: &mut Vec<u8>) -> Self {
        let key = generate_key();
        for part in [&request.before_key, &key, "\r\n\r\n"] {
            wire.extend_from_slice(part.as_bytes());
        }
        Self { key, received: Vec::new() }
    }

    /// Takes what the server answers.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// What came behind the answer, if it is complete and agrees.
    ///
    /// # Errors
    /// Why this connection will not be.
    pub(crate) fn tail(&self) -> Result<Option<&[u8]>, String> {
        match answer_len(&self.received, &self.key)? {
            Some(len) => Ok(Some(&self.received[len..])),
            None if self.received.len() > ANSWER_BYTES_MAX => {
                Err("the answer to the upgrade does not end".to_owned())
            }
            None => Ok(None),
        }
    }
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
