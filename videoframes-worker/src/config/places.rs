//! Locations of jobs, objects, messages and temporary files.

use std::path::PathBuf;

use videoframes_core::aws::s3_endpoint_is_set;
use videoframes_core::storage::S3Encryption;

use super::address::{QueuePlace, StoragePlace, bucket_names, storage};
use super::inputs::InputPlaces;
use super::values::Reader;
use crate::args::LocationArgs;

/// The configured locations.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) database_url: String,
    /// The same database without a connection pooler.
    pub(crate) database_direct_url: Option<String>,
    pub(crate) storage: StoragePlace,
    /// Buckets of source videos, in addition to the store.
    pub(crate) sources: Vec<String>,
    pub(crate) inputs: InputPlaces,
    pub(crate) notifier: QueuePlace,
    pub(crate) dead_letter_queue: QueuePlace,
    pub(crate) scratch: PathBuf,
    pub(crate) s3: S3Settings,
}

/// Settings for requests to buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct S3Settings {
    /// Whether the bucket is in the path rather than in the host name; by default, if an endpoint is set.
    pub(crate) path_style: bool,
    /// Requested encryption of results.
    pub(crate) encryption: S3Encryption,
}

impl Places {
    pub(super) fn read(location: &LocationArgs, read: &mut Reader) -> Self {
        let scratch = read.optional("VF_SCRATCH", |text| Ok(PathBuf::from(text)));
        let inputs = read.get("VF_INPUT_QUEUE", InputPlaces::parse);
        let notifier = read.get("VF_NOTIFIER_QUEUE", QueuePlace::parse);
        let dead_letter_queue = read.get("VF_DEAD_LETTER_QUEUE", QueuePlace::parse);
        let is_other = |queue: &QueuePlace| *queue == notifier || *queue == dead_letter_queue;
        if inputs.iter().any(|input| is_other(&input.queue)) || notifier == dead_letter_queue {
            read.record(
                "VF_INPUT_QUEUE, VF_NOTIFIER_QUEUE and VF_DEAD_LETTER_QUEUE must be three different queues",
            );
        }
        if inputs.first.queue.is_sqs() != dead_letter_queue.is_sqs() {
            read.record(
                "VF_DEAD_LETTER_QUEUE and VF_INPUT_QUEUE must both be in SQS, or both in the database",
            );
        }
        let path_style = read.optional("VF_S3_PATH_STYLE", super::values::on_off);
        let s3 = S3Settings {
            path_style: path_style.unwrap_or_else(s3_endpoint_is_set),
            encryption: read.get("VF_S3_ENCRYPTION", encryption),
        };
        if location
            .local
            .as_ref()
            .is_some_and(|folder| folder.to_str().is_none())
        {
            // The URL of a database must be UTF-8.
            read.record("--local: the name of the folder is not UTF-8");
        }
        let (database_url, storage, folder) = match &location.local {
            Some(folder) => (
                format!("sqlite:{}", folder.join("videoframes.sqlite").display()),
                StoragePlace::Folder(folder.join("objects")),
                folder.join("scratch"),
            ),
            None => {
                let (database_url, storage) = deployed(read);
                (database_url, storage, std::env::temp_dir().join("vf-worker"))
            }
        };
        let database_direct_url = read.optional("VF_DATABASE_DIRECT_URL", |text| {
            let known = ["postgres://", "postgresql://"].iter();
            match known.into_iter().any(|scheme| text.starts_with(scheme)) {
                true => Ok(text.to_owned()),
                false => Err("a postgres:// URL".to_owned()),
            }
        });
        let database_direct_url = database_direct_url.filter(|_| location.local.is_none());
        let sources = read.optional("VF_SOURCES", bucket_names).unwrap_or_default();
        Self {
            database_url,
            database_direct_url,
            storage,
            sources,
            inputs,
            notifier,
            dead_letter_queue,
            scratch: scratch.unwrap_or(folder),
            s3,
        }
    }

    /// Returns the file of a SQLite database; `None` for Postgres.
    pub(crate) fn sqlite_file(&self) -> Option<PathBuf> {
        let path = self.database_url.strip_prefix("sqlite:")?;
        Some(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
    }

    /// Returns whether any location is in AWS or a compatible service.
    pub(crate) fn has_aws(&self) -> bool {
        matches!(self.storage, StoragePlace::Bucket(_))
            || !self.sources.is_empty()
            || [&self.inputs.first.queue, &self.notifier, &self.dead_letter_queue]
                .iter()
                .any(|queue| queue.is_sqs())
    }
}

/// Parses `bucket`, `s3`, `kms` or `kms:KEY`.
pub(crate) fn encryption(text: &str) -> Result<S3Encryption, String> {
    match text {
        "bucket" => Ok(S3Encryption::Bucket),
        "s3" => Ok(S3Encryption::S3),
        "kms" => Ok(S3Encryption::Kms(None)),
        _ => match text.strip_prefix("kms:") {
            Some(key) if !key.is_empty() => Ok(S3Encryption::Kms(Some(key.to_owned()))),
            _ => Err("bucket, s3, kms or kms:KEY".to_owned()),
        },
    }
}

/// Reads database and store of a deployment without `--local`.
fn deployed(read: &mut Reader) -> (String, StoragePlace) {
    let database = read.optional("DATABASE_URL", |text| {
        let known = ["postgres://", "postgresql://", "sqlite:"];
        match known.iter().any(|scheme| text.starts_with(scheme)) {
            true => Ok(text.to_owned()),
            false => Err("a postgres:// or sqlite: URL".to_owned()),
        }
    });
    let storage = read.optional("VF_STORAGE", storage);
    let missing = match ["DATABASE_URL", "VF_STORAGE"].map(|name| read.is_set(name)) {
        [false, false] => Some("DATABASE_URL and VF_STORAGE"),
        [false, true] => Some("DATABASE_URL in addition to VF_STORAGE"),
        [true, false] => Some("VF_STORAGE in addition to DATABASE_URL"),
        [true, true] => None,
    };
    if let Some(missing) = missing {
        read.record(format!(
            "no database or no store is configured: give --local DIR, or set {missing}"
        ));
    }
    let placeholder = StoragePlace::Folder(PathBuf::new());
    (database.unwrap_or_default(), storage.unwrap_or(placeholder))
}
