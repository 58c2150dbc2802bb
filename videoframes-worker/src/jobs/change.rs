//! `vf-worker cancel` and `retry`, for single jobs and for all jobs of a filter.

use std::process::ExitCode;
use std::time::Duration;

use videoframes_console::{Failure, cancelled_by_signals, exit};
use videoframes_core::clock::{Clock, SystemClock};
use videoframes_core::jobs::{JobFilter, JobIdPrefix, JobRepo, JobRepoError, VideoJob};

use super::args::ChangeArgs;
use super::bulk::{change_job, change_jobs, count_jobs};
use super::failure::{missing, unavailable};
use super::lookup;
use super::table::Table;
use super::tally::{Change, Tally};
use crate::config::Config;
use crate::connections::open_existing;
use crate::stdout::print;
use crate::terminal::{ProgressLine, columns};

/// Number of jobs that a dry run prints.
const SHOWN: usize = 10;

pub(crate) async fn run(config: &Config, args: &ChangeArgs, change: Change) -> Result<ExitCode, Failure> {
    if args.ids.is_empty() && args.filter.is_empty() && !args.all {
        let text = "no jobs are selected: give IDs, filters or --all";
        return Err(
            Failure::new(exit::USAGE, text).hint("without --yes, filters and --all only print the jobs")
        );
    }
    let filter = args.filter.filter(&change.statuses())?;
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

/// Changes single jobs. Changes none if an id names no job or several jobs.
async fn each(repo: &dyn JobRepo, ids: &[JobIdPrefix], change: Change) -> Result<ExitCode, Failure> {
    let mut jobs = Vec::with_capacity(ids.len());
    for id in ids {
        jobs.push((id, lookup::existing(repo, id).await?.id));
    }
    let mut refused = Vec::new();
    for (id, job) in jobs {
        match change_job(repo, job, change).await {
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
    let collect = |job, _: &Tally| {
        if first.len() < SHOWN {
            first.push(job);
        }
        true
    };
    let counted = count_jobs(repo, filter, change, &mut tally, collect).await;
    counted.map_err(|error| unavailable(&error))?;
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

/// Changes jobs page by page. Stops after the current job on a signal.
async fn all(repo: &dyn JobRepo, filter: JobFilter, change: Change) -> Result<ExitCode, Failure> {
    let stop = cancelled_by_signals(Duration::ZERO).map_err(|e| Failure::internal(&e))?;
    let (mut tally, mut line) = (Tally::default(), ProgressLine::new());
    let go_on = |tally: &Tally| {
        if tally.total() > 0 {
            line.show(&tally.summary(change));
        }
        !stop.is_cancelled()
    };
    let ended = change_jobs(repo, filter, change, &mut tally, go_on).await;
    drop(line);
    // The summary also describes an operation that failed in the middle.
    print(&format!("{}\n", tally.summary(change)))?;
    ended.map_err(|error| unavailable(&error).hint("repeat the command for the remaining jobs"))?;
    if stop.is_cancelled() {
        eprintln!("stopped: repeat the command for the remaining jobs");
        return Ok(ExitCode::from(exit::CANCELLED));
    }
    Ok(ExitCode::SUCCESS)
}
