//! Reads the samples of a plan from their source and writes the needed ones as fragments to the stdin of a decoder.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{Mutex, mpsc};

use super::group::{Group, Uncertain};
use super::read_ahead::{READ, ReadAhead, range, reads};
use crate::extract::PlannedInput;
use crate::ffmpeg::process::left_out::LeftOut;
use crate::plan::Run;
use crate::video::nal::{self, Start};
use crate::video::packets::unpack;
use crate::video::write::{FragmentSample, fragment, head};
use crate::video::{Coding, Packaging, Sample, Track};

/// Maximum number of samples per fragment.
const FRAGMENT: usize = 64;

/// Progress of feeding one decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fed {
    /// The decoder received all runs.
    All,
    /// The decoder received the runs before this index. The run at this index needs a new decoder.
    UpTo(usize),
}

/// Reason why feeding stopped.
#[derive(Debug)]
pub(super) enum FeedError {
    /// The source cannot be read.
    Source(io::Error),
    /// The samples differ from the index.
    Plan(&'static str),
}

/// Timestamps of fed samples: twice the index in presentation order, plus 1 for a picked frame, plus a constant
/// delay that keeps decode times from being negative.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    delay: u64,
}

impl Clock {
    /// Calculates the delay for `runs` from the sample with the longest time between decoding and presentation.
    pub(super) fn new(input: &PlannedInput, runs: &[usize]) -> Self {
        let mut delay = 0;
        for run in runs.iter().map(|&run| &input.plan.runs[run]) {
            let orders: Vec<u32> = input.index.samples[run.samples.clone()]
                .iter()
                .map(|s| s.order)
                .collect();
            let late = sorted(&orders).into_iter().zip(orders);
            delay = late
                .map(|(rank, order)| rank.saturating_sub(order))
                .max()
                .unwrap_or(0)
                .max(delay);
        }
        Self { delay: delay.into() }
    }

    /// Returns the timestamp of a picked frame.
    pub(super) fn of_wanted(self, order: u32) -> i64 {
        self.presented(order, true) as i64
    }

    fn presented(self, order: u32, wanted: bool) -> u64 {
        2 * (u64::from(order) + self.delay) + u64::from(wanted)
    }
}

fn sorted(orders: &[u32]) -> Vec<u32> {
    let mut sorted = orders.to_vec();
    sorted.sort_unstable();
    sorted
}

/// Returns the ranges of bytes that [`Feeder::feed`] reads for `runs`, in order.
pub(super) fn ranges(input: PlannedInput, runs: Vec<usize>) -> impl Iterator<Item = Range<u64>> + Send {
    runs.into_iter().flat_map(move |run| {
        let samples = &input.index.samples[input.plan.runs[run].samples.clone()];
        let reads = reads(samples).into_iter().map(|read| range(&samples[read]));
        reads.collect::<Vec<_>>()
    })
}

/// Feeds one decoder with some runs of a plan, given by their indices.
pub(super) struct Feeder {
    pub(super) input: PlannedInput,
    /// Indices of the picked frames in the timeline, ascending.
    pub(super) frames: Arc<Vec<usize>>,
    pub(super) clock: Clock,
    /// Reads of the runs. The next decoder continues them.
    pub(super) ahead: Arc<Mutex<ReadAhead>>,
    pub(super) parts: mpsc::Sender<Bytes>,
    /// Receives the references that are left out, before the samples with the references are fed.
    pub(super) left_out: Arc<LeftOut>,
}

/// The decoder has exited; its exit status tells why.
struct Gone;

enum FeedStop {
    Gone,
    Error(FeedError),
    Fresh,
}

impl From<Gone> for FeedStop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<Uncertain> for FeedStop {
    fn from(_: Uncertain) -> Self {
        Self::Error(FeedError::Plan("the references of a sample are unusual"))
    }
}

/// Samples on their way to one decoder.
struct Queue<'a> {
    group: Group<'a>,
    /// Samples of the next fragment.
    waiting: Vec<FragmentSample>,
    /// Number of the next fragment.
    sequence: u32,
    /// Number of samples in the fragments so far.
    fed: usize,
}

impl Feeder {
    /// Feeds `runs` in order.
    pub(super) async fn feed(self, runs: &[usize]) -> Result<Fed, FeedError> {
        let head =
            head(&self.input.index.track).map_err(|_| FeedError::Plan("failed to write the header"))?;
        if self.parts.send(head).await.is_err() {
            return Ok(Fed::All);
        }
        let mut queue = Queue {
            group: Group::new(&self.input.index.track, &self.left_out),
            waiting: Vec::new(),
            sequence: 1,
            fed: 0,
        };
        let mut ahead = self.ahead.lock().await;
        for (index, &run) in runs.iter().enumerate() {
            match self
                .feed_run(&self.input.plan.runs[run], index == 0, &mut ahead, &mut queue)
                .await
            {
                Ok(()) => {}
                Err(FeedStop::Fresh) => return Ok(Fed::UpTo(index)),
                Err(FeedStop::Gone) => return Ok(Fed::All),
                Err(FeedStop::Error(error)) => return Err(error),
            }
        }
        tracing::debug!(runs = runs.len(), samples = queue.fed, "fed a decoder");
        Ok(Fed::All)
    }

    async fn feed_run(
        &self,
        run: &Run,
        first: bool,
        ahead: &mut ReadAhead,
        queue: &mut Queue<'_>,
    ) -> Result<(), FeedStop> {
        const DIFFERS: FeedStop = FeedStop::Error(FeedError::Plan("a sample differs from the index"));
        let packaging = &self.input.index.track.packaging;
        let samples = &self.input.index.samples[run.samples.clone()];
        let orders: Vec<u32> = samples.iter().map(|s| s.order).collect();
        let decode_times = sorted(&orders);
        let wanted: Vec<bool> = samples.iter().map(|sample| self.is_wanted(run, sample)).collect();
        let starts = starts(samples, &wanted);
        let mut leading = Leading::of(samples, 0);
        for read in reads(samples) {
            let mut bytes = ahead
                .next()
                .await
                .map_err(|e| FeedStop::Error(FeedError::Source(e)))?;
            let unchanged = bytes.clone();
            let mut position = samples[read.start].offset;
            for at in read {
                let sample = &samples[at];
                let _between = bytes.split_to((sample.offset - position) as usize);
                let data = bytes.split_to(sample.size as usize);
                position = sample.offset + u64::from(sample.size);
                if leading.contains(at, sample) {
                    continue;
                }
                let mut data = unpack(packaging, run.samples.start + at, data).ok_or(DIFFERS)?;
                if at == 0 {
                    let start = self.start(data, first);
                    if let Err(FeedStop::Fresh) = start {
                        ahead.put_back(unchanged);
                        return Err(FeedStop::Fresh);
                    }
                    data = start?;
                } else if starts[at] && queue.group.waits() && self.may_start(&data) {
                    let needed = queue.group.end(true)?;
                    self.send_all(needed, queue).await?;
                    data = self.start(data, false)?;
                    leading = Leading::of(samples, at);
                }
                let sample = FragmentSample {
                    bytes: data,
                    decode_time: 2 * u64::from(decode_times[at]),
                    presentation_time: self.clock.presented(sample.order, wanted[at]),
                    sync: sample.sync,
                };
                let ready = queue.group.push(sample, wanted[at]);
                self.send_all(ready, queue).await?;
            }
            // Releases the bytes of this read before the next read.
            self.send(queue).await?;
        }
        let needed = queue.group.end(false)?;
        self.send_all(needed, queue).await?;
        self.send(queue).await
    }

    /// Returns whether a sample inside a run may be treated like the first sample of a run.
    fn may_start(&self, data: &[u8]) -> bool {
        let Track {
            coding, packaging, ..
        } = &self.input.index.track;
        let complete =
            !matches!(packaging, Packaging::TransportStream { .. }) || nal::has_parameter_sets(*coding, data);
        complete && nal::start(*coding, data) == Start::Clean
    }

    /// Returns the first sample of a run in a form at which decoding can start.
    fn start(&self, data: Bytes, first: bool) -> Result<Bytes, FeedStop> {
        let Track {
            coding, packaging, ..
        } = &self.input.index.track;
        let coding = *coding;
        // In a transport stream, parameter sets may differ from those of the first sample.
        if matches!(packaging, Packaging::TransportStream { .. }) && !nal::has_parameter_sets(coding, &data) {
            let why = "a sync sample lacks parameter sets";
            return Err(FeedStop::Error(FeedError::Plan(why)));
        }
        match nal::start(coding, &data) {
            Start::Clean if !first && matches!(coding, Coding::Hevc { .. }) => {
                let mut data = BytesMut::from(data);
                nal::break_link(coding, &mut data);
                Ok(data.freeze())
            }
            Start::Clean => Ok(data),
            Start::Fresh if first => Ok(data),
            Start::Fresh => Err(FeedStop::Fresh),
            Start::None => Err(FeedStop::Error(FeedError::Plan(
                "decoding cannot start at a sync sample",
            ))),
        }
    }

    /// Returns whether a picked frame of the run is the frame of a sample. Runs may overlap by the samples before the
    /// last frame of a run.
    fn is_wanted(&self, run: &Run, sample: &Sample) -> bool {
        let frames = &self.frames[run.frames.clone()];
        let frame = self.input.index.frame_of(sample);
        frame.is_some_and(|frame| frames.binary_search(&frame).is_ok())
    }

    async fn send_all(&self, samples: Vec<FragmentSample>, queue: &mut Queue<'_>) -> Result<(), FeedStop> {
        for sample in samples {
            queue.waiting.push(sample);
            let bytes: usize = queue.waiting.iter().map(|sample| sample.bytes.len()).sum();
            if queue.waiting.len() == FRAGMENT || bytes as u64 >= READ {
                self.send(queue).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, queue: &mut Queue<'_>) -> Result<(), FeedStop> {
        if queue.waiting.is_empty() {
            return Ok(());
        }
        let part = fragment(queue.sequence, &queue.waiting)
            .map_err(|_| FeedStop::Error(FeedError::Plan("failed to write a fragment")))?;
        queue.fed += queue.waiting.len();
        queue.waiting.clear();
        queue.sequence = queue.sequence.wrapping_add(1);
        Ok(self.parts.send(part).await.map_err(|_| Gone)?)
    }
}

/// Samples of one group that are presented before its start. They refer to samples that are not fed.
struct Leading {
    samples: Range<usize>,
    order: u32,
}

impl Leading {
    /// Returns those of the group that starts at `start` and ends before the next sync sample.
    fn of(samples: &[Sample], start: usize) -> Self {
        let next = (start + 1..samples.len()).find(|&at| samples[at].sync);
        Self {
            samples: start + 1..next.unwrap_or(samples.len()),
            order: samples[start].order,
        }
    }

    fn contains(&self, at: usize, sample: &Sample) -> bool {
        self.samples.contains(&at) && sample.order < self.order
    }
}

/// Returns which samples of a run are sync samples without wanted frames that follow in decode order and precede in
/// presentation order.
fn starts(samples: &[Sample], wanted: &[bool]) -> Vec<bool> {
    let mut starts = vec![false; samples.len()];
    let mut earliest = u32::MAX;
    for (at, sample) in samples.iter().enumerate().rev() {
        starts[at] = sample.sync && sample.order < earliest;
        if wanted[at] {
            earliest = earliest.min(sample.order);
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_restarts_only_where_no_earlier_frame_is_wanted() {
        let samples: Vec<Sample> = [
            (0, true),
            (2, false),
            (5, true),
            (3, false),
            (4, false),
            (6, true),
        ]
        .map(|(order, sync)| Sample {
            offset: 0,
            size: 1,
            order,
            sync,
        })
        .into();
        let starts = |wanted: usize| {
            let wanted: Vec<bool> = (0..samples.len()).map(|at| at == wanted).collect();
            super::starts(&samples, &wanted)
        };
        assert_eq!(starts(5), [true, false, true, false, false, true]);
        assert_eq!(starts(3), [true, false, false, false, false, true]);
        let leading = Leading::of(&samples, 2);
        let contained: Vec<bool> = (0..6).map(|at| leading.contains(at, &samples[at])).collect();
        assert_eq!(contained, [false, false, false, true, true, false]);
    }
}
