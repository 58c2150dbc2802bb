//! Processes of this machine, read from `/proc`.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// Returns the field after the name in `/proc/PID/stat`, counted from the state.
fn stat(process: i32, field: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may contain spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(field).map(str::to_owned)
}

fn all() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.collect()
}

/// Returns the processes whose parent is `parent`.
pub(crate) fn children(parent: i32) -> Vec<i32> {
    let parent = parent.to_string();
    let is_child = |process: &i32| stat(*process, 1).as_ref() == Some(&parent);
    all().into_iter().filter(is_child).collect()
}

/// Returns whether a signal has stopped the process.
pub(crate) fn is_stopped(process: i32) -> bool {
    stat(process, 0).as_deref() == Some("T")
}

/// Returns the processes with `TMPDIR=root` in their environment, with their names: workers and decoders of this run.
/// A zombie has no environment.
pub(crate) fn of_run(root: &Path) -> Vec<(i32, String)> {
    let mark = format!("TMPDIR={}", root.display());
    let named = all().into_iter().filter_map(|process| {
        let environment = std::fs::read(format!("/proc/{process}/environ")).ok()?;
        let ours = environment
            .split(|byte| *byte == 0)
            .any(|line| line == mark.as_bytes());
        let name = std::fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
        ours.then(|| (process, name.trim().to_owned()))
    });
    named.collect()
}

/// Kills all processes of this run.
pub(crate) fn kill_all(root: &Path) {
    for (process, _) in of_run(root) {
        if let Some(process) = Pid::from_raw(process) {
            // Fails only for a process that has ended.
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// Returns the processes of this run that decode or probe a video. A worker that starts asks ffmpeg for its version, and ends if
/// that fails.
pub(crate) fn decoding(root: &Path) -> Vec<i32> {
    let mut decoders = decoders(root);
    decoders.retain(|process| {
        let arguments = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        arguments
            .split(|byte| *byte == 0)
            .any(|argument| argument == b"-i")
    });
    decoders
}

/// Returns the running decoders of this run.
pub(crate) fn decoders(root: &Path) -> Vec<i32> {
    let processes = of_run(root).into_iter();
    processes
        .filter(|(_, name)| name.starts_with("ff"))
        .map(|(process, _)| process)
        .collect()
}

/// Returns the folder for temporary files of a worker, in which it keeps a lock file open.
fn worker_folder(process: i32) -> Option<PathBuf> {
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
    let mut opened = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    let lock =
        opened.find(|path| path.ends_with("lock") && path.to_string_lossy().contains("/processor-"))?;
    Some(lock.parent()?.to_owned())
}

/// Returns the name of a worker: that of its folder.
pub(crate) fn worker_name(process: i32) -> Option<String> {
    Some(worker_folder(process)?.file_name()?.to_str()?.to_owned())
}

/// Returns the number of files in a folder and its subfolders.
fn count_files(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => count_files(&entry.path()),
            _ => 1,
        })
        .sum()
}

/// Returns the parent of a process, if it runs.
pub(crate) fn parent(process: i32) -> Option<i32> {
    stat(process, 1)?.parse().ok()
}

/// Resources of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resources {
    /// Seconds since the start of the process.
    pub(crate) age: u64,
    pub(crate) resident_bytes: u64,
    pub(crate) open_files: u64,
    pub(crate) temporary_files: u64,
}

/// Returns a size in bytes from `/proc/PID/status`.
pub(crate) fn memory(process: i32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// Returns the resources of a process, if it runs.
pub(crate) fn resources(process: i32, age: u64) -> Option<Resources> {
    Some(Resources {
        age,
        resident_bytes: memory(process, "VmRSS")?,
        open_files: std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64,
        temporary_files: count_files(&worker_folder(process)?),
    })
}
