//! Header fields: the grammar they share, and those that an answer adds.

use std::borrow::Cow;

/// Why a header field cannot be part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name is empty or holds a character that RFC 9110 section 5.6.2 does not allow.
    #[error("header name is not a token")]
    Name,
    /// The value holds a line break or another control character (RFC 9110 section 5.5).
    #[error("header value holds a control character")]
    Value,
    /// The field is one that the encoder writes by itself.
    #[error("header field is written by the server itself")]
    Reserved,
}

/// Fields that frame an answer or belong to the handshake: a handler has no say in them.
const RESERVED: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "keep-alive",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-content-type-options",
];

/// Header fields that a handler adds to an answer, in order.
///
/// What is in here is fit to be written: names are tokens, values hold no control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeaders {
    fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl ResponseHeaders {
    /// Appends a field.
    ///
    /// # Errors
    /// When the name is no token or is one that the encoder writes itself, or when the value holds
    /// a control character other than a tab.
    pub fn add(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<(), HeaderError> {
        let (name, value) = (name.into(), value.into());
        if !is_token(&name) {
            return Err(HeaderError::Name);
        }
        if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
            return Err(HeaderError::Reserved);
        }
        if value.bytes().any(is_control) {
            return Err(HeaderError::Value);
        }
        self.fields.push((name, value));
        Ok(())
    }

    /// The fields, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is a field of this name, in any case of letters.
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|(there, _)| there.eq_ignore_ascii_case(name))
    }

    /// Appends a field that this crate wrote, reserved ones included.
    pub(super) fn push(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        self.fields.push((name.into(), value.into()));
    }
}

/// Whether `text` is a token (RFC 9110 section 5.6.2): a method, a field name, a subprotocol.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Whether `byte` may be part of a token.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether `byte` is a control character that no line of a head may hold. A tab may stand in one.
pub(super) fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// The items of a comma list (RFC 9110 section 5.6.1): trimmed, empty ones left out.
pub(super) fn list_items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(|item| item.trim_matches([' ', '\t'])).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_would_start_another_line_is_refused() {
        let mut headers = ResponseHeaders::default();
        let split = headers.add("X-Room", "a\r\nSet-Cookie: b");
        assert_eq!(split, Err(HeaderError::Value));
        assert_eq!(headers.add("X-Room", "a\tb"), Ok(()));
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("X-Room", "a\tb")]);
    }

    #[test]
    fn names_are_tokens_and_not_those_of_the_handshake() {
        let mut headers = ResponseHeaders::default();
        assert_eq!(headers.add("", "a"), Err(HeaderError::Name));
        assert_eq!(headers.add("X Room", "a"), Err(HeaderError::Name));
        assert_eq!(headers.add("Content-LENGTH", "5"), Err(HeaderError::Reserved));
    }

    #[test]
    fn a_list_is_split_at_commas_and_trimmed() {
        let items: Vec<&str> = list_items(" keep-alive ,,\tUpgrade , ").collect();
        assert_eq!(items, ["keep-alive", "Upgrade"]);
    }
}
