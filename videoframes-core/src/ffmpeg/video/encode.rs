//! Runs of ffmpeg for a compression.

use std::ffi::OsString;
use std::io;

use tokio::sync::watch;

use super::args::{self, EncodedOutput, Rate};
use super::settings::{MAX_REPLACED, Settings};
use crate::compress::{CompressError, CompressProgress, CompressRequest};
use crate::extract::{ExtractError, Surprise};
use crate::ffmpeg::args::Opened;
use crate::ffmpeg::pictures::scan::confirmed;
use crate::ffmpeg::process::damage::Part;
use crate::ffmpeg::process::decode::{Decode, DecodeCommand, Event};
use crate::ffmpeg::process::interruption::Interruption;
use crate::ffmpeg::process::invocation::Invocation;
use crate::ffmpeg::process::limit::is_no_space;
use crate::ffmpeg::process::memory::Workload;
use crate::ffmpeg::process::space;
use crate::limits::TIMELINE_FRAMES;
use crate::units::approximate_seconds;
use crate::video::Timeline;

/// Number of frames between two checks of the size of the output.
const FRAMES_PER_CHECK: usize = 25;

/// Number of bytes above twice its limit that a file may reach before the system stops ffmpeg.
const FILE_MARGIN: u64 = 64 << 20;

/// Reason why a compression ends early.
pub(crate) type Stopped = Interruption<CompressError>;

/// One compression with its settings.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) invocation: Invocation<'a>,
    pub(crate) request: &'a CompressRequest,
    pub(crate) settings: &'a Settings,
    pub(crate) progress: &'a watch::Sender<CompressProgress>,
}

/// The frames passed to an encoder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    pts: Vec<i64>,
    /// Index of the last frame among the decoded frames.
    last: u64,
    /// Indices of frames that a later frame with the same timestamp replaces, so that they are not presented.
    pub(crate) replaced: Vec<u64>,
    pub(crate) damage: Option<String>,
    /// Name and version of the encoder.
    pub(crate) encoder: String,
}

impl Frames {
    pub(crate) fn from_timeline(timeline: &Timeline) -> Self {
        Self {
            pts: timeline.pts().to_vec(),
            ..Self::default()
        }
    }

    /// Adds the decoded frame with the given index. A frame that goes back in time is not presented.
    pub(crate) fn push(&mut self, index: u64, pts: i64) {
        match self.pts.last() {
            Some(&last) if pts < last => return,
            // Frames since the last index go back in time; this frame replaces them and the last frame.
            Some(&last) if pts == last => {
                let free = (MAX_REPLACED + 1).saturating_sub(self.replaced.len());
                self.replaced.extend((self.last..index).take(free));
            }
            _ => self.pts.push(pts),
        }
        self.last = index;
    }

    pub(crate) fn len(&self) -> usize {
        self.pts.len()
    }

    /// Returns the greatest common divisor of all timestamps in ticks.
    pub(crate) fn common_tick(&self) -> u32 {
        let common = self
            .pts
            .iter()
            .fold(0, |common, pts| gcd(common, pts.unsigned_abs()));
        u32::try_from(common).unwrap_or(1).max(1)
    }

    /// Returns the approximate duration from the first frame to the end of the last frame.
    pub(crate) fn seconds(&self, settings: &Settings) -> Option<f64> {
        let timeline = self.timeline(settings)?;
        Some(approximate_seconds(timeline.duration()))
    }

    /// Returns the timeline that an output with `settings` presents.
    pub(super) fn timeline(&self, settings: &Settings) -> Option<Timeline> {
        let last = self.pts.last()?;
        let last_duration = settings.ending.and_then(|ending| ending.duration_of(*last));
        Timeline::new(settings.time_base, self.pts.clone(), last_duration)
    }
}

impl Run<'_> {
    /// Encodes the whole source into the output.
    pub(crate) fn encode(&self, rate: Rate) -> Result<Frames, Stopped> {
        let request = self.request;
        let output = EncodedOutput {
            settings: self.settings,
            rate,
            statistics: &request.workspace,
            file: &request.output,
        };
        self.watched(args::encode(self.opened(), &output))
    }

    /// Runs the first of two passes.
    pub(crate) fn first_pass(&self, bits: u64) -> Result<Frames, Stopped> {
        self.watched(args::first_pass(
            self.opened(),
            self.settings,
            bits,
            &self.request.workspace,
        ))
    }

    /// Copies the streams to the output. Returns name and version of the program.
    pub(crate) fn remux(&self) -> Result<String, Stopped> {
        let args = args::remux(
            self.opened(),
            &self.request.video.codec,
            self.settings,
            &self.request.output,
        );
        Ok(self.watched(args)?.encoder)
    }

    /// Returns the similarity of the output to the encoded frames.
    pub(crate) fn similarity(&self) -> Result<f64, CompressError> {
        let (similarity, frames) = self.compared(self.settings)?;
        match frames.replaced.is_empty() {
            true => Ok(similarity),
            false => Ok(self.compared(&self.settings.clone().without(&frames.replaced))?.0),
        }
    }

    /// Returns the similarity of the output to the source encoded with `settings`, and the frames of the source.
    fn compared(&self, settings: &Settings) -> Result<(f64, Frames), CompressError> {
        let (mut similarity, mut frames) = (None, Frames::default());
        let mut decode = self.start(args::compare(self.opened(), settings, &self.request.output))?;
        while let Some(event) = decode.next().map_err(|error| self.invocation.explain(error))? {
            match event {
                Event::Compared(value) => similarity = Some(value),
                Event::Encoded { index, pts, .. } => frames.push(index, pts),
                _ => {}
            }
        }
        let nothing = || ExtractError::DecoderFailed("the comparison has no result".to_owned());
        Ok((similarity.ok_or_else(nothing)?, frames))
    }

    fn opened(&self) -> Opened<'_> {
        self.invocation.opened(&self.request.video)
    }

    /// Returns the maximum size of ffmpeg's files in bytes. The value is above the limits checked during a run,
    /// so that these checks report which file is too large.
    pub(crate) fn file_bytes(&self) -> u64 {
        let largest = self.settings.max_bytes.max(self.request.statistics_ceiling);
        largest.saturating_mul(2).saturating_add(FILE_MARGIN)
    }

    fn start(&self, args: Vec<OsString>) -> Result<Decode<'_>, CompressError> {
        let workload = Workload::opening(self.invocation.input)
            .decoding(&self.request.video)
            .encoding(self.settings.size);
        let ffmpeg = &self.invocation.programs.ffmpeg;
        let ffmpeg = ffmpeg
            .with_memory(workload.memory(self.invocation.limits))
            .with_cpu_of(self.invocation.limits)
            .with_files(self.file_bytes())
            .with_folder(&self.request.workspace);
        let stall = self.invocation.limits.stall;
        let mut decode = Decode::start(&ffmpeg, DecodeCommand::new(args), stall, self.invocation.cancel)?;
        decode.watch_file(&self.request.output);
        if self.settings.keep_metadata {
            decode.doubt_log();
        }
        Ok(decode)
    }

    fn watched(&self, args: Vec<OsString>) -> Result<Frames, Stopped> {
        let mut decode = self.start(args)?;
        let mut lead_in = self.request.video.first_keyframe.is_some();
        if lead_in {
            decode.begin(Part::Head);
        }
        let mut frames = Frames::default();
        loop {
            match decode.next() {
                Ok(Some(Event::Encoded {
                    index,
                    pts,
                    interlaced,
                })) => {
                    if std::mem::take(&mut lead_in) {
                        decode.begin(Part::Requested);
                    }
                    frames.push(index, pts);
                    self.check_frame(&frames, interlaced)?;
                    self.progress.send_modify(|progress| progress.frames += 1);
                }
                Ok(Some(Event::Paused)) => {
                    let max = self.settings.max_pause_s();
                    let text = format!(
                        "the audio pauses for more than {max} s, which is too long to fill with silence: copy the \
                         audio or leave it out"
                    );
                    return Err(CompressError::NotHeld(text).into());
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return Err(self.failure(error).into()),
            }
        }
        frames.damage = self.damage(&decode)?;
        frames.encoder = format!("ffmpeg {}", decode.version());
        Ok(frames)
    }

    /// Converts a failure of ffmpeg. Encoders do not report a lack of space for their statistics.
    fn failure(&self, error: ExtractError) -> CompressError {
        let full = rustix::fs::statvfs(&self.request.workspace).is_ok_and(|disk| disk.f_bavail == 0);
        match self.invocation.explain(error) {
            ExtractError::DecoderFailed(_) if full => no_space(),
            error => output_or_decoder(error, [self.request]),
        }
    }

    /// Returns the damage that a decode reported. If the log contains the metadata of the source, a scan has to
    /// confirm the damage.
    fn damage(&self, decode: &Decode<'_>) -> Result<Option<String>, ExtractError> {
        let reported = decode.damage(Some(self.invocation.input));
        match self.settings.keep_metadata {
            true => confirmed(reported, self.invocation, &self.request.video),
            false => Ok(reported),
        }
    }

    /// Checks a frame that is being encoded, and the size of the files written so far.
    pub(crate) fn check_frame(&self, frames: &Frames, interlaced: bool) -> Result<(), Stopped> {
        if interlaced && !self.request.deinterlace {
            return Err(Interruption::Surprise(Surprise::Interlaced));
        }
        if frames.len() > TIMELINE_FRAMES {
            let text = format!("the video has more than {TIMELINE_FRAMES} frames");
            return Err(ExtractError::LimitExceeded(text).into());
        }
        match frames.len().is_multiple_of(FRAMES_PER_CHECK) {
            true => {
                self.check_output_size()?;
                Ok(self.check_statistics_size()?)
            }
            false => Ok(()),
        }
    }

    /// Removes the statistics of an encoder.
    pub(crate) fn remove_statistics(&self) -> Result<(), CompressError> {
        for file in std::fs::read_dir(&self.request.workspace).map_err(CompressError::Output)? {
            let removed = file.and_then(|file| std::fs::remove_file(file.path()));
            removed.map_err(CompressError::Output)?;
        }
        Ok(())
    }

    fn check_statistics_size(&self) -> Result<(), CompressError> {
        let files = std::fs::read_dir(&self.request.workspace).into_iter().flatten();
        let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
        match sizes.sum::<u64>() > self.request.statistics_ceiling {
            true => Err(CompressError::StatisticsTooLarge(self.request.statistics_ceiling)),
            false => Ok(()),
        }
    }

    /// Adds the frames of this number of passes to the total of the progress.
    pub(crate) fn expect_passes(&self, passes: u64) {
        let frames = self.request.frames().saturating_mul(passes);
        self.progress.send_modify(|progress| {
            progress.total = match frames {
                0 => 0,
                frames => progress.frames.saturating_add(frames),
            }
        });
    }

    /// Returns the current size of the output.
    pub(crate) fn output_size(&self) -> u64 {
        // The file does not exist before ffmpeg opens it.
        self.request.output.metadata().map_or(0, |file| file.len())
    }

    /// Fails if the output is larger than its limit.
    pub(super) fn check_output_size(&self) -> Result<(), CompressError> {
        match self.output_size() > self.request.ceiling {
            true => Err(CompressError::TooLarge(self.request.ceiling)),
            false => Ok(()),
        }
    }
}

fn no_space() -> CompressError {
    CompressError::Output(io::Error::new(io::ErrorKind::StorageFull, "no space is left"))
}

fn gcd(a: u64, b: u64) -> u64 {
    match b {
        0 => a,
        b => gcd(b, a % b),
    }
}

/// Converts a failure of ffmpeg. A full disk of the outputs of `requests` becomes an error of the output.
pub(crate) fn output_or_decoder<'a>(
    error: ExtractError,
    requests: impl IntoIterator<Item = &'a CompressRequest>,
) -> CompressError {
    let ExtractError::DecoderFailed(said) = &error else {
        return error.into();
    };
    // Exceeding the maximum file size may kill the writer by a signal (SIGXFSZ). If the log contains the metadata
    // of the source, its messages count only if our own check agrees.
    let requests: Vec<_> = requests.into_iter().collect();
    let doubtful = requests.iter().any(|request| request.options.keep_metadata);
    let exhausted = || {
        requests
            .iter()
            .any(|request| space::is_exhausted(&request.output))
    };
    match is_no_space(said) && (!doubtful || exhausted()) {
        true => no_space(),
        false => error.into(),
    }
}
