//! Windows: consecutive clusters and blocks up to a time.

use std::ops::Range;

use super::{Outline, READ, UNKNOWN_SIZE, unusual};
use crate::limits::EXCERPT_WINDOW_BYTES;
use crate::video::NoIndex;
use crate::video::ebml::{Header, MAX_HEADER, elements, id, unsigned, vint};
use crate::video::excerpt::part::{LATER_FRAMES, Part};

/// Memory of a cluster in addition to its elements, at least. An empty cluster has five bytes in a file.
const CLUSTER_BYTES: u64 = 256;
/// Bits of the flags of a block with several frames.
const LACING: u8 = 0x06;

/// A part of the file to read: from a cluster until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Position of the first cluster.
    pub start: u64,
    /// All frames until this time are read; all frames of the file if `None`.
    pub until: Option<i64>,
    /// Position of a later cluster with which another window begins, or the length of the file.
    pub stop: u64,
}

impl Window {
    /// Returns whether a time is after the last wanted time.
    fn is_after(&self, time: i64) -> bool {
        self.until.is_some_and(|until| time > until)
    }
}

/// How a window ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All frames until the time are read.
    Complete,
    /// The next window begins.
    Joined,
    /// The file ends.
    OfFile,
}

/// Reads a [`Window`] from consecutive ranges of a file.
#[derive(Debug)]
pub struct WindowReader {
    track: u64,
    window: Window,
    /// Length of the file in bytes.
    length: u64,
    /// Position of the next element.
    position: u64,
    /// Bytes from there on.
    bytes: Vec<u8>,
    cluster: Option<Cluster>,
    /// Times of the frames in decode order.
    times: Vec<i64>,
    /// Number of frames after the time of the window.
    later: usize,
    parts: Vec<Part>,
    /// Bytes kept in memory.
    kept: u64,
    outcome: Option<Result<End, NoIndex>>,
}

#[derive(Debug)]
struct Cluster {
    /// Position after the cluster, if known.
    end: Option<u64>,
    time: i64,
}

/// Progress within a window.
enum Step {
    /// Consumes this number of bytes.
    Consume(usize),
    /// Continues at this position.
    Jump(u64),
    /// Needs more bytes.
    More,
    End(End),
}

impl WindowReader {
    /// Creates a reader for a file of `length` bytes.
    pub fn new(outline: &Outline, window: Window, length: u64) -> Self {
        Self {
            track: outline.track,
            window,
            length,
            position: window.start,
            bytes: Vec::new(),
            cluster: None,
            times: Vec::new(),
            later: 0,
            parts: Vec::new(),
            kept: 0,
            outcome: None,
        }
    }

    /// Returns the next range to read, of about `bytes` bytes; `None` if the window is complete or unusual.
    pub fn wanted(&self, bytes: u64) -> Option<Range<u64>> {
        if self.outcome.is_some() {
            return None;
        }
        let start = self.position.saturating_add(self.bytes.len() as u64);
        Some(start..start.saturating_add(bytes.max(READ)).min(self.length))
    }

    /// Supplies the bytes of the wanted range.
    pub fn supply(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.outcome = self.advance(bytes.is_empty()).transpose();
    }

    /// Requests the frames until a later time too.
    pub fn extend(&mut self, until: i64) {
        self.window.until = self.window.until.map(|earlier| earlier.max(until));
        self.later = self
            .times
            .iter()
            .filter(|&&time| self.window.is_after(time))
            .count();
        if self.outcome == Some(Ok(End::Complete)) && !self.is_complete() {
            self.outcome = self.advance(false).transpose();
        }
    }

    /// Sets the position of the cluster with which another window begins.
    pub fn stop_at(&mut self, position: u64) {
        self.window.stop = position;
    }

    /// Returns the position up to which the file is read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns the times of the frames so far, in decode order.
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// Returns the parts in order, and whether the next window follows without a missing packet.
    ///
    /// # Errors
    /// Fails with [`NoIndex`] if the clusters are damaged or unusual.
    pub fn finish(self) -> Result<(Vec<Part>, bool), NoIndex> {
        let end = self.outcome.unwrap_or_else(|| Err(unusual()))?;
        Ok((self.parts, end == End::Joined))
    }

    /// Returns whether every frame until the time has been read.
    fn is_complete(&self) -> bool {
        self.later >= LATER_FRAMES
    }

    fn advance(&mut self, at_end: bool) -> Result<Option<End>, NoIndex> {
        let mut consumed = 0;
        let end = loop {
            match self.step(consumed)? {
                Step::Consume(bytes) => {
                    consumed += bytes;
                    self.position += bytes as u64;
                }
                Step::Jump(position) => {
                    let skipped = usize::try_from(position - self.position).unwrap_or(usize::MAX);
                    consumed = consumed.saturating_add(skipped).min(self.bytes.len());
                    self.position = position;
                }
                Step::More if at_end => return Err(unusual()),
                Step::More => break None,
                Step::End(end) => break Some(end),
            }
        };
        self.bytes.drain(..consumed);
        Ok(end)
    }

    /// Reads the element at `consumed` bytes after the start of the buffer.
    fn step(&mut self, consumed: usize) -> Result<Step, NoIndex> {
        if self.is_complete() {
            return Ok(Step::End(End::Complete));
        }
        let position = self.position;
        if self
            .cluster
            .as_ref()
            .is_some_and(|c| c.end.is_some_and(|end| position >= end))
        {
            self.cluster = None;
        }
        if position >= self.length {
            return Ok(Step::End(End::OfFile));
        }
        let rest = self.bytes.get(consumed..).unwrap_or_default();
        let Some(header) = Header::read(rest) else {
            return match rest.len() >= MAX_HEADER {
                true => Err(unusual()),
                false => Ok(Step::More),
            };
        };
        let content = position + header.length as u64;
        let end = header.size.map(|size| content.saturating_add(size));
        match header.id {
            id::CLUSTER if position >= self.window.stop => Ok(Step::End(End::Joined)),
            id::CLUSTER => {
                let skipped = rest[..header.length].to_vec();
                self.count(CLUSTER_BYTES)?;
                self.cluster = Some(Cluster { end, time: 0 });
                self.parts.push(Part {
                    // An unknown size allows a cluster without its last blocks.
                    prefix: [&id::CLUSTER.to_be_bytes()[..], &UNKNOWN_SIZE].concat(),
                    position: content,
                    bytes: Vec::new(),
                    skipped,
                });
                Ok(Step::Consume(header.length))
            }
            id::CUES | id::TAGS | id::CHAPTERS | id::ATTACHMENTS | id::SEEK_HEAD | id::INFO | id::TRACKS => {
                self.cluster = None;
                end.map(Step::Jump).ok_or_else(unusual)
            }
            _ if self.cluster.is_none() => end.map(Step::Jump).ok_or_else(unusual),
            _ => {
                let size = header.size.filter(|&size| size <= EXCERPT_WINDOW_BYTES);
                let whole = header.length + size.ok_or_else(unusual)? as usize;
                match rest.len() >= whole {
                    true => self.child(header, consumed..consumed + whole),
                    false => Ok(Step::More),
                }
            }
        }
    }

    /// Reads and copies an element of a cluster, in a range of the buffer.
    fn child(&mut self, header: Header, range: Range<usize>) -> Result<Step, NoIndex> {
        let (Some(cluster), Some(part)) = (&mut self.cluster, self.parts.last_mut()) else {
            return Err(unusual());
        };
        let element = &self.bytes[range.clone()];
        let content = &element[header.length..];
        let block = match header.id {
            id::TIMESTAMP => {
                let time = unsigned(content).and_then(|time| i64::try_from(time).ok());
                cluster.time = time.ok_or_else(unusual)?;
                None
            }
            id::SIMPLE_BLOCK => Some(content),
            id::BLOCK_GROUP => elements(content)
                .find(|element| element.id == id::BLOCK)
                .map(|element| element.content),
            // A checksum of a cluster without its last blocks would be wrong.
            id::CRC_32 if part.bytes.is_empty() => {
                part.position += range.len() as u64;
                part.skipped.extend_from_slice(element);
                return Ok(Step::Consume(range.len()));
            }
            _ => None,
        };
        if let Some(block) = block {
            let (coded, size) = vint(block, 8).ok_or_else(unusual)?;
            let fields = block.get(size..).and_then(|fields| fields.first_chunk::<3>());
            let [high, low, flags] = *fields.ok_or_else(unusual)?;
            if coded == self.track | 1 << (7 * size) {
                if flags & LACING != 0 {
                    return Err(NoIndex::new("blocks are laced"));
                }
                let time = i64::from(i16::from_be_bytes([high, low]));
                let time = cluster.time.saturating_add(time);
                self.times.push(time);
                self.later += usize::from(self.window.is_after(time));
            }
        }
        part.bytes.extend_from_slice(element);
        self.count(range.len() as u64)?;
        Ok(Step::Consume(range.len()))
    }

    /// Counts bytes that are kept in memory.
    fn count(&mut self, bytes: u64) -> Result<(), NoIndex> {
        self.kept += bytes;
        match self.kept > EXCERPT_WINDOW_BYTES {
            true => Err(NoIndex::new("the keyframes are too far apart")),
            false => Ok(()),
        }
    }
}
