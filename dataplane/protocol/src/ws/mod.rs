//! WebSocket framing, the server's side (RFC 6455, sections 5 to 7).
//!
//! In come the bytes a client sent, in any splits: [`Decoder::decode`] unmasks them in place and
//! gives [`Event`]s. Out go [`Frame`](hioload_buffer::Frame)s: [`encode`] writes header and payload
//! once per message, whatever the number of receivers. [`CloseHandshake`] says what may still be
//! sent and when the connection may be closed. What a client does wrong is a [`ProtocolError`].
//! Nothing here touches a socket or a clock, answers a ping or sends a Close: the session does.

mod close;
mod decode;
pub mod encode;
mod error;
mod header;
mod message;
mod utf8;

pub use close::{Close, CloseCode, CloseHandshake, ClosedWith, FirstClose, TcpClose};
pub use decode::{DecodeLimits, Decoded, Decoder};
pub use error::ProtocolError;
pub use header::{
    CLIENT_HEADER_BYTES_MAX, CONTROL_BYTES_MAX, FirstByte, Header, Opcode, SERVER_HEADER_BYTES_MAX,
    SecondByte,
};
pub use message::{Event, Kind, Message};
pub use utf8::{InvalidUtf8, Utf8Validator};
