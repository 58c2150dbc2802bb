//! Excerpts of long files: the packets around some times, as a small file of the same container. Without I/O.
//!
//! A demuxer lists the packets of an excerpt like those of a whole file, so that frames of a remote file are found without
//! all of its bytes. `Layout` leads from positions in the excerpt to positions in the file.

mod layout;
mod matroska;
mod transport_stream;

pub(crate) use self::layout::{Layout, Piece};
pub use self::matroska::{Cue, Outline, OutlineReader, Window, WindowReader};
pub(crate) use self::transport_stream::{PACKET, is_transport_stream, unwrapped};
pub use self::transport_stream::{Pes, Program};

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
