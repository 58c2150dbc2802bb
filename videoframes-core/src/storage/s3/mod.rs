//! Objects in S3, and in stores that speak as it does.

mod bucket;
mod checksum;
mod error;
mod list;
mod options;
mod retry;
mod sink;
mod source;
mod upload;

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::presigning::PresigningConfig;
use bytes::{Bytes, BytesMut};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use self::bucket::Bucket;
pub use self::options::{S3Checksum, S3Encryption, S3Options};
use self::sink::S3Sink;
use self::source::{S3Source, Window};
use self::upload::Target;
use super::local::open_regular;
use super::{
    ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, Opened, PutOptions, Sink, Storage, StorageError,
};
use crate::aws::SdkConfig;

/// Most bytes that a store copies in one request.
const COPY_BYTES: u64 = 5 << 30;
/// Bytes of a file that are read at once.
const READ: usize = 1 << 20;
/// What stays as it is in the name of the object that is copied.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.');

/// A bucket, or what is below a prefix in it, as a [`Storage`]; clones share their connections.
///
/// An etag is that of S3, without quotes, and given with or without them. Requests are repeated as the
/// [`SdkConfig`] says; only a read whose answer breaks off and a write that is in another's way are
/// repeated here. [`super::StorageError::Io`] says in its source what the store answered; its kind is
/// `PermissionDenied` where credentials, rights or the clock are wrong, `NotFound` where the bucket is
/// missing and `TimedOut` where the store is silent. A read that the store refuses for one object (403 or 400) is
/// [`super::StorageError::Refused`].
///
/// [`super::IfExists::Refuse`] is asked of the store with the request that makes the object visible
/// (`If-None-Match`), and not before: a store that does not know the condition replaces what is there.
///
/// Every object that is written has one more name in its metadata, `vf-upload`, by which it is known
/// again when the answer to its last request was lost. No other may be called so, and
/// [`Storage::head`] does not tell it.
///
/// Large objects are written in parts. A writer that fails, is aborted or dropped aborts its upload;
/// one that ends with its process leaves it to [`S3Storage::abort_uploads`].
#[derive(Debug, Clone)]
pub struct S3Storage {
    bucket: Arc<Bucket>,
}

impl S3Storage {
    /// A bucket, which nobody is asked about yet.
    pub fn new(config: &SdkConfig, options: S3Options) -> Self {
        Self {
            bucket: Arc::new(Bucket::new(config, options)),
        }
    }

    /// Tries out whether the bucket can be used: that there is one in this region, and that it lets
    /// these credentials list it.
    ///
    /// # Errors
    /// [`StorageError::Io`] with what is wrong.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.bucket.check().await
    }

    /// Aborts uploads to keys that begin with `below` and that began that long ago, and gives their number:
    /// those of processes that were killed. Idempotent. An upload that still goes on fails.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn abort_uploads(&self, below: &str, older_than: Duration) -> Result<u64, StorageError> {
        self.bucket.abort_uploads(below, older_than).await
    }

    /// Copies an object within the store, with its metadata, and replaces what is there. Idempotent,
    /// atomic.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; [`StorageError::Invalid`] for one of more than 5 GiB.
    pub async fn copy(&self, from: &ObjectKey, to: &ObjectKey) -> Result<(), StorageError> {
        let bucket = &self.bucket;
        let (source, target) = (bucket.key(from)?, bucket.key(to)?);
        let found = bucket.head(from, &ObjectVersion::CURRENT).await?;
        if found.info.size > COPY_BYTES {
            return Err(StorageError::invalid(
                from.as_str(),
                "has more than 5 GiB, which the store does not copy at once",
            ));
        }
        let (encryption, key) = bucket.encryption();
        let copy = bucket
            .client
            .copy_object()
            .bucket(bucket.name())
            .key(target)
            .copy_source(format!(
                "{}/{}",
                bucket.name(),
                utf8_percent_encode(&source, PLAIN)
            ))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .send();
        match copy.await {
            Ok(_) => Ok(()),
            Err(error) => Err(bucket.refusal(error).into_error("copy", from.as_str())),
        }
    }

    /// An address at which anybody can read the object for that long, up to a week; less, where the
    /// credentials expire before. Nobody looks whether there is one. The address is a secret.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for more than a week; [`StorageError::Io`] without credentials.
    pub async fn presign(&self, key: &ObjectKey, expires: Duration) -> Result<String, StorageError> {
        let config = PresigningConfig::expires_in(expires)
            .map_err(|_| StorageError::invalid(key.as_str(), "cannot be shared for that long"))?;
        let request = self
            .bucket
            .client
            .get_object()
            .bucket(self.bucket.name())
            .key(self.bucket.key(key)?)
            .presigned(config);
        match request.await {
            Ok(request) => Ok(request.uri().to_owned()),
            Err(error) => Err(self.bucket.refusal(error).into_failure("share", key.as_str())),
        }
    }

    fn sink(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<S3Sink>, StorageError> {
        let target = Target::new(Arc::clone(&self.bucket), key.clone(), options.clone())?;
        Ok(Box::new(S3Sink::new(target)))
    }
}

#[async_trait]
impl Storage for S3Storage {
    async fn head(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<ObjectInfo, StorageError> {
        Ok(self.bucket.head(key, version).await?.info)
    }

    async fn open(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Opened, StorageError> {
        let head = self.bucket.head(key, version).await?;
        let source = S3Source {
            bucket: Arc::clone(&self.bucket),
            object: self.bucket.key(key)?,
            key: key.clone(),
            id: version.id.clone(),
            etag: head.info.etag.clone(),
            length: head.info.size,
            checksum: head.checksum,
            window: Mutex::new(Window::default()),
        };
        Ok(Opened {
            info: head.info,
            source: Arc::new(source),
        })
    }

    async fn create(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<dyn Sink>, StorageError> {
        Ok(self.sink(key, options)?)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let delete = self
            .bucket
            .client
            .delete_object()
            .bucket(self.bucket.name())
            .key(self.bucket.key(key)?)
            .send();
        match delete.await.map_err(|e| self.bucket.refusal(e)) {
            Err(refusal) if !refusal.is_missing() => Err(refusal.into_failure("delete", key.as_str())),
            _ => Ok(()),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        most: usize,
    ) -> Result<Vec<ObjectEntry>, StorageError> {
        self.bucket.list(prefix, after, most).await
    }

    async fn import(&self, key: &ObjectKey, path: &Path, options: &PutOptions) -> Result<(), StorageError> {
        let mut file = FileReader::open(path).await?;
        let mut sink = self.sink(key, options)?;
        loop {
            let bytes = file.next().await?;
            if bytes.is_empty() {
                return sink.finish().await;
            }
            sink.write(bytes).await?;
        }
    }
}

/// A file of this machine, piece by piece.
struct FileReader {
    path: String,
    file: Option<std::fs::File>,
}

impl FileReader {
    async fn open(path: &Path) -> Result<Self, StorageError> {
        let name = path.to_string_lossy().into_owned();
        let path = path.to_owned();
        let file = tokio::task::spawn_blocking(move || open_regular(&path)).await;
        let file = file.map_err(io::Error::other).flatten();
        let file = file.map_err(|e| StorageError::from_io("read", &name, e))?;
        Ok(Self {
            path: name,
            file: Some(file),
        })
    }

    /// Some bytes, and none at the end.
    async fn next(&mut self) -> Result<Bytes, StorageError> {
        let Some(mut file) = self.file.take() else {
            return Ok(Bytes::new());
        };
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = BytesMut::zeroed(READ);
            let length = file.read(&mut bytes)?;
            bytes.truncate(length);
            io::Result::Ok((bytes.freeze(), file))
        });
        let read = read.await.map_err(io::Error::other).flatten();
        let (bytes, file) = read.map_err(|e| StorageError::from_io("read", &self.path, e))?;
        self.file = Some(file);
        Ok(bytes)
    }
}
