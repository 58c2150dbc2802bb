//! Samples as they are collected in decode order, and their presentation once all are known.

use super::super::{NoIndex, Sample, Timeline};
use crate::limits::{INDEX_SAMPLES, SAMPLE_BYTES};
use crate::units::TimeBase;

/// Largest composition offset that ffmpeg believes, in ticks.
const LARGEST_OFFSET: i64 = 1 << 28;

/// Samples in decode order with their times on the media's own clock.
#[derive(Debug)]
pub(super) struct Media {
    /// Bytes of the source, which all samples share.
    source_bytes: u64,
    sample_bytes: u64,
    samples: Vec<Sample>,
    composition: Vec<i64>,
    duration: u64,
    last_duration: u32,
    /// Decode time of the next sample.
    pub(super) decode_time: i64,
    /// How far the most negative composition offset reaches below 0.
    pub(super) lowest_offset: i64,
}

/// The part of the media that is shown, and when.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edit {
    /// All of it, at its own times less `shift`.
    All {
        /// Ticks to take off every time.
        shift: i64,
    },
    /// What is composed from `from` until before `until`, of which the first is shown at `at`.
    Part {
        /// First composition time that is shown.
        from: i64,
        /// First composition time that is not shown any more.
        until: i64,
        /// Time of the first shown frame.
        at: i64,
    },
}

/// What [`Media::present`] makes.
#[derive(Debug)]
pub(super) struct Presentation {
    pub(super) samples: Vec<Sample>,
    pub(super) timeline: Timeline,
    pub(super) first_presented: u32,
}

impl Media {
    /// Of a source of this many bytes.
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

    /// Sum of all durations, in ticks.
    pub(super) fn duration(&self) -> u64 {
        self.duration
    }

    /// Appends a sample of `size` bytes at `offset`; times follow from those before it.
    pub(super) fn push(
        &mut self,
        offset: u64,
        size: u32,
        sync: bool,
        duration: u32,
        composition_offset: i64,
    ) -> Result<(), NoIndex> {
        if self.samples.len() >= INDEX_SAMPLES {
            return Err(NoIndex::new(format!("it has more than {INDEX_SAMPLES} samples")));
        }
        if size == 0 {
            return Err(NoIndex::new("it has empty samples"));
        }
        if size > SAMPLE_BYTES {
            return Err(NoIndex::new("its samples are too large"));
        }
        // Samples do not overlap in an honest file, and so their number is bounded by its size.
        self.sample_bytes += u64::from(size);
        let end = offset.checked_add(u64::from(size));
        if end.is_none_or(|end| end > self.source_bytes) || self.sample_bytes > self.source_bytes {
            return Err(NoIndex::new("its samples reach beyond its end"));
        }
        if composition_offset.abs() > LARGEST_OFFSET || i32::try_from(duration).is_err() {
            return Err(NoIndex::new("its times are out of range"));
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
        let time = |place: usize| self.composition[sorted[place] as usize];
        if (1..sorted.len()).any(|place| time(place) == time(place - 1)) {
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
                    return Err(NoIndex::new("its edit list shows no frame"));
                }
                (first, end, time(first).saturating_sub(at))
            }
        };
        let pts = sorted[first..end]
            .iter()
            .map(|&i| self.composition[i as usize].saturating_sub(shift))
            .collect();
        // Stored durations are those of decoding. The last frame of all lasts as long as the last that
        // is decoded; one that an edit makes the last, until the next that it hides.
        let last_duration = match sorted.get(end) {
            Some(_) => time(end).saturating_sub(time(end - 1)),
            None => i64::from(self.last_duration),
        };
        let timeline = Timeline::new(time_base, pts, Some(last_duration))
            .ok_or_else(|| NoIndex::new("it has no samples"))?;
        Ok(Presentation {
            samples: self.samples,
            timeline,
            first_presented: first as u32,
        })
    }
}
