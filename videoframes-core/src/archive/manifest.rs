//! The manifest: metadata of the pictures, written as the last entry of every archive.

use serde::{Deserialize, Serialize};

/// Name of the manifest, which is the last entry.
pub const MANIFEST_NAME: &str = "manifest.json";
/// Version of the manifest schema; increases with incompatible changes.
pub const SCHEMA_VERSION: u32 = 1;

/// The manifest. Independent of where and how fast the archive was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Program that wrote the archive.
    pub generator: Generator,
    /// The video.
    pub source: SourceInfo,
    /// The request, in canonical form.
    pub request: RequestInfo,
    /// Whether the source was damaged, so that frames may be missing or corrupted.
    pub partial: bool,
    /// Pictures or tiles, in order.
    pub frames: Vec<FrameInfo>,
    /// Names of additional entries: the WebVTT file and the tile lists of a storyboard, shards, and manifests in other formats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// Versions of the programs that made the pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Generator {
    /// `videoframes-core`.
    pub name: String,
    /// Version of the library.
    pub version: String,
    /// Version of the decoder, e.g. `ffmpeg 5.1.9`.
    pub decoder: String,
}

/// The source video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SourceInfo {
    /// Last component of the path.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Container, by ffmpeg's name.
    pub container: String,
    /// Codec, by ffmpeg's name.
    pub codec: String,
    /// Stored width in pixels.
    pub width: u32,
    /// Stored height in pixels.
    pub height: u32,
    /// Rotation from stored to displayed frame, in degrees clockwise.
    pub rotation: u32,
    /// Average frame rate according to the container, an exact rational.
    pub frame_rate: Option<String>,
    /// Seconds from the first presented frame to the end of the last.
    pub duration_s: f64,
}

/// The request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RequestInfo {
    /// E.g. `fps=1`, `at=3/2,50%`, `count=10`, `all`.
    pub selection: String,
    /// Filters by content, e.g. `skip_black`, `dedupe=4`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// Start of the range, if one was given.
    pub start: Option<String>,
    /// End of the range, if one was given; `+D` for a duration.
    pub end: Option<String>,
    /// `jpg`, `png`, `webp`, `avif`, `raw`, `npy`, or `gif` for a preview.
    pub format: String,
    /// 1 to 100; absent for lossless formats.
    pub quality: Option<u8>,
    /// Pixel format of raw and npy, such as `rgb24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<String>,
    /// Rectangle of the displayed picture, such as `640x360+10+20`, `640x360` or `16:9`; absent for the whole picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<String>,
    /// Width of the box that pictures must fit.
    pub max_width: Option<u32>,
    /// Height of the box that pictures must fit.
    pub max_height: Option<u32>,
    /// Whether the stream's rotation is applied.
    pub rotate: bool,
    /// `auto`, `on` or `off`.
    pub deinterlace: String,
    /// `auto` or `off`.
    pub tonemap: String,
    /// `basic` or `gps`, if metadata is embedded in pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// What is drawn into the pictures: `time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burn_in: Option<String>,
    /// Number of columns of a sheet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<u32>,
    /// Maximum number of rows of a sheet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u32>,
    /// Constant display time of the frames of a preview in seconds, an exact rational.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
    /// Number of times that a preview is played, 0 for no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plays: Option<u16>,
}

/// A picture, or a tile of a sheet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FrameInfo {
    /// Index in the archive, from 0.
    pub index: usize,
    /// Name of the entry.
    pub file: String,
    /// Name of the tar archive that has the entry, if the result has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// Number of the frame among the presented frames of the video, from 0. Absent if a remote video was
    /// read in parts, and in archives of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<u64>,
    /// Requested time in seconds from the first frame, an exact rational.
    pub target: String,
    /// Timestamp of the frame in the stream's ticks.
    pub pts: i64,
    /// Seconds per tick.
    pub time_base: String,
    /// Seconds from the first frame to this one.
    pub timestamp_s: f64,
    /// Seconds for which the frame is displayed.
    pub duration_s: f64,
    /// Left edge of the tile in its sheet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<u32>,
    /// Top edge of the tile in its sheet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<u32>,
    /// Milliseconds for which a preview displays the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub displayed_ms: Option<u32>,
    /// Width of the picture or tile.
    pub width: u32,
    /// Height of the picture or tile.
    pub height: u32,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Whether the picture shows the same frame as the previous one.
    pub repeated: bool,
    /// Why the frame was picked, if its content was examined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picked: Option<PickedInfo>,
}

/// Why a frame was picked, and its measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PickedInfo {
    /// `scene_change`, `first_frame` (of the first scene), `sharpest` (of an interval), `thumbnail`, or `selected` (and left out
    /// by no filter).
    pub reason: String,
    /// Difference from the previous frame (`scene_change`), or sharpness (`sharpest`, `thumbnail`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Variance of the Laplacian, with the filter `skip_blurred`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharpness: Option<f64>,
    /// Share of black pixels, 0 to 1, with the filter `skip_black`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub black: Option<f64>,
    /// Perceptual hash in hexadecimal, with the filter `dedupe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Distance to the hash of the most similar earlier picture in bits, with the filter `dedupe`; absent for the first picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<u32>,
}
