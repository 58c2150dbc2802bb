//! Where results go and sources come from: named objects, written whole or not at all.

mod local;
mod memory;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use local::{FileSink, LocalStorage};
pub use memory::MemoryStorage;

use crate::source::Source;

/// The name of an object: `/`-separated components, none of them empty, `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(String);

/// A text that is no valid [`ObjectKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a valid object key")]
pub struct InvalidKey(String);

impl FromStr for ObjectKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\0', '\\']);
        if text.len() <= 1024 && text.split('/').all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidKey(text.chars().take(80).collect()))
        }
    }
}

impl ObjectKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What to do when an object of that name is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// Leave it and fail with [`StorageError::AlreadyExists`].
    Refuse,
    /// Replace it, atomically, when the new one is complete.
    Replace,
}

/// Why a store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// No object, or no folder to put it in.
    #[error("'{0}' does not exist")]
    NotFound(String),
    /// The object is there and was not to be replaced.
    #[error("'{0}' exists already")]
    AlreadyExists(String),
    /// No space is left.
    #[error("no space is left for '{name}'")]
    NoSpace {
        /// The object.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else that the store reports.
    #[error("cannot {action} '{name}'")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The object.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl StorageError {
    pub(crate) fn from_io(action: &'static str, name: &str, source: io::Error) -> Self {
        let name = name.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound(name),
            io::ErrorKind::AlreadyExists => Self::AlreadyExists(name),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { name, source },
            _ => Self::Io { action, name, source },
        }
    }

    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::Io { .. })
    }
}

/// The place where one object is being written.
///
/// Callers may rely on nothing being visible under the object's name before [`Sink::finish`] has
/// returned `Ok`, and on a dropped sink leaving nothing behind.
///
/// Implementers must make `finish` atomic and must remove what was written on `abort` and on drop.
#[async_trait]
pub trait Sink: Send {
    /// Appends bytes. Not idempotent; after an error or a cancelled call only `abort` is allowed.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError>;

    /// Makes the object visible, whole. With [`IfExists::Refuse`] an object that has appeared
    /// meanwhile stays, and this fails with [`StorageError::AlreadyExists`].
    async fn finish(self: Box<Self>) -> Result<(), StorageError>;

    /// Forgets everything that was written. Idempotent with a drop.
    async fn abort(self: Box<Self>);
}

/// A store of objects.
///
/// Callers may rely on reading what a finished [`Sink`] wrote, byte by byte. Implementers keep
/// every key inside their root.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// Opens an object for reading. A missing one is [`StorageError::NotFound`]. Idempotent.
    async fn open(&self, key: &ObjectKey) -> Result<Arc<dyn Source>, StorageError>;

    /// Starts to write an object. An existing one is refused at once, where that was asked for.
    async fn create(&self, key: &ObjectKey, if_exists: IfExists) -> Result<Box<dyn Sink>, StorageError>;

    /// Removes an object. Idempotent: a missing one is no error.
    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError>;
}
