//! The sample tables of a progressive file (ISO/IEC 14496-12, 8.6 and 8.7), read entry by entry where they
//! stand: nothing is decoded that is not asked for.

use super::super::NoIndex;
use super::boxes::{Box, find, need};
use super::media::Media;
use crate::limits::INDEX_SAMPLES;

/// How many samples a track claims to have.
pub(super) fn sample_count(stbl: &[Box<'_>]) -> Option<u64> {
    let sizes = find(stbl, b"stsz")?;
    Some(word(sizes.body.get(8..)?)?.into())
}

/// Reads the tables of `stbl` into samples; none where all tables are empty, as in fragmented files.
pub(super) fn read(stbl: &[Box<'_>], source_bytes: u64) -> Result<Media, NoIndex> {
    let sizes = Sizes::read(&need(stbl, b"stsz")?)?;
    if sizes.count > INDEX_SAMPLES {
        return Err(NoIndex::new("it has too many samples"));
    }
    let durations = entries::<2>(&need(stbl, b"stts")?)?;
    let mut durations = runs(durations.map(|[count, delta]| (count, delta)));
    let offsets = find(stbl, b"ctts").map(|ctts| entries::<2>(&ctts)).transpose()?;
    // ffmpeg reads the offsets of version 0 as signed, too: QuickTime writes negative ones there.
    let offsets = offsets.into_iter().flatten();
    let mut offsets = runs(offsets.map(|[count, offset]| (count, i64::from(offset as i32))));
    let mut sync = SyncSamples::read(stbl)?;
    let mut media = Media::new(source_bytes);
    for_each_place(stbl, sizes.count, |sample, offset| {
        let duration = durations.next().ok_or_else(differently)?;
        let bytes = sizes.of(sample).ok_or_else(differently)?;
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
        return Err(differently());
    }
    Ok(media)
}

fn differently() -> NoIndex {
    NoIndex::new("its tables count samples differently")
}

/// The first 32 bits.
fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.first_chunk()?))
}

/// The entries of a table, of `N` words each, behind version, flags and their number.
fn entries<'a, const N: usize>(
    table: &Box<'a>,
) -> Result<impl Iterator<Item = [u32; N]> + use<'a, N>, NoIndex> {
    let rows = rows(table, 4, 4 * N)?;
    Ok(rows.map(|row| std::array::from_fn(|i| word(&row[4 * i..]).unwrap_or(0))))
}

/// The entries of a table, of `size` bytes each, whose number stands at `start`, just before them.
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
    /// The size of every sample, or their sizes one by one.
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

    fn of(&self, sample: usize) -> Option<u32> {
        match self.sizes {
            Ok(size) => Some(size),
            Err(sizes) => word(sizes.get(4 * sample..)?),
        }
    }
}

/// Run-length coded values, one at a time: never more than are asked for.
fn runs<T: Copy>(entries: impl Iterator<Item = (u32, T)>) -> impl Iterator<Item = T> {
    entries.flat_map(|(count, value)| std::iter::repeat_n(value, count as usize))
}

/// The starts of all chunks.
fn chunks<'a>(stbl: &[Box<'a>]) -> Result<impl Iterator<Item = u64> + use<'a>, NoIndex> {
    let (table, size) = match find(stbl, b"co64") {
        Some(co64) => (co64, 8),
        None => (need(stbl, b"stco")?, 4),
    };
    let rows = rows(&table, 4, size)?;
    Ok(rows.map(|row| row.iter().fold(0, |start, &byte| start << 8 | u64::from(byte))))
}

/// Calls `each` with every sample's number and place; it answers with the place behind it.
fn for_each_place(
    stbl: &[Box<'_>],
    count: usize,
    mut each: impl FnMut(usize, u64) -> Result<u64, NoIndex>,
) -> Result<(), NoIndex> {
    let stsc = need(stbl, b"stsc")?;
    if entries::<3>(&stsc)?.any(|[.., description]| description != 1) {
        return Err(NoIndex::new("it has several sample descriptions"));
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
        let mut place = start;
        for _ in 0..samples {
            if sample == count {
                return Err(differently());
            }
            place = each(sample, place)?;
            sample += 1;
        }
    }
    match sample == count {
        true => Ok(()),
        false => Err(differently()),
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
        let numbers_of = |table: &Box<'_>| Ok(entries::<1>(table)?.map(|[number]| number).collect());
        let mut numbers: Vec<u32> = numbers_of(&full)?;
        if let Some(partial) = find(stbl, b"stps") {
            let partial: Vec<u32> = numbers_of(&partial)?;
            numbers.extend(partial);
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
