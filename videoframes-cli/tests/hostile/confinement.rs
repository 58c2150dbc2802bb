//! Environment, privileges and resources of child processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ffmpeg;

/// A user without files.
const NOBODY: u32 = 65_534;

fn executable(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Creates a folder for all users with a video, `vf`, and wrappers for ffmpeg and ffprobe that run `before` and
/// then the real program.
fn place(before: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    ffmpeg(
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=160x90:r=10:d=1",
            "-pix_fmt",
            "yuv420p",
        ],
        &folder.path().join("video.mkv"),
    );
    for program in ["ffmpeg", "ffprobe"] {
        let folder = folder.path().display();
        let script = format!("#!/bin/sh\nout={folder}/{program}.log\n{before}\nexec {program} \"$@\"\n");
        executable(&PathBuf::from(format!("{folder}/{program}")), script.as_bytes());
    }
    let vf = folder.path().join("vf");
    executable(&vf, &fs::read(env!("CARGO_BIN_EXE_vf")).unwrap());
    (folder, vf)
}

fn extract(vf: &Path, folder: &Path) -> Command {
    let mut command = Command::new(vf);
    // In the sandbox, the wrappers could not write their logs.
    command.args([
        "extract",
        "--sandbox",
        "off",
        "--at",
        "0",
        "-y",
        "--strategy",
        "plain",
        "-o",
    ]);
    command
        .arg(folder.join("out.zip"))
        .arg("--ffmpeg")
        .arg(folder.join("ffmpeg"));
    command.arg(folder.join("video.mkv"));
    command
}

#[test]
fn children_get_no_secret_no_new_privileges_and_bounded_resources() {
    let before = "{ env; grep NoNewPrivs /proc/self/status; for limit in v c n f; do echo limit-$limit=$(ulimit -$limit); \
                  done; } > $out";
    let (folder, vf) = place(before);
    let mut command = extract(&vf, folder.path());
    for name in [
        "DATABASE_URL",
        "AWS_SECRET_ACCESS_KEY",
        "VF_S3_KEY",
        "HTTPS_PROXY",
        "FFREPORT",
        "HOME",
    ] {
        command.env(name, "a-secret");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for program in ["ffmpeg", "ffprobe"] {
        let log = fs::read_to_string(folder.path().join(format!("{program}.log"))).unwrap();
        assert!(!log.contains("secret"), "{program}: {log}");
        assert!(
            log.contains("PATH=") && log.contains("NoNewPrivs:\t1"),
            "{program}: {log}"
        );
        let limit = |name: &str| {
            let line = log
                .lines()
                .find_map(|line| line.strip_prefix(&format!("limit-{name}=")));
            line.unwrap().parse::<u64>().unwrap_or(u64::MAX)
        };
        // In KiB, blocks and number of files.
        assert!((600 << 10..16 << 20).contains(&limit("v")), "{program}: {log}");
        assert_eq!((limit("c"), limit("n")), (0, 256), "{program}: {log}");
        assert!(limit("f") < 1 << 20, "{program}: {log}");
    }
}

#[test]
fn the_address_space_of_children_is_set_by_the_option() {
    let (folder, vf) = place("ulimit -v > $out");
    let output = extract(&vf, folder.path())
        .args(["--max-memory", "3GiB"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    for program in ["ffmpeg", "ffprobe"] {
        let log = fs::read_to_string(folder.path().join(format!("{program}.log"))).unwrap();
        assert_eq!(log.trim(), (3 << 20).to_string(), "{program}");
    }
}

#[test]
fn a_child_of_the_same_user_cannot_read_the_environment_of_its_parent() {
    let (folder, vf) = place("cat /proc/$PPID/environ > $out 2>&1 || true");
    let mut command = extract(&vf, folder.path());
    command
        .env("AWS_SECRET_ACCESS_KEY", "a-secret")
        .env("TMPDIR", folder.path());
    // The superuser can read all environments.
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let log = fs::read_to_string(folder.path().join("ffmpeg.log")).unwrap();
    assert!(
        log.contains("ermission denied") && !log.contains("secret"),
        "{log}"
    );
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:\t0"))
}

#[test]
fn unneeded_decoders_are_disabled() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("video.avi");
    ffmpeg(
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=160x96:r=10:d=1",
            "-c:v",
            "amv",
            "-strict",
            "-1",
            "-an",
        ],
        &video,
    );
    let output = super::vf()
        .arg("extract")
        .arg(&video)
        .arg("-o")
        .arg(folder.path().join("o.zip"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(4) && stderr.contains("codec"),
        "{:?} {stderr}",
        output.status
    );
}
