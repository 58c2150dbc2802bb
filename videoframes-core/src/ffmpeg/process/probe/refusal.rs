//! Reasons why ffprobe refuses a file.

use std::io::Read;
use std::path::Path;

use crate::extract::ExtractError;
use crate::ffmpeg::process::limit::{is_no_memory, is_too_many_pixels, no_memory, too_many_pixels};
use crate::video::starts_like_mp4;

/// Number of bytes that distinguish a picture from a video.
const HEAD: usize = 21;

/// Converts the log of ffprobe to an error. A container without its index is damaged, not of an unknown format.
pub(super) fn refusal(log: &[String]) -> ExtractError {
    if log.iter().any(|line| line.contains("moov atom not found")) {
        return ExtractError::Damaged("the index is missing (moov atom not found)".to_owned());
    }
    if log.iter().any(|line| is_no_memory(line)) {
        return no_memory();
    }
    if log.iter().any(|line| is_too_many_pixels(line)) {
        return too_many_pixels();
    }
    if log
        .iter()
        .any(|line| line.contains("not on whitelist") && line.contains("Codec ("))
    {
        return ExtractError::NotAVideo("its codec is not supported".to_owned());
    }
    if log.iter().any(|line| line.contains("not on whitelist")) {
        return ExtractError::NotAVideo("its format is not self-contained".to_owned());
    }
    let line = log.last().map_or("ffprobe gave no reason", String::as_str);
    let reason = line
        .rsplit_once(": ")
        .map_or(line, |(_, reason)| reason)
        .to_owned();
    let lower = line.to_ascii_lowercase();
    if lower.contains("option") && lower.contains("not found") {
        return ExtractError::Unsupported(reason);
    }
    ExtractError::NotAVideo(reason)
}

/// Corrects the error for a file that ffprobe refused by the first bytes of the file.
pub(super) fn refused(error: ExtractError, input: &Path) -> ExtractError {
    match error {
        // A file with the extension `.mp4` but different content has lost no index.
        ExtractError::Damaged(reason) if !looks_like_mp4(input) => ExtractError::NotAVideo(reason),
        ExtractError::NotAVideo(reason) => picture(&head(input)).unwrap_or(ExtractError::NotAVideo(reason)),
        error => error,
    }
}

/// Returns whether the file begins with a box of ISO/IEC 14496-12 or QuickTime.
fn looks_like_mp4(input: &Path) -> bool {
    head(input).first_chunk().is_some_and(starts_like_mp4)
}

/// Returns the first bytes of a file, or none if the file cannot be read.
fn head(input: &Path) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD);
    let read = std::fs::File::open(input).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    match read {
        Ok(_) => head,
        Err(_) => Vec::new(),
    }
}

/// Returns the error for a file with this beginning that ffprobe refused, if the file is a picture.
fn picture(head: &[u8]) -> Option<ExtractError> {
    let still = |kind: &str| ExtractError::NotAVideo(format!("it is a still picture ({kind})"));
    match head {
        // The flags of the extended format follow the chunk header.
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            rest @ ..,
        ] => Some(match rest {
            [b'V', b'P', b'8', b'X', _, _, _, _, flags, ..] if flags & 2 != 0 => {
                ExtractError::Unsupported("its ffprobe does not support animated WebP".to_owned())
            }
            _ => still("WebP"),
        }),
        [0x89, b'P', b'N', b'G', ..] => Some(still("PNG")),
        [0xff, 0xd8, 0xff, ..] => Some(still("JPEG")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_animated_from_still_pictures() {
        let webp = |flags| [b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0".as_slice(), &[flags]].concat();
        assert!(matches!(picture(&webp(0x12)), Some(ExtractError::Unsupported(_))));
        assert!(matches!(picture(&webp(0x10)), Some(ExtractError::NotAVideo(_))));
        let simple = b"RIFF\0\0\0\0WEBPVP8 \x0a\0\0\0\x02";
        assert!(matches!(picture(simple), Some(ExtractError::NotAVideo(_))));
        assert!(matches!(
            picture(b"\x89PNG\r\n"),
            Some(ExtractError::NotAVideo(_))
        ));
        assert!(picture(b"just text").is_none() && picture(b"").is_none());
    }
}
