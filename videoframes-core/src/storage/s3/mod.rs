//! Objects in S3 and compatible stores.

mod bucket;
mod checksum;
mod error;
mod file_reader;
mod list;
mod options;
mod progress;
mod retry;
mod sink;
mod source;
mod storage;
mod upload;

pub use self::options::{S3Checksum, S3Encryption, S3Options};
pub use self::storage::{PresignedUpload, S3Storage};
