//! The port for compressors: smaller versions of videos with exactly the same frames.

mod compressed;
mod compressor;
mod error;
mod options;
mod remux;
mod request;
mod target;

pub use compressed::{Compressed, Origin};
pub use compressor::Compressor;
pub use error::CompressError;
pub use options::{AudioMode, Codec, CompressOptions, Container};
pub(crate) use remux::may_remux;
pub use request::{CombinedReport, CombinedRequest, CompressProgress, CompressReport, CompressRequest};
pub(crate) use target::Draft;
pub use target::{Describe, VideoTarget};
