//! Temporary files: copies of sources for decoders, and drafts of compressed videos.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::{NamedTempFile, TempDir};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::error::Error;
use crate::extract::ExtractError;
use crate::stale::{self, lock, open_untouched};

/// Maximum number of permits of a semaphore. One permit may stand for several bytes.
const PERMITS: u64 = 1 << 28;

/// A folder for temporary files with a quota in bytes. Clones share folder and quota. The default is the system's
/// folder for temporary files, without a quota.
///
/// A file that does not fit waits until space is released, within the time limit of its request.
#[derive(Debug, Clone)]
pub struct Scratch {
    shared: Arc<ScratchState>,
}

#[derive(Debug)]
struct ScratchState {
    folder: PathBuf,
    quota: Option<Quota>,
    /// Held while a file is created and locked, so that no concurrent sweep removes the file.
    making: Mutex<()>,
}

#[derive(Debug)]
struct Quota {
    bytes: u64,
    /// Bytes per permit.
    unit: u64,
    /// Total number of permits.
    max_permits: u32,
    permits: Arc<Semaphore>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::with(std::env::temp_dir(), None)
    }
}

impl Scratch {
    /// Uses `folder`, which must exist and belong to this process alone, with a quota of `quota` bytes.
    pub fn new(folder: impl Into<PathBuf>, quota: u64) -> Self {
        let unit = quota.div_ceil(PERMITS).max(1);
        // Rounded down here and up where permits are acquired, so that usage never exceeds the quota.
        let max_permits = u32::try_from(quota / unit).unwrap_or(u32::MAX);
        let quota = Quota {
            bytes: quota,
            unit,
            max_permits,
            permits: Arc::new(Semaphore::new(max_permits as usize)),
        };
        Self::with(folder.into(), Some(quota))
    }

    fn with(folder: PathBuf, quota: Option<Quota>) -> Self {
        let shared = ScratchState {
            folder,
            quota,
            making: Mutex::new(()),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// Removes files that a killed process has left in the folder, and returns their number. Files of running
    /// processes stay. In the system's folder, which is shared with others, only files of this user that are some
    /// seconds old are removed. A missing folder counts as empty.
    ///
    /// # Errors
    /// Fails if the folder cannot be read or a file cannot be removed.
    pub async fn sweep(&self) -> io::Result<usize> {
        let scratch = self.clone();
        let sweep = move || match scratch.shared.quota {
            Some(_) => scratch.sweep_blocking(),
            None => Ok(stale::sweep(scratch.folder(), stale::SCRATCH)),
        };
        tokio::task::spawn_blocking(sweep)
            .await
            .map_err(io::Error::other)?
    }

    fn sweep_blocking(&self) -> io::Result<usize> {
        let entries = match fs::read_dir(self.folder()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let mut removed = 0;
        for entry in entries {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let ours = entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(stale::SCRATCH.prefix.as_bytes());
            if !ours || !(kind.is_file() || kind.is_dir()) {
                continue;
            }
            let _making = self.making();
            // A file that cannot be locked is in use.
            if !open_untouched(&path).is_ok_and(|file| lock(&file).is_ok()) {
                continue;
            }
            match kind.is_dir() {
                true => fs::remove_dir_all(path)?,
                false => fs::remove_file(path)?,
            }
            removed += 1;
        }
        Ok(removed)
    }

    fn making(&self) -> MutexGuard<'_, ()> {
        self.shared.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether this number of bytes fits into the quota.
    pub(super) fn can_hold(&self, bytes: u64) -> bool {
        self.shared
            .quota
            .as_ref()
            .is_none_or(|quota| bytes <= quota.bytes)
    }

    /// Reserves this number of bytes until the result is dropped. Reservations are served in order of arrival.
    ///
    /// # Errors
    /// Fails with [`Error::LimitExceeded`] if the quota is smaller, and on cancellation.
    pub(super) async fn reserve(&self, bytes: u64, cancel: &CancellationToken) -> Result<Reserved, Error> {
        let Some(quota) = &self.shared.quota else {
            return Ok(Reserved { _permits: None });
        };
        if bytes > quota.bytes {
            return Err(Error::LimitExceeded(format!(
                "{bytes} bytes are needed in {}, the limit is {}",
                self.folder().display(),
                quota.bytes
            )));
        }
        let wanted = u32::try_from(bytes.div_ceil(quota.unit)).unwrap_or(u32::MAX);
        let permits = Arc::clone(&quota.permits).acquire_many_owned(wanted.min(quota.max_permits));
        let taken = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(ExtractError::Cancelled.into()),
            taken = permits => taken,
        };
        // The semaphore is never closed.
        Ok(Reserved { _permits: taken.ok() })
    }

    /// Creates an empty file, which is in use as long as it is open.
    pub(super) fn file(&self) -> io::Result<NamedTempFile> {
        let _making = self.making();
        let file = stale::SCRATCH.builder().tempfile_in(self.folder())?;
        // A system without file locks has no sweeps either.
        let _ = lock(file.as_file());
        Ok(file)
    }

    /// Creates an empty folder, which is in use as long as the returned file is open.
    pub(super) fn subfolder(&self) -> io::Result<(TempDir, File)> {
        let _making = self.making();
        let folder = stale::SCRATCH.builder().tempdir_in(self.folder())?;
        let file = open_untouched(folder.path())?;
        let _ = lock(&file);
        Ok((folder, file))
    }

    pub(super) fn failed(&self, source: io::Error) -> Error {
        Error::Copy {
            folder: self.folder().to_owned(),
            source,
        }
    }
}

/// Reserved space, released on drop.
#[derive(Debug)]
pub(super) struct Reserved {
    _permits: Option<OwnedSemaphorePermit>,
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn scratch(quota: u64) -> (Scratch, CancellationToken) {
        (Scratch::new("unused", quota), CancellationToken::new())
    }

    #[tokio::test]
    async fn reservations_wait_for_space() {
        let (scratch, cancel) = scratch(100);
        let first = scratch.reserve(60, &cancel).await.unwrap();
        let small = scratch.reserve(40, &cancel).await.unwrap();
        drop(small);
        let clone = scratch.clone();
        let mut second = pin!(clone.reserve(41, &cancel));
        assert!(poll(second.as_mut()).is_pending());
        drop(first);
        let Poll::Ready(Ok(_second)) = poll(second) else {
            panic!("there is space now");
        };
        assert!(poll(pin!(scratch.reserve(60, &cancel))).is_pending());
        assert!(poll(pin!(scratch.reserve(59, &cancel))).is_ready());
    }

    #[tokio::test]
    async fn cancelled_reservations_do_not_block_others() {
        let (scratch, cancel) = scratch(100);
        let _first = scratch.reserve(60, &cancel).await.unwrap();
        {
            let mut large = pin!(scratch.reserve(100, &cancel));
            assert!(poll(large.as_mut()).is_pending());
            let small = pin!(scratch.reserve(40, &cancel));
            assert!(poll(small).is_pending(), "the larger reservation came first");
        }
        assert!(poll(pin!(scratch.reserve(40, &cancel))).is_ready());

        let mut waiting = pin!(scratch.reserve(100, &cancel));
        assert!(poll(waiting.as_mut()).is_pending());
        cancel.cancel();
        let Poll::Ready(Err(Error::Extract(ExtractError::Cancelled))) = poll(waiting) else {
            panic!("expected a cancellation");
        };
    }

    #[tokio::test]
    async fn reservations_up_to_the_quota_are_possible() {
        for quota in [1, 7, PERMITS, PERMITS + 1, 10 * PERMITS + 3, u64::MAX - 1] {
            let (scratch, cancel) = scratch(quota);
            let all = scratch.reserve(quota, &cancel).await.unwrap();
            assert!(poll(pin!(scratch.reserve(1, &cancel))).is_pending(), "{quota}");
            drop(all);
            let more = scratch.reserve(quota + 1, &cancel).await;
            assert!(matches!(more, Err(Error::LimitExceeded(_))), "{quota}");
        }
        let (none, cancel) = scratch(0);
        assert!(none.reserve(0, &cancel).await.is_ok() && none.reserve(1, &cancel).await.is_err());
        let unbounded = Scratch::default();
        let _one = unbounded.reserve(u64::MAX, &cancel).await.unwrap();
        assert!(unbounded.reserve(u64::MAX, &cancel).await.is_ok());
    }
}
