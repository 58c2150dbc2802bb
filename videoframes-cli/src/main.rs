//! `vf`: exact frames from videos.

mod args;
mod compress;
mod doctor;
mod exit;
mod extract;
mod input;
mod memory;
mod object;
mod plan;
mod probe;
mod progress;
mod signals;
mod stdout;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    memory::give_back_large_blocks();
    let cli = Cli::parse();
    if cli.verbose {
        let logs = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG);
        logs.with_writer(std::io::stderr).with_ansi(false).init();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return exit::Failure::internal(&error).report(),
    };
    let outcome = match cli.command {
        Command::Plan(args) => runtime.block_on(plan::run(*args)),
        Command::Extract(args) if args.output.dry_run => runtime.block_on(plan::run(*args)),
        Command::Extract(args) => runtime.block_on(extract::run(*args)),
        Command::Compress(args) => runtime.block_on(compress::run(*args)),
        Command::Probe(args) => runtime.block_on(probe::run(args)),
        Command::Doctor(args) => runtime.block_on(doctor::run(args)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "vf", &mut script);
            stdout::print(&String::from_utf8_lossy(&script)).map(|()| exit::SUCCESS)
        }
    };
    // A reader thread of a killed child may still sit in a read; nobody waits for it.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
