//! Excerpts of long files: the packets around some times, as a small file of the same container. Without I/O.
//!
//! A demuxer lists the packets of an excerpt like those of a whole file, so that frames of a remote file are found without
//! all of its bytes. `Layout` leads from positions in the excerpt to positions in the file.

mod layout;
mod matroska;
mod part;
mod transport_stream;

pub(crate) use self::layout::{Layout, Piece};
pub use self::matroska::{Cue, Outline, OutlineReader, Window, WindowReader};
pub(crate) use self::part::LATER_FRAMES;
pub use self::part::Part;
pub(crate) use self::transport_stream::{PACKET, is_transport_stream, unwrapped};
pub use self::transport_stream::{Pes, Program};
