//! An object, read in ranges.

use std::io;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::{Bytes, BytesMut};

use super::super::{ObjectKey, StorageError};
use super::checksum::Checksum;
use super::error::Asked;
use crate::source::{Source, Verifier};

/// How often one range is asked for whose body does not come, or not whole.
const BODIES: u32 = 4;
/// Bytes that are worth more than another request: a small read brings so many.
const AHEAD: usize = 64 << 10;

/// One version of an object. Reads fail once it is no longer there.
pub(super) struct S3Object {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) path: String,
    pub(super) key: ObjectKey,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) version: Option<String>,
    pub(super) checksum: Option<Checksum>,
    pub(super) attempt_timeout: Duration,
    /// What the last small read brought.
    pub(super) window: tokio::sync::Mutex<Window>,
}

/// Bytes from an offset.
#[derive(Default)]
pub(super) struct Window {
    offset: u64,
    bytes: Bytes,
}

impl Window {
    fn get(&self, offset: u64, length: usize) -> Option<Bytes> {
        let from = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        let to = from.checked_add(length)?;
        (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}

#[async_trait]
impl Source for S3Object {
    fn name(&self) -> &str {
        self.key.name()
    }

    fn len(&self) -> u64 {
        self.size
    }

    fn local_path(&self) -> Option<&Path> {
        None
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        self.checksum.as_ref().map(Checksum::verifier)
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let left = self.size.saturating_sub(offset);
        let length = usize::try_from(left.min(length as u64)).unwrap_or(length);
        if length == 0 {
            return Ok(Bytes::new());
        }
        if length >= AHEAD {
            return self.range(offset, length).await;
        }
        let mut window = self.window.lock().await;
        if let Some(bytes) = window.get(offset, length) {
            return Ok(bytes);
        }
        let ahead = usize::try_from(left.min(AHEAD as u64)).unwrap_or(AHEAD);
        *window = Window {
            offset,
            bytes: self.range(offset, ahead).await?,
        };
        Ok(window.bytes.slice(..length))
    }
}

impl S3Object {
    /// Exactly these bytes. What the client tries again ends with an answer's headers; a body that does not
    /// come whole is asked for again here.
    async fn range(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let mut pause = Duration::from_millis(100);
        let mut tried = 1;
        loop {
            let answer = self.ask(offset, length).await?;
            let why = match tokio::time::timeout(self.attempt_timeout, body(answer, length)).await {
                Ok(Ok(bytes)) => return Ok(bytes),
                Ok(Err(why)) => why,
                Err(_) => "the body does not come in time".to_owned(),
            };
            if tried == BODIES {
                return Err(io::Error::other(self.asked().io(why)));
            }
            tracing::debug!(key = %self.key, offset, why, "a body is asked for again");
            tokio::time::sleep(pause).await;
            (tried, pause) = (tried + 1, pause * 4);
        }
    }

    async fn ask(&self, offset: u64, length: usize) -> io::Result<GetObjectOutput> {
        let last = offset + length as u64 - 1;
        let answer = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(&self.path)
            .set_version_id(self.version.clone())
            .if_match(format!("\"{}\"", self.etag))
            .range(format!("bytes={offset}-{last}"))
            .send()
            .await;
        let answer = answer.map_err(|error| {
            io::Error::other(match self.asked().failed(&error) {
                // It was there when it was opened.
                StorageError::NotFound(name) => StorageError::Changed(name),
                error => error,
            })
        })?;
        if answer.e_tag().map(unquoted) != Some(&self.etag) {
            return Err(io::Error::other(StorageError::Changed(self.key.to_string())));
        }
        let expected = format!("bytes {offset}-{last}/{}", self.size);
        if answer.content_range() != Some(&expected) {
            let found = answer.content_range().unwrap_or("nothing").to_owned();
            let why = format!("the store answers with '{found}' where '{expected}' was asked for");
            return Err(io::Error::other(self.asked().io(why)));
        }
        Ok(answer)
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            action: "read",
            name: self.key.as_str(),
        }
    }
}

async fn body(answer: GetObjectOutput, length: usize) -> Result<Bytes, String> {
    let mut body = answer.body;
    let mut bytes = BytesMut::with_capacity(length);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| format!("the body breaks off: {error}"))?;
        if bytes.len() + piece.len() > length {
            return Err("the body is longer than what was asked for".to_owned());
        }
        bytes.extend_from_slice(&piece);
    }
    if bytes.len() < length {
        return Err(format!("the body ends after {} of {length} bytes", bytes.len()));
    }
    Ok(bytes.freeze())
}

pub(super) fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}
