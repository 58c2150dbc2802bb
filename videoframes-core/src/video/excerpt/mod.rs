//! Excerpts of long files: the packets around some times, as a small file of the same container. Without I/O.
//!
//! A demuxer lists the packets of an excerpt like those of a whole file, so that frames of a remote file are found without
//! all of its bytes. `Layout` leads from positions in the excerpt to positions in the file.

mod layout;
mod matroska;

pub(crate) use self::layout::{Layout, Piece};
pub use self::matroska::{Cue, Outline, OutlineReader, Part, Window, WindowReader};
