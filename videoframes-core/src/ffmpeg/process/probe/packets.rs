//! Packets of the video streams of a container, as ffprobe lists them.

use std::collections::BTreeMap;

use super::describe::{Document, describe, described};
use super::ffprobe::Ffprobe;
use super::refusal::refused;
use crate::extract::ExtractError;
use crate::ffmpeg::args;
use crate::ffmpeg::process::invocation::Invocation;
use crate::limits::{INDEX_SAMPLES, LISTED_STREAMS, PROBE_JSON_BYTES, TIMELINE_FRAMES};
use crate::video::{Described, Packet, PacketList, StreamChoice, Timeline, VideoInfo};

/// Packets of a video stream.
#[derive(Debug)]
pub(crate) struct Packets {
    /// The packets, with a timeline of all of them.
    pub(crate) list: PacketList,
    /// Frames from the first keyframe on, if other packets precede it.
    pub(crate) from_keyframe: Option<Timeline>,
}

/// A line of ffprobe's output that describes a packet.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line<'a> {
    stream: Option<u32>,
    pts: Option<i64>,
    duration: Option<i64>,
    size: Option<u32>,
    position: Option<u64>,
    flags: &'a str,
}

impl<'a> Line<'a> {
    /// Parses a packet such as `{ "stream_index": 0, "pts": 0, "size": "183301", "flags": "K_" },`.
    fn parse(line: &'a str) -> Option<Self> {
        let fields = line.trim_start().strip_prefix("{ \"stream_index\": ")?;
        let mut parsed = Self::default();
        let (stream, fields) = fields.split_once(", ").unwrap_or((fields, ""));
        parsed.stream = stream.parse().ok();
        // No value contains a comma.
        for field in fields.split(", ") {
            let Some((name, value)) = field.split_once(": ") else {
                continue;
            };
            let value = value.trim_end_matches([',', '}', ' ']).trim_matches('"');
            match name.trim_matches('"') {
                "pts" => parsed.pts = value.parse().ok(),
                "duration" => parsed.duration = value.parse().ok(),
                "size" => parsed.size = value.parse().ok(),
                "pos" => parsed.position = value.parse().ok(),
                "flags" => parsed.flags = value.trim_end_matches([',', '"']),
                _ => {}
            }
        }
        Some(parsed)
    }
}

/// Collects ffprobe's output: packets by stream, and then the description of the container.
#[derive(Debug, Default)]
struct Listing {
    streams: BTreeMap<u32, PacketReader>,
    /// Stream of the last packet.
    last: Option<u32>,
    packets: usize,
    too_many: bool,
    /// The document from the list of streams on.
    document: Option<String>,
}

impl Listing {
    fn line(&mut self, line: &str) {
        if let Some(document) = &mut self.document {
            if document.len() < PROBE_JSON_BYTES as usize {
                document.push_str(line);
                document.push('\n');
            }
        } else if line == "    \"streams\": [" {
            self.document = Some(format!("{{\n{line}\n"));
        } else if let Some(packet) = Line::parse(line) {
            let Some(stream) = packet.stream else {
                return;
            };
            self.packets += 1;
            self.too_many |= self.packets > TIMELINE_FRAMES || self.streams.len() > LISTED_STREAMS;
            if !self.too_many {
                self.streams.entry(stream).or_default().packet(&packet);
                self.last = Some(stream);
            }
        } else if line.contains("\"side_data_list\"")
            && let Some(reader) = self.last.and_then(|last| self.streams.get_mut(&last))
        {
            reader.side_data();
        }
    }

    /// Returns the description of the container, if the output is complete.
    fn document(&mut self) -> Option<Document> {
        serde_json::from_str(&self.document.take()?).ok()
    }
}

/// Reads a list of packets and the description of its container.
#[cfg(fuzzing)]
pub(crate) fn read_listing(text: &str) {
    let mut listing = Listing::default();
    text.lines().for_each(|line| listing.line(line));
    let Some(described) = listing
        .document()
        .and_then(|document| described(document, None, &[]).ok())
    else {
        return;
    };
    let reader = listing.streams.remove(&described.video.stream);
    reader.unwrap_or_default().finish(described);
}

/// Collects packets of a stream in decode order.
#[derive(Debug, Default)]
struct PacketReader {
    pts: Vec<i64>,
    /// Timestamps of the keyframes among them.
    keyframes: Vec<i64>,
    last: Option<(i64, Option<i64>)>,
    /// Index and timestamp of the first keyframe, if other packets precede it.
    keyframe: Option<(usize, i64)>,
    /// Whether the stream begins with a packet that is not a keyframe, and no keyframe has followed yet.
    begins_late: Option<bool>,
    unreliable: bool,
    /// The packets, unless one of them cannot be located.
    located: Vec<Packet>,
    unlocated: bool,
}

impl PacketReader {
    fn packet(&mut self, line: &Line<'_>) {
        let key = line.flags.contains('K');
        let late = self.begins_late.get_or_insert(!key);
        if *late && key {
            *late = false;
            self.keyframe = line.pts.map(|pts| (self.pts.len(), pts));
        }
        self.locate(line, key);
        if line.flags.contains('D') {
            return;
        }
        match line.pts {
            Some(pts) if !self.unreliable => {
                self.pts.push(pts);
                self.keyframes.extend(key.then_some(pts));
                if self.last.is_none_or(|(latest, _)| pts > latest) {
                    self.last = Some((pts, line.duration));
                }
            }
            _ => {
                self.unreliable = true;
                self.pts = Vec::new();
            }
        }
    }

    /// Keeps a packet that is presented and has a position.
    fn locate(&mut self, line: &Line<'_>, key: bool) {
        let presented = !line.flags.contains(['D', 'C']) && self.located.len() < INDEX_SAMPLES;
        match (line.pts, line.position, line.size) {
            (Some(pts), Some(position), Some(size)) if presented && !self.unlocated => {
                self.located.push(Packet::new(pts, position, size, key));
            }
            _ => {
                self.unlocated = true;
                self.located = Vec::new();
            }
        }
    }

    /// Marks the last packet.
    fn side_data(&mut self) {
        if let Some(packet) = self.located.last_mut() {
            packet.side_data = true;
        }
    }

    fn finish(self, described: Described) -> Packets {
        let time_base = described.video.time_base;
        if self.unreliable {
            return Packets {
                list: PacketList::new(described, None),
                from_keyframe: None,
            };
        }
        let duration = self.last.and_then(|(_, duration)| duration);
        let timeline = |pts: Vec<i64>| {
            let count = pts.len();
            let timeline =
                Timeline::new(time_base, pts, duration)?.with_keyframes(self.keyframes.iter().copied());
            (timeline.pts().len() == count).then_some(timeline)
        };
        let from_keyframe = self.keyframe.and_then(|(index, start)| {
            let shown = self.pts[index..].iter().copied().filter(|&pts| pts >= start);
            timeline(shown.collect())
        });
        let mut list = PacketList::new(described, timeline(self.pts));
        list.packets = self.located;
        Packets { list, from_keyframe }
    }
}

/// Reads the streams of an input, and the packets of one video stream.
pub(crate) fn packets(
    invocation: Invocation<'_>,
    stream: Option<StreamChoice>,
) -> Result<Packets, ExtractError> {
    let Invocation { input, limits, .. } = invocation;
    let mut listing = Listing::default();
    let run =
        Ffprobe::opening(invocation).lines(args::probe_packets(input, limits), |line| listing.line(line));
    let (log, is_whole) = match run {
        Ok(log) => (log, true),
        Err(error @ (ExtractError::NotAVideo(_) | ExtractError::Damaged(_))) if listing.packets == 0 => {
            return Err(refused(error, input));
        }
        // Damage in the packets is left to the decoder.
        Err(ExtractError::NotAVideo(_) | ExtractError::Damaged(_)) => (Vec::new(), false),
        Err(other) => return Err(other),
    };
    if listing.too_many {
        return Err(ExtractError::LimitExceeded(format!(
            "the video has more than {TIMELINE_FRAMES} frames, or more than {LISTED_STREAMS} video streams"
        )));
    }
    let described = match listing.document() {
        Some(document) => described(document, stream, &log)?,
        None => describe(invocation, stream)?,
    };
    let reader = listing
        .streams
        .remove(&described.video.stream)
        .unwrap_or_default();
    let mut packets = reader.finish(described);
    // Where the demuxer reports an error, packets may be missing, and a decoder has to find the damage.
    if !is_whole || !log.is_empty() {
        packets.list.packets.clear();
    }
    Ok(packets)
}

/// Returns whether the first packet of the video is a keyframe according to the container.
pub(crate) fn begins_with_keyframe(
    invocation: Invocation<'_>,
    video: &VideoInfo,
) -> Result<bool, ExtractError> {
    let mut first = None;
    let args = args::probe_first_packet(invocation.opened(video));
    Ffprobe::opening(invocation).lines(args, |line| {
        if first.is_none() && !line.is_empty() {
            first = Some(line.contains('K'));
        }
    })?;
    Ok(first.unwrap_or(true))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::units::TimeBase;

    fn described() -> Described {
        let time_base = TimeBase::new(1, 30).unwrap();
        Described::new(
            VideoInfo::new("matroska,webm", "h264", (16, 16), time_base),
            Vec::new(),
        )
    }

    fn read(packets: &[(&str, &str)]) -> (Option<Vec<i64>>, Option<Vec<i64>>) {
        let mut reader = PacketReader::default();
        for (pts, flags) in packets {
            reader.packet(&Line {
                pts: pts.parse().ok(),
                duration: Some(1),
                flags,
                ..Line::default()
            });
        }
        let packets = reader.finish(described());
        let pts = |timeline: Option<Timeline>| timeline.map(|timeline| timeline.pts().to_vec());
        (pts(packets.list.timeline), pts(packets.from_keyframe))
    }

    #[test]
    fn presents_frames_from_the_first_keyframe_on() {
        let usual = read(&[("0", "K__"), ("2", "___"), ("1", "___"), ("3", "K__")]);
        assert_eq!(usual, (Some(vec![0, 1, 2, 3]), None));
        // Frames presented before the keyframe refer to missing packets.
        let late = read(&[("1", "___"), ("5", "K__"), ("3", "___"), ("6", "___")]);
        assert_eq!(late, (Some(vec![1, 3, 5, 6]), Some(vec![5, 6])));
        // The keyframe exists but is not presented.
        let edited = read(&[("0", "KD_"), ("1", "___"), ("2", "K__")]);
        assert_eq!(edited, (Some(vec![1, 2]), None));
        assert_eq!(read(&[("0", "___"), ("1", "___")]), (Some(vec![0, 1]), None));
        assert_eq!(read(&[("0", "___"), ("", "K__")]), (None, None));
    }

    #[test]
    fn reads_packets_and_then_streams() {
        let output = r#"{
    "packets": [
        { "stream_index": 1, "pts": 0, "duration": 33, "size": "1833", "pos": "751", "flags": "K_" },
        { "stream_index": 0, "pts": 5, "size": "7", "pos": "8", "flags": "K_" },
        { "stream_index": 1, "pts": 33, "duration": 40, "size": "20", "pos": "2600", "flags": "__",
            "side_data_list": [
                {  }
            ] }
    ],
    "streams": [
        { "index": 0 },
        { "index": 1 }
    ]
}"#;
        let mut listing = Listing::default();
        output.lines().for_each(|line| listing.line(line));
        assert!(listing.document().is_some());
        let packets = listing.streams.remove(&1).unwrap().finish(described()).list;
        let mut last = Packet::new(33, 2600, 20, false);
        last.side_data = true;
        assert_eq!(packets.packets, [Packet::new(0, 751, 1833, true), last]);
        let timeline = packets.timeline.unwrap();
        assert_eq!((timeline.pts(), timeline.stored_end()), (&[0, 33][..], Some(73)));
        // ffprobe stopped early.
        let mut listing = Listing::default();
        output.lines().take(12).for_each(|line| listing.line(line));
        assert!(listing.document().is_none() && listing.streams.len() == 2);
    }

    #[test]
    fn keeps_only_packets_that_can_be_located() {
        let usual = Line {
            pts: Some(1),
            size: Some(5),
            position: Some(9),
            flags: "___",
            ..Line::default()
        };
        let read = |other: Line<'_>| {
            let mut reader = PacketReader::default();
            reader.packet(&usual);
            reader.packet(&other);
            reader.finish(described()).list.packets.len()
        };
        let located = Line {
            pts: Some(2),
            ..usual
        };
        assert_eq!(read(Line { ..located }), 2);
        for other in [
            Line { pts: None, ..usual },
            Line {
                position: None,
                ..located
            },
            Line {
                size: None,
                ..located
            },
            Line {
                flags: "_D_",
                ..located
            },
            Line {
                flags: "__C",
                ..located
            },
        ] {
            assert_eq!(read(other), 0);
        }
    }
}
