//! Index of MP4 and QuickTime files (ISO/IEC 14496-12), without I/O: from bytes to an index.
//!
//! Nothing in a file is trusted. A damaged or unusual file has no index, and is then treated like formats without
//! an index.

mod audit;
pub(super) mod boxes;
pub(super) mod entry;
mod fragments;
mod media;
mod movie;
mod recording;
pub(super) mod sample_description;
mod tables;
pub(crate) mod write;

use std::ops::Range;

use bytes::Bytes;
use mp4_atom::{Decode, Header};

use self::audit::Audit;
use self::boxes::Box;
pub(super) use self::entry::configuration_box;
use self::fragments::Fragments;
use self::movie::Movie;
use super::{NoIndex, StreamChoice, VideoIndex};
use crate::limits::{INDEX_BOX_BYTES, INDEX_BOXES, INDEX_FRAGMENTS};

/// Number of bytes requested where a box header is expected: often the whole index.
const WINDOW: u64 = 64 << 10;
/// Minimum number of bytes requested where the next fragment is expected.
const SMALL_WINDOW: u64 = 4 << 10;
/// Size of the longest box header in bytes.
const HEADER: u64 = 16;

/// Parser of an index that performs no I/O: it reports the range of bytes to read next.
///
/// ```
/// # use videoframes_core::video::IndexReader;
/// # fn bytes_of(range: std::ops::Range<u64>) -> bytes::Bytes { bytes::Bytes::from_static(b"not a movie, just some text") }
/// let mut reader = IndexReader::new(27);
/// while let Some(range) = reader.wanted() {
///     reader.supply(range.start, bytes_of(range));
/// }
/// assert!(reader.finish().is_err());
/// ```
#[derive(Debug)]
pub struct IndexReader {
    length: u64,
    /// Start of the next box.
    position: u64,
    window_start: u64,
    window: Bytes,
    boxes: usize,
    moofs: usize,
    stream: Option<StreamChoice>,
    audit: Audit,
    /// Number of bytes to request where the next box is expected.
    ahead: u64,
    movie: Option<Movie>,
    fragments: Option<Fragments>,
    state: State,
}

struct BoxHeader {
    kind: [u8; 4],
    /// Size of the header in bytes.
    size: u64,
    /// Size of the content in bytes; `None` if the box extends to the end of the file.
    content: Option<u64>,
}

#[derive(Debug)]
enum State {
    Wants(Range<u64>),
    Done,
    Failed(NoIndex),
}

impl IndexReader {
    /// Creates a reader for a source of `length` bytes.
    #[must_use]
    pub fn new(length: u64) -> Self {
        Self {
            length,
            position: 0,
            window_start: 0,
            window: Bytes::new(),
            boxes: 0,
            moofs: 0,
            stream: None,
            audit: Audit::new(length),
            ahead: WINDOW,
            movie: None,
            fragments: None,
            state: State::Wants(0..length.min(WINDOW)),
        }
    }

    /// Selects a video stream; by default the stream that a player shows is read.
    #[must_use]
    pub fn with_stream(self, stream: Option<StreamChoice>) -> Self {
        Self { stream, ..self }
    }

    /// Returns the next range of bytes to read, or `None` when reading is complete.
    pub fn wanted(&self) -> Option<Range<u64>> {
        match &self.state {
            State::Wants(range) => Some(range.clone()),
            State::Done | State::Failed(_) => None,
        }
    }

    /// Supplies the bytes from `start` on. Fewer bytes than wanted result in no index.
    pub fn supply(&mut self, start: u64, bytes: Bytes) {
        let State::Wants(wanted) = &self.state else {
            return;
        };
        if start != wanted.start || (bytes.len() as u64) < wanted.end - wanted.start {
            self.state = State::Failed(NoIndex::new("the source is shorter than its reported length"));
            return;
        }
        (self.window_start, self.window) = (start, bytes);
        self.state = match self.advance() {
            Ok(Some(range)) => State::Wants(range),
            Ok(None) => State::Done,
            Err(error) => State::Failed(error),
        };
    }

    /// Returns the index.
    ///
    /// # Errors
    /// Fails with [`NoIndex`] if there is no usable index.
    pub fn finish(self) -> Result<VideoIndex, NoIndex> {
        match self.state {
            State::Failed(error) => return Err(error),
            State::Wants(_) => return Err(NoIndex::new("the index was not read completely")),
            State::Done => {}
        }
        let movie = self
            .movie
            .ok_or_else(|| NoIndex::new("the file has no index (no 'moov' box)"))?;
        movie.index(self.fragments)
    }

    /// Advances from box to box as far as the window reaches.
    fn advance(&mut self) -> Result<Option<Range<u64>>, NoIndex> {
        while self.position + 8 <= self.length {
            let Some(header) = self.header()? else {
                return Ok(Some(self.position..self.length.min(self.position + self.ahead)));
            };
            let end = match header.content {
                Some(content) => header
                    .size
                    .checked_add(content)
                    .and_then(|size| self.position.checked_add(size)),
                None => Some(self.length),
            };
            let end = end
                .filter(|&end| end <= self.length)
                .ok_or_else(|| NoIndex::new("a box extends beyond the end of the file"))?;
            if matches!(&header.kind, b"moov" | b"moof") {
                let bytes = end - self.position;
                if bytes > INDEX_BOX_BYTES {
                    return Err(NoIndex::excessive(format!(
                        "the index has {bytes} bytes, the limit is {INDEX_BOX_BYTES}"
                    )));
                }
                let Some(bytes) = self.windowed(self.position..end) else {
                    // Includes the header that locates the next box.
                    return Ok(Some(self.position..self.length.min(end + HEADER)));
                };
                self.take(header.kind, &bytes)?;
                if header.kind == *b"moof" {
                    // The next box is probably not much larger, and there may be thousands of boxes.
                    self.ahead = (2 * (end - self.position)).clamp(SMALL_WINDOW, WINDOW);
                }
                if self.movie.is_some() && self.fragments.is_none() {
                    return Ok(None);
                }
            }
            self.position = end;
            self.boxes += 1;
            if self.boxes > INDEX_BOXES {
                return Err(NoIndex::new("the file has too many boxes"));
            }
        }
        Ok(None)
    }

    /// Returns the header of the next box if the window contains it.
    fn header(&self) -> Result<Option<BoxHeader>, NoIndex> {
        let Some(bytes) = self.windowed(self.position..self.length.min(self.position + HEADER)) else {
            return Ok(None);
        };
        let mut rest = &*bytes;
        let header =
            Header::decode(&mut rest).map_err(|_| NoIndex::new("the file does not consist of boxes"))?;
        let kind = *header.kind.as_ref();
        if self.boxes == 0 && !STARTS.contains(&&kind) {
            return Err(NoIndex::new("the format has no supported index"));
        }
        let header_size = (bytes.len() - rest.len()) as u64;
        Ok(Some(BoxHeader {
            kind,
            size: header_size,
            content: header.size.map(|size| size as u64),
        }))
    }

    fn windowed(&self, range: Range<u64>) -> Option<Bytes> {
        let start = usize::try_from(range.start.checked_sub(self.window_start)?).ok()?;
        let length = usize::try_from(range.end - range.start).ok()?;
        let end = start.checked_add(length)?;
        (end <= self.window.len()).then(|| self.window.slice(start..end))
    }

    fn take(&mut self, kind: [u8; 4], bytes: &Bytes) -> Result<(), NoIndex> {
        let boxes = Box::all(bytes)?;
        let [only] = boxes.as_slice() else {
            return Err(NoIndex::new("the boxes are not nested correctly"));
        };
        match &kind {
            b"moov" => self.audit.movie(only)?,
            _ => {
                self.moofs += 1;
                if self.moofs > INDEX_FRAGMENTS {
                    return Err(NoIndex::excessive(format!(
                        "the file has more than {INDEX_FRAGMENTS} fragments"
                    )));
                }
                self.audit.fragment(only)?;
            }
        }
        match (&kind, &mut self.movie, &mut self.fragments) {
            (b"moov", None, _) => {
                let movie = Movie::read(only, self.stream, self.length)?;
                self.fragments = movie.defaults.clone().map(|d| Fragments::new(d, self.length));
                self.movie = Some(movie);
                Ok(())
            }
            (b"moof", Some(_), Some(fragments)) => fragments.add(only, self.position),
            _ => Err(NoIndex::new("the boxes are in an unusual order")),
        }
    }
}

/// Kinds of the boxes with which files of this family begin.
const STARTS: [&[u8; 4]; 10] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"uuid", b"sidx",
];

/// Returns whether a file begins with a box of this family.
pub(crate) fn starts_like_mp4(head: &[u8; 8]) -> bool {
    STARTS.iter().any(|kind| head[4..] == **kind)
}
