//! Follows jobs until they are terminal, and reports their changes.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use videoframes_console::{Delivery, Failure, cancelled_by_signals, exit, print, print_json_line};
use videoframes_core::clock::{Clock, SystemClock};
use videoframes_core::jobs::{JobFilter, JobId, JobRepo, JobRepoError, VideoJob};

use super::failure::unavailable;
use super::state::{Followed, Snapshot, line};
use crate::outage::Outage;
use crate::stdout;
use crate::terminal::{ProgressLine, columns, cut};

/// Maximum number of jobs per query.
const CHUNK: usize = 500;
/// Time without a worker after which a hint is printed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The output about changes. A terminal shows progress in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// No output on stdout.
    Nothing,
    /// One line per change, or on a terminal per ended job.
    Lines,
    /// One JSON object per change, including progress.
    Json,
}

/// Follows jobs.
pub(crate) struct Follow<'a> {
    pub(crate) repo: &'a dyn JobRepo,
    pub(crate) report: Report,
    pub(crate) outage: Outage,
}

impl Follow<'_> {
    /// Returns when all jobs are terminal. Fails unless all jobs are completed. Ends early on a signal, or if the
    /// reader closed stdout.
    pub(crate) async fn until_terminal(mut self, ids: &[JobId]) -> Result<ExitCode, Failure> {
        let stop = cancelled_by_signals(Duration::ZERO).map_err(|e| Failure::internal(&e))?;
        let mut followed = Followed::new(ids);
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            ended = self.poll(&mut followed) => Some(ended?),
        };
        match ended {
            Some(Delivery::Written) => outcome(&followed),
            Some(Delivery::Closed) => Ok(ExitCode::SUCCESS),
            None => {
                eprintln!("stopped watching; the jobs continue");
                Ok(ExitCode::from(exit::CANCELLED))
            }
        }
    }

    async fn poll(&mut self, followed: &mut Followed) -> Result<Delivery, Failure> {
        // Removed from the terminal when this future ends or is dropped.
        let mut progress = ProgressLine::new();
        let mut seen: BTreeMap<JobId, Snapshot> = BTreeMap::new();
        let begun = Instant::now();
        let mut is_hint_shown = false;
        loop {
            let jobs = match self.read(followed).await {
                Ok(jobs) => jobs,
                Err(error) if error.is_retryable() => {
                    progress.clear();
                    self.outage.wait(&error).await?;
                    continue;
                }
                Err(error) => return Err(unavailable(&error)),
            };
            self.outage.end();
            followed.update(&jobs);
            for job in &jobs {
                let snapshot = Snapshot::new(job, self.report == Report::Json);
                if seen.get(&job.id) == Some(&snapshot) {
                    continue;
                }
                seen.insert(job.id, snapshot);
                if self.report_change(job, &mut progress)? == Delivery::Closed {
                    return Ok(Delivery::Closed);
                }
            }
            if followed.is_done() {
                return Ok(Delivery::Written);
            }
            if self.report != Report::Nothing && stdout::is_closed() {
                return Ok(Delivery::Closed);
            }
            if !is_hint_shown && followed.is_untouched(&jobs) && begun.elapsed() > PATIENCE {
                progress.clear();
                eprintln!(
                    "waiting for a worker: to start a worker, run 'vf-worker run' with the same settings"
                );
                is_hint_shown = true;
            }
            progress.show(&followed.text(&jobs, SystemClock.now()));
            tokio::time::sleep(interval(followed.open().len())).await;
        }
    }

    /// Reads the jobs that were not terminal so far.
    async fn read(&self, followed: &Followed) -> Result<Vec<VideoJob>, JobRepoError> {
        let mut jobs = Vec::new();
        for chunk in followed.open().chunks(CHUNK) {
            let page = self
                .repo
                .list(&JobFilter::default().ids(chunk.iter().copied()))
                .await?;
            if let Some(job) = page.unreadable.into_iter().next() {
                return Err(JobRepoError::Unreadable(format!("{}: {}", job.id, job.reason)));
            }
            jobs.extend(page.jobs);
        }
        // Oldest first, as jobs are processed.
        jobs.sort_by_key(|job| (job.created_at, job.id));
        Ok(jobs)
    }

    fn report_change(&self, job: &VideoJob, progress: &mut ProgressLine) -> Result<Delivery, Failure> {
        match self.report {
            Report::Nothing => Ok(Delivery::Written),
            Report::Json => {
                progress.clear();
                print_json_line(job)
            }
            Report::Lines if progress.is_terminal() && !job.status.is_terminal() => Ok(Delivery::Written),
            Report::Lines => {
                progress.clear();
                let text = line(job, SystemClock.now());
                let text = cut(&text, columns(std::io::stdout()).unwrap_or(usize::MAX));
                print(&format!("{text}\n"))
            }
        }
    }
}

/// Returns the interval between two queries for this number of jobs.
fn interval(jobs: usize) -> Duration {
    match jobs {
        0..=10 => Duration::from_millis(250),
        _ => Duration::from_secs(1),
    }
}

fn outcome(followed: &Followed) -> Result<ExitCode, Failure> {
    match followed.failure() {
        None => Ok(ExitCode::SUCCESS),
        Some((true, text)) => Err(Failure::new(exit::NOT_FOUND, text)),
        Some((false, text)) => Err(Failure::new(exit::JOB, text)),
    }
}
