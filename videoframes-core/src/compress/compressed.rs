//! A compressed video at its destination.

/// How a compressed video was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The video was encoded.
    Encoded,
    /// The streams of the source were copied, since encoding would have enlarged the video.
    Remuxed,
}

impl Origin {
    /// Returns the name in results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encoded => "encoded",
            Self::Remuxed => "remuxed",
        }
    }
}

/// A compressed video.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Compressed {
    /// How the video was made.
    pub origin: Origin,
    /// Short name of the codec (`h264`).
    pub codec: String,
    /// Width in samples, after rotation.
    pub width: u32,
    /// Height in samples, after rotation.
    pub height: u32,
    /// Number of presented frames, which equals that of the source.
    pub frames: u64,
    /// Duration of the source in seconds.
    pub duration_s: f64,
    /// Size of the source in bytes.
    pub source_bytes: u64,
    /// Size of the compressed video in bytes.
    pub bytes: u64,
    /// SHA-256 checksum of the compressed video in hexadecimal.
    pub sha256: String,
    /// Similarity to the source, 0 to 1, if requested: see [`super::Compressor::similarity`].
    pub ssim: Option<f64>,
    /// Name and version of the encoder.
    pub encoder: String,
    /// Parts of the request that could not be fulfilled and were left out, in words for a person.
    pub warnings: Vec<String>,
    /// Damage of the source, if the request allows damage.
    pub damage: Option<String>,
}
