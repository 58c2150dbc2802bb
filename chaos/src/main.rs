//! Chaos: faults are injected into workers and servers under load, and an outside checker decides on the invariant of the
//! job protocol.

mod args;
mod checker;
mod damage;
mod evidence;
mod faults;
mod harvest;
mod injection;
mod journal;
mod load;
mod perform;
mod report;
mod run;
mod schedule;
mod servers;
mod wait;
mod workers;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Args;
use crate::servers::Servers;
use crate::servers::script::NotInstalled;
use crate::workers::fleet::Programs;

/// Exit code if a server is not installed.
const NOT_INSTALLED: u8 = 3;
/// Exit code after a signal.
const INTERRUPTED: u8 = 130;

/// Waits for a signal that ends the run.
async fn interruption() -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

fn programs(args: &Args) -> anyhow::Result<Programs> {
    // The programs of a workspace are in one folder.
    let own = std::env::current_exe()?;
    let current = args
        .worker
        .clone()
        .unwrap_or_else(|| own.with_file_name("vf-worker"));
    let previous = args.previous.clone().unwrap_or_else(|| current.clone());
    let check = |program: PathBuf| {
        std::fs::canonicalize(&program).with_context(|| {
            format!(
                "no worker '{}': build the workspace or use --worker",
                program.display()
            )
        })
    };
    let (current, previous) = (check(current)?, check(previous)?);
    Ok(Programs { current, previous })
}

async fn perform(args: &Args, root: &Path) -> anyhow::Result<ExitCode> {
    let seed = args.replay.or(args.seed).unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let run = run::run(args, seed, root, programs(args)?);
    let report = tokio::select! {
        report = run => report?,
        interrupted = interruption() => {
            interrupted?;
            eprintln!("interrupted; stopping workers and servers");
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    println!("{report}");
    if let Some(file) = &args.report {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("failed to write '{}'", file.display()))?;
    }
    Ok(match report.violations.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if !cfg!(target_os = "linux") {
        bail!("this program reads /proc, and runs on Linux only");
    }
    // The path of a socket must be short, and Postgres runs as another user.
    let folder = tempfile::Builder::new().prefix("vf-chaos.").tempdir_in("/tmp")?;
    let traversable = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(folder.path(), traversable)?;
    // Injections and submissions stay on this thread; proxies run on the others.
    let result = tokio::task::LocalSet::new()
        .run_until(perform(&args, folder.path()))
        .await;
    // A dropped run has killed its workers, but not their decoders.
    workers::processes::kill_all(folder.path());
    Servers::stop(folder.path()).await;
    perform::disk::unmount_all(folder.path());
    let failed = !matches!(result, Ok(code) if code == ExitCode::SUCCESS);
    if args.keep || failed {
        eprintln!("logs are in {}", folder.keep().join("logs").display());
    }
    match result {
        Err(error) if error.is::<NotInstalled>() => {
            eprintln!("skipped: {error}");
            Ok(ExitCode::from(NOT_INSTALLED))
        }
        result => result,
    }
}
