//! What a client can do wrong.

use std::fmt;

use super::{CloseCode, InvalidUtf8};

/// A rule of RFC 6455 that the peer broke, or a limit of ours that it passed.
///
/// The connection is over: send a Close with [`close_code`](Self::close_code) and
/// [`reason`](Self::reason), then close (RFC 6455, section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolError {
    /// A reserved bit is set, and no extension was negotiated (section 5.2).
    ReservedBits,
    /// An opcode that no frame type has (section 5.2).
    ReservedOpcode,
    /// A frame without a mask; a client masks every frame (section 5.1).
    Unmasked,
    /// A control frame without FIN (section 5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (section 5.5).
    OversizedControl,
    /// A length in more bytes than it needs (section 5.2).
    LengthNotMinimal,
    /// A 64-bit length with its highest bit set (section 5.2).
    LengthOverflow,
    /// A continuation frame where no message was begun (section 5.4).
    UnexpectedContinuation,
    /// A new message before the last fragment of the one begun (section 5.4).
    InterruptedMessage,
    /// A text message that is not UTF-8 (section 8.1).
    InvalidUtf8,
    /// A Close with half a code (section 5.5.1).
    TruncatedCloseCode,
    /// A Close with a code that must not be sent (section 7.4).
    InvalidCloseCode,
    /// A Close with a reason that is not UTF-8 (section 5.5.1).
    InvalidCloseReason,
    /// A message larger than [`DecodeLimits::message_bytes_max`](super::DecodeLimits).
    MessageTooBig,
    /// A message where [`DecodeLimits::messages_allowed`](super::DecodeLimits) says that none is
    /// taken.
    MessageRefused,
}

impl ProtocolError {
    /// Every error, in the order of the declaration; for tables of counters.
    pub const ALL: [Self; 15] = [
        Self::ReservedBits,
        Self::ReservedOpcode,
        Self::Unmasked,
        Self::FragmentedControl,
        Self::OversizedControl,
        Self::LengthNotMinimal,
        Self::LengthOverflow,
        Self::UnexpectedContinuation,
        Self::InterruptedMessage,
        Self::InvalidUtf8,
        Self::TruncatedCloseCode,
        Self::InvalidCloseCode,
        Self::InvalidCloseReason,
        Self::MessageTooBig,
        Self::MessageRefused,
    ];

    /// The code to close with (RFC 6455, section 7.4.1).
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::InvalidCloseReason => CloseCode::INVALID_PAYLOAD,
            Self::MessageTooBig => CloseCode::MESSAGE_TOO_BIG,
            Self::MessageRefused => CloseCode::POLICY_VIOLATION,
            Self::ReservedBits
            | Self::ReservedOpcode
            | Self::Unmasked
            | Self::FragmentedControl
            | Self::OversizedControl
            | Self::LengthNotMinimal
            | Self::LengthOverflow
            | Self::UnexpectedContinuation
            | Self::InterruptedMessage
            | Self::TruncatedCloseCode
            | Self::InvalidCloseCode => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// What the peer did wrong, in a few words: the reason of the Close and the label of a counter.
    /// No two errors have the same.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bit set",
            Self::ReservedOpcode => "reserved opcode",
            Self::Unmasked => "frame not masked",
            Self::FragmentedControl => "control frame fragmented",
            Self::OversizedControl => "control frame over 125 bytes",
            Self::LengthNotMinimal => "length not in its shortest form",
            Self::LengthOverflow => "length over 63 bits",
            Self::UnexpectedContinuation => "continuation of no message",
            Self::InterruptedMessage => "new message before the last one ended",
            Self::InvalidUtf8 => "text not UTF-8",
            Self::TruncatedCloseCode => "close code of one byte",
            Self::InvalidCloseCode => "close code not allowed",
            Self::InvalidCloseReason => "close reason not UTF-8",
            Self::MessageTooBig => "message too big",
            Self::MessageRefused => "this service takes no messages",
        }
    }
}

impl From<InvalidUtf8> for ProtocolError {
    fn from(_: InvalidUtf8) -> Self {
        Self::InvalidUtf8
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for ProtocolError {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::ws::encode::CLOSE_REASON_BYTES_MAX;

    #[test]
    fn every_error_is_listed_once_where_its_number_says() {
        for (index, error) in ProtocolError::ALL.into_iter().enumerate() {
            assert_eq!(error as usize, index, "{error:?}");
        }
    }

    #[test]
    fn every_reason_is_its_own_and_fits_a_close_frame() {
        let reasons: HashSet<_> = ProtocolError::ALL.map(ProtocolError::reason).into();
        assert_eq!(reasons.len(), ProtocolError::ALL.len());
        assert!(reasons.iter().all(|reason| reason.len() <= CLOSE_REASON_BYTES_MAX));
    }
}
