//! The priority of a job.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The priority of a job among the waiting jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Starts after other jobs, but never waits for all of them.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Starts before other jobs.
    High,
}

/// Error for a text that names no [`Priority`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be low, normal or high")]
pub struct UnknownPriority;

impl Priority {
    /// All priorities, lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// Returns the name of the priority in messages and listings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// Returns the position of the priority in rows: the highest priority has the lowest.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn position(self) -> i32 {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }

    /// Returns the priority of a stored row. A priority of a newer version counts as normal.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn stored(position: i32) -> Self {
        let found = Self::ALL.into_iter().find(|each| each.position() == position);
        found.unwrap_or_default()
    }

    /// Returns whether this is the default, which messages leave out.
    #[allow(clippy::trivially_copy_pass_by_ref)] // Required by serde.
    pub(crate) fn is_normal(&self) -> bool {
        *self == Self::Normal
    }
}

impl FromStr for Priority {
    type Err = UnknownPriority;

    fn from_str(name: &str) -> Result<Self, UnknownPriority> {
        let found = Self::ALL.into_iter().find(|each| each.as_str() == name);
        found.ok_or(UnknownPriority)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
