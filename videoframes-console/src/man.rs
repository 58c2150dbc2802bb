//! Man pages.

use std::path::PathBuf;

use clap::{Args, Command};

use crate::Failure;
use crate::exit::OUTPUT;

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder for the pages, created if missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes the man pages of a program and all its commands into a folder.
///
/// # Errors
/// Fails if the folder cannot be written.
pub fn write_man_pages(program: Command, args: &ManArgs) -> Result<(), Failure> {
    let written = std::fs::create_dir_all(&args.folder)
        // The command `help` only prints what the pages contain.
        .and_then(|()| clap_mangen::generate_to(program.disable_help_subcommand(true), &args.folder));
    let folder = args.folder.display();
    written.map_err(|error| {
        Failure::new(
            OUTPUT,
            format!("failed to write man pages to '{folder}': {error}"),
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn writes_a_page_for_each_command() {
        let folder = tempfile::tempdir().unwrap();
        let work = Command::new("work")
            .about("Do work")
            .arg(Arg::new("fast").long("fast").help("Hurry"));
        let args = ManArgs {
            folder: folder.path().join("man1"),
        };
        write_man_pages(Command::new("program").subcommand(work), &args).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(&args.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["program-work.1", "program.1"]);
        let page = std::fs::read_to_string(args.folder.join("program-work.1")).unwrap();
        assert!(page.contains("Do work") && page.contains("Hurry"), "{page}");
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let args = ManArgs {
            folder: file.path().to_owned(),
        };
        assert!(write_man_pages(Command::new("program"), &args).is_err());
    }
}
