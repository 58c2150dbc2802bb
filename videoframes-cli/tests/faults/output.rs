//! Outputs that cannot be written, or not completely.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Place, vf};

#[test]
fn invalid_outputs_are_rejected_before_any_work() {
    let place = Place::new();
    place.succeeds(&place.video, &["-n", "1"]);
    let output = place.extract(&place.video, &["-n", "1"]);
    assert_eq!(output.status.code(), Some(9), "an existing output is refused");
    for (out, code) in [("no/such/folder.zip", 11), ("frames.tar.xz", 2)] {
        let output = vf()
            .arg("extract")
            .arg(&place.video)
            .arg("-o")
            .arg(place.path(out))
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for wrong in [
        &["--fps", "0"][..],
        &["--fps", "nan"],
        &["--fps", "1", "--all"],
        &["-q", "101"],
        &["--at", "99"],
        &["-s", "3"],
        &["--name", "same"],
        &["-e", "1", "-t", "1"],
        &["--every", "-1"],
        &["-n", "0"],
        &["-f", "bmp"],
    ] {
        let output = place.extract(&place.video, &[wrong, &["-y"]].concat());
        assert_eq!(
            output.status.code(),
            Some(2),
            "{wrong:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let output = place.extract(&place.video, &["--all", "--max-frames", "29", "-y"]);
    assert_eq!(output.status.code(), Some(8));
    assert_eq!(place.left(), ["out.zip"], "only the existing output is left");
}

#[test]
fn full_disk_leaves_nothing() {
    let place = Place::with("testsrc2=s=640x360:r=10:d=5");
    for out in ["out.zip", "out.tar", "out.shards/' --layout 'webdataset"] {
        // A test can set a file size limit on every system; the write error is equivalent to a full disk.
        let script = format!(
            "ulimit -f 100; trap '' XFSZ; exec '{}' extract --all -o '{}' -- '{}'",
            env!("CARGO_BIN_EXE_vf"),
            place.path(out).display(),
            place.video.display()
        );
        let output = Command::new("bash").arg("-c").arg(script).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(11),
            "{out}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(place.left(), Vec::<String>::new());
    }
}

#[test]
fn stdout_is_a_complete_zip_or_an_invalid_one() {
    let place = Place::new();
    let run = |args: &[&str]| {
        vf().arg("extract")
            .arg(&place.video)
            .args(["-o", "-"])
            .args(args)
            .output()
            .unwrap()
    };
    let good = run(&["--fps", "2"]);
    assert!(good.status.success());
    let file = place.extract(&place.video, &["--fps", "2", "--name", "frame_{index:06}"]);
    assert!(file.status.success() || file.status.code() == Some(2));
    assert_eq!(
        zip::ZipArchive::new(std::io::Cursor::new(&good.stdout))
            .unwrap()
            .len(),
        7
    );
    let cut = run(&["--all", "--max-output", "20kB"]);
    assert_eq!(cut.status.code(), Some(8));
    assert!(!cut.stdout.is_empty() && zip::ZipArchive::new(std::io::Cursor::new(&cut.stdout)).is_err());
    assert_eq!(run(&["--json"]).status.code(), Some(2));
}

#[test]
fn existing_folders_survive_under_any_name() {
    let place = Place::new();
    let run = |at: &Path, out: &str, extra: &[&str]| {
        let mut command = vf();
        command.current_dir(at).arg("extract").arg(&place.video);
        command
            .args(["-n", "2", "-o", out])
            .args(extra)
            .output()
            .unwrap()
            .status
            .code()
    };
    let folder = place.path("result");
    assert_eq!(run(place.folder.path(), "result", &[]), Some(0));
    assert_eq!(
        run(&folder, "../result", &["-y"]),
        Some(0),
        "from inside, by another name"
    );
    assert!(folder.join("manifest.json").is_file());
    for out in [".", "..", "/"] {
        assert_eq!(run(place.folder.path(), out, &["-y"]), Some(2), "{out}");
    }
    std::os::unix::fs::symlink(&folder, place.path("link")).unwrap();
    assert_eq!(run(place.folder.path(), "link", &["-y"]), Some(9));
    assert!(folder.join("manifest.json").is_file() && place.left().is_empty());
}

#[test]
fn the_input_video_is_never_replaced() {
    let place = Place::new();
    let video = place.path("video.zip");
    fs::copy(&place.video, &video).unwrap();
    let output = vf()
        .arg("extract")
        .arg(&video)
        .args(["-y", "-o"])
        .arg(&video)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read(&video).unwrap(), fs::read(&place.video).unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_printed_is_an_error() {
    let place = Place::new();
    let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let probe = vf()
        .arg("probe")
        .arg(&place.video)
        .stdout(full())
        .output()
        .unwrap();
    let completions = vf()
        .args(["completions", "bash"])
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(
        (probe.status.code(), completions.status.code()),
        (Some(11), Some(11))
    );
    assert!(!String::from_utf8_lossy(&completions.stderr).contains("panicked"));
}
