//! Frames of a client, as they go onto the wire: final, and masked (RFC 6455 section 5.2).

use std::hash::{BuildHasher, RandomState};

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// Encodes the frames of one thread. Each is masked with a key of its own, as section 5.3 wants;
/// nobody is to be kept from guessing it here, so a generator of numbers will do.
#[derive(Debug)]
pub(crate) struct Encoder {
    keys: u64,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self { keys: RandomState::new().hash_one(0) }
    }

    /// Appends a frame.
    #[expect(clippy::cast_possible_truncation, reason = "each length is in its bounds by then")]
    pub(crate) fn frame(&mut self, wire: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
        const FINAL: u8 = 0x80;
        const MASKED: u8 = 0x80;
        let len = payload.len();
        wire.push(FINAL | opcode as u8);
        match len {
            0..=125 => wire.push(MASKED | len as u8),
            126..=0xffff => {
                wire.push(MASKED | 126);
                wire.extend_from_slice(&(len as u16).to_be_bytes());
            }
            _ => {
                wire.push(MASKED | 127);
                wire.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        let key = self.next_key();
        wire.extend_from_slice(&key);
        let begin = wire.len();
        wire.extend_from_slice(payload);
        mask(&mut wire[begin..], key);
    }

    /// SplitMix64, cut to size.
    fn next_key(&mut self) -> [u8; 4] {
        self.keys = self.keys.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.keys ^ self.keys >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let [key @ .., _, _, _, _] = (mixed ^ mixed >> 27).to_le_bytes();
        key
    }
}

fn mask(payload: &mut [u8], key: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tungstenite::Message;
    use tungstenite::protocol::{Role, WebSocket};

    use super::*;

    #[test]
    fn tungstenite_reads_frames_of_every_size() {
        let mut encoder = Encoder::new();
        let payloads: Vec<Vec<u8>> = [0, 1, 2, 3, 4, 5, 125, 126, 127, 65_535, 65_536, 70_003]
            .into_iter()
            .map(|len: usize| (0..len).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect())
            .collect();
        let mut wire = Vec::new();
        for payload in &payloads {
            encoder.frame(&mut wire, Opcode::Binary, payload);
        }
        encoder.frame(&mut wire, Opcode::Pong, b"yes");
        encoder.frame(&mut wire, Opcode::Close, &1000_u16.to_be_bytes());
        let mut server = WebSocket::from_raw_socket(Cursor::new(wire), Role::Server, None);
        for payload in payloads {
            assert_eq!(server.read().expect("a frame"), Message::Binary(payload.into()));
        }
        assert_eq!(server.read().expect("a frame"), Message::Pong("yes".into()));
        let Ok(Message::Close(Some(close))) = server.read() else { panic!("no Close") };
        assert_eq!(u16::from(close.code), 1000);
    }

    #[test]
    fn each_frame_has_a_key_of_its_own() {
        let mut encoder = Encoder::new();
        let mut wire = Vec::new();
        encoder.frame(&mut wire, Opcode::Binary, &[]);
        encoder.frame(&mut wire, Opcode::Binary, &[]);
        assert_ne!(wire[2..6], wire[8..12]);
    }
}
