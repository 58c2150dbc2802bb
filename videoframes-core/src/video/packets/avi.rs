//! AVI files (Multimedia Programming Interface and Data Specifications 1.0; AVI RIFF file reference).

use std::ops::Range;

use bytes::Bytes;

use super::super::{NoIndex, VideoInfo};
use super::configuration::{Configuration, mpeg4_header};
use super::list::Packet;

/// Size of the header of a chunk in bytes: identifier and size.
const CHUNK_HEADER: usize = 8;
/// Size of a `BITMAPINFOHEADER` in bytes. The configuration of the codec follows.
const BITMAP_HEADER: usize = 40;

/// Returns the positions of the chunks with these packets. The positions of AVI packets are those of their contents.
pub(super) fn ranges(packets: &[Packet]) -> Vec<Range<u64>> {
    let range = |packet: &Packet| {
        let start = packet.position.saturating_sub(CHUNK_HEADER as u64);
        start..packet.position.saturating_add(packet.size.into())
    };
    packets.iter().map(range).collect()
}

/// Returns the digits of the stream in the identifiers of its chunks, and the configuration of its codec. `head` ends with
/// the first packet.
pub(super) fn track(
    video: &VideoInfo,
    packets: &[Packet],
    head: &[u8],
) -> Result<([u8; 2], Configuration), NoIndex> {
    let unusual = || NoIndex::new("the description of the stream is missing or unusual");
    let first = ranges(packets)
        .first()
        .and_then(|range| head.get(usize::try_from(range.start).ok()?..))
        .ok_or_else(unusual)?;
    let digits: [u8; 2] = *first.first_chunk().ok_or_else(unusual)?;
    let format = stream_format(head, digits).ok_or_else(unusual)?;
    let (bitmap, private) = format.split_at_checked(BITMAP_HEADER).ok_or_else(unusual)?;
    let tag: [u8; 4] = *bitmap[16..].first_chunk().ok_or_else(unusual)?;
    let unsupported = || {
        NoIndex::new(format!(
            "planning is not supported for the codec tag '{}'",
            tag.escape_ascii()
        ))
    };
    let sample = first.get(CHUNK_HEADER..).unwrap_or_default();
    let (entry, private) = match (
        video.codec.as_str(),
        &tag.map(|letter| letter.to_ascii_uppercase()),
    ) {
        ("mjpeg", b"MJPG") => (*b"jpeg", private),
        // Decoders recognize encoders by the tag, and decode their streams differently.
        ("mpeg4", tag @ (b"XVID" | b"DIVX" | b"DX50" | b"FMP4")) => match private {
            [] => (*tag, mpeg4_header(sample).ok_or_else(unusual)?),
            private => (*tag, private),
        },
        ("mpeg4", b"MP4V") => (*b"mp4v", mpeg4_header(sample).ok_or_else(unusual)?),
        _ => return Err(unsupported()),
    };
    Ok((digits, Configuration::extradata(entry, private)?))
}

/// Returns the format (`strf`) of the stream whose chunks have these digits.
fn stream_format(head: &[u8], digits: [u8; 2]) -> Option<&[u8]> {
    let stream = std::str::from_utf8(&digits).ok()?.parse::<usize>().ok()?;
    let riff = list(*b"RIFF", *b"AVI ", chunks(head))?;
    let header = list(*b"LIST", *b"hdrl", chunks(riff))?;
    let stream = lists(*b"LIST", *b"strl", chunks(header)).nth(stream)?;
    let (_, format) = chunks(stream).find(|(id, _)| id == b"strf")?;
    Some(format)
}

/// Returns the content of the first list of a kind.
fn list<'a>(
    id: [u8; 4],
    kind: [u8; 4],
    chunks: impl Iterator<Item = ([u8; 4], &'a [u8])>,
) -> Option<&'a [u8]> {
    lists(id, kind, chunks).next()
}

fn lists<'a>(
    id: [u8; 4],
    kind: [u8; 4],
    chunks: impl Iterator<Item = ([u8; 4], &'a [u8])>,
) -> impl Iterator<Item = &'a [u8]> {
    chunks.filter_map(move |(each, content)| content.strip_prefix(&kind).filter(|_| each == id))
}

/// Returns identifier and content of consecutive chunks. The last content may be incomplete.
fn chunks(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (header, rest) = bytes.split_first_chunk::<CHUNK_HEADER>()?;
        let [a, b, c, d, size @ ..] = *header;
        let size = u32::from_le_bytes(size) as usize;
        // Contents are padded to an even size.
        bytes = rest.get(size.saturating_add(size % 2)..).unwrap_or_default();
        Some(([a, b, c, d], &rest[..size.min(rest.len())]))
    })
}

/// Returns the coded picture in a chunk of the stream.
pub(super) fn unpack(digits: [u8; 2], chunk: &Bytes) -> Option<Bytes> {
    let (header, content) = chunk.split_first_chunk::<CHUNK_HEADER>()?;
    let [first, second, kind @ .., a, b, c, d] = *header;
    let is_picture = [first, second] == digits && matches!(&kind, b"dc" | b"db");
    let size = u32::from_le_bytes([a, b, c, d]) as usize;
    (is_picture && size == content.len()).then(|| chunk.slice(CHUNK_HEADER..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::TimeBase;

    fn chunk(id: &[u8], content: &[u8]) -> Vec<u8> {
        let mut chunk = id.to_vec();
        chunk.extend((content.len() as u32).to_le_bytes());
        chunk.extend(content);
        chunk.resize(chunk.len().next_multiple_of(2), 0);
        chunk
    }

    fn list(id: &[u8], kind: &[u8], contents: &[Vec<u8>]) -> Vec<u8> {
        chunk(id, &[kind, &contents.concat()].concat())
    }

    /// Returns a file with an audio stream and a video stream, and the position of its first picture.
    fn file(tag: &[u8; 4], private: &[u8], picture: &[u8]) -> (Vec<u8>, u64) {
        let bitmap = [&[0; 16][..], tag, &[0; 20], private].concat();
        let audio = list(
            b"LIST",
            b"strl",
            &[chunk(b"strh", b"auds"), chunk(b"strf", &[0; 17])],
        );
        let video = list(
            b"LIST",
            b"strl",
            &[chunk(b"strh", b"vids"), chunk(b"strf", &bitmap)],
        );
        let header = list(b"LIST", b"hdrl", &[chunk(b"avih", &[0; 56]), audio, video]);
        let pictures = list(b"LIST", b"movi", &[chunk(b"01dc", picture)]);
        let position = 12 + header.len() + 12 + CHUNK_HEADER;
        (list(b"RIFF", b"AVI ", &[header, pictures]), position as u64)
    }

    fn configuration(codec: &str, tag: &[u8; 4], private: &[u8]) -> Result<Configuration, NoIndex> {
        let picture = b"\0\0\x01\xb0\x01\0\0\x01\x20\xaa\0\0\x01\xb6\x10";
        let (file, position) = file(tag, private, picture);
        let video = VideoInfo::new("avi", codec, (320, 240), TimeBase::new(1, 25).unwrap());
        let packets = [Packet::new(0, position, picture.len() as u32, true)];
        for length in 0..file.len() {
            let _ = track(&video, &packets, &file[..length]);
        }
        track(&video, &packets, &file).map(|(digits, configuration)| {
            assert_eq!(&digits, b"01");
            configuration
        })
    }

    #[test]
    fn the_configuration_is_that_of_the_stream_or_of_its_first_picture() {
        let header = b"\0\0\x01\xb0\x01\0\0\x01\x20\xaa";
        for (codec, tag, private, format, expected) in [
            ("mjpeg", b"MJPG", &b""[..], b"jpeg", None),
            ("mjpeg", b"mjpg", b"private", b"jpeg", Some(&b"private"[..])),
            ("mpeg4", b"XVID", b"", b"XVID", Some(header)),
            ("mpeg4", b"divx", b"private", b"DIVX", Some(b"private")),
            ("mpeg4", b"mp4v", b"", b"mp4v", Some(header)),
        ] {
            let content = expected.map(|content| (*b"glbl", content.to_vec()));
            let format = *format;
            assert_eq!(
                configuration(codec, tag, private),
                Ok(Configuration { format, content })
            );
        }
        for (codec, tag) in [("mpeg4", b"DIV3"), ("h264", b"H264"), ("mjpeg", b"AVRn")] {
            assert!(configuration(codec, tag, b"").is_err(), "{codec}");
        }
    }

    #[test]
    fn unpacks_only_pictures_of_the_stream_and_of_the_listed_size() {
        let picture = Bytes::from(chunk(b"01dc", b"ab"));
        assert_eq!(unpack(*b"01", &picture).as_deref(), Some(&b"ab"[..]));
        assert_eq!(unpack(*b"00", &picture), None);
        assert_eq!(unpack(*b"01", &picture.slice(..picture.len() - 1)), None);
        assert_eq!(unpack(*b"01", &Bytes::from(chunk(b"01wb", b"ab"))), None);
        assert_eq!(unpack(*b"01", &Bytes::new()), None);
    }
}
