//! The installed programs: their paths, versions and capabilities.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::child::{ChildGroup, Stdin, for_each_line};
use super::limit::{is_no_memory, no_memory};
use super::spawn::Bounds;
use crate::extract::ExtractError;
use crate::limits::{CHILD_FILE_BYTES, MEMORY};

/// Oldest supported version of ffmpeg.
pub const OLDEST_SUPPORTED: (u32, u32) = (5, 1);

/// Maximum time for a query of version or capabilities.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Version of an installed ffmpeg.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// A program with the registry and resource limits of its processes.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) registry: Option<Arc<Path>>,
    pub(crate) bounds: Bounds,
}

impl From<PathBuf> for Program {
    fn from(path: PathBuf) -> Self {
        Self {
            path,
            registry: None,
            bounds: Bounds {
                memory: 2 * MEMORY,
                file: CHILD_FILE_BYTES,
            },
        }
    }
}

impl Program {
    /// Returns the program with this limit for the address space in bytes.
    pub(crate) fn with_memory(&self, bytes: u64) -> Self {
        let mut program = self.clone();
        program.bounds.memory = bytes;
        program
    }

    /// Returns the program with this limit for the size of written files in bytes.
    pub(crate) fn with_files(&self, bytes: u64) -> Self {
        let mut program = self.clone();
        program.bounds.file = bytes;
        program
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) ffmpeg: Program,
    pub(crate) ffprobe: Program,
    version: OnceLock<Version>,
}

impl Programs {
    /// Uses the ffmpeg at `path`, otherwise the ffmpeg in the folder of this program or on the `PATH`. The
    /// ffprobe in the same folder as ffmpeg is preferred to the ffprobe on the `PATH`.
    pub(crate) fn find(path: Option<PathBuf>) -> Self {
        let (ffmpeg, ffprobe) = match path {
            Some(ffmpeg) => {
                let beside = ffmpeg.with_file_name("ffprobe");
                let ffprobe = if beside.is_file() {
                    beside
                } else {
                    ffmpeg_sidecar::ffprobe::ffprobe_path()
                };
                (ffmpeg, ffprobe)
            }
            None => (
                ffmpeg_sidecar::paths::ffmpeg_path(),
                ffmpeg_sidecar::ffprobe::ffprobe_path(),
            ),
        };
        Self {
            ffmpeg: ffmpeg.into(),
            ffprobe: ffprobe.into(),
            version: OnceLock::new(),
        }
    }

    /// Returns the programs with a folder in which their processes are registered.
    pub(crate) fn registered(&self, folder: &Path) -> Self {
        let mut programs = self.clone();
        programs.ffmpeg.registry = Some(folder.into());
        programs.ffprobe.registry = Some(folder.into());
        programs
    }

    /// Returns the version of ffmpeg, which is queried once.
    pub(crate) fn version(&self) -> Result<Version, ExtractError> {
        if let Some(version) = self.version.get() {
            return Ok(version.clone());
        }
        let banner = ask(&self.ffmpeg, &["-version", "-nostdin"])?;
        let version = banner.first().and_then(|line| Version::parse(line));
        let version = version.ok_or_else(|| {
            ExtractError::Unsupported(format!(
                "'{}' does not print its version",
                self.ffmpeg.path.display()
            ))
        })?;
        let version = version.supported()?;
        Ok(self.version.get_or_init(|| version).clone())
    }

    /// Returns the `names` that ffmpeg does not list under `list`, such as `-filters` or `-encoders`.
    pub(crate) fn missing(
        &self,
        list: &str,
        names: &[&'static str],
    ) -> Result<Vec<&'static str>, ExtractError> {
        let lines = ask(&self.ffmpeg, &["-nostdin", "-hide_banner", list])?;
        let has = |name: &str| {
            lines
                .iter()
                .any(|line| line.split_whitespace().nth(1) == Some(name))
        };
        Ok(names.iter().copied().filter(|name| !has(name)).collect())
    }

    /// Replaces a failure by its cause where the cause is known: exhausted memory or an unsupported version.
    pub(crate) fn explain(&self, error: ExtractError) -> ExtractError {
        match error {
            ExtractError::DecoderFailed(said) if is_no_memory(&said) => no_memory(),
            ExtractError::DecoderFailed(_) => match self.version() {
                Err(better @ ExtractError::Unsupported(_)) => better,
                _ => error,
            },
            error => error,
        }
    }
}

/// Runs a program with a short output and returns its lines, within a timeout.
fn ask(program: &Program, question: &[&str]) -> Result<Vec<String>, ExtractError> {
    let mut child = ChildGroup::ffmpeg(program, question.iter().map(Into::into).collect())?;
    child.feed(Stdin::Empty);
    if let Some(stderr) = child.take_stderr() {
        std::thread::spawn(move || for_each_line(stderr, |_| true));
    }
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    if let Some(stdout) = child.take_stdout() {
        std::thread::spawn(move || {
            let mut lines = Vec::new();
            for_each_line(stdout, |line| {
                lines.push(line.to_owned());
                lines.len() < 5000
            });
            let _ = sender.send(lines);
        });
    }
    receiver
        .recv_timeout(VERSION_TIMEOUT)
        .map_err(|_| ExtractError::Stalled(VERSION_TIMEOUT.as_secs()))
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
