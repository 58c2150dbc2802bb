//! Reads of an object.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::blocking::blocking_io;
use super::version;
use crate::source::{Source, Verifier};
use crate::storage::{ObjectKey, StorageError};

/// An open object. Every read checks that the object is unchanged.
#[derive(Debug)]
pub(super) struct FileObject {
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) key: ObjectKey,
}

#[async_trait]
impl Source for FileObject {
    fn name(&self) -> &str {
        self.key.name()
    }

    fn len(&self) -> u64 {
        self.size
    }

    fn local_path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        None
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let length = usize::try_from(self.size.saturating_sub(offset).min(length as u64)).unwrap_or(length);
        let (file, etag, key) = (Arc::clone(&self.file), self.etag.clone(), self.key.clone());
        blocking_io(move || {
            let mut buffer = vec![0; length];
            let read = file.read_exact_at(&mut buffer, offset);
            if version::etag(&file.metadata()?) != etag {
                return Err(io::Error::other(StorageError::Changed(key.to_string())));
            }
            read.map(|()| Bytes::from(buffer))
        })
        .await
    }
}
