//! Movie fragments (ISO/IEC 14496-12, 8.8), read as ffmpeg's demuxer reads them.

use mp4_atom::{Tfdt, Tfhd, Trex, Trun, TrunEntry};

use super::super::NoIndex;
use super::boxes::{Box, find, need};
use super::media::Media;

/// Flags of a sample at which decoding may not start.
const NOT_SYNC: u32 = 0x0001_0000 | 0x0100_0000;

/// Collects the samples of one track from fragment to fragment.
#[derive(Debug)]
pub(super) struct Fragments {
    defaults: Trex,
    media: Media,
    /// What the composition offsets of the first fragment reached; see [`Fragments::finish`].
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

    /// Takes a `moof` box that starts at `place` of the file.
    pub(super) fn add(&mut self, moof: &Box<'_>, place: u64) -> Result<(), NoIndex> {
        let mut first = true;
        for traf in moof.children()?.iter().filter(|b| b.kind == *b"traf") {
            let parts = traf.children()?;
            let header: Tfhd = need(&parts, b"tfhd")?.decode()?;
            if header.track_id == self.defaults.track_id {
                let base = match header.base_data_offset {
                    Some(offset) => offset,
                    None if header.default_base_is_moof || first => place,
                    None => return Err(NoIndex::new("its fragments do not say where their data lie")),
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
            return Err(NoIndex::new("it has several sample descriptions"));
        }
        if let Some(tfdt) = find(parts, b"tfdt") {
            let start = tfdt.decode::<Tfdt>()?.base_media_decode_time;
            let start = i64::try_from(start).map_err(|_| NoIndex::new("its times are out of range"))?;
            if self.media.len() > 0 && start < self.media.decode_time {
                return Err(NoIndex::new("its fragments overlap"));
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
            let run: Trun = part.decode()?;
            let mut place = run
                .data_offset
                .and_then(|offset| base.checked_add_signed(offset.into()))
                .ok_or_else(|| NoIndex::new("its fragments do not say where their data lie"))?;
            for TrunEntry {
                duration: own_duration,
                size: own_size,
                flags: own_flags,
                cts,
            } in &run.samples
            {
                let (duration, size) = (own_duration.unwrap_or(duration), own_size.unwrap_or(size));
                if duration == 0 {
                    return Err(NoIndex::new("two of its frames share a time"));
                }
                let sync = own_flags.unwrap_or(flags) & NOT_SYNC == 0;
                // Signed in every version, as ffmpeg takes them.
                let offset = i64::from(cts.unwrap_or(0) as i32);
                self.media.push(place, size, sync, duration, offset)?;
                place = place.saturating_add(u64::from(size));
            }
        }
        self.first_offset.get_or_insert(self.media.lowest_offset);
        Ok(())
    }

    /// The samples, and the ticks by which ffmpeg delays them so that none is shown before it is
    /// decoded. It learns that delay as it reads, so that one that grows is not to be predicted.
    pub(super) fn finish(self) -> Result<(Media, i64), NoIndex> {
        let delay = self.media.lowest_offset;
        if self.first_offset.unwrap_or(0) != delay {
            return Err(NoIndex::new(
                "its composition offsets change from fragment to fragment",
            ));
        }
        Ok((self.media, delay))
    }
}
