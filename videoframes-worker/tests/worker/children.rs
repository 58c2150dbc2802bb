//! Environment, privileges and resources of the child processes of a worker.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::place::{EVERYWHERE, Place};
use super::process::Worker;
use super::video;

/// A user without files.
const NOBODY: u32 = 65_534;

/// Credentials that no place sets, and a value that is found in no other variable.
const SECRETS: [(&str, &str); 3] = [
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a-secret"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=a-secret"),
    ("PGPASSWORD", "a-secret"),
];

/// Variables of a child: inherited, set by the core, or set by the shell of a wrapper.
const EXPECTED: [&str; 11] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "TMPDIR",
    "AV_LOG_FORCE_NOCOLOR",
    "SVT_LOG",
    "MALLOC_ARENA_MAX",
    "PWD",
    "SHLVL",
    "_",
];

fn make_executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Creates wrappers for ffmpeg and ffprobe that run `before` with a separate file `$out` for each process, and
/// then the real program. Returns the path of the ffmpeg and the folder of the files.
fn wrappers(folder: &Path, before: &str) -> (PathBuf, PathBuf) {
    let (programs, logs) = (folder.join("programs"), folder.join("logs"));
    fs::create_dir(&programs).unwrap();
    fs::create_dir(&logs).unwrap();
    fs::set_permissions(&logs, fs::Permissions::from_mode(0o777)).unwrap();
    for program in ["ffmpeg", "ffprobe"] {
        let path = programs.join(program);
        let logs = logs.display();
        let script = format!("#!/bin/sh\nout={logs}/{program}.$$\n{before}\nexec {program} \"$@\"\n");
        fs::write(&path, script).unwrap();
        make_executable(&path);
    }
    (programs.join("ffmpeg"), logs)
}

/// Returns the names and contents of the files of the wrappers, of which each of `programs` has at least one.
fn read_logs(logs: &Path, programs: &[&str]) -> Vec<(String, String)> {
    let entries = fs::read_dir(logs).unwrap();
    let read = entries.map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(&path).unwrap())
    });
    let read: Vec<_> = read.collect();
    for program in programs {
        let ran = read
            .iter()
            .any(|(name, _)| name.split('.').next() == Some(program));
        assert!(ran, "{program}: {read:?}");
    }
    read
}

/// Returns a limit in a file of a wrapper; `u64::MAX` if there is no limit.
fn limit(log: &str, name: &str) -> u64 {
    let prefix = format!("limit-{name}=");
    let value = log.lines().find_map(|line| line.strip_prefix(&prefix));
    value.unwrap().parse().unwrap_or(u64::MAX)
}

#[test]
fn children_get_no_secret_no_new_privileges_and_bounded_resources() {
    const BEFORE: &str = "{ env | sed 's/^/env-/'; grep NoNewPrivs /proc/self/status; \
                          for limit in v c n f; do echo limit-$limit=$(ulimit -$limit); done; } > $out";
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let (ffmpeg, logs) = wrappers(place.folder.path(), BEFORE);
        // A rendition also starts the processes of the compressor.
        place.submit(
            video::short(),
            &["-n", "1", "--rendition", "max_height=48,quality=30"],
        );
        let mut env = SECRETS.to_vec();
        env.push(("VF_FFMPEG", ffmpeg.to_str().unwrap()));
        // In the sandbox, the wrappers could not write their logs.
        env.push(("VF_SANDBOX", "off"));
        place.finish_with(&env);
        place.check(1);
        for (name, log) in read_logs(&logs, &["ffmpeg", "ffprobe"]) {
            assert!(!log.contains("secret"), "{kind:?} {name}: {log}");
            let variables: Vec<_> = log
                .lines()
                .filter_map(|line| line.strip_prefix("env-")?.split('=').next())
                .collect();
            assert!(variables.contains(&"PATH"), "{kind:?} {name}: {log}");
            assert!(
                variables.iter().all(|name| EXPECTED.contains(name)),
                "{kind:?} {name}: {log}"
            );
            assert!(log.contains("NoNewPrivs:\t1"), "{kind:?} {name}: {log}");
            // In KiB, blocks and number of files.
            assert!(
                (600 << 10..16 << 20).contains(&limit(&log, "v")),
                "{kind:?} {name}: {log}"
            );
            assert_eq!(
                (limit(&log, "c"), limit(&log, "n")),
                (0, 256),
                "{kind:?} {name}: {log}"
            );
            assert!(limit(&log, "f") < u64::MAX, "{kind:?} {name}: {log}");
        }
    }
}

#[test]
fn a_child_cannot_read_the_environment_of_its_worker() {
    let place = Place::sqlite();
    let folder = place.folder.path();
    let (ffmpeg, logs) = wrappers(folder, "cat /proc/$PPID/environ > $out 2>&1 || true");
    let program = folder.join("vf-worker");
    fs::copy(env!("CARGO_BIN_EXE_vf-worker"), &program).unwrap();
    make_executable(&program);
    let copied = folder.join("video.mp4");
    fs::copy(video::short(), &copied).unwrap();
    // The superuser can read all environments: as the superuser, the test runs the worker as another user, who owns
    // the place.
    let is_root = folder.metadata().unwrap().uid() == 0;
    if is_root {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let command = |args: &[&str]| {
        let usual = place.command(args);
        let mut command = Command::new(&program);
        command
            .args(usual.get_args())
            .env("VF_FFMPEG", &ffmpeg)
            .env("VF_SANDBOX", "off");
        for (name, value) in usual.get_envs() {
            command.env(name, value.unwrap());
        }
        command.envs(SECRETS);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let submitted = command(&["submit", copied.to_str().unwrap(), "-n", "1"]).output();
    let submitted = submitted.unwrap();
    assert!(submitted.status.success(), "{submitted:?}");
    let mut worker = Worker::start(command(&["run", "--until-idle"]));
    assert!(worker.wait().success(), "{}", worker.log());
    assert_eq!(place.jobs()[0]["status"], "completed", "{}", worker.log());
    for (name, log) in read_logs(&logs, &["ffmpeg"]) {
        assert!(
            log.contains("ermission denied") && !log.contains("secret"),
            "{name}: {log}"
        );
    }
}
