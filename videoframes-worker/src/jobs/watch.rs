//! `vf-worker watch`: follows jobs until they are terminal.

use std::process::ExitCode;

use videoframes_console::{Failure, warn};
use videoframes_core::jobs::{JobId, JobRepo, JobStatus};

use super::args::WatchArgs;
use super::failure::{missing, unavailable};
use super::follow::{Follow, Report};
use super::lookup;
use crate::config::Config;
use crate::connections::open_existing;
use crate::outage::Outage;

/// Number of jobs per page.
const PAGE: u32 = 500;

pub(crate) async fn watch(config: &Config, args: &WatchArgs) -> Result<ExitCode, Failure> {
    let unfinished = JobStatus::ALL.into_iter().filter(|status| !status.is_terminal());
    // Checks the filters before the connection.
    args.filter.filter(&[])?;
    let Some(connections) = open_existing(config).await? else {
        return match args.ids.first() {
            Some(id) => Err(missing(id)),
            None => Ok(ExitCode::SUCCESS),
        };
    };
    let repo = connections.repo.as_ref();
    let ids = match args.ids.is_empty() {
        true => matching(repo, args, &unfinished.collect::<Vec<_>>()).await?,
        false => named(repo, args).await?,
    };
    if ids.is_empty() {
        eprintln!("no job matches");
        return Ok(ExitCode::SUCCESS);
    }
    let follow = Follow {
        repo,
        report: match args.json {
            true => Report::Json,
            false => Report::Lines,
        },
        outage: Outage::new(config.outage),
    };
    follow.until_terminal(&ids).await
}

async fn named(repo: &dyn JobRepo, args: &WatchArgs) -> Result<Vec<JobId>, Failure> {
    let mut ids = Vec::with_capacity(args.ids.len());
    for id in &args.ids {
        ids.push(lookup::existing(repo, id).await?.id);
    }
    Ok(ids)
}

/// Returns the newest jobs that match the filters now.
async fn matching(
    repo: &dyn JobRepo,
    args: &WatchArgs,
    statuses: &[JobStatus],
) -> Result<Vec<JobId>, Failure> {
    let mut filter = args.filter.filter(statuses)?.limit(PAGE);
    let limit = match args.limit {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let mut ids = Vec::new();
    loop {
        let page = repo.list(&filter).await.map_err(|e| unavailable(&e))?;
        for job in &page.unreadable {
            warn(&format!("failed to read job {}: {}", job.id, job.reason));
        }
        ids.extend(page.jobs.iter().map(|job| job.id));
        if ids.len() > limit {
            ids.truncate(limit);
            eprintln!("watching the newest {limit} jobs: --limit 0 watches all");
            return Ok(ids);
        }
        match page.next {
            Some(next) => filter.after = Some(next),
            None => return Ok(ids),
        }
    }
}
