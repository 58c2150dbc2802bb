//! Which samples have to be decoded for the frames that are asked for. Pure.

use std::fmt;
use std::ops::Range;

use crate::video::{Coding, NoIndex, Sample, VideoIndex};

/// Reason why single samples of a video cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPlannable {
    /// The source has no usable index.
    #[error(transparent)]
    NoIndex(#[from] NoIndex),
    /// The decoded frames are not those of the index.
    #[error("its index is not what decodes")]
    IndexMismatch,
    /// An earlier plan for the source failed.
    #[error("{0}")]
    PlanFailed(String),
    /// A deinterlacer needs the neighbours of every frame.
    #[error("frames that are deinterlaced need their neighbours")]
    Deinterlaced,
    /// The structure of the stream does not allow samples to be left out.
    #[error("{0}")]
    Structure(&'static str),
}

/// Reason for decoding a whole file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WholeFileReason {
    /// The request says so.
    #[error("it was asked for")]
    Requested,
    /// Single samples cannot be decoded.
    #[error(transparent)]
    NotPlannable(#[from] NotPlannable),
    /// A plan would save next to nothing.
    #[error("nearly all samples are needed")]
    NotWorthwhile,
    /// The decode also makes compressed videos.
    #[error("every frame is needed for a rendition")]
    SharedDecode,
}

/// A stretch of samples that is decoded from a sync sample up to the last frame that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its samples in decode order, as places in [`VideoIndex::samples`].
    pub samples: Range<usize>,
    /// The frames that it gives, as places in the list that was planned for.
    pub frames: Range<usize>,
}

/// What is decoded for a list of frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodePlan {
    /// The runs, in order.
    pub runs: Vec<Run>,
    /// Samples in the runs. Those that nothing refers to are left out when their bytes are seen.
    pub samples: usize,
    /// Bytes of these samples.
    pub bytes: u64,
    /// Samples in decode order up to the last one needed: what decoding from the start costs.
    pub samples_from_start: usize,
}

/// How the samples of an extraction are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// The cheaper of the two.
    #[default]
    Auto,
    /// All, from the start of the file up to the last frame needed.
    Plain,
    /// Those that the frames need.
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

impl DecodePlan {
    /// Plans for `frames`: strictly increasing places in the index's timeline.
    ///
    /// # Errors
    /// Fails if the structure of the stream does not allow samples to be left out.
    pub fn new(index: &VideoIndex, frames: &[usize]) -> Result<Self, NotPlannable> {
        if let Some(reason) = index.not_plannable {
            return Err(NotPlannable::Structure(reason));
        }
        let mut plan = Self {
            runs: Vec::new(),
            samples: 0,
            bytes: 0,
            samples_from_start: 0,
        };
        let groups = Groups::of(index);
        for (place, sample) in needed(index, frames).into_iter().enumerate() {
            let start = groups.start_for(index, sample)?;
            match plan.runs.last_mut() {
                Some(last) if start < last.samples.start => {
                    let reason = "its frames are out of order across sync samples";
                    return Err(NotPlannable::Structure(reason));
                }
                // The same group, one that follows without a gap, or a frame in front of its sync
                // sample, which needs the group before.
                Some(last) if start <= last.samples.end => {
                    last.samples.end = last.samples.end.max(sample + 1);
                    last.frames.end = place + 1;
                }
                _ => plan.runs.push(Run {
                    samples: start..sample + 1,
                    frames: place..place + 1,
                }),
            }
        }
        for run in &plan.runs {
            let samples = &index.samples[run.samples.clone()];
            plan.samples += samples.len();
            plan.bytes += samples.iter().map(|sample| u64::from(sample.size)).sum::<u64>();
        }
        plan.samples_from_start = plan.runs.last().map_or(0, |run| run.samples.end);
        Ok(plan)
    }

    /// Whether this saves enough over decoding from the start to be worth its feeding: samples that
    /// are not read, or, where `index` says that it can be told, many that may be left out because
    /// nothing refers to them.
    pub fn is_worthwhile(&self, index: &VideoIndex) -> bool {
        let frames = self.runs.last().map_or(0, |run| run.frames.end);
        // Feeding costs a copy of the bytes, decoding them far more: a few per cent are enough.
        self.samples * 20 <= self.samples_from_start * 19
            || (index.track.coding != Coding::Opaque && frames * 2 <= self.samples)
    }
}

/// The sample of each frame.
fn needed(index: &VideoIndex, frames: &[usize]) -> Vec<usize> {
    let mut samples = vec![usize::MAX; frames.len()];
    for (place, sample) in index.samples.iter().enumerate() {
        if let Some(wanted) = index
            .frame_of(sample)
            .and_then(|frame| frames.binary_search(&frame).ok())
        {
            samples[wanted] = place;
        }
    }
    samples
}

/// The sync samples, each of which starts a group of pictures.
struct Groups {
    starts: Vec<usize>,
}

impl Groups {
    fn of(index: &VideoIndex) -> Self {
        let starts = index.samples.iter().enumerate();
        Self {
            starts: starts.filter(|(_, s)| s.sync).map(|(place, _)| place).collect(),
        }
    }

    /// Where decoding has to start for `sample` to be right.
    fn start_for(&self, index: &VideoIndex, sample: usize) -> Result<usize, NotPlannable> {
        let group = self.starts.partition_point(|&start| start <= sample);
        let shown_after = |start: &Sample| start.order <= index.samples[sample].order;
        self.starts[..group]
            .iter()
            .rev()
            .copied()
            .find(|&start| shown_after(&index.samples[start]))
            .ok_or(NotPlannable::Structure(
                "a frame lies in front of the first sync sample",
            ))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::units::TimeBase;
    use crate::video::{Timeline, Track};

    /// An index from presentation orders in decode order; `k` marks sync samples.
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
            track: Track {
                coding: Coding::Opaque,
                sample_description: Bytes::new(),
                size: (16, 16),
            },
            not_plannable: None,
        }
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
    fn a_run_reaches_from_its_sync_sample_to_the_last_frame_needed() {
        assert_eq!(runs(&CLOSED, &[0]), [(0..1, 0..1)]);
        assert_eq!(runs(&CLOSED, &[1]), [(0..3, 0..1)]);
        assert_eq!(runs(&CLOSED, &[1, 2, 3]), [(0..5, 0..3)]);
        assert_eq!(runs(&CLOSED, &[5]), [(5..6, 0..1)]);
        assert_eq!(runs(&CLOSED, &[2, 6]), [(0..2, 0..1), (5..8, 1..2)]);
        assert_eq!(runs(&CLOSED, &[]), []);
    }

    #[test]
    fn a_frame_in_front_of_its_sync_sample_needs_the_group_before() {
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
    fn a_hindrance_is_told() {
        let mut hindered = index(&CLOSED);
        hindered.not_plannable = Some("because");
        assert_eq!(
            DecodePlan::new(&hindered, &[0]),
            Err(NotPlannable::Structure("because"))
        );
        let unstarted = index(&[(0, false), (1, true)]);
        assert!(DecodePlan::new(&unstarted, &[0]).is_err());
    }

    #[test]
    fn a_plan_for_everything_is_not_worth_its_feeding() {
        let all: Vec<usize> = (0..10).collect();
        let mut index = index(&CLOSED);
        let worthwhile = |index: &VideoIndex, frames: &[usize]| {
            DecodePlan::new(index, frames).unwrap().is_worthwhile(index)
        };
        assert!(!worthwhile(&index, &all));
        assert!(worthwhile(&index, &[5]));
        // What nothing refers to is only known of codecs that are looked into.
        assert!(!worthwhile(&index, &[3, 8]));
        index.track.coding = Coding::H264 { length_size: 4 };
        assert!(worthwhile(&index, &[3, 8]) && !worthwhile(&index, &all));
    }
}
