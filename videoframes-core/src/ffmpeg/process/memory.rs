//! Limit for the address space of a child process, by its workload. Pure except for reading the size of the
//! source.

use std::num::NonZeroUsize;
use std::path::Path;

use crate::ffmpeg::filters::is_deep;
use crate::limits::{
    ENCODER_MEMORY, ENCODER_PIXEL_MEMORY, Limits, MEMORY, PIXEL_MEMORY, SOURCE_MEMORY, SOURCE_MEMORY_SHARE,
    THREAD_MEMORY,
};
use crate::video::VideoInfo;

/// Work of a child process that determines its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Workload {
    /// Size of the opened file in bytes.
    source_bytes: u64,
    /// Pixels of a decoded frame.
    pixels: u64,
    /// Whether decoded samples have more than 8 bits.
    deep: bool,
    /// Pixels of a frame, summed over all encoded videos.
    encoded_pixels: u64,
}

impl Workload {
    /// Creates the workload of a child that opens `source`.
    pub(crate) fn opening(source: &Path) -> Self {
        Self {
            source_bytes: source.metadata().map_or(0, |file| file.len()),
            ..Self::default()
        }
    }

    /// Adds the decoding of `video`.
    pub(crate) fn decoding(self, video: &VideoInfo) -> Self {
        Self {
            pixels: u64::from(video.width) * u64::from(video.height),
            deep: is_deep(&video.pixel_format),
            ..self
        }
    }

    /// Creates the workload of a child that encodes a picture of this width and height.
    pub(crate) fn picture(width: u32, height: u32) -> Self {
        Self {
            pixels: u64::from(width) * u64::from(height),
            ..Self::default()
        }
    }

    /// Adds the encoding of a video with this width and height.
    pub(crate) fn encoding(self, (width, height): (u32, u32)) -> Self {
        Self {
            encoded_pixels: self.encoded_pixels + u64::from(width) * u64::from(height),
            ..self
        }
    }

    /// Returns the limit for the address space in bytes, on this machine.
    pub(crate) fn memory(self, limits: &Limits) -> u64 {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        limits.memory.unwrap_or_else(|| self.default_memory(cores as u64))
    }

    fn default_memory(self, cores: u64) -> u64 {
        let per_pixel = PIXEL_MEMORY[usize::from(self.deep)] + cores * PIXEL_MEMORY_PER_CORE;
        let encoders = match self.encoded_pixels {
            0 => 0,
            pixels => ENCODER_MEMORY.saturating_add(pixels.saturating_mul(ENCODER_PIXEL_MEMORY)),
        };
        [
            MEMORY,
            cores * THREAD_MEMORY,
            (self.source_bytes / SOURCE_MEMORY_SHARE).min(SOURCE_MEMORY),
            self.pixels.saturating_mul(per_pixel),
            encoders,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

/// Bytes per pixel of a decoded frame and core. Picture encoders keep a frame per thread.
const PIXEL_MEMORY_PER_CORE: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_depends_on_source_size_frame_size_and_cores() {
        let nothing = Workload::default();
        let small = Workload {
            source_bytes: 20 << 10,
            pixels: 640 * 360,
            ..nothing
        };
        let largest = Workload {
            pixels: 1 << 27,
            ..small
        };
        let deep = Workload {
            deep: true,
            ..largest
        };
        let long = Workload {
            source_bytes: 1 << 40,
            ..small
        };
        let encoded = Workload {
            encoded_pixels: 1920 * 1080,
            ..small
        };
        let mib = |workload: Workload, cores| workload.default_memory(cores) / MIB;
        for (workload, two_cores, many_cores) in [
            (nothing, 704, 2_688),
            (small, 714, 2_753),
            (largest, 6_848, 40_576),
            (deep, 9_920, 43_648),
            (long, 2_762, 4_801),
            (encoded, 5_823, 7_861),
        ] {
            assert_eq!(
                (mib(workload, 2), mib(workload, 64)),
                (two_cores, many_cores),
                "{workload:?}"
            );
        }
    }

    #[test]
    fn a_requested_limit_is_used_unchanged() {
        let limits = Limits {
            memory: Some(3 << 30),
            ..Limits::default()
        };
        let largest = Workload {
            pixels: u64::MAX,
            ..Workload::default()
        };
        assert_eq!(largest.memory(&limits), 3 << 30);
        assert_eq!(largest.memory(&Limits::default()), u64::MAX);
    }
}
