//! Exact frames from videos: every picture is the frame that a player displays at the requested time.
//!
//! # Data flow
//!
//! ```text
//! source ──index──▶ VideoIndex ──select──▶ picks ──plan──▶ DecodePlan ──extract──▶ pictures ──archive──▶ sink
//!        ╰─probe──▶ VideoInfo, Timeline ─╯             ╰── or the whole file ──╯
//! ```
//!
//! - [`source`]: the bytes of a video: a file, a buffer, a URL, or an implementation of [`source::Source`].
//! - [`video`]: the description of a video before a frame is decoded: its stream, the [`video::Timeline`] of its
//!   presented frames and, for MP4 and QuickTime, the [`video::VideoIndex`] of its samples.
//! - [`select`]: the conversion of requested times to picks, by rational arithmetic. Pure.
//! - [`plan`]: the samples that have to be decoded for the picked frames. Pure.
//! - [`extract`]: the trait [`extract::FrameExtractor`], which decodes picked frames to encoded pictures.
//!   [`ffmpeg`] contains an implementation.
//! - [`compress`]: the trait [`compress::Compressor`], which creates a smaller version of a video with the same
//!   frames. [`ffmpeg`] contains an implementation.
//! - [`archive`]: pictures and their manifest as a ZIP file or a folder, with reproducible bytes.
//! - [`sheet`]: the appearance of storyboards and contact sheets, which compose frames to pictures.
//! - [`storage`]: objects that are written as a whole or not at all.
//! - [`pipeline`]: the complete process in one call.
//!
//! # Example
//!
//! ```no_run
//! use videoframes_core::Pipeline;
//! use videoframes_core::archive::ZipFile;
//! use videoframes_core::ffmpeg::FfmpegExtractor;
//! use videoframes_core::pipeline::Request;
//! use videoframes_core::source::FileSource;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let source = FileSource::open("video.mp4")?;
//! let target = ZipFile::new("frames.zip");
//! let pipeline = Pipeline::new(FfmpegExtractor::default());
//! let summary = pipeline.extract(source, &Request::default(), &target).await?;
//! for frame in &summary.manifest.frames {
//!     println!("{} is the frame at {} s (pts {})", frame.file, frame.target, frame.pts);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Definition of a frame at a time
//!
//! Times count from the first presented frame. The frame displayed at time *t* is the last frame whose
//! presentation timestamp is at or before *t*. Frame selection uses no floating-point arithmetic. The index of the
//! container is checked against every decoded frame, and where the two differ, the decoder is right.
//!
//! # Features
//!
//! `http` adds `source::http`: videos on HTTP servers, read in ranges.
//!
//! `jobs` adds `jobs` and `queue`: extraction jobs from messages, each processed until it has a result. The
//! traits `JobRepo` and `Queue` have in-memory implementations, `MemoryJobRepo` and `MemoryQueue`.
//!
//! `postgres` and `sqlite` add `database`, and jobs and queues that are stored in a database.
//!
//! `s3` and `sqs` add `aws`, and implementations of `Storage` and `Queue` for S3, SQS and compatible services.
//!
//! `otel` makes the spans of jobs take part in the traces of OpenTelemetry, with `tracing-opentelemetry`.
//!
//! `testing` adds mocks and conformance suites of the traits.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "jobs")]
pub mod access;
pub mod archive;
#[cfg(any(feature = "s3", feature = "sqs"))]
pub mod aws;
#[cfg(feature = "sqlite")]
pub mod backup;
#[cfg(feature = "jobs")]
pub mod clock;
pub mod compress;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod database;
pub mod digest;
pub mod error;
pub mod extract;
pub mod ffmpeg;
#[cfg(feature = "jobs")]
pub mod fleet;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "jobs")]
pub mod jobs;
pub mod limits;
mod measure;
mod metadata;
pub mod pipeline;
pub mod plan;
mod preview;
#[cfg(feature = "jobs")]
pub mod processor;
#[cfg(feature = "jobs")]
pub mod queue;
pub mod select;
pub mod sheet;
pub mod source;
mod stale;
pub mod storage;
#[cfg(feature = "jobs")]
pub mod telemetry;
#[cfg(feature = "jobs")]
pub mod tenant;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
#[cfg(feature = "jobs")]
pub mod trace;
pub mod units;
pub mod video;

pub use crate::error::ErrorKind;
pub use crate::pipeline::{Error, Pipeline};
