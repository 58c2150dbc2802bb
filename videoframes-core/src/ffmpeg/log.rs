//! What ffmpeg says on stderr, line by line.

use super::args::{COMPARED, DECODED, ENCODED, PAUSED, PICKED};
use super::limit::exceeded;

/// One line that matters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LogLine {
    /// A frame left the decoder.
    Decoded {
        pts: Option<i64>,
        duration: Option<i64>,
        interlaced: bool,
    },
    /// A frame was picked and goes to the encoder.
    Picked { pts: i64, interlaced: bool },
    /// A frame comes for the encoder of a compressed video, as so many before it.
    Encoded { place: u64, pts: i64, interlaced: bool },
    /// How similar two videos were, at the end of a comparison: 0 to 1.
    Compared(f64),
    /// A sound pauses for longer than can be filled.
    Paused,
    /// The banner.
    Version(String),
    /// A limit that ffmpeg enforces was exceeded.
    Limit(String),
    /// Something of the input was lost or spoiled.
    Damage(String),
    /// Another error.
    Error(String),
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

pub(crate) fn parse(line: &str) -> Option<LogLine> {
    // It is said among the frames of other graphs, whose lines are written in parts.
    if line.contains(PAUSED.as_str()) {
        return Some(LogLine::Paused);
    }
    if let Some(rest) = line.strip_prefix("[showinfo@") {
        let (filter, message) = rest
            .split_once(" @ ")
            .and_then(|(f, m)| Some((f, m.split_once("[info] n:")?.1)))?;
        let pts = number(message, " pts:");
        let interlaced = message.contains(" i:T ") || message.contains(" i:B ");
        return match filter {
            DECODED => Some(LogLine::Decoded {
                pts,
                duration: number(message, " duration:"),
                interlaced,
            }),
            PICKED => pts.map(|pts| LogLine::Picked { pts, interlaced }),
            ENCODED => Some(LogLine::Encoded {
                place: message.trim_start().split(' ').next()?.parse().ok()?,
                pts: pts?,
                interlaced,
            }),
            _ => None,
        };
    }
    if let Some(rest) = line.strip_prefix("[ssim@") {
        let all = rest.strip_prefix(COMPARED)?.split_once(" All:")?.1;
        return all.split(' ').next()?.parse().ok().map(LogLine::Compared);
    }
    let (level, message) = split_level(line)?;
    if level == "info" && message.starts_with("ffmpeg version ") {
        return Some(LogLine::Version(message.to_owned()));
    }
    let serious = matches!(level, "error" | "fatal" | "panic");
    if !serious && level != "warning" {
        return None;
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

/// Level and words of a line such as `[h264 @ 0x55e0] [error] words`. Only what ffmpeg itself puts in
/// front counts: file names and metadata are printed, too, and may look like anything.
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

    #[test]
    fn frames_are_read_from_both_ends_of_the_supported_range() {
        let old = "[showinfo@decoded @ 0x55e0] [info] n:   1 pts:   1024 pts_time:0.1     pos:     4946 fmt:yuv420p \
                   sar:1/1 s:320x180 i:P iskey:0 type:P ";
        let new = "[showinfo@decoded @ 0x7f3d] [info] n:   1 pts:  -1024 pts_time:0.1     duration:   1024 \
                   duration_time:0.1     fmt:yuv420p cl:left sar:1/1 s:320x180 i:T iskey:0 type:P ";
        let decoded = |pts, duration, interlaced| {
            Some(LogLine::Decoded {
                pts,
                duration,
                interlaced,
            })
        };
        assert_eq!(parse(old), decoded(Some(1024), None, false));
        assert_eq!(parse(new), decoded(Some(-1024), Some(1024), true));
        assert_eq!(
            parse("[showinfo@picked @ 0x1] [info] n:0 pts:7 pts_time:1 fmt:x"),
            Some(LogLine::Picked {
                pts: 7,
                interlaced: false
            })
        );
        assert_eq!(
            parse("[info] ffmpeg version 5.1.9 Copyright"),
            Some(LogLine::Version("ffmpeg version 5.1.9 Copyright".to_owned()))
        );
        assert_eq!(
            parse("[showinfo@decoded @ 0x1] [info] config in time_base: 1/10"),
            None
        );
    }

    #[test]
    fn a_pause_is_heard_in_the_midst_of_another_line() {
        let line = "[showinfo@decoded @ 0x1] [info] n:   1 pts:   1024 frame:0 pts:7";
        assert_eq!(parse(&format!("{line} {}=1", *PAUSED)), Some(LogLine::Paused));
        assert_eq!(parse("[info]     title           : videoframes.paused=1"), None);
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
}
