//! Lines that ffmpeg prints to stderr.
//!
//! ffmpeg prints the metadata of a source verbatim, line breaks included, so a source can inject any line into
//! the log. Three kinds of lines are trusted:
//! - lines with a random name, such as those of the filters of this crate, at any position;
//! - the first line, which contains the version;
//! - errors and warnings outside the part between the first input and the marker after the last input (see
//!   [`crate::ffmpeg::args::marker`]). Outputs print no metadata unless they keep the metadata of the source: see
//!   [`super::decode::Decode::damage`].
//!
//! Since version 7 demuxers, decoders and filters run in separate threads, and `showinfo` writes a line in
//! several parts. A message of another thread may be printed between two parts. The message is then in the same
//! line, without the context and level that ffmpeg prints at the start of a line.

use super::limit::{exceeded, is_no_space};
use crate::ffmpeg::args::{COMPARED, DECODED, ENCODED, OPENED, PAUSED, PICKED};

/// A relevant line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LogLine {
    /// The decoder returned a frame.
    Decoded(Frame),
    /// A frame was picked and is passed to the encoder.
    Picked { pts: i64, interlaced: bool },
    /// A frame is passed to the encoder of a compressed video; `index` counts such frames.
    Encoded { index: u64, pts: i64, interlaced: bool },
    /// Similarity of two videos, 0 to 1, at the end of a comparison.
    Compared(f64),
    /// A pause in the audio is too long to be filled.
    Paused,
    /// The banner with the version.
    Version(String),
    /// A limit that ffmpeg enforces was exceeded.
    Limit(String),
    /// All inputs are open.
    Opened,
    /// The demuxer marked a packet of a stream as corrupt, which does not imply missing data.
    CorruptPacket { stream: u32, dts: Option<i64> },
    /// A packet marked as corrupt is passed to the decoder.
    CorruptInput { stream: u32 },
    /// A reference of a picture is missing; with its picture order count.
    MissingReference { order: i64, line: String },
    /// The decoder marked a picture as corrupt.
    CorruptPicture(String),
    /// Part of the input is lost or corrupted.
    Damage(String),
    /// Another error.
    Error(String),
}

/// A frame returned by the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) pts: Option<i64>,
    pub(crate) duration: Option<i64>,
    pub(crate) interlaced: bool,
    /// Whether decoding may start at the frame.
    pub(crate) key: bool,
}

/// Phrases with which ffmpeg's demuxers, parsers and decoders report lost or corrupted data.
const DAMAGE: [&str; 17] = [
    "corrupt",
    "error while decoding",
    "error submitting packet",
    "error submitting a packet",
    "decoding error",
    "decode_slice_header error",
    "concealing",
    "ended prematurely",
    "partial file",
    "truncat",
    "invalid nal",
    "invalid data found",
    "error splitting the input",
    "missing picture in access unit",
    "damaged",
    "invalid as first byte of an ebml",
    "exceeds containing master element",
];

/// Part of the log, by the origin of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Before the first line.
    Start,
    /// Lines of ffmpeg before the description of the inputs.
    Opening,
    /// Lines of ffmpeg or of a source.
    Description,
    /// Lines of ffmpeg.
    Running,
}

/// Parses a log line by line.
#[derive(Debug)]
pub(crate) struct LogReader {
    part: Part,
}

impl LogReader {
    pub(crate) fn new() -> Self {
        Self { part: Part::Start }
    }

    /// Parses the next line, which contains a message, a message of another thread, or both.
    pub(crate) fn read(&mut self, line: &str) -> impl Iterator<Item = LogLine> + use<> {
        let first = self.part == Part::Start;
        if first {
            self.part = Part::Opening;
        }
        let messages = if line.contains(OPENED.as_str()) {
            self.part = Part::Running;
            [Some(LogLine::Opened), None]
        } else if let Some((filter, message)) = filter_line(line) {
            let (own, other) = report(filter, message);
            [own, other.and_then(foreign_message)]
        } else if line.contains(PAUSED.as_str()) {
            [Some(LogLine::Paused), None]
        } else {
            [self.unnamed(line, first), None]
        };
        messages.into_iter().flatten()
    }

    /// Parses a line without a random name.
    fn unnamed(&mut self, line: &str, first: bool) -> Option<LogLine> {
        if self.part == Part::Description {
            return None;
        }
        let (level, message) = split_level(line)?;
        if level == "info" {
            if self.part == Part::Opening && message.starts_with("Input #") {
                self.part = Part::Description;
            }
            let banner = first && message.starts_with("ffmpeg version ");
            return banner.then(|| LogLine::Version(message.to_owned()));
        }
        warning_or_error(level, message)
    }
}

/// Returns name and message of one of the filters of this crate. Its random name proves that the line is genuine.
fn filter_line(line: &str) -> Option<(&str, &str)> {
    let names = [&*DECODED, &*PICKED, &*ENCODED, &*COMPARED];
    let (filter, message) = names
        .iter()
        .find_map(|name| line.split_once(name.as_str()).map(|(_, rest)| (*name, rest)))?;
    let (_, message) = message.split_once("[info] ")?;
    Some((filter, message))
}

/// Parses the report of one of our filters. Also returns the text that another thread has printed into the same
/// line.
fn report<'a>(filter: &str, message: &'a str) -> (Option<LogLine>, Option<&'a str>) {
    if filter == *COMPARED {
        let similarity = message
            .split_once(" All:")
            .and_then(|(_, all)| all.split(' ').next()?.parse().ok());
        return (similarity.map(LogLine::Compared), None);
    }
    // Side data and colours; such lines contain no error.
    let Some(frame) = message.strip_prefix("n:") else {
        return (None, Some(message));
    };
    let (frame, other) = frame
        .split_once(" type:")
        .map_or((frame, ""), |(frame, rest)| (frame, rest.get(1..).unwrap_or("")));
    (
        presented(filter, frame),
        Some(other).filter(|other| !other.trim().is_empty()),
    )
}

/// Parses a frame that passed a filter from the output of `showinfo` between the number and type of the frame.
fn presented(filter: &str, frame: &str) -> Option<LogLine> {
    let pts = number(frame, " pts:");
    let interlaced = frame.contains(" i:T ") || frame.contains(" i:B ");
    if filter == *DECODED {
        return Some(LogLine::Decoded(Frame {
            pts,
            duration: number(frame, " duration:"),
            interlaced,
            key: frame.contains(" iskey:1"),
        }));
    }
    let pts = pts?;
    if filter == *PICKED {
        return Some(LogLine::Picked { pts, interlaced });
    }
    Some(LogLine::Encoded {
        index: frame.trim_start().split(' ').next()?.parse().ok()?,
        pts,
        interlaced,
    })
}

/// Parses a message of another thread inside a line of one of our filters. The level of the message is missing,
/// so messages other than known errors are ignored.
fn foreign_message(message: &str) -> Option<LogLine> {
    if message.contains(PAUSED.as_str()) {
        return Some(LogLine::Paused);
    }
    warning_or_error("error", message).filter(|line| match line {
        LogLine::Error(words) => is_no_space(words),
        _ => true,
    })
}

/// Parses a warning or an error.
fn warning_or_error(level: &str, message: &str) -> Option<LogLine> {
    let serious = matches!(level, "error" | "fatal" | "panic");
    if !serious && level != "warning" {
        return None;
    }
    if let Some(packet) = marked_packet(message) {
        return Some(packet);
    }
    let lower = message.to_ascii_lowercase();
    let words = || message.chars().take(200).collect();
    if let (true, Some(order)) = (serious, missing_reference(message)) {
        return Some(LogLine::MissingReference { order, line: words() });
    }
    if lower.contains("corrupt decoded frame") {
        return Some(LogLine::CorruptPicture(words()));
    }
    if serious && exceeded(message).is_some() {
        Some(LogLine::Limit(words()))
    } else if DAMAGE.iter().any(|phrase| lower.contains(phrase)) {
        Some(LogLine::Damage(words()))
    } else if serious {
        Some(LogLine::Error(words()))
    } else {
        None
    }
}

/// Parses a message about a packet marked as corrupt.
fn marked_packet(message: &str) -> Option<LogLine> {
    // Versions before 6 print the file name before the message.
    if let Some((_, stream)) = message.rsplit_once("corrupt input packet in stream ") {
        let stream = stream.trim_end().parse().ok()?;
        return Some(LogLine::CorruptInput { stream });
    }
    let (_, rest) = message.split_once("Packet corrupt (stream = ")?;
    let (stream, dts) = rest.split_once(", dts = ")?;
    Some(LogLine::CorruptPacket {
        stream: stream.parse().ok()?,
        dts: dts.split(')').next()?.parse().ok(),
    })
}

/// Parses the picture order count in a message of the HEVC decoder about a missing reference.
fn missing_reference(message: &str) -> Option<i64> {
    let (_, rest) = message.split_once("Could not find ref with POC ")?;
    let end = rest
        .find(|c: char| c != '-' && !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Splits a line such as `[h264 @ 0x55e0] [error] message` into level and message. Only prefixes printed by
/// ffmpeg itself count.
fn split_level(line: &str) -> Option<(&str, &str)> {
    let mut rest = line.trim_end();
    loop {
        let (inside, tail) = rest.strip_prefix('[')?.split_once("] ")?;
        rest = tail.trim_start();
        match inside {
            "info" | "warning" | "error" | "fatal" | "panic" | "verbose" | "debug" => {
                return Some((inside, rest));
            }
            // The context of the message, which may be nested.
            _ if inside.contains(" @ 0x") => {}
            _ => return None,
        }
    }
}

/// Parses the number after `label`, which ffmpeg pads with blanks. Returns `None` for `NOPTS`.
fn number(message: &str, label: &str) -> Option<i64> {
    let rest = message[message.find(label)? + label.len()..].trim_start();
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Parses a line that is neither the first line nor part of a description.
    fn parse(line: &str) -> Option<LogLine> {
        let mut messages = parse_all(line);
        assert!(messages.len() < 2, "{line}: {messages:?}");
        messages.pop()
    }

    fn parse_all(line: &str) -> Vec<LogLine> {
        LogReader { part: Part::Running }.read(line).collect()
    }

    #[test]
    fn parses_frames_of_the_oldest_and_newest_supported_versions() {
        let old = "[info] n:   1 pts:   1024 pts_time:0.1     pos:     4946 fmt:yuv420p \
                   sar:1/1 s:320x180 i:P iskey:1 type:I ";
        let new = "[info] n:   1 pts:  -1024 pts_time:0.1     duration:   1024 \
                   duration_time:0.1     fmt:yuv420p cl:left sar:1/1 s:320x180 i:T iskey:0 type:P ";
        let line = |name: &str, rest| format!("[showinfo@{name} @ 0x55e0] {rest}");
        let decoded = |pts, duration, interlaced, key| {
            Some(LogLine::Decoded(Frame {
                pts,
                duration,
                interlaced,
                key,
            }))
        };
        assert_eq!(
            parse(&line(&DECODED, old)),
            decoded(Some(1024), None, false, true)
        );
        assert_eq!(
            parse(&line(&DECODED, new)),
            decoded(Some(-1024), Some(1024), true, false)
        );
        assert_eq!(
            parse(&line(&PICKED, "[info] n:0 pts:7 pts_time:1 fmt:x")),
            Some(LogLine::Picked {
                pts: 7,
                interlaced: false
            })
        );
        assert_eq!(parse(&line(&DECODED, "[info] config in time_base: 1/10")), None);
        assert_eq!(parse(&line("decoded", old)), None, "a source can know this name");
    }

    #[test]
    fn finds_a_pause_inside_another_line() {
        let line = format!("[ametadata @ 0x1] [info] {}=1", *PAUSED);
        assert_eq!(parse(&line), Some(LogLine::Paused));
        let line = format!(
            "[showinfo@{} @ 0x1] [info] color_range:tv {}=1",
            *DECODED, *PAUSED
        );
        assert_eq!(parse(&line), Some(LogLine::Paused));
        assert_eq!(parse("[info]     title           : paused=1"), None);
    }

    #[test]
    fn finds_messages_of_other_threads_between_parts_of_a_line() {
        let frame = LogLine::Encoded {
            index: 165,
            pts: 495_000,
            interlaced: false,
        };
        let damage = LogLine::Damage("Error submitting packet to decoder".to_owned());
        let packet = LogLine::CorruptPacket {
            stream: 0,
            dts: Some(669_000),
        };
        for (parts, own) in [
            (
                "n: 165 pts: 495000 pts_time:5.5 i:P iskey:0 type:B ",
                Some(&frame),
            ),
            ("color_range:tv color_space:unknown", None),
            ("  side data - mastering display: ", None),
        ] {
            for (words, other) in [
                ("Packet corrupt (stream = 0, dts = 669000).", packet.clone()),
                (
                    "corrupt input packet in stream 3",
                    LogLine::CorruptInput { stream: 3 },
                ),
                ("Error submitting packet to decoder", damage.clone()),
                (
                    "Cannot allocate memory",
                    LogLine::Limit("Cannot allocate memory".to_owned()),
                ),
                (
                    "No space left on device",
                    LogLine::Error("No space left on device".to_owned()),
                ),
            ] {
                let line = format!("[showinfo@{} @ 0x7f78] [info] {parts}{words}", *ENCODED);
                let messages = parse_all(&line);
                let (last, first) = messages.split_last().unwrap();
                assert_eq!(first.first(), own, "{line}");
                let found = match (last, &other) {
                    // The message begins where the parts end; not every line shows that position.
                    (LogLine::Damage(said), LogLine::Damage(words))
                    | (LogLine::Limit(said), LogLine::Limit(words))
                    | (LogLine::Error(said), LogLine::Error(words)) => said.ends_with(words.as_str()),
                    (last, other) => last == other,
                };
                assert!(found, "{line}: {last:?}");
            }
            let line = format!("[showinfo@{} @ 0x7f78] [info] {parts}chatter", *ENCODED);
            assert_eq!(parse(&line).as_ref(), own, "{line}");
        }
    }

    #[test]
    fn distinguishes_damage_from_other_messages() {
        let line = "[mov,mp4 @ 0x1] [error] stream 0, offset 0x9c8: partial file";
        assert_eq!(
            parse(line),
            Some(LogLine::Damage("stream 0, offset 0x9c8: partial file".to_owned()))
        );
        assert_eq!(parse("[h264 @ 0x1] [info] corrupt-looking but fine"), None);
        let nested = "[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] [error] Decoding error: Invalid data found";
        assert!(matches!(parse(nested), Some(LogLine::Damage(_))));
        for printed in [
            "[info] Input #0, mov, from 'file:/a/[error] corrupt.mp4':",
            "    title           : [error] damaged: hello",
            "[clip] [error] corrupt",
        ] {
            assert_eq!(parse(printed), None, "{printed}");
        }
        assert!(matches!(
            parse("[h264 @ 0x1] [error] mmco: unref short failure"),
            Some(LogLine::Error(_))
        ));
    }

    #[test]
    fn distinguishes_missing_references_and_marked_pictures() {
        let missing = |order, line: &str| {
            let line = line.to_owned();
            Some(LogLine::MissingReference { order, line })
        };
        let line = "[hevc @ 0x1] [error] Could not find ref with POC -56";
        assert_eq!(parse(line), missing(-56, "Could not find ref with POC -56"));
        assert_eq!(
            parse("[hevc @ 0x1] [warning] Could not find ref with POC 1"),
            None
        );
        for line in [
            "[warning] pipe:0: corrupt decoded frame in stream 0",
            "[vist#0:0/hevc @ 0x1] [dec:hevc @ 0x2] [warning] corrupt decoded frame",
        ] {
            assert!(matches!(parse(line), Some(LogLine::CorruptPicture(_))), "{line}");
        }
        let inside = format!(
            "[showinfo@{} @ 0x7f78] [info] color_range:tv Could not find ref with POC 7",
            *PICKED
        );
        assert!(matches!(
            parse(&inside),
            Some(LogLine::MissingReference { order: 7, .. })
        ));
    }

    #[test]
    fn a_marked_packet_alone_is_no_damage() {
        let packet = |dts| Some(LogLine::CorruptPacket { stream: 2, dts });
        let line = "[mpegts @ 0x1] [warning] Packet corrupt (stream = 2, dts = 411000).";
        assert_eq!(parse(line), packet(Some(411_000)));
        let line = "[in#0/mpegts @ 0x1] [warning] Packet corrupt (stream = 2, dts = NOPTS).";
        assert_eq!(parse(line), packet(None));
        for line in [
            "[warning] file:in stream 7.ts: corrupt input packet in stream 2",
            "[in#0/mpegts @ 0x1] [warning] corrupt input packet in stream 2",
        ] {
            assert_eq!(parse(line), Some(LogLine::CorruptInput { stream: 2 }), "{line}");
        }
    }

    #[test]
    fn ignores_the_description_of_inputs() {
        let read = |log: &mut LogReader, line: &str| log.read(line).next();
        let mut log = LogReader::new();
        let version = "[info] ffmpeg version 5.1.9 Copyright";
        let damage = "[h264 @ 0x1] [error] error while decoding MB 1 1";
        assert!(matches!(read(&mut log, version), Some(LogLine::Version(_))));
        assert_eq!(read(&mut log, version), None, "only the first line is the banner");
        assert!(matches!(read(&mut log, damage), Some(LogLine::Damage(_))));
        assert_eq!(read(&mut log, "[info] Input #0, mov, from 'a':"), None);
        for forged in [
            version,
            damage,
            "[error] No space left on device",
            "[info] Input #1, ffmetadata, from 'data:,opened0123':",
            "[info] Stream mapping:",
            "[warning] a: corrupt input packet in stream 0",
        ] {
            assert_eq!(read(&mut log, forged), None, "{forged}");
        }
        let marker = format!("[info] Input #1, ffmetadata, from 'data:,{}':", *OPENED);
        assert_eq!(read(&mut log, &marker), Some(LogLine::Opened));
        assert!(matches!(read(&mut log, damage), Some(LogLine::Damage(_))));
        assert_eq!(read(&mut log, version), None);
    }
}
