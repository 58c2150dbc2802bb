//! FLV files (Adobe Flash Video File Format Specification 10.1, annex E).

use std::ops::Range;

use bytes::Bytes;

use super::super::{NoIndex, VideoInfo};
use super::configuration::Configuration;
use super::list::Packet;

/// Kind of a tag with video.
const VIDEO: u8 = 9;
/// Codec of H.264.
const AVC: u8 = 7;
/// Size of the header of a tag in bytes.
const TAG_HEADER: usize = 11;
/// Size of the header of an AVC packet in bytes: codec, kind and composition time.
const AVC_HEADER: usize = 5;

/// Returns the positions of the tags with these packets.
pub(super) fn ranges(packets: &[Packet]) -> Vec<Range<u64>> {
    let header = (TAG_HEADER + AVC_HEADER) as u64;
    let range = |packet: &Packet| {
        let end = packet.position.saturating_add(header + u64::from(packet.size));
        packet.position..end
    };
    packets.iter().map(range).collect()
}

/// Returns the configuration of the codec from the tags before the first picture.
pub(super) fn configuration(video: &VideoInfo, head: &[u8]) -> Result<Configuration, NoIndex> {
    let private = (video.codec == "h264").then(|| sequence_header(head)).flatten();
    Configuration::stored(video, private)
}

/// Returns the content of the first AVC packet with a configuration.
fn sequence_header(head: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| Some(u32::from_be_bytes(*head.get(at..)?.first_chunk()?));
    // The sizes of the previous tags lie between the tags.
    let mut at = (word(5)? as usize).checked_add(4)?;
    loop {
        let kind = *head.get(at)?;
        let size = (word(at)? & 0xff_ffff) as usize;
        let body = at.checked_add(TAG_HEADER)?;
        let content = head.get(body..body.checked_add(size)?)?;
        if kind == VIDEO && content.len() > AVC_HEADER && content[0] & 0x0f == AVC && content[1] == 0 {
            return Some(&content[AVC_HEADER..]);
        }
        at = body + size + 4;
    }
}

/// Returns the NAL units of a tag.
pub(super) fn unpack(tag: &Bytes) -> Option<Bytes> {
    let header = tag.get(..TAG_HEADER + AVC_HEADER)?;
    let size = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
    let [codec, kind] = *header[TAG_HEADER..].first_chunk()?;
    let is_picture = header[0] == VIDEO && codec & 0x0f == AVC && kind == 1;
    (is_picture && TAG_HEADER + size == tag.len()).then(|| tag.slice(TAG_HEADER + AVC_HEADER..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(kind: u8, content: &[u8]) -> Vec<u8> {
        let size = content.len() as u32;
        let mut tag = vec![kind];
        tag.extend(&size.to_be_bytes()[1..]);
        tag.extend([0; 7]);
        tag.extend(content);
        tag
    }

    #[test]
    fn finds_the_configuration_between_other_tags() {
        let mut file = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        for tag in [
            tag(18, b"metadata"),
            tag(VIDEO, &[0x17, 0, 0, 0, 0, 1, 0x64]),
            tag(VIDEO, &[0x17, 1, 0, 0, 0, 9]),
        ] {
            file.extend(&tag);
            file.extend((tag.len() as u32).to_be_bytes());
        }
        assert_eq!(sequence_header(&file), Some(&[1, 0x64][..]));
        for length in 0..file.len() {
            let _ = sequence_header(&file[..length]);
        }
        file[13] = VIDEO;
        file[5] = 0xff;
        assert_eq!(sequence_header(&file), None, "a header beyond the end");
    }

    #[test]
    fn unpacks_only_pictures_of_the_listed_size() {
        let picture = Bytes::from(tag(VIDEO, &[0x27, 1, 0, 0, 0, 0xaa, 0xbb]));
        assert_eq!(unpack(&picture).as_deref(), Some(&[0xaa, 0xbb][..]));
        assert_eq!(unpack(&picture.slice(..picture.len() - 1)), None);
        for content in [[0x27, 0, 0, 0, 0, 1], [0x22, 1, 0, 0, 0, 1]] {
            assert_eq!(unpack(&Bytes::from(tag(VIDEO, &content))), None);
        }
        assert_eq!(unpack(&Bytes::from(tag(8, &[0x27, 1, 0, 0, 0, 1]))), None);
        assert_eq!(unpack(&Bytes::new()), None);
    }
}
