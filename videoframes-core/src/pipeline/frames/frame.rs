//! A decoded frame.

use std::fmt;

use bytes::Bytes;

use crate::extract::{PixelFormat, Plane};
use crate::units::{Rational, TimeBase};

/// A decoded frame with its pixels: upright, with square pixels, and of the same size as all frames of a request.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Index among the frames of the request, from 0.
    pub index: usize,
    /// Number of the frame among the presented frames of the video, from 0.
    pub frame: usize,
    /// Requested time in seconds from the first presented frame.
    pub target: Rational,
    /// Presentation timestamp in ticks of the time base.
    pub pts: i64,
    /// Time base of the stream.
    pub time_base: TimeBase,
    /// Seconds from the first presented frame to this one, exactly.
    pub timestamp: Rational,
    /// Whether the frame is also the previous frame of the request.
    pub repeated: bool,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Format of the pixels, which describes shape, strides and range.
    pub pixels: PixelFormat,
    /// The pixels, without padding: [`PixelFormat::picture_bytes`] bytes. Clones share them.
    pub data: Bytes,
}

impl Frame {
    /// Returns the shape of the pixels as an array, such as `[height, width, 3]`.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.pixels.shape(self.width, self.height)
    }

    /// Returns the planes of the pixels, in the order of their bytes.
    #[must_use]
    pub fn planes(&self) -> Vec<Plane> {
        self.pixels.planes(self.width, self.height)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("index", &self.index)
            .field("frame", &self.frame)
            .field("target", &self.target)
            .field("pts", &self.pts)
            .field("timestamp", &self.timestamp)
            .field("width", &self.width)
            .field("height", &self.height)
            .field("pixels", &self.pixels)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}
