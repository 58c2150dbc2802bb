//! Arguments of the commands for jobs.

use std::time::Duration;

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use videoframes_console::options::{JsonArgs, wall_time};
use videoframes_console::{Failure, exit};
use videoframes_core::jobs::{ErrorCode, JobFilter, JobIdPrefix, JobStatus};
use videoframes_core::tenant::Tenant;

/// Filters of jobs.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct FilterArgs {
    /// Only jobs with one of these statuses: pending, processing, retry_wait, completed, failed or cancelled; may
    /// be repeated
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<JobStatus>,
    /// Only jobs with one of these error codes, such as NO_SPACE; may be repeated
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = error_code(), ignore_case = true,
        hide_possible_values = true)]
    error_code: Vec<String>,
    /// Only jobs submitted at least this long ago: 90s, 15m, 2h, 7d
    #[arg(long, value_name = "DURATION", value_parser = wall_time)]
    older_than: Option<Duration>,
    /// Only jobs submitted less than this long ago
    #[arg(long, value_name = "DURATION", value_parser = wall_time)]
    newer_than: Option<Duration>,
    /// Only jobs whose source has a key that starts with this, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PREFIX", value_parser = NonEmptyStringValueParser::new())]
    source_prefix: Option<String>,
    /// Only jobs of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<Tenant>,
    /// Only jobs under a legal hold (keep)
    #[arg(long)]
    kept: bool,
    /// Only jobs with this text in their error, source, idempotency key, metadata or output key; case-sensitive
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    text: Option<String>,
}

fn error_code() -> impl TypedValueParser<Value = String> {
    let codes = ErrorCode::ALL.iter().map(|code| code.as_str());
    PossibleValuesParser::new(codes).map(|code| code.to_ascii_uppercase())
}

impl FilterArgs {
    /// Returns whether every job matches.
    pub(super) fn is_empty(&self) -> bool {
        self.filter(&[])
            .is_ok_and(|filter| filter == JobFilter::default())
    }

    /// Converts the filters, with `statuses` as the default for `--status`.
    pub(super) fn filter(&self, statuses: &[JobStatus]) -> Result<JobFilter, Failure> {
        if let (Some(older), Some(newer)) = (self.older_than, self.newer_than)
            && older >= newer
        {
            let text = "no job can match: --older-than is not less than --newer-than";
            return Err(Failure::new(exit::USAGE, text));
        }
        let statuses = match self.status.as_slice() {
            [] => statuses,
            given => given,
        };
        let mut filter = JobFilter::default()
            .statuses(statuses.iter().copied())
            .error_codes(&self.error_code);
        filter.older_than = self.older_than;
        filter.newer_than = self.newer_than;
        filter.kept = self.kept;
        filter.text.clone_from(&self.text);
        filter.tenant = self.tenant.as_ref().map(ToString::to_string);
        match self.source_prefix.as_deref().map(source) {
            None => Ok(filter),
            Some((None, prefix)) => Ok(filter.source_prefix(prefix)),
            Some((Some(bucket), prefix)) => Ok(filter.source_bucket(bucket).source_prefix(prefix)),
        }
    }
}

/// Splits the start of a source into its bucket, if any, and the start of its key.
fn source(text: &str) -> (Option<&str>, &str) {
    match text.strip_prefix("s3://") {
        None => (None, text),
        Some(path) => {
            let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
            (Some(bucket), prefix)
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    #[command(flatten)]
    pub(crate) json: JsonArgs,
    /// Maximum number of jobs; 0 lists all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// ID of the job, or at least its first 8 characters
    pub(crate) id: JobIdPrefix,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// Arguments of `cancel` and `retry`.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// IDs of jobs, or at least their first 8 characters
    #[arg(value_name = "ID", conflicts_with = "FilterArgs")]
    pub(crate) ids: Vec<JobIdPrefix>,
    /// All jobs that the command can change, instead of filters
    #[arg(long, conflicts_with_all = ["ids", "FilterArgs"])]
    pub(crate) all: bool,
    /// With filters or --all: change the jobs, instead of a dry run
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// Arguments of `keep` and `release`.
#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    /// IDs of jobs, or at least their first 8 characters
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<JobIdPrefix>,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// IDs of jobs, or at least their first 8 characters [default: all jobs that are not terminal]
    #[arg(value_name = "ID", conflicts_with = "FilterArgs")]
    pub(crate) ids: Vec<JobIdPrefix>,
    /// Print a JSON object per change
    #[arg(long)]
    pub(crate) json: bool,
    /// Maximum number of jobs, newest first; 0 watches all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_source_may_have_a_bucket() {
        for (text, expected) in [
            ("talks/", (None, "talks/")),
            ("s3://uploads/talks/", (Some("uploads"), "talks/")),
            ("s3://uploads/", (Some("uploads"), "")),
            ("s3://uploads", (Some("uploads"), "")),
        ] {
            assert_eq!(source(text), expected);
        }
    }
}
