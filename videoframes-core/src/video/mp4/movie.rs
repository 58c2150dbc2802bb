//! Movie box: the choice of the video track, and its description.

use bytes::Bytes;
use mp4_atom::{Elst, Matrix, Mdhd, Mvhd, Tkhd, Trex};

use super::super::parameter_sets::SequenceParameters;
use super::super::{
    Coding, Colour, NoIndex, Orientation, Packaging, Recording, StreamChoice, Track, VideoIndex, VideoInfo,
    VideoStream, colour_names, streams,
};
use super::boxes::{Box, find, need};
use super::entry::{self, ColourBox, SampleEntry};
use super::fragments::Fragments;
use super::media::{Edit, Media};
use super::recording;
use super::tables;
use crate::units::{Rational, TimeBase};

/// Name of the container in ffmpeg.
const CONTAINER: &str = "mov,mp4,m4a,3gp,3g2,mj2";

/// Description of the chosen video track in `moov`.
#[derive(Debug)]
pub(super) struct Movie {
    /// Index of the track among all tracks, which is the index of its stream.
    stream: u32,
    streams: Vec<VideoStream>,
    header: Mvhd,
    track_header: Tkhd,
    time_base: TimeBase,
    edits: Option<Elst>,
    entry: SampleEntry,
    sample_description: Bytes,
    recording: Recording,
    media: Media,
    /// Defaults of samples in fragments; `None` for files without fragments.
    pub(super) defaults: Option<Trex>,
}

impl Movie {
    /// Parses a `moov` box.
    pub(super) fn read(
        moov: &Box<'_>,
        stream: Option<StreamChoice>,
        source_bytes: u64,
    ) -> Result<Self, NoIndex> {
        let children = moov.children()?;
        let tracks = children
            .iter()
            .filter(|b| b.kind == *b"trak")
            .map(Box::children)
            .collect::<Result<Vec<_>, _>>()?;
        let streams = video_streams(&tracks)?;
        let chosen = streams::choose(&streams, stream)
            .ok_or_else(|| NoIndex::new("the file lacks the requested video track"))?
            .index;
        let video = &tracks[chosen as usize];
        let track_header: Tkhd = need(video, b"tkhd")?.decode()?;
        let mdia = need(video, b"mdia")?.children()?;
        let media_header: Mdhd = need(&mdia, b"mdhd")?.decode()?;
        let time_base =
            TimeBase::new(1, media_header.timescale).ok_or_else(|| NoIndex::new("the time scale is 0"))?;
        let minf = need(&mdia, b"minf")?.children()?;
        if !holds_its_data(&minf)? {
            return Err(NoIndex::new("the samples are in another file"));
        }
        let stbl = need(&minf, b"stbl")?.children()?;
        let stsd = need(&stbl, b"stsd")?;
        let edits = match find(video, b"edts") {
            Some(edts) => find(&edts.children()?, b"elst")
                .map(|elst| elst.decode())
                .transpose()?,
            None => None,
        };
        let defaults = match find(&children, b"mvex") {
            None => None,
            Some(mvex) => {
                let all = mvex.children()?;
                let all = all.iter().filter(|b| b.kind == *b"trex");
                let all = all.map(Box::decode::<Trex>).collect::<Result<Vec<_>, _>>()?;
                let ours = all
                    .into_iter()
                    .find(|trex| trex.track_id == track_header.track_id);
                Some(ours.ok_or_else(|| NoIndex::new("the box 'trex' is missing"))?)
            }
        };
        let header = need(&children, b"mvhd")?.decode()?;
        Ok(Self {
            stream: chosen,
            streams,
            recording: recording::read(&children, &header),
            header,
            track_header,
            time_base,
            edits,
            entry: SampleEntry::read(&stsd)?,
            // A copy, so that the rest of the box is not kept in memory.
            sample_description: Bytes::copy_from_slice(stsd.whole),
            media: tables::read(&stbl, source_bytes)?,
            defaults,
        })
    }

    /// Returns the index of the samples in the tables or in the fragments.
    pub(super) fn index(self, fragments: Option<Fragments>) -> Result<VideoIndex, NoIndex> {
        let edited = self.edits.as_ref().and_then(|edits| {
            let edit = edits.entries.last()?;
            let movie = TimeBase::new(1, self.header.timescale)?;
            Some(movie.seconds(edit.segment_duration.into()))
        });
        let (fragmented, delay) = match fragments {
            Some(fragments) => fragments.finish()?,
            None => (Media::new(0), 0),
        };
        let (media, edit) = match (self.media.len(), fragmented.len()) {
            (0, 0) => return Err(NoIndex::new("the file has no samples")),
            (_, 0) => (
                self.media,
                edit_of_tables(&self.edits, &self.header, self.time_base)?,
            ),
            (0, _) => {
                let edit = edit_of_fragments(&self.edits, &self.header, self.time_base, delay)?;
                (fragmented, edit)
            }
            _ => {
                return Err(NoIndex::new(
                    "the file has samples both in tables and in fragments",
                ));
            }
        };
        let frame_rate = match media.duration() {
            0 => None,
            ticks => Some(self.time_base.seconds(ticks.into()).recip() * media.len() as i128),
        };
        let presentation = media.present(self.time_base, edit)?;
        let parameters = self.entry.parameters();
        let (coding, not_plannable) = self.entry.planning(parameters.as_ref(), &presentation.samples);
        let description = Description {
            header: &self.header,
            recording: &self.recording,
            stream: self.stream,
            track_header: &self.track_header,
            entry: &self.entry,
            time_base: self.time_base,
            frame_rate,
        };
        Ok(VideoIndex {
            video: parameters.and_then(|parameters| description.video(&parameters)),
            stream: self.stream,
            streams: self.streams,
            timeline: presentation.timeline,
            edited,
            samples: presentation.samples,
            first_presented: presentation.first_presented,
            gaps: Vec::new(),
            track: Track {
                coding,
                sample_description: self.sample_description,
                size: self.entry.size,
                packaging: Packaging::Bare,
            },
            not_plannable,
        })
    }
}

/// Returns the video tracks among all tracks in the order of a demuxer.
fn video_streams(tracks: &[Vec<Box<'_>>]) -> Result<Vec<VideoStream>, NoIndex> {
    let videos = tracks.iter().zip(0u32..);
    let videos = videos.filter(|(track, _)| handler(track) == Some(*b"vide"));
    videos
        .map(|(track, index)| {
            let header: Tkhd = need(track, b"tkhd")?.decode()?;
            let stbl = find(track, b"mdia")
                .and_then(|mdia| find(&mdia.children().ok()?, b"minf"))
                .and_then(|minf| find(&minf.children().ok()?, b"stbl"))
                .and_then(|stbl| stbl.children().ok())
                .unwrap_or_default();
            let (format, width, height) = entry::summary(&stbl).unwrap_or_default();
            Ok(VideoStream {
                index,
                id: Some(header.track_id),
                codec: entry::codec_name(format),
                width: width.into(),
                height: height.into(),
                frames: tables::sample_count(&stbl).filter(|&count| count > 0),
                default: header.enabled,
                disabled: !header.enabled,
                attached: tracks
                    .iter()
                    .any(|other| names_as_chapters(other, header.track_id)),
            })
        })
        .collect()
}

fn handler(track: &[Box<'_>]) -> Option<[u8; 4]> {
    let mdia = find(track, b"mdia")?.children().ok()?;
    find(&mdia, b"hdlr")?.body.get(8..12)?.try_into().ok()
}

/// Returns whether a track refers to `id` as its chapters.
fn names_as_chapters(track: &[Box<'_>], id: u32) -> bool {
    let chapters = || {
        let references = find(track, b"tref")?.children().ok()?;
        Some(
            find(&references, b"chap")?
                .body
                .chunks_exact(4)
                .any(|number| number == id.to_be_bytes()),
        )
    };
    chapters().unwrap_or(false)
}

/// Returns whether all data references point to the file itself.
fn holds_its_data(minf: &[Box<'_>]) -> Result<bool, NoIndex> {
    let Some(dinf) = find(minf, b"dinf") else {
        return Ok(true);
    };
    let Some(dref) = find(&dinf.children()?, b"dref") else {
        return Ok(true);
    };
    let entries = Box::all(dref.body.get(8..).ok_or_else(|| dref.unreadable())?)?;
    Ok(entries
        .iter()
        .all(|entry| entry.body.get(3).is_some_and(|flags| flags & 1 == 1)))
}

/// Duration and start of an edit with an optional delay before it. Other edit lists are unusual.
struct SimpleEdit {
    /// Delay before the edit in ticks of the media.
    wait: i64,
    /// First composition time that is presented.
    start: i64,
    /// Duration of the edit in ticks of the media.
    length: i64,
}

fn simple_edit(edits: &Elst, header: &Mvhd, time_base: TimeBase) -> Result<SimpleEdit, NoIndex> {
    let unusual = || NoIndex::new("the edit list is unusual");
    let (wait, edit) = match edits.entries.as_slice() {
        [edit] => (0, edit),
        [wait, edit] if wait.media_time.is_none() => (wait.segment_duration, edit),
        _ => return Err(unusual()),
    };
    let start = edit.media_time.and_then(|time| i64::try_from(time).ok());
    let (Some(start), Some(seconds)) = (start, TimeBase::new(1, header.timescale)) else {
        return Err(unusual());
    };
    if edit.media_rate.integer() != 1 || edit.media_rate.decimal() != 0 {
        return Err(unusual());
    }
    // Converts ticks of the movie to ticks of the media, rounded to the nearest.
    let ticks = |movie: u64| {
        let half = Rational::new(1, 2);
        let exact = seconds.seconds(movie.into()) / time_base.seconds(1);
        i64::try_from((exact + half).floor().to_integer()).map_err(|_| unusual())
    };
    Ok(SimpleEdit {
        wait: ticks(wait)?,
        start,
        length: ticks(edit.segment_duration)?,
    })
}

fn edit_of_tables(edits: &Option<Elst>, header: &Mvhd, time_base: TimeBase) -> Result<Edit, NoIndex> {
    let Some(edits) = edits.as_ref().filter(|edits| !edits.entries.is_empty()) else {
        return Ok(Edit::All { shift: 0 });
    };
    let edit = simple_edit(edits, header, time_base)?;
    Ok(Edit::Part {
        from: edit.start,
        until: edit.start.saturating_add(edit.length),
        at: edit.wait,
    })
}

/// Returns the edit of a fragmented file. Such an edit only shifts frames and hides none.
fn edit_of_fragments(
    edits: &Option<Elst>,
    header: &Mvhd,
    time_base: TimeBase,
    delay: i64,
) -> Result<Edit, NoIndex> {
    let shift = match edits.as_ref().filter(|edits| !edits.entries.is_empty()) {
        None => 0,
        Some(edits) => {
            let edit = simple_edit(edits, header, time_base)?;
            edit.start.saturating_sub(edit.wait)
        }
    };
    Ok(Edit::All {
        shift: shift.saturating_sub(delay),
    })
}

/// Description of the stream by container and parameter set.
struct Description<'a> {
    stream: u32,
    header: &'a Mvhd,
    recording: &'a Recording,
    track_header: &'a Tkhd,
    entry: &'a SampleEntry,
    time_base: TimeBase,
    frame_rate: Option<Rational>,
}

impl Description<'_> {
    /// Returns the stream if container and parameter set agree and ffmpeg is known to interpret them in the same
    /// way.
    fn video(&self, parameters: &SequenceParameters) -> Option<VideoInfo> {
        let (codec, hevc) = match self.entry.coding {
            Coding::H264 { .. } => ("h264", false),
            Coding::Hevc { .. } => ("hevc", true),
            Coding::Opaque => return None,
        };
        if parameters.fields || self.entry.unusual || !is_identity(&self.header.matrix) {
            return None;
        }
        Some(VideoInfo {
            stream: self.stream,
            container: CONTAINER.to_owned(),
            codec: codec.to_owned(),
            width: parameters.size.0,
            height: parameters.size.1,
            sample_aspect: self.sample_aspect(parameters)?,
            orientation: orientation(&self.track_header.matrix)?,
            pixel_format: parameters.pixel_format()?,
            alpha: false,
            colour: colour(parameters, self.entry.colour, hevc)?,
            interlaced: false,
            frame_rate: self.frame_rate,
            duration: TimeBase::new(1, self.header.timescale)
                .filter(|_| self.header.duration > 0)
                .map(|scale| scale.seconds(self.header.duration.into())),
            time_base: self.time_base,
            first_keyframe: None,
            recording: self.recording.clone(),
        })
    }

    fn sample_aspect(&self, parameters: &SequenceParameters) -> Option<Rational> {
        let square = Rational::from_integer(1);
        let shape = match (self.entry.sample_aspect, parameters.sample_aspect) {
            (Some(container), Some(stream)) if container != stream => return None,
            (Some(shape), _) => shape,
            (None, shape) => {
                // Without `pasp`, a track header with another size scales the pictures.
                let header = (self.track_header.width, self.track_header.height);
                let whole = header.0.decimal() == 0 && header.1.decimal() == 0;
                let same = (header.0.integer(), header.1.integer()) == self.entry.size && whole;
                let stored = (u32::from(self.entry.size.0), u32::from(self.entry.size.1)) == parameters.size;
                if !same || !stored {
                    return None;
                }
                shape.unwrap_or(square)
            }
        };
        Some(super::super::believable_aspect(shape).unwrap_or(square))
    }
}

const ONE: i32 = 1 << 16;

fn is_identity(matrix: &Matrix) -> bool {
    (matrix.a, matrix.b, matrix.c, matrix.d) == (ONE, 0, 0, ONE)
}

/// Returns the rotation and mirroring of a matrix without scaling; `None` for other matrices.
fn orientation(matrix: &Matrix) -> Option<Orientation> {
    let Matrix { a, b, c, d, .. } = *matrix;
    let pure = |x: i32, y: i32| {
        (x.unsigned_abs() == ONE.unsigned_abs() && y == 0)
            || (x == 0 && y.unsigned_abs() == ONE.unsigned_abs())
    };
    if !pure(a, b) || !pure(c, d) || (a == 0) != (d == 0) {
        return None;
    }
    Some(Orientation::from_matrix(a.into(), b.into(), c.into(), d.into()))
}

/// Returns the tags that a decoder will report. Tags of the stream take precedence over tags of the container.
fn colour(parameters: &SequenceParameters, container: Option<ColourBox>, hevc: bool) -> Option<Colour> {
    let points = match (parameters.colour, container) {
        (Some((p, t, m)), _) => Some((p.into(), t.into(), m.into())),
        // ffmpeg's HEVC decoder drops the container's tags, and versions differ in the tags that they report.
        (None, Some(_)) if hevc => return None,
        (None, Some(container)) => Some((container.primaries, container.transfer, container.matrix)),
        (None, None) => None,
    };
    let full_range = parameters.full_range.or(container.and_then(|c| c.full_range));
    let Some((primaries, transfer, matrix)) = points else {
        return Some(Colour {
            full_range,
            ..Colour::default()
        });
    };
    let colour = Colour {
        matrix: colour_names::matrix(matrix)?,
        transfer: colour_names::transfer(transfer)?,
        primaries: colour_names::primaries(primaries)?,
        full_range,
    };
    // A wide gamut without an HDR transfer function may have its transfer function in a supplemental message.
    let wide = matches!(colour.matrix.as_deref(), Some("bt2020nc" | "bt2020c"));
    (!wide || colour.is_hdr()).then_some(colour)
}
