//! Sources of video bytes.

#[cfg(any(feature = "http", feature = "s3", fuzzing))]
pub(crate) mod content_range;
mod file;
#[cfg(feature = "http")]
pub mod http;
mod memory;
mod source;
pub(crate) mod spool;

pub use self::file::FileSource;
pub use self::memory::MemorySource;
pub use self::source::{Source, Verifier};
pub use self::spool::{SpoolError, SpooledSource};
