//! Adapter for an installed ffmpeg, version 5.1 to 9: [`FfmpegExtractor`] and [`FfmpegCompressor`].
//!
//! - `process`: child processes, their limits and their logs.
//! - `pictures`: pictures of single frames, from a whole file or from planned samples.
//! - `video`: compressed videos.
//! - `combined`: pictures and compressed videos from one decode.

pub(crate) mod args;
mod combined;
mod filters;
mod pictures;
pub(crate) mod process;
mod video;

pub use self::pictures::FfmpegExtractor;
pub use self::process::capabilities::Component;
pub use self::process::registry::sweep_children;
pub use self::process::sandbox::{SandboxMode, SandboxStatus, UnknownSandboxMode};
pub use self::process::spawn::protect_secrets;
pub use self::process::version::{OLDEST_SUPPORTED, Version};
pub use self::video::FfmpegCompressor;
