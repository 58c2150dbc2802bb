//! Index of the samples in containers whose packets a demuxer lists: Matroska, FLV, AVI and MPEG transport streams.
//! Without I/O.
//!
//! The demuxer knows timestamps, keyframes and positions. What is read here is the configuration of the codec and the
//! packaging of each sample. Nothing in a file is trusted: an unusual file has no index, and a sample that differs from
//! the list makes its plan fail.

mod avi;
mod configuration;
mod flv;
mod list;
mod matroska;
mod transport_stream;

pub use self::list::{Packet, PacketList};

use std::ops::Range;

use bytes::Bytes;

use super::mp4::boxes::Box;
use super::mp4::entry::SampleEntry;
use super::mp4::sample_description;
use super::{NoIndex, Packaging, Sample, Timeline, Track, VideoIndex, VideoInfo};
use crate::limits::{INDEX_SAMPLES, PACKET_HEAD_BYTES, SAMPLE_BYTES};

/// A family of containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Matroska,
    Flv,
    Avi,
    TransportStream,
}

impl Container {
    fn of(video: &VideoInfo) -> Option<Self> {
        match video.container.as_str() {
            "matroska,webm" => Some(Self::Matroska),
            "flv" => Some(Self::Flv),
            "avi" => Some(Self::Avi),
            "mpegts" => Some(Self::TransportStream),
            _ => None,
        }
    }
}

/// Returns the range of a source of `source_bytes` bytes that [`index_of_packets`] needs.
///
/// # Errors
/// Fails with [`NoIndex`] if the packets have no index.
pub fn described_range(list: &PacketList, source_bytes: u64) -> Result<Range<u64>, NoIndex> {
    let container = Container::of(&list.described.video)
        .ok_or_else(|| NoIndex::new("the format has no supported index"))?;
    configuration::formats(&list.described.video)?;
    if list.timeline.is_none() {
        return Err(NoIndex::new("packets lack timestamps"));
    }
    let Some(first) = list.packets.first() else {
        return Err(NoIndex::new("packets lack timestamps or positions"));
    };
    let range = match container {
        Container::TransportStream => transport_stream::first_range(&list.packets, source_bytes),
        // Includes the header of the first block.
        Container::Matroska | Container::Flv => 0..first.position.saturating_add(matroska::BLOCK_HEADER),
        Container::Avi => 0..first.position.saturating_add(first.size.into()),
    };
    match range.end.checked_sub(range.start) {
        Some(length @ 1..) if length <= PACKET_HEAD_BYTES => Ok(range),
        _ => Err(NoIndex::new("the first packet is too far from its description")),
    }
}

/// Returns the index of the packets in a source of `source_bytes` bytes. `head` is the content of [`described_range`].
///
/// # Errors
/// Fails with [`NoIndex`] if the container or the codec is unusual.
pub fn index_of_packets(list: &PacketList, source_bytes: u64, head: &Bytes) -> Result<VideoIndex, NoIndex> {
    let video = &list.described.video;
    let container = Container::of(video).ok_or_else(|| NoIndex::new("the format has no supported index"))?;
    let timeline = list
        .timeline
        .clone()
        .filter(|timeline| timeline.pts().len() == list.packets.len())
        .ok_or_else(|| NoIndex::new("packets lack timestamps"))?;
    if list.packets.len() > INDEX_SAMPLES {
        return Err(NoIndex::new(format!(
            "the video has more than {INDEX_SAMPLES} packets"
        )));
    }
    if video.alpha {
        return Err(NoIndex::new("the video has an alpha channel"));
    }
    if container != Container::TransportStream && list.packets.iter().any(|packet| packet.side_data) {
        return Err(NoIndex::new("packets have side data"));
    }
    let (packaging, configuration, ranges) = match container {
        Container::Matroska => {
            let (track, configuration) = matroska::track(video, &list.packets, head)?;
            let ranges = matroska::ranges(&list.packets, track);
            (Packaging::MatroskaBlock { track }, configuration, ranges)
        }
        Container::Flv => (
            Packaging::FlvTag,
            flv::configuration(video, head)?,
            flv::ranges(&list.packets),
        ),
        Container::Avi => {
            let (stream, configuration) = avi::track(video, &list.packets, head)?;
            let ranges = avi::ranges(&list.packets);
            (Packaging::AviChunk { stream }, configuration, ranges)
        }
        Container::TransportStream => {
            let (packaging, configuration) = transport_stream::track(video, &list.packets, head)?;
            let ranges = transport_stream::ranges(&list.packets, source_bytes);
            (packaging, configuration, ranges)
        }
    };
    let samples = samples(&list.packets, &timeline, &ranges, source_bytes)?;
    let size = |side: u32| u16::try_from(side).map_err(|_| NoIndex::new("the frames are too large"));
    let size = (size(video.width)?, size(video.height)?);
    let stored = configuration
        .content
        .as_ref()
        .map(|(kind, content)| (*kind, content.as_slice()));
    let description = sample_description::write(configuration.format, size, stored, &video.colour);
    let [stsd] = Box::all(&description)?[..] else {
        return Err(NoIndex::new("the configuration of the codec is invalid"));
    };
    let entry = SampleEntry::read(&stsd)?;
    let parameters = entry.parameters();
    let (coding, not_plannable) = entry.planning(parameters.as_ref(), &samples);
    Ok(VideoIndex {
        video: Some(video.clone()),
        stream: video.stream,
        streams: list.described.streams.clone(),
        timeline,
        edited: None,
        samples,
        first_presented: 0,
        gaps: Vec::new(),
        track: Track {
            coding,
            sample_description: description,
            size,
            packaging,
        },
        not_plannable,
    })
}

/// Returns the samples of packets in these ranges of the source.
fn samples(
    packets: &[Packet],
    timeline: &Timeline,
    ranges: &[Range<u64>],
    source_bytes: u64,
) -> Result<Vec<Sample>, NoIndex> {
    let mut earlier = 0;
    packets
        .iter()
        .zip(ranges)
        .map(|(packet, range)| {
            // Ranges that overlap would be those of laced or repeated packets.
            if range.start < earlier || range.end > source_bytes {
                return Err(NoIndex::new("packets overlap or are out of order"));
            }
            earlier = range.end;
            let size = range
                .end
                .checked_sub(range.start)
                .and_then(|size| u32::try_from(size).ok());
            let size = size.filter(|size| (1..=SAMPLE_BYTES).contains(size) && packet.size > 0);
            Ok(Sample {
                offset: range.start,
                size: size.ok_or_else(|| NoIndex::new("a packet is empty or too large"))?,
                order: timeline
                    .pts()
                    .binary_search(&packet.pts)
                    .map_err(|_| NoIndex::new("packets lack timestamps"))? as u32,
                sync: packet.keyframe,
            })
        })
        .collect()
}

/// Returns the coded picture of the sample at `position` of a track, whose stored bytes are `stored`. Returns `None`
/// if the bytes differ from the index.
pub fn unpack(packaging: &Packaging, position: usize, stored: Bytes) -> Option<Bytes> {
    match packaging {
        Packaging::Bare => Some(stored),
        Packaging::MatroskaBlock { track } => matroska::unpack(*track, &stored),
        Packaging::FlvTag => flv::unpack(&stored),
        Packaging::AviChunk { stream } => avi::unpack(*stream, &stored),
        Packaging::TransportStream { pid, contents } => {
            transport_stream::unpack(*pid, *contents.get(position)?, &stored)
        }
    }
}
