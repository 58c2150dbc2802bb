//! Stores of sources and results: named objects, written atomically.

mod error;
mod file;
mod key;
mod local;
mod memory;
mod object;
mod options;
#[cfg(feature = "s3")]
mod s3;
mod sink;
mod storage;
mod stores;

pub use self::error::StorageError;
pub use self::file::FileSink;
pub use self::key::{InvalidKey, ObjectKey};
pub use self::local::LocalStorage;
pub use self::memory::MemoryStorage;
pub use self::object::{ObjectEntry, ObjectInfo, ObjectVersion, Opened};
pub use self::options::{IfExists, METADATA_BYTES, PutOptions};
#[cfg(feature = "s3")]
pub use self::s3::{PresignedUpload, S3Checksum, S3Encryption, S3Options, S3Storage};
pub use self::sink::Sink;
pub use self::storage::Storage;
pub use self::stores::{Stores, UnknownBucket};
