//! `vf-worker job`: prints one job and the attempts at it.

use std::process::ExitCode;

use videoframes_console::{Failure, to_json};
use videoframes_core::clock::{Clock, SystemClock, UnixMillis};
use videoframes_core::jobs::{OutputResult, RenditionObject, RenditionResult, VideoJob};
use videoframes_core::tenant::Priority;
use videoframes_core::text::printable;

use super::args::JobArgs;
use super::failure::missing;
use super::{JobDetails, history, progress, table};
use crate::config::Config;
use crate::connections::open_existing;
use crate::stdout::print;

pub(crate) async fn show(config: &Config, args: &JobArgs) -> Result<ExitCode, Failure> {
    let connections = open_existing(config).await?.ok_or_else(|| missing(&args.id))?;
    let job = JobDetails::read(connections.repo.as_ref(), &args.id).await?;
    let now = SystemClock.now();
    print(&match args.json.json {
        true => to_json(&job)?,
        false => details(&job.job, now) + &history::table(&job.history, now),
    })
}

/// Returns a job as text, one line per field.
fn details(job: &VideoJob, now: UnixMillis) -> String {
    let mut lines = vec![
        ("job", job.id.to_string()),
        ("status", job.status.to_string()),
        ("video", table::video(job).to_owned()),
        (
            "attempts",
            format!("{} ({} crashed)", job.attempts, job.crash_count),
        ),
        ("created", job.created_at.to_string()),
    ];
    if let Some(tenant) = job.tenant.name() {
        lines.push(("tenant", tenant.to_owned()));
    }
    if job.priority != Priority::default() {
        lines.push(("priority", job.priority.to_string()));
    }
    if let Some(since) = job.parked_at {
        lines.push((
            "parked",
            format!("since {since}: the limit of the tenant is reached"),
        ));
    }
    if let Some(begun_at) = job.begun_at {
        lines.push(("started", begun_at.to_string()));
    }
    if let Some(since) = job.kept_at {
        lines.push(("kept", format!("since {since}")));
    }
    if let Some(deadline) = job.deadline_at {
        lines.push(("deadline", deadline.to_string()));
    }
    if let Some(stage) = job.stage {
        lines.push(("stage", stage.as_str().to_owned()));
    }
    if let Some(progress) = progress::long(job) {
        lines.push(("progress", progress));
    }
    if let Some(duration) = progress::duration(job, now) {
        lines.push(("duration", progress::human(duration)));
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
    lines.extend(table::error(job).map(|error| ("error", error)));
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
        lines.extend(
            result
                .outputs
                .iter()
                .map(|output| (output.kind.as_str(), summary(output))),
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

fn summary(output: &OutputResult) -> String {
    format!(
        "{}: {} frames, {} files, {} bytes",
        output.key, output.frames, output.files, output.size
    )
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
