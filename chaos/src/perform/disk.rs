//! A worker whose disk is full.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;

use super::{Outcome, Performer};
use crate::journal::Effect;
use crate::load::plan::Kind;
use crate::wait::within;
use crate::workers::processes;
use crate::workers::worker::Start;

/// Prefix of the folders of small file systems.
const DISK: &str = "disk-";
/// Maximum time until the worker has claimed a job.
const CLAIMED: Duration = Duration::from_secs(20);
/// Maximum time until the worker has met the full disk.
const MET: Duration = Duration::from_secs(10);
/// Text in the log of a worker that has met a full disk.
const FULL: &str = "No space left on device";

impl Performer {
    pub(super) async fn full_disk(&self, pick: u32) -> Outcome {
        let folder = self.fleet.files.root.join(format!("{DISK}{pick}"));
        std::fs::create_dir_all(&folder)?;
        let mounted = mount("tmpfs", &folder, "tmpfs", MountFlags::empty(), Some(c"size=256m"));
        let done = match mounted {
            Ok(()) => self.fill(&folder).await,
            Err(Errno::PERM) => Ok(Effect::Impossible("no right to mount a file system".to_owned())),
            Err(error) => Err(error.into()),
        };
        // The worker may have kept a file open when it was killed.
        let _ = unmount(&folder, UnmountFlags::DETACH);
        std::fs::remove_dir(&folder)?;
        done
    }

    async fn fill(&self, folder: &Path) -> Outcome {
        let start = Start::default()
            .with("VF_SCRATCH", folder.display().to_string())
            .with("VF_SCRATCH_QUOTA", "200MiB")
            .with("VF_CONCURRENCY", "4")
            .with("VF_FAULT", "claimed=stop");
        let worker = self.additional("full-disk", start).await?;
        let has_claimed = async || {
            let process = self.fleet.with(&worker, |worker| worker.process);
            process.is_some_and(processes::is_stopped)
        };
        let has_claimed = self.provoke(Kind::Copied, 4, CLAIMED, has_claimed).await;
        let filler = folder.join("filler");
        let written = fill_up(&filler)?;
        self.fleet.with(&worker, |worker| worker.signal(Signal::CONT));
        let has_met = async || Ok(self.fleet.log(&worker).contains(FULL));
        let has_met = has_claimed && within(MET, "a full disk", has_met).await.is_ok();
        std::fs::remove_file(&filler)?;
        self.dismiss(&worker).await?;
        self.evidence.add("worker met a full disk", u64::from(has_met));
        Ok(Effect::of(
            has_met,
            format!("{worker}: full after {written} bytes"),
        ))
    }
}

/// Writes a file until no space is left, and returns its size.
fn fill_up(path: &Path) -> std::io::Result<usize> {
    let mut file = std::fs::File::create(path)?;
    let mut written = 0;
    // Large blocks first, then what is left.
    for block in [1 << 20, 4096] {
        let block = vec![0; block];
        while file.write_all(&block).is_ok() {
            written += block.len();
        }
    }
    Ok(written)
}

/// Unmounts the small file systems of a run that was interrupted.
pub(crate) fn unmount_all(root: &Path) {
    let folders = std::fs::read_dir(root).into_iter().flatten().flatten();
    for folder in folders.map(|entry| entry.path()) {
        let name = folder
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with(DISK) {
            let _ = unmount(&folder, UnmountFlags::DETACH);
        }
    }
}
