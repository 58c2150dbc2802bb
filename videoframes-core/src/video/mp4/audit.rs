//! Checks of the claims of an index against limits before decoding. Decoders allocate tables for the same
//! entries, so a file that exceeds these limits is not passed to decoders either.

use super::super::NoIndex;
use super::boxes::{Box, find};
use crate::limits::{INDEX_BOX_BYTES, INDEX_EDITS, INDEX_ENTRIES, INDEX_SAMPLE_BYTES, INDEX_SMALL_SAMPLES};

/// Boxes with tables of entries (ISO/IEC 14496-12, 8.5 to 8.9).
const TABLES: [&[u8; 4]; 9] = [
    b"stts", b"ctts", b"stsc", b"stco", b"co64", b"stss", b"stps", b"stsd", b"sbgp",
];

/// Counters of the samples that a movie and its fragments claim.
#[derive(Debug, Default)]
pub(super) struct Audit {
    source_bytes: u64,
    samples: u64,
}

impl Audit {
    /// Creates the counters for a source of this size in bytes.
    pub(super) fn new(source_bytes: u64) -> Self {
        Self {
            source_bytes,
            samples: 0,
        }
    }

    /// Checks a `moov` box.
    pub(super) fn movie(&mut self, moov: &Box<'_>) -> Result<(), NoIndex> {
        let children = moov.children()?;
        if let Some(compressed) = find(&children, b"cmov") {
            let data = find(&compressed.children()?, b"cmvd");
            let size = data.and_then(|data| number(&data, 0)).unwrap_or(0);
            if size > INDEX_BOX_BYTES {
                return Err(NoIndex::excessive(format!(
                    "the compressed index claims {size} bytes, the limit is {INDEX_BOX_BYTES}"
                )));
            }
        }
        children
            .iter()
            .filter(|b| b.kind == *b"trak")
            .try_for_each(|track| self.track(track))
    }

    fn track(&mut self, track: &Box<'_>) -> Result<(), NoIndex> {
        let parts = track.children()?;
        if let Some(edits) = find(&parts, b"edts") {
            for edits in edits.children()?.iter().filter(|b| b.kind == *b"elst") {
                at_most("edits", number(edits, 4).unwrap_or(0), INDEX_EDITS)?;
            }
        }
        let Some(tables) = tables(&parts) else {
            return Ok(());
        };
        for table in tables.iter().filter(|b| TABLES.contains(&&b.kind)) {
            let what = format!("entries in the table '{}'", table.kind.escape_ascii());
            at_most(&what, entries(table).unwrap_or(0), INDEX_ENTRIES)?;
        }
        let sizes = find(&tables, b"stsz").or_else(|| find(&tables, b"stz2"));
        let samples = sizes.and_then(|sizes| number(&sizes, 8)).unwrap_or(0);
        if !is_pcm(&tables) {
            self.add(samples)?;
        }
        Ok(())
    }

    /// Checks a `moof` box.
    pub(super) fn fragment(&mut self, moof: &Box<'_>) -> Result<(), NoIndex> {
        for track in moof.children()?.iter().filter(|b| b.kind == *b"traf") {
            for run in track.children()?.iter().filter(|b| b.kind == *b"trun") {
                self.add(number(run, 4).unwrap_or(0))?;
            }
        }
        Ok(())
    }

    /// Adds samples. Each has at least a byte in the source, and many samples are larger on average.
    fn add(&mut self, samples: u64) -> Result<(), NoIndex> {
        self.samples += samples;
        let many = INDEX_SMALL_SAMPLES + self.source_bytes / INDEX_SAMPLE_BYTES;
        at_most(
            "samples",
            self.samples,
            INDEX_ENTRIES.min(self.source_bytes).min(many),
        )
    }
}

fn at_most(what: &str, count: u64, limit: u64) -> Result<(), NoIndex> {
    match count > limit {
        true => Err(NoIndex::excessive(format!(
            "the index claims {count} {what}, the limit is {limit}"
        ))),
        false => Ok(()),
    }
}

/// Returns the sample tables of a track.
fn tables<'a>(track: &[Box<'a>]) -> Option<Vec<Box<'a>>> {
    let media = find(track, b"mdia")?.children().ok()?;
    let information = find(&media, b"minf")?.children().ok()?;
    find(&information, b"stbl")?.children().ok()
}

/// Returns whether every sample lasts one tick: uncompressed audio, whose samples decoders do not list one by
/// one.
fn is_pcm(tables: &[Box<'_>]) -> bool {
    let Some(durations) = find(tables, b"stts") else {
        return false;
    };
    number(&durations, 4) == Some(1) && number(&durations, 12) == Some(1)
}

/// Returns the number of entries that a table claims. The number follows version and flags; in `sbgp` also the
/// grouping type, which has a parameter from version 1 on.
fn entries(table: &Box<'_>) -> Option<u64> {
    let offset = match (&table.kind, table.body.first()?) {
        (b"sbgp", 0) => 8,
        (b"sbgp", _) => 12,
        _ => 4,
    };
    number(table, offset)
}

/// Returns the 32-bit number at an offset in the content of a box.
fn number(b: &Box<'_>, start: usize) -> Option<u64> {
    let bytes = b.body.get(start..start.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?).into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_number_of_entries_of_each_table() {
        for (kind, body, count) in [
            (b"stts", &[0, 0, 0, 0, 0, 0, 0, 7][..], Some(7)),
            (b"sbgp", b"\0\0\0\0roll\0\0\0\x05", Some(5)),
            (b"sbgp", b"\x01\0\0\0seam\0\0\0\x09\0\0\0\x03", Some(3)),
            (b"sbgp", b"\0\0\0\0roll", None),
            (b"stco", b"", None),
        ] {
            let table = Box {
                kind: *kind,
                whole: body,
                body,
            };
            assert_eq!(entries(&table), count, "{kind:?}");
        }
    }
}
