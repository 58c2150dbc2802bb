//! Resources of the worker: memory, ffmpeg processes and disk space.

use std::fs;
use std::path::{Path, PathBuf};

use metrics::{counter, gauge};
use metrics_process::Collector;
use rustix::param::{clock_ticks_per_second, page_size};
use videoframes_core::ffmpeg::FfmpegExtractor;

use super::health::Scratch;

/// Measures the resource usage of the worker.
#[derive(Debug)]
pub(crate) struct Resources {
    /// Folder of temporary files.
    pub(crate) scratch: PathBuf,
    /// Maximum size of the temporary files in bytes.
    pub(crate) quota: u64,
    /// Folder with one file per running ffmpeg process. Each file name starts with the process ID.
    pub(crate) children: PathBuf,
    pub(crate) extractor: FfmpegExtractor,
    pub(crate) process: Collector,
}

/// Memory and CPU time of processes.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Usage {
    resident_bytes: u64,
    cpu_seconds: f64,
}

impl Resources {
    pub(crate) fn scratch(&self) -> Scratch {
        let free = rustix::fs::statvfs(&self.scratch).map_or(u64::MAX, |stat| stat.f_bavail * stat.f_frsize);
        Scratch {
            free: free.min(self.quota.saturating_sub(size_of(&self.scratch))),
            quota: self.quota,
        }
    }

    pub(crate) fn has_ffmpeg(&self) -> bool {
        let (ffmpeg, ffprobe) = self.extractor.programs();
        [ffmpeg, ffprobe].into_iter().all(is_found)
    }

    /// Records all gauges of resources.
    pub(super) fn record(&self) {
        self.process.collect();
        let scratch = self.scratch();
        gauge!("videoframes_scratch_free_bytes").set(scratch.free as f64);
        gauge!("videoframes_scratch_quota_bytes").set(scratch.quota as f64);
        let children = usage(&self.children);
        gauge!("videoframes_children_resident_memory_bytes").set(children.resident_bytes as f64);
        let cpu_seconds = children.cpu_seconds + reaped_cpu_seconds();
        counter!("videoframes_children_cpu_seconds_total").absolute(cpu_seconds as u64);
        if let Some(limit) = memory_limit() {
            gauge!("videoframes_memory_limit_bytes").set(limit as f64);
        }
    }
}

/// Returns whether a program exists: at its path, or on the `PATH` if it is a bare name.
fn is_found(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.is_file();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

/// Returns the total size of the files in a folder of temporary files.
fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some(match metadata.is_dir() {
                true => size_of(&entry.path()),
                false => metadata.len(),
            })
        })
        .sum()
}

/// Returns the total usage of all registered processes. Processes that end during the measurement are skipped.
fn usage(children: &Path) -> Usage {
    let entries = fs::read_dir(children).into_iter().flatten().flatten();
    let stats = entries.filter_map(|entry| {
        let process: u32 = entry.file_name().to_str()?.split('-').next()?.parse().ok()?;
        fs::read_to_string(format!("/proc/{process}/stat")).ok()
    });
    stats
        .filter_map(|stat| parse_stat(&stat))
        .fold(Usage::default(), |sum, one| Usage {
            resident_bytes: sum.resident_bytes + one.resident_bytes,
            cpu_seconds: sum.cpu_seconds + one.cpu_seconds,
        })
}

/// Returns the CPU time of all children that have ended.
fn reaped_cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let ticks = stat.and_then(|stat| Some(field(&stat, 16)? + field(&stat, 17)?));
    seconds(ticks.unwrap_or_default())
}

/// Parses `/proc/PID/stat` (proc(5)).
fn parse_stat(stat: &str) -> Option<Usage> {
    Some(Usage {
        resident_bytes: field(stat, 24)? * page_size() as u64,
        cpu_seconds: seconds(field(stat, 14)? + field(stat, 15)?),
    })
}

/// Returns a field of `/proc/PID/stat` by its number in proc(5).
fn field(stat: &str, number: usize) -> Option<u64> {
    // The name of the program is in parentheses and may contain any character; field 3 follows.
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(number - 3)?.parse().ok()
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

/// Returns the memory limit of the cgroup of this process, if there is one.
fn memory_limit() -> Option<u64> {
    let group = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = group.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mut folder = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    let mut limit: Option<u64> = None;
    // The limit of a parent cgroup also applies to its children.
    while folder.starts_with("/sys/fs/cgroup") {
        let text = fs::read_to_string(folder.join("memory.max"));
        if let Some(bytes) = text.ok().and_then(|text| text.trim().parse().ok()) {
            limit = Some(limit.map_or(bytes, |limit| limit.min(bytes)));
        }
        if !folder.pop() {
            break;
        }
    }
    limit
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_parsed_with_any_program_name() {
        let after = "S 1 2 3 0 -1 4194304 1 0 0 0 150 50 0 0 20 0 1 0 100 1000000 25 18446744073709551615";
        for name in ["ffmpeg", "a) b (c", ""] {
            let usage = parse_stat(&format!("77 ({name}) {after}")).unwrap();
            assert_eq!(usage.resident_bytes, 25 * page_size() as u64);
            assert!((usage.cpu_seconds - 200.0 / clock_ticks_per_second() as f64).abs() < 1e-9);
        }
        assert_eq!(parse_stat("77 (ffmpeg"), None);
    }

    #[test]
    fn the_use_of_this_process_is_found() {
        let children = tempfile::tempdir().unwrap();
        fs::write(children.path().join(format!("{}-1", std::process::id())), "").unwrap();
        fs::write(children.path().join("no process"), "").unwrap();
        assert!(usage(children.path()).resident_bytes > 1 << 20);
    }
}
