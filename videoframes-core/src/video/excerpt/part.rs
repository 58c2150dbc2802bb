//! Parts of a file in an excerpt.

/// Number of frames after a time from which on no frame before that time follows in decode order. H.264 and HEVC store at
/// most 16 frames that precede a frame in decode order and follow it in presentation order; the other codecs none.
pub(crate) const LATER_FRAMES: usize = 17;

/// Bytes to copy from a file into an excerpt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Bytes of the excerpt before the part, which are not in the file.
    pub prefix: Vec<u8>,
    /// Position in the file.
    pub position: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Bytes of the file before the position that are not copied: the header of a cluster.
    pub skipped: Vec<u8>,
}
