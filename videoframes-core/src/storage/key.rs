//! Keys of objects.

use std::fmt;
use std::str::FromStr;

use crate::text::printable;

/// The key of an object: components separated by `/`, which are not empty, `.` or `..`.
///
/// Keys contain no control characters or backslashes, and are ordered by their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(String);

/// Error for a text that is not a valid [`ObjectKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not a valid object key", printable(.0))]
pub struct InvalidKey(String);

impl FromStr for ObjectKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |c: char| c.is_control() || c == '\\';
        let good = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(bad);
        if text.len() <= 1024 && text.split('/').all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidKey(text.chars().take(80).collect()))
        }
    }
}

impl ObjectKey {
    /// Returns the key as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last component.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_contain_no_control_characters() {
        for good in ["a/b c.mp4", "ü/日本/🎬.mp4", "a:b?*<>|", "\u{202e}x"] {
            assert!(good.parse::<ObjectKey>().is_ok(), "{good}");
        }
        for bad in [
            "a\u{1b}[2J.zip",
            "a\nb",
            "a\u{7f}",
            "a\u{9b}31m",
            "a\0",
            "a\\b",
            "a//b",
            "../a",
            "",
        ] {
            let error = bad.parse::<ObjectKey>().unwrap_err().to_string();
            assert!(!error.contains(char::is_control), "{error}");
        }
    }
}
