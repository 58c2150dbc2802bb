//! Where a compressed video goes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempPath};

use super::Compressed;
use crate::archive::{Written, hex};
use crate::storage::{FileSink, IfExists, ObjectKey, PutOptions, Sink, Storage, StorageError};

/// What an object's metadata says of the video that it is.
pub type Describe = Arc<dyn Fn(&Compressed) -> BTreeMap<String, String> + Send + Sync>;

/// A place for one compressed video.
#[derive(Clone)]
pub enum VideoTarget {
    /// A file on this machine.
    File {
        /// Its path.
        path: PathBuf,
        /// Whether it may replace another.
        if_exists: IfExists,
    },
    /// An object of a [`Storage`], made in the request's scratch folder.
    Object {
        /// The store.
        storage: Arc<dyn Storage>,
        /// Its name.
        key: ObjectKey,
        /// How it is written.
        options: PutOptions,
        /// What its metadata says beside that.
        describe: Option<Describe>,
    },
}

/// A video that is being made, and nothing yet at its place. Dropping it leaves nothing behind.
pub(crate) enum Draft {
    /// A temporary file beside its place.
    File(FileSink),
    /// A file in the scratch folder, open as long as it is in use.
    Object(TempPath, File),
}

impl VideoTarget {
    /// Fails at once where nothing can be written: a result exists, a folder is missing.
    ///
    /// # Errors
    /// As [`FileSink::create`]; an object is only looked at when it is written.
    pub fn check(&self) -> Result<(), StorageError> {
        match self {
            Self::File { path, if_exists } => FileSink::create(path, *if_exists).map(drop),
            Self::Object { .. } => Ok(()),
        }
    }

    /// Starts a draft beside its place; `None` for one that is to be made in the scratch folder.
    pub(crate) fn draft_beside(&self) -> Option<Result<Draft, StorageError>> {
        match self {
            Self::File { path, if_exists } => Some(FileSink::create(path, *if_exists).map(Draft::File)),
            Self::Object { .. } => None,
        }
    }

    /// Puts the draft in its place, whole or not at all.
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
            // Drafts are made for their target.
            (Self::File { .. }, Draft::Object(..)) => {
                let error = io::Error::other("a draft of another place");
                Err(StorageError::from_io("write", &self.name(), error))
            }
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> String {
        match self {
            Self::File { path, .. } => path.to_string_lossy().into_owned(),
            Self::Object { key, .. } => key.to_string(),
        }
    }
}

impl Draft {
    /// A draft in an empty file of the scratch folder.
    pub(crate) fn in_scratch(file: NamedTempFile) -> Self {
        let (file, path) = file.into_parts();
        Self::Object(path, file)
    }

    /// What was written so far.
    pub(crate) async fn measure(&self) -> io::Result<Written> {
        let path = self.path().to_owned();
        tokio::task::spawn_blocking(move || measure(&path))
            .await
            .map_err(io::Error::other)
            .flatten()
    }

    /// The file to write to.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(sink) => sink.partial_path(),
            Self::Object(path, _) => path,
        }
    }
}

/// Size and checksum of a file.
fn measure(path: &Path) -> io::Result<Written> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => {
                hash.update(&chunk[..read]);
                size += read as u64;
            }
        }
    }
    Ok(Written {
        size,
        sha256: hex(&hash.finalize()),
    })
}
