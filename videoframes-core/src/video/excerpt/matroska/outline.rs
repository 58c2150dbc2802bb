//! The structure of a file: its description and its cues.

use std::ops::Range;

use super::{READ, UNKNOWN_SIZE, unusual};
use crate::limits::{EXCERPT_CUES_BYTES, EXCERPT_HEAD_BYTES};
use crate::units::TimeBase;
use crate::video::NoIndex;
use crate::video::ebml::{Header, MAX_HEADER, elements, id, unsigned};

/// Type of video tracks.
const VIDEO: u64 = 1;

/// A cluster that contains a keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cue {
    /// Time of the keyframe in the time base of the file.
    pub time: i64,
    /// Position of the cluster in the file.
    pub position: u64,
}

/// The structure of a file with one video track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The beginning of an excerpt, up to its first cluster.
    pub head: Vec<u8>,
    /// Number of the video track.
    pub track: u64,
    /// Time base of the file.
    pub time_base: TimeBase,
    /// Position of the first cluster.
    pub first_cluster: u64,
    /// The cues of the video track, in order of time and position; at least two.
    pub cues: Vec<Cue>,
}

impl Outline {
    /// Returns the last cue at or before `time`.
    pub fn cue_before(&self, time: i64) -> Option<Cue> {
        let after = self.cues.partition_point(|cue| cue.time <= time);
        self.cues[..after].last().copied()
    }

    /// Returns the position of the first cue after `time`, or the position of the last cue.
    pub fn position_after(&self, time: i64) -> u64 {
        let after = self.cues.partition_point(|cue| cue.time <= time);
        let next = self.cues.get(after).or(self.cues.last());
        next.map_or(self.first_cluster, |cue| cue.position)
    }
}

/// Reads an [`Outline`] from ranges of a file.
#[derive(Debug)]
pub struct OutlineReader {
    /// Length of the file in bytes.
    length: u64,
    /// The beginning of the file.
    head: Vec<u8>,
    /// The cues, from the position where they begin.
    cues: Option<(u64, Vec<u8>)>,
    found: Option<Beginning>,
    outcome: Option<Result<Outline, NoIndex>>,
}

/// The elements before the first cluster.
#[derive(Debug)]
struct Beginning {
    outline: Outline,
    /// Position of the content of the segment, from which other positions count.
    origin: u64,
}

impl OutlineReader {
    /// Creates a reader for a file of `length` bytes.
    pub fn new(length: u64) -> Self {
        Self {
            length,
            head: Vec::new(),
            cues: None,
            found: None,
            outcome: None,
        }
    }

    /// Returns the next range to read; `None` if the outline is complete or impossible.
    pub fn wanted(&self) -> Option<Range<u64>> {
        if self.outcome.is_some() {
            return None;
        }
        let (start, size) = match &self.cues {
            None => (self.head.len() as u64, READ),
            Some((position, bytes)) => {
                let whole = Header::read(bytes).and_then(|header| header.size.map(|size| (header, size)));
                let missing = whole.map_or(READ, |(header, size)| {
                    (header.length as u64)
                        .saturating_add(size)
                        .saturating_sub(bytes.len() as u64)
                });
                (position + bytes.len() as u64, missing)
            }
        };
        Some(start..start.saturating_add(size).min(self.length))
    }

    /// Supplies the bytes of the wanted range.
    pub fn supply(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            self.outcome = Some(Err(unusual()));
            return;
        }
        let outcome = match &mut self.cues {
            None => {
                self.head.extend_from_slice(bytes);
                self.read_head()
            }
            Some((_, read)) => {
                read.extend_from_slice(bytes);
                self.read_cues()
            }
        };
        self.outcome = outcome.transpose();
    }

    /// Returns the outline.
    ///
    /// # Errors
    /// Fails with [`NoIndex`] if the file is another or an unusual one.
    pub fn finish(self) -> Result<Outline, NoIndex> {
        self.outcome.unwrap_or_else(|| Err(unusual()))
    }

    fn read_head(&mut self) -> Result<Option<Outline>, NoIndex> {
        if Header::read(&self.head).is_none_or(|header| header.id != id::EBML) {
            return Err(unusual());
        }
        let Some((beginning, cues)) = beginning(&self.head)? else {
            let complete = self.head.len() as u64 >= self.length.min(EXCERPT_HEAD_BYTES);
            return match complete {
                true => Err(unusual()),
                false => Ok(None),
            };
        };
        self.found = Some(beginning);
        match cues {
            Cues::Read(content) => {
                self.cues = Some((content.start as u64, self.head[content].to_vec()));
                self.read_cues()
            }
            Cues::At(position) if position < self.length => {
                self.cues = Some((position, Vec::new()));
                Ok(None)
            }
            Cues::At(_) => Err(unusual()),
        }
    }

    fn read_cues(&mut self) -> Result<Option<Outline>, NoIndex> {
        let Some((_, bytes)) = &self.cues else {
            return Err(unusual());
        };
        let Some(header) = Header::read(bytes) else {
            return Err(unusual());
        };
        let size = header.size.filter(|&size| size <= EXCERPT_CUES_BYTES);
        let size = size.filter(|_| header.id == id::CUES).ok_or_else(unusual)?;
        if (bytes.len() as u64) < header.length as u64 + size {
            return Ok(None);
        }
        let Some(Beginning { mut outline, origin }) = self.found.take() else {
            return Err(unusual());
        };
        let content = &bytes[header.length..header.length + size as usize];
        outline.cues = cues(content, outline.track, origin);
        let ascending = |pair: &[Cue]| pair[0].time < pair[1].time && pair[0].position <= pair[1].position;
        let inside = |cue: &Cue| (outline.first_cluster..self.length).contains(&cue.position);
        let usable = outline.cues.len() > 1
            && outline.cues.windows(2).all(ascending)
            && outline.cues.iter().all(inside);
        match usable {
            true => Ok(Some(outline)),
            false => Err(NoIndex::new("the cues of the file are missing or out of order")),
        }
    }
}

/// Where the cues are.
enum Cues {
    /// Before the first cluster, in this range of the beginning.
    Read(Range<usize>),
    /// At this position of the file.
    At(u64),
}

/// Returns the elements before the first cluster, and where the cues are; `None` if `head` does not contain the first cluster.
fn beginning(head: &[u8]) -> Result<Option<(Beginning, Cues)>, NoIndex> {
    let Some(first) = element(head, 0)? else {
        return Ok(None);
    };
    let Some(segment) = head.get(first.end..).and_then(Header::read) else {
        return match head.len() > first.end + MAX_HEADER {
            true => Err(unusual()),
            false => Ok(None),
        };
    };
    if segment.id != id::SEGMENT {
        return Err(unusual());
    }
    let origin = first.end + segment.length;
    let (mut position, mut info, mut tracks, mut cues) = (origin, None, None, None);
    loop {
        let header = head.get(position..).and_then(Header::read);
        if header.is_some_and(|header| header.id == id::CLUSTER) {
            break;
        }
        let Some(found) = element(head, position)? else {
            return Ok(None);
        };
        let content = &head[found.content..found.end];
        match found.id {
            id::SEEK_HEAD if cues.is_none() => {
                cues = seek(content, id::CUES).map(|at| Cues::At(at.saturating_add(origin as u64)));
            }
            id::INFO => info = Some(position..found.end),
            id::TRACKS => tracks = Some(position..found.end),
            id::CUES => cues = Some(Cues::Read(position..found.end)),
            _ => {}
        }
        position = found.end;
    }
    let (Some(info), Some(tracks), Some(cues)) = (info, tracks, cues) else {
        return Err(NoIndex::new("the file has no cues"));
    };
    let track = video_track(&head[tracks.clone()])?;
    let time_base = time_base(&head[info.clone()]).ok_or_else(unusual)?;
    let mut excerpt = head[..first.end].to_vec();
    excerpt.extend(id::SEGMENT.to_be_bytes());
    excerpt.extend(UNKNOWN_SIZE);
    excerpt.extend(&head[info]);
    excerpt.extend(&head[tracks]);
    let outline = Outline {
        head: excerpt,
        track,
        time_base,
        first_cluster: position as u64,
        cues: Vec::new(),
    };
    let beginning = Beginning {
        outline,
        origin: origin as u64,
    };
    Ok(Some((beginning, cues)))
}

/// Ranges of an element.
struct Found {
    id: u32,
    content: usize,
    end: usize,
}

/// Returns the element at `position`; `None` if `data` does not contain all of the element.
fn element(data: &[u8], position: usize) -> Result<Option<Found>, NoIndex> {
    let rest = data.get(position..).unwrap_or_default();
    let Some(header) = Header::read(rest) else {
        return match rest.len() >= MAX_HEADER {
            true => Err(unusual()),
            false => Ok(None),
        };
    };
    let size = header.size.ok_or_else(unusual)?;
    let content = position + header.length;
    let end = usize::try_from(size)
        .ok()
        .and_then(|size| content.checked_add(size));
    let end = end.ok_or_else(unusual)?;
    Ok((end <= data.len()).then_some(Found {
        id: header.id,
        content,
        end,
    }))
}

/// Returns the position of an element in a seek head.
fn seek(content: &[u8], wanted: u32) -> Option<u64> {
    elements(content)
        .filter(|element| element.id == id::SEEK)
        .find_map(|element| {
            let (mut found, mut position) = (None, None);
            for field in elements(element.content) {
                match field.id {
                    id::SEEK_ID => found = unsigned(field.content),
                    id::SEEK_POSITION => position = unsigned(field.content),
                    _ => {}
                }
            }
            position.filter(|_| found == Some(u64::from(wanted)))
        })
}

/// Returns the number of the only video track. Requires a constant frame duration, since ffmpeg otherwise estimates the frame
/// rate from more frames than an excerpt begins with.
fn video_track(tracks: &[u8]) -> Result<u64, NoIndex> {
    let entries = elements(tracks).flat_map(|tracks| elements(tracks.content));
    let mut number = None;
    for entry in entries.filter(|element| element.id == id::TRACK_ENTRY) {
        let (mut track, mut kind, mut duration, mut scale) = (None, None, None, None);
        for field in elements(entry.content) {
            let value = unsigned(field.content);
            match field.id {
                id::TRACK_NUMBER => track = value,
                id::TRACK_TYPE => kind = value,
                id::DEFAULT_DURATION => duration = value.filter(|&value| value > 0),
                id::TRACK_TIMESTAMP_SCALE => scale = Some(()),
                _ => {}
            }
        }
        if kind != Some(VIDEO) {
            continue;
        }
        if number.is_some() || duration.is_none() || scale.is_some() {
            return Err(NoIndex::new("the video tracks of the file are unusual"));
        }
        number = track;
    }
    number.ok_or_else(unusual)
}

/// Returns the time base in the information about a segment.
fn time_base(info: &[u8]) -> Option<TimeBase> {
    const DEFAULT: u64 = 1_000_000;
    let mut fields = elements(info).flat_map(|info| elements(info.content));
    let scale = fields.find(|element| element.id == id::TIMESTAMP_SCALE);
    let nanoseconds = scale.map_or(Some(DEFAULT), |element| unsigned(element.content))?;
    TimeBase::new(u32::try_from(nanoseconds).ok()?, 1_000_000_000)
}

/// Returns the cues of a track. Their positions count from `origin`.
fn cues(content: &[u8], track: u64, origin: u64) -> Vec<Cue> {
    let points = elements(content).filter(|element| element.id == id::CUE_POINT);
    let cue = |point: &[u8]| {
        let time = elements(point).find(|element| element.id == id::CUE_TIME)?;
        let time = i64::try_from(unsigned(time.content)?).ok()?;
        let positions = elements(point).filter(|element| element.id == id::CUE_TRACK_POSITIONS);
        let position = positions
            .filter_map(|element| {
                let field = |wanted| {
                    let found = elements(element.content).find(|field| field.id == wanted)?;
                    unsigned(found.content)
                };
                (field(id::CUE_TRACK)? == track).then(|| field(id::CUE_CLUSTER_POSITION))?
            })
            .next()?;
        let position = position.checked_add(origin)?;
        Some(Cue { time, position })
    };
    points.filter_map(|point| cue(point.content)).collect()
}
