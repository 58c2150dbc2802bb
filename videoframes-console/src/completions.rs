//! Completion scripts for shells.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{Failure, print};

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Shell
    shell: Shell,
}

/// Prints the script with which a shell completes the commands and options of a program.
///
/// # Errors
/// Fails if stdout cannot be written.
pub fn print_completions(mut program: Command, args: &CompletionsArgs) -> Result<(), Failure> {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, name, &mut script);
    print(&String::from_utf8_lossy(&script)).map(drop)
}
