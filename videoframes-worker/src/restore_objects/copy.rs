//! Copies a version of an object over its current version, with its metadata.

use std::collections::HashMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
    ServerSideEncryption, StorageClass, TaggingDirective,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use videoframes_core::storage::S3Encryption;

use super::fault;
use crate::aws::Refusal;

/// Maximum size of an object that S3 copies in one request.
const MAX_SINGLE: u64 = 5 << 30;
/// Size of a part of a larger copy: the maximum object (5 TiB) then has 5120 parts.
const PART: u64 = 1 << 30;
/// Metadata name of a writer's token (`videoframes-core`): it identifies the content, whatever the checksums.
const UPLOAD: &str = "vf-upload";
/// Characters that a copy source need not escape.
const KEY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Copies versions within one bucket.
#[derive(Debug, Clone)]
pub(super) struct Copier {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) encryption: S3Encryption,
    max_single: u64,
    part: u64,
}

/// A version of an object.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) key: String,
    pub(super) id: String,
    pub(super) size: u64,
}

impl Copier {
    pub(super) fn new(client: Client, bucket: String, encryption: S3Encryption) -> Self {
        Self {
            client,
            bucket,
            encryption,
            max_single: MAX_SINGLE,
            part: PART,
        }
    }

    /// Returns whether two versions have the same content and metadata, as far as the store knows.
    pub(super) async fn is_same(&self, version: &Version, other: &str) -> Result<bool, Refusal> {
        let (left, right) = (
            self.head(version, &version.id).await?,
            self.head(version, other).await?,
        );
        Ok(is_same(&left, &right, &version.id))
    }

    async fn head(&self, version: &Version, id: &str) -> Result<HeadObjectOutput, Refusal> {
        let request = self.client.head_object().bucket(&self.bucket).key(&version.key);
        let head = request
            .version_id(id)
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        let what = format!("read the metadata of a version of '{}'", version.key);
        head.map_err(|error| Refusal::new("s3:GetObjectVersion", what, &error))
    }

    /// Makes a copy of the version the current version.
    pub(super) async fn copy(&self, version: &Version) -> Result<(), Refusal> {
        match version.size > self.max_single {
            true => self.copy_parts(version).await,
            false => self.copy_whole(version).await,
        }
    }

    fn source(&self, version: &Version) -> String {
        let [key, id] = [&version.key, &version.id].map(|text| utf8_percent_encode(text, KEY).to_string());
        format!("{}/{key}?versionId={id}", self.bucket)
    }

    fn refusal<E>(
        version: &Version,
        error: &aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
    ) -> Refusal
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        let what = format!("copy the version {} of '{}'", version.id, version.key);
        Refusal::new("s3:PutObject", what, error)
    }

    /// Returns the encryption to request, and its key.
    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match &self.encryption {
            S3Encryption::Bucket => (None, None),
            S3Encryption::S3 => (Some(ServerSideEncryption::Aes256), None),
            S3Encryption::Kms(key) => (Some(ServerSideEncryption::AwsKms), key.clone()),
        }
    }

    /// S3 copies the metadata, tags and checksum itself.
    async fn copy_whole(&self, version: &Version) -> Result<(), Refusal> {
        let (encryption, key) = self.encryption();
        let request = self.client.copy_object().bucket(&self.bucket).key(&version.key);
        let copied = request
            .copy_source(self.source(version))
            .tagging_directive(TaggingDirective::Copy)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .send()
            .await;
        copied.map(drop).map_err(|error| Self::refusal(version, &error))
    }

    async fn copy_parts(&self, version: &Version) -> Result<(), Refusal> {
        let head = self.head(version, &version.id).await?;
        let upload = self.begin(version, &head).await?;
        let copied = self.copy_into(version, &upload, &head).await;
        if copied.is_err() {
            let request = self.client.abort_multipart_upload().bucket(&self.bucket);
            // A lifecycle rule aborts what remains.
            let _ = request.key(&version.key).upload_id(&upload).send().await;
        }
        copied
    }

    /// Begins an upload with the metadata and tags of the version.
    async fn begin(&self, version: &Version, head: &HeadObjectOutput) -> Result<String, Refusal> {
        let (encryption, key) = self.encryption();
        let has_crc64 = head.checksum_crc64_nvme().is_some();
        let mut metadata = head.metadata.clone().unwrap_or_default();
        // Without a token, a second run may be unable to recognize the copy: its ETag differs.
        metadata
            .entry(UPLOAD.to_owned())
            .or_insert_with(|| restored(&version.id));
        let request = self.client.create_multipart_upload().bucket(&self.bucket);
        let begun = request
            .key(&version.key)
            .set_metadata(Some(metadata))
            .set_content_type(head.content_type.clone())
            .set_cache_control(head.cache_control.clone())
            .set_content_disposition(head.content_disposition.clone())
            .set_content_encoding(head.content_encoding.clone())
            .set_content_language(head.content_language.clone())
            .set_storage_class(
                head.storage_class
                    .clone()
                    .filter(|class| *class != StorageClass::Glacier),
            )
            .set_tagging(self.tagging(version, head).await?)
            .set_checksum_algorithm(has_crc64.then_some(ChecksumAlgorithm::Crc64Nvme))
            .set_checksum_type(has_crc64.then_some(ChecksumType::FullObject))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .send()
            .await;
        let begun = begun.map_err(|error| Self::refusal(version, &error))?;
        Ok(begun.upload_id.unwrap_or_default())
    }

    /// Returns the tags of the version in the form of a header.
    async fn tagging(&self, version: &Version, head: &HeadObjectOutput) -> Result<Option<String>, Refusal> {
        if head.tag_count().unwrap_or_default() == 0 {
            return Ok(None);
        }
        let request = self.client.get_object_tagging().bucket(&self.bucket);
        let tags = request.key(&version.key).version_id(&version.id).send().await;
        let what = format!("read the tags of a version of '{}'", version.key);
        let tags = tags.map_err(|error| Refusal::new("s3:GetObjectVersionTagging", what, &error))?;
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let tags = tags.tag_set().iter();
        let tags = tags.map(|tag| format!("{}={}", encode(tag.key()), encode(tag.value())));
        Ok(Some(tags.collect::<Vec<_>>().join("&")))
    }

    async fn copy_into(
        &self,
        version: &Version,
        upload: &str,
        head: &HeadObjectOutput,
    ) -> Result<(), Refusal> {
        let mut parts = CompletedMultipartUpload::builder();
        for (number, start) in
            (1..).zip((0..version.size).step_by(usize::try_from(self.part).unwrap_or(usize::MAX)))
        {
            let end = version.size.min(start + self.part) - 1;
            let request = self.client.upload_part_copy().bucket(&self.bucket);
            let copied = request
                .key(&version.key)
                .upload_id(upload)
                .part_number(number)
                .copy_source(self.source(version))
                .copy_source_range(format!("bytes={start}-{end}"))
                .send()
                .await;
            let copied = copied.map_err(|error| Self::refusal(version, &error))?;
            let result = copied
                .copy_part_result
                .unwrap_or_else(|| aws_sdk_s3::types::CopyPartResult::builder().build());
            let part = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(result.e_tag)
                .set_checksum_crc64_nvme(result.checksum_crc64_nvme);
            parts = parts.parts(part.build());
            fault::reached("part_copied");
        }
        let request = self.client.complete_multipart_upload().bucket(&self.bucket);
        let done = request
            .key(&version.key)
            .upload_id(upload)
            .multipart_upload(parts.build())
            // S3 verifies the checksum of the version.
            .set_checksum_crc64_nvme(head.checksum_crc64_nvme.clone())
            .send()
            .await;
        done.map(drop).map_err(|error| Self::refusal(version, &error))
    }
}

/// Returns the token of a copy of a version without a token.
fn restored(id: &str) -> String {
    format!("restored-{id}")
}

/// Returns whether `copy` is a copy of `version`, which has this identifier.
fn is_same(version: &HeadObjectOutput, copy: &HeadObjectOutput, id: &str) -> bool {
    let metadata = |head: &HeadObjectOutput| {
        let mut metadata: HashMap<String, String> = head.metadata.clone().unwrap_or_default();
        let token = metadata.remove(UPLOAD);
        (metadata, token)
    };
    let ((left, token), (right, copied)) = (metadata(version), metadata(copy));
    let token = token.unwrap_or_else(|| restored(id));
    let checksum = |head: &HeadObjectOutput| head.checksum_crc64_nvme().map(str::to_owned);
    let same_bytes = version.e_tag == copy.e_tag
        || copied.is_some_and(|copied| copied == token)
        || (checksum(version).is_some() && checksum(version) == checksum(copy));
    same_bytes && left == right && version.content_type == copy.content_type
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn head(etag: &str, metadata: &[(&str, &str)]) -> HeadObjectOutput {
        let metadata = metadata
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        HeadObjectOutput::builder()
            .e_tag(etag)
            .content_type("application/zip")
            .set_metadata(Some(metadata.collect()))
            .build()
    }

    /// Copies an object of three parts. Needs the store in `VF_TEST_S3`.
    #[tokio::test]
    async fn a_large_object_is_copied_in_parts_with_its_metadata() {
        const MIB: usize = 1 << 20;
        let Ok(url) = std::env::var("VF_TEST_S3") else {
            eprintln!("skipped: VF_TEST_S3 names no server");
            return;
        };
        let credentials =
            aws_sdk_s3::config::Credentials::new("videoframes", "videoframes-secret", None, None, "test");
        let config = aws_sdk_s3::config::Builder::new()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .region(aws_sdk_s3::config::Region::new("us-east-1"))
            .endpoint_url(url)
            .credentials_provider(credentials)
            .force_path_style(true);
        let client = Client::from_conf(config.build());
        let bucket = format!("vf-{}", uuid::Uuid::new_v4().simple());
        client.create_bucket().bucket(&bucket).send().await.unwrap();
        let versioned = aws_sdk_s3::types::VersioningConfiguration::builder()
            .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled);
        let request = client.put_bucket_versioning().bucket(&bucket);
        request
            .versioning_configuration(versioned.build())
            .send()
            .await
            .unwrap();
        let content: Vec<u8> = (0..11 * MIB).map(|byte| (byte / 1000) as u8).collect();
        let put = client
            .put_object()
            .bucket(&bucket)
            .key("a b+c")
            .content_type("video/mp4");
        let put = put.metadata("vf-job", "1").body(content.clone().into());
        let id = put.send().await.unwrap().version_id.unwrap();
        let version = Version {
            key: "a b+c".to_owned(),
            id,
            size: content.len() as u64,
        };
        let put = client.put_object().bucket(&bucket).key("a b+c");
        put.body(vec![1].into()).send().await.unwrap();
        let copier = Copier {
            max_single: 5 * MIB as u64,
            part: 5 * MIB as u64,
            ..Copier::new(client.clone(), bucket.clone(), S3Encryption::Bucket)
        };
        copier.copy(&version).await.unwrap();
        let copy = client
            .get_object()
            .bucket(&bucket)
            .key("a b+c")
            .send()
            .await
            .unwrap();
        assert_eq!(copy.content_type(), Some("video/mp4"));
        assert_eq!(copy.metadata().unwrap()["vf-job"], "1");
        let current = copy.version_id().unwrap().to_owned();
        assert!(copy.body.collect().await.unwrap().to_vec() == content);
        assert!(copier.is_same(&version, &current).await.unwrap());
    }

    #[test]
    fn a_copy_is_recognized_by_etag_or_token() {
        let version = head("a", &[("vf-job", "1"), (UPLOAD, "u")]);
        let plain = head("a", &[]);
        for (left, right, expected) in [
            (&version, head("a", &[("vf-job", "1"), (UPLOAD, "u")]), true),
            (&version, head("b-2", &[("vf-job", "1"), (UPLOAD, "u")]), true),
            (&version, head("b-2", &[("vf-job", "1"), (UPLOAD, "w")]), false),
            (&version, head("a", &[("vf-job", "2"), (UPLOAD, "u")]), false),
            (&plain, head("a", &[]), true),
            (&plain, head("b-2", &[(UPLOAD, "restored-9")]), true),
            (&plain, head("b-2", &[(UPLOAD, "restored-8")]), false),
            (&plain, head("b", &[]), false),
        ] {
            assert_eq!(is_same(left, &right, "9"), expected, "{right:?}");
        }
    }
}
