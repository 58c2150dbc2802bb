//! Standard output, and the state of its reader.

use std::io;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::ioctl_fionread;
use videoframes_console::Failure;

/// Prints `text` to stdout.
pub(crate) fn print(text: &str) -> Result<ExitCode, Failure> {
    videoframes_console::print(text).map(|_| ExitCode::SUCCESS)
}

/// Returns whether stdout is a pipe whose reader is closed.
pub(crate) fn is_closed() -> bool {
    let stdout = io::stdout();
    let mut poll_fds = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(poll(&mut poll_fds, Some(&now)), Ok(1..)) && poll_fds[0].revents().contains(PollFlags::ERR)
}

/// Returns whether the reader has read all written bytes. Only a pipe reports unread bytes; for files and
/// terminals, a write suffices.
pub(crate) fn is_read() -> bool {
    let stdout = io::stdout();
    let pipe = fstat(&stdout).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    !pipe || ioctl_fionread(&stdout).is_ok_and(|unread| unread == 0)
}
