//! [`FrameExtractor`] on an ffmpeg that is installed on the machine, version 5.1 to 9.

mod args;
mod child;
mod decode;
mod log;
mod probe;
mod split;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::child::{ChildGroup, for_each_line};
use self::decode::{Decode, Event};
use super::{ExtractError, ExtractReport, ExtractRequest, FrameExtractor, Picture, Probe, Scan, Tonemap};
use crate::limits::{Limits, TIMELINE_FRAMES};
use crate::video::{TimelineBuilder, VideoInfo};

/// Oldest supported version.
pub const OLDEST_SUPPORTED: (u32, u32) = (5, 1);

/// How long ffmpeg may take to say which version it is.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs `ffmpeg` and `ffprobe` as child processes.
#[derive(Debug, Clone)]
pub struct FfmpegExtractor {
    programs: Arc<Programs>,
}

#[derive(Debug)]
struct Programs {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
    version: OnceLock<Version>,
}

/// What an ffmpeg says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// As printed (`5.1.9-0+deb12u1`).
    pub text: String,
    /// Major and minor number; builds that carry no number count as the newest.
    pub number: (u32, u32),
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
            programs: Arc::new(Programs {
                ffmpeg,
                ffprobe,
                version: OnceLock::new(),
            }),
        }
    }

    /// The ffmpeg and the ffprobe that are run.
    pub fn programs(&self) -> (&Path, &Path) {
        (&self.programs.ffmpeg, &self.programs.ffprobe)
    }

    /// The version of the ffmpeg, or why it cannot be used.
    ///
    /// # Errors
    /// [`ExtractError::DecoderMissing`]; [`ExtractError::Unsupported`] below 5.1.
    pub fn ffmpeg_version(&self) -> Result<Version, ExtractError> {
        if let Some(version) = self.programs.version.get() {
            return Ok(version.clone());
        }
        let banner = self.ask(&["-version"])?;
        let version = banner
            .first()
            .and_then(|line| parse_version(line))
            .ok_or_else(|| {
                ExtractError::Unsupported(format!(
                    "'{}' does not say which version it is",
                    self.programs.ffmpeg.display()
                ))
            })?;
        if version.number < OLDEST_SUPPORTED {
            let (major, minor) = OLDEST_SUPPORTED;
            let text = format!("version {} is older than {major}.{minor}", version.text);
            return Err(ExtractError::Unsupported(text));
        }
        Ok(self.programs.version.get_or_init(|| version).clone())
    }

    /// Which of `names` are missing among ffmpeg's `-filters` or `-encoders`.
    ///
    /// # Errors
    /// [`ExtractError::DecoderMissing`].
    pub fn missing(&self, list: &str, names: &[&'static str]) -> Result<Vec<&'static str>, ExtractError> {
        let lines = self.ask(&[list])?;
        let has = |name: &str| {
            lines
                .iter()
                .any(|line| line.split_whitespace().nth(1) == Some(name))
        };
        Ok(names.iter().copied().filter(|name| !has(name)).collect())
    }

    /// The lines of a short answer, within a time.
    fn ask(&self, question: &[&str]) -> Result<Vec<String>, ExtractError> {
        let args = ["-nostdin", "-hide_banner"]
            .iter()
            .filter(|_| question != ["-version"])
            .chain(question);
        let mut child = ChildGroup::ffmpeg(
            &self.programs.ffmpeg,
            args.map(Into::into)
                .chain(
                    question
                        .iter()
                        .filter(|q| **q == "-version")
                        .map(|_| "-nostdin".into()),
                )
                .collect(),
        )?;
        child.feed(String::new());
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

    fn extract_blocking(
        &self,
        input: &Path,
        request: &ExtractRequest,
        limits: &Limits,
        pictures: &mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<ExtractReport, ExtractError> {
        let version = self.ffmpeg_version()?;
        let (request, warnings) = &self.within_capabilities(request)?;
        if !args::exact_in_double(&request.timeline) {
            return Err(ExtractError::Unsupported(
                "the timestamps are too large to be compared exactly".to_owned(),
            ));
        }
        let mut decode = Decode::start(
            &self.programs.ffmpeg,
            args::extract(input, request, version.number.0),
            Some(args::filter_graph(request)),
            Some(request.picture.format),
            limits.stall,
            cancel,
        )?;
        let mut delivery = Delivery::new(request);
        while let Some(event) = decode.next()? {
            match event {
                Event::Decoded { interlaced: true, .. } if looks_for_interlaced(request) => {
                    return Err(ExtractError::Interlaced);
                }
                Event::Decoded { pts, .. } => delivery.decoded(pts)?,
                Event::Picked { pts } => delivery.picked(pts)?,
                Event::Picture { bytes, width, height } => delivery.picture(bytes, width, height),
            }
            while let Some(picture) = delivery.ready(false)? {
                pictures
                    .blocking_send(picture)
                    .map_err(|_| ExtractError::Cancelled)?;
            }
            if delivery.is_complete() {
                // What lies behind the last pick is not looked at; dropping the decode ends it.
                return Ok(ExtractReport {
                    warnings: warnings.clone(),
                    damage: decode.damage.take(),
                });
            }
        }
        delivery.ended()?;
        while let Some(picture) = delivery.ready(true)? {
            pictures
                .blocking_send(picture)
                .map_err(|_| ExtractError::Cancelled)?;
        }
        if delivery.is_complete() {
            Ok(ExtractReport {
                warnings: warnings.clone(),
                damage: decode.damage.take(),
            })
        } else {
            Err(ExtractError::TimelineMismatch(
                "fewer pictures came than were picked".to_owned(),
            ))
        }
    }

    /// The request as this build of ffmpeg can do it, and what had to be left out.
    ///
    /// # Errors
    /// [`ExtractError::Unsupported`] where leaving something out would not be what was asked.
    fn within_capabilities(
        &self,
        request: &ExtractRequest,
    ) -> Result<(ExtractRequest, Vec<String>), ExtractError> {
        let mut request = request.clone();
        let mut warnings = Vec::new();
        if request.picture.format == super::PictureFormat::Webp
            && !self.missing("-encoders", &["libwebp"])?.is_empty()
        {
            return Err(ExtractError::Unsupported(
                "it has no WebP encoder (libwebp)".to_owned(),
            ));
        }
        if request.picture.tonemap == Tonemap::Auto && request.video.colour.is_hdr() {
            let missing = self.missing("-filters", &["zscale", "tonemap"])?;
            if !missing.is_empty() {
                request.picture.tonemap = Tonemap::Off;
                warnings.push(format!(
                    "the video is HDR and this ffmpeg has no {} filter: the pictures will look washed out",
                    missing.join(" and no ")
                ));
            }
        }
        Ok((request, warnings))
    }

    fn scan_blocking(
        &self,
        input: &Path,
        video: &VideoInfo,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Scan, ExtractError> {
        self.ffmpeg_version()?;
        let mut decode = Decode::start(
            &self.programs.ffmpeg,
            args::scan(input),
            None,
            None,
            limits.stall,
            cancel,
        )?;
        let mut frames = TimelineBuilder::default();
        let mut interlaced_frames = false;
        let outcome = loop {
            match decode.next() {
                Ok(Some(Event::Decoded {
                    pts: Some(pts),
                    duration,
                    interlaced,
                })) => {
                    frames.push(pts, duration);
                    interlaced_frames |= interlaced;
                    if frames.len() > TIMELINE_FRAMES {
                        let text = format!("the video has more than {TIMELINE_FRAMES} frames");
                        return Err(ExtractError::LimitExceeded(text));
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let damage = decode.damage.take();
        if let Err(error) = outcome {
            // An ffmpeg that gives up on damaged input has still said which frames there are.
            if !(matches!(error, ExtractError::DecoderFailed(_)) && damage.is_some() && !frames.is_empty()) {
                return Err(match (error, damage) {
                    (ExtractError::DecoderFailed(_), Some(damage)) => ExtractError::Damaged(damage),
                    (error, _) => error,
                });
            }
        }
        let timeline = frames.finish(video.time_base, None).ok_or_else(|| {
            ExtractError::Damaged(
                damage
                    .clone()
                    .unwrap_or_else(|| "no frame can be decoded".to_owned()),
            )
        })?;
        Ok(Scan {
            timeline,
            interlaced: interlaced_frames,
            damage,
        })
    }
}

fn looks_for_interlaced(request: &ExtractRequest) -> bool {
    request.picture.deinterlace == super::Deinterlace::Auto && !request.deinterlace
}

/// Matches decoded frames, picks and pictures, and lets a picture go only when it is certain: when
/// every frame up to the one behind it was the one that the timeline says.
struct Delivery<'a> {
    request: &'a ExtractRequest,
    seen: TimelineBuilder,
    delivered: usize,
    picked: VecDeque<(usize, bool)>,
    next_pick: usize,
    pictures: VecDeque<Picture>,
}

impl<'a> Delivery<'a> {
    fn new(request: &'a ExtractRequest) -> Self {
        Self {
            request,
            seen: TimelineBuilder::default(),
            delivered: 0,
            picked: VecDeque::new(),
            next_pick: 0,
            pictures: VecDeque::new(),
        }
    }

    fn decoded(&mut self, pts: Option<i64>) -> Result<(), ExtractError> {
        let mismatch = ExtractError::TimelineMismatch;
        let Some(pts) = pts else {
            return Err(mismatch("a frame has no timestamp".to_owned()));
        };
        let before = self.seen.len();
        self.seen.push(pts, None);
        if self.seen.len() > before {
            let expected = self.request.timeline.pts().get(before);
            if expected != Some(&pts) {
                let expected = expected.map_or("no more frames".to_owned(), i64::to_string);
                return Err(mismatch(format!(
                    "frame {before} has timestamp {pts}, the index says {expected}"
                )));
            }
        }
        Ok(())
    }

    fn picked(&mut self, pts: i64) -> Result<(), ExtractError> {
        let wanted = |place: usize| {
            self.request
                .frames
                .get(place)
                .map(|&f| self.request.timeline.pts()[f])
        };
        if wanted(self.next_pick) == Some(pts) {
            self.picked.push_back((self.next_pick, false));
            self.next_pick += 1;
        } else if self.next_pick > 0 && wanted(self.next_pick - 1) == Some(pts) {
            // A second frame with the same timestamp is the one that is displayed.
            self.picked.push_back((self.next_pick - 1, true));
        } else {
            return Err(ExtractError::TimelineMismatch(format!(
                "a frame with timestamp {pts} came unasked"
            )));
        }
        Ok(())
    }

    fn picture(&mut self, bytes: bytes::Bytes, width: u32, height: u32) {
        self.pictures.push_back(Picture {
            frame: 0,
            bytes,
            width,
            height,
        });
    }

    /// The next picture, if it is certain; at the `end` of the stream all are.
    fn ready(&mut self, end: bool) -> Result<Option<Picture>, ExtractError> {
        while let (Some(&(pick, _)), false) = (self.picked.front(), self.pictures.is_empty()) {
            let frame = self.request.frames[pick];
            let certain = end || self.seen.len() > frame + 1;
            if !certain && self.picked.len() < 2 {
                return Ok(None);
            }
            if let Some(&(_, true)) = self.picked.get(1) {
                // Replaced by the next one.
                self.picked.pop_front();
                self.pictures.pop_front();
                continue;
            }
            if !certain {
                return Ok(None);
            }
            self.picked.pop_front();
            self.delivered = pick + 1;
            return Ok(self
                .pictures
                .pop_front()
                .map(|picture| Picture { frame, ..picture }));
        }
        Ok(None)
    }

    fn is_complete(&self) -> bool {
        self.delivered == self.request.frames.len()
    }

    /// At the end of the stream, every frame of the timeline must have come.
    fn ended(&self) -> Result<(), ExtractError> {
        let (came, expected) = (self.seen.len(), self.request.timeline.pts().len());
        if came == expected {
            return Ok(());
        }
        Err(ExtractError::TimelineMismatch(format!(
            "{came} frames came, the index says {expected}"
        )))
    }
}

/// `ffmpeg version n9.0.2-17-g2a57` or `ffmpeg version 5.1.9-0+deb12u1 Copyright …`.
fn parse_version(line: &str) -> Option<Version> {
    let text = line.strip_prefix("ffmpeg version ")?.split_whitespace().next()?;
    let mut digits = text.trim_start_matches('n').split(|c: char| !c.is_ascii_digit());
    let number = match (digits.next().map(str::parse), digits.next().map(str::parse)) {
        (Some(Ok(major)), minor) if !text.starts_with("N-") => {
            (major, minor.and_then(Result::ok).unwrap_or(0))
        }
        _ => (u32::MAX, 0),
    };
    // Builds by date (2026-09-30-git) are new, not version 2026.
    Some(Version {
        text: text.to_owned(),
        number,
    })
}

async fn blocking<T: Send + 'static>(
    cancel: &CancellationToken,
    work: impl FnOnce(&CancellationToken) -> Result<T, ExtractError> + Send + 'static,
) -> Result<T, ExtractError> {
    // A dropped future cancels its work, which kills its children.
    let token = cancel.child_token();
    let _guard = token.clone().drop_guard();
    tokio::task::spawn_blocking(move || work(&token))
        .await
        .map_err(|e| ExtractError::DecoderFailed(e.to_string()))?
}

#[async_trait]
impl FrameExtractor for FfmpegExtractor {
    async fn version(&self) -> Result<String, ExtractError> {
        let this = self.clone();
        let version = blocking(&CancellationToken::new(), move |_| this.ffmpeg_version()).await?;
        Ok(format!("ffmpeg {}", version.text))
    }

    async fn probe(
        &self,
        input: &Path,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Probe, ExtractError> {
        let (this, input, limits) = (self.clone(), input.to_owned(), *limits);
        blocking(cancel, move |cancel| {
            this.ffmpeg_version()?;
            probe::probe(&this.programs.ffprobe, &input, &limits, cancel)
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
        let (this, input, video, limits) = (self.clone(), input.to_owned(), video.clone(), *limits);
        blocking(cancel, move |cancel| {
            this.scan_blocking(&input, &video, &limits, cancel)
        })
        .await
    }

    async fn extract(
        &self,
        input: &Path,
        request: ExtractRequest,
        limits: &Limits,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<ExtractReport, ExtractError> {
        let (this, input, limits) = (self.clone(), input.to_owned(), *limits);
        blocking(cancel, move |cancel| {
            this.extract_blocking(&input, &request, &limits, &pictures, cancel)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases_and_of_builds_without_a_number_are_read() {
        let number = |line| parse_version(line).map(|v| v.number);
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
