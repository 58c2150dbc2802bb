//! Matroska and WebM files (RFC 8794, RFC 9559).

use std::ops::Range;

use bytes::Bytes;

use super::super::{NoIndex, VideoInfo};
use super::configuration::Configuration;
use super::list::Packet;
use crate::video::ebml::{Element, elements, id, unsigned, vint};

/// Size in bytes of the longest header of a block: the number of its track, a time and flags.
pub(super) const BLOCK_HEADER: u64 = 8 + 3;

/// Returns the positions of the blocks with these packets.
pub(super) fn ranges(packets: &[Packet], track: u64) -> Vec<Range<u64>> {
    let header = (number_bytes(track) + 3) as u64;
    let range = |packet: &Packet| {
        let end = packet.position.saturating_add(header + u64::from(packet.size));
        packet.position..end
    };
    packets.iter().map(range).collect()
}

/// Returns the number of the track with the block at the end of `head`, and the configuration of its codec.
pub(super) fn track(
    video: &VideoInfo,
    packets: &[Packet],
    head: &[u8],
) -> Result<(u64, Configuration), NoIndex> {
    let unusual = || NoIndex::new("the description of the track is missing or unusual");
    let first = packets
        .first()
        .and_then(|packet| usize::try_from(packet.position).ok());
    let block = first
        .and_then(|position| head.get(position..))
        .ok_or_else(unusual)?;
    let number = track_number(block).ok_or_else(unusual)?;
    let entry = entry(head, number).ok_or_else(unusual)?;
    if entry.encoded {
        return Err(NoIndex::new(
            "the content of the track is compressed or encrypted",
        ));
    }
    let codec = match video.codec.as_str() {
        "h264" => &b"V_MPEG4/ISO/AVC"[..],
        "hevc" => b"V_MPEGH/ISO/HEVC",
        "av1" => b"V_AV1",
        "vp8" => b"V_VP8",
        "vp9" => b"V_VP9",
        "mjpeg" => b"V_MJPEG",
        "mpeg4" => b"V_MPEG4/ISO/ASP",
        _ => b"",
    };
    if entry.codec != codec {
        return Err(NoIndex::new(format!(
            "planning is not supported for the codec '{}'",
            video.codec
        )));
    }
    Ok((number, Configuration::stored(video, entry.private)?))
}

/// Description of a track.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry<'a> {
    number: Option<u64>,
    codec: &'a [u8],
    private: Option<&'a [u8]>,
    encoded: bool,
}

/// Returns the description of a track from the beginning of a file.
fn entry(head: &[u8], number: u64) -> Option<Entry<'_>> {
    let segment = elements(head).find(|element| element.id == id::SEGMENT)?.content;
    let tracks = elements(segment).find(|element| element.id == id::TRACKS && element.complete)?;
    let entries = elements(tracks.content).filter(|element| element.id == id::TRACK_ENTRY);
    entries
        .map(|element| {
            let mut entry = Entry::default();
            for Element { id, content, .. } in elements(element.content) {
                match id {
                    id::TRACK_NUMBER => entry.number = unsigned(content),
                    id::CODEC_ID => entry.codec = content,
                    id::CODEC_PRIVATE => entry.private = Some(content),
                    id::CONTENT_ENCODINGS => entry.encoded = true,
                    _ => {}
                }
            }
            entry
        })
        .find(|entry| entry.number == Some(number))
}

/// Returns the coded picture in a block of `track`.
pub(super) fn unpack(track: u64, block: &Bytes) -> Option<Bytes> {
    const LACING: u8 = 0x06;
    let size = number_bytes(track);
    let flags = *block.get(size + 2)?;
    (track_number(block) == Some(track) && flags & LACING == 0).then(|| block.slice(size + 3..))
}

/// Returns the number of the track at the beginning of a block, in the usual shortest form.
fn track_number(block: &[u8]) -> Option<u64> {
    let (coded, size) = vint(block, 8)?;
    let number = coded - (1 << (7 * size));
    (number_bytes(number) == size).then_some(number)
}

/// Returns the size in bytes of the shortest form of a track number.
fn number_bytes(number: u64) -> usize {
    (1..8).find(|&size| number < (1 << (7 * size)) - 1).unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
        let mut element = id.to_vec();
        element.extend((content.len() as u64 | 1 << 56).to_be_bytes());
        element.extend(content);
        element
    }

    fn file(entries: &[Vec<u8>]) -> Vec<u8> {
        let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &entries.concat());
        let mut file = element(&[0x1a, 0x45, 0xdf, 0xa3], &[0; 20]);
        // A segment of unknown size, as in live recordings, with a void element.
        file.extend([
            0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ]);
        file.extend(element(&[0xec], &[0; 5]));
        file.extend(tracks);
        file
    }

    fn track_entry(number: u8, more: &[u8]) -> Vec<u8> {
        let content = [
            &element(&[0xd7], &[number])[..],
            &element(&[0x86], b"V_VP9"),
            &element(&[0x63, 0xa2], &[number; 3]),
            more,
        ];
        element(&[0xae], &content.concat())
    }

    #[test]
    fn finds_a_track_by_its_number() {
        let encodings = element(&[0x6d, 0x80], &[]);
        let file = file(&[track_entry(1, &[]), track_entry(2, &encodings)]);
        let first = entry(&file, 1).unwrap();
        assert_eq!((first.codec, first.private), (&b"V_VP9"[..], Some(&[1; 3][..])));
        assert!(!first.encoded && entry(&file, 2).unwrap().encoded);
        assert_eq!(entry(&file, 3), None);
        for length in 0..file.len() {
            assert_eq!(entry(&file[..length], 1), None, "{length} bytes");
        }
    }

    #[test]
    fn unpacks_only_blocks_of_the_track_without_lacing() {
        let block = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        let unpacked = unpack(2, &block(&[0x82, 0, 0, 0x80, 7, 8]));
        assert_eq!(unpacked.as_deref(), Some(&[7, 8][..]));
        let long = unpack(300, &block(&[0x41, 0x2c, 0, 0, 0, 9]));
        assert_eq!(long.as_deref(), Some(&[9][..]));
        for other in [
            &[0x81, 0, 0, 0x80, 7][..],
            &[0x82, 0, 0, 0x82, 7],
            &[0x82, 0, 0],
            &[0],
            &[],
        ] {
            assert_eq!(unpack(2, &block(other)), None, "{other:x?}");
        }
        assert_eq!(
            [
                number_bytes(1),
                number_bytes(126),
                number_bytes(127),
                number_bytes(u64::MAX)
            ],
            [1, 1, 2, 8]
        );
    }
}
