//! Unfinished objects: files in a separate folder that no key can name.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, flock, linkat, openat, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;

use super::blocking::blocking;
use super::tree::{self, PARTIAL_FOLDER};
use super::version;
use crate::storage::file::sync_folder;
use crate::storage::{IfExists, ObjectKey, PutOptions, Sink, StorageError};

/// Maximum number of attempts to recreate a folder that is concurrently deleted while it is empty.
const RACES: usize = 100;

/// A file that becomes an object, or is deleted on drop.
#[derive(Debug)]
pub(super) struct Partial {
    folder: OwnedFd,
    name: String,
    pub(super) file: File,
}

fn random_name() -> String {
    format!("{:016x}", RandomState::new().hash_one(()))
}

impl Partial {
    /// Creates an empty file with a lock, which shows that a process is writing the file.
    pub(super) fn create(root: &Path) -> io::Result<Self> {
        let folder = tree::make_folder(tree::make_root(root)?, PARTIAL_FOLDER)?;
        let name = random_name();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(
            &folder,
            &name,
            flags,
            Mode::from_raw_mode(tree::PRIVATE_FILE),
        )?);
        // Without file locks, only the age of a file protects it.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok(Self { folder, name, file })
    }

    /// Creates a hard link to the file at `path`, which has to be `file`.
    pub(super) fn link(root: &Path, path: &Path, file: File) -> io::Result<Self> {
        let folder = tree::make_folder(tree::make_root(root)?, PARTIAL_FOLDER)?;
        let name = random_name();
        linkat(CWD, path.canonicalize()?, &folder, &name, AtFlags::empty())?;
        let partial = Self { folder, name, file };
        let linked = statat(&partial.folder, &partial.name, AtFlags::SYMLINK_NOFOLLOW)?;
        let opened = rustix::fs::fstat(&partial.file)?;
        if (linked.st_dev, linked.st_ino) != (opened.st_dev, opened.st_ino) {
            return Err(io::Error::other("the file was replaced"));
        }
        Ok(partial)
    }

    /// Renames the file to its key.
    pub(super) fn persist(
        self,
        root: &Path,
        key: &ObjectKey,
        if_exists: IfExists,
    ) -> Result<(), StorageError> {
        let io = |error| StorageError::from_io("write", key.as_str(), error);
        self.file.sync_all().map_err(io)?;
        let mut last = StorageError::NotFound(key.to_string());
        for _ in 0..RACES {
            let root = tree::make_root(root).map_err(io)?;
            let folder = match tree::folder_of(root, key, |folder, name| tree::make_folder(folder, name)) {
                Err(error @ StorageError::NotFound(_)) => {
                    last = error;
                    continue;
                }
                other => other?,
            };
            match self.rename(&folder, key.name(), if_exists) {
                Err(Errno::NOENT) => continue,
                Err(error) if tree::kind(&folder, key.name()) == Some(FileType::Directory) => {
                    tracing::debug!(%error, %key, "failed to write object over a folder");
                    let reason = "has the name of a folder of other objects";
                    return Err(StorageError::invalid(key.as_str(), reason));
                }
                other => other.map_err(tree::failed("write", key))?,
            }
            return sync_folder(&folder).map_err(io);
        }
        Err(last)
    }

    fn rename(&self, folder: &OwnedFd, name: &str, if_exists: IfExists) -> rustix::io::Result<()> {
        if if_exists == IfExists::Replace {
            return renameat(&self.folder, &self.name, folder, name);
        }
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        {
            use rustix::fs::{RenameFlags, renameat_with};
            match renameat_with(&self.folder, &self.name, folder, name, RenameFlags::NOREPLACE) {
                // Not every file system supports this flag.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                other => return other,
            }
        }
        // Drop deletes the old name.
        linkat(&self.folder, &self.name, folder, name, AtFlags::empty())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // The name is missing after a rename. It still exists after a hard link, or if rename found two names
        // of the same file and kept both. The name is random enough not to be another process's.
        let _ = unlinkat(&self.folder, &self.name, AtFlags::empty());
    }
}

/// Deletes the files of killed processes, and returns their number.
pub(super) fn sweep(root: &Path, older_than: Duration) -> rustix::io::Result<u64> {
    let folder = match tree::open_root(root).and_then(|root| tree::open_folder(root, PARTIAL_FOLDER)) {
        Err(Errno::NOENT) => return Ok(0),
        other => other?,
    };
    let mut removed = 0;
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Ok(stat) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        // The change time of the inode: a hard link keeps the file's own modification time.
        let changed = Duration::new(
            u64::try_from(stat.st_ctime).unwrap_or(0),
            u32::try_from(stat.st_ctime_nsec).unwrap_or(0),
        );
        let age = SystemTime::now().duration_since(UNIX_EPOCH + changed);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
            || !age.is_ok_and(|age| age >= older_than)
        {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = openat(&folder, name, flags, Mode::empty()) else {
            continue;
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            continue;
        }
        removed += u64::from(unlinkat(&folder, name, AtFlags::empty()).is_ok());
    }
    Ok(removed)
}

/// A writer for one object.
#[derive(Debug)]
pub(super) struct ObjectSink {
    root: PathBuf,
    key: ObjectKey,
    if_exists: IfExists,
    partial: Option<Partial>,
}

impl ObjectSink {
    pub(super) fn create(root: PathBuf, key: ObjectKey, options: &PutOptions) -> Result<Self, StorageError> {
        let io = |error| StorageError::from_io("write", key.as_str(), error);
        let partial = Partial::create(&root).map_err(io)?;
        if !options.metadata.is_empty() {
            version::write_metadata(&partial.file, &options.metadata).map_err(io)?;
        }
        Ok(Self {
            root,
            if_exists: options.if_exists,
            partial: Some(partial),
            key,
        })
    }

    fn take(&mut self) -> Result<Partial, StorageError> {
        self.partial.take().ok_or_else(|| {
            let error = io::Error::other("an earlier write failed");
            StorageError::from_io("write", self.key.as_str(), error)
        })
    }
}

#[async_trait]
impl Sink for ObjectSink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        let (mut partial, key) = (self.take()?, self.key.clone());
        let written = blocking(&self.key, move || {
            let written = partial.file.write_all(&bytes);
            written.map_err(|e| StorageError::from_io("write", key.as_str(), e))?;
            Ok(partial)
        });
        self.partial = Some(written.await?);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), StorageError> {
        let partial = self.take()?;
        let (root, key, if_exists) = (self.root.clone(), self.key.clone(), self.if_exists);
        blocking(&self.key, move || partial.persist(&root, &key, if_exists)).await
    }

    async fn abort(self: Box<Self>) {}
}
