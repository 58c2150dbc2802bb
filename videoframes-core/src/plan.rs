//! Selection of the samples that have to be decoded for requested frames. Pure.

use std::fmt;
use std::ops::Range;

use crate::video::{Coding, NoIndex, Sample, Track, VideoIndex, references};

/// Reason why single samples of a video cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPlannable {
    /// The source has no usable index.
    #[error(transparent)]
    NoIndex(#[from] NoIndex),
    /// The decoded frames differ from those of the index.
    #[error("the decoded frames differ from the index")]
    IndexMismatch,
    /// An earlier plan for the source failed.
    #[error("{0}")]
    PlanFailed(String),
    /// Deinterlacing needs the neighbours of every frame.
    #[error("deinterlacing needs the neighbours of every frame")]
    Deinterlaced,
    /// The structure of the stream does not allow samples to be left out.
    #[error("{0}")]
    Structure(&'static str),
}

/// Reason for decoding a whole file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WholeFileReason {
    /// The request demands the whole file.
    #[error("the request demands the whole file")]
    Requested,
    /// Single samples cannot be decoded.
    #[error(transparent)]
    NotPlannable(#[from] NotPlannable),
    /// A plan would save next to nothing.
    #[error("nearly all samples are needed")]
    NotWorthwhile,
}

/// A range of samples that is decoded from a sync sample up to the last needed frame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// Samples in decode order, as indices into [`VideoIndex::samples`].
    pub samples: Range<usize>,
    /// Frames of the run, as indices into the list of planned frames.
    pub frames: Range<usize>,
}

/// The samples that are decoded for a list of frames.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodePlan {
    /// The runs, in order.
    pub runs: Vec<Run>,
    /// Number of samples in the runs: the maximum number of decoded samples. Which of them the frames need is known only
    /// from their bytes, when the samples are read.
    pub samples: usize,
    /// Size of these samples in bytes.
    pub bytes: u64,
    /// Number of samples from the start of the file up to the last needed sample, in decode order.
    pub samples_from_start: usize,
}

/// Selection of the samples to decode for an extraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Strategy {
    /// Chooses the cheaper strategy.
    #[default]
    Auto,
    /// All samples from the start of the file up to the last needed frame.
    Plain,
    /// The needed samples only.
    Planned,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Plain => "plain",
            Self::Planned => "planned",
        })
    }
}

/// Minimum number of frames of a run that is split from the next run. Each run may need a new decoder, whose start takes
/// the time of some frames.
const SPLIT_FRAMES: usize = 32;

impl DecodePlan {
    /// Plans the decode of `frames`, strictly increasing indices into the timeline of the index.
    ///
    /// # Errors
    /// Fails if the structure of the stream does not allow samples to be left out.
    pub fn new(index: &VideoIndex, frames: &[usize]) -> Result<Self, NotPlannable> {
        Self::for_decoders(1, index, frames)
    }

    /// Plans the decode of `frames`, as [`DecodePlan::new`] does, by several concurrent `decoders`. Runs that span several
    /// groups of pictures are split.
    ///
    /// # Errors
    /// Fails if the index does not allow a plan.
    pub fn for_decoders(decoders: usize, index: &VideoIndex, frames: &[usize]) -> Result<Self, NotPlannable> {
        if let Some(reason) = index.not_plannable {
            return Err(NotPlannable::Structure(reason));
        }
        let mut plan = Self {
            runs: Vec::new(),
            samples: 0,
            bytes: 0,
            samples_from_start: 0,
        };
        let groups = Groups::new(index);
        // Start of the group of the last frame.
        let mut group = 0;
        for (position, sample) in needed(index, frames).into_iter().enumerate() {
            let start = groups.start_for(index, sample)?;
            if index.gaps.iter().any(|&gap| start < gap && gap <= sample) {
                let reason = "samples before a frame are not listed";
                return Err(NotPlannable::Structure(reason));
            }
            // Groups on both sides of a gap are not adjacent.
            let is_adjacent = |end: usize| start < end || (start == end && !index.gaps.contains(&start));
            match plan.runs.last_mut() {
                Some(last) if start < last.samples.start => {
                    let reason = "frames are out of order across sync samples";
                    return Err(NotPlannable::Structure(reason));
                }
                // The same group, an adjacent group that is not split from it, or a frame before its sync sample, which
                // needs the previous group.
                Some(last)
                    if is_adjacent(last.samples.end)
                        && (decoders == 1 || start == group || last.frames.len() < SPLIT_FRAMES) =>
                {
                    last.samples.end = last.samples.end.max(sample + 1);
                    last.frames.end = position + 1;
                }
                _ => plan.runs.push(Run {
                    samples: start..sample + 1,
                    frames: position..position + 1,
                }),
            }
            group = start;
        }
        for run in &plan.runs {
            let samples = &index.samples[run.samples.clone()];
            plan.samples += samples.len();
            plan.bytes += samples.iter().map(|sample| u64::from(sample.size)).sum::<u64>();
        }
        plan.samples_from_start = plan.runs.last().map_or(0, |run| run.samples.end);
        Ok(plan)
    }

    /// Returns whether the plan saves enough compared to decoding from the start. A plan may skip samples that
    /// are not read. If the coding allows inspection, the plan may also skip many samples to which no needed sample
    /// refers.
    pub(crate) fn is_worthwhile(&self, index: &VideoIndex, decoders: usize) -> bool {
        if decoders > 1 && self.runs.len() > decoders {
            return true;
        }
        let frames = self.runs.last().map_or(0, |run| run.frames.end);
        // Feeding costs a copy of the bytes, and decoding costs far more, so that savings of a few per cent are
        // enough.
        self.samples * 20 <= self.samples_from_start * 19
            || (is_inspected(&index.track) && frames * 2 <= self.samples)
    }
}

/// Returns whether samples to which no needed sample refers are left out.
fn is_inspected(track: &Track) -> bool {
    track.coding != Coding::Opaque || references::configuration(track).is_some()
}

/// Returns the index of the sample of each frame.
fn needed(index: &VideoIndex, frames: &[usize]) -> Vec<usize> {
    let mut samples = vec![usize::MAX; frames.len()];
    for (position, sample) in index.samples.iter().enumerate() {
        if let Some(wanted) = index
            .frame_of(sample)
            .and_then(|frame| frames.binary_search(&frame).ok())
        {
            samples[wanted] = position;
        }
    }
    samples
}

/// The sync samples. Each starts a group of pictures.
struct Groups {
    starts: Vec<usize>,
}

impl Groups {
    fn new(index: &VideoIndex) -> Self {
        let starts = index.samples.iter().enumerate();
        Self {
            starts: starts
                .filter(|(_, s)| s.sync)
                .map(|(position, _)| position)
                .collect(),
        }
    }

    /// Returns the index at which decoding has to start for a correct `sample`.
    fn start_for(&self, index: &VideoIndex, sample: usize) -> Result<usize, NotPlannable> {
        let group = self.starts.partition_point(|&start| start <= sample);
        let shown_after = |start: &Sample| start.order <= index.samples[sample].order;
        self.starts[..group]
            .iter()
            .rev()
            .copied()
            .find(|&start| shown_after(&index.samples[start]))
            .ok_or(NotPlannable::Structure("a frame precedes the first sync sample"))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::units::TimeBase;
    use crate::video::{Packaging, Timeline};

    /// Returns an index of samples in decode order, given by presentation order and whether they are sync
    /// samples.
    fn index(samples: &[(u32, bool)]) -> VideoIndex {
        let count = samples.len() as i64;
        VideoIndex {
            stream: 0,
            streams: Vec::new(),
            video: None,
            timeline: Timeline::new(TimeBase::new(1, 1).unwrap(), (0..count).collect(), Some(1)).unwrap(),
            edited: None,
            samples: samples
                .iter()
                .map(|&(order, sync)| Sample {
                    offset: 0,
                    size: 10,
                    order,
                    sync,
                })
                .collect(),
            first_presented: 0,
            gaps: Vec::new(),
            track: Track {
                coding: Coding::Opaque,
                sample_description: Bytes::new(),
                size: (16, 16),
                packaging: Packaging::Bare,
            },
            not_plannable: None,
        }
    }

    #[test]
    fn no_run_spans_a_gap() {
        let samples = [
            (0, true),
            (1, false),
            (2, true),
            (3, false),
            (4, true),
            (5, false),
        ];
        let mut index = index(&samples);
        let runs = |index: &VideoIndex, frames: &[usize]| {
            let runs = DecodePlan::new(index, frames)?.runs.into_iter();
            Ok::<_, NotPlannable>(
                runs.map(|run| (run.samples.start, run.samples.end))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(runs(&index, &[1, 3]).unwrap(), [(0, 4)]);
        index.gaps = vec![2];
        assert_eq!(runs(&index, &[1, 3]).unwrap(), [(0, 2), (2, 4)], "not adjacent");
        assert_eq!(runs(&index, &[3, 5]).unwrap(), [(2, 6)]);
        index.gaps = vec![3];
        assert!(
            runs(&index, &[3]).is_err(),
            "the samples from 2 to 3 are not all known"
        );
        assert_eq!(runs(&index, &[2, 5]).unwrap(), [(2, 3), (4, 6)]);
    }

    fn runs(samples: &[(u32, bool)], frames: &[usize]) -> Vec<(Range<usize>, Range<usize>)> {
        let plan = DecodePlan::new(&index(samples), frames).unwrap();
        plan.runs
            .into_iter()
            .map(|run| (run.samples, run.frames))
            .collect()
    }

    /// Two closed groups of I B P B P (decode order I P B P B).
    const CLOSED: [(u32, bool); 10] = [
        (0, true),
        (2, false),
        (1, false),
        (4, false),
        (3, false),
        (5, true),
        (7, false),
        (6, false),
        (9, false),
        (8, false),
    ];

    #[test]
    fn a_run_extends_from_its_sync_sample_to_the_last_needed_frame() {
        assert_eq!(runs(&CLOSED, &[0]), [(0..1, 0..1)]);
        assert_eq!(runs(&CLOSED, &[1]), [(0..3, 0..1)]);
        assert_eq!(runs(&CLOSED, &[1, 2, 3]), [(0..5, 0..3)]);
        assert_eq!(runs(&CLOSED, &[5]), [(5..6, 0..1)]);
        assert_eq!(runs(&CLOSED, &[2, 6]), [(0..2, 0..1), (5..8, 1..2)]);
        assert_eq!(runs(&CLOSED, &[]), []);
    }

    #[test]
    fn a_frame_before_its_sync_sample_needs_the_previous_group() {
        // An open group: frames 3 and 4 follow the sync sample of frame 5 in decode order.
        let open = [
            (0, true),
            (2, false),
            (1, false),
            (5, true),
            (3, false),
            (4, false),
            (6, false),
        ];
        assert_eq!(runs(&open, &[3]), [(0..5, 0..1)]);
        assert_eq!(runs(&open, &[5]), [(3..4, 0..1)]);
        assert_eq!(runs(&open, &[0, 4, 6]), [(0..7, 0..3)]);
        assert_eq!(runs(&open, &[0, 6]), [(0..1, 0..1), (3..7, 1..2)]);
    }

    #[test]
    fn several_decoders_share_long_runs() {
        // Open groups of ten frames: the last frame of each group is decoded after the next sync sample.
        let mut samples = Vec::new();
        for first in (0..400).step_by(10) {
            samples.push((first, true));
            samples.extend((first > 0).then(|| (first - 1, false)));
            samples.extend((first + 1..first + 9).map(|order| (order, false)));
        }
        let index = index(&samples);
        let all: Vec<usize> = (0..index.samples.len()).collect();
        assert_eq!(DecodePlan::new(&index, &all).unwrap().runs.len(), 1);
        let plan = DecodePlan::for_decoders(2, &index, &all).unwrap();
        assert!(plan.runs.len() > 8 && plan.is_worthwhile(&index, 2));
        let mut next = 0;
        for run in &plan.runs {
            assert!(index.samples[run.samples.start].sync);
            assert_eq!(run.frames.start, next);
            assert!(run.frames.len() >= SPLIT_FRAMES || run.frames.end == all.len());
            let samples = &index.samples[run.samples.clone()];
            for frame in run.frames.clone() {
                assert!(
                    samples.iter().any(|sample| sample.order as usize == frame),
                    "{frame} in {run:?}"
                );
            }
            next = run.frames.end;
        }
        assert_eq!(next, all.len());
    }

    #[test]
    fn returns_the_reason_against_a_plan() {
        let mut unplannable = index(&CLOSED);
        unplannable.not_plannable = Some("because");
        assert_eq!(
            DecodePlan::new(&unplannable, &[0]),
            Err(NotPlannable::Structure("because"))
        );
        let unstarted = index(&[(0, false), (1, true)]);
        assert!(DecodePlan::new(&unstarted, &[0]).is_err());
    }

    #[test]
    fn a_plan_for_all_frames_is_not_worthwhile() {
        let all: Vec<usize> = (0..10).collect();
        let mut index = index(&CLOSED);
        let worthwhile = |index: &VideoIndex, frames: &[usize]| {
            DecodePlan::new(index, frames).unwrap().is_worthwhile(index, 1)
        };
        assert!(!worthwhile(&index, &all));
        assert!(worthwhile(&index, &[5]));
        // Unreferenced samples are only known for codecs that can be inspected.
        assert!(!worthwhile(&index, &[3, 8]));
        index.track.coding = Coding::H264 { length_size: 4 };
        assert!(worthwhile(&index, &[3, 8]) && !worthwhile(&index, &all));
    }
}
