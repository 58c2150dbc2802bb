//! Every bound on untrusted input, in one place.

use std::time::Duration;

/// What one extraction may cost. The defaults suit a person at a terminal; a service lowers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest source, in bytes.
    pub input_bytes: u64,
    /// Largest decoded or written picture, in pixels.
    pub pixels: u64,
    /// Longest video, in seconds.
    pub duration: Duration,
    /// Most pictures of one extraction.
    pub frames: u64,
    /// Maximum number of pictures that a grid (`fps`, `every`) may ask for of each frame of the video. Grids of
    /// at most [`GRID_PICTURES`] pictures are exempt.
    pub grid_per_frame: u64,
    /// Largest archive, in bytes.
    pub output_bytes: u64,
    /// Longest wall time of one extraction.
    pub wall_time: Duration,
    /// How long the decoder, or a server, may give no sign of life before it counts as hung.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes: 1 << 40,
            pixels: 1 << 27,
            duration: Duration::from_secs(48 * 3600),
            frames: 10_000_000,
            grid_per_frame: 10,
            output_bytes: 1 << 40,
            wall_time: Duration::from_secs(24 * 3600),
            stall: Duration::from_secs(60),
        }
    }
}

/// Maximum number of pictures of a grid that may repeat frames as often as it likes.
pub const GRID_PICTURES: u64 = 10_000;
/// Most presented frames whose timestamps are kept (8 bytes each).
pub(crate) const TIMELINE_FRAMES: usize = 50_000_000;
/// Longest line of a child's output that is looked at; the rest of a longer one is skipped.
pub(crate) const LINE_BYTES: usize = 4096;
/// Largest JSON document accepted from ffprobe.
pub(crate) const PROBE_JSON_BYTES: u64 = 16 << 20;
/// Largest encoded picture.
pub(crate) const PICTURE_BYTES: usize = 512 << 20;
/// Most samples of an index (36 bytes each while it is read, 32 from then on).
pub(crate) const INDEX_SAMPLES: usize = 10_000_000;
/// Largest sample that is read into memory.
pub(crate) const SAMPLE_BYTES: u32 = 256 << 20;
/// Largest box of an index that is read into memory.
pub(crate) const INDEX_BOX_BYTES: u64 = 256 << 20;
/// Most reads of an index that is not on this machine.
pub(crate) const INDEX_READS: usize = 4096;
/// Largest message that a queue takes and that workers accept, in bytes: body and attributes together.
#[cfg(feature = "jobs")]
pub const MESSAGE_BYTES: usize = 256 << 10;
/// Longest time from submission that a client may set; a longer one counts as this one.
#[cfg(feature = "jobs")]
pub(crate) const LONGEST_DEADLINE: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
/// Most redirects of one HTTP request.
#[cfg(feature = "http")]
pub(crate) const HTTP_REDIRECTS: usize = 5;
/// Fewest bytes a second that an HTTP server may send before it counts as too slow.
#[cfg(feature = "http")]
pub(crate) const HTTP_BYTES_PER_SECOND: u64 = 16 << 10;
/// Most audio tracks that a compressed video takes along.
pub(crate) const AUDIO_TRACKS: usize = 16;
/// Most boxes of a file that are looked at for its index.
pub(crate) const INDEX_BOXES: usize = 1 << 20;
