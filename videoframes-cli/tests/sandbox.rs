//! Pictures and videos from ffmpeg in the sandbox are those of ffmpeg without it.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Options of `vf`, and the name of the output.
const CALLS: &[(&[&str], &str)] = &[
    (&["extract", "--all", "-f", "jpg"], "jpg.zip"),
    (&["extract", "--every-nth", "7", "-f", "webp"], "webp.zip"),
    (
        &["extract", "-n", "3", "-f", "png", "--strategy", "plain"],
        "png.zip",
    ),
    (&["extract", "-n", "2", "-f", "avif"], "avif.zip"),
    (&["extract", "-n", "4", "--burn-in", "time"], "burned.zip"),
    (&["sheet", "-n", "6"], "sheet.jpg"),
    (&["compress", "--codec", "h264"], "h264.mp4"),
    (
        &["compress", "--codec", "h264", "--max-size", "30kB"],
        "sized.mp4",
    ),
    (&["compress", "--codec", "hevc", "--max-size", "30kB"], "hevc.mp4"),
    (&["compress", "--codec", "av1"], "av1.mp4"),
    (&["compress", "--codec", "vp9"], "vp9.webm"),
];

fn vf(args: &[&str], video: &Path, output: &Path, ffmpeg: Option<&Path>, sandbox: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
    command.args(args).arg(video).arg("-o").arg(output);
    if let Some(ffmpeg) = ffmpeg {
        command.arg("--ffmpeg").arg(ffmpeg);
    }
    command.args(["--quiet", "--sandbox", sandbox]).output().unwrap()
}

fn is_complete() -> bool {
    let status = Command::new(env!("CARGO_BIN_EXE_vf"))
        .args(["doctor", "--json"])
        .output()
        .unwrap();
    let report = String::from_utf8(status.stdout).unwrap();
    let checks: serde_json::Value = serde_json::from_str(&report).unwrap();
    let sandbox = checks["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "sandbox");
    sandbox.unwrap()["status"] == "ok"
}

/// Makes a video with reordered frames.
fn clip(folder: &Path) -> PathBuf {
    let video = folder.join("a video.mp4");
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-nostdin",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=160x96:r=25:d=2",
        ])
        .args(["-pix_fmt", "yuv420p", "-g", "12"])
        .arg(&video)
        .status();
    assert!(made.unwrap().success());
    video
}

fn same_bytes(ffmpeg: Option<&Path>) {
    if !is_complete() {
        eprintln!("skipped: this system has no complete sandbox");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let video = clip(folder.path());
    for (args, name) in CALLS {
        let outputs = ["off", "require"].map(|sandbox| {
            let place = folder.path().join(sandbox);
            fs::create_dir_all(&place).unwrap();
            let output = place.join(name);
            let done = vf(args, &video, &output, ffmpeg, sandbox);
            assert!(done.status.success(), "{sandbox} {args:?}: {done:?}");
            // Nothing but the output is left.
            assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "{sandbox} {args:?}");
            let bytes = fs::read(&output).unwrap();
            fs::remove_file(&output).unwrap();
            bytes
        });
        assert!(
            outputs[0] == outputs[1],
            "{args:?}: the sandbox changes the output"
        );
    }
}

#[test]
fn the_sandbox_changes_no_output() {
    same_bytes(None);
}

#[test]
fn the_sandbox_changes_no_output_of_another_ffmpeg() {
    match std::env::var_os("VF_TEST_FFMPEG") {
        Some(ffmpeg) => same_bytes(Some(Path::new(&ffmpeg))),
        None => eprintln!("skipped: VF_TEST_FFMPEG names no second ffmpeg"),
    }
}

#[test]
fn missing_and_unreadable_files_have_the_same_errors_in_the_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let video = clip(folder.path());
    let text = folder.path().join("text.mp4");
    fs::write(&text, "no video").unwrap();
    for (video, output) in [
        (text.as_path(), folder.path().join("o.zip")),
        (Path::new("missing.mp4"), folder.path().join("o.zip")),
        (&video, folder.path().join("missing/o.zip")),
    ] {
        let [off, on] =
            ["off", "auto"].map(|sandbox| vf(&["extract", "-n", "1"], video, &output, None, sandbox));
        assert_eq!(off.status.code(), on.status.code());
        assert_eq!(
            String::from_utf8_lossy(&off.stderr),
            String::from_utf8_lossy(&on.stderr)
        );
    }
}
