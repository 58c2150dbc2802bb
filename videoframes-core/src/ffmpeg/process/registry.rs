//! Children by file, for whoever has to clean up behind a process that is gone.
//!
//! A child leaves a file named `{pid}-{start time}` while it lives, so that a number that the system
//! has given to another process since is told from it. The file holds the id of the boot: start times
//! begin anew with each. Where there is no `/proc` no file is left, and none is found.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The file of a child. It goes with this value.
#[derive(Debug)]
pub(crate) struct Entry {
    path: PathBuf,
}

impl Entry {
    /// Leaves a file for the process `pid`, which must not have been reaped yet. There is none on
    /// systems that do not tell when a process started.
    pub(crate) fn of(pid: u32, folder: &Path) -> io::Result<Option<Self>> {
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        let Some(process) = Process::find(pid) else {
            return Ok(None);
        };
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{pid}-{}", process.start));
        let mut file = fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        let entry = Self { path };
        file.write_all(boot().as_bytes())?;
        Ok(Some(entry))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // A sweeper may have been faster.
        let _ = fs::remove_file(&self.path);
    }
}

/// What `/proc` tells of a process (`man 5 proc_pid_stat`).
struct Process {
    /// It has ended, and nobody has reaped it.
    dead: bool,
    group: i32,
    start: u64,
}

impl Process {
    fn find(pid: i32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold anything, also parentheses.
        let rest = &stat[memchr::memrchr(b')', &stat)? + 1..];
        let fields: Vec<&str> = std::str::from_utf8(rest).ok()?.split_whitespace().collect();
        // The first of these is field 3.
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            dead: matches!(field(3)?, "Z" | "X"),
            group: field(5)?.parse().ok()?,
            start: field(22)?.parse().ok()?,
        })
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Kills what is left of the children that processes have registered in `folder`
/// ([`crate::ffmpeg::FfmpegExtractor::with_registry`]) and not reaped, with their process groups, and removes
/// their files. Gives how many were alive. A process whose start time or boot is another is left alone.
///
/// All processes that register there must be gone: those of a living one are killed as well. A missing
/// folder is an empty one.
///
/// # Errors
/// What the system says of the folder and the files in it, and of a process that may not be killed.
pub fn sweep_children(folder: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut killed = 0;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let parsed = name.to_str().and_then(|name| name.split_once('-'));
        let parsed = parsed.and_then(|(pid, start)| Some((pid.parse().ok()?, start.parse().ok()?)));
        let Some((pid, start)) = parsed else {
            continue;
        };
        // An empty one is of a process that was killed before it could write it.
        let written = fs::read_to_string(entry.path()).unwrap_or_default();
        if written.is_empty() || written == boot() {
            killed += usize::from(kill(pid, start)?);
        }
        match fs::remove_file(entry.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(killed)
}

/// The process, if it is the one that started then.
fn registered(pid: i32, start: u64) -> Option<(Pid, Process)> {
    let process = Process::find(pid).filter(|process| process.start == start)?;
    // To the system, the group 1 is every process there is.
    let pid = Pid::from_raw(pid).filter(|pid| !pid.is_init())?;
    Some((pid, process))
}

/// Kills a process and its group, if it is the one that started then. Gives whether it was alive.
fn kill(pid: i32, start: u64) -> io::Result<bool> {
    let Some((target, process)) = registered(pid, start) else {
        return Ok(false);
    };
    // A dead one has its number until it is reaped, and its group may have others.
    let outcome = if process.group == pid {
        kill_process_group(target, Signal::KILL)
    } else {
        kill_process(target, Signal::KILL)
    };
    match outcome {
        Err(rustix::io::Errno::SRCH) => Ok(false),
        other => other.map(|()| !process.dead).map_err(io::Error::from),
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> (Child, i32, u64) {
        let child = Command::new("sleep")
            .arg("1000")
            .process_group(0)
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let start = Process::find(pid).unwrap().start;
        (child, pid, start)
    }

    fn is_empty(folder: &Path) -> bool {
        fs::read_dir(folder).unwrap().next().is_none()
    }

    #[test]
    fn a_registered_process_is_killed_with_its_group_once() {
        let folder = tempfile::tempdir().unwrap();
        let (mut leader, pid, start) = sleeper();
        let mut member = Command::new("sleep")
            .arg("1000")
            .process_group(pid)
            .spawn()
            .unwrap();
        std::mem::forget(Entry::of(leader.id(), folder.path()).unwrap().unwrap());
        assert!(folder.path().join(format!("{pid}-{start}")).is_file());
        assert_eq!(sweep_children(folder.path()).unwrap(), 1);
        for child in [&mut leader, &mut member] {
            assert_eq!(child.wait().unwrap().signal(), Some(9));
        }
        assert!(is_empty(folder.path()));
        assert_eq!(sweep_children(folder.path()).unwrap(), 0);
    }

    #[test]
    fn a_number_that_another_process_has_now_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (mut child, pid, start) = sleeper();
        fs::write(folder.path().join(format!("{pid}-{}", start + 1)), boot()).unwrap();
        fs::write(folder.path().join(format!("{pid}-{}", start - 1)), "").unwrap();
        // As it is after a reboot that went as fast as the last one.
        fs::write(folder.path().join(format!("{pid}-{start}")), "another boot").unwrap();
        assert_eq!(sweep_children(folder.path()).unwrap(), 0);
        assert!(child.try_wait().unwrap().is_none());
        assert!(is_empty(folder.path()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn what_names_no_process_is_no_entry_and_no_folder_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(sweep_children(&folder.path().join("none")).unwrap(), 0);
        for name in ["notes", "-1-1", "0-0", "12"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(sweep_children(folder.path()).unwrap(), 0);
        // The first process is never one of ours, and its group stands for all processes.
        let init = Process::find(1).unwrap().start;
        assert!(registered(1, init).is_none());
    }

    #[test]
    fn an_entry_goes_with_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let (mut child, ..) = sleeper();
        let entry = Entry::of(child.id(), &folder.path().join("made")).unwrap();
        assert!(entry.is_some() && !is_empty(&folder.path().join("made")));
        drop(entry);
        assert!(is_empty(&folder.path().join("made")));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
