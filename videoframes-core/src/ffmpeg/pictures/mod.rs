//! Pictures of single frames.

mod args;
pub(crate) mod capable;
mod colours;
mod cropping;
pub(crate) mod deliver;
mod encode;
mod extractor;
mod feed;
mod group;
mod head;
mod planned;
mod queue;
mod read_ahead;
pub(crate) mod scan;
pub(crate) mod whole;

pub use self::extractor::FfmpegExtractor;
