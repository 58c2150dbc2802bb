//! The lines that ffmpeg writes to stderr.
//!
//! ffmpeg prints the metadata of a source as they are, line breaks included, so that a source can put any
//! line into the log. Three kinds of lines are trusted:
//! - lines with a random name, such as those of our own filters, wherever they stand;
//! - the first line, which names the version;
//! - errors and warnings outside the part between the first input and the marker that follows the last one
//!   (see [`super::args::marker`]). Outputs print no metadata, except where they are kept: see
//!   [`super::decode::Decode::damage`].

use super::args::{COMPARED, DECODED, ENCODED, OPENED, PAUSED, PICKED};
use super::limit::exceeded;

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

    /// What the next line says.
    pub(crate) fn read(&mut self, line: &str) -> Option<LogLine> {
        let first = self.part == Part::Start;
        if first {
            self.part = Part::Opening;
        }
        if let Some(line) = named(line) {
            if line == LogLine::Opened {
                self.part = Part::Running;
            }
            return Some(line);
        }
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

/// A line that a random name proves to be genuine.
fn named(line: &str) -> Option<LogLine> {
    // It is written among the frames of other graphs, whose lines are written in parts.
    if line.contains(PAUSED.as_str()) {
        return Some(LogLine::Paused);
    }
    if line.contains(OPENED.as_str()) {
        return Some(LogLine::Opened);
    }
    if let Some(rest) = line.strip_prefix("[showinfo@") {
        let (filter, message) = rest
            .split_once(" @ ")
            .and_then(|(f, m)| Some((f, m.split_once("[info] n:")?.1)))?;
        let pts = number(message, " pts:");
        let interlaced = message.contains(" i:T ") || message.contains(" i:B ");
        return match filter {
            _ if filter == *DECODED => Some(LogLine::Decoded(Frame {
                pts,
                duration: number(message, " duration:"),
                interlaced,
                key: message.contains(" iskey:1"),
            })),
            _ if filter == *PICKED => pts.map(|pts| LogLine::Picked { pts, interlaced }),
            _ if filter == *ENCODED => Some(LogLine::Encoded {
                place: message.trim_start().split(' ').next()?.parse().ok()?,
                pts: pts?,
                interlaced,
            }),
            _ => None,
        };
    }
    let rest = line.strip_prefix("[ssim@")?;
    let all = rest.strip_prefix(COMPARED.as_str())?.split_once(" All:")?.1;
    all.split(' ').next()?.parse().ok().map(LogLine::Compared)
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
    let rest = message.strip_prefix("Packet corrupt (stream = ")?;
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
mod tests {
    use super::*;

    /// What a line says that is neither the first nor part of a description.
    fn parse(line: &str) -> Option<LogLine> {
        LogReader { part: Part::Running }.read(line)
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
        let line = format!(
            "[showinfo@{} @ 0x1] [info] n:   1 pts:   1024 frame:0 pts:7",
            *DECODED
        );
        assert_eq!(parse(&format!("{line} {}=1", *PAUSED)), Some(LogLine::Paused));
        assert_eq!(parse("[info]     title           : paused=1"), None);
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
        let mut log = LogReader::new();
        let version = "[info] ffmpeg version 5.1.9 Copyright";
        let damage = "[h264 @ 0x1] [error] error while decoding MB 1 1";
        assert!(matches!(log.read(version), Some(LogLine::Version(_))));
        assert_eq!(log.read(version), None, "only the first line is the banner");
        assert!(matches!(log.read(damage), Some(LogLine::Damage(_))));
        assert_eq!(log.read("[info] Input #0, mov, from 'a':"), None);
        for forged in [
            version,
            damage,
            "[error] No space left on device",
            "[info] Input #1, ffmetadata, from 'data:,opened0123':",
            "[info] Stream mapping:",
            "[warning] a: corrupt input packet in stream 0",
        ] {
            assert_eq!(log.read(forged), None, "{forged}");
        }
        let marker = format!("[info] Input #1, ffmetadata, from 'data:,{}':", *OPENED);
        assert_eq!(log.read(&marker), Some(LogLine::Opened));
        assert!(matches!(log.read(damage), Some(LogLine::Damage(_))));
        assert_eq!(log.read(version), None);
    }
}
