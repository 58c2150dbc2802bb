//! A source on an HTTP server.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::{Response, StatusCode};

use super::client::Client;
use super::response::{Version, content_range, is_empty};
use super::{Addresses, HttpError, HttpUrl};
use crate::limits::{HTTP_BYTES_PER_SECOND, Limits};
use crate::source::spool::{LocalCopy, Spool};
use crate::source::{Source, Verifier};

/// Size of the first request, which often contains the start of the index.
const FIRST: u64 = 64 << 10;
/// Maximum allocation based on a length that a server announces.
const RESERVE: usize = 1 << 20;
/// Maximum number of retries of a read, and the pause before the first retry, which doubles.
const TRIES: u32 = 4;
const BACKOFF: Duration = Duration::from_millis(250);

/// A video on an HTTP server.
///
/// Read in ranges if the server supports them, otherwise downloaded to a temporary file first. The download is in the
/// folder for temporary files (`TMPDIR`), outside the quota of a [`Scratch`](crate::pipeline::Scratch); the limit on the
/// input bounds its size. Failed reads are retried a few times. A video that changes while it is read is an error.
#[derive(Debug)]
pub struct HttpSource {
    name: String,
    length: u64,
    client: Client,
    /// Original URL.
    origin: HttpUrl,
    /// Final URL of the last response.
    location: Mutex<HttpUrl>,
    version: Version,
    idle: Duration,
    first: Bytes,
    copy: Option<LocalCopy>,
    transferred: AtomicU64,
}

impl HttpSource {
    /// Requests the start of the video.
    ///
    /// Applies the limits on input size, stall time, and wall time (for a complete download) of `limits`.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn open(url: &HttpUrl, addresses: Addresses, limits: &Limits) -> Result<Self, HttpError> {
        let mut source = Self {
            name: url.name(),
            length: 0,
            client: Client::new(addresses, limits.stall)?,
            origin: url.clone(),
            location: Mutex::new(url.clone()),
            version: Version::default(),
            idle: limits.stall,
            first: Bytes::new(),
            copy: None,
            transferred: AtomicU64::new(0),
        };
        let mut tries = 0;
        let opened = tokio::time::timeout(limits.wall_time, async {
            while let Err(error) = source.begin(limits).await {
                if tries == TRIES || !error.is_retryable() {
                    return Err(error);
                }
                tokio::time::sleep(BACKOFF * (1 << tries)).await;
                tries += 1;
            }
            Ok(())
        });
        opened.await.unwrap_or(Err(HttpError::TimeLimit))?;
        Ok(source)
    }

    /// Returns the number of bytes transferred over the network so far.
    pub fn transferred(&self) -> u64 {
        self.transferred.load(Ordering::Relaxed)
    }

    async fn begin(&mut self, limits: &Limits) -> Result<(), HttpError> {
        let (response, location) = self.client.get(&self.origin, 0..FIRST).await?;
        self.location = Mutex::new(location);
        self.version = Version::from_response(&response);
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = content_range(&response)?;
                if range.length > limits.input_bytes {
                    return Err(HttpError::TooLarge(limits.input_bytes));
                }
                if range.bytes != (0..range.length.min(FIRST)) {
                    return Err(HttpError::Answer("the range differs from the request".to_owned()));
                }
                self.length = range.length;
                self.first = self.body(response, range.bytes.end).await?;
                Ok(())
            }
            StatusCode::OK => {
                let copy = self.download(response, limits.input_bytes).await?;
                self.length = copy.source().len();
                self.copy = Some(copy);
                Ok(())
            }
            // An empty video has no satisfiable range.
            StatusCode::RANGE_NOT_SATISFIABLE if is_empty(&response) => Ok(()),
            status => Err(HttpError::Status(status)),
        }
    }

    /// Reads a response body, which must have exactly `length` bytes.
    async fn body(&self, mut response: Response, length: u64) -> Result<Bytes, HttpError> {
        let host = self.origin.host();
        let all = async {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let mut body = BytesMut::with_capacity(length.min(RESERVE));
            while let Some(chunk) = response
                .chunk()
                .await
                .map_err(|e| HttpError::from_request(e, host))?
            {
                self.transferred.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                if chunk.len() > length - body.len() {
                    return Err(HttpError::Answer("the body is longer than announced".to_owned()));
                }
                body.extend_from_slice(&chunk);
            }
            if body.len() < length {
                return Err(HttpError::Truncated);
            }
            Ok(body.freeze())
        };
        let limit = self.idle + Duration::from_secs(length / HTTP_BYTES_PER_SECOND);
        tokio::time::timeout(limit, all)
            .await
            .unwrap_or(Err(HttpError::TooSlow))
    }

    /// Downloads the video from a server without ranges.
    async fn download(&self, mut response: Response, limit: u64) -> Result<LocalCopy, HttpError> {
        tracing::info!("server does not support ranges; downloading the whole video");
        let expected = response.content_length();
        if expected.is_some_and(|length| length > limit) {
            return Err(HttpError::TooLarge(limit));
        }
        let mut spool = Spool::new().map_err(HttpError::Copy)?;
        let started = Instant::now();
        let mut length = 0;
        let host = self.origin.host();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|e| HttpError::from_request(e, host))?
        {
            length += chunk.len() as u64;
            self.transferred.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            if length > limit {
                return Err(HttpError::TooLarge(limit));
            }
            if started.elapsed() > self.idle + Duration::from_secs(length / HTTP_BYTES_PER_SECOND) {
                return Err(HttpError::TooSlow);
            }
            spool.write(chunk).await.map_err(HttpError::Copy)?;
        }
        spool.finish().map_err(HttpError::Copy)
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, HttpError> {
        let mut tries = 0;
        loop {
            let location = self.location().clone();
            let error = match self.read_once(&location, range.clone()).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            // The target of an earlier redirect may have expired.
            let expired = matches!(error, HttpError::Status(_)) && location != self.origin;
            if tries == TRIES || !(expired || error.is_retryable()) {
                return Err(error);
            }
            tracing::debug!(%error, tries, "read failed; retrying");
            self.origin.clone_into(&mut self.location());
            tokio::time::sleep(BACKOFF * (1 << tries)).await;
            tries += 1;
        }
    }

    async fn read_once(&self, location: &HttpUrl, range: Range<u64>) -> Result<Bytes, HttpError> {
        let (response, location) = self.client.get(location, range.clone()).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK => {
                return Err(HttpError::Answer(
                    "the server no longer supports ranges".to_owned(),
                ));
            }
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(HttpError::Changed),
            status => return Err(HttpError::Status(status)),
        }
        let given = content_range(&response)?;
        if given.length != self.length || Version::from_response(&response) != self.version {
            return Err(HttpError::Changed);
        }
        if given.bytes != range {
            return Err(HttpError::Answer("the range differs from the request".to_owned()));
        }
        let bytes = self.body(response, range.end - range.start).await?;
        *self.location() = location;
        Ok(bytes)
    }

    fn location(&self) -> std::sync::MutexGuard<'_, HttpUrl> {
        self.location
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Source for HttpSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.length
    }

    fn local_path(&self) -> Option<&Path> {
        self.copy.as_ref().and_then(|copy| copy.source().local_path())
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        None
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        if let Some(copy) = &self.copy {
            return copy.source().read_at(offset, length).await;
        }
        let end = offset.saturating_add(length as u64).min(self.length);
        if offset >= end {
            return Ok(Bytes::new());
        }
        if end <= self.first.len() as u64 {
            return Ok(self.first.slice(offset as usize..end as usize));
        }
        Ok(self.read(offset..end).await?)
    }
}
