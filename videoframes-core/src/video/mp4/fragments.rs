//! Movie fragments (ISO/IEC 14496-12, 8.8), interpreted like ffmpeg's demuxer.

use mp4_atom::{Tfdt, Tfhd, Trex};

use super::super::NoIndex;
use super::boxes::{Box, find, need};
use super::media::{Media, StoredSample};

/// Flags of a sample at which decoding may not start.
const NOT_SYNC: u32 = 0x0001_0000 | 0x0100_0000;

/// Collects the samples of one track over all fragments.
#[derive(Debug)]
pub(super) struct Fragments {
    defaults: Trex,
    media: Media,
    /// Largest negative composition offset of the first fragment; see [`Fragments::finish`].
    first_offset: Option<i64>,
}

impl Fragments {
    pub(super) fn new(defaults: Trex, source_bytes: u64) -> Self {
        Self {
            defaults,
            media: Media::new(source_bytes),
            first_offset: None,
        }
    }

    /// Adds a `moof` box at this offset of the file.
    pub(super) fn add(&mut self, moof: &Box<'_>, offset: u64) -> Result<(), NoIndex> {
        let mut first = true;
        for traf in moof.children()?.iter().filter(|b| b.kind == *b"traf") {
            let parts = traf.children()?;
            let header: Tfhd = need(&parts, b"tfhd")?.decode()?;
            if header.track_id == self.defaults.track_id {
                let base = match header.base_data_offset {
                    Some(offset) => offset,
                    None if header.default_base_is_moof || first => offset,
                    None => {
                        return Err(NoIndex::new(
                            "the fragments do not specify the position of their data",
                        ));
                    }
                };
                self.add_track(&parts, &header, base)?;
            }
            first = false;
        }
        Ok(())
    }

    fn add_track(&mut self, parts: &[Box<'_>], header: &Tfhd, base: u64) -> Result<(), NoIndex> {
        let description = header
            .sample_description_index
            .unwrap_or(self.defaults.default_sample_description_index);
        if description != 1 {
            return Err(NoIndex::new("the file has several sample descriptions"));
        }
        if let Some(tfdt) = find(parts, b"tfdt") {
            let start = tfdt.decode::<Tfdt>()?.base_media_decode_time;
            let start = i64::try_from(start).map_err(|_| NoIndex::new("the times are out of range"))?;
            if self.media.len() > 0 && start < self.media.decode_time {
                return Err(NoIndex::new("the fragments overlap"));
            }
            self.media.decode_time = start;
        }
        let flags = header
            .default_sample_flags
            .unwrap_or(self.defaults.default_sample_flags);
        let duration = header
            .default_sample_duration
            .unwrap_or(self.defaults.default_sample_duration);
        let size = header
            .default_sample_size
            .unwrap_or(self.defaults.default_sample_size);
        for part in parts.iter().filter(|b| b.kind == *b"trun") {
            let run = Run::read(part)?;
            let mut position = run
                .data_offset
                .and_then(|offset| base.checked_add_signed(offset.into()))
                .ok_or_else(|| NoIndex::new("the fragments do not specify the position of their data"))?;
            for RunEntry {
                duration: own_duration,
                size: own_size,
                flags: own_flags,
                cts,
            } in run.entries()
            {
                let (duration, size) = (own_duration.unwrap_or(duration), own_size.unwrap_or(size));
                if duration == 0 {
                    return Err(NoIndex::new("two frames have the same timestamp"));
                }
                let sync = own_flags.unwrap_or(flags) & NOT_SYNC == 0;
                self.media.push(StoredSample {
                    offset: position,
                    size,
                    sync,
                    duration,
                    // ffmpeg treats the value as signed in every version.
                    composition_offset: i64::from(cts.unwrap_or(0) as i32),
                })?;
                position = position.saturating_add(u64::from(size));
            }
        }
        self.first_offset.get_or_insert(self.media.lowest_offset);
        Ok(())
    }

    /// Returns the samples, and the delay in ticks that ffmpeg adds so that no sample is presented before it is
    /// decoded. ffmpeg determines the delay while reading, so that a growing delay cannot be predicted.
    pub(super) fn finish(self) -> Result<(Media, i64), NoIndex> {
        let delay = self.media.lowest_offset;
        if self.first_offset.unwrap_or(0) != delay {
            return Err(NoIndex::new(
                "the composition offsets change from fragment to fragment",
            ));
        }
        Ok((self.media, delay))
    }
}

/// A `trun` box, whose entries are parsed in place.
struct Run<'a> {
    data_offset: Option<i32>,
    first_flags: Option<u32>,
    count: u32,
    /// Flags of the fields that an entry has.
    fields: u32,
    rows: &'a [u8],
}

/// A sample of a run, with the fields that the run specifies.
struct RunEntry {
    duration: Option<u32>,
    size: Option<u32>,
    flags: Option<u32>,
    cts: Option<u32>,
}

impl<'a> Run<'a> {
    const DATA_OFFSET: u32 = 0x1;
    const FIRST_FLAGS: u32 = 0x4;
    const FIELDS: [u32; 4] = [0x100, 0x200, 0x400, 0x800];

    fn read(trun: &Box<'a>) -> Result<Self, NoIndex> {
        let mut words = trun.body.chunks_exact(4);
        let mut next = || {
            let word = words.next().and_then(|word| word.try_into().ok());
            word.map(u32::from_be_bytes).ok_or_else(|| trun.unreadable())
        };
        let flags = next()?;
        let count = next()?;
        let mut optional = |flag| (flags & flag != 0).then(&mut next).transpose();
        let data_offset = optional(Self::DATA_OFFSET)?.map(|offset| offset as i32);
        let first_flags = optional(Self::FIRST_FLAGS)?;
        let words = Self::FIELDS.iter().filter(|&&field| flags & field != 0).count();
        let head = 8 + 4 * (usize::from(data_offset.is_some()) + usize::from(first_flags.is_some()));
        let length = (count as usize).checked_mul(4 * words);
        let rows = length.and_then(|length| trun.body.get(head..)?.get(..length));
        Ok(Self {
            data_offset,
            first_flags,
            count,
            fields: flags,
            rows: rows.ok_or_else(|| trun.unreadable())?,
        })
    }

    fn entries(&self) -> impl Iterator<Item = RunEntry> {
        let mut words = self.rows.chunks_exact(4);
        (0..self.count).map(move |index| {
            let mut field = |field: u32| {
                let word = (self.fields & field != 0).then(|| words.next()).flatten()?;
                Some(u32::from_be_bytes(word.try_into().ok()?))
            };
            let [duration, size, flags, cts] = Self::FIELDS.map(&mut field);
            RunEntry {
                duration,
                size,
                flags: flags.or(self.first_flags.filter(|_| index == 0)),
                cts,
            }
        })
    }
}
