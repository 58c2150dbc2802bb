//! Options of an S3 store.

use std::time::Duration;

/// The bucket, and options of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Options {
    /// Name of the bucket.
    pub bucket: String,
    /// Prefix of every key, including any slash: `videos/`.
    pub prefix: String,
    /// Whether the bucket name is in the path rather than in the host name, as most stores other than AWS
    /// require.
    pub path_style: bool,
    /// Encryption of written objects.
    pub encryption: S3Encryption,
    /// Checksum that the store verifies on a write.
    pub checksum: S3Checksum,
    /// Maximum time of one attempt at a request, including the transfer of the body.
    pub attempt_timeout: Duration,
    /// Maximum time of all attempts at a request.
    pub operation_timeout: Duration,
    /// Maximum time without progress during a transfer, and until the response begins. The last 4 MiB of an upload may take 34 s
    /// longer. The completion of a multipart upload and a copy may take as long as an attempt.
    pub stall: Duration,
    /// Size of a part of an upload in bytes. S3 requires at least 5 MiB; later parts are larger. A smaller
    /// object is written in a single request.
    pub part_size: usize,
    /// Number of parts that are sent concurrently. One more part is in memory.
    pub parallel_parts: usize,
}

/// Server-side encryption.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum S3Encryption {
    /// Default encryption of the bucket.
    #[default]
    Bucket,
    /// Encryption with a key of the store (AES-256).
    S3,
    /// Encryption with a KMS key: this key, or the default key of the account.
    Kms(Option<String>),
}

/// Checksum for writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum S3Checksum {
    /// CRC-64/NVME, which AWS recommends.
    #[default]
    Crc64Nvme,
    /// CRC-32, which older stores support too.
    Crc32,
}

impl S3Options {
    /// Returns options for this bucket with defaults for AWS. The timeout of an attempt allows for an 8 MiB
    /// part at 1 Mbit/s.
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

    /// Sets the prefix of every key, including any slash.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets whether the bucket name is in the path rather than in the host name.
    #[must_use]
    pub fn path_style(mut self, path_style: bool) -> Self {
        self.path_style = path_style;
        self
    }

    /// Sets the encryption of written objects.
    #[must_use]
    pub fn encryption(mut self, encryption: S3Encryption) -> Self {
        self.encryption = encryption;
        self
    }

    /// Sets the checksum that the store verifies on a write.
    #[must_use]
    pub fn checksum(mut self, checksum: S3Checksum) -> Self {
        self.checksum = checksum;
        self
    }

    /// Sets the maximum time of one attempt at a request.
    #[must_use]
    pub fn attempt_timeout(mut self, attempt_timeout: Duration) -> Self {
        self.attempt_timeout = attempt_timeout;
        self
    }

    /// Sets the maximum time of all attempts at a request.
    #[must_use]
    pub fn operation_timeout(mut self, operation_timeout: Duration) -> Self {
        self.operation_timeout = operation_timeout;
        self
    }

    /// Sets the maximum time without progress during a transfer, and until the response begins.
    #[must_use]
    pub fn stall(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// Sets the size of a part of an upload in bytes.
    #[must_use]
    pub fn part_size(mut self, part_size: usize) -> Self {
        self.part_size = part_size;
        self
    }

    /// Sets the number of parts that are sent concurrently.
    #[must_use]
    pub fn parallel_parts(mut self, parallel_parts: usize) -> Self {
        self.parallel_parts = parallel_parts;
        self
    }
}
