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

impl Mode {
    fn new(args: &ReconcileArgs) -> Self {
        match (args.dry_run, args.accept) {
            (true, _) => Self::DryRun,
            (_, true) => Self::Accept,
            _ => Self::Reconcile,
        }
    }
}

/// The report as printed.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    mode: Mode,
    #[serde(flatten)]
    report: &'a ReconcileReport,
}

pub(crate) async fn run(config: &Config, args: ReconcileArgs) -> Result<ExitCode, Failure> {
    let mode = Mode::new(&args);
    let connections = open(config).await?;
    let options = ReconcileOptions::new(config.processor.timing.retention)
        .dry_run(mode != Mode::Reconcile)
        .prefixes(args.prefix);
    let reconciler = Reconciler::new(connections.repo, connections.stores, options);
    let mut report = reconciler.run().await.map_err(|error| failure(&error))?;
    if mode == Mode::Accept {
        report.accepted = Some(reconciler.accept().await.map_err(|error| failure(&error))?);
    }
    print(&match args.json.json {
        true => to_json(&Printed {
            mode,
            report: &report,
        })?,
        false => text(mode, &report),
    })?;
    Ok(ExitCode::from(code(mode, &report)))
}

fn failure(error: &ReconcileError) -> Failure {
    Failure::because(exit::UNAVAILABLE, error).hint("repeat the command: completed steps are not repeated")
}

fn code(mode: Mode, report: &ReconcileReport) -> u8 {
    let is_done = match mode {
        Mode::Reconcile => report.is_complete(),
        Mode::Accept => true,
        Mode::DryRun => {
            let lost = !(report.rebuilt.is_empty() && report.retried.is_empty());
            report.state.is_current() && report.is_complete() && !lost
        }
    };
    if is_done { exit::SUCCESS } else { exit::DIFFERS }
}

fn text(mode: Mode, report: &ReconcileReport) -> String {
    let mut text = match report.state {
        RestoreState::Restored { .. } => "the database was restored to an earlier moment\n".to_owned(),
        RestoreState::Foreign { deployment } => {
            format!("the store belongs to another database ({deployment})\n")
        }
        _ => "the database is not behind the store\n".to_owned(),
    };
    let lost = match mode {
        Mode::Reconcile => ["rebuilt from their archives", "retried", "enqueued"],
        Mode::DryRun => [
            "to be rebuilt from their archives",
            "to be retried",
            "to be enqueued",
        ],
        Mode::Accept => [
            "left out: not rebuilt",
            "left out: not retried",
            "left out: not enqueued",
        ],
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
