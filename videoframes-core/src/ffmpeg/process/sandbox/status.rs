//! The sandbox that the system offers.

use std::fmt;

use super::SandboxMode;

/// First version of Landlock that also restricts the truncation of files.
const COMPLETE: u32 = 3;

/// The sandbox of ffmpeg and ffprobe on this system.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SandboxStatus {
    /// The requested sandbox.
    pub mode: SandboxMode,
    /// Version of the Landlock interface that restricts access to files, or the reason why it is unavailable.
    pub landlock: Result<u32, String>,
    /// The reason why seccomp is unavailable, which restricts system calls, if it is.
    pub seccomp: Result<(), String>,
}

impl SandboxStatus {
    /// Returns whether children run in every part of the sandbox.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.mode != SandboxMode::Off && self.missing().is_none()
    }

    /// Returns the reasons why parts of the sandbox are unavailable, or `None` if all are available.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let landlock = match &self.landlock {
            Err(reason) => Some(reason.clone()),
            Ok(version) if *version < COMPLETE => Some(format!(
                "Landlock {version} of this kernel is too old ({COMPLETE} is required)"
            )),
            Ok(_) => None,
        };
        let reasons: Vec<String> = landlock.into_iter().chain(self.seccomp.clone().err()).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

impl fmt::Display for SandboxStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mode == SandboxMode::Off {
            return f.write_str("off");
        }
        match (&self.landlock, &self.seccomp) {
            (Ok(version), Ok(())) => write!(f, "Landlock {version}, seccomp"),
            (Ok(version), Err(_)) => write!(f, "Landlock {version}"),
            (Err(_), Ok(())) => f.write_str("seccomp"),
            (Err(_), Err(_)) => f.write_str("resource limits only"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_names_the_enforced_parts() {
        let missing = |text: &str| Err(text.to_owned());
        for (mode, landlock, seccomp, text, complete) in [
            (SandboxMode::Auto, Ok(6), Ok(()), "Landlock 6, seccomp", true),
            (SandboxMode::Require, Ok(6), Ok(()), "Landlock 6, seccomp", true),
            (
                SandboxMode::Auto,
                missing("no Landlock"),
                Ok(()),
                "seccomp",
                false,
            ),
            (
                SandboxMode::Auto,
                Ok(1),
                Err("no seccomp".to_owned()),
                "Landlock 1",
                false,
            ),
            (
                SandboxMode::Auto,
                missing("no Landlock"),
                Err("no seccomp".to_owned()),
                "resource limits only",
                false,
            ),
            (SandboxMode::Auto, Ok(2), Ok(()), "Landlock 2, seccomp", false),
            (SandboxMode::Off, Ok(6), Ok(()), "off", false),
        ] {
            let status = SandboxStatus {
                mode,
                landlock,
                seccomp,
            };
            assert_eq!(
                (status.to_string().as_str(), status.is_complete()),
                (text, complete)
            );
        }
    }
}
