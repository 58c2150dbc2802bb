//! A multipart upload, which is completed or aborted.

use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use crc_fast::Digest;
use tokio::runtime::Handle;

use super::S3Checksum;
use super::bucket::{Bucket, UPLOAD};
use super::error::Refusal;
use crate::storage::{IfExists, ObjectKey, PutOptions, StorageError};

/// The destination of an object.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) bucket: Arc<Bucket>,
    /// Name of the object in the bucket.
    pub(super) key: String,
    /// Key of the object in the store.
    pub(super) name: ObjectKey,
    pub(super) options: PutOptions,
    /// Unique identifier of this upload.
    pub(super) token: String,
}

impl Target {
    pub(super) fn new(
        bucket: Arc<Bucket>,
        name: ObjectKey,
        options: PutOptions,
    ) -> Result<Self, StorageError> {
        options.check(&name)?;
        if options.metadata.contains_key(UPLOAD) {
            return Err(StorageError::invalid(
                name.as_str(),
                "has metadata with a reserved name",
            ));
        }
        Ok(Self {
            key: bucket.key(&name)?,
            bucket,
            name,
            options,
            token: format!("{:032x}", fastrand::u128(..)),
        })
    }

    /// Returns the precondition for the write.
    fn if_none_match(&self) -> Option<String> {
        (self.options.if_exists == IfExists::Refuse).then(|| "*".to_owned())
    }

    fn metadata(&self) -> impl Iterator<Item = (String, String)> {
        let own = (UPLOAD.to_owned(), self.token.clone());
        self.options.metadata.clone().into_iter().chain([own])
    }

    /// Writes the whole object in one request.
    pub(super) async fn put(&self, bytes: Bytes, digest: &Digest) -> Result<(), Refusal> {
        let (encryption, key) = self.bucket.encryption();
        let checksum = self.bucket.options.checksum;
        let sum = checksum.text(digest);
        let put = self
            .bucket
            .client
            .put_object()
            .bucket(self.bucket.name())
            .key(&self.key)
            .set_metadata(Some(self.metadata().collect()))
            .set_if_none_match(self.if_none_match())
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .body(ByteStream::from(bytes));
        let put = match checksum {
            S3Checksum::Crc64Nvme => put.checksum_crc64_nvme(sum),
            S3Checksum::Crc32 => put.checksum_crc32(sum),
        };
        // The signature covers the checksum, which covers the bytes.
        let sent = put.customize().disable_payload_signing().send().await;
        sent.map(drop).map_err(|e| self.bucket.refusal(e))
    }
}

/// A multipart upload, aborted when it is dropped before completion.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) target: Arc<Target>,
    id: String,
    runtime: Handle,
    open: bool,
}

impl Upload {
    /// Starts an upload in a separate task, so that a dropped caller does not lose the upload id.
    pub(super) async fn start(target: Arc<Target>) -> Result<Self, StorageError> {
        let name = target.name.clone();
        let started = tokio::spawn(Self::create(target)).await;
        let started = started.map_err(std::io::Error::other);
        started.map_err(|e| StorageError::from_io("write", name.as_str(), e))?
    }

    async fn create(target: Arc<Target>) -> Result<Self, StorageError> {
        let bucket = &target.bucket;
        let (encryption, key) = bucket.encryption();
        let created = bucket
            .client
            .create_multipart_upload()
            .bucket(bucket.name())
            .key(&target.key)
            .set_metadata(Some(target.metadata().collect()))
            .checksum_algorithm(bucket.options.checksum.algorithm())
            .checksum_type(ChecksumType::FullObject)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .customize()
            .config_override(bucket.short_request())
            .send();
        let failed = |refusal: Refusal| refusal.into_failure("write", target.name.as_str());
        let created = created.await.map_err(|e| failed(bucket.refusal(e)))?;
        let Some(id) = created.upload_id else {
            let error = std::io::Error::other("the response contains no upload id");
            return Err(StorageError::from_io("write", target.name.as_str(), error));
        };
        Ok(Self {
            id,
            runtime: Handle::current(),
            open: true,
            target,
        })
    }

    /// Sends a part. The future does not borrow the upload.
    pub(super) fn part(
        &self,
        number: i32,
        bytes: Bytes,
        digest: &Digest,
    ) -> impl Future<Output = Result<CompletedPart, StorageError>> + Send + use<> {
        let target = Arc::clone(&self.target);
        let checksum = target.bucket.options.checksum;
        let sum = checksum.text(digest);
        let part = target
            .bucket
            .client
            .upload_part()
            .bucket(target.bucket.name())
            .key(&target.key)
            .upload_id(&self.id)
            .part_number(number)
            .body(ByteStream::from(bytes));
        let done = CompletedPart::builder().part_number(number);
        let (part, done) = match checksum {
            S3Checksum::Crc64Nvme => (part.checksum_crc64_nvme(&sum), done.checksum_crc64_nvme(sum)),
            S3Checksum::Crc32 => (part.checksum_crc32(&sum), done.checksum_crc32(sum)),
        };
        async move {
            let sent = part.customize().disable_payload_signing().send().await;
            let sent = sent.map_err(|e| target.bucket.refusal(e));
            let sent = sent.map_err(|refusal| refusal.into_failure("write", target.name.as_str()))?;
            Ok(done.set_e_tag(sent.e_tag).build())
        }
    }

    /// Completes the object from its parts.
    pub(super) async fn complete(
        &self,
        parts: &[CompletedPart],
        size: u64,
        digest: &Digest,
    ) -> Result<(), Refusal> {
        let target = &self.target;
        let checksum = target.bucket.options.checksum;
        let sum = checksum.text(digest);
        let all = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec()));
        let complete = target
            .bucket
            .client
            .complete_multipart_upload()
            .bucket(target.bucket.name())
            .key(&target.key)
            .upload_id(&self.id)
            .multipart_upload(all.build())
            .checksum_type(ChecksumType::FullObject)
            .mpu_object_size(i64::try_from(size).unwrap_or(i64::MAX))
            .set_if_none_match(target.if_none_match());
        let complete = match checksum {
            S3Checksum::Crc64Nvme => complete.checksum_crc64_nvme(sum),
            S3Checksum::Crc32 => complete.checksum_crc32(sum),
        };
        complete
            .send()
            .await
            .map(drop)
            .map_err(|e| target.bucket.refusal(e))
    }

    /// Returns the runtime on which a dropped upload is aborted.
    pub(super) fn runtime(&self) -> Handle {
        self.runtime.clone()
    }

    /// Records that the upload is complete.
    pub(super) fn completed(mut self) {
        self.open = false;
    }

    /// Aborts the upload. If that fails, the upload is left to [`super::S3Storage::abort_uploads`].
    pub(super) async fn abort(mut self) {
        self.target.abort(&self.id).await;
        self.open = false;
    }
}

impl Target {
    async fn abort(&self, id: &str) {
        if let Err(refusal) = self.bucket.abort(&self.key, id).await {
            let error = refusal.into_failure("abort the upload of", self.name.as_str());
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to abort upload");
        }
    }
}

impl Bucket {
    /// Aborts an upload; a missing upload is not an error.
    pub(super) async fn abort(&self, key: &str, id: &str) -> Result<(), Refusal> {
        let abort = self
            .client
            .abort_multipart_upload()
            .bucket(self.name())
            .key(key)
            .upload_id(id)
            .customize()
            .config_override(self.short_request())
            .send();
        match abort.await.map_err(|e| self.refusal(e)) {
            Err(refusal) if !refusal.is_missing_upload() => Err(refusal),
            _ => Ok(()),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.open {
            let (target, id) = (Arc::clone(&self.target), self.id.clone());
            self.runtime.spawn(async move { target.abort(&id).await });
        }
    }
}
