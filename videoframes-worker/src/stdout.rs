//! Whether the reader of standard output has read it.

use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::ioctl_fionread;

/// Whether stdout is a pipe that nobody reads any more.
pub(crate) fn is_closed() -> bool {
    let stdout = io::stdout();
    let mut poll_fds = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(poll(&mut poll_fds, Some(&now)), Ok(1..)) && poll_fds[0].revents().contains(PollFlags::ERR)
}

/// Whether the reader has taken all that was written. Only a pipe can tell; anything else keeps what it is
/// given.
pub(crate) fn is_read() -> bool {
    let stdout = io::stdout();
    let pipe = fstat(&stdout).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    !pipe || ioctl_fionread(&stdout).is_ok_and(|unread| unread == 0)
}
