//! A value that is compared but never shown.

use std::fmt;

/// What is shown in place of a secret.
pub(crate) const HIDDEN: &str = "***";

/// A text that neither `Debug` nor the printed configuration reveals.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The secret itself: for comparing, never for showing.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is the secret. The time this takes depends on the lengths only, so that
    /// a remote client cannot guess byte by byte.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let secret = self.0.as_bytes();
        let difference = secret.iter().zip(candidate).fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(difference) == 0 && secret.len() == candidate.len()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let shown = format!("{:?}", Some(Secret::new("hunter2")));
        assert_eq!(shown, "Some(***)");
    }

    #[test]
    fn a_secret_matches_only_all_of_itself() {
        let secret = Secret::new("hunter2");
        assert!(secret.matches(b"hunter2"));
        for wrong in ["", "hunter", "hunter22", "hunter3", "Hunter2"] {
            assert!(!secret.matches(wrong.as_bytes()), "{wrong:?}");
        }
    }
}
