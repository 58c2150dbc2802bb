//! All limits on untrusted input.

use std::time::Duration;

/// Limits of one extraction. The defaults suit interactive use; a service should lower them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum size of the source in bytes.
    pub input_bytes: u64,
    /// Maximum size of a decoded or written picture in pixels.
    pub pixels: u64,
    /// Maximum duration of the video.
    pub duration: Duration,
    /// Maximum number of pictures.
    pub frames: u64,
    /// Maximum number of pictures that a grid (`fps`, `every`) may request per frame of the video. Grids of
    /// at most [`GRID_PICTURES`] pictures are exempt.
    pub grid_per_frame: u64,
    /// Maximum size of the archive in bytes.
    pub output_bytes: u64,
    /// Maximum wall time of one extraction.
    pub wall_time: Duration,
    /// Maximum time without progress of the decoder or a server.
    pub stall: Duration,
    /// Maximum address space of one ffmpeg or ffprobe process in bytes.
    ///
    /// The default is the sum of 640 MiB, 32 MiB per core, and a sixteenth of the source up to 2 GiB. Each
    /// pixel of a decoded frame adds 40 bytes (64 for samples with more than 8 bits), and 4 bytes per core.
    /// An encoded video adds 4 GiB, and 512 bytes per pixel of its frames.
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

impl Limits {
    /// Sets the maximum size of the source in bytes.
    #[must_use]
    pub fn input_bytes(mut self, input_bytes: u64) -> Self {
        self.input_bytes = input_bytes;
        self
    }

    /// Sets the maximum size of a decoded or written picture in pixels.
    #[must_use]
    pub fn pixels(mut self, pixels: u64) -> Self {
        self.pixels = pixels;
        self
    }

    /// Sets the maximum duration of the video.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// Sets the maximum number of pictures.
    #[must_use]
    pub fn frames(mut self, frames: u64) -> Self {
        self.frames = frames;
        self
    }

    /// Sets the maximum number of pictures that a grid may request per frame of the video.
    #[must_use]
    pub fn grid_per_frame(mut self, grid_per_frame: u64) -> Self {
        self.grid_per_frame = grid_per_frame;
        self
    }

    /// Sets the maximum size of the archive in bytes.
    #[must_use]
    pub fn output_bytes(mut self, output_bytes: u64) -> Self {
        self.output_bytes = output_bytes;
        self
    }

    /// Sets the maximum wall time of one extraction.
    #[must_use]
    pub fn wall_time(mut self, wall_time: Duration) -> Self {
        self.wall_time = wall_time;
        self
    }

    /// Sets the maximum time without progress of the decoder or a server.
    #[must_use]
    pub fn stall(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// Sets the maximum address space of one ffmpeg or ffprobe process in bytes.
    #[must_use]
    pub fn memory(mut self, memory: u64) -> Self {
        self.memory = Some(memory);
        self
    }
}

/// Maximum number of pictures of a grid that may repeat frames without limit.
pub const GRID_PICTURES: u64 = 10_000;
/// Maximum number of presented frames whose timestamps are kept (8 bytes each): more than 48 hours at 60
/// frames a second.
pub(crate) const TIMELINE_FRAMES: usize = 12_000_000;
/// Maximum length of a line of a child's output; the rest of a longer line is skipped.
pub(crate) const LINE_BYTES: usize = 4096;
/// Maximum size of a JSON document from ffprobe.
pub(crate) const PROBE_JSON_BYTES: u64 = 16 << 20;
/// Maximum size of an encoded picture.
pub(crate) const PICTURE_BYTES: usize = 512 << 20;
/// Maximum length of a text about the recording of a video.
pub(crate) const RECORDING_TEXT_BYTES: usize = 256;
/// Maximum number of samples in an index (36 bytes each while it is read, 32 afterwards).
pub(crate) const INDEX_SAMPLES: usize = 6_000_000;
/// Maximum size of a sample that is read into memory.
pub(crate) const SAMPLE_BYTES: u32 = 256 << 20;
/// Maximum size of an index box, which is read into memory. Applies also after decompression.
pub(crate) const INDEX_BOX_BYTES: u64 = 128 << 20;
/// Maximum number of entries in one table of an index, and of samples in all tracks together, except raw
/// audio (PCM). 48 hours of video at 30 frames a second with AAC have 13 million.
pub(crate) const INDEX_ENTRIES: u64 = 16_000_000;
/// Number of samples whose size in the source does not matter: three hours and a half of video with AAC.
pub(crate) const INDEX_SMALL_SAMPLES: u64 = 1_000_000;
/// Minimum size of further samples in the source, on average. Unchanged pictures and silence need about ten bytes.
pub(crate) const INDEX_SAMPLE_BYTES: u64 = 8;
/// Maximum number of messages about damage before the first decoded frame. Decoders print a few per packet. After a frame,
/// the number is not limited, since frames can follow a long damaged part.
pub(crate) const DAMAGE_MESSAGES: u64 = 100_000;
/// Maximum number of edits per track: decoders need time proportional to the square of that number.
pub(crate) const INDEX_EDITS: u64 = 2_000;
/// Maximum number of fragments in a movie.
pub(crate) const INDEX_FRAGMENTS: usize = 300_000;
/// Divisor of the pixel limit for the canvas of an animation (GIF, animated PNG and WebP). A few bytes fill
/// the canvas, and decoders keep several copies with 4 bytes per pixel.
pub(crate) const ANIMATION_SHARE: u64 = 8;
/// Maximum size of the pictures that wait for pictures of other decoders.
pub(crate) const WAITING_PICTURES_BYTES: usize = 128 << 20;
/// Maximum size of the samples that are requested from a remote source ahead of the decoders, for all of them together.
/// In addition, each decoder waits for one read, and has one ahead in any case.
pub(crate) const READ_AHEAD_BYTES: usize = 32 << 20;
/// Maximum number of these requests.
pub(crate) const READS_AHEAD: usize = 8;
/// Maximum number of video streams whose packets are listed.
pub(crate) const LISTED_STREAMS: usize = 64;
/// Maximum number of bytes that are read to find the configuration of the codec in a container whose packets are listed.
pub(crate) const PACKET_HEAD_BYTES: u64 = 16 << 20;
/// Maximum number of bytes that are read to find the first cluster of a Matroska file, whose packets are found by its cues.
pub(crate) const EXCERPT_HEAD_BYTES: u64 = 4 << 20;
/// Maximum size of these cues. An hour has some ten thousand bytes of cues.
pub(crate) const EXCERPT_CUES_BYTES: u64 = 8 << 20;
/// Maximum size of a part of an excerpt around one time.
pub(crate) const EXCERPT_WINDOW_BYTES: u64 = 32 << 20;
/// Maximum size of an excerpt, which is kept in the scratch folder.
pub(crate) const EXCERPT_BYTES: u64 = 512 << 20;
/// Share of a source that is the maximum size of an excerpt: 1/4.
pub(crate) const EXCERPT_SHARE: u64 = 4;
/// Maximum number of parts of an excerpt that are read at the same time, and held in memory.
pub(crate) const EXCERPT_READS: usize = 4;
/// Maximum number of pictures from an excerpt.
pub(crate) const EXCERPT_PICTURES: usize = 1000;
/// Maximum size of the samples that are held in memory until the needed ones among them are known.
pub(crate) const GROUP_BYTES: usize = 32 << 20;
/// Maximum number of these samples. Comparing their references takes quadratic time.
pub(crate) const GROUP_SAMPLES: usize = 4096;
/// Maximum number of reads for the index of a remote source.
pub(crate) const INDEX_READS: usize = 4096;
/// Maximum size of a message in bytes: body and attributes together.
#[cfg(feature = "jobs")]
pub const MESSAGE_BYTES: usize = 256 << 10;
/// Upper limit of the deadline that a client may set.
#[cfg(feature = "jobs")]
pub(crate) const MAX_DEADLINE: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
/// Maximum number of attempts in the history of a job.
#[cfg(feature = "jobs")]
pub(crate) const MAX_ATTEMPTS: usize = 100;
/// Maximum number of stages that an attempt records.
#[cfg(feature = "jobs")]
pub(crate) const MAX_STAGES: usize = 32;
/// Maximum number of corrupt packets per stream that are tracked individually.
pub(crate) const MARKED_PACKETS: usize = 1 << 20;
/// Maximum number of streams whose corrupt packets are tracked individually.
pub(crate) const MARKED_STREAMS: usize = 64;
/// Maximum number of packets after the first keyframe that are decoded to check that decoding may start
/// there.
pub(crate) const HEAD_PACKETS: u32 = 128;
/// Maximum size of these packets in bytes.
pub(crate) const HEAD_BYTES: usize = 64 << 20;
/// Maximum number of ranges of a source that are tracked individually while counting the bytes read.
pub(crate) const READ_STRETCHES: usize = 1 << 16;
/// Maximum number of redirects per HTTP request.
#[cfg(feature = "http")]
pub(crate) const HTTP_REDIRECTS: usize = 5;
/// Minimum transfer rate of an HTTP server in bytes per second.
#[cfg(feature = "http")]
pub(crate) const HTTP_BYTES_PER_SECOND: u64 = 16 << 10;
/// Maximum number of audio tracks in a compressed video.
pub(crate) const AUDIO_TRACKS: usize = 16;
/// Maximum number of boxes of a file that are read in search of its index.
pub(crate) const INDEX_BOXES: usize = 1 << 20;
/// Address space of every child in bytes. A stock ffmpeg and its libraries map up to 420 MiB.
pub(crate) const MEMORY: u64 = 640 << 20;
/// Address space of a child's threads per core.
pub(crate) const THREAD_MEMORY: u64 = 32 << 20;
/// Number of source bytes for which a child gets one byte of address space, for the source's index.
pub(crate) const SOURCE_MEMORY_SHARE: u64 = 16;
/// Maximum address space for a source's index.
pub(crate) const SOURCE_MEMORY: u64 = 2 << 30;
/// Address space per pixel of a decoded frame, for samples of 8 bits and for deeper ones. H.264 keeps 16
/// reference frames.
pub(crate) const PIXEL_MEMORY: [u64; 2] = [40, 64];
/// Address space of all video encoders of a child, whatever the size of their frames. SVT-AV1 1.4 starts
/// dozens of threads, each with a stack and an arena, and hangs if one cannot be started.
pub(crate) const ENCODER_MEMORY: u64 = 4 << 30;
/// Address space per pixel of an encoded frame. SVT-AV1 took 400 bytes in 1080p, x264 290.
pub(crate) const ENCODER_PIXEL_MEMORY: u64 = 512;
/// Maximum CPU time of a child that only lists its version or its components.
pub(crate) const CHILD_CPU_SECONDS: u64 = 60;
/// Maximum size of a file written by a child that has no output file, such as the log of a wrapper script.
pub(crate) const CHILD_FILE_BYTES: u64 = 1 << 20;
/// Maximum number of open files of a child.
pub(crate) const CHILD_FILES: u64 = 256;
/// Maximum number of pixels of a sheet, which is composed in memory (3 bytes each).
pub(crate) const SHEET_PIXELS: u64 = 1 << 26;
/// Maximum number of frames of a preview: more than a quarter of an hour at 10 frames a second.
pub(crate) const PREVIEW_FRAMES: u64 = 10_000;
/// Maximum number of pixels of all frames of a preview: 10,000 frames of 640×360.
pub(crate) const PREVIEW_PIXELS: u64 = 640 * 360 * PREVIEW_FRAMES;
/// Maximum size of a preview, which is composed in memory.
pub(crate) const PREVIEW_BYTES: u64 = 256 << 20;
/// Maximum number of sheets of one result, each of which may be an object.
pub(crate) const SHEETS: usize = 2_000;
/// Maximum number of tiles of one result: 48 hours with a tile each second.
pub(crate) const SHEET_TILES: u64 = 48 * 3600;
/// Maximum size of a manifest in bytes.
pub(crate) const MANIFEST_BYTES: u64 = 1 << 30;
