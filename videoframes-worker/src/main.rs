//! `vf-worker`: extracts video frames by message; each job takes effect exactly once, despite failures.

mod args;
mod aws;
mod backup;
mod backup_times;
mod config;
mod connections;
mod credentials;
mod dlq;
mod error_tracking;
mod fields;
mod fleet;
mod http;
mod jobs;
mod logs;
mod migrate;
mod notifications;
mod objects;
mod ops;
mod outage;
mod provision;
mod queues;
mod reconcile;
mod restore_objects;
mod result;
mod run;
mod service;
mod start;
mod stats;
mod stdout;
mod submit;
mod sweeper;
mod terminal;
mod tokens;
mod traces;
mod workers;
mod workspace;

use std::process::ExitCode;

use clap::CommandFactory;
use videoframes_console::{Failure, parse, print_completions, write_man_pages};
use videoframes_core::ffmpeg::protect_secrets;
use videoframes_core::jobs::Hold;
use videoframes_core::processor::ProcessorConfig;

use crate::args::{Cli, Command};
use crate::config::{Config, LogConfig};
use crate::error_tracking::ErrorTracker;
use crate::logs::{LogFilter, LogFormat};
use crate::traces::Traces;

fn main() -> ExitCode {
    // Must come first: a compromised ffmpeg could read the memory and environment of this process.
    if let Err(error) = protect_secrets() {
        return Failure::internal(&error).report();
    }
    let cli: Cli = match parse("submit") {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let log = match LogConfig::read(cli.location.verbose) {
        Ok(log) => log,
        Err(failure) => return failure.report(),
    };
    if matches!(cli.command, Command::Run(_)) {
        service::name_instance(&ProcessorConfig::default().owner);
    }
    let (traces, errors) = match start_exports() {
        Ok(exports) => exports,
        Err(failure) => return failure.report(),
    };
    let log_filter = logs::start(&log.filter, log.format, (&traces, &errors));
    let report = |failure: Failure| match log.format {
        LogFormat::Text => failure.report(),
        LogFormat::Json => logs::failure(&failure),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(Failure::internal(&error)),
    };
    let code = runtime.block_on(dispatch(cli, log_filter)).unwrap_or_else(report);
    errors.stop();
    traces.stop();
    code
}

fn start_exports() -> Result<(Traces, ErrorTracker), Failure> {
    Ok((Traces::start()?, ErrorTracker::start()?))
}

async fn dispatch(cli: Cli, log_filter: LogFilter) -> Result<ExitCode, Failure> {
    let location = cli.location;
    let config = || Config::read(&location);
    match cli.command {
        // These may need neither database nor store, and read their own configuration.
        Command::Provision(args) => provision::run(&args).await,
        Command::Dlq(args) => dlq::run(&location, &args).await,
        Command::RestoreObjects(args) => restore_objects::run(&location, &args).await,
        Command::Completions(args) => print_completions(Cli::command(), &args).map(|()| ExitCode::SUCCESS),
        Command::Man(args) => write_man_pages(Cli::command(), &args).map(|()| ExitCode::SUCCESS),
        Command::Run(args) => run::run(config()?, &args, log_filter).await,
        Command::Health(args) => ops::health(&config()?, &args),
        Command::Pause(args) => ops::pause(&config()?, &args),
        Command::Resume(args) => ops::resume(&config()?, &args),
        Command::LogLevel(args) => ops::log_level(&config()?, &args),
        Command::Submit(args) => submit::run(&config()?, *args).await,
        Command::Jobs(args) => jobs::list(&config()?, &args).await,
        Command::Job(args) => jobs::show(&config()?, &args).await,
        Command::Watch(args) => jobs::watch(&config()?, &args).await,
        Command::Cancel(args) => jobs::change(&config()?, &args, jobs::Change::Cancel).await,
        Command::Retry(args) => jobs::change(&config()?, &args, jobs::Change::Retry).await,
        Command::Keep(args) => jobs::hold(&config()?, &args, Hold::Keep).await,
        Command::Release(args) => jobs::hold(&config()?, &args, Hold::Release).await,
        Command::Stats(args) => stats::run(&config()?, args).await,
        Command::Workers(args) => workers::run(&config()?, args).await,
        Command::Result(args) => result::run(&config()?, &args).await,
        Command::Notifications(args) => notifications::run(&config()?, &args).await,
        Command::Reconcile(args) => reconcile::run(&config()?, args).await,
        Command::Backup(args) => backup::back_up(&config()?, &args).await,
        Command::Restore(args) => backup::restore(&config()?, &args).await,
        Command::Fleet(args) => fleet::run(&config()?, &args).await,
        Command::Token(args) => tokens::run(&config()?, &args).await,
        Command::Migrate(args) => migrate::run(&config()?, &args).await,
    }
}
