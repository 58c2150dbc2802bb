//! Reads an object in ranges.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::{Bytes, BytesMut};

use super::bucket::{Bucket, unquoted};
use super::checksum::{CopyVerifier, WholeChecksum};
use super::error::failure;
use crate::source::content_range::ContentRange;
use crate::source::{Source, Verifier};
use crate::storage::{ObjectKey, StorageError};

/// Minimum size of a request in bytes: the next read is often close, since an index is read in small pieces.
const WINDOW: u64 = 64 << 10;
/// Maximum size of a request in bytes.
const REQUEST: u64 = 8 << 20;
/// Pauses before retries of an interrupted response. The client retries requests without a response.
const RETRY_PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// One version of an object.
#[derive(Debug)]
pub(super) struct S3Source {
    pub(super) bucket: Arc<Bucket>,
    /// Name of the object in the bucket.
    pub(super) object: String,
    pub(super) key: ObjectKey,
    pub(super) id: Option<String>,
    pub(super) etag: String,
    pub(super) length: u64,
    pub(super) checksum: Option<WholeChecksum>,
    pub(super) window: Mutex<Window>,
}

/// The remainder of the last small read.
#[derive(Debug, Default)]
pub(super) struct Window {
    offset: u64,
    bytes: Bytes,
}

impl Window {
    fn get(&self, range: &Range<u64>) -> Option<Bytes> {
        let end = self.offset + self.bytes.len() as u64;
        let inside = self.offset <= range.start && range.end <= end;
        let at = |offset: u64| usize::try_from(offset - self.offset).ok();
        inside.then(|| Some(self.bytes.slice(at(range.start)?..at(range.end)?)))?
    }
}

/// The reason why a request returned no bytes.
enum Fault {
    /// A permanent error.
    Final(StorageError),
    /// The response was interrupted.
    Broken(io::Error),
}

impl S3Source {
    fn changed(&self) -> StorageError {
        StorageError::Changed(self.key.to_string())
    }

    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a range of at most [`REQUEST`] bytes.
    async fn get(&self, range: Range<u64>) -> Result<Bytes, StorageError> {
        let mut waits = RETRY_PAUSES.into_iter();
        loop {
            let error = match self.try_get(&range).await {
                Ok(bytes) => return Ok(bytes),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Broken(error)) => error,
            };
            let Some(wait) = waits.next() else {
                return Err(failure("read", self.key.as_str(), error));
            };
            tracing::debug!(%error, key = %self.key, "response was interrupted");
            tokio::time::sleep(wait).await;
        }
    }

    async fn try_get(&self, range: &Range<u64>) -> Result<Bytes, Fault> {
        let sent = self
            .bucket
            .client
            .get_object()
            .bucket(self.bucket.name())
            .key(&self.object)
            .set_version_id(self.id.clone())
            .if_match(format!("\"{}\"", self.etag))
            .range(format!("bytes={}-{}", range.start, range.end - 1))
            .customize()
            .config_override(self.bucket.short_request())
            .send();
        let answer = sent.await.map_err(|error| {
            let refusal = self.bucket.refusal(error);
            Fault::Final(if refusal.is_unmet() || refusal.is_past_end() {
                self.changed()
            } else {
                refusal.into_error("read", self.key.as_str())
            })
        })?;
        self.check(&answer, range)?;
        let body = self.body(answer, range);
        tokio::time::timeout(self.bucket.options.attempt_timeout, body)
            .await
            .unwrap_or_else(|_| {
                let error =
                    io::Error::new(io::ErrorKind::TimedOut, "the store did not send the body in time");
                Err(Fault::Broken(error))
            })
    }

    /// Checks that a response is for the requested version and range.
    fn check(&self, answer: &GetObjectOutput, range: &Range<u64>) -> Result<(), Fault> {
        let etag = answer.e_tag().map(unquoted);
        if etag.is_some_and(|etag| etag != self.etag) {
            return Err(Fault::Final(self.changed()));
        }
        let given = answer.content_range().and_then(ContentRange::parse);
        match given {
            Some(given) if given.length != self.length => Err(Fault::Final(self.changed())),
            Some(given) if given.bytes == *range => Ok(()),
            _ => {
                let error = io::Error::other("the response has another range than requested");
                Err(Fault::Final(failure("read", self.key.as_str(), error)))
            }
        }
    }

    async fn body(&self, answer: GetObjectOutput, range: &Range<u64>) -> Result<Bytes, Fault> {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut stream = answer.body;
        let mut body = BytesMut::with_capacity(length);
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|error| Fault::Broken(io::Error::other(error)))?;
            if bytes.len() > length - body.len() {
                let error = io::Error::other("the response is longer than its range");
                return Err(Fault::Broken(error));
            }
            body.extend_from_slice(&bytes);
        }
        if body.len() < length {
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the response ended early");
            return Err(Fault::Broken(error));
        }
        Ok(body.freeze())
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, StorageError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let length = range.end - range.start;
        if let Some(bytes) = self.window().get(&range) {
            return Ok(bytes);
        }
        if length < WINDOW {
            let wide = range.start..(range.start + WINDOW).min(self.length);
            let bytes = self.get(wide).await?;
            let wanted = usize::try_from(length).unwrap_or(usize::MAX);
            let wanted = bytes.slice(..wanted);
            *self.window() = Window {
                offset: range.start,
                bytes,
            };
            return Ok(wanted);
        }
        if length <= REQUEST {
            return self.get(range).await;
        }
        let mut all = BytesMut::with_capacity(usize::try_from(length).unwrap_or(0));
        let mut start = range.start;
        while start < range.end {
            let end = (start + REQUEST).min(range.end);
            all.extend_from_slice(&self.get(start..end).await?);
            start = end;
        }
        Ok(all.freeze())
    }
}

#[async_trait]
impl Source for S3Source {
    fn name(&self) -> &str {
        self.key.name()
    }

    fn len(&self) -> u64 {
        self.length
    }

    fn local_path(&self) -> Option<&Path> {
        None
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        let checksum = self.checksum.clone()?;
        Some(Box::new(CopyVerifier::new(
            self.key.as_str(),
            self.length,
            checksum,
        )))
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let start = offset.min(self.length);
        let end = offset.saturating_add(length as u64).min(self.length);
        self.read(start..end).await.map_err(io::Error::other)
    }
}
