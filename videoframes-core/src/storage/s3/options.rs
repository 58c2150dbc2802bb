//! What an S3 store is told.

use std::time::Duration;

/// Which bucket, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Options {
    /// Its name.
    pub bucket: String,
    /// What the bucket has before every key, as it is: `videos/` with its slash.
    pub prefix: String,
    /// Whether the bucket is named in the path and not in the host, as most stores but AWS want it.
    pub path_style: bool,
    /// How what is written is encrypted.
    pub encryption: S3Encryption,
    /// What the store checks what it gets against.
    pub checksum: S3Checksum,
    /// How long one try of a request may take, with all that it sends or gets.
    pub attempt_timeout: Duration,
    /// How long all tries of a request may take.
    pub operation_timeout: Duration,
    /// How long a connection may be silent in the middle of a request.
    pub stall: Duration,
    /// Bytes of a part of an upload. S3 wants 5 MiB at least; parts grow as there are more of them. What
    /// fits into one is written by a single request.
    pub part_size: usize,
    /// Parts of an object that are sent at the same time. One more is in memory.
    pub parallel_parts: usize,
}

/// How a store encrypts what it keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum S3Encryption {
    /// As the bucket says.
    #[default]
    Bucket,
    /// With a key of the store (AES-256).
    S3,
    /// With a key of the key service: this one, or that of the account.
    Kms(Option<String>),
}

/// Which checksum goes with what is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum S3Checksum {
    /// CRC-64/NVME, which AWS prefers.
    #[default]
    Crc64Nvme,
    /// CRC-32, which stores have had for longer.
    Crc32,
}

impl S3Options {
    /// For this bucket, and else what suits AWS: the attempt takes an 8 MiB part at 1 Mbit/s.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            path_style: false,
            encryption: S3Encryption::default(),
            checksum: S3Checksum::default(),
            attempt_timeout: Duration::from_secs(120),
            operation_timeout: Duration::from_secs(600),
            stall: Duration::from_secs(20),
            part_size: 8 << 20,
            parallel_parts: 3,
        }
    }
}
