//! Runs file system calls on threads that may block.

use std::io;

use crate::storage::{ObjectKey, StorageError};

pub(super) async fn blocking_io<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

pub(super) async fn blocking<T: Send + 'static>(
    key: &ObjectKey,
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| StorageError::from_io("access", key.as_str(), io::Error::other(e)))?
}
