//! Which jobs to list.

use std::time::Duration;

use super::{JobId, JobStatus, VideoJob};
use crate::clock::UnixMillis;

/// Which jobs to list, newest first. The default lists all jobs.
///
/// A job has to satisfy all conditions. Texts are compared by character, and have no wildcards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobFilter {
    /// Identifiers of the jobs; empty for any.
    pub ids: Vec<JobId>,
    /// Statuses, of which a job has one; empty for any.
    pub statuses: Vec<JobStatus>,
    /// Error codes, of which a job has one; empty for any.
    pub error_codes: Vec<String>,
    /// Minimum time since the submission.
    pub older_than: Option<Duration>,
    /// Time since the submission that a job has not reached.
    pub newer_than: Option<Duration>,
    /// Bucket of the source, as the request named it.
    pub source_bucket: Option<String>,
    /// Start of the key of the source.
    pub source_prefix: Option<String>,
    /// Name of the tenant; empty for jobs without a tenant.
    pub tenant: Option<String>,
    /// A part of the error, the source, the idempotency key, the client's metadata or the requested output key.
    pub text: Option<String>,
    /// Only jobs under a legal hold.
    pub kept: bool,
    /// Only jobs after this position: see [`JobPage::next`](super::JobPage::next).
    pub after: Option<JobCursor>,
    /// Maximum number of jobs that one page examines; unlimited by default.
    pub limit: Option<u32>,
}

impl JobFilter {
    /// Sets the identifiers.
    #[must_use]
    pub fn ids(mut self, ids: impl IntoIterator<Item = JobId>) -> Self {
        self.ids = ids.into_iter().collect();
        self
    }

    /// Sets the statuses.
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = JobStatus>) -> Self {
        self.statuses = statuses.into_iter().collect();
        self
    }

    /// Sets the error codes.
    #[must_use]
    pub fn error_codes(mut self, codes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.error_codes = codes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the minimum time since the submission.
    #[must_use]
    pub fn older_than(mut self, age: Duration) -> Self {
        self.older_than = Some(age);
        self
    }

    /// Sets the time since the submission that a job has not reached.
    #[must_use]
    pub fn newer_than(mut self, age: Duration) -> Self {
        self.newer_than = Some(age);
        self
    }

    /// Sets the bucket of the source.
    #[must_use]
    pub fn source_bucket(mut self, bucket: impl Into<String>) -> Self {
        self.source_bucket = Some(bucket.into());
        self
    }

    /// Sets the start of the key of the source.
    #[must_use]
    pub fn source_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.source_prefix = Some(prefix.into());
        self
    }

    /// Sets the name of the tenant; empty for jobs without a tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Sets the text.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Selects only jobs under a legal hold.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.kept = true;
        self
    }

    /// Sets the position.
    #[must_use]
    pub fn after(mut self, position: JobCursor) -> Self {
        self.after = Some(position);
        self
    }

    /// Sets the maximum number of jobs that one page examines.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Returns whether a job satisfies all conditions at `now`.
    pub(crate) fn matches(&self, job: &VideoJob, now: UnixMillis) -> bool {
        let age = now.since(job.created_at);
        let has_code = |code: &String| job.error_code.as_ref() == Some(code);
        (self.ids.is_empty() || self.ids.contains(&job.id))
            && (self.statuses.is_empty() || self.statuses.contains(&job.status))
            && (self.error_codes.is_empty() || self.error_codes.iter().any(has_code))
            && self.older_than.is_none_or(|min| age >= min)
            && self.newer_than.is_none_or(|max| age < max)
            && self.after.is_none_or(|after| JobCursor::from(job) < after)
            && (!self.kept || job.kept_at.is_some())
            && self.matches_texts(job)
    }

    /// Returns whether a job satisfies the conditions on its source and its texts.
    pub(crate) fn matches_texts(&self, job: &VideoJob) -> bool {
        let bucket = job.source.json()["bucket"].as_str();
        let key = job.source.json()["key"].as_str();
        self.source_bucket.as_ref().is_none_or(|b| bucket == Some(b))
            && self
                .source_prefix
                .as_ref()
                .is_none_or(|prefix| key.is_some_and(|key| key.starts_with(prefix)))
            && self
                .tenant
                .as_ref()
                .is_none_or(|name| name == job.tenant.as_str())
            && self.text.as_ref().is_none_or(|text| has_text(job, text))
    }
}

/// Returns whether `text` is a part of a text of the job.
fn has_text(job: &VideoJob, text: &str) -> bool {
    let source = job.source.json().as_object();
    let in_source = source
        .into_iter()
        .flat_map(serde_json::Map::values)
        .filter_map(|value| value.as_str())
        .any(|value| value.contains(text));
    let texts = [
        job.error_code.as_deref(),
        job.error_message.as_deref(),
        Some(job.idempotency_key.as_str()),
        job.output_key.as_deref(),
    ];
    in_source
        || texts.into_iter().flatten().any(|value| value.contains(text))
        || job
            .client_metadata
            .as_ref()
            .is_some_and(|metadata| metadata.to_string().contains(text))
}

/// A position in a list of jobs, unaffected by jobs that are submitted or deleted in the meantime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobCursor {
    /// Submission time of the job at this position.
    pub created_at: UnixMillis,
    /// Identifier of the job at this position.
    pub id: JobId,
}

impl From<&VideoJob> for JobCursor {
    fn from(job: &VideoJob) -> Self {
        Self {
            created_at: job.created_at,
            id: job.id,
        }
    }
}
