//! Windows of MPEG transport streams, found by the timestamps at some positions.

use std::sync::Arc;

use super::file::{ExcerptFile, NoExcerpt, budget};
use super::reading::{in_order, read_range};
use super::times::targets;
use crate::limits::{EXCERPT_HEAD_BYTES, EXCERPT_WINDOW_BYTES};
use crate::pipeline::Request;
use crate::pipeline::error::Error;
use crate::pipeline::input::Counted;
use crate::pipeline::session::Session;
use crate::source::Source;
use crate::units::TimeBase;
use crate::video::excerpt::{LATER_FRAMES, PACKET, Part, Pes, Program, unwrapped};
use crate::video::{NoIndex, Timeline};

/// Bytes per read, a multiple of the packet size.
const READ: u64 = 1400 * PACKET;
/// Bytes per read that searches for a timestamp.
const SEARCH_READ: u64 = 350 * PACKET;
/// Maximum number of reads that search for a requested time.
const SEARCH_READS: usize = 12;
/// Maximum number of bytes without the start of a PES packet of the video.
const SEARCH_BYTES: u64 = 4 << 20;
/// Ticks per second.
const SECOND: i64 = 90_000;
/// Ticks and bytes at the beginning that ffmpeg may read to estimate the frame rate.
const BEGINNING: (i64, u64) = (8 * SECOND, 6 << 20);
/// Positions whose timestamps have to be in order: one per this number of bytes.
const MARK_DISTANCE: u64 = 1 << 20;
/// Maximum number of these positions.
const MARKS: u64 = 64;
/// Maximum number of groups of pictures whose times are read in one window.
const GROUPS: i64 = 4;
/// Maximum ratio of the average bit rate to that between two of these positions, and the reverse.
const RATE_RATIO: f64 = 16.0;

/// A range of the file in whole packets, with the PES packets that begin in it.
#[derive(Default)]
struct Stretch {
    position: u64,
    bytes: Vec<u8>,
    pes: Vec<Pes>,
}

impl Stretch {
    fn end(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }

    /// Removes the packets before `position`.
    fn trim_start(&mut self, position: u64) {
        self.bytes.drain(..(position - self.position) as usize);
        self.pes.retain(|pes| pes.position >= position);
        self.position = position;
    }

    /// Removes the packets from `position` on.
    fn trim_end(&mut self, position: u64) {
        self.bytes.truncate((position - self.position) as usize);
        self.pes.retain(|pes| pes.position < position);
    }

    /// Appends a stretch that begins within or directly after this one.
    fn append(&mut self, mut later: Self) {
        let end = self.end();
        if later.end() > end {
            later.trim_start(end);
            self.bytes.append(&mut later.bytes);
            self.pes.append(&mut later.pes);
        }
    }
}

/// A stream whose beginning is known.
struct Stream {
    source: Arc<Counted>,
    program: Program,
    /// Length of the whole packets in bytes.
    length: u64,
    /// First timestamp.
    first: i64,
}

impl Stream {
    /// Reads the packets in a range, up to the end of the file. The timestamps are without wraparound.
    async fn read(&self, position: u64, bytes: u64) -> Result<Stretch, NoExcerpt> {
        let end = position.saturating_add(bytes).min(self.length);
        let bytes = read_range(&self.source, position..end).await?.to_vec();
        let mut pes = self.program.scan(&bytes, position)?;
        for pes in &mut pes {
            pes.pts = unwrapped(pes.pts, self.first);
        }
        Ok(Stretch { position, bytes, pes })
    }

    /// Reads the first packets, before the start of a PES packet.
    async fn beginning(&self) -> Result<Stretch, NoExcerpt> {
        let mut stretch = Stretch::default();
        loop {
            let more = self.read(stretch.end(), READ).await?;
            if more.bytes.is_empty() {
                return Err(NoIndex::new("the stream is short").into());
            }
            stretch.append(more);
            let earliest = stretch.pes.iter().map(|pes| pes.pts).min().unwrap_or(self.first);
            let later = stretch.pes.iter().filter(|pes| pes.pts > earliest + BEGINNING.0);
            let is_long = later.count() > LATER_FRAMES;
            let is_large = stretch.end() > BEGINNING.1 && stretch.pes.len() > 2 * LATER_FRAMES;
            if (is_long || is_large)
                && let Some(last) = stretch.pes.last().copied()
            {
                stretch.trim_end(last.position);
                return Ok(stretch);
            }
            check_window(&stretch)?;
        }
    }

    /// Reads the last packets, from the start of a PES packet on.
    async fn ending(&self) -> Result<Stretch, NoExcerpt> {
        let mut size = READ;
        loop {
            let stretch = self.read(self.length.saturating_sub(size), size).await?;
            if stretch.pes.len() > LATER_FRAMES {
                let mut stretch = stretch;
                stretch.trim_start(stretch.pes[0].position);
                return Ok(stretch);
            }
            check_window(&stretch)?;
            size *= 2;
        }
    }

    /// Returns the first PES packet from `position` on, before `end`.
    async fn mark(&self, position: u64, end: u64) -> Result<Option<Pes>, NoExcerpt> {
        let start = position / PACKET * PACKET;
        let mut position = start;
        while position < end {
            if position - start > SEARCH_BYTES {
                return Err(NoIndex::new("the video of the stream has long gaps").into());
            }
            let stretch = self.read(position, SEARCH_READ.min(end - position)).await?;
            if let Some(pes) = stretch.pes.first() {
                return Ok(Some(*pes));
            }
            position += SEARCH_READ;
        }
        Ok(None)
    }

    /// Returns the PES packets at distributed positions, from `first` to `last`.
    ///
    /// # Errors
    /// Fails with [`NoIndex`] if the timestamps are not in order or far from those of a constant bit rate: joined streams and
    /// streams with jumps in time have to be read whole.
    async fn marks(self: &Arc<Self>, first: Pes, last: Pes) -> Result<Vec<Pes>, NoExcerpt> {
        let count = (self.length / MARK_DISTANCE).min(MARKS);
        let step = (last.position - first.position) / (count + 1);
        let reads = (1..=count).map(|at| {
            let (stream, position) = (Arc::clone(self), first.position + at * step);
            async move { stream.mark(position, last.position).await }
        });
        let mut marks = vec![first];
        let mut reading = in_order(reads);
        while let Some(mark) = reading.next().await {
            marks.extend(mark.map_err(Error::Source)??);
        }
        marks.push(last);
        marks.dedup_by_key(|mark| mark.position);
        let is_usual = |pair: &[Pes]| has_usual_rate((&pair[0], &pair[1]), (&first, &last));
        match marks.windows(2).all(is_usual) {
            true => Ok(marks),
            false => Err(NoIndex::new("the timestamps of the stream are not in order").into()),
        }
    }

    /// Reads the packets from a keyframe at or before the first time until no frame at or before the last time can follow.
    async fn window(&self, times: Group, marks: &[Pes], group_bytes: u64) -> Result<Stretch, NoExcerpt> {
        let is_later = |pes: &&Pes| pes.pts > times.last;
        let mut start = self.before(times.first, marks).await?.position;
        let mut stretch = self.read(start, READ).await?;
        loop {
            if stretch.pes.iter().filter(is_later).count() > LATER_FRAMES || stretch.end() >= self.length {
                break;
            }
            stretch.append(self.read(stretch.end(), READ).await?);
            check_window(&stretch)?;
        }
        let mut step = group_bytes;
        let entry = loop {
            let entries = stretch
                .pes
                .iter()
                .filter(|pes| pes.entry && pes.pts <= times.first);
            if let Some(entry) = entries.max_by_key(|pes| pes.position) {
                break *entry;
            }
            if start == 0 {
                return Err(NoIndex::new("the stream has no keyframe before a requested time").into());
            }
            let earlier = start.saturating_sub(step) / PACKET * PACKET;
            let mut before = self.read(earlier, start - earlier).await?;
            before.append(stretch);
            (stretch, start, step) = (before, earlier, step * 2);
            check_window(&stretch)?;
        };
        stretch.trim_start(entry.position);
        let mut later = stretch.pes.iter().filter(is_later);
        if let Some(end) = later.nth(LATER_FRAMES).map(|pes| pes.position) {
            stretch.trim_end(end);
        }
        Ok(stretch)
    }

    /// Searches for a PES packet shortly before `time`.
    async fn before(&self, time: i64, marks: &[Pes]) -> Result<Pes, NoExcerpt> {
        let after = marks.partition_point(|mark| mark.pts <= time).max(1);
        let mut low = marks[after - 1];
        let mut high = *marks.get(after).unwrap_or(&marks[marks.len() - 1]);
        for _ in 0..SEARCH_READS {
            let bytes = high.position.saturating_sub(low.position);
            if bytes <= READ || time - low.pts <= 2 * SECOND || high.pts <= low.pts {
                break;
            }
            let share =
                i128::from(time - SECOND - low.pts) * i128::from(bytes) / i128::from(high.pts - low.pts);
            let position = low.position + (share.max(0) as u64).clamp(PACKET, bytes - PACKET);
            match self.mark(position, high.position).await? {
                Some(mark) if mark.pts <= time => low = mark,
                Some(mark) => high = mark,
                None => break,
            }
        }
        Ok(low)
    }
}

/// Returns whether time passes between two marks, at about the rate of the whole stream.
fn has_usual_rate(marks: (&Pes, &Pes), ends: (&Pes, &Pes)) -> bool {
    let rate = |(from, to): (&Pes, &Pes)| {
        let (bytes, ticks) = (to.position - from.position, to.pts - from.pts);
        (ticks > 0).then(|| bytes as f64 / ticks as f64)
    };
    match (rate(marks), rate(ends)) {
        (Some(rate), Some(all)) => rate < all * RATE_RATIO && all < rate * RATE_RATIO,
        _ => false,
    }
}

/// Times that are read in one window, in order.
struct Group {
    first: i64,
    last: i64,
}

/// Groups the times that are less than a group of pictures apart, without those that `beginning` and `ending` contain.
fn groups(targets: &[i64], beginning: &Stretch, ending: &Stretch) -> Vec<Group> {
    let entries = |stretch: &Stretch| {
        let entries = stretch.pes.iter().filter(|pes| pes.entry);
        entries.map(|pes| pes.pts).collect::<Vec<_>>()
    };
    let distance = entries(beginning).windows(2).map(|pair| pair[1] - pair[0]).max();
    let distance = distance.unwrap_or(2 * SECOND).max(SECOND);
    let in_ending = entries(ending).first().copied().unwrap_or(i64::MAX);
    let mut groups: Vec<Group> = Vec::new();
    for &time in targets {
        let in_beginning = beginning.pes.iter().filter(|pes| pes.pts > time).count() >= LATER_FRAMES;
        if in_beginning || time >= in_ending {
            continue;
        }
        match groups.last_mut() {
            // Windows are held in memory.
            Some(group) if time - group.last <= distance && time - group.first <= GROUPS * distance => {
                group.last = time;
            }
            _ => groups.push(Group {
                first: time,
                last: time,
            }),
        }
    }
    groups
}

/// Fails if a window is too large.
fn check_window(stretch: &Stretch) -> Result<(), NoIndex> {
    match stretch.bytes.len() as u64 > EXCERPT_WINDOW_BYTES {
        true => Err(NoIndex::new("the keyframes are too far apart")),
        false => Ok(()),
    }
}

/// Reads the windows around the requested times. `head` is the beginning of the source.
pub(super) async fn read(
    session: &Session<'_>,
    request: &Request,
    head: &[u8],
) -> Result<ExcerptFile, NoExcerpt> {
    let source = &session.source;
    let mut head = head.to_vec();
    let (program, first) = loop {
        if let Some(program) = Program::find(&head)?
            && let Some(first) = program.scan(&head, 0)?.first()
        {
            break (program, first.pts);
        }
        let more = read_range(source, head.len() as u64..head.len() as u64 + READ).await?;
        head.extend_from_slice(&more);
        if more.is_empty() || head.len() as u64 > EXCERPT_HEAD_BYTES {
            return Err(NoIndex::new("the stream has no video").into());
        }
    };
    let time_base = TimeBase::new(1, 90_000).ok_or_else(|| NoIndex::new("no time base"))?;
    let stream = Arc::new(Stream {
        source: Arc::clone(source),
        program,
        length: source.len() / PACKET * PACKET,
        first,
    });
    let beginning = stream.beginning().await?;
    let ending = stream.ending().await?;
    if ending.position < beginning.end() {
        return Err(NoIndex::new("the stream is short").into());
    }
    let times = beginning.pes.iter().chain(&ending.pes).map(|pes| pes.pts);
    let timeline = Timeline::new(time_base, times.collect(), None)
        .ok_or_else(|| NoIndex::new("the stream has no frames"))?;
    let targets = targets(&timeline, request, session.limits())?;
    let (from, to) = (beginning.pes[0], ending.pes[0]);
    let marks = Arc::new(stream.marks(from, to).await?);
    let entries = beginning.pes.iter().filter(|pes| pes.entry);
    let positions: Vec<u64> = entries.map(|pes| pes.position).collect();
    let group = positions.windows(2).map(|pair| pair[1] - pair[0]).max();
    let group_bytes = group.unwrap_or(4 * READ).next_multiple_of(PACKET);
    let targets = groups(&targets, &beginning, &ending);
    let estimate = group_bytes.saturating_mul(targets.len() as u64);
    if estimate > budget(source) {
        return Err(NoIndex::new("most of the source is needed").into());
    }
    let wanted = targets.into_iter().map(|times| {
        let (stream, marks) = (Arc::clone(&stream), Arc::clone(&marks));
        async move { stream.window(times, &marks, group_bytes).await }
    });
    let mut file = ExcerptFile::new(session, Vec::new()).await?;
    let mut counter = None;
    let mut reading = in_order(wanted);
    let mut current = beginning;
    let mut ending = Some(ending);
    loop {
        let mut next = match reading.next().await {
            Some(window) => window.map_err(Error::Source)??,
            None => match ending.take() {
                Some(ending) => ending,
                None => break,
            },
        };
        if next.end() <= current.end() {
            continue;
        }
        let joined = next.position <= current.end();
        if joined {
            next.trim_start(current.end());
        }
        let complete = std::mem::replace(&mut current, next);
        write(&mut file, &stream, (complete, joined), &mut counter).await?;
    }
    write(&mut file, &stream, (current, false), &mut counter).await?;
    Ok(file)
}

/// Adds a stretch to the excerpt. The first one is unchanged, since it describes all streams. The next one follows without a
/// missing packet if `joined`.
async fn write(
    file: &mut ExcerptFile,
    stream: &Stream,
    (stretch, joined): (Stretch, bool),
    counter: &mut Option<u8>,
) -> Result<(), NoExcerpt> {
    let Stretch { position, bytes, pes } = stretch;
    let part = match position {
        0 => {
            *counter = stream.program.counter(&bytes);
            Part {
                position,
                bytes,
                ..Part::default()
            }
        }
        _ => stream.program.part(position, bytes, counter),
    };
    file.add(vec![part], joined, pes.len()).await
}
