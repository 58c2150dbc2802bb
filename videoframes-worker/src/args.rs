//! What the command line says.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use videoframes_console::options::{
    DamageArgs, LimitArgs, NameArgs, PictureArgs, ReplaceArgs, SelectArgs, StreamArgs, VerboseArgs, wall_time,
};
use videoframes_console::{STYLES, exit};
use videoframes_core::jobs::{JobId, JobStatus};
use videoframes_core::units::parse_size;

/// The width at which help is wrapped on wider terminals.
const HELP_WIDTH: usize = 110;

const EXAMPLES: &str = "\
Examples:
  Submit a video; prints the id of the job:
    vf-worker --local data submit video.mp4 --fps 1
  Work until every job is done:
    vf-worker --local data run --until-idle
  List the jobs:
    vf-worker --local data jobs
  Write the archive of a job to a file:
    vf-worker --local data result ID -o frames.zip";

/// Frames of videos by message: each job is done once, whatever fails
#[derive(Debug, Parser)]
#[command(name = "vf-worker", version, styles = STYLES, max_term_width = HELP_WIDTH, arg_required_else_help = true,
    after_help = format!("{EXAMPLES}\n\n{}", exit::help(exit::Program::Worker)))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where jobs, objects and scratch are.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Keep everything (SQLite, objects, scratch) under this folder, instead of DATABASE_URL and
    /// VF_STORAGE.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) local: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) verbose: VerboseArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Work on jobs until stopped.
    #[command(after_help = crate::config::help())]
    Run(RunArgs),
    /// Put a video into the store and ask for its frames; prints the job's id.
    Submit(Box<SubmitArgs>),
    /// List jobs, newest first.
    Jobs(JobsArgs),
    /// Show one job.
    Job(JobArgs),
    /// Stop a job.
    Cancel(IdArgs),
    /// Start a failed or cancelled job again.
    Retry(IdArgs),
    /// Write a job's archive to a file, or print an address of it.
    Result(ResultArgs),
    /// Print the notifications that were sent, one JSON event a line.
    Notifications(NotificationsArgs),
    /// Bring the database's tables up, take them down, or show where they are.
    Migrate(MigrateArgs),
    /// Look at dead letters, send them again, or delete them.
    Dlq(crate::dlq::DlqArgs),
    /// Make the buckets and queues that a deployed worker needs, or check them.
    Provision(Box<crate::provision::ProvisionArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Stop when every job is done and told of.
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// Jobs at once (VF_CONCURRENCY).
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The video: a file, or s3://BUCKET/KEY in a bucket that the workers read
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
    /// Submissions with the same key are the same job
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// JSON that the notification repeats
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(crate) metadata: Option<serde_json::Value>,
    /// Fail unless the job is done after this time: 3600, 1h
    #[arg(long, value_name = "DURATION", value_parser = wall_time)]
    pub(crate) deadline: Option<Duration>,
    /// Wait until the job is over; fail if the job fails
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
    /// A compressed video in addition to the archive, as fields of the message; may be repeated:
    /// codec=h264,max_height=720,quality=70,max_bytes=25MB,audio=none,optional=true
    #[arg(long, value_name = "FIELDS", value_parser = fields)]
    pub(crate) rendition: Vec<serde_json::Value>,
}

#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    /// As a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only those: pending, processing, retry_wait, completed, failed or cancelled.
    #[arg(long, value_name = "S")]
    pub(crate) status: Option<JobStatus>,
    /// Maximum number of jobs; 0 lists all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// The job.
    pub(crate) id: JobId,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct IdArgs {
    /// The job.
    pub(crate) id: JobId,
}

#[derive(Debug, Args)]
pub(crate) struct ResultArgs {
    /// The job.
    pub(crate) id: JobId,
    /// Not the archive but the rendition of this number, counted from 1.
    #[arg(long, value_name = "N")]
    pub(crate) rendition: Option<NonZeroUsize>,
    /// The file; - is stdout.
    #[arg(short, long, value_name = "FILE", required_unless_present = "url")]
    pub(crate) output: Option<PathBuf>,
    /// Print an address that anyone can fetch it from for an hour, where it is in a bucket.
    #[arg(long, conflicts_with_all = ["output", "yes"])]
    pub(crate) url: bool,
    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NotificationsArgs {
    /// Go on with those that are still to come.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Receive them, and delete each once it was read; with SQS there is no other way.
    #[arg(long)]
    pub(crate) take: bool,
    /// Print the messages that their queue refused for good
    #[arg(long, conflicts_with_all = ["follow", "take"])]
    pub(crate) refused: bool,
    /// With --refused: send them again
    #[arg(long, requires = "refused")]
    pub(crate) resend: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    pub(crate) action: MigrateAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MigrateAction {
    /// Bring the tables to what this version needs.
    Up,
    /// Take back the last migrations, and what their tables hold.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Show which migrations the database has.
    Status,
}

/// `name=value,…` as a JSON object: numbers, sizes and truth values are such, anything else is a text.
fn fields(text: &str) -> Result<serde_json::Value, String> {
    let fields = text.split(',').filter(|field| !field.is_empty());
    let fields = fields.map(|field| {
        let (name, value) = field
            .split_once('=')
            .ok_or_else(|| format!("'{field}' is not name=value"))?;
        let value = match serde_json::from_str(value) {
            Ok(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => value,
            _ if name == "max_bytes" => parse_size(value).map_err(|e| format!("max_bytes: {e}"))?.into(),
            _ => value.into(),
        };
        match RENDITION_FIELDS.contains(&name) {
            true => Ok((name.to_owned(), value)),
            false => Err(format!("'{name}' is none of {}", RENDITION_FIELDS.join(", "))),
        }
    });
    fields
        .collect::<Result<serde_json::Map<_, _>, String>>()
        .map(serde_json::Value::Object)
}

/// What can be said of a rendition.
const RENDITION_FIELDS: [&str; 8] = [
    "codec",
    "container",
    "quality",
    "max_height",
    "max_bytes",
    "audio",
    "keep_metadata",
    "optional",
];

fn json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_rendition_are_those_of_the_message() {
        let read = fields("codec=hevc,max_height=720,max_bytes=25MB,optional=true");
        let fields_of_the_message = serde_json::json!(
            {"codec": "hevc", "max_height": 720, "max_bytes": 25_000_000, "optional": true}
        );
        assert_eq!(read, Ok(fields_of_the_message));
        for wrong in ["v.mp4", "height=720", "max_bytes=much"] {
            assert!(fields(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
