//! Sample tables of a progressive file (ISO/IEC 14496-12, 8.6 and 8.7). Entries are parsed on demand, in position.

use super::super::NoIndex;
use super::boxes::{Box, find, need};
use super::media::{Media, StoredSample};
use crate::limits::INDEX_SAMPLES;

/// Returns the number of samples that a track claims.
pub(super) fn sample_count(stbl: &[Box<'_>]) -> Option<u64> {
    let sizes = find(stbl, b"stsz")?;
    Some(word(sizes.body.get(8..)?)?.into())
}

/// Reads the samples from the tables of `stbl`. Returns no samples if all tables are empty, as in fragmented
/// files.
pub(super) fn read(stbl: &[Box<'_>], source_bytes: u64) -> Result<Media, NoIndex> {
    let sizes = Sizes::read(&need(stbl, b"stsz")?)?;
    if sizes.count > INDEX_SAMPLES {
        return Err(NoIndex::new("the file has too many samples"));
    }
    let durations = entries::<2>(&need(stbl, b"stts")?)?;
    let mut durations = runs(durations.map(|[count, delta]| (count, delta)));
    let offsets = find(stbl, b"ctts").map(|ctts| entries::<2>(&ctts)).transpose()?;
    // ffmpeg treats offsets of version 0 as signed too, since QuickTime writes negative offsets there.
    let offsets = offsets.into_iter().flatten();
    let mut offsets = runs(offsets.map(|[count, offset]| (count, i64::from(offset as i32))));
    let mut sync = SyncSamples::read(stbl)?;
    let mut media = Media::new(source_bytes);
    for_each_sample(stbl, sizes.count, |sample, offset| {
        let duration = durations.next().ok_or_else(differently)?;
        let bytes = sizes.get(sample).ok_or_else(differently)?;
        media.push(StoredSample {
            offset,
            size: bytes,
            sync: sync.contains(sample),
            duration,
            composition_offset: offsets.next().unwrap_or(0),
        })?;
        Ok(offset.saturating_add(u64::from(bytes)))
    })?;
    if durations.next().is_some() {
        return Err(differently());
    }
    Ok(media)
}

fn differently() -> NoIndex {
    NoIndex::new("the sample tables disagree on the number of samples")
}

/// Returns the first 32 bits as a number.
fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.first_chunk()?))
}

/// Returns the entries of a table, of `N` words each, after version, flags and number of entries.
fn entries<'a, const N: usize>(
    table: &Box<'a>,
) -> Result<impl Iterator<Item = [u32; N]> + use<'a, N>, NoIndex> {
    let rows = rows(table, 4, 4 * N)?;
    Ok(rows.map(|row| std::array::from_fn(|i| word(&row[4 * i..]).unwrap_or(0))))
}

/// Returns the entries of a table, of `size` bytes each. Their number is stored at `start`, immediately before
/// them.
fn rows<'a>(table: &Box<'a>, start: usize, size: usize) -> Result<std::slice::ChunksExact<'a, u8>, NoIndex> {
    let behind = table
        .body
        .get(start..)
        .and_then(|rest| Some((word(rest)?, &rest[4..])));
    let (count, rest) = behind.ok_or_else(|| table.unreadable())?;
    let length = (count as usize).checked_mul(size);
    let rows = length.and_then(|length| rest.get(..length));
    Ok(rows.ok_or_else(|| table.unreadable())?.chunks_exact(size))
}

/// `stsz`: the sizes of all samples.
struct Sizes<'a> {
    count: usize,
    /// The common size of all samples, or the list of their sizes.
    sizes: Result<u32, &'a [u8]>,
}

impl<'a> Sizes<'a> {
    fn read(stsz: &Box<'a>) -> Result<Self, NoIndex> {
        let number = |start: usize| {
            let bytes = stsz.body.get(start..);
            bytes.and_then(word).ok_or_else(|| stsz.unreadable())
        };
        let (uniform, count) = (number(4)?, number(8)? as usize);
        let sizes = match uniform {
            0 => {
                let _checked = rows(stsz, 8, 4)?;
                Err(&stsz.body[12..])
            }
            size => Ok(size),
        };
        Ok(Self { count, sizes })
    }

    fn get(&self, sample: usize) -> Option<u32> {
        match self.sizes {
            Ok(size) => Some(size),
            Err(sizes) => word(sizes.get(4 * sample..)?),
        }
    }
}

/// Expands run-length coded values lazily.
fn runs<T: Copy>(entries: impl Iterator<Item = (u32, T)>) -> impl Iterator<Item = T> {
    entries.flat_map(|(count, value)| std::iter::repeat_n(value, count as usize))
}

/// Returns the offsets of all chunks.
fn chunks<'a>(stbl: &[Box<'a>]) -> Result<impl Iterator<Item = u64> + use<'a>, NoIndex> {
    let (table, size) = match find(stbl, b"co64") {
        Some(co64) => (co64, 8),
        None => (need(stbl, b"stco")?, 4),
    };
    let rows = rows(&table, 4, size)?;
    Ok(rows.map(|row| row.iter().fold(0, |start, &byte| start << 8 | u64::from(byte))))
}

/// Calls `each` with the index and offset of every sample. The callback returns the offset after the sample.
fn for_each_sample(
    stbl: &[Box<'_>],
    count: usize,
    mut each: impl FnMut(usize, u64) -> Result<u64, NoIndex>,
) -> Result<(), NoIndex> {
    let stsc = need(stbl, b"stsc")?;
    if entries::<3>(&stsc)?.any(|[.., description]| description != 1) {
        return Err(NoIndex::new("the file has several sample descriptions"));
    }
    let mut layout = entries::<3>(&stsc)?
        .map(|[first, samples, _]| (first, samples))
        .peekable();
    let mut sample = 0;
    let mut current = layout.next();
    for (chunk, start) in chunks(stbl)?.enumerate() {
        while let Some(next) = layout.next_if(|&(first, _)| first as usize <= chunk + 1) {
            current = Some(next);
        }
        let (_, samples) = current.ok_or_else(differently)?;
        let mut position = start;
        for _ in 0..samples {
            if sample == count {
                return Err(differently());
            }
            position = each(sample, position)?;
            sample += 1;
        }
    }
    match sample == count {
        true => Ok(()),
        false => Err(differently()),
    }
}

/// Sync samples: those of `stss` and QuickTime's `stps`, or all samples without `stss`.
struct SyncSamples {
    /// Ascending sample numbers, from 1; `None` if all samples are sync samples.
    numbers: Option<std::iter::Peekable<std::vec::IntoIter<u32>>>,
}

impl SyncSamples {
    fn read(stbl: &[Box<'_>]) -> Result<Self, NoIndex> {
        let Some(full) = find(stbl, b"stss") else {
            return Ok(Self { numbers: None });
        };
        let numbers_of = |table: &Box<'_>| Ok(entries::<1>(table)?.map(|[number]| number).collect());
        let mut numbers: Vec<u32> = numbers_of(&full)?;
        if let Some(partial) = find(stbl, b"stps") {
            let partial: Vec<u32> = numbers_of(&partial)?;
            numbers.extend(partial);
            numbers.sort_unstable();
        }
        if numbers.first() == Some(&0) || numbers.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(NoIndex::new("the sync samples are out of order"));
        }
        Ok(Self {
            numbers: Some(numbers.into_iter().peekable()),
        })
    }

    /// Returns whether a sample, counted from 0, is a sync sample. Must be called for ascending samples.
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
