//! Closing: codes, the payload of a Close, and the handshake (RFC 6455, sections 5.5.1 and 7).

use std::fmt;
use std::num::NonZeroU16;

use super::ProtocolError;

/// A code that may stand in a Close frame (RFC 6455, section 7.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(NonZeroU16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self::known(1000);
    /// 1001: the server goes down, or the user left the page.
    pub const GOING_AWAY: Self = Self::known(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self::known(1002);
    /// 1003: data of a kind that cannot be accepted.
    pub const UNSUPPORTED_DATA: Self = Self::known(1003);
    /// 1007: a payload that is not what it says, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self::known(1007);
    /// 1008: against a policy, where no other code fits.
    pub const POLICY_VIOLATION: Self = Self::known(1008);
    /// 1009: a message too big to be processed.
    pub const MESSAGE_TOO_BIG: Self = Self::known(1009);
    /// 1010: a client did not get the extension it needs.
    pub const MANDATORY_EXTENSION: Self = Self::known(1010);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self::known(1011);
    /// 1012: the server restarts (IANA registry).
    pub const SERVICE_RESTART: Self = Self::known(1012);
    /// 1013: the server is overloaded; try again later (IANA registry).
    pub const TRY_AGAIN_LATER: Self = Self::known(1013);
    /// 1014: the server got a bad answer as a gateway (IANA registry).
    pub const BAD_GATEWAY: Self = Self::known(1014);

    /// `code`, if it may stand in a Close frame: 1000 to 1003, 1007 to 1014, 3000 to 4999.
    ///
    /// Not the others: 1004 has no meaning, 1005, 1006 and 1015 are for local use and MUST NOT be
    /// sent (section 7.4.1), and the rest is reserved (section 7.4.2).
    pub const fn new(code: u16) -> Option<Self> {
        match (code, NonZeroU16::new(code)) {
            (1000..=1003 | 1007..=1014 | 3000..=4999, Some(code)) => Some(Self(code)),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    const fn known(code: u16) -> Self {
        Self::new(code).expect("a code that may be sent")
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({self})")
    }
}

/// What a Close says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// Why; `None` where the Close has no payload.
    pub code: Option<CloseCode>,
    /// More of the same, for people; at most 123 bytes.
    pub reason: &'a str,
}

impl<'a> Close<'a> {
    /// Reads the payload of a Close.
    pub fn parse(payload: &'a [u8]) -> Result<Self, ProtocolError> {
        if payload.is_empty() {
            return Ok(Self { code: None, reason: "" });
        }
        // Section 5.5.1: if there is a body, its first two bytes MUST be the code.
        let (code, reason) =
            payload.split_first_chunk().ok_or(ProtocolError::TruncatedCloseCode)?;
        let code =
            CloseCode::new(u16::from_be_bytes(*code)).ok_or(ProtocolError::InvalidCloseCode)?;
        // Section 5.5.1: the rest is UTF-8.
        let reason = str::from_utf8(reason).map_err(|_| ProtocolError::InvalidCloseReason)?;
        Ok(Self { code: Some(code), reason })
    }
}

/// The closing handshake of one connection, from the server's side, whoever begins it.
///
/// The session tells it which Close was queued for sending and which was received; it says what may
/// still be sent and when TCP may be closed. It has no clock: how long to wait for the peer's Close
/// is the session's affair.
///
/// ```
/// use hioload_protocol::ws::{CloseCode, CloseHandshake, ClosedWith, TcpClose};
///
/// let mut handshake = CloseHandshake::new();
/// // The peer says Close 1001 ...
/// let answer_due = handshake.received(Some(CloseCode::GOING_AWAY));
/// assert!(answer_due && handshake.may_send());
/// // ... and the session queues the answer, behind what it had queued before.
/// handshake.sent(Some(CloseCode::GOING_AWAY));
/// assert!(!handshake.may_send());
/// assert_eq!(handshake.tcp_close(), TcpClose::OnceFlushed);
/// assert_eq!(handshake.closed_with(), ClosedWith::Code(CloseCode::GOING_AWAY));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CloseHandshake {
    /// Every session has one, so it takes six bytes.
    flags: u8,
    received_code: Option<CloseCode>,
    sent_code: Option<CloseCode>,
}

/// A Close of ours was queued.
const SENT: u8 = 1;
/// It was the first of both.
const SENT_FIRST: u8 = 1 << 1;
/// It was the first, and told of a failure.
const SENT_FIRST_FOR_FAILURE: u8 = 1 << 2;
/// The peer's Close has come.
const RECEIVED: u8 = 1 << 3;
/// The peer broke the protocol.
const FAILED: u8 = 1 << 4;

/// The Close that began the handshake, with its code, if it had one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstClose {
    /// The peer's.
    Theirs(Option<CloseCode>),
    /// Ours.
    Ours(Option<CloseCode>),
    /// Ours, since the peer broke the protocol.
    Failure(Option<CloseCode>),
}

/// When the server may close TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpClose {
    /// Not in good order: nobody has sent a Close, or the peer's is not answered yet.
    NotYet,
    /// Once the peer's Close is there, or the session is tired of waiting for it.
    OncePeerAnswers,
    /// Once all that was queued, our Close with it, is sent. The server does not wait for the
    /// client to close (RFC 6455, section 7.1.1).
    OnceFlushed,
}

/// How a connection was closed, as it is told to the application (RFC 6455, section 7.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClosedWith {
    /// The peer's Close had this code.
    Code(CloseCode),
    /// The peer's Close had no code: 1005, which is never on the wire.
    NoCode,
    /// The peer sent no Close: 1006, which is never on the wire.
    Abnormal,
}

impl ClosedWith {
    /// The number by which section 7.4.1 knows it.
    pub const fn get(self) -> u16 {
        match self {
            Self::Code(code) => code.get(),
            Self::NoCode => 1005,
            Self::Abnormal => 1006,
        }
    }
}

impl CloseHandshake {
    /// The handshake of a connection that is open.
    pub const fn new() -> Self {
        Self { flags: 0, received_code: None, sent_code: None }
    }

    /// A Close with this code was queued for sending; nothing may follow it.
    pub const fn sent(&mut self, code: Option<CloseCode>) {
        if !self.has(SENT) && !self.has(RECEIVED) {
            self.flags |= SENT_FIRST;
            if self.has(FAILED) {
                self.flags |= SENT_FIRST_FOR_FAILURE;
            }
            self.sent_code = code;
        }
        self.flags |= SENT;
    }

    /// The peer's Close has come. Says whether it is to be answered with one of the same code.
    ///
    /// Messages that were queued before may go first (RFC 6455, section 5.5.1).
    #[must_use = "the peer waits for an answer"]
    pub const fn received(&mut self, code: Option<CloseCode>) -> bool {
        // Section 7.1.5: the code of the connection is that of the first Close.
        if !self.has(RECEIVED) {
            self.flags |= RECEIVED;
            self.received_code = code;
        }
        !self.has(SENT)
    }

    /// The peer broke the protocol: no Close of its is waited for (section 7.1.7). Says whether a
    /// Close with the error's code is to be sent, which is so unless one was sent before.
    #[must_use = "the peer is to be told what it did wrong"]
    pub const fn failed(&mut self) -> bool {
        self.flags |= FAILED;
        !self.has(SENT)
    }

    /// Whether a frame, of data or control, may still be queued: not behind our Close
    /// (section 5.5.1).
    pub const fn may_send(&self) -> bool {
        !self.has(SENT)
    }

    /// Whether a Close of ours was queued.
    pub const fn has_sent(&self) -> bool {
        self.has(SENT)
    }

    /// Whether the peer's Close has come.
    pub const fn has_received(&self) -> bool {
        self.has(RECEIVED)
    }

    /// The Close that began the handshake, if there was any.
    pub const fn first(&self) -> Option<FirstClose> {
        if self.has(SENT_FIRST_FOR_FAILURE) {
            Some(FirstClose::Failure(self.sent_code))
        } else if self.has(SENT_FIRST) {
            Some(FirstClose::Ours(self.sent_code))
        } else if self.has(RECEIVED) {
            Some(FirstClose::Theirs(self.received_code))
        } else {
            None
        }
    }

    /// When TCP may be closed.
    pub const fn tcp_close(&self) -> TcpClose {
        match (self.has(SENT), self.has(RECEIVED) || self.has(FAILED)) {
            (false, _) => TcpClose::NotYet,
            (true, false) => TcpClose::OncePeerAnswers,
            (true, true) => TcpClose::OnceFlushed,
        }
    }

    /// What to tell the application, should TCP be closed now.
    pub const fn closed_with(&self) -> ClosedWith {
        match (self.has(RECEIVED), self.received_code) {
            (true, Some(code)) => ClosedWith::Code(code),
            (true, None) => ClosedWith::NoCode,
            (false, _) => ClosedWith::Abnormal,
        }
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_may_be_sent_are_codes() {
        let allowed: Vec<u16> = (0..=u16::MAX).filter(|it| CloseCode::new(*it).is_some()).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(allowed, expected);
    }

    #[test]
    fn a_payload_is_nothing_or_a_code_and_a_reason() {
        assert_eq!(Close::parse(&[]), Ok(Close { code: None, reason: "" }));
        let code = Some(CloseCode::NORMAL);
        assert_eq!(Close::parse(&[0x03, 0xe8]), Ok(Close { code, reason: "" }));
        assert_eq!(Close::parse(b"\x03\xe8bye"), Ok(Close { code, reason: "bye" }));
        assert_eq!(Close::parse(&[0x03]), Err(ProtocolError::TruncatedCloseCode));
        assert_eq!(Close::parse(&[0x03, 0xed]), Err(ProtocolError::InvalidCloseCode));
        assert_eq!(Close::parse(b"\x03\xe8\xff"), Err(ProtocolError::InvalidCloseReason));
    }

    #[test]
    fn the_server_closes_and_waits_for_the_answer() {
        let mut handshake = CloseHandshake::new();
        assert_eq!(handshake.tcp_close(), TcpClose::NotYet);
        handshake.sent(None);
        assert!(!handshake.may_send());
        assert_eq!(handshake.tcp_close(), TcpClose::OncePeerAnswers);
        assert_eq!(handshake.closed_with(), ClosedWith::Abnormal);
        let answer_due = handshake.received(None);
        assert!(!answer_due);
        assert_eq!(handshake.tcp_close(), TcpClose::OnceFlushed);
        assert_eq!(handshake.closed_with(), ClosedWith::NoCode);
    }

    #[test]
    fn the_peer_closes_and_is_answered_behind_what_is_queued() {
        let mut handshake = CloseHandshake::new();
        let answer_due = handshake.received(Some(CloseCode::NORMAL));
        assert!(answer_due && handshake.may_send());
        assert_eq!(handshake.tcp_close(), TcpClose::NotYet);
        handshake.sent(None);
        assert!(!handshake.may_send());
        assert_eq!(handshake.tcp_close(), TcpClose::OnceFlushed);
        assert_eq!(handshake.closed_with().get(), 1000);
    }

    #[test]
    fn a_peer_that_broke_the_protocol_is_told_and_not_waited_for() {
        let mut handshake = CloseHandshake::new();
        assert!(handshake.failed());
        handshake.sent(None);
        assert_eq!(handshake.tcp_close(), TcpClose::OnceFlushed);
        assert_eq!(handshake.closed_with().get(), 1006);
    }

    #[test]
    fn a_peer_that_breaks_the_protocol_after_our_close_gets_no_second_one() {
        let mut handshake = CloseHandshake::new();
        handshake.sent(None);
        assert!(!handshake.failed());
        assert_eq!(handshake.tcp_close(), TcpClose::OnceFlushed);
    }

    #[test]
    fn the_first_close_and_its_code_are_kept_whatever_follows() {
        let (ours, theirs) = (Some(CloseCode::GOING_AWAY), Some(CloseCode::NORMAL));
        let mut handshake = CloseHandshake::new();
        assert_eq!(handshake.first(), None);
        handshake.sent(ours);
        assert!(!handshake.received(theirs) && !handshake.failed());
        assert_eq!(handshake.first(), Some(FirstClose::Ours(ours)));

        let mut handshake = CloseHandshake::new();
        assert!(handshake.received(theirs));
        handshake.sent(theirs);
        assert_eq!(handshake.first(), Some(FirstClose::Theirs(theirs)));

        let mut handshake = CloseHandshake::new();
        assert!(handshake.failed());
        handshake.sent(Some(CloseCode::PROTOCOL_ERROR));
        assert!(!handshake.received(None));
        let failure = FirstClose::Failure(Some(CloseCode::PROTOCOL_ERROR));
        assert_eq!(handshake.first(), Some(failure));
        assert_eq!(size_of::<CloseHandshake>(), 6);
    }
}
