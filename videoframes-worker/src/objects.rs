//! The configured store: a folder or a bucket.

use std::sync::Arc;
use std::time::Duration;

use videoframes_core::aws::SdkConfig;
use videoframes_core::storage::{LocalStorage, S3Options, S3Storage, Storage, StorageError};

use crate::config::{S3Settings, StoragePlace};
use crate::start::Unready;

/// Minimum age at which an unlocked temporary file is abandoned: a new file is unlocked for a moment.
const UNLOCKED_AGE: Duration = Duration::from_secs(10);
/// Prefixes that only workers, `submit` and the HTTP API write to. Uploads to other keys are left to the lifecycle rules of the
/// bucket, since they may belong to other programs.
const OWN_PREFIXES: [&str; 3] = ["results/", "sources/", "uploads/"];

/// The store of the objects.
#[derive(Clone)]
pub(crate) enum Objects {
    Folder(Arc<LocalStorage>),
    Bucket(Arc<S3Storage>),
}

impl Objects {
    pub(crate) fn new(place: &StoragePlace, settings: &S3Settings, aws: Option<&SdkConfig>) -> Self {
        match (place, aws) {
            (StoragePlace::Bucket(place), Some(aws)) => {
                let options = S3Options::new(&place.bucket)
                    .prefix(place.prefix.clone())
                    .path_style(settings.path_style)
                    .encryption(settings.encryption.clone());
                Self::Bucket(Arc::new(S3Storage::new(aws, options)))
            }
            (StoragePlace::Folder(folder), _) => Self::Folder(Arc::new(LocalStorage::new(folder))),
            (StoragePlace::Bucket(_), None) => unreachable!("a bucket requires an AWS configuration"),
        }
    }

    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        match self {
            Self::Folder(storage) => Arc::clone(storage) as _,
            Self::Bucket(storage) => Arc::clone(storage) as _,
        }
    }

    /// Fails if the bucket is missing or inaccessible. A folder is created on first use.
    pub(crate) async fn check(&self) -> Result<(), Unready> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Bucket(storage) => Ok(storage.check().await?),
        }
    }

    /// Removes incomplete objects of dead workers; returns their number. In a bucket, a live writer cannot be
    /// detected, so uploads are aborted at the age of `max_upload`, the maximum duration of an upload.
    pub(crate) async fn sweep(&self, pause: Duration, max_upload: Duration) -> Result<u64, StorageError> {
        match self {
            Self::Folder(storage) => storage.sweep(UNLOCKED_AGE.min(pause)).await,
            Self::Bucket(storage) => {
                let mut aborted = 0;
                for prefix in OWN_PREFIXES {
                    aborted += storage.abort_uploads(prefix, max_upload).await?;
                }
                Ok(aborted)
            }
        }
    }
}
