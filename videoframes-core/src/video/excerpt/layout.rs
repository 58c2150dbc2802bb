//! Positions of the parts of an excerpt.

use std::ops::Range;

use super::part::Part;
use crate::video::{NoIndex, Packet, VideoIndex};

/// A part of an excerpt that is copied from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Copied {
    /// Position in the excerpt.
    excerpt: u64,
    /// Position in the file.
    file: u64,
    length: u64,
    /// Bytes of the file before the part that are not in the excerpt.
    skipped: Vec<u8>,
    /// Number of the window.
    window: usize,
}

/// A piece of a range of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A range of the excerpt.
    Excerpt { position: u64, length: u64 },
    /// Bytes that are not in the excerpt.
    Skipped(&'a [u8]),
}

/// The parts of an excerpt. Parts of one window follow each other in the file without a missing packet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// In order of both positions.
    copied: Vec<Copied>,
}

impl Layout {
    /// Adds a part at a position of the excerpt. Parts are added in order of their positions.
    pub(crate) fn push(&mut self, excerpt: u64, part: Part, window: usize) -> Vec<u8> {
        self.copied.push(Copied {
            excerpt,
            file: part.position,
            length: part.bytes.len() as u64,
            skipped: part.skipped,
            window,
        });
        part.bytes
    }

    /// Returns the part with all of a range of the excerpt.
    fn part(&self, range: &Range<u64>) -> Option<&Copied> {
        let after = self.copied.partition_point(|part| part.excerpt <= range.start);
        let part = self.copied[..after].last()?;
        let end = part.excerpt.saturating_add(part.length);
        (range.start <= range.end && range.end <= end).then_some(part)
    }

    /// Returns the position in the file of a range of the excerpt.
    pub(crate) fn in_file(&self, range: Range<u64>) -> Option<u64> {
        let part = self.part(&range)?;
        Some(part.file + (range.start - part.excerpt))
    }

    /// Returns the pieces of a range of the file, in order; `None` if a part of the range is unknown.
    pub(crate) fn pieces(&self, range: Range<u64>) -> Option<Vec<Piece<'_>>> {
        let mut pieces = Vec::new();
        let mut start = range.start;
        let mut at = self
            .copied
            .partition_point(|part| part.file.saturating_add(part.length) <= start);
        while start < range.end {
            let part = self.copied.get(at)?;
            if start < part.file {
                let before = usize::try_from(part.file - start).ok()?;
                let bytes = part
                    .skipped
                    .len()
                    .checked_sub(before)
                    .map(|from| &part.skipped[from..])?;
                let wanted = usize::try_from(range.end - start).unwrap_or(usize::MAX);
                let bytes = &bytes[..before.min(wanted)];
                pieces.push(Piece::Skipped(bytes));
                start += bytes.len() as u64;
            } else {
                let end = range.end.min(part.file.saturating_add(part.length));
                pieces.push(Piece::Excerpt {
                    position: part.excerpt + (start - part.file),
                    length: end - start,
                });
                start = end;
                at += 1;
            }
        }
        Some(pieces)
    }

    /// Returns the number of the window with a position of the excerpt.
    fn window(&self, position: u64) -> Option<usize> {
        self.part(&(position..position)).map(|part| part.window)
    }

    /// Moves the samples of an index of the excerpt to their positions in the file, and marks the gaps between windows.
    ///
    /// # Errors
    /// Fails with [`NoIndex`] if a sample is not in the excerpt.
    pub(crate) fn place(&self, mut index: VideoIndex, packets: &[Packet]) -> Result<VideoIndex, NoIndex> {
        let outside = || NoIndex::new("a packet is outside of the excerpt");
        let mut last = None;
        for (position, (sample, packet)) in index.samples.iter_mut().zip(packets).enumerate() {
            let window = self.window(packet.position).ok_or_else(outside)?;
            if last.is_some_and(|last| last != window) {
                index.gaps.push(position);
            }
            last = Some(window);
            let end = sample.offset.saturating_add(u64::from(sample.size));
            sample.offset = self.in_file(sample.offset..end).ok_or_else(outside)?;
        }
        Ok(index)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        let mut layout = Layout::default();
        for (excerpt, position, length, skipped, window) in [
            (100, 1000, 50, 6, 0),
            (160, 1060, 50, 10, 0),
            (220, 9000, 10, 4, 1),
        ] {
            let part = Part {
                position,
                bytes: vec![0; length],
                skipped: (0..skipped).collect(),
                ..Part::default()
            };
            layout.push(excerpt, part, window);
        }
        layout
    }

    #[test]
    fn converts_positions_within_parts_only() {
        let layout = layout();
        for (excerpt, file) in [
            (100..150, Some(1000)),
            (110..120, Some(1010)),
            (160..161, Some(1060)),
            (229..230, Some(9009)),
            (99..101, None),
            (140..165, None),
            (150..151, None),
            (229..231, None),
            (0..0, None),
        ] {
            assert_eq!(layout.in_file(excerpt.clone()), file, "{excerpt:?}");
        }
        assert_eq!(
            [layout.window(149), layout.window(225), layout.window(3)],
            [Some(0), Some(1), None]
        );
    }

    #[test]
    fn ranges_of_the_file_may_span_parts() {
        let layout = layout();
        let excerpt = |position, length| Piece::Excerpt { position, length };
        let skipped: Vec<u8> = (0..10).collect();
        for (range, pieces) in [
            (1010..1020, Some(vec![excerpt(110, 10)])),
            (
                1040..1070,
                Some(vec![excerpt(140, 10), Piece::Skipped(&skipped), excerpt(160, 10)]),
            ),
            (1052..1055, Some(vec![Piece::Skipped(&skipped[2..5])])),
            (
                994..1001,
                Some(vec![Piece::Skipped(&skipped[..6]), excerpt(100, 1)]),
            ),
            (993..1001, None),
            (1100..1111, None),
            (8995..8999, None),
            (9009..9011, None),
        ] {
            assert_eq!(layout.pieces(range.clone()), pieces, "{range:?}");
        }
    }
}
