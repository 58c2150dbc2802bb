//! Configuration of a codec in the form of MP4.

use super::super::{NoIndex, VideoInfo, nal};

/// Maximum size of a configuration in bytes; real configurations have some hundreds of bytes.
const MAX_BYTES: usize = 64 << 10;

/// Format of a sample entry, and its configuration box (kind and content), if the format has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Configuration {
    pub(super) format: [u8; 4],
    pub(super) content: Option<([u8; 4], Vec<u8>)>,
}

impl Configuration {
    /// Returns the configuration of the codec of `video`, with the bytes that Matroska and FLV store.
    pub(super) fn stored(video: &VideoInfo, private: Option<&[u8]>) -> Result<Self, NoIndex> {
        let (format, kind) = formats(video)?;
        if kind == Some(*b"glbl") {
            return Self::extradata(format, private.unwrap_or_default());
        }
        let content = match (kind, private) {
            (None, _) => None,
            (Some(kind), Some(content))
                if content.first() == Some(&version(&kind)) && content.len() <= MAX_BYTES =>
            {
                Some((kind, content.to_vec()))
            }
            _ => {
                return Err(NoIndex::new(
                    "the configuration of the codec is missing or unusual",
                ));
            }
        };
        Ok(Self { format, content })
    }

    /// Returns the configuration for samples of `format`, with data that demuxers pass to the decoder unchanged.
    pub(super) fn extradata(format: [u8; 4], private: &[u8]) -> Result<Self, NoIndex> {
        let content = match private.len() {
            0 => None,
            1..=MAX_BYTES => Some((*b"glbl", private.to_vec())),
            _ => return Err(NoIndex::new("the configuration of the codec is unusual")),
        };
        Ok(Self { format, content })
    }

    /// Returns the configuration from the parameter sets of `sample`, whose NAL units each follow their length.
    pub(super) fn of_parameter_sets(video: &VideoInfo, sample: &[u8]) -> Result<Self, NoIndex> {
        let units = || nal::units(nal::LENGTH_BYTES, sample).flatten();
        let content = match video.codec.as_str() {
            "h264" => {
                let sets =
                    |kind: u8| -> Vec<&[u8]> { units().filter(|unit| unit[0] & 0x1f == kind).collect() };
                avc(&sets(7), &sets(8))
            }
            "hevc" => {
                let sets = |kind: u8| -> Vec<&[u8]> {
                    units().filter(|unit| nal::hevc_kind(unit) == kind).collect()
                };
                hevc([(32, sets(32)), (33, sets(33)), (34, sets(34))])
            }
            _ => None,
        };
        Self::stored(video, content.as_deref())
    }
}

/// Returns the format of sample entries for the codec of `video`, and the kind of its configuration box.
///
/// # Errors
/// Fails if the codec is not supported.
pub(super) fn formats(video: &VideoInfo) -> Result<([u8; 4], Option<[u8; 4]>), NoIndex> {
    match video.codec.as_str() {
        "h264" => Ok((*b"avc1", Some(*b"avcC"))),
        "hevc" => Ok((*b"hvc1", Some(*b"hvcC"))),
        "av1" => Ok((*b"av01", Some(*b"av1C"))),
        "vp8" => Ok((*b"vp08", None)),
        "vp9" => Ok((*b"vp09", None)),
        "mjpeg" => Ok((*b"jpeg", None)),
        "mpeg4" => Ok((*b"mp4v", Some(*b"glbl"))),
        codec => Err(NoIndex::new(format!(
            "planning is not supported for the codec '{codec}'"
        ))),
    }
}

/// Returns the first byte of a configuration: its version, or for AV1 a marker with the version.
fn version(kind: &[u8; 4]) -> u8 {
    match kind {
        b"av1C" => 0x81,
        _ => 1,
    }
}

/// Returns the headers of MPEG-4 Visual before the first picture of `sample` (ISO/IEC 14496-2, 6.2).
pub(super) fn mpeg4_header(sample: &[u8]) -> Option<&[u8]> {
    const GROUP: u8 = 0xb3;
    const PICTURE: u8 = 0xb6;
    let mut codes = memchr::memmem::find_iter(sample, &[0, 0, 1]);
    let end = codes.find(|&at| matches!(sample.get(at + 3), Some(&(GROUP | PICTURE))))?;
    sample.get(..end).filter(|header| !header.is_empty())
}

/// Returns the content of `avcC` (ISO/IEC 14496-15, 5.3.3.1).
fn avc(sequence: &[&[u8]], picture: &[&[u8]]) -> Option<Vec<u8>> {
    let [_, profile, compatibility, level] = *sequence.first()?.first_chunk()?;
    let mut content = vec![1, profile, compatibility, level, 0xfc | (nal::LENGTH_BYTES - 1)];
    content.push(0xe0 | u8::try_from(sequence.len()).ok().filter(|&count| count < 32)?);
    put_sets(&mut content, sequence)?;
    content.push(u8::try_from(picture.len()).ok().filter(|&count| count > 0)?);
    put_sets(&mut content, picture)?;
    Some(content)
}

/// Returns the content of `hvcC` (ISO/IEC 14496-15, 8.3.3.1) with the sets of each kind. Decoders take profile, level
/// and format from the sets.
fn hevc(arrays: [(u8, Vec<&[u8]>); 3]) -> Option<Vec<u8>> {
    let mut content = vec![1];
    content.extend([0; 12]); // general profile, tier and level
    content.extend([
        0xf0,
        0,
        0xfc,
        0xfc,
        0xf8,
        0xf8,
        0,
        0,
        nal::LENGTH_BYTES - 1,
        arrays.len() as u8,
    ]);
    for (kind, sets) in arrays {
        content.push(kind);
        content.extend(
            u16::try_from(sets.len())
                .ok()
                .filter(|&count| count > 0)?
                .to_be_bytes(),
        );
        put_sets(&mut content, &sets)?;
    }
    Some(content)
}

fn put_sets(content: &mut Vec<u8>, sets: &[&[u8]]) -> Option<()> {
    for set in sets {
        content.extend(u16::try_from(set.len()).ok()?.to_be_bytes());
        content.extend_from_slice(set);
    }
    Some(())
}
