//! A store in a bucket.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::presigning::PresigningConfig;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::S3Options;
use super::bucket::Bucket;
use super::file_reader::FileReader;
use super::sink::S3Sink;
use super::source::{S3Source, Window};
use super::upload::Target;
use crate::aws::SdkConfig;
use crate::storage::{
    ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, Opened, PutOptions, Sink, Storage, StorageError,
};

/// Maximum size of an object that the store copies in one request.
const COPY_BYTES: u64 = 5 << 30;
/// Characters that stay unencoded in the name of the copied object.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.');

/// A [`Storage`] in a bucket or under a prefix of a bucket; clones share their connections.
///
/// An ETag is that of S3, without quotes; callers may pass it with or without quotes. The client retries
/// requests as the [`SdkConfig`] says. This type only retries reads whose response was interrupted, and
/// writes that conflicted with another write.
///
/// The source of a [`StorageError::Io`] is the answer of the store. Its kind is `PermissionDenied` for
/// wrong credentials, permissions or clocks, `NotFound` for a missing bucket, and `TimedOut` for a store that
/// does not respond. A read that the store denies for one object (403 or 400) is
/// [`StorageError::Refused`].
///
/// [`IfExists::Refuse`](crate::storage::IfExists::Refuse) is a condition of the request that makes the object visible (`If-None-Match`),
/// and is not checked before. A store that ignores the condition replaces an existing object.
///
/// Every written object has an additional metadata entry, `vf-upload`. It identifies the upload if the
/// response to its last request was lost. The name is reserved, and [`Storage::head`] does not return it.
///
/// Large objects are written in parts. A writer that fails, is aborted or is dropped aborts its upload. The
/// upload of a killed process is left to [`S3Storage::abort_uploads`].
#[derive(Debug, Clone)]
pub struct S3Storage {
    bucket: Arc<Bucket>,
}

/// A request that writes an object with the permissions of the signer.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresignedUpload {
    /// Method of the request.
    pub method: String,
    /// URL of the request.
    pub url: String,
    /// Headers that the request must have.
    pub headers: BTreeMap<String, String>,
}

impl fmt::Debug for PresignedUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresignedUpload")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl S3Storage {
    /// Returns a store for a bucket, without any request.
    pub fn new(config: &SdkConfig, options: S3Options) -> Self {
        Self {
            bucket: Arc::new(Bucket::new(config, options)),
        }
    }

    /// Checks that the bucket exists in this region and that these credentials may list it.
    ///
    /// # Errors
    /// Returns [`StorageError::Io`] with the reason.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.bucket.check().await
    }

    /// Aborts uploads of killed processes, and returns their number. Idempotent.
    ///
    /// Aborts uploads to keys that start with `below` and that started at least `older_than` ago. An upload
    /// that is still running fails.
    ///
    /// # Errors
    /// Returns the error of the store.
    pub async fn abort_uploads(&self, below: &str, older_than: Duration) -> Result<u64, StorageError> {
        self.bucket.abort_uploads(below, older_than).await
    }

    /// Copies an object within the store, with its metadata, and replaces an existing object. Idempotent and
    /// atomic.
    ///
    /// # Errors
    /// Returns [`StorageError::NotFound`] for a missing object, and [`StorageError::Invalid`] for an object
    /// of more than 5 GiB.
    pub async fn copy(&self, from: &ObjectKey, to: &ObjectKey) -> Result<(), StorageError> {
        let bucket = &self.bucket;
        let (source, target) = (bucket.key(from)?, bucket.key(to)?);
        let found = bucket.head(from, &ObjectVersion::CURRENT).await?;
        if found.info.size > COPY_BYTES {
            return Err(StorageError::invalid(
                from.as_str(),
                "has more than 5 GiB, which the store cannot copy in one request",
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

    /// Returns a presigned URL, with which anyone can read the object for up to a week, or until the
    /// credentials expire.
    ///
    /// Does not check that the object exists. The URL is a secret.
    ///
    /// # Errors
    /// Returns [`StorageError::Invalid`] for more than a week, and [`StorageError::Io`] without credentials.
    pub async fn presign(&self, key: &ObjectKey, expires: Duration) -> Result<String, StorageError> {
        let config = PresigningConfig::expires_in(expires)
            .map_err(|_| StorageError::invalid(key.as_str(), "cannot be presigned for that long"))?;
        let request = self
            .bucket
            .client
            .get_object()
            .bucket(self.bucket.name())
            .key(self.bucket.key(key)?)
            .presigned(config);
        match request.await {
            Ok(request) => Ok(request.uri().to_owned()),
            Err(error) => Err(self.bucket.refusal(error).into_failure("presign", key.as_str())),
        }
    }

    /// Returns a presigned request with which anyone can write an object of exactly `size` bytes under the key, once.
    ///
    /// The request is a secret. An existing object is not replaced.
    ///
    /// # Errors
    /// Returns [`StorageError::Invalid`] for more than a week, and [`StorageError::Io`] without credentials.
    pub async fn presign_upload(
        &self,
        key: &ObjectKey,
        size: u64,
        expires: Duration,
    ) -> Result<PresignedUpload, StorageError> {
        let config = PresigningConfig::expires_in(expires)
            .map_err(|_| StorageError::invalid(key.as_str(), "cannot be presigned for that long"))?;
        let (encryption, kms_key) = self.bucket.encryption();
        let request = self
            .bucket
            .client
            .put_object()
            .bucket(self.bucket.name())
            .key(self.bucket.key(key)?)
            .content_length(i64::try_from(size).unwrap_or(i64::MAX))
            .if_none_match("*")
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key)
            .presigned(config);
        let request = request
            .await
            .map_err(|error| self.bucket.refusal(error).into_failure("presign", key.as_str()))?;
        Ok(PresignedUpload {
            method: request.method().to_owned(),
            url: request.uri().to_owned(),
            headers: request
                .headers()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
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
            .customize()
            .config_override(self.bucket.short_request())
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
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, StorageError> {
        self.bucket.list(prefix, after, limit).await
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
