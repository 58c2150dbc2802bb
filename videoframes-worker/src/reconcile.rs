//! `vf-worker reconcile`: brings a restored database into line with the objects.

use std::fmt::Write;
use std::process::ExitCode;

use serde::Serialize;
use videoframes_console::{Failure, exit, to_json};
use videoframes_core::jobs::{JobId, RestoreState};
use videoframes_core::processor::{ReconcileError, ReconcileOptions, ReconcileReport, Reconciler};
use videoframes_core::text::printable;

use crate::args::ReconcileArgs;
use crate::config::Config;
use crate::connections::open;
use crate::stdout::print;

/// What the command did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Reconcile,
    DryRun,
    Accept,
}

/// The report as printed.
#[derive(Debug, Serialize)]
struct Printed<'a, T> {
    mode: Mode,
    #[serde(flatten)]
    report: &'a T,
}

pub(crate) async fn run(config: &Config, args: ReconcileArgs) -> Result<ExitCode, Failure> {
    let connections = open(config).await?;
    let options = ReconcileOptions::new(config.processor.timing.retention)
        .dry_run(args.dry_run)
        .prefixes(args.prefix);
    let reconciler = Reconciler::new(connections.repo, connections.stores, options);
    if args.accept {
        let accepted = reconciler.accept().await.map_err(|error| failure(&error))?;
        let text = format!("{}workers continue\n{}", state(accepted.state), LEFT_OUT);
        print_report(Mode::Accept, &accepted, args.json.json, || text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mode = match args.dry_run {
        true => Mode::DryRun,
        false => Mode::Reconcile,
    };
    let report = reconciler.run().await.map_err(|error| failure(&error))?;
    print_report(mode, &report, args.json.json, || text(mode, &report))?;
    Ok(ExitCode::from(code(mode, &report)))
}

const LEFT_OUT: &str =
    "lost jobs were left out: 'vf-worker reconcile' brings them back while their archives exist\n";

fn print_report<T: Serialize>(
    mode: Mode,
    report: &T,
    json: bool,
    text: impl FnOnce() -> String,
) -> Result<ExitCode, Failure> {
    print(&match json {
        true => to_json(&Printed { mode, report })?,
        false => text(),
    })
}

fn failure(error: &ReconcileError) -> Failure {
    Failure::because(exit::UNAVAILABLE, error).hint("repeat the command: completed steps are not repeated")
}

fn code(mode: Mode, report: &ReconcileReport) -> u8 {
    let is_done = match mode {
        Mode::Reconcile | Mode::Accept => report.is_complete(),
        Mode::DryRun => {
            let lost = !(report.rebuilt.is_empty() && report.retried.is_empty());
            report.state.is_current() && report.is_complete() && !lost
        }
    };
    if is_done { exit::SUCCESS } else { exit::DIFFERS }
}

fn state(state: RestoreState) -> String {
    match state {
        RestoreState::Restored { .. } => "the database was restored to an earlier moment\n".to_owned(),
        RestoreState::Foreign { deployment } => {
            format!("the store belongs to another database ({deployment})\n")
        }
        _ => "the database is not behind the store\n".to_owned(),
    }
}

fn text(mode: Mode, report: &ReconcileReport) -> String {
    let mut text = state(report.state);
    let lost = match mode {
        Mode::DryRun => [
            "to be rebuilt from their archives",
            "to be retried",
            "to be enqueued",
        ],
        _ => ["rebuilt from their archives", "retried", "enqueued"],
    };
    let counts = [
        report.rebuilt.len() as u64,
        report.retried.len() as u64,
        report.unfinished,
    ];
    for (count, what) in counts.into_iter().zip(lost) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{count:>8}  {what}");
    }
    for (jobs, what) in [
        (&report.without_client_metadata, "rebuilt without client metadata"),
        (
            &report.missing_archives,
            "the archive is missing: 'vf-worker restore-objects' may restore it",
        ),
    ] {
        for job in jobs {
            line(&mut text, *job, what);
        }
    }
    for problem in &report.problems {
        let key = problem.key.as_deref().map(|key| format!("{}: ", printable(key)));
        let reason = format!("{}{}", key.unwrap_or_default(), printable(&problem.reason));
        line(&mut text, problem.job, &reason);
    }
    text += match &report.accepted {
        Some(_) => "workers continue\n",
        None => "nothing was changed\n",
    };
    text
}

fn line(text: &mut String, job: JobId, what: &str) {
    let _ = writeln!(text, "{job}  {what}");
}
