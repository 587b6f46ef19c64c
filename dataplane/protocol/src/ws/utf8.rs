//! Validation of text that comes in pieces (RFC 6455, section 8.1).

/// Text that is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

/// Validates text piece by piece, wherever it is cut.
///
/// It fails with the first byte that makes the text invalid, whatever might follow. Between pieces
/// it keeps the one to three bytes of a character that is not complete.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8Validator {
    carry: [u8; 3],
    carry_len: u8,
}

impl Utf8Validator {
    /// A validator at the start of a text.
    pub const fn new() -> Self {
        Self { carry: [0; 3], carry_len: 0 }
    }

    /// Takes the next piece of the text.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<(), InvalidUtf8> {
        while self.carry_len > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            self.extend_carry(byte)?;
            piece = rest;
        }
        self.keep_tail(piece)
    }

    /// Ends the text, which must not end within a character, and is ready for another one.
    pub fn finish(&mut self) -> Result<(), InvalidUtf8> {
        match std::mem::take(&mut self.carry_len) {
            0 => Ok(()),
            _ => Err(InvalidUtf8),
        }
    }

    /// Adds a byte to the incomplete character.
    fn extend_carry(&mut self, byte: u8) -> Result<(), InvalidUtf8> {
        let [a, b, c] = self.carry;
        let (character, len) = match self.carry_len {
            1 => ([a, byte, 0, 0], 2),
            2 => ([a, b, byte, 0], 3),
            _ => ([a, b, c, byte], 4),
        };
        self.keep_tail(&character[..len])
    }

    /// Validates `bytes`, which start with a character, and keeps the incomplete one at their end.
    fn keep_tail(&mut self, bytes: &[u8]) -> Result<(), InvalidUtf8> {
        self.carry_len = 0;
        let Err(error) = str::from_utf8(bytes) else { return Ok(()) };
        if error.error_len().is_some() {
            return Err(InvalidUtf8);
        }
        // No error length: the bytes end within a character that may yet be valid.
        for (kept, byte) in self.carry.iter_mut().zip(&bytes[error.valid_up_to()..]) {
            *kept = *byte;
            self.carry_len += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_pieces(bytes: &[u8], cuts: &[usize]) -> Result<(), InvalidUtf8> {
        let mut text = Utf8Validator::new();
        let mut start = 0;
        for &cut in cuts {
            let end = cut.clamp(start, bytes.len());
            text.push(&bytes[start..end])?;
            start = end;
        }
        text.push(&bytes[start..])?;
        text.finish()
    }

    /// Index of the byte that makes `bytes` invalid, if they cannot be the start of any text.
    fn first_bad_byte(bytes: &[u8]) -> Option<usize> {
        let bad = |len: &usize| matches!(str::from_utf8(&bytes[..*len]), Err(error) if error.error_len().is_some());
        (1..=bytes.len()).find(bad).map(|len| len - 1)
    }

    /// Bytes that are often nearly UTF-8: characters of all lengths, and the bytes at the borders.
    fn nearly_text() -> impl Strategy<Value = Vec<u8>> {
        let character = any::<char>().prop_map(|c| c.to_string().into_bytes());
        let border = prop::sample::select(vec![
            vec![0xc0],
            vec![0xc2],
            vec![0xe0, 0x9f],
            vec![0xed, 0xa0],
            vec![0xf0, 0x8f],
            vec![0xf4, 0x90],
            vec![0xf5],
            vec![0x80],
        ]);
        prop::collection::vec(prop_oneof![8 => character, 1 => border], 0..12)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn text_in_pieces_is_judged_like_the_whole(
            bytes in nearly_text(),
            mut cuts in prop::collection::vec(0_usize..48, 0..8),
        ) {
            cuts.sort_unstable();
            prop_assert_eq!(in_pieces(&bytes, &cuts).is_ok(), str::from_utf8(&bytes).is_ok());
        }

        #[test]
        fn the_first_bad_byte_is_refused_when_it_comes(bytes in nearly_text()) {
            let mut text = Utf8Validator::new();
            let refused = bytes.iter().position(|&byte| text.push(&[byte]).is_err());
            prop_assert_eq!(refused, first_bad_byte(&bytes));
        }
    }

    #[test]
    fn a_validator_can_be_used_again_after_a_text_cut_short() {
        let mut text = Utf8Validator::new();
        assert_eq!(text.push("é".as_bytes().split_at(1).0), Ok(()));
        assert_eq!(text.finish(), Err(InvalidUtf8));
        assert_eq!(text.push(b"e"), Ok(()));
        assert_eq!(text.finish(), Ok(()));
    }
}
