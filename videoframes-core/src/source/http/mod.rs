//! A video on an HTTP server, read in ranges (RFC 9110, section 14).

mod address;
mod client;
mod error;
mod url;

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderValue, LAST_MODIFIED};
use reqwest::{Response, StatusCode};
use tempfile::TempPath;

use self::client::Client;
pub use self::error::HttpError;
pub use self::url::HttpUrl;
use super::content_range::ContentRange;
use super::{FileSource, Source, Verifier};
use crate::limits::{HTTP_BYTES_PER_SECOND, Limits};
use crate::stale;

/// Bytes that are asked for first: where an index begins, often.
const FIRST: u64 = 64 << 10;
/// Most bytes that are reserved because a server says they come.
const RESERVE: usize = 1 << 20;
/// Further tries of a read, and the wait before the first of them, which doubles.
const TRIES: u32 = 4;
const BACKOFF: Duration = Duration::from_millis(250);
/// Which addresses may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addresses {
    /// Those that anybody can reach: for videos that strangers name.
    #[default]
    Public,
    /// Those of this machine and of local networks too.
    Any,
}

/// A video on an HTTP server. Read in ranges where the server has them; copied to a temporary file
/// first where it does not.
///
/// A read that fails is tried again a few times. A video that changes meanwhile is an error.
#[derive(Debug)]
pub struct HttpSource {
    name: String,
    length: u64,
    client: Client,
    /// As it was asked for.
    origin: HttpUrl,
    /// Where the last answer came from.
    place: Mutex<HttpUrl>,
    version: Version,
    idle: Duration,
    first: Bytes,
    copy: Option<Copy>,
    transferred: AtomicU64,
}

#[derive(Debug)]
struct Copy {
    source: FileSource,
    /// Removes the file when dropped.
    _path: TempPath,
    /// Its lock tells sweeps that the file is in use.
    _locked: File,
}

impl HttpSource {
    /// Asks the server for the start of the video. Of `limits`, those on input, wall time (where the
    /// server gives the video only as a whole) and silence hold.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn open(url: &HttpUrl, addresses: Addresses, limits: &Limits) -> Result<Self, HttpError> {
        let mut source = Self {
            name: url.name(),
            length: 0,
            client: Client::new(addresses, limits.stall)?,
            origin: url.clone(),
            place: Mutex::new(url.clone()),
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

    /// Bytes that came over the network so far.
    pub fn transferred(&self) -> u64 {
        self.transferred.load(Ordering::Relaxed)
    }

    async fn begin(&mut self, limits: &Limits) -> Result<(), HttpError> {
        let (response, place) = self.client.get(&self.origin, 0..FIRST).await?;
        self.place = Mutex::new(place);
        self.version = Version::of(&response);
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = content_range(&response)?;
                if range.length > limits.input_bytes {
                    return Err(HttpError::TooLarge(limits.input_bytes));
                }
                if range.bytes != (0..range.length.min(FIRST)) {
                    return Err(HttpError::Answer("it is another range than asked for".to_owned()));
                }
                self.length = range.length;
                self.first = self.body(response, range.bytes.end).await?;
                Ok(())
            }
            StatusCode::OK => {
                let copy = self.download(response, limits.input_bytes).await?;
                self.length = copy.source.len();
                self.copy = Some(copy);
                Ok(())
            }
            // What is empty has no range.
            StatusCode::RANGE_NOT_SATISFIABLE if is_empty(&response) => Ok(()),
            status => Err(HttpError::Status(status)),
        }
    }

    /// The bytes of an answer, of which there have to be `length`.
    async fn body(&self, mut response: Response, length: u64) -> Result<Bytes, HttpError> {
        let host = self.origin.host();
        let all = async {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let mut body = BytesMut::with_capacity(length.min(RESERVE));
            while let Some(chunk) = response.chunk().await.map_err(|e| HttpError::of(e, host))? {
                self.transferred.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                if chunk.len() > length - body.len() {
                    return Err(HttpError::Answer("it is longer than it says".to_owned()));
                }
                body.extend_from_slice(&chunk);
            }
            if body.len() < length {
                return Err(HttpError::Truncated);
            }
            Ok(body.freeze())
        };
        let longest = self.idle + Duration::from_secs(length / HTTP_BYTES_PER_SECOND);
        tokio::time::timeout(longest, all)
            .await
            .unwrap_or(Err(HttpError::TooSlow))
    }

    /// Keeps what a server only gives as a whole.
    async fn download(&self, mut response: Response, most: u64) -> Result<Copy, HttpError> {
        tracing::info!("the server has no ranges; downloading all of it");
        let expected = response.content_length();
        if expected.is_some_and(|length| length > most) {
            return Err(HttpError::TooLarge(most));
        }
        // The path stays here, so that the file goes with this future, whatever thread still writes it.
        let (mut file, path) = stale::SCRATCH
            .builder()
            .tempfile()
            .map_err(HttpError::Copy)?
            .into_parts();
        let _ = stale::lock(&file);
        let started = Instant::now();
        let mut length = 0;
        let host = self.origin.host();
        while let Some(chunk) = response.chunk().await.map_err(|e| HttpError::of(e, host))? {
            length += chunk.len() as u64;
            self.transferred.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            if length > most {
                return Err(HttpError::TooLarge(most));
            }
            if started.elapsed() > self.idle + Duration::from_secs(length / HTTP_BYTES_PER_SECOND) {
                return Err(HttpError::TooSlow);
            }
            file = tokio::task::spawn_blocking(move || file.write_all(&chunk).map(|()| file))
                .await
                .map_err(io::Error::other)
                .flatten()
                .map_err(HttpError::Copy)?;
        }
        let source = FileSource::open(&path).map_err(HttpError::Copy)?;
        Ok(Copy {
            source,
            _path: path,
            _locked: file,
        })
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, HttpError> {
        let mut tries = 0;
        loop {
            let place = self.place().clone();
            let error = match self.read_once(&place, range.clone()).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            // Where a redirect led once may be a place that was only lent.
            let lent = matches!(error, HttpError::Status(_)) && place != self.origin;
            if tries == TRIES || !(lent || error.is_retryable()) {
                return Err(error);
            }
            tracing::debug!(%error, tries, "a read failed");
            self.origin.clone_into(&mut self.place());
            tokio::time::sleep(BACKOFF * (1 << tries)).await;
            tries += 1;
        }
    }

    async fn read_once(&self, place: &HttpUrl, range: Range<u64>) -> Result<Bytes, HttpError> {
        let (response, place) = self.client.get(place, range.clone()).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK => {
                return Err(HttpError::Answer("it has no ranges any more".to_owned()));
            }
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(HttpError::Changed),
            status => return Err(HttpError::Status(status)),
        }
        let given = content_range(&response)?;
        if given.length != self.length || Version::of(&response) != self.version {
            return Err(HttpError::Changed);
        }
        if given.bytes != range {
            return Err(HttpError::Answer("it is another range than asked for".to_owned()));
        }
        let bytes = self.body(response, range.end - range.start).await?;
        *self.place() = place;
        Ok(bytes)
    }

    fn place(&self) -> std::sync::MutexGuard<'_, HttpUrl> {
        self.place
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
        self.copy.as_ref().and_then(|copy| copy.source.local_path())
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        None
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        if let Some(copy) = &self.copy {
            return copy.source.read_at(offset, length).await;
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

/// What tells one version of a video from another, as far as the server says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Version {
    etag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
}

impl Version {
    fn of(response: &Response) -> Self {
        let header = |name| response.headers().get(name).cloned();
        Self {
            etag: header(ETAG),
            modified: header(LAST_MODIFIED),
        }
    }
}

/// The part of the video that an answer says it is.
fn content_range(response: &Response) -> Result<ContentRange, HttpError> {
    let header = response.headers().get(CONTENT_RANGE);
    header
        .and_then(|header| ContentRange::parse(header.to_str().ok()?))
        .ok_or_else(|| HttpError::Answer("it does not say which range it is".to_owned()))
}

fn is_empty(response: &Response) -> bool {
    let range = response.headers().get(CONTENT_RANGE);
    range.is_some_and(|range| range == "bytes */0")
}
