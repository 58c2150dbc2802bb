//! How a bucket is used.

use std::time::Duration;

/// What a store is asked to encrypt objects with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum S3Encryption {
    /// Whatever the bucket does by itself.
    #[default]
    Bucket,
    /// A key of the store's.
    S3,
    /// A key of a key service: this one, or the account's own for S3.
    Kms(Option<String>),
}

/// How a bucket is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// What stands before every key, with a `/` after it.
    pub prefix: Option<String>,
    /// The bucket in the path and not in the name of the host; most stores other than AWS want that.
    pub path_style: bool,
    /// Of what is written.
    pub encryption: S3Encryption,
    /// The longest that one attempt at a request may take, with the part that it carries.
    pub attempt_timeout: Duration,
    /// The longest that a request may take with all its attempts.
    pub timeout: Duration,
    /// Bytes of a part of an upload, 5 MiB at least; later parts of very large objects are larger.
    pub part_bytes: usize,
    /// Parts that are on their way at once. Together with one that is being filled they are all that is
    /// kept in memory.
    pub parts: usize,
}

impl S3Options {
    /// The whole of a bucket. The bucket is in the path where the environment sets an endpoint other than
    /// AWS's.
    pub fn new(bucket: impl Into<String>) -> Self {
        let endpoints = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self {
            bucket: bucket.into(),
            prefix: None,
            path_style: endpoints.iter().any(is_set),
            encryption: S3Encryption::Bucket,
            attempt_timeout: Duration::from_secs(60),
            timeout: Duration::from_secs(180),
            part_bytes: 8 << 20,
            parts: 4,
        }
    }

    /// Bytes of the part with this number, from 1: ten thousand parts are 496 GiB at the usual size.
    pub(super) fn bytes_of_part(&self, number: i32) -> usize {
        let doublings = (number - 1) / 2000;
        self.part_bytes << doublings.clamp(0, 5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_parts_as_are_allowed_hold_more_than_the_largest_archive() {
        let options = S3Options::new("bucket");
        let all: u64 = (1..=10_000)
            .map(|number| options.bytes_of_part(number) as u64)
            .sum();
        assert!(all > 64 << 30, "{all}");
        assert_eq!(options.bytes_of_part(1), 8 << 20);
        assert!(options.bytes_of_part(10_000) <= 5 << 30);
    }
}
