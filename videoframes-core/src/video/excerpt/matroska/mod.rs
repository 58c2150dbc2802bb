//! Excerpts of Matroska and WebM files (RFC 9559): clusters around the wanted times, found by the cues.

mod outline;
mod window;

pub use self::outline::{Cue, Outline, OutlineReader};
pub use self::window::{Window, WindowReader};

use crate::video::NoIndex;

/// Bytes per read.
const READ: u64 = 64 << 10;
/// An unknown size in the longest form.
const UNKNOWN_SIZE: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

fn unusual() -> NoIndex {
    NoIndex::new("the structure of the file is unusual")
}

#[cfg(test)]
mod tests;
