//! Metrics, through the facade of the `metrics` crate: visible to any installed recorder.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::jobs::{Backlog, JobStatus, OutputResult, RenditionRequest, RenditionResult, Unfinished};

pub(super) fn job_ended(outcome: &'static str, error: Option<&str>, took: Duration) {
    let error = error.unwrap_or_default().to_owned();
    counter!("videoframes_jobs_total", "outcome" => outcome, "error_type" => error).increment(1);
    histogram!("videoframes_job_duration_seconds", "outcome" => outcome).record(took);
}

/// Counts jobs that a claim or a sweep made terminal.
pub(super) fn job_ended_without_attempt(outcome: &'static str, error: &str, count: u64) {
    counter!("videoframes_jobs_total", "outcome" => outcome, "error_type" => error.to_owned())
        .increment(count);
}

/// Counts a job in flight until it is dropped.
pub(super) struct InFlight;

impl InFlight {
    pub(super) fn new() -> Self {
        gauge!("videoframes_jobs_in_flight").increment(1.0);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!("videoframes_jobs_in_flight").decrement(1.0);
    }
}

pub(super) fn stage_took(stage: &'static str, took: Duration) {
    histogram!("videoframes_job_stage_duration_seconds", "stage" => stage).record(took);
}

pub(super) fn waited(time: Duration) {
    histogram!("videoframes_job_queue_wait_seconds").record(time);
}

pub(super) fn received(count: u32) {
    histogram!("videoframes_message_receive_count").record(f64::from(count));
}

pub(super) fn polled() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    gauge!("videoframes_last_poll_timestamp_seconds").set(now.unwrap_or_default().as_secs_f64());
}

pub(super) fn duplicate(state: &'static str) {
    counter!("videoframes_duplicate_deliveries_total", "state" => state).increment(1);
}

pub(super) fn visibility_extended(result: &'static str) {
    counter!("videoframes_visibility_extensions_total", "result" => result).increment(1);
}

pub(super) fn object_event(matched: bool) {
    let result = if matched { "requested" } else { "no_rule" };
    counter!("videoframes_object_events_total", "result" => result).increment(1);
}

pub(super) fn dead_letter(reason: &'static str) {
    counter!("videoframes_dlq_messages_total", "reason" => reason).increment(1);
}

pub(super) fn lease_renewed(result: &'static str) {
    counter!("videoframes_lease_renewals_total", "result" => result).increment(1);
}

pub(super) fn lease_lost(reason: &'static str) {
    counter!("videoframes_lease_lost_total", "reason" => reason).increment(1);
}

pub(super) fn stale_commit() {
    counter!("videoframes_stale_commits_total").increment(1);
}

pub(super) fn rescued(reason: &'static str, count: u64) {
    counter!("videoframes_rescues_total", "reason" => reason).increment(count);
}

pub(super) fn outbox(backlog: &Backlog) {
    gauge!("videoframes_outbox_pending").set(backlog.pending as f64);
    gauge!("videoframes_outbox_oldest_age_seconds").set(backlog.oldest.as_secs_f64());
    gauge!("videoframes_outbox_refused").set(backlog.refused as f64);
}

pub(super) fn unfinished(jobs: &Unfinished) {
    for (status, count) in [
        (JobStatus::Pending, jobs.pending),
        (JobStatus::Processing, jobs.processing),
        (JobStatus::RetryWait, jobs.retry_wait),
    ] {
        gauge!("videoframes_jobs_unfinished", "status" => status.as_str()).set(count as f64);
    }
    gauge!("videoframes_jobs_parked").set(jobs.parked as f64);
}

pub(super) fn unknown_results(count: u64) {
    gauge!("videoframes_results_without_row").set(count as f64);
}

pub(super) fn published(result: &'static str, count: u64) {
    counter!("videoframes_outbox_publish_total", "result" => result).increment(count);
}

pub(super) fn circuit(dependency: &'static str, open: bool) {
    gauge!("videoframes_circuit_state", "dependency" => dependency).set(f64::from(u8::from(open)));
}

/// Counts the renditions of a job.
pub(super) fn renditions(requests: &[RenditionRequest], results: &[RenditionResult]) {
    for (request, result) in requests.iter().zip(results) {
        // A remuxed rendition keeps the codec of the source, which may be any codec.
        let codec = request.options.codec.as_str();
        let outcome = match result {
            RenditionResult::Made(_) => "made",
            RenditionResult::Failed { .. } => "failed",
        };
        counter!("videoframes_renditions_total", "outcome" => outcome, "codec" => codec).increment(1);
    }
}

/// Counts the outputs that a job composed of frames.
pub(super) fn outputs(results: &[OutputResult]) {
    for result in results {
        counter!("videoframes_outputs_total", "kind" => result.kind.as_str()).increment(1);
    }
}

pub(super) fn result_reused() {
    counter!("videoframes_results_reused_total").increment(1);
}

pub(super) fn extracted(frames: u64, input: u64, output: u64) {
    counter!("videoframes_frames_extracted_total").increment(frames);
    counter!("videoframes_input_bytes_total").increment(input);
    counter!("videoframes_output_bytes_total").increment(output);
}
