//! [`FrameExtractor`] implemented by the installed ffmpeg, version 5.1 to 9.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::deliver::PictureSender;
use super::head::Head;
use super::{planned, scan, whole};
use crate::extract::{
    Decoded, ExtractError, ExtractReport, ExtractRequest, FrameExtractor, Input, PacketTimeline, Picture,
    Scan,
};
use crate::ffmpeg::Version;
use crate::ffmpeg::process::blocking::blocking;
use crate::ffmpeg::process::interruption::Interruption;
use crate::ffmpeg::process::invocation::Invocation;
use crate::ffmpeg::process::probe;
use crate::ffmpeg::process::program::Programs;
use crate::limits::Limits;
use crate::video::{Described, StreamChoice, VideoInfo};

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
    pub fn new(path: Option<PathBuf>) -> Self {
        Self {
            programs: Arc::new(Programs::find(path)),
        }
    }

    /// Registers every running child process by a file in `folder`, for [`crate::ffmpeg::sweep_children`]. The
    /// folder is created on demand. On systems without `/proc` no files are written.
    pub fn with_registry(self, folder: impl AsRef<Path>) -> Self {
        Self {
            programs: Arc::new(self.programs.registered(folder.as_ref())),
        }
    }

    /// Returns the paths of ffmpeg and ffprobe.
    pub fn programs(&self) -> (&Path, &Path) {
        (&self.programs.ffmpeg.path, &self.programs.ffprobe.path)
    }

    /// Returns the version of ffmpeg.
    ///
    /// # Errors
    /// Fails with [`ExtractError::DecoderMissing`] if ffmpeg cannot be started, and with
    /// [`ExtractError::Unsupported`] if the version is below 5.1.
    pub fn ffmpeg_version(&self) -> Result<Version, ExtractError> {
        self.programs.version()
    }

    /// Returns the `names` that ffmpeg does not list under `list`, such as `-filters` or `-encoders`.
    ///
    /// # Errors
    /// Fails with [`ExtractError::DecoderMissing`] if ffmpeg cannot be started.
    pub fn missing(&self, list: &str, names: &[&'static str]) -> Result<Vec<&'static str>, ExtractError> {
        self.programs.missing(list, names)
    }

    /// Runs `call` on a thread for blocking work.
    async fn invoke<T: Send + 'static>(
        &self,
        input: &Path,
        limits: &Limits,
        cancel: &CancellationToken,
        call: impl FnOnce(Invocation<'_>) -> Result<T, ExtractError> + Send + 'static,
    ) -> Result<T, ExtractError> {
        let (programs, input, limits) = (Arc::clone(&self.programs), input.to_owned(), *limits);
        blocking(cancel, move |cancel| {
            call(Invocation {
                programs: &programs,
                input: &input,
                limits: &limits,
                cancel,
            })
        })
        .await
    }
}

#[async_trait]
impl FrameExtractor for FfmpegExtractor {
    async fn version(&self) -> Result<String, ExtractError> {
        let programs = Arc::clone(&self.programs);
        let version = blocking(&CancellationToken::new(), move |_| programs.version()).await?;
        Ok(format!("ffmpeg {}", version.text))
    }

    async fn describe(
        &self,
        input: &Path,
        stream: Option<StreamChoice>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Described, ExtractError> {
        let call = move |invocation: Invocation<'_>| probe::describe(invocation, stream);
        self.invoke(input, limits, cancel, call).await
    }

    async fn packet_timeline(
        &self,
        input: &Path,
        video: &VideoInfo,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Option<PacketTimeline>, ExtractError> {
        let video = video.clone();
        let call = move |invocation: Invocation<'_>| {
            let packets = probe::packets(invocation, &video)?;
            if let Some(timeline) = packets.from_keyframe {
                let start = timeline.pts()[0];
                let head = Head {
                    invocation,
                    video: &video,
                };
                if head.is_entry(start)? {
                    return Ok(Some(PacketTimeline {
                        timeline,
                        first_keyframe: Some(start),
                    }));
                }
            }
            Ok(packets.all.map(PacketTimeline::from))
        };
        self.invoke(input, limits, cancel, call).await
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
        self.invoke(input, limits, cancel, call).await
    }

    async fn extract(
        &self,
        input: &Input,
        request: ExtractRequest,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<ExtractReport>, ExtractError> {
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
                        limits: &request.limits,
                        cancel,
                    };
                    whole::extract(invocation, &request, None, pictures)
                }
                Input::Planned(planned) => planned::extract(&programs, planned, &request, pictures),
            })
        })
        .await
    }
}
