//! Arguments of `vf-worker backup` and `restore`.

use std::path::PathBuf;

use clap::Args;
use videoframes_console::options::{JsonArgs, ReplaceArgs};

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// File of the backup
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,
    #[command(flatten)]
    pub(crate) metrics: MetricsFileArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// File of the backup
    pub(crate) file: PathBuf,
    /// Replace an existing database
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) metrics: MetricsFileArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// `--metrics-file`.
#[derive(Debug, Args)]
pub(crate) struct MetricsFileArgs {
    /// File NAME.prom in a folder of the textfile collector, to which the time of the success is also written
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_file: Option<PathBuf>,
}
