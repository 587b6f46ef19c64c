//! Paths that clients ask for.

use std::error::Error;
use std::fmt;

use crate::kind::{Kind, UrlPath};

/// Why no client would ask for a path as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError(String);

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for PathError {}

/// Checks a path by the rules of `websocket.path`: it begins with `/`, and stands as a client
/// writes it into its request line (RFC 3986 section 3.3).
///
/// # Errors
/// Says what was expected and what was found.
pub fn check_path(path: &str) -> Result<(), PathError> {
    let refusals = UrlPath.check(&path.to_owned());
    refusals.first().map_or(Ok(()), |refusal| Err(PathError(refusal.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_nobody_asks_for_is_refused_with_what_is_wrong() {
        assert_eq!(check_path("/feed"), Ok(()));
        let error = check_path("feed").unwrap_err();
        assert_eq!(error.to_string(), "expected a path that begins with \"/\", got \"feed\"");
    }
}
