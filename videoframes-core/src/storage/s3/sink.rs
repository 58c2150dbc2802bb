//! Writes an object of unknown size: in one request if it is small, else in parts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::types::CompletedPart;
use bytes::{Bytes, BytesMut};
use crc_fast::Digest;
use tokio::task::JoinSet;

use super::error::Refusal;
use super::upload::{Target, Upload};
use crate::storage::{IfExists, Sink, StorageError};

/// Maximum number of parts of an upload.
const PARTS: i32 = 10_000;
/// Number of parts after which the part size doubles. The first 4,500 parts hold 84 GiB with the default
/// size.
const GROWTH: i32 = 1500;
/// Maximum size of a part.
const PART_BYTES: usize = 5 << 30;
/// Pauses before retries of a conflicting write.
const CONFLICT_PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// Buffers one part, and the parts in flight.
pub(super) struct S3Sink {
    target: Arc<Target>,
    buffer: BytesMut,
    /// Checksum of all bytes that were sent or are in flight.
    digest: Digest,
    size: u64,
    /// Number of parts that were sent or are in flight.
    sent: i32,
    sending: JoinSet<Result<CompletedPart, StorageError>>,
    done: Vec<CompletedPart>,
    upload: Option<Upload>,
    /// Set during a write, and permanently after a failed write.
    broken: bool,
}

impl S3Sink {
    pub(super) fn new(target: Target) -> Self {
        Self {
            digest: target.bucket.options.checksum.digest(),
            target: Arc::new(target),
            buffer: BytesMut::new(),
            size: 0,
            sent: 0,
            sending: JoinSet::new(),
            done: Vec::new(),
            upload: None,
            broken: false,
        }
    }

    fn failed(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StorageError {
        StorageError::from_io("write", self.target.name.as_str(), io::Error::other(error))
    }

    async fn append(&mut self, mut bytes: Bytes) -> Result<(), StorageError> {
        while !bytes.is_empty() {
            let full = part_size(self.target.bucket.options.part_size, self.sent);
            if self.buffer.len() == full {
                self.send().await?;
                continue;
            }
            let space = full - self.buffer.len();
            self.buffer
                .extend_from_slice(&bytes.split_to(space.min(bytes.len())));
        }
        Ok(())
    }

    /// Sends the buffer as a part, after waiting for a free slot.
    async fn send(&mut self) -> Result<(), StorageError> {
        if self.sent == PARTS {
            return Err(StorageError::invalid(
                self.target.name.as_str(),
                "has more than 10,000 parts",
            ));
        }
        if self.upload.is_none() {
            self.upload = Some(Upload::start(Arc::clone(&self.target)).await?);
        }
        while self.sending.len() >= self.target.bucket.options.parallel_parts.max(1) {
            self.one_sent().await?;
        }
        let bytes = std::mem::take(&mut self.buffer).freeze();
        let digest = self.count(&bytes);
        self.sent += 1;
        if let Some(upload) = &self.upload {
            self.sending.spawn(upload.part(self.sent, bytes, &digest));
        }
        Ok(())
    }

    async fn one_sent(&mut self) -> Result<(), StorageError> {
        match self.sending.join_next().await {
            Some(Ok(part)) => self.done.push(part?),
            Some(Err(error)) => return Err(self.failed(error)),
            None => {}
        }
        Ok(())
    }

    /// Adds bytes to the checksum and the size of the object.
    fn count(&mut self, bytes: &Bytes) -> Digest {
        let mut digest = self.target.bucket.options.checksum.digest();
        digest.update(bytes);
        self.digest.combine(&digest);
        self.size += bytes.len() as u64;
        digest
    }

    async fn finish_parts(&mut self) -> Result<(), StorageError> {
        if !self.buffer.is_empty() {
            self.send().await?;
        }
        while !self.sending.is_empty() {
            self.one_sent().await?;
        }
        self.done.sort_by_key(CompletedPart::part_number);
        Ok(())
    }

    /// Completes the object.
    async fn commit(&mut self) -> Result<(), StorageError> {
        let Err(mut refusal) = self.try_commit().await else {
            return Ok(());
        };
        for wait in CONFLICT_PAUSES {
            if !refusal.is_conflict() {
                break;
            }
            tokio::time::sleep(wait).await;
            match self.try_commit().await {
                Ok(()) => return Ok(()),
                Err(next) => refusal = next,
            }
        }
        self.settle(refusal).await
    }

    async fn try_commit(&self) -> Result<(), Refusal> {
        match &self.upload {
            Some(upload) => upload.complete(&self.done, self.size, &self.digest).await,
            None => self.target.put(self.buffer.clone().freeze(), &self.digest).await,
        }
    }

    /// Determines the result of a completion that failed or whose response was lost.
    async fn settle(&mut self, refusal: Refusal) -> Result<(), StorageError> {
        let target = Arc::clone(&self.target);
        // The upload cannot complete later after this.
        if let Some(upload) = self.upload.take() {
            upload.abort().await;
        }
        let (bucket, name) = (&target.bucket, target.name.as_str());
        match bucket.try_head(&target.key, None).await {
            Ok(found) if found.upload.as_ref() == Some(&target.token) && found.info.size == self.size => {
                tracing::info!(key = name, "object was written although the response was lost");
                Ok(())
            }
            Ok(_) if target.options.if_exists == IfExists::Refuse => {
                Err(StorageError::AlreadyExists(name.to_owned()))
            }
            _ => Err(refusal.into_failure("write", name)),
        }
    }
}

/// Returns the size of the part after `sent` parts.
fn part_size(first: usize, sent: i32) -> usize {
    let doublings = u32::try_from(sent / GROWTH).unwrap_or(0);
    first.max(1).saturating_mul(1 << doublings).min(PART_BYTES)
}

#[async_trait]
impl Sink for S3Sink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(self.failed("an earlier write failed"));
        }
        self.append(bytes).await?;
        self.broken = false;
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), StorageError> {
        if self.broken {
            let error = self.failed("an earlier write failed");
            self.abort().await;
            return Err(error);
        }
        if self.upload.is_none() {
            let bytes = self.buffer.clone().freeze();
            self.count(&bytes);
            return self.commit().await;
        }
        if let Err(error) = self.finish_parts().await {
            self.abort().await;
            return Err(error);
        }
        self.commit().await?;
        if let Some(upload) = self.upload.take() {
            upload.completed();
        }
        Ok(())
    }

    async fn abort(mut self: Box<Self>) {
        self.sending.shutdown().await;
        if let Some(upload) = self.upload.take() {
            upload.abort().await;
        }
    }
}

impl Drop for S3Sink {
    fn drop(&mut self) {
        // The store would keep a part that arrives after the upload was aborted.
        if let Some(upload) = self.upload.take() {
            let mut sending = std::mem::take(&mut self.sending);
            upload.runtime().spawn(async move {
                sending.shutdown().await;
                upload.abort().await;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_sizes_grow_so_that_large_objects_fit() {
        let mut total = 0;
        let mut at_64_gib = None;
        for sent in 0..PARTS {
            let size = part_size(8 << 20, sent);
            total += size as u64;
            if total >= 64 << 30 && at_64_gib.is_none() {
                at_64_gib = Some(size);
            }
        }
        assert_eq!(part_size(8 << 20, 0), 8 << 20);
        assert_eq!(
            at_64_gib,
            Some(32 << 20),
            "part sizes stay small for large results"
        );
        assert!(total > 1 << 40, "{total}");
    }
}
