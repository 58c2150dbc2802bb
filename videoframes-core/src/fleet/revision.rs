//! Names of revisions, and shares of a canary.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Maximum length of a name in bytes.
const MAX_LENGTH: usize = 128;

/// The name of a deployed revision of the workers, such as `v1.4.2` or `videoframes-worker:17`.
///
/// Consists of 1 to 128 ASCII letters, digits and `._:/@+-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(Arc<str>);

/// The error of an invalid name of a revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a revision is a name of 1 to 128 letters, digits and '._:/@+-'")]
pub struct InvalidRevision;

impl Revision {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Revision {
    type Err = InvalidRevision;

    fn from_str(name: &str) -> Result<Self, InvalidRevision> {
        let is_valid = |c: char| c.is_ascii_alphanumeric() || "._:/@+-".contains(c);
        match (1..=MAX_LENGTH).contains(&name.len()) && name.chars().all(is_valid) {
            true => Ok(Self(name.into())),
            false => Err(InvalidRevision),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The share of the time in which a canary receives messages, from 1 % to 99 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u8);

/// The error of an invalid share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a share is a whole number from 1% to 99%")]
pub struct InvalidShare;

impl Share {
    /// Returns a share of `percent`.
    ///
    /// # Errors
    /// Returns [`InvalidShare`] outside of 1 to 99.
    pub fn from_percent(percent: u8) -> Result<Self, InvalidShare> {
        match percent {
            1..=99 => Ok(Self(percent)),
            _ => Err(InvalidShare),
        }
    }

    /// Returns the share in per cent.
    pub fn percent(self) -> u8 {
        self.0
    }

    /// Returns whether a canary receives messages in the time slice with this number.
    ///
    /// Of any 100 consecutive slices, a share of `n` per cent receives in `n`, evenly spread.
    pub(crate) fn receives_in(self, slice: u64) -> bool {
        let position = slice % 100 * u64::from(self.0) % 100;
        position + u64::from(self.0) >= 100
    }
}

impl FromStr for Share {
    type Err = InvalidShare;

    fn from_str(text: &str) -> Result<Self, InvalidShare> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Self::from_percent(digits.parse().map_err(|_| InvalidShare)?),
            false => Err(InvalidShare),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_revisions() {
        for name in [
            "v1.4.2",
            "videoframes-worker:17",
            "registry/worker@sha256",
            "a",
            &"x".repeat(128),
        ] {
            assert_eq!(
                name.parse::<Revision>().map(|r| r.to_string()),
                Ok(name.to_owned())
            );
        }
        for name in ["", " ", "a b", "a\nb", "a'b", "ä", &"x".repeat(129)] {
            assert_eq!(name.parse::<Revision>(), Err(InvalidRevision), "{name:?}");
        }
    }

    #[test]
    fn shares_are_whole_per_cent() {
        for (text, percent) in [("1%", 1), ("10%", 10), ("99", 99)] {
            assert_eq!(text.parse::<Share>().map(Share::percent), Ok(percent));
        }
        for text in ["0%", "100%", "1.5%", "+5", "-1", "%", "", "10%%", "256"] {
            assert_eq!(text.parse::<Share>(), Err(InvalidShare), "{text}");
        }
    }

    #[test]
    fn a_canary_receives_in_its_share_of_the_slices_evenly() {
        for percent in 1..=99 {
            let share = Share(percent);
            for start in [0, 7, 1_000_000_007] {
                let open: Vec<u64> = (start..start + 100).filter(|s| share.receives_in(*s)).collect();
                assert_eq!(open.len(), usize::from(percent), "{percent} from {start}");
                let gap = open.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
                assert!(gap <= 100_u64.div_ceil(u64::from(percent)), "{percent}: {gap}");
            }
        }
    }
}
