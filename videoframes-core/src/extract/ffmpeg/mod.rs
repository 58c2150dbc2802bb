//! [`FrameExtractor`] on an ffmpeg that is installed on the machine, version 5.1 to 9.

mod args;
mod feed;
mod head;
pub(crate) mod plain;
mod planned;
pub(crate) mod scan;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    ExtractError, ExtractReport, ExtractRequest, FrameExtractor, Input, Picture, PictureFormat, Promise,
    Scan, Tonemap,
};
use crate::ffmpeg::filters::{input_matrix, unknown_matrix};
use crate::ffmpeg::program::Programs;
pub use crate::ffmpeg::program::{OLDEST_SUPPORTED, Version};
pub use crate::ffmpeg::registry::sweep_children;
pub use crate::ffmpeg::spawn::protect_secrets;
use crate::ffmpeg::{blocking, probe};
use crate::limits::Limits;
use crate::video::{Described, StreamChoice, VideoInfo};

/// Runs `ffmpeg` and `ffprobe` as child processes. They are gone when a call returns or soon after it
/// was dropped, and on Linux they die with this process, even if it is killed.
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
    /// With the ffmpeg at `path`, or the one found beside this program or on the `PATH`. ffprobe is
    /// the one beside it, else the one on the `PATH`.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self {
            programs: Arc::new(Programs::find(path)),
        }
    }

    /// The same, with every child registered by a file in `folder` while it lives, for
    /// [`sweep_children`]. The folder is made when it is needed. Where there is no `/proc` no file is
    /// left.
    pub fn with_registry(self, folder: impl AsRef<Path>) -> Self {
        Self {
            programs: Arc::new(self.programs.registered(folder.as_ref())),
        }
    }

    /// The ffmpeg and the ffprobe that are run.
    pub fn programs(&self) -> (&Path, &Path) {
        (&self.programs.ffmpeg.path, &self.programs.ffprobe.path)
    }

    /// The version of the ffmpeg, or why it cannot be used.
    ///
    /// # Errors
    /// [`ExtractError::DecoderMissing`]; [`ExtractError::Unsupported`] below 5.1.
    pub fn ffmpeg_version(&self) -> Result<Version, ExtractError> {
        self.programs.version()
    }

    /// Which of `names` are missing among ffmpeg's `-filters` or `-encoders`.
    ///
    /// # Errors
    /// [`ExtractError::DecoderMissing`].
    pub fn missing(&self, list: &str, names: &[&'static str]) -> Result<Vec<&'static str>, ExtractError> {
        self.programs.missing(list, names)
    }
}

/// Hands a picture on. Ends when it is not wanted any more: whoever takes pictures may have stopped
/// without closing the channel, and a decoder must not wait for that.
fn deliver(
    pictures: &mpsc::Sender<Picture>,
    picture: Picture,
    cancel: &CancellationToken,
) -> Result<(), ExtractError> {
    Handle::current().block_on(async {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ExtractError::Cancelled),
            sent = pictures.send(picture) => sent.map_err(|_| ExtractError::Cancelled),
        }
    })
}

/// The request as this build of ffmpeg can do it, and what had to be left out.
///
/// # Errors
/// [`ExtractError::Unsupported`] where leaving something out would not be what was asked.
fn capable_of(
    programs: &Programs,
    request: &ExtractRequest,
) -> Result<(ExtractRequest, Vec<String>), ExtractError> {
    let mut request = request.clone();
    let mut warnings = Vec::new();
    if request.picture.format == PictureFormat::Webp
        && !programs.missing("-encoders", &["libwebp"])?.is_empty()
    {
        return Err(ExtractError::Unsupported(
            "it has no WebP encoder (libwebp)".to_owned(),
        ));
    }
    if request.picture.tonemap == Tonemap::Auto && request.video.colour.is_hdr() {
        let missing = programs.missing("-filters", &["zscale", "tonemap"])?;
        if !missing.is_empty() {
            request.picture.tonemap = Tonemap::Off;
            warnings.push(format!(
                "the video is HDR and this ffmpeg has no {} filter: the pictures will look washed out",
                missing.join(" and no ")
            ));
        }
    }
    if let Some(decoder) = args::alpha_decoder(&request.video)
        && !programs.missing("-decoders", &[decoder])?.is_empty()
    {
        request.video.alpha = false;
        warnings.push(format!(
            "this ffmpeg has no decoder {decoder}: the alpha channel is left out"
        ));
    }
    let tonemaps = request.picture.tonemap == Tonemap::Auto && request.video.colour.is_hdr();
    if request.video.alpha && tonemaps {
        warnings.push("HDR is mapped to SDR without the alpha channel, which is left out".to_owned());
    }
    if let (Some(matrix), false) = (unknown_matrix(&request.video), tonemaps) {
        let instead = input_matrix(&request.video);
        warnings.push(format!(
            "the video says that its colours are {matrix}, which is not known here: they are taken for {instead}"
        ));
    }
    Ok((request, warnings))
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
        let (programs, input, limits) = (Arc::clone(&self.programs), input.to_owned(), *limits);
        blocking(cancel, move |cancel| {
            probe::describe(&programs.ffprobe, &input, stream, &limits, cancel)
        })
        .await
    }

    async fn promise(
        &self,
        input: &Path,
        video: &VideoInfo,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Option<Promise>, ExtractError> {
        let (programs, input) = (Arc::clone(&self.programs), input.to_owned());
        let (video, limits) = (video.clone(), *limits);
        blocking(cancel, move |cancel| {
            let packets = probe::packets(&programs.ffprobe, &input, &video, &limits, cancel)?;
            if let Some(timeline) = packets.from_keyframe {
                let start = timeline.pts()[0];
                let head = head::Head {
                    programs: &programs,
                    input: &input,
                    video: &video,
                    limits: &limits,
                    cancel,
                };
                if head.is_entry(start)? {
                    return Ok(Some(Promise {
                        timeline,
                        first_keyframe: Some(start),
                    }));
                }
            }
            Ok(packets.all.map(Promise::from))
        })
        .await
    }

    async fn scan(
        &self,
        input: &Path,
        video: &VideoInfo,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Scan, ExtractError> {
        let (programs, input) = (Arc::clone(&self.programs), input.to_owned());
        let (video, limits) = (video.clone(), *limits);
        blocking(cancel, move |cancel| {
            scan::scan(&programs, &input, &video, &limits, cancel)
        })
        .await
    }

    async fn extract(
        &self,
        input: &Input,
        request: ExtractRequest,
        limits: &Limits,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<ExtractReport, ExtractError> {
        let (programs, input, limits) = (Arc::clone(&self.programs), input.clone(), *limits);
        blocking(cancel, move |cancel| match &input {
            Input::File(path) => plain::extract(&programs, path, &request, None, &limits, &pictures, cancel),
            Input::Planned(planned) => {
                planned::extract(&programs, planned, &request, &limits, &pictures, cancel)
            }
        })
        .await
    }
}
