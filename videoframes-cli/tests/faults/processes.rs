//! Signals, failing decoders, and memory.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Place, vf};

/// Returns processes whose command line contains the folder.
pub(crate) fn processes(folder: &Path) -> Vec<u32> {
    let needle = folder.as_os_str().as_bytes();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
        .filter(|pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            *pid != std::process::id() && line.windows(needle.len()).any(|w| w == needle)
        })
        .collect()
}

pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "waited too long for {what}"
        );
        std::thread::yield_now();
    }
}

pub(crate) fn signal(pid: u32, signal: &str) {
    assert!(
        Command::new("kill")
            .args([signal, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

pub(crate) const LONG: &str = "testsrc2=s=640x360:r=50:d=60";

/// Starts a long extraction and returns once its ffmpeg writes pictures.
fn long_run(place: &Place, extra: &[&str]) -> (std::process::Child, u32) {
    let args = ["extract", "--fps", "1000", "--max-frames", "100000", "-f", "png"];
    started(place, &[&args, extra].concat(), "out.zip")
}

/// Starts a long extraction to the output `out`.
fn long_run_to(place: &Place, out: &str) -> (std::process::Child, u32) {
    started(place, &["extract", "--all", "-f", "png"], out)
}

/// Starts `vf` and waits for progress; returns the process and the ID of its ffmpeg process.
pub(crate) fn started(place: &Place, args: &[&str], out: &str) -> (std::process::Child, u32) {
    // Resets ignored signals, so that tests under nohup behave as in a terminal.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=HUP", env!("CARGO_BIN_EXE_vf")])
        .args(args)
        .args(["--progress", "json"]);
    command
        .arg("-o")
        .arg(place.path(out))
        .arg(&place.video)
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().unwrap();
    let mut byte = [0];
    child.stderr.as_mut().unwrap().read_exact(&mut byte).unwrap();
    let mut decoder = 0;
    wait_for("ffmpeg to run", || {
        let found = processes(place.folder.path()).into_iter().find(|&pid| {
            fs::read_link(format!("/proc/{pid}/exe"))
                .is_ok_and(|exe| exe.to_string_lossy().contains("ffmpeg"))
        });
        decoder = found.unwrap_or(0);
        found.is_some()
    });
    (child, decoder)
}

pub(crate) fn finish(mut child: std::process::Child, place: &Place) -> (Option<i32>, String) {
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let status = child.wait().unwrap();
    wait_for("children to be gone", || {
        processes(place.folder.path()).is_empty()
    });
    assert_eq!(place.left(), Vec::<String>::new(), "{status}: {stderr}");
    (status.code(), stderr)
}

/// Runs `vf extract` to its end and returns its own peak memory in KiB.
#[cfg(target_os = "linux")]
fn peak_memory(place: &Place, args: &[&str]) -> u64 {
    let mut command = vf();
    command.arg("extract").arg(&place.video).args(args);
    let mut child = command
        .args(["-y", "-o"])
        .arg(place.path("out.zip"))
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let now = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = now.and_then(|size| size.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(now.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::yield_now();
    };
    assert!(status.success() && peak > 0);
    peak
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_flat() {
    let place = Place::with("nullsrc=s=2560x1440:r=5:d=1,format=rgb24,noise=alls=100:allf=t");
    // Several pictures of 10 MB, each written three times.
    let large = peak_memory(&place, &["--fps", "15", "-f", "png"]);
    assert!(large < 64 << 10, "{large} KiB for large pictures");
    let place = Place::new();
    let many = peak_memory(&place, &["--fps", "1000"]);
    assert!(many < (32 << 10) + 3000, "{many} KiB for 3,000 pictures");
}

#[test]
fn all_large_pictures_arrive_one_at_a_time() {
    let place = Place::with("nullsrc=s=1920x1080:r=5:d=1,format=rgb24,noise=alls=100:allf=t");
    for strategy in ["plain", "planned"] {
        let args = [
            "--all",
            "-y",
            "-f",
            "png",
            "--strategy",
            strategy,
            "--stall-timeout",
            "20s",
        ];
        let manifest = place.succeeds(&place.video, &args);
        let frames = manifest["frames"].as_array().unwrap();
        assert!(frames.len() == 5 && frames[0]["bytes"].as_u64().unwrap() > 4 << 20);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn interrupt_stops_all_processes_and_leaves_no_files() {
    let place = Place::with(LONG);
    for kind in ["-INT", "-TERM", "-HUP"] {
        let (child, _) = long_run(&place, &[]);
        signal(child.id(), kind);
        assert_eq!(finish(child, &place).0, Some(130), "{kind}");
    }
}

/// Sets an old modification time, so that the sweep does not treat the file or folder as new.
#[cfg(target_os = "linux")]
fn age(path: &Path) {
    let file = fs::File::open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60))
        .unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn files_of_killed_runs_are_swept_and_files_of_live_runs_stay() {
    let place = Place::with(LONG);
    let partials = || {
        let entries = fs::read_dir(place.folder.path()).unwrap().flatten();
        let names = entries.map(|entry| entry.path());
        names
            .filter(|path| path.to_string_lossy().ends_with(".partial"))
            .collect::<Vec<_>>()
    };
    for out in ["out.zip", "frames/"] {
        let (mut child, _) = long_run_to(&place, out);
        signal(child.id(), "-KILL");
        child.wait().unwrap();
    }
    wait_for("children to be gone", || {
        processes(place.folder.path()).is_empty()
    });
    assert_eq!(partials().len(), 2, "a file and a folder");
    partials().iter().for_each(|path| age(path));
    let scratch = place.path("vf-scratch-a1B2c3");
    fs::write(&scratch, "a copy").unwrap();
    age(&scratch);
    let mine = place.path("vf-scratch-of-mine");
    fs::write(&mine, "mine").unwrap();
    age(&mine);

    let (living, _) = long_run_to(&place, "out.living.zip");
    let [partial] = &partials()[..] else {
        panic!("the dead ones are gone: {:?}", partials());
    };
    age(partial);
    let mut next = vf();
    next.env("TMPDIR", place.folder.path())
        .args(["extract", "-n", "1"]);
    next.arg("-o").arg(place.path("out.next.zip")).arg(&place.video);
    let output = next.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        &partials(),
        std::slice::from_ref(partial),
        "a live run writes the file"
    );
    assert!(!scratch.exists() && mine.exists());
    fs::remove_file(mine).unwrap();
    fs::remove_file(place.path("out.next.zip")).unwrap();
    signal(living.id(), "-TERM");
    assert_eq!(finish(living, &place).0, Some(130));
}

#[cfg(target_os = "linux")]
#[test]
fn a_temporary_folder_with_a_non_utf8_name_works() {
    let place = Place::new();
    let folder = place.folder.path().join(std::ffi::OsStr::from_bytes(b"tmp-\xff"));
    fs::create_dir(&folder).unwrap();
    // A name that ffmpeg would garble in its log gets an alias in that folder.
    let odd = place.path("a\nb.mp4");
    fs::copy(&place.video, &odd).unwrap();
    let mut command = vf();
    command.env("TMPDIR", &folder).args(["extract", "-n", "2"]);
    let output = command.arg("-o").arg(place.path("out.zip")).arg(&odd).output();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn two_simultaneous_signals_leave_no_files_and_ignored_signals_stay_ignored() {
    let place = Place::with(LONG);
    let (child, _) = long_run(&place, &[]);
    signal(child.id(), "-HUP");
    signal(child.id(), "-HUP");
    signal(child.id(), "-TERM");
    signal(child.id(), "-TERM");
    assert_eq!(finish(child, &place).0, Some(130));

    let script = format!(
        "trap '' HUP; exec '{}' extract -n 3 -o '{}' '{}'",
        env!("CARGO_BIN_EXE_vf"),
        place.path("out.zip").display(),
        place.video.display()
    );
    let child = Command::new("bash").arg("-c").arg(script).spawn().unwrap();
    let pid = child.id();
    wait_for("vf to have its handlers", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let caught = status
            .lines()
            .find_map(|l| l.strip_prefix("SigCgt:"))
            .map(str::trim);
        let caught = caught
            .and_then(|mask| u64::from_str_radix(mask, 16).ok())
            .unwrap_or(0);
        // SIGTERM: the last but one handler that vf installs.
        caught >> 14 & 1 == 1
    });
    signal(pid, "-HUP");
    let status = child.wait_with_output().unwrap().status;
    assert!(status.success(), "nohup is kept: {status}");
}

#[cfg(target_os = "linux")]
#[test]
fn killed_or_hung_ffmpeg_is_an_error() {
    let place = Place::with(LONG);
    let (child, decoder) = long_run(&place, &[]);
    signal(decoder, "-KILL");
    let (code, stderr) = finish(child, &place);
    assert!(
        code == Some(12) && stderr.contains("signal: 9"),
        "{code:?} {stderr}"
    );
    let (child, decoder) = long_run(&place, &["--stall-timeout", "1s"]);
    signal(decoder, "-STOP");
    let (code, stderr) = finish(child, &place);
    assert!(
        code == Some(12) && stderr.contains("no progress"),
        "{code:?} {stderr}"
    );
}

#[test]
fn excess_output_a_foreign_program_and_a_missing_ffmpeg_are_errors() {
    let place = Place::new();
    let script = |name: &str, body: &str| {
        let path = place.path(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let version = "case \"$*\" in *-version*) echo 'ffmpeg version 5.1.9'; exit 0;; esac";
    let flood = script(
        "flood",
        &format!("{version}\nexec yes '[h264 @ 0x1] [error] nonsense' >&2"),
    );
    place.fails(
        &place.video,
        &["--ffmpeg", flood.to_str().unwrap(), "--stall-timeout", "1s"],
        12,
        "no progress",
    );
    let garbage = script("garbage", &format!("{version}\nexec head -c 100000 /dev/urandom"));
    place.fails(&place.video, &["--ffmpeg", garbage.to_str().unwrap()], 12, "");
    let silent = script("quitter", &format!("{version}\nexit 3"));
    place.fails(
        &place.video,
        &["--ffmpeg", silent.to_str().unwrap()],
        12,
        "exit status: 3",
    );
    let old = script("old", "echo 'ffmpeg version 4.4.1'");
    place.fails(
        &place.video,
        &["--ffmpeg", old.to_str().unwrap()],
        10,
        "older than 5.1",
    );
    place.fails(
        &place.video,
        &["--ffmpeg", "/nonexistent/ffmpeg"],
        10,
        "failed to run",
    );
    assert!(processes(place.folder.path()).is_empty());
}
