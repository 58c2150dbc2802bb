//! Contents of a sequence parameter set.

use crate::units::Rational;

/// Maximum size of a parameter set in bytes; real sets have some dozens of bytes.
pub(super) const MAX_BYTES: usize = 4096;

/// Description of a stream by its sequence parameter set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::video) struct SequenceParameters {
    /// Width and height after cropping.
    pub(in crate::video) size: (u32, u32),
    pub(in crate::video) chroma: Chroma,
    /// Bits per sample, equal for luma and chroma.
    pub(in crate::video) bit_depth: u8,
    pub(in crate::video) sample_aspect: Option<Rational>,
    /// Primaries, transfer and matrix (ITU-T H.273), if the stream specifies them.
    pub(in crate::video) colour: Option<(u8, u8, u8)>,
    pub(in crate::video) full_range: Option<bool>,
    /// Whether pictures may be coded as fields.
    pub(in crate::video) fields: bool,
    pub(in crate::video) highest_layer: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::video) enum Chroma {
    Yuv420,
    Yuv422,
    Yuv444,
}

impl SequenceParameters {
    /// Returns ffmpeg's name for the format of decoded pictures, if there is one.
    pub(in crate::video) fn pixel_format(&self) -> Option<String> {
        let chroma = match self.chroma {
            Chroma::Yuv420 => "420",
            Chroma::Yuv422 => "422",
            Chroma::Yuv444 => "444",
        };
        match self.bit_depth {
            8 if self.full_range == Some(true) => Some(format!("yuvj{chroma}p")),
            8 => Some(format!("yuv{chroma}p")),
            depth @ (10 | 12) => Some(format!("yuv{chroma}p{depth}le")),
            _ => None,
        }
    }
}
