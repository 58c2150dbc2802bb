//! A folder of tar archives of limited size.

use std::num::NonZeroU64;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;

use super::layout::is_metadata;
use super::{Archive, ArchiveError, Destination, DirectoryArchive, TarArchive, portable_name};
use crate::storage::{FileSink, IfExists};

/// Limits of a shard. A shard always has at least one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ShardLimits {
    /// Maximum number of pictures.
    pub pictures: Option<NonZeroU64>,
    /// Size in bytes that a further picture must not exceed.
    pub bytes: Option<NonZeroU64>,
}

impl ShardLimits {
    /// Sets the maximum number of pictures.
    #[must_use]
    pub fn pictures(mut self, pictures: NonZeroU64) -> Self {
        self.pictures = Some(pictures);
        self
    }

    /// Sets the size in bytes that a further picture must not exceed.
    #[must_use]
    pub fn bytes(mut self, bytes: NonZeroU64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Returns whether a picture of `next` bytes belongs into the next shard.
    fn are_reached(self, pictures: u64, bytes: u64, next: u64) -> bool {
        let is_full = self.pictures.is_some_and(|max| pictures >= max.get());
        let is_large = self
            .bytes
            .is_some_and(|max| bytes.saturating_add(next) > max.get());
        pictures > 0 && (is_full || is_large)
    }
}

/// A local folder `NAME` of tar archives `NAME-000000.tar`, `NAME-000001.tar` …, with the manifests next to them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ShardDirectory {
    /// Path of the folder.
    pub path: PathBuf,
    /// Whether to replace an earlier result.
    pub if_exists: IfExists,
    /// Limits of each shard.
    pub limits: ShardLimits,
}

impl ShardDirectory {
    /// Returns a destination for the folder `path`. An existing result is an error.
    pub fn new(path: impl Into<PathBuf>, limits: ShardLimits) -> Self {
        Self {
            path: path.into(),
            if_exists: IfExists::Refuse,
            limits,
        }
    }

    /// Sets whether to replace an existing result.
    #[must_use]
    pub fn if_exists(mut self, if_exists: IfExists) -> Self {
        self.if_exists = if_exists;
        self
    }
}

#[async_trait]
impl Destination for ShardDirectory {
    fn check(&self) -> Result<(), ArchiveError> {
        DirectoryArchive::create(&self.path, self.if_exists)?;
        Ok(())
    }

    fn can_restart(&self) -> bool {
        true
    }

    async fn start(&self) -> Result<Box<dyn Archive>, ArchiveError> {
        let name = self.path.file_name().unwrap_or_default();
        Ok(Box::new(Shards {
            shard: None,
            count: 0,
            prefix: portable_name(&name.to_string_lossy()),
            limits: self.limits,
            folder: DirectoryArchive::create(&self.path, self.if_exists)?,
        }))
    }
}

/// Writes one shard at a time into the temporary folder of a [`DirectoryArchive`].
struct Shards {
    /// The shard that is written. Dropped before the folder.
    shard: Option<Shard>,
    /// Number of shards that were started.
    count: u64,
    prefix: String,
    limits: ShardLimits,
    folder: DirectoryArchive,
}

struct Shard {
    name: String,
    archive: Box<TarArchive>,
    /// Name of the last file without its extension. Files with the same key stay together.
    key: String,
    pictures: u64,
    bytes: u64,
}

impl Shards {
    fn open(&mut self) -> Result<Shard, ArchiveError> {
        let name = format!("{}-{:06}.tar", self.prefix, self.count);
        let sink = FileSink::create(self.folder.staging().join(&name), IfExists::Refuse)?;
        self.count += 1;
        Ok(Shard {
            name,
            archive: Box::new(TarArchive::new(Box::new(sink))),
            key: String::new(),
            pictures: 0,
            bytes: 0,
        })
    }

    async fn close(&mut self) -> Result<(), ArchiveError> {
        if let Some(shard) = self.shard.take() {
            let size = shard.archive.finish().await?;
            self.folder.count(size);
        }
        Ok(())
    }
}

#[async_trait]
impl Archive for Shards {
    async fn add(&mut self, name: &str, content: Bytes) -> Result<u64, ArchiveError> {
        if is_metadata(name) {
            self.close().await?;
            return self.folder.add(name, content).await;
        }
        let key = name.rsplit_once('.').map_or(name, |(key, _)| key);
        let limits = self.limits;
        let next = content.len() as u64;
        let is_done =
            |shard: &Shard| shard.key != key && limits.are_reached(shard.pictures, shard.bytes, next);
        if self.shard.as_ref().is_some_and(is_done) {
            self.close().await?;
        }
        let mut shard = match self.shard.take() {
            Some(shard) => shard,
            None => self.open()?,
        };
        if shard.key != key {
            key.clone_into(&mut shard.key);
            shard.pictures += 1;
        }
        let added = shard.archive.add(name, content).await;
        let shard = self.shard.insert(shard);
        let added = added?;
        shard.bytes += added;
        Ok(added)
    }

    fn shard(&self) -> Option<&str> {
        self.shard.as_ref().map(|shard| shard.name.as_str())
    }

    async fn finish(mut self: Box<Self>) -> Result<u64, ArchiveError> {
        self.close().await?;
        Box::new(self.folder).finish().await
    }

    async fn abort(self: Box<Self>) {
        if let Some(shard) = self.shard {
            shard.archive.abort().await;
        }
        Box::new(self.folder).abort().await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_ends_before_the_picture_that_exceeds_a_limit() {
        let of = |pictures, bytes| ShardLimits {
            pictures: NonZeroU64::new(pictures),
            bytes: NonZeroU64::new(bytes),
        };
        for (limits, (pictures, bytes, next), expected) in [
            (of(0, 0), (1_000_000, 1 << 40, 1), false),
            (of(2, 0), (1, 500, 500), false),
            (of(2, 0), (2, 1000, 500), true),
            (of(0, 1000), (1, 500, 500), false),
            (of(0, 1000), (1, 500, 501), true),
            (of(0, 1000), (0, 0, 5000), false),
            (of(2, 1000), (2, 10, 10), true),
            (of(0, u64::MAX), (1, u64::MAX, 1), false),
        ] {
            assert_eq!(
                limits.are_reached(pictures, bytes, next),
                expected,
                "{limits:?} {pictures}"
            );
        }
    }
}
