//! Workers in other environments: disk, memory, clock, connections, revisions and their number.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use super::{Outcome, Performer};
use crate::load::plan::Kind;
use crate::wait::{until, within};
use crate::workers::metrics::get;
use crate::workers::processes;
use crate::workers::worker::Start;

/// Prefix of the folders of small file systems.
const DISK: &str = "disk-";
/// Maximum time until a worker is ready or works.
const READY: Duration = Duration::from_secs(20);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Performer {
    /// Starts an additional worker and waits until it is ready. A worker that cannot connect at its start is replaced.
    async fn additional(&self, name: &str, start: Start) -> anyhow::Result<String> {
        let since = Instant::now();
        loop {
            let worker = self.started(name, start.clone()).await?;
            if self.fleet.status(&worker).is_none() || since.elapsed() > READY {
                return Ok(worker);
            }
        }
    }

    async fn started(&self, name: &str, start: Start) -> anyhow::Result<String> {
        let worker = self.fleet.start(name, start).await?;
        self.fleet.with(&worker, |worker| worker.doomed = true);
        let is_ready = async || {
            let Some(address) = self.fleet.with(&worker, |worker| worker.operations) else {
                return Ok(true);
            };
            Ok(get(address, "/readyz").await?.0 == 200 || self.fleet.status(&worker).is_some())
        };
        // A worker that is not ready during an outage is part of the chaos too.
        let _ = within(READY, "the worker is ready", is_ready).await;
        Ok(worker)
    }

    /// Terminates an additional worker.
    async fn dismiss(&self, worker: &str) -> anyhow::Result<()> {
        self.fleet.end(worker, Signal::TERM);
        until("a worker ends", async || Ok(self.fleet.status(worker).is_some())).await
    }

    pub(super) async fn few_connections(&self) -> Outcome {
        let start = Start::default()
            .with("VF_DATABASE_CONNECTIONS", "1")
            .with("VF_CONCURRENCY", "4");
        let worker = self.additional("few-connections", start).await?;
        tokio::time::sleep(seconds(8)).await;
        self.dismiss(&worker).await?;
        let log = std::fs::read_to_string(self.fleet.files.logs().join(&worker))?;
        let completed = log.matches("\"job completed\"").count() as u64;
        self.evidence
            .add("job completed with one connection and four slots", completed);
        Ok(format!("{worker}: {completed} jobs"))
    }

    pub(super) async fn full_disk(&self, pick: u32) -> Outcome {
        let folder = self.fleet.files.root.join(format!("{DISK}{pick}"));
        std::fs::create_dir_all(&folder)?;
        mount("tmpfs", &folder, "tmpfs", MountFlags::empty(), Some(c"size=256m"))
            .context("no right to mount a small file system")?;
        let done = self.fill(&folder).await;
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
        let worker = self.fleet.start("full-disk", start).await?;
        self.client.submit_also(Kind::Copied, 8).await?;
        self.fleet.with(&worker, |worker| worker.doomed = true);
        let has_claimed = async || {
            let process = self.fleet.with(&worker, |worker| worker.process);
            Ok(process.is_some_and(processes::is_stopped))
        };
        let claimed = within(READY, "a claim", has_claimed).await;
        let filler = folder.join("filler");
        let mut file = std::fs::File::create(&filler)?;
        let mut written = 0;
        // Large blocks first, then what is left.
        for block in [1 << 20, 4096] {
            let block = vec![0; block];
            while file.write_all(&block).is_ok() {
                written += block.len();
            }
        }
        self.fleet.with(&worker, |worker| worker.signal(Signal::CONT));
        tokio::time::sleep(seconds(5)).await;
        drop(file);
        std::fs::remove_file(&filler)?;
        self.dismiss(&worker).await?;
        let when = if claimed.is_ok() {
            "after a claim"
        } else {
            "without a job"
        };
        Ok(format!("full after {written} bytes {when}"))
    }

    pub(super) async fn no_memory(&self) -> Outcome {
        let worker = self.additional("no-memory", Start::default()).await?;
        let process = self
            .fleet
            .with(&worker, |worker| worker.process)
            .context("the worker has ended")?;
        let size = processes::memory(process, "VmSize").context("the worker has ended")?;
        let limit = |current| {
            prlimit(
                Pid::from_raw(process),
                Resource::As,
                Rlimit {
                    current,
                    maximum: None,
                },
            )
        };
        limit(Some(size + (1 << 20)))?;
        tokio::time::sleep(seconds(5)).await;
        self.evidence.add("worker without memory", 1);
        // Fails if the worker has crashed.
        let survived = limit(None).is_ok() && self.fleet.status(&worker).is_none();
        self.dismiss(&worker).await?;
        Ok(if survived {
            "the worker survived"
        } else {
            "the worker crashed"
        }
        .to_owned())
    }

    pub(super) async fn step_clock(&self) -> Outcome {
        let Some(library) = faketime() else {
            bail!("libfaketime is not installed");
        };
        let file = self.fleet.files.root.join("clock");
        let set = |offset: &str| std::fs::write(&file, offset);
        set("+0")?;
        let start = Start::default()
            .with("LD_PRELOAD", library.display().to_string())
            .with("FAKETIME_TIMESTAMP_FILE", file.display().to_string())
            .with("FAKETIME_NO_CACHE", "1")
            .with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .with("DONT_FAKE_MONOTONIC", "1");
        let worker = self.additional("clock", start).await?;
        let mut steps = 0;
        for offset in ["+3600", "-3600", "+0"] {
            set(offset)?;
            tokio::time::sleep(seconds(4)).await;
            steps += u64::from(self.fleet.status(&worker).is_none());
        }
        self.evidence.add("clock stepped under a worker", steps);
        self.dismiss(&worker).await?;
        Ok(format!("{steps} steps"))
    }

    pub(super) async fn shift(&self, pick: u32) -> Outcome {
        let revision = |name: &str| format!("{name}-{pick:x}");
        let (blue, green) = (revision("blue"), revision("green"));
        let start = |revision: &str, previous: bool| Start {
            previous,
            ..Start::default().with("VF_REVISION", revision)
        };
        let old = self.additional("blue", start(&blue, true)).await?;
        let new = self.additional("green", start(&green, false)).await?;
        let options = ["--canary", "50%", "--jobs", "1", "--bake", "2s", "--wait", "15s"];
        // The workers without a revision run all the time, so no revision becomes active by itself.
        self.fleet.command(&["fleet", "activate", &blue]).await?;
        let mut note = String::new();
        // Other injections may kill the workers of a revision, or cut them off. Then the command rolls back.
        for _ in 0..3 {
            let shifted = self
                .fleet
                .command(&[&["fleet", "shift", &green], &options[..]].concat())
                .await;
            match shifted {
                Ok(_) => {
                    self.evidence.add("shift between revisions", 1);
                    note += "shifted";
                    break;
                }
                Err(error) => note += &format!("rolled back: {}; ", last_line(&format!("{error:#}"))),
            }
        }
        self.dismiss(&old).await?;
        self.dismiss(&new).await?;
        Ok(note)
    }

    pub(super) async fn scale(&self) -> Outcome {
        let usual = self.fleet.wanted();
        for (workers, duration) in [(1, 4), (8, 9), (1, 4)] {
            self.fleet.scale(workers);
            tokio::time::sleep(seconds(duration)).await;
        }
        self.fleet.scale(usual);
        self.evidence.add("workers scaled", 1);
        Ok(format!("1, 8, 1, {usual} workers"))
    }
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or_default()
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

/// Returns the path of libfaketime, if it is installed.
pub(crate) fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let files = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    files.into_iter().find(|file| file.exists())
}
