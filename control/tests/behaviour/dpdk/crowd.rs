//! Clients that stay while others come and go.

use std::net::SocketAddr;

use crate::client::{Client, FIN, TEXT, frame};

/// Messages on their way at one time, at most.
const TOGETHER: usize = 10;

/// Each hears all that one of them says, once and in order.
pub(crate) struct Crowd {
    clients: Vec<Client>,
    /// Messages so far.
    said: usize,
}

impl Crowd {
    pub(crate) fn connect(address: SocketAddr, count: usize) -> Self {
        Self { clients: (0..count).map(|_| Client::connect(address)).collect(), said: 0 }
    }

    /// Says messages, and goes on when everybody has heard them.
    pub(crate) fn chat(&mut self, messages: usize) {
        let end = self.said + messages;
        while self.said < end {
            let next = end.min(self.said + TOGETHER);
            let texts: Vec<String> = (self.said..next).map(|n| format!("message {n}")).collect();
            let frames = texts.iter().flat_map(|text| frame(FIN | TEXT, text.as_bytes()));
            let due: Vec<u8> = texts.iter().flat_map(|text| as_sent(text)).collect();
            self.clients[0].send(&frames.collect::<Vec<_>>());
            for (number, client) in self.clients.iter_mut().enumerate() {
                let heard = client.bytes(due.len());
                let [heard, due] = [&heard, &due].map(|bytes| String::from_utf8_lossy(bytes));
                assert_eq!(heard, due, "client {number} from message {} on", self.said);
            }
            self.said = next;
        }
    }
}

/// A short text as a server sends it.
fn as_sent(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126);
    [&[FIN | TEXT, length.expect("a short text")], text.as_bytes()].concat()
}
