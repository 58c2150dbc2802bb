//! `vf-worker jobs`, `job`, `cancel`, `retry`: what an operator asks about jobs.

use std::process::ExitCode;

use videoframes_console::{Failure, exit};
use videoframes_core::jobs::{
    JobFilter, JobId, JobRepo, JobRepoError, RenditionObject, RenditionResult, VideoJob,
};
use videoframes_core::text::{printable, printable_json};

use crate::args::{IdArgs, JobArgs, JobsArgs};
use crate::config::Config;
use crate::parts::open_existing;

pub(crate) async fn list(config: &Config, args: &JobsArgs) -> Result<ExitCode, Failure> {
    let filter = JobFilter {
        status: args.status,
        most: args.most,
    };
    let jobs = match open_existing(config).await? {
        Some(place) => place.repo.list(&filter).await.map_err(|e| unavailable(&e))?,
        None => Vec::new(),
    };
    print(&if args.json { json(&jobs)? } else { table(&jobs) })
}

pub(crate) async fn show(config: &Config, args: &JobArgs) -> Result<ExitCode, Failure> {
    let place = open_existing(config).await?.ok_or_else(|| missing(args.id))?;
    let job = place.repo.get(args.id).await.map_err(|e| unavailable(&e))?;
    let job = job.ok_or_else(|| missing(args.id))?;
    print(&if args.json { json(&job)? } else { sheet(&job) })
}

pub(crate) async fn cancel(config: &Config, args: &IdArgs) -> Result<ExitCode, Failure> {
    let place = open_existing(config).await?.ok_or_else(|| missing(args.id))?;
    let job = place.repo.cancel(args.id).await.map_err(|e| refused(&e))?;
    let job = job.ok_or_else(|| missing(args.id))?;
    match job.status.is_terminal() {
        true => eprintln!("{} is {}", job.id, job.status),
        false => eprintln!("{}: its worker is asked to stop", job.id),
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn retry(config: &Config, args: &IdArgs) -> Result<ExitCode, Failure> {
    let place = open_existing(config).await?.ok_or_else(|| missing(args.id))?;
    let job = place.repo.retry(args.id).await.map_err(|e| refused(&e))?;
    let job = job.ok_or_else(|| missing(args.id))?;
    eprintln!("{} is {} again", job.id, job.status);
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn unavailable(error: &JobRepoError) -> Failure {
    Failure::because(exit::UNAVAILABLE, error)
}

fn refused(error: &JobRepoError) -> Failure {
    match error {
        JobRepoError::WrongState(_) => Failure::because(exit::JOB, error),
        _ => unavailable(error),
    }
}

pub(crate) fn missing(id: JobId) -> Failure {
    Failure::new(exit::NOT_FOUND, format!("there is no job {id}")).hint("'vf-worker jobs' lists them")
}

pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::internal(&e))?;
    Ok(format!("{}\n", printable_json(&text)))
}

/// One line a job.
fn table(jobs: &[VideoJob]) -> String {
    let mut text = format!(
        "{:<36}  {:<10}  {:>8}  {:<20}  {:<22}  {}\n",
        "id", "status", "attempts", "created", "error", "video"
    );
    for job in jobs {
        let created = job.created_at.to_string();
        text += &format!(
            "{}  {:<10}  {:>8}  {:<20}  {:<22}  {}\n",
            job.id,
            job.status,
            job.attempts,
            created.get(..19).unwrap_or(&created),
            job.error_code.as_deref().unwrap_or("-"),
            printable(video(job))
        );
    }
    text
}

/// One line a fact.
fn sheet(job: &VideoJob) -> String {
    let mut lines = vec![
        ("job", job.id.to_string()),
        ("status", job.status.to_string()),
        ("video", video(job).to_owned()),
        (
            "attempts",
            format!("{} ({} of them crashed)", job.attempts, job.crash_count),
        ),
        ("created", job.created_at.to_string()),
    ];
    if let Some(stage) = job.stage {
        let of = match job.frames_total {
            0 => String::new(),
            total => format!(", {} of {total} frames", job.frames_done),
        };
        lines.push(("stage", format!("{}{of}", stage.as_str())));
    }
    if let Some(owner) = &job.lease_owner {
        lines.push(("worker", owner.clone()));
    }
    if job.cancel_requested {
        lines.push(("stopping", "its worker is asked to stop".to_owned()));
    }
    if let Some(next) = job.next_attempt_at {
        lines.push(("next attempt", next.to_string()));
    }
    if let Some(error) = job.error() {
        lines.push(("error", format!("{}: {}", error.code, error.message)));
    }
    if let Some(result) = &job.result {
        lines.push(("result", result.key.clone()));
        lines.push(("pictures", result.frames.to_string()));
        lines.push(("bytes", result.size.to_string()));
        lines.push(("sha256", result.sha256.clone()));
        lines.extend(
            result
                .renditions
                .iter()
                .map(|rendition| ("rendition", line(rendition))),
        );
    }
    if let Some(finished) = job.finished_at {
        lines.push(("finished", finished.to_string()));
    }
    lines
        .iter()
        .map(|(name, value)| format!("{name:<13} {}\n", printable(value)))
        .collect()
}

fn line(rendition: &RenditionResult) -> String {
    match rendition {
        RenditionResult::Failed { message } => format!("not made: {message}"),
        RenditionResult::Made(RenditionObject { key, video }) => format!(
            "{key}: {} {}×{}, {} bytes, sha256 {}",
            video.codec, video.width, video.height, video.size, video.sha256
        ),
    }
}

fn video(job: &VideoJob) -> &str {
    let key = job.source["key"].as_str().unwrap_or("?");
    key.rsplit('/').next().unwrap_or(key)
}

/// Prints `text`.
pub(crate) fn print(text: &str) -> Result<ExitCode, Failure> {
    videoframes_console::print(text).map(|_| ExitCode::SUCCESS)
}
