//! The store of a configuration: a folder, or a bucket.

use std::sync::Arc;
use std::time::Duration;

use videoframes_core::aws::SdkConfig;
use videoframes_core::storage::{LocalStorage, S3Options, S3Storage, Storage, StorageError};

use crate::config::{S3Settings, StoragePlace};
use crate::start::Unready;

/// How long a temporary file may be without a lock, between its creation and its locking.
const UNLOCKED: Duration = Duration::from_secs(10);
/// Where workers and submitters write of themselves. An upload to elsewhere is left to the bucket's own rules:
/// it may be somebody else's.
const OURS: [&str; 2] = ["results/", "sources/"];

/// Where objects are.
#[derive(Clone)]
pub(crate) enum Objects {
    Folder(Arc<LocalStorage>),
    Bucket(Arc<S3Storage>),
}

impl Objects {
    pub(crate) fn of(place: &StoragePlace, settings: &S3Settings, aws: Option<&SdkConfig>) -> Self {
        match (place, aws) {
            (StoragePlace::Bucket(place), Some(aws)) => {
                let options = S3Options {
                    prefix: place.prefix.clone(),
                    path_style: settings.path_style,
                    encryption: settings.encryption.clone(),
                    ..S3Options::new(&place.bucket)
                };
                Self::Bucket(Arc::new(S3Storage::new(aws, options)))
            }
            (StoragePlace::Folder(folder), _) => Self::Folder(Arc::new(LocalStorage::new(folder))),
            (StoragePlace::Bucket(_), None) => unreachable!("a bucket is at AWS"),
        }
    }

    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        match self {
            Self::Folder(storage) => Arc::clone(storage) as _,
            Self::Bucket(storage) => Arc::clone(storage) as _,
        }
    }

    /// Whether it is there and may be used; a folder is made when it is first needed.
    pub(crate) async fn check(&self) -> Result<(), Unready> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Bucket(storage) => Ok(storage.check().await?),
        }
    }

    /// Removes what workers that died have left unfinished; gives its number. In a bucket nobody can tell whether
    /// a writer lives: there `longest` is how long an upload may take.
    pub(crate) async fn sweep(&self, pause: Duration, longest: Duration) -> Result<u64, StorageError> {
        match self {
            Self::Folder(storage) => storage.sweep(UNLOCKED.min(pause)).await,
            Self::Bucket(storage) => {
                let mut aborted = 0;
                for below in OURS {
                    aborted += storage.abort_uploads(below, longest).await?;
                }
                Ok(aborted)
            }
        }
    }
}
