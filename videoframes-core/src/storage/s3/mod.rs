//! Objects in S3, and in stores that speak as it does.

mod checksum;
mod error;
mod options;
mod sink;
mod source;
mod unfinished;
mod upload;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::ChecksumMode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use self::options::{S3Encryption, S3Options};
pub use self::unfinished::UnfinishedUpload;

use self::checksum::Checksum;
use self::error::Asked;
use self::sink::S3Sink;
use self::source::{S3Object, unquoted};
use self::upload::{Target, WRITER};
use super::local::open_regular;
use super::{
    IfExists, ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, PutOptions, Sink, Storage, StorageError,
};
use crate::source::Source;

/// Most objects of one answer.
const PAGE: usize = 1000;
/// Bytes of a file that are read at once.
const CHUNK: usize = 4 << 20;
/// What stays as it is in the name of an object to be copied.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A bucket, or what lies in it below a prefix, as a [`Storage`]; clones share connections.
///
/// Objects are written as they grow: at once up to the size of a part, else by an upload in parts, several
/// at a time, each with a checksum. An upload that is not finished is given up, also where the sink is
/// dropped; only one of a process that was killed stays, and [`S3Storage::unfinished`] finds it. Where the
/// answer to a finished upload is lost, the object is looked at: its writer is noted in its metadata.
///
/// Reads ask for ranges of the version that was opened. Requests are tried again as the client's
/// configuration says; bodies that break off are asked for again here.
#[derive(Clone)]
pub struct S3Storage {
    client: Client,
    options: Arc<S3Options>,
}

impl S3Storage {
    /// The bucket of these options. Nothing is asked of it yet: see [`S3Storage::check`].
    pub fn new(config: &SdkConfig, options: S3Options) -> Self {
        let timeouts = config
            .timeout_config()
            .cloned()
            .map_or_else(TimeoutConfig::builder, |timeouts| timeouts.into_builder());
        let timeouts = timeouts
            .operation_attempt_timeout(options.attempt_timeout)
            .operation_timeout(options.timeout)
            .build();
        let config = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(options.path_style)
            .timeout_config(timeouts);
        Self {
            client: Client::from_conf(config.build()),
            options: Arc::new(options),
        }
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.options.bucket
    }

    /// Asks whether the bucket is there and may be used with these credentials.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] with the bucket's name where there is none, else what the store said.
    pub async fn check(&self) -> Result<(), StorageError> {
        let asked = Asked {
            action: "use the bucket",
            name: self.bucket(),
        };
        // A list and not a HEAD: that one has no body to say what is wrong.
        let listed = self
            .client
            .list_objects_v2()
            .bucket(self.bucket())
            .max_keys(1)
            .send()
            .await;
        listed.map(drop).map_err(|error| asked.failed(&error))
    }

    /// Makes an object of another one of this store, without reading it: at most 5 GiB.
    ///
    /// # Errors
    /// As [`Storage::create`] and [`Sink::finish`]; [`StorageError::NotFound`] where there is no other one.
    pub async fn copy(&self, from: &ObjectKey, to: &ObjectKey) -> Result<(), StorageError> {
        let source = format!("{}/{}", self.bucket(), self.path(from));
        let copied = self
            .client
            .copy_object()
            .bucket(self.bucket())
            .key(self.path(to))
            .copy_source(utf8_percent_encode(&source, PATH).to_string())
            .send()
            .await;
        copied
            .map(drop)
            .map_err(|error| asked("copy", from).failed(&error))
    }

    /// An address from which anyone can read an object, for at most a week and as long as the credentials
    /// last. Whether there is one is not looked at.
    ///
    /// # Errors
    /// [`StorageError::Io`] where there are no credentials; [`StorageError::Invalid`] for a longer time.
    pub async fn presign(&self, key: &ObjectKey, lasts: Duration) -> Result<String, StorageError> {
        let lasts = PresigningConfig::expires_in(lasts).map_err(|_| {
            StorageError::invalid(key.as_str(), "cannot have an address for longer than a week")
        })?;
        let get = self.client.get_object().bucket(self.bucket()).key(self.path(key));
        let signed = get.presigned(lasts).await;
        let signed = signed.map_err(|error| asked("sign an address of", key).failed(&error))?;
        Ok(signed.uri().to_owned())
    }

    /// The key as the bucket has it.
    fn path(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.prefix())
    }

    fn prefix(&self) -> String {
        match &self.options.prefix {
            Some(prefix) => format!("{prefix}/"),
            None => String::new(),
        }
    }

    async fn look(
        &self,
        action: &'static str,
        key: &ObjectKey,
        version: &ObjectVersion,
    ) -> Result<HeadObjectOutput, StorageError> {
        let head = self
            .client
            .head_object()
            .bucket(self.bucket())
            .key(self.path(key))
            .set_version_id(version.id.clone())
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        let head = head.map_err(|error| match (error::status(&error), &version.id) {
            // A text that is no name of a version.
            (Some(400), Some(_)) => StorageError::NotFound(key.to_string()),
            _ => asked(action, key).failed(&error),
        })?;
        match &version.etag {
            Some(etag) if head.e_tag().map(unquoted) != Some(etag) => {
                Err(StorageError::Changed(key.to_string()))
            }
            _ => Ok(head),
        }
    }
}

fn asked<'a>(action: &'static str, key: &'a ObjectKey) -> Asked<'a> {
    Asked {
        action,
        name: key.as_str(),
    }
}

fn time(time: Option<&DateTime>) -> SystemTime {
    let time = time.and_then(|time| SystemTime::try_from(*time).ok());
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

fn length(length: Option<i64>) -> u64 {
    length
        .and_then(|length| u64::try_from(length).ok())
        .unwrap_or_default()
}

impl fmt::Debug for S3Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Storage")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for S3Storage {
    async fn head(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<ObjectInfo, StorageError> {
        let head = self.look("look at", key, version).await?;
        let mut metadata: BTreeMap<String, String> =
            head.metadata().cloned().unwrap_or_default().into_iter().collect();
        metadata.remove(WRITER);
        Ok(ObjectInfo {
            size: length(head.content_length()),
            version: head.version_id().filter(|id| *id != "null").map(str::to_owned),
            etag: head.e_tag().map(unquoted).unwrap_or_default().to_owned(),
            modified: time(head.last_modified()),
            metadata,
        })
    }

    async fn open(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Arc<dyn Source>, StorageError> {
        let head = self.look("open", key, version).await?;
        Ok(Arc::new(S3Object {
            client: self.client.clone(),
            bucket: self.options.bucket.clone(),
            path: self.path(key),
            key: key.clone(),
            size: length(head.content_length()),
            etag: head.e_tag().map(unquoted).unwrap_or_default().to_owned(),
            version: version.id.clone(),
            checksum: Checksum::of(&head),
            attempt_timeout: self.options.attempt_timeout,
            window: tokio::sync::Mutex::default(),
        }))
    }

    async fn create(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<dyn Sink>, StorageError> {
        options.check(key)?;
        if options.if_exists == IfExists::Refuse {
            match self.look("write", key, &ObjectVersion::CURRENT).await {
                Ok(_) => return Err(StorageError::AlreadyExists(key.to_string())),
                Err(StorageError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Box::new(S3Sink::new(Target {
            client: self.client.clone(),
            options: Arc::clone(&self.options),
            key: key.clone(),
            path: self.path(key),
            put: options.clone(),
            writer: writer(),
        })))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let deleted = self
            .client
            .delete_object()
            .bucket(self.bucket())
            .key(self.path(key))
            .send()
            .await;
        match deleted.map_err(|error| asked("delete", key).failed(&error)) {
            Ok(_) | Err(StorageError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        most: usize,
    ) -> Result<Vec<ObjectEntry>, StorageError> {
        let (own, mut found) = (self.prefix(), Vec::new());
        let mut after = after.map(|key| self.path(key));
        while found.len() < most {
            let page = self
                .client
                .list_objects_v2()
                .bucket(self.bucket())
                .prefix(format!("{own}{prefix}"))
                .set_start_after(after.take())
                .max_keys(i32::try_from(PAGE.min(most - found.len())).unwrap_or(1))
                .send()
                .await;
            let about = Asked {
                action: "list",
                name: prefix,
            };
            let page = page.map_err(|error| about.failed(&error))?;
            after = page
                .contents()
                .last()
                .and_then(|object| object.key())
                .map(str::to_owned);
            // What has a name that no key of ours can have is none of ours.
            found.extend(page.contents().iter().filter_map(|object| {
                Some(ObjectEntry {
                    key: object.key()?.strip_prefix(&own)?.parse().ok()?,
                    size: length(object.size()),
                    modified: time(object.last_modified()),
                })
            }));
            if !page.is_truncated().unwrap_or_default() || after.is_none() {
                break;
            }
        }
        Ok(found)
    }

    async fn import(&self, key: &ObjectKey, path: &Path, options: &PutOptions) -> Result<(), StorageError> {
        let failed = |error| StorageError::from_io("read", &path.to_string_lossy(), error);
        let named = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || open_regular(&named)).await;
        let mut file = opened.map_err(std::io::Error::other).flatten().map_err(failed)?;
        let mut sink = self.create(key, options).await?;
        loop {
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = Vec::with_capacity(CHUNK);
                std::io::Read::read_to_end(&mut std::io::Read::take(&mut file, CHUNK as u64), &mut bytes)?;
                std::io::Result::Ok((file, bytes))
            });
            let bytes;
            (file, bytes) = read
                .await
                .map_err(std::io::Error::other)
                .flatten()
                .map_err(failed)?;
            if bytes.is_empty() {
                return sink.finish().await;
            }
            sink.write(bytes.into()).await?;
        }
    }
}

/// A name that no other writer has.
fn writer() -> String {
    use std::hash::{BuildHasher, RandomState};
    // Each state is seeded by the system, and the time is another one for each call.
    let part = || RandomState::new().hash_one(SystemTime::now());
    format!("{:016x}{:016x}", part(), part())
}
