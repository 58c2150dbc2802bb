//! Registry of child processes in files, for cleaning up after a process that has died.
//!
//! While a child runs, its file is named `{pid}-{start time}`: the start time distinguishes the child from a
//! later process with the same PID. The file contains the boot ID, since start times begin anew with each boot.
//! On systems without `/proc` no files are written or found.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// File of a running child; removed on drop.
#[derive(Debug)]
pub(crate) struct RegistryEntry {
    path: PathBuf,
}

impl RegistryEntry {
    /// Writes a file for the process `pid`, which must not have been reaped yet. Returns `None` on systems that
    /// do not report the start time of a process.
    pub(crate) fn new(pid: u32, folder: &Path) -> io::Result<Option<Self>> {
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

impl Drop for RegistryEntry {
    fn drop(&mut self) {
        // A concurrent sweep may already have removed the file.
        let _ = fs::remove_file(&self.path);
    }
}

/// State of a process in `/proc` (`man 5 proc_pid_stat`).
struct Process {
    /// Whether the process has ended and was not reaped.
    dead: bool,
    group: i32,
    start: u64,
}

impl Process {
    fn find(pid: i32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may contain any characters, including parentheses.
        let rest = &stat[memchr::memrchr(b')', &stat)? + 1..];
        let fields: Vec<&str> = std::str::from_utf8(rest).ok()?.split_whitespace().collect();
        // The first of these fields is field 3.
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

/// Kills the running children registered in `folder` ([`crate::ffmpeg::FfmpegExtractor::with_registry`]) with
/// their process groups, and removes their files. Returns the number of killed children. A process with another
/// start time or boot ID is not touched.
///
/// All processes that register their children in the folder must have ended, since their running children are
/// killed too. A missing folder counts as empty.
///
/// # Errors
/// Fails if the folder or its files cannot be read or removed, and if a process cannot be killed.
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
        // An empty file belongs to a process that was killed before it could write the boot ID.
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

/// Returns the process `pid` if it started at `start`.
fn registered(pid: i32, start: u64) -> Option<(Pid, Process)> {
    let process = Process::find(pid).filter(|process| process.start == start)?;
    // To the kernel, process group 1 means all processes.
    let pid = Pid::from_raw(pid).filter(|pid| !pid.is_init())?;
    Some((pid, process))
}

/// Kills the process `pid` with its group if it started at `start`. Returns whether the process was running.
fn kill(pid: i32, start: u64) -> io::Result<bool> {
    let Some((target, process)) = registered(pid, start) else {
        return Ok(false);
    };
    // A dead process keeps its PID until it is reaped, and its group may have other members.
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
    fn kills_a_registered_process_and_its_group_once() {
        let folder = tempfile::tempdir().unwrap();
        let (mut leader, pid, start) = sleeper();
        let mut member = Command::new("sleep")
            .arg("1000")
            .process_group(pid)
            .spawn()
            .unwrap();
        std::mem::forget(RegistryEntry::new(leader.id(), folder.path()).unwrap().unwrap());
        assert!(folder.path().join(format!("{pid}-{start}")).is_file());
        assert_eq!(sweep_children(folder.path()).unwrap(), 1);
        for child in [&mut leader, &mut member] {
            assert_eq!(child.wait().unwrap().signal(), Some(9));
        }
        assert!(is_empty(folder.path()));
        assert_eq!(sweep_children(folder.path()).unwrap(), 0);
    }

    #[test]
    fn does_not_kill_another_process_with_the_same_pid() {
        let folder = tempfile::tempdir().unwrap();
        let (mut child, pid, start) = sleeper();
        fs::write(folder.path().join(format!("{pid}-{}", start + 1)), boot()).unwrap();
        fs::write(folder.path().join(format!("{pid}-{}", start - 1)), "").unwrap();
        // The same start time after a reboot.
        fs::write(folder.path().join(format!("{pid}-{start}")), "another boot").unwrap();
        assert_eq!(sweep_children(folder.path()).unwrap(), 0);
        assert!(child.try_wait().unwrap().is_none());
        assert!(is_empty(folder.path()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn ignores_other_files_and_a_missing_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(sweep_children(&folder.path().join("none")).unwrap(), 0);
        for name in ["notes", "-1-1", "0-0", "12"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(sweep_children(folder.path()).unwrap(), 0);
        // The init process is never a child of ours, and its group means all processes.
        let init = Process::find(1).unwrap().start;
        assert!(registered(1, init).is_none());
    }

    #[test]
    fn removes_the_file_on_drop() {
        let folder = tempfile::tempdir().unwrap();
        let (mut child, ..) = sleeper();
        let entry = RegistryEntry::new(child.id(), &folder.path().join("made")).unwrap();
        assert!(entry.is_some() && !is_empty(&folder.path().join("made")));
        drop(entry);
        assert!(is_empty(&folder.path().join("made")));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
