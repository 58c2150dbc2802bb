//! What the command line says of provisioning.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ProvisionArgs {
    /// Change nothing; print what differs, and fail with exit code 24 if anything does.
    #[arg(long)]
    pub(crate) check: bool,

    /// The bucket of results and submitted videos (VF_STORAGE).
    #[arg(long, value_name = "BUCKET[/PREFIX]", help_heading = "Names")]
    pub(crate) storage_bucket: Option<String>,
    /// A bucket that videos may come from; may be given again (VF_SOURCES).
    #[arg(long, value_name = "BUCKET", help_heading = "Names")]
    pub(crate) source_bucket: Vec<String>,
    /// The queue that messages come from, as sqs:NAME or its URL (VF_INPUT_QUEUE).
    #[arg(long, value_name = "QUEUE", help_heading = "Names")]
    pub(crate) input_queue: Option<String>,
    /// The queue that clients are told by (VF_NOTIFIER_QUEUE).
    #[arg(long, value_name = "QUEUE", help_heading = "Names")]
    pub(crate) notifier_queue: Option<String>,
    /// The queue of dead letters (VF_DEAD_LETTER_QUEUE).
    #[arg(long, value_name = "QUEUE", help_heading = "Names")]
    pub(crate) dead_letter_queue: Option<String>,

    /// Encryption of new objects by default: s3, kms, kms:KEY, or bucket to leave it as it is
    /// (VF_S3_ENCRYPTION where it is kms) [default: s3].
    #[arg(long, value_name = "HOW", help_heading = "Settings")]
    pub(crate) encryption: Option<String>,
    /// Days after which unfinished uploads are aborted.
    #[arg(long, value_name = "DAYS", default_value_t = 2, value_parser = clap::value_parser!(i32).range(1..=3650), help_heading = "Settings")]
    pub(crate) upload_days: i32,
    /// Days after which results expire [default: twice VF_RETENTION and a day, since a result may be
    /// used again until it is as old as VF_RETENTION].
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i32).range(1..=36500), help_heading = "Settings")]
    pub(crate) result_days: Option<i32>,
    /// Days after which versions that were replaced or deleted expire.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(i32).range(1..=36500), help_heading = "Settings")]
    pub(crate) version_days: i32,
    /// Days for which messages are kept; dead letters are kept for 14, counted from when they were sent first.
    #[arg(long, value_name = "DAYS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=14), help_heading = "Settings")]
    pub(crate) message_days: u32,
    /// Receipts after which a message is a dead letter, at least 10 (VF_MAX_RECEIVES).
    #[arg(long, value_name = "N", help_heading = "Settings")]
    pub(crate) max_receives: Option<u32>,
    /// Let a bucket tell the input queue of new objects: BUCKET, or BUCKET/PREFIX*SUFFIX such as
    /// videos/uploads/*.mp4; may be given again.
    #[arg(long, value_name = "WHICH", help_heading = "Settings")]
    pub(crate) events: Vec<String>,
}
