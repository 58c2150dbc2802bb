//! Workers in other environments: memory, clock, connections, revisions and their number.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use super::{Outcome, Performer};
use crate::journal::Effect;
use crate::load::plan::Kind;
use crate::wait::{until, within};
use crate::workers::processes;
use crate::workers::worker::Start;

/// Maximum time until a worker is ready or works.
const READY: Duration = Duration::from_secs(20);
/// Maximum time until a worker notices a step of its clock.
const NOTICED: Duration = Duration::from_secs(8);
/// Maximum time until the number of workers is as wanted. A terminated worker has a grace period.
const SCALED: Duration = Duration::from_secs(15);
/// Steps of the wall clock: an hour ahead, an hour behind, right.
const STEPS: [&str; 3] = ["+3600", "-3600", "+0"];

impl Performer {
    /// Starts an additional worker and waits until it is ready. A worker that cannot connect at its start is replaced.
    pub(super) async fn additional(&self, name: &str, start: Start) -> anyhow::Result<String> {
        let since = Instant::now();
        loop {
            let worker = self.started(name, start.clone()).await?;
            if self.fleet.status(&worker).is_none() || since.elapsed() > READY {
                return Ok(worker);
            }
        }
    }

    /// Starts an additional worker and waits until it is ready, stopped or ended.
    pub(super) async fn started(&self, name: &str, start: Start) -> anyhow::Result<String> {
        let worker = self.fleet.start(name, start).await?;
        self.fleet.with(&worker, |worker| worker.doomed = true);
        let is_settled = async || {
            let process = self.fleet.with(&worker, |worker| worker.process);
            let has_acted = process.is_none_or(processes::is_stopped);
            Ok(has_acted || self.fleet.status(&worker).is_some() || self.is_ready(&worker).await)
        };
        // A worker that is not ready during an outage is part of the chaos too.
        let _ = within(READY, "the worker is ready", is_settled).await;
        Ok(worker)
    }

    /// Terminates an additional worker.
    pub(super) async fn dismiss(&self, worker: &str) -> anyhow::Result<()> {
        self.fleet.end(worker, Signal::TERM);
        until("a worker ends", async || Ok(self.fleet.status(worker).is_some())).await
    }

    pub(super) async fn few_connections(&self) -> Outcome {
        let start = Start::default()
            .with("VF_DATABASE_CONNECTIONS", "1")
            .with("VF_CONCURRENCY", "4");
        let worker = self.additional("few-connections", start).await?;
        let completed = || self.fleet.log(&worker).matches("\"job completed\"").count() as u64;
        self.provoke(Kind::Message, 6, READY, async || completed() > 1)
            .await;
        self.dismiss(&worker).await?;
        let completed = completed();
        self.evidence
            .add("job completed with one connection and four slots", completed);
        Ok(Effect::of(completed > 0, format!("{worker}: {completed} jobs")))
    }

    pub(super) async fn no_memory(&self) -> Outcome {
        let worker = self.additional("no-memory", Start::default()).await?;
        let process = self
            .fleet
            .with(&worker, |worker| worker.process)
            .context("the worker has ended")?;
        let size = processes::memory(process, "VmSize").context("the worker has ended")?;
        let limit = |current| {
            let maximum = None;
            prlimit(Pid::from_raw(process), Resource::As, Rlimit { current, maximum })
        };
        limit(Some(size))?;
        let has_met = async || {
            let log = self.fleet.log(&worker).to_lowercase();
            log.contains("allocat") || self.fleet.status(&worker).is_some()
        };
        let has_met = self.provoke(Kind::Copied, 4, READY, has_met).await;
        self.evidence.add("worker without memory", u64::from(has_met));
        // Fails if the worker has crashed.
        let survived = limit(None).is_ok() && self.fleet.status(&worker).is_none();
        self.dismiss(&worker).await?;
        let note = if survived { "survived" } else { "crashed" };
        Ok(Effect::of(has_met, format!("{worker}: {note}")))
    }

    pub(super) async fn step_clock(&self) -> Outcome {
        let Some(library) = faketime() else {
            return Ok(Effect::Impossible("libfaketime is not installed".to_owned()));
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
        for offset in STEPS {
            let before = self.fleet.log(&worker).len();
            set(offset)?;
            // Every log line has the new time.
            let has_logged = async || self.fleet.log(&worker).len() > before;
            steps += u64::from(self.provoke(Kind::Message, 4, NOTICED, has_logged).await);
        }
        self.evidence.add("clock stepped under a worker", steps);
        self.dismiss(&worker).await?;
        Ok(Effect::of(steps > 0, format!("{worker}: {steps} steps")))
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
        let mut shifted = false;
        // Other injections may kill the workers of a revision, or cut them off. Then the command rolls back.
        for _ in 0..3 {
            let command = [&["fleet", "shift", &green], &options[..]].concat();
            // The canary has to end a job.
            let submitted = self.provoke(Kind::Message, 4, Duration::MAX, async || false);
            let shift = tokio::select! {
                shift = self.fleet.command(&command) => shift,
                _ = submitted => unreachable!("there is never evidence"),
            };
            match shift {
                Ok(_) => {
                    shifted = true;
                    note += "shifted";
                    break;
                }
                Err(error) => note += &format!("rolled back: {}; ", last_line(&format!("{error:#}"))),
            }
        }
        self.evidence.add("shift between revisions", u64::from(shifted));
        self.dismiss(&old).await?;
        self.dismiss(&new).await?;
        Ok(Effect::of(shifted, note))
    }

    pub(super) async fn scale(&self) -> Outcome {
        let usual = self.fleet.wanted();
        let mut reached = 0;
        for workers in [1, 8, 1] {
            self.fleet.scale(workers);
            let is_scaled = async || Ok(self.ready_workers().await == workers);
            reached += u64::from(within(SCALED, "a number of workers", is_scaled).await.is_ok());
        }
        self.fleet.scale(usual);
        self.evidence.add("workers scaled", reached);
        Ok(Effect::of(
            reached > 0,
            format!("1, 8, 1, {usual} workers: {reached} reached"),
        ))
    }

    /// Returns the number of permanent workers that are ready.
    async fn ready_workers(&self) -> usize {
        let mut ready = 0;
        for worker in self.fleet.permanent() {
            ready += usize::from(self.is_ready(&worker).await);
        }
        ready
    }
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or_default()
}

/// Returns the path of libfaketime, if it is installed.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let files = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    files.into_iter().find(|file| file.exists())
}
