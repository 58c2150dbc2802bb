//! Elements of EBML (RFC 8794), the structure of Matroska files (RFC 9559).

/// IDs of elements.
pub(crate) mod id {
    pub(crate) const EBML: u32 = 0x1a45_dfa3;
    pub(crate) const SEGMENT: u32 = 0x1853_8067;
    pub(crate) const SEEK_HEAD: u32 = 0x114d_9b74;
    pub(crate) const SEEK: u32 = 0x4dbb;
    pub(crate) const SEEK_ID: u32 = 0x53ab;
    pub(crate) const SEEK_POSITION: u32 = 0x53ac;
    pub(crate) const INFO: u32 = 0x1549_a966;
    pub(crate) const TIMESTAMP_SCALE: u32 = 0x002a_d7b1;
    pub(crate) const TRACKS: u32 = 0x1654_ae6b;
    pub(crate) const TRACK_ENTRY: u32 = 0xae;
    pub(crate) const TRACK_NUMBER: u32 = 0xd7;
    pub(crate) const TRACK_TYPE: u32 = 0x83;
    pub(crate) const TRACK_TIMESTAMP_SCALE: u32 = 0x0023_314f;
    pub(crate) const DEFAULT_DURATION: u32 = 0x0023_e383;
    pub(crate) const CODEC_ID: u32 = 0x86;
    pub(crate) const CODEC_PRIVATE: u32 = 0x63a2;
    pub(crate) const CONTENT_ENCODINGS: u32 = 0x6d80;
    pub(crate) const CUES: u32 = 0x1c53_bb6b;
    pub(crate) const CUE_POINT: u32 = 0xbb;
    pub(crate) const CUE_TIME: u32 = 0xb3;
    pub(crate) const CUE_TRACK_POSITIONS: u32 = 0xb7;
    pub(crate) const CUE_TRACK: u32 = 0xf7;
    pub(crate) const CUE_CLUSTER_POSITION: u32 = 0xf1;
    pub(crate) const CLUSTER: u32 = 0x1f43_b675;
    pub(crate) const TIMESTAMP: u32 = 0xe7;
    pub(crate) const SIMPLE_BLOCK: u32 = 0xa3;
    pub(crate) const BLOCK_GROUP: u32 = 0xa0;
    pub(crate) const BLOCK: u32 = 0xa1;
    pub(crate) const TAGS: u32 = 0x1254_c367;
    pub(crate) const CHAPTERS: u32 = 0x1043_a770;
    pub(crate) const ATTACHMENTS: u32 = 0x1941_a469;
    pub(crate) const CRC_32: u32 = 0xbf;
}

/// Maximum size of the header of an element in bytes.
pub(crate) const MAX_HEADER: usize = 4 + 8;

/// The header of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: u32,
    /// Size of the header in bytes.
    pub(crate) length: usize,
    /// Size of the content in bytes; `None` if unknown.
    pub(crate) size: Option<u64>,
}

impl Header {
    /// Reads the header at the beginning of `data`. Returns `None` if the header is incomplete or invalid.
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        let (id, id_bytes) = vint(data, 4)?;
        let (coded, size_bytes) = vint(data.get(id_bytes..)?, 8)?;
        let marker = 1 << (7 * size_bytes);
        let size = coded - marker;
        Some(Self {
            id: u32::try_from(id).ok()?,
            length: id_bytes + size_bytes,
            size: (size != marker - 1).then_some(size),
        })
    }
}

/// An element.
pub(crate) struct Element<'a> {
    pub(crate) id: u32,
    /// The content, as far as the data contains it.
    pub(crate) content: &'a [u8],
    /// Whether the data contains all of the content.
    pub(crate) complete: bool,
}

/// Returns the consecutive elements in `data`. An element of unknown size extends to the end.
pub(crate) fn elements(data: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let header = Header::read(rest)?;
        let content = rest.get(header.length..)?;
        let size = header.size.and_then(|size| usize::try_from(size).ok());
        let end = size.filter(|&size| size <= content.len());
        let (content, after) = content.split_at(end.unwrap_or(content.len()));
        rest = after;
        Some(Element {
            id: header.id,
            content,
            complete: end.is_some(),
        })
    })
}

/// Parses a variable-size integer of at most `max` bytes with its marker bit. Also returns its size in bytes.
pub(crate) fn vint(data: &[u8], max: usize) -> Option<(u64, usize)> {
    let size = data.first()?.leading_zeros() as usize + 1;
    let bytes = data.get(..size).filter(|_| size <= max)?;
    let value = bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
    Some((value, size))
}

/// Returns the value of an unsigned integer.
pub(crate) fn unsigned(content: &[u8]) -> Option<u64> {
    (content.len() <= 8).then(|| {
        content
            .iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte))
    })
}
