//! `vf`: extracts exact frames from videos.

mod args;
mod batch;
mod compress;
mod doctor;
mod extract;
mod failure;
mod frames;
mod input;
mod layout;
mod memory;
mod output;
mod plan;
mod probe;
mod progress;
mod report;
mod sheets;
mod stdout;
#[cfg(feature = "s3")]
mod store;

use std::process::ExitCode;

use clap::CommandFactory;
use videoframes_console::{Failure, OneLine, exit, parse, print_completions, write_man_pages};
use videoframes_core::ffmpeg::protect_secrets;
use videoframes_core::pipeline::Scratch;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    memory::return_large_blocks();
    // Must come first: a compromised ffmpeg could read the memory and environment of this process.
    if let Err(error) = protect_secrets() {
        return Failure::internal(&error).report();
    }
    let cli: Cli = match parse("extract") {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    if let Some(level) = cli.verbose.level() {
        let logs = tracing_subscriber::fmt().with_max_level(level);
        logs.with_writer(OneLine::Text).with_ansi(false).init();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return Failure::internal(&error).report(),
    };
    // Removes files of killed runs from the folder for temporary files. An unreadable folder is no error here,
    // since this run may not need the folder.
    let _ = runtime.block_on(Scratch::default().sweep());
    let outcome = match cli.command {
        Command::Plan(args) => runtime.block_on(plan::run(*args)),
        Command::Extract(args) => runtime.block_on(extract::run(*args)),
        Command::Storyboard(args) => runtime.block_on(sheets::storyboard(*args)),
        Command::Sheet(args) => runtime.block_on(sheets::contact_sheet(*args)),
        Command::Preview(args) => runtime.block_on(sheets::preview(*args)),
        Command::Thumbnail(args) => {
            let (input, args) = args.extraction();
            runtime.block_on(extract::run_single(&args, &input))
        }
        Command::Compress(args) => runtime.block_on(compress::run(*args)),
        Command::Probe(args) => runtime.block_on(probe::run(args)),
        Command::Doctor(args) => runtime.block_on(doctor::run(args)),
        Command::Completions(args) => print_completions(Cli::command(), &args).map(|()| exit::SUCCESS),
        Command::Man(args) => write_man_pages(Cli::command(), &args).map(|()| exit::SUCCESS),
    };
    // A reader thread of a killed child may still block in a read, so the runtime must not wait for threads.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
