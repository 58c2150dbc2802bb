//! `vf-worker keep` and `release`: the legal hold of jobs.

use std::process::ExitCode;

use videoframes_console::Failure;
use videoframes_core::jobs::{Hold, JobRepo, VideoJob};

use super::args::HoldArgs;
use super::failure::{missing, unavailable};
use super::lookup;
use crate::config::Config;
use crate::connections::open_existing;

/// Changes the legal hold of jobs. Changes none if an id names no job or several jobs.
pub(crate) async fn run(config: &Config, args: &HoldArgs, hold: Hold) -> Result<ExitCode, Failure> {
    let Some(connections) = open_existing(config).await? else {
        return match args.ids.first() {
            Some(first) => Err(missing(first)),
            None => Ok(ExitCode::SUCCESS),
        };
    };
    let repo = connections.repo.as_ref();
    let mut jobs = Vec::with_capacity(args.ids.len());
    for id in &args.ids {
        jobs.push((id, lookup::existing(repo, id).await?.id));
    }
    for (id, job) in jobs {
        let changed = repo.hold(job, hold).await.map_err(|e| unavailable(&e))?;
        eprintln!("{}", effect(&changed.ok_or_else(|| missing(id))?));
    }
    Ok(ExitCode::SUCCESS)
}

fn effect(job: &VideoJob) -> String {
    match job.kept_at {
        Some(since) => format!("{} is kept since {since}", job.id),
        None => format!("{} expires after its retention", job.id),
    }
}
