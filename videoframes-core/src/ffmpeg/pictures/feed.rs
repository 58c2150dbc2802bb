//! Reads the samples of a plan from their source and puts them together for a decoder's stdin.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::extract::PlannedInput;
use crate::plan::Run;
use crate::video::nal::{self, Start};
use crate::video::write::{FragmentSample, fragment, head};
use crate::video::{Coding, Sample};

/// Bytes between two samples that are rather read than left out (sound lies there, mostly).
const GAP: u64 = 64 << 10;
/// Bytes that are read at once.
const READ: u64 = 2 << 20;
/// Samples of one fragment.
const FRAGMENT: usize = 64;

/// How far one decoder was fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fed {
    /// With all that it was to get.
    All,
    /// Up to before this run, which only a fresh decoder decodes right.
    UpTo(usize),
}

/// Why the feeding stopped.
#[derive(Debug)]
pub(super) enum FeedError {
    /// The source.
    Source(io::Error),
    /// The samples are not what the index says.
    Plan(&'static str),
}

/// The timestamps of fed samples: twice the place in presentation order, odd where a frame is
/// wanted, later by a constant so that no decode time has to be negative.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    delay: u64,
}

impl Clock {
    /// For these runs: late enough for the sample that is decoded longest before it is shown.
    pub(super) fn of(input: &PlannedInput, runs: &[usize]) -> Self {
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

    /// The timestamp that a wanted frame will carry.
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

/// Feeds one decoder with some of a plan's runs (places in its list).
pub(super) struct Feeder {
    pub(super) input: PlannedInput,
    /// Frames of the timeline that are wanted, ascending.
    pub(super) frames: Arc<Vec<usize>>,
    pub(super) clock: Clock,
    pub(super) parts: mpsc::Sender<Bytes>,
}

/// The decoder is gone; its exit tells why.
struct Gone;

enum Stop {
    Gone,
    Error(FeedError),
    Fresh,
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl Feeder {
    /// Feeds `runs` in order.
    pub(super) async fn feed(self, runs: &[usize]) -> Result<Fed, FeedError> {
        let head =
            head(&self.input.index.track).map_err(|_| FeedError::Plan("its head cannot be written"))?;
        if self.parts.send(head).await.is_err() {
            return Ok(Fed::All);
        }
        let mut sequence = 1;
        for (place, &run) in runs.iter().enumerate() {
            match self
                .feed_run(&self.input.plan.runs[run], place == 0, &mut sequence)
                .await
            {
                Ok(()) => {}
                Err(Stop::Fresh) => return Ok(Fed::UpTo(place)),
                Err(Stop::Gone) => return Ok(Fed::All),
                Err(Stop::Error(error)) => return Err(error),
            }
        }
        Ok(Fed::All)
    }

    async fn feed_run(&self, run: &Run, first: bool, sequence: &mut u32) -> Result<(), Stop> {
        let samples = &self.input.index.samples[run.samples.clone()];
        let orders: Vec<u32> = samples.iter().map(|s| s.order).collect();
        let decode_times = sorted(&orders);
        let start = &samples[0];
        // Until the next sync sample, what is shown before the start belongs to what is not there.
        let own = samples
            .iter()
            .skip(1)
            .position(|s| s.sync)
            .map_or(samples.len(), |p| p + 1);
        let mut waiting = Vec::new();
        for read in reads(samples) {
            let mut bytes = self.read(&samples[read.clone()]).await?;
            let mut place = samples[read.start].offset;
            for at in read {
                let sample = &samples[at];
                let _between = bytes.split_to((sample.offset - place) as usize);
                let mut data = bytes.split_to(sample.size as usize);
                place = sample.offset + u64::from(sample.size);
                if at == 0 {
                    data = self.start(data, first)?;
                } else if at < own && sample.order < start.order {
                    continue;
                }
                let wanted = self.is_wanted(sample);
                if !wanted && nal::is_droppable(self.input.index.track.coding, &data) {
                    continue;
                }
                waiting.push(FragmentSample {
                    bytes: data,
                    decode_time: 2 * u64::from(decode_times[at]),
                    presentation_time: self.clock.presented(sample.order, wanted),
                    sync: sample.sync,
                });
                if waiting.len() == FRAGMENT {
                    self.send(&mut waiting, sequence).await?;
                }
            }
            // What was read is let go before more is.
            self.send(&mut waiting, sequence).await?;
        }
        Ok(())
    }

    /// The first sample of a run, as a decoder can start with it.
    fn start(&self, data: Bytes, first: bool) -> Result<Bytes, Stop> {
        let coding = self.input.index.track.coding;
        match nal::start(coding, &data) {
            Start::Clean if !first && matches!(coding, Coding::Hevc { .. }) => {
                let mut data = BytesMut::from(data);
                nal::break_link(coding, &mut data);
                Ok(data.freeze())
            }
            Start::Clean => Ok(data),
            Start::Fresh if first => Ok(data),
            Start::Fresh => Err(Stop::Fresh),
            Start::None => Err(Stop::Error(FeedError::Plan(
                "a sync sample is none that decoding can start at",
            ))),
        }
    }

    fn is_wanted(&self, sample: &Sample) -> bool {
        let frame = self.input.index.frame_of(sample);
        frame.is_some_and(|frame| self.frames.binary_search(&frame).is_ok())
    }

    async fn read(&self, samples: &[Sample]) -> Result<Bytes, Stop> {
        let failed = |error| Stop::Error(FeedError::Source(error));
        let range = range(samples);
        let length = usize::try_from(range.end - range.start).map_err(|e| failed(io::Error::other(e)))?;
        let bytes = self
            .input
            .source
            .read_at(range.start, length)
            .await
            .map_err(failed)?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(failed(io::ErrorKind::UnexpectedEof.into()))
        }
    }

    async fn send(&self, samples: &mut Vec<FragmentSample>, sequence: &mut u32) -> Result<(), Stop> {
        if samples.is_empty() {
            return Ok(());
        }
        let part = fragment(*sequence, samples)
            .map_err(|_| Stop::Error(FeedError::Plan("a fragment cannot be written")))?;
        samples.clear();
        *sequence = sequence.wrapping_add(1);
        Ok(self.parts.send(part).await.map_err(|_| Gone)?)
    }
}

/// The bytes from the first of these samples to the last.
fn range(samples: &[Sample]) -> Range<u64> {
    let end = |s: &Sample| s.offset + u64::from(s.size);
    match samples {
        [] => 0..0,
        [first, ..] => first.offset..samples.last().map_or(0, end),
    }
}

/// Groups of samples that lie so close behind each other that one read gets them.
fn reads(samples: &[Sample]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        let joins = groups.last().is_some_and(|group| {
            let before = range(&samples[group.clone()]);
            let gap = sample.offset.checked_sub(before.end);
            let whole = (sample.offset + u64::from(sample.size)).saturating_sub(before.start);
            gap.is_some_and(|gap| gap <= GAP) && whole <= READ
        });
        match groups.last_mut() {
            Some(group) if joins => group.end = at + 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_together_where_they_lie_together() {
        let sample = |offset, size| Sample {
            offset,
            size,
            order: 0,
            sync: false,
        };
        let near = [sample(100, 50), sample(150, 50), sample(250, 10)];
        assert_eq!(reads(&near), std::iter::once(0..3).collect::<Vec<_>>());
        // Far away, backwards, and too much for one read.
        let far = [sample(0, 50), sample(50 + GAP + 1, 50), sample(60, 5)];
        assert_eq!(reads(&far), [0..1, 1..2, 2..3]);
        let large = [
            sample(0, 3 << 20),
            sample(3 << 20, 50),
            sample((3 << 20) + 50, 50),
        ];
        assert_eq!(reads(&large), [0..1, 1..3]);
        assert_eq!(reads(&[]), []);
    }
}
