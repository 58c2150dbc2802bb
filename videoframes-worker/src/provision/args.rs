//! Arguments of `vf-worker provision`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ProvisionArgs {
    /// Change nothing; print the differences, and fail with exit code 24 if there are any
    #[arg(long)]
    pub(crate) check: bool,

    /// Bucket of results and submitted videos (VF_STORAGE)
    #[arg(long, value_name = "BUCKET[/PREFIX]", help_heading = "Names")]
    pub(crate) storage_bucket: Option<String>,
    /// Bucket of source videos; may be repeated (VF_SOURCES)
    #[arg(long, value_name = "BUCKET", help_heading = "Names")]
    pub(crate) source_bucket: Vec<String>,
    /// Queue of job messages: sqs:NAME or a URL (VF_INPUT_QUEUE)
    #[arg(long, value_name = "QUEUE", help_heading = "Names")]
    pub(crate) input_queue: Option<String>,
    /// Queue of notifications: sqs:NAME or a URL (VF_NOTIFIER_QUEUE)
    #[arg(long, value_name = "QUEUE", help_heading = "Names")]
    pub(crate) notifier_queue: Option<String>,
    /// Queue of dead-letter messages: sqs:NAME or a URL (VF_DEAD_LETTER_QUEUE)
    #[arg(long, value_name = "QUEUE", help_heading = "Names")]
    pub(crate) dead_letter_queue: Option<String>,

    /// Default encryption of new objects: s3, kms, kms:KEY, or bucket to keep the current setting
    /// (VF_S3_ENCRYPTION unless bucket) [default: s3]
    #[arg(long, value_name = "METHOD", help_heading = "Settings")]
    pub(crate) encryption: Option<String>,
    /// Days after which incomplete uploads are aborted
    #[arg(long, value_name = "DAYS", default_value_t = 2, value_parser = clap::value_parser!(i32).range(1..=3650), help_heading = "Settings")]
    pub(crate) upload_days: i32,
    /// Days after which replaced or deleted versions expire [default: VF_VERSION_RETENTION]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i32).range(1..=36500), help_heading = "Settings")]
    pub(crate) version_days: Option<i32>,
    /// Retention of messages in days; dead-letter messages are kept for 14 days after they were first sent
    #[arg(long, value_name = "DAYS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=14), help_heading = "Settings")]
    pub(crate) message_days: u32,
    /// Receive count after which a message is dead-lettered, at least 10 (VF_MAX_RECEIVES)
    #[arg(long, value_name = "N", help_heading = "Settings")]
    pub(crate) max_receives: Option<u32>,
    /// Send notifications of new objects in a bucket to the input queue: BUCKET, or BUCKET/PREFIX*SUFFIX such
    /// as videos/uploads/*.mp4; may be repeated
    #[arg(long, value_name = "FILTER", help_heading = "Settings")]
    pub(crate) events: Vec<String>,
}
