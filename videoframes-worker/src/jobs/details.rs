//! `vf-worker jobs`, `job`, `cancel` and `retry`.

use std::process::ExitCode;

use videoframes_console::{Delivery, Failure, exit, to_json, warn};
use videoframes_core::jobs::{
    JobFilter, JobId, JobRepo, JobRepoError, RenditionObject, RenditionResult, VideoJob,
};
use videoframes_core::text::printable;

use crate::args::{IdArgs, JobArgs, JobsArgs};
use crate::config::Config;
use crate::connections::open_existing;

/// Number of jobs per page.
const PAGE: u32 = 500;

/// Prints jobs page by page, so that memory does not grow with their number.
pub(crate) async fn list(config: &Config, args: &JobsArgs) -> Result<ExitCode, Failure> {
    let Some(connections) = open_existing(config).await? else {
        print(&List::new(args.json.json).end())?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut list = List::new(args.json.json);
    // `None` is no limit.
    let mut left = (args.limit > 0).then_some(args.limit);
    let mut filter = JobFilter {
        status: args.status,
        ..JobFilter::default()
    };
    let more = loop {
        // One additional job shows whether there are more.
        filter.limit = Some(left.map_or(PAGE, |left| PAGE.min(left.saturating_add(1))));
        let mut page = connections
            .repo
            .list(&filter)
            .await
            .map_err(|e| unavailable(&e))?;
        for job in &page.unreadable {
            warn(&format!("failed to read job {}: {}", job.id, job.reason));
        }
        let more = left.is_some_and(|left| page.jobs.len() > left as usize);
        page.jobs.truncate(left.map_or(usize::MAX, |left| left as usize));
        if videoframes_console::print(&list.page(&page.jobs)?)? == Delivery::Closed {
            return Ok(ExitCode::SUCCESS);
        }
        left = left.map(|left| left.saturating_sub(u32::try_from(page.jobs.len()).unwrap_or(u32::MAX)));
        match page.next {
            Some(next) if !more => filter.after = Some(next),
            _ => break more,
        }
    };
    print(&list.end())?;
    if more {
        eprintln!("there are more jobs: --limit 0 lists all");
    }
    Ok(ExitCode::SUCCESS)
}

/// A list printed page by page, as a table or a JSON array.
struct List {
    json: bool,
    is_started: bool,
}

impl List {
    fn new(json: bool) -> Self {
        Self {
            json,
            is_started: false,
        }
    }

    fn page(&mut self, jobs: &[VideoJob]) -> Result<String, Failure> {
        let mut text = String::new();
        if !self.json && !self.is_started {
            text += &heading();
            self.is_started = true;
        }
        for job in jobs {
            if self.json {
                text += if self.is_started { ",\n  " } else { "[\n  " };
                text += &to_json(job)?.trim_end().replace('\n', "\n  ");
                self.is_started = true;
            } else {
                text += &row(job);
            }
        }
        Ok(text)
    }

    fn end(&self) -> String {
        match (self.json, self.is_started) {
            (true, true) => "\n]\n".to_owned(),
            (true, false) => "[]\n".to_owned(),
            (false, true) => String::new(),
            (false, false) => heading(),
        }
    }
}

pub(crate) async fn show(config: &Config, args: &JobArgs) -> Result<ExitCode, Failure> {
    let connections = open_existing(config).await?.ok_or_else(|| missing(args.id))?;
    let job = connections.repo.get(args.id).await.map_err(|e| unavailable(&e))?;
    let job = job.ok_or_else(|| missing(args.id))?;
    print(&if args.json.json {
        to_json(&job)?
    } else {
        details(&job)
    })
}

pub(crate) async fn cancel(config: &Config, args: &IdArgs) -> Result<ExitCode, Failure> {
    let connections = open_existing(config).await?.ok_or_else(|| missing(args.id))?;
    let job = connections.repo.cancel(args.id).await.map_err(|e| refused(&e))?;
    let job = job.ok_or_else(|| missing(args.id))?;
    match job.status.is_terminal() {
        true => eprintln!("{} is {}", job.id, job.status),
        false => eprintln!("{}: the worker was requested to stop", job.id),
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn retry(config: &Config, args: &IdArgs) -> Result<ExitCode, Failure> {
    let connections = open_existing(config).await?.ok_or_else(|| missing(args.id))?;
    let job = connections.repo.retry(args.id).await.map_err(|e| refused(&e))?;
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
    Failure::new(exit::NOT_FOUND, format!("job {id} does not exist")).hint("'vf-worker jobs' lists the jobs")
}

fn heading() -> String {
    format!(
        "{:<36}  {:<10}  {:>8}  {:<20}  {:<22}  {}\n",
        "id", "status", "attempts", "created", "error", "video"
    )
}

/// Returns a job as one line of the table.
fn row(job: &VideoJob) -> String {
    let created = job.created_at.to_string();
    format!(
        "{}  {:<10}  {:>8}  {:<20}  {:<22}  {}\n",
        job.id,
        job.status,
        job.attempts,
        created.get(..19).unwrap_or(&created),
        job.error_code.as_deref().unwrap_or("-"),
        printable(video(job))
    )
}

/// Returns a job as text, one line per field.
fn details(job: &VideoJob) -> String {
    let mut lines = vec![
        ("job", job.id.to_string()),
        ("status", job.status.to_string()),
        ("video", video(job).to_owned()),
        (
            "attempts",
            format!("{} ({} crashed)", job.attempts, job.crash_count),
        ),
        ("created", job.created_at.to_string()),
    ];
    if let Some(begun_at) = job.begun_at {
        lines.push(("started", begun_at.to_string()));
    }
    if let Some(deadline) = job.deadline_at {
        lines.push(("deadline", deadline.to_string()));
    }
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
        lines.push(("stopping", "the worker was requested to stop".to_owned()));
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
        RenditionResult::Failed { message } => format!("failed: {message}"),
        RenditionResult::Made(RenditionObject { key, video }) => format!(
            "{key}: {} {}×{}, {} bytes, sha256 {}",
            video.codec, video.width, video.height, video.size, video.sha256
        ),
    }
}

fn video(job: &VideoJob) -> &str {
    let key = job.source_key().unwrap_or("?");
    key.rsplit('/').next().unwrap_or(key)
}

/// Prints `text` to stdout.
pub(crate) fn print(text: &str) -> Result<ExitCode, Failure> {
    videoframes_console::print(text).map(|_| ExitCode::SUCCESS)
}
