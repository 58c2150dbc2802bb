//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use videoframes_console::options::{
    DamageArgs, JsonArgs, LimitArgs, NameArgs, PictureArgs, ReplaceArgs, SelectArgs, StreamArgs, VerboseArgs,
    wall_time,
};
use videoframes_console::{CompletionsArgs, HELP_WIDTH, LONG_VERSION, ManArgs, STYLES, VERSION, exit};
use videoframes_core::jobs::JobIdPrefix;
use videoframes_core::tenant::{Priority, Tenant};

use crate::fields;

const EXAMPLES: &str = "\
Examples:
  Submit a video; prints the job ID:
    vf-worker --local data submit video.mp4 --fps 1
  Process jobs until all are done:
    vf-worker --local data run --until-idle
  List the jobs:
    vf-worker --local data jobs
  Write the archive of a job to a file:
    vf-worker --local data result ID -o frames.zip";

const RECONCILE_HELP: &str = "\
A worker changes no jobs while its database is behind the restore mark in the store. Workers may run \
during a reconciliation. After an error or a crash, repeat the command.

Exit code 24: a dry run found lost jobs, or the report lists objects or jobs that need a decision.";

/// Extract video frames by message: each job takes effect exactly once, despite failures
#[derive(Debug, Parser)]
#[command(name = "vf-worker", version = VERSION, long_version = LONG_VERSION, styles = STYLES,
    max_term_width = HELP_WIDTH, arg_required_else_help = true,
    after_help = format!("{EXAMPLES}\n\n{}", exit::help(exit::Program::Worker)))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) location: LocationArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options for the location of jobs, objects and temporary files.
#[derive(Debug, Args)]
pub(crate) struct LocationArgs {
    /// Keep the database (SQLite), objects and temporary files in this folder, instead of DATABASE_URL and
    /// VF_STORAGE
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) local: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) verbose: VerboseArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Process jobs until stopped
    #[command(after_help = crate::config::help())]
    Run(RunArgs),
    /// Check the health of a worker on this machine
    Health(crate::ops::HealthArgs),
    /// Stop receiving messages; jobs in progress continue
    Pause(crate::ops::WorkersArgs),
    /// Receive messages again after a pause
    Resume(crate::ops::WorkersArgs),
    /// Change the log level of running workers
    LogLevel(crate::ops::LogLevelArgs),
    /// Submit a job for a video; prints the job ID
    Submit(Box<SubmitArgs>),
    /// List jobs, newest first
    Jobs(crate::jobs::JobsArgs),
    /// Print a job
    Job(crate::jobs::JobArgs),
    /// Follow jobs until they end; fail if a job fails
    Watch(crate::jobs::WatchArgs),
    /// Cancel jobs, by ID or by filters
    Cancel(crate::jobs::ChangeArgs),
    /// Retry failed and cancelled jobs, by ID or by filters
    Retry(crate::jobs::ChangeArgs),
    /// Keep jobs and their results beyond their retention (legal hold)
    Keep(crate::jobs::HoldArgs),
    /// End the legal hold of jobs
    Release(crate::jobs::HoldArgs),
    /// Print the backlog, the number of jobs and workers, and the rates of completion and failure
    Stats(JsonArgs),
    /// List the workers of the last day, and the jobs that each processes
    Workers(JsonArgs),
    /// Write the archive of a job to a file, or print a presigned URL
    Result(ResultArgs),
    /// Print the sent notifications, one JSON event per line
    Notifications(NotificationsArgs),
    /// Write a checked backup of a SQLite database, while workers run
    Backup(crate::backup::BackupArgs),
    /// Replace a SQLite database by a backup, after checks of the backup
    Restore(crate::backup::RestoreArgs),
    /// Restore objects of a versioned bucket to a time; deletes no versions
    RestoreObjects(crate::restore_objects::RestoreObjectsArgs),
    /// Read and change which revision of the workers receives messages
    Fleet(crate::fleet::FleetArgs),
    /// Create, list and revoke the access tokens of the HTTP API
    Token(crate::tokens::TokenArgs),
    /// Apply, revert or list the migrations of the database schema
    Migrate(MigrateArgs),
    /// Bring a restored database into line with the objects, and let workers continue
    #[command(after_help = RECONCILE_HELP)]
    Reconcile(ReconcileArgs),
    /// List, redrive or delete dead-letter messages
    Dlq(crate::dlq::DlqArgs),
    /// Create or check the buckets and queues of a deployment
    Provision(Box<crate::provision::ProvisionArgs>),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write the man pages of all commands
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Stop when all jobs are done and all notifications are sent
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// Maximum number of concurrent jobs (VF_CONCURRENCY)
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<usize>,
    /// Stand by until the revision (VF_REVISION) is activated, even if no other revision runs
    #[arg(long)]
    pub(crate) standby: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// Video: a file, or s3://BUCKET/KEY in a bucket that the workers read
    pub(crate) video: PathBuf,
    #[command(flatten)]
    pub(crate) job: JobOptionArgs,
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) picture: PictureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) limit: LimitArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Job")]
pub(crate) struct JobOptionArgs {
    /// Idempotency key: submissions with the same key are the same job
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// JSON to include in notifications
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(crate) client_metadata: Option<serde_json::Value>,
    /// Tenant of the job: queues serve tenants in turn
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<Tenant>,
    /// Priority among the waiting jobs: low, normal or high [default: normal]
    #[arg(long, value_name = "PRIORITY")]
    pub(crate) priority: Option<Priority>,
    /// Maximum time from submission to completion of the job: 3600, 1h
    #[arg(long, value_name = "DURATION", value_parser = wall_time)]
    pub(crate) deadline: Option<Duration>,
    /// Wait until the job ends; fail if the job fails
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Key of the archive in the store [default: results/…]
    #[arg(long, value_name = "KEY")]
    pub(crate) output_key: Option<String>,
    #[command(flatten)]
    pub(crate) name: NameArgs,
    #[command(flatten)]
    pub(crate) damage: DamageArgs,
    /// Rendition in addition to the archive, as fields of the job message; may be repeated:
    /// codec=h264,max_height=720,quality=70,max_bytes=25MB,audio=none,optional=true
    #[arg(long, value_name = "FIELDS", value_parser = fields::rendition)]
    pub(crate) rendition: Vec<serde_json::Value>,
    /// Storyboard in addition to the archive, as in every=10s,width=320 with the fields every, count, start, end,
    /// width, height, crop, format, quality, columns and rows
    #[arg(long, value_name = "FIELDS", value_parser = fields::storyboard, num_args = 0..=1, require_equals = true,
        default_missing_value = "")]
    pub(crate) storyboard: Option<serde_json::Value>,
    /// Contact sheet in addition to the archive, with the fields of a storyboard without rows, and margin, gap,
    /// background, foreground, header and timestamps
    #[arg(long, value_name = "FIELDS", value_parser = fields::sheet, num_args = 0..=1, require_equals = true,
        default_missing_value = "")]
    pub(crate) sheet: Option<serde_json::Value>,
    /// Animated preview in addition to the archive, as in fps=5,duration=3s with the fields fps, every, count, start, end,
    /// duration, width, height, format, quality, delay and loop
    #[arg(long, value_name = "FIELDS", value_parser = fields::preview, num_args = 0..=1, require_equals = true,
        default_missing_value = "")]
    pub(crate) preview: Option<serde_json::Value>,
    /// Make only the other outputs: the archive has a manifest without pictures
    #[arg(long)]
    pub(crate) no_pictures: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResultArgs {
    /// ID of the job, or at least its first 8 characters
    pub(crate) id: JobIdPrefix,
    /// Number of a rendition, counted from 1, instead of the archive
    #[arg(long, value_name = "N")]
    pub(crate) rendition: Option<NonZeroUsize>,
    /// The storyboard, into a folder, instead of the archive
    #[arg(long, conflicts_with_all = ["rendition", "url"])]
    pub(crate) storyboard: bool,
    /// The contact sheet instead of the archive
    #[arg(long, conflicts_with_all = ["rendition", "storyboard"])]
    pub(crate) sheet: bool,
    /// The preview instead of the archive
    #[arg(long, conflicts_with_all = ["rendition", "storyboard", "sheet"])]
    pub(crate) preview: bool,
    /// Output file, - for stdout, or a folder for a storyboard
    #[arg(short, long, value_name = "OUT", required_unless_present = "url")]
    pub(crate) output: Option<PathBuf>,
    /// Print a presigned URL, valid for one hour; only for a result in a bucket
    #[arg(long, conflicts_with_all = ["output", "yes"])]
    pub(crate) url: bool,
    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NotificationsArgs {
    /// Wait for further notifications
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Receive the notifications and delete each after the reader has read the line; required with SQS
    #[arg(long)]
    pub(crate) take: bool,
    /// Print the messages that a queue refused permanently
    #[arg(long, conflicts_with_all = ["follow", "take"])]
    pub(crate) refused: bool,
    /// With --refused: send the messages again
    #[arg(long, requires = "refused")]
    pub(crate) resend: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// Print the report and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Let workers continue without any other change, and read no archives
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) accept: bool,
    /// Prefix of keys that clients chose for results, to find jobs without a row; may be repeated
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Vec<String>,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    pub(crate) action: MigrateAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MigrateAction {
    /// Apply all pending migrations
    Up,
    /// Revert the latest migrations and drop the data in their tables
    Down {
        /// Number of migrations to revert
        #[arg(long, value_name = "N", default_value_t = 1)]
        steps: u32,
    },
    /// List the migrations and their status
    Status,
}

fn json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|e| format!("invalid JSON: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    /// Passes every default value of a command and its subcommands explicitly.
    fn check_defaults(command: &clap::Command, path: &[String]) {
        use clap::error::ErrorKind;
        for argument in command.get_arguments() {
            let Some(long) = argument.get_long() else { continue };
            for value in argument.get_default_values() {
                let option = format!("--{long}={}", value.to_string_lossy());
                let line = path.iter().chain([&option]);
                let kind = Cli::try_parse_from(line).err().map(|error| error.kind());
                let is_refused = matches!(kind, Some(ErrorKind::ValueValidation | ErrorKind::InvalidValue));
                assert!(!is_refused, "{path:?} {option}");
            }
        }
        for subcommand in command.get_subcommands() {
            check_defaults(subcommand, &[path, &[subcommand.get_name().to_owned()]].concat());
        }
    }

    #[test]
    fn default_values_are_accepted() {
        use clap::CommandFactory;
        check_defaults(&Cli::command(), &["vf-worker".to_owned()]);
    }
}
