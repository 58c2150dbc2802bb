//! Private parsers for the fuzz targets. Compiled only with `--cfg fuzzing`.

use std::io::Read;

use bytes::Bytes;

use crate::extract::PictureFormat;
use crate::ffmpeg::args::{COMPARED, DECODED, ENCODED, OPENED, PAUSED, PICKED};
use crate::ffmpeg::process::log::{LogLine, LogReader};
use crate::ffmpeg::process::probe;
use crate::ffmpeg::process::split::{Framing, PictureReader};
use crate::source::content_range::ContentRange;
use crate::video::mpegts::Seams;

/// Parses the header `Content-Range`. Returns the first byte, the end, and the length of the source.
pub fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let range = ContentRange::parse(text)?;
    Some((range.bytes.start, range.bytes.end, range.length))
}

/// Reads the log of ffmpeg. Returns whether a line counted that only names of this process make possible, although the text
/// has none of them: the fuzzer can learn the names from comparisons.
pub fn log(text: &str) -> bool {
    let names = [&COMPARED, &DECODED, &ENCODED, &OPENED, &PAUSED, &PICKED];
    let knows_names = names.iter().any(|name| text.contains(name.as_str()));
    let mut reader = LogReader::new();
    let mut forged = false;
    for line in text.lines() {
        forged |= reader.read(line).any(|line| {
            matches!(
                line,
                LogLine::Decoded(_)
                    | LogLine::Picked { .. }
                    | LogLine::Encoded { .. }
                    | LogLine::Compared(_)
                    | LogLine::Paused
                    | LogLine::Opened
            )
        });
    }
    forged && !knows_names
}

/// Reads the list of packets that ffprobe prints.
pub fn listing(text: &str) {
    probe::read_listing(text);
}

/// Splits a stream of pictures that arrives in pieces of `step` bytes. Returns the pictures before the first error.
pub fn pictures(stream: &[u8], format: PictureFormat, step: usize) -> Vec<(Bytes, u32, u32)> {
    let Some(framing) = Framing::encoded(format) else {
        return Vec::new();
    };
    let mut reader = PictureReader::new(Pieces { stream, step }, framing);
    let mut pictures = Vec::new();
    while let Ok(false) = reader.is_at_end() {
        match reader.next() {
            Ok(Some(picture)) => pictures.push(picture),
            Ok(None) | Err(_) => break,
        }
    }
    pictures
}

struct Pieces<'a> {
    stream: &'a [u8],
    step: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = self.step.max(1).min(into.len()).min(self.stream.len());
        let (now, later) = self.stream.split_at(length);
        into[..length].copy_from_slice(now);
        self.stream = later;
        Ok(length)
    }
}

/// Returns whether marked units of a transport stream, which arrives in pieces of `step` bytes, are complete.
pub fn seams(stream: &[u8], marked: &[i64], step: usize) -> bool {
    let mut seams = Seams::new(marked.iter().copied());
    for piece in stream.chunks(step.max(1)) {
        seams.feed(piece);
    }
    seams.explain()
}
