//! The installed ffmpeg and ffprobe.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::capabilities::Capabilities;
use super::limit::{is_no_memory, no_memory};
use super::program::Program;
use super::sandbox::SandboxMode;
use super::version::Version;
use crate::extract::ExtractError;

/// The installed ffmpeg and ffprobe.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) ffmpeg: Program,
    pub(crate) ffprobe: Program,
    /// Queried once, also by copies of the programs.
    pub(crate) capabilities: Arc<Capabilities>,
    /// Number of threads of each decoder of pictures; with 0 ffmpeg chooses.
    pub(crate) threads: usize,
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
        Self::new(ffmpeg.into(), ffprobe.into())
    }

    fn new(ffmpeg: Program, ffprobe: Program) -> Self {
        Self {
            capabilities: Arc::new(Capabilities::of(&ffmpeg)),
            ffmpeg,
            ffprobe,
            threads: 0,
        }
    }

    /// Returns the programs with this number of threads of each decoder of pictures.
    pub(crate) fn with_threads(&self, threads: usize) -> Self {
        Self {
            ffmpeg: self.ffmpeg.clone(),
            ffprobe: self.ffprobe.clone(),
            capabilities: Arc::clone(&self.capabilities),
            threads,
        }
    }

    /// Returns the programs with a folder in which their processes are registered.
    pub(crate) fn registered(&self, folder: &Path) -> Self {
        let registered = |program: &Program| Program {
            registry: Some(folder.into()),
            ..program.clone()
        };
        Self::new(registered(&self.ffmpeg), registered(&self.ffprobe)).with_threads(self.threads)
    }

    /// Returns the programs in this sandbox.
    pub(crate) fn sandboxed(&self, mode: SandboxMode) -> Self {
        let sandboxed = |program: &Program| program.with_sandbox(mode);
        Self::new(sandboxed(&self.ffmpeg), sandboxed(&self.ffprobe)).with_threads(self.threads)
    }

    /// Returns the version of ffmpeg. Blocks its thread, which must not be a thread of the runtime.
    pub(crate) fn blocking_version(&self, cancel: &CancellationToken) -> Result<Version, ExtractError> {
        Handle::current().block_on(self.capabilities.version(cancel))
    }

    /// Replaces a failure by its cause where the cause is known: exhausted memory or an unsupported version.
    /// Blocks its thread, which must not be a thread of the runtime.
    pub(crate) fn explain(&self, error: ExtractError, cancel: &CancellationToken) -> ExtractError {
        match error {
            ExtractError::DecoderFailed(said) if is_no_memory(&said) => no_memory(),
            ExtractError::DecoderFailed(_) => match self.blocking_version(cancel) {
                Err(better @ ExtractError::Unsupported(_)) => better,
                _ => error,
            },
            error => error,
        }
    }
}
