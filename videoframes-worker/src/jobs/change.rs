//! `vf-worker cancel` and `retry`, for single jobs and for all jobs of a filter.

use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use videoframes_console::{Failure, cancelled_by_signals, exit};
use videoframes_core::clock::{Clock, SystemClock};
use videoframes_core::jobs::{JobFilter, JobId, JobIdPrefix, JobRepo, JobRepoError, VideoJob};

use super::args::ChangeArgs;
use super::failure::{missing, unavailable};
use super::lookup;
use super::table::Table;
use super::tally::{Change, Tally};
use crate::config::Config;
use crate::connections::open_existing;
use crate::stdout::print;
use crate::terminal::{ProgressLine, columns};

/// Number of jobs per page.
const PAGE: u32 = 500;
/// Number of jobs that a dry run prints.
const SHOWN: usize = 10;

pub(crate) async fn run(config: &Config, args: &ChangeArgs, change: Change) -> Result<ExitCode, Failure> {
    if args.ids.is_empty() && args.filter.is_empty() && !args.all {
        let text = "no jobs are selected: give IDs, filters or --all";
        return Err(
            Failure::new(exit::USAGE, text).hint("without --yes, filters and --all only print the jobs")
        );
    }
    let filter = args.filter.filter(&change.statuses())?.limit(PAGE);
    let connections = open_existing(config).await?;
    if let Some(first) = args.ids.first() {
        let connections = connections.ok_or_else(|| missing(first))?;
        return each(connections.repo.as_ref(), &args.ids, change).await;
    }
    let Some(connections) = connections else {
        return print(&match args.yes {
            true => format!("{}\n", Tally::default().summary(change)),
            false => format!("{}\n", Tally::default().plan(change)),
        });
    };
    let repo = connections.repo.as_ref();
    match args.yes {
        true => all(repo, filter, change).await,
        false => dry_run(repo, filter, change).await,
    }
}

async fn apply(repo: &dyn JobRepo, job: JobId, change: Change) -> Result<Option<VideoJob>, JobRepoError> {
    match change {
        Change::Cancel => repo.cancel(job).await,
        Change::Retry => repo.retry(job).await,
    }
}

/// Changes single jobs. Changes none if an id names no job or several jobs.
async fn each(repo: &dyn JobRepo, ids: &[JobIdPrefix], change: Change) -> Result<ExitCode, Failure> {
    let mut jobs = Vec::with_capacity(ids.len());
    for id in ids {
        jobs.push((id, lookup::existing(repo, id).await?.id));
    }
    let mut refused = Vec::new();
    for (id, job) in jobs {
        match apply(repo, job, change).await {
            Ok(Some(job)) => eprintln!("{}", effect(&job, change)),
            Ok(None) => return Err(missing(id)),
            Err(JobRepoError::WrongState(status)) => {
                refused.push(format!("job {job} is {status} and cannot be {}", change.verb()));
            }
            Err(error) => return Err(unavailable(&error)),
        }
    }
    match refused.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Failure::all(exit::JOB, refused)),
    }
}

fn effect(job: &VideoJob, change: Change) -> String {
    match change {
        Change::Cancel if job.status.is_terminal() => format!("{} is {}", job.id, job.status),
        Change::Cancel => format!("{}: the worker was requested to stop", job.id),
        Change::Retry => format!("{} is {} again", job.id, job.status),
    }
}

/// Prints the number of jobs that would be changed, and the newest of them.
async fn dry_run(repo: &dyn JobRepo, filter: JobFilter, change: Change) -> Result<ExitCode, Failure> {
    let (mut tally, mut first) = (Tally::default(), Vec::new());
    let mut pages = Pages::new(repo, filter);
    while let Some(jobs) = pages.next(&mut tally).await.map_err(|e| unavailable(&e))? {
        for job in jobs {
            match change.obstacle(&job, SystemClock.now()) {
                Some(reason) => tally.skipped(reason),
                None => {
                    tally.changeable();
                    if first.len() < SHOWN {
                        first.push(job);
                    }
                }
            }
        }
    }
    let mut text = String::new();
    if !first.is_empty() {
        let (table, now) = (Table::new(columns(std::io::stdout())), SystemClock.now());
        text += &table.heading();
        text.extend(first.iter().map(|job| table.row(job, now)));
        let rest = tally.total().saturating_sub(first.len() as u64);
        if rest > 0 {
            text += &format!("and {rest} more\n");
        }
    }
    print(&format!("{text}{}\n", tally.plan(change)))
}

/// Changes jobs page by page, each by a separate call. Stops after the current job on a signal.
async fn all(repo: &dyn JobRepo, filter: JobFilter, change: Change) -> Result<ExitCode, Failure> {
    let stop = cancelled_by_signals(Duration::ZERO).map_err(|e| Failure::internal(&e))?;
    let mut tally = Tally::default();
    let ended = change_pages(&mut Pages::new(repo, filter), change, &mut tally, &stop).await;
    // The summary also describes an operation that failed in the middle.
    print(&format!("{}\n", tally.summary(change)))?;
    ended.map_err(|error| unavailable(&error).hint("repeat the command for the remaining jobs"))?;
    if stop.is_cancelled() {
        eprintln!("stopped: repeat the command for the remaining jobs");
        return Ok(ExitCode::from(exit::CANCELLED));
    }
    Ok(ExitCode::SUCCESS)
}

async fn change_pages(
    pages: &mut Pages<'_>,
    change: Change,
    tally: &mut Tally,
    stop: &CancellationToken,
) -> Result<(), JobRepoError> {
    let mut line = ProgressLine::new();
    while let Some(jobs) = pages.next(tally).await? {
        for job in jobs {
            if stop.is_cancelled() {
                return Ok(());
            }
            if let Some(reason) = change.obstacle(&job, SystemClock.now()) {
                tally.skipped(reason);
                continue;
            }
            match apply(pages.repo, job.id, change).await {
                Ok(Some(job)) => tally.changed(&job),
                Ok(None) => tally.skipped("deleted meanwhile"),
                Err(JobRepoError::WrongState(status)) => tally.skipped(status.to_string()),
                Err(JobRepoError::Unreadable(_)) => tally.skipped("unreadable"),
                Err(error) => return Err(error),
            }
            line.show(&tally.summary(change));
        }
    }
    Ok(())
}

/// The pages of a list.
struct Pages<'a> {
    repo: &'a dyn JobRepo,
    filter: JobFilter,
    is_last: bool,
}

impl<'a> Pages<'a> {
    fn new(repo: &'a dyn JobRepo, filter: JobFilter) -> Self {
        Self {
            repo,
            filter,
            is_last: false,
        }
    }

    /// Returns the next page, or `None` after the last page. Counts unreadable jobs as skipped.
    async fn next(&mut self, tally: &mut Tally) -> Result<Option<Vec<VideoJob>>, JobRepoError> {
        if self.is_last {
            return Ok(None);
        }
        let page = self.repo.list(&self.filter).await?;
        for _ in &page.unreadable {
            tally.skipped("unreadable");
        }
        self.is_last = page.next.is_none();
        self.filter.after = page.next;
        Ok(Some(page.jobs))
    }
}
