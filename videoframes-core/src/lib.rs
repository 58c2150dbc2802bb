//! Exact frames from videos: every picture is the frame that a player shows at its time.
//!
//! # The way of the data
//!
//! ```text
//! source ──index──▶ VideoIndex ──select──▶ picks ──plan──▶ DecodePlan ──extract──▶ pictures ──archive──▶ sink
//!        ╰─probe──▶ VideoInfo, Timeline ─╯             ╰── or the whole file ──╯
//! ```
//!
//! - [`source`]: where the bytes come from; a file, a buffer, an address, or your own [`source::Source`].
//! - [`video`]: what a video is before a frame is decoded: its stream, the [`video::Timeline`] of its
//!   presented frames and, of MP4 and QuickTime, the [`video::VideoIndex`] of its samples.
//! - [`select`]: what was asked for, turned into picks by rational arithmetic. Pure.
//! - [`plan`]: the samples that have to be decoded for the frames that are wanted. Pure.
//! - [`extract`]: a [`extract::FrameExtractor`] turns picked frames into encoded pictures;
//!   [`ffmpeg`] is the one that ships.
//! - [`compress`]: a [`compress::Compressor`] makes a smaller version of a video, frame for frame;
//!   [`ffmpeg`] is the one that ships.
//! - [`archive`]: pictures and their manifest as a ZIP or a folder, the same bytes every time.
//! - [`storage`]: objects that are written whole or not at all.
//! - [`pipeline`]: all of it in one call.
//!
//! # One call
//!
//! ```no_run
//! use std::sync::Arc;
//! use videoframes_core::archive::ZipFile;
//! use videoframes_core::ffmpeg::FfmpegExtractor;
//! use videoframes_core::pipeline::{self, Request};
//! use videoframes_core::source::FileSource;
//! use videoframes_core::storage::IfExists;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let source = Arc::new(FileSource::open("video.mp4")?);
//! let target = ZipFile { path: "frames.zip".into(), if_exists: IfExists::Refuse };
//! let extractor = FfmpegExtractor::default();
//! let cancel = tokio_util::sync::CancellationToken::new();
//! let summary =
//!     pipeline::run(source, &Request::default(), &extractor, &target, &|_| {}, &cancel).await?;
//! for frame in &summary.manifest.frames {
//!     println!("{} is the frame at {} s (pts {})", frame.file, frame.target, frame.pts);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The rule
//!
//! Times count from the first presented frame. The frame displayed at time *t* is the last one whose
//! presentation timestamp is at or before *t*. No float decides a frame. What the container's
//! index promises is checked against every decoded frame, and where the two differ, the decoder is
//! right.
//!
//! # Features
//!
//! `http` adds `source::http`: videos on HTTP servers, read in ranges.
//!
//! `jobs` adds `jobs` and `queue`: videos by message, worked on until each has one result. The traits
//! `JobRepo` and `Queue` come with implementations in memory, `MemoryJobRepo` and `MemoryQueue`.
//!
//! `postgres` and `sqlite` add `database`, and jobs and queues that are kept in one.
//!
//! `s3` and `sqs` add `aws` and implementations of `Storage` and `Queue` on S3 and SQS, and on what
//! speaks as they do.
//!
//! `testing` adds mocks of the traits and a conformance suite for each.

pub mod archive;
#[cfg(any(feature = "s3", feature = "sqs"))]
pub mod aws;
#[cfg(feature = "jobs")]
pub mod clock;
pub mod compress;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod database;
pub mod error;
pub mod extract;
pub mod ffmpeg;
#[cfg(feature = "jobs")]
pub mod jobs;
pub mod limits;
pub mod pipeline;
pub mod plan;
#[cfg(feature = "jobs")]
pub mod processor;
#[cfg(feature = "jobs")]
pub mod queue;
pub mod select;
pub mod source;
mod stale;
pub mod storage;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod units;
pub mod video;

pub use crate::error::ErrorKind;
pub use crate::pipeline::{Error, Pipeline};
