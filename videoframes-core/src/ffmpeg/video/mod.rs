//! Compressed videos.

mod args;
mod compressor;
mod encode;
mod ending;
mod fit_size;
mod media;
mod settings;
mod verify;

pub use self::compressor::FfmpegCompressor;
