//! A compressed video that is in its place.

/// How a compressed video came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was encoded.
    Encoded,
    /// Encoding would have made it larger: it has the source's own streams.
    Remuxed,
}

impl Origin {
    /// The name in results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encoded => "encoded",
            Self::Remuxed => "remuxed",
        }
    }
}

/// A compressed video.
#[derive(Debug, Clone, PartialEq)]
pub struct Compressed {
    /// How it came to be.
    pub origin: Origin,
    /// The codec's short name (`h264`).
    pub codec: String,
    /// Width in samples, upright.
    pub width: u32,
    /// Height in samples.
    pub height: u32,
    /// Presented frames, as many as the source has.
    pub frames: u64,
    /// Length of the source in seconds.
    pub duration_s: f64,
    /// Size of the source in bytes.
    pub source_bytes: u64,
    /// Its own size.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// How similar it is to its source, 0 to 1, where that was asked for:
    /// see [`super::Compressor::similarity`].
    pub ssim: Option<f64>,
    /// Name and version of the encoder.
    pub encoder: String,
    /// What could not be done as asked and was left out, in words for a person.
    pub warnings: Vec<String>,
    /// What was damaged, where that was allowed.
    pub damage: Option<String>,
}
