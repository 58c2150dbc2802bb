//! Samples in decode order, and their presentation after all samples are known.

use super::super::{NoIndex, Sample, Timeline};
use crate::limits::{INDEX_SAMPLES, SAMPLE_BYTES};
use crate::units::TimeBase;

/// Maximum composition offset that ffmpeg accepts, in ticks.
const MAX_OFFSET: i64 = 1 << 28;

/// Samples in decode order with their times in ticks of the media.
#[derive(Debug)]
pub(super) struct Media {
    /// Size of the source in bytes, which limits the total size of the samples.
    source_bytes: u64,
    sample_bytes: u64,
    samples: Vec<Sample>,
    composition: Vec<i64>,
    duration: u64,
    last_duration: u32,
    /// Decode time of the next sample.
    pub(super) decode_time: i64,
    /// Absolute value of the most negative composition offset.
    pub(super) lowest_offset: i64,
}

/// A sample as the container describes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredSample {
    /// Position in the source.
    pub(super) offset: u64,
    /// Size in bytes.
    pub(super) size: u32,
    pub(super) sync: bool,
    /// Duration in ticks.
    pub(super) duration: u32,
    /// Composition time minus decode time, in ticks.
    pub(super) composition_offset: i64,
}

/// The presented part of the media and its start time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edit {
    /// All samples are presented, at their own times minus `shift`.
    All {
        /// Ticks to subtract from every time.
        shift: i64,
    },
    /// The samples composed in `from..until` are presented, the first of them at `at`.
    Part {
        /// First composition time that is presented.
        from: i64,
        /// First composition time that is no longer presented.
        until: i64,
        /// Time of the first presented frame.
        at: i64,
    },
}

/// Result of [`Media::present`].
#[derive(Debug)]
pub(super) struct Presentation {
    pub(super) samples: Vec<Sample>,
    pub(super) timeline: Timeline,
    pub(super) first_presented: u32,
}

impl Media {
    /// Creates an empty collection for a source of this size in bytes.
    pub(super) fn new(source_bytes: u64) -> Self {
        Self {
            source_bytes,
            sample_bytes: 0,
            samples: Vec::new(),
            composition: Vec::new(),
            duration: 0,
            last_duration: 0,
            decode_time: 0,
            lowest_offset: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Returns the sum of all durations in ticks.
    pub(super) fn duration(&self) -> u64 {
        self.duration
    }

    /// Appends a sample. Its times follow from the previous samples.
    pub(super) fn push(&mut self, sample: StoredSample) -> Result<(), NoIndex> {
        let StoredSample {
            offset,
            size,
            sync,
            duration,
            composition_offset,
        } = sample;
        if self.samples.len() >= INDEX_SAMPLES {
            return Err(NoIndex::new(format!(
                "the file has more than {INDEX_SAMPLES} samples"
            )));
        }
        if size == 0 {
            return Err(NoIndex::new("the file has empty samples"));
        }
        if size > SAMPLE_BYTES {
            return Err(NoIndex::new("the samples are too large"));
        }
        // Samples of a valid file do not overlap, so the size of the file bounds their number.
        self.sample_bytes += u64::from(size);
        let end = offset.checked_add(u64::from(size));
        if end.is_none_or(|end| end > self.source_bytes) || self.sample_bytes > self.source_bytes {
            return Err(NoIndex::new("the samples extend beyond the end of the file"));
        }
        if composition_offset.abs() > MAX_OFFSET || i32::try_from(duration).is_err() {
            return Err(NoIndex::new("the times are out of range"));
        }
        let composition = self.decode_time.saturating_add(composition_offset);
        self.samples.push(Sample {
            offset,
            size,
            order: 0,
            sync,
        });
        self.composition.push(composition);
        self.duration += u64::from(duration);
        self.last_duration = duration;
        self.decode_time = self.decode_time.saturating_add(i64::from(duration));
        self.lowest_offset = self.lowest_offset.max(-composition_offset);
        Ok(())
    }

    /// Sorts the samples by composition time and applies the edit.
    pub(super) fn present(mut self, time_base: TimeBase, edit: Edit) -> Result<Presentation, NoIndex> {
        // INDEX_SAMPLES fits in 32 bits.
        let mut sorted: Vec<u32> = (0..self.samples.len() as u32).collect();
        sorted.sort_unstable_by_key(|&i| self.composition[i as usize]);
        let time = |index: usize| self.composition[sorted[index] as usize];
        if (1..sorted.len()).any(|index| time(index) == time(index - 1)) {
            return Err(NoIndex::new("two frames have the same timestamp"));
        }
        for (order, &i) in sorted.iter().enumerate() {
            self.samples[i as usize].order = order as u32;
        }
        let first_at_or_after =
            |limit: i64| sorted.partition_point(|&i| self.composition[i as usize] < limit);
        let (first, end, shift) = match edit {
            Edit::All { shift } => (0, sorted.len(), shift),
            Edit::Part { from, until, at } => {
                let (first, end) = (first_at_or_after(from), first_at_or_after(until));
                if first >= end {
                    return Err(NoIndex::new("the edit list presents no frame"));
                }
                (first, end, time(first).saturating_sub(at))
            }
        };
        let pts = |i: &u32| self.composition[*i as usize].saturating_sub(shift);
        let presented = &sorted[first..end];
        let keyframes = presented
            .iter()
            .filter(|&&i| self.samples[i as usize].sync)
            .map(pts);
        // Stored durations refer to decode order. The last frame of the file has the duration of the last decoded
        // frame. If an edit hides later frames, the last presented frame ends where the first hidden frame
        // starts.
        let last_duration = match sorted.get(end) {
            Some(_) => time(end).saturating_sub(time(end - 1)),
            None => i64::from(self.last_duration),
        };
        let timeline = Timeline::new(
            time_base,
            presented.iter().map(pts).collect(),
            Some(last_duration),
        )
        .ok_or_else(|| NoIndex::new("the file has no samples"))?
        .with_keyframes(keyframes);
        Ok(Presentation {
            samples: self.samples,
            timeline,
            first_presented: first as u32,
        })
    }
}
