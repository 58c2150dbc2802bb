//! The requested sandbox.

use std::fmt;
use std::str::FromStr;

/// Whether ffmpeg and ffprobe run in a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SandboxMode {
    /// In the complete sandbox. If the system lacks a part of it, no process starts.
    Require,
    /// In the parts of the sandbox that the system offers. An ffmpeg that is a script may start other programs.
    #[default]
    Auto,
    /// Without a sandbox. Resource limits still apply.
    Off,
}

impl SandboxMode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Require, Self::Auto, Self::Off];

    /// Returns the name of the mode in options.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::Auto => "auto",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for SandboxMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no [`SandboxMode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox is require, auto or off")]
#[non_exhaustive]
pub struct UnknownSandboxMode;

impl FromStr for SandboxMode {
    type Err = UnknownSandboxMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |mode: &Self| mode.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or(UnknownSandboxMode)
    }
}
