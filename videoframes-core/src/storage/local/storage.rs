//! A store in a local folder.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::blocking::{blocking, blocking_io};
use super::import;
use super::list::Page;
use super::partial::{self, ObjectSink, Partial};
use super::read::FileObject;
use super::{tree, version};
use crate::storage::{
    IfExists, ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, Opened, PutOptions, Sink, Storage,
    StorageError,
};

/// A [`Storage`] in a local folder.
///
/// A key is a path below the root, all on one file system. Symbolic links below the root are neither followed
/// nor listed. No object can have the name of a folder of other objects, and no component of a key can exceed
/// 255 bytes. A folder is deleted with its last object.
///
/// An ETag consists of size, modification time in nanoseconds, and inode. It changes when another file takes
/// the name, and also when the file is modified, possibly through a second name of an imported file. Only a
/// modification that keeps the size within one tick of the file system's clock, some milliseconds, is not
/// detected.
///
/// Metadata is stored in an extended attribute. On file systems without extended attributes the metadata is
/// silently empty ([`LocalStorage::keeps_metadata`]).
///
/// Folders and objects are created with access for their owner only (0700 and 0600), whatever the umask. A
/// file that is imported as a hard link keeps its permissions.
///
/// Unfinished objects are files in `.vf-partial` below the root. A killed process leaves them there, and
/// [`LocalStorage::sweep`] deletes them.
#[derive(Debug, Clone)]
pub struct LocalStorage {
    root: PathBuf,
}

impl LocalStorage {
    /// Returns a store of objects below `root`, which is created with the first object.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns whether the store keeps metadata, by a test with a file.
    ///
    /// # Errors
    /// Returns the same errors as [`Storage::create`].
    pub async fn keeps_metadata(&self) -> Result<bool, StorageError> {
        let root = self.root.clone();
        let tried = blocking_io(move || {
            let partial = Partial::create(&root)?;
            version::write_metadata(&partial.file, &[("try".to_owned(), String::new())].into())
        });
        tried.await.map_err(|e| self.failed("write to", e))
    }

    /// Deletes unfinished objects of killed processes, and returns their number.
    ///
    /// Skips objects that were modified within `older_than`, and objects that a running process on this
    /// machine writes. The age protects the objects of other machines in a shared folder.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub async fn sweep(&self, older_than: Duration) -> Result<u64, StorageError> {
        let root = self.root.clone();
        let swept = blocking_io(move || Ok(partial::sweep(&root, older_than)?));
        swept.await.map_err(|e| self.failed("sweep", e))
    }

    fn failed(&self, action: &'static str, error: io::Error) -> StorageError {
        StorageError::from_io(action, &self.root.to_string_lossy(), error)
    }

    /// Runs `work` with the root and the key.
    async fn with<T: Send + 'static>(
        &self,
        key: &ObjectKey,
        work: impl FnOnce(&Path, &ObjectKey) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (root, own) = (self.root.clone(), key.clone());
        blocking(key, move || work(&root, &own)).await
    }
}

fn open(root: &Path, key: &ObjectKey) -> Result<File, StorageError> {
    tree::check(key)?;
    let root = tree::open_root(root).map_err(tree::failed("open", key))?;
    match tree::folder_of(root, key, |folder, name| tree::open_folder(folder, name)) {
        Err(StorageError::Invalid {
            name,
            reason: tree::NO_FOLDER,
        }) => Err(StorageError::NotFound(name)),
        folder => tree::open_file(folder?, key),
    }
}

/// Only the current version exists.
fn check_version(wanted: &ObjectVersion, key: &ObjectKey, etag: &str) -> Result<(), StorageError> {
    if wanted.id.is_some() {
        return Err(StorageError::NotFound(key.to_string()));
    }
    match &wanted.etag {
        Some(wanted) if wanted != etag => Err(StorageError::Changed(key.to_string())),
        _ => Ok(()),
    }
}

/// Fails early for a write that would fail at the end.
fn check_new(root: &Path, key: &ObjectKey, options: &PutOptions) -> Result<(), StorageError> {
    tree::check(key)?;
    options.check(key)?;
    let root = match tree::open_root(root) {
        Err(Errno::NOENT) => return Ok(()),
        other => other.map_err(tree::failed("write", key))?,
    };
    let folder = match tree::folder_of(root, key, |folder, name| tree::open_folder(folder, name)) {
        Err(StorageError::NotFound(_)) => return Ok(()),
        other => other?,
    };
    match tree::kind(folder, key.name()) {
        Some(rustix::fs::FileType::Directory) => Err(StorageError::invalid(
            key.as_str(),
            "has the name of a folder of other objects",
        )),
        Some(_) if options.if_exists == IfExists::Refuse => Err(StorageError::AlreadyExists(key.to_string())),
        _ => Ok(()),
    }
}

#[async_trait]
impl Storage for LocalStorage {
    async fn head(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<ObjectInfo, StorageError> {
        let version = version.clone();
        let head = move |root: &Path, key: &ObjectKey| {
            let info = version::info(&open(root, key)?);
            let info = info.map_err(|e| StorageError::from_io("read the metadata of", key.as_str(), e))?;
            check_version(&version, key, &info.etag)?;
            Ok(info)
        };
        self.with(key, head).await
    }

    async fn open(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Opened, StorageError> {
        let version = version.clone();
        let open = move |root: &Path, key: &ObjectKey| {
            let file = open(root, key)?;
            let io = |e| StorageError::from_io("open", key.as_str(), e);
            let info = version::info(&file).map_err(io)?;
            check_version(&version, key, &info.etag)?;
            let source = FileObject {
                path: root.canonicalize().map_err(io)?.join(key.as_str()),
                file: Arc::new(file),
                size: info.size,
                etag: info.etag.clone(),
                key: key.clone(),
            };
            Ok(Opened {
                info,
                source: Arc::new(source),
            })
        };
        self.with(key, open).await
    }

    async fn create(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<dyn Sink>, StorageError> {
        let options = options.clone();
        let create = move |root: &Path, key: &ObjectKey| {
            check_new(root, key, &options)?;
            ObjectSink::create(root.to_owned(), key.clone(), &options)
        };
        Ok(Box::new(self.with(key, create).await?))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let delete = |root: &Path, key: &ObjectKey| {
            tree::check(key)?;
            let root = match tree::open_root(root) {
                Err(Errno::NOENT) => return Ok(()),
                other => other.map_err(tree::failed("delete", key))?,
            };
            let again = root.try_clone();
            let again = again.map_err(|e| StorageError::from_io("delete", key.as_str(), e))?;
            let open = |folder: &_, name: &str| tree::open_folder(folder, name);
            let folder = match tree::folder_of(again, key, open) {
                Err(
                    StorageError::NotFound(_)
                    | StorageError::Invalid {
                        reason: tree::NO_FOLDER,
                        ..
                    },
                ) => return Ok(()),
                other => other?,
            };
            // Some systems delete folders with `unlink`, and others fail with EPERM.
            if tree::kind(&folder, key.name()) == Some(rustix::fs::FileType::Directory) {
                return Ok(());
            }
            match unlinkat(folder, key.name(), AtFlags::empty()) {
                Err(Errno::NOENT) => {}
                other => other.map_err(tree::failed("delete", key))?,
            }
            tree::prune(&root, key);
            Ok(())
        };
        self.with(key, delete).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, StorageError> {
        let (root, prefix, after) = (self.root.clone(), prefix.to_owned(), after.cloned());
        let listed = blocking_io(move || {
            let mut page = Page {
                prefix: &prefix,
                after: after.as_ref().map(ObjectKey::as_str),
                limit,
                found: Vec::new(),
            };
            match tree::open_root(&root) {
                Err(Errno::NOENT) => {}
                root => page.fill(&root?, "")?,
            }
            Ok(page.found)
        });
        listed.await.map_err(|e| self.failed("list", e))
    }

    async fn import(&self, key: &ObjectKey, path: &Path, options: &PutOptions) -> Result<(), StorageError> {
        let (path, options) = (path.to_owned(), options.clone());
        let import = move |root: &Path, key: &ObjectKey| {
            check_new(root, key, &options)?;
            import::import(root, key, &path, &options)
        };
        self.with(key, import).await
    }
}
