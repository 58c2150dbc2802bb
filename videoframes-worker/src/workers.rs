//! `vf-worker workers`: lists the workers, and the jobs that each processes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use videoframes_console::options::JsonArgs;
use videoframes_console::{Failure, to_json, warn};
use videoframes_core::clock::{Clock, SystemClock, UnixMillis};
use videoframes_core::fleet::{EndedAttempts, FleetRegistry, FleetWorker, SeaOrmFleet};
use videoframes_core::jobs::{JobFilter, JobId, JobRepo, JobStatus, Stage, VideoJob};
use videoframes_core::processor::worker_of;
use videoframes_core::text::printable;

use crate::config::Config;
use crate::connections::open_existing;
use crate::fleet;
use crate::jobs::{human, short_progress, unavailable, video};
use crate::stdout::print;

pub(crate) async fn run(config: &Config, args: JsonArgs) -> Result<ExitCode, Failure> {
    let (workers, jobs) = match open_existing(config).await? {
        None => (Vec::new(), Vec::new()),
        Some(connections) => {
            let filter = JobFilter::default().statuses([JobStatus::Processing]);
            let jobs = connections.repo.list(&filter).await;
            let page = jobs.map_err(|error| unavailable(&error))?;
            for job in &page.unreadable {
                warn(&format!("failed to read job {}: {}", job.id, job.reason));
            }
            let workers = SeaOrmFleet::new(connections.database).workers().await;
            (workers.map_err(|error| fleet::failure(&error))?, page.jobs)
        }
    };
    let list = WorkerList::new(&workers, &jobs, config.processor.timing.lease);
    print(&match args.json {
        true => to_json(&list)?,
        false => list.text(SystemClock.now()),
    })
}

/// The workers of the last day, oldest first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct WorkerList<'a> {
    workers: Vec<PrintedWorker<'a>>,
}

#[derive(Debug, Serialize)]
struct PrintedWorker<'a> {
    worker: &'a str,
    /// State of the last report; `lost` without a report for the duration of a lease.
    state: &'static str,
    revision: Option<String>,
    version: &'a str,
    /// Maximum number of concurrent jobs, if the worker reports it.
    slots: Option<u32>,
    started_at: UnixMillis,
    last_report_seconds: f64,
    #[serde(flatten)]
    ended: EndedAttempts,
    jobs: Vec<PrintedJob<'a>>,
}

#[derive(Debug, Serialize)]
struct PrintedJob<'a> {
    id: JobId,
    stage: Option<Stage>,
    frames_done: u64,
    frames_total: u64,
    source: Option<&'a str>,
    attempts: u32,
    #[serde(skip)]
    job: &'a VideoJob,
}

impl<'a> WorkerList<'a> {
    /// Lists workers and their jobs. Workers count as lost after `timeout` without a report.
    pub(crate) fn new(workers: &'a [FleetWorker], jobs: &'a [VideoJob], timeout: Duration) -> Self {
        let mut of_workers: BTreeMap<&str, Vec<PrintedJob<'a>>> = BTreeMap::new();
        for job in jobs {
            let Some(owner) = job.lease_owner.as_deref() else {
                continue;
            };
            of_workers.entry(worker_of(owner)).or_default().push(PrintedJob {
                id: job.id,
                stage: job.stage,
                frames_done: job.frames_done,
                frames_total: job.frames_total,
                source: job.source_key(),
                attempts: job.attempts,
                job,
            });
        }
        let workers = workers.iter().map(|worker| PrintedWorker {
            worker: &worker.report.worker,
            state: match worker.is_lost(timeout) {
                true => "lost",
                false => worker.report.state.as_str(),
            },
            revision: worker.report.revision.as_ref().map(ToString::to_string),
            version: &worker.report.version,
            slots: worker.report.slots,
            started_at: worker.started_at,
            last_report_seconds: worker.age.as_secs_f64(),
            ended: worker.report.ended,
            jobs: of_workers
                .remove(worker.report.worker.as_str())
                .unwrap_or_default(),
        });
        Self {
            workers: workers.collect(),
        }
    }

    fn text(&self, now: UnixMillis) -> String {
        if self.workers.is_empty() {
            return "no worker reported within a day\n".to_owned();
        }
        let width = self.workers.iter().map(|worker| worker.worker.len());
        let width = width.max().unwrap_or(0).max("worker".len());
        // Writing to a string cannot fail.
        let mut text = format!(
            "{:<width$} {:<9} {:>5} {:>9} {:>7} {:>6} {:>6}  version\n",
            "worker", "state", "jobs", "completed", "failed", "faults", "seen"
        );
        for worker in &self.workers {
            let slots = worker
                .slots
                .map_or_else(|| "-".to_owned(), |slots| slots.to_string());
            let seen = human(Duration::from_secs_f64(worker.last_report_seconds));
            let _ = writeln!(
                text,
                "{:<width$} {:<9} {:>5} {:>9} {:>7} {:>6} {seen:>6}  {}",
                printable(worker.worker),
                worker.state,
                format!("{}/{slots}", worker.jobs.len()),
                worker.ended.completed,
                worker.ended.failed,
                worker.ended.faults,
                worker.version,
            );
            for PrintedJob { id, stage, job, .. } in &worker.jobs {
                let stage = stage.map_or("-", Stage::as_str);
                let duration = job.begun_at.map(|begun| human(now.since(begun)));
                let _ = writeln!(
                    text,
                    "  {id} {stage:<8} {:>5} {:>6}  {}",
                    short_progress(job),
                    duration.unwrap_or_default(),
                    printable(video(job)),
                );
            }
        }
        text
    }
}
