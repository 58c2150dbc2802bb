//! One run of ffmpeg for a compression, and a look at what it has written.

use std::ffi::OsString;
use std::io;

use tokio::sync::watch;

use super::args::{self, Rate};
use super::settings::Settings;
use super::verify;
use crate::compress::{CompressError, CompressProgress, CompressReport, CompressRequest};
use crate::extract::{ExtractError, Surprise};
use crate::ffmpeg::args::Opened;
use crate::ffmpeg::pictures::scan::confirmed;
use crate::ffmpeg::process::decode::{Decode, DecodeCommand, Event};
use crate::ffmpeg::process::interruption::Interruption;
use crate::ffmpeg::process::invocation::Invocation;
use crate::ffmpeg::process::limit::is_of_no_space;
use crate::ffmpeg::process::memory::Workload;
use crate::ffmpeg::process::room;
use crate::limits::TIMELINE_FRAMES;
use crate::units::approximate_seconds;
use crate::video::Timeline;

/// Frames between two looks at the size of the output.
const LOOK_EVERY: usize = 25;

/// Bytes that a file may have above twice its bound before ffmpeg is stopped.
const FILE_ROOM: u64 = 64 << 20;

/// Most frames that are left out by their places.
pub(crate) const UNSEEN: usize = 500;

/// Why a compression ends early.
pub(crate) type Stopped = Interruption<CompressError>;

/// What ffmpeg is run for.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) invocation: Invocation<'a>,
    pub(crate) request: &'a CompressRequest,
    pub(crate) settings: &'a Settings,
    pub(crate) progress: &'a watch::Sender<CompressProgress>,
}

/// The frames that went into an encoder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    pts: Vec<i64>,
    /// Place of the last one among those that were decoded.
    last: u64,
    /// Places of those that another followed at the same time, so that they are never seen.
    pub(crate) unseen: Vec<u64>,
    pub(crate) damage: Option<String>,
    /// Name and version of the encoder.
    pub(crate) encoder: String,
}

impl Frames {
    pub(crate) fn of(timeline: &Timeline) -> Self {
        Self {
            pts: timeline.pts().to_vec(),
            ..Self::default()
        }
    }

    /// One more was decoded, as so many before it. One that goes back in time is never shown.
    pub(crate) fn push(&mut self, place: u64, pts: i64) {
        match self.pts.last() {
            Some(&last) if pts < last => return,
            // What came between lies behind it, and behind what is now the last.
            Some(&last) if pts == last => {
                let room = (UNSEEN + 1).saturating_sub(self.unseen.len());
                self.unseen.extend((self.last..place).take(room));
            }
            _ => self.pts.push(pts),
        }
        self.last = place;
    }

    pub(crate) fn len(&self) -> usize {
        self.pts.len()
    }

    /// The largest number of ticks that every timestamp is a whole number of.
    pub(crate) fn common_tick(&self) -> u32 {
        let common = self
            .pts
            .iter()
            .fold(0, |common, pts| gcd(common, pts.unsigned_abs()));
        u32::try_from(common).unwrap_or(1).max(1)
    }

    /// From the first frame to the end of the last, about.
    pub(crate) fn seconds(&self, settings: &Settings) -> Option<f64> {
        let timeline = self.timeline(settings)?;
        Some(approximate_seconds(timeline.duration()))
    }

    fn timeline(&self, settings: &Settings) -> Option<Timeline> {
        let last = self.pts.last()?;
        let last_duration = settings.ending.and_then(|ending| ending.duration_of(*last));
        Timeline::new(settings.time_base, self.pts.clone(), last_duration)
    }
}

impl Run<'_> {
    /// Encodes the whole source into the output.
    pub(crate) fn encode(&self, rate: Rate) -> Result<Frames, Stopped> {
        let request = self.request;
        let args = args::encode(
            self.opened(),
            self.settings,
            rate,
            &request.workspace,
            &request.output,
        );
        self.watched(args)
    }

    /// The first of two passes.
    pub(crate) fn survey(&self, bits: u64) -> Result<Frames, Stopped> {
        self.watched(args::survey(
            self.opened(),
            self.settings,
            bits,
            &self.request.workspace,
        ))
    }

    /// Copies the streams into the output, and gives who did it.
    pub(crate) fn remux(&self) -> Result<String, Stopped> {
        let args = args::remux(
            self.opened(),
            &self.request.video.codec,
            self.settings,
            &self.request.output,
        );
        Ok(self.watched(args)?.encoder)
    }

    /// How similar the output is to what was encoded.
    pub(crate) fn similarity(&self) -> Result<f64, CompressError> {
        let (similarity, frames) = self.compared(self.settings)?;
        match frames.unseen.is_empty() {
            true => Ok(similarity),
            false => Ok(self.compared(&self.settings.clone().without(&frames.unseen))?.0),
        }
    }

    /// How similar the output is to what `settings` make of the source, and the frames of that.
    fn compared(&self, settings: &Settings) -> Result<(f64, Frames), CompressError> {
        let (mut similarity, mut frames) = (None, Frames::default());
        let mut decode = self.start(args::compare(self.opened(), settings, &self.request.output))?;
        while let Some(event) = decode
            .next()
            .map_err(|error| self.invocation.programs.explain(error))?
        {
            match event {
                Event::Compared(value) => similarity = Some(value),
                Event::Encoded { place, pts, .. } => frames.push(place, pts),
                _ => {}
            }
        }
        let nothing = || ExtractError::DecoderFailed("it compared nothing".to_owned());
        Ok((similarity.ok_or_else(nothing)?, frames))
    }

    fn opened(&self) -> Opened<'_> {
        self.invocation.opened(&self.request.video)
    }

    /// Bytes beyond which no file of ffmpeg's may grow: with room above the bounds that are checked while it
    /// runs, so that those report what is too large.
    pub(crate) fn file_bytes(&self) -> u64 {
        let largest = self.settings.most_bytes.max(self.request.statistics_ceiling);
        largest.saturating_mul(2).saturating_add(FILE_ROOM)
    }

    fn start(&self, args: Vec<OsString>) -> Result<Decode<'_>, CompressError> {
        let workload = Workload::opening(self.invocation.input)
            .decoding(&self.request.video)
            .encoding(self.settings.size);
        let ffmpeg = &self.invocation.programs.ffmpeg;
        let ffmpeg = ffmpeg
            .with_memory(workload.memory(self.invocation.limits))
            .with_files(self.file_bytes());
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
        decode.set_lead_in(lead_in);
        let mut frames = Frames::default();
        loop {
            match decode.next() {
                Ok(Some(Event::Encoded {
                    place,
                    pts,
                    interlaced,
                })) => {
                    if std::mem::take(&mut lead_in) {
                        decode.set_lead_in(false);
                    }
                    frames.push(place, pts);
                    self.look(&frames, interlaced)?;
                    self.progress.send_modify(|progress| progress.frames += 1);
                }
                Ok(Some(Event::Paused)) => {
                    let most = self.settings.longest_pause_s();
                    let text = format!(
                        "the sound pauses for more than {most} s, which is too long to be filled with silence: it can \
                         be copied, or left out"
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

    /// Why ffmpeg failed. Encoders do not say that there is no room for their notes.
    fn failure(&self, error: ExtractError) -> CompressError {
        let full = rustix::fs::statvfs(&self.request.workspace).is_ok_and(|disk| disk.f_bavail == 0);
        match self.invocation.programs.explain(error) {
            ExtractError::DecoderFailed(_) if full => no_space(),
            error => output_or_decoder(error, [self.request]),
        }
    }

    /// The damage that a decode reports. The log proves none where it contains the metadata of the source.
    fn damage(&self, decode: &Decode<'_>) -> Result<Option<String>, ExtractError> {
        let reported = decode.damage(Some(self.invocation.input));
        match self.settings.keep_metadata {
            true => confirmed(reported, self.invocation, &self.request.video),
            false => Ok(reported),
        }
    }

    /// Looks at a frame that is being encoded, and at what has been written so far.
    pub(crate) fn look(&self, frames: &Frames, interlaced: bool) -> Result<(), Stopped> {
        if interlaced && !self.request.deinterlace {
            return Err(Interruption::Surprise(Surprise::Interlaced));
        }
        if frames.len() > TIMELINE_FRAMES {
            let text = format!("the video has more than {TIMELINE_FRAMES} frames");
            return Err(ExtractError::LimitExceeded(text).into());
        }
        match frames.len().is_multiple_of(LOOK_EVERY) {
            true => {
                self.within_ceiling()?;
                Ok(self.notes_within_ceiling()?)
            }
            false => Ok(()),
        }
    }

    /// Removes what an encoder has noted.
    pub(crate) fn forget_notes(&self) -> Result<(), CompressError> {
        for note in std::fs::read_dir(&self.request.workspace).map_err(CompressError::Output)? {
            let removed = note.and_then(|note| std::fs::remove_file(note.path()));
            removed.map_err(CompressError::Output)?;
        }
        Ok(())
    }

    fn notes_within_ceiling(&self) -> Result<(), CompressError> {
        let notes = std::fs::read_dir(&self.request.workspace).into_iter().flatten();
        let sizes = notes.filter_map(|note| Some(note.ok()?.metadata().ok()?.len()));
        match sizes.sum::<u64>() > self.request.statistics_ceiling {
            true => Err(CompressError::StatisticsTooLarge(self.request.statistics_ceiling)),
            false => Ok(()),
        }
    }

    /// So many passes over all frames are to come.
    pub(crate) fn expect_passes(&self, passes: u64) {
        let frames = self.request.frames().saturating_mul(passes);
        self.progress.send_modify(|progress| {
            progress.total = match frames {
                0 => 0,
                frames => progress.frames.saturating_add(frames),
            }
        });
    }

    /// The size of the output so far.
    pub(crate) fn output_size(&self) -> u64 {
        // There is none before ffmpeg opens it.
        self.request.output.metadata().map_or(0, |file| file.len())
    }

    fn within_ceiling(&self) -> Result<(), CompressError> {
        match self.output_size() > self.request.ceiling {
            true => Err(CompressError::TooLarge(self.request.ceiling)),
            false => Ok(()),
        }
    }

    /// What was made of the frames, once a look at the output has found them all.
    pub(crate) fn checked(&self, frames: Frames) -> Result<CompressReport, CompressError> {
        let nothing = || {
            let text = "no frame can be decoded".to_owned();
            CompressError::from(ExtractError::Damaged(frames.damage.clone().unwrap_or(text)))
        };
        let timeline = frames.timeline(self.settings).ok_or_else(nothing)?;
        self.within_ceiling()?;
        let (timeline, size) = verify::look_at(self, timeline)?;
        Ok(CompressReport {
            encoder: frames.encoder,
            timeline,
            size,
            warnings: self.settings.warnings.clone(),
            damage: frames.damage,
        })
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

/// A failure of ffmpeg, told from one of the disk that it wrote the outputs of `requests` to.
pub(crate) fn output_or_decoder<'a>(
    error: ExtractError,
    requests: impl IntoIterator<Item = &'a CompressRequest>,
) -> CompressError {
    let ExtractError::DecoderFailed(said) = &error else {
        return error.into();
    };
    // A file that may grow no further may end its writer by a signal (SIGXFSZ). Where the metadata of the
    // source are in the log, its words count only if our own check agrees.
    let requests: Vec<_> = requests.into_iter().collect();
    let doubtful = requests.iter().any(|request| request.options.keep_metadata);
    let exhausted = || requests.iter().any(|request| room::is_exhausted(&request.output));
    match is_of_no_space(said) && (!doubtful || exhausted()) {
        true => no_space(),
        false => error.into(),
    }
}
