//! Detection of lost or corrupted frames from the log of a decode.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::limits::{MARKED_PACKETS, MARKED_STREAMS};
use crate::video::Seams;

/// Bytes of a transport stream per read.
const READ: usize = 1 << 20;

/// Part of a decode, by the frames that were decoded so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Part {
    /// Before the first keyframe.
    Head,
    /// Up to the last requested frame.
    #[default]
    Requested,
    /// After the last requested frame. A decoder reports damage before it returns the damaged frame.
    Surplus,
}

/// Evidence of damage in a log.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// First error message.
    first: Option<String>,
    /// First error message before the first keyframe.
    head: Option<String>,
    /// First error message after the last requested frame.
    surplus: Option<String>,
    /// The current part of the decode.
    part: Part,
    /// Packets that the demuxer marked as corrupt, by stream.
    marked: BTreeMap<u32, Marked>,
    /// Number of marked packets that were passed to a decoder, by stream. The demuxer runs far ahead of decoders.
    decoded: BTreeMap<u32, usize>,
    /// Number of pieces of evidence.
    pieces: u64,
}

/// Packets of one stream that are marked as corrupt.
#[derive(Debug, Default)]
struct Marked {
    /// Distinct decode times in packet order.
    times: Vec<Option<i64>>,
    known: BTreeSet<Option<i64>>,
}

impl Evidence {
    /// Returns the number of pieces of evidence so far.
    pub(crate) fn pieces(&self) -> u64 {
        self.pieces
    }

    pub(crate) fn add_error(&mut self, words: String) {
        let slot = match self.part {
            Part::Head => &mut self.head,
            Part::Requested => &mut self.first,
            Part::Surplus => &mut self.surplus,
        };
        self.pieces += u64::from(self.part != Part::Surplus);
        slot.get_or_insert(words);
    }

    pub(crate) fn corrupt_packet(&mut self, stream: u32, dts: Option<i64>) {
        let known = self.marked.contains_key(&stream);
        if known || self.marked.len() < MARKED_STREAMS {
            let marked = self.marked.entry(stream).or_default();
            // Times beyond the limit count as unknown, so that nothing explains them.
            let dts = dts.filter(|_| marked.times.len() < MARKED_PACKETS);
            if marked.known.insert(dts) {
                marked.times.push(dts);
            }
        }
    }

    pub(crate) fn corrupt_input(&mut self, stream: u32) {
        if self.part == Part::Surplus {
            return;
        }
        self.pieces += 1;
        let known = self.decoded.contains_key(&stream);
        if known || self.decoded.len() < MARKED_STREAMS {
            *self.decoded.entry(stream).or_default() += 1;
        }
    }

    /// Begins a part of the decode.
    pub(crate) fn begin(&mut self, part: Part) {
        self.part = part;
    }

    /// Counts error messages after the last requested frame as damage.
    pub(crate) fn count_surplus(&mut self) {
        if let Some(words) = self.surplus.take() {
            self.pieces += 1;
            self.first.get_or_insert(words);
        }
    }

    /// Returns whether there was an error message before the first keyframe.
    pub(crate) fn has_head(&self) -> bool {
        self.head.is_some()
    }

    /// Counts error messages before the first keyframe as damage.
    pub(crate) fn count_head(&mut self) {
        self.first = self.head.take().or(self.first.take());
    }

    /// Returns the first error message, including those before the first keyframe.
    pub(crate) fn first_error(&self) -> Option<&str> {
        self.head.as_deref().or(self.first.as_deref())
    }

    /// Returns a description of the damage, if any. `input` is the decoded file, if there is one.
    pub(crate) fn damage(&self, input: Option<&Path>, cancel: &CancellationToken) -> Option<String> {
        if self.first.is_some() {
            return self.first.clone();
        }
        let is_unexplained = |&(&stream, &count): &(&u32, &usize)| {
            let (Some(times), Some(input)) = (self.marked_times(stream, count), input) else {
                return true;
            };
            !explained(&times, input, cancel).unwrap_or_else(|error| {
                tracing::warn!(%error, "failed to read the transport stream");
                false
            })
        };
        let unexplained = self.decoded.iter().find(is_unexplained)?;
        Some(format!("corrupt packet in stream {}", unexplained.0))
    }

    /// Returns the decode times of the first `count` packets marked in `stream`, if all times are known.
    fn marked_times(&self, stream: u32, count: usize) -> Option<BTreeSet<i64>> {
        let times = self.marked.get(&stream).map_or(&[][..], |marked| &marked.times);
        let times: Option<BTreeSet<i64>> = times.iter().take(count).copied().collect();
        times.filter(|times| !times.is_empty())
    }
}

/// Returns whether the transport stream at `path` lacks no packet around these decode times.
fn explained(times: &BTreeSet<i64>, path: &Path, cancel: &CancellationToken) -> io::Result<bool> {
    let mut seams = Seams::new(times.iter().copied());
    let mut file = File::open(path)?;
    let mut buffer = vec![0; READ];
    loop {
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(seams.explain()),
            Ok(read) => seams.feed(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damage(evidence: &Evidence) -> Option<String> {
        evidence.damage(None, &CancellationToken::new())
    }

    #[test]
    fn ignores_errors_before_the_first_keyframe() {
        let mut evidence = Evidence::default();
        evidence.begin(Part::Head);
        evidence.add_error("no reference".to_owned());
        evidence.begin(Part::Requested);
        assert_eq!(damage(&evidence), None);
        evidence.add_error("first".to_owned());
        evidence.add_error("second".to_owned());
        assert_eq!(damage(&evidence).as_deref(), Some("first"));
        evidence.count_head();
        assert_eq!(damage(&evidence).as_deref(), Some("no reference"));
    }

    #[test]
    fn ignores_errors_after_the_last_requested_frame() {
        let mut evidence = Evidence::default();
        evidence.begin(Part::Surplus);
        evidence.add_error("corrupt decoded frame".to_owned());
        evidence.corrupt_input(0);
        assert_eq!((damage(&evidence), evidence.pieces()), (None, 0));
        evidence.count_surplus();
        assert_eq!((damage(&evidence).is_some(), evidence.pieces()), (true, 1));
    }

    #[test]
    fn counts_a_marked_packet_only_if_it_is_decoded() {
        let mut evidence = Evidence::default();
        evidence.corrupt_packet(1, Some(7));
        assert_eq!(damage(&evidence), None, "the stream is not decoded");
        evidence.corrupt_input(0);
        assert!(damage(&evidence).is_some(), "nothing explains the packet");
    }
}
