//! [`FrameExtractor`] implemented by the installed ffmpeg, version 5.1 to 9.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::capable::capable_of;
use super::deliver::PictureSender;
use super::head::Head;
use super::{planned, scan, whole};
use crate::extract::{
    Decoded, ExtractError, ExtractReport, ExtractRequest, FrameExtractor, Input, Picture, Scan,
};
use crate::ffmpeg::process::blocking::blocking;
use crate::ffmpeg::process::capabilities::{self, Component};
use crate::ffmpeg::process::interruption::Interruption;
use crate::ffmpeg::process::invocation::{BlockingInvocation, Invocation};
use crate::ffmpeg::process::probe::{self, Packets};
use crate::ffmpeg::process::programs::Programs;
use crate::ffmpeg::{SandboxMode, SandboxStatus, Version};
use crate::limits::Limits;
use crate::video::{Described, PacketList, StreamChoice, VideoInfo};

/// Runs `ffmpeg` and `ffprobe` as child processes. The processes end before a call returns, or soon after a call
/// was dropped. On Linux they are killed when this process dies, even by SIGKILL.
#[derive(Debug, Clone)]
pub struct FfmpegExtractor {
    pub(crate) programs: Arc<Programs>,
}

impl Default for FfmpegExtractor {
    fn default() -> Self {
        Self::new(None)
    }
}

impl FfmpegExtractor {
    /// Uses the ffmpeg at `path`, otherwise the ffmpeg in the folder of this program or on the `PATH`. The
    /// ffprobe in the same folder as ffmpeg is preferred to the ffprobe on the `PATH`.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        Self {
            programs: Arc::new(Programs::find(path)),
        }
    }

    /// Registers every running child process by a file in `folder`, for [`crate::ffmpeg::sweep_children`]. The
    /// folder is created on demand. On systems without `/proc` no files are written.
    #[must_use]
    pub fn with_registry(self, folder: impl AsRef<Path>) -> Self {
        Self {
            programs: Arc::new(self.programs.registered(folder.as_ref())),
        }
    }

    /// Decodes pictures with this number of threads. A single thread takes less CPU time, and more threads less wall time.
    /// By default, ffmpeg uses all cores. Clones with different numbers of threads query ffmpeg only once.
    #[must_use]
    pub fn with_threads(self, threads: NonZeroUsize) -> Self {
        Self {
            programs: Arc::new(self.programs.with_threads(threads.get())),
        }
    }

    /// Runs ffmpeg and ffprobe in this sandbox; by default in [`SandboxMode::Auto`].
    #[must_use]
    pub fn with_sandbox(self, mode: SandboxMode) -> Self {
        Self {
            programs: Arc::new(self.programs.sandboxed(mode)),
        }
    }

    /// Returns the sandbox of ffmpeg and ffprobe on this system.
    #[must_use]
    pub fn sandbox(&self) -> SandboxStatus {
        self.programs.ffmpeg.sandbox_status()
    }

    /// Returns the paths of ffmpeg and ffprobe.
    pub fn programs(&self) -> (&Path, &Path) {
        (&self.programs.ffmpeg.path, &self.programs.ffprobe.path)
    }

    /// Returns the version of ffmpeg, which is queried once.
    ///
    /// # Errors
    /// Fails with [`ExtractError::DecoderMissing`] if ffmpeg cannot be started, and with
    /// [`ExtractError::Unsupported`] if the version is below 5.1.
    pub async fn ffmpeg_version(&self) -> Result<Version, ExtractError> {
        self.programs
            .capabilities
            .version(&CancellationToken::new())
            .await
    }

    /// Returns the `names` of components that ffmpeg lacks. All components of a kind are queried once.
    ///
    /// # Errors
    /// Fails with [`ExtractError::DecoderMissing`] if ffmpeg cannot be started.
    pub async fn missing(
        &self,
        component: Component,
        names: &[&'static str],
    ) -> Result<Vec<&'static str>, ExtractError> {
        let capabilities = &self.programs.capabilities;
        capabilities
            .missing(component, names, &CancellationToken::new())
            .await
    }

    /// Returns whether ffprobe can be started.
    pub async fn has_ffprobe(&self) -> bool {
        capabilities::runs(&self.programs.ffprobe).await
    }

    /// Returns the wall time of the fastest of three starts of ffmpeg without a video. Each video takes one to three starts of
    /// ffmpeg and ffprobe.
    ///
    /// # Errors
    /// Fails with [`ExtractError::DecoderMissing`] if ffmpeg cannot be started.
    pub async fn start_time(&self) -> Result<Duration, ExtractError> {
        capabilities::start_time(&self.programs.ffmpeg).await
    }

    fn on(&self, input: &Path, limits: &Limits) -> BlockingInvocation {
        BlockingInvocation::new(&self.programs, input, limits)
    }
}

#[async_trait]
impl FrameExtractor for FfmpegExtractor {
    async fn version(&self) -> Result<String, ExtractError> {
        Ok(format!("ffmpeg {}", self.ffmpeg_version().await?.text))
    }

    async fn describe(
        &self,
        input: &Path,
        stream: Option<StreamChoice>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Described, ExtractError> {
        let call = move |invocation: Invocation<'_>| probe::describe(invocation, stream);
        self.on(input, limits).run(cancel, call).await
    }

    async fn packets(
        &self,
        input: &Path,
        stream: Option<StreamChoice>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<PacketList, ExtractError> {
        let call = move |invocation: Invocation<'_>| {
            let Packets {
                mut list,
                from_keyframe,
            } = probe::packets(invocation, stream)?;
            if let Some(timeline) = from_keyframe {
                let start = timeline.pts()[0];
                let head = Head {
                    invocation,
                    video: &list.described.video,
                };
                if head.is_entry(start)? {
                    list.timeline = Some(timeline);
                    list.described.video.first_keyframe = Some(start);
                }
            }
            Ok(list)
        };
        self.on(input, limits).run(cancel, call).await
    }

    async fn scan(
        &self,
        input: &Path,
        video: &VideoInfo,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Scan, ExtractError> {
        let video = video.clone();
        let call = move |invocation: Invocation<'_>| scan::scan(invocation, &video);
        self.on(input, limits).run(cancel, call).await
    }

    async fn extract(
        &self,
        input: &Input,
        request: ExtractRequest,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<ExtractReport>, ExtractError> {
        let capable = capable_of(&self.programs, request, cancel).await?;
        let (programs, input) = (Arc::clone(&self.programs), input.clone());
        blocking(cancel, move |cancel| {
            let pictures = PictureSender {
                sender: &pictures,
                cancel,
            };
            Interruption::split(match &input {
                Input::File(path) => {
                    let invocation = Invocation {
                        programs: &programs,
                        input: path,
                        limits: &capable.request.limits,
                        cancel,
                    };
                    whole::extract(invocation, &capable, None, pictures)
                }
                Input::Planned(planned) => planned::extract(&programs, planned, &capable, pictures),
            })
        })
        .await
    }
}
