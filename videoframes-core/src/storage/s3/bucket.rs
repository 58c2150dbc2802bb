//! The bucket, and requests for one object.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ChecksumMode, ServerSideEncryption};

use super::checksum::WholeChecksum;
use super::error::Refusal;
use super::retry::Expired;
use super::{S3Encryption, S3Options, progress};
use crate::aws::{Measure, SdkConfig, Service};
use crate::storage::{ObjectInfo, ObjectKey, ObjectVersion, StorageError};

/// Metadata name of the upload that created an object.
pub(super) const UPLOAD: &str = "vf-upload";
/// Maximum size of a key in bytes.
const KEY_BYTES: usize = 1024;
/// Suffix of directory buckets (S3 Express), whose ETags are never an MD5.
const DIRECTORY_BUCKET: &str = "--x-s3";

/// A bucket, or the objects under a prefix of a bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) client: Client,
    pub(super) options: S3Options,
}

/// The result of a HEAD request.
pub(super) struct Head {
    pub(super) info: ObjectInfo,
    pub(super) checksum: Option<WholeChecksum>,
    /// Upload that created the object, if it was written by this store.
    pub(super) upload: Option<String>,
}

impl Bucket {
    pub(super) fn new(config: &SdkConfig, options: S3Options) -> Self {
        let timeouts = config
            .timeout_config()
            .map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        let timeouts = timeouts
            .operation_attempt_timeout(options.attempt_timeout)
            .operation_timeout(options.operation_timeout)
            .build();
        let stall = StalledStreamProtectionConfig::enabled().grace_period(options.stall);
        let http_client = progress::client(config, options.stall);
        let config = Builder::from(config)
            .force_path_style(options.path_style)
            .timeout_config(timeouts)
            .stalled_stream_protection(stall.build())
            .http_client(http_client)
            .retry_classifier(Expired)
            .interceptor(Measure(Service::Store))
            // Checksums are computed here: many stores do not support the trailing checksums of the client.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Self {
            client: Client::from_conf(config),
            options,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.options.bucket
    }

    /// Returns the name of an object in the bucket.
    pub(super) fn key(&self, key: &ObjectKey) -> Result<String, StorageError> {
        let name = format!("{}{key}", self.options.prefix);
        if name.len() > KEY_BYTES {
            return Err(StorageError::invalid(key.as_str(), "has a name that is too long"));
        }
        Ok(name)
    }

    pub(super) fn refusal<E>(
        &self,
        error: aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
    ) -> Refusal
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        Refusal::from_sdk(error, self.name())
    }

    /// Returns the configuration of a request without a body whose response begins soon. The timeout for slow uploads would let
    /// a silent connection delay it for minutes.
    pub(super) fn short_request(&self) -> Builder {
        let timeout = self.options.stall.min(self.options.attempt_timeout);
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(timeout);
        Builder::new().timeout_config(timeouts.build())
    }

    /// Returns the encryption to request, and its key.
    pub(super) fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match &self.options.encryption {
            S3Encryption::Bucket => (None, None),
            S3Encryption::S3 => (Some(ServerSideEncryption::Aes256), None),
            S3Encryption::Kms(key) => (Some(ServerSideEncryption::AwsKms), key.clone()),
        }
    }

    /// Sends a HEAD request, without a further request for a missing reason.
    pub(super) async fn try_head(&self, key: &str, id: Option<&str>) -> Result<Head, Refusal> {
        let head = self
            .client
            .head_object()
            .bucket(self.name())
            .key(key)
            .set_version_id(id.map(str::to_owned))
            .checksum_mode(ChecksumMode::Enabled)
            .customize()
            .config_override(self.short_request())
            .send();
        let head = head.await.map_err(|e| self.refusal(e))?;
        Ok(self.head_of(head))
    }

    /// Returns the metadata of a version of an object.
    pub(super) async fn head(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Head, StorageError> {
        let name = self.key(key)?;
        let id = version.id.as_deref();
        let head = match self.try_head(&name, id).await {
            Ok(head) => head,
            Err(refusal) if refusal.is_unexplained() => {
                return Err(self
                    .explain(&name, id, refusal)
                    .await
                    .into_error("read the metadata of", key.as_str()));
            }
            Err(refusal) => return Err(refusal.into_error("read the metadata of", key.as_str())),
        };
        match &version.etag {
            Some(etag) if unquoted(etag) != head.info.etag => Err(StorageError::Changed(key.to_string())),
            _ => Ok(head),
        }
    }

    /// Returns the reason of a failed HEAD request. Its response has no body, so a missing bucket and a
    /// missing object look the same.
    async fn explain(&self, key: &str, id: Option<&str>, refusal: Refusal) -> Refusal {
        let byte = self
            .client
            .get_object()
            .bucket(self.name())
            .key(key)
            .set_version_id(id.map(str::to_owned))
            .range("bytes=0-0")
            .customize()
            .config_override(self.short_request())
            .send();
        match byte.await {
            Ok(_) => refusal,
            Err(error) => self.refusal(error),
        }
    }

    /// Lists one object, which fails if bucket, region or credentials are wrong.
    pub(super) async fn check(&self) -> Result<(), StorageError> {
        let list = self
            .client
            .list_objects_v2()
            .bucket(self.name())
            .prefix(&self.options.prefix)
            .max_keys(1)
            .customize()
            .config_override(self.short_request())
            .send();
        match list.await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refusal(error).into_failure("access the bucket", self.name())),
        }
    }

    fn head_of(&self, head: HeadObjectOutput) -> Head {
        let checksum = WholeChecksum::from_head(&head, !self.name().ends_with(DIRECTORY_BUCKET));
        let mut metadata: std::collections::BTreeMap<String, String> = head
            .metadata
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let upload = metadata.remove(UPLOAD);
        let info = ObjectInfo {
            size: head
                .content_length
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or(0),
            // The version of objects that were written before the bucket was versioned.
            version: head.version_id.filter(|id| id != "null"),
            etag: unquoted(head.e_tag.as_deref().unwrap_or_default()).to_owned(),
            modified: time(head.last_modified.as_ref()),
            metadata,
        };
        Head {
            info,
            checksum,
            upload,
        }
    }
}

/// Strips the quotes of an ETag, which some responses have and others lack.
pub(super) fn unquoted(etag: &str) -> &str {
    etag.strip_prefix('"')
        .and_then(|etag| etag.strip_suffix('"'))
        .unwrap_or(etag)
}

/// Converts a time to whole seconds, the precision of HTTP headers.
pub(super) fn time(time: Option<&DateTime>) -> SystemTime {
    let seconds = time.map_or(0, DateTime::secs);
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
