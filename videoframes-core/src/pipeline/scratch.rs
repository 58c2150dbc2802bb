//! Where copies of sources are kept while a decoder needs them as files.

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

/// Permits of a semaphore at most, of which one may stand for several bytes.
const PERMITS: u64 = 1 << 28;

/// A folder for copies of sources, and how many bytes they may take together; clones share both. By
/// default the system's folder for temporary files, without a bound.
///
/// A copy that does not fit waits for others to go, as long as its request may take.
#[derive(Debug, Clone)]
pub struct Scratch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    room: Option<Room>,
    /// Held while a file is made and locked, so that no sweep comes between.
    making: Mutex<()>,
}

#[derive(Debug)]
struct Room {
    quota: u64,
    /// Bytes that one permit stands for.
    unit: u64,
    /// All permits.
    most: u32,
    permits: Arc<Semaphore>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::with(std::env::temp_dir(), None)
    }
}

impl Scratch {
    /// Copies in `folder`, which must exist and belong to this process alone, of `quota` bytes
    /// together.
    pub fn new(folder: impl Into<PathBuf>, quota: u64) -> Self {
        let unit = quota.div_ceil(PERMITS).max(1);
        // Rounded down here, and up where permits are taken: never more than the quota is in use.
        let most = u32::try_from(quota / unit).unwrap_or(u32::MAX);
        let room = Room {
            quota,
            unit,
            most,
            permits: Arc::new(Semaphore::new(most as usize)),
        };
        Self::with(folder.into(), Some(room))
    }

    fn with(folder: PathBuf, room: Option<Room>) -> Self {
        let shared = Shared {
            folder,
            room,
            making: Mutex::new(()),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Where the copies are.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// Removes what an earlier process that was killed has left in the folder, and gives how many things
    /// that were. Copies of living processes stay. In the system's folder, which others share, only what is this
    /// user's and some seconds old is removed. A missing folder is an empty one.
    ///
    /// # Errors
    /// What the system says of the folder and of what is to be removed.
    pub async fn sweep(&self) -> io::Result<usize> {
        let scratch = self.clone();
        let sweep = move || match scratch.shared.room {
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
            // What cannot be locked is in use.
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

    /// Whether there can ever be room for that many bytes.
    pub(super) fn can_hold(&self, bytes: u64) -> bool {
        self.shared.room.as_ref().is_none_or(|room| bytes <= room.quota)
    }

    /// Room for that many bytes, until the result is dropped. First come, first served.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] where there can never be as much; cancellation.
    pub(super) async fn reserve(&self, bytes: u64, cancel: &CancellationToken) -> Result<Reserved, Error> {
        let Some(room) = &self.shared.room else {
            return Ok(Reserved { _permits: None });
        };
        if bytes > room.quota {
            return Err(Error::LimitExceeded(format!(
                "{bytes} bytes are needed in {}, where {} may be used",
                self.folder().display(),
                room.quota
            )));
        }
        let wanted = u32::try_from(bytes.div_ceil(room.unit)).unwrap_or(u32::MAX);
        let permits = Arc::clone(&room.permits).acquire_many_owned(wanted.min(room.most));
        let taken = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(ExtractError::Cancelled.into()),
            taken = permits => taken,
        };
        // It is never closed.
        Ok(Reserved { _permits: taken.ok() })
    }

    /// An empty file, which is in use as long as it is open.
    pub(super) fn file(&self) -> io::Result<NamedTempFile> {
        let _making = self.making();
        let file = stale::SCRATCH.builder().tempfile_in(self.folder())?;
        // A system that has no locks has no sweeps either.
        let _ = lock(file.as_file());
        Ok(file)
    }

    /// An empty folder, which is in use as long as the file that comes with it is open.
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

/// Room that is taken.
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
    async fn what_does_not_fit_waits_until_others_go() {
        let (scratch, cancel) = scratch(100);
        let first = scratch.reserve(60, &cancel).await.unwrap();
        let small = scratch.reserve(40, &cancel).await.unwrap();
        drop(small);
        let clone = scratch.clone();
        let mut second = pin!(clone.reserve(41, &cancel));
        assert!(poll(second.as_mut()).is_pending());
        drop(first);
        let Poll::Ready(Ok(_second)) = poll(second) else {
            panic!("there is room now");
        };
        assert!(poll(pin!(scratch.reserve(60, &cancel))).is_pending());
        assert!(poll(pin!(scratch.reserve(59, &cancel))).is_ready());
    }

    #[tokio::test]
    async fn who_waits_no_more_is_in_nobodys_way() {
        let (scratch, cancel) = scratch(100);
        let _first = scratch.reserve(60, &cancel).await.unwrap();
        {
            let mut large = pin!(scratch.reserve(100, &cancel));
            assert!(poll(large.as_mut()).is_pending());
            let small = pin!(scratch.reserve(40, &cancel));
            assert!(poll(small).is_pending(), "the large one came first");
        }
        assert!(poll(pin!(scratch.reserve(40, &cancel))).is_ready());

        let mut waiting = pin!(scratch.reserve(100, &cancel));
        assert!(poll(waiting.as_mut()).is_pending());
        cancel.cancel();
        let Poll::Ready(Err(Error::Extract(ExtractError::Cancelled))) = poll(waiting) else {
            panic!("it was cancelled");
        };
    }

    #[tokio::test]
    async fn quotas_of_every_size_hold_what_is_as_large_and_not_more() {
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
