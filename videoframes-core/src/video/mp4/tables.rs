//! The sample tables of a progressive file (ISO/IEC 14496-12, 8.6 and 8.7).

use mp4_atom::{Co64, Ctts, Stco, Stsc, Stss, Stsz, StszSamples, Stts};

use super::super::NoIndex;
use super::boxes::{Box, find, need};
use super::media::Media;

/// Reads the tables of `stbl` into samples; none where all tables are empty, as in fragmented files.
pub(super) fn read(stbl: &[Box<'_>], source_bytes: u64) -> Result<Media, NoIndex> {
    let sizes = need(stbl, b"stsz")?.decode::<Stsz>()?.samples;
    let count = match &sizes {
        StszSamples::Identical { count, .. } => *count as usize,
        StszSamples::Different { sizes } => sizes.len(),
    };
    if count > crate::limits::INDEX_SAMPLES {
        return Err(NoIndex::new("it has too many samples"));
    }
    let size = |sample: usize| match &sizes {
        StszSamples::Identical { size, .. } => *size,
        StszSamples::Different { sizes } => sizes[sample],
    };
    let durations = need(stbl, b"stts")?.decode::<Stts>()?.entries;
    let durations = durations.iter().map(|e| (e.sample_count, e.sample_delta));
    let mut durations = runs(durations);
    let offsets = match find(stbl, b"ctts") {
        Some(ctts) => ctts.decode::<Ctts>()?.entries,
        None => Vec::new(),
    };
    // ffmpeg reads the offsets of version 0 as signed, too: QuickTime writes negative ones there.
    let offsets = offsets
        .iter()
        .map(|e| (e.sample_count, i64::from(e.sample_offset as i32)));
    let mut offsets = runs(offsets);
    let mut sync = SyncSamples::read(stbl)?;
    let mut media = Media::new(source_bytes);
    for_each_place(stbl, count, |sample, offset| {
        let duration = durations
            .next()
            .ok_or_else(|| NoIndex::new("its tables count samples differently"))?;
        let bytes = size(sample);
        media.push(
            offset,
            bytes,
            sync.contains(sample),
            duration,
            offsets.next().unwrap_or(0),
        )?;
        Ok(offset.saturating_add(u64::from(bytes)))
    })?;
    if durations.next().is_some() {
        return Err(NoIndex::new("its tables count samples differently"));
    }
    Ok(media)
}

/// Run-length coded values, one at a time: never more than are asked for.
fn runs<T: Copy>(entries: impl Iterator<Item = (u32, T)>) -> impl Iterator<Item = T> {
    entries.flat_map(|(count, value)| std::iter::repeat_n(value, count as usize))
}

/// Calls `each` with every sample's number and place; it answers with the place behind it.
fn for_each_place(
    stbl: &[Box<'_>],
    count: usize,
    mut each: impl FnMut(usize, u64) -> Result<u64, NoIndex>,
) -> Result<(), NoIndex> {
    let chunks: Vec<u64> = match find(stbl, b"co64") {
        Some(co64) => co64.decode::<Co64>()?.entries,
        None => {
            let stco = need(stbl, b"stco")?.decode::<Stco>()?;
            stco.entries.into_iter().map(u64::from).collect()
        }
    };
    let layout = need(stbl, b"stsc")?.decode::<Stsc>()?.entries;
    let differently = || NoIndex::new("its tables count samples differently");
    if layout.iter().any(|entry| entry.sample_description_index != 1) {
        return Err(NoIndex::new("it has several sample descriptions"));
    }
    let mut sample = 0;
    let mut entry = 0;
    for (chunk, &start) in chunks.iter().enumerate() {
        while layout
            .get(entry + 1)
            .is_some_and(|next| next.first_chunk as usize <= chunk + 1)
        {
            entry += 1;
        }
        let current = layout.get(entry).ok_or_else(differently)?;
        let mut place = start;
        for _ in 0..current.samples_per_chunk {
            if sample == count {
                return Err(differently());
            }
            place = each(sample, place)?;
            sample += 1;
        }
    }
    if sample == count {
        Ok(())
    } else {
        Err(differently())
    }
}

/// Where decoding may start: the samples of `stss` and QuickTime's `stps`, or all without `stss`.
struct SyncSamples {
    /// Numbers from 1, ascending; `None` where all are.
    numbers: Option<std::iter::Peekable<std::vec::IntoIter<u32>>>,
}

impl SyncSamples {
    fn read(stbl: &[Box<'_>]) -> Result<Self, NoIndex> {
        let Some(full) = find(stbl, b"stss") else {
            return Ok(Self { numbers: None });
        };
        let mut numbers = full.decode::<Stss>()?.entries;
        if let Some(partial) = find(stbl, b"stps") {
            // The same layout under another name.
            let mut body = partial.body;
            let partial: Stss = mp4_atom::Atom::decode_body(&mut body).map_err(|_| partial.unreadable())?;
            numbers.extend(partial.entries);
            numbers.sort_unstable();
        }
        if numbers.first() == Some(&0) || numbers.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(NoIndex::new("its sync samples are out of order"));
        }
        Ok(Self {
            numbers: Some(numbers.into_iter().peekable()),
        })
    }

    /// Asked for ascending samples, counted from 0.
    fn contains(&mut self, sample: usize) -> bool {
        let Some(numbers) = &mut self.numbers else {
            return true;
        };
        let mut found = false;
        while numbers.next_if(|&number| number as usize <= sample + 1).is_some() {
            found = true;
        }
        found
    }
}
