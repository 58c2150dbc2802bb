//! One upload in parts: begun, filled, and finished or given up.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::{IfExists, ObjectKey, PutOptions, StorageError};
use super::error::{Asked, code, is_doubtful, status};
use super::options::{S3Encryption, S3Options};

/// Metadata by which a writer knows its own object again; not shown to others.
pub(super) const WRITER: &str = "vf-writer";
/// How often a finished upload is looked for whose answer was lost.
const LOOKS: u32 = 3;

/// What is to be written, and where.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) client: Client,
    pub(super) options: Arc<S3Options>,
    pub(super) key: ObjectKey,
    /// The key with the prefix.
    pub(super) path: String,
    pub(super) put: PutOptions,
    /// Another one for every writer.
    pub(super) writer: String,
}

/// What a request that writes was answered with.
enum Answer {
    Written,
    Failed(StorageError),
    /// It may have been done all the same.
    Doubtful(StorageError),
}

impl Target {
    fn asked(&self) -> Asked<'_> {
        Asked {
            action: "write",
            name: self.key.as_str(),
        }
    }

    fn metadata(&self) -> Option<std::collections::HashMap<String, String>> {
        let mut metadata = self.put.metadata.clone();
        metadata.insert(WRITER.to_owned(), self.writer.clone());
        Some(metadata.into_iter().collect())
    }

    fn condition(&self) -> Option<String> {
        (self.put.if_exists == IfExists::Refuse).then(|| "*".to_owned())
    }

    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match &self.options.encryption {
            S3Encryption::Bucket => (None, None),
            S3Encryption::S3 => (Some(ServerSideEncryption::Aes256), None),
            S3Encryption::Kms(key) => (Some(ServerSideEncryption::AwsKms), key.clone()),
        }
    }

    /// Writes an object at once.
    pub(super) async fn put(&self, bytes: Bytes) -> Result<(), StorageError> {
        let (encryption, kms_key) = self.encryption();
        let answer = self
            .client
            .put_object()
            .bucket(&self.options.bucket)
            .key(&self.path)
            .set_metadata(self.metadata())
            .set_if_none_match(self.condition())
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .body(bytes.into())
            .send()
            .await;
        self.settle(match answer {
            Ok(_) => Answer::Written,
            Err(error) => self.judge(&error),
        })
        .await
    }

    fn judge<E>(
        &self,
        error: &aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
    ) -> Answer
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        match (status(error), code(error)) {
            // The client may have asked twice, and the first time it was done.
            (Some(412 | 409), _) => Answer::Doubtful(StorageError::AlreadyExists(self.key.to_string())),
            (Some(404), Some("NoSuchUpload")) => {
                Answer::Doubtful(self.asked().io("its unfinished upload was removed by somebody"))
            }
            _ => match self.asked().failed(error) {
                failed if is_doubtful(error) => Answer::Doubtful(failed),
                failed => Answer::Failed(failed),
            },
        }
    }

    /// Where a request may have been done in spite of its answer, the object tells.
    async fn settle(&self, answer: Answer) -> Result<(), StorageError> {
        let failed = match answer {
            Answer::Written => return Ok(()),
            Answer::Failed(error) => return Err(error),
            Answer::Doubtful(error) => error,
        };
        for _ in 0..LOOKS {
            let head = self
                .client
                .head_object()
                .bucket(&self.options.bucket)
                .key(&self.path);
            match head.send().await {
                Ok(head) => {
                    let writer = head.metadata().and_then(|metadata| metadata.get(WRITER));
                    return match writer == Some(&self.writer) {
                        true => Ok(()),
                        false => Err(failed),
                    };
                }
                // Another writer was refused as well, or has been removed.
                Err(error) if status(&error) == Some(404) => {
                    return Err(match failed {
                        StorageError::AlreadyExists(_) => {
                            self.asked().io("another was being written at the same time")
                        }
                        failed => failed,
                    });
                }
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
            }
        }
        Err(failed)
    }
}

/// An upload in parts. Dropped unfinished, it is given up.
pub(super) struct Upload {
    target: Target,
    id: String,
    parts: JoinSet<Result<CompletedPart, StorageError>>,
    done: BTreeMap<i32, CompletedPart>,
    /// Number of the part that comes next.
    pub(super) next: i32,
    room: Arc<Semaphore>,
    open: bool,
}

impl Upload {
    pub(super) async fn begin(target: Target) -> Result<Self, StorageError> {
        let (encryption, kms_key) = target.encryption();
        let begun = target
            .client
            .create_multipart_upload()
            .bucket(&target.options.bucket)
            .key(&target.path)
            .set_metadata(target.metadata())
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .send()
            .await;
        let begun = begun.map_err(|error| target.asked().failed(&error))?;
        let id = begun
            .upload_id
            .ok_or_else(|| target.asked().io("the store names no upload"))?;
        let room = Arc::new(Semaphore::new(target.options.parts.max(1)));
        Ok(Self {
            target,
            id,
            parts: JoinSet::new(),
            done: BTreeMap::new(),
            next: 1,
            room,
            open: true,
        })
    }

    /// Sends the next part as soon as there is room for it; fails where an earlier one has.
    pub(super) async fn part(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        let room = Arc::clone(&self.room);
        let permit = loop {
            tokio::select! {
                biased;
                Some(part) = self.parts.join_next() => self.took(part)?,
                permit = Arc::clone(&room).acquire_owned() => break permit,
            }
        };
        let (target, id, number) = (self.target.clone(), self.id.clone(), self.next);
        self.next += 1;
        self.parts.spawn(async move {
            let _permit = permit;
            let sent = target
                .client
                .upload_part()
                .bucket(&target.options.bucket)
                .key(&target.path)
                .upload_id(id)
                .part_number(number)
                .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                .body(bytes.into())
                .send()
                .await;
            let sent = sent.map_err(|error| target.asked().failed(&error))?;
            Ok(CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag)
                .set_checksum_crc64_nvme(sent.checksum_crc64_nvme)
                .build())
        });
        Ok(())
    }

    fn took(
        &mut self,
        part: Result<Result<CompletedPart, StorageError>, tokio::task::JoinError>,
    ) -> Result<(), StorageError> {
        let part = part.map_err(|error| self.target.asked().io(error.to_string()))??;
        self.done.insert(part.part_number.unwrap_or_default(), part);
        Ok(())
    }

    /// Makes an object of the parts, or gives them up.
    pub(super) async fn finish(mut self) -> Result<(), StorageError> {
        match self.complete().await {
            Ok(()) => {
                self.open = false;
                Ok(())
            }
            Err(error) => {
                self.abort().await;
                Err(error)
            }
        }
    }

    async fn complete(&mut self) -> Result<(), StorageError> {
        while let Some(part) = self.parts.join_next().await {
            self.took(part)?;
        }
        let parts = std::mem::take(&mut self.done).into_values().collect();
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let target = &self.target;
        let answer = target
            .client
            .complete_multipart_upload()
            .bucket(&target.options.bucket)
            .key(&target.path)
            .upload_id(&self.id)
            .set_if_none_match(target.condition())
            .multipart_upload(parts)
            .send()
            .await;
        target
            .settle(match answer {
                Ok(_) => Answer::Written,
                Err(error) => target.judge(&error),
            })
            .await
    }

    /// Gives it up. Where that cannot be said, whoever sweeps the store finds it.
    pub(super) async fn abort(mut self) {
        self.open = false;
        // A part that arrives afterwards would stay.
        self.parts.shutdown().await;
        give_up(&self.target, &self.id).await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        self.parts.abort_all();
        // Without a runtime there is nobody left to say it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (target, id) = (self.target.clone(), std::mem::take(&mut self.id));
            let mut parts = std::mem::take(&mut self.parts);
            runtime.spawn(async move {
                parts.shutdown().await;
                give_up(&target, &id).await;
            });
        }
    }
}

async fn give_up(target: &Target, id: &str) {
    let aborted = target
        .client
        .abort_multipart_upload()
        .bucket(&target.options.bucket)
        .key(&target.path)
        .upload_id(id)
        .send()
        .await;
    match aborted {
        Err(error) if status(&error) != Some(404) => {
            let error = target.asked().failed(&error);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                key = %target.key,
                "an unfinished upload is left to the next sweep"
            );
        }
        _ => {}
    }
}
