//! `vf-worker backup` and `restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use videoframes_console::{Failure, cancelled_by_signals, exit, to_json};
use videoframes_core::backup::{self, BackupFacts};
use videoframes_core::storage::IfExists;

use super::args::{BackupArgs, RestoreArgs};
use super::{failure, report};
use crate::backup_times::{self, Operation};
use crate::config::Config;
use crate::stdout::print;
use crate::workspace::{Workspace, private_folders};

pub(crate) async fn back_up(config: &Config, args: &BackupArgs) -> Result<ExitCode, Failure> {
    let database = database(config, "vf-worker backup")?;
    if !database.exists() {
        let text = format!(
            "there is no database to back up: '{}' does not exist",
            database.display()
        );
        return Err(Failure::new(exit::NOT_FOUND, text));
    }
    let stop = cancelled_by_signals(Duration::ZERO).map_err(|e| Failure::internal(&e))?;
    let facts = backup::back_up(&database, &args.file, args.replace.if_exists(), &stop).await;
    let facts = facts.map_err(|error| failure::of_backup(&error))?;
    print_facts(&args.file, &facts, args.json.json)?;
    record(config, args.metrics.metrics_file.as_deref(), Operation::Backup).await
}

pub(crate) async fn restore(config: &Config, args: &RestoreArgs) -> Result<ExitCode, Failure> {
    let database = database(config, "vf-worker restore")?;
    refuse_live_workers(config)?;
    if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private_folders(folder).map_err(|error| {
            let text = format!("failed to create the folder '{}': {error}", folder.display());
            Failure::new(exit::OUTPUT, text)
        })?;
    }
    let if_exists = match args.yes {
        true => IfExists::Replace,
        false => IfExists::Refuse,
    };
    let stop = cancelled_by_signals(Duration::ZERO).map_err(|e| Failure::internal(&e))?;
    let facts = backup::restore(&args.file, &database, if_exists, &stop).await;
    let facts = facts.map_err(|error| failure::of_restore(&error))?;
    print_facts(&args.file, &facts, args.json.json)?;
    record(
        config,
        args.metrics.metrics_file.as_deref(),
        Operation::RestoreTest,
    )
    .await
}

fn database(config: &Config, command: &str) -> Result<PathBuf, Failure> {
    let file = config.places.sqlite_file();
    file.ok_or_else(|| failure::of_postgres(command))
}

/// Refuses to restore while workers with the same scratch folder run, even without an open connection.
fn refuse_live_workers(config: &Config) -> Result<(), Failure> {
    // Without a readable scratch folder, the locks of the database itself still show its users.
    let workers = Workspace::workers(&config.places.scratch).unwrap_or_default();
    match workers.first() {
        None => Ok(()),
        Some(worker) => Err(Failure::new(
            exit::UNAVAILABLE,
            format!("the database is in use by the worker {}", worker.name),
        )
        .hint("stop all workers and other programs that use the database")),
    }
}

fn print_facts(file: &Path, facts: &BackupFacts, json: bool) -> Result<ExitCode, Failure> {
    print(&match json {
        true => to_json(&report::object(file, facts))?,
        false => report::line(file, facts),
    })
}

/// Records the time of a success in the configured file and in `metrics_file`.
async fn record(
    config: &Config,
    metrics_file: Option<&Path>,
    operation: Operation,
) -> Result<ExitCode, Failure> {
    let files = [config.backup_metrics.as_deref(), metrics_file];
    for file in files.into_iter().flatten() {
        let written = backup_times::record(file, operation).await;
        written.map_err(|error| failure::of_times(file, &error))?;
    }
    Ok(ExitCode::SUCCESS)
}
