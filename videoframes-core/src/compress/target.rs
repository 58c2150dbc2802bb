//! Destinations of compressed videos.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::{NamedTempFile, TempPath};

use super::Compressed;
use crate::digest::{self, Written};
use crate::storage::{FileSink, IfExists, ObjectKey, PutOptions, Sink, Storage, StorageError};

/// Returns the metadata of an object for the video in it.
pub type Describe = Arc<dyn Fn(&Compressed) -> BTreeMap<String, String> + Send + Sync>;

/// Destination of one compressed video.
#[derive(Clone)]
#[non_exhaustive]
pub enum VideoTarget {
    /// A file on this machine.
    File {
        /// Path of the file.
        path: PathBuf,
        /// Whether an existing file may be replaced.
        if_exists: IfExists,
    },
    /// An object of a [`Storage`]; the video is written in the scratch folder of the request first.
    Object {
        /// The store.
        storage: Arc<dyn Storage>,
        /// Name of the object.
        key: ObjectKey,
        /// Options of the write.
        options: PutOptions,
        /// Adds metadata that depends on the video.
        describe: Option<Describe>,
    },
}

impl fmt::Debug for VideoTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, if_exists } => f
                .debug_struct("File")
                .field("path", path)
                .field("if_exists", if_exists)
                .finish(),
            Self::Object { key, options, .. } => f
                .debug_struct("Object")
                .field("key", key)
                .field("options", options)
                .finish_non_exhaustive(),
        }
    }
}

/// A video that is not yet at its destination. Removed on drop.
pub(crate) enum Draft {
    /// A temporary file in the folder of the destination.
    File(FileSink),
    /// A file in the scratch folder, which is open while the draft is in use.
    Object(TempPath, File),
}

impl VideoTarget {
    /// Fails early if the result exists or its folder is missing.
    ///
    /// # Errors
    /// Returns the errors of [`FileSink::create`]. An object is only checked when it is written.
    pub fn check(&self) -> Result<(), StorageError> {
        match self {
            Self::File { path, if_exists } => FileSink::create(path, *if_exists).map(drop),
            Self::Object { .. } => Ok(()),
        }
    }

    /// Creates a draft in the folder of the destination; `None` if the draft belongs in the scratch folder.
    pub(crate) fn draft_at_destination(&self) -> Option<Result<Draft, StorageError>> {
        match self {
            Self::File { path, if_exists } => Some(FileSink::create(path, *if_exists).map(Draft::File)),
            Self::Object { .. } => None,
        }
    }

    /// Moves the draft to its destination, as a whole or not at all.
    pub(crate) async fn finish(&self, draft: Draft, video: &Compressed) -> Result<(), StorageError> {
        match (self, draft) {
            (_, Draft::File(sink)) => Box::new(sink).finish().await,
            (
                Self::Object {
                    storage,
                    key,
                    options,
                    describe,
                },
                Draft::Object(path, _file),
            ) => {
                let mut options = options.clone();
                if let Some(describe) = describe {
                    options.metadata.extend(describe(video));
                }
                storage.import(key, &path, &options).await
            }
            // A draft is always created for its target.
            (Self::File { .. }, Draft::Object(..)) => {
                let error = io::Error::other("the draft belongs to another target");
                Err(StorageError::from_io("write", &self.name(), error))
            }
        }
    }

    /// Returns the name of the destination for messages.
    pub fn name(&self) -> String {
        match self {
            Self::File { path, .. } => path.to_string_lossy().into_owned(),
            Self::Object { key, .. } => key.to_string(),
        }
    }
}

impl Draft {
    /// Creates a draft from an empty file in the scratch folder.
    pub(crate) fn in_scratch(file: NamedTempFile) -> Self {
        let (file, path) = file.into_parts();
        Self::Object(path, file)
    }

    /// Returns size and checksum of the draft.
    pub(crate) async fn measure(&self) -> io::Result<Written> {
        let path = self.path().to_owned();
        tokio::task::spawn_blocking(move || digest::of_reader(File::open(&path)?))
            .await
            .map_err(io::Error::other)
            .flatten()
    }

    /// Returns the path to write to.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(sink) => sink.partial_path(),
            Self::Object(path, _) => path,
        }
    }
}
