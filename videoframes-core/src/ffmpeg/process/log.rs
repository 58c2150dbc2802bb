//! The lines that ffmpeg writes to stderr.
//!
//! ffmpeg prints the metadata of a source as they are, line breaks included, so that a source can put any
//! line into the log. Three kinds of lines are trusted:
//! - lines with a random name, such as those of our own filters, wherever they stand;
//! - the first line, which names the version;
//! - errors and warnings outside the part between the first input and the marker that follows the last one
//!   (see [`crate::ffmpeg::args::marker`]). Outputs print no metadata, except where they are kept: see
//!   [`super::decode::Decode::damage`].
//!
//! Since version 7 demuxers, decoders and filters run in threads of their own, and `showinfo` writes a line in
//! several parts. A message of another thread that falls between two parts stands in the same line, without
//! the context and the level that ffmpeg puts in front of a line.

use super::limit::{exceeded, is_of_no_space};
use crate::ffmpeg::args::{COMPARED, DECODED, ENCODED, OPENED, PAUSED, PICKED};

/// One line that matters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LogLine {
    /// A frame left the decoder.
    Decoded(Frame),
    /// A frame was picked and goes to the encoder.
    Picked { pts: i64, interlaced: bool },
    /// A frame goes to the encoder of a compressed video, after `place` others.
    Encoded { place: u64, pts: i64, interlaced: bool },
    /// The similarity of two videos, 0 to 1, at the end of a comparison.
    Compared(f64),
    /// A pause in the audio is longer than can be filled.
    Paused,
    /// The banner.
    Version(String),
    /// A limit that ffmpeg enforces was exceeded.
    Limit(String),
    /// All inputs are open.
    Opened,
    /// The demuxer marks a packet of a stream as corrupt, which does not mean that anything is missing.
    CorruptPacket { stream: u32, dts: Option<i64> },
    /// A packet that is marked as corrupt goes to the decoder.
    CorruptInput { stream: u32 },
    /// Something of the input was lost or spoiled.
    Damage(String),
    /// Another error.
    Error(String),
}

/// A frame as the decoder returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) pts: Option<i64>,
    pub(crate) duration: Option<i64>,
    pub(crate) interlaced: bool,
    /// Whether decoding may start at the frame.
    pub(crate) key: bool,
}

/// Phrases with which ffmpeg's demuxers, parsers and decoders report lost or spoiled data.
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

/// Whose words a line may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Before any line.
    Start,
    /// ffmpeg's, before it describes an input.
    Opening,
    /// ffmpeg's or those of a source.
    Description,
    /// ffmpeg's.
    Running,
}

/// Reads a log line by line.
#[derive(Debug)]
pub(crate) struct LogReader {
    part: Part,
}

impl LogReader {
    pub(crate) fn new() -> Self {
        Self { part: Part::Start }
    }

    /// Returns what the next line says: a message of its own, one of another thread, or both.
    pub(crate) fn read(&mut self, line: &str) -> impl Iterator<Item = LogLine> + use<> {
        let first = self.part == Part::Start;
        if first {
            self.part = Part::Opening;
        }
        let messages = if line.contains(OPENED.as_str()) {
            self.part = Part::Running;
            [Some(LogLine::Opened), None]
        } else if let Some((filter, message)) = reported(line) {
            let (own, other) = report(filter, message);
            [own, other.and_then(interjection)]
        } else if line.contains(PAUSED.as_str()) {
            [Some(LogLine::Paused), None]
        } else {
            [self.unnamed(line, first), None]
        };
        messages.into_iter().flatten()
    }

    /// What a line says that no random name proves to be genuine.
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
        complaint(level, message)
    }
}

/// Name and message of one of our own filters, which a random name proves to be genuine.
fn reported(line: &str) -> Option<(&str, &str)> {
    let names = [&*DECODED, &*PICKED, &*ENCODED, &*COMPARED];
    let (filter, message) = names
        .iter()
        .find_map(|name| line.split_once(name.as_str()).map(|(_, rest)| (*name, rest)))?;
    let (_, message) = message.split_once("[info] ")?;
    Some((filter, message))
}

/// What one of our filters reports, and what another thread has written into the same line.
fn report<'a>(filter: &str, message: &'a str) -> (Option<LogLine>, Option<&'a str>) {
    if filter == *COMPARED {
        let similarity = message
            .split_once(" All:")
            .and_then(|(_, all)| all.split(' ').next()?.parse().ok());
        return (similarity.map(LogLine::Compared), None);
    }
    // Side data and colours: nothing in them is a complaint.
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

/// A frame that passed a filter, as `showinfo` describes it from its number to its kind.
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
        place: frame.trim_start().split(' ').next()?.parse().ok()?,
        pts,
        interlaced,
    })
}

/// A message of another thread inside a line of one of our filters. It has lost its level: what is no known
/// complaint is taken for chatter.
fn interjection(message: &str) -> Option<LogLine> {
    if message.contains(PAUSED.as_str()) {
        return Some(LogLine::Paused);
    }
    complaint("error", message).filter(|line| match line {
        LogLine::Error(words) => is_of_no_space(words),
        _ => true,
    })
}

/// A warning or an error.
fn complaint(level: &str, message: &str) -> Option<LogLine> {
    let serious = matches!(level, "error" | "fatal" | "panic");
    if !serious && level != "warning" {
        return None;
    }
    if let Some(packet) = marked_packet(message) {
        return Some(packet);
    }
    let lower = message.to_ascii_lowercase();
    let words = || message.chars().take(200).collect();
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

/// A packet that the demuxer marks as corrupt.
fn marked_packet(message: &str) -> Option<LogLine> {
    // Versions before 6 name the file in front of it.
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

/// Level and words of a line such as `[h264 @ 0x55e0] [error] words`. Only what ffmpeg itself puts in
/// front counts.
fn split_level(line: &str) -> Option<(&str, &str)> {
    let mut rest = line.trim_end();
    loop {
        let (inside, tail) = rest.strip_prefix('[')?.split_once("] ")?;
        rest = tail.trim_start();
        match inside {
            "info" | "warning" | "error" | "fatal" | "panic" | "verbose" | "debug" => {
                return Some((inside, rest));
            }
            // The context that speaks, perhaps inside another.
            _ if inside.contains(" @ 0x") => {}
            _ => return None,
        }
    }
}

/// The number behind `label`, which ffmpeg pads with blanks; `NOPTS` is none.
fn number(message: &str, label: &str) -> Option<i64> {
    let rest = message[message.find(label)? + label.len()..].trim_start();
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What a line says that is neither the first nor part of a description.
    fn parse(line: &str) -> Option<LogLine> {
        let mut messages = parse_all(line);
        assert!(messages.len() < 2, "{line}: {messages:?}");
        messages.pop()
    }

    fn parse_all(line: &str) -> Vec<LogLine> {
        LogReader { part: Part::Running }.read(line).collect()
    }

    #[test]
    fn frames_are_read_from_both_ends_of_the_supported_range() {
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
        assert_eq!(
            parse(&line("decoded", old)),
            None,
            "a name that a source may know"
        );
    }

    #[test]
    fn a_pause_is_found_inside_another_line() {
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
    fn a_message_of_another_thread_is_found_between_the_parts_of_a_line() {
        let frame = LogLine::Encoded {
            place: 165,
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
                    // The words begin where the parts end, which cannot be told in every line.
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
    fn damage_is_told_from_chatter() {
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
    fn a_packet_that_is_marked_as_corrupt_is_no_damage_in_itself() {
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
    fn a_description_of_an_input_proves_nothing() {
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
