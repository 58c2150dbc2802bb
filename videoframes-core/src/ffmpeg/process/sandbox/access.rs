//! The files that a child uses.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Files of a child in addition to its program and libraries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Access {
    /// Files that the child reads.
    pub(crate) inputs: Vec<PathBuf>,
    /// Files that the child reads and writes. Each has to exist when the child starts: the child cannot create files next
    /// to them.
    pub(crate) outputs: Vec<PathBuf>,
    /// Folders in which the child creates, reads, writes and removes files.
    pub(crate) folders: Vec<PathBuf>,
}

impl Access {
    /// Returns the access that a command line needs: the files after `-i` and `-y`, and `folders`.
    pub(crate) fn of_command(args: &[OsString], folders: &[PathBuf]) -> Self {
        let files = |option: &str| {
            let named = args.windows(2).filter(move |pair| pair[0] == option);
            let paths = named.filter_map(|pair| pair[1].as_bytes().strip_prefix(b"file:"));
            paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect()
        };
        Self {
            inputs: files("-i"),
            outputs: files("-y"),
            folders: folders.to_vec(),
        }
    }

    /// Creates the outputs that do not exist, since the child cannot create them.
    ///
    /// # Errors
    /// Fails if an output cannot be created.
    pub(crate) fn create_outputs(&self) -> io::Result<()> {
        for output in &self.outputs {
            File::options().append(true).create(true).open(output)?;
        }
        Ok(())
    }

    /// Returns whether the child writes no file.
    #[cfg(target_os = "linux")]
    pub(super) fn is_read_only(&self) -> bool {
        self.outputs.is_empty() && self.folders.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_may_use_the_files_that_its_command_line_names() {
        let args = [
            "-v",
            "error",
            "-i",
            "file:in.mp4",
            "-i",
            "data:,x",
            "-i",
            "pipe:0",
            "-y",
            "file:/o/out.mp4",
        ];
        let args = args.map(OsString::from);
        let access = Access::of_command(&args, &[PathBuf::from("/scratch")]);
        assert_eq!(access.inputs, [PathBuf::from("in.mp4")]);
        assert_eq!(access.outputs, [PathBuf::from("/o/out.mp4")]);
        #[cfg(target_os = "linux")]
        assert!(!access.is_read_only() && Access::of_command(&args[..8], &[]).is_read_only());
    }
}
