//! Versions of ffmpeg.

use crate::extract::ExtractError;

/// Oldest supported version of ffmpeg.
pub const OLDEST_SUPPORTED: (u32, u32) = (5, 1);

/// Version of an installed ffmpeg.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// Version as printed (`5.1.9-0+deb12u1`).
    pub text: String,
    /// Major and minor number. Builds without a number count as the newest version.
    pub number: (u32, u32),
}

impl Version {
    /// Parses `ffmpeg version n9.0.2-17-g2a57` or `ffmpeg version 5.1.9-0+deb12u1 Copyright …`.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let text = line.strip_prefix("ffmpeg version ")?.split_whitespace().next()?;
        let mut digits = text.trim_start_matches('n').split(|c: char| !c.is_ascii_digit());
        let number = match (digits.next().map(str::parse), digits.next().map(str::parse)) {
            (Some(Ok(major)), minor) if !text.starts_with("N-") => {
                (major, minor.and_then(Result::ok).unwrap_or(0))
            }
            _ => (u32::MAX, 0),
        };
        // A dated build (2026-09-30-git) is a new build, not version 2026.
        Some(Self {
            text: text.to_owned(),
            number,
        })
    }

    pub(crate) fn supported(self) -> Result<Self, ExtractError> {
        if self.number < OLDEST_SUPPORTED {
            let (major, minor) = OLDEST_SUPPORTED;
            let text = format!("version {} is older than {major}.{minor}", self.text);
            return Err(ExtractError::Unsupported(text));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_versions_of_releases_and_unnumbered_builds() {
        let number = |line| Version::parse(line).map(|v| v.number);
        assert_eq!(
            number("ffmpeg version 5.1.9-0+deb12u1 Copyright (c)"),
            Some((5, 1))
        );
        assert_eq!(
            number("ffmpeg version n9.0.2-17-g2a571b6068-20260930 Copyright"),
            Some((9, 0))
        );
        assert_eq!(number("ffmpeg version 9.0 Copyright"), Some((9, 0)));
        assert_eq!(
            number("ffmpeg version N-119000-gabcdef Copyright"),
            Some((u32::MAX, 0))
        );
        assert_eq!(number("something else"), None);
    }
}
