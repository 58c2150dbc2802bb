//! Compressed videos.

pub(super) mod args;
pub(super) mod compressor;
pub(super) mod encode;
mod ending;
mod fit_size;
mod media;
mod resolve;
pub(super) mod settings;
pub(super) mod verify;

pub use self::compressor::FfmpegCompressor;
