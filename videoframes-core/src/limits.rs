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
    /// Largest address space of one ffmpeg or ffprobe process, in bytes. By default 640 MiB, 32 MiB for each
    /// core, a sixteenth of the source up to 2 GiB, 40 bytes for each pixel of a decoded frame (64 where
    /// samples have more than 8 bits) and 4 more for each core. An encoded video adds 512 MiB and 512 bytes
    /// for each pixel of its frames.
    pub memory: Option<u64>,
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
            memory: None,
        }
    }
}

/// Maximum number of pictures of a grid that may repeat frames as often as it likes.
pub const GRID_PICTURES: u64 = 10_000;
/// Most presented frames whose timestamps are kept (8 bytes each): 48 hours at 60 frames a second and more.
pub(crate) const TIMELINE_FRAMES: usize = 12_000_000;
/// Longest line of a child's output that is looked at; the rest of a longer one is skipped.
pub(crate) const LINE_BYTES: usize = 4096;
/// Largest JSON document accepted from ffprobe.
pub(crate) const PROBE_JSON_BYTES: u64 = 16 << 20;
/// Largest encoded picture.
pub(crate) const PICTURE_BYTES: usize = 512 << 20;
/// Most samples of an index (36 bytes each while it is read, 32 from then on).
pub(crate) const INDEX_SAMPLES: usize = 6_000_000;
/// Largest sample that is read into memory.
pub(crate) const SAMPLE_BYTES: u32 = 256 << 20;
/// Largest box of an index, which is read into memory. A larger one is refused, also once decompressed.
pub(crate) const INDEX_BOX_BYTES: u64 = 128 << 20;
/// Most entries of one table of an index, and most samples of all tracks together, audio in samples of its own
/// (PCM) aside: 48 hours of video at 30 frames a second with AAC have 13 million. More are refused.
pub(crate) const INDEX_ENTRIES: u64 = 16_000_000;
/// Most edits of one track. More are refused: the time that decoders take grows with their square.
pub(crate) const INDEX_EDITS: u64 = 2_000;
/// Most fragments of a movie. More are refused.
pub(crate) const INDEX_FRAGMENTS: usize = 300_000;
/// Largest canvas of an animation (GIF, animated PNG and WebP), as a share of the limit of pixels: a few bytes
/// fill it, and decoders keep several copies with 4 bytes for each pixel.
pub(crate) const ANIMATION_SHARE: u64 = 8;
/// Most reads of an index that is not on this machine.
pub(crate) const INDEX_READS: usize = 4096;
/// Largest message that a queue takes and that workers accept, in bytes: body and attributes together.
#[cfg(feature = "jobs")]
pub const MESSAGE_BYTES: usize = 256 << 10;
/// Longest time from submission that a client may set; a longer one counts as this one.
#[cfg(feature = "jobs")]
pub(crate) const LONGEST_DEADLINE: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
/// Most packets that a demuxer marks as corrupt and that are told apart, of one stream.
pub(crate) const MARKED_PACKETS: usize = 1 << 20;
/// Most streams of which marked packets are told apart.
pub(crate) const MARKED_STREAMS: usize = 64;
/// Most packets behind the first keyframe that are decoded to see that decoding may start there.
pub(crate) const HEAD_PACKETS: u32 = 128;
/// Most bytes of these packets.
pub(crate) const HEAD_BYTES: usize = 64 << 20;
/// Most stretches of a source that are told apart when the bytes read of it are counted.
pub(crate) const READ_STRETCHES: usize = 1 << 16;
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
/// Address space of every child, in bytes. A stock ffmpeg and its libraries map up to 420 MiB.
pub(crate) const MEMORY: u64 = 640 << 20;
/// Address space of a child's threads for each core.
pub(crate) const THREAD_MEMORY: u64 = 32 << 20;
/// A child gets one byte of address space for this many bytes of its source, for the source's index.
pub(crate) const SOURCE_MEMORY_SHARE: u64 = 16;
/// Largest address space for a source's index.
pub(crate) const SOURCE_MEMORY: u64 = 2 << 30;
/// Address space for each pixel of a decoded frame, of samples of 8 bits and of deeper ones. H.264 keeps 16
/// reference frames.
pub(crate) const PIXEL_MEMORY: [u64; 2] = [40, 64];
/// Address space of all video encoders of a child, whatever the size of their frames. SVT-AV1 1.4 starts dozens of
/// threads, each with a stack and an arena, and hangs where one cannot be started.
pub(crate) const ENCODER_MEMORY: u64 = 4 << 30;
/// Address space for each pixel of an encoded frame. SVT-AV1 took 400 bytes in 1080p, x264 290.
pub(crate) const ENCODER_PIXEL_MEMORY: u64 = 512;
/// Largest file that a child may write that is to write none, such as the log of a wrapper script.
pub(crate) const CHILD_FILE_BYTES: u64 = 1 << 20;
/// Open files of a child.
pub(crate) const CHILD_FILES: u64 = 256;
